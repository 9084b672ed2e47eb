"""What a verb takes, as it states it, whoever reads the command line: `lines.py`, or Typer in `app.py`.

A verb is a function. Each of its parameters is annotated with an `Option` or an `Argument`, or is a group: a record of
such fields, or of groups. All defaults are plain values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradcli.record import record

REQUIRED: Any = object()  # the default of what must be given


@record(eq=False)
class Option:
    """An option by its names, under its heading of the help page. The callback gives the value, or refuses it."""

    names: tuple[str, ...]
    panel: str
    help: str
    metavar: str | None = None
    callback: Callable[[Any], Any] | None = None
    min: float | None = None
    max: float | None = None


@record(eq=False)
class Argument:
    """A word by its place; `metavar` is how a help page calls it."""

    metavar: str
    help: str
    callback: Callable[[Any], Any] | None = None


@record(eq=False)
class Parameter:
    """A field of a verb or of one of its groups: of a `type` such as `str | None`, which holds words of a `kind`,
    one or `many`."""

    name: str
    type: Any
    kind: type
    many: bool
    stated: Option | Argument
    default: Any

    @property
    def flag(self) -> bool:
        return self.kind is bool


def option(*names: str, panel: str, help: str, **rest: Any) -> Any:
    """One option, under its heading of the help page."""
    return Option(names, panel, help, **rest)


def argument(*, metavar: str, help: str, callback: Callable[[Any], Any] | None = None) -> Any:
    """One word by its place."""
    return Argument(metavar, help, callback)


def parameters(function: Callable[..., int]) -> list[Parameter]:
    """All that a verb takes, those of its groups where the group stands."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return _flat(names, function.__annotations__, _defaults(function))


def call(function: Callable[..., int], given: dict[str, Any]) -> int:
    """The verb with all of its parameters by name, groups made of theirs."""
    return function(**_filled(function, given))


def _filled(function: Any, given: dict[str, Any]) -> dict[str, Any]:
    """`given` with groups in the place of their fields."""
    types = {name: type for name, type in function.__annotations__.items() if name != "return"}
    return {name: type(**_filled(type, given)) if _is_group(type) else given[name] for name, type in types.items()}


def _flat(names: tuple[str, ...], types: dict[str, Any], defaults: dict[str, Any]) -> list[Parameter]:
    found: list[Parameter] = []
    for name in names:
        type = types[name]
        if _is_group(type):
            found += _flat(type.__match_args__, type.__annotations__, _defaults(type.__init__))
        else:
            found.append(_parameter(name, type, defaults.get(name, REQUIRED)))
    return found


def _parameter(name: str, annotated: Any, default: Any) -> Parameter:
    """`Annotated[list[str] | None, Option]` holds many words of the kind `str`."""
    stated, declared = annotated.__metadata__[0], annotated.__origin__
    kind = next((each for each in getattr(declared, "__args__", ()) if each is not type(None)), declared)
    if getattr(declared, "__origin__", None) is list:
        kind = declared
    many = getattr(kind, "__origin__", None) is list
    return Parameter(name, declared, kind.__args__[0] if many else kind, many, stated, default)


def _defaults(function: Any) -> dict[str, Any]:
    """Defaults by name, as the signature has them."""
    code, plain = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    return {**dict(zip(names[len(names) - len(plain) :], plain, strict=True)), **(function.__kwdefaults__ or {})}


def _is_group(type: Any) -> bool:
    return hasattr(type, "__match_args__")

"""Frozen, slotted classes of named fields: what `dataclasses` makes, at a fifth of its price when a command starts.

`dataclass(frozen=True, slots=True)` writes and compiles six functions for each class and makes the class twice. Here
one function is compiled; comparing, hashing, printing and refusing to change are the same functions for all classes.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import get_annotations
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


class Field:
    """A default that is made anew for each instance."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory


def field(*, default_factory: Callable[[], T]) -> T:
    """`names: list[str] = field(default_factory=list)`"""
    made: Any = Field(default_factory)
    return made  # type: ignore[no-any-return]  # as dataclasses has it: a promise to the type checker


@overload
def record(cls: type[T], /) -> type[T]: ...
@overload
def record(*, frozen: bool = True, eq: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: Any = None, /, *, frozen: bool = True, eq: bool = True) -> Any:
    """Make a class of annotated fields. Two are equal when their fields are, and print these; with `eq=False`
    only when they are one."""
    if cls is None:
        return lambda made: _make(made, frozen, eq)
    return _make(cls, frozen, eq)


def replace(instance: T, **changes: Any) -> T:
    """A copy with some fields changed."""
    kind: Any = type(instance)
    return kind(**{name: getattr(instance, name) for name in kind.__match_args__} | changes)  # type: ignore[no-any-return]


# ── making a class ──────────────────────────────────────────────────────────────────────────────────────────


def _make(cls: type, frozen: bool, eq: bool) -> type:
    names = tuple(get_annotations(cls))
    left_out = {"__dict__", "__weakref__", *names}
    space = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    space |= {"__slots__": names, "__match_args__": names, "__qualname__": cls.__qualname__}
    if frozen:
        space |= {"__setattr__": _frozen, "__delattr__": _frozen}
    if eq:
        space.setdefault("__repr__", _repr)
        space.setdefault("__eq__", _eq)
        space.setdefault("__hash__", _hash if frozen else None)
    scope: dict[str, Any] = {"MISSING": _MISSING}
    exec(_init(cls, names, frozen, scope), scope)
    made = type(cls.__name__, cls.__bases__, space | {"__init__": scope["__init__"]})
    if frozen:
        scope.update((f"_{name}", made.__dict__[name].__set__) for name in names)
    return made


_MISSING: Any = object()


def _init(cls: type, names: tuple[str, ...], frozen: bool, scope: dict[str, Any]) -> str:
    """The text of `__init__`; defaults go into its scope."""
    given, body = ["self"], []
    for name in names:
        value = name
        if name not in cls.__dict__:
            given.append(name)
        elif isinstance(default := cls.__dict__[name], Field):
            scope[f"make_{name}"] = default.factory
            given.append(f"{name}=MISSING")
            value = f"make_{name}() if {name} is MISSING else {name}"
        else:
            scope[f"default_{name}"] = default
            given.append(f"{name}=default_{name}")
        body.append(f"\n  _{name}(self, {value})" if frozen else f"\n  self.{name} = {value}")
    return f"def __init__({', '.join(given)}):{''.join(body) or ' pass'}"


# ── what all of them share ──────────────────────────────────────────────────────────────────────────────────


def _frozen(self: object, name: str, value: object = None) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be changed")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__match_args__)


def _repr(self: Any) -> str:
    inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({inside})"


def _eq(self: object, other: object) -> Any:
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))

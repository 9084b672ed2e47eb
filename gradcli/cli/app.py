"""One verb as a Typer command: its help page, and errors of use in the words of all other errors.

Typer reads what `lines.py` leaves to it.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from gradcli.cli.parameters import REQUIRED, Argument, Parameter, call, parameters
from gradcli.cli.verbs import Verb
from gradcli.syntax.diagnostics import DONE, ModelError, fail, nearest

WIDTH = 80
COLUMN = 28  # where the meaning of an option begins
UsageError: Any = typer.BadParameter.__mro__[1]  # every wrong use that Typer finds is one


class Page(TyperCommand):
    """A command whose help groups its options under headings, in 80 columns, and ends in an example."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_page(self, ctx))


def run_command(verb: Verb, arguments: Sequence[str]) -> int:
    """The exit code of a verb. Raises ModelError USE002 to USE004 for wrong use."""
    made = command(verb)
    try:
        # not `made.main`: it would turn a closed pipe and an interrupt into exits of its own
        with made.make_context(f"gradcli {verb.name}", [*arguments]) as context:
            code = made.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    except UsageError as error:
        raise wrong_use(error, made) from None
    return code if isinstance(code, int) else DONE


def command(verb: Verb) -> Any:
    """The Typer command of a verb, made when it is asked for."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = {"help_option_names": ["-h", "--help"]}
    app.command(verb.name, cls=Page, context_settings=settings)(typed(verb.load()))
    return get_command(app)


def typed(function: Callable[..., int]) -> Callable[..., int]:
    """`function` with all that it takes as its own parameters, as Typer wants them."""
    made = [_typed(parameter) for parameter in parameters(function)]

    def command(**given: Any) -> int:
        return call(function, given)

    command.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]  # functions take it
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in made}
    command.__doc__, command.__name__ = function.__doc__, function.__name__
    return command


def _typed(parameter: Parameter) -> inspect.Parameter:
    stated, default = parameter.stated, parameter.default
    rest: dict[str, Any] = {"help": stated.help, "metavar": stated.metavar, "callback": stated.callback}
    rest["show_default"] = False
    if isinstance(stated, Argument):
        info: Any = typer.Argument(**rest)
    else:
        rest |= {"rich_help_panel": stated.panel, "min": stated.min, "max": stated.max}
        info = typer.Option(*stated.names, **rest)
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is REQUIRED else default,
        annotation=Annotated[parameter.type, info],
    )


def wrong_use(error: Any, made: Any) -> ModelError:
    """What Typer found, said as we say it."""
    kind, option = type(error).__name__, getattr(error, "option_name", None)
    known = [name for param in made.params for name in param.opts if name.startswith("-")] + ["--help"]
    if kind == "NoSuchOption":
        bare = nearest(str(option).lstrip("-"), [name.lstrip("-") for name in known if name.startswith("--")])
        meant = f"--{bare}" if bare else None
        help = f"did you mean `{meant}`?" if meant else f"gradcli {made.name} --help lists the options"
        return fail("USE002", f"`{made.name}` has no option `{option}`", help=help)
    param = getattr(error, "param", None)
    name = param.opts[0] if param is not None and param.opts and param.opts[0].startswith("-") else None
    if kind == "MissingParameter" and param is not None:
        what = name or param.metavar or param.name.upper()
        return fail("USE004", f"`{made.name}` needs {what}", help=f"gradcli {made.name} --help has an example")
    words = str(error.message).rstrip(".")
    if option is not None:  # an option without its value
        return fail("USE003", words[:1].lower() + words[1:])
    if name is not None:
        number = re.match(r"'?(.*?)'? is not (?:a valid (int|float)|in the range)", words)
        if number is not None and param is not None:
            return fail("USE003", f"`{name}` is {_number(param)}, not `{number[1][:40]}`")
        return fail("USE003", f"`{name}`: {words[:1].lower() + words[1:]}")
    if extra := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", words):
        return fail("USE004", f"`{made.name}` takes no further argument: {extra[1]}")
    return fail("USE003", words[:1].lower() + words[1:])


def _number(param: Any) -> str:
    """`a whole number from 1 to 17`"""
    low, high = getattr(param.type, "min", None), getattr(param.type, "max", None)
    kind = "a whole number" if "int" in str(param.type.name).lower() else "a number"
    bounds = (f" from {low:g}" if low is not None else "") + (f" to {high:g}" if high is not None else "")
    return kind + (f"{bounds} on" if low is not None and high is None else bounds)


# ── help ────────────────────────────────────────────────────────────────────────────────────────────────────


def help_page(made: Any, ctx: Any) -> str:
    """Usage, what the verb does, its arguments, options by heading, and the rest of its docstring: examples."""
    about, _, examples = inspect.cleandoc(made.help or "").partition("\n\nExamples:\n")
    params = [param for param in made.get_params(ctx) if not getattr(param, "hidden", False)]
    arguments = [param for param in params if param.param_type_name == "argument"]
    lines = [" ".join(["Usage:", f"gradcli {made.name}", *(_usage(param) for param in arguments), "[options]"]), ""]
    lines += ["\n".join(textwrap.wrap(" ".join(part.split()), WIDTH)) + "\n" for part in about.split("\n\n")]
    for param in arguments:
        lines += _entry(_usage(param).removesuffix("...").strip("[]"), param.help or "")
    panels: dict[str, list[Any]] = {}
    for param in params:
        if param.param_type_name == "option" and "--help" not in param.opts:
            panels.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(param)
    for panel, options in panels.items():
        lines += ["", f"{panel}:"]
        for param in options:
            lines += _entry(_names(param), param.help or "")
    if examples:
        lines += ["", "Examples:", textwrap.indent(textwrap.dedent(examples), "  ").rstrip()]
    return "\n".join(lines).rstrip() + "\n"


def _usage(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _names(param: Any) -> str:
    names = sorted(param.opts, key=len)
    short = names[0] if len(names) > 1 else ""
    text = f"{short}, {names[-1]}" if short else f"    {names[-1]}"
    return text if param.is_flag else f"{text} {param.metavar or ''}".rstrip()


def _entry(name: str, help: str) -> list[str]:
    """A name and its meaning beside it, or below where the name is long."""
    texts = textwrap.wrap(help, WIDTH - COLUMN) or [""]
    head = f"  {name}"
    lines = [f"{head:<{COLUMN}}{texts.pop(0)}"] if len(head) < COLUMN - 1 else [head]
    return [line.rstrip() for line in (*lines, *(" " * COLUMN + text for text in texts))]

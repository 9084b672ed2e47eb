"""Plain command lines, read without Typer, which takes as long to import as a model takes to be checked.

`read` gives what Typer would give, or None: for `--help`, for what is wrong, and for all spellings but `--name VALUE`,
`--name=VALUE`, `-n VALUE` and flags one by one. Typer then reads the line, and says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradcli.cli.parameters import REQUIRED, Argument, Option, Parameter, parameters
from gradcli.syntax.diagnostics import ModelError


def read(function: Callable[..., int], words: Sequence[str]) -> dict[str, Any] | None:
    """Values of all parameters of a verb, by name; None where Typer is to read the line."""
    taken = parameters(function)
    options = {name: each for each in taken if isinstance(each.stated, Option) for name in each.stated.names}
    typed: dict[str, list[Any]] = {each.name: [] for each in taken}
    places: list[str] = []
    left = iter(words)
    for word in left:
        if word == "-" or not word.startswith("-"):
            places.append(word)
            continue
        name, equals, value = word.partition("=")
        option = options.get(name)
        if option is None or (equals and (option.flag or not name.startswith("--"))):
            return None
        if not option.flag and not equals:
            value = next(left, "-")
            if value.startswith("-"):  # perhaps the next option
                return None
        typed[option.name].append(option.flag or value)
    arguments = [each for each in taken if isinstance(each.stated, Argument)]
    try:
        _place(arguments, places, typed)
        return {each.name: _value(each, typed[each.name]) for each in taken}
    except (ValueError, ModelError):
        return None


def _place(arguments: Sequence[Parameter], words: list[str], typed: dict[str, list[Any]]) -> None:
    """Words to arguments, in order; the last may take many. Raises ValueError where some are left."""
    for each in arguments:
        count = len(words) if each.many else 1
        typed[each.name], words = words[:count], words[count:]
    if words:
        raise ValueError("too many words")


def _value(parameter: Parameter, words: list[Any]) -> Any:
    """What was typed, else the default. Raises ValueError or ModelError where that is refused."""
    stated = parameter.stated
    if not words:
        if parameter.default is REQUIRED:
            raise ValueError(f"{parameter.name} is missing")
        return parameter.default
    values = words if parameter.flag else [parameter.kind(word) for word in words]
    if isinstance(stated, Option) and parameter.kind in (int, float):
        for value in values:
            if (stated.min is not None and value < stated.min) or (stated.max is not None and value > stated.max):
                raise ValueError(f"{value} is out of range")
    value = values if parameter.many else values[-1]
    return stated.callback(value) if stated.callback is not None else value

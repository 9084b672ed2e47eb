"""A command line that is read without Typer means what Typer reads in it; all others are left to Typer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcli.cli import app, lines
from gradcli.cli.parameters import Argument, Option, Parameter, parameters
from gradcli.cli.verbs import VERBS
from gradcli.syntax.diagnostics import ModelError

VALUES = (
    "3",
    "x=4",
    "x=-4",
    "",
    "-",
    "--",
    "-1",
    "0",
    "1e-3",
    "nan",
    "1_000",
    " 7 ",
    "f32",
    "json",
    "auto",
    "never",
    "é",
)


def by_typer(verb: str, words: Sequence[str]) -> dict[str, Any] | None:
    """What Typer reads; None where it refuses the line, or prints help."""
    seen: list[dict[str, Any]] = []

    def call(function: Callable[..., int], given: dict[str, Any]) -> int:
        seen.append(given)
        return 0

    with patch.object(app, "call", call), suppress(ModelError):
        app.run_command(VERBS[verb], words)
    return seen[0] if seen else None


def by_line(verb: str, words: Sequence[str]) -> dict[str, Any] | None:
    return lines.read(VERBS[verb].load(), words)


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A verb, and words that it knows, in any order, with all ways of spelling an option."""
    verb = draw(st.sampled_from(sorted(VERBS)))
    words: list[str] = []
    names = [
        (each, name)
        for each in parameters(VERBS[verb].load())
        if isinstance(each.stated, Option)
        for name in each.stated.names
    ]
    for _ in range(draw(st.integers(0, 5))):
        value = draw(st.sampled_from(VALUES))
        if not names or draw(st.booleans()):
            words.append(
                draw(st.sampled_from(["model.net", value, "-z", "--nett"])) if draw(st.booleans()) else "m.net"
            )
            continue
        each, name = draw(st.sampled_from(names))
        spelt = draw(st.sampled_from(["apart", "apart", "together", "glued", "alone"]))
        if each.flag and spelt == "apart":
            words.append(name)
        else:
            words += {"apart": [name, value], "together": [f"{name}={value}"], "glued": [name + value]}.get(
                spelt, [name]
            )
    return verb, words


@given(command_lines())
def test_a_line_means_what_typer_reads(line: tuple[str, list[str]]) -> None:
    found = by_line(*line)
    if found is not None:
        assert repr(found) == repr(by_typer(*line))  # nan is nan


def stated(verb: str, kind: type[Option] | type[Argument]) -> list[Parameter]:
    return [each for each in parameters(VERBS[verb].load()) if isinstance(each.stated, kind)]


def fitting(each: Parameter) -> str:
    """A value that the option takes."""
    made: Callable[[Any], Any] | None = each.stated.callback
    for value in ("2", "json", "graph", "forward", *(each.stated.metavar or "").split("|")):
        if made is None or not refused(made, value):
            return value
    raise AssertionError(f"no value for {each.name}")


def refused(callback: Callable[[Any], Any], value: str) -> bool:
    try:
        callback(value)
    except ModelError:
        return True
    return False


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_read_without_typer(verb: str) -> None:
    """Each by its long name, all at once; each argument once."""
    words: list[str] = [fitting(each) for each in stated(verb, Argument)]
    for each in stated(verb, Option):
        assert isinstance(each.stated, Option)
        words += [each.stated.names[-1]] if each.flag else [each.stated.names[-1], fitting(each)]
    found = by_line(verb, words)
    assert found is not None
    assert found == by_typer(verb, words)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["-h"], ["a.net", "b.net"], ["--nett", "x"], ["--net"], ["-qv"], ["-ix=1"], ["--order", "two"],
     ["--threads", "0"], ["--dtype", "f33"], ["--get-all=1"], ["--net", "--get-all"], ["--", "a.net"]],
    ids=" ".join,
)  # fmt: skip
def test_what_is_left_to_typer(words: list[str]) -> None:
    assert by_line("grad", words) is None


def test_a_last_value_wins_and_lists_grow() -> None:
    found = by_line("grad", ["-", "--net", "A", "-i", "x=1", "--net=B", "--input=y=2", "-q"])
    assert found is not None
    assert (found["model"], found["net"], found["input"], found["quiet"]) == ("-", "B", ["x=1", "y=2"], True)

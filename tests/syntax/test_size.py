"""Sizes that would break a recursive parser, and work that grows with the text and no faster, counted in calls."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Source
from gradcli.syntax.parse import parse, parse_expression
from gradcli.syntax.show import expression, render

MANY = 10_000

DEEP: dict[str, Callable[[int], str]] = {
    "a chain": lambda n: "x" + " + x" * n,
    "parentheses": lambda n: "(" * n + "x" + ")" * n,
    "lists": lambda n: "[" * n + "x" + "]" * n,
    "indices": lambda n: "x[" * n + "0" + "]" * n,
    "calls": lambda n: "f(" * n + "x" + ")" * n,
    "named arguments": lambda n: "f(a=" * n + "x" + ")" * n,
    "postfix": lambda n: "x" + "[0]" * n,
    "attributes": lambda n: "x" + ".T" * n,
    "powers": lambda n: "x" + " ** x" * n,
    "signs": lambda n: "-" * n + "x",
    "negations": lambda n: "not " * n + "x",
    "selects": lambda n: "a if b else " * n + "x",
    "a wide list": lambda n: "[" + "1.5, " * n + "]",
    "a wide call": lambda n: "f(" + ", ".join(f"a{number}=x" for number in range(n)) + ")",
}


@pytest.mark.parametrize("form", DEEP.values(), ids=DEEP)
def test_depth_and_width_are_no_limit(form: Callable[[int], str]) -> None:
    tree = parse_expression(Source("<expression>", form(MANY)))
    shown = expression(tree)
    assert len(shown) < 20 * len(form(MANY))
    module = parse(Source("model.net", f"net f(x) = {form(MANY)}\n"))
    assert shown in render(module)


def statements(count: int) -> str:
    return "net f(x) {\n  h = x\n" + "  h = sin(h) + x\n" * count + "  return h\n}\n"


def nodes(module: ast.Module) -> int:
    waiting: list[ast.Node] = list(module.items)
    for node in waiting:
        waiting.extend(ast.children(node))
    return len(waiting)


def test_a_statement_has_as_many_nodes_in_a_long_net_as_in_a_short_one() -> None:
    few, many = (parse(Source("model.net", statements(count))) for count in (1, MANY))
    assert nodes(many) - nodes(few) == 7 * (MANY - 1)  # =, h, +, sin(h), sin, h, x
    assert render(many).count("\n") - render(few).count("\n") == MANY - 1


def calls(text: str) -> int:
    """How many functions a parse calls, Python's own included: its work, whatever the machine."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        parse(Source("model.net", text))
    except ModelError:
        pass
    finally:
        sys.setprofile(before)
    return count


LINEAR: dict[str, Callable[[int], str]] = {
    "statements": statements,
    "nets": lambda n: "net f(x) = x\n" * n,
    "comments": lambda n: "# a comment\n" * n,
    "a matrix": lambda n: "const a = [" + "[1, 2, 3],\n" * n + "]\n",
    "a sum": lambda n: f"net f(x) = x{' + x' * n}\n",
    "parentheses": lambda n: f"net f(x) = {'(' * n}x{')' * n}\n",
    "broken statements": lambda n: "net f(x) {\n" + "  y x\n" * n + "}\n",
    "broken headers": lambda n: "net f(x)\n" * n,
    "open brackets": lambda n: "net f(x) = " + "(" * n,
    "open lines": lambda n: "net f(x) {\n" + "  y = (x\n" * n + "  return x\n}\n",
    "closed brackets": lambda n: "net f(x) = x" + ")" * n,
    "crossed brackets": lambda n: "net f(x) = x" + "([x)]" * n,
    "braces": lambda n: "}" * n,
    "strange signs": lambda n: "§" * n,
    "chained comparisons": lambda n: f"net f(x) = {'(' * n}a{'< b < c)' * n}\n",
    "names given, then none": lambda n: f"net f(x) = g({', '.join(f'a{k}=1' for k in range(n))}{', 1' * n})\n",
}


@pytest.mark.parametrize("form", LINEAR.values(), ids=LINEAR)
def test_work_grows_no_faster_than_the_text(form: Callable[[int], str]) -> None:
    calls(form(10))
    small, large = calls(form(500)), calls(form(2000))
    assert large < 4.5 * small


@pytest.mark.parametrize("text", ["net f(x) = x", "net f(x) = "])
def test_the_collector_is_left_as_it_was(text: str) -> None:
    assert gc.isenabled()
    calls(text)
    assert gc.isenabled()
    gc.disable()
    try:
        calls(text)
        assert not gc.isenabled()
    finally:
        gc.enable()

"""What `check` proves for all sizes, held against runs at many sizes: the special ones, and the bounds of conditions.

Where the conditions hold, the net runs, and every line has the shape that was printed. Where they do not, it is
refused, or some line has another shape: a slice that reaches beyond its dim is cut, and a size of 1 stretches, as in
NumPy.
"""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings

from tests.interp.sizes import DIMS, Proved, claim, expected, holds, nets, run, special, value

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def held(text: str) -> Proved | None:
    """The claim, held against runs. Raises LookupError for a net that is not checked alone."""
    proved = claim(text)
    for sizes in special(proved, sorted(set(re.findall(r"\b[nmk]\b", text)))):
        made = run(text, sizes)
        where = f"{text}at {sizes}, proved under {[c.text for c in proved.conditions] if proved else 'refused'}"
        if proved is None:
            assert made is None or _stretched(sizes), where
            continue
        violated = [c for c in proved.conditions if not holds(c.text, sizes)]
        wanted = expected(proved, sizes)
        same = made is not None and all(wanted[line] == shape for line, shape in made.items())
        if not violated:
            assert made is not None, f"{where}: refused"
            assert same, f"{where}: {made}, not {wanted}"
        elif same:
            assert _stretched(sizes) or _turnless(text, sizes), f"{where}: needs none of {[c.text for c in violated]}"
    return proved


def _stretched(sizes: dict[str, int]) -> bool:
    """Whether a dim may be 1 where the net has a name for it."""
    return any(value(dim, sizes) == 1 for dim in DIMS if set(re.findall("[nmk]", dim)) <= set(sizes))


def _turnless(text: str, sizes: dict[str, int]) -> bool:
    """Whether a loop makes no turn, so that what it would need is not needed."""
    ends = re.findall(r"for i in (\d)\.\.(.+) \{", text)
    return any(value(stop, sizes) <= int(start) for start, stop in ends)


@given(nets(1))
@QUICK
def test_one_line(text: str) -> None:
    with suppress(LookupError):
        held(text)


@given(nets(3))
@QUICK
def test_several_lines(text: str) -> None:
    with suppress(LookupError):
        held(text)


SMALLEST = {  # a net of one line, and the conditions under which it has the shapes printed
    "x[1::-1]": ["n ≥ 2"],
    "x[-3::-1]": ["n ≥ 2"],
    "x[:-3:-1]": ["n ≥ 2"],
    "x[3:1]": [],
    "x[:5]": ["n ≥ 5"],
    "x[::2]": ["n even"],
    "x[::2] + x[1::2]": ["n even"],
    "x[::3] * x[1::3] + x[2::3]": ["n divisible by 3"],
    "x[-2::-2]": ["n even"],
    "x[-4::-2]": ["n ≥ 3", "n even"],
    "concat([x, x, [1]])[1::2]": [],
    "reshape(x[1:], [2, -1])[0] + x[1::2]": ["n ≥ 1", "n - 1 even"],
    "x[size(n) - 2:]": ["n ≥ 2"],
    "x[size(n) - 1]": ["n ≥ 1"],
    "roll(x, 3)": [],
    'pad(x, 3, mode="wrap")': ["n ≥ 1"],
    'pad(x, 3, mode="reflect")': ["n ≥ 1"],
    "reshape(x, [3, -1])": ["n divisible by 3"],
    "reshape(outer(x, x), [size(n), -1])": ["n ≥ 1"],
    "x + [1, 2, 3]": ["n must be 3"],
    "x @ ones([3])": ["n must be 3"],
    "concat([x, x]) + ones([6])": ["n must be 3"],
    "max(x)": ["n ≥ 1"],
    "sum(x)": [],
    "split(x, 3)[1]": ["n divisible by 3"],
    "conv1d(x[None, :], ones([1, 1, 3]))": ["n ≥ 3"],
    "diag(x)[:2, 1]": ["n ≥ 2"],
}


@pytest.mark.parametrize("expression", SMALLEST)
def test_one_expression(expression: str) -> None:
    proved = held(f"net f(x: f64[n]) = {expression}\n")
    assert proved is not None
    assert [condition.text for condition in proved.conditions] == SMALLEST[expression]


@pytest.mark.parametrize(("expression", "conditions"), [
    ("x + y", ["n = m"]), ("x @ y", ["n = m"]), ("outer(x, y) @ y", []), ("x[:size(m)]", ["n - m ≥ 0"]),
    ("reshape(outer(x, y), [size(m), -1])", ["m ≥ 1"]), ("x[size(m)]", ["n - m - 1 ≥ 0"]),
])  # fmt: skip
def test_two_sizes(expression: str, conditions: list[str]) -> None:
    proved = held(f"net f(x: f64[n], y: f64[m]) = {expression}\n")
    assert proved is not None
    assert len(proved.conditions) == len(conditions)


@pytest.mark.parametrize(
    "expression", ["x + ones([size(n) + 1])", "concat([x, x]) @ ones([5])", "zeros([size(n), -1])"]
)
def test_what_no_size_makes_right(expression: str) -> None:
    assert held(f"net f(x: f64[n]) = {expression}\n") is None


@pytest.mark.parametrize("loop", [
    "for i in 0..n { s = s + x[i] }", "for i in 1..n { s = s + x[i - 1] }", "for i in 0..n { s = s + x[i + 1] }",
    "for i in 0..n + 2 { s = tanh(s) + sum(x) }",
])  # fmt: skip
def test_loops(loop: str) -> None:
    body = loop.replace("{ ", "{\n    ").replace(" }", "\n  }")
    held(f"net f(x: f64[m], y: f64[n]) {{\n  s = 0.0\n  {body}\n  return s\n}}\n")

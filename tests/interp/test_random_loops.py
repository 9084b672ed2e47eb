"""Random loops: rolled against written out and against Python, in batches against rows, and their derivatives."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gradcli.interp import loops
from tests.interp.nets import value

NAMES = ("a", "b", "c")
PYTHON = {"sin": np.sin, "cos": np.cos, "tanh": np.tanh, "sqrt": np.sqrt}
OF_NAMES = st.sampled_from(NAMES)
NUMBERS = st.integers(-9, 9).map(lambda k: k / 8)


class Block(NamedTuple):
    """The same statements in the language and in Python; `k` counts the turns of the outermost loop."""

    net: list[str]
    python: list[str]


@st.composite
def expressions(draw: Any) -> str:
    """Smooth and bounded, so that many turns stay within range."""
    x, y = draw(OF_NAMES), draw(OF_NAMES)
    kind = draw(st.sampled_from(("sin", "cos", "tanh", "mix", "product", "index", "root")))
    match kind:
        case "mix":
            return f"{draw(NUMBERS)} * {x} + 0.5 * sin({y})"
        case "product":
            return f"tanh({x}) * {y} + {draw(NUMBERS)}"
        case "index":
            return f"cos({x} * w[k % 3])"
        case "root":
            return f"sqrt(1 + {x} * {x})"
    return f"{kind}({x} + {draw(NUMBERS)} * {y} + 0.1 * i)"


@st.composite
def blocks(draw: Any, depth: int) -> Block:
    net, python = [], []
    for _ in range(draw(st.integers(1, 3))):
        if depth and draw(st.integers(0, 3)) == 0:
            made = draw(a_loop(depth - 1, "j" if depth == 1 else "i"))
            net += made.net
            python += made.python
        elif draw(st.integers(0, 4)) == 0:
            net.append(f"w[k % 3] = {(text := draw(expressions()))}")
            python.append(net[-1])
        else:
            name, text = draw(OF_NAMES), draw(expressions())
            net.append(f"{name} = {text}")
            python.append(net[-1])
    return Block(net, python)


@st.composite
def a_loop(draw: Any, depth: int, variable: str = "i") -> Block:
    start, turns = draw(st.integers(0, 2)), draw(st.integers(0, 5))
    body = draw(blocks(depth))
    condition = draw(st.sampled_from(("", "", "sin(a + b) < 0.7", "b * b < 0.5", "k < 3")))
    count = ["k = k + 1"] if variable == "i" else []
    head = f"for {variable} in {start}..{start + turns}{f' while {condition}' if condition else ''} {{"
    stop = [f"if not {condition}:", "    break"] if condition else []
    inside = [*stop, *(line.replace("w[k % 3] =", "w = w.copy(); w[k % 3] =") for line in body.python), *count]
    return Block(
        [head, *(f"  {line}" for line in (*body.net, *count)), "}"],
        [f"for {variable} in range({start}, {start + turns}):", *(f"    {line}" for line in inside)],
    )


LOOPS = a_loop(1)
POINTS = st.lists(NUMBERS, min_size=3, max_size=3).map(np.array)
FORMS = ("f", "grad(f)", "jvp(f, tangent=[0.5, -1, 2])", "hessian(f)", "hvp(f, v=[0.5, -1, 2])", "grad(checkpoint(f))",
         "jacobian(grad(f))", "grad(jvp(f, tangent=[0.5, -1, 2]))")  # fmt: skip
FORM = st.sampled_from(FORMS)


def text_of(loop: Block, form: str, rows: bool = False) -> str:
    body = "\n".join(f"  {line}" for line in loop.net)
    main = f"vmap({form})(x)" if rows else f"{form}(x)"
    return (
        "net f(x: f64[3]) {\n  a = x[0]\n  b = x[1]\n  c = x[2]\n  w = sin(x)\n  k = 0\n  i = 1.0\n"
        f"{body}\n  return a * b + sin(c) + sum(w * w)\n}}\nnet main(x: f64[{'n, ' if rows else ''}3]) = {main}\n"
    )


def given_by(loop: Block, form: str, x: Any, *, rolled: bool = True, rows: bool = False) -> Any:
    with patch.object(loops, "ROLLED_FROM", 1 if rolled else 1000):
        return value(text_of(loop, form, rows), net="main", x=x)


def by_python(loop: Block, x: Any) -> float:
    scope = {**PYTHON, "a": x[0], "b": x[1], "c": x[2], "w": np.sin(x), "k": 0, "i": 1.0}
    exec("\n".join(loop.python), scope)
    return float(scope["a"] * scope["b"] + np.sin(scope["c"]) + np.sum(scope["w"] ** 2))


@settings(max_examples=60, deadline=None)
@given(LOOPS, POINTS)
def test_a_loop_is_what_python_makes_of_it(loop: Block, x: Any) -> None:
    assert_allclose(given_by(loop, "f", x), by_python(loop, x), rtol=1e-12, atol=1e-13)


@settings(max_examples=60, deadline=None)
@given(LOOPS, POINTS, FORM)
def test_rolled_is_written_out(loop: Block, x: Any, form: str) -> None:
    """Loops with a condition are rolled in both; they are the subject of the tests beside this one."""
    found, wanted = (given_by(loop, form, x, rolled=rolled) for rolled in (True, False))
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-11 * (1 + abs(wanted).max()))


@settings(max_examples=40, deadline=None)
@given(LOOPS, POINTS)
def test_the_gradient_is_that_of_the_turns_taken(loop: Block, x: Any) -> None:
    """By central differences in Python, with as many turns as at the point itself."""
    taken = Recorded(loop)
    taken(x)
    way, h = np.array([0.3, -0.5, 0.8]), 1e-5
    slope = (taken.again(x + h * way) - taken.again(x - h * way)) / (2 * h)
    found = given_by(loop, "grad(f)", x) @ way
    assert_allclose(found, slope, rtol=1e-6, atol=1e-7 * (1 + abs(found)))


class Recorded:
    """The loop in Python, with what each condition said at one point, to be said again at others."""

    def __init__(self, loop: Block) -> None:
        lines = [re.sub(r"if not (.*):", r"if not said(\1):", line) for line in loop.python]
        self.loop = Block(loop.net, lines)
        self.answers: list[bool] = []

    def __call__(self, x: Any) -> float:
        return self._run(x, self._record)

    def again(self, x: Any) -> float:
        answers = iter(self.answers)
        return self._run(x, lambda answer: next(answers))

    def _record(self, answer: Any) -> bool:
        self.answers.append(bool(answer))
        return bool(answer)

    def _run(self, x: Any, said: Any) -> float:
        scope = {**PYTHON, "a": x[0], "b": x[1], "c": x[2], "w": np.sin(x), "k": 0, "i": 1.0, "said": said}
        exec("\n".join(self.loop.python), scope)
        return float(scope["a"] * scope["b"] + np.sin(scope["c"]) + np.sum(scope["w"] ** 2))


@settings(max_examples=60, deadline=None)
@given(LOOPS, st.lists(POINTS, min_size=1, max_size=3).map(np.stack), FORM)
def test_a_batch_is_its_rows(loop: Block, x: Any, form: str) -> None:
    """Each row stops on its own, also in inner loops."""
    found = given_by(loop, form, x, rows=True)
    wanted = np.stack([given_by(loop, form, row) for row in x])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-11 * (1 + abs(wanted).max()))


@settings(max_examples=40, deadline=None)
@given(LOOPS, st.lists(POINTS, min_size=2, max_size=3).map(np.stack))
def test_the_gradient_of_a_batch(loop: Block, x: Any) -> None:
    text = text_of(loop, "f", rows=True).replace("net main", "net g") + "net main(x: f64[n, 3]) = grad(g)(x)\n"
    with patch.object(loops, "ROLLED_FROM", 1):
        found = value(text, net="main", x=x)
    wanted = np.stack([given_by(loop, "grad(f)", row) for row in x])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-11 * (1 + abs(wanted).max()))


@settings(max_examples=30, deadline=None)
@given(LOOPS, LOOPS, POINTS, FORM)
def test_loops_in_batches_in_loops(inner: Block, outer: Block, x: Any, form: str) -> None:
    """f calls a batch of g in each turn; against the same with every loop written out."""
    body = "\n".join(f"  {line}" for line in inner.net)
    step = (
        "net g(x: f64, y: f64) {\n  a = x\n  b = y\n  c = x * y\n  w = [x, y, 1.0]\n  k = 0\n  i = 1.0\n"
        f"{body}\n  return tanh(a + b * c + sum(w))\n}}\n"
    )
    batched = Block([*outer.net[:-1], "  w = vmap(g, axes=(0, None))(w, a)", "}"], [])
    found, wanted = [], []
    for into, rolled_from in ((found, 1), (wanted, 1000)):
        with patch.object(loops, "ROLLED_FROM", rolled_from):
            into.append(value(step + text_of(batched, form), net="main", x=x))
    assert_allclose(found[0], wanted[0], rtol=1e-9, atol=1e-10 * (1 + abs(wanted[0]).max()))

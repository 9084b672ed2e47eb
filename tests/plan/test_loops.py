"""Loops as the engine runs them: the same numbers as their turns one by one, whatever moves out of them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradcli.ad.scan  # noqa: F401 - fills the registry
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.backends.frame import Frame
from gradcli.backends.loop import Loop
from gradcli.engine import Machine, plan_of
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.primitive import primitive
from gradcli.passes.pipeline import optimize
from gradcli.plan import Tiling, make_plan
from gradcli.plan.costs import RUNNING
from tests.ir.graphs import naive
from tests.plan.spied import watched

TURNS = 7
PLAIN = {"cond": None, "turns": TURNS, "reverse": False, "counted": False}


def scan(body: Graph, operands: list[Value], consts: int, carry: int, **options: Any) -> tuple[Value, ...]:
    params = {**PLAIN, "body": body, "consts": consts, "carry": carry, **options}
    return operands[0].builder.emit(primitive("scan"), operands, params)


# ── running products and sums ───────────────────────────────────────────────────────────────────────────────


def running(prim: str, shape: tuple[int, ...], dtype: str, what: str, *, reverse: bool, first: bool) -> Graph:
    """c ← c ∘ x, and all c: x a slice, a const, or a number."""
    row, inner, outer = Aval(shape, dtype), Builder(), Builder()
    inner.input(Aval((), "i64"), "i")
    given = [inner.input(row, "g")] if what == "const" else []
    c = inner.input(row, "c")
    x = inner.input(row, "x") if what == "slice" else given[0] if given else inner.scalar(0.75, dtype)
    body = inner.finish([apply(prim, c, x) if first else apply(prim, x, c)])
    operands = [outer.input(row, "g")] if given else []
    operands.append(outer.input(row, "c"))
    operands += [outer.input(Aval((TURNS, *shape), dtype), "x")] if what == "slice" else []
    return outer.finish(scan(body, operands, len(given), 1, reverse=reverse))


def loop_of(graph: Graph) -> Loop:
    owners = [getattr(line.call, "__self__", None) for line in Frame(make_plan(graph)).lines]
    (loop,) = [owner for owner in owners if isinstance(owner, Loop)]
    return loop


@pytest.mark.parametrize("what", ["slice", "const", "number"])
@pytest.mark.parametrize("prim", ["mul", "add"])
@pytest.mark.parametrize("dtype", ["f64", "f32", "f16"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (0,)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_running_product_or_sum(what: str, prim: str, dtype: str, shape: tuple[int, ...], reverse: bool) -> None:
    """To the bit, as NumPy takes the turns in their order."""
    rng = np.random.default_rng(0)
    for first in (True, False):
        graph = running(prim, shape, dtype, what, reverse=reverse, first=first)
        assert loop_of(graph).running is not None
        arrays = [rng.normal(size=value.shape).astype(NUMPY_NAMES[dtype]) for value in graph.inputs]
        for found, want in zip(backend.run(make_plan(graph), arrays), naive(graph, arrays), strict=True):
            np.testing.assert_array_equal(found, want)


def test_what_is_no_running_product() -> None:
    wide = running("mul", (RUNNING + 1,), "f64", "slice", reverse=False, first=True)
    assert loop_of(wide).running is None
    graph = running("mul", (3,), "f64", "slice", reverse=False, first=True)
    last = Graph(graph.inputs, graph.nodes, graph.outputs[:1], graph.n_values, graph.names)
    assert loop_of(last).running is None, "nobody reads its history"


def test_a_running_product_takes_no_memory() -> None:
    graph = running("mul", (8,), "f64", "slice", reverse=True, first=True)
    (node,) = graph.nodes
    rows = 4000
    outer = Builder()
    operands = [outer.input(Aval((8,), "f64"), "c"), outer.input(Aval((rows, 8), "f64"), "x")]
    graph = outer.finish(scan(node.params["body"], operands, 0, 1, reverse=True, turns=rows))
    plan, arrays = make_plan(graph), [np.ones(8), np.full((rows, 8), 0.999)]
    backend.run(plan, arrays)
    tracemalloc.start()
    backend.run(plan, arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * rows * 64, "its result, and a piece of it at a time"


# ── loops drawn at random ───────────────────────────────────────────────────────────────────────────────────

ROW, MATRIX = Aval((3,), "f64"), Aval((3, 3), "f64")
UNARY = ("sin", "cos", "tanh", "sigmoid", "neg", "exp", "abs")
BINARY = ("add", "sub", "mul", "maximum")


@st.composite
def loops(draw: Any) -> Graph:
    """The sum of what a random loop gives: two carries, a const and a matrix, a slice, an array that is read and one
    that is written row by row."""
    inner, outer = Builder(), Builder()
    i = inner.input(Aval((), "i64"), "i")
    w, m, all_of = inner.input(ROW, "w"), inner.input(MATRIX, "m"), inner.input(Aval((TURNS + 2, 3), "f64"), "all")
    h, k, y = inner.input(ROW, "h"), inner.input(ROW, "k"), inner.input(Aval((TURNS + 2, 3), "f64"), "y")
    x = inner.input(ROW, "x")
    place = i + draw(st.integers(0, 2)) if draw(st.booleans()) else (TURNS + 1) - i
    number = apply("cast", i, dtype="f64") * 0.1
    values = [w, h, k, x, apply("gather", all_of, place, axes=(0,)), apply("gather", y, place, axes=(0,))]
    for _ in range(draw(st.integers(2, 10))):
        a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        kind = draw(st.sampled_from(["unary", "binary", "binary", "product", "choice", "sum", "number"]))
        match kind:
            case "unary":
                made = apply(draw(st.sampled_from(UNARY)), a)
            case "binary":
                made = apply(draw(st.sampled_from(BINARY)), a, b)
            case "product":
                made = apply("reshape", apply("matmul", apply("reshape", a, shape=(1, 3)), m), shape=(3,))
            case "choice":
                made = apply("where", apply("less", a, b), a, b)
            case "sum":
                made = a * apply("reduce_sum", b, axes=(0,))
            case _:
                made = a * number
        values.append(apply("sin", made) if kind != "unary" else made)
    ends = [draw(st.sampled_from(values)) for _ in range(3)]
    turn = [apply("tanh", ends[0]), k + ends[1] if draw(st.booleans()) else ends[1] * 0.5]
    how = draw(st.sampled_from(["scatter_set", "scatter_add"]))
    turn += [apply(how, y, ends[2], place, axes=(0,)), ends[0] * ends[2]]
    options = {"reverse": draw(st.booleans())}
    operands = [outer.input(value.aval, value.hint) for value in (w, m, all_of, h, k, y)]
    operands.append(outer.input(Aval((TURNS, 3), "f64"), "x"))
    outs = scan(inner.finish(turn), operands, 3, 3, **options)
    chosen = [out for out in outs[:3] + outs[6:] if draw(st.booleans())] or [outs[0]]
    total: Value = outer.scalar(0.0, "f64")
    for out in chosen:
        total = total + apply("reduce_sum", apply("sin", out), axes=tuple(range(out.rank)))
    return outer.finish([total])


@given(loops(), st.integers(0, 2**16))
def test_what_moves_out_of_a_random_loop_changes_nothing(graph: Graph, seed: int) -> None:
    """Values, gradients, and the gradients of a product with them: as the turns one by one, but for rounding."""
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1, 1, size=value.shape) for value in graph.inputs]
    for program in (graph, reverse(graph, range(len(graph.inputs)))):
        want = naive(program, arrays)
        plan = plan_of(program, Machine())
        for found, exact in zip(backend.run(plan, arrays), want, strict=True):
            scale = 1e-11 * max(1.0, float(np.max(np.abs(exact), initial=0.0)))
            np.testing.assert_allclose(found, exact, rtol=1e-11, atol=scale)


@given(loops(), st.integers(0, 2**16))
def test_a_random_loop_runs_as_numpy_has_it(graph: Graph, seed: int) -> None:
    """Operator by operator, in memory that the plan gives."""
    rng = np.random.default_rng(seed)
    watched(optimize(graph), [rng.uniform(-1, 1, size=value.shape) for value in graph.inputs], Tiling())

"""Loops cut down to their recurrences: what moves, what stays, and that nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

import gradcli.ad.scan  # noqa: F401 - fills the registry
from gradcli.ad.fission import split_loops
from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.ir.primitive import primitive
from gradcli.ir.verify import verify
from gradcli.passes.pipeline import optimize
from gradcli.plan.costs import HOISTED, worth_hoisting
from tests.ir.graphs import naive

TURNS, WIDTH = 12, 3


def always(turns: int, rows: object, carried: int) -> bool:
    return True


def loop(turn, carries: int = 1, **options) -> Graph:  # type: ignore[no-untyped-def]
    """The graph of a loop over `turn(i, w, *carry, x) → (*carry, *stacked)`, with all its results."""
    inner, outer = Builder(), Builder()
    i = inner.input(Aval((), "i64"), "i")
    w, *carry, x = (inner.input(Aval((WIDTH,), "f64"), name) for name in ("w", *"hk"[:carries], "x"))
    body = inner.finish(turn(i, w, *carry, x))
    operands = [outer.input(Aval((WIDTH,), "f64"), name) for name in ("w", *"hk"[:carries])]
    operands.append(outer.input(Aval((TURNS, WIDTH), "f64"), "x"))
    params = {
        "body": body,
        "cond": None,
        "turns": TURNS,
        "consts": 1,
        "carry": carries,
        "reverse": False,
        "counted": False,
    }
    outs = outer.emit(primitive("scan"), operands, {**params, **options})
    kept = [*outs[:carries], *outs[2 * carries :]]
    return outer.finish(kept)


def scans(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.prim.name == "scan"]


def inside(graph: Graph) -> list[str]:
    """What is left in the loops."""
    return [node.prim.name for scan in scans(graph) for node in scan.params["body"].nodes]


def same(graph: Graph, worth=always) -> Graph:  # type: ignore[no-untyped-def]
    """The graph, split; it gives what the whole loop gives."""
    split = split_loops(graph, worth)
    verify(split)
    random = np.random.default_rng(3)
    arrays = [random.normal(size=value.shape) for value in graph.inputs]
    for found, want in zip(naive(split, arrays), naive(graph, arrays), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-13)
    return split


def sin(x: Value) -> Value:
    return apply("sin", x)


# ── what moves ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_the_same_in_each_turn_is_made_once() -> None:
    split = same(loop(lambda i, w, h, x: [h * sin(w) + x]))
    assert inside(split) == ["mul", "add"]
    assert scans(split)[0].params["consts"] == 2


def test_what_each_turn_could_know_before_is_made_for_all() -> None:
    split = same(loop(lambda i, w, h, x: [h * sin(x * w)]))
    assert inside(split) == ["mul"]
    assert [node.outs[0].shape for node in split.nodes if node.prim.name == "sin"] == [(TURNS, WIDTH)]


def test_so_is_what_depends_on_the_number_of_the_turn() -> None:
    split = same(loop(lambda i, w, h, x: [h * apply("cast", i, dtype="f64") + sin(x)]))
    assert sorted(inside(split)) == ["add", "mul"]
    backwards = same(loop(lambda i, w, h, x: [h * apply("cast", i, dtype="f64") + x], reverse=True))
    assert sorted(inside(backwards)) == ["add", "mul"]


def test_what_is_only_stacked_is_made_after() -> None:
    split = same(loop(lambda i, w, h, x: [h + x, sin(h * w)]))
    assert inside(split) == ["add"]


def test_a_sum_is_added_up_after() -> None:
    """Of a carry k ← k + sin(h): the loop keeps h alone."""
    split = same(loop(lambda i, w, h, k, x: [sin(h) + x, k + apply("exp", h)], carries=2))
    assert sorted(inside(split)) == ["add", "sin"]
    assert scans(split)[0].params["carry"] == 1


def test_a_loop_that_only_adds_up_is_none() -> None:
    assert scans(same(loop(lambda i, w, h, x: [h + sin(x)]))) == []


@pytest.mark.parametrize("turned", [False, True])
def test_products_are_added_up_in_one(turned: bool) -> None:
    """The gradient of a recurrent layer by its weights: rows of all turns are the rows of one product. Of `h @ w.T` it
    is the transpose of one."""

    def turn() -> Graph:
        inner = Builder()
        inner.input(Aval((), "i64"), "i")
        w, h = inner.input(Aval((4, 4), "f64"), "w"), inner.input(Aval((5, 4), "f64"), "h")
        w = apply("transpose", w, axes=(1, 0)) if turned else w
        return inner.finish([apply("tanh", apply("matmul", h, w))])

    outer = Builder()
    w, h = outer.input(Aval((4, 4), "f64"), "w"), outer.input(Aval((5, 4), "f64"), "h")
    params = {"body": turn(), "cond": None, "turns": 9, "consts": 1, "carry": 1, "reverse": False, "counted": False}
    last = outer.emit(primitive("scan"), [w, h], params)[0]
    graph = optimize(reverse(outer.finish([apply("reduce_sum", last, axes=(0, 1))]), [0]))
    split = optimize(same(graph))
    outside = [node for node in split.nodes if node.prim.name == "matmul"]
    assert (4, 45) in [node.inputs[0].shape for node in outside]
    assert not [node for node in split.nodes if node.outs[0].shape == (9, 4, 4)], "no product for each turn"
    assert inside(split).count("matmul") == 2, "one forwards and one backwards"


# ── what stays ──────────────────────────────────────────────────────────────────────────────────────────────


def test_views_of_slices_stay() -> None:
    def turn(i: Value, w: Value, h: Value, x: Value) -> list[Value]:
        turned = apply("flip", x, axes=(0,))
        return [sin(h) * turned]

    graph = loop(turn)
    assert split_loops(graph, always) is graph


def test_a_sum_that_is_read_stays() -> None:
    graph = loop(lambda i, w, h, k, x: [h * k, k + sin(h)], carries=2)
    assert split_loops(graph, always) is graph


@pytest.mark.parametrize("options", [{"turns": 1}, {"counted": True}])
def test_loops_that_may_end_early_or_have_one_turn_are_left(options: dict[str, object]) -> None:
    if "counted" in options:
        node = scans(loop(lambda i, w, h, x: [h + sin(x)]))[0]
        outer = Builder()
        operands = [outer.input(Aval((), "i64"), "n"), *(outer.input(value.aval) for value in node.inputs)]
        graph = outer.finish([outer.emit(node.prim, operands, {**node.params, **options})[0]])
    else:
        inner, outer = Builder(), Builder()
        inner.input(Aval((), "i64"), "i")
        h = inner.input(Aval((2,), "f64"), "h")
        body = inner.finish([h + sin(sin(inner.scalar(1.0, "f64"))) * h])
        params = {"body": body, "cond": None, "turns": 1, "consts": 0, "carry": 1, "reverse": False, "counted": False}
        graph = outer.finish([outer.emit(primitive("scan"), [outer.input(Aval((2,), "f64"))], params)[0]])
    assert split_loops(graph, always) is graph


def test_what_is_large_stays() -> None:
    assert worth_hoisting(1000, [800], 800)
    assert not worth_hoisting(1000, [1 << 20], 1 << 20), "a large value is quick where it is"
    assert not worth_hoisting(10**9, [800] * 100, 8)
    assert worth_hoisting(10, [80] * 100, 0)
    assert HOISTED >= 1 << 20

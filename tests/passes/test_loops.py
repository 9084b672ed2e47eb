"""Loops without what nobody reads, or what they are given twice."""

from __future__ import annotations

import numpy as np

import gradcli.ad.scan  # noqa: F401 - fills the registry
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.ir.primitive import primitive
from gradcli.passes.loops import prune
from tests.ir.graphs import naive

ROW = Aval((3,), "f64")


def loop(consts: tuple[int, int], slices: tuple[int, int]) -> Graph:
    """`h ← h · a · b + x · y` over operands that are the graph's inputs by their numbers."""
    inner, outer = Builder(), Builder()
    inner.input(Aval((), "i64"), "i")
    a, b, h, x, y = (inner.input(ROW, name) for name in "abhxy")
    body = inner.finish([h * a * b + x * y])
    given = [outer.input(ROW, name) for name in "abh"] + [outer.input(Aval((4, 3), "f64"), name) for name in "xy"]
    operands = [given[consts[0]], given[consts[1]], given[2], given[3 + slices[0]], given[3 + slices[1]]]
    params = {"body": body, "cond": None, "turns": 4, "consts": 2, "carry": 1, "reverse": False, "counted": False}
    return outer.finish([outer.emit(primitive("scan"), operands, params)[0]])


def test_operands_that_are_given_twice_are_one() -> None:
    rows = [np.ones((4, 3)), np.linspace(0, 1, 12).reshape(4, 3)]
    arrays = [np.linspace(0.5, 1.5, 3), np.ones(3), np.arange(3.0), *rows]
    for consts, slices, count in [((0, 1), (0, 1), 5), ((0, 0), (0, 1), 4), ((1, 1), (1, 1), 3)]:
        graph = loop(consts, slices)
        made = prune(graph)
        assert len(made.nodes[-1].inputs) == count
        np.testing.assert_array_equal(naive(made, arrays)[0], naive(graph, arrays)[0])


def test_a_carry_that_no_turn_changes_is_given() -> None:
    """Also to the condition, and where something is stacked of it."""
    inner, stop, outer = Builder(), Builder(), Builder()
    inner.input(Aval((), "i64"), "i")
    a, k, h = (inner.input(ROW, name) for name in "akh")
    body = inner.finish([k, h * a + k, k * h])
    stop.input(Aval((), "i64"), "i")
    _, k, h = (stop.input(ROW, name) for name in "akh")
    cond = stop.finish([apply("reduce_any", apply("less", h, k), axes=(0,))])
    operands = [outer.input(ROW, name) for name in "akh"]
    params = {"body": body, "cond": cond, "turns": 9, "consts": 1, "carry": 2, "reverse": False, "counted": False}
    outs = outer.emit(primitive("scan"), operands, params)
    arrays = [np.array([0.5, 1.5, 1.0]), np.full(3, 4.0), np.ones(3)]
    graph = outer.finish([outs[0], outs[1], outs[3], outs[4], outs[5]])
    made = prune(graph)
    assert (made.nodes[-1].params["consts"], made.nodes[-1].params["carry"]) == (2, 1)
    assert made.outputs[0] is made.inputs[1]
    for found, want in zip(naive(made, arrays), naive(graph, arrays), strict=True):
        np.testing.assert_array_equal(found, want)
    whole = outer.finish([outs[2]])
    assert prune(whole).nodes[-1].params["carry"] == 2, "its history is read"


def scan(builder: Builder, body: Graph, operands: list[Value], consts: int) -> tuple[Value, ...]:
    params = {"body": body, "cond": None, "turns": 4, "consts": consts, "carry": 2, "reverse": False, "counted": False}
    return builder.emit(primitive("scan"), operands, params)


def nested(depth: int) -> Graph:
    """`h ← h · a, s ← s + h · b` in `depth` loops: of (a, b, h, s)."""
    inner = Builder()
    inner.input(Aval((), "i64"), "i")
    a, b, h, s = (inner.input(ROW, name) for name in "abhs")
    if depth == 1:
        return inner.finish([h * a, s + h * b])
    return inner.finish(scan(inner, nested(depth - 1), [a, b, h, s], 2)[:2])


def loops_of(graph: Graph) -> list[Node]:
    """The loops of a graph, from outside to inside."""
    found = [node for node in graph.nodes if node.prim.name == "scan"]
    return [inner for node in found for inner in (node, *loops_of(node.params["body"]))]


def test_a_carry_that_nobody_reads_is_dropped_at_any_depth() -> None:
    builder = Builder()
    given = [builder.input(ROW, name) for name in "abhs"]
    graph = builder.finish(scan(builder, nested(3), given, 2)[:1])
    made = prune(graph)
    assert [(len(loop.inputs), loop.params["carry"]) for loop in loops_of(made)] == [(2, 1)] * 3
    arrays = [np.linspace(0.5, 1.5, 3), np.ones(3), np.arange(3.0), np.ones(3)]
    np.testing.assert_array_equal(naive(made, arrays)[0], naive(graph, arrays)[0])


def test_what_only_a_dropped_carry_of_an_inner_loop_reads_is_dropped() -> None:
    """`b ← b · a` beside a loop that reads b for its `s`, which nobody reads."""
    inner, builder = Builder(), Builder()
    inner.input(Aval((), "i64"), "i")
    a, s, b, h = (inner.input(ROW, name) for name in "asbh")
    body = inner.finish([b * a, scan(inner, nested(1), [a, b, h, s], 2)[0]])
    given = [builder.input(ROW, name) for name in "asbh"]
    graph = builder.finish([scan(builder, body, given, 2)[1]])
    made = prune(graph)
    assert [(len(loop.inputs), loop.params["carry"]) for loop in loops_of(made)] == [(2, 1)] * 2
    arrays = [np.linspace(0.5, 1.5, 3), np.ones(3), np.ones(3), np.arange(3.0)]
    np.testing.assert_array_equal(naive(made, arrays)[0], naive(graph, arrays)[0])


def test_a_checkpoint_does_not_compute_what_nobody_reads() -> None:
    inner, builder = Builder(), Builder()
    x, y = (inner.input(ROW, name) for name in "xy")
    body = inner.finish([x * x, x + y])
    (first, second) = builder.emit(
        primitive("checkpoint"), [builder.input(ROW, "x"), builder.input(ROW, "y")], {"body": body}
    )
    (part,) = prune(builder.finish([first])).nodes
    assert (len(part.inputs), len(part.outs), len(part.params["body"].nodes)) == (1, 1, 1)
    graph = builder.finish([first, second])
    assert prune(graph).nodes[0].params["body"] is body

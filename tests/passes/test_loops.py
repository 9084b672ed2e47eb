"""Loops without what nobody reads, or what they are given twice."""

from __future__ import annotations

import numpy as np

import gradcli.ad.scan  # noqa: F401 - fills the registry
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, apply
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

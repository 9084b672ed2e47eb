"""What a loop reads and writes row by row is sliced and stacked; all else stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcli import opening
from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from gradcli.passes.pipeline import optimize
from gradcli.passes.rows import by_rows
from gradcli.request import ModelFile, Request
from tests.ir.graphs import naive

INDEXED = ("gather", "scatter_set", "scatter_add")

# The body of a net on x: f64[n, 3], with h: f64[3] and a y: f64[n, 3] of ones, and how many indices are left in it.
BODIES = {
    "a row": ("for i in 0..n { h = sin(h) * x[i] }", 0),
    "the next row": ("for i in 0..n - 1 { h = sin(h) * x[i + 1] }", 0),
    "backwards": ("for i in 0..n { h = sin(h) * x[n - 1 - i] }", 0),
    "each second row": ("for i in 0..n / 2 { h = sin(h) * x[2 * i + 1] }", 0),
    "a column": ("for i in 0..3 { h = sin(h) * sum(x[:, i]) }", 0),
    "two rows": ("for i in 1..n { h = sin(h) * x[i] + x[i - 1] }", 0),
    "rows written": ("for i in 0..n { h = sin(h) + x[i]; y[i] = h }", 0),
    "some rows written": ("for i in 2..n - 1 { h = sin(h) + x[i]; y[i] = h }", 0),
    "rows written from the end": ("for i in 0..n { h = sin(h) + x[i]; y[n - 1 - i] = h }", 0),
    "columns written": ("for i in 0..3 { h = sin(h); y[:, i] = sum(h) * x[:, i] }", 0),
    "rows added to": ("for i in 0..n { h = sin(h); y[i] += h * x[i] }", 0),
    "a row that is read before it is written": ("for i in 0..n { h = sin(h) * y[i]; y[i] = h * x[i] }", 0),
    "with a condition": ("for i in 0..n while sum(h) < 2 { h = h + x[i] * x[i] }", 0),
    "written with a condition": ("for i in 0..n while sum(h) < 2 { h = h + x[i] * x[i]; y[i] = h }", 1),
    "a row that was written before": ("for i in 1..n { y[i] = sin(y[i - 1]) * x[i] }", 2),
    "a row that is read after it is written": ("for i in 0..n { y[i] = sin(h) * x[i]; h = h + y[i] }", 0),
    "a row by an index that is carried": ("k = i64(0)\n  for i in 0..n { h = sin(h) * x[k]; k = (k + 2) % n }", 1),
    "always one row": ("k = i64(sum(x[0]))\n  for i in 0..n { h = sin(h) * x[k]; y[k] = h }", 2),
    "all of it": ("for i in 0..n { h = sin(h) * x[i]; y[i] = h; h = h + sum(y) }", 1),
    "within a loop": ("for j in 0..9 { for i in 0..n { h = sin(h) * x[i]; y[i] = h * y[i] } }", 0),
}  # fmt: skip


def program(body: str) -> tuple[Graph, list[Any]]:
    text = (
        "net main(x: f64[n, 3]) -> f64 {\n  h = x[0] * 0.5\n  y = ones([n, 3])\n"
        f"  {body}\n  return sum(h) + sum(y * y)\n}}\n"
    )
    x = np.linspace(0.1, 0.9, 60).reshape(20, 3)
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays={"x": x}))
    return prepared.graph, [x]


def indexed(graph: Graph) -> int:
    """How often an index is at work in loops, one within another."""
    bodies = [node.params["body"] for node in graph.nodes if node.prim.name == "scan"]
    return sum(indexed(body) + sum(node.prim.name in INDEXED for node in body.nodes) for body in bodies)


def same(graph: Graph, arrays: list[Any]) -> Graph:
    made = by_rows(graph)
    verify(made)
    for found, want in zip(naive(made, arrays), naive(graph, arrays), strict=True):
        np.testing.assert_array_equal(found, want)
    return made


@pytest.mark.parametrize("name", BODIES)
def test_the_same_values(name: str) -> None:
    body, left = BODIES[name]
    graph, arrays = program(body)
    made = optimize(same(optimize(graph), arrays), verify=True)
    assert indexed(made) == left
    if indexed(graph) == left:
        assert by_rows(graph) is graph


@pytest.mark.parametrize("name", BODIES)
def test_the_same_gradients(name: str) -> None:
    body, left = BODIES[name]
    graph, arrays = program(body)
    made = same(optimize(reverse(graph, [0])), arrays)
    if not left and name != "with a condition":
        assert indexed(made) == 0


def test_a_history_that_is_read_keeps_what_is_carried() -> None:
    graph, arrays = program("for i in 0..n { h = sin(h) + x[i]; y[i] = h * y[i] * y[i] }")
    made = by_rows(reverse(graph, [0]))
    assert next(node.params["carry"] for node in made.nodes if node.prim.name == "scan") == 2, "before dead ones go"
    same(optimize(reverse(graph, [0])), arrays)

"""Cost: arithmetic, and elements read and written."""

from __future__ import annotations

import pytest

from gradcli.ir.aval import Aval
from gradcli.ir.cost import cost
from gradcli.ir.dims import symbol
from gradcli.ir.graph import Builder, apply
from tests.ir.graphs import build


def test_elementwise_reads_and_writes_each_element() -> None:
    assert cost(build(lambda x, y: x * y, "f64[10]", "f64[10]")) == 10 + 3 * 10


def test_views_are_free() -> None:
    assert cost(build(lambda x: apply("transpose", x, axes=(1, 0)), "f64[10, 3]")) == 0
    assert cost(build(lambda x: apply("broadcast_to", x, shape=(100, 3)), "f64[3]")) == 0


def test_a_product_of_matrices_is_cubic() -> None:
    graph = build(lambda x, y: apply("matmul", x, y), "f64[8, 8]", "f64[8, 8]")
    assert cost(graph) == pytest.approx(2 * 8**3 + 3 * 64, rel=0.1)


def test_writing_a_part_costs_the_part() -> None:
    def one(n: int) -> int:
        return cost(build(lambda x, y: apply("add_slice", x, y, items=((0, 1, 1),)), f"f64[{n}]", "f64[1]"))

    assert one(10) == one(10_000) < 10


def test_a_symbol_has_no_cost() -> None:
    builder = Builder()
    x = builder.input(Aval((symbol("n"),), "f64"), "x")
    with pytest.raises(TypeError):
        cost(builder.finish([x * x]))

"""Products with leading dims within blocks: one tall product each, and the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.ir.graph import Graph, Value, apply
from gradcli.passes.pipeline import optimize
from gradcli.plan import Tiling, make_plan
from gradcli.plan.plan import Blocks
from tests.ir.graphs import build, naive
from tests.plan.spied import watched


def layer(x: Value, w: Value) -> Value:
    return apply("reduce_sum", apply("sin", apply("matmul", x, w)), axes=tuple(range(x.rank)))


def products(graph: Graph, rows: int) -> list[tuple[int, ...]]:
    """Shapes of what is multiplied in a block."""
    blocks = [step for step in make_plan(graph, Tiling(rows=rows)).steps if isinstance(step, Blocks)]
    return [node.outs[0].shape for b in blocks for node in b.full.graph.nodes if node.prim.name == "matmul"]


@pytest.mark.parametrize("lead", [(6,), (6, 3), (6, 1, 2)])
def test_a_layer_and_its_gradients_are_tall_products(lead: tuple[int, ...]) -> None:
    graph = build(layer, f"f64[{', '.join(map(str, lead))}, 4, 5]", "f64[5, 7]")
    graph = optimize(reverse(graph, [0, 1]))
    tall = 2 * 4 * int(np.prod(lead[1:], dtype=int))
    assert products(graph, 2) == [(tall, 7), (tall, 5), (5, 7)]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=value.shape) for value in graph.inputs]
    for rows in (1, 2, 4, 6):
        found = backend.run(make_plan(graph, Tiling(rows=rows)), arrays)
        for one, want in zip(found, naive(graph, arrays), strict=True):
            np.testing.assert_allclose(one, want, rtol=1e-13)
        watched(graph, arrays, Tiling(rows=rows))


def turned(x: Value, *_: Any) -> Value:
    return apply("transpose", x, axes=(0, 2, 1))


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda x, w: apply("matmul", turned(x), w), [(2, 4, 4)]),  # a copy of x would cost more
        (lambda x, w: apply("matmul", x, apply("matmul", turned(x), w)), [(2, 4, 4), (2, 5, 4)]),
        (lambda x, w: apply("reduce_sum", apply("matmul", turned(x), apply("sin", x)), axes=(1,)), [(2, 4, 4)]),
        (lambda x, w: apply("reduce_sum", apply("matmul", x, turned(x)), axes=(0,)), [(2, 5, 5)]),
    ],
)
def test_what_is_left_alone(make: Any, shapes: list[tuple[int, ...]]) -> None:
    graph = build(lambda x, w: apply("sin", make(x, w)), "f64[6, 5, 4]", "f64[5, 4]")
    assert products(graph, 2) == shapes


def test_a_product_that_others_read_is_kept() -> None:
    def make(x: Value) -> tuple[Value, Value]:
        product = apply("matmul", turned(x), apply("sin", x))
        return apply("reduce_sum", product, axes=(0,)), apply("reduce_sum", apply("sin", product), axes=(0, 1, 2))

    graph = build(make, "f64[6, 5, 4]")
    assert sorted(products(graph, 2)) == [(2, 4, 4), (4, 4)]

"""How regions are cut: sizes and lanes are what shapes and the cost model say, and fit more than one thread."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gradcli.ir.graph import Graph, Value, apply
from gradcli.plan import Tiling, costs, make_plan
from gradcli.plan.flat import nbytes
from gradcli.plan.plan import Blocks
from tests.ir.graphs import build
from tests.plan.test_rows import gradient, perceptron, total


def cut(graph: Graph, threads: int = 1) -> list[Blocks]:
    return [step for step in make_plan(graph, Tiling(threads=threads)).steps if isinstance(step, Blocks)]


def largest(graph: Graph) -> Blocks:
    return max(cut(graph), key=lambda step: len(step.nodes))


def learner(rows: int, width: int = 512) -> Graph:
    """The gradient of a perceptron by its params."""
    avals = (f"{rows}, {width}", f"{rows}, 10", f"{width}, {width}", f"{width}", f"{width}, 10")
    return gradient(build(perceptron, *(f"f32[{sizes}]" for sizes in avals)), [2, 3, 4])


@pytest.mark.parametrize("size", [40_000, 100_000, 1_000_003])
def test_a_chain_is_cut_into_an_even_number_of_nearly_equal_blocks(size: int) -> None:
    step = largest(gradient(build(lambda x: total(apply("sin", apply("exp", x))), f"f64[{size}]")))
    assert step.region.flat
    assert step.blocks % 2 == 0 or step.blocks >= 2 * costs.LANES
    assert costs.FEWEST_ELEMENTS <= step.size <= costs.MOST_ELEMENTS
    assert 0 <= step.blocks * step.size - size < step.blocks


@pytest.mark.parametrize("rows", [32, 64, 128])
def test_a_small_batch_keeps_two_threads_busy(rows: int) -> None:
    step = largest(learner(rows))
    assert [len(lane) for lane in step.lanes] == [1, 1]
    assert step.size == rows // 2


def test_blocks_are_large_enough_for_their_sums() -> None:
    """A lane adds all params' gradients after each block, which costs as much as many rows."""
    step = largest(learner(4096))
    sums = sum(output.value.aval.nbytes for output in step.region.outputs if output.axis is None)
    rows = sum(out.aval.nbytes for node in step.nodes for out in node.outs if out.id in step.region.axis_of)
    assert step.size * rows / step.region.rows >= 0.9 * costs.SUMS * sums
    assert len(step.lanes) % 2 == 0
    assert (len(step.lanes) - 1) * sums <= costs.PARTIALS


def test_operators_are_long_enough_for_threads() -> None:
    """Where the cache allows: of shorter ones two threads take longer than one."""
    step = largest(learner(20_000, width=50))
    made = [out for node in step.region.nodes if not node.prim.view for out in node.outs]
    rows = sum(nbytes(out) for out in made if out.id in step.region.axis_of) / step.region.rows
    assert step.size * rows / len(made) >= 200_000  # bytes, of 15 µs
    assert step.full.arena <= costs.MOST_CACHE


def test_rows_that_hold_whole_products_may_be_few() -> None:
    """Four places of a batch, each with a product of its own, are four blocks."""

    def attention(x: Value, y: Value) -> Value:
        return total(apply("exp", apply("sin", apply("matmul", x, y))))

    step = largest(gradient(build(attention, "f32[4, 256, 256]", "f32[4, 256, 256]")))
    assert step.region.rows == 4
    assert step.blocks == 4


def test_rows_of_matrices_that_are_multiplied_are_not_few() -> None:
    assert all(step.size >= costs.FEWEST_ROWS for step in cut(learner(40)) if step.region.rows == 40)


@pytest.mark.parametrize("rows", [33, 100, 1000, 4099])
def test_lanes_are_runs_of_neighbours_that_hold_each_block_once(rows: int) -> None:
    for step in cut(learner(rows)):
        starts = [start for lane in step.lanes for start in lane]
        assert starts == list(range(0, step.region.rows, step.size))
        assert max(map(len, step.lanes)) - min(map(len, step.lanes)) <= 1
        assert all(b - a == step.size for a, b in pairwise(starts))


def test_nothing_of_it_depends_on_the_number_of_threads() -> None:
    graph = learner(300)
    one, three = cut(graph), cut(graph, threads=3)
    assert [(step.size, step.lanes) for step in one] == [(step.size, step.lanes) for step in three]

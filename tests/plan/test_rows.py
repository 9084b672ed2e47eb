"""Regions: what runs by rows, what stays whole, what waits for a later stage; and that nothing changes by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph, Node, Value, apply
from gradcli.passes.pipeline import optimize
from gradcli.plan.axes import FLAT
from gradcli.plan.rows import Region, regions
from tests.ir.graphs import arrays_for, build, graphs, naive
from tests.plan.tiled import anything, run

SIZES = ([1], [7], [2, 5, 1])


def check(graph: Graph, seed: int = 0, items: Sequence[Region | Node] | None = None) -> list[Region]:
    """By blocks of any size a graph gives what it gives, sums in another order aside."""
    items = regions(graph, anything) if items is None else items
    well_formed(graph, items)
    arrays = arrays_for(graph, seed)
    expected = naive(graph, arrays)
    for sizes in SIZES:
        for found, want in zip(run(graph, arrays, sizes, items), expected, strict=True):
            assert found.dtype == want.dtype
            np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9)
    return [item for item in items if isinstance(item, Region)]


def well_formed(graph: Graph, items: Sequence[Region | Node]) -> None:
    """Each value is there before it is read; what is whole in a region comes from outside; the rest is of its rows."""
    there = {value.id for value in graph.inputs}
    for item in items:
        if not isinstance(item, Region):
            assert all(value.id in there for value in item.inputs)
            there.update(out.id for out in item.outs)
            continue
        assert all(value.id in there for value in item.inputs)
        made: set[int] = set()
        for node, join in zip(item.nodes, item.joins, strict=True):
            by_rows = {k for k, _ in join.ins}
            for k, value in enumerate(node.inputs):
                constant = value.node is not None and value.node.prim.name == "constant"
                assert value in item.inputs or constant or (value.id in made and k in by_rows)
                assert (value.id in item.axis_of) == (k in by_rows)
                if k in by_rows:
                    axis = item.axis_of[value.id]
                    assert (value.aval.size if axis == FLAT else value.shape[axis]) == item.rows
            made.update(out.id for out in node.outs)
        there.update(output.value.id for output in item.outputs)
    assert all(value.id in there for value in graph.outputs)


def names(region: Region) -> list[str]:
    return [node.prim.name for node in region.nodes]


def outputs(region: Region) -> list[tuple[str, int | None, str]]:
    return [(o.value.node.prim.name if o.value.node else "", o.axis, o.how) for o in region.outputs]


def outside(graph: Graph) -> list[str]:
    """What runs as it is, constants aside."""
    single = [item for item in regions(graph, anything) if not isinstance(item, Region)]
    return [node.prim.name for node in single if node.prim.name != "constant"]


# ── at random ───────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=150)
@given(graphs(), st.integers(0, 2**16))
def test_blocks_give_what_naive_evaluation_gives(graph: Graph, seed: int) -> None:
    check(graph, seed)


@settings(max_examples=100)
@given(graphs(), st.integers(0, 2**16), st.booleans())
def test_so_they_do_for_gradients(graph: Graph, seed: int, optimized: bool) -> None:
    made = reverse(graph, range(len(graph.inputs)))
    check(optimize(made) if optimized else made, seed)


# ── whole programs ──────────────────────────────────────────────────────────────────────────────────────────


def gradient(graph: Graph, wrt: Sequence[int] | None = None) -> Graph:
    return optimize(reverse(graph, range(len(graph.inputs)) if wrt is None else wrt))


def total(x: Value) -> Value:
    return apply("reduce_sum", x, axes=tuple(range(x.rank)))


def test_a_chain_with_its_gradient_is_one_flat_region() -> None:
    graph = build(lambda x: total(apply("sin", x) * apply("exp", -(x * x)) + apply("tanh", x)), "f64[6, 5]")
    (region,) = check(gradient(graph))
    assert region.flat
    assert region.rows == 30
    assert outputs(region) == [("reduce_sum", None, "sum"), ("add", FLAT, "keep")]
    assert outside(gradient(graph)) == []


def perceptron(x: Value, y: Value, w1: Value, b1: Value, w2: Value) -> Value:
    z = apply("matmul", apply("relu", apply("matmul", x, w1) + b1), w2)
    logs = z - apply("reshape", apply("log", apply("reduce_sum", apply("exp", z), axes=(1,))), shape=(z.shape[0], 1))
    return total(y * logs) / float(z.shape[0])


def test_a_perceptron_with_its_gradient_is_one_region() -> None:
    graph = gradient(build(perceptron, "f64[9, 4]", "f64[9, 3]", "f64[4, 5]", "f64[5]", "f64[5, 3]"), (2, 3, 4))
    (region,) = check(graph)
    assert region.rows == 9
    assert [how for _, _, how in outputs(region)] == ["sum"] * 4  # the loss, and the gradients of the params
    assert outside(graph) == ["transpose", "div"]  # of w2, and of the loss


# ── stages, and what runs by no rows ────────────────────────────────────────────────────────────────────────


def softmax(x: Value, axis: int) -> Value:
    kept = tuple(1 if k == axis else size for k, size in enumerate(x.shape))
    e = apply("exp", x - apply("reshape", apply("reduce_max", x, axes=(axis,)), shape=kept))
    return e / apply("reshape", apply("reduce_sum", e, axes=(axis,)), shape=kept)


def test_softmax_within_rows_is_one_region() -> None:
    (region,) = check(build(lambda x: softmax(apply("sin", x), 1), "f64[8, 3]"))
    assert region.rows == 8
    assert [axis for _, axis, _ in outputs(region)] == [0]


def test_softmax_over_the_rows_is_one_region_for_each_pass_over_them() -> None:
    largest, summed, divided = check(build(lambda x: softmax(apply("sin", x), 0), "f64[8]"))
    assert outputs(largest) == [("sin", FLAT, "keep"), ("reduce_max", None, "max")]
    assert outputs(summed) == [("exp", FLAT, "keep"), ("reduce_sum", None, "sum")]
    assert outputs(divided) == [("div", FLAT, "keep")]


def normal(x: Value) -> Value:
    """Over the batch."""
    x = apply("sin", x)
    centred = x - apply("reduce_sum", x, axes=(0,)) / 8.0
    return centred / apply("sqrt", apply("reduce_sum", centred * centred, axes=(0,)) / 8.0)


def test_statistics_of_a_batch_split_a_region() -> None:
    graph = build(lambda x: apply("tanh", normal(x)), "f64[8]")
    assert [outputs(region)[-1][0] for region in check(graph)] == ["reduce_sum", "reduce_sum", "tanh"]
    assert outside(graph) == ["div", "div", "sqrt"]


def test_what_is_needed_only_later_is_made_later() -> None:
    """`cos(x)` could run in the first region, and would be written out to be read in the second."""
    graph = build(lambda x: apply("cos", x) * total(apply("sin", x) * x), "f64[8]")
    first, second = check(graph)
    assert "cos" not in names(first)
    assert "cos" in names(second)


def test_running_sums_along_the_rows_stay_whole() -> None:
    graph = build(lambda x: apply("sin", apply("cumsum", apply("cos", x) * x, axis=0, reverse=False)) + 1.0, "f64[8]")
    before, after = check(graph)
    assert outside(graph) == ["cumsum"]
    assert names(before) == ["cos", "mul"]
    assert names(after) == ["sin", "add"]


def test_a_product_with_itself_is_by_no_rows_of_both() -> None:
    """x @ x.T: each row of the result needs all rows of x."""

    def scores(x: Value) -> Value:
        x = apply("tanh", apply("sin", x))
        return apply("matmul", x, apply("transpose", x, axes=(1, 0)))

    graph = build(lambda x: apply("exp", scores(x)) * 2.0, "f64[8, 3]")
    for region in check(graph):
        for node, join in zip(region.nodes, region.joins, strict=True):
            assert node.prim.name != "matmul" or region.rows == 3 or len(join.ins) == 1


def test_a_sum_that_the_rows_need_is_there_before_them() -> None:
    """A mean of the parameters is no part of the region; what depends on rows by it is."""
    graph = build(lambda x, w: apply("sin", x * total(apply("exp", w))) + x, "f64[8]", "f64[3]")
    regions_of = {region.rows: names(region) for region in check(graph)}
    assert regions_of == {3: ["exp", "reduce_sum"], 8: ["mul", "sin", "add"]}


def test_constants_that_repeat_are_part_of_the_body() -> None:
    def model(x: Value) -> Value:
        ones = x.builder.constant("f64", (6, 2), np.tile([1.0, 2.0], (6, 1)).tobytes())
        numbers = x.builder.constant("f64", (6, 2), np.arange(12.0).tobytes())
        return apply("tanh", apply("sin", x * ones) + numbers)

    graph = build(model, "f64[6, 2]")
    (region,) = check(graph)
    read = [value.node.params["data"] for value in region.inputs if value.node is not None]
    if region.flat:
        assert len(read) == 2
    else:
        assert read == [np.arange(12.0).tobytes()]


def test_nothing_is_worth_a_region_of_few_elements() -> None:
    graph = build(lambda x: apply("sin", x) * apply("cos", x), "f64[9]")
    assert regions(graph) == list(graph.nodes)

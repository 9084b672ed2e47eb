"""Plans: what dies when, what happens in place, and how much memory that takes."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.ir.aval import Aval
from gradcli.ir.dims import symbol
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.passes.pipeline import optimize
from gradcli.plan import Plan, make_plan
from gradcli.plan.arena import aligned
from gradcli.plan.flat import nbytes
from gradcli.plan.plan import Call
from tests.ir.graphs import arrays_for, build, graphs, naive, same


def in_place(plan: Plan) -> list[str]:
    return [step.node.prim.name for step in plan.steps if isinstance(step, Call) and step.how == "replace"]


# ── a plan equals naive evaluation ──────────────────────────────────────────────────────────────────────────


@settings(max_examples=150)
@given(graphs(smooth=False), st.integers(0, 2**16))
def test_a_plan_equals_naive_evaluation(graph: Graph, seed: int) -> None:
    check(graph, seed)


@settings(max_examples=100)
@given(graphs(), st.integers(0, 2**16), st.booleans())
def test_so_do_plans_of_gradients(graph: Graph, seed: int, optimized: bool) -> None:
    made = reverse(graph, range(len(graph.inputs)))
    check(optimize(made) if optimized else made, seed)


def check(graph: Graph, seed: int) -> None:
    """Twice, to the bit; inputs stay as they were; results share memory with nothing."""
    plan = make_plan(graph)
    arrays = arrays_for(graph, seed)
    before = [array.copy() for array in arrays]
    expected = naive(graph, arrays)
    first = backend.run(plan, arrays)
    for array in first:
        if array.flags.writeable:
            array += array.dtype.type(1)  # the caller's own, to do with as they like
    found = backend.run(plan, arrays)
    for old, new in zip(expected, found, strict=True):
        assert same(old, new)
    for old, array in zip(before, arrays, strict=True):
        assert same(old, array)
    for k, array in enumerate(found):
        assert array.flags.writeable or not array.size
        assert not any(np.shares_memory(array, other) for other in [*arrays, *first, *found[k + 1 :]])


@given(graphs())
def test_storages_that_are_alive_together_do_not_overlap(graph: Graph) -> None:
    """In the arena: a place is taken by one storage from the step that fills it to the last that reads it."""
    plan = make_plan(optimize(reverse(graph, range(len(graph.inputs)))))
    held = [storage for storage in plan.storages if storage.kind == "arena"]
    for k, one in enumerate(held):
        assert one.place % 64 == 0
        assert one.place + one.nbytes <= plan.arena
        for other in held[k + 1 :]:
            together = one.first <= other.last and other.first <= one.last
            apart = one.place + one.nbytes <= other.place or other.place + other.nbytes <= one.place
            assert apart or not together


# ── in place ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dead_operand_is_replaced() -> None:
    plan = make_plan(build(lambda x, y: apply("tanh", x * y + 1.0), "f64[8]", "f64[8]"))
    assert in_place(plan) == ["add", "tanh"]
    assert (plan.arena, plan.peak) == (0, 8 * 8 + 8)  # the result, and the constant


def test_never_an_input() -> None:
    assert in_place(make_plan(build(lambda x: apply("tanh", x), "f64[8]"))) == []


def test_never_a_constant() -> None:
    def make(x: Value) -> Value:
        return apply("tanh", x.builder.constant("f64", (8,), bytes(64))) + x

    assert in_place(make_plan(build(make, "f64[8]"))) == ["add"]


def test_never_an_operand_that_is_read_again_or_returned() -> None:
    def again(x: Value) -> Value:
        h = apply("sin", x)
        return apply("cos", h) * h

    def returned(x: Value) -> tuple[Value, ...]:
        h = apply("sin", x)
        return h, apply("cos", h)

    assert in_place(make_plan(build(again, "f64[8]"))) == ["mul"]
    assert in_place(make_plan(build(returned, "f64[8]"))) == []


def test_never_under_a_living_view() -> None:
    def make(x: Value) -> Value:
        h = apply("sin", x)
        turned = apply("transpose", h, axes=(1, 0))
        return apply("cos", h) + turned

    graph = build(make, "f64[3, 3]")
    assert "cos" not in in_place(make_plan(graph))
    check(graph, 0)


def test_never_through_a_view() -> None:
    def make(x: Value) -> Value:
        return apply("sin", apply("broadcast_to", apply("cos", x), shape=(4, 3)))

    graph = build(make, "f64[3]")
    assert in_place(make_plan(graph)) == []
    check(graph, 0)


def test_views_of_a_number_follow_it_from_run_to_run() -> None:
    for name, params in (("flip", {"axes": ()}), ("slice", {"items": ()}), ("reshape", {"shape": ()})):
        plan = make_plan(build(lambda x, n=name, p=params: apply("exp", apply(n, apply("sin", x), **p)), "f64"))
        for number in (1.0, 2.0):
            assert backend.run(plan, [np.array(number)])[0] == np.exp(np.sin(number)), name


def test_never_where_the_shape_or_dtype_differs() -> None:
    graph = build(lambda x, y: apply("sin", x) * y, "f64[3]", "f64[4, 3]")
    assert in_place(make_plan(graph)) == []
    assert in_place(make_plan(build(lambda x: apply("greater", apply("sin", x), 0.0), "f64[3]"))) == []


def test_x_times_x_replaces_x() -> None:
    def make(x: Value) -> Value:
        h = apply("sin", x)
        return h * h

    graph = build(make, "f64[3]")
    assert in_place(make_plan(graph)) == ["mul"]
    check(graph, 0)


def test_writing_a_part_of_a_dead_array_copies_nothing() -> None:
    def make(x: Value) -> Value:
        h = apply("sin", x)
        for k in range(5):
            h = apply("add_slice", h, apply("slice", x, items=((k, 1, 1),)), items=((k, 1, 1),))
        return h

    graph = build(make, "f64[8]")
    plan = make_plan(graph)
    assert in_place(plan) == ["add_slice"] * 5
    assert (plan.arena, plan.peak) == (64, 128)  # the array, and the result that it is copied to
    check(graph, 0)


def test_a_small_part_that_is_read_later_is_copied_and_the_rest_written_in_place() -> None:
    def make(x: Value) -> Value:
        h = apply("sin", x)
        items = ((3, 1, 1),)
        part = apply("slice", h, items=items)
        return apply("update_slice", h, x.builder.constant("f64", (1,), bytes(8)), items=items) + part

    graph = build(make, "f64[100]")
    plan = make_plan(graph)
    assert in_place(plan) == ["update_slice", "add"]
    assert [step.node.prim.name for step in plan.steps if isinstance(step, Call) and step.how == "copy"] == ["slice"]
    check(graph, 0)


def test_an_array_is_not_overwritten_with_a_part_of_itself() -> None:
    def make(x: Value) -> Value:
        h = apply("sin", x)
        return apply("update_slice", h, apply("slice", h, items=((0, 4, 1),)), items=((1, 4, 1),))

    check(build(make, "f64[8]"), 0)


def test_a_thousand_slices_are_written_into_one_array() -> None:
    def make(x: Value) -> Value:
        parts = [apply("sin", apply("slice", x, items=((k, 1, 1),))) for k in range(1000)]
        return apply("reduce_sum", apply("concat", *parts, axis=0), axes=(0,))

    plan = make_plan(optimize(reverse(build(make, "f64[1000]"), [0])))
    assert in_place(plan).count("add_slice") == 999


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_results_are_copied_only_where_somebody_else_has_them() -> None:
    def make(x: Value) -> tuple[Value, ...]:
        h = apply("sin", x)
        return h, h, x, apply("transpose", h, axes=(1, 0)), x.builder.scalar(2.0, "f64")

    graph = build(make, "f64[2, 3]")
    assert make_plan(graph).copied == (1, 2, 3, 4)
    check(graph, 0)


def test_a_plan_of_nothing() -> None:
    graph = Builder().finish([])
    assert backend.run(make_plan(graph), []) == []


def test_sizes_must_be_known() -> None:
    builder = Builder()
    x = builder.input(Aval((symbol("n"),), "f64"), "x")
    with pytest.raises(TypeError, match="not known"):
        make_plan(builder.finish([x * x]))


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────


def measured(plan: Plan, arrays: list[np.ndarray]) -> int:  # type: ignore[type-arg]
    backend.run(make_plan(plan.graph), arrays)  # what is imported and cached with the first run is no memory of a plan
    tracemalloc.start()
    try:
        kept = backend.run(plan, arrays)
        return tracemalloc.get_traced_memory()[1] if kept else 0
    finally:
        tracemalloc.stop()


def perceptron(batch: int = 32, sizes: tuple[int, ...] = (196, 128, 128, 10)) -> Graph:
    builder = Builder()
    x, y = builder.input(Aval((batch, sizes[0]), "f32"), "x"), builder.input(Aval((batch, sizes[-1]), "f32"), "y")
    weights = [
        (builder.input(Aval((a, b), "f32"), f"w{k}"), builder.input(Aval((b,), "f32"), f"b{k}"))
        for k, (a, b) in enumerate(pairwise(sizes))
    ]
    for k, (w, b) in enumerate(weights):
        x = apply("matmul", x, w) + b
        x = apply("tanh", x) if k < len(weights) - 1 else x
    loss = apply("reduce_sum", (x - y) * (x - y), axes=(0, 1))
    return reverse(builder.finish([loss]), range(2, 2 + 2 * len(weights)))


def test_the_estimate_is_what_a_perceptron_takes() -> None:
    graph = optimize(perceptron(256, (784, 512, 512, 10)))
    plan = make_plan(graph)
    arrays = [np.asarray(0.1 * array) for array in arrays_for(graph)]
    assert measured(plan, arrays) == pytest.approx(plan.peak, rel=0.1)


def test_a_second_run_allocates_nothing_but_its_results() -> None:
    graph = optimize(perceptron(128, (784, 512, 512, 10)))
    plan = make_plan(graph)
    arrays = [np.asarray(0.1 * array) for array in arrays_for(graph)]
    backend.run(plan, arrays)
    own = sum(nbytes(value) for value in graph.outputs)
    assert measured(plan, arrays) < own + 60_000  # views, and lists of them: Python's own


def test_a_chain_needs_one_array_however_long() -> None:
    def chain(x: Value) -> Value:
        for _ in range(100):
            x = apply("sin", x)
        return x

    plan = make_plan(build(chain, "f64[10000]"))
    assert (plan.arena, plan.peak) == (0, 80_000)
    assert len(plan.storages) == 2
    assert plan.input_bytes == 80_000


def test_views_take_nothing_and_keep_what_they_look_at() -> None:
    def make(x: Value) -> Value:
        part = apply("slice", apply("sin", x), items=((0, 1, 1),))
        return apply("reduce_sum", apply("broadcast_to", part, shape=(10_000,)), axes=(0,))

    plan = make_plan(build(make, "f64[1000]"))
    assert plan.arena == aligned(8000) + aligned(8)
    assert plan.largest is not None
    assert plan.largest.node is not None
    assert plan.largest.node.prim.name == "sin"


def test_a_plan_of_100_000_nodes_takes_linear_time_and_little_memory() -> None:
    builder = Builder()
    x = builder.input(Aval((4,), "f64"), "x")
    value = x
    for _ in range(100_000):
        value = apply("sin", value)
    plan = make_plan(builder.finish([value]))
    assert len(plan.steps) == 100_000
    assert (plan.arena, plan.peak) == (64, 64 + 32)
    assert np.isfinite(backend.run(plan, [np.ones(4)])[0]).all()

"""Patterns hold every element that is not zero, over the whole registry and random graphs; and, where an operator only
moves or adds elements, no other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradcli.ad.checkpoint  # noqa: F401 - registers the primitive
from gradcli.ad import indexsets, sparsity
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ad.sparsity import Pattern, pattern
from gradcli.ir.graph import Graph, Value, apply
from gradcli.ir.primitive import primitive
from gradcli.opening import prepare
from gradcli.passes.pipeline import optimize
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ModelError
from tests.ir.graphs import Array, build, graphs
from tests.ops.samples import Case, evaluate, floats, graph_of, operands, walk

SMOOTH = [
    case
    for case in walk()
    if floats(operands(case.values[0])) and floats(graph_of(case.values[0], operands(case.values[0])).outputs)
]
EXACT = {
    *("reshape", "broadcast_to", "transpose", "flip", "slice", "unslice", "update_slice", "add_slice", "concat"),
    *("gather", "scatter_zeros", "scatter_add", "scatter_set", "reduce_sum", "cumsum", "matmul", "sin", "mul", "div"),
    *("copy", "windows", "overlap_add", "checkpoint"),
}


def dense(found: Pattern) -> Array:
    """The pattern as flags; indices are sorted and each stands once."""
    flags = np.zeros((found.rows, found.columns), bool)
    flags[found.row_numbers(), found.indices] = True
    assert flags.sum() == found.nnz == found.indptr[-1]
    assert all(
        (np.diff(found.indices[a:b]) > 0).all() for a, b in zip(found.indptr[:-1], found.indptr[1:], strict=True)
    )
    return flags


def jacobian(graph: Graph, output: int, wrt: int, arrays: list[Any]) -> Array:
    """Column by column, in forward mode."""
    along = forward(graph, [wrt], outputs=[output])
    x, y = arrays[wrt], graph.outputs[output]
    columns = []
    for k in range(x.size):
        way = np.zeros(x.size, x.dtype)
        way[k] = 1
        columns.append(evaluate(along, [*arrays, way.reshape(x.shape)])[-1].reshape(-1))
    return np.stack(columns, axis=1) if columns else np.zeros((int(y.aval.size), 0))


def integers(graph: Graph, arrays: list[Array]) -> dict[int, Array]:
    return {k: array for k, array in enumerate(arrays) if k not in floats(graph.inputs)}


# ── the registry ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", SMOOTH)
def test_what_is_not_zero_is_in_the_pattern(case: Case) -> None:
    arrays = operands(case)
    graph = graph_of(case, arrays)
    for output in floats(graph.outputs):
        for wrt in floats(graph.inputs):
            true = jacobian(graph, output, wrt, arrays) != 0
            known = dense(pattern(graph, output, wrt, integers(graph, arrays)))
            assert not (true & ~known).any()
            assert not (known & ~dense(pattern(graph, output, wrt))).any()
            if case.prim.name in EXACT and case.sample.differentiable:
                np.testing.assert_array_equal(known, true)


@pytest.mark.parametrize("case", [case for case in SMOOTH if case.values[0].sample.differentiable])
def test_the_pattern_of_a_gradient_holds_its_derivative(case: Case) -> None:
    arrays = operands(case)
    graph = graph_of(case, arrays)
    gradient = reverse(graph, floats(graph.inputs), sens="inputs")
    weights = [np.full(v.shape, 0.7, arrays[floats(arrays)[0]].dtype) for v in gradient.inputs[len(arrays) :]]
    arrays = [*arrays, *[w.astype(_dtype(v)) for w, v in zip(weights, gradient.inputs[len(arrays) :], strict=True)]]
    for output in range(len(graph.outputs), len(gradient.outputs)):
        for wrt in floats(gradient.inputs):
            true = jacobian(gradient, output, wrt, arrays) != 0
            assert not (true & ~dense(pattern(gradient, output, wrt, integers(gradient, arrays)))).any()


def _dtype(value: Value) -> str:
    return {"f16": "f2", "f32": "f4", "f64": "f8"}[value.dtype]


@settings(max_examples=150)
@given(graphs(), st.integers(0, 2**16))
def test_random_graphs(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.normal(size=value.shape)) for value in graph.inputs]
    for made in (graph, optimize(reverse(graph, range(len(graph.inputs))))):
        for output in range(len(made.outputs)):
            for wrt in range(len(made.inputs)):
                true = jacobian(made, output, wrt, arrays) != 0
                assert not (true & ~dense(pattern(made, output, wrt))).any()


# ── exactness, and what stops ───────────────────────────────────────────────────────────────────────────────


def flags_of(make: Callable[..., Any], *avals: str, wrt: int = 0, known: Any = None) -> Array:
    return dense(pattern(build(make, *avals), 0, wrt, known))


def part(x: Value, start: int, count: int) -> Value:
    return apply("slice", x, items=((start, count, 1),))


def total(x: Value) -> Value:
    return apply("reduce_sum", x, axes=tuple(range(x.rank)))


def band(n: int, reach: int) -> Array:
    rows, columns = np.indices((n, n))
    return abs(rows - columns) <= reach


def hessian(make: Callable[[Value], Value], n: int) -> Pattern:
    graph = build(make, f"f64[{n}]")
    return pattern(optimize(reverse(graph, [0])), 1, 0)


def test_the_gradient_of_a_sum_over_neighbours_is_tridiagonal() -> None:
    found = hessian(lambda x: total(apply("sin", part(x, 1, 8) * part(x, 0, 8))), 9)
    np.testing.assert_array_equal(dense(found), band(9, 1))


def test_a_product_of_neighbours_has_no_diagonal() -> None:
    found = hessian(lambda x: total(part(x, 1, 8) * part(x, 0, 8)), 9)
    np.testing.assert_array_equal(dense(found), band(9, 1) & ~np.eye(9, dtype=bool))


def test_every_element_of_a_normalised_array_depends_on_all() -> None:
    assert flags_of(lambda x: x / total(x), "f64[4]").all()


def test_a_sum_over_one_axis_stays_within_its_rows() -> None:
    found = flags_of(lambda x: x * apply("reshape", apply("reduce_sum", x, axes=(1,)), shape=(3, 1)), "f64[3, 2]")
    np.testing.assert_array_equal(found, np.kron(np.eye(3), np.ones((2, 2))).astype(bool))


def test_running_sums_depend_on_what_came_before() -> None:
    forwards = flags_of(lambda x: apply("cumsum", x, axis=0, reverse=False), "f64[5]")
    np.testing.assert_array_equal(forwards, np.tri(5, dtype=bool))
    backwards = flags_of(lambda x: apply("cumprod", x, axis=0, reverse=True), "f64[5]")
    np.testing.assert_array_equal(backwards, np.tri(5, dtype=bool).T)


@pytest.mark.parametrize("name", ["floor", "stop_gradient", "sign"])
def test_nothing_goes_through_steps_and_stops(name: str) -> None:
    assert not flags_of(lambda x: apply(name, x), "f64[3]").any()
    assert flags_of(lambda x: apply(name, x) + x, "f64[3]").sum() == 3


def test_an_input_that_is_not_used_and_an_input_that_is_the_output() -> None:
    assert not flags_of(lambda x, y: apply("sin", x), "f64[3]", "f64[2]", wrt=1).any()
    np.testing.assert_array_equal(flags_of(lambda x, y: x, "f64[3]", "f64[2]"), np.eye(3, dtype=bool))


@pytest.mark.parametrize("aval", ["f64[0]", "f64[]", "f64[1]"])
def test_inputs_of_no_element_and_of_one(aval: str) -> None:
    assert flags_of(lambda x: apply("sin", x) * x, aval).all()


# ── indices ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_indices_that_are_known_are_looked_at_and_others_may_be_any() -> None:
    def read(x: Value, idx: Value) -> Value:
        return apply("gather", x, idx, axes=(0,))

    known = flags_of(read, "f64[4]", "i64[2]", known={1: np.array([2, 0])})
    np.testing.assert_array_equal(known, np.eye(4, dtype=bool)[[2, 0]])
    assert flags_of(read, "f64[4]", "i64[2]").all()


def test_indices_that_follow_from_known_ones_are_known() -> None:
    def read(x: Value, idx: Value) -> Value:
        return apply("gather", x, idx + 1, axes=(0,))

    known = flags_of(read, "f64[4]", "i64[2]", known={1: np.array([2, 0])})
    np.testing.assert_array_equal(known, np.eye(4, dtype=bool)[[3, 1]])


def test_an_index_out_of_range_is_left_for_the_run_to_say() -> None:
    def read(x: Value, idx: Value) -> Value:
        return apply("gather", x, idx, axes=(0,))

    assert flags_of(read, "f64[4]", "i64[2]", known={1: np.array([2, 9])}).all()


def test_floats_among_the_known_are_not_looked_at() -> None:
    def read(x: Value, y: Value) -> Value:
        return apply("gather", x, apply("cast", y, dtype="i64"), axes=(0,))

    assert flags_of(read, "f64[4]", "f64[2]", known={1: np.array([2.0, 0.0])}).all()


def test_a_checkpoint_is_looked_into() -> None:
    def body(x: Value, idx: Value) -> tuple[Value, Value]:
        return apply("sin", part(x, 1, 3) * part(x, 0, 3)), apply("gather", x, idx, axes=(0,))

    inner = build(body, "f64[4]", "i64[2]")

    def make(x: Value, idx: Value) -> tuple[Value, ...]:
        return x.builder.emit(primitive("checkpoint"), (x + 1.0, idx), {"body": inner})

    graph = build(make, "f64[4]", "i64[2]")
    np.testing.assert_array_equal(
        dense(pattern(graph, 0, 0)), band(4, 1)[:3] & (np.indices((3, 4))[1] >= [[0], [1], [2]])
    )
    known = dense(pattern(graph, 1, 0, {1: np.array([3, 1])}))
    np.testing.assert_array_equal(known, np.eye(4, dtype=bool)[[3, 1]])
    assert dense(pattern(graph, 1, 0)).all()


# ── loops ───────────────────────────────────────────────────────────────────────────────────────────────────

LOOP = """
net Heat(x: f64[n]) -> f64[n] {
  for t in 0..10%s {
    x[1:-1] = x[1:-1] + 0.1 * (x[2:] - 2 * x[1:-1] + x[:-2])
  }
  return x
}
net Total(x: f64[n]) -> f64 = sum(sin(Heat(x)))
"""


def net(name: str, more: str, n: int) -> Graph:
    request = Request(net=name, arrays={"x": np.ones(n)})
    return prepare(ModelFile(text=LOOP % more, name="heat"), request)[1].graph


@pytest.mark.parametrize("more", ["", " while x[0] > 0.5"])
def test_each_turn_of_a_loop_reaches_one_neighbour_further(more: str) -> None:
    graph = net("Heat", more, 30)
    assert "scan" in [node.prim.name for node in graph.nodes]
    expected = band(30, 10)
    expected[[0, -1]] = np.eye(30, dtype=bool)[[0, -1]]
    np.testing.assert_array_equal(dense(pattern(graph, 0, 0)), expected)


def test_the_gradient_of_a_loop_is_looked_into() -> None:
    gradient = optimize(reverse(net("Total", "", 30), [0]))
    found = dense(pattern(gradient, 1, 0))
    true = jacobian(gradient, 1, 0, [np.linspace(0.1, 1, 30)]) != 0
    assert not (true & ~found).any()
    np.testing.assert_array_equal(found, band(30, 20))


def test_a_loop_that_is_too_long_depends_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparsity, "WRITTEN_OUT", 2)
    assert dense(pattern(net("Heat", "", 12), 0, 0)).all()


# ── size ────────────────────────────────────────────────────────────────────────────────────────────────────

N = 100_000


def test_a_hundred_thousand_variables() -> None:
    start = time.process_time()
    found = hessian(lambda x: total(apply("sin", part(x, 1, N - 1) * part(x, 0, N - 1))), N)
    assert found.nnz == 3 * N - 2
    wide = hessian(lambda x: total(apply("exp", part(x, 2, N - 2) * part(x, 1, N - 2) * part(x, 0, N - 2))), N)
    assert wide.nnz == 5 * N - 6
    arrow = hessian(lambda x: total(apply("sin", x * apply("broadcast_to", part(x, 0, 1), shape=(N,)))), N)
    assert arrow.nnz == 3 * N - 2
    blocks = hessian(
        lambda x: total(apply("sin", apply("reduce_sum", apply("reshape", x, shape=(N // 4, 4)), axes=(1,)))), N
    )
    assert blocks.nnz == 4 * N
    assert time.process_time() - start < 60  # generous: not a measurement, but the difference between n and n²


def test_a_dense_pattern_is_refused_with_its_size() -> None:
    with pytest.raises(ModelError) as caught:
        hessian(lambda x: apply("sin", total(x * x)), N)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "NUM008"
    assert "10_000_000_000 elements of a matrix of 100_000 × 100_000" in diagnostic.message


def test_what_is_dense_on_the_way_only_costs_little() -> None:
    graph = build(lambda x: total(apply("sin", x / total(x))), f"f64[{N}]")
    assert pattern(graph, 0, 0).nnz == N


def test_running_sums_of_many_elements_depend_on_all_of_them() -> None:
    graph = build(lambda x: total(apply("cumsum", x, axis=0, reverse=False)), f"f64[{N}]")
    assert pattern(graph, 0, 0).nnz == N


@pytest.mark.parametrize("most", [0, 3, 20])
def test_sets_that_pass_the_limit_hold_everything(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(x: Value) -> Value:
        y = apply("sin", part(x, 1, 8) * part(x, 0, 8))
        return apply("cumsum", part(y, 1, 7) + part(y, 0, 7), axis=0, reverse=False)

    exact = flags_of(make, "f64[9]")
    monkeypatch.setattr(indexsets, "MOST", most)
    assert not (exact & ~flags_of(make, "f64[9]")).any()


def test_what_finds_patterns_is_imported_without_numpy() -> None:
    names = (
        "gradcli.ad.sparsity, gradcli.ad.coloring, gradcli.ad.split, gradcli.matrices.sparse, gradcli.report.pattern"
    )
    code = f"import sys; sys.modules['numpy'] = None; import {names}"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Sparse Jacobians and Hessians against dense ones, in one pass or several, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from gradcli.ad.matrix import hessian, jacobian
from gradcli.engine import Machine
from gradcli.ir.graph import Graph, Value, apply
from gradcli.matrices import sparse
from gradcli.matrices.sparse import hessian_program, refuse_dense, sparse_hessian, sparse_jacobian
from gradcli.request import SparseMatrix
from gradcli.syntax.diagnostics import ModelError, fail
from tests.ir.graphs import Array, build, graphs, naive

MACHINE = Machine()


def dense(matrix: SparseMatrix) -> Array:
    made = np.zeros(matrix.shape, matrix.data.dtype)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    made[rows, matrix.indices] = matrix.data
    return made


def part(x: Value, start: int, count: int) -> Value:
    return apply("slice", x, items=((start, count, 1),))


def total(x: Value) -> Value:
    return apply("reduce_sum", x, axes=tuple(range(x.rank)))


def rosenbrock(x: Value) -> Value:
    """Σ 100 (x[i + 1] - x[i]²)² + (1 - x[i])²"""
    before, after = part(x, 0, x.shape[0] - 1), part(x, 1, x.shape[0] - 1)
    rise, way = after - before * before, 1.0 - before
    return total(rise * rise * 100.0 + way * way)


def arrow(x: Value) -> Value:
    return total(apply("sin", x * apply("broadcast_to", part(x, 0, 1), shape=x.shape)))


def sums(x: Value) -> Value:
    return apply("sin", apply("reduce_sum", apply("reshape", x, shape=(4, 3)), axes=(1,)))


def differences(x: Value) -> Value:
    return apply("sin", part(x, 1, 11) - part(x, 0, 11))


def running(x: Value) -> Value:
    return apply("cumsum", x * x, axis=0, reverse=False)


def random(graph: Graph, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=value.shape)) for value in graph.inputs]


def dense_jacobian(graph: Graph, output: int, wrt: int, arrays: list[Any]) -> Array:
    made = naive(jacobian(graph, [wrt], outputs=[output]), arrays)[-1]
    return made.reshape(int(graph.outputs[output].aval.size), arrays[wrt].size)


def dense_hessian(graph: Graph, wrt: int, arrays: list[Any]) -> Array:
    return naive(hessian(graph, [wrt]), arrays)[-1].reshape(arrays[wrt].size, arrays[wrt].size)


# ── against dense ones ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "mode", "colors"),
    [
        (sums, "reverse", 1),
        (differences, "forward", 2),
        (lambda x: apply("cumsum", x, axis=0, reverse=False), "forward", 12),
    ],
)
def test_a_jacobian_by_the_mode_that_takes_fewer_colours(make: Callable[..., Value], mode: str, colors: int) -> None:
    graph = build(make, "f64[12]")
    arrays = random(graph)
    found = sparse_jacobian(graph, 0, 0, arrays, MACHINE)
    assert_allclose(dense(found), dense_jacobian(graph, 0, 0, arrays), rtol=1e-14, atol=1e-15)
    assert (found.mode, found.colors, found.passes) == (mode, colors, colors)
    assert (found.output, found.input) == ((int(graph.outputs[0].aval.size),), (12,))
    assert found.density == found.nnz / (found.shape[0] * 12)


@pytest.mark.parametrize(("make", "colors"), [(rosenbrock, 3), (arrow, 2)])
def test_a_hessian_is_symmetric_to_the_bit(make: Callable[..., Value], colors: int) -> None:
    graph = build(make, "f64[12]")
    arrays = random(graph)
    found = sparse_hessian(graph, 0, arrays, MACHINE)
    assert_allclose(dense(found), dense_hessian(graph, 0, arrays), rtol=1e-13, atol=1e-13)
    assert_array_equal(dense(found), dense(found).T)
    assert (found.mode, found.colors) == ("star", colors)


@settings(max_examples=80)
@given(graphs(), st.integers(0, 2**16))
def test_random_graphs(graph: Graph, seed: int) -> None:
    arrays = random(graph, seed)
    for wrt in range(len(graph.inputs)):
        for output in range(len(graph.outputs)):
            expected = dense_jacobian(graph, output, wrt, arrays)
            assert_allclose(dense(sparse_jacobian(graph, output, wrt, arrays, MACHINE)), expected, rtol=1e-9, atol=1e-9)
        expected = dense_hessian(graph, wrt, arrays)
        assert_allclose(dense(sparse_hessian(graph, wrt, arrays, MACHINE)), expected, rtol=1e-7, atol=1e-7)


def test_dims_are_flattened_and_their_shapes_kept() -> None:
    graph = build(lambda x, y: apply("matmul", x, y), "f32[2, 3]", "f32[3, 4]")
    arrays = [array.astype("f4") for array in random(graph)]
    for wrt in (0, 1):
        found = sparse_jacobian(graph, 0, wrt, arrays, MACHINE)
        assert_allclose(dense(found), dense_jacobian(graph, 0, wrt, arrays), rtol=1e-6)
        assert found.data.dtype == np.float32
        assert (found.output, found.input) == ((2, 4), ((2, 3), (3, 4))[wrt])


def test_integers_among_the_inputs_make_the_pattern() -> None:
    graph = build(lambda x, i: total(apply("sin", apply("gather", x, i, axes=(0,)) * x)), "f64[5]", "i64[5]")
    arrays = [random(graph)[0], np.array([1, 0, 2, 4, 3])]
    found = sparse_hessian(graph, 0, arrays, MACHINE)
    assert_allclose(dense(found), dense_hessian(graph, 0, arrays), rtol=1e-14)
    assert found.nnz == 9


def test_elements_of_the_pattern_that_are_zero_are_kept() -> None:
    found = sparse_hessian(build(rosenbrock, "f64[6]"), 0, [np.zeros(6)], MACHINE)
    assert found.nnz == 16
    assert np.count_nonzero(found.data) == 6


def test_an_output_that_depends_on_nothing_takes_no_pass() -> None:
    graph = build(lambda x: (apply("floor", x), total(x)), "f64[3]")
    for found in (sparse_jacobian(graph, 0, 0, [np.ones(3)], MACHINE), sparse_hessian(graph, 0, [np.ones(3)], MACHINE)):
        assert (found.nnz, found.colors, found.passes) == (0, 0, 0)
        assert_array_equal(found.indptr, [0, 0, 0, 0])


# ── size ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_number_of_passes_does_not_grow_with_the_size() -> None:
    for n in (10, 100_000):
        graph = build(rosenbrock, f"f64[{n}]")
        found = sparse_hessian(graph, 0, [np.full(n, 0.5)], MACHINE)
        assert (found.passes, found.nnz) == (3, 3 * n - 2)
        assert_allclose(found.data[found.indptr[3] : found.indptr[4]], [-200.0, 302.0, -200.0])


CASES = [(sums, "reverse"), (differences, "forward"), (running, "forward"), (rosenbrock, "star"), (arrow, "star")]


def matrix(make: Callable[..., Value], mode: str) -> SparseMatrix:
    graph = build(make, "f64[12]")
    if mode == "star":
        return sparse_hessian(graph, 0, random(graph), MACHINE)
    return sparse_jacobian(graph, 0, 0, random(graph), MACHINE)


@pytest.mark.parametrize(("make", "mode"), CASES)
@pytest.mark.parametrize("together", [1, 200])
def test_some_colours_at_a_time_give_what_all_give(
    make: Callable[..., Value], mode: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = matrix(make, mode)
    monkeypatch.setattr(sparse, "TOGETHER", together)
    monkeypatch.setattr(sparse, "KEPT", 0)
    parts = matrix(make, mode)
    assert parts.mode == whole.mode == mode
    assert_array_equal(dense(parts), dense(whole))


@pytest.mark.parametrize(("make", "mode"), CASES)
def test_as_many_colours_at_a_time_as_memory_holds(
    make: Callable[..., Value], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, plan_of = matrix(make, mode), sparse.plan_of

    def narrow(made: Graph, machine: Machine) -> Any:
        last = made.inputs[-1]
        if last.rank == 2 and int(last.aval.size) > 24:
            raise fail("NUM001", "too large")
        return plan_of(made, machine)

    monkeypatch.setattr(sparse, "plan_of", narrow)
    assert_array_equal(dense(matrix(make, mode)), dense(whole))


def test_where_no_colour_fits_it_is_refused() -> None:
    assert code(lambda: sparse_jacobian(build(sums, "f64[12]"), 0, 0, [np.ones(12)], Machine(memory=64))) == "NUM001"


def test_a_program_is_made_once_and_run_often() -> None:
    from gradcli.ad.reverse import reverse

    graph = build(rosenbrock, "f64[9]")
    program = hessian_program(reverse(graph, [0]), 1, 0, [np.zeros(9)], MACHINE)
    for seed in range(3):
        arrays = random(graph, seed)
        assert_allclose(dense(program.run(arrays, MACHINE)), dense_hessian(graph, 0, arrays), rtol=1e-13, atol=1e-13)


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────


def code(function: Callable[[], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        function()
    return caught.value.diagnostics[0].code


def test_what_cannot_be_differentiated_or_stored_is_refused() -> None:
    graph = build(lambda x, i: (x, apply("greater", x, 0.0)), "f64[3]", "i64[2]")
    arrays = [np.ones(3), np.ones(2, int)]
    assert code(lambda: sparse_jacobian(graph, 0, 1, arrays, MACHINE)) == "DIF001"
    assert code(lambda: sparse_jacobian(graph, 1, 0, arrays, MACHINE)) == "DIF002"
    large = build(lambda x: apply("sin", total(x)), "f64[100000]")
    assert code(lambda: sparse_hessian(large, 0, [np.zeros(100_000)], MACHINE)) == "NUM008"


def test_a_dense_matrix_that_does_not_fit_is_refused_with_its_size() -> None:
    refuse_dense(100, 100, "f64", MACHINE)
    with pytest.raises(ModelError) as caught:
        refuse_dense(10**7, 10**7, "f32", MACHINE)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "NUM001"
    assert "10_000_000 × 10_000_000 takes 400 TB" in diagnostic.message
    assert "--sparse" in str(diagnostic.help)
    assert "--vec" in str(diagnostic.help)

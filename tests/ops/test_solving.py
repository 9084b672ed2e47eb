"""Systems of equations and determinants where they are hard: singular and nearly so, empty, huge, of low rank.

Near-singular systems are compared with mpmath in tests/reference/test_linalg.py.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph, Value, apply, apply_all
from gradcli.ir.primitive import DataError, primitive
from tests.ir.graphs import Array, build, gradients, naive
from tests.ops.samples import evaluate, floats, graph_of, operands, walk
from tests.ops.test_walk import check

NAMES = ("solve", "inv", "cholesky", "det", "slogdet", "cofactor", "cofactor_along")
SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


def one(name: str, *arrays: Any) -> Any:
    """The value of a primitive, as arrays."""
    made = primitive(name).eval(np, *[np.asarray(array, "f8") for array in arrays])
    return tuple(map(np.asarray, made)) if isinstance(made, tuple) else np.asarray(made)


def of(name: str, n: int) -> Graph:
    return build(lambda a: apply(name, a), f"f64[{n}, {n}]")


@pytest.mark.parametrize("case", [case for case in walk() if case.values[0].prim.name in NAMES])
def test_the_third_order_agrees_with_central_differences(case: Any) -> None:
    arrays = operands(case, seed=3)
    graph = graph_of(case, arrays)
    check(graph, floats(arrays), floats(graph.outputs), arrays, order=3)


# ── singular matrices ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_a_singular_matrix_is_an_error(dtype: str) -> None:
    a = np.array(SINGULAR, dtype)
    for name, more in (("inv", ()), ("solve", (np.ones((2, 1), dtype),))):
        with pytest.raises(DataError, match="the matrix is singular: it has no inverse") as caught:
            primitive(name).eval(np, a, *more)
        assert caught.value.code == "NUM005"


def test_the_error_says_which_matrix_of_a_stack() -> None:
    stack = np.array([[np.eye(2), np.eye(2)], [np.eye(2), SINGULAR]])
    with pytest.raises(DataError, match=r"^matrix \[1, 1\] of the stack is singular"):
        one("inv", stack)
    with pytest.raises(DataError, match=r"^matrix \[1, 1\] of the stack is singular"):
        one("solve", stack, np.ones((2, 1)))
    with pytest.raises(DataError, match=r"^matrix \[1, 0\] of the stack is not positive definite"):
        one("cholesky", [[np.eye(2)], [-np.eye(2)]])


def test_slogdet_of_a_singular_matrix() -> None:
    assert_array_equal(one("slogdet", SINGULAR), [0.0, -np.inf])
    graph = build(lambda a: apply_all("slogdet", a)[1], "f64[2, 2]")
    with pytest.raises(DataError, match="is singular"):
        gradients(graph, [SINGULAR])


def test_slogdet_of_a_negative_determinant() -> None:
    a = [[1.0, 2.0], [3.0, 4.0]]
    sign, logarithm = one("slogdet", a)
    assert sign == -1.0
    assert_allclose(logarithm, np.log(2.0), rtol=1e-15)
    (found,) = gradients(build(lambda a: apply_all("slogdet", a)[1], "f64[2, 2]"), [a])
    assert_allclose(found, np.linalg.inv(a).T, rtol=1e-15)


def test_the_sign_of_slogdet_is_flat() -> None:
    (found,) = gradients(build(lambda a: apply_all("slogdet", a)[0], "f64[2, 2]"), [[[1.0, 2.0], [3.0, 4.0]]])
    assert_array_equal(found, np.zeros((2, 2)))


def test_slogdet_where_the_determinant_overflows() -> None:
    a = np.diag(np.full(40, 1e-10))
    assert_allclose(one("slogdet", a)[1], -400 * np.log(10.0), rtol=1e-14)
    assert one("det", a) == 0.0
    (found,) = gradients(build(lambda a: apply_all("slogdet", a)[1], "f64[40, 40]"), [a])
    assert_allclose(found, np.diag(np.full(40, 1e10)), rtol=1e-14)


# ── cofactors at any rank, against sums over permutations in exact fractions ────────────────────────────────


def minor(a: Array, rows: list[int], columns: list[int]) -> int:
    """The signed determinant without some rows and columns: the derivative of det(a) by these elements, in order."""
    n = len(a)
    total = Fraction(0)
    for order in permutations(range(n)):
        if all(order[i] == j for i, j in zip(rows, columns, strict=True)):
            sign = (-1) ** sum(order[i] > order[j] for j in range(n) for i in range(j))
            term = Fraction(sign)
            for i in range(n):
                term *= 1 if i in rows else Fraction(int(a[i, order[i]]))
            total += term
    return int(total)


def of_rank(n: int, rank: int) -> Array:
    rng = np.random.default_rng(10 * n + rank)
    return np.asarray(rng.integers(-3, 4, (n, rank)) @ rng.integers(-3, 4, (rank, n)), "f8")


RANKS = [(2, 2), (2, 1), (2, 0), (3, 3), (3, 2), (3, 1), (3, 0), (4, 4), (4, 3), (4, 2), (4, 1), (5, 4), (5, 3), (5, 2)]


@pytest.mark.parametrize(("n", "rank"), RANKS)
def test_the_gradient_of_det_at_any_rank(n: int, rank: int) -> None:
    a = of_rank(n, rank)
    assert np.linalg.matrix_rank(a) == rank
    exact = [[minor(a, [i], [j]) for j in range(n)] for i in range(n)]
    (found,) = gradients(of("det", n), [a])
    assert_allclose(found, exact, rtol=1e-13, atol=1e-14 * max(abs(a).max(), 1) ** (n - 1))


@pytest.mark.parametrize(("n", "rank"), RANKS)
def test_the_second_derivatives_of_det_at_any_rank(n: int, rank: int) -> None:
    """Those by element (0, 0) and each other one."""
    a = of_rank(n, rank)
    exact = [[0 if 0 in (i, j) else minor(a, [0, i], [0, j]) for j in range(n)] for i in range(n)]
    corner = np.zeros((n, n))
    corner[0, 0] = 1.0
    graph = reverse(reverse(of("det", n), [0]), [0], sens="inputs", outputs=[1])
    (*_, found) = naive(graph, [a, corner])
    assert_allclose(found, exact, rtol=1e-13, atol=1e-14 * max(abs(a).max(), 1) ** max(n - 2, 0))


def third_of_det(n: int, a: Array) -> Array:
    """The gradient of the sum of the second derivatives' sums."""
    graph = of("det", n)
    for _ in range(3):
        graph = reverse(graph, [0], outputs=[len(graph.outputs) - 1])
    return naive(graph, [a])[-1]


def test_the_third_derivative_of_det() -> None:
    """Along ones the determinant is linear, so that it is 0. Above 3 × 3 it comes from the inverse."""
    assert_array_equal(third_of_det(3, of_rank(3, 1)), np.zeros((3, 3)))
    assert_allclose(third_of_det(4, of_rank(4, 4)), np.zeros((4, 4)), atol=1e-12)
    with pytest.raises(DataError, match="is singular"):
        third_of_det(4, np.diag([1.0, 2.0, 3.0, 0.0]))


def test_cofactors_do_not_overflow_on_their_way() -> None:
    values = np.repeat([1e150, 1e-150], 4)
    (found,) = gradients(of("det", 8), [np.diag(values)])
    assert_allclose(found, np.diag(1 / values), rtol=1e-12)


def test_cofactors_of_what_is_not_finite() -> None:
    stack = np.stack([np.eye(4), np.full((4, 4), np.nan)])
    assert_array_equal(one("cofactor", stack), stack)


# ── the Cholesky factor ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 1.0]], [[0.0]], [[-1.0, 0.0], [0.0, 1.0]]])
def test_cholesky_of_what_is_not_positive_definite(matrix: Any) -> None:
    with pytest.raises(DataError, match="the matrix is not positive definite") as caught:
        one("cholesky", matrix)
    assert caught.value.code == "NUM006"


def test_cholesky_of_what_is_not_finite() -> None:
    """nan, on every backend: some libraries raise, others do not."""
    for number in (np.nan, np.inf):
        found = one("cholesky", [np.eye(2), [[1.0, number], [number, 1.0]]])
        assert_array_equal(found, [np.eye(2), np.full((2, 2), np.nan)])


def test_cholesky_is_that_of_the_symmetric_part() -> None:
    a = np.array([[4.0, 1.0], [3.0, 5.0]])
    assert_array_equal(one("cholesky", a), np.linalg.cholesky((a + a.T) / 2))
    (found,) = gradients(of("cholesky", 2), [a])
    assert_array_equal(found, found.T)


def test_the_zeros_of_cholesky_send_nothing_back() -> None:
    def above(a: Value) -> Value:
        return apply("slice", apply("cholesky", a), items=((0, 1, 1), (1, 1, 1)))

    (found,) = gradients(build(above, "f64[2, 2]"), [[[4.0, 1.0], [1.0, 5.0]]])
    assert_array_equal(found, np.zeros((2, 2)))


# ── shapes and dtypes ───────────────────────────────────────────────────────────────────────────────────────


def test_matrices_without_elements() -> None:
    none = np.zeros((0, 0))
    assert one("det", none) == 1.0
    assert_array_equal(one("slogdet", none), [1.0, 0.0])
    for name in ("inv", "cholesky", "cofactor"):
        assert one(name, none).shape == (0, 0)
    assert one("solve", none, np.zeros((0, 3))).shape == (0, 3)
    assert one("det", np.zeros((2, 0, 0))).tolist() == [1.0, 1.0]


def test_leading_dims_of_both_sides_broadcast() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 1, 3, 3)), rng.normal(size=(5, 3, 2))
    found = one("solve", a, b)
    assert found.shape == (4, 5, 3, 2)
    assert_allclose(
        found, np.linalg.solve(np.broadcast_to(a, (4, 5, 3, 3)), np.broadcast_to(b, (4, 5, 3, 2))), rtol=1e-12
    )


def test_one_matrix_is_factored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.array([[2.0, 1.0], [0.0, 4.0]]), np.random.default_rng(0).normal(size=(3, 5, 2, 1))
    shapes: list[Any] = []
    solve = np.linalg.solve

    def counted(a: Any, b: Any) -> Any:
        shapes.append((a.shape, b.shape))
        return solve(a, b)

    monkeypatch.setattr(np.linalg, "solve", counted)
    assert_allclose(a @ one("solve", a, b), b, rtol=1e-14)
    assert shapes == [((2, 2), (2, 15))]
    graph = build(lambda a, b: apply("solve", a, b), "f64[2, 2]", "f64[3, 5, 2, 1]")
    assert gradients(graph, [a, b])[0].shape == (2, 2)
    assert shapes[2:] == [((2, 2), (2, 15))]


@pytest.mark.parametrize("name", ["inv", "cholesky", "det", "cofactor"])
def test_halves_are_computed_in_single_and_rounded_once(name: str) -> None:
    a = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.3], [0.5, -0.3, 2.0]], "f2")
    (found,) = evaluate(build(lambda a: apply(name, a), "f16[3, 3]"), [a])
    assert_array_equal(found, primitive(name).eval(np, a.astype("f4")).astype("f2"))

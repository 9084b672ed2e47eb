"""The conventions of products, sums, statistics, normalised exponentials and linear algebra.

`docs/derivative-conventions.md` tells why each is as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import gradcli
from gradcli.ir.graph import apply
from tests.ir.graphs import Array, build, gradients
from tests.ops.modes import hold
from tests.ops.slopes import derivative

INF, NAN = np.inf, np.nan


# ── products ──────────────────────────────────────────────────────────────────────────────────────────────────


def product(x: Any, order: int = 1) -> Array:
    graph = build(lambda x: apply("reduce_prod", x, axes=(0,)), f"f64[{len(x)}]")
    return derivative(graph, [np.asarray(x)], order=order)


def test_prod_with_zeros() -> None:
    assert_array_equal(product([2.0, 3.0, 5.0]), [15.0, 10.0, 6.0])
    assert_array_equal(product([2.0, 0.0, 5.0]), [0.0, 10.0, 0.0])
    assert_array_equal(product([0.0, 0.0, 5.0]), [0.0, 0.0, 0.0])
    assert_array_equal(product([0.0]), [1.0])


def test_prod_with_zeros_at_order_two() -> None:
    """The sum of a row of the Hessian: the products of all but two."""
    assert_array_equal(product([2.0, 3.0, 5.0, 7.0], 2), [71.0, 59.0, 41.0, 31.0])
    assert_array_equal(product([2.0, 0.0, 5.0], 2), [5.0, 7.0, 2.0])
    assert_array_equal(product([0.0, 0.0, 5.0], 2), [5.0, 5.0, 0.0])
    assert_array_equal(product([0.0, 0.0, 0.0], 2), [0.0, 0.0, 0.0])
    assert_array_equal(product([0.0, 0.0, 0.0], 3), [2.0, 2.0, 2.0])


@pytest.mark.parametrize("axes", [(0,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_prod_over_several_axes_with_a_zero(axes: tuple[int, ...]) -> None:
    """By every element it is the product of the others, which are few enough to multiply here."""
    x = np.arange(12.0).reshape(2, 3, 2) - 1.0
    (found,) = gradients(build(lambda x: apply("reduce_prod", x, axes=axes), "f64[2, 3, 2]"), [x])
    expected = np.empty_like(x)
    for place in np.ndindex(x.shape):
        others = x.copy()
        others[place] = 1.0
        whole = np.prod(others, axis=axes, keepdims=True)
        expected[place] = np.broadcast_to(whole, x.shape)[place]
    assert_array_equal(found, expected)


@pytest.mark.parametrize("turned", [False, True])
def test_cumprod_with_zeros(turned: bool) -> None:
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    x = x[::-1] if turned else x
    graph = build(lambda x: apply("cumprod", x, axis=0, reverse=turned), "f64[5]")
    found, second = (derivative(graph, [x], order=order) for order in (1, 2))
    if turned:
        found, second = found[::-1], second[::-1]
    # y = a + ab + abc + abcd + abcde
    assert_array_equal(found, [1.0, 2.0 * (1 + 3), 0.0, 0.0, 0.0])
    assert_array_equal(second, [4.0, 1 + 3 + 2 + 6 * 6.0, 2.0, 36.0, 0.0])


@pytest.mark.parametrize(("x", "slope", "second"), [
    ([2.0, 3.0, 5.0], [15, 10, 6], [[0, 5, 3], [5, 0, 2], [3, 2, 0]]),
    ([2.0, 0.0, 5.0], [0, 10, 0], [[0, 5, 0], [5, 0, 2], [0, 2, 0]]),
    ([0.0, 0.0, 5.0], [0, 0, 0], [[0, 5, 0], [5, 0, 0], [0, 0, 0]]),
    ([0.0, 0.0, 0.0], [0, 0, 0], np.zeros((3, 3))),
    ([-0.0, 4.0, 1.0], [4, 0, 0], [[0, 1, 4], [1, 0, 0], [4, 0, 0]]),
])  # fmt: skip
def test_prod_in_every_mode(x: Any, slope: Any, second: Any) -> None:
    hold("prod(x)", x=x, value=np.prod(x), slope=slope, second=second)


def test_cumprod_in_every_mode() -> None:
    """y = a + ab + abc"""
    hold("cumprod(x)", x=[2.0, 0.0, 3.0], slope=[1, 8, 0], second=[[0, 4, 0], [4, 0, 2], [0, 2, 0]])
    hold("cumprod(x)", x=[0.0, 0.0, 3.0], slope=[1, 0, 0], second=[[0, 4, 0], [4, 0, 0], [0, 0, 0]])


def test_a_zero_times_an_infinity_stays_nan() -> None:
    hold("x * y", x=0.0, y=INF, value=NAN, slope=[INF, 0])
    hold("x * 0 + x", x=INF, value=NAN, slope=1, second=0)
    hold("sum(x)", x=[INF, -INF], value=NAN, slope=1, second=0)


# ── statistics ────────────────────────────────────────────────────────────────────────────────────────────────


def test_norm_at_0() -> None:
    """0 · inf. The guard is the model's to write."""
    hold("norm(x)", x=[0.0, 0.0], value=0, slope=NAN, second=NAN)
    hold("sqrt(sum(x * x))", x=[0.0, 0.0], value=0, slope=NAN, second=NAN)
    hold("sqrt(sum(x * x) + 0.25)", x=[0.0, 0.0], value=0.5, slope=0, second=[[2, 0], [0, 2]])
    hold("norm(x)", x=[0.0, -2.0], value=2, slope=[0, -1], second=[[0.5, 0], [0, 0]])


def test_std_of_equal_values() -> None:
    hold("std(x)", x=[2.0, 2.0], value=0, slope=NAN, second=NAN)
    hold("var(x)", x=[2.0, 2.0], value=0, slope=0, second=[[0.5, -0.5], [-0.5, 0.5]])
    hold("std(x)", x=[2.0, 4.0], value=1, slope=[-0.5, 0.5], second=0)


def test_mean_of_one_and_of_infinities() -> None:
    hold("mean(x)", x=[3.0], value=3, slope=1, second=0)
    hold("var(x)", x=[3.0], value=0, slope=0, second=0)
    hold("mean(x)", x=[INF, 1.0], value=INF, slope=0.5, second=0)


# ── normalised exponentials ───────────────────────────────────────────────────────────────────────────────────


def far(text: str, **arrays: Any) -> tuple[Array, Array]:
    """The value and the gradient by x of a net in the language."""
    value, gradient = gradcli.compile(text).grad(wrt="x", value=True, **arrays)
    return value, gradient


def test_logsumexp_neither_overflows_nor_loses_infinities() -> None:
    text = "net f(x: f64[n]) = logsumexp(x)"
    value, gradient = far(text, x=np.array([1000.0, 1000.0, -1000.0]))
    assert_allclose(value, 1000.0 + np.log(2), rtol=1e-15)
    assert_array_equal(gradient, [0.5, 0.5, 0.0])
    assert_array_equal(far(text, x=np.array([-INF, -INF]))[0], -INF)
    assert_array_equal(far(text, x=np.array([-INF, 3.0]))[1], [0.0, 1.0])


def test_softmax_and_log_softmax_far_out() -> None:
    x, w = np.array([1000.0, 0.0, -1000.0]), np.array([1.0, 2.0, 4.0])
    value, gradient = far("net f(x: f64[n], w: f64[n]) = sum(softmax(x) * w)", x=x, w=w)
    assert_array_equal(value, 1.0)
    assert_array_equal(gradient, np.zeros(3))
    value, gradient = far("net f(x: f64[n], w: f64[n]) = sum(log_softmax(x) * w)", x=x, w=w)
    assert_array_equal(value, -2.0 * 1000 - 4.0 * 2000)
    assert_array_equal(gradient, [-6.0, 2.0, 4.0])


def test_logsumexp_in_every_mode() -> None:
    half = [[0.25, -0.25, 0], [-0.25, 0.25, 0], [0, 0, 0]]
    hold("logsumexp(x)", x=[1000.0, 1000.0, -1000.0], value=1000 + np.log(2.0), slope=[0.5, 0.5, 0], second=half)
    hold("logsumexp(x)", x=[-INF, 3.0], value=3, slope=[0, 1], second=0)


def test_logsumexp_of_all_minus_inf() -> None:
    """The sum is 0 and its logarithm -inf; by an element it is exp(-inf) / 0, which IEEE arithmetic has as nan."""
    hold("logsumexp(x)", x=[-INF, -INF], value=-INF, slope=NAN, second=NAN)
    hold("logsumexp(x)", x=[-INF], value=-INF, slope=NAN)


def test_logsumexp_with_plus_inf() -> None:
    """In forward mode the tangents 0 of other elements meet the infinity, too."""
    hold("logsumexp(x)", x=[INF, 1.0], value=INF, slope=[NAN, 0], pushed=NAN)


def test_softmax_at_1000_in_every_mode() -> None:
    x = [1000.0, 0.0, -1000.0]
    hold("softmax(x)[0]", x=x, value=1, slope=0, second=0)
    hold("softmax(x)[2]", x=x, value=0, slope=0, second=0)
    hold("log_softmax(x)[2]", x=x, value=-2000, slope=[-1, 0, 1], second=0)
    hold("softmax(x)[0]", x=[1000.0, 1000.0], value=0.5, slope=[0.25, -0.25], second=0)


def test_softmax_of_a_masked_row() -> None:
    hold("softmax(x)[1]", x=[-INF, 0.0, 0.0], value=0.5, slope=[0, 0.25, -0.25], second=0)
    hold("softmax(x)[0]", x=[-INF, -INF], value=NAN, slope=NAN)


# ── linear algebra ────────────────────────────────────────────────────────────────────────────────────────────


def test_det_of_singular_matrices() -> None:
    hold("det(x)", x=[[1.0, 2.0], [2.0, 4.0]], value=0, slope=[4, -2, -2, 1],
         second=[[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]])  # fmt: skip
    hold("det(x)", x=np.zeros((2, 2)), value=0, slope=0)
    hold("det(x)", x=np.zeros((3, 3)), value=0, slope=0, second=0)


def test_cholesky_is_that_of_the_symmetric_part_in_every_mode() -> None:
    hold("cholesky(x)[1, 0]", x=[[4.0, 2.0], [2.0, 5.0]], value=1, slope=[-0.125, 0.25, 0.25, 0])


def test_solve_near_singular_is_as_exact_as_its_matrix() -> None:
    """A = [[1, 1], [1, 1 + d]] has the inverse [[1 + d, -1], [-1, 1]] / d; d is a power of 2, so that all is exact."""
    d = 2.0**-40
    inverse = np.array([[1 + d, -1], [-1, 1]]) / d
    solution = inverse @ [0.0, 1.0]
    slope = -np.outer(inverse.sum(0), solution)
    hold("solve(x, [0, 1])", x=[[1.0, 1.0], [1.0, 1.0 + d]], value=solution, slope=slope, dtypes=["f64"])


REFUSED = [
    ("inv(x)", "NUM005", [[1.0, 2.0], [2.0, 4.0]]),
    ("solve(x, [1, 1])", "NUM005", [[1.0, 2.0], [2.0, 4.0]]),
    ("cholesky(x)", "NUM006", [[1.0, 2.0], [2.0, 1.0]]),
]


@pytest.mark.parametrize(("expression", "code", "x"), REFUSED)
@pytest.mark.parametrize("form", [
    "f(x)", "grad(f)(x)", "jvp(f, tangent=[[1, 0], [0, 1]])(x)", "hessian(f)(x)", "vmap(grad(f))(stack([eye(2), x]))",
])  # fmt: skip
def test_what_has_no_solution_is_an_error_with_the_line(form: str, expression: str, code: str, x: Any) -> None:
    text = f"net f(x: f64[2, 2]) {{\n  return {expression}\n}}\nnet main(x: f64[2, 2]) = {form}\n"
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(text, net="main").eval(x=np.array(x))
    found = caught.value.diagnostics[0]
    assert found.code == code
    assert found.span is not None
    assert (found.span.line, found.span.text) == (2, expression)


def test_slogdet_has_a_value_where_its_derivative_is_refused() -> None:
    net = gradcli.compile("net f(x: f64[2, 2]) = slogdet(x)[1]")
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert net.eval(x=singular)[0] == -INF
    with pytest.raises(gradcli.ModelError, match="NUM005"):
        net.grad(x=singular)

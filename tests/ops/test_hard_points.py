"""The conventions at kinks, ties, zeros, infinities and repeated indices: one named test for each.

`docs/derivative-conventions.md` tells why each is as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import gradcli
from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph, Value, apply
from gradcli.ir.primitive import DataError, primitive
from gradcli.ir.verify import verify
from tests.ir.graphs import Array, build, gradients, naive

INF, NAN = np.inf, np.nan


def slope(name: str, x: Any, order: int = 1, **params: Any) -> Array:
    """The derivative of an elementwise operator of one operand."""
    x = np.atleast_1d(np.asarray(x, "f8"))
    graph = build(lambda x: apply(name, x, **params), f"f64[{len(x)}]")
    return derivative(graph, [x], order=order)


def slopes(name: str, x: Any, y: Any) -> list[Array]:
    """The derivatives of an elementwise operator of two operands, one element each."""
    x, y = (np.atleast_1d(np.asarray(array, "f8")) for array in (x, y))
    return gradients(build(lambda x, y: apply(name, x, y), f"f64[{len(x)}]", f"f64[{len(y)}]"), [x, y])


def derivative(graph: Graph, arrays: list[Any], wrt: int = 0, order: int = 1) -> Array:
    """Of the sum of the outputs, then of the sum of that, by one input."""
    for _ in range(order):
        count = len(graph.outputs)
        graph = reverse(graph, [wrt])
        graph = Graph(graph.inputs, graph.nodes, graph.outputs[count:], graph.n_values, graph.names)
        verify(graph)
    (found,) = naive(graph, arrays)
    return found


def pulled(make: Callable[..., Value], avals: list[str], arrays: list[Any], ct: Any, wrt: list[int]) -> list[Array]:
    """The gradients by the inputs at `wrt` under the cotangent `ct`."""
    graph = build(make, *avals)
    return naive(reverse(graph, wrt, sens="inputs"), [*arrays, ct])[1:]


# ── kinks ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_abs_has_slope_0_at_0() -> None:
    assert_array_equal(slope("abs", [-2.0, -0.0, 0.0, 3.0]), [-1.0, 0.0, 0.0, 1.0])
    assert_array_equal(slope("abs", [-2.0, 0.0, 3.0], order=2), [0.0, 0.0, 0.0])


@pytest.mark.parametrize("name", ["sign", "floor", "ceil", "round", "trunc"])
def test_steps_are_flat_on_the_step_and_beside_it(name: str) -> None:
    assert_array_equal(slope(name, [-1.5, -1.0, -0.0, 0.0, 0.5, 1.0, 2.5]), np.zeros(7))


def test_relu_has_slope_0_at_0() -> None:
    assert_array_equal(slope("relu", [-1.0, -0.0, 0.0, 5e-324, 2.0]), [0.0, 0.0, 0.0, 1.0, 1.0])


def test_relu_lets_no_infinite_cotangent_through_where_it_is_0() -> None:
    (found,) = pulled(lambda x: apply("relu", x), ["f64[2]"], [[-1.0, 1.0]], [INF, INF], [0])
    assert_array_equal(found, [0.0, INF])


def test_rem_is_flat_in_the_quotient_where_that_is_whole() -> None:
    by_x, by_y = slopes("rem", [6.0, 7.5, -6.0], [2.0, 2.0, 4.0])
    assert_array_equal(by_x, [1.0, 1.0, 1.0])
    assert_array_equal(by_y, [-3.0, -3.0, 2.0])


# ── ties ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_a_tie_of_two_goes_half_to_each(name: str) -> None:
    by_x, by_y = slopes(name, [1.0, 0.0, -INF], [1.0, -0.0, -INF])
    assert_array_equal(by_x, [0.5, 0.5, 0.5])
    assert_array_equal(by_y, [0.5, 0.5, 0.5])


def test_maximum_and_minimum_elsewhere_take_all_for_one() -> None:
    for name, first in (("maximum", 1.0), ("minimum", 0.0)):
        by_x, by_y = slopes(name, [2.0, INF], [1.0, 1.0])
        assert_array_equal(by_x, [first, first])
        assert_array_equal(by_y, [1 - first, 1 - first])


def test_maximum_of_a_value_and_itself_has_slope_1() -> None:
    (found,) = gradients(build(lambda x: apply("maximum", x, x), "f64[2]"), [[1.0, -1.0]])
    assert_array_equal(found, [1.0, 1.0])


@pytest.mark.parametrize("name", ["reduce_max", "reduce_min"])
def test_k_equal_extremes_get_a_kth_each(name: str) -> None:
    sign = 1.0 if name == "reduce_max" else -1.0
    x = sign * np.array([[3.0, 1.0, 3.0, 3.0], [2.0, 5.0, 5.0, 1.0], [0.0, -0.0, -1.0, 0.0]])
    (found,) = gradients(build(lambda x: apply(name, x, axes=(1,)), "f64[3, 4]"), [x])
    third = 1 / 3
    assert_allclose(found, [[third, 0, third, third], [0, 0.5, 0.5, 0], [third, third, 0, third]], rtol=1e-15)
    assert_allclose(found.sum(1), 1.0, rtol=1e-15)


def test_ties_over_two_axes_are_counted_together() -> None:
    x = np.array([[[1.0, 2.0], [2.0, 0.0]], [[2.0, 1.0], [3.0, 3.0]]])
    (found,) = gradients(build(lambda x: apply("reduce_max", x, axes=(1, 2)), "f64[2, 2, 2]"), [x])
    assert_array_equal(found, [[[0.0, 0.5], [0.5, 0.0]], [[0.0, 0.0], [0.5, 0.5]]])


def test_equal_infinities_tie() -> None:
    (found,) = gradients(build(lambda x: apply("reduce_max", x, axes=(0,)), "f64[3]"), [[INF, 1.0, INF]])
    assert_array_equal(found, [0.5, 0.0, 0.5])


# ── powers and roots ────────────────────────────────────────────────────────────────────────────────────────


def power(exponent: float, x: Any, order: int = 1) -> Array:
    """The derivative of `x ** exponent`, the exponent a number of the program."""
    graph = build(lambda x: apply("pow", x, exponent), f"f64[{len(x)}]")
    return derivative(graph, [np.asarray(x)], order=order)


def power_of_data(exponent: Any, x: Any, wrt: int = 0, order: int = 1) -> Array:
    """The derivative of `x ** y`, both data."""
    graph = build(lambda x, y: apply("pow", x, y), f"f64[{len(x)}]", f"f64[{len(x)}]")
    return derivative(graph, [np.asarray(x), np.asarray(exponent)], wrt=wrt, order=order)


@pytest.mark.parametrize(("name", "at_0"), [("sqrt", INF), ("cbrt", INF)])
def test_roots_have_infinite_slope_at_0(name: str, at_0: float) -> None:
    assert_array_equal(slope(name, [0.0]), [at_0])


def test_the_norm_has_slope_nan_at_0() -> None:
    """0 · inf: the guard is the model's to write."""
    graph = build(lambda x: apply("sqrt", apply("reduce_sum", x * x, axes=(0,))), "f64[2]")
    assert_array_equal(gradients(graph, [[0.0, 0.0]])[0], [NAN, NAN])
    guarded = build(lambda x: apply("sqrt", apply("reduce_sum", x * x, axes=(0,)) + 1e-12), "f64[2]")
    assert_array_equal(gradients(guarded, [[0.0, 0.0]])[0], [0.0, 0.0])


def test_x_to_the_0_is_flat_everywhere() -> None:
    x = [0.0, -0.0, 1.0, -2.0, INF, -INF, NAN]
    for order in (1, 2):
        assert_array_equal(power(0.0, x, order), np.zeros(7))
        assert_array_equal(power_of_data(np.zeros(7), x, order=order), np.zeros(7))


def test_an_array_of_exponents_may_hold_0() -> None:
    assert_array_equal(power_of_data([0.0, 1.0, 2.0, 3.0], np.zeros(4)), [0.0, 1.0, 0.0, 0.0])
    assert_array_equal(power_of_data([0.0, 1.0, 2.0, 3.0], np.zeros(4), order=2), [0.0, 0.0, 2.0, 0.0])
    assert_array_equal(power_of_data([0.0, 0.0], [0.0, 2.0], wrt=1), [0.0, np.log(2.0)])


def test_x_squared_is_exact_at_0_and_below() -> None:
    x = np.array([0.0, -0.0, -3.0, 0.1, -1e-200, 1e200])
    for found in (power(2.0, x), power_of_data(np.full(6, 2.0), x), slope("square", x)):
        assert_array_equal(found, 2 * x)
    assert_array_equal(power(2.0, x, order=2), np.full(6, 2.0))
    assert_array_equal(power(2.0, x, order=3), np.zeros(6))


def test_x_cubed_is_exact_below_0() -> None:
    x = np.array([-2.0, -0.5, 0.0, 3.0])
    assert_array_equal(power(3.0, x), 3 * x * x)
    assert_array_equal(power(3.0, x, order=2), 6 * x)
    assert_array_equal(power(3.0, x, order=3), np.full(4, 6.0))
    assert_array_equal(power(3.0, x, order=4), np.zeros(4))
    assert_array_equal(power_of_data(np.full(4, 3.0), x), 3 * x * x)


def test_negative_and_broken_exponents_below_0() -> None:
    assert_array_equal(power(-1.0, [-2.0, 4.0]), [-0.25, -0.0625])
    assert_array_equal(power(-2.0, [-2.0]), [0.25])
    assert_array_equal(power(0.5, [-1.0, 0.0, 4.0]), [NAN, INF, 0.25])


def test_by_the_exponent_at_0_and_below() -> None:
    """0 ** y is 0 for y > 0 and 1 for y = 0; below 0 the function is defined at whole exponents only."""
    assert_array_equal(power_of_data([2.0, 0.5, 0.0], np.zeros(3), wrt=1), [0.0, 0.0, 0.0])
    assert_array_equal(power_of_data([2.0, 0.5], np.zeros(2), wrt=1, order=2), [0.0, 0.0])
    assert_array_equal(power_of_data([2.0, 0.5], [-1.0, -1.0], wrt=1), [NAN, NAN])
    assert_allclose(power_of_data([2.0, -1.0], [3.0, 2.0], wrt=1), [9 * np.log(3), np.log(2) / 2], rtol=1e-15)


def test_the_mixed_derivative_of_a_power_at_exponent_0() -> None:
    """By x it is y · x ** (y - 1), which grows with y from 0 at the rate 1 / x."""
    graph = build(lambda x, y: apply("pow", x, y), "f64[3]", "f64[3]")
    x, y = np.array([2.0, -4.0, 0.5]), np.zeros(3)
    first = reverse(graph, [0])
    second = naive(reverse(first, [1], outputs=[1]), [x, y])[-1]
    assert_array_equal(second[[0, 2]], 1 / x[[0, 2]])


def test_an_integer_to_a_negative_power_is_refused() -> None:
    graph = build(lambda x, y: apply("pow", x, y), "i64[2]", "i64[2]")
    assert_array_equal(naive(graph, [[2, 3], [3, 0]])[0], [8, 1])
    with pytest.raises(DataError) as caught:
        naive(graph, [[2, 3], [1, -1]])
    assert caught.value.code == "NUM004"


def test_the_remainder_of_an_integer_by_0_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        naive(build(lambda x, y: apply("rem", x, y), "i64[2]", "i64[2]"), [[2, 3], [1, 0]])
    assert caught.value.code == "NUM002"


# ── products ────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── branches ────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_passes_exactly_0_into_the_branch_not_taken() -> None:
    def make(c: Value, x: Value, y: Value) -> Value:
        return apply("where", c, x, y)

    arrays = [[True, False], [1.0, INF], [INF, 1.0]]
    by_x, by_y = pulled(make, ["bool[2]", "f64[2]", "f64[2]"], arrays, [INF, NAN], [1, 2])
    assert_array_equal(by_x, [INF, 0.0])
    assert_array_equal(by_y, [0.0, NAN])


def test_where_with_an_infinite_branch() -> None:
    """Both branches are computed, and 0 · inf is nan; a safe input makes the gradient safe."""

    def bad(x: Value) -> Value:
        return apply("where", apply("greater", x, 0.0), 1.0 / x, x * 0.0)

    def good(x: Value) -> Value:
        positive = apply("greater", x, 0.0)
        return apply("where", positive, 1.0 / apply("where", positive, x, x * 0.0 + 1.0), x * 0.0)

    assert_array_equal(gradients(build(bad, "f64[2]"), [[0.0, 2.0]])[0], [NAN, -0.25])
    assert_array_equal(gradients(build(good, "f64[2]"), [[0.0, 2.0]])[0], [0.0, -0.25])


# ── angles and distances ────────────────────────────────────────────────────────────────────────────────────


def test_atan2_on_the_axes() -> None:
    by_y, by_x = slopes("atan2", [0.0, 2.0, 0.0, -2.0], [2.0, 0.0, -2.0, 0.0])
    assert_array_equal(by_y, [0.5, 0.0, -0.5, 0.0])
    assert_array_equal(by_x, [0.0, -0.5, 0.0, 0.5])


def test_atan2_of_huge_and_tiny_points() -> None:
    by_y, by_x = slopes("atan2", [3e200, 3e-200], [4e200, 4e-200])
    assert_allclose(by_y, [4 / 25e200, 4 / 25e-200], rtol=1e-14)
    assert_allclose(by_x, [-3 / 25e200, -3 / 25e-200], rtol=1e-14)


@pytest.mark.parametrize("name", ["atan2", "hypot"])
def test_the_origin_has_no_direction(name: str) -> None:
    for gradient in slopes(name, [0.0], [0.0]):
        assert_array_equal(gradient, [NAN])


def test_hypot_does_not_overflow() -> None:
    by_x, by_y = slopes("hypot", [3e300, 3e-300, 0.0, -2.0], [4e300, 4e-300, 2.0, 0.0])
    assert_allclose(by_x, [0.6, 0.6, 0.0, -1.0], rtol=1e-15)
    assert_allclose(by_y, [0.8, 0.8, 1.0, 0.0], rtol=1e-15)


@pytest.mark.parametrize(("name", "x", "expected"), [
    ("asin", [-1.0, 1.0], [INF, INF]),
    ("acos", [-1.0, 1.0], [-INF, -INF]),
    ("atanh", [-1.0, 1.0], [INF, INF]),
    ("acosh", [1.0], [INF]),
    ("rsqrt", [0.0], [-INF]),
    ("log", [0.0], [INF]),
    ("reciprocal", [0.0], [-INF]),
])  # fmt: skip
def test_infinite_slopes_at_the_ends_of_a_domain(name: str, x: Any, expected: Any) -> None:
    assert_array_equal(slope(name, x), expected)


# ── functions that must not overflow ────────────────────────────────────────────────────────────────────────


def test_logaddexp_of_far_and_infinite_numbers() -> None:
    x, y = [1000.0, -1000.0, 1000.0, -INF, INF, INF, -INF], [-1000.0, 1000.0, 1000.0, -INF, INF, -INF, 3.0]
    (value,) = naive(build(lambda x, y: apply("logaddexp", x, y), "f64[7]", "f64[7]"), [x, y])
    assert_array_equal(value, [1000.0, 1000.0, 1000.0 + np.log(2), -INF, INF, INF, 3.0])
    by_x, by_y = slopes("logaddexp", x, y)
    assert_array_equal(by_x, [1.0, 0.0, 0.5, 0.5, 0.5, 1.0, 0.0])
    assert_array_equal(by_y, [0.0, 1.0, 0.5, 0.5, 0.5, 0.0, 1.0])


def test_logaddexp_at_order_two() -> None:
    """Where both are the same infinity the weights stay halves, whatever is near."""
    graph = build(lambda x, y: apply("logaddexp", x, y), "f64[4]", "f64[4]")
    arrays = [np.array([1000.0, 0.0, -INF, INF]), np.array([-1000.0, 0.0, -INF, INF])]
    assert_array_equal(derivative(graph, arrays, order=2), [0.0, 0.25, 0.0, 0.0])


def test_sigmoid_far_out_and_near_0() -> None:
    x = np.array([-1000.0, -700.0, -1e-300, 0.0, 1e-300, 40.0, 1000.0])
    small = np.exp(-700.0)
    assert_allclose(slope("sigmoid", x), [0.0, small, 0.25, 0.25, 0.25, np.exp(-40.0), 0.0], rtol=1e-15)
    assert_allclose(slope("sigmoid", x, order=2)[[0, 1, 5, 6]], [0.0, small, -np.exp(-40.0), 0.0], rtol=1e-15)


def test_softplus_far_out_and_near_0() -> None:
    x = np.array([-1000.0, -700.0, 0.0, 1e-300, 1000.0])
    assert_allclose(slope("softplus", x), [0.0, np.exp(-700.0), 0.5, 0.5, 1.0], rtol=1e-15)
    assert_allclose(slope("softplus", x, order=2), [0.0, np.exp(-700.0), 0.25, 0.25, 0.0], rtol=1e-15)


@pytest.mark.parametrize("name", ["log1p", "expm1"])
def test_log1p_and_expm1_near_0(name: str) -> None:
    tiny = np.array([1e-300, -1e-300, 1e-20, 5e-324])
    assert_array_equal(naive(build(lambda x: apply(name, x), "f64[4]"), [tiny])[0], tiny)
    assert_array_equal(slope(name, tiny), np.ones(4))


def test_log1p_and_expm1_far_out() -> None:
    assert_allclose(slope("log1p", [1000.0, 1e300]), [1 / 1001, 1e-300], rtol=1e-15)
    assert_allclose(slope("log1p", [-1.0]), [INF])
    assert_array_equal(slope("expm1", [-1000.0, 1000.0]), [0.0, INF])
    assert_allclose(slope("expm1", [-40.0]), np.exp(-40.0), rtol=1e-15)
    assert_array_equal(naive(build(lambda x: apply("expm1", x), "f64[2]"), [[-1000.0, 1000.0]])[0], [-1.0, INF])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_tanh_at_300_is_flat(order: int) -> None:
    assert_array_equal(abs(slope("tanh", [300.0, -300.0, INF], order=order)), [0.0, 0.0, 0.0])


def test_erf_and_erfc_far_out_are_flat() -> None:
    for name in ("erf", "erfc"):
        assert_array_equal(abs(slope(name, [300.0, -300.0, 1e200, INF])), np.zeros(4))


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


# ── indices from data ───────────────────────────────────────────────────────────────────────────────────────

AXIS: dict[str, Any] = {"axes": (0,)}


def test_gather_with_repeated_indices_adds_up_their_cotangents() -> None:
    (found,) = pulled(lambda x, i: apply("gather", x, i, **AXIS), ["f64[3]", "i64[4]"], [[1.0, 2.0, 3.0], [2, 0, 2, 2]],
                      [1.0, 10.0, 100.0, 1000.0], [0])  # fmt: skip
    assert_array_equal(found, [10.0, 0.0, 1101.0])


def test_scatter_add_accumulates_repeated_indices() -> None:
    graph = build(lambda x, v, i: apply("scatter_add", x, v, i, **AXIS), "f64[3]", "f64[4]", "i64[4]")
    (found,) = naive(graph, [[1.0, 1.0, 1.0], [1.0, 10.0, 100.0, 1000.0], [2, 0, 2, 2]])
    assert_array_equal(found, [11.0, 1.0, 1102.0])


def test_scatter_add_gives_every_writer_the_cotangent_of_its_place() -> None:
    by_x, by_v = pulled(lambda x, v, i: apply("scatter_add", x, v, i, **AXIS), ["f64[3]", "f64[4]", "i64[4]"],
                        [np.zeros(3), np.zeros(4), [2, 0, 2, 2]], [1.0, 2.0, 3.0], [0, 1])  # fmt: skip
    assert_array_equal(by_x, [1.0, 2.0, 3.0])
    assert_array_equal(by_v, [3.0, 1.0, 3.0, 3.0])


def test_scatter_set_lets_the_last_of_repeated_indices_win() -> None:
    graph = build(lambda x, v, i: apply("scatter_set", x, v, i, **AXIS), "f64[3]", "f64[4]", "i64[4]")
    (found,) = naive(graph, [[7.0, 8.0, 9.0], [1.0, 2.0, 3.0, 4.0], [2, 0, 2, 0]])
    assert_array_equal(found, [4.0, 8.0, 3.0])


def test_scatter_set_gives_its_cotangent_to_the_last_writer() -> None:
    by_x, by_v = pulled(lambda x, v, i: apply("scatter_set", x, v, i, **AXIS), ["f64[3]", "f64[4]", "i64[4]"],
                        [np.zeros(3), np.zeros(4), [2, 0, 2, 0]], [1.0, 2.0, 3.0], [0, 1])  # fmt: skip
    assert_array_equal(by_x, [0.0, 2.0, 0.0])
    assert_array_equal(by_v, [0.0, 0.0, 3.0, 1.0])


def test_scatter_set_of_rows_lets_the_last_row_win() -> None:
    avals = ["f64[2, 2]", "f64[3, 2]", "i64[3]"]
    arrays = [np.zeros((2, 2)), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [1, 0, 1]]

    def make(x: Value, v: Value, i: Value) -> Value:
        return apply("scatter_set", x, v, i, **AXIS)

    assert_array_equal(naive(build(make, *avals), arrays)[0], [[3.0, 4.0], [5.0, 6.0]])
    _, by_v = pulled(make, avals, arrays, [[1.0, 2.0], [3.0, 4.0]], [0, 1])
    assert_array_equal(by_v, [[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])


def test_scatters_at_pairs_of_indices() -> None:
    """A place is repeated only where both indices are."""
    avals = ["f64[2, 3]", "f64[4]", "i64[4]", "i64[4]"]
    arrays = [np.zeros((2, 3)), [1.0, 2.0, 3.0, 4.0], [0, 1, 0, 0], [2, 1, 1, 2]]
    added = build(lambda x, v, i, j: apply("scatter_add", x, v, i, j, axes=(0, 1)), *avals)
    put = build(lambda x, v, i, j: apply("scatter_set", x, v, i, j, axes=(0, 1)), *avals)
    assert_array_equal(naive(added, arrays)[0], [[0.0, 3.0, 5.0], [0.0, 2.0, 0.0]])
    assert_array_equal(naive(put, arrays)[0], [[0.0, 3.0, 4.0], [0.0, 2.0, 0.0]])


@pytest.mark.parametrize("index", [3, -1, 2**40, -(2**40)])
@pytest.mark.parametrize("name", ["gather", "scatter_zeros", "scatter_add", "scatter_set"])
def test_an_index_out_of_range_is_refused(name: str, index: int) -> None:
    i = np.array([0, index])
    match name:
        case "gather":
            graph, arrays = build(lambda x, i: apply(name, x, i, **AXIS), "f64[3]", "i64[2]"), [np.zeros(3), i]
        case "scatter_zeros":
            graph = build(lambda v, i: apply(name, v, i, shape=(3,), **AXIS), "f64[2]", "i64[2]")
            arrays = [np.zeros(2), i]
        case _:
            graph = build(lambda x, v, i: apply(name, x, v, i, **AXIS), "f64[3]", "f64[2]", "i64[2]")
            arrays = [np.zeros(3), np.zeros(2), i]
    with pytest.raises(DataError, match=f"index {index} is out of range for a dim of size 3") as caught:
        naive(graph, arrays)
    assert caught.value.code == "SHP108"
    assert (caught.value.help is not None) == (index < 0)


def test_a_dim_of_size_0_has_no_index() -> None:
    graph = build(lambda x, i: apply("gather", x, i, **AXIS), "f64[0, 2]", "i64[1]")
    with pytest.raises(DataError):
        naive(graph, [np.zeros((0, 2)), [0]])


def test_nothing_is_written_where_an_index_is_refused() -> None:
    target = np.ones(3)
    with pytest.raises(DataError):
        primitive("scatter_set").eval(np, target, np.zeros(2), np.array([0, 5]), axes=(0,), out=target)
    assert_array_equal(target, np.ones(3))


# ── arrays without elements ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "neutral"), [("reduce_sum", 0.0), ("reduce_prod", 1.0)])
def test_sums_and_products_of_nothing(name: str, neutral: float) -> None:
    graph = build(lambda x: apply(name, x, axes=(0,)), "f64[0, 2]")
    assert_array_equal(naive(graph, [np.zeros((0, 2))])[0], [neutral, neutral])
    assert gradients(graph, [np.zeros((0, 2))])[0].shape == (0, 2)


def test_a_matrix_product_over_nothing_is_0() -> None:
    graph = build(lambda x, y: apply("matmul", x, y), "f64[2, 0]", "f64[0, 3]")
    arrays = [np.zeros((2, 0)), np.zeros((0, 3))]
    assert_array_equal(naive(graph, arrays)[0], np.zeros((2, 3)))
    assert [array.shape for array in gradients(graph, arrays)] == [(2, 0), (0, 3)]


def test_what_is_stretched_over_nothing_has_gradient_0() -> None:
    by_x, by_y = gradients(build(lambda x, y: x * y, "f64[0, 3]", "f64[3]"), [np.zeros((0, 3)), np.ones(3)])
    assert by_x.shape == (0, 3)
    assert_array_equal(by_y, np.zeros(3))

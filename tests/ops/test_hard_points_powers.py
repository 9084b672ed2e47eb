"""The conventions of powers, roots, poles, angles, and of functions far out.

`docs/derivative-conventions.md` tells why each is as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gradcli.ad.reverse import reverse
from gradcli.ir.graph import apply
from gradcli.ir.primitive import DataError
from tests.ir.graphs import Array, build, gradients, naive
from tests.ops.modes import hold
from tests.ops.slopes import derivative, slope, slopes

INF, NAN = np.inf, np.nan


# ── powers and roots ──────────────────────────────────────────────────────────────────────────────────────────


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


# ── angles and distances ──────────────────────────────────────────────────────────────────────────────────────


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


# ── functions that must not overflow ──────────────────────────────────────────────────────────────────────────


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


# ── in every mode and order ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_roots_at_0(zero: float) -> None:
    hold("sqrt(x)", x=0.0, value=0, slope=INF, second=-INF)
    hold("cbrt(x)", x=zero, value=0, slope=INF, second=NAN)  # it bends one way on each side
    hold("rsqrt(x)", x=0.0, value=INF, slope=-INF, second=INF)
    hold("square(x)", x=zero, slope=0, second=2, third=0)


def test_sqrt_at_minus_0_has_the_slope_of_its_branch() -> None:
    """sqrt(-0) is -0 in IEEE arithmetic, and 1 / (2 · -0) is -inf."""
    hold("sqrt(x)", x=-0.0, value=-0.0, slope=-INF)


@pytest.mark.parametrize("zero", ["0", "0.0"])
@pytest.mark.parametrize("x", [0.0, -0.0, 2.0, -3.0, INF, NAN])
def test_x_to_the_number_0_is_flat(zero: str, x: float) -> None:
    hold(f"x ** {zero}", x=x, value=1, slope=0, second=0, third=0)


@pytest.mark.parametrize("x", [0.0, -0.0, 2.0, -3.0])
def test_x_to_a_whole_number(x: float) -> None:
    hold("x ** 1", x=x, value=x, slope=1, second=0, third=0)
    hold("x ** 2", x=x, value=x * x, slope=2 * x, second=2, third=0)
    hold("x ** 3", x=x, value=x**3, slope=3 * x * x, second=6 * x, third=6)


def test_x_to_a_broken_or_negative_number_at_0() -> None:
    hold("x ** 0.5", x=0.0, value=0, slope=INF, second=-INF)
    hold("x ** 1.5", x=0.0, value=0, slope=0, second=INF)
    hold("x ** -1", x=0.0, value=INF, slope=-INF, second=INF)
    hold("x ** 0.5", x=-1.0, value=NAN, slope=NAN, second=NAN)


@pytest.mark.parametrize(("y", "by_x", "by_xx"), [
    (0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.5, 0.0, INF), (2.0, 0.0, 2.0), (3.0, 0.0, 0.0),
])  # fmt: skip
def test_at_0_to_the_y_nothing_depends_on_y(y: float, by_x: float, by_xx: float) -> None:
    """Nor does the derivative by x: mixed derivatives are 0 in either order."""
    hold("x ** y", x=0.0, y=y, value=0.0**y, slope=[by_x, 0], second=[[by_xx, 0], [0, 0]])


def test_0_to_the_y_where_its_slope_by_x_is_infinite() -> None:
    hold("x ** y", x=0.0, y=0.5, value=0, slope=[INF, 0], second=[[-INF, NAN], [NAN, 0]])
    hold("x ** y", x=0.0, y=-1.0, value=INF, slope=[-INF, NAN])


def test_x_to_the_y_beside_its_hard_points() -> None:
    """By x and y it is x ** (y - 1) · (1 + y log x); below 0 it is defined for whole y alone, so by y it is nan."""
    log = np.log(2.0)
    hold("x ** y", x=2.0, y=0.0, value=1, slope=[0, log], second=[[0, 0.5], [0.5, log**2]])
    hold("x ** y", x=2.0, y=1.0, value=2, slope=[1, 2 * log], second=[[0, 1 + log], [1 + log, 2 * log**2]])
    hold("x ** y", x=-3.0, y=2.0, value=9, slope=[-6, NAN], second=[[2, NAN], [NAN, NAN]])
    hold("x ** y", x=-3.0, y=0.0, value=1, slope=[0, NAN], second=[[0, NAN], [NAN, NAN]])
    hold("2 ** y", y=0.0, value=1, slope=log, second=log**2)
    hold("0 ** y", y=0.0, value=1, slope=0, second=0)
    hold("0 ** y", y=2.0, value=0, slope=0, second=0)


@pytest.mark.parametrize(("y", "x", "by_y", "by_x"), [
    (0.0, 2.0, 0.5, 0.0), (-0.0, 2.0, 0.5, 0.0), (0.0, -2.0, -0.5, 0.0), (-0.0, -2.0, -0.5, 0.0),
    (2.0, 0.0, 0.0, -0.5), (2.0, -0.0, 0.0, -0.5), (-2.0, 0.0, 0.0, 0.5), (-2.0, -0.0, 0.0, 0.5),
])  # fmt: skip
def test_atan2_on_the_half_axes(y: float, x: float, by_y: float, by_x: float) -> None:
    """The signs of zeros choose the value, ±0 or ±π, and leave the derivatives alone. Of the second ones the mixed ones
    are ±1/r² there, and the others 0."""
    mixed = -0.25 if y == 0 else 0.25
    hold("atan2(y, x)", y=y, x=x, value=np.arctan2(y, x), slope=[by_y, by_x], second=[[0, mixed], [mixed, 0]])


@pytest.mark.parametrize("x", [0.0, -0.0])
@pytest.mark.parametrize("y", [0.0, -0.0])
def test_the_origin_has_no_direction_in_any_mode(x: float, y: float) -> None:
    hold("atan2(y, x)", y=y, x=x, slope=NAN, second=NAN)
    hold("hypot(x, y)", x=x, y=y, value=0, slope=NAN, second=NAN)


def test_hypot_on_the_axes() -> None:
    hold("hypot(x, y)", x=0.0, y=2.0, value=2, slope=[0, 1], second=[[0.5, 0], [0, 0]])
    hold("hypot(x, y)", x=-2.0, y=0.0, value=2, slope=[-1, 0], second=[[0, 0], [0, 0.5]])


@pytest.mark.parametrize("x", [1.0, -1.0])
def test_the_ends_of_inverse_functions(x: float) -> None:
    hold("asin(x)", x=x, slope=INF, second=x * INF, third=INF)
    hold("acos(x)", x=x, slope=-INF, second=-x * INF, third=-INF)
    hold("atanh(x)", x=x, value=x * INF, slope=INF, second=x * INF, third=INF)


def test_the_ends_of_logarithms_and_acosh() -> None:
    hold("acosh(x)", x=1.0, value=0, slope=INF, second=-INF, third=INF)
    hold("log(x)", x=0.0, value=-INF, slope=INF, second=-INF, third=INF)
    hold("log2(x)", x=0.0, value=-INF, slope=INF, second=-INF)
    hold("log1p(x)", x=-1.0, value=-INF, slope=INF, second=-INF, third=INF)
    hold("1 / x", x=0.0, value=INF, slope=-INF, second=INF, third=-INF)
    hold("reciprocal(x)", x=0.0, value=INF, slope=-INF, second=INF)


@pytest.mark.parametrize("pole", [0.0, -1.0, -2.0])
def test_the_poles_of_lgamma(pole: float) -> None:
    hold("lgamma(x)", x=pole, value=INF, slope=NAN, second=NAN, third=NAN)


def test_a_logarithm_below_0_is_nan_and_its_slope_1_over_x() -> None:
    hold("log(x)", x=-2.0, value=NAN, slope=-0.5, second=-0.25)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "tanh", "erf", "gelu", "silu", "mish", "elu"])
def test_what_levels_off_is_flat_at_1000(name: str) -> None:
    """Its value and slope at ±1000 are those of the line that it comes near to; every order after that is 0."""
    lines = {"sigmoid": (1, 0), "tanh": (1, 0), "erf": (1, 0)}
    value, slope = lines.get(name, (1000, 1))
    hold(f"{name}(x)", x=1000.0, value=value, slope=slope, second=0, third=0)
    lower = {"tanh": -1, "erf": -1, "elu": -1}
    hold(f"{name}(x)", x=-1000.0, value=lower.get(name, 0), slope=0, second=0, third=0)


def test_the_logistic_functions_keep_their_digits() -> None:
    small = np.exp(-80.0)
    hold("sigmoid(x)", x=-80.0, value=small, slope=small, second=small, third=small, ulps=16)
    hold("sigmoid(x)", x=80.0, value=1, slope=small, second=-small, third=small, ulps=16)
    hold("softplus(x)", x=-80.0, value=small, slope=small, second=small, third=small, ulps=16)


def test_expm1_and_log1p_at_1000() -> None:
    hold("expm1(x)", x=-1000.0, value=-1, slope=0, second=0, third=0)
    hold("expm1(x)", x=1000.0, value=INF, slope=INF, second=INF, third=INF)
    hold("expm1(x)", x=0.0, value=0, slope=1, second=1, third=1)
    hold("log1p(x)", x=1000.0, value=np.log(1001.0), slope=1 / 1001, second=-1 / 1001**2, third=2 / 1001**3)
    hold("log1p(x)", x=0.0, value=0, slope=1, second=-1, third=2)


def test_logaddexp_of_equal_infinities_and_far_numbers() -> None:
    quarter = [[0.25, -0.25], [-0.25, 0.25]]
    hold("logaddexp(x, y)", x=0.0, y=0.0, value=np.log(2.0), slope=0.5, second=quarter)
    hold("logaddexp(x, y)", x=1000.0, y=-1000.0, value=1000, slope=[1, 0], second=0)
    hold("logaddexp(x, y)", x=-INF, y=-INF, value=-INF, slope=0.5, second=0)  # halves, whatever is near
    hold("logaddexp(x, y)", x=INF, y=INF, value=INF, slope=0.5, second=0)

"""The conventions at kinks, ties and branches: one named test for each.

`docs/derivative-conventions.md` tells why each is as it is; `modes.py` is how they are held in every mode and order.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gradcli.ir.graph import Value, apply
from tests.ir.graphs import build, gradients
from tests.ops.modes import hold
from tests.ops.slopes import pulled, slope, slopes

INF, NAN = np.inf, np.nan


# ── kinks ─────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── ties ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── branches ──────────────────────────────────────────────────────────────────────────────────────────────────


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


def test_where_with_an_infinite_branch_in_every_mode() -> None:
    """Reverse mode sends 0 into the branch not taken, where it meets the infinity. Forward mode brings the infinity as
    far as the choice, which does not take it."""
    hold("1 / x if x > 0 else 0", x=0.0, value=0, slope=NAN, pushed=0)
    hold("sqrt(x) if x > 0 else x", x=0.0, value=0, slope=NAN, pushed=1)
    hold("x if x < 1 else inf * y", x=0.0, y=2.0, value=0, slope=[1, NAN], pushed=[1, 0])
    hold("relu(sqrt(x) - 1)", x=0.0, value=0, slope=NAN, pushed=0)


def test_both_branches_are_kept_apart_in_every_mode() -> None:
    hold("1 / (x if x > 0 else 1) if x > 0 else 0", x=0.0, value=0, slope=0, second=0)
    hold("x if x < 1 else inf", x=0.0, value=0, slope=1, second=0)
    hold("inf if x < 1 else x", x=0.0, value=INF, slope=0, second=0)
    hold("where(x > 0, x * x, -x)", x=0.0, value=0, slope=-1, second=0)


# ── in every mode and order ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_kinks_at_0(zero: float) -> None:
    hold("abs(x)", x=zero, value=0, slope=0, second=0, third=0)
    hold("relu(x)", x=zero, value=0, slope=0, second=0, third=0)
    hold("leaky_relu(x)", x=zero, value=0, slope=0.01, second=0)
    hold("elu(x)", x=zero, value=0, slope=1, second=1, third=1)
    hold("selu(x)", x=zero, value=0, slope=1.7580993408473766, second=1.7580993408473766)
    hold("gelu(x)", x=zero, value=0, slope=0.5, second=np.sqrt(2 / np.pi), third=0)
    hold("silu(x)", x=zero, value=0, slope=0.5, second=0.5, third=0)
    hold("mish(x)", x=zero, value=0, slope=0.6, second=0.64)
    hold("abs(x) * x", x=zero, value=0, slope=0, second=0)


@pytest.mark.parametrize("name", ["sign", "floor", "ceil", "round", "trunc"])
@pytest.mark.parametrize("x", [0.0, -0.0, 0.5, 1.0, -1.0, INF])
def test_steps_are_flat(name: str, x: float) -> None:
    hold(f"{name}(x)", x=x, slope=0, second=0, third=0)
    if np.isfinite(x):
        hold(f"{name}(x) * x", x=x, slope=float(STEPS[name](x)), second=0)


STEPS = {"sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc}


def test_clip_in_its_corners_and_where_they_meet() -> None:
    hold("clip(x, 0, 1)", x=0.0, value=0, slope=0.5, second=0)
    hold("clip(x, 0, 1)", x=1.0, value=1, slope=0.5, second=0)
    hold("clip(x, 0, 1)", x=0.5, value=0.5, slope=1, second=0)
    hold("clip(x, 1, 1)", x=1.0, value=1, slope=0.25, second=0)  # a tie with a tie
    hold("clip(x, 2, 1)", x=1.0, value=1, slope=0, second=0)
    hold("clip(x, y, 2)", x=1.0, y=1.0, value=1, slope=0.5, second=0)
    hold("hardtanh(x)", x=-1.0, value=-1, slope=0.5, second=0)


def test_maximum_and_minimum_at_a_tie() -> None:
    for name in ("maximum", "minimum"):
        hold(f"{name}(x, y)", x=1.0, y=1.0, value=1, slope=[0.5, 0.5], second=0)
        hold(f"{name}(x, y)", x=0.0, y=-0.0, value=0, slope=[0.5, 0.5], second=0)
        hold(f"{name}(x, y)", x=-INF, y=-INF, value=-INF, slope=[0.5, 0.5], second=0)
        hold(f"{name}(x * x, y)", x=2.0, y=4.0, value=4, slope=[2, 0.5], second=[[1, 0], [0, 0]])
    hold("maximum(x, x)", x=1.0, slope=1, second=0)
    hold("maximum(x, 0)", x=0.0, value=0, slope=0.5, second=0)  # a tie, unlike relu


def test_max_with_ties_at_order_two() -> None:
    third = 1 / 3
    hold("max(x)", x=[3.0, 1.0, 3.0], value=3, slope=[0.5, 0, 0.5], second=0)
    hold("min(x)", x=[3.0, 3.0, 3.0], value=3, slope=third, second=0)
    hold("max(x)", x=[INF, 1.0, INF], value=INF, slope=[0.5, 0, 0.5], second=0)
    hold("max(x * x)", x=[2.0, -2.0, 1.0], value=4, slope=[2, -2, 0], second=[[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    hold("max(x) ** 2", x=[2.0, 2.0], value=4, slope=[2, 2], second=0.5)
    hold("max(x, axis=0)", x=[[1.0, 2.0], [1.0, 3.0]], slope=[0.5, 0, 0.5, 1], second=0)


def test_the_index_of_an_extreme_is_that_of_the_first() -> None:
    hold("x[argmax(x)]", x=[3.0, 1.0, 3.0], value=3, slope=[1, 0, 0], second=0)
    hold("x[argmin(x)]", x=[3.0, 1.0, 1.0], value=1, slope=[0, 1, 0], second=0)


def test_the_remainder_in_every_mode() -> None:
    hold("x % y", x=6.0, y=2.0, value=0, slope=[1, -3], second=0)
    hold("x % y", x=-6.0, y=4.0, value=2, slope=[1, 2], second=0)
    hold("x % y", x=7.5, y=-2.0, value=-0.5, slope=[1, 4], second=0)


def test_stop_gradient_in_every_mode() -> None:
    hold("stop_gradient(x) * x", x=3.0, value=9, slope=3, second=0, third=0)
    hold("stop_gradient(x)", x=3.0, value=3, slope=0, second=0, third=0)

"""Special functions against mpmath at 40 digits, over their whole range.

Errors are counted in ulps of the exact result. Where a function crosses zero between its poles, no double next to the
root can be better than the terms that cancel there: those bounds are in ulps of these terms, which `scale` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import gradcli
import gradcli.ops
from gradcli.ir.primitive import primitive

Array = np.ndarray[Any, Any]
Function = Callable[[Any], Any]

SEED = 20240229
RNG = np.random.default_rng(SEED)
INF, NAN = np.inf, np.nan


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    """40 of them; and the same points for a test whichever tests ran before it."""
    RNG.bit_generator.state = np.random.default_rng(SEED).bit_generator.state
    with mp.workdps(40):
        yield


def run(name: str, x: Any, **params: Any) -> Array:
    x = np.asarray(x)
    with np.errstate(all="ignore"):
        found = np.asarray(primitive(name).eval(np, x, **params))
    assert found.dtype == x.dtype
    return found


def errors(found: Array, x: Array, exact: Function, scale: Function | None = None) -> Array:
    """In ulps of the exact result, or of `scale` where that is larger; a result that overflows must do so."""
    made = []
    for value, point in zip(found, x, strict=True):
        true = exact(mp.mpf(float(point)))
        with np.errstate(over="ignore"):
            rounded = found.dtype.type(float(true))
        if not np.isfinite(value) or not np.isfinite(rounded):
            made.append(0.0 if value == rounded else INF)
            continue
        size = max(abs(rounded), abs(found.dtype.type(float(scale(mp.mpf(float(point))))))) if scale else abs(rounded)
        made.append(float(abs(mp.mpf(float(value)) - true) / mp.mpf(float(np.spacing(size)))))
    return np.asarray(made)


def within(name: str, x: Array, exact: Function, ulps: float, scale: Function | None = None, **params: Any) -> None:
    found = errors(run(name, x, **params), x, exact, scale)
    worst = int(np.argmax(found))
    assert found[worst] <= ulps, f"{name}({float(x[worst])!r}) is wrong by {found[worst]:.1f} ulps"


def over(low: float, high: float, count: int = 200) -> Array:
    """Evenly by size: 10**low to 10**high."""
    return 10.0 ** RNG.uniform(low, high, count)


def both(x: Array) -> Array:
    return np.concatenate([x, -x])


def lgamma(x: Any) -> Any:
    return mp.log(abs(mp.gamma(x))) if abs(x) < 1000 else mp.re(mp.loggamma(x))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any) -> Any:
    return x + mp.log1p(mp.exp(-x)) if x > 0 else mp.log1p(mp.exp(x))


# ── f64 ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_erf_over_the_whole_range() -> None:
    within("erf", both(np.concatenate([over(-307, 300), over(-3, 1), RNG.uniform(0, 6, 300)])), mp.erf, 3)


def test_erfc_over_the_whole_range() -> None:
    """Its tail too: down to 1e-307 it keeps its digits."""
    within("erfc", np.concatenate([both(over(-307, 0)), RNG.uniform(-6, 26.5, 600), -over(0, 300)]), mp.erfc, 6)


def test_erfc_underflows_gradually() -> None:
    x = RNG.uniform(26.55, 27.2, 100)
    exact = np.array([float(mp.erfc(mp.mpf(float(point)))) for point in x])
    np.testing.assert_allclose(run("erfc", x), exact, rtol=1e-15, atol=2 * 5e-324)


def test_lgamma_of_positive_numbers() -> None:
    """Around its zeros at 1 and 2, too."""
    near = 1 + np.concatenate([both(over(-15, -0.5)), 1 + both(over(-15, -0.5))])
    within("lgamma", np.concatenate([over(-307, 305.4), over(-2, 2), RNG.uniform(0, 20, 300), near]), lgamma, 5)


def test_lgamma_of_negative_numbers() -> None:
    """In ulps of log Γ(1 - x): the reflection formula subtracts from it, and between the poles they cancel."""
    x = -np.concatenate([over(-307, 6), RNG.uniform(0, 30, 300), RNG.uniform(2.4, 2.8, 100)])
    within("lgamma", x, lgamma, 4, scale=lambda x: 1 + lgamma(1 - x))


def test_digamma_of_positive_numbers() -> None:
    """In ulps of 1 around its zero at 1.46."""
    x = np.concatenate([over(-307, 307), over(-2, 2), RNG.uniform(0, 20, 300), RNG.uniform(1.3, 1.6, 100)])
    within("digamma", x, mp.digamma, 8, scale=lambda x: mp.mpf(1))


def test_digamma_of_negative_numbers() -> None:
    x = -np.concatenate([over(-307, 6), RNG.uniform(0, 30, 300)])
    within("digamma", x, mp.digamma, 8, scale=lambda x: 1 + abs(mp.digamma(1 - x)))


@pytest.mark.parametrize("n", range(1, 7))
def test_polygamma_of_positive_numbers(n: int) -> None:
    x = np.concatenate([over(-40, 40, 100), over(-3, 3, 100), RNG.uniform(0, 20, 100)])
    within("polygamma", x, lambda x: mp.polygamma(n, x), 4 + 2 * n, n=n)


@pytest.mark.parametrize("n", range(1, 7))
def test_polygamma_of_negative_numbers(n: int) -> None:
    """In ulps of the smallest derivative of π cot(πx) between two poles, to which ψ⁽ⁿ⁾(1 - x) is added."""
    x = -np.concatenate([over(-40, 2, 100), RNG.uniform(0, 12, 200)])

    def scale(x: Any) -> Any:
        return mp.pi ** (n + 1) * mp.factorial(n) + abs(mp.polygamma(n, 1 - x))

    within("polygamma", x, lambda x: mp.polygamma(n, x), 6 + 2 * n, scale=scale, n=n)


def test_sigmoid_over_the_whole_range() -> None:
    x = np.concatenate([RNG.uniform(-708, 708, 300), RNG.uniform(-40, 40, 300), both(over(-307, 2))])
    within("sigmoid", x, sigmoid, 3)


def test_softplus_over_the_whole_range() -> None:
    x = np.concatenate([RNG.uniform(-708, 708, 300), RNG.uniform(-40, 40, 300), over(-307, 300), -over(-307, 2)])
    within("softplus", x, softplus, 2)


@pytest.mark.parametrize(("name", "exact"), [("sigmoid", sigmoid), ("softplus", softplus)])
def test_logistic_functions_underflow_gradually(name: str, exact: Function) -> None:
    x = RNG.uniform(-744, -700, 100)
    expected = np.array([float(exact(mp.mpf(float(point)))) for point in x])
    np.testing.assert_allclose(run(name, x), expected, rtol=1e-15, atol=2 * 5e-324)
    assert (run(name, x) > 0).all()


# ── composed in the language ────────────────────────────────────────────────────────────────────────────────


def gelu(x: Any) -> Any:
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


COMPOSED: dict[str, tuple[Function, float, Callable[[Any], Any]]] = {  # exact, low, bound in ulps at x
    "gelu": (gelu, -36.0, lambda x: 8 + 2 * x * x),  # erfc multiplies the rounding of its argument by x²
    "silu": (lambda x: x * sigmoid(x), -700.0, lambda x: 4),
    "mish": (lambda x: x * mp.tanh(softplus(x)), -700.0, lambda x: 6),
    "elu": (lambda x: x if x > 0 else mp.expm1(x), -700.0, lambda x: 2),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_activations_of_the_prelude(name: str) -> None:
    exact, low, bound = COMPOSED[name]
    x = np.concatenate([RNG.uniform(low, 700, 200), RNG.uniform(-20, 20, 200), both(over(-300, 1, 100))])
    (found,) = gradcli.compile(f"net f(x: f64[n]) = {name}(x)").eval(x=x)
    wrong = errors(found, x, exact) / np.array([bound(float(point)) for point in x])
    worst = int(np.argmax(wrong))
    assert wrong[worst] <= 1, f"{name}({float(x[worst])!r}) = {found[worst]!r}"


# ── f32 and f16 ─────────────────────────────────────────────────────────────────────────────────────────────

NARROW: dict[str, tuple[Function, tuple[float, float], dict[str, int]]] = {  # exact, the range in f32
    "erf": (mp.erf, (-4.0, 4.0), {}),
    "erfc": (mp.erfc, (-5.0, 9.1), {}),
    "lgamma": (lgamma, (-30.0, 100.0), {}),
    "digamma": (mp.digamma, (-30.0, 100.0), {}),
    **{f"polygamma {n}": (lambda x, n=n: mp.polygamma(n, x), (-5.0, 50.0), {"n": n}) for n in range(1, 7)},
}
TAIL = {"erfc": 3.4}  # in f16 the result is subnormal from here on


@pytest.mark.parametrize("dtype", ["f4", "f2"])
@pytest.mark.parametrize("name", NARROW)
def test_narrow_floats_are_right_to_the_last_digit(name: str, dtype: str) -> None:
    """Computed in f64 and rounded once: half an ulp, and what f64 itself leaves."""
    exact, (low, high), params = NARROW[name]
    high = min(high, TAIL.get(name, high)) if dtype == "f2" else high
    x = np.concatenate([RNG.uniform(low, high, 300), both(over(-3, 0, 100))]).astype(dtype)
    x = x[(x != np.rint(x)) | (x > 0)]
    within(name.split()[0], x, exact, 0.501, **params)


@pytest.mark.parametrize(("dtype", "low", "high"), [("f4", -87.0, 87.0), ("f2", -9.0, 9.0)])
def test_logistic_functions_of_narrow_floats(dtype: str, low: float, high: float) -> None:
    """These stay in the dtype of their operand, as every elementary function does, and cost it a few ulps."""
    x = np.concatenate([RNG.uniform(low, high, 500), RNG.uniform(-5, 5, 300), both(over(-4, 0))]).astype(dtype)
    within("sigmoid", x, sigmoid, 3.5)
    within("softplus", x, softplus, 2)


# ── infinities, nan, poles, signed zeros ────────────────────────────────────────────────────────────────────

POLES = [0.0, -0.0, -1.0, -2.0, -170.0, -(2.0**52), -1e300]
AT = {
    "erf": [(INF, 1.0), (-INF, -1.0), (40.0, 1.0), (1e300, 1.0), (0.0, 0.0), (-0.0, -0.0), (-5e-324, -5e-324)],
    "erfc": [(INF, 0.0), (-INF, 2.0), (40.0, 0.0), (1e300, 0.0), (-1e300, 2.0), (0.0, 1.0), (-0.0, 1.0)],
    "lgamma": [(INF, INF), (-INF, INF), (1e308, INF), (1.0, 0.0), (2.0, 0.0), *((pole, INF) for pole in POLES)],
    "digamma": [(INF, INF), (-INF, NAN), (5e-324, -INF), (-5e-324, INF), *((pole, NAN) for pole in POLES)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (1000.0, 1.0), (-1000.0, 0.0), (0.0, 0.5), (-0.0, 0.5), (1e-300, 0.5)],
    "softplus": [(INF, INF), (-INF, 0.0), (1000.0, 1000.0), (-1000.0, 0.0), (1e308, 1e308), (0.0, float(np.log(2)))],
}


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("name", AT)
def test_the_ends_of_the_range(name: str, dtype: str) -> None:
    with np.errstate(over="ignore"):
        points = [(x, y) for x, y in AT[name] if float(np.dtype(dtype).type(x)) == x]
        x, expected = (np.array(column, dtype) for column in zip(*points, strict=True))
    found = run(name, x)
    assert_array_equal(found, expected)
    real = ~np.isnan(expected)
    assert_array_equal(np.signbit(found[real]), np.signbit(expected[real]))


@pytest.mark.parametrize("name", [*AT, "polygamma"])
def test_nan_stays_nan(name: str) -> None:
    params = {"n": 2} if name == "polygamma" else {}
    for dtype in ("f8", "f4", "f2"):
        assert np.isnan(run(name, np.array([NAN], dtype), **params)).all()


@pytest.mark.parametrize("n", range(1, 7))
def test_polygamma_at_its_poles_and_at_infinity(n: int) -> None:
    assert np.isnan(run("polygamma", np.array(POLES), n=n)).all()
    sign = (-1.0) ** (n + 1)
    tiny = run("polygamma", np.array([1e-300, -1e-300]), n=n)
    assert_array_equal(tiny, [sign * INF, INF])
    assert run("polygamma", np.array([INF]), n=n)[0] == 0.0
    assert np.isnan(run("polygamma", np.array([-INF]), n=n)).all()


def test_special_functions_keep_their_symmetries_to_the_bit() -> None:
    x = np.concatenate([RNG.uniform(0, 6, 200), over(-300, 0)])
    assert_array_equal(run("erf", -x), -run("erf", x))
    assert_array_equal(run("erfc", -x[x > 0.5]), 2.0 - run("erfc", x[x > 0.5]))


def test_factorials() -> None:
    """Γ(n + 1) = n!, by its logarithm."""
    n = np.arange(1.0, 171.0)
    exact = np.array([float(mp.log(mp.factorial(int(k)))) for k in n])
    np.testing.assert_allclose(run("lgamma", n + 1), exact, rtol=1e-15)

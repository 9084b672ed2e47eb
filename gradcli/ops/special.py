"""Special functions, in the few elementwise functions that every array namespace has.

All but the logistic functions are computed in f64 and rounded once, so their f16 and f32 results are right to the last
digit; those stay in the dtype of their operand, as exp does.

- erf, erfc: rational approximations of W. J. Cody, *Rational Chebyshev approximations for the error function*,
  Math. Comp. 23 (1969), 631-637.
- lgamma: the series of log Γ(2 + e) in ζ(k) - 1, the recurrence, Stirling's series, and the reflection formula
  (Abramowitz & Stegun 6.1.33, 6.1.15, 6.1.40, 6.1.17).
- digamma, polygamma: recurrence, asymptotic series, reflection (A & S 6.3.5, 6.3.18, 6.3.7, 6.4.6 to 6.4.11).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.graph import Value, apply
from gradcli.ir.primitive import Sample
from gradcli.ops.define import elementwise, general

Array = Any


def wide(function: Callable[..., Array]) -> Callable[..., Array]:
    """Compute in f64, give the result in the dtype of the operand."""

    def evaluate(xp: Any, x: Array, **params: Any) -> Array:
        return function(xp, x.astype("float64"), **params).astype(x.dtype)

    return evaluate


def _horner(x: Array, coefficients: Sequence[float]) -> Array:
    """A polynomial, highest power first."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


# ── erf and erfc ────────────────────────────────────────────────────────────────────────────────────────────

_ERF_P = (1.85777706184603153e-1, 3.16112374387056560e00, 1.13864154151050156e02, 3.77485237685302021e02,
          3.20937758913846947e03)  # fmt: skip
_ERF_Q = (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
_MID_P = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e01,
          2.98635138197400131e02, 8.81952221241769090e02, 1.71204761263407058e03, 2.05107837782607147e03,
          1.23033935479799725e03)  # fmt: skip
_MID_Q = (1.0, 1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
          3.29079923573345963e03, 4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03)  # fmt: skip
_FAR_P = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
          1.60837851487422766e-2, 6.58749161529837803e-4)  # fmt: skip
_FAR_Q = (1.0, 2.56852019228982242e00, 1.87295284992346725e00, 5.27905102951428412e-1, 6.05183413124413191e-2,
          2.33520497626869185e-3)  # fmt: skip
_NEAR, _FAR = 0.46875, 4.0


def _erf_near(x: Array) -> Array:
    """erf for |x| ≤ 0.46875."""
    z = x * x
    return x * _horner(z, _ERF_P) / _horner(z, _ERF_Q)


def _erfc_positive(xp: Any, y: Array) -> Array:
    """erfc for y > 0.46875. exp(-y²) is taken in two parts, of which the first is exact."""
    mid = xp.minimum(y, _FAR)
    far = xp.maximum(y, _FAR)
    z = 1.0 / (far * far)
    tail = (1.0 / math.sqrt(math.pi) - z * _horner(z, _FAR_P) / _horner(z, _FAR_Q)) / far
    scaled = xp.where(y <= _FAR, _horner(mid, _MID_P) / _horner(mid, _MID_Q), tail)
    y = xp.minimum(y, 40.0)  # there it is 0, and y² stays finite
    head = xp.trunc(y * 16.0) / 16.0
    return xp.exp(-head * head) * xp.exp(-(y - head) * (y + head)) * scaled


def _erf(xp: Any, x: Array) -> Array:
    y = xp.absolute(x)
    far = 1.0 - _erfc_positive(xp, xp.maximum(y, _NEAR))
    near = _erf_near(xp.minimum(xp.maximum(x, -_NEAR), _NEAR))
    return xp.where(y <= _NEAR, near, xp.where(xp.isnan(x), x, xp.sign(x) * far))


def _erfc(xp: Any, x: Array) -> Array:
    y = xp.absolute(x)
    far = _erfc_positive(xp, xp.maximum(y, _NEAR))
    near = 1.0 - _erf_near(xp.minimum(xp.maximum(x, -_NEAR), _NEAR))
    return xp.where(y <= _NEAR, near, xp.where(xp.isnan(x), x, xp.where(x > 0, far, 2.0 - far)))


def _bell(x: Value) -> Value:
    """2/sqrt(π) · exp(-x²)."""
    return apply("exp", -(x * x)) * (2.0 / math.sqrt(math.pi))


erf = elementwise("erf", wide(_erf), lambda x, out: (_bell(x),), flops=40, formula="2/sqrt(π)·exp(-x²)",
                  doc="The error function.")  # fmt: skip
erfc = elementwise("erfc", wide(_erfc), lambda x, out: (-_bell(x),), flops=40, formula="-2/sqrt(π)·exp(-x²)",
                   doc="1 - erf(x), exact where that is small.")  # fmt: skip

# ── the logarithm of the gamma function ─────────────────────────────────────────────────────────────────────

_ZETA = (
    6.449340668482264e-01, 2.020569031595943e-01, 8.232323371113819e-02, 3.692775514336993e-02, 1.734306198444914e-02,
    8.349277381922827e-03, 4.077356197944339e-03, 2.008392826082214e-03, 9.945751278180853e-04, 4.941886041194646e-04,
    2.460865533080483e-04, 1.227133475784891e-04, 6.124813505870483e-05, 3.058823630702049e-05, 1.528225940865187e-05,
    7.637197637899763e-06, 3.817293264999840e-06, 1.908212716553939e-06, 9.539620338727962e-07, 4.769329867878065e-07,
    2.384505027277329e-07, 1.192199259653111e-07, 5.960818905125948e-08, 2.980350351465228e-08, 1.490155482836504e-08,
    7.450711789835430e-09, 3.725334024788457e-09, 1.862659723513049e-09, 9.313274324196682e-10,
)  # ζ(k) - 1 for k = 2, 3, …  # fmt: skip
_EULER = 0.5772156649015329
_AT_TWO = tuple(z * (-1) ** k / k for k, z in reversed(list(enumerate(_ZETA, 2))))
_STIRLING = (-3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)


def _lgamma_positive(xp: Any, x: Array) -> Array:
    """For x ≥ 0.5: the series about 2, reached from 8.5 downwards by the recurrence; above it Stirling's."""
    y, factor = xp.minimum(x, 8.5), 1.0
    for _ in range(6):
        high = y > 2.5
        factor = xp.where(high, factor * (y - 1.0), factor)
        y = xp.where(high, y - 1.0, y)
    low = y < 1.5
    e = xp.where(low, y - 1.0, y - 2.0)
    series = e * (e * _horner(e, _AT_TWO) + (1.0 - _EULER))
    near = series - xp.where(low, xp.log1p(e), 0.0) + xp.log(factor)
    big = xp.maximum(x, 8.5)
    z = 1.0 / big
    far = (big - 0.5) * xp.log(big) - big + 0.5 * math.log(2 * math.pi) + z * _horner(z * z, _STIRLING)
    return xp.where(x <= 8.5, near, xp.where(xp.isinf(x), x, far))


def _turns(xp: Any, x: Array) -> Array:
    """x less the nearest whole number: sin(πx) = ±sin(π · turns)."""
    return x - xp.rint(x)


def _lgamma(xp: Any, x: Array) -> Array:
    left = x < 0.5
    straight = _lgamma_positive(xp, xp.where(left, 1.0 - x, x))
    sine = xp.absolute(xp.sin(math.pi * _turns(xp, x)))
    reflected = math.log(math.pi) - xp.log(sine) - straight
    whole = left & (_turns(xp, x) == 0) & xp.isfinite(x)
    return xp.where(whole | xp.isinf(x), math.inf, xp.where(left, reflected, straight))


lgamma = elementwise("lgamma", wide(_lgamma), lambda x, out: (apply("digamma", x),), flops=80, low=0.3, high=6.0,
                     formula="digamma(x)", doc="log |Γ(x)|.", conventions="nan at 0, -1, -2, …, where the value is inf")  # fmt: skip

# ── its derivatives ─────────────────────────────────────────────────────────────────────────────────────────

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
_SHIFT = 12


def _digamma_positive(xp: Any, x: Array) -> Array:
    """ψ(x) = log y - 1/2y - Σ B2k / (2k y^2k) - Σ 1/(x + j), with y = x + 12."""
    total = 0.0
    for j in range(_SHIFT):
        total = total + 1.0 / (x + j)
    y = x + _SHIFT
    z = 1.0 / (y * y)
    series = _horner(z, [b / (2 * k) for k, b in reversed(list(enumerate(_BERNOULLI, 1)))]) * z
    return xp.log(y) - 0.5 / y - series - total


def _digamma(xp: Any, x: Array) -> Array:
    left = x < 0.5
    straight = _digamma_positive(xp, xp.where(left, 1.0 - x, x))
    turns = _turns(xp, x)
    pole = left & (turns == 0)
    made = xp.where(left, straight - math.pi / xp.tan(math.pi * turns), straight)
    return xp.where(pole, x * math.nan, made)


digamma = elementwise("digamma", wide(_digamma), lambda x, out: (apply("polygamma", x, n=1),), flops=80, low=0.3, high=6.0,
                      formula="the trigamma function", doc="The derivative of lgamma.",
                      conventions="nan at 0, -1, -2, …")  # fmt: skip


def _polygamma_positive(xp: Any, x: Array, n: int) -> Array:
    """(-1)^(n+1) times ψ⁽ⁿ⁾: a sum of positive terms up to y = x + 12 + n, and the asymptotic series there."""
    shift = _SHIFT + n
    total = 0.0
    for j in range(shift):
        total = total + (x + j) ** float(-n - 1)
    y = x + shift
    z = 1.0 / (y * y)
    factors = [b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) for k, b in enumerate(_BERNOULLI, 1)]
    series = _horner(z, factors[::-1]) * z + math.factorial(n - 1) + math.factorial(n) / 2 / y
    return total * float(math.factorial(n)) + series * y ** float(-n)


def _cotangent_derivative(xp: Any, turns: Array, n: int) -> Array:
    """(d/dx)^n of π cot(πx), from the polynomial in c = cot(πx): p → -π (1 + c²) p'."""
    coefficients = [0, 1]  # lowest power first, without the powers of π
    for _ in range(n):
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        coefficients = [-a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    cotangent = 1.0 / xp.tan(math.pi * turns)
    return math.pi ** (n + 1) * _horner(cotangent, [float(c) for c in reversed(coefficients)])


def _polygamma(xp: Any, x: Array, *, n: int) -> Array:
    """ψ⁽ⁿ⁾(x), with ψ⁽ⁿ⁾(1 - x) - (-1)ⁿ ψ⁽ⁿ⁾(x) = (-1)ⁿ (d/dx)ⁿ π cot(πx)."""
    sign = (-1.0) ** (n + 1)
    left = x < 0.5
    straight = sign * _polygamma_positive(xp, xp.where(left, 1.0 - x, x), n)
    turns = _turns(xp, x)
    reflected = -sign * straight - _cotangent_derivative(xp, turns, n)
    return xp.where(left & (turns == 0), x * math.nan, xp.where(left, reflected, straight))


def _polygamma_vjp(cts: Any, inputs: Any, outs: Any, *, n: int) -> tuple[Value | None, ...]:
    return (cts[0] * apply("polygamma", inputs[0], n=n + 1),)


def _same_aval(x: Aval, *, n: int) -> tuple[Aval, ...]:
    return (x,)


def _polygamma_partials(x: Value, out: Value, *, n: int) -> tuple[Value]:
    return (apply("polygamma", x, n=n + 1),)


polygamma = general("polygamma", _same_aval, wide(_polygamma), _polygamma_vjp, kind="elementwise", flops=120, aliases="all",
                    partials=_polygamma_partials,
                    doc="The n-th derivative of digamma, n ≥ 1.", formula="polygamma(n + 1, x)",
                    samples=[Sample(((3,),), {"n": 1}, low=0.4, high=5.0), Sample(((2,),), {"n": 3}, low=0.4, high=5.0)])  # fmt: skip

# ── logistic functions ──────────────────────────────────────────────────────────────────────────────────────


def _sigmoid(xp: Any, x: Array) -> Array:
    z = xp.exp(-xp.absolute(x))
    one = x.dtype.type(1)
    return xp.where(x >= 0, one, z) / (z + one)


sigmoid = elementwise("sigmoid", _sigmoid, lambda x, out: (out * apply("sigmoid", -x),), flops=12,
                      formula="sigmoid(x)·sigmoid(-x)", doc="1 / (1 + exp(-x)), without overflow.")  # fmt: skip
softplus = elementwise("softplus", lambda xp, x: xp.logaddexp(x, x.dtype.type(0)), lambda x, out: (apply("sigmoid", x),),
                       flops=20, formula="sigmoid(x)", doc="log(1 + exp(x)), without overflow.")  # fmt: skip

"""Values and derivatives of the elementwise operators, from mpmath with 50 digits and more, checked against PyTorch.

Made with Python 3.11, mpmath 1.3.0, NumPy 2.4 and torch 2.13.0 (CPU). To make tests/reference/operators.json again:

    pip install mpmath==1.3.0 numpy torch==2.13.0 && python tools/reference/operators.py

Derivatives are differences, taken at a precision so high that 50 digits are left; those of lgamma and digamma, which
would take minutes, are polygammas. Kinks are written out piece by piece; at a kink stands what
docs/derivative-conventions.md promises. A number is the shortest that gives back the nearest float64; what is smaller
than the smallest normal one is written as 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath  # type: ignore[import-untyped]
import torch
from mpmath import mp, mpf

TARGET = Path(__file__).parents[2] / "tests" / "reference" / "operators.json"
DIGITS = 50
TINY = 2.2250738585072014e-308

Row = dict[str, Any]
Unary = Callable[[mpf], mpf]
Binary = Callable[[mpf, mpf], mpf]

# The constants of "Self-Normalizing Neural Networks" (Klambauer et al. 2017), as torch.nn.functional.selu has them.
SELU_ALPHA, SELU_SCALE = mpf(1.6732632423543772), mpf(1.0507009873554805)


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + mpmath.exp(-x))


def softplus(x: mpf) -> mpf:
    return mpmath.log(1 + mpmath.exp(x))


def mish(x: mpf) -> mpf:
    return x * mpmath.tanh(softplus(x))


def gelu(x: mpf) -> mpf:
    return x * mpmath.ncdf(x)


def lgamma(x: mpf) -> tuple[mpf, ...]:
    """log |gamma(x)|, which is real below zero too, and polygammas."""
    return mpmath.log(abs(mpmath.gamma(x))), *(mpmath.psi(order, x) for order in range(3))


def digamma(x: mpf) -> tuple[mpf, ...]:
    return tuple(mpmath.psi(order, x) for order in range(4))


# ── one operand ─────────────────────────────────────────────────────────────────────────────────────────────

ANY = (-3.5, -0.7, -1e-3, 0.25, 1.0, 2.5, 10.0)
POSITIVE = (1e-10, 1e-3, 0.3, 1.0, 2.5, 1e3, 1e10)
INSIDE = (-0.999, -0.5, -1e-6, 0.0, 0.3, 0.9, 0.999999)

SMOOTH: dict[str, tuple[Unary, tuple[float, ...]]] = {
    "neg": (lambda x: -x, (-1e300, -2.0, 0.0, 0.5, 3.0, 1e300)),
    "sqrt": (mpmath.sqrt, POSITIVE),
    "rsqrt": (lambda x: 1 / mpmath.sqrt(x), POSITIVE),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), (-1e9, -8.0, -0.3, 1e-6, 0.5, 27.0, 1e12)),
    "square": (lambda x: x * x, (-1e100, -3.0, -0.5, 0.0, 0.1, 2.0, 1e100)),
    "reciprocal": (lambda x: 1 / x, (-1e10, -3.0, -1e-10, 1e-10, 0.5, 2.0, 1e10)),
    "exp": (mpmath.exp, (-700.0, -5.0, -1e-8, 0.0, 1.0, 10.0, 700.0)),
    "exp2": (lambda x: mpf(2) ** x, (-1000.0, -5.5, -1e-8, 0.0, 1.0, 10.5, 1000.0)),
    "expm1": (mpmath.expm1, (-700.0, -5.0, -1e-8, 0.0, 1e-300, 1.0, 10.0, 700.0)),
    "log": (mpmath.log, (1e-100, *POSITIVE)),
    "log2": (lambda x: mpmath.log(x, 2), (1e-100, *POSITIVE)),
    "log10": (mpmath.log10, (1e-100, *POSITIVE)),
    "log1p": (lambda x: mpmath.log(1 + x), (-0.999999, -0.5, -1e-10, 0.0, 1e-300, 1e-5, 1.0, 1e10)),
    "sin": (mpmath.sin, (-100.0, -2.0, -1e-8, 0.0, 0.5, 3.0, 1e5)),
    "cos": (mpmath.cos, (-100.0, -2.0, -1e-8, 0.0, 0.5, 3.0, 1e5)),
    "tan": (mpmath.tan, (-100.0, -1.5, -1e-8, 0.0, 0.5, 1.57, 1e5)),
    "asin": (mpmath.asin, INSIDE),
    "acos": (mpmath.acos, INSIDE),
    "atan": (mpmath.atan, (-1e5, -2.0, -1e-8, 0.0, 0.5, 3.0, 1e5)),
    "sinh": (mpmath.sinh, (-700.0, -2.0, -1e-8, 0.0, 0.5, 10.0, 700.0)),
    "cosh": (mpmath.cosh, (-700.0, -2.0, -1e-8, 0.0, 0.5, 10.0, 700.0)),
    "tanh": (mpmath.tanh, (-300.0, -3.0, -0.5, 0.0, 1e-8, 0.5, 5.0, 300.0)),
    "asinh": (mpmath.asinh, (-1e10, -3.0, -0.5, 0.0, 1e-10, 0.5, 1e10)),
    "acosh": (mpmath.acosh, (1.000001, 1.1, 1.5, 2.0, 10.0, 1e10)),
    "atanh": (mpmath.atanh, INSIDE),
    "erf": (mpmath.erf, (-30.0, -3.0, -0.5, 0.0, 1e-10, 0.5, 2.5, 5.5)),
    "erfc": (mpmath.erfc, (-30.0, -3.0, -0.5, 0.0, 0.5, 2.5, 5.5, 25.0)),
    "sigmoid": (sigmoid, (-1000.0, -30.0, -2.0, 0.0, 0.5, 5.0, 30.0, 1000.0)),
    "softplus": (softplus, (-1000.0, -30.0, -2.0, 0.0, 0.5, 5.0, 30.0, 1000.0)),
    "gelu": (gelu, (-30.0, *ANY)),
    "silu": (lambda x: x * sigmoid(x), (-1000.0, -30.0, *ANY[:5], 1000.0)),
    "mish": (mish, (-1000.0, -30.0, *ANY[:5], 1000.0)),
}  # fmt: skip


def pieces(*derivatives: float) -> tuple[mpf, ...]:
    """f, f′, f″ and f‴; what is left out is 0."""
    return tuple(mpf(d) for d in derivatives) + (mpf(0),) * (4 - len(derivatives))


def elu(x: mpf, alpha: mpf, scale: mpf) -> tuple[mpf, ...]:
    if x > 0:
        return pieces(scale * x, scale)
    slope = scale * alpha * mpmath.exp(x)
    return scale * alpha * mpmath.expm1(x), slope, slope, slope


GAMMA = (-3.7, -0.5, 1e-5, 0.3, 1.7, 5.5, 100.0, 1e6)

# All orders at once.
WRITTEN: dict[str, tuple[Callable[[mpf], tuple[mpf, ...]], tuple[float, ...]]] = {
    "lgamma": (lgamma, GAMMA),
    "digamma": (digamma, GAMMA),
    "abs": (lambda x: pieces(abs(x), mpmath.sign(x)), (-1e300, -2.0, -1e-300, 0.0, 1e-300, 0.5, 1e300)),
    "sign": (lambda x: pieces(mpmath.sign(x)), (-1e300, -2.0, -1e-300, 0.0, 1e-300, 0.5, 1e300)),
    "relu": (lambda x: pieces(max(x, 0), x > 0), (-1e300, -2.0, -1e-300, 0.0, 1e-300, 0.5, 1e300)),
    "leaky_relu": (
        lambda x: pieces(x, 1) if x > 0 else pieces(x * mpf(0.01), mpf(0.01)),
        (-1e300, -2.0, -1e-300, 1e-300, 0.5, 1e300),
    ),
    "elu": (lambda x: elu(x, mpf(1), mpf(1)), (-1000.0, -30.0, -2.0, -1e-8, 1e-8, 0.5, 3.0, 1e300)),
    "selu": (lambda x: elu(x, SELU_ALPHA, SELU_SCALE), (-1000.0, -30.0, -2.0, -1e-8, 1e-8, 0.5, 3.0, 1e300)),
    "hardtanh": (
        lambda x: pieces(min(max(x, -1), 1), -1 < x < 1),
        (-1e300, -2.0, -0.999, 0.0, 0.3, 0.999, 1.5, 1e300),
    ),
}

# ── two operands ────────────────────────────────────────────────────────────────────────────────────────────

BINARY: dict[str, tuple[Binary, tuple[tuple[float, float], ...]]] = {
    "pow": (
        lambda x, y: x**y,
        ((0.5, 2.0), (2.0, -1.5), (1e-3, 0.5), (1.0, 7.0), (10.0, 100.0), (1e5, -3.3), (3.0, 1e-3)),
    ),
    "atan2": (
        lambda x, y: mpmath.atan2(x, y),
        ((1.0, 2.0), (-1.0, 2.0), (0.5, -3.0), (-0.5, -3.0), (1e5, 1e-5), (1e-5, 1e5), (0.0, 1.0)),
    ),
    "hypot": (
        mpmath.hypot,
        ((3.0, 4.0), (-1.0, 2.0), (0.5, -3.0), (1e-8, 1.0), (1e8, 1.0), (-2.0, -0.1), (0.0, 2.0)),
    ),
    "logaddexp": (
        lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
        ((0.0, 0.0), (1.0, 2.0), (-3.0, 0.5), (1000.0, 1000.5), (-1000.0, -1001.0), (30.0, -5.0), (1000.0, -1000.0)),
    ),
}  # fmt: skip

PAIRS = ((1.0, 2.0), (2.0, 1.0), (-1e300, 1e300), (0.5, 0.5), (-3.0, -3.0), (0.0, 1e-300), (1e300, 1e-300))


def extreme(x: float, y: float, *, larger: bool) -> Row:
    """`maximum` or `minimum`: a tie gives half to each."""
    first = 0.5 if x == y else float((x > y) == larger)
    value = max(x, y) if larger else min(x, y)
    return {"x": x, "y": y, "value": value, "dx": first, "dy": 1 - first, "dxx": 0.0, "dxy": 0.0, "dyy": 0.0}


# ── making ──────────────────────────────────────────────────────────────────────────────────────────────────


def number(x: mpf) -> float:
    """The nearest float64, with what is no normal one as zero."""
    value = float(x)
    return value if abs(value) >= TINY else 0.0


def derivative(function: Callable[..., mpf], point: tuple[float, ...], order: tuple[int, ...]) -> mpf:
    """By differences, with as many digits as it takes: the same number from two precisions. ArithmeticError if none."""
    if not any(order):
        with mp.workdps(450):
            return function(*map(mpf, point))
    last = None
    for digits in (450, 600):
        with mp.workdps(digits):
            found = mpmath.diff(function, tuple(map(mpf, point)), order)
        if last is not None and abs(found - last) <= abs(last) * mpf(10) ** -DIGITS + mpf(10) ** -400:
            return found
        last = found
    raise ArithmeticError(f"{function} at {point}: order {order} has not come to rest")


def unary_rows() -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for name, (function, points) in SMOOTH.items():
        exact = [[derivative(function, (x,), (order,)) for order in range(4)] for x in points]
        rows[name] = [{"x": x, "derivatives": [number(d) for d in all_]} for x, all_ in zip(points, exact, strict=True)]
    for name, (all_orders, points) in WRITTEN.items():
        rows[name] = [{"x": x, "derivatives": [number(d) for d in all_orders(mpf(x))]} for x in points]
    return rows


def binary_rows() -> dict[str, list[Row]]:
    orders = {"value": (0, 0), "dx": (1, 0), "dy": (0, 1), "dxx": (2, 0), "dxy": (1, 1), "dyy": (0, 2)}
    rows = {
        name: [
            {"x": x, "y": y, **{key: number(derivative(function, (x, y), order)) for key, order in orders.items()}}
            for x, y in points
        ]
        for name, (function, points) in BINARY.items()
    }
    rows["maximum"] = [extreme(x, y, larger=True) for x, y in PAIRS]
    rows["minimum"] = [extreme(x, y, larger=False) for x, y in PAIRS]
    return rows


# ── checking ────────────────────────────────────────────────────────────────────────────────────────────────


def in_torch(name: str) -> Any:
    return getattr(torch, name, None) or getattr(torch.nn.functional, name, None)


def agree(exact: float, other: torch.Tensor) -> bool:
    """Whether PyTorch gives the same; where it gives nan, mpmath is believed."""
    return math.isnan(other.item()) or math.isclose(exact, other.item(), rel_tol=1e-6, abs_tol=1e-9)


def check_unary(name: str, row: Row) -> None:
    """Raises AssertionError where PyTorch, if it has the operator, gives another value or derivative."""
    function = in_torch(name)
    if function is None:
        return
    x = torch.tensor(row["x"], dtype=torch.float64, requires_grad=True)
    value = function(x)
    for order, exact in enumerate(row["derivatives"]):
        assert agree(exact, value), f"{name} at {row['x']}, order {order}: {exact} here, {value.item()} in torch"
        if not value.requires_grad or order == 3:
            return
        (value,) = torch.autograd.grad(value, x, create_graph=True)


def check_binary(name: str, row: Row) -> None:
    """Likewise, for the value and the partials of order 1 and 2."""
    x, y = (torch.tensor(row[key], dtype=torch.float64, requires_grad=True) for key in "xy")
    value = in_torch(name)(x, y)
    dx, dy = torch.autograd.grad(value, (x, y), create_graph=True)
    found = {"value": value, "dx": dx, "dy": dy}
    for first in ("dx", "dy"):
        if found[first].requires_grad:
            second = torch.autograd.grad(found[first], (x, y), retain_graph=True, allow_unused=True)
            found |= {f"{first}{by}": d for by, d in zip("xy", second, strict=True) if d is not None}
    for key, other in found.items():
        exact = row[key if key in row else "dxy"]
        assert agree(exact, other), f"{name} at {row['x']}, {row['y']}: {key} is {exact} here, {other.item()} in torch"


def main() -> None:
    mp.dps = 2 * DIGITS
    unary, binary = unary_rows(), binary_rows()
    for name, rows in unary.items():
        for row in rows:
            check_unary(name, row)
    for name, rows in binary.items():
        for row in rows:
            check_binary(name, row)
    lines = []
    for name, rows in sorted({**unary, **binary}.items()):
        inside = ",\n".join("  " + json.dumps(row) for row in rows)
        lines.append(f"{json.dumps(name)}: [\n{inside}\n]")
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

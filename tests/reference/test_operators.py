"""Every elementwise operator against values that mpmath gives to 50 digits: orders 0 to 3, or all partials up to 2.

The numbers lie in operators.json beside this file; tools/reference/operators.py makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli

Row = dict[str, Any]

TABLE: dict[str, list[Row]] = json.loads((Path(__file__).parent / "operators.json").read_text(encoding="utf-8"))
UNARY = [name for name, rows in TABLE.items() if "derivatives" in rows[0]]
BINARY = [name for name, rows in TABLE.items() if "value" in rows[0]]

RTOL = 1e-12
# An error that a term of the formula, larger than the result, has by rounding: in units of the largest order at the
# point. `tanh''(5)` is the small difference of numbers of size 1.
ATOL = 1e-14


def assert_close(found: np.ndarray, wanted: list[float], scale: list[float], points: list[Any]) -> None:
    """|found - wanted| ≤ rtol |wanted| + atol scale, point by point; scale is the largest number of the point's row."""
    for one, exact, size, point in zip(np.broadcast_to(found, len(wanted)), wanted, scale, points, strict=True):
        allowed = RTOL * abs(exact) + ATOL * min(size, 1e300)
        assert abs(one - exact) <= allowed, f"at {point}: {one!r} for {exact!r}, off by {one - exact:.3g}"


def test_both_tables_are_read() -> None:
    assert len(UNARY) >= 40
    assert set(BINARY) == {"pow", "atan2", "hypot", "maximum", "minimum", "logaddexp"}
    assert all(len(rows) >= 6 for rows in TABLE.values())


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("name", UNARY)
def test_one_operand(name: str, order: int) -> None:
    rows = TABLE[name]
    points = [row["x"] for row in rows]
    net = gradcli.compile(f"net f(x) = {name}(x)")
    x = np.array(points)
    (found,) = net.grad(x=x, order=order) if order else net.eval(x=x)
    scale = [max(abs(d) for d in row["derivatives"][: order + 1]) for row in rows]
    assert_close(found, [row["derivatives"][order] for row in rows], scale, points)


PARTIALS = {"dx": "x", "dy": "y", "dxx": "x,x", "dxy": "x,y", "dyy": "y,y"}


@pytest.mark.parametrize("name", BINARY)
def test_two_operands(name: str) -> None:
    rows = TABLE[name]
    points = [(row["x"], row["y"]) for row in rows]
    net = gradcli.compile(f"net f(x, y) = {name}(x, y)")
    data = {"x": np.array([x for x, _ in points]), "y": np.array([y for _, y in points])}
    found = {"value": net.eval(**data)[0]}
    first, second = net.grad(**data, get_all=True), net.grad(**data, get_all=True, order=2)
    found |= {key: (first if len(key) == 2 else second)[by] for key, by in PARTIALS.items()}
    np.testing.assert_allclose(second["x,y"], second["y,x"], rtol=RTOL)
    for key, array in found.items():
        scale = [max(abs(row[k]) for k in ("value", *PARTIALS)) for row in rows]
        assert_close(array, [row[key] for row in rows], scale, points)


def test_mixed_derivative_of_pow_at_exponent_zero() -> None:
    """d²(x**y)/dx dy = x**(y-1) (1 + y log x), in either order."""
    found = gradcli.compile("net f(x, y) = x**y").grad(x=np.array(3.0), y=np.array(0.0), get_all=True, order=2)
    assert found["y,x"] == pytest.approx(1 / 3)
    assert found["x,y"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("name", "slope"), [("elu", 1.0), ("selu", 1.7580993408473766)])
def test_elu_at_zero(name: str, slope: float) -> None:
    """elu is differentiable at 0, with derivative 1; selu has a kink, and the slope of its left side, as in torch."""
    found = gradcli.compile(f"net f(x) = {name}(x)").grad(x=np.array([-1e-300, 0.0]))
    np.testing.assert_allclose(found["x"], [slope, slope], rtol=RTOL)


def test_acosh_far_out() -> None:
    """acosh'(x) = 1 / (sqrt(x - 1) sqrt(x + 1)), which is 1 / x where x * x overflows."""
    found = gradcli.compile("net f(x) = acosh(x)").grad(x=np.array(1e200))
    np.testing.assert_allclose(found["x"], 1e-200, rtol=RTOL)

"""The neural and shape operators against PyTorch in float64 (tools/reference/neural.py): values, gradients by every
float operand, and second derivatives along a direction.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli

TABLE: list[dict[str, Any]] = json.loads(Path(__file__).with_name("neural.json").read_text(encoding="utf-8"))
ROWS = [pytest.param(row, id=f"{k}-{row['call']}") for k, row in enumerate(TABLE)]
DTYPES = {"f": "f64", "i": "i64", "b": "bool"}


def weights(shape: tuple[int, ...], factor: int, modulus: int, divisor: int) -> np.ndarray[Any, Any]:
    """The weights and directions of the table: (factor k mod modulus - middle) / divisor."""
    k = np.arange(np.prod(shape, dtype=int))
    return np.asarray((factor * k % modulus - modulus // 2) / divisor).reshape(shape)


def model(row: dict[str, Any], operands: dict[str, Any], by: list[str]) -> str:
    """L = Σ c · call, its gradients, and the gradients of ⟨v, ∂L⟩."""
    types = ", ".join(f"{k}: {DTYPES[a.dtype.kind]}{list(a.shape) or ''}" for k, a in operands.items())
    names = ", ".join(operands)
    wrt = f"({', '.join(by)})" if len(by) > 1 else by[0]
    parts = ", ".join(f"d_{name}" for name in by)
    along = " + ".join(f"sum(v_{name} * d_{name})" for name in by)
    directions = "".join(f", v_{name}: f64{list(operands[name].shape) or ''}" for name in by)
    passed = ", ".join([names, "c", *[f"v_{name}" for name in by]])
    shape = list(np.shape(row["value"])) or ""
    return (
        f"net call({types}) = {row['call']}\n"
        f"net L({types}, c: f64{shape}) = sum(c * call({names}))\n"
        f"net first({types}, c: f64{shape}) = grad(L, wrt={wrt})({names}, c)\n"
        f"net along({types}, c: f64{shape}{directions}) {{\n  {parts} = first({names}, c)\n  return {along}\n}}\n"
        f"net second({types}, c: f64{shape}{directions}) = grad(along, wrt={wrt})({passed})\n"
    )


def close(found: Any, wanted: Any, rtol: float) -> None:
    exact = np.asarray(wanted)
    np.testing.assert_allclose(found, exact, rtol=rtol, atol=rtol * float(abs(exact).max(initial=1.0)))


@pytest.mark.parametrize("row", ROWS)
def test_value_gradients_and_second_derivatives(row: dict[str, Any]) -> None:
    operands = {name: np.asarray(value) for name, value in row["operands"].items()}
    by = list(row["gradients"])
    text = model(row, operands, by)
    c = weights(np.shape(row["value"]), 7, 11, 4)
    directions = {f"v_{name}": weights(operands[name].shape, 5, 13, 8) for name in by}
    (value,) = gradcli.compile(text, net="call").eval(**operands)
    close(value, row["value"], 1e-14)
    first = gradcli.compile(text, net="first").eval(**operands, c=c)
    second = gradcli.compile(text, net="second").eval(**operands, c=c, **directions)
    for name, one, two in zip(by, first, second, strict=True):
        close(one, row["gradients"][name], 1e-13)
        close(two, row["second"][name], 1e-12)


def test_the_whole_table_is_read() -> None:
    names = {row["call"].partition("(")[0] for row in TABLE}
    assert names == {
        "conv1d", "conv2d", "max_pool2d", "avg_pool2d", "layer_norm", "rms_norm", "attention", "mse", "cross_entropy",
        "binary_cross_entropy", "pad", "roll", "repeat", "tile", "take_along",
    }  # fmt: skip

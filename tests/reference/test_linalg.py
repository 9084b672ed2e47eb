"""Linear algebra against PyTorch, and nearly singular systems against mpmath.

The numbers lie in linalg.json beside this file; tools/reference/linalg.py makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradcli

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "linalg.json").read_text(encoding="utf-8"))
CASES, NEAR = TABLE["cases"], TABLE["near singular"]
EPS = np.finfo("f8").eps


def close(found: Any, wanted: Any) -> None:
    """To rounding of the largest element."""
    assert np.shape(found) == np.shape(wanted)
    assert_allclose(found, wanted, rtol=1e-12, atol=1e-13 * np.abs(wanted).max())


@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_second_derivatives(name: str) -> None:
    row = CASES[name]
    data = {key: np.array(array) for key, array in zip("ab", row["operands"], strict=False)}
    names, given = ", ".join(data), {**data, "w": np.array(row["w"]), "v": np.array(row["v"])}
    text = f"net out({names}) = {row['expression']}\n"
    close(gradcli.compile(text, net="out").eval(**data)[0], row["value"])
    text += f"net f({names}, w) = sum(w * out({names}))\n"
    text += f"net main({names}, w, v) {{\n  g = grad(f)({names}, w)\n  h = hvp(f, v=v)({names}, w)\n  return g, h\n}}\n"
    gradient, product = gradcli.compile(text).eval(**given)
    close(gradient, row["gradient"])
    close(product, row["hvp"])


@pytest.mark.parametrize("name", NEAR)
def test_nearly_singular_systems_lose_what_their_condition_takes(name: str) -> None:
    """Relative to the largest element; a gradient has two solutions, each with such an error."""
    row = NEAR[name]
    net = gradcli.compile("net f(a: f64[n, n], b: f64[n]) = solve(a, b)\n")
    data = {"a": np.array(row["a"]), "b": np.ones(len(row["a"]))}
    found = {"x": net.eval(**data)[0]}
    slopes = net.grad(**data, get_all=True)
    found |= {"by_a": slopes["a"], "by_b": slopes["b"]}
    for key, array in found.items():
        scale = np.abs(row[key]).max()
        assert_allclose(array, row[key], rtol=0, atol=2 * EPS * row["condition"] * scale, err_msg=key)

"""The rows of MindSpore's *Gradient Operation* guide, by the command line, as its readers would type them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Cli

GUIDE = Path(__file__).resolve().parents[1] / "models" / "guide"
X = [[4.51, 2.7, 3.6]] * 2
Y = [[2.6] * 3, [1.9] * 3, [1.3] * 3]
Z = [21.536]
XS = [[2.211, 0.51, 1.49], [5.588, 2.68, 4.07]]
YS = [[1.52, 2.82, 2.14], [1.1, 2.05, 1.55], [0.9, 1.55, 1.25]]
ELEMENT = [[0.11, 1.1, 1.1], [0, 0, 0]]

ROWS = {
    "the first input": ("matmul.net", "", {"x": X}),
    "all inputs": ("matmul.net", "--get-all", {"x": X, "y": Y}),
    "the params": ("matmul.net", "--get-by-list", {"z": Z}),
    "inputs and params": ("matmul.net", "--get-all --get-by-list", {"x": X, "y": Y, "z": Z}),
    "weighted": ("matmul.net", "--get-all --get-by-list --sens s.npy", {"x": XS, "y": YS, "z": [20.3922]}),
    "one element": ("matmul.net", "--sens basis:0,0", {"x": ELEMENT}),
    "a net of one element": ("element.net", "", {"x": ELEMENT}),
    "stop_gradient": ("stop_gradient.net", "", {"x": X}),
    "without stop_gradient": ("twice.net", "", {"x": [[9.02, 5.4, 7.2]] * 2}),
}
SECOND = {
    "sin": ("-e sin(x) -i x=f32(1.0)", {"x,x": -0.841471}),
    "x * x": ("-e x*x -i x=f32([0.1,0.2,0.3])", {"x,x": [2, 2, 2]}),
    "x * x * y": ("-e x*x*y -i x=4 -i y=5 --get-all", {"x,x": 10, "x,y": 8, "y,x": 8, "y,y": 0}),
}


def check(cli: Cli, arguments: list[str], wanted: dict[str, object], rtol: float) -> None:
    document = cli("grad", *arguments, "--json", cwd=GUIDE).done().json()
    found = {",".join(row["wrt"]): row["data"] for row in document["grads"]}
    assert list(found) == list(wanted)
    for name, data in wanted.items():
        np.testing.assert_allclose(found[name], data, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("row", ROWS)
def test_first_order(cli_inside: Cli, row: str) -> None:
    model, options, wanted = ROWS[row]
    check(cli_inside, [model, *options.split()], wanted, 1e-6)


@pytest.mark.parametrize("row", SECOND)
def test_second_order(cli_inside: Cli, row: str) -> None:
    options, wanted = SECOND[row]
    check(cli_inside, ["--order", "2", *options.split()], wanted, 1e-6)


# f, then its derivatives of order 1 to 4 at x
CLOSED = {
    "pow": ("x ** 5", 0.7, lambda x: [5 * x**4, 20 * x**3, 60 * x**2, 120 * x]),
    "log": ("log(x)", 0.7, lambda x: [1 / x, -1 / x**2, 2 / x**3, -6 / x**4]),
    "square": ("square(x)", 0.7, lambda x: [2 * x, 2, 0, 0]),
    "exp": ("exp(x)", 0.7, lambda x: [math.exp(x)] * 4),
    "neg": ("-x", 0.7, lambda x: [-1, 0, 0, 0]),
    "mul": ("x * x * x", 0.7, lambda x: [3 * x * x, 6 * x, 6, 0]),
    "div": ("1 / x", 0.7, lambda x: [-1 / x**2, 2 / x**3, -6 / x**4, 24 / x**5]),
    "matmul": ("[[x, 2.0]] @ [[x], [3.0]]", 0.7, lambda x: [2 * x, 2, 0, 0]),
    "sin": ("sin(x)", 0.7, lambda x: [math.cos(x), -math.sin(x), -math.cos(x), math.sin(x)]),
    "cos": ("cos(x)", 0.7, lambda x: [-math.sin(x), -math.cos(x), math.sin(x), math.cos(x)]),
    "tan": ("tan(x)", 0.7, lambda x: _tan(math.tan(x))),
    "sinh": ("sinh(x)", 0.7, lambda x: [math.cosh(x), math.sinh(x)] * 2),
    "cosh": ("cosh(x)", 0.7, lambda x: [math.sinh(x), math.cosh(x)] * 2),
    "atanh": ("atanh(x)", 0.4, lambda x: _atanh(x, 1 - x * x)),
}


def _tan(t: float) -> list[float]:
    s = 1 + t * t
    return [s, 2 * t * s, 2 * s * (1 + 3 * t * t), 8 * t * s * (2 + 3 * t * t)]


def _atanh(x: float, d: float) -> list[float]:
    return [1 / d, 2 * x / d**2, (2 + 6 * x * x) / d**3, 24 * x * (1 + x * x) / d**4]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(cli_inside: Cli, name: str, order: int, dtype: str) -> None:
    text, x, derivatives = CLOSED[name]
    given = ["-e", text, "-i", f"x={dtype}({x})", "--order", str(order), "--json"]
    (row,) = cli_inside("grad", *given).done().json()["grads"]
    assert row["dtype"] == dtype
    wanted = derivatives(float(np.float32(x)) if dtype == "f32" else x)[order - 1]
    np.testing.assert_allclose(np.ravel(row["data"]), wanted, rtol=2e-5 if dtype == "f32" else 1e-12, atol=1e-6)

"""Activations and composed nets against their definitions, with the defaults of torch.nn.functional."""

from __future__ import annotations

import subprocess
import sys
from math import erf
from typing import Any

import numpy as np
import pytest

import gradcli
from gradcli.interp.modules import has_net, load_prelude, net_of, open_prelude
from tests.interp.nets import NUMPY, calc, grads, same

X = np.array([-3.0, -1.0, -0.5, -0.1, 0.2, 0.7, 1.0, 2.5])
Phi = np.vectorize(lambda x: 0.5 * (1 + erf(x / np.sqrt(2))))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any, beta: float = 1.0) -> Any:
    return np.log1p(np.exp(beta * x)) / beta


SCALE, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
DEFINITIONS: list[tuple[str, Any]] = [
    ("relu(x)", np.maximum(X, 0)),
    ("leaky_relu(x)", np.where(X > 0, X, 0.01 * X)),
    ("leaky_relu(x, 0.2)", np.where(X > 0, X, 0.2 * X)),
    ("leaky_relu(x, negative_slope=0.2)", np.where(X > 0, X, 0.2 * X)),
    ("elu(x)", np.where(X > 0, X, np.expm1(X))),
    ("elu(x, alpha=0.5)", np.where(X > 0, X, 0.5 * np.expm1(X))),
    ("selu(x)", SCALE * np.where(X > 0, X, ALPHA * np.expm1(X))),
    ("gelu(x)", X * Phi(X)),
    ('gelu(x, approximate="tanh")', 0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3)))),
    ('gelu(x, approximate="none")', X * Phi(X)),
    ("silu(x)", X * sigmoid(X)),
    ("sigmoid(x)", sigmoid(X)),
    ("softplus(x)", softplus(X)),
    ("softplus(x, beta=2)", softplus(X, 2.0)),
    ("softplus(x, 0.5)", softplus(X, 0.5)),
    ("mish(x)", X * np.tanh(softplus(X))),
    ("hardtanh(x)", np.clip(X, -1, 1)),
    ("hardtanh(x, -0.3, 0.6)", np.clip(X, -0.3, 0.6)),
    ("hardtanh(x, min_val=-0.3, max_val=0.6)", np.clip(X, -0.3, 0.6)),
    ("softmax(x)", np.exp(X) / np.exp(X).sum()),
    ("log_softmax(x)", X - np.log(np.exp(X).sum())),
    ("logsumexp(x)", np.log(np.exp(X).sum())),
    ("tanh(x)", np.tanh(X)),
]


@pytest.mark.parametrize(("text", "wanted"), DEFINITIONS, ids=[row[0] for row in DEFINITIONS])
def test_activations_are_torchs(text: str, wanted: Any) -> None:
    same(calc(text, "x: f64[8]", x=X), wanted, "f64", rtol=1e-14)


ACTIVATIONS = [text for text, _ in DEFINITIONS if "=" not in text and "," not in text]


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_their_gradients_are_central_differences(text: str) -> None:
    weights = np.linspace(1, 2, 8)
    model = f"net f(x: f64[8], w: f64[8]) = sum(w * {text})\n"
    x = X + 0.01
    direction = np.cos(np.arange(8.0))
    step = 6e-6
    up, down = (
        float(calc(f"sum(w * {text})", "x: f64[8], w: f64[8]", x=x + h * direction, w=weights)) for h in (step, -step)
    )
    slope = (grads(model, x=x, w=weights)["x"] * direction).sum()
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("text", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_they_stay_in_their_dtype(text: str, dtype: str) -> None:
    exact = calc(text, "x: f64[8]", x=X)
    same(
        calc(text, f"x: {dtype}[8]", x=X.astype(NUMPY[dtype])),
        exact,
        dtype,
        rtol={"f16": 5e-3, "f32": 1e-6}[dtype],
        atol={"f16": 1e-3, "f32": 1e-7}[dtype],
    )


M = np.random.default_rng(3).normal(size=(2, 3, 4))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_normalised_exponentials_along_an_axis(axis: int) -> None:
    soft = np.exp(M) / np.exp(M).sum(axis, keepdims=True)
    same(calc(f"softmax(x, axis={axis})", "x: f64[2, 3, 4]", x=M), soft, rtol=1e-14)
    same(calc(f"log_softmax(x, axis={axis})", "x: f64[2, 3, 4]", x=M), np.log(soft), rtol=1e-13)
    name = "abc"[axis % 3]
    same(calc(f"softmax(x, axis={name})", "x: f64[a, b, c]", x=M), soft, rtol=1e-14)
    same(calc(f"log_softmax(x, axis={name})", "x: f64[a, b, c]", x=M), np.log(soft), rtol=1e-13)
    same(
        calc(f"logsumexp(x, axis={name}, keepdims=true)", "x: f64[a, b, c]", x=M),
        np.log(np.exp(M).sum(axis, keepdims=True)),
        rtol=1e-13,
    )


def test_softmax_is_over_the_last_axis_by_default() -> None:
    same(calc("sum(softmax(x), axis=-1)", "x: f64[2, 3, 4]", x=M), np.ones((2, 3)), rtol=1e-14)


def test_a_weak_argument_of_a_prelude_net_does_not_widen() -> None:
    same(calc("leaky_relu(x, 0.1) + elu(x, alpha=2) + hardtanh(x) + clip(x, 0, 1)", "x: f32", x=0.5), 2.0, "f32")


def test_an_error_inside_the_prelude_is_shown_at_the_users_line() -> None:
    for call in (
        "softmax(x, axis=3)",
        "mean(x, axis=3)",
        "var(x, axis=[0, 0])",
        "dot(x, x)",
        'gelu("a")',
        "norm(x, axis=q)",
        "clip(x, low=y)",
    ):
        with pytest.raises(gradcli.ModelError) as caught:
            gradcli.compile(f"net f(x: f64[2, 3], y: f64[5]) {{\n  h = 2 * x\n  return {call}\n}}\n").eval(
                x=np.ones((2, 3)), y=np.ones(5)
            )
        for found in caught.value.diagnostics:
            assert found.span is not None
            assert found.span.source.name == "<text>", (call, found)
            assert found.span.line == 3, (call, found)
            assert all(not label.span.source.prelude for label in found.others), (call, found.others)


def test_statistics_are_of_the_population() -> None:
    same(calc("var(x)", "x: f64[8]", x=X), X.var(), rtol=1e-14)
    same(calc("std(x)", "x: f64[8]", x=X), X.std(), rtol=1e-14)


def test_mean_of_named_and_all_axes() -> None:
    same(calc("mean(x, axis=batch)", "x: f64[batch, 3, 4]", x=M), M.mean(0), rtol=1e-14)
    same(calc("mean(x, axis=(a, b))", "x: f64[a, b, 4]", x=M), M.mean((0, 1)), rtol=1e-14)
    same(calc("var(x, axis=(a, b), keepdims=true)", "x: f64[a, b, 4]", x=M), M.var((0, 1), keepdims=True), rtol=1e-13)


def test_an_axis_name_that_a_prelude_net_also_uses() -> None:
    for name in ("x", "axis", "top", "shifted", "keepdims", "n", "slope"):
        same(calc(f"softmax(x, axis={name})", f"x: f64[{name}, 3, 4]", x=M), np.exp(M) / np.exp(M).sum(0), rtol=1e-14)
        same(calc(f"logsumexp(x, axis={name})", f"x: f64[{name}, 3, 4]", x=M), np.log(np.exp(M).sum(0)), rtol=1e-13)
        same(calc(f"std(x, axis={name})", f"x: f64[{name}, 3, 4]", x=M), M.std(0), rtol=1e-13)


def test_names_of_prelude_helpers_are_not_seen() -> None:
    for name in ("_count", "_below", "_as_kept"):
        with pytest.raises(gradcli.ModelError):
            calc(f"{name}(x, 0)", "x: f64[8]", x=X)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_net_read_alone_is_that_of_the_whole_prelude() -> None:
    whole = load_prelude().nets
    assert all(has_net(open_prelude(), name) for name in whole)
    for name, net in whole.items():
        alone = net_of(open_prelude(), name)
        assert (alone.span.text, alone.span.line) == (net.span.text, net.span.line)


def test_only_the_nets_that_are_used_are_read() -> None:
    code = (
        "import gradcli; from gradcli.interp.modules import open_prelude\n"
        "gradcli.compile('net f(x: f64[n]) = silu(x)').grad(x=[1.0, 2.0]); print(sorted(open_prelude().nets))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['silu']\n"

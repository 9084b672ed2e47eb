"""Every operator at sample points against NumPy, with its axis and keepdims variants and by the names of dims."""

from __future__ import annotations

from math import erf, erfc, lgamma
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import calc, grads, same

RNG = np.random.default_rng(7)
A = RNG.normal(size=(2, 3, 4)).round(3)
P = np.array([0.3, 0.9, 1.0, 2.5, 17.0])
R = np.array([-2.5, -1.5, -0.5, -0.2, 0.0, 0.2, 0.5, 1.5, 2.5])
U = np.array([-0.9, -0.3, 0.0, 0.4, 0.95])

ONE: list[tuple[str, Any, Any]] = [
    ("abs", R, np.abs),
    ("sign", R, np.sign),
    ("sqrt", P, np.sqrt),
    ("rsqrt", P, lambda x: 1 / np.sqrt(x)),
    ("cbrt", R, np.cbrt),
    ("square", R, np.square),
    ("reciprocal", P, np.reciprocal),
    ("exp", R, np.exp),
    ("exp2", R, np.exp2),
    ("expm1", R, np.expm1),
    ("log", P, np.log),
    ("log2", P, np.log2),
    ("log10", P, np.log10),
    ("log1p", P, np.log1p),
    ("sin", R, np.sin),
    ("cos", R, np.cos),
    ("tan", R, np.tan),
    ("asin", U, np.arcsin),
    ("acos", U, np.arccos),
    ("atan", R, np.arctan),
    ("sinh", R, np.sinh),
    ("cosh", R, np.cosh),
    ("tanh", R, np.tanh),
    ("asinh", R, np.arcsinh),
    ("acosh", P + 1, np.arccosh),
    ("atanh", U, np.arctanh),
    ("floor", R, np.floor),
    ("ceil", R, np.ceil),
    ("round", R, np.round),
    ("trunc", R, np.trunc),
    ("erf", R, np.vectorize(erf)),
    ("erfc", R, np.vectorize(erfc)),
    ("lgamma", P, np.vectorize(lgamma)),
    ("neg", R, np.negative),
    ("isfinite", np.array([1, np.inf, -np.inf, np.nan]), np.isfinite),
    ("isnan", np.array([1, np.inf, -np.inf, np.nan]), np.isnan),
    ("flatten", A, np.ravel),
    ("transpose", A, np.transpose),
    ("cumsum", P, np.cumsum),
    ("cumprod", P, np.cumprod),
    ("squeeze", A[:, None, :, None], np.squeeze),
    ("flip", A, np.flip),
]


def signature(**arrays: Any) -> str:
    kinds = {"f": "f64", "i": "i64", "b": "bool"}
    return ", ".join(
        f"{k}: {kinds[np.asarray(v).dtype.kind]}[{', '.join(map(str, np.shape(v)))}]" for k, v in arrays.items()
    )


def run(text: str, **arrays: Any) -> Any:
    arrays = {k: np.asarray(v) for k, v in arrays.items()}
    return calc(text, signature(**arrays), **arrays)


@pytest.mark.parametrize(("name", "x", "reference"), ONE, ids=[row[0] for row in ONE])
def test_operators_of_one_array(name: str, x: Any, reference: Any) -> None:
    same(run(f"{name}(x)", x=x), reference(x), rtol=4e-15, atol=1e-300)


def test_digamma() -> None:
    # digamma(1) = -γ, digamma(1/2) = -γ - 2 log 2, digamma(x + 1) = digamma(x) + 1/x
    gamma = 0.57721566490153286
    same(
        run("digamma(x)", x=[1.0, 0.5, 2.0, 10.0]),
        [-gamma, -gamma - 2 * np.log(2), 1 - gamma, 2.2517525890667211],
        rtol=1e-14,
    )


TWO: list[tuple[str, Any]] = [
    ("add", np.add),
    ("sub", np.subtract),
    ("mul", np.multiply),
    ("div", np.divide),
    ("pow", lambda x, y: np.power(np.abs(x), y)),
    ("maximum", np.maximum),
    ("minimum", np.minimum),
    ("atan2", np.arctan2),
    ("hypot", np.hypot),
    ("logaddexp", np.logaddexp),
]


@pytest.mark.parametrize(("name", "reference"), TWO, ids=[row[0] for row in TWO])
def test_operators_of_two_arrays(name: str, reference: Any) -> None:
    x, y = A, RNG.normal(size=(3, 1)).round(3)
    first = "abs(x)" if name == "pow" else "x"
    same(run(f"{name}({first}, y)", x=x, y=y), reference(x, y), rtol=4e-15)
    same(run(f"{name}({first}, 2.0)", x=x), reference(x, 2.0), rtol=4e-15)


def test_where_and_clip() -> None:
    same(run("where(x > 0, x, y)", x=A, y=np.zeros(4)), np.where(A > 0, A, 0))
    same(run("clip(x, -0.5, 0.5)", x=A), np.clip(A, -0.5, 0.5))
    same(run("clip(x, low=0)", x=A), np.clip(A, 0, None))
    same(run("clip(x, high=0)", x=A), np.clip(A, None, 0))
    same(run("clip(x, y, y + 1)", x=A, y=np.zeros(4)), np.clip(A, 0, 1))


REDUCTIONS: list[tuple[str, Any]] = [
    ("sum", np.sum),
    ("mean", np.mean),
    ("var", np.var),
    ("std", np.std),
    ("prod", np.prod),
    ("max", np.max),
    ("min", np.min),
    ("norm", lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))),
    ("logsumexp", lambda x, axis=None, keepdims=False: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))),
]
AXES: list[Any] = [None, 0, 1, 2, -1, -3, (0, 1), (0, -1), (2, 0), (0, 1, 2), ()]
BY_NAME = {0: "a", 1: "b", 2: "c"}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(("name", "reference"), REDUCTIONS, ids=[row[0] for row in REDUCTIONS])
def test_reductions(name: str, reference: Any, axis: Any, keepdims: bool) -> None:
    written = "None" if axis is None else str(list(axis) if isinstance(axis, tuple) else axis)
    wanted = reference(A, axis=axis, keepdims=keepdims)
    same(run(f"{name}(x, axis={written}, keepdims={str(keepdims).lower()})", x=A), wanted, rtol=1e-13, atol=1e-14)
    if axis is not None and axis != ():
        axes = axis if isinstance(axis, tuple) else (axis,)
        names = [BY_NAME[k % 3] for k in axes]
        by_name = f"[{', '.join(names)}]" if isinstance(axis, tuple) else names[0]
        text = f"{name}(x, axis={by_name}, keepdims={str(keepdims).lower()})"
        same(calc(text, "x: f64[a, b, c]", x=A), wanted, rtol=1e-13, atol=1e-14)
        same(calc(text.replace("[", "(").replace("]", ")"), "x: f64[a, b, c]", x=A), wanted, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("name", ["any", "all"])
def test_any_and_all(name: str, axis: Any, keepdims: bool) -> None:
    x = A[0] > 0
    written = "None" if axis is None else str(list(axis) if isinstance(axis, tuple) else axis)
    same(
        run(f"{name}(x, axis={written}, keepdims={str(keepdims).lower()})", x=x),
        getattr(np, name)(x, axis=axis, keepdims=keepdims),
        "bool",
    )


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_argmax_and_argmin(name: str, axis: Any) -> None:
    x = np.array([[1.0, 5.0, 5.0], [5.0, -1.0, -1.0]])
    reference = getattr(np, name)
    same(run(f"{name}(x)" if axis is None else f"{name}(x, axis={axis})", x=x), reference(x, axis=axis), "i64")
    same(
        run(f"{name}(x, axis={'None' if axis is None else axis}, keepdims=true)", x=x),
        reference(x, axis=axis, keepdims=True),
        "i64",
    )


def test_argmax_by_name() -> None:
    same(calc("argmax(x, axis=b)", "x: f64[a, b]", x=A[0]), A[0].argmax(1), "i64")


def test_nan_in_reductions_is_numpys() -> None:
    x = np.array([1.0, np.nan, 0.0])
    for name in ("max", "min", "sum", "mean", "prod"):
        same(run(f"{name}(x)", x=x), np.nan)
    same(run("maximum(x, 0.5)", x=x), [1.0, np.nan, 0.5])
    same(run("argmax(x)", x=x), np.argmax(x), "i64")


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_sums_and_products(name: str, axis: int) -> None:
    same(run(f"{name}(x, axis={axis})", x=A), getattr(np, name)(A, axis=axis), rtol=1e-14)
    same(
        calc(f"{name}(x, axis={BY_NAME[axis % 3]})", "x: f64[a, b, c]", x=A),
        getattr(np, name)(A, axis=axis),
        rtol=1e-14,
    )


def test_running_sums_without_an_axis_are_of_the_flat_array() -> None:
    same(run("cumsum(x)", x=A), np.cumsum(A), rtol=1e-14)


@pytest.mark.parametrize("axis", ["2", "-3", "[0, 0]", "0.5", "[0, 2]"])
@pytest.mark.parametrize("name", ["sum", "max", "mean", "cumsum", "softmax", "argmax"])
def test_no_such_axis(name: str, axis: str) -> None:
    if axis.startswith("[") and name in ("cumsum", "argmax"):
        pytest.skip("one axis only")
    with pytest.raises(gradcli.ModelError) as caught:
        run(f"{name}(x, axis={axis})", x=A[0])
    found = caught.value.diagnostics[0]
    assert found.code in ("SHP110", "SHP111"), found
    assert found.span is not None
    assert not found.span.source.prelude
    assert "sum" not in found.message or name in ("sum", "cumsum"), found.message


EMPTY = np.zeros((0, 3))


@pytest.mark.parametrize(
    ("text", "wanted"), [("sum(x)", 0.0), ("prod(x)", 1.0), ("sum(x, axis=0)", [0.0, 0, 0]), ("sum(x, axis=1)", [])]
)
def test_reductions_of_nothing(text: str, wanted: Any) -> None:
    same(run(text, x=EMPTY), wanted)


def test_the_largest_of_nothing_is_refused() -> None:
    for name in ("max", "min", "argmax"):
        with pytest.raises(gradcli.ModelError):
            run(f"{name}(x, axis=0)", x=EMPTY)


SHAPES: list[tuple[str, Any]] = [
    ("x.T", A.T),
    ("transpose(x)", A.T),
    ("transpose(x, axes=[1, 0, 2])", A.transpose(1, 0, 2)),
    ("transpose(x, [2, 0, 1])", A.transpose(2, 0, 1)),
    ("transpose(x, axes=(0, -1, 1))", A.transpose(0, -1, 1)),
    ("reshape(x, [4, 6])", A.reshape(4, 6)),
    ("reshape(x, [-1])", A.reshape(-1)),
    ("reshape(x, [2, -1])", A.reshape(2, -1)),
    ("reshape(x, -1)", A.reshape(-1)),
    ("reshape(x, 24)", A.reshape(24)),
    ("reshape(x, (6, 4))", A.reshape(6, 4)),
    ("reshape(x, x.shape)", A),
    ("reshape(x, [size(x)])", A.reshape(-1)),
    ("flatten(x)", A.reshape(-1)),
    ("expand_dims(x, 0)", A[None]),
    ("expand_dims(x, -1)", A[..., None]),
    ("expand_dims(x, axis=1)", A[:, None]),
    ("expand_dims(x, [0, 2])", np.expand_dims(A, (0, 2))),
    ("squeeze(x[:, :1])", A[:, 0]),
    ("squeeze(x[:, :1, :1], axis=1)", A[:, 0, :1]),
    ("squeeze(x[:, :1, :1], axis=[1, 2])", A[:, 0, 0]),
    ("squeeze(x[:, :1], axis=-2)", A[:, 0]),
    ("squeeze(x)", A),
    ("broadcast_to(x[0, 0], [2, 4])", np.broadcast_to(A[0, 0], (2, 4))),
    ("broadcast_to(x[:, :1], [2, 3, 4])", np.broadcast_to(A[:, :1], (2, 3, 4))),
    ("concat([x, x])", np.concatenate([A, A])),
    ("concat([x, 2 * x[:, :1]], axis=1)", np.concatenate([A, 2 * A[:, :1]], 1)),
    ("concat([x, x], axis=-1)", np.concatenate([A, A], -1)),
    ("concat((x, x), 2)", np.concatenate([A, A], 2)),
    ("stack([x, -x])", np.stack([A, -A])),
    ("stack([x, -x], axis=1)", np.stack([A, -A], 1)),
    ("stack([x, -x], axis=-1)", np.stack([A, -A], -1)),
    ("stack([x, -x], -2)", np.stack([A, -A], -2)),
    ("split(x, 2, axis=2)[1]", A[:, :, 2:]),
    ("split(x, 3, axis=1)[0]", A[:, :1]),
    ("split(x, [1], axis=1)[1]", A[:, 1:]),
    ("split(x, [1, 3], axis=-1)[1]", A[..., 1:3]),
    ("split(x, 2)[0]", A[:1]),
    ("flip(x)", A[::-1, ::-1, ::-1]),
    ("flip(x, axis=1)", A[:, ::-1]),
    ("flip(x, axis=[0, -1])", A[::-1, :, ::-1]),
    ("take(x, [1, 0, 1], axis=1)", np.take(A, [1, 0, 1], 1)),
    ("take(x, [5, 0])", np.take(A, [5, 0])),
    ("take(x, 2, axis=1)", np.take(A, 2, 1)),
    ("take(x, [[0, 1], [2, 0]], axis=-2)", np.take(A, [[0, 1], [2, 0]], 1)),
    ("matmul(x, x.T[:, :, 0])", A @ A.T[:, :, 0]),
    ("dot(x[0], x[1].T)", A[0] @ A[1].T),
    ("dot(x[0, 0], x[1, 1])", A[0, 0] @ A[1, 1]),
    ("outer(x[0, 0], x[0, :, 0])", np.outer(A[0, 0], A[0, :, 0])),
    ("outer(x[0], x[1])", np.outer(A[0], A[1])),
    ("shape(x)", [2, 3, 4]),
    ("x.shape", [2, 3, 4]),
    ("x.shape[-1]", 4),
    ("size(x)", 24),
]


@pytest.mark.parametrize(("text", "wanted"), SHAPES, ids=[row[0] for row in SHAPES])
def test_shape_operators(text: str, wanted: Any) -> None:
    same(run(text, x=A), wanted, rtol=1e-14)


def test_shape_operators_by_name() -> None:
    for text, wanted in [
        ("concat([x, x], axis=b)", np.concatenate([A, A], 1)),
        ("flip(x, axis=c)", A[..., ::-1]),
        ("split(x, 2, axis=c)[0]", A[..., :2]),
        ("take(x, [1], axis=b)", A[:, [1]]),
        ("transpose(x, axes=[c, a, b])", A.transpose(2, 0, 1)),
    ]:
        same(calc(text, "x: f64[a, b, c]", x=A), wanted)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("reshape(x, [5])", "SHP112"),
        ("reshape(x, [-1, 5])", "SHP112"),
        ("reshape(x, [-1, -1])", "SHP112"),
        ("transpose(x, [0, 1])", "SHP111"),
        ("transpose(x, [0, 0, 1])", "SHP111"),
        ("squeeze(x, axis=0)", "SHP111"),
        ("expand_dims(x, 5)", "SHP111"),
        ("broadcast_to(x, [4])", "SHP101"),
        ("broadcast_to(x, [2, 3, 5])", "SHP101"),
        ("concat([x, x[0]])", "SHP107"),
        ("concat([x, x[:, :1]])", "SHP106"),
        ("stack([x, x[0]])", "SHP104"),
        ("concat([])", "SHP113"),
        ("concat(1)", "SHP113"),
        ("split(x, 3)", "SHP112"),
        ("split(x, 0)", "SHP112"),
        ("take(x, [3], axis=1)", "SHP108"),
        ("take(x, 24)", "SHP108"),
        ("sum()", "NAM021"),
        ("sum(x, 0, true, 1)", "NAM020"),
        ("exp(x, x)", "NAM020"),
        ("exp()", "NAM021"),
        ("sum(x, axs=0)", "NAM022"),
        ("maximum(x)", "NAM021"),
        ('exp("a")', "SHP113"),
    ],
)
def test_wrong_use_of_operators(text: str, code: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        run(text, x=A)
    found = caught.value.diagnostics[0]
    assert found.span is not None
    assert found.span.text in text or text in found.span.text
    assert found.code == code, found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("zeros([2, 3])", np.zeros((2, 3))),
        ("zeros(3)", np.zeros(3)),
        ("zeros([])", np.zeros(())),
        ("ones([2, 3])", np.ones((2, 3))),
        ("full([2, 3], 1.5)", np.full((2, 3), 1.5)),
        ("full([2], [1.0, 2.0])", [1.0, 2.0]),
        ("arange(4)", np.arange(4)),
        ("arange(1, 4)", np.arange(1, 4)),
        ("arange(1, 8, 3)", np.arange(1, 8, 3)),
        ("arange(5, 0, -2)", np.arange(5, 0, -2)),
        ("arange(0.0, 1.0, 0.25)", np.arange(0, 1, 0.25)),
        ("arange(0)", np.arange(0)),
        ("arange(3, 1)", np.arange(3, 1)),
        ("linspace(0, 1, 5)", np.linspace(0, 1, 5)),
        ("linspace(1, -1, 3)", np.linspace(1, -1, 3)),
        ("linspace(2, 3)", np.linspace(2, 3)),
        ("linspace(2, 3, 1)", [2.0]),
        ("linspace(0, 1, num=3)", np.linspace(0, 1, 3)),
        ("eye(3)", np.eye(3)),
        ("eye(2, 4)", np.eye(2, 4)),
        ("zeros([0, 2])", np.zeros((0, 2))),
    ],
)
def test_makers(text: str, wanted: Any) -> None:
    same(calc(text), wanted, rtol=1e-15)


def test_makers_of_dims() -> None:
    same(
        calc("zeros([n]) + arange(n) + ones(n) + sum(eye(n)) + sum(linspace(0, 1, n)) + x", "x: f64[n]", x=np.zeros(3)),
        np.arange(3) + 1 + 3 + 1.5,
    )


# ── conventions ──

POINTS: list[tuple[str, Any, Any]] = [
    ("abs(x)", 0.0, 0.0),
    ("sign(x)", 0.0, 0.0),
    ("relu(x)", 0.0, 0.0),
    ("sqrt(x)", 0.0, np.inf),
    ("norm(x)", [0.0, 0.0], [np.nan, np.nan]),
    ("max(x)", [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
    ("min(x)", [2.0, 2.0, 2.0], [1 / 3] * 3),
    ("maximum(x, 1.0)", 1.0, 0.5),
    ("minimum(x, 1.0)", 1.0, 0.5),
    ("x ** 0", 0.0, 0.0),
    ("x ** 0", -3.0, 0.0),
    ("x ** 2", 0.0, 0.0),
    ("x ** 2", -3.0, -6.0),
    ("x ** 3", -2.0, 12.0),
    ("x ** 1", 0.0, 1.0),
    ("x ** 0.0", 0.0, 0.0),
    ("x ** 2.0", -3.0, -6.0),
    ("x ** -1", -2.0, -0.25),
    ("where(x > 0, x, 2 * x)", [1.0, -1.0], [1.0, 2.0]),
    ("floor(x)", 1.5, 0.0),
    ("tanh(x)", 300.0, 0.0),
    ("sigmoid(x)", 1000.0, 0.0),
    ("sigmoid(x)", -1000.0, 0.0),
    ("softplus(x)", 1000.0, 1.0),
    ("softplus(x)", -1000.0, 0.0),
    ("logsumexp(x)", [1000.0, 1000.0], [0.5, 0.5]),
    ("softmax(x)[0]", [1000.0, -1000.0], [0.0, 0.0]),
    ("1 / x if x > 0 else 0.0", 0.0, np.nan),
    ("1 / (x if x > 0 else 1.0) if x > 0 else 0.0", 0.0, 0.0),
    ("prod(x)", [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    ("prod(x)", [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    ("cumprod(x)[-1]", [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    ("logaddexp(x, x)", 1000.0, 1.0),
    ("log1p(x)", 1e-20, 1.0),
    ("expm1(x)", 1e-20, 1.0),
    ("hypot(x, 0.0)", -3.0, -1.0),
    ("x % 3.0", 7.0, 1.0),
    ("cbrt(x)", -8.0, 1 / 12),
    ("2.0 ** x", 3.0, 8 * np.log(2)),
    ("logsumexp(x)", [-np.inf, 0.0], [0.0, 1.0]),
    ("gelu(x)", 0.0, 0.5),
    ("silu(x)", 0.0, 0.5),
    ("x * x * x", 2.0, 12.0),
]


@pytest.mark.parametrize(("text", "at", "wanted"), POINTS)
def test_conventions_at_the_hard_points(text: str, at: Any, wanted: Any) -> None:
    at = np.asarray(at)
    g = grads(f"net f({signature(x=at)}) = {text}\n", x=at)["x"]
    np.testing.assert_allclose(g, wanted, rtol=1e-14, atol=0)


VALUES: list[tuple[str, Any, Any]] = [
    ("logsumexp(x)", [1000.0, 1000.0], 1000 + np.log(2)),
    ("logsumexp(x)", [-1000.0, -1000.0], -1000 + np.log(2)),
    ("logsumexp(x)", [-np.inf, -np.inf], -np.inf),
    ("logsumexp(x)", [np.inf, 0.0], np.inf),
    ("softmax(x)", [1000.0, 1000.0], [0.5, 0.5]),
    ("softmax(x)", [-1000.0, 1000.0], [0.0, 1.0]),
    ("log_softmax(x)", [-1000.0, 1000.0], [-2000.0, 0.0]),
    ("sigmoid(x)", [1000.0, -1000.0, -700.0], [1.0, 0.0, np.exp(-700.0)]),
    ("softplus(x)", [1000.0, -1000.0, -40.0], [1000.0, 0.0, np.exp(-40.0)]),
    ("log1p(x)", [1e-20], [1e-20]),
    ("expm1(x)", [1e-20, -1000.0], [1e-20, -1.0]),
    ("x ** 0", [0.0, np.nan, np.inf], [1.0, 1.0, 1.0]),
    ("1 / x", [0.0], [np.inf]),
    ("round(x)", [0.5, 1.5, 2.5, -0.5], [0.0, 2.0, 2.0, -0.0]),
    ("x % 2.0", [-1.0, 3.5, np.inf], [1.0, 1.5, np.nan]),
    ("var(x)", [1.0, 2.0, 4.0], np.var([1.0, 2.0, 4.0])),
    ("where(x > 0, log(x), 0.0)", [0.0, 1.0], [0.0, 0.0]),
    ("sqrt(x)", [-1.0], [np.nan]),
    ("erfc(x)", [26.0], [5.663192408856143e-296]),
    ("hypot(x, x)", [1e200], [1.4142135623730951e200]),
    ("gelu(x)", [-30.0], [-30 * 4.906713927148187e-198]),
]


@pytest.mark.parametrize(("text", "at", "wanted"), VALUES)
def test_values_at_the_hard_points(text: str, at: Any, wanted: Any) -> None:
    at = np.asarray(at)
    out = calc(text, signature(x=at), x=at)
    np.testing.assert_allclose(out, wanted, rtol=1e-12, atol=0)

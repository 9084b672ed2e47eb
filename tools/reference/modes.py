"""Every differentiable operator at one point: value and derivatives up to order three, from JAX in float64.

Made with Python 3.11 and jax 0.10.2 (64 bits, CPU). To make tests/reference/modes.json again:

    pip install jax==0.10.2 && python tools/reference/modes.py

A row is an expression of the language (or the body of a net, in braces) and the same in JAX. Its operands are taken
together as one vector z, in order. Stored are, with F = Σ c · value and a direction v,

    value                   jvp = ∂value v            gradient = ∂F        beside = ∂F at z + v / 64
    hvp = ∂²F v             hessian = ∂²F             third = ∂³F v v

where c_k = (7k mod 11 - 5)/4 and v_k = (5k mod 13 - 6)/8. JAX takes the gradient backwards, `jvp`, `hvp` and `third`
forwards over backwards; the Hessian is forwards over backwards as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn
from jax.scipy import special

TARGET = Path(__file__).parents[2] / "tests" / "reference" / "modes.json"


class Row(NamedTuple):
    expression: str
    jax: Callable[..., Any]
    operands: dict[str, Any]


ROWS: dict[str, list[Row]] = {}  # by the operator's name, or what the language has without one


def row(operator: str, expression: str, function: Callable[..., Any], **operands: Any) -> None:
    ROWS.setdefault(operator, []).append(Row(expression, function, operands))


# ── elementwise ─────────────────────────────────────────────────────────────────────────────────────────────

ANY, POSITIVE, INSIDE, PAST_ONE = [-1.25, 0.5, 2.0], [0.25, 1.5, 3.0], [-0.75, 0.125, 0.5], [1.25, 2.0, 5.0]
UNARY: dict[str, tuple[Callable[..., Any], list[float]]] = {
    "abs": (jnp.abs, ANY), "acos": (jnp.arccos, INSIDE), "acosh": (jnp.arccosh, PAST_ONE),
    "asin": (jnp.arcsin, INSIDE), "asinh": (jnp.arcsinh, ANY), "atan": (jnp.arctan, ANY),
    "atanh": (jnp.arctanh, INSIDE), "cbrt": (jnp.cbrt, ANY), "cos": (jnp.cos, ANY), "cosh": (jnp.cosh, ANY),
    "digamma": (special.digamma, POSITIVE), "elu": (nn.elu, ANY), "erf": (special.erf, ANY),
    "erfc": (special.erfc, ANY), "exp": (jnp.exp, ANY), "exp2": (jnp.exp2, ANY), "expm1": (jnp.expm1, ANY),
    "gelu": (lambda x: nn.gelu(x, approximate=False), ANY),
    "hardtanh": (lambda x: jnp.clip(x, -1, 1), ANY), "leaky_relu": (nn.leaky_relu, ANY),
    "lgamma": (special.gammaln, POSITIVE), "log": (jnp.log, POSITIVE), "log10": (jnp.log10, POSITIVE),
    "log1p": (jnp.log1p, INSIDE), "log2": (jnp.log2, POSITIVE),
    "mish": (lambda x: x * jnp.tanh(jnp.logaddexp(x, 0)), ANY), "neg": (jnp.negative, ANY),
    "reciprocal": (jnp.reciprocal, ANY), "relu": (nn.relu, ANY), "rsqrt": (lax.rsqrt, POSITIVE),
    "selu": (nn.selu, ANY), "sigmoid": (nn.sigmoid, ANY), "silu": (nn.silu, ANY), "sin": (jnp.sin, ANY),
    "sinh": (jnp.sinh, ANY), "softplus": (nn.softplus, ANY), "sqrt": (jnp.sqrt, POSITIVE),
    "square": (jnp.square, ANY), "tan": (jnp.tan, INSIDE), "tanh": (jnp.tanh, ANY),
}  # fmt: skip
for _name, (_function, _points) in UNARY.items():
    row(_name, f"{_name}(x)", _function, x=_points)

FLAT: dict[str, Callable[..., Any]] = {"sign": jnp.sign, "floor": jnp.floor, "ceil": jnp.ceil, "round": jnp.round,
                                       "trunc": jnp.trunc, "isfinite": jnp.isfinite, "isnan": jnp.isnan}  # fmt: skip
for _name, _function in FLAT.items():
    row(_name, f"{_name}(x) * x ** 2", lambda x, f=_function: f(x) * x**2, x=[-1.75, 0.25, 2.25])

X, Y = [-1.25, 0.5], [2.0, 0.75]
BINARY: dict[str, Callable[..., Any]] = {
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide, "atan2": jnp.arctan2,
    "hypot": jnp.hypot, "logaddexp": jnp.logaddexp, "maximum": jnp.maximum, "minimum": jnp.minimum,
}  # fmt: skip
for _name, _function in BINARY.items():
    row(_name, f"{_name}(x, y)", _function, x=X, y=Y)
row("mul", "mul(x[:, None], y[None, :])", lambda x, y: x[:, None] * y, x=X, y=Y)
row("div", "div(x[:, None], y[None, :])", lambda x, y: x[:, None] / y, x=X, y=Y)
row("pow", "pow(x, y)", jnp.power, x=[1.25, 0.5], y=Y)
row("pow", "x ** 3 - x ** 2 + x ** -1", lambda x: x**3 - x**2 + 1 / x, x=ANY)
row("pow", "x ** 0.5 + 2 ** x", lambda x: jnp.sqrt(x) + 2**x, x=POSITIVE)
row("where", "where(x > y, x * y, y ** 3)", lambda x, y: jnp.where(x > y, x * y, y**3), x=[3.0, 0.5], y=Y)
row("clip", "clip(x ** 3, -1, 2) + clip(x, low=0)",
    lambda x: jnp.clip(x**3, -1, 2) + jnp.maximum(x, 0), x=[-1.25, 0.5, 1.1])  # fmt: skip
row("softplus", "softplus(x, beta=3)", lambda x: nn.softplus(3 * x) / 3, x=ANY)
row("gelu", 'gelu(x, approximate="tanh")', nn.gelu, x=ANY)
row("elu", "elu(x, alpha=0.5)", lambda x: nn.elu(x, 0.5), x=ANY)
row("leaky_relu", "leaky_relu(x * x, negative_slope=0.2)", lambda x: x * x, x=ANY)
row("stop_gradient", "x ** 2 * stop_gradient(sin(x))", lambda x: x**2 * lax.stop_gradient(jnp.sin(x)), x=ANY)

# ── reductions ──────────────────────────────────────────────────────────────────────────────────────────────

GRID = [[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]]
REDUCE: dict[str, Callable[..., Any]] = {"sum": jnp.sum, "mean": jnp.mean, "prod": jnp.prod, "max": jnp.max,
                                         "min": jnp.min, "var": jnp.var, "std": jnp.std, "norm": jnp.linalg.norm,
                                         "logsumexp": special.logsumexp}  # fmt: skip
for _name, _function in REDUCE.items():
    row(_name, f"{_name}(sin(x)) + x[0, 0] ** 3", lambda x, f=_function: f(jnp.sin(x)) + x[0, 0] ** 3, x=[GRID[0]])
    row(_name, f"{_name}(x * x, axis=1)", lambda x, f=_function: f(x * x, axis=1), x=GRID)
    row(_name, f"x * {_name}(x, axis=0, keepdims=true)", lambda x, f=_function: x * f(x, axis=0, keepdims=True), x=GRID)
row("prod", "prod(x)", jnp.prod, x=[2.0, 0.0, -1.5, 0.5])
row("cumprod", "cumprod(x)", jnp.cumprod, x=[2.0, 0.0, -1.5, 0.5])
row("cumprod", "cumprod(x, axis=0)", lambda x: jnp.cumprod(x, axis=0), x=GRID)
row("cumsum", "cumsum(x ** 3, axis=1)", lambda x: jnp.cumsum(x**3, axis=1), x=GRID)
row("softmax", "softmax(x)", nn.softmax, x=[0.5, -1.25, 2.0])
row("softmax", "softmax(x, axis=0)", lambda x: nn.softmax(x, axis=0), x=GRID)
row("log_softmax", "log_softmax(x)", nn.log_softmax, x=GRID)
row("argmax", "x ** 2 * argmax(x)", lambda x: x**2 * jnp.argmax(x), x=ANY)
row("argmin", "x ** 2 * (1 + argmin(x))", lambda x: x**2 * (1 + jnp.argmin(x)), x=ANY)
row("any", "x ** 2 * any(x > 0)", lambda x: x**2 * jnp.any(x > 0), x=ANY)
row("all", "x ** 2 * (2 - all(x > 0))", lambda x: x**2 * (2 - jnp.all(x > 0)), x=ANY)

# ── linear algebra ──────────────────────────────────────────────────────────────────────────────────────────

A, B = [[2.5, -0.5], [0.75, 3.0]], [1.0, -2.0]
WIDE = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
THREE = [[2.0, 0.5, -1.0], [0.25, -1.5, 0.75], [1.0, 0.5, 3.0]]
row("matmul", "x @ y", jnp.matmul, x=A, y=B)
row("matmul", "matmul(x, x.T) @ x", lambda x: x @ x.T @ x, x=WIDE)
row("dot", "dot(x, y) * x", lambda x, y: jnp.dot(x, y) * x, x=B, y=[0.5, 3.0])
row("outer", "outer(x, y)", jnp.outer, x=B, y=[0.5, 3.0])
row("einsum", 'einsum("ij,j,kj->ik", x, y, x)', lambda x, y: jnp.einsum("ij,j,kj->ik", x, y, x), x=A, y=B)
row("einsum", 'einsum("ii->i", x) * einsum("ij->j", x)', lambda x: jnp.diagonal(x) * x.sum(0), x=A)
row("trace", "trace(x @ x) + trace(x, offset=1) ** 3", lambda x: jnp.trace(x @ x) + x[0, 1] ** 3, x=A)
row("diag", "diag(x) @ x + diag(x * x, k=1)[:3, :3]",
    lambda x: jnp.diag(x) @ x + jnp.diag(x * x, 1)[:3, :3], x=ANY)  # fmt: skip
row("diag", "diag(x @ x)", lambda x: jnp.diag(x @ x), x=A)
row("tril", "tril(x @ x)", lambda x: jnp.tril(x @ x), x=A)
row("triu", "triu(x @ x, k=1) + triu(x) ** 3", lambda x: jnp.triu(x @ x, 1) + jnp.triu(x) ** 3, x=A)
row("solve", "solve(x, y)", jnp.linalg.solve, x=A, y=B)
row("inv", "inv(x)", jnp.linalg.inv, x=A)
row("det", "det(x)", jnp.linalg.det, x=A)
row("det", "det(x) ** 2", lambda x: jnp.linalg.det(x) ** 2, x=THREE)
row("slogdet", "slogdet(x)[1] * slogdet(x)[0]", lambda x: jnp.prod(jnp.stack(jnp.linalg.slogdet(x))), x=THREE)
row("cholesky", "cholesky(x)", jnp.linalg.cholesky, x=A)

# ── shape ───────────────────────────────────────────────────────────────────────────────────────────────────

row("transpose", "transpose(x) @ x", lambda x: x.T @ x, x=GRID)
row("reshape", "reshape(x, [3, 2]) @ x", lambda x: x.reshape(3, 2) @ x, x=GRID)
row("flatten", "flatten(x) ** 3", lambda x: x.reshape(-1) ** 3, x=GRID)
row("squeeze", "squeeze(x) * x", lambda x: x[0] * x, x=[GRID[0]])
row("expand_dims", "expand_dims(x, 1) * x[None, :]", lambda x: x[:, None] * x, x=ANY)
row("broadcast_to", "broadcast_to(x, [2, 3]) ** 3 * y", lambda x, y: jnp.broadcast_to(x, (2, 3)) ** 3 * y,
    x=ANY, y=[[0.5], [2.0]])  # fmt: skip
row("concat", "concat([x * x, y, x], axis=0)", lambda x, y: jnp.concatenate([x * x, y, x]), x=B, y=[0.5])
row("stack", "stack([x * y, x, y ** 3], axis=1)", lambda x, y: jnp.stack([x * y, x, y**3], 1), x=B, y=[0.5, 3.0])
row("split", "split(x, 2)[0] * split(x, [1, 3])[1]", lambda x: x[:2] * x[1:3], x=[0.5, -1.25, 2.0, 1.5])
row("flip", "flip(x, axis=1) * x", lambda x: jnp.flip(x, 1) * x, x=GRID)
row("roll", "roll(x, 1, axis=1) * x ** 2", lambda x: jnp.roll(x, 1, 1) * x**2, x=GRID)
row("pad", "pad(x, [[1, 2]], constant_values=0.5) ** 3", lambda x: jnp.pad(x, (1, 2), constant_values=0.5) ** 3, x=ANY)
for _mode in ("edge", "reflect", "wrap"):
    row("pad", f'pad(x, 2, mode="{_mode}") ** 3', lambda x, mode=_mode: jnp.pad(x, 2, mode=mode) ** 3, x=ANY)
row("repeat", "repeat(x, 2) ** 3", lambda x: jnp.repeat(x, 2) ** 3, x=ANY)
row("tile", "tile(x, 2) ** 3", lambda x: jnp.tile(x, 2) ** 3, x=ANY)
row("take", "take(x, [2, 0, 2], axis=1) ** 3", lambda x: x[:, jnp.array([2, 0, 2])] ** 3, x=GRID)
row("take_along", "take_along(x, [[2, 2], [0, 1]], axis=1) ** 3",
    lambda x: jnp.take_along_axis(x, jnp.array([[2, 2], [0, 1]]), 1) ** 3, x=GRID)  # fmt: skip
row("full", "full([2, 3], x[0] * x[1] ** 2)", lambda x: jnp.full((2, 3), x[0] * x[1] ** 2), x=X)

# ── neural ──────────────────────────────────────────────────────────────────────────────────────────────────

SIGNAL, KERNEL = [[[0.5, -1.25, 2.0, 1.5]]], [[[1.5, -0.5]]]
IMAGE, WINDOW = [[[[0.5, -1.25, 2.0], [1.5, 0.75, -0.5], [-2.0, 0.25, 1.0]]]], [[[[1.5, -0.5], [0.25, 2.0]]]]
QUERY, KEY, HELD = [[0.5, -1.25]], [[2.0, 0.5], [-0.75, 1.0]], [[1.5], [-0.5]]


def convolve(x: Any, w: Any, stride: int, pad: int) -> Any:
    rank = w.ndim - 2
    return lax.conv_general_dilated(x, w, (stride,) * rank, ((pad, pad),) * rank)


def windows(x: Any) -> Any:
    """All 2 by 2 windows at a distance of 1: f64[4, ...]."""
    return jnp.stack([x[..., i : i + 2, j : j + 2] for i in range(2) for j in range(2)])


def attend(q: Any, k: Any, v: Any) -> Any:
    return nn.softmax(q @ k.T / jnp.sqrt(q.shape[-1])) @ v


def normalised(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def root_mean(x: Any) -> Any:
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)


row("conv1d", "conv1d(x, w, padding=1) ** 2", lambda x, w: convolve(x, w, 1, 1) ** 2, x=SIGNAL, w=KERNEL)
row("conv2d", "conv2d(x, w) ** 2", lambda x, w: convolve(x, w, 1, 0) ** 2, x=IMAGE, w=WINDOW)
row("max_pool2d", "max_pool2d(x, 2, stride=1) ** 3", lambda x: windows(x).max(0) ** 3, x=IMAGE)
row("avg_pool2d", "avg_pool2d(x, 2, stride=1) ** 3", lambda x: windows(x).mean(0) ** 3, x=IMAGE)
row("layer_norm", "layer_norm(x, 3)", normalised, x=GRID)
row("layer_norm", "layer_norm(x, 3, w, w)", lambda x, w: normalised(x) * w + w, x=[GRID[0]], w=ANY)
row("rms_norm", "rms_norm(x, 3, w)", lambda x, w: root_mean(x) * w, x=[GRID[0]], w=ANY)
row("attention", "attention(q, k, v)", attend, q=QUERY, k=KEY, v=HELD)
row("mse", "mse(x, y)", lambda x, y: jnp.mean((x - y) ** 2), x=X, y=Y)
row("mse", 'mse(sin(x), y, reduction="sum")', lambda x, y: jnp.sum((jnp.sin(x) - y) ** 2), x=X, y=Y)
row("cross_entropy", "cross_entropy(x, [2, 0])",
    lambda x: -(nn.log_softmax(x)[0, 2] + nn.log_softmax(x)[1, 0]) / 2, x=GRID)  # fmt: skip
row("cross_entropy", "cross_entropy(x, softmax(y), label_smoothing=0.1)",
    lambda x, y: -jnp.sum((0.9 * nn.softmax(y) + 0.1 / 3) * nn.log_softmax(x)), x=[ANY], y=[GRID[1]])  # fmt: skip
row("binary_cross_entropy", "binary_cross_entropy(x, y)",
    lambda x, y: -jnp.mean(y * jnp.log(x) + (1 - y) * jnp.log1p(-x)), x=[0.25, 0.75], y=[0.5, 0.125])  # fmt: skip
row("binary_cross_entropy", "binary_cross_entropy(x, y, with_logits=true)",
    lambda x, y: jnp.mean(jnp.logaddexp(0, x) - x * y), x=X, y=[0.5, 0.125])  # fmt: skip

# ── what has no name ────────────────────────────────────────────────────────────────────────────────────────


def written(x: Any, y: Any) -> Any:
    return x.at[1].set(y[0] ** 3).at[jnp.array([0, 2, 0])].add(y[1] * x[0]) ** 2


def replaced(x: Any, y: Any) -> Any:
    return (x * x).at[jnp.array([2, 0])].set(y**3) * x


def rolled(x: Any) -> Any:
    return lax.fori_loop(0, 12, lambda i, h: jnp.sin(h * x[0]) + x[1] * (i + 1) / 12, x[1] ** 2)


def walked(x: Any) -> Any:
    return lax.fori_loop(1, 12, lambda i, h: h.at[i].add(h[i - 1] * x[0]), x[1] ** jnp.arange(1.0, 13.0))


def stopped(x: Any) -> Any:
    """Four turns: the fifth would begin at 8 or more."""
    for _ in range(4):
        x = jnp.stack([x[0] * (1.5 + jnp.sin(x[1])), x[1]])
    return x[0]


row("%", "x % y * x ** 2", lambda x, y: (x - jnp.floor(x / y) * y) * x**2, x=[5.25, -1.25], y=[2.0, 0.75])
row("if", "x ** 3 if x > 1 or x < -1 else sin(x)", lambda x: jnp.where(abs(x) > 1, x**3, jnp.sin(x)), x=ANY)
row("x[i]", "x[1, ::-1] * x[0] ** x[1, 1]", lambda x: x[1, ::-1] * x[0] ** x[1, 1], x=[[0.5, 1.25], [1.5, 0.75]])
row("x[idx]", "x[[1, 0, 1], [0, 2, 0]] ** 3", lambda x: x[jnp.array([1, 0, 1]), jnp.array([0, 2, 0])] ** 3, x=GRID)
row("x[i] =", "{ x[1] = y[0] ** 3; x[[0, 2, 0]] += y[1] * x[0]; return x ** 2 }", written, x=ANY, y=X)
row("x[i] =", "{ z = x * x; z[[2, 0]] = y ** 3; return z * x }", replaced, x=ANY, y=X)
row("for", "{ h = x[1] ** 2; for i in 0..12 { h = sin(h * x[0]) + x[1] * (i + 1) / 12 }; return h }", rolled, x=Y)
row("for", "{ h = x[1] ** arange(1, 13); for i in 1..12 { h[i] += h[i - 1] * x[0] }; return h }", walked, x=[0.5, 0.75])
row("while", "{ h = x[0]; for i in 0..20 while h < 8 { h = h * (1.5 + sin(x[1])) }; return h }", stopped, x=[0.5, 0.6])
row("f64", "f64(f32(2)) * f64(x) ** 2", lambda x: 2 * x**2, x=ANY)


# ── making ──────────────────────────────────────────────────────────────────────────────────────────────────


def pattern(count: int, factor: int, modulus: int, divisor: int) -> Any:
    return jnp.asarray((factor * np.arange(count) % modulus - modulus // 2) / divisor)


def flattened(one: Row) -> tuple[Callable[..., Any], Any]:
    """The row as a function of one vector, and its point."""
    operands = [jnp.asarray(operand, dtype=jnp.float64) for operand in one.operands.values()]
    bounds = np.cumsum([operand.size for operand in operands])[:-1].tolist()

    def value(z: Any) -> Any:
        parts = zip(jnp.split(z, bounds), operands, strict=True)
        return one.jax(*(part.reshape(operand.shape) for part, operand in parts))

    return value, jnp.concatenate([operand.reshape(-1) for operand in operands])


def derivatives(value: Callable[..., Any], z: Any) -> dict[str, Any]:
    shape = jax.eval_shape(value, z).shape
    c, v = pattern(math.prod(shape), 7, 11, 4).reshape(shape), pattern(z.size, 5, 13, 8)
    gradient = jax.grad(lambda z: (c * value(z)).sum())

    def along(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda z: jax.jvp(function, (z,), (v,))[1]

    return {
        "value": value(z), "jvp": along(value)(z), "gradient": gradient(z), "beside": gradient(z + v / 64),
        "hvp": along(gradient)(z), "hessian": jax.jacfwd(gradient)(z), "third": along(along(gradient))(z),
    }  # fmt: skip


def stored(operator: str, one: Row) -> dict[str, Any]:
    value, z = flattened(one)
    results = jax.jit(lambda z: derivatives(value, z))(z)
    assert all(jnp.isfinite(result).all() for result in results.values()), f"{one.expression}: {results}"
    head = {"operator": operator, "expression": one.expression, "operands": one.operands}
    return head | {name: np.asarray(result).tolist() for name, result in results.items()}


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rows = [json.dumps(stored(operator, one)) for operator, many in ROWS.items() for one in many]
    TARGET.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
    print(f"{len(rows)} rows, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""What JAX and PyTorch give at the hard points of docs/derivative-conventions.md.

Made with Python 3.11, jax 0.10.2 (64 bits, CPU) and torch 2.13.0 (CPU). To make tests/reference/conventions.json again:

    pip install jax==0.10.2 torch==2.13.0 && python tools/reference/conventions.py

A row is an expression of the language, a point, and the same in both frameworks. Stored is the gradient of the sum of
the results by all inputs, element by element in order, in reverse mode; "error" where the framework raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

TARGET = Path(__file__).parents[2] / "tests" / "reference" / "conventions.json"
INF = float("inf")


class Row(NamedTuple):
    """`at` is the point as the page writes it; the functions take its inputs in that order."""

    expression: str
    at: str
    jax: Callable[..., Any]
    torch: Callable[..., Any]


def several(expression: str, points: list[str], in_jax: Callable[..., Any], in_torch: Callable[..., Any]) -> list[Row]:
    return [Row(expression, at, in_jax, in_torch) for at in points]


F = torch.nn.functional
J = jax.nn
LOGSUMEXP = jax.scipy.special.logsumexp


def overwritten(zeros: Any, index: Any, x: Any) -> Any:
    """PyTorch's `z[i] = x` on a copy."""
    copy = zeros.clone()
    copy[index] = x
    return copy[1] + copy[2]


ROWS = [
    # kinks
    *several("abs(x)", ["x = 0"], jnp.abs, torch.abs),
    *several("sign(x)", ["x = 0"], jnp.sign, torch.sign),
    *several("floor(x)", ["x = 1"], jnp.floor, torch.floor),
    *several("round(x)", ["x = 0.5"], jnp.round, torch.round),
    *several("relu(x)", ["x = 0"], J.relu, F.relu),
    *several("leaky_relu(x)", ["x = 0"], J.leaky_relu, F.leaky_relu),
    *several("elu(x)", ["x = 0"], J.elu, F.elu),
    *several("selu(x)", ["x = 0"], J.selu, F.selu),
    *several("gelu(x)", ["x = 0"], lambda x: J.gelu(x, approximate=False), F.gelu),
    *several("clip(x, 0, 1)", ["x = 0", "x = 1"], lambda x: jnp.clip(x, 0, 1), lambda x: torch.clamp(x, 0, 1)),
    *several("hardtanh(x)", ["x = 1"], J.hard_tanh, F.hardtanh),
    *several("maximum(x, y)", ["x = 1, y = 1", "x = inf, y = inf"], jnp.maximum, torch.maximum),
    *several("maximum(x, 0)", ["x = 0"], lambda x: jnp.maximum(x, 0), lambda x: torch.clamp(x, min=0)),
    *several("minimum(x, y)", ["x = 1, y = 1"], jnp.minimum, torch.minimum),
    *several("max(x)", ["x = [3, 1, 3]", "x = [inf, 1, inf]"], jnp.max, torch.amax),
    *several("x[argmax(x)]", ["x = [3, 1, 3]"], lambda x: x[jnp.argmax(x)], lambda x: x[torch.argmax(x)]),
    *several("x % y", ["x = 6, y = 2"], jnp.remainder, torch.remainder),
    # powers, roots and poles
    *several("sqrt(x)", ["x = 0"], jnp.sqrt, torch.sqrt),
    *several("cbrt(x)", ["x = 0"], jnp.cbrt, lambda x: x ** (1 / 3)),
    *several("rsqrt(x)", ["x = 0"], jax.lax.rsqrt, torch.rsqrt),
    *several("1 / x", ["x = 0"], lambda x: 1 / x, lambda x: 1 / x),
    *several("log(x)", ["x = 0"], jnp.log, torch.log),
    *several("log(x)", ["x = -2"], jnp.log, torch.log),
    *several("log1p(x)", ["x = -1"], jnp.log1p, torch.log1p),
    *several("asin(x)", ["x = 1"], jnp.arcsin, torch.asin),
    *several("acos(x)", ["x = 1"], jnp.arccos, torch.acos),
    *several("atanh(x)", ["x = 1"], jnp.arctanh, torch.atanh),
    *several("acosh(x)", ["x = 1"], jnp.arccosh, torch.acosh),
    *several("norm(x)", ["x = [0, 0]"], jnp.linalg.norm, torch.linalg.vector_norm),
    *several("sqrt(sum(x * x))", ["x = [0, 0]"], lambda x: jnp.sqrt(jnp.sum(x * x)), lambda x: (x * x).sum().sqrt()),
    *several("std(x)", ["x = [2, 2]"], jnp.std, lambda x: torch.std(x, correction=0)),
    *several("hypot(x, y)", ["x = 0, y = 0", "x = 0, y = 2"], jnp.hypot, torch.hypot),
    *several("x ** 0", ["x = 0"], lambda x: x**0, lambda x: x**0),
    *several("x ** 0.0", ["x = 0"], lambda x: x**0.0, lambda x: x**0.0),
    *several("x ** 2", ["x = 0", "x = -3"], lambda x: x**2, lambda x: x**2),
    *several("x ** 3", ["x = -2"], lambda x: x**3, lambda x: x**3),
    *several("x ** 0.5", ["x = 0", "x = -1"], lambda x: x**0.5, lambda x: x**0.5),
    *several(
        "x ** y",
        ["x = 0, y = 0", "x = 0, y = 1", "x = 0, y = 2", "x = 0, y = 0.5", "x = 0, y = -1", "x = -3, y = 2"],
        lambda x, y: x**y,
        lambda x, y: x**y,
    ),
    *several(
        "atan2(x, y)",
        ["x = 0, y = 0", "x = 0, y = 2", "x = 2, y = 0", "x = 0, y = -2", "x = -2, y = 0", "x = 3e200, y = 4e200"],
        jnp.arctan2,
        torch.atan2,
    ),
    *several("lgamma(x)", ["x = 0", "x = -1"], jax.scipy.special.gammaln, torch.lgamma),
    # products and sums
    *several("prod(x)", ["x = [2, 0, 5]", "x = [0, 0, 5]"], jnp.prod, torch.prod),
    *several("cumprod(x)", ["x = [2, 0, 3]", "x = [0, 0, 3]"], jnp.cumprod, lambda x: torch.cumprod(x, 0)),
    *several("x * y", ["x = 0, y = inf"], lambda x, y: x * y, lambda x, y: x * y),
    # branches
    *several("1 / x if x > 0 else 0", ["x = 0"], lambda x: jnp.where(x > 0, 1 / x, 0.0),
             lambda x: torch.where(x > 0, 1 / x, 0.0)),
    *several("1 / (x if x > 0 else 1) if x > 0 else 0", ["x = 0"],
             lambda x: jnp.where(x > 0, 1 / jnp.where(x > 0, x, 1.0), 0.0),
             lambda x: torch.where(x > 0, 1 / torch.where(x > 0, x, 1.0), 0.0)),
    *several("x if x < 1 else inf", ["x = 0"], lambda x: jnp.where(x < 1, x, INF),
             lambda x: torch.where(x < 1, x, INF)),
    *several("sqrt(x) if x > 0 else x", ["x = 0"], lambda x: jnp.where(x > 0, jnp.sqrt(x), x),
             lambda x: torch.where(x > 0, torch.sqrt(x), x)),
    # functions that must not overflow
    *several("logsumexp(x)", ["x = [1000, 1000, -1000]", "x = [-inf, 3]", "x = [-inf, -inf]", "x = [inf, 1]"],
             LOGSUMEXP, lambda x: torch.logsumexp(x, 0)),
    *several("softmax(x)[0]", ["x = [1000, 0, -1000]", "x = [-inf, -inf]"], lambda x: J.softmax(x)[0],
             lambda x: torch.softmax(x, 0)[0]),
    *several("log_softmax(x)[2]", ["x = [1000, 0, -1000]"], lambda x: J.log_softmax(x)[2],
             lambda x: torch.log_softmax(x, 0)[2]),
    *several("logaddexp(x, y)", ["x = -inf, y = -inf", "x = inf, y = inf", "x = 1000, y = -1000"], jnp.logaddexp,
             torch.logaddexp),
    *several("sigmoid(x)", ["x = 1000", "x = -1000"], J.sigmoid, torch.sigmoid),
    *several("softplus(x)", ["x = 1000", "x = -1000"], J.softplus, F.softplus),
    *several("tanh(x)", ["x = 300"], jnp.tanh, torch.tanh),
    *several("expm1(x)", ["x = -1000"], jnp.expm1, torch.expm1),
    # linear algebra
    *several("det([[x, 2], [2, 4]])", ["x = 1"], lambda x: jnp.linalg.det(jnp.array([[x, 2.0], [2.0, 4.0]])),
             lambda x: torch.linalg.det(matrix(x, 2.0, 2.0, 4.0))),
    *several("slogdet([[x, 2], [2, 4]])[1]", ["x = 1"],
             lambda x: jnp.linalg.slogdet(jnp.array([[x, 2.0], [2.0, 4.0]]))[1],
             lambda x: torch.linalg.slogdet(matrix(x, 2.0, 2.0, 4.0))[1]),
    *several("inv([[x, 2], [2, 4]])", ["x = 1"], lambda x: jnp.linalg.inv(jnp.array([[x, 2.0], [2.0, 4.0]])),
             lambda x: torch.linalg.inv(matrix(x, 2.0, 2.0, 4.0))),
    *several("solve([[x, 2], [2, 4]], [1, 1])", ["x = 1"],
             lambda x: jnp.linalg.solve(jnp.array([[x, 2.0], [2.0, 4.0]]), jnp.ones(2)),
             lambda x: torch.linalg.solve(matrix(x, 2.0, 2.0, 4.0), torch.ones(2, dtype=torch.float64))),
    *several("cholesky([[x, 2], [2, 1]])", ["x = 1"], lambda x: jnp.linalg.cholesky(jnp.array([[x, 2.0], [2.0, 1.0]])),
             lambda x: torch.linalg.cholesky(matrix(x, 2.0, 2.0, 1.0))),
    *several("cholesky(x)[1, 0]", ["x = [[4, 2], [2, 5]]"], lambda x: jnp.linalg.cholesky(x)[1, 0],
             lambda x: torch.linalg.cholesky(x)[1, 0]),
    # indices and writes
    *several("x[[2, 0, 2, 2]]", ["x = [1, 2, 3]"], lambda x: x[jnp.array([2, 0, 2, 2])], lambda x: x[[2, 0, 2, 2]]),
    *several("overwritten(x)", ["x = [1, 2, 3]"],
             lambda x: jnp.sum(jnp.zeros(3).at[jnp.array([2, 1, 2])].set(x)[1:]),
             lambda x: overwritten(torch.zeros(3, dtype=torch.float64), torch.tensor([2, 1, 2]), x)),
    *several("x[[3]]", ["x = [1, 2, 3]"], lambda x: x[jnp.array([3])], lambda x: x[torch.tensor([3])]),
    # empty arrays
    *several("sum(x)", ["x = []"], jnp.sum, torch.sum),
    *several("prod(x)", ["x = []"], jnp.prod, torch.prod),
    *several("norm(x)", ["x = []"], jnp.linalg.norm, torch.linalg.vector_norm),
    *several("max(x)", ["x = []"], jnp.max, torch.max),
]  # fmt: skip


def matrix(*numbers: Any) -> Any:
    """2 × 2, of which some are tensors."""
    return torch.stack([torch.as_tensor(number, dtype=torch.float64) for number in numbers]).reshape(2, 2)


def read(at: str) -> list[Any]:
    """`x = [3, inf], y = 0` as the numbers of its inputs."""
    return list(eval(f"dict({at})", {"inf": INF, "dict": dict}).values())


def in_jax(row: Row) -> Any:
    point = [jnp.asarray(number, jnp.float64) for number in read(row.at)]
    found = jax.grad(lambda *inputs: jnp.sum(row.jax(*inputs)), argnums=tuple(range(len(point))))(*point)
    return [float(number) for part in found for number in np.ravel(part)]


def in_torch(row: Row) -> Any:
    point = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in read(row.at)]
    total = row.torch(*point).sum()
    if not total.requires_grad:
        return [0.0 for part in point for _ in range(part.numel())]
    found = torch.autograd.grad(total, point, allow_unused=True, materialize_grads=True)
    return [float(number) for part in found for number in part.reshape(-1)]


def given(compute: Callable[[Row], Any], row: Row) -> Any:
    try:
        return compute(row)
    except (ValueError, RuntimeError, IndexError, TypeError):
        return "error"


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    found = [
        {"expression": row.expression, "at": row.at, "jax": given(in_jax, row), "torch": given(in_torch, row)}
        for row in ROWS
    ]
    lines = ",\n".join("  " + json.dumps(row) for row in found)
    TARGET.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The whole Hessian of a logistic regression, as Newton's method takes it.

10,000 rows; the mean loss plus a ridge, its Hessian by all weights.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import jax_numpy, threads, torch_arrays
from benchmarks.workload import Arrays, Case, Step, Suite, normal

ROWS = 10_000

MODEL = """
net main(w: f64[d], x: f64[rows, d], y: f64[rows]) -> f64 = mean(softplus(-y * (x @ w))) + 0.05 * sum(w * w)
"""


def data(case: Case) -> Arrays:
    import numpy as np

    x, w = normal("x", [ROWS, case.size], "f64"), normal("w", [case.size], "f64", case.size**-0.5)
    return {"w": w, "x": x, "y": np.sign(x @ w + normal("noise", [ROWS], "f64"))}


def gradcli(case: Case, a: Arrays) -> Step:
    import gradcli

    hessian = gradcli.compile(MODEL).compile("hess", wrt="w", threads=threads())
    return lambda: hessian(a)  # type: ignore[return-value]  # `hess` gives arrays


def shown(found: Arrays) -> Arrays:
    ((_, hessian),) = found.items()
    return {"hessian": hessian}


def jax(case: Case, a: Arrays) -> Step:
    """`jax.hessian`, jitted."""
    jnp, jax = jax_numpy(a)

    def loss(w: Any, x: Any, y: Any) -> Any:
        return jnp.mean(jax.nn.softplus(-y * (x @ w))) + 0.05 * jnp.sum(w * w)

    hessian = jax.jit(jax.hessian(loss))
    given = jax.device_put((a["w"], a["x"], a["y"]))
    return lambda: {"w": jax.block_until_ready(hessian(*given))}


def torch_hessian(a: Arrays) -> Any:
    import torch

    given = torch_arrays(a)

    def loss(w: Any, x: Any, y: Any) -> Any:
        return -torch.nn.functional.logsigmoid(y * (x @ w)).mean() + 0.05 * (w * w).sum()

    return torch.func.hessian(loss), (given["w"], given["x"], given["y"])


def torch(case: Case, a: Arrays) -> Step:
    hessian, given = torch_hessian(a)
    return lambda: {"w": hessian(*given)}


def inductor(case: Case, a: Arrays) -> Step:
    import torch

    torch._dynamo.reset()
    hessian, given = torch_hessian(a)
    compiled = torch.compile(hessian, dynamic=False)
    return lambda: {"w": compiled(*given)}


def autograd(case: Case, a: Arrays) -> Step:
    import autograd.numpy as anp
    from autograd import hessian

    def loss(w: Any) -> Any:
        return anp.mean(anp.logaddexp(0, -a["y"] * anp.dot(a["x"], w))) + 0.05 * anp.sum(w * w)

    by_w = hessian(loss)
    return lambda: {"w": by_w(a["w"])}


def by_hand(case: Case, a: Arrays) -> Step:
    """xᵀ D x."""
    import numpy as np

    x, y, w = a["x"], a["y"], a["w"]

    def step() -> Arrays:
        p = 1 / (1 + np.exp(y * (x @ w)))
        return {"w": x.T @ (x * (p * (1 - p) / len(x))[:, None]) + 0.1 * np.eye(len(w))}

    return step


SUITE = Suite(
    "logistic",
    "gradcli hess: a logistic regression of 10,000 rows",
    "weights",
    (Case(10, "f64"), Case(30, "f64"), Case(100, "f64")),
    data,
    {
        "gradcli": gradcli,
        "jax": jax,
        "torch.compile": inductor,
        "torch": torch,
        "autograd": autograd,
        "numpy": by_hand,
    },
    tiny=(Case(3, "f64"),),
    shown=shown,
)

"""The product of a Hessian with a vector, without the Hessian: cheap operators, second derivatives.

Two losses with a tridiagonal Hessian: Rosenbrock's function as a chain, and a sum of sines of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.engines import casadi_step, jax_numpy, threads, torch_arrays
from benchmarks.workload import Arrays, Case, Step, Suite, normal

MODELS = {
    "rosenbrock": """
net main(x: f64[n]) -> f64 {
  rise = x[1:] - x[:-1]**2
  way = 1 - x[:-1]
  return sum(100 * rise**2 + way**2)
}
""",
    "sines": """
net main(x: f64[n]) -> f64 = sum(sin(x[1:] * x[:-1]))
""",
}


def data(case: Case) -> Arrays:
    return {"x": normal("x", [case.size], "f64"), "v": normal("v", [case.size], "f64")}


def rosenbrock(xp: Any, x: Any) -> Any:
    return xp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def sines(xp: Any, x: Any) -> Any:
    return xp.sum(xp.sin(x[1:] * x[:-1]))


LOSSES: dict[str, Callable[[Any, Any], Any]] = {"rosenbrock": rosenbrock, "sines": sines}


def gradcli(case: Case, a: Arrays) -> Step:
    import gradcli

    product = gradcli.compile(MODELS[case.kind]).compile("hess", threads=threads())
    x, along = {"x": a["x"]}, {"x": a["v"]}
    return lambda: product(x, vec=along)  # type: ignore[return-value]  # `hess` gives arrays


def jax(case: Case, a: Arrays) -> Step:
    """The jvp of the gradient, jitted."""
    jnp, jax = jax_numpy(a)
    gradient = jax.grad(lambda x: LOSSES[case.kind](jnp, x))
    product = jax.jit(lambda x, v: jax.jvp(gradient, (x,), (v,))[1])
    x, v = jax.device_put((a["x"], a["v"]))
    return lambda: {"x": jax.block_until_ready(product(x, v))}


def torch(case: Case, a: Arrays) -> Step:
    """The gradient of the gradient's product with the vector, by the tape."""
    import torch

    given = torch_arrays(a)
    x, v = given["x"].requires_grad_(), given["v"]

    def step() -> Arrays:
        (gradient,) = torch.autograd.grad(LOSSES[case.kind](torch, x), x, create_graph=True)
        return {"x": torch.autograd.grad(gradient, x, v)[0]}

    return step


def inductor(case: Case, a: Arrays) -> Step:
    """`torch.func`'s jvp of the gradient, compiled."""
    import torch

    torch._dynamo.reset()
    gradient = torch.func.grad(lambda x: LOSSES[case.kind](torch, x))
    product = torch.compile(lambda x, v: torch.func.jvp(gradient, (x,), (v,))[1], dynamic=False)
    given = torch_arrays(a)
    return lambda: {"x": product(given["x"], given["v"])}


def autograd(case: Case, a: Arrays) -> Step:
    import autograd.numpy as anp
    from autograd import make_hvp

    product = make_hvp(lambda x: LOSSES[case.kind](anp, x))
    return lambda: {"x": product(a["x"])[0](a["v"])}


def casadi(case: Case, a: Arrays) -> Step:
    """The derivative of the gradient along the vector, of one expression a variable."""
    import casadi as ca

    x, v = ca.SX.sym("x", case.size), ca.SX.sym("v", case.size)
    value = casadi_loss(ca, case.kind, x)
    product = ca.Function("product", [x, v], [ca.jtimes(ca.gradient(value, x), x, v)], ["at", "along"], ["x"])
    return casadi_step(product, [a["x"], a["v"]])


def casadi_loss(ca: Any, kind: str, x: Any) -> Any:
    near, far = x[:-1], x[1:]
    if kind == "sines":
        return ca.sum1(ca.sin(far * near))
    return ca.sum1(100 * (far - near**2) ** 2 + (1 - near) ** 2)


def by_hand(case: Case, a: Arrays) -> Step:
    """The diagonals of the Hessian, worked out on paper."""
    import numpy as np

    x, v = a["x"], a["v"]
    out = np.empty_like(x)

    def step() -> Arrays:
        near, far = x[:-1], x[1:]
        if case.kind == "sines":
            angle = far * near
            sine, cosine = np.sin(angle), np.cos(angle)
            first, last, beside = -sine * far * far, -sine * near * near, cosine - sine * angle
        else:
            first, last, beside = 1200 * near * near - 400 * far + 2, 200.0, -400 * near
        out[:-1] = first * v[:-1] + beside * v[1:]
        out[-1] = 0
        out[1:] += last * v[1:] + beside * v[:-1]
        return {"x": out}

    return step


SUITE = Suite(
    "product",
    "gradcli hvp: the product of a Hessian with a vector",
    "variables",
    tuple(Case(size, "f64", kind) for kind in MODELS for size in (10**3, 10**4, 10**5, 10**6)),
    data,
    {
        "gradcli": gradcli,
        "jax": jax,
        "torch.compile": inductor,
        "torch": torch,
        "autograd": autograd,
        "casadi": casadi,
        "numpy": by_hand,
    },
    tiny=tuple(Case(6, "f64", kind) for kind in MODELS),
    absent=lambda case: {"casadi": "an expression for each of a million variables"} if case.size > 10**5 else {},
)

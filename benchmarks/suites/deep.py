"""A chain of many operators on one number, no two the same: what an engine adds to every operator.

`x = sin(x)` and `x = x · c` in turn. `new`: from the text, or the function, to the first gradient, which is what a
model costs that is used once; JAX is only asked to trace it, since compiling takes minutes. `again`: a step once that
is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.engines import autograd_step, casadi_step, gradcli_step, jax_numpy, jax_step, torch_step
from benchmarks.suites.linear import factor
from benchmarks.workload import Arrays, Case, Step, Suite

COMPILED = 1_000  # operators that are compiled in reasonable time


def model(case: Case) -> str:
    lines = [f"  x = sin(x)\n  x = x * {factor(i)!r}" for i in range(case.size // 2)]
    return "\n".join(["net main(x: f64) -> f64 {", *lines, "  return x", "}"])


def data(case: Case) -> Arrays:
    import numpy as np

    return {"x": np.array(0.5)}


def loss(case: Case) -> Callable[[Any, Arrays], Any]:
    def chain(xp: Any, a: Arrays) -> Any:
        x = a["x"]
        for i in range(case.size // 2):
            x = xp.sin(x) * factor(i)
        return x

    return chain


def whole(make: Callable[[Case, Arrays], Step]) -> Callable[[Case, Arrays], Step]:
    """Made anew at every step where the case is `new`."""

    def side(case: Case, a: Arrays) -> Step:
        return (lambda: make(case, a)()) if case.kind == "new" else make(case, a)

    return side


def jax(case: Case, a: Arrays) -> Step:
    """`jax.make_jaxpr` of the gradient; nothing is computed, so what is compared with others is done once before."""
    chain = loss(case)
    jnp, jax = jax_numpy(a)
    if case.kind == "again":
        return jax_step(chain, a, ["x"])
    found = autograd_step(chain, a, ["x"])()

    def step() -> Arrays:
        jax.make_jaxpr(jax.value_and_grad(lambda x: chain(jnp, {"x": x})))(a["x"])
        return found

    return step


def torch(case: Case, a: Arrays) -> Step:
    import torch

    chain = loss(case)
    return torch_step(lambda a: chain(torch, a), a, ["x"])


def casadi(case: Case, a: Arrays) -> Step:
    import casadi as ca

    x = ca.SX.sym("x")
    value = loss(case)(ca, {"x": x})
    return casadi_step(ca.Function("gradient", [x], [value, ca.gradient(value, x)], ["at"], ["value", "x"]), [a["x"]])


def absent(case: Case) -> dict[str, str]:
    found = {"torch.compile": "takes minutes to compile"}
    if case.kind == "again" and case.size > COMPILED:
        found["jax"] = "takes minutes to compile"
    return found


SUITE = Suite(
    "deep",
    "a chain of operators on one number, value and gradient",
    "operators",
    tuple(Case(size, "f64", kind, quick=size < 10**5) for kind in ("new", "again") for size in (10**3, 10**4, 10**5)),
    data,
    {
        "gradcli": whole(lambda case, a: gradcli_step(model(case), a, ["x"])),
        "jax": jax,
        "torch": torch,
        "autograd": lambda case, a: autograd_step(loss(case), a, ["x"]),
        "casadi": whole(casadi),
    },
    tiny=(Case(6, "f64", "new"), Case(6, "f64", "again")),
    absent=absent,
)

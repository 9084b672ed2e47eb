"""A differential equation of many steps: what a gradient keeps, and what it costs to keep less.

`x' = tanh(k x) - 0.1 x²` by Euler's method on 1,000 numbers, the sum at the end, and its gradient by k. 10,000 steps
kept whole are 80 MB; with `--memory 8000000` gradcli keeps one state in a while and computes the others again.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import casadi_step, gradcli_step, jax_step, torch_step
from benchmarks.workload import Arrays, Case, Step, Suite

WIDTH, BOUND, BOUNDED = 1_000, 8_000_000, "--memory 8 MB"
STEP = 1e-4


def model(case: Case) -> str:
    return f"""
net main(x: f64[n], k: f64) -> f64 {{
  for i in 0..{case.size} {{
    x = x + {STEP} * (tanh(k * x) - 0.1 * x * x)
  }}
  return sum(x)
}}
"""


def data(case: Case) -> Arrays:
    import numpy as np

    return {"x": np.arange(WIDTH) / WIDTH, "k": np.array(1.5)}


def gradcli(case: Case, a: Arrays) -> Step:
    memory = BOUND if case.kind == BOUNDED else None
    return gradcli_step(model(case), a, ["k"], memory=memory)


def jax(case: Case, a: Arrays) -> Step:
    """`lax.scan`; bounded: a scan of checkpointed scans, each of the root of the steps."""
    import jax
    from jax import lax

    def loss(xp: Any, a: Arrays) -> Any:
        def turn(x: Any, _: Any) -> Any:
            return x + STEP * (xp.tanh(a["k"] * x) - 0.1 * x * x), None

        if case.kind != BOUNDED:
            return xp.sum(lax.scan(turn, a["x"], None, length=case.size)[0])
        root = round(case.size**0.5)
        part = jax.checkpoint(lambda x, _: lax.scan(turn, x, None, length=root))
        return xp.sum(lax.scan(part, a["x"], None, length=case.size // root)[0])

    return jax_step(loss, a, ["k"])


def torch(case: Case, a: Arrays) -> Step:
    import torch

    def loss(a: Arrays) -> Any:
        x = a["x"]
        for _ in range(case.size):
            x = x + STEP * (torch.tanh(a["k"] * x) - 0.1 * x * x)
        return torch.sum(x)

    return torch_step(loss, a, ["k"])


def casadi(case: Case, a: Arrays) -> Step:
    """A function of one step, accumulated, and the reverse mode of that."""
    import casadi as ca

    x, k = ca.SX.sym("x", WIDTH), ca.SX.sym("k")
    turn = ca.Function("turn", [x, k], [x + STEP * (ca.tanh(k * x) - 0.1 * x * x)])
    start, factor = ca.MX.sym("x", WIDTH), ca.MX.sym("k")
    value = ca.sum1(turn.mapaccum("turns", case.size)(start, ca.repmat(factor, 1, case.size))[:, -1])
    both = [value, ca.gradient(value, factor)]
    return casadi_step(ca.Function("gradient", [start, factor], both, ["at", "by"], ["value", "k"]), [a["x"], a["k"]])


def absent(case: Case) -> dict[str, str]:
    found = {"torch.compile": "unrolls the loop and compiles every step of it"}
    if case.kind == BOUNDED:
        found |= dict.fromkeys(("torch", "casadi"), "has no bound on memory for a loop")
    return found


SUITE = Suite(
    "ode",
    "Euler's method on 1,000 numbers, value and gradient by a parameter",
    "steps",
    (Case(100, "f64"), Case(1_000, "f64"), Case(10_000, "f64", quick=False), Case(10_000, "f64", BOUNDED)),
    data,
    {"gradcli": gradcli, "jax": jax, "torch": torch, "casadi": casadi},
    tiny=(Case(4, "f64"), Case(9, "f64", BOUNDED)),
    absent=absent,
)

"""A recurrence on small arrays: thousands of tiny steps, where an interpreter has nothing to hide behind.

`h = h + 0.01 · w · sin(h)` on 8 numbers, the sum of squares at the end; its value and its gradient by w.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import autograd_step, casadi_step, gradcli_step, jax_step, torch_step
from benchmarks.workload import Arrays, Case, Step, Suite, normal

WIDTH = 8


def model(case: Case) -> str:
    return f"""
net main(h: f64[{WIDTH}], w: f64[{WIDTH}]) -> f64 {{
  for i in 0..{case.size} {{
    h = h + 0.01 * w * sin(h)
  }}
  return sum(h * h)
}}
"""


def data(case: Case) -> Arrays:
    return {"h": normal("h", [WIDTH], "f64"), "w": normal("w", [WIDTH], "f64")}


def jax(case: Case, a: Arrays) -> Step:
    """`lax.scan`."""
    from jax import lax

    def loss(xp: Any, a: Arrays) -> Any:
        h, _ = lax.scan(lambda h, _: (h + 0.01 * a["w"] * xp.sin(h), None), a["h"], None, length=case.size)
        return xp.sum(h * h)

    return jax_step(loss, a, ["w"])


def unrolled(case: Case) -> Any:
    """The loop in Python, for those who trace at every call."""

    def loss(xp: Any, a: Arrays) -> Any:
        h, w = a["h"], a["w"]
        for _ in range(case.size):
            h = h + 0.01 * w * xp.sin(h)
        return xp.sum(h * h)

    return loss


def torch(case: Case, a: Arrays) -> Step:
    import torch

    loss = unrolled(case)
    return torch_step(lambda a: loss(torch, a), a, ["w"])


def casadi(case: Case, a: Arrays) -> Step:
    """A function of one step, accumulated, and the reverse mode of that."""
    import casadi as ca

    h, w = ca.SX.sym("h", WIDTH), ca.SX.sym("w", WIDTH)
    turn = ca.Function("turn", [h, w], [h + 0.01 * w * ca.sin(h)])
    start, weight = ca.MX.sym("h", WIDTH), ca.MX.sym("w", WIDTH)
    end = turn.mapaccum("turns", case.size)(start, ca.repmat(weight, 1, case.size))[:, -1]
    value = ca.sumsqr(end)
    gradient = ca.Function(
        "gradient", [start, weight], [value, ca.gradient(value, weight)], ["h", "at"], ["value", "w"]
    )
    return casadi_step(gradient, [a["h"], a["w"]])


def by_hand(case: Case, a: Arrays) -> Step:
    """Two loops over the rows of two arrays."""
    import numpy as np

    w = 0.01 * a["w"]
    hs, slopes = np.empty((2, case.size + 1, WIDTH))
    sine, total, ct = np.empty((3, WIDTH))

    def step() -> Arrays:
        hs[0] = a["h"]
        for i in range(case.size):
            np.sin(hs[i], out=sine)
            np.multiply(sine, w, out=sine)
            np.add(hs[i], sine, out=hs[i + 1])
        np.cos(hs, out=slopes)
        np.multiply(slopes, w, out=slopes)
        np.add(slopes, 1, out=slopes)
        sines = np.sin(hs)
        np.multiply(hs[-1], 2, out=ct)
        total[...] = 0
        for i in reversed(range(case.size)):
            np.multiply(ct, sines[i], out=sine)
            np.add(total, sine, out=total)
            np.multiply(ct, slopes[i], out=ct)
        return {"value": np.sum(hs[-1] ** 2), "w": 0.01 * total}

    return step


SUITE = Suite(
    "recurrence",
    "a recurrence on 8 numbers, value and gradient",
    "steps",
    (Case(500, "f64"), Case(5_000, "f64"), Case(50_000, "f64", quick=False)),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(model(case), a, ["w"]),
        "jax": jax,
        "torch": torch,
        "autograd": lambda case, a: autograd_step(unrolled(case), a, ["w"]),
        "casadi": casadi,
        "numpy": by_hand,
    },
    tiny=(Case(4, "f64"),),
    absent=lambda case: {"torch.compile": "unrolls the loop and compiles every step of it"},
)

"""A chain of elementwise operators and a sum: what is bound by memory unless it is fused.

`sum(sin(x) · exp(-x²) + tanh(x))`, its value and its gradient, from a size where dispatch is all to one where memory
is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.engines import autograd_step, gradcli_step, jax_step, threads, torch_step
from benchmarks.workload import Arrays, Case, Step, Suite, grid, normal

SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
TILE = 1 << 15


def model(case: Case) -> str:
    return f"net main(x: {case.dtype}[n]) -> {case.dtype} = sum(sin(x) * exp(-x * x) + tanh(x))"


def data(case: Case) -> Arrays:
    return {"x": normal("x", [case.size], case.dtype)}


def loss(xp: Any, a: Arrays) -> Any:
    x = a["x"]
    return xp.sum(xp.sin(x) * xp.exp(-x * x) + xp.tanh(x))


def torch_loss(a: Arrays) -> Any:
    import torch

    return loss(torch, a)


def by_hand(case: Case, a: Arrays) -> Step:
    """Tile by tile in four buffers for each thread; sin and cos of a tile from one tan of the half, which is how NumPy
    is fast in f64."""
    import numpy as np

    x = a["x"]
    gradient = np.empty_like(x)
    rooms = [np.empty((4, min(TILE, x.size)), x.dtype) for _ in range(threads())]

    def tiles(lane: int) -> float:
        total, step = 0.0, TILE * len(rooms)
        for start in range(lane * TILE, x.size, step):
            part, out = x[start : start + TILE], gradient[start : start + TILE]
            total += tile(part, out, *rooms[lane][:, : part.size])
        return total

    def tile(x: Any, out: Any, s: Any, c: Any, e: Any, t: Any) -> float:
        if x.dtype == np.float64:
            np.multiply(x, 0.5, out=t)
            np.tan(t, out=t)
            np.multiply(t, t, out=e)
            np.add(e, 1, out=s)
            np.subtract(1, e, out=c)
            np.divide(c, s, out=c)
            np.multiply(t, 2, out=t)
            np.divide(t, s, out=s)
        else:
            np.sin(x, out=s)
            np.cos(x, out=c)
        np.multiply(x, x, out=e)
        np.negative(e, out=e)
        np.exp(e, out=e)
        np.tanh(x, out=t)
        np.multiply(x, s, out=out)
        np.multiply(out, 2, out=out)
        np.subtract(c, out, out=c)
        np.multiply(c, e, out=out)
        np.multiply(s, e, out=s)
        np.add(s, t, out=s)
        np.multiply(t, t, out=t)
        np.subtract(1, t, out=t)
        np.add(out, t, out=out)
        return float(s.sum())

    if x.size <= TILE or len(rooms) == 1:
        return lambda: {"value": tiles(0) if len(rooms) == 1 else tile(x, gradient, *rooms[0]), "x": gradient}
    pool = ThreadPoolExecutor(len(rooms))
    return lambda: {"value": sum(pool.map(tiles, range(len(rooms)))), "x": gradient}


SUITE = Suite(
    "chain",
    "sum(sin(x) * exp(-x * x) + tanh(x)), value and gradient",
    "elements",
    grid(SIZES, ("f32", "f64"), slow=10**7),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(model(case), a, ["x"]),
        "jax": lambda case, a: jax_step(loss, a, ["x"]),
        "torch.compile": lambda case, a: torch_step(torch_loss, a, ["x"], compiled=True),
        "torch": lambda case, a: torch_step(torch_loss, a, ["x"]),
        "autograd": lambda case, a: autograd_step(loss, a, ["x"]),
        "numpy": by_hand,
    },
    tiny=(Case(7, "f32"), Case(7, "f64")),
)

"""What each engine makes of a function: a step that gives its value and its gradient.

The function is stated by the suite, once for engines with NumPy's names (`loss(xp, a)`: JAX, autograd) and once for
PyTorch (`loss(a)`); `a` holds all arrays by name. Each engine is used as its manual says it is fast: compiled where it
compiles, its arrays on its device beforehand, its answer waited for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.workload import NUMPY, Arrays, Step

# In the order of the tables; the second is what a column is called.
TITLES = {
    "gradcli": "gradcli",
    "jax": "JAX",
    "torch.compile": "torch.compile",
    "torch": "torch",
    "autograd": "autograd",
    "casadi": "CasADi",
    "numpy": "by hand",
    "numpy import": "numpy",
    "a tenth": "a tenth",
}
YARDSTICKS = ("numpy import", "a tenth")  # no engines: what whole processes are compared with
PACKAGES = {
    "torch.compile": "torch",
    "gradcli": "gradcli",
}  # what an engine is installed as, where that is not its name


def threads() -> int:
    """How many threads this process was told to use."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────


def gradcli_step(text: str, arrays: Arrays, wrt: Sequence[str], params: Sequence[str] = (), **options: Any) -> Step:
    """The plan that `compile` makes once, for the model of that text."""
    import gradcli

    run = gradcli.compile(text).compile("grad", wrt=list(wrt), value=True, threads=threads(), **options)
    inputs = {name: array for name, array in arrays.items() if name not in params}
    weights = {name: arrays[name] for name in params}
    return lambda: run(inputs, weights)  # type: ignore[return-value]  # `grad` gives arrays


def jax_step(loss: Callable[[Any, Arrays], Any], arrays: Arrays, wrt: Sequence[str]) -> Step:
    """`jax.jit(jax.value_and_grad(...))`."""
    jnp, jax = jax_numpy(arrays)
    by = {name: arrays[name] for name in wrt}
    rest = {name: array for name, array in arrays.items() if name not in wrt}
    program = jax.jit(jax.value_and_grad(lambda by, rest: loss(jnp, by | rest)))
    by, rest = jax.device_put((by, rest))

    def step() -> Arrays:
        value, gradient = jax.block_until_ready(program(by, rest))
        return {"value": value, **gradient}

    return step


def jax_numpy(arrays: Arrays) -> tuple[Any, Any]:
    """`jax.numpy` and `jax`, with double precision where an array has it."""
    import jax

    jax.config.update("jax_enable_x64", any(array.dtype == "float64" for array in arrays.values()))
    return jax.numpy, jax


def torch_step(loss: Callable[[Arrays], Any], arrays: Arrays, wrt: Sequence[str], compiled: bool = False) -> Step:
    """The backward pass of the loss, or of `torch.compile` of the loss."""
    import torch

    given = torch_arrays(arrays)
    by = [given[name].requires_grad_() for name in wrt]
    if compiled:
        torch._dynamo.reset()  # nothing of a case before
        loss = torch.compile(loss, dynamic=False)

    def step() -> Arrays:
        value = loss(given)
        return {"value": value, **dict(zip(wrt, torch.autograd.grad(value, by), strict=True))}

    return step


def torch_arrays(arrays: Arrays) -> Arrays:
    """The same memory as tensors; and the threads of this process."""
    import torch

    torch.set_num_threads(threads())
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def autograd_step(loss: Callable[[Any, Arrays], Any], arrays: Arrays, wrt: Sequence[str]) -> Step:
    """`autograd.value_and_grad`, which traces at every call."""
    import autograd
    import autograd.numpy as anp

    by = {name: arrays[name] for name in wrt}
    rest = {name: array for name, array in arrays.items() if name not in wrt}
    program = autograd.value_and_grad(lambda by: loss(anp, {**by, **rest}))

    def step() -> Arrays:
        value, gradient = program(by)
        return {"value": value, **gradient}

    return step


def casadi_step(function: Any, order: Sequence[Any]) -> Step:
    """A `casadi.Function` with its inputs in order, run in memory that is bound to it once."""
    arguments = list(order)
    names = function.name_out()
    return lambda: dict(zip(names, function.call(arguments), strict=True))


# ── what is loaded before memory is counted ─────────────────────────────────────────────────────────────────


def prepare(engine: str, dtype: str) -> None:
    """Make the engine differentiate something small, so that what it loads once a process is loaded."""
    import numpy as np

    small = {"x": np.linspace(0, 1, 4, dtype=NUMPY[dtype])}
    if engine == "gradcli":
        gradcli_step(f"net f(x: {dtype}[n]) -> {dtype} = sum(sin(x) @ x)", small, ["x"])()
    elif engine == "jax":
        jax_step(lambda xp, a: xp.sum(xp.sin(a["x"])), small, ["x"])()
    elif engine in ("torch", "torch.compile"):
        torch_step(lambda a: a["x"].sin().sum(), small, ["x"], engine == "torch.compile")()
    elif engine == "autograd":
        autograd_step(lambda xp, a: xp.sum(xp.sin(a["x"])), small, ["x"])()
    elif engine == "casadi":
        import casadi  # noqa: F401 - loaded, not used


def numbers(found: Any) -> Arrays:
    """What a step gave, as NumPy arrays of our own, by name; `value/out` is `value`."""
    import numpy as np

    made: Arrays = {}
    for name, array in found.items():
        array = array.detach().numpy() if hasattr(array, "detach") else array
        array = array.full().reshape(-1) if hasattr(array, "full") else array
        made["value" if name.startswith("value/") else name] = np.array(array)
    return made

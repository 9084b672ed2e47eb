"""What a user of JAX would run for a gradient: `jax.grad` of the emitted *forward* program, compiled by `jax.jit`.

Gradients are those of `derive`, row by row: of order n by inputs t1 … tn, the gradient by tn of the sum of the gradient
of order n - 1 by t1 … t(n-1), weighted where a weight is given for it, of the outputs for order 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from time import perf_counter
from typing import Any, NamedTuple

from gradcli.ir.graph import Graph
from gradcli.ir.region import graphs_of
from gradcli.record import record
from gradcli.syntax.diagnostics import ENVIRONMENT, ModelError, fail

Array = Any
Function = Callable[..., tuple[Array, ...]]


@record(eq=False)
class Question:
    """Gradients of `graph` by its inputs `wrt`, of order `order`, and with `value` its outputs before them.

    `weights` gives for what the last pass differentiates the place of its weight, behind the inputs: for order 1 by
    the number of the output, else by the places in `wrt` that it is a gradient by. None stands for ones everywhere;
    what has no weight is left out. Where `whole` is a graph of all inputs but the last, its value is the last input.
    """

    graph: Graph
    wrt: tuple[int, ...]
    order: int = 1
    weights: Mapping[tuple[int, ...], int] | None = None
    value: bool = False
    whole: Graph | None = None


class Compiled(NamedTuple):
    """`run()` runs it on the arrays that it was compiled for; `arrays()` does so and gives NumPy's."""

    run: Callable[[], None]
    arrays: Callable[[], list[Array]]
    trace_seconds: float
    compile_seconds: float
    run_seconds: float
    bytes: int | None  # of temporaries and results, as XLA has planned them
    version: str
    device: str


def function_of(asked: Question) -> Function:
    """The gradients as a function of the graph's inputs and the weights."""
    import jax
    import jax.numpy as jnp

    from gradcli.emitting.jax import emit

    forward = emit(asked.graph)
    floats = [k for k, value in enumerate(asked.graph.outputs) if value.aval.is_float]
    weights, last = asked.weights, asked.order - 1

    def weighted(parts: Sequence[tuple[Any, Array]], args: Sequence[Array]) -> Array:
        """The sum of the elements of all parts, each times its weight."""
        total: Array = 0.0
        for key, part in parts:
            total = total + jnp.sum(part if weights is None else part * args[weights[key]])
        return total

    def total_of(by: tuple[int, ...]) -> Callable[..., tuple[Array, tuple[Array, ...]]]:
        """The scalar whose gradient is the next: of the outputs, or of the gradient by `by`; and the outputs."""

        def total(*args: Array) -> tuple[Array, tuple[Array, ...]]:
            if not by:
                outs = forward(*args[: len(asked.graph.inputs)])
                if last == 0:
                    return weighted([((k,), outs[k]) for k in floats if weights is None or (k,) in weights], args), outs
                return sum((jnp.sum(outs[k]) for k in floats), start=0.0), outs
            part, outs = jax.grad(total_of(by[:-1]), argnums=asked.wrt[by[-1]], has_aux=True)(*args)
            return (weighted([(by, part)], args) if len(by) == last else jnp.sum(part)), outs

        return total

    def gradients(*args: Array) -> tuple[Array, ...]:
        if asked.whole is not None:
            own = len(asked.graph.inputs) - 1
            args = (*args[:own], emit(asked.whole)(*args[:own])[0], *args[own:])
        rows: list[Array] = []
        outs: tuple[Array, ...] = ()
        for by in product(range(len(asked.wrt)), repeat=last):
            if last and weights is not None and by not in weights:
                rows += [jnp.zeros_like(args[k]) for k in asked.wrt]
                continue
            made, outs = jax.grad(total_of(by), argnums=asked.wrt, has_aux=True)(*args)
            rows += made
        return (*outs, *rows) if asked.value else tuple(rows)

    return gradients


def compile_for(asked: Question, arrays: Sequence[Array], *, cpu: bool) -> Compiled:
    """Trace, compile and run it once, on copies of `arrays` on JAX's device.

    Raises ModelError ENV007 where JAX cannot do it.
    """
    import jax

    device = jax.devices("cpu" if cpu else None)[0]
    given = [jax.device_put(array, device) for array in arrays]
    with jax.default_device(device):
        try:
            begun = perf_counter()
            lowered = jax.jit(function_of(asked)).lower(*given)
            traced = perf_counter()
            program = lowered.compile()
            compiled = perf_counter()
            jax.block_until_ready(program(*given))
            ran = perf_counter()
        except ModelError:
            raise
        except Exception as error:
            said = str(error).strip().partition("\n")[0]
            raise fail(
                "ENV007",
                f"JAX cannot run the program: {type(error).__name__}",
                notes=[f"JAX {jax.__version__} says: {said[:300]}"],
                exit_code=ENVIRONMENT,
            ) from error

    def run() -> None:
        jax.block_until_ready(program(*given))

    def results() -> list[Array]:
        import numpy as np

        return [np.asarray(array) for array in program(*given)]

    return Compiled(
        run, results, traced - begun, compiled - traced, ran - compiled, _bytes(program), jax.__version__,
        f"{device.platform}",
    )  # fmt: skip


def _bytes(program: Any) -> int | None:
    """What XLA takes beside the inputs, where it tells."""
    try:
        found = program.memory_analysis()
        return int(found.temp_size_in_bytes) + int(found.output_size_in_bytes)
    except Exception:  # not every platform of every release of JAX has the analysis
        return None


# ── settings of JAX ─────────────────────────────────────────────────────────────────────────────────────────


def needs_wide(graph: Graph) -> bool:
    """Whether a graph has floats of 64 bits, or takes or gives such integers."""
    ends = [*graph.inputs, *graph.outputs]
    values = [out for one in graphs_of(graph) for node in one.nodes for out in node.outs]
    return any(v.dtype in ("f64", "i64") for v in ends) or any(v.dtype == "f64" for v in values)


@contextmanager
def settings(*, wide: bool, cpu: bool, threads: int | None) -> Iterator[None]:
    """JAX with or without types of 64 bits, and as it was afterwards. `threads` holds if JAX begins here."""
    if "jax" not in sys.modules:
        if cpu:
            os.environ.setdefault("JAX_PLATFORMS", "cpu")
        if threads is not None:
            os.environ["NPROC"] = str(threads)  # how many threads XLA starts
            if threads == 1:
                os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    import jax

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", wide)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)

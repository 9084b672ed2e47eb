"""Running graphs: first values made, passes, plan, memory asked for, backend.

Everything that turns what the elaborator prepared into arrays goes through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gradcli.collecting import uncollected
from gradcli.interp.params import Computed, FromFile, Seeded
from gradcli.interp.program import Fed, Feed
from gradcli.ir.aval import NUMPY_NAMES, Aval, is_int
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph
from gradcli.ir.region import graphs_of
from gradcli.record import record, replace
from gradcli.syntax.diagnostics import fail

if TYPE_CHECKING:
    import numpy as np

    from gradcli.plan import AnyPlan, Plan

    Array = np.ndarray[Any, Any]


MAX_LEVELS = 8  # of chunks within chunks: a loop of 10^6 turns keeps about 45 carries


@record
class Machine:
    """Where graphs run: the backend that was chosen, and the limits that were asked for."""

    backend: str = "numpy"
    why: str = ""
    device: int = 0
    threads: int | None = None
    memory: int | None = None
    fast_math: bool = False

    @classmethod
    def choose(cls, backend: str, device: int, threads: int | None, memory: int | None, fast_math: bool) -> Machine:
        """Raises ModelError (exit 3) where the backend that is asked for is missing."""
        from gradcli.backends import choose

        name, why = choose(backend, device)
        return cls(name, why, device, threads, memory, fast_math)

    @property
    def workers(self) -> int:
        """How many threads work at a time on NumPy: those asked for, else a thread for each core."""
        from gradcli.backends import cores

        return self.threads or cores()


@uncollected()
def plan_of(graph: Graph, machine: Machine) -> AnyPlan:
    """Optimised and planned; raises ModelError NUM001 where it cannot fit into memory.

    Where the adjoint of a loop would keep too much, the loop keeps less and runs some of its turns again.
    """
    from gradcli.passes.pipeline import optimize
    from gradcli.plan import check_memory, fits

    best, free = optimize(graph, fast_math=machine.fast_math), _free_on_device(machine)
    plans = [_planned(best, machine)]
    for levels in range(2, MAX_LEVELS + 1):
        if fits(plans[-1], machine.memory, free):
            return plans[-1]
        from gradcli.passes.checkpoints import checkpoint_loops

        shorter = checkpoint_loops(best, levels)
        if shorter is best:
            break
        plans.append(_planned(optimize(shorter, fast_math=machine.fast_math), machine))
    least = min(plans, key=lambda plan: plan.peak)
    check_memory(least, machine.memory, free)
    return least


def _free_on_device(machine: Machine) -> int | None:
    """Bytes that the GPU has left; None where the plan runs on the processor."""
    if machine.backend != "cupy":
        return None
    from gradcli.backends import cupy

    return cupy.free_memory(machine.device)


def _planned(graph: Graph, machine: Machine) -> AnyPlan:
    """A plan for the engine that runs it: CuPy takes the nodes as they are."""
    from gradcli.plan import Tiling, make_flat, make_plan

    if machine.backend == "cupy":
        return make_flat(graph)
    tiling = Tiling(threads=machine.workers)
    if not any(node.prim.name == "scan" for node in graph.nodes):
        return _with_scratch(make_plan(graph, tiling), machine)
    from gradcli.rolled import plan_with_loops

    return _with_scratch(plan_with_loops(graph, tiling, machine), machine)


def _with_scratch(plan: Plan, machine: Machine) -> Plan:
    """A plan whose peak counts what the routes of its steps hold, and what libraries take for themselves."""
    from gradcli.backends.routes import scratch_of

    return replace(plan, peak=plan.peak + scratch_of(plan, machine.workers) + _workspace(plan.graph))


def _workspace(graph: Graph) -> int:
    """The most that one step has beside its operands and results, in loops, too."""
    nodes = [node for around in graphs_of(graph) for node in around.nodes]
    return max((node.prim.workspace(node) for node in nodes if node.prim.workspace is not None), default=0)


def run_plan(plan: AnyPlan, inputs: Sequence[Any], machine: Machine) -> list[Array]:
    """The plan's outputs, owned by the caller."""
    return runner(plan, machine)(inputs)


def runner(plan: AnyPlan, machine: Machine) -> Callable[[Sequence[Any]], list[Array]]:
    """`run_plan` with all settled that stays the same from run to run. It may be called by several threads."""
    from gradcli.plan import FlatPlan

    if isinstance(plan, FlatPlan):
        from gradcli.backends import cupy

        return partial(cupy.run, plan, device=machine.device)
    from gradcli.backends import numpy

    return partial(numpy.run, plan, workers=machine.workers)


def threads_of(plan: AnyPlan, machine: Machine) -> int:
    """How many threads work on a plan at most; a GPU has none that are counted."""
    from gradcli.plan import FlatPlan

    return 0 if isinstance(plan, FlatPlan) else min(plan.most_lanes, machine.workers)


def _on_a_gpu(array: Any) -> bool:
    import numpy as np

    return not isinstance(array, np.ndarray) and hasattr(array, "__cuda_array_interface__")


def run_graph(graph: Graph, inputs: Sequence[Any], machine: Machine) -> list[Array]:
    return run_plan(plan_of(graph, machine), inputs, machine)


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────────


def array_of(fed: Fed, machine: Machine) -> Array:
    """The data of one graph input, in its aval's dtype."""
    return materialise(fed.origin, fed.aval, machine, fed.name)


def materialise(origin: Any, aval: Aval, machine: Machine, name: str = "") -> Array:
    """What feeds a graph input, as an array of exactly `aval`."""
    import numpy as np

    refuse_huge(aval, machine, name)
    shape = tuple(definite(d) for d in aval.shape)
    match origin:
        case Feed():
            return materialise(origin.array, aval, machine, name)
        case FromFile():
            return fit(origin.stored.load(), aval, name)
        case Seeded():
            from gradcli.data.random import initialise

            options: dict[str, Any] = dict(origin.options)
            seed = int(options.pop("seed", 0))
            return initialise(origin.kind, shape, aval.dtype, seed=seed, path=origin.path, **options)
        case Computed():
            inner = Machine(memory=machine.memory)
            position = {value.id: k for k, value in enumerate(origin.graph.inputs)}
            inputs: list[Any] = [None] * len(position)
            for data in origin.data:
                inputs[position[data.value.id]] = materialise(data.stored, data.value.aval, machine)
            return fit(run_graph(origin.graph, inputs, inner)[0], aval, name)
        case np.ndarray():
            return fit(origin, aval, name)
    return fit(origin.load(), aval, name)  # Stored


def dtype_of(aval: Aval) -> np.dtype[Any]:
    """NumPy's dtype for the elements of an aval, in the byte order of this machine."""
    import numpy as np

    return np.dtype(NUMPY_NAMES[aval.dtype])


def fit(array: Any, aval: Aval, name: str = "") -> Array:
    """Data in the dtype of an aval; an array of a GPU that has it stays there.

    Raises ModelError DAT105 for numbers that an integer type does not hold.
    """
    import numpy as np

    dtype = dtype_of(aval)
    if _on_a_gpu(array):
        if array.dtype == dtype:
            return array  # type: ignore[no-any-return]  # of CuPy, which is not installed where types are checked
        array = array.get()
    given = np.asarray(array)
    if given.dtype == dtype:
        return given
    if is_int(aval.dtype) and given.dtype.name != dtype.name and given.dtype.kind != "b" and given.size:
        limits = np.iinfo(dtype)
        low, high = given.min(), given.max()
        if not limits.min <= low <= high <= limits.max:
            wrong = low if low < limits.min else high
            raise fail("DAT105", f"{name or 'the data'}: {wrong} does not fit into {aval.dtype}")
        if given.dtype.kind == "f" and (given != np.trunc(given)).any():
            raise fail("DAT105", f"{name or 'the data'} is declared {aval}, and not all of its numbers are whole")
    with np.errstate(all="ignore"):
        made: Array = given.astype(dtype, copy=False)
    return made


def refuse_huge(aval: Aval, machine: Machine, name: str) -> None:
    """Raises ModelError NUM001 before an array is made that cannot fit."""
    from gradcli.plan import available_memory, human_bytes, too_large

    available = machine.memory if machine.memory is not None else available_memory()
    size = int(aval.nbytes) if isinstance(aval.nbytes, int) else 0
    if available is not None and size > available:
        what = f"{name} " if name else ""
        raise too_large(f"{what}{aval} takes {human_bytes(size)}", available, machine.memory)

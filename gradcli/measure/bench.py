"""`bench`: how long a user's own gradient takes, its first call part by part and a later one, and how much memory.

The same program is run eagerly, and where it is asked for by JAX, side by side with gradcli's (`timing.py`). Before a
time counts, the numbers of all sides must agree: rounding apart, they are one function.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gradcli import opening, running
from gradcli.differentiate import Derived, Scene, scene_of
from gradcli.engine import Machine, plan_of, run_plan, threads_of
from gradcli.facts.measure import Bench, First, Memory, Side, Spread
from gradcli.interp.program import Prepared, Program
from gradcli.ir.aval import EPS, FLOATS
from gradcli.ir.cost import flops
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from, without_dead
from gradcli.measure.timing import Rounds, Talk, side_by_side
from gradcli.record import record
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ENVIRONMENT, NO, Diagnostic, fail, listed

if TYPE_CHECKING:
    import numpy as np

    from gradcli.emitting.jax_gradients import Compiled
    from gradcli.plan import AnyPlan

    Array = np.ndarray[Any, Any]

PEERS = ("jax",)
INSTALL = "pip install jax"
UNCERTAIN = 1_000  # times what a change of the inputs in their last bit does: how far rounding may take results apart


@record(eq=False)
class Work:
    """What is timed: the program, its data, and what it is called."""

    program: Program
    prepared: Prepared
    request: Request
    machine: Machine
    scene: Scene
    derived: Derived
    graph: Graph  # that is planned: with the values only where they are asked for
    inputs: tuple[Any, ...]
    given: Mapping[str, Any] | None

    @property
    def names(self) -> list[str]:
        """Of the results."""
        values = [f"value/{name}" for name in self.prepared.outputs] if self.request.value else []
        return [*values, *map(",".join, self.derived.names)]

    @property
    def notes(self) -> tuple[Diagnostic, ...]:
        return (*self.prepared.notes, *self.derived.notes)

    @property
    def sens(self) -> tuple[dict[str, Any], ...]:
        return running.describe_sens(self.prepared, self.given)


def bench(
    file: ModelFile,
    request: Request,
    *,
    against: Sequence[str] = (),
    seconds: float = 2.0,
    rounds: int | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_round: Callable[[str], None] = lambda name: None,
) -> Bench:
    """Raises ModelError as `grad` does; ENV006 and ENV007 where JAX is missing or cannot, NUM097 (exit 1) where the
    numbers of two sides disagree."""
    refuse_missing(against)
    machine = opening.machine_of(request)
    work, first, plan, results = first_call(file, request, machine)
    memory = memory_of(work, results)
    sides: dict[str, Callable[[], object]] = {"gradcli": lambda: run_plan(plan, work.inputs, machine)}
    apart: dict[str, float | None] = {}
    notes = [*work.notes, *not_finite(work, results)]
    eager = eager_of(work)
    if eager is None:
        notes.append(Diagnostic("NUM001", "left out: eager evaluation does not fit into memory", severity="note"))
    else:
        sides["eager"] = eager
        apart["eager"] = agree(work, "eager", results, eager(), plan)
    with Peer(work, against) as peer:
        if peer.compiled is not None:
            sides["jax"] = peer.compiled.run
            apart["jax"] = agree(work, "jax", results, peer.compiled.arrays(), plan)
        found = side_by_side(sides, seconds=seconds, rounds=rounds, talk=Talk(on_start, on_round))
    count = len(next(iter(found.seconds.values())))
    own = [side_of(name, found, apart, first, memory, peer.compiled) for name in sides]
    return Bench(
        work.program.scope.source.name, work.prepared.net, work.program.scope.edition, machine.backend,
        threads_of(plan, machine), request.order, work.sens, count, first, tuple(own), flops(work.graph), memory,
        tuple(notes),
    )  # fmt: skip


def side_of(
    name: str, found: Rounds, apart: Mapping[str, float | None], first: First, memory: Memory, peer: Compiled | None
) -> Side:
    about = {"eager": "each operator by itself, on NumPy"}.get(name, "")
    began: First | None = None
    taken: int | None = None
    if name == "gradcli":
        began, taken = first, memory.measured
    elif name == "jax" and peer is not None:
        parts = (("trace", peer.trace_seconds), ("compile", peer.compile_seconds), ("run", peer.run_seconds))
        began, taken, about = First(parts), peer.bytes, f"{peer.version}, {peer.device}"
    ratio: Spread | None = None if name == "gradcli" else found.ratio("gradcli", name)
    return Side(name, found.spread(name), found.runs[name], ratio, apart.get(name), began, taken, about)


# ── the first call ──────────────────────────────────────────────────────────────────────────────────────────


def first_call(file: ModelFile, request: Request, machine: Machine) -> tuple[Work, First, AnyPlan, list[Array]]:
    """What a call takes from the text to the result, part by part, and what came of each."""
    warm(machine)
    begun = perf_counter()
    program, prepared = opening.prepare(file, request)
    elaborated = perf_counter()
    inputs = running.feed_arrays(prepared, machine)
    given = running.read_sens(program, prepared, request)
    fed = perf_counter()
    derived = running.derive_request(prepared, request, None if given is None else list(given))
    graph = derived.graph if request.value else outputs_from(derived.graph, len(prepared.outputs))
    derivatives = perf_counter()
    plan = plan_of(graph, machine)
    planned = perf_counter()
    arrays = (*inputs, *running.sens_arrays(given or {}, derived.weighted, machine))
    weighed = perf_counter()
    results = run_plan(plan, arrays, machine)
    done = perf_counter()
    parts = {
        "read and elaborate": elaborated - begun, "load the data": fed - elaborated + weighed - planned,
        "differentiate": derivatives - fed, "plan": planned - derivatives, "run": done - weighed,
    }  # fmt: skip
    scene = scene_of(prepared, request)
    work = Work(program, prepared, request, machine, scene, derived, graph, arrays, given)
    return work, First(tuple(parts.items())), plan, results


def not_finite(work: Work, results: Sequence[Array]) -> Iterator[Diagnostic]:
    """One note where results hold nan or inf, which take some processors longer."""
    import numpy as np

    found = [name for name, array in zip(work.names, results, strict=True) if not np.isfinite(array).all()]
    if found:
        yield Diagnostic("NUM090", f"not finite: {listed(found)}; times may be others than usual", severity="note")


def warm(machine: Machine) -> None:
    """Load what a process loads once, whatever the model: it is no part of a model's first call."""
    tiny = ModelFile(text="net f(x: f64[2]) = sum(x * x)\ninput x = [1, 2]\n", name="warm")
    for verb, run in (("grad", running.gradients), ("eval", running.evaluate)):
        request = Request(verb=verb, backend=machine.backend, device=machine.device)  # type: ignore[arg-type]  # two verbs
        run(tiny, *opening.prepare(tiny, request), request, opening.machine_of(request))


# ── the other sides ─────────────────────────────────────────────────────────────────────────────────────────


def eager_of(work: Work) -> Callable[[], list[Array]] | None:
    """The program before any pass, node by node; None where that takes more memory than there is."""
    from gradcli.measure.eager import Eager, bytes_of
    from gradcli.plan import available_memory

    graph = without_dead(work.graph)
    limit = work.machine.memory if work.machine.memory is not None else available_memory()
    if limit is not None and bytes_of(graph) > limit:
        return None
    run = Eager(graph)

    def eager() -> list[Array]:
        import numpy as np

        with np.errstate(all="ignore"):
            return run(work.inputs)

    return eager


def refuse_missing(against: Sequence[str]) -> None:
    """Raises ModelError ENV006 (exit 3) where JAX is asked for and not there."""
    if "jax" in against and find_spec("jax") is None:
        raise fail(
            "ENV006", "`--against jax` compares with JAX, which is not installed", help=f"`{INSTALL}`",
            exit_code=ENVIRONMENT,
        )  # fmt: skip


class Peer:
    """JAX's program, and JAX set up for it as long as this context lasts; nothing where it was not asked for."""

    def __init__(self, work: Work, against: Sequence[str]) -> None:
        self.work, self.wanted = work, "jax" in against
        self.compiled: Compiled | None = None

    def __enter__(self) -> Peer:
        if not self.wanted:
            return self
        try:
            from gradcli.emitting import jax_gradients as peer

            cpu, machine = self.work.machine.backend == "numpy", self.work.machine
            wide = peer.needs_wide(self.work.prepared.graph)
            self.context = peer.settings(wide=wide, cpu=cpu, threads=machine.threads)
            self.context.__enter__()
        except ImportError as error:
            raise fail(
                "ENV006", "JAX is installed, but cannot be imported", notes=[str(error)], help=f"`{INSTALL} -U`",
                exit_code=ENVIRONMENT,
            ) from None  # fmt: skip
        try:
            self.compiled = peer.compile_for(question_of(self.work), self.work.inputs, cpu=cpu)
        except BaseException:
            self.context.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.wanted:
            self.context.__exit__(None, None, None)


def question_of(work: Work) -> Any:
    """The same gradients, as they are asked of JAX."""
    from gradcli.emitting.jax_gradients import Question

    scene, order, outputs = work.scene, work.request.order, work.prepared.outputs
    places: dict[tuple[int, ...], int] | None = None
    if work.derived.weighted:
        first = len(scene.graph.inputs)
        at = {name: first + k for k, (name, _) in enumerate(work.derived.weighted)}
        if order == 1:
            places = {(k,): at[name] for k, name in enumerate(outputs) if name in at}
        else:
            by = product(range(len(scene.targets)), repeat=order - 1)
            named = {",".join(scene.targets[k].name for k in key): key for key in by}
            places = {named[name]: place for name, place in at.items()}
    wrt = tuple(target.position for target in scene.targets)
    return Question(scene.graph, wrt, order, places, work.request.value, scene.whole)


# ── agreement ───────────────────────────────────────────────────────────────────────────────────────────────


def agree(work: Work, name: str, ours: Sequence[Array], theirs: Sequence[Array], plan: AnyPlan) -> float | None:
    """The largest difference over the largest element of its array. Raises ModelError NUM097 (exit 1) where results
    are further apart than rounding takes them.

    That is half the digits of the dtype, or what changes of the inputs in their last bit do, a thousand times: a
    gradient may cancel to nothing but rounding.
    """
    import numpy as np

    worst = 0.0
    moved: list[Array] | None = None
    with np.errstate(all="ignore"):
        for label, a, b in zip(work.names, ours, theirs, strict=True):
            if a.shape != b.shape:
                raise _disagree(name, label, f"its shape is {list(b.shape)}, not {list(a.shape)}")
            error, scale = _apart(a, b)
            allowed = _half_the_digits(a) * scale
            if not error <= allowed:
                moved = moved or run_plan(plan, _nudged(work.inputs), work.machine)
                noise, _ = _apart(a, moved[work.names.index(label)])
                if not error <= allowed + UNCERTAIN * noise:
                    raise _disagree(name, label, f"{error:.2g} apart, of {scale:.2g}")
            elif scale:
                worst = max(worst, error / scale)
    return worst


def _half_the_digits(array: Array) -> float:
    names = {f"float{16 << k}": dtype for k, dtype in enumerate(FLOATS)}
    return float(EPS[names[array.dtype.name]] ** 0.5) if array.dtype.name in names else 0.0


def _apart(a: Array, b: Array) -> tuple[float, float]:
    """The largest difference, infinite where only one is finite, and the largest finite element."""
    import numpy as np

    left, right = a.astype("f8"), b.astype("f8")
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    error = np.where(same, 0.0, np.abs(left - right))
    error = np.where(np.isnan(error), np.inf, error)
    finite = np.abs(left[np.isfinite(left)])
    return float(error.max(initial=0.0)), float(finite.max(initial=0.0))


def _nudged(arrays: Sequence[Any]) -> list[Any]:
    """Floats with their last bit changed, up or down."""
    import numpy as np

    rng = np.random.default_rng(0)

    def one(array: Any) -> Any:
        if array.dtype.kind != "f":
            return array
        signs = rng.integers(0, 2, array.shape) * 2 - 1
        return (array * (1 + signs * np.finfo(array.dtype).eps)).astype(array.dtype)

    return [one(np.asarray(array)) for array in arrays]


def _disagree(name: str, label: str, how: str) -> Exception:
    help = (
        "at a kink, such as relu at 0, conventions differ; `gradcli gradcheck` holds the gradient against differences"
    )
    return fail(
        "NUM097", f"{name} gives other numbers for {label}: {how}", help=help if name != "eager" else None, exit_code=NO
    )


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────


def memory_of(work: Work, results: Sequence[Array]) -> Memory:
    """A fresh plan, run twice while allocations are traced: at first it makes its buffers, then it has them. The
    scratch of routes, which plans share, is made anew, too."""
    plan = plan_of(work.graph, work.machine)
    made = sum(array.nbytes for array in results)
    if work.machine.backend != "numpy":
        return Memory(plan.input_bytes, plan.peak, None, None, None, made)
    from gradcli.backends.routes import forget_scratch

    forget_scratch()
    tracemalloc.start()
    try:
        first, held = _traced(lambda: run_plan(plan, work.inputs, work.machine))
        later, _ = _traced(lambda: run_plan(plan, work.inputs, work.machine))
    finally:
        tracemalloc.stop()
    return Memory(plan.input_bytes, plan.peak, first, held, later, made)


def _traced(run: Callable[[], object]) -> tuple[int, int]:
    """Bytes that a run takes at its peak, and what is left of them when its results are gone."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    run()
    after, peak = tracemalloc.get_traced_memory()
    return max(0, peak - before), max(0, after - before)

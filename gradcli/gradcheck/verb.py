"""`gradcheck`: is this gradient right?

What is differentiated is φ = ⟨ct, f⟩ (`problems.py`). The gradient that `grad` computes, optimised and planned, is held
against the slope of φ by central differences (`slopes.py`), of which every run keeps what `stop_gradient` stops and the
turns of its loops (`held.py`). These run side by side, many points in one run:

- along random directions of all elements at once, ±1 times the size of the array's numbers,
- along single elements: all of a small array; of a large one some that are largest in the gradient, and some at random,
- and where a direction disagrees and no element tried does, by halving the elements until one is left.

Forward mode is held against reverse mode, ⟨ct, J v⟩ = ⟨Jᵀ ct, v⟩. Where something disagrees, `narrowing.py` tells which
operator is at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.ad.forward import forward
from gradcli.differentiate import Scene
from gradcli.directions import scene_of_jvp
from gradcli.engine import Machine, run_graph
from gradcli.gradcheck.gradient import check_problem, directions_of, drawn
from gradcli.gradcheck.held import calls_of, most_rows
from gradcli.gradcheck.placing import place_of
from gradcli.gradcheck.problems import (
    Function,
    Problem,
    functions_of,
    point_of,
    problem_alone,
    problem_of,
    replace_order,
)
from gradcli.interp.program import Prepared, Program
from gradcli.ir.aval import EPS
from gradcli.ir.cost import cost
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from
from gradcli.record import record
from gradcli.request import CheckedGradients, Culprit, GradientCheck, Request
from gradcli.running import read_sens, refuse_many, refuse_order
from gradcli.syntax.diagnostics import Diagnostic, listed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DUALITY = 1e-12  # in f64
UNITS = 64  # of rounding, in narrower floats
WORK = 2e9  # operations that single elements may take in all: a few seconds
CALL = 2_000  # what calling one operator costs, in operations
HANDLING = 50_000  # and what is done with the values of one run
RUNS = 14  # of the model, for the slope along one direction
LEAST, MOST = 1, 4_096  # elements of one array that are moved alone


@record
class Talk:
    """How progress is told: the pieces of work that lie ahead, and each that is done."""

    start: Callable[[int], None]
    advance: Callable[[str], None]


def check_gradients(
    program: Program, prepared: Prepared, request: Request, machine: Machine, *,
    seed: int, elements: int | None, talk: Talk,
) -> CheckedGradients:  # fmt: skip
    """Everything that `gradcheck` says. Raises ModelError as `grad` does."""
    from gradcli.gradcheck.narrowing import culprits

    refuse_order(request.order)
    scene = scene_of_jvp(prepared, request)
    refuse_many(len(scene.targets) ** request.order, f"order {request.order} by {len(scene.targets)} inputs and params")
    given = read_sens(program, prepared, replace_order(request, scene), widens=True)
    arrays = point_of(scene, prepared, machine)
    functions = list(functions_of(scene, prepared, request, given, seed))
    sizes = [definite(scene.graph.inputs[target.position].aval.size) for target in scene.targets]
    counts = [counts_of(function.graph, sizes, len(functions), elements) for function in functions]
    ways = [n + directions_of(size, n) for own in counts for size, n in zip(sizes, own, strict=True)]
    talk.start(sum(ways) + 2 * len(functions))
    at = {t.name: place_of([span]) if (span := prepared.origins.get(t.name)) else None for t in scene.targets}
    rows: list[GradientCheck] = []
    duality: dict[int, float | None] = {}  # by order, of the function that is farthest
    limit = DUALITY
    found: tuple[Culprit, ...] = ()
    for function, own in zip(functions, counts, strict=True):
        name = ",".join(function.prefix) or "the gradient"
        talk.advance(name)
        problem = problem_of(function, arrays, scene.targets, machine)
        made = check_problem(problem, machine, own, [at[t.name] for t in scene.targets], seed, talk.advance)
        rows += made
        talk.advance(name)
        apart, order = dual(problem, machine, seed), 1 + len(function.prefix)
        duality[order] = farther(duality.get(order, 0.0), apart)
        limit = max(limit, limit_of(problem))
        if not found and (disagrees(problem, apart) or any(row.verdict == "wrong" for row in made)):
            found = culprits(problem.graph, problem.arrays, seed)
    return CheckedGradients(
        program.scope.source.name, prepared.net, program.scope.edition, request.dtype or "f64", seed,
        described(functions, request.order), tuple(rows), tuple(duality.values()), limit, found,
        tuple(notes_of(prepared, scene)),
    )  # fmt: skip


def notes_of(prepared: Prepared, scene: Scene) -> Iterator[Diagnostic]:
    yield from (note for note in prepared.notes if note.code != "DAT106")  # widened: as was to be
    yield from scene.notes
    every = (*prepared.inputs, *prepared.params)
    left = [fed.name for fed in every if not fed.aval.is_float]
    if left and not scene.notes:
        yield Diagnostic("DIF001", f"left out, as not float: {listed(left)}", severity="note")


# ── how much of it ──────────────────────────────────────────────────────────────────────────────────────────


def counts_of(graph: Graph, sizes: Sequence[int], functions: int, asked: int | None) -> list[int]:
    """How many elements of each target are moved alone, of one function of so many."""
    if asked is not None:
        return [min(size, asked) for size in sizes]
    most = WORK / (RUNS * work_of(graph)) / (functions * max(len(sizes), 1))
    return [min(size, max(LEAST, min(MOST, int(most)))) for size in sizes]


def work_of(graph: Graph) -> int:
    """What it costs to run a graph once more, beside others."""
    return cost(graph) + CALL * calls_of(graph) // most_rows(graph) + HANDLING


# ── forward against reverse ─────────────────────────────────────────────────────────────────────────────────


def dual(problem: Problem, machine: Machine, seed: int) -> float | None:
    """|⟨ct, J v⟩ - ⟨Jᵀ ct, v⟩| over the terms that are added up; None where they are not finite.

    Terms that cancel to nothing are rounding of the value, so that counts too.
    """
    import numpy as np

    graph, wrt = problem.graph, [target.position for target in problem.targets]
    avals = [graph.inputs[k].aval for k in wrt]
    ways = drawn(avals, seed + 1_000)
    along = outputs_from(forward(graph, wrt), len(graph.outputs))
    pushed = run_graph(along, [*problem.arrays, *ways], machine)
    with np.errstate(all="ignore"):
        left = [ct.astype("f8") * t for ct, t in zip(problem.cts, pushed, strict=True)]
        right = [g.astype("f8") * way for g, way in zip(problem.gradients, ways, strict=True)]
        sums = [sum(float(term.sum()) for term in terms) for terms in (left, right)]
        scale = sum(float(abs(term).sum()) for term in (*left, *right))
        scale += sum(float(abs(ct * f).sum()) for ct, f in zip(problem.cts, problem.values, strict=True))
    if not np.isfinite(scale):
        return None
    return abs(sums[0] - sums[1]) / scale if scale else 0.0


def disagrees(problem: Problem, apart: float | None) -> bool:
    return apart is not None and apart > limit_of(problem)


def limit_of(problem: Problem) -> float:
    """How far both modes may be apart: 1e-12 in f64, some units of rounding in narrower floats."""
    ends = [*(problem.graph.inputs[t.position] for t in problem.targets), *problem.graph.outputs]
    return max(DUALITY, UNITS * max(EPS[value.dtype] for value in ends))


def farther(known: float | None, apart: float | None) -> float | None:
    return None if known is None or apart is None else max(known, apart)


def described(functions: Sequence[Function], order: int) -> tuple[dict[str, Any], ...]:
    """Each weight of the last order as `--sens` gives it: `grad` can be asked for the same."""
    last = [function.sens for function in functions if len(function.prefix) == order - 1]
    return tuple(
        {"output": label, "kind": one.kind, "source": one.source or None}
        for sens in last
        for label, one in sens.items()
    )


# ── a graph by itself ───────────────────────────────────────────────────────────────────────────────────────


def graph_agrees(graph: Graph, arrays: Sequence[Array], seed: int = 0, elements: int = MOST) -> bool:
    """Whether the gradients of a graph are finite and agree with differences, and both modes with each other."""
    problem = problem_alone(graph, arrays, seed)
    count = len(problem.targets)
    rows = check_problem(problem, Machine(), [elements] * count, [None] * count, seed)
    if any(row.verdict in ("wrong", "not finite") for row in rows):
        return False
    return not disagrees(problem, dual(problem, Machine(), seed))

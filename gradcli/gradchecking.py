"""`gradcheck`: is this gradient right?

What is differentiated is φ = ⟨ct, f⟩ for a random cotangent ct; f are the float outputs or, for order n, one gradient
of order n - 1. The gradient that `grad` computes, optimised and planned, is held against the slope of φ by central
differences (`slopes.py`), of which every run keeps what `stop_gradient` stops and the turns of its loops (`held.py`):

- along random directions of all elements at once, ±1 times the size of the array's numbers,
- along single elements: all of a small array; of a large one some that are largest in the gradient, and some at random,
- and where a direction disagrees and no element tried does, by halving the elements until one is left.

Forward mode is held against reverse mode, ⟨ct, J v⟩ = ⟨Jᵀ ct, v⟩. Where something disagrees, `narrowing.py` tells which
operator is at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli import weights
from gradcli.ad.forward import forward
from gradcli.ad.reverse import float_outputs, reverse
from gradcli.differentiate import Scene, Target, by_series, derive
from gradcli.directions import scene_of_jvp
from gradcli.engine import Machine, run_graph
from gradcli.held import calls_of, most_rows
from gradcli.interp.program import Prepared, Program
from gradcli.ir.aval import EPS
from gradcli.ir.cost import cost
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from, without_dead
from gradcli.onegradient import check_problem, drawn
from gradcli.placing import place_of
from gradcli.record import record, replace
from gradcli.request import CheckedGradients, Culprit, GradientCheck, Request
from gradcli.running import feed_arrays, read_sens, refuse_many, refuse_order
from gradcli.slopes import Weighted
from gradcli.syntax.diagnostics import Diagnostic, listed
from gradcli.weights import Given

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DUALITY = 1e-12  # in f64
UNITS = 64  # of rounding, in narrower floats
WORK = 2e9  # operations that single elements may take in all: a few seconds
NODE = 2_000  # what calling one operator costs, in operations
RUNS = 14  # of the model, for the slope along one direction
LEAST, MOST = 1, 4_096  # elements of one array that are moved alone


@record(eq=False)
class Problem:
    """φ = ⟨cts, f⟩: `graph` gives f, and `prefix` names what it is already a derivative by."""

    prefix: tuple[str, ...]
    sens: Mapping[str, Given]  # of each output
    graph: Graph
    arrays: Sequence[Array]
    cts: Sequence[Array]
    targets: Sequence[Target]
    values: Sequence[Array]  # f at the point
    gradients: Sequence[Array]  # by each target


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
    from gradcli.narrowing import culprits

    refuse_order(request.order)
    scene = scene_of_jvp(prepared, request)
    refuse_many(len(scene.targets) ** request.order, f"order {request.order} by {len(scene.targets)} inputs and params")
    given = read_sens(program, prepared, replace_order(request, scene), widens=True)
    arrays = point_of(scene, prepared, machine)
    problems = list(problems_of(scene, prepared, request, given, arrays, machine, seed))
    counts = [count_of(problem, len(problems), target, elements) for problem in problems for target in problem.targets]
    talk.start(sum(counts) + len(counts))
    at = {t.name: place_of([span]) if (span := prepared.origins.get(t.name)) else None for t in scene.targets}
    left = iter(counts)
    rows: list[GradientCheck] = []
    duality: list[float | None] = []
    found: tuple[Culprit, ...] = ()
    for problem in problems:
        weighted = weighted_of(problem)
        own = [next(left) for _ in problem.targets]
        made = check_problem(problem, weighted, own, [at[t.name] for t in problem.targets], seed, talk.advance)
        rows += made
        duality.append(dual(problem, weighted, machine, seed))
        if not found and (disagrees(problem, duality[-1]) or any(row.verdict == "wrong" for row in made)):
            found = culprits(problem.graph, problem.arrays, seed)
    return CheckedGradients(
        program.scope.source.name, prepared.net, program.scope.edition, request.dtype or "f64", seed,
        described(problems, request.order), tuple(rows), by_order(problems, duality),
        max(map(limit_of, problems)), found, tuple(notes_of(prepared, scene)),
    )  # fmt: skip


def notes_of(prepared: Prepared, scene: Scene) -> Iterator[Diagnostic]:
    yield from (note for note in prepared.notes if note.code != "DAT106")  # widened: as was to be
    yield from scene.notes
    every = (*prepared.inputs, *prepared.params)
    left = [fed.name for fed in every if not fed.aval.is_float]
    if left and not scene.notes:
        yield Diagnostic("DIF001", f"left out, as not float: {listed(left)}", severity="note")


# ── what is checked ─────────────────────────────────────────────────────────────────────────────────────────


def replace_order(request: Request, scene: Scene) -> Request:
    """The request that says what `--sens` may weight: gradients by all that is checked."""
    if request.order == 1 or request.at is not None or request.wrt or request.get_all or request.get_by_list:
        return request
    return replace(request, wrt=",".join(target.name for target in scene.targets))


def point_of(scene: Scene, prepared: Prepared, machine: Machine) -> list[Array]:
    """The inputs of the scene's graph: those of the net, and the value of the line that it begins with."""
    arrays = feed_arrays(prepared, machine)
    return arrays if scene.whole is None else [*arrays, *run_graph(scene.whole, arrays, machine)]


def problems_of(
    scene: Scene, prepared: Prepared, request: Request, given: dict[str, Given] | None, arrays: Sequence[Array],
    machine: Machine, seed: int,
) -> Iterator[Problem]:  # fmt: skip
    """One for the outputs, then for each order one for each gradient of the order before. `--sens` is of the last.

    Of a high order by one input, without `--sens`, `grad` has a way of its own: that is the one that is checked.
    """
    for order in range(1, request.order + 1):
        weighed = given if order == request.order else None
        series = by_series(scene.graph, scene.targets, order) if weighed is None else None
        for prefix, graph, labels in functions(scene, prepared.outputs, order):
            if weighed is not None and not set(labels) & set(weighed):
                continue
            if series is not None:
                sens = [Given("ones", "", None)]
            elif weighed is None:
                sens = [Given("random", f"random:{seed + k}", seed + k) for k in range(len(labels))]
            else:
                sens = [weighed[label] for label in labels]
            cts = [weights.array(one, out.aval, machine, "sens") for one, out in zip(sens, graph.outputs, strict=True)]
            problem = problem_of(graph, arrays, cts, scene.targets, machine, prefix, dict(zip(labels, sens, strict=True)))
            if series is not None:
                problem = replace(problem, gradients=run_graph(outputs_from(series.graph, -1), arrays, machine))
            yield problem


def problem_of(
    graph: Graph, arrays: Sequence[Array], cts: Sequence[Array], targets: Sequence[Target], machine: Machine,
    prefix: tuple[str, ...] = (), sens: Mapping[str, Given] | None = None,
) -> Problem:  # fmt: skip
    """With the gradients that the engine computes. Raises ModelError DIF001, DIF002 or DIF008, and where an operator
    refuses the data, also one that no gradient needs."""
    wrt = [target.position for target in targets]
    made = run_graph(reverse(graph, wrt, sens="inputs"), [*arrays, *cts], machine)
    n = len(graph.outputs)
    return Problem(prefix, sens or {}, graph, arrays, cts, targets, made[:n], made[n:])


def weighted_of(problem: Problem) -> Weighted:
    moved = [target.position for target in problem.targets]
    return Weighted(problem.graph, problem.arrays, problem.cts, problem.values, moved)


def functions(
    scene: Scene, outputs: Sequence[str], order: int
) -> Iterator[tuple[tuple[str, ...], Graph, Sequence[str]]]:
    """What is differentiated: by what it is already a derivative, its graph, and the names of its outputs."""
    graph = scene.graph
    if order == 1:
        floats = float_outputs(graph, None)
        yield (), outputs_of(graph, floats), [outputs[k] for k in floats]
        return
    made = derive(graph, scene.targets, order - 1, outputs, None)
    for k, names in enumerate(made.names):
        yield names, outputs_of(made.graph, [len(graph.outputs) + k]), [",".join(names)]


def outputs_of(graph: Graph, positions: Sequence[int]) -> Graph:
    outputs = tuple(graph.outputs[k] for k in positions)
    return without_dead(Graph(graph.inputs, graph.nodes, outputs, graph.n_values, graph.names))


def count_of(problem: Problem, problems: int, target: Target, asked: int | None) -> int:
    """How many elements of a target are moved alone, one of so many problems."""
    size = int(problem.arrays[target.position].size)
    if asked is not None:
        return min(size, asked)
    most = WORK / (RUNS * max(work_of(problem.graph), 1)) / (problems * len(problem.targets))
    return min(size, max(LEAST, min(MOST, int(most))))


def work_of(graph: Graph) -> int:
    """What it costs to run a graph once more, beside others."""
    return cost(graph) + NODE * calls_of(graph) // most_rows(graph)


# ── forward against reverse ─────────────────────────────────────────────────────────────────────────────────


def dual(problem: Problem, weighted: Weighted, machine: Machine, seed: int) -> float | None:
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
        scale += sum(float(abs(ct * f).sum()) for ct, f in zip(weighted.cts, problem.values, strict=True))
    if not np.isfinite(scale):
        return None
    return abs(sums[0] - sums[1]) / scale if scale else 0.0


def disagrees(problem: Problem, apart: float | None) -> bool:
    return apart is not None and apart > limit_of(problem)


def limit_of(problem: Problem) -> float:
    """How far both modes may be apart: 1e-12 in f64, some units of rounding in narrower floats."""
    ends = [*(problem.graph.inputs[t.position] for t in problem.targets), *problem.graph.outputs]
    return max(DUALITY, UNITS * max(EPS[value.dtype] for value in ends))


def by_order(problems: Sequence[Problem], duality: Sequence[float | None]) -> tuple[float | None, ...]:
    """The farthest of each order."""
    found: dict[int, float | None] = {}
    for problem, one in zip(problems, duality, strict=True):
        known = found.setdefault(len(problem.prefix), one)
        found[len(problem.prefix)] = None if known is None or one is None else max(known, one)
    return tuple(found.values())


def described(problems: Sequence[Problem], order: int) -> tuple[dict[str, Any], ...]:
    """Each weight of the last order as `--sens` gives it: `grad` can be asked for the same."""
    last = [problem.sens for problem in problems if len(problem.prefix) == order - 1]
    return tuple(
        {"output": label, "kind": one.kind, "source": one.source or None}
        for sens in last
        for label, one in sens.items()
    )


# ── a graph by itself ───────────────────────────────────────────────────────────────────────────────────────


def graph_problem(graph: Graph, arrays: Sequence[Array], seed: int = 0) -> Problem:
    """The float outputs of a graph by its float inputs, under a random cotangent."""
    only = outputs_of(graph, float_outputs(graph, None))
    cts = drawn([out.aval for out in only.outputs], seed)
    floats = [k for k, value in enumerate(graph.inputs) if value.aval.is_float]
    return problem_of(only, arrays, cts, [Target(f"input {k}", "input", k) for k in floats], Machine())


def graph_agrees(graph: Graph, arrays: Sequence[Array], seed: int = 0, elements: int = MOST) -> bool:
    """Whether the gradients of a graph are finite and agree with differences, and both modes with each other."""
    problem = graph_problem(graph, arrays, seed)
    weighted, count = weighted_of(problem), len(problem.targets)
    rows = check_problem(problem, weighted, [elements] * count, [None] * count, seed)
    if any(row.verdict in ("wrong", "not finite") for row in rows):
        return False
    return not disagrees(problem, dual(problem, weighted, Machine(), seed))

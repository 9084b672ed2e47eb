"""`profile`: where the time of a gradient goes, by line of the model and by step of the plan.

What was timed comes as a list of steps with the nodes that each computes (`backends/timed.py`); the time of a step of
several nodes goes to them in proportion to what they cost on paper. A node belongs to the first line of the model that
asked for it; one inside of a loop that no line asked for, to the loop's line. All inside of an adjoint loop is
backward, what is computed again there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from gradcli import opening
from gradcli.engine import run_plan, threads_of
from gradcli.facts.measure import Figures, Peaks, Profile, ProfiledLine, ProfiledStep
from gradcli.ir.cost import moved, node_cost, node_flops
from gradcli.ir.graph import Node, Value
from gradcli.ir.region import regions
from gradcli.measure.bench import Work, first_call, not_finite
from gradcli.measure.roofline import measure
from gradcli.measure.timing import FEWEST, Talk, spread
from gradcli.record import record
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import Diagnostic, Span

if TYPE_CHECKING:
    from gradcli.backends.timed import Timed
    from gradcli.plan import AnyPlan

MOST = 2_000  # runs: medians of more are no better
SHORT = 100e-6  # seconds of a run below which measuring is a good part of it
OFF = 1.5  # times as long as a plain run: then measuring is a good part of it, too
DIRECTIONS = ("forward", "backward", "tangent")


@record(eq=False)
class Part:
    """What one node had of a step's time, and what it did there; `first` of its step."""

    step: int
    node: Node
    inside: tuple[Node, ...]
    seconds: float
    calls: int
    bytes: int


def profile(
    file: ModelFile,
    request: Request,
    *,
    seconds: float = 2.0,
    rounds: int | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_round: Callable[[str], None] = lambda name: None,
) -> Profile:
    """Raises ModelError as `grad` does."""
    machine = opening.machine_of(request)
    work, _, plan, results = first_call(file, request, machine)
    peaks = measure(dtypes_of(plan), request.memory)
    plain, timed = measured(work, plan, seconds=seconds, rounds=rounds, talk=Talk(on_start, on_round))
    parts = parts_of(timed, plan)
    stepwise = sum(step.seconds for step in timed)
    whole = spread(plain)
    notes = (*work.notes, *not_finite(work, results), *doubts(whole.median, stepwise))
    return Profile(
        work.program.scope.source.name, work.prepared.net, work.program.scope.edition, machine.backend,
        threads_of(plan, machine), request.order, work.sens, len(plain), whole, stepwise, peaks,
        lines_of(parts, peaks), steps_of(timed, parts, peaks), notes,
    )  # fmt: skip


def measured(
    work: Work, plan: AnyPlan, *, seconds: float, rounds: int | None, talk: Talk
) -> tuple[list[float], list[Timed]]:
    """Seconds of plain runs, and between them of runs node by node, the median of each node."""
    from gradcli.backends.timed import Stopwatch
    from gradcli.plan import make_flat

    watch = Stopwatch(make_flat(plan.graph))
    begun = perf_counter()
    run_plan(plan, work.inputs, work.machine)
    watch.run(work.inputs)
    once = perf_counter() - begun
    if rounds is None:
        rounds = min(max(FEWEST, round(seconds / max(once, 1e-6))), MOST)
    talk.start(rounds)
    plain: list[float] = []
    found: list[list[Timed]] = []
    for turn in range(rounds):
        begun = perf_counter()
        run_plan(plan, work.inputs, work.machine)
        plain.append(perf_counter() - begun)
        found.append(watch.run(work.inputs)[1])
        talk.advance(f"round {turn + 1}")
    steps = [rows[0]._replace(seconds=_middle([row.seconds for row in rows])) for rows in zip(*found, strict=True)]
    return plain, steps


def _middle(figures: Sequence[float]) -> float:
    return spread(figures).median


def doubts(plain: float, stepwise: float) -> Iterable[Diagnostic]:
    """Where what is seen is the measuring."""
    if plain < SHORT or stepwise > OFF * plain:
        text = "a run is that short, or of so small steps, that calling operators and measuring are a good part of it"
        yield Diagnostic("NUM098", text, severity="note")


def dtypes_of(plan: AnyPlan) -> set[str]:
    """Dtypes of matrix products."""
    graphs = [plan.graph]
    for graph in graphs:
        graphs += [region for node in graph.nodes for region in regions(node).values()]
    return {node.outs[0].dtype for graph in graphs for node in graph.nodes if node.prim.name == "matmul"}


# ── from steps to nodes ─────────────────────────────────────────────────────────────────────────────────────


def parts_of(timed: Sequence[Timed], plan: AnyPlan) -> list[Part]:
    """The time of each step divided among its nodes. Values that stay inside of a step move no memory."""
    readers: dict[Value, set[int]] = {value: {-1} for value in plan.graph.outputs}
    for number, step in enumerate(timed):
        for node in step.nodes:
            for value in node.inputs:
                readers.setdefault(value, set()).add(number)
    parts = []
    for number, step in enumerate(timed):
        own = [out for node in step.nodes for out in node.outs]
        stay = frozenset(value for value in own if readers.get(value, set()) <= {number})
        weights = shares([node_cost(node) if not regions(node) else 1 for node in step.nodes])
        for node, weight in zip(step.nodes, weights, strict=True):
            bytes = moved(node, stay if len(step.nodes) > 1 else frozenset()) * step.calls
            parts.append(Part(number, node, step.inside, weight * step.seconds, step.calls, bytes))
    return parts


def shares(costs: Sequence[int]) -> list[float]:
    """Of one, in proportion to the costs; alike where all are nothing."""
    total = sum(costs)
    return [cost / total for cost in costs] if total else [1 / max(len(costs), 1)] * len(costs)


def figures_of(parts: Sequence[Part], peaks: Peaks) -> Figures:
    seconds: dict[str, float] = {}
    total_flops = total_bytes = 0
    least = 0.0
    for part in parts:
        direction = direction_of(part)
        seconds[direction] = seconds.get(direction, 0.0) + part.seconds
        flops = 0 if regions(part.node) else node_flops(part.node) * part.calls
        total_flops, total_bytes = total_flops + flops, total_bytes + part.bytes
        least += peaks.least(flops, part.bytes, part.node.outs[0].dtype)
    calls = max((part.calls for part in parts), default=0)
    return Figures(seconds, calls, total_flops, total_bytes, least)


def direction_of(part: Part) -> str:
    """Of the node, or of a loop around it."""
    for node in (*part.inside, part.node):
        if node.role is not None:
            return "backward" if node.role.kind == "adjoint" else "tangent"
    return "forward"


def span_of(part: Part) -> Span | None:
    """The first place in the model that asked for a node, or for a loop around it."""
    for node in (part.node, *reversed(part.inside)):
        own = [span for span in node.spans if not span.source.prelude] or [*node.spans]
        if own:
            return own[0]
    return None


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def lines_of(parts: Sequence[Part], peaks: Peaks) -> tuple[ProfiledLine, ...]:
    """One row for each line that took time, in the order of the model; files in the order of the run."""
    taken: dict[Node, int] = {}
    for part in parts:  # of the body, which stands before the condition, asked once more than it held
        if part.inside:
            taken.setdefault(part.inside[-1], part.calls)
    grouped: dict[tuple[str, int], list[Part]] = {}
    texts: dict[tuple[str, int], str] = {}
    files: dict[str, int] = {}
    for part in parts:
        span = span_of(part)
        key = ("", 0) if span is None else (span.source.name, span.line)
        files.setdefault(key[0], len(files))
        grouped.setdefault(key, []).append(part)
        texts[key] = "" if span is None else span.source.line(span.line).strip()
    return tuple(
        ProfiledLine(*key, texts[key], _turns(grouped[key], taken), figures_of(grouped[key], peaks))
        for key in sorted(grouped, key=lambda key: (not key[1], files[key[0]], key[1]))
    )


def _turns(parts: Sequence[Part], taken: Mapping[Node, int]) -> int:
    """Of the loops that a line holds; of a line without any, how often it was computed."""
    own = [taken[part.node] for part in parts if part.node in taken]
    return max(own or [part.calls for part in parts])


def steps_of(timed: Sequence[Timed], parts: Sequence[Part], peaks: Peaks) -> tuple[ProfiledStep, ...]:
    own: Mapping[int, list[Part]] = {number: [] for number in range(len(timed))}
    for part in parts:
        own[part.step].append(part)
    rows = []
    for number, step in enumerate(timed):
        span, direction = span_of(own[number][0]), direction_of(own[number][0])
        place: tuple[str, int] = ("", 0) if span is None else (span.source.name, span.line)
        figures = figures_of(own[number], peaks)
        rows.append(ProfiledStep(number + 1, step.label, direction, *place, len(step.inside), figures))
    return tuple(rows)

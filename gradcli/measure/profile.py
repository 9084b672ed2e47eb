"""`profile`: where the time of a gradient goes, by line of the model and by step of the plan.

What runs is the plan that `grad` runs, with a clock beside each call (`backends/timed.py`). A node belongs to the first
line of the model that asked for it; one inside of a loop that no line asked for, to the loop's line. All inside of an
adjoint loop is backward, what is computed again there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from gradcli import opening
from gradcli.engine import run_plan, threads_of
from gradcli.facts.measure import LOOP, MIXED, Figures, Peaks, Profile, ProfiledLine, ProfiledStep
from gradcli.ir.graph import Node
from gradcli.ir.region import graphs_of
from gradcli.measure.bench import Work, first_call, not_finite
from gradcli.measure.parts import Part, parts_of
from gradcli.measure.roofline import measure
from gradcli.measure.timing import FEWEST, Talk, spread
from gradcli.plan.plan import Blocks, Plan, Turns
from gradcli.record import replace
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import Diagnostic, Span

if TYPE_CHECKING:
    from gradcli.backends.timed import Timed

MOST = 2_000  # runs: medians of more are no better
SHORT = 100e-6  # seconds of a run below which measuring is a good part of it
OFF = 1.5  # times as long as a plain run: then measuring is a good part of it, too


def profile(
    file: ModelFile,
    request: Request,
    *,
    seconds: float = 2.0,
    rounds: int | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_round: Callable[[str], None] = lambda name: None,
) -> Profile:
    """Runs on NumPy, whatever backend is asked for. Raises ModelError as `grad` does."""
    request = replace(request, backend="numpy")
    machine = opening.machine_of(request)
    work, _, plan, results = first_call(file, request, machine)
    assert isinstance(plan, Plan), "what runs on NumPy"
    peaks = measure(dtypes_of(plan), request.memory, threads_of(plan, machine))
    plain, timed = measured(work, plan, seconds=seconds, rounds=rounds, talk=Talk(on_start, on_round))
    parts = parts_of(timed)
    stepwise = sum(step.seconds for step in timed)
    whole = spread(plain)
    notes = (*work.notes, *not_finite(work, results), *doubts(whole.median, stepwise))
    return Profile(
        work.program.scope.source.name, work.prepared.net, work.program.scope.edition, machine.backend,
        threads_of(plan, machine), request.order, work.sens, len(plain), whole, stepwise, peaks,
        lines_of(parts, peaks), steps_of(timed, parts, machine.workers, peaks), notes,
    )  # fmt: skip


def measured(
    work: Work, plan: Plan, *, seconds: float, rounds: int | None, talk: Talk
) -> tuple[list[float], list[Timed]]:
    """Seconds of plain runs, and between them of runs with clocks, the median of each step."""
    from gradcli.backends.timed import Stopwatch

    watch = Stopwatch(plan, work.machine.workers)
    watch.run(work.inputs)
    once = watch.settle(work.inputs, lambda: run_plan(plan, work.inputs, work.machine))
    if rounds is None:
        rounds = min(max(FEWEST, round(seconds / max(once, 1e-6))), MOST)
    talk.start(rounds)
    plain: list[float] = []
    steps: list[Timed] = []
    found: list[list[float]] = []  # of each run, the seconds of each piece
    for turn in range(rounds):
        begun = perf_counter()
        run_plan(plan, work.inputs, work.machine)
        plain.append(perf_counter() - begun)
        _, steps = watch.run(work.inputs)
        found.append([piece.seconds for step in steps for piece in step.pieces])
        talk.advance(f"round {turn + 1}")
    middle = iter([spread(each).median for each in zip(*found, strict=True)])
    return plain, [step.with_seconds(middle) for step in steps]


def doubts(plain: float, stepwise: float) -> Iterable[Diagnostic]:
    """Where what is seen is the measuring."""
    if plain < SHORT or stepwise > OFF * plain:
        text = "a run is that short, or of so small steps, that calling operators and measuring are a good part of it"
        yield Diagnostic("NUM098", text, severity="note")


def dtypes_of(plan: Plan) -> set[str]:
    """Dtypes of matrix products."""
    return {node.outs[0].dtype for graph in graphs_of(plan.graph) for node in graph.nodes if node.prim.name == "matmul"}


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────


def figures_of(parts: Sequence[Part], peaks: Peaks) -> Figures:
    seconds: dict[str, float] = {}
    operators: dict[str, tuple[float, int]] = {}
    least = in_memory = 0.0
    for part in parts:
        direction, name = direction_of(part), operator_of(part)
        seconds[direction] = seconds.get(direction, 0.0) + part.seconds
        spent, often = operators.get(name, (0.0, 0))
        operators[name] = (spent + part.seconds, often + part.calls)
        memory, arithmetic = peaks.least(part.flops, part.bytes, part.value.dtype)
        least += max(memory, arithmetic)
        in_memory += memory if memory >= arithmetic else 0.0
    called: dict[int, int] = {}
    for part in parts:  # one of two parts, where the last block is shorter
        called[part.step] = called.get(part.step, 0) + part.calls
    calls = max(called.values(), default=0)
    flops, bytes = sum(part.flops for part in parts), sum(part.bytes for part in parts)
    return Figures(seconds, calls, flops, bytes, least, in_memory, operators)


def operator_of(part: Part) -> str:
    if part.node is None:
        return "copy"
    return LOOP if part.node.prim.name == "scan" else part.node.prim.name


def direction_of(part: Part) -> str:
    """Of the node, or of a loop around it."""
    own = part.node or part.value.node
    for node in (*part.inside, own):
        if node is not None and node.role is not None:
            return "backward" if node.role.kind == "adjoint" else "tangent"
    return "forward"


def span_of(part: Part) -> Span | None:
    """The first place in the model that asked for a node, or for a loop around it."""
    for node in (part.node or part.value.node, *reversed(part.inside)):
        spans = () if node is None else node.spans
        own = [span for span in spans if not span.source.prelude] or [*spans]
        if own:
            return own[0]
    return None


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def lines_of(parts: Sequence[Part], peaks: Peaks) -> tuple[ProfiledLine, ...]:
    """One row for each line that took time, in the order of the model; files in the order of the run."""
    taken: dict[Node, int] = {}
    for part in parts:  # of the body, which stands before the condition, asked once more than it held
        if part.inside:
            taken.setdefault(part.inside[-1], part.runs)
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
    own = [taken[part.node] for part in parts if part.node is not None and part.node in taken]
    return max(own or [part.runs for part in parts])


def steps_of(timed: Sequence[Timed], parts: Sequence[Part], workers: int, peaks: Peaks) -> tuple[ProfiledStep, ...]:
    """One row for each step, with what it takes by itself; blocks take what their nodes do."""
    ends = [_end(timed, number) for number in range(len(timed))]
    rows = []
    for number, step in enumerate(timed):
        within = [part for part in parts if number <= part.step < ends[number]]
        own = [part for part in within if part.step == number]
        figures = figures_of(own, peaks) if own else Figures({}, step.calls, 0, 0, 0.0)
        ways = dict.fromkeys(map(direction_of, own or within))
        spans = [span for part in own or within if (span := span_of(part)) is not None]
        place = (spans[0].source.name, spans[0].line) if spans else ("", 0)
        rows.append(ProfiledStep(
            number + 1, step.name, label_of(step, workers), next(iter(ways)) if len(ways) == 1 else MIXED, *place,
            step.deeper, figures, figures_of(within, peaks),
        ))  # fmt: skip
    return tuple(rows)


def _end(timed: Sequence[Timed], number: int) -> int:
    """The place behind a step and all that it runs in turn."""
    later = range(number + 1, len(timed))
    return next((k for k in later if timed[k].deeper <= timed[number].deeper), len(timed))


def label_of(step: Timed, workers: int) -> str:
    """`matmul f32[128, 10]`; of blocks and loops as `show --stage plan` has it."""
    if isinstance(step.step, Blocks):
        blocks, threads = step.step, min(len(step.step.lanes), workers)
        rows = "elements" if blocks.region.flat else "rows"
        return f"{blocks.blocks} × {blocks.size} {rows}{f' on {threads} threads' if threads > 1 else ''}"
    if step.label:
        return step.label
    node = step.pieces[0].node
    if node is None:
        assert step.copied is not None, "a piece without a node is a copy"
        return f"copy {step.copied.aval}"
    if isinstance(step.step, Turns):
        turns = node.params["turns"]
        return f"{turns} turn{'' if turns == 1 else 's'}"
    return f"{node.prim.name} {', '.join(str(out.aval) for out in node.outs[:2])}"

"""A run as a page of the manual: what was to be reached, every suite's table, the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from benchmarks.engines import TITLES, YARDSTICKS
from benchmarks.goals import EVERYTHING_ELSE, Verdict, ratio, verdicts
from benchmarks.measure import Outcome
from benchmarks.publish import Run
from benchmarks.reasons import REASONS
from benchmarks.suites import suite_of
from benchmarks.table import absences, columns, mebibytes, seconds, times
from benchmarks.workload import Suite

GENERATED = "<!-- Written by `make bench` and `make docs` from performance.json and benchmarks/: change those. -->"

INTRODUCTION = """# Performance

How fast gradcli is, and what it holds in memory, beside what one would use instead, measured on one machine in one run.
What counts is the **ratio**: gradcli's figure as a part of the best peer's in the same run; below 1 gradcli is ahead.
[Benchmarks](../benchmarks/README.md) says how a run is fair and how to make one.

![Ratio of gradcli's time to the best peer's, by suite and size; the tables below say the same](performance.svg)
"""

READING = """Seconds of a step are medians of rounds in which every engine is asked in turn. **time** and **memory** are
ratios to the best peer; memory is by how much the process grew over what it was before the workload, its compilation
included, in units of 1 MiB at least. NumPy by hand is derivatives worked out on paper, no peer, but what one could
reach. `OVER` marks a goal that was missed."""


def page(run: Run) -> str:
    """The whole page, in Markdown."""
    parts = [GENERATED, INTRODUCTION]
    if run.quick:
        parts.append("These figures are of a *quick* run: few rounds, and without the largest sizes.\n")
    parts += ["## What is to be reached\n", *goals(run), "", "## Suites\n", READING]
    for name in run.suites:
        parts += section(run, name)
    return "\n".join([*parts, *machine(run)]).rstrip() + "\n"


def goals(run: Run) -> list[str]:
    """A row for each suite and each goal with a figure of its own; of the rest, how many reach what all should."""
    judged = [(outcome, verdict) for outcome in run.outcomes for verdict in verdicts(outcome)]
    own = [(outcome, verdict) for outcome, verdict in judged if verdict.stated]
    rest = [verdict for _, verdict in judged if not verdict.stated]
    rows = [
        [outcome.suite, outcome.label, _about(verdict), f"≤ {verdict.goal.most:g}", times(verdict.ratio), _met(verdict)]
        for outcome, verdict in own
    ]
    met = sum(verdict.met is True for verdict in rest)
    lines = _table(["suite", "case", "ratio of", "goal", "reached", ""], rows, "llcrrl")
    others = f"Of the {len(rest)} other cases, {met} are within {EVERYTHING_ELSE:g} of the best peer."
    return [*lines, *(["", others] if rest else [])]


def _about(verdict: Verdict) -> str:
    return f"{verdict.goal.what}, to {TITLES.get(verdict.peer, verdict.peer) or 'the best peer'}"


def _met(verdict: Verdict) -> str:
    return {True: "met", False: "**OVER**", None: "not measured"}[verdict.met]


def section(run: Run, name: str) -> list[str]:
    """A suite in its own words, its table, and what the table cannot say."""
    suite, outcomes = suite_of(name), run.of(name)
    engines = [engine for engine in columns(suite, list(TITLES)) if any(engine in o.figures for o in outcomes)]
    head = [suite.unit, *(TITLES[engine] for engine in engines), "time", "memory", "goal"]
    words = (import_module(f"benchmarks.suites.{name}").__doc__ or "").strip().split("\n")
    lines = ["", f"### {name.capitalize()}", "", *words, ""]
    lines += _table(head, [_row(outcome, engines) for outcome in outcomes], "l" + "r" * (len(engines) + 2) + "l")
    if isinstance(suite, Suite):
        lines += ["", _memory(outcomes, engines)]
    notes = [f"{text}." for text in absences(outcomes)]
    worst = max((outcome.differs for outcome in outcomes), default=0.0)
    notes += [f"Largest difference between engines: {worst:.0e} of the largest element."] if worst else []
    notes += [f"**In the way**: {REASONS[name]}"] if name in REASONS else []
    return [*lines, *(line for note in notes for line in ("", note))]


def _row(outcome: Outcome, engines: Sequence[str]) -> list[str]:
    found = [seconds(outcome.figures[name].seconds) if name in outcome.figures else "–" for name in engines]
    judged = [f"{_goal(verdict)}{' **OVER**' if verdict.met is False else ''}" for verdict in verdicts(outcome)]
    peer, of_time = ratio(outcome)
    ratios = [f"**{times(of_time)}** {_to(peer)}".strip(), times(ratio(outcome, "memory")[1])]
    return [outcome.label, *found, *ratios, "; ".join(judged)]


def _to(peer: str) -> str:
    return f"({TITLES[peer]})" if peer and peer not in YARDSTICKS else ""


def _goal(verdict: Verdict) -> str:
    about = "memory " if verdict.goal.what == "memory" else ""
    to = "" if verdict.goal.against == "best" else f" of {TITLES[verdict.goal.against]}"
    return f"{about}{verdict.goal.most:g}{to}"


def _memory(outcomes: Sequence[Outcome], engines: Sequence[str]) -> str:
    """The largest case's growth and peaks, in a sentence."""
    found = [outcome for outcome in outcomes if outcome.figures]
    if not found:
        return ""
    last = max(found, key=lambda outcome: outcome.size)
    each = [
        f"{TITLES[name]} {mebibytes(last.figures[name].growth)} ({mebibytes(last.figures[name].peak)})"
        for name in engines
        if name in last.figures
    ]
    return f"Growth of the process at {last.label}, and in brackets its whole peak: {', '.join(each)}."


def machine(run: Run) -> list[str]:
    """What the figures belong to, and the command that takes them again."""
    about = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    rows = [
        ("processor", f"{about['processor']}, {about['cores']} cores"),
        ("memory", f"{about['memory'] / 2**30:.0f} GiB"),
        ("system", f"{about['system']}, Python {about['python']}"),
        ("gradcli", about["gradcli"]),
        ("beside", versions),
        ("compiler, for torch.compile", about["compiler"] or "none"),
        ("threads", f"{run.threads} for every engine, unless a case says otherwise"),
        ("variables", " ".join(f"`{name}={value}`" for name, value in run.settings.items())),
        ("command", f"`{run.command}`, {run.minutes:.0f} minutes, {run.date}"),
    ]
    return ["", "## The machine", "", *_table(["", ""], rows, "ll")]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> list[str]:
    bars = {"l": "---", "r": "--:", "c": ":-:"}
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(bars[side] for side in sides)}|"]
    return lines + [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]

"""Outcomes as a table for the terminal: a line a case, within 80 columns for most suites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.engines import TITLES
from benchmarks.goals import Verdict, ratio, verdicts
from benchmarks.measure import Outcome
from benchmarks.workload import Processes, Suite

SHORT = {"torch.compile": "inductor"}  # as columns are narrow here


def columns(suite: Suite | Processes, engines: Sequence[str]) -> list[str]:
    """The engines that have a column: those that take part in some case."""
    own = suite.sides if isinstance(suite, Suite) else suite.engines
    return [name for name in TITLES if name in engines and name in own]


def heading(suite: Suite | Processes, names: Sequence[str]) -> list[str]:
    width = label_width(suite)
    titles = "".join(f"{SHORT.get(name, TITLES[name]):>9}" for name in names)
    return ["", f"{suite.name}: {suite.title}", f"  {suite.unit:<{width}}{titles}   time  mem  goal"]


def label_width(suite: Suite | Processes) -> int:
    return max(len(suite.unit), *(len(case.label) for case in suite.cases))


def line(suite: Suite | Processes, outcome: Outcome, names: Sequence[str]) -> str:
    """Seconds of each engine; ratios to the best peer, of time and of memory; goals, and which are missed."""
    cells = [f"  {outcome.label:<{label_width(suite)}}"]
    cells += [f"{seconds(outcome.figures[name].seconds) if name in outcome.figures else '-':>9}" for name in names]
    cells += [f"{times(ratio(outcome)[1]):>7}", f"{times(ratio(outcome, 'memory')[1]):>5}", "  "]
    return "".join(cells) + "; ".join(map(judged, verdicts(outcome)))


def judged(verdict: Verdict) -> str:
    """`0.60`, `mem 0.20 OVER`, `torch 0.10`."""
    about = "mem " if verdict.goal.what == "memory" else ""
    to = "" if verdict.goal.against == "best" else f"{verdict.goal.against} "
    over = {True: "", False: " OVER", None: " ?"}[verdict.met]
    return f"{about}{to}{verdict.goal.most:.2f}{over}"


def times(ratio: float | None) -> str:
    """A ratio in three digits or so."""
    if ratio is None:
        return "-"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def seconds(number: float) -> str:
    """Three digits with the unit that suits: `148 µs`, `2.70 ms`."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if number >= 0.9995 * factor or unit == "µs":
            return f"{three(number / factor)} {unit}"
    raise AssertionError


def mebibytes(number: int | None) -> str:
    return "-" if number is None else f"{three(number / 2**20)} MiB"


def three(number: float) -> str:
    return f"{number:.0f}" if number >= 99.95 else f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"


def absences(outcomes: Iterable[Outcome]) -> list[str]:
    """Why engines have no figures, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        for name, why in outcome.absent.items():
            found.setdefault((name, why), []).append(outcome.label)
    return [f"{TITLES[name]} has no figures for {'; '.join(labels)}: {why}" for (name, why), labels in found.items()]

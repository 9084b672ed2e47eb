"""A case measured: every engine in a process of its own, agreeing first, then asked in turn.

Figures are medians of rounds, with the quartiles around them. A round asks every engine once, beginning with another
one each time, so that a slow minute of the machine meets all alike.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import bound, environment
from benchmarks.sides import Process
from benchmarks.workload import Case, Processes, Suite

ROOT = Path(__file__).resolve().parent.parent
LEAST_ROUNDS, MOST_ROUNDS = 5, 25
SLOWER = 2  # whole processes have that much more time


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time a case may take, once its sides are warm, and with how many threads."""

    seconds: float = 4.0
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one engine: seconds of a step, or of a process, as median and quartiles; bytes, None where none were taken."""

    seconds: float
    low: float
    high: float
    peak: int | None = None
    growth: int | None = None


@dataclass(slots=True)
class Outcome:
    """A case as it came out. `absent` says of an engine without figures why; `differs` is by how much the engines'
    numbers do, as a part of the largest element."""

    suite: str
    label: str
    size: int
    dtype: str
    kind: str
    threads: int
    figures: dict[str, Figures] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    differs: float = 0.0
    rounds: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Outcome:
        figures = {name: Figures(**figure) for name, figure in found["figures"].items()}
        return cls(**{**found, "figures": figures})


class Disagreement(Exception):
    """Two engines computed different things, so nothing was timed."""


def measured(
    suite: Suite | Processes, cases: Sequence[Case], engines: Sequence[str], effort: Effort
) -> Iterator[Outcome | Disagreement]:
    """Each case as it comes out. Raises RuntimeError where a process that had been ready ends."""
    with tempfile.TemporaryDirectory() as folder, Sides(suite, Path(folder)) as sides:
        for case in cases:
            threads = case.threads or effort.threads
            outcome = Outcome(suite.name, case.label, case.size, case.dtype, case.kind, threads)
            outcome.absent = {name: why for name, why in suite.absent(case).items() if name in engines}
            wanted = [name for name in engines if name not in outcome.absent]
            try:
                if isinstance(suite, Suite):
                    _steps(suite, case, sides.of(wanted, threads), effort, outcome)
                else:
                    _processes(suite.commands(case, folder), wanted, effort, outcome)
            except Disagreement as problem:
                yield problem
            else:
                yield outcome


class Sides:
    """The processes of a suite: started when they are first needed, ended when the number of threads changes."""

    def __init__(self, suite: Suite | Processes, folder: Path) -> None:
        self._suite, self._folder = suite, folder
        self._running: dict[str, Process] = {}

    def of(self, names: Sequence[str], threads: int) -> list[Process]:
        """The processes of those engines that take part."""
        assert isinstance(self._suite, Suite)
        names = [name for name in names if name in self._suite.sides]
        for name in names:
            process = self._running.get(name)
            if process and (process.threads != threads or not process.alive):
                self._running.pop(name).close()
            if name not in self._running:
                self._running[name] = Process(self._suite, name, threads, self._folder)
        return [self._running[name] for name in names]

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.close()


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────


def _steps(suite: Suite, case: Case, sides: Sequence[Process], effort: Effort, outcome: Outcome) -> None:
    """Let all sides warm up, compare what they give, then ask them in turn."""
    for side in sides:
        side.begin(case)
    outcome.absent |= {side.engine: why for side in sides if (why := side.ready())}
    ready = {side.engine: side for side in sides if side.engine not in outcome.absent}
    if ready:
        outcome.differs = _agree(suite, case, {name: side.results for name, side in ready.items()})
        seconds, outcome.rounds = _rounds({name: side.seconds for name, side in ready.items()}, effort.seconds)
        memory = {name: side.memory() for name, side in ready.items()}
        outcome.figures = {name: Figures(*quartiles(seconds[name]), **memory[name]) for name in ready}


def _agree(suite: Suite, case: Case, results: Mapping[str, Path]) -> float:
    """The largest difference from the first engine's numbers. Raises Disagreement where it is too large."""
    first, *others = results.values()
    worst = max((difference(first, other) for other in others), default=0.0)
    if not worst <= suite.agree[case.dtype]:
        each = ", ".join(f"{path.stem} by {difference(first, path):.1e}" for path in others)
        raise Disagreement(f"{suite.name} {case.label}: engines differ from {first.stem}: {each}")
    return worst


def difference(one: Path, other: Path) -> float:
    """The largest difference of two stored results, as a part of the largest element; inf where they are not alike."""
    import numpy as np

    with np.load(one) as a, np.load(other) as b:
        if set(a.files) != set(b.files) or any(a[name].size != b[name].size for name in a.files):
            return float("inf")
        pairs = [(a[name].astype("f8").reshape(-1), b[name].astype("f8").reshape(-1)) for name in a.files]
    return max(float(np.abs(x - y).max() / (np.abs(y).max() or 1.0)) for x, y in pairs)


# ── whole processes ─────────────────────────────────────────────────────────────────────────────────────────


def _processes(lines: Mapping[str, Sequence[str]], engines: Sequence[str], effort: Effort, outcome: Outcome) -> None:
    """Each command in turn. The first round fills file caches and writes byte code, so it counts only where there is
    no time for another."""
    budget = effort.seconds * SLOWER
    commands = {name: line for name, line in lines.items() if name in engines}
    asked: dict[str, Callable[[], float]] = {}
    first: dict[str, list[float]] = {}
    for name, command in commands.items():
        try:
            first[name] = [process_seconds(command, outcome.threads)]
        except RuntimeError as problem:
            outcome.absent[name] = str(problem).strip().splitlines()[-1]
        else:
            asked[name] = partial(process_seconds, command, outcome.threads)
    seconds, outcome.rounds = first, 1
    if asked and sum(taken[0] for taken in first.values()) < budget:
        seconds, outcome.rounds = _rounds(asked, budget)
    outcome.figures = {name: Figures(*quartiles(found)) for name, found in seconds.items()}


def process_seconds(command: Sequence[str], threads: int) -> float:
    """Wall time of one process from start to end. Raises RuntimeError with its messages if it fails."""
    start = time.perf_counter()
    ran = subprocess.run(
        command, cwd=ROOT, env=environment(threads), preexec_fn=bound(threads), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} exited {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return seconds


def console_script() -> list[str]:
    """The console script next to this interpreter, which is what a user starts; else the module."""
    script = shutil.which("gradcli", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "gradcli"]


# ── rounds ──────────────────────────────────────────────────────────────────────────────────────────────────


def _rounds(asked: Mapping[str, Callable[[], float]], budget: float) -> tuple[dict[str, list[float]], int]:
    """Seconds by engine, as many rounds as the time allows, within bounds; one where one takes longer than that."""
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    start, turn, least = time.perf_counter(), 0, LEAST_ROUNDS
    while turn < least or (turn < MOST_ROUNDS and time.perf_counter() - start < budget):
        for name in _from(turn, list(asked)):
            seconds[name].append(asked[name]())
        turn += 1
        least = 1 if turn == 1 and time.perf_counter() - start > budget else least
    return seconds, turn


def _from(turn: int, names: Sequence[str]) -> Iterator[str]:
    """The names, beginning with another one each turn."""
    return (names[(turn + i) % len(names)] for i in range(len(names)))


def quartiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    if len(seconds) == 1:
        return seconds[0], seconds[0], seconds[0]
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return middle, low, high

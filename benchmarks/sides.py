"""A process that serves one engine for the cases of one suite, and the parent's end of it.

`python -m benchmarks.sides SUITE ENGINE` answers each line of JSON on its standard input with one on its standard
output:

    {"case": LABEL, "results": FILE}   warm up, store what a step gives     {} or {"absent": why it cannot}
    {"time": true}                     some steps after one that is free    {"seconds": of one, as their mean}
    {"memory": true}                                                        {"peak": bytes, "growth": bytes}

`growth` is how much more memory the process took than it held before the case, its data and its compilation included;
`peak` is all of it, interpreter and libraries included.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from benchmarks.engines import numbers, prepare
from benchmarks.machine import bound, environment
from benchmarks.workload import Case, Step, Suite

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 0.03  # seconds that one answer about time takes at least
WARM = 0.2  # seconds of steps before a case is ready, and three steps at least
USUAL = 24, 3.0  # and so many steps, if they take no more than that: some engines compile what runs often


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────────


def serve(suite: Suite, engine: str, case_of: Any, answers: IO[str]) -> None:
    """The loop of the process: one case at a time."""
    held = Held()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "case" in asked:
                held = Held()  # what the case before held goes first
                held = begun(suite, engine, case_of(suite, asked["case"]), asked["results"])
                found: dict[str, Any] = {}
            elif "time" in asked:
                assert held.step
                found = {"seconds": timed(held.step, held.count)}
            else:
                found = {"peak": peak(), "growth": max(peak() - held.before, 0)}
        except Exception as problem:  # whatever an engine raises is what it has to say
            if os.environ.get("BENCHMARKS_RAISE"):
                raise
            found = {"absent": reason(problem)}
        print(json.dumps(found), file=answers, flush=True)


class Held:
    """A case that is warm: its step, how many of them one answer takes, and the memory before it."""

    def __init__(self, step: Step | None = None, count: int = 1, before: int = 0) -> None:
        self.step, self.count, self.before = step, count, before


def begun(suite: Suite, engine: str, case: Case, results: str) -> Held:
    """The case's step, warm, its results stored."""
    import numpy as np

    prepare(engine, case.dtype)
    before = fresh_peak()
    step = suite.sides[engine](case, suite.data(case))
    arrays: dict[str, Any] = {name: np.asarray(array) for name, array in numbers(suite.shown(step())).items()}
    np.savez(results, **arrays)
    return Held(step, max(1, int(CHUNK / warm(step))), before)


def warm(step: Step) -> float:
    """Steps until they are as fast as they get; gives the seconds of the last."""
    start, turns, passed = time.perf_counter(), 0, 0.0
    while turns < 3 or passed < WARM or (turns < USUAL[0] and passed < USUAL[1]):
        turns += 1
        taken = timed(step, 1, unmeasured=0)
        passed = time.perf_counter() - start
    return taken


def timed(step: Step, count: int, unmeasured: int = 1) -> float:
    for _ in range(unmeasured):
        step()
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


def reason(problem: Exception) -> str:
    """One line: that a package is missing, or the first line of what was raised."""
    if isinstance(problem, ModuleNotFoundError):
        return f"{problem.name} is not installed"
    lines = str(problem).strip().splitlines() or [""]
    return f"{type(problem).__name__}: {lines[0]}"[:200]


def status(field: str) -> int | None:
    """Bytes of a line of Linux' /proc/self/status; None elsewhere."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(field)), None)


def peak() -> int:
    """The most memory held since `fresh_peak`, in bytes; where that cannot be told, since the start."""
    import resource

    known = status("VmHWM:")
    unit = 1 if sys.platform == "darwin" else 1024
    return known if known is not None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def fresh_peak() -> int:
    """Give back what is free, let the peak start from what is held then, and give that."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        return peak()
    return status("VmRSS:") or peak()


# ── the parent's end ────────────────────────────────────────────────────────────────────────────────────────


class Process:
    """A process that serves one engine. `begin` a case, wait until it is `ready`, then ask for `seconds`, `memory`."""

    def __init__(self, suite: Suite, engine: str, threads: int, folder: Path) -> None:
        self.engine, self.threads = engine, threads
        self.results = folder / f"{engine}.npz"
        self._messages = (folder / f"{engine}.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sides", suite.name, engine], cwd=ROOT, env=environment(threads),
            preexec_fn=bound(threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, text=True,
        )  # fmt: skip

    def begin(self, case: Case) -> None:
        self._send({"case": case.label, "results": str(self.results)})

    def ready(self) -> str:
        """Why the case cannot be asked about; empty where it can."""
        return str(self._answer().get("absent", ""))

    def seconds(self) -> float:
        return float(self._asked("time")["seconds"])

    def memory(self) -> dict[str, int]:
        """`peak` and `growth`, in bytes."""
        return self._asked("memory")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._messages.close()

    def _asked(self, about: str) -> dict[str, Any]:
        self._send({about: True})
        found = self._answer()
        if "absent" in found:
            raise RuntimeError(f"{self.engine} stopped: {found['absent']}")
        return found

    def _send(self, question: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says so

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"absent": self._last_words()}

    def _last_words(self) -> str:
        self._process.wait()
        self._messages.seek(0)
        lines = self._messages.read().strip().splitlines()
        return lines[-1][:200] if lines else f"exit status {self._process.returncode}"


def main(arguments: list[str]) -> None:
    from benchmarks.suites import case_of, suite_of

    name, engine = arguments
    suite = suite_of(name)
    assert isinstance(suite, Suite)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints of its own is no answer
    serve(suite, engine, case_of, answers)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Processes timed side by side, and a table of ratios against limits."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Both sides with their byte code, as installers leave it: without, it is the compiler of Python that is measured.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Ratio:
    """`measured / baseline`, and the most it may be (None: for information)."""

    what: str
    measured: float
    baseline: float
    limit: float | None
    unit: str = "ms"

    @property
    def value(self) -> float:
        return self.measured / self.baseline

    @property
    def holds(self) -> bool:
        return self.limit is None or self.value <= self.limit


def gradcli() -> list[str]:
    """The console script next to this interpreter, which is what a user starts; else the module."""
    script = shutil.which("gradcli", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "gradcli"]


def process_seconds(command: Sequence[str]) -> float:
    """Wall time of one process from start to end. Raises RuntimeError with its messages if it fails."""
    start = time.perf_counter()
    ran = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} exited {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return seconds


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Median seconds of each command: one of each in turn, so that a slow minute of the machine meets all alike.

    One round before the first is not counted: it fills the file caches and writes the byte code.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            taken = process_seconds(command)
            if turn:
                seconds[name].append(taken)
    return {name: statistics.median(times) for name, times in seconds.items()}


def report(title: str, ratios: Sequence[Ratio]) -> int:
    """Print the ratios with their limits; 1 if one is passed, else 0."""
    width = max(len(ratio.what) for ratio in ratios)
    print(title)
    for ratio in ratios:
        limit = f"limit {ratio.limit:g}" if ratio.limit is not None else ""
        verdict = "" if ratio.limit is None else "ok" if ratio.holds else "OVER"
        figures = f"{ratio.measured:9.2f} {ratio.unit} against {ratio.baseline:9.2f} {ratio.unit}"
        print(f"  {ratio.what:<{width}}  {ratio.value:6.2f} ×  ({figures})  {limit:<10}  {verdict}".rstrip())
    return int(not all(ratio.holds for ratio in ratios))

"""Whether time is linear in the size of a model: the whole process for ten times as many operators, against the tenth.

`x = sin(x)` and `x = x * c` in turn, one statement each, no two operators the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import console_script
from benchmarks.workload import Case, Processes


def factor(i: int) -> float:
    """A number near 1, another for each i."""
    return 1 + 1 / (2 + i)


def model(operators: int) -> str:
    lines = ["net chain(x: f64) -> f64 {"]
    lines += [f"  x = sin(x)\n  x = x * {factor(i)!r}" for i in range(operators // 2)]
    return "\n".join([*lines, "  return x", "}", "input x: f64 = 0.5", ""])


def commands(case: Case, folder: str) -> dict[str, Sequence[str]]:
    made: dict[str, Sequence[str]] = {}
    for side, operators in (("gradcli", case.size), ("a tenth", case.size // 10)):
        path = Path(folder) / f"chain{operators}.net"
        path.write_text(model(operators), encoding="utf-8")
        made[side] = [*console_script(), "grad", str(path), "--json"]
    return made


SUITE = Processes(
    "linear",
    "gradcli grad of a chain, the whole process, against a tenth of the chain",
    "operators",
    (Case(10_000, ""), Case(100_000, "", quick=False)),
    ("gradcli", "a tenth"),
    commands,
)

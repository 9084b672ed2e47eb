"""What a shell user feels at every command: whole processes against `python -c 'import numpy'`.

A model of so many lines is checked or differentiated; 0 lines stand for `--version`, which reads no model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import console_script
from benchmarks.workload import Case, Processes

GUIDE = "models/guide/matmul.net"
ROOT = Path(__file__).resolve().parent.parent.parent


def long_model(lines: int) -> str:
    """A model of so many lines: nets of nine, each with a line that calls it."""
    count = lines // 10
    made = []
    for i in range(count):
        made += [f"net step{i}(x: f64[n]) -> f64[n] {{", f"  y = sin(x) * {i}.5"]
        made += ["  z = tanh(y) * x", "  y = z + exp(-z * z)"] * 2
        made += ["  z = y - z * x", "  return y + z", "}"]
    made += ["net main(x: f64[n]) -> f64 {", *(f"  x = step{i}(x)" for i in range(count)), "  return sum(x)", "}"]
    return "\n".join([*made, "input x: f64[n] = [0.5, 1.5]", ""])


def commands(case: Case, folder: str) -> dict[str, Sequence[str]]:
    words = {
        "--version": ["--version"],
        "--help": ["--help"],
        "check": ["check", GUIDE],
        "grad": ["grad", GUIDE, "--json"],
    }
    if case.kind == "check long":
        path = Path(folder) / "long.net"
        path.write_text(long_model(case.size), encoding="utf-8")
        words[case.kind] = ["check", str(path)]
    return {"gradcli": [*console_script(), *words[case.kind]], "numpy import": [sys.executable, "-c", "import numpy"]}


LINES = len((ROOT / GUIDE).read_text(encoding="utf-8").splitlines())
SUITE = Processes(
    "startup",
    "whole processes, against python -c 'import numpy'",
    "lines of the model",
    (
        Case(0, "", "--version"),
        Case(0, "", "--help"),
        Case(LINES, "", "check"),
        Case(LINES, "", "grad"),
        Case(2_000, "", "check long"),
    ),
    ("gradcli", "numpy import"),
    commands,
)

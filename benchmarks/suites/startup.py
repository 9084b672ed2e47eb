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


def mixed_model(lines: int) -> str:
    """A model of so many lines, with most kinds of statements: blocks of 50 lines, each with nets that `main` calls,
    data of its own and a case."""
    blocks = lines // 50
    made = [line for i in range(blocks) for line in BLOCK.replace("%", str(i)).strip().splitlines()]
    made += ["", "net main(x: f64[n]) -> f64 {", *(f"  x = run{i}(x)" for i in range(blocks)), "  return sum(x)", "}"]
    return "\n".join([*made, "", "input x: f64[n] = [0.5, 1.5, -0.5, 2.0]", ""])


BLOCK = """
# ── block % ──────────────────────────────────────────────────────────────────────────────────────────────
dim width% = 3 + %
const rate% = 0.1 / (1 + %)
const table%: f64[2, 4] = [[1.0, 0.5, 0.25, %.0], [-1.0, 2.0, 0.0, 1e-3]]

# a dense layer with its own params
net Dense%[i, o](x: f64[m, i]) -> f64[m, o] {
  param w: f64[i, o] = glorot_uniform(seed=%)
  param b: f64[o] = zeros()
  return x @ w + b
}

net hidden%(x: f64[n]) -> f64[n] {
  layer up = Dense%[1, width%]
  layer down = Dense%[width%, 1]
  h = tanh(up(x[:, None]))
  h = h * sigmoid(h) + rate%
  y = down(h)[:, 0]
  return where(y > 0.0, y, 0.1 * y) + x
}

net energy%(x: f64[n], k: f64 = 2.0) -> f64 = 0.5 * k * sum(x ** 2) - rate% * sum(cos(x))

net recur%(x: f64[n]) -> (f64[n], f64) {
  total: f64 = 0.0
  for t in 0..100 {
    x = x - rate% * sin(x)
    total = total + max(abs(x))
  }
  return x - rate% * grad(energy%)(x), total
}

net mix%(x: f64[n]) -> f64[n] {
  weights = softmax(stack([x, -x, x * x]), axis=0)
  x[0] = 0.25 * x[0]
  spread = exp(-((x - mean(x)) ** 2) / (2.0 + rate%))
  return weights[0] * spread + sum(weights[1:] ** 2, axis=0)
}

net run%(x: f64[n]) -> f64[n] {
  y, total = recur%(hidden%(x))
  z = mix%(y) * total
  return z / (1.0 + norm(z)) if size(x) > 1 else z
}

case "block %" {
  expect energy%(zeros([3])) == -3 * rate%
  expect sum(table%[0]) > 0 and table%[1, 0] < 0
}
"""


def commands(case: Case, folder: str) -> dict[str, Sequence[str]]:
    words = {
        "--version": ["--version"],
        "--help": ["--help"],
        "check": ["check", GUIDE],
        "grad": ["grad", GUIDE, "--json"],
    }
    if case.kind in LONG:
        path = Path(folder) / "long.net"
        path.write_text(LONG[case.kind](case.size), encoding="utf-8")
        words[case.kind] = ["check", str(path)]
    return {"gradcli": [*console_script(), *words[case.kind]], "numpy import": [sys.executable, "-c", "import numpy"]}


LONG = {"check long": long_model, "check mixed": mixed_model}
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
        Case(2_000, "", "check mixed"),
    ),
    ("gradcli", "numpy import"),
    commands,
)

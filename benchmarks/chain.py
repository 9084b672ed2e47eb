"""Whether time is linear in the size of a model: 100,000 operators against 10,000.

python benchmarks/chain.py [ROUNDS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import Ratio, gradcli, interleaved, report

SMALL, LARGE = 10_000, 100_000
LIMIT = 12.0


def model(operators: int) -> str:
    """`x = sin(x)` and `x = x * c` in turn, one statement each, no two operators the same."""
    lines = ["net chain(x: f64) -> f64 {"]
    lines += [f"  x = sin(x)\n  x = x * {1 + 1 / (2 + i)!r}" for i in range(operators // 2)]
    return "\n".join([*lines, "  return x", "}", "input x: f64 = 0.5", ""])


def main(rounds: int = 3) -> int:
    """Print the ratio; 1 if the limit is passed."""
    with tempfile.TemporaryDirectory() as directory:
        commands = {}
        for operators in (SMALL, LARGE):
            path = Path(directory) / f"chain{operators}.net"
            path.write_text(model(operators), encoding="utf-8")
            commands[str(operators)] = [*gradcli(), "grad", str(path), "--json"]
        seconds = interleaved(commands, rounds)
    ratio = Ratio(f"grad of {LARGE} operators", seconds[str(LARGE)], seconds[str(SMALL)], LIMIT, "s")
    return report(f"whole process, median of {rounds}, against {SMALL} operators", [ratio])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))

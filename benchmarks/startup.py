"""What a shell user feels: whole processes of gradcli against `python -c 'import numpy'`.

python benchmarks/startup.py [ROUNDS]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import Ratio, gradcli, interleaved, report

MODEL = "models/guide/matmul.net"
LIMITS = {
    "grad MODEL --json": (["grad", MODEL, "--json"], 1.9),
    "check MODEL": (["check", MODEL], 1.2),
    "--version": (["--version"], 0.8),
    "--help": (["--help"], None),
    "grad MODEL": (["grad", MODEL], None),
}


def main(rounds: int = 15) -> int:
    """Print the ratios; 1 if a limit is passed."""
    commands = {"import numpy": [sys.executable, "-c", "import numpy"]}
    commands |= {name: [*gradcli(), *arguments] for name, (arguments, _) in LIMITS.items()}
    seconds = interleaved(commands, rounds)
    baseline = seconds["import numpy"] * 1e3
    ratios = [Ratio(name, seconds[name] * 1e3, baseline, limit) for name, (_, limit) in LIMITS.items()]
    return report(f"whole process, median of {rounds}, against python -c 'import numpy'", ratios)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))

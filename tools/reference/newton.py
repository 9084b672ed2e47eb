"""Expected values of models/newton, from mpmath with 30 digits.

Made with Python 3.11, mpmath 1.3.0 and NumPy 2.4. To make them again:

    pip install mpmath==1.3.0 numpy && python tools/reference/newton.py

The sums are those of the textbook: with p = 1 / (1 + exp(-z)) the gradient is X' (p - y) and the Hessian
X' diag(p (1 - p)) X.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mpmath import diag, exp, inverse, lu_solve, matrix, mp, mpf, norm, sqrt, zeros  # type: ignore[import-untyped]

MODELS = Path(__file__).parents[2] / "models"


def main() -> None:
    mp.dps = 30
    lines = (MODELS / "iris" / "iris.csv").read_text(encoding="utf-8").split()[51:151]
    rows = [[mpf(number) for number in line.split(",")] for line in lines]
    x = matrix([[mpf(1), *row[:4]] for row in rows])
    y = matrix([row[4] - 1 for row in rows])
    w, step = zeros(5, 1), matrix([1])
    while norm(step) > mpf(10) ** -25:
        p = (x * w).apply(lambda z: 1 / (1 + exp(-z)))
        hessian = x.T * diag([q * (1 - q) for q in p]) * x
        step = lu_solve(hessian, x.T * (p - y))
        w -= step
        print(f"{float(norm(step)):.3e}")
    deviations = [sqrt(inverse(hessian)[k, k]) for k in range(5)]
    np.savez(
        MODELS / "newton" / "expected.npz",
        w=np.array([float(value) for value in w]),
        deviations=np.array([float(value) for value in deviations]),
    )


if __name__ == "__main__":
    main()

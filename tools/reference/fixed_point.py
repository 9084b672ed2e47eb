"""Data and expected values of models/fixed_point: Kepler's equation from mpmath, the equilibrium from NumPy.

Made with Python 3.11, mpmath 1.3.0 and NumPy 2.4. To make them again:

    pip install mpmath==1.3.0 numpy && python tools/reference/fixed_point.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mpmath import diff, findroot, mp, mpf, sin  # type: ignore[import-untyped]

HERE = Path(__file__).parents[2] / "models" / "fixed_point"

Arrays = dict[str, Any]


def anomaly(m: mpf, e: mpf) -> mpf:
    """By bisection in the bracket that M + e sin E leaves."""
    return findroot(lambda x: x - e * sin(x) - m, (m - e, m + e), solver="anderson", tol=mpf(10) ** -60)


def kepler() -> Arrays:
    """E at nine times on two orbits, f64[9] each; E and its derivatives to order 3 by M at (1.2, 0.6), f64[4]."""
    mp.dps = 60
    times = np.linspace(0.01, 6.0, 9)
    m, e = mpf(1.2), mpf(0.6)
    return {
        "times": times,
        "earth": np.array([float(anomaly(mpf(t), mpf(0.0167))) for t in times]),
        "halley": np.array([float(anomaly(mpf(t), mpf(0.967))) for t in times]),
        "orders": np.array([float(diff(lambda t: anomaly(t, e), m, n)) for n in range(4)]),
    }


def equilibrium(arrays: Arrays) -> Arrays:
    """The layer's z f64[5, 6], the loss, and its gradient by the adjoint a = (I - J')^-1 dL/dz, point by point."""
    w, v, b, x, y = (arrays[name] for name in ("turn.W", "turn.V", "turn.b", "xs", "ys"))
    z = np.zeros((len(x), len(w)))
    for _ in range(1000):
        z = np.tanh(z @ w.T + x @ v.T + b)
    off = z[:, :2] - y
    found: Arrays = {"z": z, "loss": np.mean(off**2), "W": 0 * w, "V": 0 * v, "b": 0 * b, "xs": 0 * x}
    for n in range(len(x)):
        slope = 1 - z[n] ** 2
        by_z = np.concatenate([2 * off[n] / off.size, np.zeros(len(w) - 2)])
        adjoint = slope * np.linalg.solve(np.eye(len(w)) - w.T * slope, by_z)
        found["W"] += np.outer(adjoint, z[n])
        found["V"] += np.outer(adjoint, x[n])
        found["b"] += adjoint
        found["xs"][n] = v.T @ adjoint
    return found


def main() -> None:
    random = np.random.default_rng(1)
    arrays: Arrays = {
        "turn.W": 0.8 * np.linalg.qr(random.standard_normal((6, 6)))[0],
        "turn.V": random.standard_normal((6, 3)),
        "turn.b": 0.1 * random.standard_normal(6),
        "xs": random.standard_normal((5, 3)),
        "ys": random.uniform(-1, 1, (5, 2)),
    }
    np.savez(HERE / "params.npz", **arrays)
    np.savez(HERE / "expected.npz", **kepler(), **equilibrium(arrays))


if __name__ == "__main__":
    main()

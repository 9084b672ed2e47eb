"""Expected values of models/ode, from mpmath with 30 digits.

Made with Python 3.11, mpmath 1.3.0 and NumPy 2.4. To make them again:

    pip install mpmath==1.3.0 numpy && python tools/reference/ode.py

The derivatives are solutions themselves: of the variational equations S' = (df/dz) S + df/dp, written out by hand. All
is solved by Taylor series, not by the method of the model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mpmath import mp, mpf, odefun  # type: ignore[import-untyped]

TARGET = Path(__file__).parents[2] / "models" / "ode" / "expected.npz"
YEARS = 20
START = ("1", "0.5")
RATES = ("1.1", "0.4", "0.1", "0.4")


def slopes(_: mpf, state: list[mpf]) -> list[mpf]:
    """The slopes of x, y and of the rows of S, mpf[2, 6]: the derivatives of x and of y by x(0), y(0), a, b, c, d."""
    a, b, c, d = (mpf(rate) for rate in RATES)
    x, y, *s = state
    zero = mpf(0)
    by_z = ((a - b * y, -b * x), (c * y, c * x - d))
    by_rates = ((zero, zero, x, -x * y, zero, zero), (zero, zero, zero, zero, x * y, -y))
    sx, sy = s[:6], s[6:]
    rows = [by_z[row][0] * sx[k] + by_z[row][1] * sy[k] + by_rates[row][k] for row in (0, 1) for k in range(6)]
    return [a * x - b * x * y, c * x * y - d * y, *rows]


def main() -> None:
    mp.dps = 30
    start = [mpf(z) for z in START] + [mpf(int(k in (0, 7))) for k in range(12)]
    end = np.array([float(value) for value in odefun(slopes, 0, start)(YEARS)])
    s = end[2:].reshape(2, 6)
    np.savez(TARGET, z=end[:2], by_z=s[:, :2], by_rates=s[:, 2:])
    print(f"z = {end[:2]}")


if __name__ == "__main__":
    main()

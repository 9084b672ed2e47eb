"""Expected values of models/survey, from mpmath with 50 digits.

Made with Python 3.11, mpmath 1.3.0 and NumPy 2.4. To make them again:

    pip install mpmath==1.3.0 numpy && python tools/reference/survey.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mpmath import cos, log, mp, mpf, sin  # type: ignore[import-untyped]

TARGET = Path(__file__).parents[2] / "models" / "survey" / "expected.npz"


def main() -> None:
    """Value, gradient f64[2], Hessian f64[2, 2] and the pure third derivatives f64[2] of ln x1 + x1 x2 - sin x2."""
    mp.dps = 50
    x1, x2 = mpf(2), mpf(5)
    np.savez(
        TARGET,
        value=np.array(float(log(x1) + x1 * x2 - sin(x2))),
        gradient=np.array([float(1 / x1 + x2), float(x1 - cos(x2))]),
        hessian=np.array([[float(-1 / x1**2), 1.0], [1.0, float(sin(x2))]]),
        third=np.array([float(2 / x1**3), float(cos(x2))]),
    )


if __name__ == "__main__":
    main()

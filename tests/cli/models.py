"""The small models that the tests of the command line share, and what their derivatives are by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# f = Σ over the outputs h = a x w and k = x + y, with a = 2: by x it is a w + 1, by y it is 1, by w it is a x.
TWO = """\
# two outputs, a layer, a const and a dim
const a = 2.0
dim n = 3

net Scale(x: f64[n]) -> f64[n] {
  param w: f64[n] = [1.0, 2.0, 3.0]
  s = x * w
  return s
}

net Two(x: f64[n], y: f64[n]) -> (f64[n], f64[n]) {
  layer l = Scale
  h = a * l(x)
  k = x + y
  return h, k
}

net Other(x: f64[n]) -> f64 = sum(x * x)

input x: f64[n] = [1.0, 2.0, 3.0]
input y: f64[n] = [4.0, 5.0, 6.0]
"""
X, Y, W = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0])
BY_X, BY_Y, BY_W = 2 * W + 1, np.ones(3), 2 * X

# f = x² y; one output called `out`
SQUARE = "net f(x: f64[n], y: f64[n]) = x * x * y\n"
BY_X_OF_SQUARE = 2 * X * Y


def write(folder: Path) -> None:
    """`two.net`, `square.net` and data for them: `x.npy`, `d.npz` (x, y), `w.npz` (l.w)."""
    (folder / "two.net").write_text(TWO)
    (folder / "square.net").write_text(SQUARE)
    np.save(folder / "x.npy", X)
    np.savez(folder / "d.npz", x=X, y=Y)
    np.savez(folder / "w.npz", **{"l.w": np.array([3.0, 2.0, 1.0])})

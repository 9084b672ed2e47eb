"""What operators are given as `xp` on a GPU: CuPy's functions, and those that replace them where CuPy's results are not
NumPy's, or cost more than they need to."""

from __future__ import annotations

from typing import Any

Array = Any

CHUNK = 4096  # whole numbers that are held on the device


class Functions:
    """The module `cupy`, with what is stated below in front of it."""

    def __init__(self, cp: Any) -> None:
        self._cp = cp
        self._numbers: tuple[int, Array] | None = None
        self.linalg = Linalg(cp)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cp, name)
        setattr(self, name, found)
        return found

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """The number of a turn is read where the device counts already: CuPy would start a kernel for it."""
        if type(value) is not int or dtype is not None:
            return self._cp.asarray(value, dtype=dtype)
        start = value - value % CHUNK
        held = self._numbers
        if held is None or held[0] != start:
            held = self._numbers = (start, self._cp.arange(start, start + CHUNK, dtype="int64"))
        return held[1][value - start]

    def remainder(self, x: Array, y: Array) -> Array:
        """Exact, with the sign of y. CuPy's is `x - floor(x / y) * y`: wrong by y where x / y rounds to a whole number,
        and nan for an infinite y."""
        cp = self._cp
        if x.dtype.kind != "f":
            return cp.remainder(x, y)
        left = cp.fmod(x, y)
        left = cp.where((left != 0) & ((left < 0) != (y < 0)), left + y, left)
        return cp.where(left == 0, cp.copysign(left, y), left)

    def argmax(self, x: Array, axis: int) -> Array:
        return self._first("argmax", x, axis)

    def argmin(self, x: Array, axis: int) -> Array:
        return self._first("argmin", x, axis)

    def _first(self, name: str, x: Array, axis: int) -> Array:
        """Of several nans CuPy gives the index of any; NumPy that of the first."""
        cp = self._cp
        found = getattr(cp, name)(x, axis=axis)
        if x.dtype.kind != "f":
            return found
        nan = cp.isnan(x)
        return cp.where(nan.any(axis=axis), cp.argmax(nan, axis=axis), found)


class Linalg:
    """The module `cupy.linalg`, likewise."""

    def __init__(self, cp: Any) -> None:
        self._cp = cp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cp.linalg, name)

    def solve(self, a: Array, b: Array) -> Array:
        """CuPy counts the bytes of a right side in steps, of which one without elements has none."""
        return self._cp.linalg.solve(a, b) if b.size else self._cp.zeros(b.shape, dtype=b.dtype)


def sent(cp: Any, array: Any) -> Array:
    """An array on the device, once. Without dims CuPy would take a -0.0 for 0 and lose its sign."""
    if getattr(array, "ndim", 1) or hasattr(array, "__cuda_array_interface__"):
        return cp.asarray(array)
    return cp.asarray(array.reshape(1)).reshape(())

"""Whether two arrays agree, and where they do not, the worst element: absolutely, relatively, and in ulps.

They agree where `|a - b| ≤ atol + rtol |b|`, or where at most `ulps` floats lie from a to b (ulp: unit in the last
place); nan agrees with nan, inf with the same inf. Without tolerances the defaults of `~=` in a case hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.facts.differences import Tolerance, Worst
from gradcli.testing import RTOL, show

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def compare_arrays(left: Array, right: Array, dtype: str, tolerance: Tolerance) -> Worst | None:
    """None where two arrays of one shape and dtype agree."""
    import numpy as np

    if left.size == 0:
        return None
    with np.errstate(all="ignore"):
        error, magnitude = _error(left, right), np.abs(right.astype(np.float64))
        finite = magnitude[np.isfinite(magnitude)]
        allowed = _settled(tolerance, dtype, float(finite.max()) if finite.size else 0.0)
        assert allowed.rtol is not None
        assert allowed.atol is not None
        holds = np.asarray((left == right) | ((left != left) & (right != right)))
        holds |= np.isfinite(magnitude) & (error <= allowed.atol + allowed.rtol * magnitude)
        if allowed.ulps:
            holds |= np.isfinite(left) & np.isfinite(right) & (distance(left, right) <= allowed.ulps)
        if holds.all():
            return None
        excess = np.where(holds, -1.0, np.where(np.isfinite(error), error, np.inf))
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), left.shape))
    return _worst(left, right, where, float(error[where]), int((~holds).sum()), allowed)


def _settled(tolerance: Tolerance, dtype: str, scale: float) -> Tolerance:
    """All three as numbers; `scale` is the largest finite element of the right side."""
    plain = tolerance.rtol is None and tolerance.ulps is None
    rtol = tolerance.rtol if tolerance.rtol is not None else RTOL.get(dtype, 0.0) if plain else 0.0
    atol = tolerance.atol if tolerance.atol is not None else rtol * scale if plain else 0.0
    return Tolerance(rtol, atol, tolerance.ulps or 0)


def _worst(left: Array, right: Array, where: tuple[int, ...], error: float, count: int, allowed: Tolerance) -> Worst:
    import numpy as np

    a, b = np.asarray(left[where]), np.asarray(right[where])
    size = abs(float(b))
    relative = error / size if size else float("inf") if error else 0.0
    ulps = int(distance(a, b)) if bool(np.isfinite(a)) and bool(np.isfinite(b)) and a.dtype.kind == "f" else None
    return Worst(where, show(a), show(b), error, relative, ulps, count, left.size, allowed)


def _error(left: Array, right: Array) -> Array:
    """`|a - b|` as f64; of integers exact before it is rounded."""
    import numpy as np

    if left.dtype.kind == "f":
        return np.abs(left.astype(np.float64) - right.astype(np.float64))
    low, high = np.minimum(left, right).astype(np.int64), np.maximum(left, right).astype(np.int64)
    return (high.view(np.uint64) - low.view(np.uint64)).astype(np.float64)


def distance(left: Array, right: Array) -> Array:
    """How many floats lie from one element to the other, as u64; of integers their difference.

    The bits of a float, read as sign and magnitude, count the floats from zero: IEEE 754 orders them so.
    """
    import numpy as np

    a, b = _ordinal(left), _ordinal(right)
    found: Array = np.maximum(a, b) - np.minimum(a, b)
    return found


def _ordinal(array: Array) -> Array:
    """The place of each element in the order of its dtype, shifted by 2**63 so that none is negative."""
    import numpy as np

    if array.dtype.kind != "f":
        return array.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
    bits = np.ascontiguousarray(array).reshape(array.shape).view(f"i{array.dtype.itemsize}").astype(np.int64)
    top = np.uint64(1 << 63)
    magnitude = (bits & ((1 << (8 * array.dtype.itemsize - 1)) - 1)).astype(np.uint64)
    found: Array = np.where(bits < 0, top - magnitude, top + magnitude)
    return found

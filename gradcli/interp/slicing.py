"""Slices of one dim, `start:stop:step`, as (start, count, step): NumPy's where all is known.

Of a symbolic dim nothing is clipped: that the bounds lie inside it is a condition, under which the count is one
polynomial for all sizes.
"""

from __future__ import annotations

from gradcli.interp.static import unknown, whole
from gradcli.interp.values import Arr, LoopInt, describe
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError


def negative_loop_index(item: Size) -> ShapeError:
    return ShapeError(
        "SHP114",
        f"an index that holds a loop variable counts from 0; here it is {item + 0}",
        (),
        "start the loop later, or shift the index",
    )


def slice_item(item: slice, size: Size) -> tuple[Size, Size, int]:
    """`start:stop:step` on a dim as (start, count, step). A symbolic dim records what must hold."""
    step = 1 if item.step is None else whole(item.step)
    if not isinstance(step, int) or step == 0:
        raise ShapeError("SHP110", "the step of a slice is an integer other than 0")
    bounds: list[Size | None] = []
    for bound in (item.start, item.stop):
        if bound is None:
            bounds.append(None)
            continue
        position = whole(bound)
        if position is None or isinstance(bound, Arr):
            raise ShapeError(
                unknown(bound),
                f"the bounds of a slice are known integers, not {describe(bound)}",
                (),
                "a slice whose size depends on data has no shape; index by an array of fixed size",
            )
        if isinstance(bound, LoopInt) and bound < 0:
            raise negative_loop_index(bound)
        bounds.append(position)
    first, last = bounds
    if not isinstance(size, Poly) and not isinstance(first, Poly) and not isinstance(last, Poly):
        start, stop, _ = slice(first, last, step).indices(int(size))
        return start, len(range(start, stop, step)), step
    return _symbolic_slice(first, last, step, size)


def _symbolic_slice(start: Size | None, stop: Size | None, step: int, size: Size) -> tuple[Size, Size, int]:
    low: Size = 0 if step > 0 else -1  # what NumPy clips bounds to; here none is clipped
    high = size if step > 0 else size - 1

    def absolute(bound: Size | None, default: Size) -> Size:
        if bound is None:
            return default
        place = size + int(bound) if not isinstance(bound, Poly) and bound < 0 else bound
        if isinstance(bound, Poly) and not sizes.at_least(bound, 0, "a slice"):
            raise ShapeError("SHP108", f"the bound {bound} of a slice is negative for every size", (0,))
        if not sizes.at_least(high, place, "a slice") or not sizes.at_least(place, low, "a slice"):
            raise ShapeError("SHP108", f"the bound {bound} of a slice is out of range for a dim of size {size}", (0,))
        return place

    if step == 1 and start is None and stop is None:
        return 0, size, 1
    if _surely_empty(start, stop, step):
        return 0, 0, step
    if stop is None and (found := _to_the_end(start, step, size)) is not None:
        return (*found, step)
    first = absolute(start, 0 if step > 0 else size - 1)
    last = absolute(stop, size if step > 0 else -1)
    length = last - first if step > 0 else first - last
    if not sizes.at_least(length, 0, "a slice"):
        return first, 0, step
    count = sizes.divide_up(length, abs(step), "a slice with a step")
    if count is None:
        raise ShapeError("SHP108", f"a step of {step} does not divide {length} for any size", (0,))
    return first, count, step


def _to_the_end(start: Size | None, step: int, size: Size) -> tuple[Size, Size] | None:
    """Start and count of `x[1::2]`, `x[-2::-2]`: a dim that ends before the start leaves nothing, and the count is 0
    there, too, as long as it ends less than a step before. Needs no condition but that the step divides."""
    if isinstance(start, Poly) or abs(step) == 1:
        return None
    away = start if step > 0 else None if start is None else -1 - start  # from the end that it begins at
    length = size - (away or 0)
    if (away is not None and away < 0) or not sizes.never_below(length, 1 - abs(step)):
        return None
    count = sizes.divide_up(length, abs(step), "a slice with a step")
    return None if count is None else (away or 0 if step > 0 else length - 1, count)


def _surely_empty(start: Size | None, stop: Size | None, step: int) -> bool:
    """Whether known bounds on the same side leave nothing between them, whatever the size."""
    if start is None or stop is None or isinstance(start, Poly) or isinstance(stop, Poly):
        return False
    return (start < 0) == (stop < 0) and (stop <= start if step > 0 else stop >= start)

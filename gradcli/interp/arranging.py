"""Operators that put elements elsewhere, or more than once, as NumPy 2 has them: padding, rolling, repeating, picking.

All of them are slices that are joined again, views that are written out, or one gather; only `pad` with a number makes
elements that were not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import copysign
from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, indexing
from gradcli.interp.dtypes import rank_of, settle
from gradcli.interp.makers import iota
from gradcli.interp.signature import (
    Site,
    flat,
    nonnegative,
    one_axis,
    operator,
    read_choice,
    read_numbers,
    read_sizes,
)
from gradcli.interp.values import Arr, CastV, ListV, TupleV, describe, is_number
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError, primitive

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

Pads = list[tuple[int, int]]  # before and after, for each dim
Piece = tuple[Size, Size, int]  # start, count, step along one axis; a step of 0 repeats one element

# ── padding ─────────────────────────────────────────────────────────────────────────────────────────────────


@operator(
    'pad(x, pad_width, mode="constant", constant_values=0)',
    "shape",
    "Elements put before and after: `pad_width` is an integer, (before, after), or a pair for each dim; `mode` is "
    '"constant", "edge", "reflect" or "wrap".',
)
def _pad(site: Site, x: Any, pad_width: Any, mode: Any, constant_values: Any) -> Arr:
    arr = site.arr(x)
    pads = _pad_widths(pad_width, arr.rank)
    if read_choice(mode, "mode", ("constant", "edge", "reflect", "wrap")) == "constant":
        return filled(site.ctx, arr, pads, constant_values)
    for axis, (before, after) in enumerate(pads):
        while before or after:
            pieces, before, after = _around(mode, arr.dims[axis], before, after)
            arr = _joined(site.ctx, arr, axis, pieces)
    return arr


def filled(ctx: Elaborator, arr: Arr, pads: Pads, fill: Any) -> Arr:
    """With a number before and after each dim; zeros cost nothing but their place."""
    if not any(map(any, pads)):
        return arr
    dims = tuple(d + sum(pad) if any(pad) else d for d, pad in zip(arr.dims, pads, strict=True))
    params = {"items": tuple((before, size, 1) for size, (before, _) in zip(arrays.plain(arr.dims), pads, strict=True))}
    if is_number(fill) and fill == 0 and copysign(1.0, fill) > 0:
        out = arrays.emit(ctx, primitive("unslice"), [arr], {"shape": arrays.plain(dims), **params}, dims=dims)
        return Arr(out.value, dims, arr.weak)
    number = arrays.to_arr(ctx, fill)
    if number.rank:
        raise ShapeError("SHP107", f"`constant_values` is one number, not {number}")
    dtype, weak = settle(max(rank_of(arr), rank_of(fill if is_number(fill) else number)), ctx.weak_float)
    arr, number = (arrays.settle_arr(ctx, each, dtype) for each in (arr, number))
    around = indexing.broadcast_to(ctx, number, dims)
    return Arr(arrays.emit(ctx, primitive("update_slice"), [around, arr], params).value, dims, weak)


def _pad_widths(given: Any, rank: int) -> Pads:
    """NumPy's spellings: `1`, `(1, 2)`, `[(1, 2)]` for all dims, `[(1, 2), (0, 3)]` for each. Raises SHP110."""
    items = given.items if isinstance(given, ListV | TupleV) else (given,)
    if not any(isinstance(item, ListV | TupleV) for item in items):
        return [_pad_pair(given)] * rank
    if len(items) not in (1, rank):
        raise ShapeError("SHP110", f"`pad_width` has {len(items)} pairs for {rank} dims", (0, 1))
    pairs = [_pad_pair(item) for item in items]
    return pairs * rank if len(pairs) == 1 else pairs


def _pad_pair(value: Any) -> tuple[int, int]:
    before, after = read_numbers(value, 2, "pad_width", least=0)
    return before, after


def _around(mode: str, n: Size, before: int, after: int) -> tuple[list[Piece], int, int]:
    """One round along a dim of size n: what stands before, itself and after, and how much is left to do.

    A reflection reaches n - 1 elements, so a wider one goes round again, from what is then there.
    """
    if not sizes.at_least(n, 1, "padding"):
        raise ShapeError("SHP117", f'`pad` in mode "{mode}" of no elements: there is none to repeat', (0,))
    if mode == "edge":
        return [(0, before, 0), (0, n, 1), (n - 1, after, 0)], 0, 0
    if mode == "wrap":
        return list(_turns(n, before, after)), 0, 0
    if n == 1:
        return [(0, before, 0), (0, n, 1), (0, after, 0)], 0, 0
    first, last = (_reach(n, width) for width in (before, after))
    return [(first, first, -1), (0, n, 1), (n - 2, last, -1)], before - first, after - last


def _reach(n: Size, width: int) -> int:
    """How far a reflection goes at once. For a symbol all at once: that has the same shape, and is not run."""
    return width if isinstance(n, Poly) else min(width, int(n) - 1)


def _turns(n: Size, before: int, after: int) -> Iterator[Piece]:
    """The elements round and round; for a symbol once, which has the same shape."""
    if isinstance(n, Poly):
        yield from ((n - before, before, 1), (0, n, 1), (0, after, 1))
        return
    size = int(n)
    yield size - before % size, before % size, 1
    yield from [(0, size, 1)] * (before // size + 1 + after // size)
    yield 0, after % size, 1


def _joined(ctx: Elaborator, arr: Arr, axis: int, pieces: list[Piece]) -> Arr:
    """Parts of `arr` along an axis, one after the other; the others are whole."""
    parts = [_part(ctx, arr, axis, piece) for piece in pieces if piece[1] != 0]
    if len(parts) < 2:
        return parts[0] if parts else arr
    total: Size = 0
    for part in parts:
        total = total + part.dims[axis]
    dims = (*arr.dims[:axis], total, *arr.dims[axis + 1 :])
    return Arr(arrays.emit(ctx, primitive("concat"), parts, {"axis": axis}).value, dims, arr.weak)


def _part(ctx: Elaborator, arr: Arr, axis: int, piece: Piece) -> Arr:
    start, count, step = piece
    taken = 1 if step == 0 else count
    if (start, taken, step) == (0, arr.dims[axis], 1):
        return arr
    items = tuple((start, taken, step or 1) if k == axis else (0, n, 1) for k, n in enumerate(arrays.plain(arr.dims)))
    dims = (*arr.dims[:axis], taken, *arr.dims[axis + 1 :])
    out = arrays.emit(ctx, primitive("slice"), [arr], {"items": items}, dims=dims)
    return indexing.broadcast_to(ctx, out, (*dims[:axis], count, *dims[axis + 1 :]))


# ── rolling and repeating ───────────────────────────────────────────────────────────────────────────────────


@operator("roll(x, shift, axis=None)", "shape", "The elements moved on along an axis, the last ones to the front.")
def _roll(site: Site, x: Any, shift: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    axis = site.ctx.axis(axis, arr)
    shifts = read_sizes(shift, "`shift`")
    if axis is None:
        if len(shifts) != 1:
            raise ShapeError("SHP110", "several shifts go with as many axes", (1,))
        return indexing.reshape(site.ctx, _rolled(site.ctx, flat(site.ctx, arr), 0, shifts[0]), arr.dims)
    axes = [one_axis(site, each, arr) for each in (axis.items if isinstance(axis, ListV | TupleV) else (axis,))]
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise ShapeError("SHP110", f"{len(shifts)} shifts for {len(axes)} axes", (1,))
    count = max(len(shifts), len(axes))
    for place, moved in zip(axes * (count // len(axes)), shifts * (count // len(shifts)), strict=True):
        arr = Arr(_rolled(site.ctx, arr, place, moved).value, arr.dims, arr.weak)
    return arr


def _rolled(ctx: Elaborator, arr: Arr, axis: int, shift: Size) -> Arr:
    n = arr.dims[axis]
    if not isinstance(n, Poly) and not isinstance(shift, Poly):
        shift = int(shift) % int(n) if n else 0
    back = not isinstance(shift, Poly) and shift < 0
    front = n + shift if back else shift
    return _joined(ctx, arr, axis, [(n - front, front, 1), (0, n - front, 1)])


@operator(
    "repeat(x, repeats, axis=None)",
    "shape",
    "Each element `repeats` times, or as often as its own number in a list, along an axis (of flat x without one).",
)
def _repeat(site: Site, x: Any, repeats: Any, axis: Any) -> Arr:
    ctx, arr = site.ctx, site.arr(x)
    axis = ctx.axis(axis, arr)
    arr, place = (flat(ctx, arr), 0) if axis is None else (arr, one_axis(site, axis, arr))
    if isinstance(repeats, ListV | TupleV):
        return _repeated_each(site, arr, place, repeats)
    (count,) = nonnegative(read_sizes(repeats, "`repeats`"))
    dims = (*arr.dims[: place + 1], count, *arr.dims[place + 1 :])
    column = indexing.reshape(ctx, arr, (*arr.dims[: place + 1], 1, *arr.dims[place + 1 :]))
    spread = indexing.copy(ctx, indexing.broadcast_to(ctx, column, dims))
    n = arr.dims[place]
    return indexing.reshape(ctx, spread, (*arr.dims[:place], n * count if count != 1 else n, *arr.dims[place + 1 :]))


def _repeated_each(site: Site, arr: Arr, axis: int, repeats: ListV | TupleV) -> Arr:
    n = arr.dims[axis]
    if isinstance(n, Poly):
        raise ShapeError("SHP119", f"a number for each of {n} elements is given when their number is known")
    counts = read_numbers(repeats, int(n), "repeats", least=0)
    places = [k for k, count in enumerate(counts) for _ in range(count)]
    index = Arr(arrays.constant(site.ctx, "i64", (len(places),), places))
    return indexing.index(site.ctx, arr, [*[slice(None)] * axis, index])


@operator("tile(x, reps)", "shape", "x laid side by side, `reps` times along each dim; an integer is for the last one.")
def _tile(site: Site, x: Any, reps: Any) -> Arr:
    ctx, arr = site.ctx, site.arr(x)
    times = nonnegative(read_sizes(reps, "`reps`"))
    missing = len(times) - arr.rank
    times = (1,) * -missing + times
    dims = (1,) * missing + arr.dims
    apart = indexing.reshape(ctx, arr, tuple(size for n in dims for size in (1, n)))
    spread = indexing.broadcast_to(ctx, apart, tuple(size for n, t in zip(dims, times, strict=True) for size in (t, n)))
    made = tuple(n if t == 1 else n * t for n, t in zip(dims, times, strict=True))
    return indexing.reshape(ctx, indexing.copy(ctx, spread), made)


# ── picking ─────────────────────────────────────────────────────────────────────────────────────────────────


@operator(
    "take_along(x, indices, axis)",
    "shape",
    "Along an axis the elements at `indices`, which have an index for every place of the result; repeated ones "
    "accumulate backwards.",
    "gather",
)
def _take_along(site: Site, x: Any, indices: Any, axis: Any) -> Arr:
    arr, idx = site.arr(x), site.arr(indices)
    place = one_axis(site, axis, arr)
    if arr.rank != idx.rank:
        raise ShapeError("SHP107", f"x and the indices have as many dims as each other, not {arr} and {idx}", (0, 1))
    items: list[Any] = [_places(site, arr, k) for k in range(arr.rank)]
    items[place] = idx
    return indexing.index(site.ctx, arr, items)


def _places(site: Site, arr: Arr, axis: int) -> Arr:
    """0, 1, 2, … along one axis, of size 1 along the others."""
    own = tuple(n if k == axis else 1 for k, n in enumerate(arr.dims))
    made = indexing.reshape(site.ctx, iota(site, arrays.plain([arr.dims[axis]])[0]), own)
    return Arr(made.value, own)


@operator(
    "one_hot(labels, num_classes, dtype=None)",
    "shape",
    "A new last dim of `num_classes`: 1 at the label, 0 elsewhere; weak unless a dtype is given. A label out of range "
    "is an error.",
)
def _one_hot(site: Site, labels: Any, num_classes: Any, dtype: Any) -> Arr:
    ctx, arr = site.ctx, site.arr(labels)
    if arr.dtype not in ("i32", "i64"):
        raise ShapeError("SHP103", f"labels are integers, not {arr}", (0,), "cast them: `i64(…)`")
    (classes,) = nonnegative(read_sizes(num_classes, "`num_classes`"))
    if dtype is not None and not isinstance(dtype, CastV):
        raise ShapeError("SHP116", f"`dtype` is a type like f32, not {describe(dtype)}")
    kind, weak = (dtype.dtype, False) if dtype is not None else (ctx.weak_float, True)
    label = flat(ctx, arrays.settle_arr(ctx, arr, "i64"))
    (count,) = label.value.shape
    ones = indexing.broadcast_to(ctx, Arr(arrays.scalar(ctx, 1, kind)), (count,))
    params = {"shape": arrays.plain((count, classes)), "axes": (0, 1)}
    out = arrays.emit(ctx, primitive("scatter_zeros"), [ones, iota(site, count), label], params)
    return indexing.reshape(ctx, out, (*arr.dims, classes), weak=weak)

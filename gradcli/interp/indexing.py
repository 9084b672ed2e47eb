"""Indexing as NumPy has it, read and written: basic indices, plus one integer array or scalar per axis.

An index becomes at most three steps: new axes by a reshape, slices, and a gather for the integer arrays. Writing
goes through the same analysis, so any index that may be read may be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays
from gradcli.interp.dtypes import rank_of, settle
from gradcli.interp.slicing import negative_loop_index, slice_item
from gradcli.interp.static import whole
from gradcli.interp.values import Arr, ListV, LoopArr, LoopInt, counted, describe, is_number
from gradcli.ir import dims as sizes
from gradcli.ir.constants import unpack
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.record import record
from gradcli.syntax import ast

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator


class _EllipsisItem:
    pass


ELLIPSIS = _EllipsisItem()


def read_items(items: tuple[Any, ...], values: list[Any]) -> list[Any]:
    """The items of an index with their evaluated parts: ints, arrays, None, `slice`s and the ellipsis."""
    found: list[Any] = []
    rest = iter(values)
    for item in items:
        match item:
            case ast.Ellipsis():
                found.append(ELLIPSIS)
            case ast.Slice():
                found.append(slice(*[None if p is None else next(rest) for p in (item.start, item.stop, item.step)]))
            case _:
                found.append(next(rest))
    return found


@record(frozen=False)
class Plan:
    """What an index does to an array of given dims."""

    expanded: tuple[Size, ...]  # dims with the new axes put in
    items: tuple[tuple[Size, Size, int], ...]  # (start, count, step) for each of them
    sliced: tuple[Size, ...]
    drop: tuple[int, ...]  # axes read by a constant integer
    gathers: tuple[tuple[int, Arr], ...]  # axis, integer array


def index(ctx: Elaborator, arr: Arr, items: list[Any]) -> Arr:
    """`x[items]`. Raises ShapeError where an index is out of range, or is none."""
    if any(isinstance(item, slice) and isinstance(item.start, LoopArr) for item in items):
        weak = arr.weak
        arr, items = _read_windows(ctx, arr, items)
        arr = Arr(arr.value, arr.dims, weak)
    plan = make_plan(ctx, arr, items)
    out = arr
    if len(plan.expanded) != arr.rank:
        out = reshape(ctx, out, plan.expanded)
    if not _whole_slices(plan):
        out = _slice(ctx, out, plan)
    if plan.gathers:
        axes, idx = zip(*plan.gathers, strict=True)
        out = arrays.emit(ctx, primitive("gather"), [out, *idx], {"axes": axes})
    elif plan.drop:
        out = reshape(ctx, out, tuple(d for axis, d in enumerate(out.dims) if axis not in plan.drop))
    return Arr(out.value, out.dims if out.named else None, arr.weak)


def _whole_slices(plan: Plan) -> bool:
    return all(i == (0, d, 1) for i, d in zip(plan.items, plan.expanded, strict=True))


def _slice(ctx: Elaborator, arr: Arr, plan: Plan) -> Arr:
    out = arrays.emit(ctx, primitive("slice"), [arr], {"items": plan.items}, dims=plan.sliced)
    return Arr(out.value, plan.sliced)


def assign(ctx: Elaborator, arr: Arr, items: list[Any], value: Any, *, add: bool) -> Arr:
    """A copy of `arr` with a part replaced, or added to (repeated indices accumulate)."""
    value = value if is_number(value) else arrays.to_arr(ctx, value)
    arr = _take_dtype(ctx, arr, value)
    dtype = arr.dtype
    if isinstance(value, Arr) and not value.weak and _wider(value, arr):
        raise ShapeError("SHP103", f"{value} is written into {arr}: that would narrow it", (0,), f"cast: `{dtype}(…)`")
    if isinstance(value, float) and arr.dtype in ("i32", "i64", "bool"):
        raise ShapeError("SHP103", f"a float is written into {arr}", (0,), f"cast it: `{dtype}(…)`")
    plan = make_plan(ctx, arr, items)
    base = reshape(ctx, arr, plan.expanded) if len(plan.expanded) != arr.rank else arr
    part = Arr(arrays.as_value(ctx, value, dtype), value.dims if isinstance(value, Arr) else None)
    if plan.gathers:
        out = _scatter(ctx, base, plan, part, add=add)
    else:
        kept = tuple(d for axis, d in enumerate(plan.sliced) if axis not in plan.drop)
        region = broadcast_to(ctx, part, kept)
        region = reshape(ctx, region, plan.sliced) if plan.drop else region
        prim = primitive("add_slice" if add else "update_slice")
        out = arrays.emit(ctx, prim, [base, region], {"items": plan.items}, dims=base.dims)
    out = reshape(ctx, out, arr.dims) if len(plan.expanded) != arr.rank else out
    return Arr(out.value, arr.dims, arr.weak and (not isinstance(value, Arr) or value.weak))


def _scatter(ctx: Elaborator, base: Arr, plan: Plan, part: Arr, *, add: bool) -> Arr:
    axes, idx = zip(*plan.gathers, strict=True)
    target = base if _whole_slices(plan) else _slice(ctx, base, plan)
    shape = arrays.emit(ctx, primitive("gather"), [target, *idx], {"axes": axes}).dims
    region = broadcast_to(ctx, part, shape)
    prim = primitive("scatter_add" if add else "scatter_set")
    done = arrays.emit(ctx, prim, [target, region, *idx], {"axes": axes}, dims=target.dims)
    if target is base:
        return done
    return arrays.emit(ctx, primitive("update_slice"), [base, done], {"items": plan.items}, dims=base.dims)


def _take_dtype(ctx: Elaborator, arr: Arr, value: Any) -> Arr:
    """A weak array that is written into takes the dtype of what is written."""
    if not arr.weak:
        return arr
    dtype, weak = settle(max(rank_of(arr), rank_of(value)), ctx.weak_float)
    return arrays.settle_arr(ctx, arr, dtype, weak=weak)


def _wider(value: Arr, into: Arr) -> bool:
    return rank_of(value) > rank_of(into)


def make_plan(ctx: Elaborator, arr: Arr, items: list[Any]) -> Plan:
    """Read an index against the dims of an array. Raises ShapeError."""
    items = _fill(arr, [_integer_array(ctx, item) for item in items])
    expanded: list[Size] = []
    steps: list[tuple[Size, Size, int]] = []
    drop: list[int] = []
    gathers: list[tuple[int, Any]] = []
    many = any(isinstance(item, Arr) for item in items)
    dims = iter(arr.dims)
    for item in items:
        axis = len(expanded)
        if item is None:
            expanded.append(1)
            steps.append((0, 1, 1))
            continue
        size = next(dims)
        expanded.append(size)
        if isinstance(item, slice):
            steps.append(slice_item(item, size))
        elif isinstance(item, Arr):
            steps.append((0, size, 1))
            gathers.append((axis, _written_index(ctx, item, size)))
        else:
            position = _position(item, size)
            if many:  # beside an array, NumPy counts an integer as one more array
                steps.append((0, size, 1))
                gathers.append((axis, position))
            else:
                steps.append((position, 1, 1))
                drop.append(axis)
    sliced = tuple(d if item == (0, d, 1) else item[1] for item, d in zip(steps, expanded, strict=True))
    return Plan(tuple(expanded), tuple(steps), sliced, tuple(drop), _same_shape(ctx, gathers))


def _read_windows(ctx: Elaborator, arr: Arr, items: list[Any]) -> tuple[Arr, list[Any]]:
    """The array with the slices that move with a loop's variable read, and the index without them."""
    items = _fill(arr, items)
    for place, item in enumerate(items):
        if isinstance(item, slice):
            axis = sum(before is not None for before in items[:place])
            window = _window(ctx, item, arr.dims[axis])
            if window is not None:
                arr = arrays.emit(ctx, primitive("gather"), [arr, window], {"axes": (axis,)})
                items[place] = slice(None)
    return arr, items


def _window(ctx: Elaborator, item: slice, size: Size) -> Arr | None:
    """`i:i + 3` in a rolled loop: as many elements in every turn, read by their numbers. None for other slices."""
    start, stop = item.start, item.stop
    if not isinstance(start, LoopArr) or not isinstance(stop, LoopArr) or start.slope != stop.slope:
        return None
    count = stop.offset - start.offset
    if (item.step is not None and whole(item.step) != 1) or isinstance(count, Poly) or count < 0:
        return None
    _in_range(start, size + 1 if count == 0 else size)
    if count:
        _in_range(LoopArr(stop.value, stop.slope, stop.offset - 1, stop.first, stop.last), size)
    numbers = arrays.constant(ctx, "i64", (int(count),), range(int(count)))
    return arrays.elementwise(ctx, primitive("add"), [start, Arr(numbers)])


def _in_range(item: LoopArr, size: Size) -> None:
    """Every turn of a loop is judged before anything runs. Raises ShapeError SHP108 or SHP114."""
    if not sizes.at_least(item.least, 0, "an index"):
        raise negative_loop_index(item.least)
    if not sizes.at_least(size, item.most + 1, "an index"):
        raise ShapeError("SHP108", f"index {item.most} is out of range for a dim of size {size}", (0,))


def _integer_array(ctx: Elaborator, item: Any) -> Any:
    """Lists become arrays; arrays must hold integers; a constant integer scalar is a static one."""
    if isinstance(item, ListV):
        item = arrays.to_arr(ctx, item) if item.items else Arr(arrays.constant(ctx, "i64", (0,), []))
    if isinstance(item, Arr):
        if item.dtype == "bool":
            raise ShapeError(
                "SHP110",
                "a mask is no index: the shape would depend on data",
                (),
                "select with `where(mask, x, 0)`, or multiply by it",
            )
        if item.dtype not in ("i32", "i64"):
            raise ShapeError("SHP110", f"an index is an integer, not {item}", (), "cast it: `i64(…)`")
        node = item.value.node
        if item.rank == 0 and node is not None and node.prim.name == "constant":
            return int(unpack(node.params["data"], item.dtype)[0])
        return item if isinstance(item, LoopArr) else arrays.settle_arr(ctx, item, "i64")
    if isinstance(item, bool | str) or (isinstance(item, float) and whole(item) is None):
        raise ShapeError("SHP110", f"an index is an integer, not {describe(item)}")
    if isinstance(item, float):
        return whole(item)
    if item is None or item is ELLIPSIS or isinstance(item, int | slice | Poly):
        return item
    raise ShapeError("SHP110", f"an index is an integer, not {describe(item)}")


def _written_index(ctx: Elaborator, item: Arr, size: Size) -> Arr:
    """An index array that is written in the model is checked now, and its negative members count from the end."""
    if isinstance(item, LoopArr):
        _in_range(item, size)
    node = item.value.node
    if node is None or node.prim.name != "constant":
        return item
    places = unpack(node.params["data"], item.dtype)
    for place in places:
        _position(int(place), size)
    if all(place >= 0 for place in places):
        return item
    below = arrays.constant(ctx, "i64", node.params["shape"], [int(place < 0) for place in places])
    shift = arrays.elementwise(ctx, primitive("mul"), [Arr(below), arrays.to_arr(ctx, sizes.named(size, None))])
    return arrays.elementwise(ctx, primitive("add"), [item, shift])


def _fill(arr: Arr, items: list[Any]) -> list[Any]:
    """Put full slices for the ellipsis, or at the end. Raises ShapeError for too many indices."""
    used = sum(item is not None and item is not ELLIPSIS for item in items)
    if used > arr.rank:
        raise ShapeError("SHP109", f"{used} indices for {arr}, which has {counted(arr.rank, 'dim')}", (0,))
    missing = [slice(None)] * (arr.rank - used)
    places = [i for i, item in enumerate(items) if item is ELLIPSIS]
    if len(places) > 1:
        raise ShapeError("SHP109", "an index has one `...` at most")
    at = places[0] if places else len(items)
    return [*items[:at], *missing, *items[at + 1 :]]


def _position(item: Size, size: Size) -> Size:
    """A constant index from 0. Raises ShapeError when it is out of range."""
    if isinstance(item, LoopInt) and item < 0:
        raise negative_loop_index(item)
    if isinstance(item, Poly):
        if not sizes.at_least(size, item + 1, "an index") or not sizes.at_least(item, 0, "an index"):
            raise ShapeError("SHP108", f"index {item} is out of range for a dim of size {size}", (0,))
        return item
    if item < 0:
        if not sizes.at_least(size, -item, "an index"):
            raise ShapeError("SHP108", f"index {item} is out of range for a dim of size {size}", (0,))
        return size + int(item)
    if not sizes.at_least(size, int(item) + 1, "an index"):
        raise ShapeError("SHP108", f"index {item} is out of range for a dim of size {size}", (0,))
    return int(item)


def _same_shape(ctx: Elaborator, gathers: list[tuple[int, Any]]) -> tuple[tuple[int, Arr], ...]:
    """Index arrays broadcast to one shape; constant integers beside them become arrays."""
    if not gathers:
        return ()
    made = [(axis, g if isinstance(g, Arr) else arrays.to_arr(ctx, g)) for axis, g in gathers]
    shape = arrays.broadcast_dims([g.dims for _, g in made], pairs=True)
    return tuple((axis, broadcast_to(ctx, g, shape)) for axis, g in made)


# ── moving data ─────────────────────────────────────────────────────────────────────────────────────────────


def reshape(ctx: Elaborator, arr: Arr, dims: tuple[Size, ...], *, weak: bool | None = None) -> Arr:
    """The same elements under other dims, whose names are kept."""
    shape = arrays.plain(dims)
    weak = arr.weak if weak is None else weak
    if shape == arr.value.aval.shape:
        return Arr(arr.value, dims, weak)
    out = arrays.emit(ctx, primitive("reshape"), [arr], {"shape": shape}, dims=dims)
    return Arr(out.value, dims, weak)


def broadcast_to(ctx: Elaborator, arr: Arr, dims: tuple[Size, ...]) -> Arr:
    """NumPy's `broadcast_to`. Raises ShapeError where the shapes do not fit."""
    shape = arrays.plain(dims)
    if shape == arr.value.aval.shape:
        return arr
    extra = len(dims) - arr.rank
    fits = extra >= 0 and all(
        (d == 1 and not isinstance(d, Poly)) or sizes.equal(d, t, "broadcasting")
        for d, t in zip(arr.dims, dims[max(extra, 0) :], strict=False)
    )
    if not fits:
        raise ShapeError("SHP101", f"{arrays.shape_text(arr.dims)} does not broadcast to {arrays.shape_text(dims)}")
    out = arrays.emit(ctx, primitive("broadcast_to"), [arr], {"shape": shape}, dims=dims)
    return Arr(out.value, dims, arr.weak)


def transpose(ctx: Elaborator, arr: Arr, axes: tuple[int, ...]) -> Arr:
    if axes == tuple(range(arr.rank)):
        return arr
    dims = tuple(arr.dims[axis] for axis in axes)
    out = arrays.emit(ctx, primitive("transpose"), [arr], {"axes": axes}, dims=dims)
    return Arr(out.value, dims, arr.weak)


def copy(ctx: Elaborator, arr: Arr) -> Arr:
    """The same elements as memory of their own, in the order of the dims: a reshape of it is a view again."""
    return Arr(arrays.emit(ctx, primitive("copy"), [arr], dims=arr.dims).value, arr.dims, arr.weak)

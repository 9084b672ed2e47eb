"""Indices that are data: reading, writing, adding.

`axes` are the dims that the index arrays (i64, all of one shape) stand for; the other dims are taken whole. The shape
of what is read is NumPy's: the dims of the index arrays stand where the first of adjacent `axes` stood, or in front
where the axes are not adjacent. An index is checked when it is met: never a wrapped or clipped read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size, definite, product
from gradcli.ir.graph import Value, apply
from gradcli.ir.primitive import DataError, Sample, ShapeError
from gradcli.ops.batching import grown
from gradcli.ops.define import begun, choose, general, same, splat, zeros

Axes = tuple[int, ...]


def _place(axes: Axes) -> int:
    """Where the dims of the index stand in what is read."""
    adjacent = all(b - a == 1 for a, b in pairwise(axes))
    return axes[0] if adjacent else 0


def _part_shape(shape: tuple[Size, ...], index: tuple[Size, ...], axes: Axes) -> tuple[Size, ...]:
    rest = [size for axis, size in enumerate(shape) if axis not in axes]
    place = _place(axes)
    return (*rest[:place], *index, *rest[place:])


def _checked(xp: Any, shape: tuple[int, ...], idx: tuple[Any, ...], axes: Axes) -> tuple[Any, ...]:
    """The whole index. Raises DataError SHP108."""
    for axis, index in zip(axes, idx, strict=True):
        size = shape[axis]
        if index.size and int(index.view("u8").max()) >= size:  # seen as unsigned, what is below 0 is huge
            wrong = int(index.min()) if bool((index < 0).any()) else int(index.max())
            help = "an index that is data counts from 0" if wrong < 0 else None
            raise DataError("SHP108", f"index {wrong} is out of range for a dim of size {size}", help)
    where: list[Any] = [slice(None)] * len(shape)
    for axis, index in zip(axes, idx, strict=True):
        where[axis] = index
    return tuple(where)


def _place_of(shape: tuple[int, ...], idx: tuple[Any, ...], axes: Axes) -> tuple[Any, ...] | None:
    """One place as Python integers, which is much cheaper than arrays of one element; None for several, or for one
    that is out of range."""
    if idx[0].ndim:
        return None
    where: list[Any] = [slice(None)] * len(shape)
    for axis, index in zip(axes, idx, strict=True):
        where[axis] = place = int(index)
        if not 0 <= place < shape[axis]:
            return None
    return tuple(where)


def _rows(xp: Any, v: Any, shape: tuple[int, ...], idx: tuple[Any, ...], axes: Axes) -> tuple[Any, Any, Any]:
    """What is written, one row for each element of the index, in the order of the places written to.

    Gives (order of elements, rows in that order, where each run of one place begins). The order is stable: of equal
    places the last element stands last.
    """
    place, rank = _place(axes), idx[0].ndim
    front = xp.moveaxis(v, tuple(range(place, place + rank)), tuple(range(rank)))
    linear = idx[0].reshape(-1)
    for axis, index in zip(axes[1:], idx[1:], strict=True):
        linear = linear * shape[axis] + index.reshape(-1)
    order = xp.argsort(linear, kind="stable")
    rows = front.reshape((-1, *front.shape[rank:]))[order]
    ranked = linear[order]
    begins = xp.concatenate([xp.ones(1, dtype=bool), ranked[1:] != ranked[:-1]])
    return order, rows, begins


def _put(xp: Any, rows: Any, chosen: Any, idx: tuple[Any, ...], axes: Axes, rank: int) -> tuple[tuple[Any, ...], Any]:
    """An index without repetitions, and the rows as NumPy wants them for it."""
    where: list[Any] = [slice(None)] * rank
    for axis, index in zip(axes, idx, strict=True):
        where[axis] = index.reshape(-1)[chosen]
    return tuple(where), xp.moveaxis(rows, 0, _place(axes))


# ── batches of indices ──────────────────────────────────────────────────────────────────────────────────────


def _batched_index(idx: Any, batched: Any, size: Size, axes: Axes, own: bool) -> tuple[tuple[Value, ...], Axes]:
    """The index and its axes where the array has the dim of the batch in front (`own`), or has it not.

    An index that differs from element to element of the batch reads the array's dim of the batch by its number.
    """
    if not any(batched):
        return tuple(idx), tuple(axis + own for axis in axes)
    idx = tuple(grown(index, has, size) for index, has in zip(idx, batched, strict=True))
    if not own:
        return idx, axes
    numbers = idx[0].builder.emit(_iota(), (), {"size": size, "dtype": "i64"})[0]
    numbers = apply("reshape", numbers, shape=(size, *(1,) * (idx[0].rank - 1)))
    return (apply("broadcast_to", numbers, shape=idx[0].shape), *idx), (0, *(axis + 1 for axis in axes))


def _part_order(rank: int, n_index: int, axes: Axes, *, own: bool, many: bool) -> tuple[int, ...]:
    """The order of dims that takes what a batched index reads to the dims of the batch, then those of one read.

    `rank` and `axes` are of the array of one read, `n_index` the rank of its index; `many` that the index is batched.
    """
    place = _place(axes)
    rest = [("rest", k) for k in range(rank - len(axes))]
    index = [("index", k) for k in range(n_index)]
    wanted = [("batch", 0), *rest[:place], *index, *rest[place:]]
    if not many:
        where = place + 1 if place or all(b - a == 1 for a, b in pairwise(axes)) else 0
        have = [("batch", 0), *rest]
        have = [*have[:where], *index, *have[where:]]
    else:
        where = _place((0, *(axis + 1 for axis in axes))) if own else place
        have = [*rest[:where], ("batch", 0), *index, *rest[where:]]
    return tuple(have.index(dim) for dim in wanted)


def _turned(x: Value, order: tuple[int, ...], *, back: bool = False) -> Value:
    order = tuple(order.index(k) for k in range(len(order))) if back else order
    return x if order == tuple(range(len(order))) else apply("transpose", x, axes=order)


def _gather_batch(args: Any, batched: Any, size: Size, *, axes: Axes) -> tuple[Value, ...]:
    (x, *idx), (own, *many) = args, batched
    index, where = _batched_index(idx, many, size, axes, own)
    read = apply("gather", x, *index, axes=where)
    order = _part_order(x.rank - own, idx[0].rank - many[0], axes, own=own, many=any(many))
    return (_turned(read, order),)


def _scatter_batch(name: str) -> Any:
    def rule(args: Any, batched: Any, size: Size, *, axes: Axes) -> tuple[Value, ...]:
        (x, v, *idx), (own, has, *many) = args, batched
        x, v = grown(x, own, size), grown(v, has, size)
        index, where = _batched_index(idx, many, size, axes, True)
        order = _part_order(x.rank - 1, idx[0].rank - many[0], axes, own=True, many=any(many))
        return (apply(name, x, _turned(v, order, back=True), *index, axes=where),)

    return rule


def _zeros_batch(args: Any, batched: Any, size: Size, *, shape: tuple[Size, ...], axes: Axes) -> tuple[Value, ...]:
    (v, *idx), (has, *many) = args, batched
    index, where = _batched_index(idx, many, size, axes, True)
    order = _part_order(len(shape), idx[0].rank - many[0], axes, own=True, many=any(many))
    part = _turned(grown(v, has, size), order, back=True)
    return (apply("scatter_zeros", part, *index, shape=(size, *shape), axes=where),)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


def _gathered(x: Aval, *idx: Aval, axes: Axes) -> tuple[Aval, ...]:
    return (Aval(_part_shape(x.shape, idx[0].shape, axes), x.dtype),)


def _gather_vjp(cts: Any, inputs: Any, outs: Any, *, axes: Axes) -> tuple[Value | None, ...]:
    x, *idx = inputs
    return (apply("scatter_zeros", cts[0], *idx, shape=x.shape, axes=axes), *[None] * len(idx))


def _gather(xp: Any, x: Any, *idx: Any, axes: Axes) -> Any:
    place = _place_of(x.shape, idx, axes)
    return x[_checked(xp, x.shape, idx, axes)] if place is None else xp.array(x[place])


def _gather_into(xp: Any, x: Any, *idx: Any, out: Any, axes: Axes) -> None:
    """`take` along one axis: where indices are known to be in range, `clip` is the mode that needs no buffer."""
    if (place := _place_of(x.shape, idx, axes)) is not None:
        out[...] = x[place]
        return
    where = _checked(xp, x.shape, idx, axes)
    if len(axes) == 1 and out.size:
        xp.take(x, idx[0], axis=axes[0], out=out, mode="clip")
    else:
        out[...] = x[where]


ROWS = [[2, 0, 2]], {"axes": (0,)}
POINTS = {"axes": (0, 2)}
APART = {"axes": (1, 3)}  # what is read begins with the dims of the index
gather = general(
    "gather", _gathered, _gather, _gather_vjp, kind="linear", flops=0, doc="The parts at integer indices.",
    formula="added into zeros at the indices", conventions="an index that is out of range is an error", batch=_gather_batch,
    into=_gather_into,
    samples=[Sample(((3, 2), [2, 0, 2]), {"axes": (0,)}), Sample(((2, 3), [[2, 0], [1, 1]]), {"axes": (1,)}),
             Sample(((2, 3, 4), [1, 0], [3, 3]), POINTS), Sample(((2, 3, 4), [1, 0], [2, 2]), {"axes": (1, 2)}),
             Sample(((2, 3, 4, 3), [1, 0], [2, 2]), APART), Sample(((3, 2), 1), {"axes": (0,)})],
)  # fmt: skip

# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────


def _checked_part(x: Aval, v: Aval, idx: tuple[Aval, ...], axes: Axes) -> None:
    want = _part_shape(x.shape, idx[0].shape, axes)
    if v.shape != want:
        raise ShapeError("SHP105", f"what is written is {v}, not {Aval(want, v.dtype)}", (1,))


def _scattered(x: Aval, v: Aval, *idx: Aval, axes: Axes) -> tuple[Aval, ...]:
    _checked_part(x, v, idx, axes)
    return (x,)


def _from_zeros(v: Aval, *idx: Aval, shape: tuple[Size, ...], axes: Axes) -> tuple[Aval, ...]:
    out = Aval(shape, v.dtype)
    _checked_part(out, v, idx, axes)
    return (out,)


def _scatter_add(xp: Any, x: Any, v: Any, *idx: Any, axes: Axes, out: Any = None) -> Any:
    """Repeated indices accumulate, in the order of the index, on every backend."""
    out = begun(xp, x, out)
    if (place := _place_of(out.shape, idx, axes)) is not None:
        out[place] += v
        return out
    _checked(xp, out.shape, idx, axes)
    if idx[0].size and v.size:
        order, rows, begins = _rows(xp, v, out.shape, idx, axes)
        starts = xp.nonzero(begins)[0]
        sums = rows if len(starts) == len(rows) else xp.add.reduceat(rows, starts, axis=0)
        where, values = _put(xp, sums, order[starts], idx, axes, out.ndim)
        out[where] += values
    return out


def _scatter_set(xp: Any, x: Any, v: Any, *idx: Any, axes: Axes, out: Any = None) -> Any:
    """Of repeated indices the last one wins, on every backend."""
    out = begun(xp, x, out)
    if (place := _place_of(out.shape, idx, axes)) is not None:
        out[place] = v
        return out
    _checked(xp, out.shape, idx, axes)
    if idx[0].size and v.size:
        order, rows, begins = _rows(xp, v, out.shape, idx, axes)
        last = xp.nonzero(xp.concatenate([begins[1:], xp.ones(1, dtype=bool)]))[0]
        where, values = _put(xp, rows[last], order[last], idx, axes, out.ndim)
        out[where] = values
    return out


def _scatter_zeros(xp: Any, v: Any, *idx: Any, shape: tuple[int, ...], axes: Axes, out: Any = None) -> Any:
    out = zeros(xp, shape, v.dtype, out)
    return _scatter_add(xp, out, v, *idx, axes=axes, out=out)


def _scatter_zeros_vjp(cts: Any, inputs: Any, outs: Any, *, shape: Any, axes: Axes) -> tuple[Value | None, ...]:
    _, *idx = inputs
    return (apply("gather", cts[0], *idx, axes=axes), *[None] * len(idx))


def _scatter_add_vjp(cts: Any, inputs: Any, outs: Any, *, axes: Axes) -> tuple[Value | None, ...]:
    _, _, *idx = inputs
    return (cts[0], apply("gather", cts[0], *idx, axes=axes), *[None] * len(idx))


def _scatter_set_vjp(cts: Any, inputs: Any, outs: Any, *, axes: Axes) -> tuple[Value | None, ...]:
    """Of equal places only the last element was kept: it finds its own number there, the others do not."""
    x, v, *idx = inputs
    (ct,) = cts
    if not idx[
        0
    ].rank:  # one place is no repetition; it is read before it is cleared, so that a plan may do that in place
        part = apply("gather", ct, *idx, axes=axes)
        return (apply("scatter_set", ct, splat(v, 0.0), *idx, axes=axes), part, *[None] * len(idx))
    count = product(v.shape)
    numbers = ct.builder.emit(_iota(), (), {"size": count, "dtype": "i64"})[0]
    numbers = apply("reshape", numbers, shape=v.shape)
    board = apply("scatter_set", splat(x, 0, dtype="i64"), numbers, *idx, axes=axes)
    kept = same(apply("gather", board, *idx, axes=axes), numbers)
    by_v = choose(kept, apply("gather", ct, *idx, axes=axes), splat(ct, 0.0, v.shape))
    return (apply("scatter_set", ct, splat(v, 0.0), *idx, axes=axes), by_v, *[None] * len(idx))


def _iota() -> Any:
    from gradcli.ir.primitive import primitive

    return primitive("iota")


def _sort_flops(node: Any) -> int:
    return definite(node.inputs[-1].aval.size) * 8


IN_PLACE: dict[str, Any] = {"kind": "linear", "into": "eval", "aliases": (0,)}
SETS = [Sample(((3, 2), (3, 2), [2, 0, 2]), {"axes": (0,)}), Sample(((2, 3), (2, 2, 2), [[2, 0], [1, 1]]), {"axes": (1,)}),
        Sample(((2, 3, 4), (2, 3), [1, 1], [3, 3]), POINTS), Sample(((3, 2), (2,), 1), {"axes": (0,)}),
        Sample(((2, 3, 4, 3), (3, 2, 4), [1, 0, 1], [2, 1, 2]), APART)]  # fmt: skip
scatter_zeros = general(
    "scatter_zeros", _from_zeros, _scatter_zeros, _scatter_zeros_vjp, kind="linear", flops=_sort_flops,
    accumulate="scatter_add", batch=_zeros_batch, into="eval", doc="Zeros, added to at integer indices.", formula="the parts at the indices",
    samples=[Sample(((3, 2), [2, 0, 2]), {"shape": (3, 2), "axes": (0,)}),
             Sample(((2, 3), [1, 1], [3, 3]), {"shape": (2, 3, 4), **POINTS}),
             Sample(((3, 2, 4), [1, 0, 1], [2, 1, 2]), {"shape": (2, 3, 4, 3), **APART})],
)  # fmt: skip
scatter_add = general("scatter_add", _scattered, _scatter_add, _scatter_add_vjp, overwrites=0, **IN_PLACE,
                      flops=_sort_flops, doc="A copy, added to at integer indices; repeated ones accumulate.",
                      formula="1, and the parts at the indices", samples=SETS, batch=_scatter_batch("scatter_add"))  # fmt: skip
scatter_set = general("scatter_set", _scattered, _scatter_set, _scatter_set_vjp, overwrites=0, **IN_PLACE,
                      flops=_sort_flops, doc="A copy, replaced at integer indices; of repeated ones the last wins.",
                      formula="to the last written, and to what was not", samples=SETS,
                      batch=_scatter_batch("scatter_set"))  # fmt: skip

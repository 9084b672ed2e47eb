"""Operators that change shapes, join and part arrays, as the language spells them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, indexing, names
from gradcli.interp.dtypes import rank_of, settle
from gradcli.interp.signature import Site, flat, nonnegative, one_axis, operator, read_axes, read_sizes
from gradcli.interp.values import (
    Arr,
    ListV,
    TupleV,
    describe,
    is_number,
)
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size, definite
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.syntax import ast

if TYPE_CHECKING:
    pass


@operator("reshape(x, shape)", "shape", "The same elements under another shape; one size may be -1.", "reshape")
def _reshape(site: Site, x: Any, shape: Any) -> Arr:
    arr = site.arr(x)
    dims = list(read_sizes(shape))
    unknown = [k for k, d in enumerate(dims) if not isinstance(d, Poly) and d == -1]
    if any(not isinstance(d, Poly) and d < -1 for d in dims) or len(unknown) > 1:
        raise ShapeError("SHP112", "a shape has sizes of 0 or more, and one -1 at most")
    total = sizes.product(arr.dims)
    if unknown:
        rest = sizes.product(d for k, d in enumerate(dims) if k != unknown[0])
        missing = sizes.quotient(total, rest, "reshape")
        if missing is None:
            raise ShapeError("SHP112", f"{arr} has {total} elements, which {rest} does not divide", (0,))
        dims[unknown[0]] = missing
    elif not sizes.equal(total, sizes.product(dims), "reshape"):
        raise ShapeError(
            "SHP112",
            f"{arr} has {total} elements, the shape {arrays.shape_text(tuple(dims))} {sizes.product(dims)}",
            (0,),
        )
    return indexing.reshape(site.ctx, arr, tuple(dims))


@operator(
    "transpose(x, axes=None)", "shape", "The dims in another order, by default reversed; also `x.T`.", "transpose"
)
def _transpose(site: Site, x: Any, axes: Any) -> Arr:
    arr = site.arr(x)
    if axes is None:
        return indexing.transpose(site.ctx, arr, tuple(reversed(range(arr.rank))))
    value = site.ctx.axis(axes, arr)
    given = read_sizes(value, "an order of axes")
    order = tuple(definite(d) % arr.rank for d in given if not isinstance(d, Poly) and -arr.rank <= d < arr.rank)
    if sorted(order) != list(range(arr.rank)):
        raise ShapeError("SHP111", f"`axes` names each of the {arr.rank} axes of {arr} once", (0,))
    return indexing.transpose(site.ctx, arr, order)


@operator("flatten(x)", "shape", "All elements in one dim.", "reshape")
def _flatten(site: Site, x: Any) -> Arr:
    return flat(site.ctx, site.arr(x))


@operator("squeeze(x, axis=None)", "shape", "Without dims of size 1: all of them, or those of `axis`.", "reshape")
def _squeeze(site: Site, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    axis = site.ctx.axis(axis, arr)
    axes = read_axes(site, axis, arr)
    if axis is None:
        axes = tuple(k for k in axes if arr.dims[k] == 1)
    for k in axes:
        if not sizes.equal(arr.dims[k], 1, "squeeze"):
            raise ShapeError("SHP111", f"axis {k} of {arr} has size {arr.dims[k]}, not 1", (0,))
    return indexing.reshape(site.ctx, arr, tuple(d for k, d in enumerate(arr.dims) if k not in axes))


@operator("expand_dims(x, axis)", "shape", "A new dim of size 1 at `axis`; also `x[:, None]`.", "reshape")
def _expand_dims(site: Site, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    axis = site.ctx.axis(axis, arr)
    given = read_sizes(axis, "an axis")
    rank = arr.rank + len(given)
    if any(isinstance(a, Poly) or not -rank <= a < rank for a in given):
        raise ShapeError("SHP111", f"no such axis in a result of {rank} dims", (0,))
    places = {definite(a) % rank for a in given}
    if len(places) != len(given):
        raise ShapeError("SHP111", "an axis is named twice")
    rest = iter(arr.dims)
    return indexing.reshape(site.ctx, arr, tuple(1 if k in places else next(rest) for k in range(rank)))


@operator(
    "broadcast_to(x, shape)", "shape", "Repeated along new dims and dims of size 1, without a copy.", "broadcast_to"
)
def _broadcast_to(site: Site, x: Any, shape: Any) -> Arr:
    return indexing.broadcast_to(site.ctx, site.arr(x), nonnegative(read_sizes(shape)))


def _members(site: Site, value: Any, name: str) -> list[Arr]:
    """The arrays that a list or a tuple holds, in one dtype."""
    if isinstance(value, Arr) and value.rank and not isinstance(value.dims[0], Poly):
        items: list[Any] = [indexing.index(site.ctx, value, [k]) for k in range(int(value.dims[0]))]
    elif isinstance(value, ListV | TupleV):
        items = list(value.items)
    else:
        raise ShapeError("SHP113", f"{name} joins a list of arrays, not {describe(value)}", (0,), f"`{name}([a, b])`")
    if not items:
        raise ShapeError("SHP113", f"{name} of an empty list has no shape", (0,))
    members = [site.arr(item) for item in items]
    dtype, weak = settle(max(map(rank_of, members)), site.ctx.weak_float)
    return [arrays.settle_arr(site.ctx, m, dtype, weak=weak) for m in members]


@operator("concat(arrays, axis=0)", "shape", "Arrays joined along an axis that they have.", "concat")
def _concat(site: Site, value: Any, axis: Any) -> Arr:
    members = _members(site, value, "concat")
    if any(m.rank != members[0].rank for m in members) or not members[0].rank:
        shapes = ", ".join(map(str, members))
        raise ShapeError(
            "SHP107", f"concat joins arrays of one rank, 1 or more: {shapes}", (0,), "`stack` makes a new axis"
        )
    place = one_axis(site, axis, members[0])
    if len(members) == 1:
        return members[0]
    out = arrays.emit(site.ctx, primitive("concat"), members, {"axis": place})
    return Arr(out.value, out.dims if out.named else None, members[0].weak)


@operator("stack(arrays, axis=0)", "shape", "Arrays of one shape joined along a new axis.", "concat")
def _stack(site: Site, value: Any, axis: Any) -> Arr:
    members = _members(site, value, "stack")
    first = members[0]
    for k, member in enumerate(members):
        if member.rank != first.rank or not all(map(sizes.equal, member.dims, first.dims)):
            raise ShapeError(
                "SHP104", f"stack wants arrays of one shape: member 0 is {first}, member {k} is {member}", (0,)
            )
    (place,) = read_sizes(site.ctx.axis(axis, first), "an axis")
    rank = first.rank + 1
    if isinstance(place, Poly) or not -rank <= place < rank:
        raise ShapeError("SHP111", f"{place} is no axis of a result of {rank} dims", (0,))
    place %= rank
    rows = [indexing.reshape(site.ctx, m, (*m.dims[:place], 1, *m.dims[place:])) for m in members]
    if len(rows) == 1:
        return rows[0]
    out = arrays.emit(site.ctx, primitive("concat"), rows, {"axis": place})
    return Arr(out.value, (*first.dims[:place], len(rows), *first.dims[place:]), first.weak)


@operator(
    "split(x, parts, axis=0)", "shape", "Equal parts along an axis, or parts that end at the given indices.", "slice"
)
def _split(site: Site, x: Any, parts: Any, axis: Any) -> TupleV:
    arr = site.arr(x)
    place = one_axis(site, axis, arr)
    size = arr.dims[place]
    if isinstance(parts, ListV | TupleV):
        bounds: list[Size] = [0, *read_sizes(parts, "the bounds of a split"), size]
    else:
        (count,) = read_sizes(parts, "the number of parts")
        if isinstance(count, Poly) or count < 1 or (each := sizes.divide(size, count, "split")) is None:
            raise ShapeError("SHP112", f"a dim of size {size} does not split into {count} equal parts", (0,))
        bounds = [each * k for k in range(count + 1)]
    lead: list[Any] = [slice(None)] * place
    found = [indexing.index(site.ctx, arr, [*lead, slice(a, b)]) for a, b in pairwise(bounds)]
    return TupleV(tuple(found))


@operator("flip(x, axis=None)", "shape", "The order of the elements turned round along one axis, some, or all.", "flip")
def _flip(site: Site, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    out = arrays.emit(site.ctx, primitive("flip"), [arr], {"axes": read_axes(site, axis, arr)}, dims=arr.dims)
    return Arr(out.value, arr.dims, arr.weak)


@operator(
    "take(x, indices, axis=None)",
    "shape",
    "The parts of x at integer indices along an axis (of flat x without one).",
    "gather",
)
def _take(site: Site, x: Any, indices: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    axis = site.ctx.axis(axis, arr)
    if axis is None:
        return indexing.index(site.ctx, flat(site.ctx, arr), [indices])
    place = one_axis(site, axis, arr)
    lead: list[Any] = [slice(None)] * place
    return indexing.index(site.ctx, arr, [*lead, indices])


@operator(
    "size(n)",
    "shape",
    "The size of the dim n, a weak integer; where there is no such dim, the number of elements of n.",
)
def _size(site: Site, n: Any) -> Any:
    expr = site.node.args[0] if site.node.args else None
    if isinstance(expr, ast.Name) and (known := names.find_dim(site.ctx, site.frame, expr.id)) is not None:
        return arrays.plain([known])[0]
    if is_number(n) and isinstance(expr, ast.Name) and names.find(site.frame, expr.id) is None:
        return n
    if isinstance(expr, ast.Attribute) and isinstance(expr.value, ast.Name):
        of = site.frame.scope.imports.get(expr.value.id)
        if of is not None and expr.name in of[1].dims:  # `layers.width`
            return n
    return arrays.plain([sizes.product(site.arr(n).dims)])[0]


@operator("shape(x)", "shape", "The sizes of the dims, as a list of integers; also `x.shape`.")
def _shape(site: Site, x: Any) -> ListV:
    return ListV(tuple(arrays.plain(site.arr(x).dims)), site.node.span)

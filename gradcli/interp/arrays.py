"""Arrays from what the language has: promotion, casts, lists made into arrays, and the one broadcasting rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.interp.dtypes import BOOL, RANKS, WEAK_FLOAT, WEAK_INT, rank_of, settle
from gradcli.interp.values import Arr, ListV, Poison, Poisoned, describe, is_number, show_type
from gradcli.ir import dims as sizes
from gradcli.ir.aval import Aval
from gradcli.ir.constants import pack
from gradcli.ir.dims import Poly, Size, name_of
from gradcli.ir.graph import Value
from gradcli.ir.primitive import Primitive, ShapeError, primitive

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

MAX_RANK = 32
MAX_LIST = 10_000_000  # members that are written out


def to_arr(ctx: Elaborator, value: Any) -> Arr:
    """A static number, a list or an array as an array. Raises ShapeError for what cannot be one."""
    if isinstance(value, Arr):
        return value
    if isinstance(value, Poison):
        raise Poisoned
    if isinstance(value, ListV):
        return stack_list(ctx, value)
    if is_number(value):
        dtype, weak = settle(rank_of(value), ctx.weak_float)
        return Arr(scalar(ctx, value, dtype), weak=weak)
    raise ShapeError("SHP113", f"{describe(value)} is not an array")


def scalar(ctx: Elaborator, value: Any, dtype: str) -> Value:
    """A static number as a constant of `dtype`."""
    builder = ctx.region.builder
    if isinstance(value, Poly):
        out = builder.emit(primitive("dim_size"), (), {"size": value, "dtype": "i64"})[0]
        return out if dtype == "i64" else builder.emit(primitive("cast"), (out,), {"dtype": dtype})[0]
    if dtype in ("i32", "i64"):
        bits = 31 if dtype == "i32" else 63
        if not -(1 << bits) <= value < 1 << bits:
            text = str(value) if abs(value) < 10**30 else f"an integer of about {int(math.log10(abs(value)))} digits"
            raise ShapeError("SHP103", f"{text} does not fit into {dtype}")
    return builder.constant(dtype, (), pack([value], dtype))


def as_value(ctx: Elaborator, value: Any, dtype: str) -> Value:
    """A value of the region being built, in `dtype`."""
    if not isinstance(value, Arr):
        if is_number(value):
            return scalar(ctx, value, dtype)
        value = to_arr(ctx, value)
    lifted = value.value if value.value.builder is ctx.region.builder else ctx.region.lift(value.value)
    return lifted if lifted.aval.dtype == dtype else cast(ctx, lifted, dtype)


def cast(ctx: Elaborator, value: Value, dtype: str) -> Value:
    node = value.node
    if node is not None and node.prim.name == "constant" and value.aval.size == 1:
        from gradcli.ir.constants import unpack

        (number,) = unpack(node.params["data"], value.aval.dtype)
        if dtype not in ("i32", "i64") or not isinstance(number, float):
            return constant(ctx, dtype, node.params["shape"], [number])
    return ctx.region.builder.emit(primitive("cast"), (value,), {"dtype": dtype})[0]


def settle_arr(ctx: Elaborator, arr: Arr, dtype: str, *, weak: bool = False) -> Arr:
    """`arr` in `dtype`, dims and their names kept."""
    return Arr(as_value(ctx, arr, dtype), arr.dims if arr.named else None, weak)


def emit(
    ctx: Elaborator,
    prim: Primitive,
    args: Sequence[Arr],
    params: Mapping[str, Any] | None = None,
    *,
    weak: bool = False,
    dims: tuple[Size, ...] | None = None,
) -> Arr:
    """Apply a primitive of one result; the names of dims follow its shape rule unless `dims` gives them."""
    region = ctx.region
    params = params or {}
    values = [a.value if a.value.builder is region.builder else region.lift(a.value) for a in args]
    out = region.builder.emit(prim, values, params)[0]
    check_aval(out.aval)
    if dims is None and any(a.named for a in args):
        dims = prim.infer(*[a.aval for a in args], **params)[0].shape
    return Arr(out, dims, weak)


# ── lists ───────────────────────────────────────────────────────────────────────────────────────────────────


def list_shape(value: ListV) -> tuple[tuple[int, ...], list[Any]]:
    """The shape that nested lists have, and their leaves in order. Raises ShapeError at a ragged row."""
    shape: list[int] = []
    level: list[Any] = [value]
    while level and any(isinstance(item, ListV) for item in level):
        if len(shape) == MAX_RANK:
            raise ShapeError("SHP107", f"lists nested deeper than {MAX_RANK}")
        length = len(level[0].items) if isinstance(level[0], ListV) else -1
        for row, item in enumerate(level):
            if not isinstance(item, ListV) or len(item.items) != length:
                from gradcli.syntax.diagnostics import Label, fail

                first = level[0] if isinstance(item, ListV) else item
                span = item.span if isinstance(item, ListV) else value.span
                have = f"has {len(item.items)}" if isinstance(item, ListV) else "is no list"
                others = [Label(first.span, f"{length} here")] if row and isinstance(first, ListV) else []
                raise fail(
                    "SHP104",
                    "the rows of a list differ in length",
                    span,
                    others=others,
                    label=f"this row {have}, the first {'has ' + str(length) if length >= 0 else 'is a number'}",
                )
        shape.append(length)
        if length * len(level) > MAX_LIST:
            raise ShapeError("NUM003", f"a list of more than {MAX_LIST:_} members", (), "keep large data in a file")
        level = [inner for item in level for inner in item.items]
    return tuple(shape), level


def stack_list(ctx: Elaborator, value: ListV) -> Arr:
    """A list as an array: numbers become a constant, arrays are stacked (differentiably)."""
    shape, leaves = list_shape(value)
    if not leaves:
        dtype, weak = settle(WEAK_FLOAT, ctx.weak_float)
        return Arr(ctx.region.builder.constant(dtype, shape, b""), weak=weak)
    if all(type(leaf) is float or type(leaf) is int for leaf in leaves):
        rank = WEAK_FLOAT if any(type(leaf) is float for leaf in leaves) else WEAK_INT
        dtype, weak = settle(rank, ctx.weak_float)
        return Arr(constant(ctx, dtype, shape, leaves), weak=weak)
    leaves = [leaf if is_number(leaf) else to_arr(ctx, leaf) for leaf in leaves]
    dtype, weak = settle(max(rank_of(leaf) for leaf in leaves), ctx.weak_float)
    if not any(isinstance(leaf, Arr | Poly) for leaf in leaves):
        return Arr(constant(ctx, dtype, shape, leaves), weak=weak)
    members = [Arr(as_value(ctx, leaf, dtype), leaf.dims if isinstance(leaf, Arr) else None) for leaf in leaves]
    first = members[0]
    for index, member in enumerate(members):
        if len(member.dims) != len(first.dims) or not all(map(sizes.equal, member.dims, first.dims)):
            raise ShapeError(
                "SHP104", f"the members of a list differ in shape: member 0 is {first}, member {index} is {member}"
            )
    rows = [emit(ctx, primitive("reshape"), [m], {"shape": (1, *plain(m.dims))}) for m in members]
    joined = rows[0] if len(rows) == 1 else emit(ctx, primitive("concat"), rows, {"axis": 0})
    dims = (*shape, *first.dims)
    if len(shape) != 1:
        joined = emit(ctx, primitive("reshape"), [joined], {"shape": plain(dims)})
    return Arr(joined.value, dims, weak)


def constant(ctx: Elaborator, dtype: str, shape: tuple[int, ...], numbers: Sequence[Any]) -> Value:
    try:
        return ctx.region.builder.constant(dtype, shape, pack(numbers, dtype))
    except OverflowError as error:
        raise ShapeError("SHP103", str(error)) from None


def plain(dims: Sequence[Size]) -> tuple[Size, ...]:
    """Without names, as graphs hold them."""
    return tuple(sizes.named(d, None) for d in dims)


# ── elementwise operators ───────────────────────────────────────────────────────────────────────────────────


def elementwise(ctx: Elaborator, prim: Primitive, args: Sequence[Any], *, least: int = BOOL) -> Arr:
    """Promote, check the broadcast and apply. `least` lifts ints to floats (WEAK_FLOAT) or bools to ints."""
    operands = [arg if isinstance(arg, Arr) or is_number(arg) else to_arr(ctx, arg) for arg in args]
    rank = max(least, *map(rank_of, operands))
    dtype, weak = settle(rank, ctx.weak_float)
    return _apply(ctx, prim, operands, dtype, weak)


def _apply(ctx: Elaborator, prim: Primitive, operands: Sequence[Any], dtype: str, weak: bool) -> Arr:
    builder = ctx.region.builder
    shapes: list[tuple[Size, ...]] = []
    values: list[Value] = []
    for operand in operands:
        if isinstance(operand, Arr):
            shapes.append(operand.dims)
            value = operand.value
            if value.builder is builder and value.aval.dtype == dtype:  # as most are
                values.append(value)
                continue
        values.append(as_value(ctx, operand, dtype))
    dims = shapes[0] if len(shapes) == 1 else broadcast_dims(shapes)
    out = builder.emit(prim, values)[0]
    return Arr(out, dims, weak and out.aval.dtype == dtype)


def select(ctx: Elaborator, cond: Any, then: Any, other: Any) -> Arr:
    """`then if cond else other`: promotion concerns the branches only."""
    if rank_of(to_arr(ctx, cond)) != BOOL:
        raise ShapeError("SHP103", f"a condition is a bool, not {describe(cond)}", (0,), "compare it: `x != 0`")
    branches = [b if isinstance(b, Arr) or is_number(b) else to_arr(ctx, b) for b in (then, other)]
    dtype, weak = settle(max(map(rank_of, branches)), ctx.weak_float)
    condition = to_arr(ctx, cond)
    dims = broadcast_dims([a.dims for a in (condition, *branches) if isinstance(a, Arr)])
    values = [as_value(ctx, condition, "bool"), *[as_value(ctx, b, dtype) for b in branches]]
    return Arr(ctx.region.builder.emit(primitive("where"), values)[0], dims, weak)


def broadcast_dims(shapes: Sequence[tuple[Size, ...]], *, pairs: bool = False) -> tuple[Size, ...]:
    """NumPy's broadcasting, except where it hides the classic bug; with `pairs` also there.

    Raises ShapeError SHP101 where sizes disagree, and SHP102 where operands of different rank both grow and the
    dim that one brings is the dim that the other brings on another axis: `(n, 1)` with `(n,)`.
    """
    result: tuple[Size, ...] = ()
    for index, shape in enumerate(shapes):
        if not shape:
            continue
        if not result:
            result = shape
        elif shape is not result:
            result = broadcast_pair(result, shape, index, pairs=pairs)
    return result


def broadcast_pair(
    left: tuple[Size, ...], right: tuple[Size, ...], index: int = 1, *, pairs: bool = False
) -> tuple[Size, ...]:
    rank = max(len(left), len(right))
    wide = (None,) * (rank - len(left)) + left, (None,) * (rank - len(right)) + right
    result: list[Size] = []
    for a, b in zip(*wide, strict=True):
        if a is None or b is None:
            result.append(a if b is None else b)  # type: ignore[arg-type]  # one of them is a size
            continue
        size = sizes.broadcast(a, b)
        if size is None:
            raise ShapeError(
                "SHP101",
                f"shapes {shape_text(left)} and {shape_text(right)} do not broadcast: {a} against {b}",
                (0, index),
            )
        result.append(size)
    if len(left) != len(right) and not pairs:
        refuse_silent_growth(wide, left, right)
    return tuple(result)


def refuse_silent_growth(
    wide: tuple[tuple[Size | None, ...], tuple[Size | None, ...]], left: tuple[Size, ...], right: tuple[Size, ...]
) -> None:
    """SHP102 where both operands grow and bring the same dim on different axes."""
    brings: tuple[list[tuple[int, Size]], list[tuple[int, Size]]] = ([], [])
    for axis, (a, b) in enumerate(zip(*wide, strict=True)):
        if (a is None or a == 1) and b is not None and b != 1:
            brings[1].append((axis, b))
        elif (b is None or b == 1) and a is not None and a != 1:
            brings[0].append((axis, a))
    for axis, a in brings[0]:
        for other, b in brings[1]:
            if axis != other and same_dim(a, b):
                raise ShapeError(
                    "SHP102",
                    f"{shape_text(left)} with {shape_text(right)} would silently grow to every pair of elements",
                    (0, 1),
                    _same_rank(left, right),
                )


def _same_rank(left: tuple[Size, ...], right: tuple[Size, ...]) -> str:
    """How both are given one rank, with `{0}` and `{1}` for them."""
    for a, b, first, second in ((left, right, "{0}", "{1}"), (right, left, "{1}", "{0}")):
        if len(a) == 2 and a[1] == 1 and len(b) == 1:
            return f"element by element: `{first}[:, 0]`; every pair, if that is meant: `{second}[None, :]`"
    return "give both the same rank: a new dim is written `[:, None]` or `[None, :]`"


def same_dim(a: Size, b: Size) -> bool:
    """Dims with different names are different, whatever their size; without names equal sizes count as the same."""
    one, two = name_of(a), name_of(b)
    if one is not None and two is not None:
        return one is two
    return a == b


def shape_text(dims: tuple[Size, ...]) -> str:
    return show_type("", dims) or "[]"


def convert(ctx: Elaborator, value: Any, dtype: str, what: str) -> Arr:
    """A value where a dtype is declared: weak numbers take it, all else must have it already. Raises ShapeError."""
    arr = value if isinstance(value, Arr) else to_arr(ctx, value)
    if arr.dtype == dtype:
        return Arr(arr.value, arr.dims if arr.named else None)
    rank = rank_of(arr)
    target = RANKS[dtype]
    if arr.weak and ((rank == WEAK_INT and target != BOOL) or (rank == WEAK_FLOAT and target > WEAK_FLOAT)):
        return Arr(as_value(ctx, value if is_number(value) else arr, dtype), arr.dims if arr.named else None)
    raise ShapeError("SHP103", f"{what} is declared {dtype}, but this is {arr}", (0,), f"cast it: `{dtype}(…)`")


def check_aval(aval: Aval) -> None:
    """Refuse ranks that arrays cannot have."""
    if aval.rank > MAX_RANK:
        raise ShapeError("SHP107", f"an array of rank {aval.rank}; at most {MAX_RANK} dims are possible")

"""Operators that move data: views, slices and their adjoints, joining.

A slice is `items`, one `(start, count, step)` for each dim. Views are linear and cost nothing.
"""

from __future__ import annotations

from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size, definite, equal, product
from gradcli.ir.graph import Node, Value, apply
from gradcli.ir.primitive import Sample, ShapeError
from gradcli.ops.batching import shifted
from gradcli.ops.define import begun, general, linear, splat, zeros

Items = tuple[tuple[Size, Size, int], ...]
Known = tuple[tuple[int, int, int], ...]  # when it runs

# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────


def _reshaped(x: Aval, *, shape: tuple[Size, ...]) -> tuple[Aval, ...]:
    if not equal(x.size, product(shape), "reshape"):
        raise ShapeError("SHP112", f"{x} has {x.size} elements, {list(shape)} has {product(shape)}", (0,))
    return (Aval(shape, x.dtype),)


def _reshape_into(xp: Any, x: Any, *, out: Any, shape: tuple[int, ...]) -> None:
    """The reshaped one of the two must be a view, or nothing would be written."""
    if out.flags.c_contiguous:
        xp.copyto(out.reshape(x.shape), x)
    else:
        xp.copyto(out, x.reshape(shape))


reshape = linear(
    "reshape", _reshaped, lambda xp, x, *, shape: x.reshape(shape),
    lambda ct, x, *, shape: apply("reshape", ct, shape=x.shape), view=True, into=_reshape_into, doc="The same elements under another shape.",
    formula="reshaped back", batch=shifted("reshape"), samples=[Sample(((2, 3),), {"shape": (3, 2)}), Sample(((0, 3),), {"shape": (3, 0)})],
)  # fmt: skip


def _unstretch(ct: Value, x: Value, *, shape: tuple[Size, ...]) -> Value:
    """Summed where it grew: what the driver does for all operators that broadcast."""
    return ct


def _broadcast_batch(args: Any, batched: Any, size: Size, *, shape: tuple[Size, ...]) -> tuple[Value, ...]:
    (x,) = args
    new = (1,) * (len(shape) + 1 - x.rank)
    return (apply("broadcast_to", apply("reshape", x, shape=(size, *new, *x.shape[1:])), shape=(size, *shape)),)


broadcast_to = linear(
    "broadcast_to", lambda x, *, shape: (Aval(shape, x.dtype),), lambda xp, x, *, shape: xp.broadcast_to(x, shape), _unstretch,
    view=True, doc="Repeated along new dims and dims of size 1.", formula="summed where it grew", batch=_broadcast_batch,
    samples=[Sample(((3,),), {"shape": (2, 3)}), Sample(((2, 1),), {"shape": (2, 3)}), Sample(((),), {"shape": (2, 0)})],
)  # fmt: skip


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(k) for k in range(len(axes)))


def _transpose_batch(args: Any, batched: Any, size: Size, *, axes: tuple[int, ...]) -> tuple[Value, ...]:
    return (apply("transpose", args[0], axes=(0, *(axis + 1 for axis in axes))),)


transpose = linear(
    "transpose", lambda x, *, axes: (Aval(tuple(x.shape[k] for k in axes), x.dtype),),
    lambda xp, x, *, axes: xp.transpose(x, axes), lambda ct, x, *, axes: apply("transpose", ct, axes=_inverse(axes)),
    view=True, doc="The dims in another order.", formula="transposed back", batch=_transpose_batch,
    samples=[Sample(((2, 3, 4),), {"axes": (2, 0, 1)}), Sample(((2, 0),), {"axes": (1, 0)})],
)  # fmt: skip
flip = linear(
    "flip", lambda x, *, axes: (x,), lambda xp, x, *, axes: xp.flip(x, axes) if axes else x, lambda ct, x, *, axes: apply("flip", ct, axes=axes),
    view=True, doc="The order turned round along axes.", formula="turned back", batch=shifted("flip"),
    samples=[Sample(((2, 3),), {"axes": (0, 1)}), Sample(((0, 3),), {"axes": (0,)}), Sample(((),), {"axes": ()})],
)  # fmt: skip

copy = linear(
    "copy", lambda x: (x,), lambda xp, x: xp.array(x, order="C"), lambda ct, x: ct, batch=shifted("copy"),
    into=lambda xp, x, *, out: xp.copyto(out, x),
    doc="The same elements written out in order: what a view shows, as memory of its own.", formula="1",
    samples=[Sample(((2, 3),)), Sample(((2, 0),))],
)  # fmt: skip

# ── slices ──────────────────────────────────────────────────────────────────────────────────────────────────


def place_of_items(items: Known) -> tuple[slice, ...]:
    """Items as slices."""
    made = []
    for start, count, step in items:
        stop = start + count * step
        made.append(slice(start, stop if stop >= 0 else None, step) if count else slice(0, 0))
    return tuple(made)


def _all_of(x: Value) -> Items:
    return tuple((0, size, 1) for size in x.shape)


SPAN: dict[str, Any] = {"items": ((1, 2, 1), (3, 2, -2))}
slice_ = linear(
    "slice", lambda x, *, items: (Aval(tuple(count for _, count, _ in items), x.dtype),),
    lambda xp, x, *, items: x[place_of_items(items)] if items else x, lambda ct, x, *, items: apply("unslice", ct, shape=x.shape, items=items),
    view=True, doc="A part, by start, count and step for each dim.", formula="put back into zeros", batch=shifted("slice"),
    samples=[Sample(((3, 4),), SPAN), Sample(((3,),), {"items": ((1, 0, 1),)}), Sample(((),), {"items": ()})],
)  # fmt: skip


def _unslice(xp: Any, v: Any, *, shape: tuple[int, ...], items: Known, out: Any = None) -> Any:
    out = zeros(xp, shape, v.dtype, out)
    out[place_of_items(items)] = v
    return out


unslice = linear(
    "unslice", lambda v, *, shape, items: (Aval(shape, v.dtype),), _unslice,
    lambda ct, v, *, shape, items: apply("slice", ct, items=items), accumulate="add_slice", into="eval",
    batch=shifted("unslice"), doc="Zeros, but for a part.", formula="the part", samples=[Sample(((2, 2),), {"shape": (3, 4), **SPAN})],
)  # fmt: skip


def _same_as_first(x: Aval, v: Aval, *, items: Items) -> tuple[Aval, ...]:
    return (x,)


def _update_slice(xp: Any, x: Any, v: Any, *, items: Known, out: Any = None) -> Any:
    out = begun(xp, x, out)
    out[place_of_items(items)] = v
    return out


def _add_slice(xp: Any, x: Any, v: Any, *, items: Known, out: Any = None) -> Any:
    out = begun(xp, x, out)
    out[place_of_items(items)] += v
    return out


def _update_vjp(cts: Any, inputs: Any, outs: Any, *, items: Items) -> tuple[Value, Value]:
    """The part is read before it is overwritten, so that a plan may do so in place."""
    part = apply("slice", cts[0], items=items)
    return apply("update_slice", cts[0], splat(inputs[1], 0.0), items=items), part


def _add_vjp(cts: Any, inputs: Any, outs: Any, *, items: Items) -> tuple[Value, Value]:
    return cts[0], apply("slice", cts[0], items=items)


def _add_flops(node: Node) -> int:
    """An addition for each element of the part, which is read first."""
    return 2 * definite(node.inputs[1].aval.size)


IN_PLACE: dict[str, Any] = {"kind": "linear", "into": "eval", "aliases": (0,)}
PARTS = [Sample(((3, 4), (2, 2)), SPAN)]
update_slice = general("update_slice", _same_as_first, _update_slice, _update_vjp, overwrites=0, **IN_PLACE,
                       doc="A copy with a part replaced.", formula="to the part, and to the rest", samples=PARTS,
                       batch=shifted("update_slice"))  # fmt: skip
add_slice = general("add_slice", _same_as_first, _add_slice, _add_vjp, overwrites=0, flops=_add_flops, **IN_PLACE,
                    doc="A copy with a part added to.", formula="1, and the part", samples=PARTS,
                    batch=shifted("add_slice"))  # fmt: skip

# ── joining ─────────────────────────────────────────────────────────────────────────────────────────────────


def _joined(first: Aval, *rest: Aval, axis: int) -> tuple[Aval, ...]:
    total = first.shape[axis]
    for k, other in enumerate(rest, 1):
        for place, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)):
            if place != axis and not equal(a, b, "concat"):
                raise ShapeError(
                    "SHP106", f"concat along axis {axis}: {first} and {other} differ in axis {place}", (0, k)
                )
        total = total + other.shape[axis]
    return (Aval((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype),)


def _concat_vjp(cts: Any, inputs: Any, outs: Any, *, axis: int) -> tuple[Value, ...]:
    parts, start = [], 0
    for x in inputs:
        items = tuple((start, size, 1) if k == axis else (0, size, 1) for k, size in enumerate(x.shape))
        parts.append(apply("slice", cts[0], items=items))
        start = start + x.shape[axis]
    return tuple(parts)


concat = general(
    "concat", _joined, lambda xp, *arrays, axis, out=None: xp.concatenate(arrays, axis=axis, out=out), _concat_vjp,
    kind="linear", into="eval",
    doc="Arrays joined along an axis.", formula="to each its part", batch=shifted("concat"),
    samples=[Sample(((2, 2), (2, 3)), {"axis": 1}), Sample(((2,), (0,), (1,)), {"axis": 0})],
)  # fmt: skip

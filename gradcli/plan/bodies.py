"""The graph of one block of a region: the same nodes on fewer rows.

    x: f32[1000, 3], w: f32[3, 4]  ⊢  matmul(x, w)        for 64 rows:   x: f32[64, 3], w: f32[3, 4]  ⊢  matmul(x, w)

In a flat region an array is one run of elements, `[rows]`, and what is one number for all of them has no dims.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from gradcli.ir.aval import ITEMSIZE, Aval
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.ir.live import without_dead
from gradcli.plan.axes import FLAT, Join, elements, known, replaced, resized
from gradcli.plan.products import folded

if TYPE_CHECKING:
    from gradcli.plan.rows import Region


def body(region: Region, rows: int) -> Graph:
    """`region.inputs → region.outputs` for a block of `rows`."""
    builder = Builder()
    env: dict[int, Value] = {}
    simpler = False
    for value in region.inputs:
        aval = Aval(_cut(known(value), region.axis_of.get(value.id), rows), value.dtype)
        env[value.id] = builder.input(aval, value.hint)
    for node, join in zip(region.nodes, region.joins, strict=True):
        builder.spans, first = node.spans, len(builder.nodes)
        for value in node.inputs:
            if value.id not in env:
                env[value.id] = _copied(builder, value, region.axis_of.get(value.id), rows)
        outs = _emitted(builder, node, join, [env[value.id] for value in node.inputs], rows)
        made = [folded(out) for out in outs]
        simpler = simpler or made != [*outs]
        if node.role is not None:
            builder.mark(first, node.role)
        for old, new in zip(node.outs, made, strict=True):
            env[old.id] = new
            if old.hint and not new.hint:
                new.hint = old.hint
    graph = builder.close([env[output.value.id] for output in region.outputs])
    return without_dead(graph) if simpler else graph


def repeats(value: Value, axis: int | None) -> bool:
    """Whether a constant is whole, or the same in each row, so that a body has a copy of its own."""
    node = value.node
    if node is None or node.prim.name != "constant":
        return False
    if axis is None:
        return True
    data: bytes = node.params["data"]
    outer, count, inner = _strides(value, axis)
    return all(
        data[start : start + count * inner] == data[start : start + inner] * count
        for start in range(0, outer * count * inner, count * inner)
    )


def _cut(shape: tuple[int, ...], axis: int | None, rows: int) -> tuple[int, ...]:
    if axis is None:
        return shape
    return (rows,) if axis == FLAT else replaced(shape, axis, rows)


def _copied(builder: Builder, value: Value, axis: int | None, rows: int) -> Value:
    """A constant that repeats, for fewer rows."""
    assert value.node is not None
    data: bytes = value.node.params["data"]
    if axis is not None:
        outer, count, inner = _strides(value, axis)
        data = b"".join(data[start : start + inner] * rows for start in range(0, outer * count * inner, count * inner))
    return builder.constant(value.dtype, _cut(known(value), axis, rows), data)


def _strides(value: Value, axis: int) -> tuple[int, int, int]:
    """How many runs of rows, how many rows in each, and bytes of a row."""
    shape, item = known(value), ITEMSIZE[value.dtype]
    if axis == FLAT:
        return 1, elements(value), item
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]) * item


def _emitted(builder: Builder, node: Node, join: Join, operands: list[Value], rows: int) -> Sequence[Value]:
    if any(axis == FLAT for _, axis in join.ins + join.outs):
        return (_flat(builder, node, operands, rows),)
    return builder.emit(node.prim, operands, resized(node, join, rows))


def _flat(builder: Builder, node: Node, operands: list[Value], rows: int) -> Value:
    """Numbers that all elements share have dims of size 1 where the others have many: here they have none."""
    operands = [
        apply("reshape", x, shape=()) if elements(old) == 1 and x.rank else x
        for old, x in zip(node.inputs, operands, strict=True)
    ]
    match node.prim.name:
        case "reshape":
            return operands[0]
        case "broadcast_to":
            return operands[0] if operands[0].rank else apply("broadcast_to", operands[0], shape=(rows,))
    if "axes" not in node.params:
        return builder.emit(node.prim, operands, node.params)[0]
    made = builder.emit(node.prim, operands, {"axes": (0,)})[0]
    return apply("reshape", made, shape=node.outs[0].shape) if node.outs[0].rank else made

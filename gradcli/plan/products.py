"""Matrix products with leading dims, as one product of a taller matrix, which BLAS takes in one call:

    matmul(x: [b, m, k], w: [k, n])                               → x as [b·m, k], times w
    reduce_sum(matmul(xᵀ: [b, k, m], c: [b, m, n]), over b)       → x as [b·m, k], turned, times c as [b·m, n]

The second is the adjoint of the first. Rounding aside, that changes nothing. It is done within blocks, where the rows
that a region is cut along are settled.
"""

from __future__ import annotations

from math import prod

from gradcli.ir.graph import Builder, Node, Value, apply
from gradcli.plan.axes import known


def folded(value: Value) -> Value:
    """What a value just emitted is taken from instead; itself, in most cases."""
    node = value.node
    if node is None:
        return value
    if node.prim.name == "matmul":
        return _tall(node, value)
    if node.prim.name == "reduce_sum":
        return _turned(node, value)
    return value


def _tall(node: Node, value: Value) -> Value:
    x, y = node.inputs
    if x.rank == 2 or y.rank > 2 or not _packed(x):
        return value
    return apply("reshape", apply("matmul", _flat(x), y), shape=value.shape)


def _turned(node: Node, value: Value) -> Value:
    made = node.inputs[0].node
    if made is None or made.prim.name != "matmul" or node.params["axes"] != tuple(range(made.outs[0].rank - 2)):
        return value
    turn, c = made.inputs[0].node, made.inputs[1]
    if turn is None or turn.prim.name != "transpose" or not _packed(c):
        return value
    x = turn.inputs[0]
    rank = x.rank
    if turn.params["axes"] != (*range(rank - 2), rank - 1, rank - 2) or c.shape[:-1] != x.shape[:-1] or not _packed(x):
        return value
    return apply("matmul", apply("transpose", _flat(x), axes=(1, 0)), _flat(c))


def _packed(x: Value) -> bool:
    """Whether a reshape of it is a view."""
    return x.node is None or not x.node.prim.view or (x.node.prim.name == "reshape" and _packed(x.node.inputs[0]))


def _flat(x: Value) -> Value:
    """Of matrices one below the other: one matrix."""
    shape = known(x)
    return x if x.rank == 2 else apply("reshape", x, shape=(prod(shape[:-1]), shape[-1]))


def without_unread(builder: Builder, outputs: list[Value]) -> None:
    """Forget the nodes that nothing reads."""
    read = {value.id for value in outputs}
    kept = []
    for node in reversed(builder.nodes):
        if any(out.id in read for out in node.outs):
            kept.append(node)
            read.update(value.id for value in node.inputs)
    builder.nodes[:] = kept[::-1]

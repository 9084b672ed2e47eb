"""Matrix products with leading dims, as one product of a taller matrix, which BLAS takes in one call:

    matmul(x: [b, m, k], w: [k, n])                               → x as [b·m, k], times w
    reduce_sum(matmul(xᵀ: [b, k, m], c: [b, m, n]), over b)       → x as [b·m, k], turned, times c as [b·m, n]

The second is the adjoint of the first. Rounding aside, that changes nothing. It is done within blocks, where the rows
that a region is cut along are settled.
"""

from __future__ import annotations

from math import prod

from gradcli.ir.graph import Node, Value, apply
from gradcli.plan.axes import known


def folded(value: Value) -> Value:
    """What a value just emitted is taken from instead; itself, in most cases."""
    node = value.node
    made = None
    if node is not None and node.prim.name == "matmul":
        made = _tall(node)
    elif node is not None and node.prim.name == "reduce_sum":
        made = _turned(node)
    return value if made is None else made


def _tall(node: Node) -> Value | None:
    """The first of the two, if `node` is its left side."""
    x, y = node.inputs
    if x.rank == 2 or y.rank > 2 or not _packed(x):
        return None
    return apply("reshape", apply(node.prim, _flat(x), y), shape=node.outs[0].shape)


def _turned(node: Node) -> Value | None:
    """The second, if `node` is its left side."""
    made = node.inputs[0].node
    if made is None or made.prim.name != "matmul" or node.params["axes"] != tuple(range(made.outs[0].rank - 2)):
        return None
    turn, c = made.inputs[0].node, made.inputs[1]
    if turn is None or turn.prim.name != "transpose" or not _packed(c):
        return None
    x = turn.inputs[0]
    rank = x.rank
    if turn.params["axes"] != (*range(rank - 2), rank - 1, rank - 2) or c.shape[:-1] != x.shape[:-1] or not _packed(x):
        return None
    return apply(made.prim, apply("transpose", _flat(x), axes=(1, 0)), _flat(c))


def _packed(x: Value) -> bool:
    """Whether a reshape of it is a view."""
    return x.node is None or not x.node.prim.view or (x.node.prim.name == "reshape" and _packed(x.node.inputs[0]))


def _flat(x: Value) -> Value:
    """Of matrices one below the other: one matrix."""
    shape = known(x)
    return x if x.rank == 2 else apply("reshape", x, shape=(prod(shape[:-1]), shape[-1]))

"""The one loop that passes share: copy a graph node by node, with a chance to say something simpler."""

from __future__ import annotations

from collections.abc import Callable

from gradcli.ir.aval import ITEMSIZE
from gradcli.ir.constants import unpack
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.primitive import primitive

Rule = Callable[[Node, Builder], Value | None]
LOOKED_AT = 1 << 15  # bytes of a constant
TURNS = 8  # a rewritten node is looked at again this often; chains of rewrites are short


def rebuild(graph: Graph, rule: Rule) -> Graph:
    """The same graph, where each node of one result is replaced by what `rule` gives for its copy, if anything.

    A rule sees nodes whose operands are rewritten already, and emits into the builder it is given.
    """
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        builder.spans, first = node.spans, len(builder.nodes)
        outs = builder.emit(node.prim, [env[value.id] for value in node.inputs], node.params)
        made = outs[0].node
        if len(outs) == 1 and made is not None and (simpler := rule(made, builder)) is not None:
            outs = (_rewritten(outs[0], simpler, rule, builder),)
        if node.role is not None:
            builder.mark(first, node.role)
        for old, new in zip(node.outs, outs, strict=True):
            env[old.id] = new
            if old.hint and not new.hint:
                new.hint = old.hint
    builder.spans = ()
    return builder.close([env[value.id] for value in graph.outputs])


def _rewritten(value: Value, simpler: Value | None, rule: Rule, builder: Builder) -> Value:
    """What `rule` says in the end, which gave `simpler` first."""
    for _ in range(TURNS):
        if simpler is None or simpler is value or value.node is None:
            break
        if simpler.aval != value.aval:
            raise AssertionError(f"a rewrite of {value.node.prim.name} gives {simpler.aval}, not {value.aval}")
        value = simpler
        simpler = None if value.node is None else rule(value.node, builder)
    return value


def is_plain(node: Node | None) -> bool:
    """Whether a node may give what is known now: it is a constant or a view."""
    return node is not None and (node.prim.view or node.prim.name == "constant")


def number_of(value: Value) -> int | float | bool | None:
    """The number that an array holds everywhere, if that is known: a constant, seen through views."""
    node = value.node
    if not is_plain(node):  # as most
        return None
    while node is not None and node.prim.view and len(node.inputs) == 1 and not node.prim.stops:
        node = node.inputs[0].node
    if node is None or node.prim.name != "constant":
        return None
    data, dtype = node.params["data"], node.outs[0].dtype
    first = data[: ITEMSIZE[dtype]]
    if not data or (len(data) > len(first) and (len(data) > LOOKED_AT or data != first * (len(data) // len(first)))):
        return None
    return unpack(first, dtype)[0]


def splat(builder: Builder, number: int | float | bool, like: Value) -> Value:
    """An array of one number, of the aval of `like`."""
    scalar = builder.scalar(number, like.dtype)
    return broadcast(builder, scalar, like)


def broadcast(builder: Builder, value: Value, like: Value) -> Value:
    """`value` grown to the shape of `like`."""
    if value.shape == like.shape:
        return value
    return builder.emit(primitive("broadcast_to"), (value,), {"shape": like.shape})[0]

"""Batching: a graph becomes the graph that does the same for a whole batch, one more dim in front.

What does not depend on the batch stays as it is and is computed once. An elementwise operator broadcasts, once its
operands have their dims aligned; every other operator states its rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ir.dims import Size, conditions
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.live import without_dead
from gradcli.ops.batching import aligned, grown
from gradcli.syntax.diagnostics import fail


def batch(graph: Graph, batched: Sequence[bool], size: Size, outputs: Sequence[bool] | None = None) -> Graph:
    """`inputs → outputs` for a batch of `size`: the inputs that are `batched` have the dim of the batch in front, and
    so have the outputs, all of them or those that `outputs` names; an output that depends on the batch always has.

    Raises ModelError DIF008 for an operator that has no rule.
    """
    builder = Builder()
    env: dict[int, Value] = {}
    flags = batched_values(graph, batched)
    for old, has in zip(graph.inputs, batched, strict=True):
        shape = (size, *old.shape) if has else old.shape
        env[old.id] = builder.input(type(old.aval)(shape, old.dtype), old.hint)
    builder.names[:] = graph.names or builder.names
    with conditions():
        for node in graph.nodes:
            if not any(flags[value.id] for value in node.inputs):
                builder.replay([node], env)
                continue
            builder.spans, first = node.spans, len(builder.nodes)
            made = _batched(node, [env[value.id] for value in node.inputs], flags, size)
            builder.mark(first, node.role)
            for old, new in zip(node.outs, made, strict=True):
                env[old.id] = new
                if old.hint and not new.hint:
                    new.hint = old.hint
        builder.spans = ()
        wanted = [True] * len(graph.outputs) if outputs is None else outputs
        results = [
            grown(env[old.id], bool(flags[old.id]), size) if has else env[old.id]
            for old, has in zip(graph.outputs, wanted, strict=True)
        ]
    return without_dead(builder.close(results))


def batched_values(graph: Graph, batched: Sequence[bool]) -> bytearray:
    """One flag for each value: whether it differs over the batch."""
    flags = bytearray(graph.n_values)
    for value, has in zip(graph.inputs, batched, strict=True):
        flags[value.id] = has
    for node in graph.nodes:
        if any(flags[value.id] for value in node.inputs):
            for out in node.outs:
                flags[out.id] = 1
    return flags


def _batched(node: Node, args: list[Value], flags: bytearray, size: Size) -> Sequence[Value]:
    has = tuple(bool(flags[value.id]) for value in node.inputs)
    if node.prim.batch is not None:
        return node.prim.batch(tuple(args), has, size, **node.params)
    if node.prim.kind == "elementwise":
        return args[0].builder.emit(node.prim, aligned(args, has), node.params)
    raise fail(
        "DIF008", f"{node.prim.name} has no rule for batches", node.spans[0] if node.spans else None,
        help="call it for one element at a time, in a loop",
    )  # fmt: skip

"""Simplification: rewrites of one node at a time, from the tables in `rewrites` and for whole families of operators."""

from __future__ import annotations

from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.passes.rebuild import Rule, broadcast, number_of, rebuild, splat
from gradcli.passes.rewrites import EXACT, FAST, Apply, Rewrite


def simplify(graph: Graph) -> Graph:
    """Apply the exact rewrites."""
    return rebuild(graph, _rule(EXACT))


def simplify_fast(graph: Graph) -> Graph:
    """Apply the exact rewrites and those that are right on paper only."""
    return rebuild(graph, _rule(EXACT + FAST))


def _rule(table: tuple[Rewrite, ...]) -> Rule:
    by_op: dict[str, list[Apply]] = {}
    for row in table:
        by_op.setdefault(row.op, []).append(row.apply)

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.prim.kind == "elementwise" and (made := _small_first(node, builder)) is not None:
            return made
        if node.prim.view and (made := _number_view(node, builder)) is not None:
            return made
        for apply in by_op.get(node.prim.name, ()):
            if (made := apply(node, builder)) is not None:
                return made
        return None

    return rule


# ── rewrites of whole families ──────────────────────────────────────────────────────────────────────────────


def _small_first(node: Node, builder: Builder) -> Value | None:
    """f(broadcast(x), broadcast(y)) → broadcast(f(x, y)). Exact: the same numbers, each computed once."""
    sources = [_source(value) for value in node.inputs]
    if sources == [*node.inputs] or node.outs[0].aval.size == 0:
        return None
    made = builder.emit(node.prim, sources, node.params)[0]
    return broadcast(builder, made, node.outs[0])


def _source(value: Value) -> Value:
    return value.node.inputs[0] if value.node is not None and value.node.prim.name == "broadcast_to" else value


def _number_view(node: Node, builder: Builder) -> Value | None:
    """view(c everywhere) → c everywhere, of the new shape. Exact: a view computes nothing."""
    number = number_of(node.outs[0])
    return None if number is None else splat(builder, number, node.outs[0])

"""The cost of a graph without a clock: arithmetic, and elements read and written."""

from __future__ import annotations

from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node


def cost(graph: Graph) -> int:
    """Flops plus elements read and written, over all nodes. Raises TypeError where a size is still a symbol."""
    return sum(node_cost(node) for node in graph.nodes)


def node_cost(node: Node) -> int:
    """Of one node: nothing for views and constants; an operator that overwrites an operand touches the others only."""
    prim = node.prim
    if prim.view or prim.name == "constant":
        return 0
    if prim.overwrites is None:
        touched = [*node.inputs, *node.outs]
        return prim.flops(node) + sum(definite(value.aval.size) for value in touched)
    sizes = [definite(value.aval.size) for k, value in enumerate(node.inputs) if k != prim.overwrites]
    return prim.flops(node) + sum(sizes) + max(sizes, default=0)

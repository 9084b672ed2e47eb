"""The cost of a graph without a clock: arithmetic, and elements read and written."""

from __future__ import annotations

from gradcli.ir.aval import ITEMSIZE
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.region import regions


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


# ── arithmetic and traffic apart ────────────────────────────────────────────────────────────────────────────


def flops(graph: Graph) -> int:
    """The arithmetic of a graph alone; that of a loop at each turn that there may be."""
    return sum(node_flops(node) for node in graph.nodes)


def node_flops(node: Node) -> int:
    """The arithmetic of one node."""
    held = regions(node)
    if held:
        return definite(node.params.get("turns", 1)) * sum(map(flops, held.values()))
    return 0 if node.prim.view else node.prim.flops(node)


def traffic(value: Value) -> int:
    """Bytes that reading a value moves: of a view that repeats elements, those that it looks at."""
    least, node = definite(value.aval.size), value.node
    while node is not None and node.prim.view and node.inputs:
        least = min(least, definite(node.inputs[0].aval.size))
        node = node.inputs[0].node
    return least * ITEMSIZE[value.dtype]


def moved(node: Node, inside: frozenset[Value] = frozenset()) -> int:
    """Bytes that one node reads and writes; those of the values `inside` stay in a cache.

    An operator that overwrites an operand reads and writes a part of it, of the size of the others; `gather` reads what
    it gives. A node that holds a graph moves nothing by itself.
    """
    prim = node.prim
    if prim.view or prim.name == "constant" or regions(node):
        return 0
    if prim.overwrites is not None:
        sizes = [traffic(value) for k, value in enumerate(node.inputs) if k != prim.overwrites]
        return sum(sizes) + 2 * max(sizes, default=0)
    written = sum(definite(out.aval.nbytes) for out in node.outs if out not in inside)
    operands = node.inputs[1:] if prim.name == "gather" else node.inputs
    read = sum(traffic(value) for value in {*operands} - inside)
    return read + written + (definite(node.outs[0].aval.nbytes) if prim.name == "gather" else 0)

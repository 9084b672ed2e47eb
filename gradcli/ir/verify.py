"""Whether a graph is one: every value made before it is used, of the aval that its primitive infers.

Runs after every pass under test, so that the pass that broke a graph is named.
"""

from __future__ import annotations

from gradcli.ir.dims import conditions
from gradcli.ir.graph import Graph, Value


class BrokenGraph(Exception):
    """A graph that no pass may give: a bug of gradcli, never of a model."""


def verify(graph: Graph) -> None:
    """Raises BrokenGraph where the graph is not in single-assignment form, or an aval is not what `infer` gives."""
    if len(graph.names) != len(graph.inputs):
        raise BrokenGraph(f"{len(graph.names)} names for {len(graph.inputs)} inputs")
    made: dict[int, Value] = {}
    for value in graph.inputs:
        if value.node is not None:
            raise BrokenGraph(f"{value!r} is an input and the result of {value.node.prim.name}")
        _define(graph, made, value)
    with conditions():
        for place, node in enumerate(graph.nodes):
            where = f"node {place}, {node.prim.name}"
            for value in node.inputs:
                if made.get(value.id) is not value:
                    raise BrokenGraph(f"{where}: {value!r} is used before it is made")
            avals = tuple(node.prim.infer(*[value.aval for value in node.inputs], **node.params))
            if avals != tuple(out.aval for out in node.outs):
                have = ", ".join(str(out.aval) for out in node.outs)
                raise BrokenGraph(f"{where}: its results are {have}, its rule infers {', '.join(map(str, avals))}")
            for out in node.outs:
                if out.node is not node:
                    raise BrokenGraph(f"{where}: {out!r} does not know that it is its result")
                _define(graph, made, out)
    for value in graph.outputs:
        if made.get(value.id) is not value:
            raise BrokenGraph(f"output {value!r} is never made")


def _define(graph: Graph, made: dict[int, Value], value: Value) -> None:
    if value.id in made:
        raise BrokenGraph(f"{value!r} is made twice")
    if not 0 <= value.id < graph.n_values:
        raise BrokenGraph(f"{value!r} is numbered beyond {graph.n_values}")
    made[value.id] = value

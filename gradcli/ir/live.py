"""What of a graph is read by anyone."""

from __future__ import annotations

from gradcli.ir.graph import Graph


def without_dead(graph: Graph) -> Graph:
    """Drop the nodes whose results nobody reads."""
    live = bytearray(graph.n_values)
    for value in graph.outputs:
        live[value.id] = 1
    kept = []
    for node in reversed(graph.nodes):
        if any(live[out.id] for out in node.outs):
            kept.append(node)
            for value in node.inputs:
                live[value.id] = 1
    if len(kept) == len(graph.nodes):
        return graph
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs, graph.n_values, graph.names)


def outputs_from(graph: Graph, first: int) -> Graph:
    """The graph of the outputs from `first` on: of the derivatives alone, where the values come before them."""
    return without_dead(Graph(graph.inputs, graph.nodes, graph.outputs[first:], graph.n_values, graph.names))

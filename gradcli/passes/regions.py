"""Inside nodes that hold graphs: each pass runs there, too."""

from __future__ import annotations

from collections.abc import Callable

from gradcli.ir.graph import Builder, Graph
from gradcli.ir.region import regions


def inside(graph: Graph, work: Callable[[Graph], Graph]) -> Graph:
    """The same graph with `work` done to each graph that a node holds; nodes that held the same still do."""
    if not any(regions(node) for node in graph.nodes):
        return graph
    done: dict[Graph, Graph] = {}
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        held = regions(node)
        for region in held.values():
            if region not in done:
                done[region] = work(region)
        builder.spans, first = node.spans, len(builder.nodes)
        params = {**node.params, **{name: done[region] for name, region in held.items()}}
        outs = builder.emit(node.prim, [env[value.id] for value in node.inputs], params)
        builder.mark(first, node.role)
        for old, new in zip(node.outs, outs, strict=True):
            env[old.id] = new
            new.hint = new.hint or old.hint
    return builder.close([env[value.id] for value in graph.outputs])

"""A graph in two: what does not depend on its last inputs, which is run once, and what does, run for each of them.

    f(x, v)  =  second(*kept, v)      with kept = first(x)

`kept` are the values that the second part reads of the first: inputs, and what is computed from them. What costs
nothing (a view, a constant) is made again where it is read, so that no copy of it is kept.
"""

from __future__ import annotations

from gradcli.ad.batch import batched_values
from gradcli.ir.dims import conditions
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.live import without_dead


def split(graph: Graph, count: int) -> tuple[Graph, Graph]:
    """`first: inputs → kept` and `second: (*kept, *last) → outputs`, where `last` are the `count` last inputs."""
    fixed, last = graph.inputs[: len(graph.inputs) - count], graph.inputs[len(graph.inputs) - count :]
    moving = batched_values(graph, [*(False for _ in fixed), *(True for _ in last)])
    again, kept = _parts(graph, moving)
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in (*kept, *last)}
    with conditions():
        builder.replay(again, env)
    first = without_dead(Graph(fixed, graph.nodes, kept, graph.n_values, graph.names[: len(fixed)]))
    return first, builder.close([env[value.id] for value in graph.outputs])


def _parts(graph: Graph, moving: bytearray) -> tuple[list[Node], tuple[Value, ...]]:
    """The nodes of the second part, and the values that it is given."""
    read = {value.id: value for value in graph.outputs}
    again: list[Node] = []
    for node in reversed(graph.nodes):
        if any(out.id in read for out in node.outs) and (moving[node.outs[0].id] or _costs_nothing(node)):
            again.append(node)
            for out in node.outs:
                read.pop(out.id, None)
            read.update((value.id, value) for value in node.inputs)
    return again[::-1], tuple(value for key, value in sorted(read.items()) if not moving[key])


def _costs_nothing(node: Node) -> bool:
    return not node.inputs or (node.prim.view and not node.prim.stops)

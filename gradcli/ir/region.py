"""Nodes that hold a graph of their own (`checkpoint`, `scan`): what they have in common.

Such a node runs its graph as one step; nothing inside is merged with what is around. In a plan the graph is
replaced by something that runs it; without a plan it is interpreted node by node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Builder, Graph, Node

Run = Callable[[Sequence[Any]], Sequence[Any]]


def regions(node: Node) -> dict[str, Graph]:
    """The graphs that a node holds, by the names of its params."""
    return {name: value for name, value in node.params.items() if isinstance(value, Graph)}


def graphs_of(graph: Graph) -> list[Graph]:
    """A graph and those that its nodes hold, at any depth, the outer ones first."""
    found = [graph]
    for one in found:
        found += [region for node in one.nodes for region in regions(node).values()]
    return found


def carried(node: Node, name: str) -> range:
    """The inputs of a region that belong to it, so that it may write into them: the carry of a loop's body."""
    if node.prim.name != "scan" or name != "body":
        return range(0)
    first = 1 + node.params["consts"]
    return range(first, first + node.params["carry"])


def runner(xp: Any, body: Any) -> Run:
    """What runs a region: what a plan made of it, or an interpreter of its graph on the namespace `xp`."""
    return body if not isinstance(body, Graph) else lambda arrays: interpret(xp, body, arrays)


def interpret(xp: Any, graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """The outputs of a graph, one node after the other. Raises DataError where an operator refuses the data."""
    env = {value.id: array for value, array in zip(graph.inputs, arrays, strict=True)}
    for node in graph.nodes:
        made = node.prim.eval(xp, *[env[value.id] for value in node.inputs], **node.params)
        for out, array in zip(node.outs, made if isinstance(made, tuple) else (made,), strict=True):
            env[out.id] = xp.asarray(array, dtype=NUMPY_NAMES[out.dtype])
    return [env[value.id] for value in graph.outputs]


def inside(graph: Graph, work: Callable[[Graph], Graph]) -> Graph:
    """The same graph with `work` done to each graph that a node holds; nodes that held the same still do."""
    done: dict[Graph, Graph] = {}
    for node in graph.nodes:
        for region in regions(node).values():
            if region not in done:
                done[region] = work(region)
    if all(old is new for old, new in done.items()):
        return graph
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        held = regions(node)
        builder.spans, first = node.spans, len(builder.nodes)
        params = {**node.params, **{name: done[region] for name, region in held.items()}}
        outs = builder.emit(node.prim, [env[value.id] for value in node.inputs], params)
        builder.mark(first, node.role)
        for old, new in zip(node.outs, outs, strict=True):
            env[old.id] = new
            new.hint = new.hint or old.hint
    return builder.close([env[value.id] for value in graph.outputs])

"""Eager evaluation: a graph as it is, node by node, each result a new array, freed after its last use.

This is what a program that calls NumPy operator by operator does, and what a plan is measured against: no pass, no
fusion, nothing in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node
from gradcli.ir.region import regions

Array = np.ndarray[Any, Any]
Step = tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Eager:
    """A graph ready to be run so; also what a loop runs at each turn."""

    def __init__(self, graph: Graph) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self.steps = _steps(graph, {})

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        env: dict[int, Any] = {value.id: array for value, array in zip(self.inputs, arrays, strict=True)}
        for call, ins, outs, dead in self.steps:
            made = call(*[env[key] for key in ins])
            if len(outs) == 1:
                env[outs[0]] = made
            else:
                env.update(zip(outs, made, strict=True))
            for key in dead:
                del env[key]
        return [np.asarray(env[value.id]) for value in self.outputs]


def _steps(graph: Graph, made: dict[Graph, Eager]) -> list[Step]:
    last = {value.id: place for place, node in enumerate(graph.nodes) for value in (*node.outs, *node.inputs)}
    kept = {value.id for value in (*graph.inputs, *graph.outputs)}
    ends: dict[int, list[int]] = {}
    for key, place in last.items():
        if key not in kept:
            ends.setdefault(place, []).append(key)
    read = {value.id for node in graph.nodes for value in node.inputs} | kept
    return [
        (_call(node, read, made), tuple(v.id for v in node.inputs), tuple(v.id for v in node.outs),
         tuple(ends.get(place, ())))
        for place, node in enumerate(graph.nodes)
    ]  # fmt: skip


def _call(node: Node, read: set[int], made: dict[Graph, Eager]) -> Callable[..., Any]:
    if node.prim.name == "constant":
        array = node.prim.eval(np, **node.params)
        return lambda: array
    bodies: dict[str, Any] = {}
    for name, region in regions(node).items():
        if region not in made:
            made[region] = Eager(region)
        bodies[name] = made[region]
    wanted = {"wanted": tuple(out.id in read for out in node.outs)} if node.prim.lazy else {}
    call = partial(node.prim.eval, np, **{**node.params, **bodies, **wanted})
    if len(node.outs) == 1 and not node.outs[0].rank:
        return lambda *arrays: np.asarray(call(*arrays))  # NumPy gives scalars, which are no arrays
    return call


def bytes_of(graph: Graph) -> int:
    """The most that is alive at once beside the inputs, at one turn of each loop and with all that loops store."""
    last = {value.id: place for place, node in enumerate(graph.nodes) for value in node.inputs}
    last |= {value.id: len(graph.nodes) for value in graph.outputs}
    for node in reversed(graph.nodes):
        if node.prim.view and node.inputs:  # a view keeps alive what it looks at
            seen, shown = node.inputs[0].id, node.outs[0].id
            last[seen] = max(last[seen], last.get(shown, 0))
    ends: dict[int, int] = {}
    alive = most = 0
    for place, node in enumerate(graph.nodes):
        size = 0 if node.prim.view else sum(definite(out.aval.nbytes) for out in node.outs if out.id in last)
        alive += size
        most = max(most, alive + sum(bytes_of(region) for region in regions(node).values()))
        for out in node.outs:
            if out.id in last and not node.prim.view:
                ends[last[out.id]] = ends.get(last[out.id], 0) + definite(out.aval.nbytes)
        alive -= ends.pop(place, 0)
    return most

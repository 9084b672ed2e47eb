"""Graph → regions: parts of a graph that run for a block of rows at a time.

A `Region` is a convex set of nodes that are all separable along one class of axes (`classes.py`). Each of its values
has one axis of the class, and is *tiled*: a block of rows of it is all that a block needs or makes. Or it has none:
then it is *whole*, comes from outside, and is the same for each block; or it is a *sum* over all rows, which others
read when all blocks are done. So any cut of the rows into blocks gives the same, the order of sums aside.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from gradcli.ir.graph import Graph, Node, Value
from gradcli.plan import bodies, costs
from gradcli.plan.axes import FLAT, How, Join
from gradcli.plan.classes import Class, classes
from gradcli.plan.stages import Flow, sink, stages, without_views_at_the_border
from gradcli.record import record

Worth = Callable[[Sequence[Node], int], bool]


@record(eq=False)
class Output:
    """What a region gives: tiled along an axis (`keep`), or, without one, parts to be summed or compared."""

    value: Value
    axis: int | None
    how: How


@record(eq=False)
class Region:
    """`inputs → outputs` by blocks of up to `rows` rows. `axis_of` holds the axis of every tiled value, by its id.

    Where `flat`, that axis is `FLAT`: an array is the run of its elements, so inputs that are tiled must be contiguous.
    """

    nodes: tuple[Node, ...]
    joins: tuple[Join, ...]  # one for each node
    rows: int
    axis_of: dict[int, int]
    inputs: tuple[Value, ...]
    outputs: tuple[Output, ...]
    flat: bool

    def body(self, rows: int) -> Graph:
        """The graph for a block of so many rows: its inputs and outputs are those of the region, in their order."""
        return bodies.body(self, rows)


def regions(graph: Graph, worth: Worth = costs.worth) -> list[Region | Node]:
    """The graph as regions and single nodes, in an order in which they can run.

    Constants that only bodies of regions read are in these and nowhere else.
    """
    found = classes(graph.nodes, graph.n_values, worth)
    if not found:
        return list(graph.nodes)
    flow = Flow(graph, found)
    group = stages(flow, found)
    sink(flow, group)
    without_views_at_the_border(flow, group)
    _without_small(flow, group, found, worth)
    return _in_order(flow, group, found)


def _without_small(flow: Flow, group: list[int], found: Sequence[Class], worth: Worth) -> None:
    """Groups that are too small, after all, are single nodes."""
    count = max(group, default=0)
    for members in _members(flow, group).values():
        nodes = [flow.nodes[number] for number in members]
        if not worth(nodes, found[flow.owner[members[0]]].rows):
            for number in members:
                count += 1
                group[number], flow.owner[number] = count, -1


def _members(flow: Flow, group: Sequence[int]) -> dict[int, list[int]]:
    """The nodes of each group that is of a class, in the order of the graph."""
    found: dict[int, list[int]] = {}
    for number, which in enumerate(group):
        if flow.owner[number] >= 0:
            found.setdefault(which, []).append(number)
    return found


def _in_order(flow: Flow, group: Sequence[int], found: Sequence[Class]) -> list[Region | Node]:
    """As early as the first node of a region stands in the graph, once all that it reads is there."""
    items: dict[int, Region | Node] = {}
    read = set(flow.kept)
    for which, members in _members(flow, group).items():
        region = items[which] = _region(flow, members, found[flow.owner[members[0]]])
        read.update(value.id for value in region.inputs)
    for number, node in enumerate(flow.nodes):
        if flow.owner[number] < 0:
            items[group[number]] = node
            read.update(value.id for value in node.inputs)
    return [
        item
        for item in (items[which] for which in _sorted(flow, group))
        if isinstance(item, Region) or item.prim.name != "constant" or item.outs[0].id in read
    ]


def _sorted(flow: Flow, group: Sequence[int]) -> list[int]:
    pending: dict[int, int] = {}
    first: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    for number, edges in enumerate(flow.edges):
        own = group[number]
        first.setdefault(own, number)
        pending.setdefault(own, 0)
        for edge in edges:
            other = group[edge.reader]
            if other != own:
                readers.setdefault(own, []).append(other)
                pending[other] = pending.get(other, 0) + 1
    heap = [(first[which], which) for which, count in pending.items() if not count]
    heapq.heapify(heap)
    order = []
    while heap:
        _, which = heapq.heappop(heap)
        order.append(which)
        for other in readers.get(which, ()):
            pending[other] -= 1
            if not pending[other]:
                heapq.heappush(heap, (first[other], other))
    assert len(order) == len(pending), "a region is not convex"
    return order


def _region(flow: Flow, members: Sequence[int], one: Class) -> Region:
    nodes = tuple(flow.nodes[number] for number in members)
    joins = tuple(one.members[number] for number in members)
    axis_of: dict[int, int] = {}
    inside: dict[int, How] = {}
    inputs: dict[int, Value] = {}
    for node, join in zip(nodes, joins, strict=True):
        axis_of.update((node.inputs[k].id, axis) for k, axis in join.ins)
        axis_of.update((node.outs[k].id, axis) for k, axis in join.outs)
        inside.update((out.id, join.how) for out in node.outs)
    for node in nodes:
        for value in node.inputs:
            if value.id not in inside and value.id not in inputs and not bodies.repeats(value, axis_of.get(value.id)):
                inputs[value.id] = value
    own = set(members)
    read = {edge.value.id for number in members for edge in flow.edges[number] if edge.reader not in own}
    outputs = tuple(
        Output(out, axis_of.get(out.id), inside[out.id])
        for node in nodes
        for out in node.outs
        if out.id in flow.kept or out.id in read
    )
    flat = any(axis == FLAT for axis in axis_of.values())
    return Region(nodes, joins, one.rows, axis_of, tuple(inputs.values()), outputs, flat)

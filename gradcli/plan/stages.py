"""Classes of nodes → groups that can run one after the other.

The nodes of a class run together as far as they can: rows made in a group are read in it row by row, but what needs a
sum over all rows, or goes through nodes of other classes, waits until the group is done and is in a later one. So each
group is convex: no path leaves it and comes back.

All single nodes that can run do so before a group begins, and a class begins when all its nodes can be in the group; if
there is no such class, the one with the least work is split.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from gradcli.ir.graph import Graph, Node, Value
from gradcli.plan.classes import Class


class Edge(NamedTuple):
    """A node reads a value; `inner`: row by row, in the class that makes it."""

    value: Value
    reader: int
    inner: bool


class Flow:
    """Who reads what, and which class each node belongs to (-1: none)."""

    def __init__(self, graph: Graph, found: Sequence[Class]) -> None:
        self.nodes = graph.nodes
        self.maker = {out.id: number for number, node in enumerate(graph.nodes) for out in node.outs}
        self.owner = [-1] * len(graph.nodes)
        for k, one in enumerate(found):
            for number in one.members:
                self.owner[number] = k
        self.edges: list[list[Edge]] = [[] for _ in graph.nodes]
        for reader, node in enumerate(graph.nodes):
            own = self.owner[reader]
            by_rows = {k for k, _ in found[own].members[reader].ins} if own >= 0 else ()
            for k, value in enumerate(node.inputs):
                maker = self.maker.get(value.id)
                if maker is not None:
                    inner = own >= 0 and self.owner[maker] == own and k in by_rows
                    self.edges[maker].append(Edge(value, reader, inner))
        self.kept = {value.id for value in graph.outputs}


def stages(flow: Flow, found: Sequence[Class]) -> list[int]:
    """For each node the group that it is in; groups are numbered in an order in which they can run."""
    return _Stages(flow, found).run()


class _Stages:
    def __init__(self, flow: Flow, found: Sequence[Class]) -> None:
        self.flow, self.found = flow, found
        self.pending = [0] * len(flow.nodes)  # operands that are not there yet
        self.outside = [0] * len(found)  # of them those that a class does not get by rows from itself
        for edges in flow.edges:
            for edge in edges:
                self.pending[edge.reader] += 1
                self.outside[flow.owner[edge.reader]] += not edge.inner if flow.owner[edge.reader] >= 0 else 0
        self.single: list[int] = []  # a heap of nodes without a class that can run
        self.ready: list[list[int]] = [[] for _ in found]
        self.waiting: list[tuple[bool, int, int]] = []  # a heap of classes of which some nodes can run
        self.group = [-1] * len(flow.nodes)
        self.count = 0

    def run(self) -> list[int]:
        for number, pending in enumerate(self.pending):
            if not pending:
                self.arrive(number)
        while self.single or self.waiting:
            if self.single:
                self.leave([heapq.heappop(self.single)])
                continue
            _, _, which = heapq.heappop(self.waiting)
            if self.ready[which]:
                self.leave(self.together(which))
        return self.group

    def arrive(self, number: int) -> None:
        """All its operands are there."""
        which = self.flow.owner[number]
        if which < 0:
            heapq.heappush(self.single, number)
            return
        self.ready[which].append(number)
        if len(self.ready[which]) == 1:
            self.wait(which)

    def wait(self, which: int) -> None:
        heapq.heappush(self.waiting, (self.outside[which] > 0, self.found[which].work, which))

    def together(self, which: int) -> list[int]:
        """All nodes of a class that can run now, or after one of them that gives them rows."""
        members, queue = [], self.ready[which]
        self.ready[which] = []
        while queue:
            number = queue.pop()
            members.append(number)
            for edge in self.flow.edges[number]:
                if edge.inner:
                    self.pending[edge.reader] -= 1
                    if not self.pending[edge.reader]:
                        queue.append(edge.reader)
        return members

    def leave(self, members: Sequence[int]) -> None:
        """A group has run: others have its results."""
        for number in members:
            self.group[number] = self.count
        self.count += 1
        for number in members:
            for edge in self.flow.edges[number]:
                if not edge.inner:
                    self.take(edge.reader)

    def take(self, reader: int) -> None:
        which = self.flow.owner[reader]
        if which >= 0:
            self.outside[which] -= 1
            if not self.outside[which] and self.ready[which]:
                self.wait(which)
        self.pending[reader] -= 1
        if not self.pending[reader]:
            self.arrive(reader)


# ── better groups ───────────────────────────────────────────────────────────────────────────────────────────


def sink(flow: Flow, group: list[int]) -> None:
    """Move nodes into the later group of their class that reads them, where this keeps no more rows between the two."""
    outside = [0] * len(flow.nodes)  # how often a node's rows are read in other groups
    for number, edges in enumerate(flow.edges):
        outside[number] = sum(group[edge.reader] != group[number] for edge in edges)
        outside[number] += sum(out.id in flow.kept for out in flow.nodes[number].outs)
    for number in reversed(range(len(flow.nodes))):
        later = _only_reader(flow, group, number)
        if later is None:
            continue
        makers = {flow.maker[value.id] for value in flow.nodes[number].inputs if value.id in flow.maker}
        here = [maker for maker in makers if group[maker] == group[number]]
        if _bytes(flow, [maker for maker in here if not outside[maker]]) <= _bytes(flow, [number]):
            for maker in here:
                outside[maker] += 1
            group[number] = later


def _only_reader(flow: Flow, group: Sequence[int], number: int) -> int | None:
    """The first group that reads a node, if that is a later one of its class, and reads it by rows."""
    edges = flow.edges[number]
    if flow.owner[number] < 0 or not edges or any(out.id in flow.kept for out in flow.nodes[number].outs):
        return None
    later = min(group[edge.reader] for edge in edges)
    if later == group[number] or not all(edge.inner for edge in edges if group[edge.reader] == later):
        return None
    return later


def _bytes(flow: Flow, numbers: Sequence[int]) -> int:
    return sum(out.aval.nbytes for number in numbers for out in flow.nodes[number].outs)  # type: ignore[misc]  # known


def without_views_at_the_border(flow: Flow, group: list[int]) -> None:
    """Views of what is there before a group, or that only others read, cost nothing outside of it: they leave it."""
    count = max(group, default=0)
    for number, node in enumerate(flow.nodes):
        if flow.owner[number] >= 0 and node.prim.view and _before(flow, group, number):
            count += 1
            group[number], flow.owner[number] = count, -1
    for number in reversed(range(len(flow.nodes))):
        node = flow.nodes[number]
        if flow.owner[number] >= 0 and node.prim.view and _after(flow, group, number, node):
            count += 1
            group[number], flow.owner[number] = count, -1


def _before(flow: Flow, group: Sequence[int], number: int) -> bool:
    own = group[number]
    if any(group[flow.maker[value.id]] == own for value in flow.nodes[number].inputs if value.id in flow.maker):
        return False
    return any(out.id in flow.kept for out in flow.nodes[number].outs) or any(
        group[edge.reader] != own for edge in flow.edges[number]
    )


def _after(flow: Flow, group: Sequence[int], number: int, node: Node) -> bool:
    if any(out.id in flow.kept for out in node.outs):
        return False
    smaller = node.outs[0].aval.nbytes < node.inputs[0].aval.nbytes  # type: ignore[operator]  # known
    return not smaller and all(group[edge.reader] != group[number] for edge in flow.edges[number])

"""Axes that run together, and which nodes run by rows of which axis.

Joins of all nodes, united, make *classes* of (value, axis). A node is *separable* along a class where one of its joins
holds all the axes of that class that its operands and results have; so a value with two axes in one class (`x @ x.T`)
makes no node separable there. Of the classes along which a node is separable it is given to the one with the most work
for each pass over the rows (`passes.py`). What is left is looked at again on its own: there, axes that were united by
nodes that are gone are free of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from gradcli.ir.cost import node_cost
from gradcli.ir.graph import Node
from gradcli.plan.axes import FLAT, Join, elements, joins, known
from gradcli.plan.costs import adds_up
from gradcli.plan.passes import passes
from gradcli.record import record

Worth = Callable[[Sequence[Node], int], bool]
Members = dict[int, Join]  # nodes by their numbers, and the join of each that holds the axes of a class

ROUNDS = 3  # each node that is left is looked at this often


@record(eq=False)
class Class:
    """Nodes that run by rows of one axis."""

    rows: int
    work: int
    members: Members


def classes(nodes: Sequence[Node], n_values: int, worth: Worth) -> list[Class]:
    """The classes that are worth it; each node is in one at most."""
    found: list[Class] = []
    patterns = _Patterns()
    left = {number: pattern for number, node in enumerate(nodes) if (pattern := patterns.of(node)).joins}
    for _ in range(ROUNDS):
        made = _round(nodes, left, n_values, worth)
        found += made
        for one in made:
            for number in one.members:
                del left[number]
        if not made or not left:
            break
    return found


def _round(nodes: Sequence[Node], left: dict[int, _Pattern], n_values: int, worth: Worth) -> list[Class]:
    candidates = _separable(nodes, left, n_values)
    work = {root: sum(left[number].cost for number in members) for root, members in candidates.items()}
    turns = passes(nodes, candidates, work)
    choice = _Choice(candidates, {number: pattern.cost for number, pattern in left.items()}, work, turns)
    found: list[Class] = []
    while (root := choice.best()) is not None:
        members = choice.left_of(root)
        if members and worth([nodes[number] for number in members], rows := _rows(nodes, members)):
            found.append(Class(rows, work[root], members))
            choice.take(members)
    return found


class _Choice:
    """Classes, best first, by the work of the nodes that no other class has taken."""

    def __init__(
        self, candidates: dict[int, Members], cost: dict[int, int], work: dict[int, int], turns: dict[int, int]
    ) -> None:
        self.candidates, self.cost, self.work, self.turns = candidates, cost, work, turns
        self.among: dict[int, list[int]] = {}  # node → the classes that could have it
        self.shape: dict[int, tuple[int, int]] = {}
        for root, members in candidates.items():
            axes = [(join.outs or join.ins)[0][1] for join in members.values()]
            self.shape[root] = -axes.count(FLAT), -axes.count(0)
            for number in members:
                self.among.setdefault(number, []).append(root)
        self.heap = [self.rank(root) for root in candidates]
        heapify(self.heap)

    def rank(self, root: int) -> tuple[float, int, int, int]:
        """Of classes with equal work, one of runs of elements comes first, then one of runs of rows."""
        return (-self.work[root] / self.turns[root], *self.shape[root], root)

    def best(self) -> int | None:
        while self.heap:
            rank = heappop(self.heap)
            now = self.rank(rank[-1])
            if now == rank:
                return rank[-1]
            heappush(self.heap, now)
        return None

    def left_of(self, root: int) -> Members:
        return {number: join for number, join in self.candidates[root].items() if number in self.among}

    def take(self, members: Members) -> None:
        for number in members:
            for root in self.among.pop(number):
                self.work[root] -= self.cost[number]


def _rows(nodes: Sequence[Node], members: Members) -> int:
    number, join = next(iter(members.items()))
    values, (which, axis) = (nodes[number].inputs, join.ins[0]) if join.ins else (nodes[number].outs, join.outs[0])
    return elements(values[which]) if axis == FLAT else known(values[which])[axis]


def _separable(nodes: Sequence[Node], left: dict[int, _Pattern], n_values: int) -> dict[int, Members]:
    """For each class the nodes that are separable along it. A class is called by one of its slots.

    A value has a slot for each axis, and a last one for all of them, FLAT.
    """
    first = [-1] * n_values  # value → its first slot
    parent: list[int] = []  # of slots; smaller numbers stand for larger ones
    starts: dict[int, list[int]] = {}
    for number, pattern in left.items():
        node = nodes[number]
        own = starts[number] = []
        for value, width in zip((*node.inputs, *node.outs), pattern.widths, strict=True):
            start = first[value.id]
            if start < 0:
                start = first[value.id] = len(parent)
                parent.extend(range(start, start + width))
            own.append(start)
        for (which, slot), *rest in pattern.slots:
            a = _find(parent, own[which] + slot)
            for other, place in rest:
                b = _find(parent, own[other] + place)
                if a < b:
                    parent[b] = a
                elif b < a:
                    parent[a] = b
                    a = b
    for slot, up in enumerate(parent):
        parent[slot] = parent[up]
    found: dict[int, Members] = {}
    for number, pattern in left.items():
        own = starts[number]
        roots: list[int] = []
        for start, width in zip(own, pattern.widths, strict=True):
            roots += parent[start : start + width]
        for join, slots in zip(pattern.joins, pattern.slots, strict=True):
            which, slot = slots[0]
            root = parent[own[which] + slot]
            if roots.count(root) == len(slots):
                found.setdefault(root, {})[number] = join
    return found


def _find(parent: list[int], slot: int) -> int:
    while parent[slot] != slot:
        parent[slot] = slot = parent[parent[slot]]
    return slot


# ── the joins of nodes that look alike are found once ───────────────────────────────────────────────────────


class _Pattern(NamedTuple):
    """`slots` says for each join where its axes are: (operand, or result behind all operands; slot)."""

    joins: tuple[Join, ...]
    slots: tuple[tuple[tuple[int, int], ...], ...]
    widths: tuple[int, ...]  # slots of each operand and result
    cost: int


class _Patterns:
    def __init__(self) -> None:
        self.made: dict[Any, _Pattern] = {}

    def of(self, node: Node) -> _Pattern:
        prim = node.prim
        shapes = [value.aval.shape for value in node.inputs]
        if prim.kind == "elementwise":
            key: tuple[Any, ...] = (prim.name, *shapes)
        elif node.inputs:
            key = (prim.name, *node.params.items(), *shapes)
        else:
            return _Pattern((), (), (), 0)
        found = self.made.get(key)
        if found is None:
            found = self.made[key] = _pattern(node)
        return found


def _pattern(node: Node) -> _Pattern:
    kept: Iterable[Join] = joins(node)
    if not adds_up(node):
        kept = (join for join in kept if join.outs)
    kept = tuple(kept)
    count = len(node.inputs)
    ranks = [value.rank for value in (*node.inputs, *node.outs)]
    slots = tuple(
        tuple(
            (which, axis if axis != FLAT else ranks[which])
            for which, axis in (*join.ins, *((count + k, axis) for k, axis in join.outs))
        )
        for join in kept
    )
    return _Pattern(kept, slots, tuple(rank + 1 for rank in ranks), node_cost(node))

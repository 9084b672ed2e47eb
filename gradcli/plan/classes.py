"""Axes that run together, and which nodes run by rows of which axis.

Joins of all nodes, united, make *classes* of (value, axis). A node is *separable* along a class where one of its joins
holds all the axes of that class that its operands and results have; so a value with two axes in one class (`x @ x.T`)
makes no node separable there. Of the classes along which a node is separable it is given to the one with the most work.
What is left is looked at again on its own, where axes that were united by nodes that are gone are free of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradcli.ir.cost import node_cost
from gradcli.ir.graph import Node
from gradcli.plan.axes import FLAT, Join, joins, known
from gradcli.plan.costs import adds_up
from gradcli.record import record

Worth = Callable[[Sequence[Node], int], bool]

ROUNDS = 3  # each node that is left is looked at this often


@record(eq=False)
class Class:
    """Nodes, by their numbers, that run by rows of one axis, and for each the join that says so."""

    rows: int
    work: int
    members: dict[int, Join]


def classes(nodes: Sequence[Node], n_values: int, worth: Worth) -> list[Class]:
    """The classes that are worth it; each node is in one at most."""
    found: list[Class] = []
    left = {number: kept for number, node in enumerate(nodes) if (kept := _joins(node))}
    for _ in range(ROUNDS):
        made = _round(nodes, left, n_values, worth)
        if not made:
            break
        found += made
        for one in made:
            for number in one.members:
                del left[number]
    return found


def _joins(node: Node) -> tuple[Join, ...]:
    made = joins(node)
    if made and any(not join.outs for join in made) and not adds_up(node):
        return tuple(join for join in made if join.outs)
    return made


def _round(nodes: Sequence[Node], left: dict[int, tuple[Join, ...]], n_values: int, worth: Worth) -> list[Class]:
    union = _Union(n_values)
    for number, kept in left.items():
        union.add(nodes[number], kept)
    candidates: dict[int, dict[int, Join]] = {}
    order: dict[int, list[int]] = {}  # of classes: [work, whether flat, nodes whose rows lie in one piece]
    for number, kept in left.items():
        cost = node_cost(nodes[number])
        for root, join in union.separable(nodes[number], kept):
            candidates.setdefault(root, {})[number] = join
            score = order.setdefault(root, [0, 0, 0])
            _, axis = (join.outs or join.ins)[0]
            score[0] += cost
            score[1] += axis == FLAT
            score[2] += axis == 0
    made: list[Class] = []
    taken: set[int] = set()
    for root in sorted(candidates, key=lambda root: order[root], reverse=True):
        members = {number: join for number, join in candidates[root].items() if number not in taken}
        if members and worth([nodes[number] for number in members], union.size[root]):
            made.append(Class(union.size[root], order[root][0], members))
            taken.update(members)
    return made


class _Union:
    """Union-find over (value, axis). A value has a slot for each axis, and a last one for all of them, FLAT."""

    def __init__(self, n_values: int) -> None:
        self.first = [-1] * n_values  # value → its first slot
        self.parent: list[int] = []
        self.size: list[int] = []  # of the axis of a slot

    def add(self, node: Node, kept: Sequence[Join]) -> None:
        for value in (*node.inputs, *node.outs):
            if self.first[value.id] < 0:
                self.first[value.id] = len(self.parent)
                for size in (*known(value), int(value.aval.size)):  # type: ignore[arg-type]  # known
                    self.parent.append(len(self.parent))
                    self.size.append(size)
        for join in kept:
            first, *rest = self.slots(node, join)
            for slot in rest:
                self.unite(first, slot)

    def slots(self, node: Node, join: Join) -> list[int]:
        values = [(node.inputs[k], axis) for k, axis in join.ins] + [(node.outs[k], axis) for k, axis in join.outs]
        return [self.first[value.id] + (axis if axis >= 0 else len(value.aval.shape)) for value, axis in values]

    def separable(self, node: Node, kept: Sequence[Join]) -> list[tuple[int, Join]]:
        """The classes along which a node is separable, by their roots."""
        count: dict[int, int] = {}
        for value in (*node.inputs, *node.outs):
            first = self.first[value.id]
            for slot in range(first, first + len(value.aval.shape) + 1):
                root = self.find(slot)
                count[root] = count.get(root, 0) + 1
        made = []
        for join in kept:
            slots = self.slots(node, join)
            root = self.find(slots[0])
            if count[root] == len(slots):
                made.append((root, join))
        return made

    def find(self, slot: int) -> int:
        parent = self.parent
        while parent[slot] != slot:
            parent[slot] = slot = parent[parent[slot]]
        return slot

    def unite(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            a, b = min(a, b), max(a, b)
            self.parent[b] = a

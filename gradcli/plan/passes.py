"""How often a class must go over its rows: once more wherever its rows need what only all of them give.

A step from a node to one that reads its result is a *break* of a class, unless the class makes rows in the first and
reads them by rows in the second. The passes of a class are one more than the breaks on any way through the graph from
one of its nodes to another. They are counted for all classes in one walk, with an integer that has a lane of bits for
each class: n breaks are n ones, so `|` of two such integers is the larger number in each lane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradcli.ir.graph import Node
from gradcli.plan.axes import Join

LANE = 8  # bits: more breaks than these count as so many
CLASSES = 64  # the heaviest are counted; the others are taken to need all of them


def passes(nodes: Sequence[Node], members: Mapping[int, Mapping[int, Join]], work: Mapping[int, int]) -> dict[int, int]:
    """For each class, by its key in `members`, the number of its passes."""
    counted = sorted(members, key=lambda key: work[key], reverse=True)[:CLASSES]
    walk = _Walk(nodes, [members[key] for key in counted])
    found = dict.fromkeys(members, LANE + 1)
    found.update(zip(counted, walk.run(), strict=True))
    return found


class _Walk:
    def __init__(self, nodes: Sequence[Node], members: Sequence[Mapping[int, Join]]) -> None:
        self.nodes, self.members = nodes, members
        self.first = sum(1 << LANE * k for k in range(len(members)))  # the lowest bit of each lane
        self.last = self.first << LANE - 1
        self.own = [0] * len(nodes)  # the lanes of the classes that a node is in
        self.made = [0] * len(nodes)  # of these, the ones whose rows it makes
        self.read: list[dict[int, int]] = [{} for _ in nodes]  # operand → the lanes that read it by rows
        for k, joins in enumerate(members):
            lane = ((1 << LANE) - 1) << LANE * k
            for number, join in joins.items():
                self.own[number] |= lane
                self.made[number] |= lane if join.outs else 0
                for operand, _ in join.ins:
                    self.read[number][operand] = self.read[number].get(operand, 0) | lane

    def run(self) -> list[int]:
        makers: dict[int, int] = {}
        breaks = [0] * len(self.nodes)  # before a node
        after = [0] * len(self.nodes)  # and behind it, where a step is a break
        seen = 0
        for number, node in enumerate(self.nodes):
            count = 0
            for operand, value in enumerate(node.inputs):
                maker = makers.get(value.id)
                if maker is not None and after[maker]:
                    through = self.made[maker] & self.read[number].get(operand, 0)
                    count |= (breaks[maker] & through) | (after[maker] & ~through)
            own = self.own[number]
            breaks[number] = count
            after[number] = count | (((count & own & ~self.last) << 1 | self.first) & own)
            seen |= count & own
            for out in node.outs:
                makers[out.id] = number
        return [1 + (seen >> LANE * k & (1 << LANE) - 1).bit_count() for k in range(len(self.members))]

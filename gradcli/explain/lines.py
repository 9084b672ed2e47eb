"""Which values of a model are worth a line of a derivation.

Those that the model names; those that an expression of the model ends in, where a derivative goes through them; those
that a derivative reads; those whose own derivative is read more than once. All others are written where they are used.
Calls of composed operators, of which a graph holds the parts, so become one line and the parts of it that matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from gradcli.ad.reverse import meant
from gradcli.explain.formulas import LONGEST, VIEWS, groups, place
from gradcli.ir.formula import Formula, Term
from gradcli.ir.graph import Graph, Node, Value

SMALL = 2  # operators of a constant part that is written where it is used, however often


class Lines:
    """Of a derivative's graph the nodes that matter, who reads their results, and which of them have a line.

    `primal` are the ids of the model's own values, `moved` the derivative of each that has one, `ends` those that the
    model names, `outputs` what is differentiated.
    """

    def __init__(
        self, graph: Graph, outputs: Sequence[Value], primal: Set[int], moved: Mapping[int, Value],
        stands_for: Mapping[int, Value], ends: Set[int],
    ) -> None:  # fmt: skip
        self.moved, self.outputs = moved, outputs
        self.stands_for, self.ends = stands_for, {*ends, *(value.id for value in outputs)}
        self.nodes = self._needed(graph)
        self.own = [node for node in self.nodes if node.outs[0].id in primal]
        self.every = [node for node in graph.nodes if node.outs[0].id in primal]
        self.others = [node for node in self.nodes if node.outs[0].id not in primal]
        self.kept = self._kept_dims()
        self._count()
        self._group()

    def has_line(self, value: Value, formula: Formula) -> bool:
        """Whether a value of the model gets a line; `formula` is what it would be written as otherwise."""
        if value.id in self.ends:
            return True
        if not isinstance(formula, Term) or self._is_part(value):
            return False
        active = value.id in self.moved
        if formula.size > LONGEST:
            return True
        if not active:
            return formula.size > SMALL and bool(
                self.residual[value.id] or self.reads[value.id] > 1 or self.call_of(value)
            )
        shared = self.residual[self.moved[value.id].id] > 1
        return value.id in self.leaves or self.residual[value.id] > 0 or self.reads[value.id] > 1 or shared

    def call_of(self, value: Value) -> list[Node]:
        """The nodes that one expression of the model made, where they are several and `value` is what it gives."""
        number = self.group.get(value.id, -1)
        members = self.members[number] if self.called.get(number) else []
        several = sum(node.prim.name not in (*VIEWS, "constant") for node in members) > 1
        return members if several and value.id in self.leaves and members[-1].outs[0] is value else []

    def _needed(self, graph: Graph) -> list[Node]:
        """The nodes that the outputs or the derivatives depend on."""
        ends = (*graph.outputs, *self.outputs)
        live = {value.id for value in (*ends, *meant(ends, self.stands_for))}
        found: list[Node] = []
        for node in reversed(graph.nodes):
            if any(out.id in live for out in node.outs):
                found.append(node)
                live.update(value.id for value in (*node.inputs, *meant(node.inputs, self.stands_for)))
        return found[::-1]

    def _kept_dims(self) -> set[int]:
        """Reductions that are read only by the view that gives them their dims back: these have the line."""
        readers = Counter(value.id for node in self.nodes for value in {*node.inputs})
        reduced = [node.inputs[0].id for node in self.own if keeps_dims(node)]
        return {value for value in reduced if readers[value] == 1}

    def _is_part(self, value: Value) -> bool:
        """Whether a value is always written where it is used: a view, a sum whose dims are kept by the next node."""
        assert value.node is not None
        if value.id in self.kept:
            return True
        return value.node.prim.name in VIEWS and not (keeps_dims(value.node) and value.node.inputs[0].id in self.kept)

    def _count(self) -> None:
        """How often lines and how often derivatives read a value, seen through what is no line of its own."""
        self.reads: Counter[int] = Counter(value.id for value in self.outputs)
        self.residual: Counter[int] = Counter()
        for node in reversed(self.others):
            self.residual.update({value.id for value in node.inputs})
        for node in reversed(self.own):
            out = node.outs[0]
            through = out.id not in self.ends and self._is_part(out)
            for value in {value.id: value for value in node.inputs}.values():
                self.reads[value.id] += self.reads[out.id] if through else 1
                self.residual[value.id] += self.residual[out.id] if through else 0

    def _group(self) -> None:
        self.group: dict[int, int] = {}
        self.members: dict[int, list[Node]] = {}
        self.called: dict[int, bool] = {}
        numbers = groups(self.every, lambda node: any(out.id in self.ends for out in node.outs))
        needed = {node.outs[0].id for node in self.own}
        first: dict[object, int] = {}  # what a span asked for first is its value, later groups are derivatives of it
        for node, number in zip(self.every, numbers, strict=True):
            if node.prim.name != "constant":
                self.called[number] = first.setdefault(place(node), number) == number
            if node.outs[0].id in needed:
                self.members.setdefault(number, []).append(node)
            for out in node.outs:
                self.group[out.id] = number
        self.leaves: set[int] = {value.id for value in self.outputs}  # read outside of their own group
        for node in self.own:
            self.leaves.update(v.id for v in node.inputs if self.group.get(v.id) != self.group[node.outs[0].id])


def keeps_dims(node: Node) -> bool:
    """Whether a node only gives a reduction the dims back that it lost."""
    inner = node.inputs[0].node if node.prim.name == "reshape" else None
    if inner is None or not inner.prim.name.startswith("reduce_"):
        return False
    axes = inner.params["axes"]
    return node.outs[0].shape == tuple(1 if k in axes else n for k, n in enumerate(inner.inputs[0].shape))

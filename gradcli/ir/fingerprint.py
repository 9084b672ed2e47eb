"""Whether graphs compute the same: a number for each value, equal for equal computations of equally named inputs.

The numbers come from one table, so those of several graphs can be compared. Order, names of values and places do not
count; an operator with its operands in another order does, as rounding may tell it apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradcli.ir.graph import Graph

Table = dict[Any, int]


def fingerprint(graph: Graph, names: Mapping[int, str], table: Table) -> tuple[int, ...]:
    """The numbers of the outputs. `names` says, by the id of its value, what an input is called; others are told by
    their place."""

    def number(key: Any) -> int:
        return table.setdefault(key, len(table))

    known: dict[int, int] = {}
    for place, value in enumerate(graph.inputs):
        known[value.id] = number(("input", names.get(value.id, place), str(value.aval)))
    for node in graph.nodes:
        params = [(name, _param(value, table)) for name, value in sorted(node.params.items())]
        key = (node.prim.name, tuple(params), tuple(known[value.id] for value in node.inputs))
        for place, out in enumerate(node.outs):
            known[out.id] = number((*key, place))
    return tuple(known[value.id] for value in graph.outputs)


def _param(value: Any, table: Table) -> Any:
    """Graphs that a node holds by what they compute; they stand in each other only as deep as a model's loops do."""
    return ("graph", fingerprint(value, {}, table)) if isinstance(value, Graph) else value

"""From which lines of the model a value came: the spans of the operators that made it.

A gradient is often a sum of what several lines send to it. Sums, and what undoes broadcasting, are looked through, so
that each of those lines is named.
"""

from __future__ import annotations

from collections.abc import Collection

from gradcli.ir.graph import Node, Value
from gradcli.syntax.diagnostics import Span

MOST = 3
THROUGH = ("add", "reduce_sum", "reshape")


def makers(value: Value, primal: Collection[int] | None = None) -> tuple[Span, ...]:
    """At most three places, one for each line. Nodes whose `id` is in `primal` are not looked through to."""
    found: dict[tuple[int, int], Span] = {}
    work = [] if value.node is None else [value.node]
    seen: set[int] = set()
    while work and len(found) < MOST:
        node = work.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for span in node.spans:
            if not span.source.prelude:
                found.setdefault((id(span.source), span.line), span)
        if primal is not None and node.prim.name in THROUGH:
            work.extend(_adjoint(node, primal))
    return tuple(found.values())[:MOST]


def _adjoint(node: Node, primal: Collection[int]) -> list[Node]:
    return [v.node for v in reversed(node.inputs) if v.node is not None and id(v.node) not in primal]

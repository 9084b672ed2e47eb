"""Where a step of a run is: in which graph and turn, on which line of the model, and for which derivative."""

from __future__ import annotations

from typing import NamedTuple

from gradcli.ir.graph import Graph, Node, Role
from gradcli.syntax.diagnostics import Span


class Around(NamedTuple):
    """The graph that is run: `turn` of a loop, in the node that holds it; the outermost has none."""

    graph: Graph
    node: Node | None = None
    turn: int | None = None
    outer: Around | None = None


def role_of(around: Around, node: Node | None) -> Role | None:
    """What a node is for; a step inside a loop without a role of its own has that of the loop."""
    while node is not None and node.role is None and not node.spans and around.outer is not None:
        around, node = around.outer, around.node
    return None if node is None else node.role


def span_around(around: Around, node: Node | None) -> Span | None:
    """Where the model asks for a node: its own line, or that of the loop around."""
    while node is not None and not node.spans and around.outer is not None:
        around, node = around.outer, around.node
    return own_span(node)


def own_span(node: Node | None) -> Span | None:
    """The first place in a model, before places in the prelude."""
    if node is None or not node.spans:
        return None
    return next((span for span in node.spans if not span.source.prelude), node.spans[0])

"""Dead code elimination."""

from __future__ import annotations

from gradcli.ir.graph import Graph
from gradcli.ir.live import without_dead


def dce(graph: Graph) -> Graph:
    """Drop the nodes whose results nobody reads."""
    return without_dead(graph)

"""What plans are decided by: every constant of the cost model, in one place."""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.ir.dims import definite
from gradcli.ir.graph import Node

FEWEST_ROWS = 2  # a region of fewer has no blocks
FEWEST_NODES = 2  # that compute: one alone gains nothing from blocks
FEWEST_BYTES = 1 << 18  # of results, over all nodes: less stays in the cache as it is
LARGEST_SUM = 4  # times the elements that are added up: a larger result costs more to add, block by block, than to make


def worth(nodes: Sequence[Node], rows: int) -> bool:
    """Whether it pays to run these nodes block by block."""
    if rows < FEWEST_ROWS:
        return False
    computing = [node for node in nodes if not node.prim.view]
    if len(computing) < FEWEST_NODES:
        return False
    return sum(definite(out.aval.nbytes) for node in computing for out in node.outs) >= FEWEST_BYTES


def adds_up(node: Node) -> bool:
    """Whether it pays to make a sum over rows in parts."""
    terms = sum(definite(value.aval.size) for value in node.inputs)
    return sum(definite(out.aval.size) for out in node.outs) <= LARGEST_SUM * terms

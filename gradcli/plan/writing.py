"""Which operators write their result into memory that the plan gives them, and which may write over an operand."""

from __future__ import annotations

from collections.abc import Iterator

from gradcli.ir.graph import Node


def writes(node: Node) -> bool:
    """Whether the one result of a node can be written into an array that is given."""
    prim = node.prim
    return len(node.outs) == 1 and (prim.into is not None or prim.overwrites is not None)


def aliases(node: Node) -> Iterator[int]:
    """The operands whose memory the result may take over."""
    prim = node.prim
    if prim.overwrites is not None:
        yield prim.overwrites
    elif writes(node):
        out = node.outs[0].aval
        yield from (k for k, value in enumerate(node.inputs) if prim.may_alias(k, value.aval, out))

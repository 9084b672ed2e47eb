"""Steps that were timed → parts: one node of one step, with its time, its arithmetic, and the memory that it moves.

What stays within a block of rows is in a cache, and moves no memory. Of arrays that are larger a block reads and writes
its rows, once, and what is the same for all blocks, or added up over them, moves once for all. Elsewhere each operator
reads its operands and writes its results.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.backends.timed import Piece, Timed
from gradcli.ir.cost import moved, node_flops, traffic
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.region import regions
from gradcli.plan.flat import Step as FlatStep
from gradcli.plan.plan import Blocks, Call
from gradcli.record import record


@record(eq=False)
class Part:
    """What one node had of the time of a step, by its place among the steps; a node of None copies a value. `runs` is
    how often the loops around it ran the step, `calls` how often it was called."""

    step: int
    node: Node | None
    value: Value  # that it makes, or copies
    inside: tuple[Node, ...]
    seconds: float
    calls: int
    runs: int
    flops: int
    bytes: int


def parts_of(timed: Sequence[Timed]) -> list[Part]:
    blocks: dict[Blocks, _Block] = {}
    found = []
    for number, step in enumerate(timed):
        for piece in step.pieces:
            value = step.copied if piece.node is None else piece.node.outs[0]
            assert value is not None, "a piece without a node is a copy"
            if step.blocks is None:
                bytes = _bytes(step, piece) * piece.calls
            else:
                bytes = blocks.setdefault(step.blocks, _Block(step.blocks)).bytes(step, piece)
            flops = 0 if piece.node is None or regions(piece.node) else node_flops(piece.node) * piece.calls
            found.append(
                Part(number, piece.node, value, step.inside, piece.seconds, piece.calls, step.runs, flops, bytes)
            )
    return found


def _bytes(step: Timed, piece: Piece, within: frozenset[Value] = frozenset()) -> int:
    """Of one call; values `within` stay in a cache."""
    node = piece.node
    if node is None:
        assert step.copied is not None, "a piece without a node is a copy"
        return 2 * definite(step.copied.aval.nbytes)
    call = piece.step
    if (isinstance(call, Call) and call.how == "copy") or (isinstance(call, FlatStep) and call.copied):
        out, value = node.outs[0], node.inputs[0]
        return (0 if value in within else traffic(value)) + (0 if out in within else definite(out.aval.nbytes))
    if node.prim.overwrites is None:
        return moved(node, within)
    if {*node.inputs, *node.outs} <= within:
        return 0
    copied = isinstance(call, Call) and call.how == "write"  # all of the operand, of which it changes a part
    return moved(node) + (2 * definite(node.inputs[node.prim.overwrites].aval.nbytes) if copied else 0)


class _Block:
    """What the nodes of a step by blocks move. They are met in their order, those of the last, shorter block, too."""

    def __init__(self, step: Blocks) -> None:
        axes = [step.region.axis_of.get(value.id) for value in step.region.inputs]
        self.whole = [k for k, axis in enumerate(axes) if axis is None]
        self.sums = [k for k, output in enumerate(step.region.outputs) if output.axis is None]
        self.full = step.full.graph
        self.met: dict[Graph, set[Value]] = {}

    def bytes(self, step: Timed, piece: Piece) -> int:
        node, graph = piece.node, piece.graph
        if node is None:
            return _bytes(step, piece) * piece.calls
        met = self.met.setdefault(graph, set())
        new = {value for value in node.inputs if _seen(value) in {*graph.inputs} - met}
        made = {_seen(out) for out in graph.outputs} & {*node.outs}
        once = {value for value in new if _seen(value) in [graph.inputs[k] for k in self.whole]}
        once |= made & {_seen(graph.outputs[k]) for k in self.sums}
        met.update(map(_seen, node.inputs))
        every = frozenset({*node.inputs, *node.outs})
        each = _bytes(step, piece, every - ((new | made) - once))
        for_all = _bytes(step, piece, every - once) if once and graph is self.full else 0
        return each * piece.calls + for_all * step.runs


def _seen(value: Value) -> Value:
    """What a view looks at, in the end."""
    while value.node is not None and value.node.prim.view and value.node.inputs:
        value = value.node.inputs[0]
    return value

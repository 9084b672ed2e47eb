"""The turns of a loop as its model counts them.

A graph may have a loop in another way than the model does: its first turns written out, where they change what is
carried (see `interp.loops`); cut into chunks, where memory is short (see `passes.checkpoints`). The last turn is the
last one in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from gradcli.interp.loops import FIRST_TURNS
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node
from gradcli.passes.checkpoints import lengths
from gradcli.record import record
from gradcli.syntax.diagnostics import Span
from gradcli.trace.places import Around, own_span


@record(eq=False)
class Turns:
    """`bounds` are the first turn of each loop and the one after its last, by the loop's place: several, if it is met
    with several. `cut` are the turns of loops that were cut, by their places, and `levels` how often that was done."""

    bounds: Mapping[Span, Set[tuple[int, int]]]
    cut: Mapping[tuple[Span, ...], int]
    levels: int = 1

    def of(self, around: Around) -> tuple[int | None, Around]:
        """The turn that a step is in, from 0, and the outermost chunk of its loop."""
        chunks = [around]
        while around.outer is not None and around.node is not None and around.outer.node is not None and (
            around.outer.node.spans == around.node.spans and around.node.spans in self.cut
        ):  # fmt: skip
            around = around.outer
            chunks.insert(0, around)
        if around.node is None or around.turn is None:
            return None, around
        turn, left = chunks[-1].turn, self.cut.get(around.node.spans, 0)
        for k, chunk in enumerate(chunks[:-1]):
            left = lengths(left, self.levels - k)[1]
            turn = None if turn is None or chunk.turn is None else turn + chunk.turn * left
        return None if turn is None else turn + self.written(around.node), around

    def range_of(self, loop: Node) -> range | None:
        """What the loop's variable runs through; None where several ranges would do, or its turns are not known."""
        span, turns = own_span(loop), self._turns(loop)
        known = self.bounds.get(span, ()) if span is not None else ()
        fitting = [(start, stop) for start, stop in known if 0 <= stop - start - turns <= FIRST_TURNS]
        return range(*fitting[0]) if len(fitting) == 1 else None

    def written(self, loop: Node) -> int:
        """How many turns of the model come before the loop of the graph."""
        every = self.range_of(loop)
        return 0 if every is None else len(every) - self._turns(loop)

    def first_alone(self, nodes: Sequence[Node]) -> list[Span]:
        """The places of loops of which one turn is written out: what else the model has there belongs to turn 0."""
        loops = [node for node in nodes if node.prim.name == "scan" and self.written(node) == 1]
        return [span for span in map(own_span, loops) if span is not None]

    def _turns(self, loop: Node) -> int:
        return self.cut.get(loop.spans, definite(loop.params["turns"]))

"""The steps of a loop, kept for many turns and looked at together: a look costs more than a small step does.

The body runs as one straight function that gives every value it makes. These are stacked, `[turns, *shape]`, and looked
at where the stack is full and at the end; a loop inside of a loop fills one stack, however often it runs. A body that
holds a graph, and one that makes too much, is looked at node by node (see `loops`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.region import regions
from gradcli.trace.places import Around

if TYPE_CHECKING:
    from gradcli.backends.program import Body

    Array = np.ndarray[Any, Any]

MOST_TURNS = 256
MOST_BYTES = 1 << 19  # of a stack of several turns: what is kept beside the run
MOST_TURN = 1 << 24  # bytes of a turn that is kept, with all that it makes


Look = Callable[[Around, Node, Sequence["Array"], Sequence["Array"]], None]  # operands and results, stacked


class Recording:
    """The turns of one loop."""

    def __init__(self, around: Around, most: int, run: Callable[[Graph], Body]) -> None:
        """`around` is a turn of the loop, `most` what `stacked` says of it, `run` makes a body of a graph."""
        self._body = body = around.graph
        self._around, self._most = around, most
        made = tuple(out for node in body.nodes for out in node.outs)
        values = (*body.inputs, *made)
        place = {value.id: k for k, value in enumerate(values)}
        self._outputs = [place[value.id] for value in body.outputs]
        self._run = run(Graph(body.inputs, body.nodes, made, body.n_values, body.names))
        changing = {value.id for value in _changing(around)}
        self._stacks = {value.id: _stack(value, most if value.id in changing else 1) for value in values}
        rows = [(k, self._stacks[value.id], value.id in changing) for k, value in enumerate(values)]
        self._rows = [(k, stack) for k, stack, changes in rows if changes]
        self._fixed = [(k, stack) for k, stack, changes in rows if not changes]
        self.turns: list[int] = []  # the numbers of those that are kept

    def turn(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs of one turn."""
        every = [*arrays, *self._run(arrays)]
        row = len(self.turns)
        if not row:
            for k, stack in self._fixed:
                stack[0] = every[k]
        for k, stack in self._rows:
            stack[row] = every[k]
        self.turns.append(int(arrays[0]))
        given = len(arrays)
        return [every[k] if k >= given else np.array(every[k]) for k in self._outputs]

    @property
    def full(self) -> bool:
        """Whether to look before another turn comes."""
        return len(self.turns) == self._most

    def look(self, look: Look) -> None:
        """Tell of each step, in the order of the run, and begin anew."""
        for node in self._body.nodes if self.turns else ():
            if node.prim.name != "constant":
                look(self._around, node, [*map(self.stack, node.inputs)], [*map(self.stack, node.outs)])
        self.turns.clear()

    def stack(self, value: Value) -> Array:
        """A value in the turns that are kept, `[turns, *shape]`; `[1, *shape]` if it is the same in all of them."""
        return self._stacks[value.id][: len(self.turns)]


def stacked(around: Around) -> int:
    """How many turns of a loop are kept together; 0 where it is looked at node by node."""
    if any(regions(node) for node in around.graph.nodes):
        return 0
    turn = sum(definite(value.aval.nbytes) for value in _changing(around))
    return 0 if turn > MOST_TURN else max(1, min(MOST_TURNS, MOST_BYTES // max(turn, 1)))


def _stack(value: Value, turns: int) -> Array:
    return np.empty((turns, *map(definite, value.shape)), NUMPY_NAMES[value.dtype])


def _changing(around: Around) -> list[Value]:
    """The values that may differ from turn to turn. In a loop inside of a loop what is given to all turns does, too."""
    body, node = around.graph, around.node
    given = 0 if node is None or _inner(around) else int(node.params["consts"])
    found = [body.inputs[0], *body.inputs[1 + given :]]
    reached = {value.id for value in found}
    for step in body.nodes:
        if any(value.id in reached for value in step.inputs):
            found += step.outs
            reached |= {out.id for out in step.outs}
    return found


def _inner(around: Around) -> bool:
    return around.outer is not None and around.outer.outer is not None

"""A graph run near a point, where what is held keeps what it has there (`abreast.py`): many points in one run.

Row 0 of each run is the point itself, so that nothing needs to be kept from one run to the next. As many rows are run
at once as are asked for and memory allows; each number of rows is one plan, made when it is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gradcli.ad.batch import batch
from gradcli.engine import Machine, plan_of, run_plan
from gradcli.gradcheck.abreast import Log, steadied
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node
from gradcli.ir.region import regions
from gradcli.plan.flat import nbytes
from gradcli.record import record, replace
from gradcli.syntax.diagnostics import ENVIRONMENT, ModelError

if TYPE_CHECKING:
    import numpy as np

    from gradcli.plan import AnyPlan

    Array = np.ndarray[Any, Any]

MOST = 512  # points near the point in one run: calling an operator costs little by then
LEAST = 2
ROOM = 1 << 27  # bytes of one run
GROWTH = 4  # a plan for more rows than are asked for will do, if it is for at most so many times as many


class Move(Protocol):
    """What is added to one input."""

    @property
    def position(self) -> int: ...

    def apply(self, x: Array) -> None:
        """Moves the input, in place."""


@record(eq=False)
class Near:
    """What a run near the point gave: the outputs, the operators that are on another piece, the loops whose number of
    turns would be another."""

    outputs: list[Array]
    kinks: tuple[Node, ...]
    turns: tuple[Node, ...]


class Held:
    """A graph at a point. `moved` are the positions of the inputs that can be moved."""

    def __init__(self, graph: Graph, arrays: Sequence[Array], moved: Sequence[int], machine: Machine) -> None:
        self._arrays = list(arrays)
        self._machine = replace(machine, backend="numpy")
        self._room = min(ROOM, machine.memory or ROOM)
        self._moved = list(moved)
        self._log = Log()
        self._graph = steadied(graph, self._log)
        self._plans: dict[int, AnyPlan] = {}  # by the number of rows
        self.most = most_rows(graph, self._room)

    def near(self, moves: Sequence[Move]) -> list[Near | None]:
        """The graph with one input moved, for each of `moves`; None where an operator refuses the data. Raises
        ModelError where memory does not suffice, and DIF008 for an operator that has no rule for batches."""
        found: list[Near | None] = []
        while len(found) < len(moves):
            found += self._run(moves[len(found) : len(found) + self.most])
        return found

    def _run(self, moves: Sequence[Move]) -> list[Near | None]:
        plan, rows = self._plan(len(moves))
        if rows <= len(moves):  # it takes more memory than was thought
            return [*self._run(moves[: rows - 1]), *self._run(moves[rows - 1 :])]
        self._log.clear()
        try:
            outputs = run_plan(plan, self._inputs(moves, rows), self._machine)
        except ModelError as error:
            if error.exit_code == ENVIRONMENT:
                raise
            half = len(moves) // 2
            return [*self._run(moves[:half]), *self._run(moves[half:])] if half else [None]
        kinks, turns = list(self._log.kinks.values()), list(self._log.turns.values())
        return [
            Near([out[row] for out in outputs], _met(kinks, row), _met(turns, row)) for row in range(1, len(moves) + 1)
        ]

    def _inputs(self, moves: Sequence[Move], rows: int) -> list[Array]:
        import numpy as np

        own = {move.position for move in moves}
        made = list(self._arrays)
        for k in self._moved:
            array = np.broadcast_to(made[k], (rows, *made[k].shape))
            made[k] = array.copy() if k in own else array
        for row, move in enumerate(moves, 1):
            move.apply(made[move.position][row, ...])
        return made

    def _plan(self, count: int) -> tuple[AnyPlan, int]:
        """For so many points beside the first, if they fit; and the number of its rows."""
        count = min(count, self.most)
        rows = min((rows for rows in self._plans if count < rows <= GROWTH * (count + 1)), default=0)
        if not rows:
            rows = min(1 << max(count - 1, 1).bit_length(), self.most) + 1
            while rows not in self._plans:
                flags = [k in self._moved for k in range(len(self._arrays))]
                fewest = rows == LEAST + 1
                limits = self._machine if fewest else replace(self._machine, memory=None)
                plan = plan_of(batch(self._graph, flags, rows), limits)
                need = plan.peak + plan.input_bytes
                if need > self._room and not fewest:
                    rows = max(LEAST + 1, min(rows // 2, rows * self._room // need))
                    self.most = rows - 1
                else:
                    self._plans[rows] = plan
        return self._plans[rows], rows


def _met(noted: Sequence[tuple[Node, Array]], row: int) -> tuple[Node, ...]:
    return tuple(node for node, rows in noted if rows[row])


def most_rows(graph: Graph, room: int = ROOM) -> int:
    """How many points are run at once, as far as the largest array of the graph lets it be seen."""
    return max(LEAST, min(MOST, room // (2 * _largest(graph) + 1)))


def _largest(graph: Graph) -> int:
    read = {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}
    made = (out for node in graph.nodes for out in node.outs if out.id in read)
    own = [nbytes(value) for value in (*graph.inputs, *made)]
    inner = [_largest(region) for node in graph.nodes for region in regions(node).values()]
    return max([*own, *inner], default=0)


def calls_of(graph: Graph) -> int:
    """How many operators are called when a graph is run, where loops take all of their turns."""
    inner = (
        (definite(node.params.get("turns", 1)), region) for node in graph.nodes for region in regions(node).values()
    )
    return len(graph.nodes) + sum(turns * calls_of(region) for turns, region in inner)

"""A graph run at a point, and again near it, where what is held keeps what it had at the point.

    near(x)  =  the graph at x, with  stop_gradient(e) := its value at the point,  turns of a loop := those at the point

What a derivative means is the slope of `near`: nothing flows through `stop_gradient`, and a `while` is differentiated
through the turns that it took. What is met in the run at the point is written on a tape, and read in the same order in
each run near it, as both take the same way: so it does not matter how deep in loops and checkpoints a node lies.

The tape also knows on which piece each operator with a kink or a step was. A run near the point tells which of them
left it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.engine import Machine, plan_of, run_plan
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Graph, Node
from gradcli.ir.region import regions
from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np

    from gradcli.plan import Plan

    Array = np.ndarray[Any, Any]

MANY = 20_000  # operators called, from which on it is worth a plan
Seen = Callable[[Node, Sequence[Any]], None]  # is told of each node that is run at the point, with its operands


@record(eq=False)
class Near:
    """What a run near the point gave: the outputs, the operators that are on another piece, the loops whose number of
    turns would be another."""

    outputs: list[Array]
    kinks: tuple[Node, ...]
    turns: tuple[Node, ...]


@record(eq=False)
class _Step:
    """A node, which of its results are read, and the values that are read for the last time."""

    node: Node
    wanted: tuple[bool, ...]
    last: tuple[int, ...]
    watched: bool  # whether it may lie on different pieces


class Held:
    """A graph at a point. `outputs` are those at the point.

    Raises DataError where an operator refuses the data.
    """

    def __init__(self, graph: Graph, arrays: Sequence[Any], seen: Seen | None = None) -> None:
        self._graph, self._seen = graph, seen
        self._steps: dict[int, list[_Step]] = {}  # by the id of a graph, which `graph` keeps alive
        self._tape: list[Any] = []
        self._place: int | None = None  # None while the tape is written
        self._kinks: dict[int, Node] = {}
        self._turns: dict[int, Node] = {}
        self._fast = calls_of(graph) > MANY and not any(_matters(step) for step in self._steps_of(graph))
        self._plan: Plan | None = None
        self.outputs = self._quietly(arrays)

    def near(self, arrays: Sequence[Any]) -> Near:
        """The graph at other inputs of the same shapes. Long loops without anything to hold or watch are planned."""
        if self._fast:
            machine = Machine()
            self._plan = self._plan or plan_of(self._graph, machine)
            return Near(run_plan(self._plan, arrays, machine), (), ())
        self._place, self._kinks, self._turns = 0, {}, {}
        outputs = self._quietly(arrays)
        return Near(outputs, tuple(self._kinks.values()), tuple(self._turns.values()))

    def _quietly(self, arrays: Sequence[Any]) -> list[Array]:
        import numpy as np

        with np.errstate(all="ignore"):
            return self.run(self._graph, arrays)

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, graph: Graph, arrays: Sequence[Any], *, watched: bool = True) -> list[Array]:
        """The outputs of the graph, or of one inside it; `watched` whether it matters on which pieces it lies."""
        import numpy as np

        env = {value.id: array for value, array in zip(graph.inputs, arrays, strict=True)}
        for step in self._steps_of(graph):
            made = self._results(step, [env[value.id] for value in step.node.inputs], watched and step.watched)
            for out, array in zip(step.node.outs, made, strict=True):
                if array is not None:
                    env[out.id] = np.asarray(array, NUMPY_NAMES[out.dtype])
            for value in step.last:
                env.pop(value, None)
        return [env[value.id] for value in graph.outputs]

    def _results(self, step: _Step, operands: list[Any], watched: bool) -> tuple[Any, ...]:
        import numpy as np

        node = step.node
        if self._seen is not None and self._place is None:
            self._seen(node, operands)
        if holds(node):
            return (self._kept(operands[0]),)
        params = node.params
        if inner := regions(node):
            params = params | {name: _Region(self, node, graph, name) for name, graph in inner.items()}
        if node.prim.lazy:
            params = params | {"wanted": step.wanted}
        made = node.prim.eval(np, *operands, **params)
        made = made if isinstance(made, tuple) else (made,)
        if watched:
            pieces = made if node.prim.branch is None else (node.prim.branch(np, *operands, **params),)
            mark = hash(tuple(_mark(piece) for piece in pieces))
            if self._kept(mark) != mark:
                self._kinks[id(node)] = node
        return made

    def goes_on(self, node: Node, asked: bool) -> bool:
        """Whether a loop takes another turn: as it did at the point."""
        kept = bool(self._kept(asked))
        if kept != asked:
            self._turns[id(node)] = node
        return kept

    def _kept(self, value: Any) -> Any:
        """What stands on the tape; at the point `value` is put there."""
        if self._place is None:
            self._tape.append(value)
            return value
        self._place += 1
        return self._tape[self._place - 1]

    # ── what is known of a graph ────────────────────────────────────────────────────────────────────────────

    def _steps_of(self, graph: Graph) -> list[_Step]:
        found = self._steps.get(id(graph))
        if found is None:
            found = self._steps[id(graph)] = _steps(graph)
        return found


def _matters(step: _Step) -> bool:
    """Whether a node is held or watched, or one inside it is."""
    inner = regions(step.node)
    if holds(step.node) or step.watched or "cond" in inner:
        return True
    return any(_matters(below) for graph in inner.values() for below in _steps(graph))


def calls_of(graph: Graph) -> int:
    """How many operators are called when a graph is run node by node."""
    inner = ((int(node.params.get("turns", 1)), region) for node in graph.nodes for region in regions(node).values())
    return len(graph.nodes) + sum(turns * calls_of(region) for turns, region in inner)


class _Region:
    """What a node runs in place of a graph that it holds."""

    def __init__(self, held: Held, node: Node, graph: Graph, name: str) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._held, self._node, self._graph, self._asks = held, node, graph, name == "cond"

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        if not self._asks:
            return self._held.run(self._graph, arrays)
        (asked,) = self._held.run(self._graph, arrays, watched=False)  # whether to go on is held: a kink there is none
        return [self._held.goes_on(self._node, bool(asked))]


def holds(node: Node) -> bool:
    """Whether a node's value is held: a `stop_gradient` of the model, not one by which a rule treats a single point."""
    return node.prim.stops and not node.params.get("by_rule", False)


def _steps(graph: Graph) -> list[_Step]:
    read = {value.id for value in graph.outputs}
    moving = {*read}  # what outputs depend on, but for what is held: there a kink is none
    steps = []
    for node in reversed(graph.nodes):
        matters = any(out.id in moving for out in node.outs)
        if matters and not holds(node):
            moving.update(value.id for value in node.inputs)
        wanted = tuple(out.id in read for out in node.outs)
        last = {value.id for value in node.inputs if value.id not in read}
        last |= {out.id for out, has in zip(node.outs, wanted, strict=True) if not has}
        read.update(value.id for value in node.inputs)
        steps.append(_Step(node, wanted, tuple(last), matters and _watched(node)))
    return steps[::-1]


def _watched(node: Node) -> bool:
    """Whether floats decide on which of several pieces the node's results lie."""
    if node.prim.branch is not None:
        return True
    steps = node.prim.flat or not any(out.aval.is_float for out in node.outs)
    return steps and not regions(node) and any(value.aval.is_float for value in node.inputs)


def _mark(piece: Any) -> int:
    """Equal for equal arrays, 0 and -0 being equal, and with near certainty for no others."""
    import numpy as np

    array = np.asarray(piece)
    return hash((array if array.dtype.kind == "b" else array + 0).tobytes())

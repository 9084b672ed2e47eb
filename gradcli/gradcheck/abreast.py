"""A graph at many points at once, where what is held keeps what it has at the first of them.

    near(x)  =  the graph at x, with  stop_gradient(e) := its value at the point,  turns of a loop := those at the point

Row 0 of the batch is the point, the other rows lie near it. `steadied` puts an operator with a batch rule of its own
where something is held or watched, so that any depth of loops and checkpoints is batched, planned and run like every
other graph:

- the value of a `stop_gradient` becomes, in each row, that of row 0;
- a loop goes on while row 0 does, and takes down the rows that would not do the same;
- an operator with a kink or a step takes down the rows that lie on another piece than row 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gradcli.ad import scan_rules
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.primitive import Primitive
from gradcli.ir.region import regions
from gradcli.ops.batching import aligned, further, grown
from gradcli.record import replace

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Log:
    """What a run takes down: for each operator with a kink, and each loop, which rows went another way than row 0."""

    def __init__(self) -> None:
        self.kinks: dict[int, tuple[Node, Array]] = {}
        self.turns: dict[int, tuple[Node, Array]] = {}

    def clear(self) -> None:
        self.kinks.clear()
        self.turns.clear()


def steadied(graph: Graph, log: Log) -> Graph:
    """The same graph, whose batch holds what row 0 has. Nodes inside `graph` are those that the log names."""
    return _Steadied(log).of(graph, watched=True)


def holds(node: Node) -> bool:
    """Whether a node's value is held: a `stop_gradient` of the model, not one by which a rule treats a single point."""
    return node.prim.stops and not node.params.get("by_rule", False)


class _Steadied:
    """Graphs that several nodes hold are made once, so that those nodes still hold the same one."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._made: dict[tuple[int, bool], Graph] = {}

    def of(self, graph: Graph, *, watched: bool) -> Graph:
        key = (id(graph), watched)
        if key not in self._made:
            self._made[key] = self._copy(graph, watched)
        return self._made[key]

    def _copy(self, graph: Graph, watched: bool) -> Graph:
        builder = Builder()
        env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
        builder.names[:] = graph.names or builder.names
        moving = _moving(graph) if watched else set()
        for node in graph.nodes:
            builder.spans = node.spans
            args = [env[value.id] for value in node.inputs]
            matters = any(out.id in moving for out in node.outs)
            outs: Sequence[Value] = builder.emit(*self._held(node, args, matters))
            if matters and _watched(node):
                outs = self._watch(builder, node, args, outs)
            env.update({old.id: new for old, new in zip(node.outs, outs, strict=True)})
        return builder.close([env[value.id] for value in graph.outputs])

    def _held(self, node: Node, args: list[Value], matters: bool) -> tuple[Primitive, list[Value], dict[str, Any]]:
        if holds(node):
            return HOLD, args, {}
        # Whether a loop goes on is held: a kink there is none.
        inner = {name: self.of(one, watched=matters and name != "cond") for name, one in regions(node).items()}
        prim, params = node.prim, {**node.params, **inner}
        if prim.name == "scan":
            prim = replace(prim, batch=partial(scan_rules.batched, steer=_steered(node, self._log)))
        return prim, args, params

    def _watch(self, builder: Builder, node: Node, args: list[Value], outs: Sequence[Value]) -> Sequence[Value]:
        if node.prim.branch is None:
            prim = _watching(node, self._log, None)
            return [builder.emit(prim, [out])[0] for out in outs]
        prim = _watching(node, self._log, node.prim.branch)
        return [*builder.emit(prim, [outs[0], *args]), *outs[1:]]


def _moving(graph: Graph) -> set[int]:
    """The values that outputs depend on, but for what is held: there a kink is none."""
    moving = {value.id for value in graph.outputs}
    for node in reversed(graph.nodes):
        if not holds(node) and any(out.id in moving for out in node.outs):
            moving.update(value.id for value in node.inputs)
    return moving


def _watched(node: Node) -> bool:
    """Whether floats decide on which of several pieces the node's results lie."""
    if node.prim.branch is not None:
        return True
    steps = node.prim.flat or not any(out.aval.is_float for out in node.outs)
    return steps and not holds(node) and not regions(node) and any(value.aval.is_float for value in node.inputs)


# ── operators that are met in these graphs only ─────────────────────────────────────────────────────────────


def _first(x: Aval, *others: Aval) -> tuple[Aval]:
    return (x,)


def _same(xp: Any, x: Any, *others: Any) -> Any:
    return x


def _passing(name: str, eval: Callable[..., Any], batch: Callable[..., Any] | None = None) -> Primitive:
    """An operator that gives its first operand, or something of its shape."""
    return Primitive(name, "general", _first, eval, None, lambda node: 0, view=True, batch=batch)


ROW_0 = _passing("row 0 for all", lambda xp, x: xp.broadcast_to(x[:1], x.shape))
HOLD = _passing("hold", _same, lambda args, has, size: args[0].builder.emit(ROW_0, args))


def _steered(node: Node, log: Log) -> Callable[[Value], Value]:
    """What row 0 says, for all rows; those that say something else take other turns."""

    def eval(xp: Any, x: Any) -> Any:
        _take_down(log.turns, node, x != x[0])
        return x[0]

    def infer(x: Aval) -> tuple[Aval]:
        return (Aval((), x.dtype),)

    prim = Primitive("turns of row 0", "general", infer, eval, None, lambda node: 0)
    return lambda x: x.builder.emit(prim, (x,))[0]


def _watching(node: Node, log: Log, branch: Callable[..., Any] | None) -> Primitive:
    """Its batch gives its first operand, and takes down the rows that lie on another piece than row 0: `branch` of the
    other operands tells which piece that is, or else the first operand itself."""

    def batch(args: Sequence[Value], has: Sequence[bool], size: Size) -> tuple[Value, ...]:
        out, *operands = args
        params = node.params
        if node.prim.kind == "elementwise":
            operands = aligned(operands, has[1:]) if operands else []
        else:
            operands = [grown(x, own, size) for x, own in zip(operands, has[1:], strict=True)]
            params = further(params, size)

        def eval(xp: Any, x: Any, *others: Any) -> Any:
            _take_down(log.kinks, node, _elsewhere(xp, x if branch is None else branch(xp, *others, **params)))
            return x

        return out.builder.emit(_passing("watched", eval), [grown(out, has[0], size), *operands])

    return _passing("watch", _same, batch)


def _elsewhere(xp: Any, pieces: Any) -> Any:
    """Which rows are not those of row 0; what is no number is equal to itself."""
    apart = pieces != pieces[:1]
    if not apart.any():
        return apart[:0]
    apart &= (pieces == pieces) | (pieces[:1] == pieces[:1])
    return apart.reshape(len(apart), -1).any(axis=1)


def _take_down(noted: dict[int, tuple[Node, Array]], node: Node, rows: Any) -> None:
    if rows.any():
        known = noted.get(id(node))
        noted[id(node)] = (node, rows if known is None else known[1] | rows)

"""Which operator is at fault where a gradient is wrong: each node of the graph by itself, at the operands that it has.

A node's rule is held against differences along a random direction of each of its operands, and its tangent against its
cotangent. Nodes inside loops and checkpoints are tried on their first turns; where one of them is at fault, the node
that holds them is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.engine import Machine
from gradcli.gradcheck.gradient import One, Try, drawn, signs
from gradcli.gradcheck.placing import own_span, place_of
from gradcli.gradcheck.slopes import Weighted
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.live import outputs_from
from gradcli.ir.region import interpret, regions
from gradcli.request import Culprit
from gradcli.syntax.diagnostics import Diagnostic, ModelError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DUALITY, UNITS = 1e-12, 64  # how far both modes may be apart, and in units of rounding
TURNS = 3  # on how many turns of a loop a node is tried
SAME = 64  # and how many nodes of one operator, until one is at fault
QUIET = 50_000  # nodes run since the last that was tried: once one is at fault, nothing new is to be expected
WORDS = ("first", "second", "third", "fourth", "fifth")


def culprits(graph: Graph, arrays: Sequence[Array], seed: int) -> tuple[Culprit, ...]:
    """Each operator, place and operand once."""
    tried: Counter[Any] = Counter()
    found: dict[Any, Culprit] = {}
    holders: dict[Any, set[int]] = {}  # the nodes at fault that hold a graph
    innocent: set[int] = set()  # those in which something is
    since = count(1)

    def seen(node: Node, operands: Sequence[Any], around: Sequence[Node]) -> None:
        nonlocal since
        if found and next(since) > QUIET:
            raise _Enough
        if tried[id(node)] >= TURNS or tried[node.prim.name] >= SAME or not _differentiable(node):
            return
        since = count(1)
        tried.update([id(node), node.prim.name])
        for one in node_faults(node, operands, seed):
            key = (one.operator, one.at, one.operand)
            found.setdefault(key, one)
            innocent.update(map(id, around))
            if regions(node):
                holders.setdefault(key, set()).add(id(node))

    with suppress(_Enough):
        _seen(graph, arrays, seen)
    plain = [one for key, one in found.items() if key not in holders]
    return tuple(plain or [one for key, one in found.items() if not holders[key] & innocent])


class _Enough(Exception):
    """What is at fault is known."""


Seen = Callable[[Node, Sequence[Any], Sequence[Node]], None]


def _seen(graph: Graph, arrays: Sequence[Any], seen: Seen, around: tuple[Node, ...] = ()) -> list[Any]:
    """Run the graph, and tell `seen` of each node with its operands, in loops and checkpoints too, and of the nodes
    that hold it."""
    import numpy as np

    env = {value.id: array for value, array in zip(graph.inputs, arrays, strict=True)}
    for node in graph.nodes:
        operands = [env[value.id] for value in node.inputs]
        seen(node, operands, around)
        inner = {name: _Region(region, seen, (*around, node)) for name, region in regions(node).items()}
        with np.errstate(all="ignore"):
            made = node.prim.eval(np, *operands, **{**node.params, **inner})
        for out, array in zip(node.outs, made if isinstance(made, tuple) else (made,), strict=True):
            env[out.id] = np.asarray(array, NUMPY_NAMES[out.dtype])
    return [env[value.id] for value in graph.outputs]


class _Region:
    """What a node runs in place of a graph that it holds."""

    def __init__(self, graph: Graph, seen: Seen, around: tuple[Node, ...]) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._graph, self._told, self._around = graph, seen, around

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        return _seen(self._graph, arrays, self._told, self._around)


def _differentiable(node: Node) -> bool:
    floats = any(value.aval.is_float for value in node.inputs) and any(out.aval.is_float for out in node.outs)
    return floats and not node.prim.flat and not node.prim.stops


def node_faults(node: Node, operands: Sequence[Array], seed: int) -> Iterator[Culprit]:
    """What is wrong with the rules of one node, at its operands."""
    graph, arrays = _alone(node, operands)
    if not all(_finite(array) for array in arrays):
        return
    moved = [k for k, value in enumerate(graph.inputs) if value.aval.is_float]
    values = _values(graph, arrays)
    weighted = Weighted(graph, arrays, drawn([out.aval for out in graph.outputs], seed), values, moved, Machine())
    if not weighted.finite:
        return
    for k, value in enumerate(graph.inputs):
        if not value.aval.is_float or arrays[k].size == 0:
            continue
        try:
            tried, pushed = _both_modes(graph, k, weighted, seed)
        except ModelError:  # no rule: it says so itself
            return
        operand = next(n for n, name in enumerate(_names(node)) if name == graph.names[k])
        if tried.disagrees:
            yield _culprit(node, operand, "reverse", tried.found, tried.slope.value)
        elif abs(pushed - tried.found) > max(DUALITY, UNITS * tried.eps) * max(tried.size, abs(pushed)):
            yield _culprit(node, operand, "forward", pushed, tried.found)


def _both_modes(graph: Graph, k: int, weighted: Weighted, seed: int) -> tuple[Try, float]:
    """The worst of two ways in reverse mode, and the slope along it in forward mode."""
    import numpy as np

    arrays, value = weighted.arrays, graph.inputs[k]
    with np.errstate(all="ignore"):
        back = outputs_from(reverse(graph, [k], sens="inputs"), len(graph.outputs))
        cts = [ct.astype(array.dtype) for ct, array in zip(weighted.cts, weighted.values, strict=True)]
        (gradient,) = interpret(np, back, [*arrays, *cts])
        one = One(weighted, k, gradient, value.dtype)
        ways = [(one.scales * signs(gradient.shape, seed, k, n)).astype(arrays[k].dtype) for n in range(2)]
        tries = one.tried([one.way(way.astype("float64")) for way in ways])
        worst = int(np.argmax([one.apart - one.allowed for one in tries]))
        along = outputs_from(forward(graph, [k]), len(graph.outputs))
        tangents = interpret(np, along, [*arrays, ways[worst]])
    return tries[worst], sum(float((ct * t).sum()) for ct, t in zip(weighted.cts, tangents, strict=True))


def _alone(node: Node, operands: Sequence[Array]) -> tuple[Graph, list[Array]]:
    """The node as a graph of its own. A constant stays one: rules look at it."""
    builder = Builder()
    builder.spans = node.spans
    values: list[Value] = []
    arrays: list[Array] = []
    for value, array, name in zip(node.inputs, operands, _names(node), strict=True):
        if value.node is not None and value.node.prim.name == "constant":
            values += builder.emit(value.node.prim, (), value.node.params)
        else:
            values.append(builder.input(value.aval, name))
            arrays.append(array)
    outs = builder.emit(node.prim, values, node.params)
    return builder.finish([out for out in outs if out.aval.is_float]), arrays


def _names(node: Node) -> list[str]:
    return [f"operand {k}" for k in range(len(node.inputs))]


def _values(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    import numpy as np

    with np.errstate(all="ignore"):
        return interpret(np, graph, arrays)


def _finite(array: Array) -> bool:
    import numpy as np

    return bool(np.isfinite(array).all())


def _culprit(node: Node, operand: int, mode: Any, found: float, expected: float) -> Culprit:
    floats = sum(value.aval.is_float for value in node.inputs)
    which = "operand" if floats == 1 else f"{WORDS[operand]} operand" if operand < 5 else f"operand {operand + 1}"
    by = ("its rule", "differences") if mode == "reverse" else ("forward mode", "reverse mode")
    message = f"the derivative of `{node.prim.name}` by its {which} is wrong"
    label = f"{found:.6g} by {by[0]}, {expected:.6g} by {by[1]}"
    notes = ("tried alone, at the operands that it has here, in a random direction",)
    said = Diagnostic("NUM095", message, own_span(node.spans), label=label, notes=notes)
    return Culprit(node.prim.name, operand, mode, found, expected, place_of(node.spans), said)

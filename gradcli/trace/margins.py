"""Near misses of a run: magnitudes near the limits of a dtype, cancellation, and gradients on their way back.

For each place of the model and each role the worst is kept. A sum loses log10(max |term| / |sum|) digits; it is told
where that is half of what the dtype has or more. A sum that is exactly 0 is left out: `x - max(x)` means it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.facts.trace import Born, Flow, Loss, Margins, Near
from gradcli.ir.aval import EPS, NUMPY_NAMES
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node, Value
from gradcli.syntax.diagnostics import Span
from gradcli.trace.places import Around, role_of, span_around
from gradcli.trace.saying import depth, operator
from gradcli.trace.tracer import LIMITS
from gradcli.trace.turns import Turns

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

LEAST = {name: float(np.finfo(NUMPY_NAMES[name]).tiny) for name in LIMITS}
MOST = 5  # rows of a table
FAR = 1e8  # from a limit: of no interest beside the nearest
SUMS = ("add", "sub", "reduce_sum")
POWERS = ("exp", "exp2", "sigmoid")  # that are 0 for no number
ADDING = ("add", "add_slice", "scatter_add")
SHRINKING = ("mul", "div", "exp", "exp2", "pow", "square", "sigmoid", "reduce_prod")  # what can underflow to 0


class Probe:
    """Looks at every step of a run; `margins` tells what it saw.

    Arrays come stacked, `[turns, *shape]`, with as many turns as are looked at together; `[1, *shape]` where there is
    no loop, or all turns have the same. `turns` knows those of the model; `alone` are loops of which the first turn is
    written out; `inside` has the whole names of what is named in layers.
    """

    def __init__(self, turns: Turns, alone: Sequence[Span], inside: Mapping[int, str]) -> None:
        self._turns, self._alone, self._inside = turns, alone, inside
        self._sizes: dict[Value, tuple[float, float]] = {}  # the largest and the least magnitude that is no 0
        self._places: dict[Any, tuple[Any, Born, str]] = {}
        self._near: dict[Any, Near] = {}
        self._losses: dict[Any, Loss] = {}
        self._flow: dict[tuple[Value, int | None], Flow] = {}

    def look(self, around: Around, node: Node, operands: Sequence[Array], made: Sequence[Array | None]) -> None:
        """One step. What is not finite is left to the tracer."""
        if node.prim.name == "constant":
            return
        for out, array in zip(node.outs, made, strict=True):
            if array is None or not array.size or not out.aval.is_float:
                continue
            self._flows(around, out, array)
            if not node.prim.view:
                self._limits(around, node, operands, out, array)
        if node.prim.name in SUMS and made[0] is not None and node.outs[0].aval.is_float and made[0].size:
            self._cancels(around, node, operands, made[0])

    def _place(self, around: Around, node: Node) -> tuple[Any, Born, str]:
        key = node, around.node, None if around.outer is None else around.outer.node
        if key not in self._places:
            role = role_of(around, node)
            name = operator(role.prim if role else node.prim.name)
            self._places[key] = span_around(around, node), "value" if role is None else role.kind, name
        return self._places[key]

    def margins(self) -> Margins:
        """The worst of each kind."""
        near = sorted(self._near.values(), key=lambda one: one.room)
        near = [one for k, one in enumerate(near[:MOST]) if not k or one.room < FAR]
        losses = sorted(self._losses.values(), key=lambda one: one.digits - one.held, reverse=True)
        return Margins(tuple(near), tuple(losses[:MOST]), tuple(self._flow.values()))

    # ── magnitudes ──────────────────────────────────────────────────────────────────────────────────────────

    def _limits(self, around: Around, node: Node, operands: Sequence[Array], out: Value, array: Array) -> None:
        self._sizes.pop(out, None)
        size = np.abs(array)
        largest = float(np.maximum.reduce(size, axis=None))
        if not largest < math.inf:
            size = size[np.isfinite(size)]
            largest = float(size.max(initial=0))
        if not size.size:
            return
        place, dtype = self._place(around, node), out.dtype
        least = float(np.minimum.reduce(size, axis=None))
        if least == 0:
            if _vanished(node, operands, array):
                self._keep(place, dtype, 0.0, LEAST[dtype], 0.0, small=True)
            least = float(np.minimum.reduce(size, axis=None, where=size > 0, initial=np.inf)) if largest else math.inf
        self._sizes[out] = largest, least
        if largest > 0:
            self._keep(place, dtype, largest, LIMITS[dtype], LIMITS[dtype] / largest, small=False)
            self._keep(place, dtype, least, LEAST[dtype], least / LEAST[dtype], small=True)

    def _keep(self, place: Any, dtype: str, value: float, limit: float, room: float, *, small: bool) -> None:
        span, born, name = place
        known = self._near.get((place, small))
        if known is None or room < known.room:
            self._near[place, small] = Near(span, born, name, dtype, value, limit, room, small)

    # ── sums ────────────────────────────────────────────────────────────────────────────────────────────────

    def _cancels(self, around: Around, node: Node, operands: Sequence[Array], array: Array) -> None:
        dtype = node.outs[0].dtype
        held = -math.log10(EPS[dtype])
        if node.outs[0] not in self._sizes:
            return  # nothing finite is left
        _, least = self._sizes[node.outs[0]]
        if max(map(self._largest, node.inputs, operands)) < least * 10 ** (held / 2):
            return  # whichever meet
        if node.prim.name == "reduce_sum":
            axes = tuple(axis + 1 for axis in node.params["axes"])
            terms = np.max(np.abs(operands[0]), axis=axes, initial=0) if axes else np.abs(operands[0])
        else:
            terms = np.maximum(*[np.abs(_level(x, array.ndim)) for x in operands])
        left = np.abs(array)
        lost = np.where((left > 0) & np.isfinite(terms) & np.isfinite(left), terms, 0) / np.where(left > 0, left, 1)
        worst = int(np.argmax(lost))
        digits = math.log10(float(np.ravel(lost)[worst])) if np.ravel(lost)[worst] > 0 else 0.0
        place = self._place(around, node)
        known = self._losses.get(place)
        if digits >= held / 2 and (known is None or digits > known.digits):
            at = tuple(int(k) for k in np.unravel_index(worst, array.shape))
            numbers = float(np.broadcast_to(terms, array.shape)[at]), float(array[at])
            self._losses[place] = Loss(*place, dtype, at[1:], *numbers, min(digits, held), held)

    def _largest(self, value: Value, array: Array) -> float:
        """The largest magnitude that is finite; of a step that was looked at just now it is known."""
        if value in self._sizes and value.node is not None and not value.node.prim.view:
            return self._sizes[value][0]
        size = np.abs(array)
        largest = float(np.maximum.reduce(size, axis=None, initial=0))
        return largest if largest < math.inf else float(size[np.isfinite(size)].max(initial=0))

    # ── gradients ───────────────────────────────────────────────────────────────────────────────────────────

    def follows(self, around: Around) -> bool:
        """Whether what a loop carries is told of, turn by turn: an adjoint loop of the outermost graph."""
        _, loop = self._turns.of(around)
        if loop.outer is None or loop.outer.outer is not None or depth(role_of(loop.outer, loop.node)) != 1:
            return False
        spans = () if around.node is None else around.node.spans
        # Of a loop that was cut it goes from chunk to chunk, and the turns are in these.
        return not any(node.prim.name == "scan" and node.spans == spans for node in around.graph.nodes)

    def carries(
        self, around: Around, values: Sequence[Value], arrays: Sequence[Array], turns: Sequence[int]
    ) -> None:  # fmt: skip
        """What a loop that is followed carries, after each of these turns; not the sums that it adds up."""
        sums = {_added_to(out).id for out in around.graph.outputs}
        first, loop = self._turns.of(around._replace(turn=turns[0]))
        numbers = [None if first is None else first + turn - turns[0] for turn in turns]
        found = [
            self._flowed(loop, value, np.broadcast_to(array, (len(turns), *array.shape[1:])), numbers)
            for value, array in zip(values, arrays, strict=True)
            if value.id not in sums
        ]
        for turn in zip(*filter(None, found), strict=True):
            self._flow.update(turn)

    def _flows(self, around: Around, out: Value, array: Array) -> None:
        if around.outer is None and out.node is not None and depth(out.node.role) == 1:
            self._flow.update(self._flowed(around, out, array, [None]))

    def _flowed(
        self, around: Around, value: Value, array: Array, turns: Sequence[int | None]
    ) -> list[tuple[Any, Flow]]:
        """A gradient in each of these turns, or (None) outside of loops; `array` is stacked."""
        if not (value.hint.startswith("d_") and value.aval.is_float and array.size):
            return []
        inside = turns[0] is not None
        shape = tuple(map(definite, value.shape))
        span = span_around(around, around.node if inside else value.node)
        name = self._inside.get(value.id, value.hint[2:])
        ends = not inside and any(value is out for out in around.graph.outputs)
        alone = not inside and not ends and span is not None and self._in_first(span)
        rows = array.reshape(len(turns), -1)
        zeros = 1 - np.count_nonzero(rows, axis=1) / rows.shape[1]
        return [
            ((value, turn), Flow(span, name, shape, rms, share, 0 if alone else turn, ends))
            for turn, rms, share in zip(turns, _rms(rows).tolist(), zeros.tolist(), strict=True)
        ]

    def _in_first(self, span: Span) -> bool:
        """Whether a line stands in a loop of which the first turn alone is written out."""
        return any(span.source is loop.source and loop.start < span.start < loop.end for loop in self._alone)


def _added_to(value: Value) -> Value:
    """What a loop adds to: its own additions, unlike those of a derivative, have no role."""
    while value.node is not None and value.node.role is None and value.node.prim.name in ADDING:
        value = value.node.inputs[0]
    return value


def _vanished(node: Node, operands: Sequence[Array], array: Array) -> bool:
    """Whether a product or a power is 0 whose operands are not."""
    if node.prim.name not in SHRINKING or node.prim.kind != "elementwise":
        return False
    operands = [_level(x, array.ndim) for x in operands]
    alive = np.logical_and.reduce([np.broadcast_to(np.isfinite(x), array.shape) for x in operands])
    for x in operands[:1] if node.prim.name != "mul" else operands:
        alive = alive & ((x != 0) | (node.prim.name in POWERS))
    return bool((alive & (array == 0)).any())


def _level(array: Array, rank: int) -> Array:
    """A stack of arrays of lower rank, so that it meets one of that rank turn by turn."""
    return array.reshape((len(array), *(1,) * (rank - array.ndim), *array.shape[1:]))


def underflows(name: str, numbers: Sequence[float]) -> bool:
    """Whether an operator that gave 0 did so for numbers whose result is not 0."""
    if not all(map(math.isfinite, numbers)):
        return False
    return name in POWERS or all(numbers if name == "mul" else numbers[:1])


def _rms(rows: Array) -> Array:
    """Of each row the root of its mean square, without overflow of the squares."""
    size = np.abs(rows.astype(np.float64, copy=False))
    largest = size.max(axis=1)
    scale = np.where(np.isfinite(largest) & (largest > 0), largest, 1.0)
    known: Array = scale * np.sqrt(np.mean((size / scale[:, None]) ** 2, axis=1))
    return np.where(np.isfinite(largest), known, largest)

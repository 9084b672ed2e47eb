"""A graph run node by node, watching where a number stops being finite.

Every value is asked for its extremes when it is made, and freed after its last use; so a run keeps one more value than
a plain one at most. Where a result is not finite, its elements are told apart:

- an element made of finite operands was *born* here: a `Birth`, with the operands' values at that element;
- all others were handed on by the operands. What a value has of which births are its *roots*.

Inside a checkpoint it is the same. Loops run as they do in a plan; which of their turns are looked into, and when, is
told in `loops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradcli.backends.program import Body, refused
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.region import regions
from gradcli.plan import make_flat
from gradcli.record import record
from gradcli.trace.loops import NONE, Turns
from gradcli.trace.places import Around
from gradcli.trace.recording import Recording, stacked

if TYPE_CHECKING:
    from gradcli.trace.margins import Probe

    Array = np.ndarray[Any, Any]

Roots = frozenset[int]
LIMITS = {name: float(np.finfo(NUMPY_NAMES[name]).max) for name in ("f16", "f32", "f64")}
MOST_BIRTHS = 10_000
ADDS = ("reduce_sum", "matmul", "cumsum", "overlap_add", "add_slice", "scatter_add")  # what overflows by adding up

Watch = Callable[[Around, Node, Sequence["Array"], Sequence["Array | None"]], None]


@record(eq=False)
class Birth:
    """A number that is not finite, made of finite ones; of data (`node` None) or of a constant, that came so.

    `operands` are what the step read: for an elementwise one the numbers at the element, else the largest magnitudes.
    """

    around: Around
    node: Node | None
    out: Value
    index: tuple[int, ...]
    count: int
    value: float
    operands: tuple[float, ...] = ()
    place: int = -1  # of the data among the inputs


class Bad(NamedTuple):
    """A value that is not finite: of which births, handed on by which operands, what it is there, made of what."""

    value: Value
    node: Node | None
    roots: Roots
    parents: tuple[int, ...]
    what: float
    how: tuple[float, ...]
    lost: bool = False  # every element is nan


class Nearest(NamedTuple):
    """The value that came nearest to what its dtype holds: `room` is the limit over its magnitude."""

    node: Node
    dtype: str
    value: float
    room: float


class Tracer:
    """One run. `births` are in the order of the run; `bad` tells of the values of the outermost graph, by id."""

    def __init__(
        self,
        watch: Watch | None = None,
        on_step: Callable[[str], None] | None = None,
        probe: Probe | None = None,  # is told of every step, and of those in loops for many turns together
        only: Around | None = None,  # of loops, these turns are looked into, and no other
        on_birth: Callable[[Birth], None] | None = None,
    ) -> None:
        self.births: list[Birth] = []
        self.bad: dict[int, Bad] = {}
        self.masked: dict[int, tuple[Node, int]] = {}  # birth → the `where` that leaves it out, and which operand it is
        self.nearest: Nearest | None = None
        self.watch, self.probe = watch, probe
        self.on_step, self.on_birth = on_step, on_birth
        self.only = None if only is None else _turns_around(only)
        self.written: set[int] = set()  # births that are infinities the model writes: `-inf`
        self.flags = 0  # that NumPy raised
        self._share = 0.0  # of the limit, of the nearest
        self._bodies: dict[Graph, Body] = {}
        self._recordings: dict[tuple[Node | None, ...], Recording] = {}  # by the loop and those around it

    def run(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """The outputs of the graph. Raises ModelError as a plan does: for data that an operator refuses, and where
        memory runs out."""
        around = Around(graph)
        given = [self._data(around, value, array, k)
                 for k, (value, array) in enumerate(zip(graph.inputs, inputs, strict=True))]  # fmt: skip
        with np.errstate(all="call", under="ignore", call=self._flag):
            outs, self.bad = self.nodes(around, inputs, given)
            for record in self._recordings.values():
                self.tell(record)
        return outs

    def _flag(self, kind: str, which: int) -> None:
        self.flags += 1

    def _data(self, around: Around, value: Value, array: Array, place: int) -> Roots:
        """The root of an input that is not finite."""
        if array.dtype.kind != "f" or not array.size or _finite(array):
            return NONE
        return self._born(around, None, value, array, ~np.isfinite(array), (), place)

    # ── one graph ───────────────────────────────────────────────────────────────────────────────────────────

    def nodes(
        self, around: Around, inputs: Sequence[Array], given: Sequence[Roots]
    ) -> tuple[list[Array], dict[int, Bad]]:
        """The outputs of a graph, and what of its values is not finite; `given` are the roots of its inputs."""
        graph = around.graph
        env = {value.id: array for value, array in zip(graph.inputs, inputs, strict=True)}
        bad = {value.id: Bad(value, None, roots, (), _worst(env[value.id]), (), _lost(env[value.id]))
               for value, roots in zip(graph.inputs, given, strict=True) if roots}  # fmt: skip
        last = last_uses(graph)
        on_step = self.on_step if around.outer is None else None
        node: Node | None = None
        try:
            for place, node in enumerate(graph.nodes):
                operands = [env[value.id] for value in node.inputs]
                wanted = [out.id in last for out in node.outs]
                made, found = self._made(around, node, operands, wanted, bad)
                for out, array in zip(node.outs, made, strict=True):
                    if array is not None and out.id in last:
                        env[out.id] = array
                self._inspect(around, node, operands, made, found, bad)
                if on_step is not None:
                    on_step(node.prim.name)
                for value in node.inputs:
                    if last[value.id] == place:
                        env.pop(value.id, None)
        except Exception as error:
            raise refused(error, node) from None
        return [env[value.id] for value in graph.outputs], bad

    def _made(
        self, around: Around, node: Node, operands: Sequence[Array], wanted: Sequence[bool], bad: dict[int, Bad]
    ) -> tuple[list[Array | None], list[Roots]]:
        """The results of a node, as arrays of their own dtypes, None for those of a loop that nobody reads; and the
        roots of each, if the node holds a graph."""
        found: list[Roots] = []
        if regions(node):
            given = [bad[value.id].roots if value.id in bad else NONE for value in node.inputs]
            if node.prim.name == "scan":
                made, found = self._looped(around, node, operands, wanted, given)
            else:
                body = node.params["body"]
                made, inside = self.nodes(Around(body, node, None, around), operands, given)
                found = [inside[value.id].roots if value.id in inside else NONE for value in body.outputs]
        else:
            made = node.prim.eval(np, *operands, **node.params)
            made = made if len(node.outs) > 1 else (made,)
        return [None if array is None else np.asarray(array, NUMPY_NAMES[out.dtype])
                for out, array in zip(node.outs, made, strict=True)], found  # fmt: skip

    def _looped(
        self, around: Around, node: Node, operands: Sequence[Array], wanted: Sequence[bool], given: Sequence[Roots]
    ) -> tuple[Any, list[Roots]]:
        """The results of a loop and their roots."""
        for every in (self.watch is not None or not self._records(around, node), True):
            turns = Turns(self, around, node, operands, given, every=every)
            cond = node.params["cond"]
            params = {**node.params, "body": turns, "cond": None if cond is None else self.body(cond)}
            made = node.prim.eval(np, *operands, **params, wanted=wanted)
            made = made if len(node.outs) > 1 else (made,)
            turns.finish()
            if every or not any(array is not None and not roots and not _finite(array)
                                for array, roots in zip(made, turns.roots, strict=True)):  # fmt: skip
                break
        return made, turns.roots

    def body(self, graph: Graph) -> Body:
        """What runs a region as a plan does, and leaves its inputs as they are."""
        if graph not in self._bodies:
            self._bodies[graph] = Body(make_flat(graph), np, lambda node: node.prim.eval(np, **node.params))
        return self._bodies[graph]

    # ── what a probe is told ────────────────────────────────────────────────────────────────────────────────────

    def recording(self, turn: Around) -> Recording | None:
        """Where the turns of a loop are kept for the probe; None without one. `turn` is one of them."""
        if self.probe is None:
            return None
        chain, at = [], turn
        while at.outer is not None:
            chain.append(at.node)
            at = at.outer
        if (*chain,) not in self._recordings:
            self._recordings[*chain,] = Recording(turn, stacked(turn), self.body)
        return self._recordings[*chain,]

    def _records(self, around: Around, node: Node) -> bool:
        """Whether a loop need not be run node by node for the probe."""
        return self.probe is None or stacked(Around(node.params["body"], node, 0, around)) > 0

    def tell(self, record: Recording) -> None:
        """The probe of the turns that are kept."""
        record.look(self._told)

    def _told(self, around: Around, node: Node, operands: Sequence[Array], made: Sequence[Array | None]) -> None:
        assert self.probe is not None
        self.probe.look(around, node, operands, made)
        for out, array in zip(node.outs, made, strict=True):
            if array is not None and array.size and out.aval.is_float and not node.prim.view:
                self._within(node, out, array)

    def _inspect(
        self,
        around: Around,
        node: Node,
        operands: Sequence[Array],
        made: Sequence[Array | None],
        found: Sequence[Roots],
        bad: dict[int, Bad],
    ) -> None:
        """Note which results are not finite and why, and how near the others came; `found` are roots that are known."""
        if self.watch is not None and not found:
            self.watch(around, node, operands, made)
        if self.probe is not None and not found:
            one = [None if array is None else array[None] for array in made]
            self.probe.look(around, node, [array[None] for array in operands], one)
        spoiled = bool(bad) and any(value.id in bad for value in node.inputs)
        if node.prim.view and not spoiled:
            return
        floats = [(k, out, array) for k, (out, array) in enumerate(zip(node.outs, made, strict=True))
                  if array is not None and array.size and out.aval.is_float]  # fmt: skip
        for k, out, array in floats:
            if self._within(node, out, array):
                continue
            if found:
                parents = tuple(v.id for v in node.inputs if v.id in bad and bad[v.id].roots & found[k])
                bad[out.id] = Bad(out, node, found[k], parents, _worst(array), (), _lost(array))
            else:
                bad[out.id] = self._explained(around, node, operands, out, array, bad)
        if spoiled and node.prim.name == "where":
            self._note_masked(node, operands, bad)

    def _within(self, node: Node, out: Value, array: Array) -> bool:
        """Whether all is finite. Two reductions and no temporary: they tell the distance to the limit, too."""
        high, low = np.maximum.reduce(array, axis=None), np.minimum.reduce(array, axis=None)
        limit = LIMITS[out.dtype]
        largest = float(high) if high > -low else -float(low)
        if not largest <= limit or low != low:
            return False
        if largest > self._share * limit and node.inputs and node.spans:
            self._share = largest / limit
            self.nearest = Nearest(node, out.dtype, largest, limit / largest)
        return True

    # ── where a bad element comes from ──────────────────────────────────────────────────────────────────────

    def _explained(
        self, around: Around, node: Node, operands: Sequence[Array], out: Value, array: Any, bad: dict[int, Bad]
    ) -> Bad:
        parents = [k for k, value in enumerate(node.inputs) if value.id in bad]
        given = [bad[node.inputs[k].id] for k in parents]
        if given and all(g.lost for g in given) and _lost(array):  # nothing more to be learnt
            roots = frozenset().union(*(g.roots for g in given))
            return Bad(out, node, roots, tuple(node.inputs[k].id for k in parents), math.nan, (), True)
        mask = ~np.isfinite(array)
        fresh = mask
        if parents and node.prim.kind == "elementwise":
            reached = {k: mask & _shows(node, operands, k) for k in parents}
            parents = [k for k in parents if reached[k].any()]
            for k in parents:
                fresh = fresh & ~reached[k]
        elif parents:
            fresh = self._without(node, operands, parents, node.outs.index(out)) & mask
        roots = frozenset().union(*(bad[node.inputs[k].id].roots for k in parents))
        if parents and roots <= self.written and node.prim.kind == "elementwise":
            fresh = fresh | np.isnan(array)  # `inf - inf`, of infinities that are meant
        if fresh.any():
            roots |= self._born(around, node, out, array, fresh, operands)
        nans = np.isnan(array)
        at = np.unravel_index(int(np.argmax(nans if nans.any() else mask)), mask.shape)
        how = tuple(map(float, numbers_at(node, operands, at))) if node.prim.kind == "elementwise" else ()
        return Bad(out, node, roots, tuple(node.inputs[k].id for k in parents), float(array[at]), how, _lost(array))

    def _without(self, node: Node, operands: Sequence[Array], parents: Sequence[int], which: int) -> Any:
        """Which elements of a result would not be finite if those of its operands were 0 that are not."""
        if node.prim.name not in ADDS:
            return np.zeros(node.outs[which].shape, bool)
        clean = [np.where(np.isfinite(x), x, x.dtype.type(0)) if k in parents else x for k, x in enumerate(operands)]
        return ~np.isfinite(np.asarray(node.prim.eval(np, *clean, **node.params)))

    def _born(
        self,
        around: Around,
        node: Node | None,
        out: Value,
        array: Array,
        fresh: Array,
        operands: Sequence[Array],
        place: int = -1,
    ) -> Roots:
        """The root of a new birth. Of very many, the last stands for those that follow."""
        if len(self.births) < MOST_BIRTHS:
            at = np.unravel_index(int(np.argmax(fresh)), fresh.shape)
            index = tuple(int(k) for k in at)
            read = tuple(float(number) for number in numbers_at(node, operands, at)) if node is not None else ()
            count = int(np.count_nonzero(fresh))
            self.births.append(Birth(around, node, out, index, count, float(array[at]), read, place))
            if node is not None and node.prim.name == "constant" and not math.isnan(self.births[-1].value):
                self.written.add(len(self.births) - 1)
            if self.on_birth is not None:
                self.on_birth(self.births[-1])
        return frozenset((len(self.births) - 1,))

    def _note_masked(self, node: Node, operands: Sequence[Array], bad: dict[int, Bad]) -> None:
        """Births that a `where` leaves out."""
        for k in (1, 2):
            entry = bad.get(node.inputs[k].id)
            if entry is not None:
                for root in entry.roots:
                    self.masked.setdefault(root, (node, k))


# ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────────


def steps(graph: Graph) -> int:
    """How many steps a run tells of: its nodes, and the turns of its loops."""
    turns = [definite(node.params["turns"]) for node in graph.nodes if node.prim.name == "scan"]
    return len(graph.nodes) + sum(turns)


def _turns_around(around: Around | None) -> dict[Node, int]:
    """The loops around a step, and of each the turn."""
    found: dict[Node, int] = {}
    while around is not None:
        if around.node is not None and around.turn is not None:
            found[around.node] = around.turn
        around = around.outer
    return found


def last_uses(graph: Graph) -> dict[int, int]:
    """Value → the place of the last node that reads it; an output is read after all nodes."""
    last: dict[int, int] = {}
    for place, node in enumerate(graph.nodes):
        for value in node.inputs:
            last[value.id] = place
    last.update((value.id, len(graph.nodes)) for value in graph.outputs)
    return last


def _finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _worst(array: Any) -> float:
    """nan before an infinity."""
    high, low = float(np.maximum.reduce(array, axis=None)), float(np.minimum.reduce(array, axis=None))
    return high if not math.isfinite(high) else low


def _lost(array: Any) -> bool:
    """Whether every element is nan."""
    return bool(np.isnan(array).all())


def _shows(node: Node, operands: Sequence[Array], k: int) -> Any:
    """Where the result sees an element of operand k that is not finite: `where` sees only what it chooses."""
    wrong = ~np.isfinite(operands[k])
    if node.prim.name == "where":
        return wrong & (operands[0] if k == 1 else ~operands[0])
    return wrong


def numbers_at(node: Node, operands: Sequence[Array], at: Sequence[Any]) -> list[Any]:
    """The operands at an element of the result; where the step is not elementwise, their largest magnitudes."""
    if node.prim.kind == "elementwise":
        rank = len(at)
        return [x[tuple(0 if x.shape[d] == 1 else at[rank - x.ndim + d] for d in range(x.ndim))] for x in operands]
    return [
        np.abs(x).max() if x.size and x.dtype.kind == "f" else np.nan if x.size != 1 else x.ravel()[0] for x in operands
    ]

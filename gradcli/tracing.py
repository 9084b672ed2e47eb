"""A graph run node by node, watching where a number stops being finite.

Every value is asked for its extremes when it is made, and freed after its last use; so a run keeps one more value than
a plain one at most. Where a result is not finite, its elements are told apart:

- an element made of finite operands was *born* here: a `Birth`, with the operands' values at that element;
- all others were handed on by the operands. What a value has of which births are its *roots*.

Loops and checkpoints run as they do in a plan. Only where something bad comes out that did not go in are they run once
more, turn by turn and node by node.
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
from gradcli.ir.region import carried, regions
from gradcli.places import Around
from gradcli.plan import make_flat
from gradcli.record import record

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

Roots = frozenset[int]
NONE: Roots = frozenset()
LIMITS = {name: float(np.finfo(NUMPY_NAMES[name]).max) for name in ("f16", "f32", "f64")}
MOST_BIRTHS = 10_000
ADDS = ("reduce_sum", "matmul", "cumsum", "overlap_add", "add_slice", "scatter_add")  # what overflows by adding up

Watch = Callable[[Around, Node, Sequence["Array"], Sequence["Array | None"]], None]
OnCarry = Callable[[Around, Sequence[Value], Sequence["Array"]], None]  # what a loop carries, after each turn


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
        on_carry: OnCarry | None = None,
    ) -> None:
        self.births: list[Birth] = []
        self.bad: dict[int, Bad] = {}
        self.masked: dict[int, tuple[Node, int]] = {}  # birth → the `where` that leaves it out, and which operand it is
        self.nearest: Nearest | None = None
        self.watch = watch
        self.on_step, self.on_carry = on_step, on_carry
        self._share = 0.0  # of the limit, of the nearest
        self._bodies: dict[tuple[Graph, range], Body] = {}

    def run(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """The outputs of the graph. Raises ModelError as a plan does: for data that an operator refuses, and where
        memory runs out."""
        around = Around(graph)
        given = [self._data(around, value, array, k)
                 for k, (value, array) in enumerate(zip(graph.inputs, inputs, strict=True))]  # fmt: skip
        with np.errstate(all="ignore"):
            outs, self.bad = self._graph(around, inputs, given, self.on_step)
        return outs

    def _data(self, around: Around, value: Value, array: Array, place: int) -> Roots:
        """The root of an input that is not finite."""
        if array.dtype.kind != "f" or not array.size or _finite(array):
            return NONE
        return self._born(around, None, value, array, ~np.isfinite(array), (), place)

    # ── one graph ───────────────────────────────────────────────────────────────────────────────────────────

    def _graph(
        self,
        around: Around,
        inputs: Sequence[Array],
        given: Sequence[Roots],
        on_step: Callable[[str], None] | None = None,
    ) -> tuple[list[Array], dict[int, Bad]]:
        graph = around.graph
        env = {value.id: array for value, array in zip(graph.inputs, inputs, strict=True)}
        bad = {value.id: Bad(value, None, roots, (), _worst(env[value.id]), (), _lost(env[value.id]))
               for value, roots in zip(graph.inputs, given, strict=True) if roots}  # fmt: skip
        last = last_uses(graph)
        node: Node | None = None
        try:
            for place, node in enumerate(graph.nodes):
                operands = [env[value.id] for value in node.inputs]
                made = self._made(node, operands, last, on_step)
                for out, array in zip(node.outs, made, strict=True):
                    if array is not None and out.id in last:
                        env[out.id] = array
                self._inspect(around, node, operands, made, bad)
                if on_step is not None:
                    on_step(node.prim.name)
                for value in node.inputs:
                    if last[value.id] == place:
                        env.pop(value.id, None)
        except Exception as error:
            raise refused(error, node) from None
        return [env[value.id] for value in graph.outputs], bad

    def _made(
        self, node: Node, operands: Sequence[Array], last: dict[int, int], on_step: Callable[[str], None] | None
    ) -> list[Array | None]:
        """The results of a node, as arrays of their own dtypes; None for those of a loop that nobody reads."""
        params = node.params
        if held := regions(node):
            bodies: dict[str, Any] = {name: self._body(graph, carried(node, name)) for name, graph in held.items()}
            if on_step is not None and "body" in bodies and node.prim.name == "scan":
                bodies["body"] = _Told(bodies["body"], on_step)
            params = {**params, **bodies}
        if node.prim.lazy:
            params = {**params, "wanted": [out.id in last for out in node.outs]}
        made = node.prim.eval(np, *operands, **params)
        if len(node.outs) == 1:
            return [np.asarray(made, NUMPY_NAMES[node.outs[0].dtype])]
        return [None if array is None else np.asarray(array, NUMPY_NAMES[out.dtype])
                for out, array in zip(node.outs, made, strict=True)]  # fmt: skip

    def _body(self, graph: Graph, given: range) -> Body:
        """What runs a region as a plan does."""
        if (graph, given) not in self._bodies:
            self._bodies[graph, given] = Body(make_flat(graph), np, lambda node: node.prim.eval(np, **node.params))
        return self._bodies[graph, given]

    def _inspect(
        self, around: Around, node: Node, operands: Sequence[Array], made: Sequence[Array | None], bad: dict[int, Bad]
    ) -> None:
        """Note which results are not finite and why, and how near the others came."""
        if self.watch is not None and not regions(node):
            self.watch(around, node, operands, made)
        spoiled = bool(bad) and any(value.id in bad for value in node.inputs)
        if node.prim.view and not spoiled:
            return
        floats = [(k, out, array) for k, (out, array) in enumerate(zip(node.outs, made, strict=True))
                  if array is not None and array.size and out.aval.is_float]  # fmt: skip
        wrong = [k for k, out, array in floats if not self._within(node, out, array)]
        if regions(node) and (wrong or self.watch is not None):
            found = self._look_into(
                around, node, operands, [bad[v.id].roots if v.id in bad else NONE for v in node.inputs]
            )
            for k in wrong:
                parents = tuple(v.id for v in node.inputs if v.id in bad and bad[v.id].roots & found[k])
                bad[node.outs[k].id] = Bad(node.outs[k], node, found[k], parents, _worst(made[k]), (), _lost(made[k]))
            return
        for k in wrong:
            bad[node.outs[k].id] = self._explained(around, node, operands, node.outs[k], made[k], bad)
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
        if fresh.any():
            roots |= self._born(around, node, out, array, fresh, operands)
        worst = _worst(array)
        at = np.unravel_index(int(np.argmax(np.isnan(array) if worst != worst else mask)), mask.shape)
        how = tuple(map(float, numbers_at(node, operands, at))) if node.prim.kind == "elementwise" else ()
        return Bad(out, node, roots, tuple(node.inputs[k].id for k in parents), worst, how, _lost(array))

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
        return frozenset((len(self.births) - 1,))

    def _note_masked(self, node: Node, operands: Sequence[Array], bad: dict[int, Bad]) -> None:
        """Births that a `where` leaves out."""
        for k in (1, 2):
            entry = bad.get(node.inputs[k].id)
            if entry is not None:
                for root in entry.roots:
                    self.masked.setdefault(root, (node, k))

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────

    def _look_into(self, around: Around, node: Node, operands: Sequence[Array], given: Sequence[Roots]) -> list[Roots]:
        """The roots of each result of a node that holds a graph, found by running that graph here."""
        if node.prim.name == "scan":
            return self._turns(around, node, operands, given)
        body = node.params["body"]
        _, bad = self._graph(Around(body, node, None, around), operands, given)
        return [_roots(bad, value) for value in body.outputs]

    def _turns(self, around: Around, node: Node, operands: Sequence[Array], given: Sequence[Roots]) -> list[Roots]:
        p = node.params
        body, cond, n, first = p["body"], p["cond"], p["carry"], p["consts"] + p["carry"]
        bound = int(operands[0]) if p["counted"] else definite(p["turns"])
        values, roots = (list(operands), list(given)) if not p["counted"] else (list(operands[1:]), list(given[1:]))
        consts, state, slices = values[: p["consts"]], values[p["consts"] : first], values[first:]
        of_consts, of_state, of_slices = roots[: p["consts"]], roots[p["consts"] : first], roots[first:]
        goes_on = None if cond is None else self._body(cond, range(0))
        of_kept = [NONE] * len(body.outputs)
        for turn in range(bound - 1, -1, -1) if p["reverse"] else range(bound):
            i = np.asarray(turn, "int64")
            if goes_on is not None and not bool(goes_on([i, *consts, *state])[0]):
                break
            of_kept[:n] = [kept | now for kept, now in zip(of_kept, of_state, strict=False)]
            cut = [array[turn, ...] for array in slices]
            of_cut = [
                found if found and not _finite(part) else NONE for found, part in zip(of_slices, cut, strict=True)
            ]
            inside = Around(body, node, turn, around)
            made, bad = self._graph(inside, [i, *consts, *state, *cut], [NONE, *of_consts, *of_state, *of_cut])
            found = [_roots(bad, value) for value in body.outputs]
            of_kept[n:] = [kept | now for kept, now in zip(of_kept[n:], found[n:], strict=True)]
            state, of_state = made[:n], found[:n]
            if self.on_carry is not None:
                self.on_carry(inside, body.inputs[1 + p["consts"] : 1 + first], state)
        return [*of_state, *of_kept, *([NONE] if cond is not None else [])]


# ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Told:
    """The body of a loop, which tells each turn."""

    def __init__(self, body: Any, on_step: Callable[[str], None]) -> None:
        self.inputs, self.outputs, self.run, self.on_step = body.inputs, body.outputs, body.run, on_step

    def __call__(self, arrays: Sequence[Array]) -> Any:
        self.on_step("a turn")
        return self.run(arrays)


def steps(graph: Graph) -> int:
    """How many steps a run tells of: its nodes, and the turns of its loops."""
    turns = [definite(node.params["turns"]) for node in graph.nodes if node.prim.name == "scan"]
    return len(graph.nodes) + sum(turns)


def last_uses(graph: Graph) -> dict[int, int]:
    """Value → the place of the last node that reads it; an output is read after all nodes."""
    last: dict[int, int] = {}
    for place, node in enumerate(graph.nodes):
        for value in node.inputs:
            last[value.id] = place
    last.update((value.id, len(graph.nodes)) for value in graph.outputs)
    return last


def _roots(bad: dict[int, Bad], value: Value) -> Roots:
    return bad[value.id].roots if value.id in bad else NONE


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

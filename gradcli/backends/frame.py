"""A plan with memory: what runs, again and again, without allocating.

A `Frame` owns an arena and holds one call for each step, with its operands and its result bound where they are the same
arrays in every run; only inputs, results and what operators allocate themselves are looked up in `slots`. A frame is in
one run at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.backends.lanes import Lanes
from gradcli.backends.program import Body, refused
from gradcli.backends.routes import routed, writers
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node, Value
from gradcli.plan.arena import ALIGNED
from gradcli.plan.plan import Blocks, Call, Plan, Step, Turns

if TYPE_CHECKING:
    from gradcli.backends.loop import Loop

Array = np.ndarray[Any, Any]


class Frame:
    """`run(inputs, results)` fills `results`, arrays of the avals of the plan's outputs."""

    def __init__(self, plan: Plan, workers: int = 1) -> None:
        self.plan = plan
        self.workers = workers
        self.arena = aligned_bytes(plan.arena)
        self.slots: list[Any] = []
        self.slot: dict[int, int] = {}  # value → the place of its array in `slots`
        self.shared: dict[int, int] = {}  # storage → the slot of the values that fill it
        self.calls: list[Callable[[], Any]] = []
        self.nodes: list[Node] = []  # of each call
        self.inputs = [self.place(value) for value in plan.graph.inputs]
        for node in plan.graph.nodes:
            if node.prim.name == "constant":
                self.place(node.outs[0], load(node))
        self.routes = writers(routed(plan))
        self.results = [-1] * len(plan.graph.outputs)
        for number, step in enumerate(plan.steps):
            self.bind(step)
            if plan.dead[number]:
                self.then(partial(_clear, self.slots, [self.slot[v.id] for v in plan.dead[number]]), step.nodes[0])
        self.own = [(k, self.shared[n]) for n, k in result_storages(plan)]
        for k in plan.copied:
            self.copy_out(k)
        self.met = sorted({slot for slot in self.slot.values() if self.slots[slot] is None})

    def run(self, inputs: Sequence[Array], results: Sequence[Array]) -> None:
        """Raises ModelError with the place of the step that refuses its data, or finds no memory (exit 3)."""
        slots = self.slots
        for slot, array in zip(self.inputs, inputs, strict=True):
            slots[slot] = array
        for k, slot in self.own:
            slots[slot] = results[k]
        self.given = results
        try:
            for call in self.calls:
                call()
        except Exception as error:
            raise refused(error, self.nodes[self.calls.index(call)]) from None
        finally:
            del self.given
            for slot in self.met:
                slots[slot] = None

    # ── slots ───────────────────────────────────────────────────────────────────────────────────────────────

    def place(self, value: Value, array: Array | None = None) -> int:
        """A slot of its own."""
        self.slot[value.id] = len(self.slots)
        self.slots.append(array)
        return self.slot[value.id]

    def room(self, value: Value) -> int:
        """The slot of a value that fills its storage."""
        home = self.plan.homes[value.id]
        if home.storage not in self.shared:
            array = self.array(home.storage, value.aval) if home.fixed else None
            self.shared[home.storage] = self.place(value, array)
        self.slot[value.id] = self.shared[home.storage]
        return self.slot[value.id]

    def array(self, storage: int, aval: Aval) -> Array:
        """An array in the arena."""
        return array_in(self.arena, self.plan.storages[storage].place, aval)

    def fetch(self, values: Sequence[Value]) -> Callable[[], Sequence[Array]]:
        """Gives the arrays of values, which may be met anew in each run."""
        found = [self.slot[value.id] for value in values]
        slots = self.slots
        if len(found) > 1:
            return partial(itemgetter(*found), slots)
        first = found[0] if found else 0
        return partial(itemgetter(slice(first, first + len(found))), slots)

    def fixed(self, values: Sequence[Value]) -> list[Array] | None:
        """The arrays of values that are the same in every run; None where one is not."""
        arrays = [self.slots[self.slot[value.id]] for value in values]
        return None if any(array is None for array in arrays) else arrays

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def then(self, call: Callable[[], Any], node: Node) -> None:
        self.calls.append(call)
        self.nodes.append(node)

    def bind(self, step: Step) -> None:
        if isinstance(step, Blocks):
            self.bind_region(step)
        elif isinstance(step, Turns):
            self.bind_loop(step)
        elif step.how == "view":
            self.bind_view(step.node)
        elif step.how == "make":
            self.bind_made(step)
        else:
            self.bind_written(step)

    def bind_view(self, node: Node) -> None:
        look = partial(node.prim.eval, np, **node.params)
        slot = self.place(node.outs[0])
        arrays = self.fixed(node.inputs)
        if arrays is not None and self.plan.homes[node.outs[0].id].fixed:
            self.slots[slot] = look(*arrays)
        else:
            self.then(partial(_make_one, self.slots, slot, look, self.fetch(node.inputs)), node)

    def bind_written(self, step: Call) -> None:
        node = step.node
        slot = self.room(node.outs[0])
        out = self.slots[slot]
        write = self.routes.get(node) or writer(step, packed=out is not None)
        arrays = self.fixed(node.inputs)
        if out is not None:
            write = partial(write, out=out)
        if out is not None and arrays is not None:
            self.then(partial(write, *arrays), node)
        elif out is not None:
            self.then(partial(_write, write, self.fetch(node.inputs)), node)
        else:
            self.then(partial(_write_there, write, self.fetch(node.inputs), self.slots, slot), node)

    def bind_made(self, step: Call) -> None:
        node = step.node
        options: dict[str, Any] = {name: Body(plan, np, load) for name, plan in step.bodies}
        if node.prim.lazy:
            options["wanted"] = step.wanted
        make = partial(node.prim.eval, np, **{**node.params, **options})
        fetch = self.fetch(node.inputs)
        slots = [self.place(out) for out in node.outs]
        if len(slots) == 1:
            self.then(partial(_make_one, self.slots, slots[0], make, fetch), node)
        else:
            self.then(partial(_make_all, self.slots, slots, make, fetch), node)

    def bind_region(self, step: Blocks) -> None:
        sums = [output.value for output in step.region.outputs if output.axis is None]
        partials = [[self.array(n, value.aval) for n, value in zip(lane, sums, strict=True)] for lane in step.partial]
        outs = [output.value for output in step.region.outputs]
        for value in outs:
            self.room(value)
        lanes = Lanes(step, partials, self.workers, Frame)
        self.then(partial(_run_lanes, lanes, self.fetch(step.region.inputs), self.fetch(outs)), step.nodes[0])

    def bind_loop(self, step: Turns) -> None:
        from gradcli.backends.loop import loop_of

        node = step.node
        loop = loop_of(step, lambda storage, value: self.array(storage, value.aval), self.workers)
        wanted = [out for out, read in zip(node.outs, step.wanted, strict=True) if read]
        for out in wanted:
            self.room(out)
        first = node.params["consts"] + node.params["carry"]
        sliced = [*node.inputs[first:], *(out for out in wanted if out not in node.outs[: node.params["carry"]])]
        loop.keep([array for value in sliced if (array := self.slots[self.slot[value.id]]) is not None])
        fetch = self.fetch(wanted)
        places = [k for k, read in enumerate(step.wanted) if read]
        self.then(partial(_run_loop, loop, self.fetch(node.inputs), fetch, places, len(node.outs)), node)

    def copy_out(self, k: int) -> None:
        value = self.plan.graph.outputs[k]
        node = value.node or (self.plan.graph.nodes[0] if self.plan.graph.nodes else None)
        self.then(partial(self._copy_out, k, self.slot[value.id]), node)  # type: ignore[arg-type]  # None: nowhere

    def _copy_out(self, k: int, slot: int) -> None:
        np.copyto(self.given[k], self.slots[slot])


def load(node: Node) -> Array:
    """The array of a constant, read-only."""
    aval = node.outs[0].aval
    made: Array = np.frombuffer(node.params["data"], NUMPY_NAMES[aval.dtype]).reshape(node.params["shape"])
    return made


def array_in(arena: Array, place: int, aval: Aval) -> Array:
    return np.ndarray(tuple(map(definite, aval.shape)), NUMPY_NAMES[aval.dtype], arena, place)


def empty(value: Value) -> Array:
    return np.empty(value.aval.shape, NUMPY_NAMES[value.dtype])


# ── what a call does ────────────────────────────────────────────────────────────────────────────────────────


def writer(step: Call, packed: bool) -> Callable[..., Any]:
    """A function of the operands that writes into `out`; where that is `packed`, any ufunc can."""
    node, prim = step.node, step.node.prim
    if prim.overwrites is not None:
        change = partial(prim.eval, np, **node.params)
        return change if step.how == "replace" else partial(_overwrite, change, prim.overwrites)
    if prim.ufunc is not None and not node.params and (packed or prim.into is prim.eval):
        found: Callable[..., Any] = getattr(np, prim.ufunc)
        return found
    assert prim.into is not None
    return partial(prim.into, np, **node.params)


def _overwrite(change: Callable[..., Any], into: int, *operands: Array, out: Array) -> None:
    """Of an operator that changes a part of an operand, whose other elements are copied first."""
    np.copyto(out, operands[into])
    change(*operands, out=out)


def _write(write: Callable[..., Any], fetch: Callable[[], Sequence[Array]]) -> None:
    write(*fetch())


def _write_there(write: Callable[..., Any], fetch: Callable[[], Sequence[Array]], slots: list[Any], slot: int) -> None:
    write(*fetch(), out=slots[slot])


def _make_one(slots: list[Any], slot: int, make: Callable[..., Any], fetch: Callable[[], Sequence[Array]]) -> None:
    slots[slot] = np.asarray(make(*fetch()))


def _make_all(
    slots: list[Any], places: list[int], make: Callable[..., Any], fetch: Callable[[], Sequence[Array]]
) -> None:
    for slot, array in zip(places, make(*fetch()), strict=True):
        slots[slot] = array if array is None else np.asarray(array)


def _run_lanes(lanes: Lanes, ins: Callable[[], Sequence[Array]], outs: Callable[[], Sequence[Array]]) -> None:
    lanes.run(ins(), outs())


def _run_loop(
    loop: Loop, ins: Callable[[], Sequence[Array]], wanted: Callable[[], Sequence[Array]], places: list[int], count: int
) -> None:
    outs: list[Array | None] = [None] * count
    for place, array in zip(places, wanted(), strict=True):
        outs[place] = array
    loop.run(ins(), outs)


def _clear(slots: list[Any], dead: list[int]) -> None:
    for slot in dead:
        slots[slot] = None


def result_storages(plan: Plan) -> list[tuple[int, int]]:
    return [(n, storage.place) for n, storage in enumerate(plan.storages) if storage.kind == "result"]


def aligned_bytes(size: int) -> Array:
    """Memory that begins at a multiple of a cache line."""
    raw = np.empty(size + ALIGNED, np.uint8)
    start = -raw.ctypes.data % ALIGNED
    return raw[start : start + size]

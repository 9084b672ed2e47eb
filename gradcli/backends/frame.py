"""A plan with memory: what runs, again and again, without allocating.

A `Frame` owns an arena and holds a line for each step (`script.py`), with its operands and its result bound where they
are the same arrays in every run; only inputs, results and what operators allocate themselves are met anew. A frame is
in one run at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter, methodcaller
from typing import Any

import numpy as np

from gradcli.backends.arrays import aligned_bytes, array_in, load
from gradcli.backends.clocks import Clock, Clocks, around, inside
from gradcli.backends.lanes import Lanes
from gradcli.backends.program import Body, refused
from gradcli.backends.routes import routed, writers
from gradcli.backends.script import LONGEST, OFTEN, Failed, Function, How, Line, one_by_one
from gradcli.ir.graph import Node, Value
from gradcli.ir.primitive import is_registered
from gradcli.ops.shape import place_of_items
from gradcli.plan.plan import Blocks, Call, Plan, Step, Turns

Array = np.ndarray[Any, Any]


class Frame:
    """`run(inputs, results)` fills `results`, arrays of the avals of the plan's outputs. Its `arena` may be memory that
    it shares with frames which run at other times. Its calls have `clocks` beside them where it is given some."""

    def __init__(self, plan: Plan, workers: int = 1, arena: Array | None = None, clocks: Clocks | None = None) -> None:
        self.plan = plan
        self.workers = workers
        self.clocks = clocks
        self.clock: Clock | None = None  # of the step that is bound
        self.arena = aligned_bytes(plan.arena) if arena is None else arena
        self.slots: list[Any] = []
        self.slot: dict[int, int] = {}  # value → the place of its array in `slots`
        self.shared: dict[int, int] = {}  # storage → the slot of the values that fill it
        self.lines: list[Line] = []
        self.inputs = [self.place(value) for value in plan.graph.inputs]
        for node in plan.graph.nodes:
            if node.prim.name == "constant":
                self.place(node.outs[0], load(node))
        self.routes = writers(routed(plan))
        for number, step in enumerate(plan.steps):
            self.clock = self.clock_of(number)
            first = len(self.lines)
            self.bind(step)
            if number in plan.watched:
                self.lines[-1] = watched(self.lines[-1])
            if self.clock is not None:
                self.lines[first:] = [timed(line, self.clock) for line in self.lines[first:]]
            if plan.dead[number]:
                self.line("drop", None, (), [self.slot[v.id] for v in plan.dead[number]], step.nodes[0])
        own = {k: self.shared[n] for n, k in result_storages(plan)}
        self.results = [own[k] if k in own else self.copy_out(k) for k in range(len(plan.graph.outputs))]
        self.met = [slot for slot, array in enumerate(self.slots) if array is None]
        self.runs = 0
        self.function: Function | None = None

    def run(self, inputs: Sequence[Array], results: Sequence[Array]) -> None:
        """Raises ModelError with the place of the step that refuses its data, or finds no memory (exit 3)."""
        try:
            if self.function is not None:
                self.function(inputs, results)
            elif self.runs >= OFTEN and len(self.lines) <= LONGEST:
                self.function = Function(self.lines, self.slots, self.inputs, self.results)
                self.function(inputs, results)
            else:
                self.runs += 1
                self.run_lines(inputs, results)
        except Failed as failed:
            assert isinstance(failed.__cause__, Exception)
            raise refused(failed.__cause__, failed.node) from None

    def run_lines(self, inputs: Sequence[Array], results: Sequence[Array]) -> None:
        slots = self.slots
        for places, arrays in ((self.inputs, inputs), (self.results, results)):
            for slot, array in zip(places, arrays, strict=True):
                slots[slot] = array
        try:
            one_by_one(self.lines, slots)
        finally:
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
            array = self.array(home.storage, value) if home.fixed else None
            self.shared[home.storage] = self.place(value, array)
        self.slot[value.id] = self.shared[home.storage]
        return self.slot[value.id]

    def array(self, storage: int, value: Value) -> Array:
        """An array in the arena."""
        return array_in(self.arena, self.plan.storages[storage].place, value.aval)

    def fixed(self, values: Sequence[Value]) -> list[Array] | None:
        """The arrays of values that are the same in every run; None where one is not."""
        arrays = [self.slots[self.slot[value.id]] for value in values]
        return None if any(array is None for array in arrays) else arrays

    def at(self, values: Sequence[Value]) -> tuple[int, ...]:
        return tuple(self.slot[value.id] for value in values)

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def line(
        self,
        how: How,
        call: Callable[..., Any] | None,
        ins: Sequence[Value],
        outs: Sequence[int | None],
        node: Node | None,
    ) -> None:
        self.lines.append(Line(how, call, self.at(ins), tuple(outs), node))

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
        look = looking(node)
        slot = self.place(node.outs[0])
        arrays = self.fixed(node.inputs)
        if arrays is not None and self.plan.homes[node.outs[0].id].fixed:
            self.slots[slot] = look(*arrays)
        else:
            self.line("make", look, node.inputs, (slot,), node)

    def bind_written(self, step: Call) -> None:
        node = step.node
        slot = self.room(node.outs[0])
        write = self.routes.get(node) or writer(step, packed=self.slots[slot] is not None)
        self.line("write", write, node.inputs, (slot,), node)

    def bind_made(self, step: Call) -> None:
        node = step.node
        options: dict[str, Any] = {name: Body(plan, np, load, inside(self.clock, plan)) for name, plan in step.bodies}
        if node.prim.lazy:
            options["wanted"] = step.wanted
        make = partial(node.prim.eval, np, **{**node.params, **options})
        slots = [self.place(out) for out in node.outs]
        self.line("make" if len(slots) == 1 else "unpack", make, node.inputs, slots, node)

    def bind_region(self, step: Blocks) -> None:
        lanes = Lanes(step, self.plan, self.arena, self.workers, Frame, self.clock)
        outs = [self.room(output.value) for output in step.region.outputs]
        self.line("hand", lanes.run, step.region.inputs, outs, step.nodes[0])

    def bind_loop(self, step: Turns) -> None:
        from gradcli.backends.loop import loop_of

        node = step.node
        loop = loop_of(step, self.plan, self.arena, self.workers, self.clock)
        outs = [self.room(out) if read else None for out, read in zip(node.outs, step.wanted, strict=True)]
        first = node.params["consts"] + node.params["carry"]
        sliced = [*self.at(node.inputs[first:]), *(slot for slot in outs[node.params["carry"] :] if slot is not None)]
        loop.keep([self.slots[slot] for slot in sliced if self.slots[slot] is not None])
        self.line("hand", loop.run, node.inputs, outs, node)

    def copy_out(self, k: int) -> int:
        """The slot of a result that is copied there at the end."""
        self.slots.append(None)
        value, copy = self.plan.graph.outputs[k], around(self.clock_of(len(self.plan.steps) + k), _copied)
        node = value.node or (self.plan.graph.nodes[0] if self.plan.graph.nodes else None)
        self.line("write", copy, (value,), (len(self.slots) - 1,), node)
        return len(self.slots) - 1

    def clock_of(self, place: int) -> Clock | None:
        return None if self.clocks is None else self.clocks.of(place)


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


def watched(line: Line) -> Line:
    """Raises FloatingPointError where NumPy overflows or underflows; a loop may underflow, but must be given finite
    numbers."""
    loop = line.node is not None and line.node.prim.name == "scan"
    call = line.call
    assert call is not None

    def watching(*operands: Any, **options: Any) -> Any:
        if loop and not all(np.isfinite(array).all() for array in operands[0]):
            raise FloatingPointError
        with np.errstate(all="raise", under="ignore" if loop else "raise"):
            return call(*operands, **options)

    return line._replace(call=watching)


def timed(line: Line, clock: Clock) -> Line:
    return line if line.call is None else line._replace(call=clock.around(line.call))


def _overwrite(change: Callable[..., Any], into: int, *operands: Array, out: Array) -> None:
    """Of an operator that changes a part of an operand, whose other elements are copied first."""
    np.copyto(out, operands[into])
    change(*operands, out=out)


def _copied(x: Array, *, out: Array) -> None:
    np.copyto(out, x)


def looking(node: Node) -> Callable[..., Any]:
    """What a view is made by; those of many small models without a function in Python."""
    if is_registered(node.prim):
        match node.prim.name:
            case "slice" if node.params["items"]:
                return itemgetter(place_of_items(node.params["items"]))
            case "reshape":
                return methodcaller("reshape", node.params["shape"])
            case "transpose":
                return methodcaller("transpose", node.params["axes"])
    return partial(node.prim.eval, np, **node.params)


def result_storages(plan: Plan) -> list[tuple[int, int]]:
    return [(n, storage.place) for n, storage in enumerate(plan.storages) if storage.kind == "result"]

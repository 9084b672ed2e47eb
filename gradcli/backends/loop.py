"""A loop as one Python function, so that a turn costs its operators and little else.

    def loop(rows, w):
        for c0, n0 in rows:         # the carry before and after a turn
            f1(c0, b1)              # sin, into a buffer
            f2(b1, w, b1)
            f3(c0, b2, n0)

A line for each call of the plan of a turn. Buffers are made once; what a turn gives is written where it stays: into a
row of a history or of a stacked result, or into one of two arrays that take turns. What looks at a const is a line
before the loop.

A loop whose turns only multiply what they carry by a few numbers, or add them, is NumPy's own running product or sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, cycle, islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.backends.arrays import array_in, bytes_in, empty, load
from gradcli.backends.clocks import Clock, Clocks, around, inside
from gradcli.backends.counting import counting
from gradcli.backends.lanes import Lanes
from gradcli.backends.program import Body, refused
from gradcli.backends.routes import routed, writers
from gradcli.backends.script import as_arrays, in_order
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node, Value
from gradcli.ir.primitive import is_registered
from gradcli.plan import costs
from gradcli.plan.plan import Blocks, Call, Plan, Step, Turns

if TYPE_CHECKING:
    from gradcli.backends.frame import Frame

Array = np.ndarray[Any, Any]

RUNNING = ("mul", "add")


class Loop:
    """`run(ins, outs)`: arrays of the loop's operands, and of its results; None for those that nobody reads."""

    def __init__(
        self,
        step: Turns,
        spare: Sequence[Array | None],
        ends: Sequence[Array | None],
        room: Array,
        workers: int,
        clocks: Clocks | None = None,
    ) -> None:
        self.node, params = step.node, step.node.params
        self.turns: int = params["turns"]
        self.consts, self.carry, self.reverse = params["consts"], params["carry"], params["reverse"]
        self.stays, self.spare, self.ends = step.stays, spare, ends
        self.kept: dict[int, tuple[Array, list[Array]]] = {}
        inputs, outputs = step.body.graph.inputs, step.body.graph.outputs
        self.counts = any(inputs[0] in node.inputs for node in step.body.graph.nodes) or inputs[0] in outputs
        self.unread = [None if wanted else empty(value) for wanted, value in zip(
            step.wanted[2 * self.carry :], outputs[self.carry :], strict=True)]  # fmt: skip
        names = ["i", *(f"g{k}" for k in range(self.consts)), *(f"c{k}" for k in range(self.carry))]
        names += [f"x{k}" for k in range(len(inputs) - len(names))]
        targets = [f"n{k}" for k in range(self.carry)]
        targets += [f"k{k}" for k in range(len(outputs) - self.carry)]
        row = [*names[not self.counts : 1], *names[1 + self.consts :], *targets]
        head = [f"def loop(rows, {', '.join(names[1 : 1 + self.consts])}):", f"    for {', '.join(row)}, in rows:"]
        self.source = _Source(step.body, names, targets, room, workers, names[1 : 1 + self.consts], clocks)
        self.call = self.source.compiled("loop", head)
        running = _Running.of(step)
        self.running: Callable[..., Any] | None = None if running is None else running.run
        self.counting = counting(step) if running is None else None
        if running is not None and clocks is not None:
            self.running = clocks.of(0).around(running.run, self.turns)
        if self.counting is not None and clocks is not None:
            self.counting.call = clocks.whole.around(self.counting.call)

    def run(self, ins: Sequence[Array], outs: Sequence[Array | None]) -> None:
        """Raises ModelError with the place of the step that refuses its data, or finds no memory (exit 3)."""
        begin = ins[self.consts : self.consts + self.carry]
        ends = [end if end is not None else spare for end, spare in zip(outs[: self.carry], self.ends, strict=True)]
        histories, stacks = outs[self.carry : 2 * self.carry], outs[2 * self.carry :]
        if not self.turns:
            for end, first in zip(ends, begin, strict=True):
                np.copyto(end, first)  # type: ignore[arg-type]  # there is one
            return
        if self.running is not None:
            self.running(ins, histories[0], ends[0])
        elif self.counting is None or not self.counting.run(ins, outs):
            self.run_turns(ins, ends, histories, stacks)

    def run_turns(
        self,
        ins: Sequence[Array],
        ends: Sequence[Array | None],
        histories: Sequence[Array | None],
        stacks: Sequence[Array | None],
    ) -> None:
        given, begin = ins[: self.consts], ins[self.consts : self.consts + self.carry]
        rows: list[Iterator[Array]] = [self.numbers()] if self.counts else []
        after = []
        for k, (first, history, end) in enumerate(zip(begin, histories, ends, strict=True)):
            before, behind = self.steps(k, first, history, end)
            rows.append(before)
            after.append(behind)
        rows += [self.rows(array) for array in ins[self.consts + self.carry :]]
        rows += after
        for stack, unread in zip(stacks, self.unread, strict=True):
            rows.append(self.rows(stack) if stack is not None else repeat(unread))  # type: ignore[arg-type]  # one of them
        try:
            self.call(zip(*rows, strict=False) if rows else repeat((), self.turns), *given)
        except Exception as error:
            raise refused(error, self.source.node_of(error)) from None

    def steps(
        self, k: int, first: Array, history: Array | None, end: Array | None
    ) -> tuple[Iterator[Array], Iterator[Array]]:
        """A carry before and after each turn. Before the first it is a copy, as a turn may write to it."""
        assert end is not None
        if self.stays[k]:
            np.copyto(end, first)
            return repeat(end, self.turns), repeat(end)
        if history is not None:
            np.copyto(history[-1 if self.reverse else 0, ...], first)
            return self.rows(history), chain(islice(self.rows(history), 1, None), (end,))
        spare = self.spare[k]
        assert spare is not None
        after, before = (spare, end) if self.turns % 2 == 0 else (end, spare)
        np.copyto(before, first)
        return islice(cycle((before, after)), self.turns), cycle((after, before))

    def numbers(self) -> Iterator[Array]:
        return self.rows(np.arange(self.turns))

    def rows(self, array: Array) -> Iterator[Array]:
        """Views of rows, in the order of the turns."""
        if self.turns <= costs.ROWS_KEPT and array.base is not None and id(array) in self.kept:
            return iter(self.kept[id(array)][1])
        return self.views(array)

    def keep(self, arrays: Sequence[Array]) -> None:
        """Arrays that are the same in every run: the views of their rows are made once."""
        for array in arrays:
            if self.turns <= costs.ROWS_KEPT and self.counting is None:
                self.kept[id(array)] = (array, list(self.views(array)))

    def views(self, array: Array) -> Iterator[Array]:
        ordered = array[::-1] if self.reverse else array
        if array.ndim > 1:
            return iter(ordered)
        return (ordered[k, ...] for k in range(len(ordered)))  # arrays, not scalars


class _Running:
    """A loop c ← c ∘ x, of which every c is kept: `ufunc.accumulate`, which takes the turns in their order, too."""

    def __init__(self, ufunc: np.ufunc, node: Node, place: int, fixed: Array | None) -> None:
        self.ufunc, self.place, self.fixed = ufunc, place, fixed  # x: an operand of the loop, or always the same
        self.consts, self.reverse = node.params["consts"], node.params["reverse"]

    @classmethod
    def of(cls, step: Turns) -> _Running | None:
        params, graph, calls = step.node.params, step.body.graph, step.body.steps
        if len(calls) != 1 or params["carry"] != 1 or len(graph.outputs) != 1 or not step.wanted[1]:
            return None
        carry, out, call = graph.inputs[1 + params["consts"]], graph.outputs[0], calls[0]
        if not isinstance(call, Call) or call.node is not out.node or call.node.prim.name not in RUNNING:
            return None
        if definite(out.aval.size) > costs.RUNNING or not out.aval.is_float or call.node.inputs.count(carry) != 1:
            return None
        other = call.node.inputs[1 - call.node.inputs.index(carry)]
        fixed = load(other.node) if other.node is not None else None
        place = -1 if other.node is not None else graph.inputs.index(other) - 1
        return cls(getattr(np, str(call.node.prim.ufunc)), step.node, place, fixed)

    def run(self, ins: Sequence[Array], history: Array | None, end: Array | None) -> None:
        assert history is not None
        assert end is not None
        rows = history[::-1] if self.reverse else history
        rows[0] = ins[self.consts]
        factors = self.fixed if self.fixed is not None else ins[self.place]
        if self.fixed is None and self.place > self.consts:
            factors = factors[::-1] if self.reverse else factors
            rows[1:], last = factors[:-1], factors[-1]
        else:
            rows[1:] = last = factors
        self.ufunc.accumulate(rows, axis=0, out=rows)
        self.ufunc(rows[-1], last, out=end)


class _Source:
    """The calls of a plan as lines of Python. What is the same in every turn is in `scope`, or made of what is `given`
    in lines `before` the loop."""

    def __init__(
        self,
        plan: Plan,
        names: Sequence[str],
        targets: Sequence[str],
        arena: Array,
        workers: int,
        given: Sequence[str],
        clocks: Clocks | None,
    ) -> None:
        from gradcli.backends import frame

        self.plan, self.arena, self.workers, self.frame = plan, arena, workers, frame
        self.clocks = clocks
        self.clock: Clock | None = None  # of the step that is added
        self.scope: dict[str, Any] = {"asarray": np.asarray}
        self.names = {value.id: name for value, name in zip(plan.graph.inputs, names, strict=True)}
        self.rooms = {n: targets[place] for n, place in frame.result_storages(plan)}
        self.rooms |= {n: names[each.place] for n, each in enumerate(plan.storages) if each.kind == "carry"}
        self.given = set(given)
        self.before: list[str] = []
        self.lines: list[str] = []
        self.nodes: list[Node | None] = []  # of each line
        for node in plan.graph.nodes:
            if node.prim.name == "constant":
                self.name(node.outs[0], load(node))
        self.routes = writers(routed(plan))
        for number, step in enumerate(plan.steps):
            self.clock = self.clock_of(number)
            self.add(step)
            for value in plan.dead[number]:
                self.line(f"{self.names[value.id]} = None", step.nodes[0])
        for k in plan.copied:
            value = plan.graph.outputs[k]
            copy = self.hold("f", around(self.clock_of(len(plan.steps) + k), np.copyto))
            self.line(f"{copy}({targets[k]}, {self.names[value.id]})", value.node)

    def compiled(self, name: str, head: Sequence[str]) -> Callable[..., None]:
        lines = [head[0], *(" " * 4 + line for line in self.before), *head[1:]]
        self.above = len(lines)
        lines += [" " * 8 + line for line in self.lines or ["pass"]]
        exec(compile("\n".join(lines), "<loop>", "exec"), self.scope)
        found: Callable[..., None] = self.scope.pop(name)  # whose globals these are: it is not to hold itself
        return found

    def node_of(self, error: BaseException) -> Node | None:
        """Of the line that raised."""
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_globals is self.scope:
                place = trace.tb_lineno - self.above - 1
                return self.nodes[place] if 0 <= place < len(self.nodes) else None
            trace = trace.tb_next
        return None

    # ── names ───────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self, kind: str, thing: Any) -> str:
        name = f"{kind}{len(self.scope)}"
        self.scope[name] = thing
        return name

    def called(self, call: Callable[..., Any]) -> str:
        """The name of what the step calls, with its clock where it has one."""
        return self.hold("f", around(self.clock, call))

    def clock_of(self, place: int) -> Clock | None:
        return None if self.clocks is None else self.clocks.of(place)

    def name(self, value: Value, array: Array | None = None) -> str:
        """The name of a value: of an array that stays, or of what each turn makes."""
        self.names[value.id] = f"v{value.id}" if array is None else self.hold("b", array)
        return self.names[value.id]

    def room(self, value: Value) -> str:
        """The name of the memory that a value fills."""
        home = self.plan.homes[value.id]
        if home.storage not in self.rooms:
            storage = self.plan.storages[home.storage]
            self.rooms[home.storage] = self.hold("b", array_in(self.arena, storage.place, value.aval))
        self.names[value.id] = self.rooms[home.storage]
        return self.names[value.id]

    def read(self, values: Sequence[Value]) -> str:
        return ", ".join(self.names[value.id] for value in values)

    def line(self, text: str, node: Node | None) -> None:
        self.lines.append(text)
        self.nodes.append(node)

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, step: Step) -> None:
        if isinstance(step, Blocks):
            self.add_region(step)
        elif isinstance(step, Turns):
            self.add_loop(step)
        elif step.how == "view":
            self.add_view(step.node)
        elif step.how == "make":
            self.add_made(step)
        else:
            self.add_written(step)

    def add_view(self, node: Node) -> None:
        look = self.frame.looking(node)
        fixed = self.plan.homes[node.outs[0].id].fixed
        arrays = [self.scope.get(self.names[value.id]) for value in node.inputs]
        if fixed and all(array is not None for array in arrays):
            self.name(node.outs[0], look(*arrays))
            return
        operands = self.read(node.inputs)
        made = f"{self.name(node.outs[0])} = {self.called(look)}({operands})"
        if is_registered(node.prim) and all(self.names[value.id] in self.given for value in node.inputs):
            self.given.add(self.names[node.outs[0].id])
            self.before.append(made)
        else:
            self.line(made, node)

    def add_written(self, step: Call) -> None:
        node = step.node
        operands = self.read(node.inputs)
        write = self.routes.get(node) or self.frame.writer(step, packed=True)
        out = self.room(node.outs[0])
        out = out if in_order(write) else f"out={out}"
        self.line(f"{self.called(write)}({operands}{', ' if operands else ''}{out})", node)

    def add_made(self, step: Call) -> None:
        node = step.node
        options: dict[str, Any] = {name: Body(plan, np, load, inside(self.clock, plan)) for name, plan in step.bodies}
        if node.prim.lazy:
            options["wanted"] = step.wanted
        made = f"{self.called(partial(node.prim.eval, np, **{**node.params, **options}))}({self.read(node.inputs)})"
        names = [self.name(out) for out in node.outs]
        if len(names) == 1:
            self.line(f"{names[0]} = asarray({made})", node)
        else:
            self.line(f"{', '.join(names)} = {self.hold('f', as_arrays)}({made})", node)

    def add_region(self, step: Blocks) -> None:
        outs = [output.value for output in step.region.outputs]
        for value in outs:
            self.room(value)
        lanes = Lanes(step, self.plan, self.arena, self.workers, self.frame.Frame, self.clock)
        self.line(f"{self.called(lanes.run)}(({self.read(step.region.inputs)},), ({self.read(outs)},))", step.nodes[0])

    def add_loop(self, step: Turns) -> None:
        loop = loop_of(step, self.plan, self.arena, self.workers, self.clock)
        wanted = [out for out, read in zip(step.node.outs, step.wanted, strict=True) if read]
        for value in wanted:
            self.room(value)
        outs = "".join(f"{self.names[out.id] if read else None}, " for out, read in
                       zip(step.node.outs, step.wanted, strict=True))  # fmt: skip
        ins = "".join(f"{self.names[value.id]}, " for value in step.node.inputs)
        self.line(f"{self.called(loop.run)}(({ins}), ({outs}))", step.node)


def loop_of(step: Turns, plan: Plan, arena: Array, workers: int, clock: Clock | None = None) -> Loop:
    """A loop with its memory, in the arena of the plan that it is a step of."""
    carries = step.node.outs[: step.node.params["carry"]]

    def arrays(storages: Sequence[int | None]) -> list[Array | None]:
        places = [None if n is None else plan.storages[n].place for n in storages]
        return [None if at is None else array_in(arena, at, v.aval) for at, v in zip(places, carries, strict=True)]

    room = arena[:0] if step.room is None else bytes_in(arena, plan, step.room)
    return Loop(step, arrays(step.spare), arrays(step.ends), room, workers, inside(clock, step.body))


__all__ = ["Frame", "Loop", "loop_of"]

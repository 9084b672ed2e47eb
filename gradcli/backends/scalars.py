"""Plans of single numbers as floats of Python: an operator on one takes NumPy 300 to 600 ns, and Python 25 to 65.

    x4 = x2 * x3
    x5 = sin(x4)

Numbers are in a list. Operators are run one by one at first; of a plan that runs often, chunk after chunk becomes a
function, some at each run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradcli.backends.arrays import load
from gradcli.backends.clocks import Clocks, around
from gradcli.backends.frame import Frame
from gradcli.backends.numbers import REFUSED, Line, is_number, rule
from gradcli.ir.graph import Node, Value
from gradcli.plan.plan import Call, Plan

Array = np.ndarray[Any, Any]

CHUNK = 2_000  # operators of a function, which is made in some 35 ms, and saves one in each run
OFTEN = 4  # runs one by one, before functions are made
PACE = 32  # runs, over which they are made, so that none of these takes more than some twice as long


def scalars(plan: Plan, clocks: Clocks | None = None) -> Scalars | None:
    """The program of a plan of numbers of f64 alone; None of any other."""
    values = [*plan.graph.inputs, *(out for node in plan.graph.nodes for out in node.outs)]
    if plan.watched or not plan.steps or not all(map(is_number, values)):
        return None
    return Scalars(plan, clocks) if all(isinstance(step, Call) and rule(step.node) for step in plan.steps) else None


class Scalars:
    """`run(inputs, results)`, as a `Frame` has it; of `clocks` one stands beside all its operators."""

    def __init__(self, plan: Plan, clocks: Clocks | None) -> None:
        self.plan, self.clocks, self.runs = plan, clocks, 0
        self.clock = None if clocks is None else clocks.whole
        self.frame: Frame | None = None  # for numbers that Python refuses
        self.slot: dict[int, int] = {}  # value → its place in the list
        self.start: list[Any] = []
        for value in plan.graph.inputs:
            self.place(value)
        for node in plan.graph.nodes:
            if node.prim.name == "constant":
                self.place(node.outs[0], load(node).item())
        code = [self.line(step.node) for step in plan.steps]  # type: ignore[union-attr]  # each is a `Call`
        self.inputs = [self.slot[value.id] for value in plan.graph.inputs]
        self.results = [self.slot[value.id] for value in plan.graph.outputs]
        chunks = [code[at : at + CHUNK] for at in range(0, len(code), CHUNK)]
        self.parts: list[Callable[[list[Any]], None]] = [
            around(self.clock, partial(_one_by_one, chunk)) for chunk in chunks
        ]
        self.left = list(enumerate(chunks))  # those that are no functions yet
        self.pace = 1 + len(chunks) // PACE
        self.last = {slot: k for k, chunk in enumerate(chunks) for _, ins, _ in chunk for slot in ins}
        self.last |= dict.fromkeys(self.results, len(chunks))

    def place(self, value: Value, number: Any = None) -> int:
        self.slot[value.id] = len(self.start)
        self.start.append(number)
        return self.slot[value.id]

    def line(self, node: Node) -> Line:
        found = rule(node)
        assert found is not None, "as `scalars` asks"
        ins = tuple(self.slot[value.id] for value in node.inputs)
        return Line(found, ins, self.place(node.outs[0]))

    def run(self, inputs: Sequence[Array], results: Sequence[Array]) -> None:
        numbers = self.start.copy()
        for slot, array in zip(self.inputs, inputs, strict=True):
            numbers[slot] = array.item()
        try:
            for part in self.parts:
                part(numbers)
        except REFUSED:
            self.run_arrays(inputs, results)
            return
        for slot, array in zip(self.results, results, strict=True):
            array[...] = numbers[slot]
        self.runs += 1
        if self.runs >= OFTEN and self.left:
            for k, chunk in self.left[: self.pace]:
                self.parts[k] = around(self.clock, self.function(k, chunk))
            del self.left[: self.pace]

    def run_arrays(self, inputs: Sequence[Array], results: Sequence[Array]) -> None:
        if self.frame is None:
            self.frame = Frame(self.plan, clocks=self.clocks)
        self.frame.run(inputs, results)

    def function(self, k: int, chunk: Sequence[Line]) -> Callable[[list[Any]], None]:
        """A chunk as a function of the list, in which names are what is only needed here."""
        made = {line.out for line in chunk}
        read = sorted({slot for line in chunk for slot in line.ins} - made)
        scope: dict[str, Any] = {}
        body = [f"x{slot} = numbers[{slot}]" for slot in read]
        for line in chunk:
            body.append(f"x{line.out} = {line.text(scope)}")
            if self.last.get(line.out, -1) > k:
                body.append(f"numbers[{line.out}] = x{line.out}")
        exec(compile("\n ".join(["def part(numbers):", *body]), "<plan>", "exec"), scope)
        found: Callable[[list[Any]], None] = scope.pop("part")  # whose globals these are
        return found


def _one_by_one(lines: Sequence[Line], numbers: list[Any]) -> None:
    for (call, _), ins, out in lines:
        if len(ins) == 2:
            numbers[out] = call(numbers[ins[0]], numbers[ins[1]])
        elif len(ins) == 1:
            numbers[out] = call(numbers[ins[0]])
        else:
            numbers[out] = call(*[numbers[slot] for slot in ins])


__all__ = ["Scalars", "scalars"]

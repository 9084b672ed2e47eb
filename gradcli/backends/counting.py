"""Loops of single numbers as one function of Python, on floats.

    def turns(rows, c0, g0, h0, k0):
        for x0, in rows:
            h0(c0)                  # what is carried before a turn, into its history
            x5 = sin(c0)
            x6 = x5 * g0
            k0(x6)                  # stacked
            c0 = x6
        return c0,

Histories and stacked results are lists of some thousand turns, which are then written where they stay, so a loop takes
the memory that its plan says. Where Python refuses a number, the loop is done again with arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from gradcli.backends.arrays import load
from gradcli.backends.numbers import REFUSED, Line, Rule, is_number, rule
from gradcli.ir.graph import Node, Value
from gradcli.plan.plan import Call, Turns

Array = np.ndarray[Any, Any]

AT_ONCE = 4096  # turns whose numbers are lists
INDEX = Rule(float)


def counting(step: Turns) -> Counting | None:
    """The function of a loop whose turns only compute with numbers of f64; None of any other."""
    graph = step.body.graph
    index, *others = graph.inputs
    made = [out for node in graph.nodes for out in node.outs]
    if step.body.watched or not step.body.steps or not all(map(is_number, (*others, *made))):
        return None
    if any(value is index for value in graph.outputs):
        return None
    calls = all(isinstance(each, Call) and _rule(each.node, index) for each in step.body.steps)
    return Counting(step) if calls else None


def _rule(node: Node, index: Value) -> Rule | None:
    """Of the number of a turn only the float is asked."""
    if any(value is index for value in node.inputs):
        return INDEX if node.prim.name == "cast" and node.outs[0].dtype == "f64" else None
    return rule(node)


class Counting:
    """`run(ins, outs)`, as a `Loop` has it; False where Python refuses a number, and something is left half done."""

    def __init__(self, step: Turns) -> None:
        params, graph = step.node.params, step.body.graph
        self.turns, self.reverse = int(params["turns"]), bool(params["reverse"])
        self.consts, self.carry = params["consts"], params["carry"]
        self.counts = any(graph.inputs[0] in node.inputs for node in graph.nodes)
        self.call = self.made(step)

    def made(self, step: Turns) -> Callable[..., Sequence[Any]]:
        graph = step.body.graph
        names = {value.id: f"x{k}" for k, value in enumerate(graph.inputs)}
        slots = {value.id: k for k, value in enumerate(graph.inputs)}
        scope: dict[str, Any] = {}
        for node in graph.nodes:
            slot = slots[node.outs[0].id] = len(slots)
            names[node.outs[0].id] = f"x{slot}"
            if node.prim.name == "constant":
                scope[f"x{slot}"] = load(node).item()
        carried = [names[value.id] for value in graph.inputs[1 + self.consts : 1 + self.consts + self.carry]]
        given = [names[value.id] for value in graph.inputs[1 : 1 + self.consts]]
        rows = [names[value.id] for value in graph.inputs[1 + self.consts + self.carry :]]
        rows = [names[graph.inputs[0].id], *rows] if self.counts else rows
        kept = [k for k, read in enumerate(step.wanted[self.carry :]) if read]
        lines = [f"k{k}({carried[k]})" for k in kept if k < self.carry]
        for each in step.body.steps:
            node = each.nodes[0]
            found = _rule(node, graph.inputs[0])
            assert found is not None, "as `counting` asks"
            line = Line(found, tuple(slots[value.id] for value in node.inputs), slots[node.outs[0].id])
            lines.append(f"x{line.out} = {line.text(scope)}")
        outs = [names[value.id] for value in graph.outputs]
        lines += [f"k{k}({outs[k]})" for k in kept if k >= self.carry]
        if self.carry:
            lines.append(f"{', '.join(carried)} = {', '.join(outs[: self.carry])}")
        head = f"def turns({', '.join(['rows', *carried, *given, *(f'k{k}' for k in kept)])}):"
        text = [head, f" for {', '.join(rows) or '_'}{',' if rows else ''} in rows:", *(f"  {line}" for line in lines)]
        text.append(f" return {', '.join(carried)}{',' if carried else ''}" if carried else " return ()")
        self.kept = kept
        exec(compile("\n".join(text), "<loop>", "exec"), scope)
        call: Callable[..., Sequence[Any]] = scope.pop("turns")  # whose globals these are
        return call

    def run(self, ins: Sequence[Array], outs: Sequence[Array | None]) -> bool:
        given = [array.item() for array in ins[: self.consts]]
        carried: Sequence[Any] = [array.item() for array in ins[self.consts : self.consts + self.carry]]
        slices = [self.ordered(array) for array in ins[self.consts + self.carry :]]
        kept = [self.ordered(array) for array in (outs[self.carry + k] for k in self.kept) if array is not None]
        try:
            for start in range(0, self.turns, AT_ONCE):
                stop = min(start + AT_ONCE, self.turns)
                lists: list[list[Any]] = [[] for _ in kept]
                rows, keep = self.rows(slices, start, stop), [numbers.append for numbers in lists]
                carried = self.call(rows, *carried, *given, *keep)
                for array, numbers in zip(kept, lists, strict=True):
                    array[start:stop] = numbers
        except REFUSED:
            return False
        for end, number in zip(outs[: self.carry], carried, strict=True):
            if end is not None:
                end[...] = number
        return True

    def ordered(self, array: Array) -> Array:
        return array[::-1] if self.reverse else array

    def rows(self, slices: Sequence[Array], start: int, stop: int) -> Iterator[Any]:
        lists: list[Any] = [array[start:stop].tolist() for array in slices]
        if self.counts:
            numbers = range(start, stop)
            lists.insert(0, [self.turns - 1 - k for k in numbers] if self.reverse else numbers)
        return zip(*lists, strict=True) if lists else iter(repeat(None, stop - start))


__all__ = ["Counting", "counting"]

"""A plan on NumPy with a clock beside each step: what a profile is made of.

Steps are run one by one, in the plan's order, those inside of loops too. What the clock itself takes is measured on
steps that do nothing, and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from gradcli.backends.arrays import load
from gradcli.backends.program import Instruction, compile_plan, refused
from gradcli.ir.graph import Node
from gradcli.ir.primitive import DataError
from gradcli.plan.flat import FlatPlan, Step

EMPTY = 2_000  # steps that do nothing, to measure the clock


class Timed(NamedTuple):
    """One step of a run: the nodes that it computes, its own seconds in all `calls` of it, and the nodes that hold the
    loops around it, the outermost first. What is inside of a loop stands behind it."""

    label: str
    nodes: tuple[Node, ...]
    seconds: float
    calls: int
    inside: tuple[Node, ...] = ()


class Row:
    """What a step took in one run: `gross` with the steps inside of it, of which there were `children` calls."""

    __slots__ = ("calls", "children", "gross", "inner", "inside", "node")

    def __init__(self, node: Node, inside: tuple[Node, ...]) -> None:
        self.node, self.inside = node, inside
        self.reset()

    def reset(self) -> None:
        self.calls = self.children = 0
        self.gross = self.inner = 0.0


class Stopwatch:
    """`run(inputs)` gives the results of a plan and the time of each step. Raises ModelError as the plan's run does."""

    def __init__(self, plan: FlatPlan) -> None:
        self.rows: list[Row] = []
        self.top = _Timed(plan, (), self.rows)
        self.tick, self.between = clock_costs()

    def run(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Timed]]:
        for row in self.rows:
            row.reset()
        with np.errstate(all="ignore"):
            results = self.top([np.asarray(array) for array in inputs])
        return results, [self._told(row) for row in self.rows]

    def _told(self, row: Row) -> Timed:
        """Without the steps inside, the clock's own time, and what stands between those steps because of it."""
        own = row.gross - row.inner - row.calls * self.tick - row.children * self.between
        return Timed(label_of(row.node), (row.node,), max(own, 0.0), row.calls, row.inside)


class _Timed:
    """The steps of one plan, those of the outermost one or those of a body; called as what a body is."""

    def __init__(self, plan: FlatPlan, inside: tuple[Node, ...], rows: list[Row], outer: Row | None = None) -> None:
        self.inputs, self.outputs, self.outer = plan.graph.inputs, plan.graph.outputs, outer
        program = compile_plan(plan, np, load)
        self.slots, self.places, self.results = program.slots, program.inputs, program.results
        self.steps: list[tuple[Instruction, Row]] = []
        for step, instruction in zip(plan.steps, program.instructions, strict=True):
            row = Row(step.node, inside)
            rows.append(row)
            self.steps.append((self._watched(step, instruction, row, rows), row))

    def _watched(self, step: Step, plain: Instruction, row: Row, rows: list[Row]) -> Instruction:
        """The instruction; where the node holds graphs, one that times their steps."""
        if not step.bodies:
            return plain
        inside = (*row.inside, step.node)
        bodies = {name: _Timed(plan, inside, rows, row) for name, plan in step.bodies}
        lazy = {"wanted": step.wanted} if step.node.prim.lazy else {}
        call: Callable[..., Any] = partial(step.node.prim.eval, np, **{**step.node.params, **bodies, **lazy})
        return plain._replace(call=call if len(step.outs) > 1 else _as_array(call))

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        slots, clock = list(self.slots), perf_counter
        for slot, array in zip(self.places, arrays, strict=True):
            slots[slot] = array
        node: Node | None = None
        spent = 0.0
        try:
            for (call, fetch, _, out, into, dead, node), row in self.steps:  # noqa: B007 - read when a step raises
                operands = fetch(slots)
                begun = clock()
                made = call(*operands) if into is None else call(*operands, out=operands[into])
                took = clock() - begun
                row.gross += took
                row.calls += 1
                spent += took
                if isinstance(out, int):
                    slots[out] = made
                else:
                    for slot, array in zip(out, made, strict=True):
                        slots[slot] = array if array is None else np.asarray(array)
                for slot in dead:
                    slots[slot] = None
        except (DataError, MemoryError) as error:
            raise refused(error, node) from None
        if self.outer is not None:
            self.outer.inner += spent
            self.outer.children += len(self.steps)
        return [np.array(slots[slot]) if copied else slots[slot] for slot, copied in self.results]


def _as_array(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arrays: np.asarray(call(*arrays))


def label_of(node: Node) -> str:
    """`matmul f32[128, 10]`"""
    return f"{node.prim.name} {', '.join(str(out.aval) for out in node.outs[:2])}"


def clock_costs() -> tuple[float, float]:
    """What a step that does nothing seems to take, and what timing adds between two steps of a loop."""
    row, nothing, clock = Row.__new__(Row), _nothing, perf_counter
    row.reset()
    begun = clock()
    for _ in range(EMPTY):
        start = clock()
        nothing()
        took = clock() - start
        row.gross += took
        row.calls += 1
        row.inner += took
    whole = clock() - begun
    return row.gross / EMPTY, (whole - row.gross) / EMPTY


def _nothing() -> None:
    """What an empty step calls."""

"""Plans of programs with loops: of the ways in which a loop may run, the quickest that the memory allows.

- Rows that a turn reads and writes are sliced and stacked, and what an adjoint would compute again is kept;
- what need not be done turn by turn is done for all turns at once;
- a backward loop multiplies by its slopes, and where these overflow or underflow the plan without them runs
  (`Plan.otherwise`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gradcli.ad.fission import split_loops
from gradcli.ir.graph import Graph
from gradcli.passes.pipeline import optimize
from gradcli.passes.residuals import keep_costly
from gradcli.passes.rows import by_rows
from gradcli.passes.slopes import MAKING, makers, with_slopes
from gradcli.plan import fits, make_plan
from gradcli.plan.costs import HOISTED, worth_hoisting, worth_keeping
from gradcli.plan.plan import Blocks
from gradcli.record import replace

if TYPE_CHECKING:
    from gradcli.engine import Machine
    from gradcli.plan import Plan, Tiling
    from gradcli.plan.plan import Step

MORE = 4  # times the memory of the program as it is, that a quicker one may take where it takes much


def plan_with_loops(graph: Graph, tiling: Tiling, machine: Machine) -> Plan:
    """The plan of the first of these programs that takes not much more memory than the last: loops that keep what
    their adjoints need and are cut down to their recurrences; the one or the other; as they are."""
    planner = _Planner(graph, tiling, machine)
    rows = planner.changed(graph, by_rows)
    kept = planner.changed(rows, lambda graph: keep_costly(graph, worth_keeping))
    for program in (kept, rows):
        split = planner.changed(program, _split)
        if split is not program and (plan := planner.fitting(split)) is not None:
            return planner.by_slopes(program, plan)
    for program in (kept, rows):
        if program is not graph and (plan := planner.fitting(program)) is not None:
            return planner.by_slopes(program, plan)
    return planner.by_slopes(graph, planner.plain)


def _split(graph: Graph) -> Graph:
    return split_loops(graph, worth_hoisting)


class _Planner:
    """Plans programs that compute the same. `plain` is the plan of the program as it is."""

    def __init__(self, graph: Graph, tiling: Tiling, machine: Machine) -> None:
        self.graph, self.tiling, self.machine = graph, tiling, machine
        self._plain: Plan | None = None

    @property
    def plain(self) -> Plan:
        self._plain = self._plain or make_plan(self.graph, self.tiling)
        return self._plain

    def changed(self, graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
        """Optimised again where that changed anything."""
        made = change(graph)
        return graph if made is graph else optimize(made, fast_math=self.machine.fast_math)

    def fitting(self, graph: Graph) -> Plan | None:
        """The plan, if it takes not much memory, or not much more than the plain one."""
        plan = make_plan(graph, self.tiling)
        if not fits(plan, self.machine.memory):
            return None
        return plan if plan.peak <= HOISTED or plan.peak <= MORE * self.plain.peak else None

    def by_slopes(self, program: Graph, otherwise: Plan) -> Plan:
        """The plan in which backward loops use slopes; the other one where there are none, or it does not fit."""
        slopes = self.changed(program, lambda graph: with_slopes(graph, worth_hoisting))
        split = slopes if slopes is program else self.changed(slopes, _split)
        watched = makers(split)
        plan = self.fitting(split) if watched else None
        if plan is None:
            return otherwise
        numbers = [number for number, step in enumerate(plan.steps) if not watched.isdisjoint(step.nodes)]
        steps = tuple(_watched_blocks(step) if k in numbers else step for k, step in enumerate(plan.steps))
        lines = frozenset(k for k in numbers if not isinstance(steps[k], Blocks))
        return replace(plan, steps=steps, otherwise=otherwise, watched=lines)


def _watched_blocks(step: Step) -> Step:
    """Blocks in which all steps of the kinds that make slopes are watched; others may underflow on their way."""
    if not isinstance(step, Blocks):
        return step
    full, rest = (None if plan is None else _watched_making(plan) for plan in (step.full, step.rest))
    assert full is not None
    return replace(step, full=full, rest=rest)


def _watched_making(plan: Plan) -> Plan:
    making = [k for k, step in enumerate(plan.steps) if any(node.prim.name in MAKING for node in step.nodes)]
    return replace(plan, watched=frozenset(making))

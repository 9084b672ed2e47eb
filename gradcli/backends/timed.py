"""A plan on NumPy with clocks beside its calls (`clocks.py`): what a profile is made of.

What runs is the plan itself: its blocks on its threads, its loops as the functions that they are, its routes. A step's
own time is what its clock saw without what clocks inside of it saw, and without what the clocks themselves take. Blocks
run on several threads at a time: the time that such a step takes on the wall is divided among the nodes inside in
proportion to the time that each took on its thread. So all times add up to that of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from statistics import median
from time import perf_counter
from timeit import repeat
from typing import Any, NamedTuple

import numpy as np

from gradcli.backends import numpy
from gradcli.backends.clocks import Clock, Clocks
from gradcli.backends.numbers import REFUSED, Line, Rule, rule
from gradcli.ir.graph import Graph, Node, Value
from gradcli.plan.flat import FlatPlan
from gradcli.plan.flat import Step as FlatStep
from gradcli.plan.plan import Blocks, Call, Plan, Step, Turns

EMPTY, TIMES = 400, 21  # calls that do little, to measure a clock, and how often that is done
MOST, LONG = 100, 0.2  # runs, or seconds of them, with and without clocks, to see what these take among other calls
TYPICAL = (0.5, 1.5)  # numbers, one of which every operator takes
LEAST, HIGHEST = 0.5, 4.0  # times what they take alone
GIVEN_UP = "a quicker way, given up: it overflows or underflows"
END = "end"  # the name of what copies a result behind all steps


class Piece(NamedTuple):
    """What one node of a step took, in all `calls` of it; `graph` is the one that it stands in. A node of None: a value
    is copied."""

    node: Node | None
    graph: Graph
    step: Step | FlatStep | None
    seconds: float
    calls: int


class Timed(NamedTuple):
    """One step of a run by its `name`, as `show --stage plan` has it; what it runs in turn stands behind it, with the
    nodes of the loops around it. A node within blocks has two pieces where the last block is shorter; blocks themselves
    have none. `runs` is how often the loops around it ran it."""

    name: str
    step: Step | FlatStep | None
    pieces: tuple[Piece, ...]
    inside: tuple[Node, ...]
    deeper: int
    runs: int
    blocks: Blocks | None = None  # around it
    label: str = ""
    copied: Value | None = None

    @property
    def seconds(self) -> float:
        return sum(piece.seconds for piece in self.pieces)

    def with_seconds(self, seconds: Iterator[float]) -> Timed:
        """With the next ones instead."""
        return self._replace(pieces=tuple(piece._replace(seconds=next(seconds)) for piece in self.pieces))

    @property
    def calls(self) -> int:
        return sum(piece.calls for piece in self.pieces) if self.pieces else self.runs


class Stopwatch:
    """`run(inputs)` gives the results of a plan and the time of each step. Raises ModelError as the plan's run does."""

    def __init__(self, plan: Plan, workers: int = 1) -> None:
        self.plan, self.workers = plan, workers
        self.clocks = Clocks()
        self.costs = clock_costs()

    def run(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Timed]]:
        self.clocks.start()
        results = numpy.run(self.plan, inputs, self.workers, self.clocks)
        return results, [*self.told(self.plan, self.clocks)]

    def settle(self, inputs: Sequence[Any], plain: Callable[[], object]) -> float:
        """Hold what the clocks take against runs without them, whose calls are others than those that measured a clock.
        Gives the seconds of a run with and one without."""
        own = clock_costs()
        with_clocks = without = float("inf")
        begun = perf_counter()
        for turn in range(MOST):
            start = perf_counter()
            plain()
            middle = perf_counter()
            self.clocks.start()
            numpy.run(self.plan, inputs, self.workers, self.clocks)
            without = min(without, middle - start)
            with_clocks = min(with_clocks, perf_counter() - middle)
            if turn and perf_counter() - begun > LONG:
                break
        taken = _Telling(*own).of(self.clocks.last)
        longer = min(max((with_clocks - without) / taken, LEAST), HIGHEST) if taken else 1.0
        self.costs = own[0] * longer, own[1] * longer
        return with_clocks + without

    def told(self, plan: Plan, clocks: Clocks) -> Iterator[Timed]:
        """Of the plan that gave the results; what was tried before it is one step, in which frames are made, too."""
        if clocks.last is not clocks and plan.otherwise is not None:
            node = plan.steps[min(plan.watched, default=0)].nodes[0]
            yield Timed("", None, (Piece(node, plan.graph, None, clocks.late, 1),), (), 0, 1, label=GIVEN_UP)
            yield from self.told(plan.otherwise, clocks.last)
        else:
            yield from _Telling(*self.costs).steps(plan, [clocks], _Place())


class _Place(NamedTuple):
    """Where a step stands: its name, what the names of its neighbours begin with, the loops around it, and their
    turns."""

    name: str = ""
    outer: str = ""
    inside: tuple[Node, ...] = ()
    deeper: int = 0
    calls: int = 1


class _Telling:
    """Clocks → steps. A clock adds `tick` to what it sees, and takes `beside` more of its caller's time."""

    def __init__(self, tick: float, beside: float) -> None:
        self.tick, self.beside = tick, beside

    def steps(self, plan: Plan | FlatPlan, every: Sequence[Clocks], at: _Place) -> Iterator[Timed]:
        """Those that were called, by any of several clocks of the plan."""
        if not any(clock.times for clocks in every for clock in clocks.each.values()):
            yield from self.numbers(plan, every, at)
            return
        for number, step in enumerate(plan.steps):
            clocks = [clocks.each[number] for clocks in every if number in clocks.each]
            if not sum(clock.times for clock in clocks):
                continue
            own = at._replace(name=f"{at.outer}{number}")
            if isinstance(step, Blocks):
                yield from self.blocks(step, clocks, own)
            else:
                bodies = [step.body] if isinstance(step, Turns) else [body for _, body in step.bodies]
                yield from self.node(step, plan.graph, clocks, bodies, own)
        for k in plan.copied if isinstance(plan, Plan) else ():
            clocks = [clocks.each[place] for clocks in every if (place := len(plan.steps) + k) in clocks.each]
            if calls := sum(clock.calls for clock in clocks):
                pieces = (Piece(None, plan.graph, None, sum(map(self.wall, clocks)), calls),)
                copied = plan.graph.outputs[k]
                yield Timed(f"{at.outer}{END}", None, pieces, at.inside, at.deeper, calls, copied=copied)

    def node(
        self,
        step: Call | Turns | FlatStep,
        graph: Graph,
        clocks: Sequence[Clock],
        bodies: Iterable[Plan | FlatPlan],
        at: _Place,
    ) -> Iterator[Timed]:
        """One node, without what it runs in turn; and that."""
        calls = sum(clock.calls for clock in clocks)
        turns = calls * (step.node.params["turns"] if isinstance(step, Turns) else 1)
        below = _Place("", f"{at.name}.", (*at.inside, step.node), at.deeper + 1, turns)
        within = [timed for body in bodies for timed in self.steps(body, _held(clocks, body), below)]
        wall, spent = sum(map(self.wall, clocks)), sum(timed.seconds for timed in within)
        own = Piece(step.node, graph, step, max(wall - spent, 0.0), calls)
        yield Timed(at.name, step, (own,), at.inside, at.deeper, calls)
        yield from (_scaled(timed, wall / spent) for timed in within) if spent > wall else within

    def numbers(self, plan: Plan | FlatPlan, every: Sequence[Clocks], at: _Place) -> Iterator[Timed]:
        """Operators on numbers of Python take less than a clock: the time of all is divided among them in proportion to
        what each takes on some number."""
        if not any(clocks.whole.times for clocks in every):
            return
        shares = [number_cost(step.node) if isinstance(step, Call) else 0.0 for step in plan.steps]
        scale = sum(self.wall(clocks.whole) for clocks in every) / (sum(shares) or 1.0)
        for number, (step, share) in enumerate(zip(plan.steps, shares, strict=True)):
            if isinstance(step, Call):
                pieces = (Piece(step.node, plan.graph, step, share * scale, at.calls),)
                yield Timed(f"{at.outer}{number}", step, pieces, at.inside, at.deeper, at.calls)

    def blocks(self, step: Blocks, clocks: Sequence[Clock], at: _Place) -> Iterator[Timed]:
        """The time on the wall, divided among the nodes inside."""
        runs = sum(clock.calls for clock in clocks)
        below = _Place("", f"{at.name}.", at.inside, at.deeper + 1)
        full = [*self.steps(step.full, _held(clocks, step.full), below)]
        rest = [] if step.rest is None else [*self.steps(step.rest, _held(clocks, step.rest), below)]
        within = [*map(_together, full, rest)] if _alike(full, rest) else [*full, *rest]
        within = self._with_sums(step, [*_held(clocks, step.full), *_held(clocks, step)], within)
        spent = sum(timed.seconds for timed in within)
        scale = sum(map(self.wall, clocks)) / spent if spent else 0.0
        yield Timed(at.name, step, (), at.inside, at.deeper, runs)
        yield from (_scaled(timed, scale)._replace(runs=runs, blocks=step) for timed in within)

    def _with_sums(self, step: Blocks, every: Sequence[Clocks], within: Sequence[Timed]) -> list[Timed]:
        """What adding up a sum takes belongs to the node that makes its parts."""
        results = zip(step.region.outputs, step.full.graph.outputs, strict=True)
        outs = [out for output, out in results if output.axis is None]
        places = {timed.pieces[0].node: k for k, timed in reversed([*enumerate(within)])}
        found = [*within]
        for k, out in enumerate(outs):
            seconds = sum(self.wall(clocks.each[-1 - k]) for clocks in every if -1 - k in clocks.each)
            node = out.node
            while node is not None and node not in places and node.prim.view and node.inputs:
                node = node.inputs[0].node
            if found and seconds:
                place = places.get(node, len(found) - 1)
                first, *others = found[place].pieces
                pieces = (first._replace(seconds=first.seconds + seconds), *others)
                found[place] = found[place]._replace(pieces=pieces)
        return found

    # ── without the clocks ──────────────────────────────────────────────────────────────────────────────────

    def wall(self, clock: Clock) -> float:
        """The time of a step with all inside of it."""
        return max(clock.seconds - clock.times * self.tick - self.below(clock), 0.0)

    def below(self, clock: Clock) -> float:
        """What clocks inside of a step take of its time: of those of several threads, the mean."""
        taken: dict[int, list[float]] = {}
        for plan, clocks in clock.held:
            if own := self.of(clocks):
                taken.setdefault(id(plan), []).append(own)
        return sum(sum(each) / len(each) for each in taken.values())

    def of(self, clocks: Clocks) -> float:
        """What all clocks of a plan take."""
        each = (clocks.whole, *clocks.each.values())
        return sum(clock.times * (self.tick + self.beside) + self.below(clock) for clock in each)


def _held(clocks: Iterable[Clock], plan: object) -> list[Clocks]:
    return [inner for clock in clocks for held, inner in clock.held if held is plan]


def _alike(full: Sequence[Timed], rest: Sequence[Timed]) -> bool:
    return [_kind(timed) for timed in full] == [_kind(timed) for timed in rest]


def _kind(timed: Timed) -> tuple[str, str]:
    node = timed.pieces[0].node
    return timed.name, "" if node is None else node.prim.name


def _scaled(timed: Timed, scale: float) -> Timed:
    return timed._replace(pieces=tuple(piece._replace(seconds=piece.seconds * scale) for piece in timed.pieces))


def _together(full: Timed, rest: Timed) -> Timed:
    return full._replace(pieces=(*full.pieces, *rest.pieces))


def number_cost(node: Node) -> float:
    """Seconds of an operator on one number, as a line of a program."""
    kinds = tuple(value.dtype == "bool" for value in node.inputs)
    made = rule(node)
    return 0.0 if made is None else _number_cost(node.prim.name, kinds, made)


@cache
def _number_cost(name: str, flags: tuple[bool, ...], made: Rule) -> float:
    scope: dict[str, Any] = {}
    call = Line(made, tuple(range(len(flags))), len(flags)).text(scope)
    for number in TYPICAL:
        given = {f"x{k}": flag or number for k, flag in enumerate(flags)}
        try:
            with_call, without = (min(repeat(text, globals=scope | given, number=EMPTY)) for text in (call, "x0"))
        except REFUSED:
            continue
        return max(with_call - without, 1e-9) / EMPTY
    return 1e-9


# ── the clock ───────────────────────────────────────────────────────────────────────────────────────────────


def clock_costs() -> tuple[float, float]:
    """How much longer a call seems with a clock around it, and how much longer it is beside that, for the caller."""
    seen, whole = map(median, zip(*(_costs() for _ in range(TIMES)), strict=True))
    return seen, max(whole - seen, 0.0)


def _costs() -> tuple[float, float]:
    """How much more a clock saw of each call than that takes, and how much longer the calls took with it."""
    clock = Clock()
    with_clock, without = _seconds(clock.around(np.add)), _seconds(np.add)
    return max(clock.seconds - without, 0.0) / EMPTY, max(with_clock - without, 0.0) / EMPTY


def _seconds(call: Callable[..., object]) -> float:
    one, out = np.ones(()), np.ones(())
    begun = perf_counter()
    for _ in range(EMPTY):
        call(one, one, out)
    return perf_counter() - begun


__all__ = ["Call", "Piece", "Stopwatch", "Timed", "clock_costs"]

"""Clocks beside the calls of a plan. A frame, a loop or a body that is given `Clocks` binds each call with one around
it; without them, nothing stands between a plan and its calls.

    clocks.of(number)       the clock of a step of a plan; below 0 those of sums, behind the steps those of copies
    clock.around(call)      the call with the clock beside it
    clock.inside(plan)      clocks for what the step runs in turn: for each thread its own
    clocks.whole            the clock of operators that are too quick for clocks of their own
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

Call = Callable[..., Any]


class Clock:
    """What a step took in one run, with all inside of it. One thread at a time writes to it."""

    __slots__ = ("each", "held", "seconds", "times")

    def __init__(self) -> None:
        self.seconds, self.times, self.each = 0.0, 0, 1  # `each` time stands for so many calls
        self.held: list[tuple[object, Clocks]] = []

    @property
    def calls(self) -> int:
        return self.times * self.each

    def around(self, call: Call, each: int = 1) -> Call:
        clock, now, self.each = self, perf_counter, each

        def timed(*operands: Any, **options: Any) -> Any:
            begun = now()
            made = call(*operands, **options)
            clock.seconds += now() - begun
            clock.times += 1
            return made

        return timed

    def inside(self, plan: object) -> Clocks:
        made = Clocks()
        self.held.append((plan, made))
        return made


class Clocks:
    """Those of a plan, by the numbers of its steps. A whole program has `frames` of its own, which bind them; where it
    gives up, after `late` seconds, `instead` holds those of the program that runs then."""

    __slots__ = ("begun", "each", "frames", "instead", "late", "whole")

    def __init__(self) -> None:
        self.each: dict[int, Clock] = {}
        self.whole = Clock()
        self.frames: list[Any] = []
        self.begun = self.late = 0.0
        self.instead: Clocks | None = None

    def of(self, place: int) -> Clock:
        if place not in self.each:
            self.each[place] = Clock()
        return self.each[place]

    def start(self) -> None:
        """Before a run: nothing was called yet."""
        self.begun, self.late = perf_counter(), 0.0
        for clocks in (every := [self]):
            for clock in (clocks.whole, *clocks.each.values()):
                clock.seconds, clock.times = 0.0, 0
                every += [inner for _, inner in clock.held]

    @property
    def last(self) -> Clocks:
        """Those of the program that ran to its end."""
        return self.instead if self.late and self.instead is not None else self

    def give_up(self) -> Clocks:
        """Those of the program that runs instead. The next frame of this one makes its clocks anew."""
        self.late = perf_counter() - self.begun
        self.each.clear()
        self.instead = self.instead or Clocks()
        self.instead.start()
        return self.instead


def around(clock: Clock | None, call: Call) -> Call:
    return call if clock is None else clock.around(call)


def inside(clock: Clock | None, plan: object) -> Clocks | None:
    return None if clock is None else clock.inside(plan)

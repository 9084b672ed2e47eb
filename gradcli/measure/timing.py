"""Several ways to run one thing, timed side by side: one after the other, round by round, each going first in turn.

A slow moment of the machine so meets all alike, and ratios are taken within a round. A round runs each side so often
that the clock can tell it. How many rounds there are follows from what a first one took.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

from gradcli.facts.measure import Spread
from gradcli.record import record

Run = Callable[[], object]

SHORTEST = 0.002  # seconds of one side in one round
MOST_RUNS = 20_000  # of one side in one round
FEWEST, MOST = 5, 100_000  # rounds


@record
class Talk:
    """How progress is told: the pieces of work that lie ahead, and each that is done."""

    start: Callable[[int], None]
    advance: Callable[[str], None]


@record
class Rounds:
    """Seconds of a run by side, one for each round, and how many runs each round had."""

    seconds: Mapping[str, Sequence[float]]
    runs: Mapping[str, int]

    def spread(self, name: str) -> Spread:
        return spread(self.seconds[name])

    def ratio(self, name: str, other: str) -> Spread:
        """The time of `name` over that of `other`, of each round."""
        return spread([a / b for a, b in zip(self.seconds[name], self.seconds[other], strict=True)])


def spread(figures: Sequence[float]) -> Spread:
    """Their median and quartiles."""
    ranked = sorted(figures)
    return Spread(_at(ranked, 0.5), _at(ranked, 0.25), _at(ranked, 0.75))


def _at(ranked: Sequence[float], share: float) -> float:
    place = share * (len(ranked) - 1)
    low, high = ranked[math.floor(place)], ranked[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def side_by_side(sides: Mapping[str, Run], *, seconds: float, rounds: int | None, talk: Talk) -> Rounds:
    """Time them for about so many seconds, five rounds at least, or for exactly so many rounds."""
    runs = {name: runs_of(run) for name, run in sides.items()}
    once = sum(timed(run, runs[name]) * runs[name] for name, run in sides.items())
    if rounds is None:
        rounds = min(max(FEWEST, round(seconds / max(once, 1e-6))), MOST)
    talk.start(rounds)
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(timed(sides[name], runs[name]))
        talk.advance(f"round {turn + 1}")
    return Rounds(found, runs)


def runs_of(run: Run) -> int:
    """How many runs the clock can tell; they warm up what there is to warm up."""
    count = 1
    while True:
        taken = timed(run, count) * count
        if taken >= SHORTEST or count >= MOST_RUNS:
            return count
        count = min(MOST_RUNS, max(count * 2, math.ceil(count * SHORTEST / max(taken, 1e-7))))


def timed(run: Run, count: int) -> float:
    """Seconds of one of so many runs."""
    turns = range(count)
    begun = perf_counter()
    for _ in turns:
        run()
    return (perf_counter() - begun) / count

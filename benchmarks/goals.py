"""What is to be reached, in one table, and who has reached it.

A goal is the most that the ratio of gradcli's figure to a peer's may be, both from the same run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measure import Figures, Outcome

LEAST_BYTES = 1 << 20  # memory below that is compared as if it were that
BY_HAND = ("numpy", "gradcli")  # no peers: derivatives worked out on paper, and ourselves


@dataclass(frozen=True, slots=True)
class Goal:
    """Of a suite, for sizes within bounds and one kind (None: any): the most that the ratio of `what` may be, to one
    engine, or to the best of all peers."""

    suite: str
    most: float
    what: str = "time"  # or "memory": the growth of the process over what it was before the workload
    against: str = "best"
    sizes: tuple[int, float] = (0, float("inf"))
    kind: str | None = None
    dtype: str | None = None

    def covers(self, outcome: Outcome) -> bool:
        low, high = self.sizes
        named = self.suite == outcome.suite and self.kind in (None, outcome.kind)
        return named and self.dtype in (None, outcome.dtype) and low <= outcome.size <= high


GOALS = (
    Goal("chain", 0.5, sizes=(1_000, 1_000)),
    Goal("chain", 0.6, sizes=(100_000, float("inf"))),
    Goal("perceptron", 0.95),
    Goal("pinn", 0.6, sizes=(2_000, 2_000)),
    Goal("pinn", 0.4, sizes=(20_000, 20_000)),
    Goal("pinn", 0.2, what="memory"),
    Goal("product", 1.2, sizes=(100_000, 100_000)),
    Goal("recurrence", 1.0, against="casadi"),
    Goal("startup", 0.8, kind="--version"),
    Goal("startup", 1.2, kind="check"),
    Goal("startup", 1.7, kind="grad"),
    Goal("startup", 3.0, kind="check long"),
    Goal("startup", 3.0, kind="check mixed"),
    Goal("linear", 12.0),
    Goal("cold", 0.25, against="jax"),
    Goal("cold", 0.1, against="torch"),
)
EVERYTHING_ELSE = 1.5  # of the best peer's time, where no goal above is about time


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, and the ratio that came out; `peer` is the engine meant. The ratio is None where a side is missing."""

    goal: Goal
    peer: str
    ratio: float | None
    stated: bool = True  # in the table above, not what holds for everything else

    @property
    def met(self) -> bool | None:
        return None if self.ratio is None else self.ratio <= self.goal.most


def verdicts(outcome: Outcome) -> list[Verdict]:
    """Every goal that covers the case, judged."""
    own = [goal for goal in GOALS if goal.covers(outcome)]
    found = [Verdict(goal, *ratio(outcome, goal.what, goal.against)) for goal in own]
    if any(goal.what == "time" for goal in own):
        return found
    return [*found, Verdict(Goal(outcome.suite, EVERYTHING_ELSE), *ratio(outcome), stated=False)]


def ratio(outcome: Outcome, what: str = "time", against: str = "best") -> tuple[str, float | None]:
    """gradcli's figure as a part of a peer's; of the best peer's, the one that is least."""
    figures = {name: found for name in outcome.figures if (found := figure(outcome.figures[name], what)) is not None}
    peers = {name: found for name, found in figures.items() if name not in BY_HAND and against in ("best", name)}
    if not peers:
        return ("" if against == "best" else against), None
    peer = min(peers, key=lambda name: peers[name])
    return peer, figures["gradcli"] / peers[peer] if "gradcli" in figures else None


def figure(figures: Figures, what: str) -> float | None:
    if what == "time" or figures.growth is None:
        return figures.seconds if what == "time" else None
    return max(figures.growth, LEAST_BYTES)


def missed(outcomes: Sequence[Outcome]) -> list[Verdict]:
    """The goals that were not met; one of ours without figures is missed, a peer that is not there is not judged."""
    found = [(outcome, verdict) for outcome in outcomes for verdict in verdicts(outcome)]
    return [v for outcome, v in found if v.met is False or (v.ratio is None and "gradcli" not in outcome.figures)]

"""The slope of a function along a direction by central differences, with how far it can be trusted.

    g(h) = (f(x + h v) - f(x - h v)) / 2h  =  f'(x; v) + c h² + …  + noise / h

Each step is a tenth of the one before. Two of them give a value without the term in h² (Richardson):
r(h) = (100 g(h/10) - g(h)) / 99. At large steps the terms left out decide, at small ones rounding; between them lies a
plateau, where three values agree. Their spread is the error, so that no tolerance has to be guessed: the larger step
errs by more than the middle one for what is left out, the smaller one for rounding.

(Ridders 1982, "Accurate computation of F'(x) and F'(x) F''(x)"; Dennis & Schnabel 1983, 5.4 for the rounding.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gradcli.engine import Machine
from gradcli.gradcheck.held import Held, Near
from gradcli.ir.aval import EPS
from gradcli.ir.graph import Graph, Node
from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Exponents of ten of the steps, by dtype: the first, and the smallest, above which rounding leaves some digits.
STEPS = {"f64": (-2, -9), "f32": (-1, -4), "f16": (0, -2)}
FARTHER = 6  # how many larger ones are tried where that helps
RATIO = 10.0
SAFETY = 8.0  # times the error
CLEAR = 1e-9  # a relative error below which no better step is looked for


@record(eq=False)
class Difference:
    """One central difference: g, what rounding adds to it at least, and what lay between the two points."""

    step: float
    value: float
    noise: float
    kinks: tuple[Node, ...]
    turns: tuple[Node, ...]

    @property
    def usable(self) -> bool:
        return not self.kinks and self.value - self.value == 0  # finite


@record(eq=False)
class Slope:
    """A slope and its error. It has `settled` if it hangs on the step by rounding only, or by little.

    `step` is 0 where no step was usable; then `kinks` tells what was in the way, and where it does not either, the
    function is not finite beside the point. `turns` are loops that would stop elsewhere.
    """

    value: float
    error: float
    step: float
    settled: bool = True
    kinks: tuple[Node, ...] = ()
    turns: tuple[Node, ...] = ()

    @property
    def known(self) -> bool:
        return self.step > 0


@record(eq=False)
class Way:
    """Where an input moves: all of it along `along`, or one element alone by `along`. `gradient` is the one believed
    in, along it: what rounding makes of a step is made good with it."""

    position: int
    along: Array
    gradient: Array
    index: tuple[int, ...] | None = None


@record(eq=False)
class Step:
    """A way taken so far. `at` is what it moves: an array, or an element of it as an array without dims."""

    way: Way
    length: float

    @property
    def position(self) -> int:
        return self.way.position

    def to(self, x: Array) -> Array:
        at = x if self.way.index is None else x[self.way.index]
        moved: Array = (at + self.length * self.way.along).astype(x.dtype)
        return moved

    def apply(self, x: Array) -> None:
        x[... if self.way.index is None else self.way.index] = self.to(x)


class Weighted:
    """⟨ct, f⟩ near a point, for a graph whose outputs are all floats and have a cotangent each. `values` are those at
    the point; only the inputs at `moved` move."""

    def __init__(
        self, graph: Graph, arrays: Sequence[Array], cts: Sequence[Array], values: Sequence[Array],
        moved: Sequence[int], machine: Machine,
    ) -> None:  # fmt: skip
        self.arrays = list(arrays)
        self.values = list(values)
        self.held = Held(graph, arrays, moved, machine)
        self.cts = [ct.astype("float64") for ct in cts]
        self.eps = [EPS[out.dtype] for out in graph.outputs]
        self._dtypes = [value.dtype for value in (*graph.inputs, *graph.outputs)]

    @property
    def finite(self) -> bool:
        """Whether the function is finite at the point."""
        import numpy as np

        return all(bool(np.isfinite(out).all()) for out in self.values)

    def slopes(self, ways: Sequence[Way], done: Callable[[int], None] = lambda which: None) -> list[Slope]:
        """Along each way. All go on side by side, as many as are moved at once; `done` is told which has its slope."""
        found: dict[int, Slope] = {}
        most = self.held.most // 2  # differences in one run
        ahead = max(1, most // max(len(ways), 1))
        waiting = deque((k, way, plateau(*self._window(way), ahead)) for k, way in enumerate(ways))
        active: list[tuple[int, Way, Search, list[float]]] = []
        while active or waiting:
            while waiting and sum(len(steps) for *_, steps in active) < most:
                k, way, search = waiting.popleft()
                active.append((k, way, search, next(search)))
            made = iter(self.differences([(way, step) for _, way, _, steps in active for step in steps]))
            going, active = active, []
            for k, way, search, steps in going:
                try:
                    active.append((k, way, search, search.send([next(made) for _ in steps])))
                except StopIteration as end:
                    found[k] = end.value
                    done(k)
        return [found[k] for k in range(len(ways))]

    def _window(self, way: Way) -> tuple[int, int]:
        """The first and the last step, for the narrowest of what moves and what is weighted."""
        dtypes = [self._dtypes[way.position], *self._dtypes[len(self.arrays) :]]
        return STEPS[max(dtypes, key=EPS.__getitem__)]

    def smooth(self, way: Way) -> bool:
        """Whether the slopes on both sides come together as the step gets smaller: at a kink they do not."""
        first, _ = self._window(way)
        steps = [RATIO**first, RATIO ** (first - 1)]
        near = self.held.near([Step(way, sign * step) for step in steps for sign in (1, -1)])
        coarse, fine = (self._bend(near[2 * k], near[2 * k + 1]) / step for k, step in enumerate(steps))
        return fine < 0.5 * coarse or fine <= SAFETY * self.rounding / steps[1]

    def _bend(self, after: Near | None, before: Near | None) -> float:
        """|f(x + h v) - 2 f(x) + f(x - h v)|, weighted."""
        if after is None or before is None:
            return float("nan")
        return abs(sum(self._between(one.outputs, self.values)[0] for one in (after, before)))

    def differences(self, asked: Sequence[tuple[Way, float]]) -> list[Difference]:
        near = self.held.near([Step(way, sign * step) for way, step in asked for sign in (1, -1)])
        return [
            self._difference(way, step, after, before)
            for (way, step), after, before in zip(asked, near[::2], near[1::2], strict=True)
        ]

    def _difference(self, way: Way, step: float, after: Near | None, before: Near | None) -> Difference:
        if after is None or before is None:
            return Difference(step, float("nan"), 0.0, (), ())
        rise, noise = self._between(after.outputs, before.outputs)
        return Difference(
            step, rise / (2 * step) - self._astray(way, step), noise / (2 * step),
            (*after.kinks, *before.kinks), (*after.turns, *before.turns),
        )  # fmt: skip

    def _astray(self, way: Way, step: float) -> float:
        """What the slope gains where rounding makes of a step another one."""
        import numpy as np

        x = self.arrays[way.position]
        with np.errstate(all="ignore"):
            plus, minus = (Step(way, sign * step).to(x).astype("float64") for sign in (1, -1))
            moved = (plus - minus) / (2 * step) - way.along
            believed = np.where((moved == 0) | ~np.isfinite(way.gradient), 0.0, way.gradient)
            return float(np.vdot(believed, moved))

    def _between(self, after: Sequence[Array], before: Sequence[Array]) -> tuple[float, float]:
        """⟨ct, after - before⟩, and the rounding of what differs, and of the largest term: where that takes up all of a
        small step, nothing differs."""
        import numpy as np

        rise = noise = 0.0
        with np.errstate(all="ignore"):
            for ct, eps, a, b in zip(self.cts, self.eps, after, before, strict=True):
                a, b = a.astype("float64"), b.astype("float64")
                rise += float((ct * (a - b)).sum())
                terms = eps * abs(ct) * np.maximum(abs(a), abs(b))
                noise += float((terms * (a != b)).sum()) + float(terms.max(initial=0.0))
        return rise, noise

    @property
    def rounding(self) -> float:
        """Of the largest term of the value."""
        import numpy as np

        terms = zip(self.cts, self.eps, self.values, strict=True)
        with np.errstate(all="ignore"):
            return max((eps * float(abs(ct * out).max(initial=0.0)) for ct, eps, out in terms), default=0.0)


Search = Generator[list[float], list[Difference], Slope]


def plateau(first: int, last: int, ahead: int = 1) -> Search:
    """The slope where it hangs least on the step. Smaller steps are tried until rounding takes over, larger ones where
    rounding rules from the first step on. It asks for the steps that it wants to see, `ahead` at once where that may
    be more than it needs, and is sent the differences."""
    down = deque(range(first, last - 1, -1))
    known = deque((yield _steps(down, max(3, ahead))))
    tried = [known.popleft() for _ in range(3)]
    if all(one.usable and one.value == 0 for one in tried):  # nothing moves, be it that the steps are lost in rounding
        return Slope(0.0, tried[0].noise, tried[0].step)
    best, stale = _best(tried), 0
    while known or down:
        if not known:
            known.extend((yield _steps(down, ahead)))
        tried.append(known.popleft())
        found = _best(tried)
        stale = stale + 1 if best is not None and found is not None and found.step == best.step else 0
        best = found
        if stale == 2 and best is not None and best.error <= CLEAR * abs(best.value):
            break
    for k in range(first + 1, first + FARTHER + 1):
        if best is None or best.step < RATIO ** (k - 3.5) or best.error <= CLEAR * abs(best.value):
            break
        tried[:0] = yield [RATIO**k]
        best = _best(tried)
    if best is not None:
        return best
    kinks = {id(node): node for one in tried for node in one.kinks}
    return Slope(float("nan"), float("inf"), 0.0, False, tuple(kinks.values()))


def _steps(exponents: deque[int], count: int) -> list[float]:
    """The next steps."""
    return [RATIO ** exponents.popleft() for _ in range(min(count, len(exponents)))]


def _best(tried: Sequence[Difference]) -> Slope | None:
    """Of the extrapolated values whose neighbours are known, that with the least error: its distance to these, and what
    rounding is seen to do at the smaller steps (in proportion to 1/h), as three values may be close by chance.

    A slope that is plain to see, far above its rounding and its spread, goes before one that is not: close to a pole,
    large steps leap over it and give small numbers that mean nothing.
    """
    pairs = [
        (one.step, (RATIO**2 * one.value - before.value) / (RATIO**2 - 1), one)
        for before, one in pairwise(tried)
        if before.usable and one.usable
    ]
    found: list[tuple[bool, float, Slope]] = []
    for k in range(1, len(pairs)):
        step, value, at = pairs[k]
        beside = [pairs[k - 1][1], *([pairs[k + 1][1]] if k + 1 < len(pairs) else [])]
        if len(beside) == 1 and len(pairs) > 2:
            continue
        rounding = [abs(b[1] - a[1]) * b[0] / step for a, b in zip(pairs[k:], pairs[k + 1 :], strict=False)]
        error = max(at.noise, *rounding, *(abs(value - other) for other in beside))
        plain = abs(value) > 1e3 * at.noise and abs(value) > 20 * error
        settled = plain or error <= 1e3 * at.noise
        slope = Slope(value, error, step, settled, (), at.turns)
        found.append((not plain, error / abs(value) if plain else error, slope))
    return min(found, key=lambda one: one[:2])[2] if found else None

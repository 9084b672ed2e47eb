"""One gradient against differences: along random directions, along elements, and halving where these disagree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import inf, isfinite, sqrt
from typing import TYPE_CHECKING, Any

from gradcli.engine import Machine
from gradcli.gradcheck.placing import place_of
from gradcli.gradcheck.slopes import SAFETY, Slope, Way, Weighted
from gradcli.ir.aval import EPS, Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node
from gradcli.record import record
from gradcli.request import GradientCheck, Verdict, WorstElement

if TYPE_CHECKING:
    import numpy as np

    from gradcli.gradcheck.problems import Problem

    Array = np.ndarray[Any, Any]

DIRECTIONS = 2  # at random, of all elements at once; where hardly an element is moved alone, one
ROUNDING = 64  # units of rounding that a gradient itself may be off
SEEN = 0.1  # relative error from which on a slope tells nothing
CLOSE = 1e-3  # and up to which it is believed where the gradient is not finite
BAD = 16  # elements that are not finite, of which the slope is asked


@record(eq=False)
class Try:
    """A slope of the gradient, and by differences, along one way; `index` for a single element."""

    found: float
    slope: Slope
    size: float  # Σ |gradient · way|
    scale: float  # how far step 1 goes
    eps: float
    rounding: float  # of the value that is differentiated
    index: tuple[int, ...] | None = None
    smooth: bool = True  # asked only where the gradient is not finite
    blur: float = 0.0  # how far the gradient moves with the rounding of the inputs; asked only where it disagrees

    @property
    def allowed(self) -> float:
        return SAFETY * self.slope.error + ROUNDING * (self.eps * self.size + self.rounding + self.blur)

    @property
    def apart(self) -> float:
        if not self.slope.known:
            return 0.0
        return abs(self.found - self.slope.value) if isfinite(self.found) else inf

    @property
    def disagrees(self) -> bool:
        """Also where the gradient is not finite, and the function plainly has a slope."""
        if isfinite(self.found):
            return self.slope.settled and self.apart > self.allowed
        return self.slope.known and self.smooth and self.slope.error <= CLOSE * abs(self.slope.value)

    @property
    def tells(self) -> bool:
        """Whether the slope is more than its rounding; next to a far larger value it need not be, as a zero is not."""
        much = max(self.size, abs(self.slope.value), self.rounding / sqrt(self.eps))
        return self.slope.settled and (self.allowed <= SEEN * much or self.found == 0)


class One:
    """What is by one input."""

    def __init__(self, weighted: Weighted, position: int, gradient: Array, dtype: str) -> None:
        self.weighted, self.position, self.gradient = weighted, position, gradient.astype("float64")
        self.eps = max(EPS[dtype], *weighted.eps)
        self.rounding = weighted.rounding
        self.scales = scales_of(weighted.arrays[position])
        self.blur: Array | None = None

    def way(self, along: Array) -> Way:
        """Of all elements."""
        return Way(self.position, along, self.gradient)

    def element(self, flat: int) -> Way:
        import numpy as np

        index = tuple(int(i) for i in np.unravel_index(flat, self.gradient.shape))
        return Way(self.position, np.asarray(self.scales[index]), np.asarray(self.gradient[index]), index)

    def tried(self, ways: Sequence[Way]) -> list[Try]:
        slopes = self.weighted.slopes(ways)
        return [self.judged(way, slope) for way, slope in zip(ways, slopes, strict=True)]

    def judged(self, way: Way, slope: Slope) -> Try:
        import numpy as np

        with np.errstate(all="ignore"):
            terms = np.where(way.along == 0, 0.0, way.gradient * way.along)
            scale, found = float(abs(way.along).max()), float(terms.sum())
            smooth = isfinite(found) or (slope.known and self.weighted.smooth(way))
            size, blur = float(abs(terms).sum()), self._blurred(way)
            return Try(found, slope, size, scale, self.eps, self.rounding, way.index, smooth, blur)

    def _blurred(self, way: Way) -> float:
        if self.blur is None:
            return 0.0
        return float((abs(way.along) * (self.blur if way.index is None else self.blur[way.index])).sum())

    def halved(self, along: Array) -> Try | None:
        """The element by which a way that disagrees does; None where no part of it alone disagrees."""
        import numpy as np

        left = np.arange(along.size)
        while left.size > 1:
            halves = np.array_split(left, 2)
            tried = self.tried([self.way(_only(along, half)) for half in halves])
            worst = int(np.argmax([one.apart - one.allowed for one in tried]))
            if not tried[worst].disagrees:
                return None
            left = halves[worst]
        return self.tried([self.element(int(left[0]))])[0]


def scales_of(x: Array) -> Array:
    """How far an element is moved in units of the step: its size, at least that of its array; 1 where all are 0."""
    import numpy as np

    size = abs(x.astype("float64"))
    size = np.where(np.isfinite(size), size, 0.0)
    largest = float(size.max(initial=0.0))
    usual = largest * float(np.sqrt(np.mean((size / largest) ** 2))) if largest else 1.0
    made: Array = np.maximum(size, usual)
    return made


def check_problem(
    problem: Problem, machine: Machine, counts: Sequence[int], places: Sequence[str | None], seed: int,
    advance: Callable[[str], None] = lambda name: None,
) -> list[GradientCheck]:  # fmt: skip
    """The gradients by all targets, side by side; of each so many elements are moved alone."""
    weighted = problem.weighted(machine)
    checks = [
        Checked(problem, weighted, k, count, at, seed) for k, (count, at) in enumerate(zip(counts, places, strict=True))
    ]
    asked = [(check, way) for check in checks for way in check.ways]
    blurs = cache(problem.blurs)
    slopes = iter(weighted.slopes([way for _, way in asked], lambda k: advance(asked[k][0].name)))
    return [check.result([next(slopes) for _ in check.ways], blurs) for check in checks]


class Checked:
    """The gradient by target k: along which ways it is asked, and what their slopes say of it."""

    def __init__(
        self, problem: Problem, weighted: Weighted, k: int, count: int, at: str | None, seed: int
    ) -> None:  # fmt: skip
        import numpy as np

        self.k, self.target, self.gradient, self.at = k, problem.targets[k], problem.gradients[k], at
        self.wrt = (*problem.prefix, self.target.name)
        self.name = ",".join(self.wrt)
        self.dtype = problem.graph.inputs[self.target.position].dtype
        self.finite = weighted.finite
        size = self.gradient.size
        self.nonfinite = int(size - np.count_nonzero(np.isfinite(self.gradient)))
        self._one = One(weighted, self.target.position, self.gradient, self.dtype)
        wholes = directions_of(size, count) if self.finite and not self.nonfinite else 0
        elements = chosen(self.gradient, count, seed) if size and self.finite else []
        self._wholes = [self._one.scales * signs(self.gradient.shape, seed, k, n) for n in range(wholes)]
        self.ways = [*map(self._one.way, self._wholes), *map(self._one.element, elements)]

    def result(self, slopes: Sequence[Slope], blurs: Callable[[], Sequence[Array]]) -> GradientCheck:
        every = self._judged(slopes)
        if any(one.disagrees for one in every):
            self._one.blur = blurs()[self.k]
            every = self._judged(slopes)
        wholes, elements = every[: len(self._wholes)], every[len(self._wholes) :]
        odd = next((way for way, whole in zip(self._wholes, wholes, strict=True) if whole.disagrees), None)
        if odd is not None and not any(element.disagrees for element in elements):
            found = self._one.halved(odd)
            elements += [] if found is None else [found]
        every = [*wholes, *elements]
        lost = [element for element in every if not element.slope.known]
        at_kinks = sum(not one.slope.known and isfinite(one.found) for one in elements)
        return GradientCheck(
            self.wrt, self.target.kind, self.gradient.shape, self.dtype,
            verdict(every, self.gradient, self.nonfinite, self.finite), len(elements), at_kinks,
            len(wholes), self.nonfinite, worst_of(elements, self.gradient), self.at,
            kinks_of([node for one in lost for node in one.slope.kinks]),
            turns_of([node for one in every for node in one.slope.turns]),
        )  # fmt: skip

    def _judged(self, slopes: Sequence[Slope]) -> list[Try]:
        return [self._one.judged(way, slope) for way, slope in zip(self.ways, slopes, strict=True)]


def verdict(every: Sequence[Try], gradient: Array, nonfinite: int, finite: bool) -> Verdict:
    if gradient.size == 0:
        return "empty"
    if any(one.disagrees for one in every):
        return "wrong"
    if nonfinite or not finite:
        return "not finite"
    known = [one for one in every if one.slope.known]
    if not known:
        return "at a kink" if any(one.slope.kinks for one in every) else "not finite"
    return "right" if any(one.tells for one in known) else "hidden by rounding"


def worst_of(elements: Sequence[Try], gradient: Array) -> WorstElement | None:
    """The element farthest from its gradient; one that disagrees before all that do not."""
    import numpy as np

    known = [one for one in elements if one.slope.settled and (isfinite(one.found) or one.disagrees)]
    if not known:
        return None
    worst = max(known, key=lambda one: (one.disagrees, one.apart / one.scale))
    assert worst.index is not None
    by_gradient, by_slope = worst.found / worst.scale, worst.slope.value / worst.scale
    largest = float(abs(gradient[np.isfinite(gradient)].astype("float64")).max(initial=0.0))
    unit = max(largest, abs(by_slope), worst.rounding / sqrt(worst.eps) / worst.scale) or 1.0
    return WorstElement(
        worst.index, by_gradient, by_slope, worst.apart / worst.scale / unit, worst.slope.step * worst.scale,
        worst.slope.error / worst.scale / unit,
    )  # fmt: skip


def kinks_of(nodes: Sequence[Node]) -> tuple[dict[str, str | None], ...]:
    """Each operator and its place, once."""
    found = {(node.prim.name, place_of(node.spans)): None for node in nodes}
    return tuple({"operator": name, "at": at} for name, at in found)


def turns_of(nodes: Sequence[Node]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place_of(node.spans) or "" for node in nodes))


# ── ways and elements ───────────────────────────────────────────────────────────────────────────────────────


def directions_of(size: int, count: int) -> int:
    """How many random directions move all elements of an array, of which so many are moved alone."""
    return 0 if size < 2 else min(DIRECTIONS, max(count, 1))


def signs(shape: tuple[int, ...], seed: int, *path: int) -> Array:
    """±1 at random."""
    import numpy as np

    from gradcli.data.random import initialise

    drawn = initialise("normal", shape, "f64", seed=seed, path=f"way {path}")
    return np.where(drawn < 0, -1.0, 1.0)


def drawn(avals: Sequence[Aval], seed: int) -> list[Array]:
    """Standard normal numbers, as `--sens random:SEED` draws them, SEED being one more for each."""
    from gradcli.data.random import random_sens

    return [random_sens(seed + k, tuple(map(definite, aval.shape)), aval.dtype) for k, aval in enumerate(avals)]


def chosen(gradient: Array, count: int, seed: int) -> list[int]:
    """Which elements are moved alone: all; else half of them the largest, half at random. Few that are not finite."""
    import numpy as np

    from gradcli.data.random import initialise

    finite = np.isfinite(gradient).ravel()
    bad = np.flatnonzero(~finite)[:BAD].tolist() if count else []
    if count >= gradient.size:
        return sorted([*bad, *np.flatnonzero(finite).tolist()])
    size = np.where(finite, abs(gradient.ravel()), -1.0)
    top = np.argpartition(-size, count // 2)[: count // 2].tolist()
    order = np.argsort(initialise("normal", size.shape, "f64", seed=seed, path="elements"))[:count].tolist()
    picked = list(dict.fromkeys([*top, *order]))[:count]
    return sorted([*bad, *(k for k in picked if finite[k])])


def _only(way: Array, flat: Array) -> Array:
    import numpy as np

    part = np.zeros(way.size)
    part[flat] = way.ravel()[flat]
    return part.reshape(way.shape)

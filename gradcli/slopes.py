"""The slope of a function along a direction by central differences, with how far it can be trusted.

    g(h) = (f(x + h v) - f(x - h v)) / 2h  =  f'(x; v) + c h² + …  + noise / h

Each step is a tenth of the one before. Two of them give a value without the term in h² (Richardson):
r(h) = (100 g(h/10) - g(h)) / 99. At large steps the terms left out decide, at small ones rounding; between them lies a
plateau, where three values agree. Their spread is the error, so that no tolerance has to be guessed: the larger step
errs by more than the middle one for what is left out, the smaller one for rounding.

(Ridders 1982, "Accurate computation of F'(x) and F'(x) F''(x)"; Dennis & Schnabel 1983, 5.4 for the rounding.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gradcli.held import Held, Near
from gradcli.ir.aval import EPS
from gradcli.ir.graph import Graph, Node
from gradcli.ir.primitive import DataError
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


class Weighted:
    """⟨ct, f⟩ near a point, for a graph whose outputs are all floats and have a cotangent each."""

    def __init__(self, graph: Graph, arrays: Sequence[Array], cts: Sequence[Array]) -> None:
        self.arrays = list(arrays)
        self.held = Held(graph, arrays)
        self.cts = [ct.astype("float64") for ct in cts]
        self.eps = [EPS[out.dtype] for out in graph.outputs]
        self._dtypes = [value.dtype for value in (*graph.inputs, *graph.outputs)]

    @property
    def finite(self) -> bool:
        """Whether the function is finite at the point."""
        import numpy as np

        return all(bool(np.isfinite(out).all()) for out in self.held.outputs)

    def slope(self, ways: dict[int, Array], gradients: dict[int, Array]) -> Slope:
        """Along `ways`, by the position of the input that moves. `gradients` are those believed in: what rounding made
        of the way itself is made good with them."""
        return plateau(lambda step: self.difference(step, ways, gradients), *self._window(ways))

    def _window(self, ways: dict[int, Array]) -> tuple[int, int]:
        """The first and the last step, for the narrowest of what moves and what is weighted."""
        dtypes = [self._dtypes[k] for k in ways] + self._dtypes[len(self.arrays) :]
        return STEPS[max(dtypes, key=EPS.__getitem__)]

    def smooth(self, ways: dict[int, Array]) -> bool:
        """Whether the slopes on both sides come together as the step gets smaller: at a kink they do not."""
        first, _ = self._window(ways)
        coarse, fine = (self._bend(RATIO**k, ways) for k in (first, first - 1))
        return fine < 0.5 * coarse or fine <= SAFETY * self.rounding / RATIO ** (first - 1)

    def _bend(self, step: float, ways: dict[int, Array]) -> float:
        """|f(x + h v) - 2 f(x) + f(x - h v)| / h, weighted."""
        here = Near(self.held.outputs, (), ())
        beside = []
        for sign in (1.0, -1.0):
            moved = list(self.arrays)
            for k, way in ways.items():
                moved[k] = (moved[k] + sign * step * way).astype(moved[k].dtype)
            try:
                beside.append(self._between(self.held.near(moved), here)[0])
            except DataError:
                return float("nan")
        return abs(beside[0] + beside[1]) / step

    def difference(self, step: float, ways: dict[int, Array], gradients: dict[int, Array]) -> Difference:
        import numpy as np

        plus, minus = list(self.arrays), list(self.arrays)
        astray = 0.0
        for k, way in ways.items():
            x = self.arrays[k]
            plus[k], minus[k] = (x + step * way).astype(x.dtype), (x - step * way).astype(x.dtype)
            moved = (plus[k].astype("float64") - minus[k].astype("float64")) / (2 * step) - way
            believed = np.where((moved == 0) | ~np.isfinite(gradients[k]), 0.0, gradients[k])
            astray += float(np.vdot(believed, moved))
        try:
            after, before = self.held.near(plus), self.held.near(minus)
        except DataError:
            return Difference(step, float("nan"), 0.0, (), ())
        rise, noise = self._between(after, before)
        return Difference(
            step, rise / (2 * step) - astray, noise / (2 * step),
            (*after.kinks, *before.kinks), (*after.turns, *before.turns),
        )  # fmt: skip

    def _between(self, after: Near, before: Near) -> tuple[float, float]:
        """⟨ct, after - before⟩, and the rounding of what differs, and of the largest term: where that takes up all of a
        small step, nothing differs."""
        import numpy as np

        rise = noise = 0.0
        with np.errstate(all="ignore"):
            for ct, eps, a, b in zip(self.cts, self.eps, after.outputs, before.outputs, strict=True):
                a, b = a.astype("float64"), b.astype("float64")
                rise += float((ct * (a - b)).sum())
                terms = eps * abs(ct) * np.maximum(abs(a), abs(b))
                noise += float((terms * (a != b)).sum()) + float(terms.max(initial=0.0))
        return rise, noise

    @property
    def rounding(self) -> float:
        """Of the largest term of the value."""
        import numpy as np

        terms = zip(self.cts, self.eps, self.held.outputs, strict=True)
        with np.errstate(all="ignore"):
            return max((eps * float(abs(ct * out).max(initial=0.0)) for ct, eps, out in terms), default=0.0)


def plateau(difference: Callable[[float], Difference], first: int, last: int) -> Slope:
    """The slope where it hangs least on the step. Smaller steps are tried until rounding takes over, larger ones where
    rounding rules from the first step on."""
    tried = [difference(RATIO**k) for k in range(first, first - 3, -1)]
    if all(one.usable and one.value == 0 for one in tried):  # nothing moves, be it that the steps are lost in rounding
        return Slope(0.0, tried[0].noise, tried[0].step)
    best, stale = _best(tried), 0
    for k in range(first - 3, last - 1, -1):
        tried.append(difference(RATIO**k))
        found = _best(tried)
        stale = stale + 1 if best is not None and found is not None and found.step == best.step else 0
        best = found
        if stale == 2 and best is not None and best.error <= CLEAR * abs(best.value):
            break
    for k in range(first + 1, first + FARTHER + 1):
        if best is None or best.step < RATIO ** (k - 3.5) or best.error <= CLEAR * abs(best.value):
            break
        tried.insert(0, difference(RATIO**k))
        best = _best(tried)
    if best is not None:
        return best
    kinks = {id(node): node for one in tried for node in one.kinks}
    return Slope(float("nan"), float("inf"), 0.0, False, tuple(kinks.values()))


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

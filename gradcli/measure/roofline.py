"""What this machine reaches at its best, measured on the spot in less than a second: bytes a second from memory, and
operations a second in matrix products of each float dtype.

The two bound what a program can reach (Williams, Waterman and Patterson 2009, "Roofline"): with `f` operations and `m`
bytes moved it takes no less than `max(f / operations a second, m / bytes a second)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter

from gradcli.facts.measure import Peaks
from gradcli.ir.aval import NUMPY_NAMES

BLOCK = 1 << 25  # bytes that are copied: more than caches hold
SIDE = {"f32": 1024, "f64": 768}  # of a product's matrices
SECONDS = 0.25  # for each figure


def measure(dtypes: Iterable[str], memory: int | None = None) -> Peaks:
    """The peaks, with products in those of the `dtypes` that BLAS has, on as many threads as it uses now."""
    import numpy as np

    count = min(BLOCK, BLOCK if memory is None else max(memory // 4, 1 << 16)) // 8
    source, target = np.ones(count), np.zeros(count)
    bandwidth = 16 * count / _fastest(lambda: np.copyto(target, source))
    found: dict[str, float] = {}
    for dtype in sorted({*dtypes} & {*SIDE}):
        side = SIDE[dtype]
        a = np.full((side, side), 0.5, NUMPY_NAMES[dtype])
        out = np.empty_like(a)
        found[dtype] = 2 * side**3 / _fastest(partial(np.matmul, a, a, out=out))
    return Peaks(bandwidth, found)


def _fastest(run: Callable[[], object]) -> float:
    """The seconds of the fastest of several runs, three at least."""
    run()
    best, begun, count = float("inf"), perf_counter(), 0
    while count < 3 or perf_counter() - begun < SECONDS:
        start = perf_counter()
        run()
        best, count = min(best, perf_counter() - start), count + 1
    return best

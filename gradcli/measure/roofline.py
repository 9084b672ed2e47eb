"""What this machine reaches at its best, measured on the spot in less than a second: bytes a second from memory, and
operations a second in matrix products of each float dtype.

The two bound what a program can reach (Williams, Waterman and Patterson 2009, "Roofline"): with `f` operations and `m`
bytes moved it takes no less than `max(f / operations a second, m / bytes a second)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gradcli.facts.measure import Peaks
from gradcli.ir.aval import NUMPY_NAMES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BLOCK = 1 << 25  # bytes that are copied: more than caches hold
SIDE = {"f32": 1024, "f64": 768}  # of a product's matrices
SECONDS = 0.25  # for each figure


def measure(dtypes: Iterable[str], memory: int | None = None, threads: int = 1) -> Peaks:
    """The peaks of so many threads, with products in those of the `dtypes` that BLAS has."""
    import numpy as np

    from gradcli.backends.threads import ONE_THREAD

    count = min(BLOCK, BLOCK if memory is None else max(memory // 4, 1 << 16)) // (8 * threads)
    source, target = np.ones((threads, count)), np.zeros((threads, count))
    with ONE_THREAD:
        bandwidth = 16 * source.size / _fastest(lambda k: np.copyto(target[k], source[k]), threads)
        found: dict[str, float] = {}
        for dtype in sorted({*dtypes} & {*SIDE}):
            side = SIDE[dtype]
            a = np.full((side, side), 0.5, NUMPY_NAMES[dtype])
            outs = np.empty((threads, side, side), a.dtype)
            seconds = _fastest(partial(_multiply, a, outs), threads)
            found[dtype] = 2 * side**3 * threads / seconds
    return Peaks(bandwidth, found)


def _multiply(a: Array, outs: Array, k: int) -> None:
    import numpy as np

    np.matmul(a, a, out=outs[k])


def _fastest(work: Callable[[int], object], threads: int) -> float:
    """The seconds of the fastest of several runs, three at least; `work(k)` is what thread k does."""
    from gradcli.backends.crew import share

    def lane(k: int, worker: int) -> Iterator[None]:
        work(k)
        yield

    run = partial(share, lane, threads, threads)
    run()
    best, begun, count = float("inf"), perf_counter(), 0
    while count < 3 or perf_counter() - begun < SECONDS:
        start = perf_counter()
        run()
        best, count = min(best, perf_counter() - start), count + 1
    return best

"""How many threads BLAS uses: a number told to the library that NumPy came with, before or after it is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
SETTERS = (
    "scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
    "openblas_set_num_threads", "MKL_Set_Num_Threads",
)  # fmt: skip
GETTERS = tuple(name.replace("_set_", "_get_").replace("_Set_Num", "_Get_Max") for name in SETTERS)


def start_single() -> None:
    """Have BLAS begin with one thread, unless the environment says how many: plans cut their products themselves, and
    starting a thread for every core takes OpenBLAS as long as importing the rest of NumPy."""
    if not any(name in os.environ for name in VARIABLES):
        for name in VARIABLES:
            os.environ[name] = "1"


class OneThread:
    """While a plan runs, BLAS works on the thread that calls it: a plan's own threads are never multiplied by those of
    BLAS, and its products do not depend on how many there are. Afterwards BLAS has what it had."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running = 0
        self._before = 1

    def __enter__(self) -> None:
        with self._lock:
            if not self._running:
                self._before = max((int(ask()) for ask in _functions(GETTERS)), default=1)
                self._set(1)
            self._running += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                self._set(self._before)

    def _set(self, threads: int) -> None:
        if self._before > 1:
            for function in _functions(SETTERS):
                function(threads)


ONE_THREAD = OneThread()


def threads_in_use(threads: int | None = None) -> int:
    """What BLAS says it uses; where it cannot be asked, what it was told, else the number of cores."""
    if "numpy" in sys.modules:
        for function in _functions(GETTERS):
            return max(1, int(function()))
    for name in VARIABLES:
        if (value := os.environ.get(name, "")).isdigit() and int(value) > 0:
            return int(value)
    return threads or cores()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_found: dict[tuple[str, ...], list[Callable[..., Any]]] = {}  # looking for them takes longer than a small plan


def _functions(names: tuple[str, ...]) -> list[Callable[..., Any]]:
    """Functions of these names in the BLAS libraries that are loaded; at most one of each library."""
    if not _found.get(names):
        _found[names] = list(_search(names))
    return _found[names]


def _search(names: tuple[str, ...]) -> Iterator[Callable[..., Any]]:
    import ctypes

    for path in _loaded():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for name in names:
            if hasattr(library, name):
                yield getattr(library, name)
                break


def _loaded() -> list[str]:
    """Paths of the BLAS libraries in this process, where the system lists them (Linux)."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "blas" in line.lower() or "mkl_rt" in line}
    except OSError:
        return []
    return sorted(path for path in paths if path.startswith("/") and ".so" in path)

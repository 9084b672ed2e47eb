"""How many threads BLAS uses: a number told to the library that NumPy came with, before or after it is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

WORTH_THREADS = 1 << 30  # operations: about what one core does while the threads of the others start
VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
SETTERS = (
    "scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
    "openblas_set_num_threads", "MKL_Set_Num_Threads",
)  # fmt: skip
GETTERS = tuple(name.replace("_set_", "_get_").replace("_Set_Num", "_Get_Max") for name in SETTERS)


def limit_threads(threads: int | None) -> int:
    """Ask BLAS for this many threads, None for its own choice; gives how many it will use, as `threads_in_use`.

    Before NumPy is imported the environment is enough; after, the loaded library is asked, if it can be found.
    """
    if threads is not None and (_told[-1:] != [threads] or threads_in_use(threads) != threads):
        for name in VARIABLES:
            os.environ[name] = str(threads)
        if "numpy" in sys.modules:
            for function in _functions(SETTERS):
                function(threads)
            _told[:] = [threads]
    return threads_in_use(threads)


def start_single() -> None:
    """Have BLAS begin with one thread, unless the environment says how many; a plan gets more where that pays (`wish`).

    Starting a thread for every core takes OpenBLAS as long as importing the rest of NumPy, and most models are small.
    """
    if not any(name in os.environ for name in VARIABLES):
        for name in VARIABLES:
            os.environ[name] = "1"
        _started_single.append(True)


_started_single: list[bool] = []
_told: list[int] = []  # what the loaded library was asked for last


def wish(threads: int | None, flops: int) -> int | None:
    """The threads to ask BLAS for, before a plan with so many of its operations runs: those that the user wants.

    Without a wish all of them, where they pay and the process did `start_single`; else None: it keeps what it has.
    """
    if threads is None and _started_single and flops >= WORTH_THREADS:
        return cores()
    return threads


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

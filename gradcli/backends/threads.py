"""How many threads BLAS uses: a number told to the library that NumPy came with, before or after it is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from threading import RLock
from typing import NamedTuple

VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
NAMES = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)


class Library(NamedTuple):
    """Functions of one BLAS library: how many threads it uses, and how many it is to use."""

    get: Callable[[], int]
    set: Callable[[int], object]


def start_single() -> None:
    """Have BLAS begin with one thread, unless the environment says how many: plans cut their products themselves, and
    starting a thread for every core takes OpenBLAS as long as importing the rest of NumPy."""
    if not any(name in os.environ for name in VARIABLES):
        for name in VARIABLES:
            os.environ[name] = "1"


class OneThread:
    """While a plan runs, BLAS works on the thread that calls it: a plan's own threads are never multiplied by those of
    BLAS, and its products do not depend on how many there are. Afterwards each library has what it had."""

    def __init__(self) -> None:
        self._lock = RLock()  # a signal handler may run a plan, too
        self._running = 0
        self._changed: list[tuple[Library, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._running:
                self._changed = [(library, n) for library in libraries() if (n := int(library.get())) > 1]
                for library, _ in self._changed:
                    library.set(1)
            self._running += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._running = max(0, self._running - 1)  # forgotten, where a run goes on in a child
            if not self._running:
                self._restore()

    def _restore(self) -> None:
        for library, threads in self._changed:
            library.set(threads)
        self._changed = []

    def forget(self) -> None:
        """In a child process, where no other thread is in the middle of a run."""
        self._lock, self._running = RLock(), 0
        self._restore()


ONE_THREAD = OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ONE_THREAD.forget)


def threads_in_use(threads: int | None = None) -> int:
    """What BLAS says it uses; where it cannot be asked, what it was told, else the number of cores."""
    if "numpy" in sys.modules:
        for library in libraries():
            return max(1, int(library.get()))
    for name in VARIABLES:
        if (value := os.environ.get(name, "")).isdigit() and int(value) > 0:
            return int(value)
    return threads or cores()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_found: list[Library] | None = None  # looking for them takes longer than a small plan


def libraries() -> list[Library]:
    """The BLAS libraries in this process that can be asked and told; none where they are of an unknown make."""
    global _found
    if _found is None:
        found = list(_search())
        if not found and "numpy" not in sys.modules:
            return []  # it comes with NumPy
        _found = found
    return _found


def _search() -> Iterator[Library]:
    import ctypes

    for path in _loaded():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for ask, tell in NAMES:
            if hasattr(library, ask) and hasattr(library, tell):
                yield Library(getattr(library, ask), getattr(library, tell))
                break


def _loaded() -> list[str]:
    """Paths of the BLAS libraries in this process, where the system lists them (Linux)."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "blas" in line.lower() or "mkl_rt" in line}
    except OSError:
        return []
    return sorted(path for path in paths if path.startswith("/") and ".so" in path)

"""What a suite states: its cases, the data of each, and for every engine the step that is timed.

    cases → data(case) → side(case, data) → step

A step takes nothing and gives results by name: `value`, and one for each array differentiated by. What it gives is
compared between engines before any time is taken, so every side of a suite computes the same thing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Arrays = dict[str, Any]
Step = Callable[[], Arrays]

NUMPY = {"f32": "float32", "f64": "float64"}
AGREE = {"f32": 1e-3, "f64": 1e-9}  # largest difference between engines, as a part of the largest element


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a suite's table. `kind` tells apart what `size` and `dtype` do not; `threads` None is those of the
    run; a quick run leaves out what is not `quick`."""

    size: int
    dtype: str = "f32"
    kind: str = ""
    threads: int | None = None
    quick: bool = True

    @property
    def label(self) -> str:
        """What names the case in its suite: `rosenbrock, 1e5 f64, 1 thread`."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        return ", ".join(text for text in (self.kind, f"{amount(self.size)} {self.dtype}".rstrip(), threads) if text)


def amount(number: int) -> str:
    """`1e5` for powers of ten from 1,000 on, else the digits."""
    power = number >= 1000 and str(number).strip("0") == "1"
    return f"1e{len(str(number)) - 1}" if power else f"{number:,}"


Side = Callable[[Case, Arrays], Step]


def _nobody(case: Case) -> dict[str, str]:
    return {}


def _as_they_are(found: Arrays) -> Arrays:
    return found


@dataclass(frozen=True, slots=True)
class Suite:
    """A workload at several sizes, by several engines, each in a process of its own."""

    name: str
    title: str
    unit: str  # what a case's size counts
    cases: tuple[Case, ...]
    data: Callable[[Case], Arrays]
    sides: Mapping[str, Side]
    tiny: tuple[Case, ...]  # what the tests compute and compare with stored numbers
    absent: Callable[[Case], dict[str, str]] = _nobody  # engines that do not take part, and why
    shown: Callable[[Arrays], Arrays] = _as_they_are  # what is compared, of what a step gives
    agree: Mapping[str, float] = field(default_factory=lambda: AGREE)


@dataclass(frozen=True, slots=True)
class Processes:
    """Whole processes, from start to end: for each case the command of each engine. `folder` holds written models."""

    name: str
    title: str
    unit: str
    cases: tuple[Case, ...]
    engines: tuple[str, ...]
    commands: Callable[[Case, str], dict[str, Sequence[str]]]
    absent: Callable[[Case], dict[str, str]] = _nobody


def grid(sizes: Sequence[int], dtypes: Sequence[str] = ("f32",), slow: int = 10**9) -> tuple[Case, ...]:
    """Every size in every dtype; a quick run leaves out sizes from `slow` on."""
    return tuple(Case(size, dtype, quick=size < slow) for dtype in dtypes for size in sizes)


def normal(name: str, shape: Sequence[int], dtype: str, scale: float = 1.0) -> np.ndarray[Any, Any]:
    """Normal numbers that depend on the name, the same on every side and with every version of NumPy."""
    import numpy as np

    random = np.random.RandomState(zlib.crc32(name.encode()))
    return (random.standard_normal(tuple(shape)) * scale).astype(NUMPY[dtype])


def uniform(name: str, shape: Sequence[int], dtype: str, low: float = 0.0, high: float = 1.0) -> np.ndarray[Any, Any]:
    """Numbers between two, as `normal`."""
    import numpy as np

    random = np.random.RandomState(zlib.crc32(name.encode()))
    return random.uniform(low, high, tuple(shape)).astype(NUMPY[dtype])

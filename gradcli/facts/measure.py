"""What `bench` and `profile` measured, as plain values between the work and its report. All times are seconds."""

from __future__ import annotations

from typing import Any

from gradcli.record import field, record
from gradcli.syntax.diagnostics import Diagnostic


@record
class Spread:
    """The median of several figures, and the quartiles that half of them lie between."""

    median: float
    low: float
    high: float


@record
class First:
    """The first call, in its parts: seconds by name, in order. What a process loads before is left out."""

    parts: tuple[tuple[str, float], ...]

    @property
    def total(self) -> float:
        return sum(seconds for _, seconds in self.parts)


@record
class Side:
    """One way to run the program: `seconds` of a run, over rounds of `runs` runs each.

    `ratio` is gradcli's time over this side's, round by round: below 1 gradcli is faster. `apart` is the largest
    difference of the results, over the largest element of each. `bytes` is the memory beside the inputs.
    """

    name: str
    seconds: Spread
    runs: int
    ratio: Spread | None = None
    apart: float | None = None
    first: First | None = None
    bytes: int | None = None
    about: str = ""  # the version, the device


@record
class Memory:
    """Bytes: of the inputs, at the peak beside them as `planned` and as `measured` in a first run, held by the plan
    between runs, taken at once by a later run, and of its results. None where the backend does not tell."""

    inputs: int
    planned: int
    measured: int | None
    held: int | None
    run: int | None
    results: int


@record
class Bench:
    """What `bench` found; gradcli itself is the first of `sides`."""

    model: str
    net: str
    edition: int
    backend: str
    threads: int
    order: int
    sens: tuple[dict[str, Any], ...]
    rounds: int
    first: First
    sides: tuple[Side, ...]
    flops: int  # of one run; of a loop with a condition those of all turns that there may be
    memory: Memory
    notes: tuple[Diagnostic, ...]


# ── profiles ────────────────────────────────────────────────────────────────────────────────────────────────

MIXED = "mixed"
LOOP = "loop"  # among operators: what a loop takes by itself
FAR = 0.3  # of a peak, below which something else is what takes the time


@record
class Peaks:
    """What this machine reaches: bytes a second from and to memory, and operations a second in products by dtype."""

    bandwidth: float
    flops: dict[str, float]

    def least(self, flops: int, moved: int, dtype: str) -> tuple[float, float]:
        """The seconds that so much work takes at these peaks, of memory and of arithmetic; the longer one counts."""
        most = self.flops.get(dtype)
        return moved / self.bandwidth, flops / most if most else 0.0


@record
class Figures:
    """What a line or a step cost in one run: by direction (`forward`, `backward`, `tangent`), and what it did.

    `least` is the time that this takes at the machine's peaks, `in_memory` what of it is bound by memory. `operators`
    are the seconds and the calls of each.
    """

    seconds: dict[str, float]
    calls: int
    flops: int
    bytes: int
    least: float
    in_memory: float = 0.0
    operators: dict[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def intensity(self) -> float | None:
        """Operations for each byte that is moved."""
        return self.flops / self.bytes if self.bytes else None

    @property
    def peak(self) -> float | None:
        """The share of the machine's peak; above 1 where caches are faster than memory."""
        return self.least / self.total if self.total > 0 and self.least > 0 else None

    @property
    def bound(self) -> str | None:
        """What keeps it from being faster: `memory`, or `flops`; None far below the machine's peaks."""
        if (self.peak or 0.0) < FAR:
            return None
        return "memory" if 2 * self.in_memory >= self.least else "flops"


@record
class ProfiledLine:
    """One line of a model; line 0 is for what no line asked for. `turns` are those of the loops around it."""

    file: str
    line: int
    text: str
    turns: int
    figures: Figures


@record
class ProfiledStep:
    """One step of the plan, in its order, with the steps of its blocks and loops behind it, one level `deeper` each.

    `name` is its number as `show --stage plan` has it, `direction` is `mixed` where there are several. `figures` are
    those of the step by itself (of blocks there are none), `within` those with all that it runs in turn.
    """

    number: int
    name: str
    label: str
    direction: str
    file: str
    line: int
    deeper: int
    figures: Figures
    within: Figures


@record
class Profile:
    """What `profile` found. `seconds` is a plain run; the steps, which are timed one by one, add up to `stepwise`."""

    model: str
    net: str
    edition: int
    backend: str
    threads: int
    order: int
    sens: tuple[dict[str, Any], ...]
    rounds: int
    seconds: Spread
    stepwise: float
    peaks: Peaks
    lines: tuple[ProfiledLine, ...]
    steps: tuple[ProfiledStep, ...]
    notes: tuple[Diagnostic, ...]

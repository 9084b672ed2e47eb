"""A table of ratios against limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """`measured / baseline`, and the most it may be (None: for information)."""

    what: str
    measured: float
    baseline: float
    limit: float | None
    unit: str = "ms"

    @property
    def value(self) -> float:
        return self.measured / self.baseline

    @property
    def holds(self) -> bool:
        return self.limit is None or self.value <= self.limit


def report(title: str, ratios: Sequence[Ratio]) -> int:
    """Print the ratios with their limits; 1 if one is passed, else 0."""
    width = max(len(ratio.what) for ratio in ratios)
    print(title)
    for ratio in ratios:
        limit = f"limit {ratio.limit:g}" if ratio.limit is not None else ""
        verdict = "" if ratio.limit is None else "ok" if ratio.holds else "OVER"
        figures = f"{ratio.measured:9.2f} {ratio.unit} against {ratio.baseline:9.2f} {ratio.unit}"
        print(f"  {ratio.what:<{width}}  {ratio.value:6.2f} ×  ({figures})  {limit:<10}  {verdict}".rstrip())
    return int(not all(ratio.holds for ratio in ratios))

"""What `gradcli rule CODE` prints: every diagnostic code with its meaning, a failing text and its repair."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One diagnostic code; `broken` shows it, `repaired` is the same text mended."""

    code: str
    title: str
    explanation: str
    broken: str
    repaired: str

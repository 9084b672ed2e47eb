"""Operators whose gradient costs more than 5 times the operator, each with its figure and reason.

The figure is the highest ratio over the operator's samples, rounded up; one that falls below it by half fails the
test, so that the table does not outlive its reasons.
"""

from __future__ import annotations

EXCEPTIONS: dict[str, tuple[float, str]] = {}

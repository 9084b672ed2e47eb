"""Figures with their units, in three digits: `1.23 ms`, `37.1 MB`, `12.3 G`."""

from __future__ import annotations

from collections.abc import Sequence

TIMES = (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0))
COUNTS = ("", "k", "M", "G", "T", "P", "E")


def digits(number: float) -> str:
    """Three of them, never as a power of ten: `1.23`, `12.3`, `123`, `1230`."""
    for places, least in ((0, 99.95), (1, 9.995)):
        if abs(number) >= least:
            return f"{number:.{places}f}"
    return f"{number:.2f}"


def duration(seconds: float) -> str:
    """`1.23 ms`"""
    unit, size = next(((u, s) for u, s in reversed(TIMES) if seconds >= s * 0.9995), TIMES[0])
    return f"{digits(seconds / size)} {unit}"


def between(low: float, high: float) -> str:
    """`1.19–1.25 ms`"""
    left, right = duration(low), duration(high)
    number, unit = left.split(" ")
    return f"{number if right.endswith(f' {unit}') else left}–{right}"


def count(number: float) -> str:
    """`12.3 G`; whole numbers below a thousand as they are."""
    if number < 1_000 and float(number).is_integer():
        return str(int(number))
    power = 0
    while abs(number) >= 999.5 and power < len(COUNTS) - 1:
        number, power = number / 1_000, power + 1
    return f"{digits(number)} {COUNTS[power]}".rstrip()


def size(number: float) -> str:
    """Bytes, in thousands: `37.1 MB`, `512 B`."""
    text = count(number)
    return f"{text}B" if text[-1:].isalpha() else f"{text} B"


def share(part: float) -> str:
    """`62 %`, `0.4 %`"""
    percent = part * 100
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.1f} %"


def right(texts: Sequence[str]) -> list[str]:
    """Texts of one width, their ends below each other."""
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]

"""Constant data as bytes, without NumPy: `check` knows every constant of a model and never imports it."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

CODES = {"f16": "e", "f32": "f", "f64": "d", "i32": "i", "i64": "q", "bool": "?"}


def pack(numbers: Sequence[int | float | bool], dtype: str) -> bytes:
    """Numbers as an array of `dtype`, native byte order; floats are rounded to nearest, overflow gives inf.

    Raises OverflowError for an integer that the integer dtype does not hold.
    """
    code = CODES[dtype]
    if dtype == "bool":
        return bytes(bool(number) for number in numbers)
    if dtype in ("i32", "i64"):
        bits = 31 if dtype == "i32" else 63
        for number in numbers:
            if not -(1 << bits) <= number < 1 << bits:
                raise OverflowError(f"{number} does not fit into {dtype}")
        return struct.pack(f"={len(numbers)}{code}", *map(int, numbers))
    try:
        return struct.pack(f"={len(numbers)}{code}", *numbers)
    except (OverflowError, struct.error):  # the latter for an integer in f16
        return b"".join(_pack_one(code, number) for number in numbers)


def _pack_one(code: str, number: float) -> bytes:
    try:
        return struct.pack("=" + code, float(number))
    except OverflowError:
        return struct.pack("=" + code, math.copysign(math.inf, number))


def unpack(data: bytes, dtype: str) -> tuple[int | float | bool, ...]:
    """The numbers again."""
    return struct.unpack(f"={len(data) // struct.calcsize('=' + CODES[dtype])}{CODES[dtype]}", data)

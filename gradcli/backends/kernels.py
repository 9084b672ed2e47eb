"""Elementary functions on a block of elements, written in whole passes of NumPy: what `routes.py` puts in place of
NumPy's loops that take one element at a time.

A kernel is `kernel(x, out, room)`: two vectors of one size and dtype, which may be the same memory, and scratch
vectors of that size and dtype, the last of them integers as wide. It gives False, with `out` not written, where the
numbers of the block are outside the range in which it is exact; NumPy's own function then runs.

- sin and cos: x = k·π/512 + r by three parts of π/512 (Cody & Waite, *Software Manual for the Elementary Functions*,
  1980, chapter 8), of which the first two times k are exact; the sums of angles from a table of sines; two terms of the
  series for r, |r| ≤ π/1024.
- tanh: the sum of arguments, x = k/256 + r, tanh(a + b) = t + (1 - t²) u / (1 + t u) with t = tanh a, u = tanh b.
- erf, erfc: the integral from the nearest place of a table, x = a + r: erf x = erf a + 2/√π·exp(-a²)·S, where S is the
  integral of exp(-2as - s²) from 0 to r, a series in ar and r².
- softplus: log(1 + e) = log y + (e - (y - 1)) / y with y = 1 + e rounded, whose rounding the second term takes back.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Room = list[Array]

BLOCK = 65536  # elements that a kernel takes at most: a pass over fewer is so short that two threads wait for Python
ROUND = 1.5 * 2.0**52  # added, it rounds to a whole number, which then stands in the low bits
STEPS = 512  # of the table of sines, in π
FAR = 1600.0  # |x| up to which k has 18 bits, and its products with parts of 35 bits are exact
STEP_1, STEP_2, STEP_3 = (
    0.006135923151532552,
    1.0013063092124827e-14,
    4.126171510541964e-26,
)  # π/512; the first two of 35 bits
GRID = 256  # of the table of tanh, in 1
FLAT = 19.5  # from here on tanh is 1 to the last digit


BITS = 128  # of the whole numbers in which tables are made, behind the point
PI = 0x3243F6A8885A308D313198A2E03707344  # π


@cache
def _sines() -> Array:
    """sin(kπ/512), rounded once, for one turn and a quarter: the quarter gives cosines. By turning step after step."""
    unit = 1 << BITS
    step = PI // STEPS
    sine, cosine, term = 0, 0, unit
    for n in range(1, 20):
        if n % 2:
            cosine += term * (-1) ** (n // 2)
        else:
            sine += term * (-1) ** (n // 2 - 1)
        term = term * step // (n << BITS)
    s, c, eighth = 0, unit, []
    for _ in range(STEPS // 4 + 1):
        eighth.append((s / unit, c / unit))
        s, c = (s * cosine + c * sine) >> BITS, (c * cosine - s * sine) >> BITS
    quarter = [sine for sine, _ in eighth] + [cosine for _, cosine in eighth[-2::-1]]
    half = quarter + quarter[-2::-1]
    return np.array(half + [-x for x in half[1:]] + quarter[1:])


@cache
def _tanhs() -> Array:
    """tanh(k/256), rounded once, at the places k modulo a power of two, which the low bits of k are."""
    unit = 1 << BITS
    step, term = 0, unit  # exp(2/256)
    for n in range(1, 30):
        step, term = step + term, term * 2 // (n * GRID)
    power, positive = unit, []
    for _ in range(int(FLAT * GRID) + 2):
        positive.append((power - unit) / (power + unit))
        power = (power * step) >> BITS
    table = np.full(1 << math.ceil(math.log2(2 * len(positive))), math.nan)
    table[: len(positive)] = positive
    table[-len(positive) + 1 :] = -np.array(positive[:0:-1])
    return table


def _turned(x: Array, room: Room) -> bool:
    """Into the first vectors of `room`: sin r, cos r - 1; the table's sine and cosine of the rest."""
    if not (x.max(initial=0.0) <= FAR and x.min(initial=0.0) >= -FAR):
        return False
    k, r, s, c, _, place = room
    np.multiply(x, STEPS / math.pi, out=k)
    np.add(k, ROUND, out=k)
    np.bitwise_and(k.view("i8"), 2 * STEPS - 1, out=place)
    np.subtract(k, ROUND, out=k)
    np.multiply(k, STEP_1, out=s)
    np.subtract(x, s, out=r)
    for part in (STEP_2, STEP_3):
        np.multiply(k, part, out=s)
        np.subtract(r, s, out=r)
    np.multiply(r, r, out=c)
    np.multiply(c, 1 / 120, out=k)
    np.subtract(k, 1 / 6, out=k)
    np.multiply(k, c, out=k)
    np.multiply(k, r, out=k)
    np.add(k, r, out=k)
    np.multiply(c, 1 / 24, out=r)
    np.subtract(r, 0.5, out=r)
    np.multiply(r, c, out=r)
    np.take(_sines(), place, out=s, mode="clip")
    np.add(place, STEPS // 2, out=place)
    np.take(_sines(), place, out=c, mode="clip")
    return True


def _negative_zeros(x: Array) -> Array | None:
    """Where they are, whose sign sums of angles lose. As a whole number -0 is the least of all."""
    least = np.iinfo(np.int64).min
    bits = x.view("i8")
    return bits == least if bits.min(initial=0) == least else None


def _sine(out: Array, room: Room) -> None:
    small, less, s, c, spare, _ = room
    np.multiply(c, small, out=spare)
    np.multiply(s, less, out=out)
    np.add(out, spare, out=out)
    np.add(out, s, out=out)


def _cosine(out: Array, room: Room) -> None:
    small, less, s, c, spare, _ = room
    np.multiply(s, small, out=spare)
    np.multiply(c, less, out=out)
    np.subtract(out, spare, out=out)
    np.add(out, c, out=out)


def sin(x: Array, out: Array, room: Room) -> bool:
    """The sine, of f64."""
    zeros = _negative_zeros(x)
    if not _turned(x, room):
        return False
    _sine(out, room)
    if zeros is not None:
        out[zeros] = -0.0
    return True


def cos(x: Array, out: Array, room: Room) -> bool:
    """The cosine, of f64."""
    if not _turned(x, room):
        return False
    _cosine(out, room)
    return True


def sin_and_cos(x: Array, sine: Array, cosine: Array, room: Room) -> bool:
    """Both at little more than the price of one."""
    zeros = _negative_zeros(x)
    if not _turned(x, room):
        return False
    _sine(sine, room)
    _cosine(cosine, room)
    if zeros is not None:
        sine[zeros] = -0.0
    return True


def tanh(x: Array, out: Array, room: Room) -> bool:
    """The hyperbolic tangent, of f64. Zero keeps its sign, nan stays."""
    t, r, u, z, _, place = room
    np.clip(x, -FLAT, FLAT, out=t)
    np.multiply(t, float(GRID), out=r)
    np.add(r, ROUND, out=r)
    np.bitwise_and(r.view("i8"), len(_tanhs()) - 1, out=place)
    np.subtract(r, ROUND, out=r)
    np.multiply(r, 1 / GRID, out=r)
    np.subtract(t, r, out=r)
    np.take(_tanhs(), place, out=t, mode="clip")
    np.multiply(r, r, out=z)
    np.multiply(z, 2 / 15, out=u)
    np.subtract(u, 1 / 3, out=u)
    np.multiply(u, z, out=u)
    np.multiply(u, r, out=u)
    np.add(u, r, out=u)
    np.multiply(t, u, out=r)
    np.add(r, 1.0, out=r)
    np.multiply(t, t, out=z)
    np.subtract(1.0, z, out=z)
    np.multiply(z, u, out=z)
    np.divide(z, r, out=z)
    np.add(t, z, out=z)
    np.copysign(z, x, out=out)
    return True


# ── the error functions, to be rounded to f32 ───────────────────────────────────────────────────────────────

NOTHING_LEFT = 10.2  # from here on erfc is 0 in f32


@cache
def _errors(function: str) -> Array:
    """A function of `math`, or `bell`, 2/√π·exp(-x²), at the places k/256 modulo a power of two."""
    places = int(NOTHING_LEFT * GRID) + 2
    table = np.full(1 << math.ceil(math.log2(2 * places)), math.nan)
    for k in range(-places + 1, places):
        x = k / GRID
        table[k] = 2 / math.sqrt(math.pi) * math.exp(-x * x) if function == "bell" else getattr(math, function)(x)
    return table


def _from_nearest(table: str, moved: np.ufunc, x: Array, out: Array, room: Room) -> bool:
    """The table's number at the nearest place, `moved` by the step from there to erf x: to 10⁻⁹ of the result."""
    a, r, u, step, _, place = room
    np.clip(x, -NOTHING_LEFT, NOTHING_LEFT, out=u)
    if np.isnan(u).any():
        return False
    np.multiply(u, float(GRID), out=a)
    np.add(a, ROUND, out=a)
    np.bitwise_and(a.view("i8"), len(_errors(table)) - 1, out=place)
    np.subtract(a, ROUND, out=a)
    np.multiply(a, 1 / GRID, out=a)
    np.subtract(u, a, out=r)
    np.multiply(a, r, out=u)
    np.multiply(u, -1 / 3, out=step)  # with v = ar the sum is 1 - v + ⅔v² - ⅓v³ - ⅓r²
    np.add(step, 2 / 3, out=step)
    np.multiply(step, u, out=step)
    np.subtract(step, 1.0, out=step)
    np.multiply(step, u, out=step)
    np.multiply(r, r, out=a)
    np.multiply(a, 1 / 3, out=a)
    np.subtract(step, a, out=step)
    np.add(step, 1.0, out=step)
    np.multiply(step, r, out=step)
    np.take(_errors("bell"), place, out=u, mode="clip")
    np.multiply(step, u, out=step)
    np.take(_errors(table), place, out=a, mode="clip")
    moved(a, step, out=out)
    return True


def erfc(x: Array, out: Array, room: Room) -> bool:
    """1 - erf(x). Not of nan."""
    return _from_nearest("erfc", np.subtract, x, out, room)


def erf(x: Array, out: Array, room: Room) -> bool:
    """The error function. Zero keeps its sign. Not of nan."""
    if not _from_nearest("erf", np.add, x, room[1], room):
        return False
    np.copysign(room[1], x, out=out)
    return True


# ── logistic functions ──────────────────────────────────────────────────────────────────────────────────────


def _log_of_one_and(e: Array, y: Array, spare: Array) -> None:
    """log(1 + e) into `e`, for finite e > -1."""
    np.add(e, 1, out=y)
    np.subtract(y, 1, out=spare)
    np.subtract(e, spare, out=spare)
    np.divide(spare, y, out=spare)
    np.log(y, out=e)
    np.add(e, spare, out=e)


def softplus(x: Array, out: Array, room: Room) -> bool:
    """max(x, 0) + log1p(exp(-|x|))."""
    size, e, y, spare = room[:4]
    np.absolute(x, out=size)
    if not size.max(initial=0.0) < np.finfo(x.dtype).max / 4:
        return False
    np.negative(size, out=e)
    np.exp(e, out=e)
    _log_of_one_and(e, y, spare)
    np.add(size, x, out=size)
    np.multiply(size, x.dtype.type(0.5), out=size)
    np.add(size, e, out=out)
    return True


def sigmoid(x: Array, out: Array, room: Room) -> bool:
    """max(exp(-|x|), x ≥ 0) / (1 + exp(-|x|)): `where` without a branch, to the bit."""
    e, y, flags = room[:3]
    np.greater_equal(x, 0, out=flags)
    np.absolute(x, out=e)
    np.negative(e, out=e)
    np.exp(e, out=e)
    np.add(e, 1, out=y)
    np.maximum(e, flags, out=e)
    np.divide(e, y, out=out)
    return True


@cache
def _zeros(dtype: np.dtype[Any]) -> Array:
    return np.zeros(BLOCK, dtype)


def relu(x: Array, out: Array, room: Room) -> bool:
    """max(x, 0): NumPy compares with an array four numbers at a time, with a number one by one."""
    np.maximum(x, _zeros(x.dtype)[: x.size], out=out)
    return True


# ── powers by one number ────────────────────────────────────────────────────────────────────────────────────


def cube(x: Array, out: Array, room: Room) -> bool:
    np.multiply(x, x, out=room[0])
    np.multiply(room[0], x, out=out)
    return True


def fourth(x: Array, out: Array, room: Room) -> bool:
    np.multiply(x, x, out=out)
    np.multiply(out, out, out=out)
    return True


def inverse_square(x: Array, out: Array, room: Room) -> bool:
    """(1/x)², which overflows and underflows where the power does."""
    np.divide(1, x, out=out)
    np.multiply(out, out, out=out)
    return True


def inverse_root(x: Array, out: Array, room: Room) -> bool:
    """The power of -0 is inf, and of -inf it is 0."""
    if not x.min(initial=1.0) > 0:
        return False
    np.sqrt(x, out=out)
    np.divide(1, out, out=out)
    return True


def three_halves(x: Array, out: Array, room: Room) -> bool:
    if not x.min(initial=1.0) > 0:
        return False
    np.sqrt(x, out=room[0])
    np.multiply(room[0], x, out=out)
    return True


POWERS = {3.0: cube, 4.0: fourth, -2.0: inverse_square, -0.5: inverse_root, 1.5: three_halves}

"""Arithmetic on numbers that are known while elaborating: exact for ints, IEEE double for floats, no exceptions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from gradcli.interp.values import LoopInt
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError

MAX_BITS = 256  # ints may pass i64 on the way to a result that fits, but not grow without end

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def binary(op: str, a: Any, b: Any) -> Any:
    """`a op b` for static numbers; NotImplemented where the graph must compute it (a symbol in a division)."""
    if isinstance(a, Poly) or isinstance(b, Poly):
        return _symbolic(op, a, b)
    if op in _COMPARE:
        return _COMPARE[op](a, b)
    if op in ("and", "or"):
        if not isinstance(a, bool) or not isinstance(b, bool):
            raise ShapeError("SHP103", f"`{op}` joins bools", help="compare first: `x != 0`")
        return (a and b) if op == "and" else (a or b)
    if isinstance(a, bool) and isinstance(b, bool) and op in "+-*":
        raise ShapeError("SHP103", f"`{op}` is not for bools", help="write `and`, `or`, or cast: `i64(x)`")
    value = _int(op, int(a), int(b)) if isinstance(a, int) and isinstance(b, int) else _float(op, float(a), float(b))
    if isinstance(value, int) and (isinstance(a, LoopInt) or isinstance(b, LoopInt)):
        return LoopInt(value)
    return value


def _int(op: str, a: int, b: int) -> int | float:
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return _bounded(a * b)
        case "/":
            return _divide(a, b)
        case "%":
            if b == 0:
                raise ShapeError("NUM002", "the remainder of an integer by zero")
            return a % b
        case "**" if b < 0:
            return _float(op, float(a), float(b))
        case "**":
            if a not in (-1, 0, 1) and b * a.bit_length() > 8 * MAX_BITS:
                raise ShapeError("SHP103", f"{a} ** {b} does not fit into i64", help=f"as a float: `{a}.0 ** {b}`")
            return _bounded(a**b)
    raise ShapeError("SHP107", f"`{op}` wants arrays of rank 1 or more", help="for numbers write `*`")


def _bounded(value: int) -> int:
    if value.bit_length() > MAX_BITS:
        raise ShapeError("SHP103", "this integer does not fit into i64", help="write one operand as a float")
    return value


def _divide(a: float, b: float) -> float:
    if b == 0:
        if a == 0 or a != a:
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    try:
        return a / b
    except OverflowError:
        return math.inf if (a > 0) == (b > 0) else -math.inf


def _float(op: str, a: float, b: float) -> float:
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return _divide(a, b)
        case "%":
            if b == 0 or math.isinf(a) or a != a or b != b:
                return math.nan
            return a % b
        case "**":
            return power(a, b)
    raise ShapeError("SHP107", f"`{op}` wants arrays of rank 1 or more", help="for numbers write `*`")


def power(a: float, b: float) -> float:
    """C's `pow`, which NumPy follows, without Python's exceptions."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a == 0 and b < 0:
            return math.copysign(math.inf, a) if b % 2 == 1 else math.inf
        return math.nan


def _symbolic(op: str, a: Size | float, b: Size | float) -> Any:
    if isinstance(a, float) or isinstance(b, float):
        return NotImplemented
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "==" if a == b:
            return True
        case "!=" if a == b:
            return False
        case "**" if isinstance(b, int) and 0 <= b <= 8:
            result: Size = 1
            for _ in range(b):
                result = result * a
            return result
    return NotImplemented


def unary(op: str, a: Any) -> Any:
    if op == "not":
        if not isinstance(a, bool):
            raise ShapeError("SHP103", "`not` wants a bool", help="compare first: `x == 0`")
        return not a
    if isinstance(a, bool):
        raise ShapeError("SHP103", f"`{op}` is not for bools", help="cast it: `i64(x)`")
    if op == "+":
        return a
    return LoopInt(-int(a)) if isinstance(a, LoopInt) else -a


def _whole(f: Callable[[float], float]) -> Callable[[Any], Any]:
    return lambda a: a if isinstance(a, int) or not math.isfinite(a) else float(f(a))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "trunc": _whole(math.trunc),
    "round": _whole(round),
    "abs": abs,
    "maximum": lambda a, b: a if a != a else b if b != b else max(a, b),
    "minimum": lambda a, b: a if a != a else b if b != b else min(a, b),
}
"""Operators that stay static on static numbers, so that they may be used in sizes: `floor(n / 2)`."""


def unknown(value: Any) -> str:
    """The code for a value that had to be a known integer: SHP119 where it will be, once symbolic dims have sizes."""
    if isinstance(value, Poly):
        return "SHP119"
    graph_value = getattr(value, "value", None)
    if graph_value is None or not hasattr(graph_value, "node"):
        return "SHP110"
    work, seen, sized = [graph_value], set(), False
    while work:
        node = work.pop().node
        if node is None:  # an input: data
            return "SHP110"
        if node not in seen:
            seen.add(node)
            sized = sized or node.prim.name in ("dim_size", "iota")
            work.extend(node.inputs)
    return "SHP119" if sized else "SHP110"


def whole(value: Any) -> Size | None:
    """A static value as an exact integer, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Poly):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return None

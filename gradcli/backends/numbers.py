"""Operators on single numbers, as Python has them: as functions of floats, and as text of a program.

The bits are those of arrays without dims. What IEEE 754 defines is the same everywhere; of elementary functions those
of `math` are called where NumPy calls the same library, and NumPy's own elsewhere. Where Python raises an error and
NumPy gives inf or nan, as for 1 / 0, numbers are refused (`REFUSED`), and arrays are computed with instead.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gradcli.backends.routes import processor
from gradcli.ir.graph import Node, Value
from gradcli.ir.primitive import Primitive, is_registered

REFUSED = (ValueError, ZeroDivisionError, OverflowError)  # where Python raises, and NumPy gives inf or nan


class Rule(NamedTuple):
    """An operator on numbers: as a function, and as text where that is quicker than a call."""

    call: Callable[..., Any]
    text: str = ""


BY_PYTHON = {
    "add": Rule(operator.add, "{} + {}"),
    "sub": Rule(operator.sub, "{} - {}"),
    "mul": Rule(operator.mul, "{} * {}"),
    "div": Rule(operator.truediv, "{} / {}"),
    "neg": Rule(operator.neg, "-{}"),
    "square": Rule(lambda x: x * x, "{0} * {0}"),
    "reciprocal": Rule(lambda x: 1.0 / x, "1.0 / {}"),
    "one_minus_square": Rule(lambda x: (1.0 - x) * (1.0 + x)),
    "sqrt": Rule(math.sqrt),
    "abs": Rule(math.fabs),
    "less": Rule(operator.lt, "{} < {}"),
    "less_equal": Rule(operator.le, "{} <= {}"),
    "greater": Rule(operator.gt, "{} > {}"),
    "greater_equal": Rule(operator.ge, "{} >= {}"),
    "equal": Rule(operator.eq, "{} == {}"),
    "not_equal": Rule(operator.ne, "{} != {}"),
    "where": Rule(lambda condition, x, y: x if condition else y, "{1} if {0} else {2}"),
}
# Of NumPy's where it has no vectors of its own, and so calls the library that Python calls.
BY_MATH = frozenset((
    "sin", "cos", "tan", "exp", "expm1", "log", "log10", "log1p", "sinh", "cosh",
    "asin", "acos", "atan", "asinh", "acosh", "atanh", "pow",
))  # fmt: skip


def is_number(value: Value) -> bool:
    return not value.rank and value.dtype in ("f64", "bool")


def rule(node: Node) -> Rule | None:
    """None of an operator that numbers are not computed with."""
    prim = node.prim
    if not is_registered(prim):  # one that does more than its name says, such as taking notes
        return None
    if prim.view and len(node.inputs) == 1:
        return Rule(lambda x: x, "{}")
    if prim.kind != "elementwise" or node.params or len(node.outs) != 1:
        return None
    found = None if node.inputs[0].dtype == node.outs[0].dtype == "bool" else BY_PYTHON.get(prim.name)
    return found or _by_math(prim.name) or _by_numpy(prim)


@cache
def _by_math(name: str) -> Rule | None:
    return Rule(getattr(math, name)) if name in BY_MATH and processor() == "avx2" else None


def _by_numpy(prim: Primitive) -> Rule:
    if prim.ufunc is not None:
        ufunc = getattr(np, prim.ufunc)
        return Rule(lambda *numbers: ufunc(*numbers).item())
    return Rule(lambda *numbers: prim.eval(np, *map(np.asarray, numbers)).item())


class Line(NamedTuple):
    """An operator on the numbers in the places `ins`, of which each has a name in a text."""

    rule: Rule
    ins: tuple[int, ...]
    out: int

    def text(self, scope: dict[str, Any]) -> str:
        names = [f"x{slot}" for slot in self.ins]
        if self.rule.text:
            return self.rule.text.format(*names)
        call = f"f{self.out}"
        scope[call] = self.rule.call
        return f"{call}({', '.join(names)})"

"""Elementwise operators of one array namespace call, or little more: one statement each.

Partial derivatives are written with `out` where the result saves work, and in the form that keeps its digits at both
ends of the range. `Per(d)` stands for 1/d, `Only(c)` for 1 where c holds.
"""

from __future__ import annotations

import math
from typing import Any

from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.graph import Value, apply
from gradcli.ir.primitive import DataError, Sample, ShapeError
from gradcli.ops.batching import shifted
from gradcli.ops.define import (
    Only,
    Per,
    broadcast_shapes,
    choose,
    elementwise,
    general,
    no_dependence,
    same,
    scalar,
    whole,
)

# ── arithmetic ──────────────────────────────────────────────────────────────────────────────────────────────

add = elementwise("add", "add", lambda x, y, out: (1, 1), arity=2, formula="1, 1", doc="The sum.")
sub = elementwise("sub", "subtract", lambda x, y, out: (1, -1), arity=2, formula="1, -1", doc="The difference.")
mul = elementwise("mul", "multiply", lambda x, y, out: (y, x), arity=2, formula="y, x", doc="The product.")
div = elementwise("div", "divide", lambda x, y, out: (Per(y), -(out / y)), arity=2, low=0.5,
                  formula="1/y, -x/y²", doc="The quotient.")  # fmt: skip
neg = elementwise("neg", "negative", lambda x, out: (-1,), into=whole("negative"), formula="-1",
                  doc="The negative.")  # fmt: skip


def _remainder(xp: Any, x: Any, y: Any, out: Any = None) -> Any:
    if x.dtype.kind == "i" and bool((y == 0).any()):
        raise DataError("NUM002", "the remainder of an integer by zero")
    return xp.remainder(x, y) if out is None else xp.remainder(x, y, out=out)


rem = elementwise(
    "rem", _remainder, lambda x, y, out: (1, -apply("floor", x / y)), arity=2, flops=4, low=0.6,
    formula="1, -floor(x/y)", doc="The remainder `x % y`, with the sign of y.",
    conventions="0 where x / y is whole, by y: floor is flat", branch=lambda xp, x, y: xp.floor_divide(x, y),
    into="eval",
    samples=[Sample(([5.3, -4.2, 0.7], [2.0, 2.0, -0.5])), Sample(([5, -4], [3, 3]))],
)  # fmt: skip


# ── powers and roots ────────────────────────────────────────────────────────────────────────────────────────


def _power(xp: Any, x: Any, y: Any, out: Any = None) -> Any:
    if x.dtype.kind == "i" and bool((y < 0).any()):
        raise DataError("NUM004", "an integer to a negative power", "make one of them a float: `f64(x) ** y`")
    return xp.power(x, y, out=out)


def _inverse_root(xp: Any, x: Any, out: Any = None) -> Any:
    return xp.reciprocal(xp.sqrt(x, out=out), out=out)


def _one_minus_square(xp: Any, x: Any, out: Any = None) -> Any:
    below = 1 - x
    return xp.multiply(below, xp.add(1, x, out=out), out=out)


def _power_partials(x: Value, y: Value, out: Value) -> tuple[Value | float | None, Value]:
    """x ** 0 is 1 everywhere, so its derivative by x is 0. At x = 0 nothing depends on y, as 0 ** y is 0 for y > 0: not the
    value, and not the derivative by x, so that mixed derivatives are the same in either order."""
    number = _constant(y)
    by_x: Value | float | None
    if number == 0:
        by_x = None
    elif number is not None:
        by_x = y if number == 1 else y * (x if number == 2 else apply("pow", x, number - 1))
    else:
        nowhere = apply("logical_not", apply("greater", apply("abs", x), 0.0))  # at 0, or nan
        safe = choose(apply("logical_and", same(y, 0.0), nowhere), scalar(x, 1.0), x)
        by_x = choose(nowhere, apply("stop_gradient", y, by_rule=True), y) * apply("pow", safe, y - 1.0)
    log = apply("log", choose(same(x, 0.0), scalar(x, 1.0), x))
    return by_x, log * out


def _constant(value: Value) -> float | None:
    """The number of a float constant without dims."""
    from gradcli.ir.constants import unpack

    node = value.node
    if node is None or node.prim.name != "constant" or value.rank or not value.aval.is_float:
        return None
    return float(unpack(node.params["data"], value.dtype)[0])


pow = elementwise(
    "pow", _power, _power_partials, arity=2, flops=20, low=0.3, formula="y·x**(y-1), log(x)·x**y",
    doc="The power `x ** y`.", into="eval",
    conventions="x**0 has derivative 0 everywhere; x**2 is exact at 0 and below; by y it is 0 at x = 0 and y ≥ 0",
)  # fmt: skip
square = elementwise("square", "square", lambda x, out: (x * 2.0,), formula="2x", doc="x².")
sqrt = elementwise("sqrt", "sqrt", lambda x, out: (Per(out * 2.0),), flops=2, low=0.2, formula="1/(2·sqrt(x))",
                   doc="The square root.", conventions="inf at 0")  # fmt: skip
rsqrt = elementwise("rsqrt", _inverse_root, lambda x, out: (out / x * -0.5,), flops=3, low=0.2, into="eval",
                    formula="-rsqrt(x)/(2x)", doc="1/sqrt(x).")  # fmt: skip
cbrt = elementwise("cbrt", "cbrt", lambda x, out: (Per(out * out * 3.0),), flops=8, low=0.2, formula="1/(3·cbrt(x)²)",
                   doc="The cube root, also of negative numbers.", conventions="inf at 0")  # fmt: skip
reciprocal = elementwise("reciprocal", "reciprocal", lambda x, out: (-(out * out),), low=0.3, formula="-1/x²",
                         doc="1/x.")  # fmt: skip
hypot = elementwise("hypot", "hypot", lambda x, y, out: (x / out, y / out), arity=2, flops=6, low=0.3,
                    formula="x/out, y/out", doc="sqrt(x² + y²), without overflow.", conventions="nan at (0, 0)")  # fmt: skip

# ── exponentials and logarithms ─────────────────────────────────────────────────────────────────────────────

exp = elementwise("exp", "exp", lambda x, out: (out,), flops=8, formula="exp(x)", doc="e to the power x.")
exp2 = elementwise("exp2", "exp2", lambda x, out: (out * math.log(2),), flops=8, formula="log(2)·2**x",
                   doc="2 to the power x.")  # fmt: skip
expm1 = elementwise("expm1", "expm1", lambda x, out: (apply("exp", x),), flops=8, formula="exp(x)",
                    doc="exp(x) - 1, exact near 0.")  # fmt: skip
log = elementwise("log", "log", lambda x, out: (Per(x),), flops=8, low=0.2, formula="1/x", doc="The natural logarithm.")
log2 = elementwise("log2", "log2", lambda x, out: (Per(x * math.log(2)),), flops=8, low=0.2, formula="1/(x·log(2))",
                   doc="The logarithm to base 2.")  # fmt: skip
log10 = elementwise("log10", "log10", lambda x, out: (Per(x * math.log(10)),), flops=8, low=0.2,
                    formula="1/(x·log(10))", doc="The logarithm to base 10.")  # fmt: skip
log1p = elementwise("log1p", "log1p", lambda x, out: (Per(x + 1.0),), flops=8, low=-0.5, formula="1/(1 + x)",
                    doc="log(1 + x), exact near 0.")  # fmt: skip


def _log_odds(x: Value, y: Value) -> Value:
    """x - y, and 0 where both are the same infinity."""
    infinite = apply("logical_not", apply("isfinite", x))
    return choose(apply("logical_and", same(x, y), infinite), scalar(x, 0.0), x - y)


def _logaddexp_partials(x: Value, y: Value, out: Value) -> tuple[Value, Value]:
    odds = _log_odds(x, y)
    return apply("sigmoid", odds), apply("sigmoid", -odds)


logaddexp = elementwise("logaddexp", "logaddexp", _logaddexp_partials, arity=2, flops=20,
                        formula="sigmoid(x - y), sigmoid(y - x)", doc="log(exp(x) + exp(y)), without overflow.")  # fmt: skip

# ── trigonometric and hyperbolic functions ──────────────────────────────────────────────────────────────────

sin = elementwise("sin", "sin", lambda x, out: (apply("cos", x),), flops=8, formula="cos(x)", doc="The sine.")
cos = elementwise("cos", "cos", lambda x, out: (-apply("sin", x),), flops=8, formula="-sin(x)", doc="The cosine.")
tan = elementwise("tan", "tan", lambda x, out: (out * out + 1.0,), flops=10, low=-1.0, high=1.0, formula="1 + tan(x)²",
                  doc="The tangent.")  # fmt: skip
one_minus_square = elementwise("one_minus_square", _one_minus_square, lambda x, out: (x * -2.0,), flops=3,
                               formula="-2x", into="eval", doc="1 - x², exact near -1 and 1.")  # fmt: skip
asin = elementwise("asin", "arcsin", lambda x, out: (Per(apply("sqrt", apply("one_minus_square", x))),), flops=10, low=-0.8,
                   high=0.8, formula="1/sqrt(1 - x²)", doc="The inverse sine.", conventions="inf at -1 and 1")  # fmt: skip
acos = elementwise("acos", "arccos", lambda x, out: (Per(-apply("sqrt", apply("one_minus_square", x))),), flops=10, low=-0.8,
                   high=0.8, formula="-1/sqrt(1 - x²)", doc="The inverse cosine.", conventions="-inf at -1 and 1")  # fmt: skip
atan = elementwise("atan", "arctan", lambda x, out: (Per(x * x + 1.0),), flops=10, formula="1/(1 + x²)",
                   doc="The inverse tangent.")  # fmt: skip


def _atan2_partials(y: Value, x: Value, out: Value) -> tuple[Value, Value]:
    radius = apply("hypot", y, x)
    return x / radius / radius, -(y / radius / radius)


atan2 = elementwise("atan2", "arctan2", _atan2_partials, arity=2, flops=15, low=0.3,
                    formula="y/(x² + y²), -x/(x² + y²)", doc="The angle of the point whose ordinate is x and abscissa y.",
                    conventions="nan at (0, 0)", branch=lambda xp, y, x: (x < 0) & (y < 0))  # fmt: skip
sinh = elementwise("sinh", "sinh", lambda x, out: (apply("cosh", x),), flops=10, formula="cosh(x)",
                   doc="The hyperbolic sine.")  # fmt: skip
cosh = elementwise("cosh", "cosh", lambda x, out: (apply("sinh", x),), flops=10, formula="sinh(x)",
                   doc="The hyperbolic cosine.")  # fmt: skip
tanh = elementwise("tanh", "tanh", lambda x, out: (1.0 - out * out,), flops=8, formula="1 - tanh(x)²",
                   doc="The hyperbolic tangent.")  # fmt: skip
asinh = elementwise("asinh", "arcsinh", lambda x, out: (Per(apply("hypot", x, 1.0)),), flops=12, formula="1/sqrt(1 + x²)",
                    doc="The inverse hyperbolic sine.")  # fmt: skip
acosh = elementwise("acosh", "arccosh", lambda x, out: (apply("rsqrt", x + 1.0) / apply("sqrt", x - 1.0),), flops=12, low=1.2,
                    high=3.0, formula="1/sqrt(x² - 1)", doc="The inverse hyperbolic cosine.", conventions="inf at 1")  # fmt: skip
atanh = elementwise("atanh", "arctanh", lambda x, out: (Per(apply("one_minus_square", x)),), flops=12, low=-0.8, high=0.8,
                    formula="1/(1 - x²)", doc="The inverse hyperbolic tangent.", conventions="inf at -1 and 1")  # fmt: skip

# ── kinks and steps ─────────────────────────────────────────────────────────────────────────────────────────

AWAY = [Sample(([1.5, -0.7, 0.2],)), Sample((0.4,)), Sample(((2, 0),))]  # from kinks and steps
FLAT = [Sample(([1.5, -0.7, 0.2, 2.5],), differentiable=False), Sample(((2, 0),), differentiable=False)]
PAIRS = [Sample(([[1.5, -0.7, 0.2]], [[0.3], [0.9]])), Sample((0.4, [0.1, 0.8]))]


def _share(xp: Any, x: Any, y: Any, out: Any = None) -> Any:
    """Half of how many of x > y and x ≥ y hold: no branch, as choosing costs more than counting."""
    half = x.dtype.type(0.5)
    return xp.multiply(xp.add(x > y, x >= y, out=out, dtype=x.dtype), half, out=out)


def _which(xp: Any, x: Any, y: Any) -> Any:
    return xp.sign(x - y)


share = elementwise("share", _share, arity=2, flat=True, into="eval",
                    doc="1 where x > y, 1/2 where they are equal, else 0.")  # fmt: skip
abs = elementwise("abs", "absolute", lambda x, out: (apply("sign", x),), samples=AWAY, formula="sign(x)",
                  doc="The absolute value.", conventions="0 at 0", branch=lambda xp, x: xp.sign(x))  # fmt: skip
maximum = elementwise(
    "maximum", "maximum", lambda x, y, out: (apply("share", x, y), apply("share", y, x)), arity=2, samples=PAIRS,
    formula="1 for the larger", doc="The larger of two.", conventions="half to each where they are equal",
    branch=_which,
)  # fmt: skip
minimum = elementwise(
    "minimum", "minimum", lambda x, y, out: (apply("share", y, x), apply("share", x, y)), arity=2, samples=PAIRS,
    formula="1 for the smaller", doc="The smaller of two.", conventions="half to each where they are equal",
    branch=_which,
)  # fmt: skip
relu = elementwise("relu", lambda xp, x, out=None: xp.maximum(x, x.dtype.type(0), out=out),
                   lambda x, out: (Only(apply("greater", x, 0.0)),), into="eval", samples=AWAY,
                   formula="1 where x > 0", doc="max(x, 0).", conventions="0 at 0",
                   branch=lambda xp, x: x > 0)  # fmt: skip

sign = elementwise("sign", "sign", flat=True, samples=FLAT, doc="-1, 0 or 1.", conventions="0 everywhere")
floor = elementwise("floor", "floor", flat=True, samples=FLAT, doc="The next whole number below.")
ceil = elementwise("ceil", "ceil", flat=True, samples=FLAT, doc="The next whole number above.")
round = elementwise("round", "rint", flat=True, samples=FLAT, doc="The nearest whole number, halves to the even one.")
trunc = elementwise("trunc", "trunc", flat=True, samples=FLAT, doc="The next whole number towards 0.")
isfinite = elementwise("isfinite", "isfinite", flat=True, result="bool", into=whole("isfinite"), samples=FLAT,
                       doc="Neither infinite nor nan.")  # fmt: skip
isnan = elementwise(
    "isnan", "isnan", flat=True, result="bool", into=whole("isnan"), samples=FLAT, doc="Whether it is nan."
)

COMPARISONS = {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}
for _name, _sign in COMPARISONS.items():
    elementwise(_name, _name, arity=2, flat=True, result="bool", doc=f"Whether x {_sign} y.",
                samples=[Sample(([1.0, 2.0, 3.0], 2.0), differentiable=False), Sample(([1, 2], [2, 2]))])  # fmt: skip
_BOOLS = [Sample(([True, False, True], [[True], [False]]))]
logical_and = elementwise("logical_and", "logical_and", arity=2, flat=True, samples=_BOOLS, doc="Whether both hold.")
logical_or = elementwise("logical_or", "logical_or", arity=2, flat=True, samples=_BOOLS, doc="Whether one holds.")
logical_not = elementwise(
    "logical_not", "logical_not", flat=True, samples=[Sample(([True, False],))], doc="Whether it does not hold."
)


# ── choice and type ─────────────────────────────────────────────────────────────────────────────────────────


def _where_infer(condition: Aval, x: Aval, y: Aval) -> tuple[Aval, ...]:
    if condition.dtype != "bool" or x.dtype != y.dtype:
        raise ShapeError("SHP103", f"`where` chooses by a bool between arrays of one dtype, not {x} and {y}", (0, 1, 2))
    shape = x.shape if x.shape == y.shape else broadcast_shapes(x.shape, y.shape)
    return (Aval(shape if condition.shape == shape else broadcast_shapes(condition.shape, shape), x.dtype),)


SHORT = 1024  # elements, below which the number of calls is what costs


def _choose_into(xp: Any, condition: Any, x: Any, y: Any, *, out: Any) -> None:
    """Bits are chosen, y ^ ((x ^ y) · condition): a processor that guesses which one is taken guesses wrong at half of
    random conditions, and `xp.where` then takes 2 to 5 times as long."""
    over_x, over_y = xp.may_share_memory(out, x), xp.may_share_memory(out, y)
    if out.size < SHORT or (over_x and over_y) or out.dtype == bool:
        xp.copyto(out, xp.where(condition, x, y))
        return
    if over_y:
        condition, x, y = xp.logical_not(condition), y, x
    bits = f"i{out.itemsize}"
    flags, x, y, out = condition.view("i1"), x.view(bits), y.view(bits), out.view(bits)
    if y.ndim or int(y):
        xp.multiply(xp.bitwise_xor(x, y, out=out), flags, out=out)
        xp.bitwise_xor(out, y, out=out)
    else:
        xp.multiply(x, flags, out=out)


where = elementwise(
    "where", lambda xp, condition, x, y: xp.where(condition, x, y),
    lambda condition, x, y, out: (None, Only(condition), Only(apply("logical_not", condition))),
    infer=_where_infer, into=_choose_into, doc="x where the condition holds, else y.", formula="1 for what was chosen",
    conventions="exactly 0 for what was not; 0 · inf stays nan",
    samples=[Sample(([True, False, True], (2, 3), (3,))), Sample((True, (), (2,)))],
)  # fmt: skip


def _cast_vjp(cts: Any, inputs: Any, outs: Any, *, dtype: str) -> tuple[Value | None, ...]:
    return (apply("cast", cts[0], dtype=inputs[0].dtype) if inputs[0].aval.is_float else None,)


def _cast_jvp(tangents: Any, inputs: Any, outs: Any, *, dtype: str) -> tuple[Value | None, ...]:
    return (apply("cast", tangents[0], dtype=dtype) if outs[0].aval.is_float else None,)


cast = general(
    "cast", lambda x, *, dtype: (Aval(x.shape, dtype),), lambda xp, x, *, dtype: x.astype(NUMPY_NAMES[dtype]), _cast_vjp,
    kind="elementwise", flops=1, jvp=_cast_jvp, aliases="all",
    into=lambda xp, x, *, out, dtype: xp.copyto(out, x, casting="unsafe"), doc="The same numbers in another dtype.",
    formula="the cotangent in the own dtype",
    samples=[Sample(((3,),), {"dtype": "f32"}, differentiable=False), Sample(((3,),), {"dtype": "i64"}, differentiable=False),
             Sample(([1, 2],), {"dtype": "f64"}), Sample(((2, 0),), {"dtype": "f64"})],
)  # fmt: skip
stop_gradient = general(
    "stop_gradient", lambda x, *, by_rule=False: (x,), lambda xp, x, *, by_rule=False: x, no_dependence, view=True, stops=True,
    batch=shifted("stop_gradient"), aliases="all",
    doc="x, and no derivative flows into it, in any mode or order.", formula="none, by request",
    samples=[Sample(((2, 3),), differentiable=False)],
)  # fmt: skip

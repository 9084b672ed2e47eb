"""The two tables of rewrites: what is exact, and what is right on paper only.

Each row gives the operator, the identity, and why it may stand in its table. "Exact" means the same bits for every
operand, signed zeros, infinities and nan included (the sign and payload of a nan aside); two rows change the order of
a sum, or an elementwise result by 1 ulp, which `docs/derivative-conventions.md` allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from gradcli.ir.dims import known
from gradcli.ir.graph import Builder, Node, Value
from gradcli.ir.primitive import primitive
from gradcli.passes.rebuild import broadcast, number_of, splat

DIGITS = {"f16": 11, "f32": 24, "f64": 53}  # bits of a significand
LARGEST = {"f16": 65504.0, "f32": 2.0**127, "f64": 2.0**1023}  # or a little less
SMALLEST = {"f16": -14, "f32": -126, "f64": -1022}  # exponent of the smallest normal number
MOST_PARTS = 16  # that are looked for at each part
HOLDS = {  # every number of the key is a number of these dtypes
    "bool": {"i32", "i64", "f16", "f32", "f64"}, "i32": {"i64", "f64"}, "f16": {"f32", "f64"}, "f32": {"f64"},
}  # fmt: skip

Apply = Callable[[Node, Builder], Value | None]


class Rewrite(NamedTuple):
    """`op` is a primitive's name; `apply` gives the simpler value, or None where the row does not match."""

    op: str
    identity: str
    why: str
    apply: Apply


# ── matching ────────────────────────────────────────────────────────────────────────────────────────────────


def _is(value: Value, number: float) -> bool:
    """Whether it is this number everywhere, with its sign: 0.0 is not -0.0."""
    have = number_of(value)
    if have is None or have != number:
        return False
    return have != 0 or math.copysign(1.0, have) == math.copysign(1.0, number)


def _zero(value: Value, sign: float) -> bool:
    """A zero of this sign; integers have one zero."""
    return _is(value, 0.0) if not value.aval.is_float else _is(value, math.copysign(0.0, sign))


def _arg(value: Value, op: str) -> Value | None:
    """x of `op(x)`."""
    return value.node.inputs[0] if value.node is not None and value.node.prim.name == op else None


def _emit(builder: Builder, op: str, *operands: Value, **params: object) -> Value:
    return builder.emit(primitive(op), operands, params)[0]


def _unit(matches: Callable[[Value], bool], *, keep: int) -> Apply:
    """x ∘ unit → x, where operand `1 - keep` is the unit."""

    def apply(node: Node, builder: Builder) -> Value | None:
        return broadcast(builder, node.inputs[keep], node.outs[0]) if matches(node.inputs[1 - keep]) else None

    return apply


def _nested(op: str, turn: Callable[[Node, Node, Builder], Value | None]) -> Apply:
    """outer(op(x)), given both nodes."""

    def apply(node: Node, builder: Builder) -> Value | None:
        inner = node.inputs[0].node
        return turn(node, inner, builder) if inner is not None and inner.prim.name == op else None

    return apply


def _same(node: Node, builder: Builder) -> Value | None:
    """The operand, where the result is of its aval: for operators that then do nothing."""
    return node.inputs[0] if node.inputs[0].aval == node.outs[0].aval else None


# ── the rows ────────────────────────────────────────────────────────────────────────────────────────────────


def _negated(node: Node, builder: Builder) -> Value | None:
    for k in (0, 1):
        if _is(node.inputs[k], -1.0):
            return broadcast(builder, _emit(builder, "neg", node.inputs[1 - k]), node.outs[0])
    return None


def _both_negated(op: str) -> Apply:
    def apply(node: Node, builder: Builder) -> Value | None:
        x, y = (_arg(value, "neg") for value in node.inputs)
        return None if x is None or y is None else _emit(builder, op, x, y)

    return apply


def _sign_into_number(node: Node, builder: Builder) -> Value | None:
    for k in (0, 1):
        x, number = _arg(node.inputs[k], "neg"), number_of(node.inputs[1 - k])
        if x is not None and isinstance(number, float):
            return _emit(builder, "mul", x, splat(builder, -number, node.inputs[1 - k]))
    return None


def _twice_by_number(node: Node, builder: Builder) -> Value | None:
    for k in (0, 1):
        inner, outer = node.inputs[1 - k].node, number_of(node.inputs[k])
        if inner is None or inner.prim.name != "mul" or not isinstance(outer, float) or abs(outer) < 1:
            continue
        for j in (0, 1):
            first = number_of(inner.inputs[j])
            if isinstance(first, float) and abs(first) >= 1 and abs(math.frexp(first)[0]) == 0.5:
                number = first * outer
                if abs(number) <= LARGEST[node.outs[0].dtype]:
                    made = _emit(builder, "mul", inner.inputs[1 - j], splat(builder, number, node.inputs[k]))
                    return broadcast(builder, made, node.outs[0])
    return None


def _neg_of_product(node: Node, inner: Node, builder: Builder) -> Value | None:
    for k in (0, 1):
        number = number_of(inner.inputs[k])
        if isinstance(number, float):
            return _emit(builder, "mul", inner.inputs[1 - k], splat(builder, -number, inner.inputs[k]))
    return None


def _add_negated(node: Node, builder: Builder) -> Value | None:
    for k in (1, 0):
        y = _arg(node.inputs[k], "neg")
        if y is not None:
            return _emit(builder, "sub", node.inputs[1 - k], y)
    return None


def _sub_negated(node: Node, builder: Builder) -> Value | None:
    y = _arg(node.inputs[1], "neg")
    return None if y is None else _emit(builder, "add", node.inputs[0], y)


def _div_by_power_of_two(node: Node, builder: Builder) -> Value | None:
    number, dtype = number_of(node.inputs[1]), node.inputs[1].dtype
    if not isinstance(number, float) or not math.isfinite(number) or number == 0:
        return None
    mantissa, exponent = math.frexp(number)
    if abs(mantissa) != 0.5 or not SMALLEST[dtype] <= 1 - exponent <= -SMALLEST[dtype]:
        return None
    return _emit(builder, "mul", node.inputs[0], splat(builder, 1 / number, node.inputs[1]))


def _whole_power(node: Node, builder: Builder) -> Value | None:
    x, out = node.inputs[0], node.outs[0]
    made: Value | None = None
    match number_of(node.inputs[1]):
        case 0:
            return splat(builder, 1.0 if out.aval.is_float else 1, out)
        case 1:
            made = x
        case 2:
            made = _emit(builder, "mul", x, x)
        case -1 if x.aval.is_float:
            made = _emit(builder, "div", builder.scalar(1.0, x.dtype), x)
    return None if made is None else broadcast(builder, made, out)


def _chosen(node: Node, builder: Builder) -> Value | None:
    condition, x, y = node.inputs
    number = number_of(condition)
    if number is None:
        return broadcast(builder, x, node.outs[0]) if x is y else None
    return broadcast(builder, x if number else y, node.outs[0])


def _twins(node: Node, builder: Builder) -> Value | None:
    return node.inputs[0] if node.inputs[0] is node.inputs[1] else None


def _cast_twice(node: Node, inner: Node, builder: Builder) -> Value | None:
    source = inner.inputs[0]
    if inner.outs[0].dtype not in HOLDS.get(source.dtype, ()):
        return None
    return _emit(builder, "cast", source, dtype=node.outs[0].dtype)


def _transposed_twice(node: Node, inner: Node, builder: Builder) -> Value | None:
    axes = tuple(inner.params["axes"][axis] for axis in node.params["axes"])
    return _emit(builder, "transpose", inner.inputs[0], axes=axes)


def _transposed_not(node: Node, builder: Builder) -> Value | None:
    axes = tuple(node.params["axes"])
    return node.inputs[0] if axes == tuple(range(len(axes))) else None


def _over_no_axes(node: Node, builder: Builder) -> Value | None:
    return node.inputs[0] if not node.params["axes"] else None


def _summed_twice(node: Node, inner: Node, builder: Builder) -> Value | None:
    first = inner.params["axes"]
    left = [axis for axis in range(inner.inputs[0].rank) if axis not in first]
    axes = tuple(sorted([*first, *(left[axis] for axis in node.params["axes"])]))
    return _emit(builder, "reduce_sum", inner.inputs[0], axes=axes)


def _sum_of_number(node: Node, builder: Builder) -> Value | None:
    """c = q · 2^k with n · q below 2^digits: every partial sum is a multiple of 2^k that the dtype holds."""
    x, out = node.inputs[0], node.outs[0]
    number, size, rest = number_of(x), known(x.aval.size), known(out.aval.size)
    if not isinstance(number, float) or not math.isfinite(number) or _is(x, -0.0) or not size or not rest:
        return None
    count, top = size // rest, number.as_integer_ratio()[0]
    odd = abs(top) // (top & -top) if top else 0
    if odd * count > 1 << DIGITS[x.dtype] or abs(number) * count > LARGEST[x.dtype]:
        return None
    return splat(builder, number * count, out)


def _whole(x: Value, part: Value, node: Node) -> bool:
    """Whether the items of a slice take all of it, in order."""
    return x.shape == part.shape and all(start == 0 and step == 1 for start, _, step in node.params["items"])


def _all_of_it(node: Node, builder: Builder) -> Value | None:
    """A slice, or the slice put back, that is the whole array."""
    return node.inputs[0] if _whole(node.inputs[0], node.outs[0], node) else None


def _all_replaced(node: Node, builder: Builder) -> Value | None:
    x, v = node.inputs
    return v if _whole(x, v, node) else None


def _all_added(node: Node, builder: Builder) -> Value | None:
    x, v = node.inputs
    return _emit(builder, "add", x, v) if _whole(x, v, node) else None


def _parts_joined(node: Node, builder: Builder) -> Value | None:
    """Parts that are added to zeros, one beside the other along one axis, and leave no zero."""
    shape = node.outs[0].shape
    parts: list[tuple[Any, Value, bool]] = []
    step: Node | None = node
    while step is not None and step.prim.name == "add_slice" and len(parts) < MOST_PARTS:
        parts.append((step.params["items"], step.inputs[1], True))
        step = step.inputs[0].node
    if step is None or step.prim.name != "unslice":
        return None
    parts.append((step.params["items"], step.inputs[0], False))
    cut = {k for items, _, _ in parts for k, item in enumerate(items) if item != (0, shape[k], 1)}
    if len(cut) != 1:
        return None
    (axis,) = cut
    if not all(isinstance(number, int) for items, _, _ in parts for number in items[axis]):
        return None
    parts.sort(key=lambda part: part[0][axis])
    end = 0
    for items, _, _ in parts:
        start, count, by = items[axis]
        if (start, by) != (end, 1) or count == 0:
            return None
        end += count
    if end != shape[axis]:
        return None
    signed = node.outs[0].aval.is_float
    values = [_emit(builder, "add", v, splat(builder, 0.0, v)) if more and signed else v for _, v, more in parts]
    return _emit(builder, "concat", *values, axis=axis)


def _alone(node: Node, builder: Builder) -> Value | None:
    return node.inputs[0] if len(node.inputs) == 1 else None


def _inner(node: Node, inner: Node, builder: Builder) -> Value:
    return inner.inputs[0]


def _again(node: Node, inner: Node, builder: Builder) -> Value:
    """outer(inner(x)) → outer(x)"""
    return builder.emit(node.prim, (inner.inputs[0],), node.params)[0]


def _one(value: Value) -> bool:
    return _is(value, 1.0)


EXACT = (
    Rewrite("mul", "x * 1 → x", "exact", _unit(_one, keep=0)),
    Rewrite("mul", "1 * x → x", "exact", _unit(_one, keep=1)),
    Rewrite("mul", "x * -1 → -x", "exact", _negated),
    Rewrite("mul", "-x * -y → x * y", "exact: the sign of a product is the product of signs", _both_negated("mul")),
    Rewrite("mul", "-x * c → x * -c", "exact, as above", _sign_into_number),
    Rewrite("mul", "x * 2^k * c → x * (2^k * c)", "exact: where x * 2^k is too large, so is all", _twice_by_number),
    Rewrite("div", "x / 1 → x", "exact", _unit(_one, keep=0)),
    Rewrite("div", "-x / -y → x / y", "exact, as for products", _both_negated("div")),
    Rewrite("div", "x / 2^k → x * 2^-k", "exact where both powers are normal numbers", _div_by_power_of_two),
    Rewrite("add", "x + -0 → x", "exact; x + 0 is not, as -0 + 0 is 0", _unit(lambda v: _zero(v, -1), keep=0)),
    Rewrite("add", "-0 + x → x", "exact", _unit(lambda v: _zero(v, -1), keep=1)),
    Rewrite("add", "x + -y → x - y", "exact: IEEE 754 defines it so", _add_negated),
    Rewrite("sub", "x - 0 → x", "exact", _unit(lambda v: _zero(v, 1), keep=0)),
    Rewrite("sub", "x - -y → x + y", "exact", _sub_negated),
    Rewrite("neg", "--x → x", "exact", _nested("neg", _inner)),
    Rewrite("neg", "-(x * c) → x * -c", "exact", _nested("mul", _neg_of_product)),
    Rewrite("pow", "x**0, x**1, x**2, x**-1 → 1, x, x * x, 1 / x", "exact, or within 1 ulp of pow", _whole_power),
    Rewrite("abs", "abs(-x) → abs(x)", "exact", _nested("neg", _again)),
    Rewrite("abs", "abs(abs(x)) → abs(x)", "exact", _nested("abs", _again)),
    Rewrite("square", "square(-x) → square(x)", "exact", _nested("neg", _again)),
    Rewrite("logical_not", "not not x → x", "exact", _nested("logical_not", _inner)),
    Rewrite("maximum", "maximum(x, x) → x", "exact", _twins),
    Rewrite("minimum", "minimum(x, x) → x", "exact", _twins),
    Rewrite("where", "where(true, x, y) → x; where(c, x, x) → x", "exact: a choice computes nothing", _chosen),
    Rewrite("cast", "cast to the own dtype → x", "exact", _same),
    Rewrite("cast", "cast(wider(x)) → cast(x)", "exact: the wider holds every number", _nested("cast", _cast_twice)),
    Rewrite("reshape", "reshape to the own shape → x", "exact", _same),
    Rewrite("reshape", "reshape twice → once", "exact", _nested("reshape", _again)),
    Rewrite("broadcast_to", "broadcast_to the own shape → x", "exact", _same),
    Rewrite("broadcast_to", "broadcast_to twice → once", "exact", _nested("broadcast_to", _again)),
    Rewrite("transpose", "transpose by axes in order → x", "exact", _transposed_not),
    Rewrite("transpose", "transpose twice → once", "exact", _nested("transpose", _transposed_twice)),
    Rewrite("reduce_sum", "sum over no axes → x", "exact", _over_no_axes),
    Rewrite("reduce_sum", "sum(c everywhere) → n * c", "exact where all partial sums are", _sum_of_number),
    Rewrite("reduce_sum", "sum(sum(x)) → sum(x)", "changes the order of terms", _nested("reduce_sum", _summed_twice)),
    Rewrite("slice", "x[:] → x", "exact", _all_of_it),
    Rewrite("unslice", "the whole of it → v", "exact", _all_of_it),
    Rewrite("update_slice", "x with [:] = v → v", "exact", _all_replaced),
    Rewrite("add_slice", "x with [:] += v → x + v", "exact", _all_added),
    Rewrite("add_slice", "0 with x, y … put side by side → concat(x, y + 0, …)", "exact: 0 + -0 is 0", _parts_joined),
    Rewrite("concat", "concat([x]) → x", "exact", _alone),
)  # fmt: skip


# ── right on paper only ─────────────────────────────────────────────────────────────────────────────────────


def _nothing(value: Value) -> bool:
    return number_of(value) == 0


def _product_with_zero(node: Node, builder: Builder) -> Value | None:
    out = node.outs[0]
    return splat(builder, 0.0 if out.aval.is_float else 0, out) if any(map(_nothing, node.inputs)) else None


def _twins_give(number: float) -> Apply:
    def apply(node: Node, builder: Builder) -> Value | None:
        out = node.outs[0]
        return splat(builder, number if out.aval.is_float else int(number), out) if _twins(node, builder) else None

    return apply


def _swapped(node: Node, inner: Node, builder: Builder) -> Value:
    return _emit(builder, "sub", inner.inputs[1], inner.inputs[0])


def _div_by_number(node: Node, builder: Builder) -> Value | None:
    number = number_of(node.inputs[1])
    if not isinstance(number, float) or number == 0:
        return None
    return _emit(builder, "mul", node.inputs[0], splat(builder, 1 / number, node.inputs[1]))


def _sum_of_broadcast(node: Node, inner: Node, builder: Builder) -> Value | None:
    count, rest = known(inner.outs[0].aval.size), known(inner.inputs[0].aval.size)
    axes = range(inner.outs[0].rank)
    if inner.inputs[0].rank or not count or not rest or len(node.params["axes"]) != len(axes):
        return None
    return _emit(builder, "mul", inner.inputs[0], builder.scalar(float(count), node.outs[0].dtype))


FAST = (
    Rewrite("add", "x + 0 → x", "gives -0 for -0 + 0", _unit(_nothing, keep=0)),
    Rewrite("add", "0 + x → x", "gives -0 for 0 + -0", _unit(_nothing, keep=1)),
    Rewrite("sub", "x - x → 0", "hides inf - inf and nan", _twins_give(0.0)),
    Rewrite("div", "x / x → 1", "hides 0 / 0, inf / inf and nan", _twins_give(1.0)),
    Rewrite("mul", "x * 0 → 0", "hides inf * 0 and nan", _product_with_zero),
    Rewrite("div", "x / c → x * (1 / c)", "rounds twice", _div_by_number),
    Rewrite("neg", "-(x - y) → y - x", "gives 0 for -(x - x), which is -0", _nested("sub", _swapped)),
    Rewrite("exp", "exp(log(x)) → x", "hides x < 0", _nested("log", _inner)),
    Rewrite("log", "log(exp(x)) → x", "hides overflow", _nested("exp", _inner)),
    Rewrite("reduce_sum", "sum(broadcast(x)) → n * x", "rounds once", _nested("broadcast_to", _sum_of_broadcast)),
)

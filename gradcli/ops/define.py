"""How an operator is stated: one call, from which its rules, documentation and tests follow.

An elementwise operator states its partial derivatives; a linear one its adjoint; all else its vjp. Broadcasting is
undone and cotangents are added up by the driver (`ad/reverse.py`), never here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size, broadcast, definite
from gradcli.ir.graph import Node, Number, Value, apply
from gradcli.ir.primitive import Primitive, Sample, ShapeError, register
from gradcli.record import record

Vjp = Callable[..., tuple[Value | None, ...]]
Into = Callable[..., Any] | Literal["eval"] | None  # "eval": it takes `out=` itself


@record
class Per:
    """The partial derivative `1 / value`: cotangents are divided, which rounds once."""

    value: Value


@record
class Only:
    """The partial derivative 1 where `condition` holds; elsewhere nothing flows, whatever the cotangent."""

    condition: Value


Partial = Value | Per | Only | float | None
Partials = Callable[..., tuple[Partial, ...]]


def weighted(ct: Value, partial: Partial) -> Value | None:
    """The cotangent times a partial derivative."""
    match partial:
        case None:
            return None
        case Value():
            return ct * partial
        case Per():
            return ct / partial.value
        case Only():
            return choose(partial.condition, ct, scalar(ct, 0.0))
        case 1:
            return ct
        case -1:
            return -ct
    return ct * partial


# ── the three statements ────────────────────────────────────────────────────────────────────────────────────


def elementwise(
    name: str,
    eval: Callable[..., Any] | str,
    partials: Partials | None = None,
    *,
    flops: int = 1,
    arity: int = 1,
    flat: bool = False,
    result: str | None = None,
    infer: Callable[..., tuple[Aval, ...]] | None = None,
    doc: str = "",
    formula: str = "",
    conventions: str = "",
    samples: Sequence[Sample] = (),
    low: float = -2.0,
    high: float = 2.0,
    branch: Callable[..., Any] | None = None,
    into: Into = None,
) -> Primitive:
    """An operator on each element, with broadcasting.

    `eval` is a function of the array namespace by its name, or `lambda xp, *arrays`. `partials(*operands, out)` gives
    one partial derivative for each operand; `flat` operators have none. `result` is the dtype where it is not that of
    the operands. The default samples draw from `low..high`. `into` as in `general`; each operand may be its result.
    """
    ufunc = eval if isinstance(eval, str) else None
    function = _named(eval) if isinstance(eval, str) else eval
    into = into or ("eval" if ufunc else _copied(function))
    if not samples:
        shapes = [((3,),), ((),), ((2, 0),)] if arity == 1 else [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((), ())]
        samples = [Sample(shape, low=low, high=high, differentiable=not flat) for shape in shapes]
    return register(
        Primitive(
            name, "elementwise", infer or _alike(result), function, _no_vjp if flat else _by_partials(partials),
            lambda node: flops * definite(node.outs[0].aval.size), doc, ufunc, flat=flat, samples=tuple(samples),
            formula=formula, conventions=conventions, jvp=_along_partials(partials), partials=partials, branch=branch,
            into=function if into == "eval" else into, aliases="all",
        )
    )  # fmt: skip


def linear(
    name: str,
    infer: Callable[..., tuple[Aval, ...]],
    eval: Callable[..., Any],
    adjoint: Callable[..., Value],
    *,
    doc: str,
    samples: Sequence[Sample],
    flops: Callable[[Node], int] | int = 0,
    **record: Any,
) -> Primitive:
    """A linear operator of one operand: `adjoint(ct, x, **params)` is its transpose applied to a cotangent."""

    def vjp(cts: Any, inputs: Any, outs: Any, **params: Any) -> tuple[Value | None, ...]:
        return (adjoint(cts[0], inputs[0], **params),)

    return general(name, infer, eval, vjp, kind="linear", doc=doc, samples=samples, flops=flops, **record)


def general(
    name: str,
    infer: Callable[..., tuple[Aval, ...]],
    eval: Callable[..., Any],
    vjp: Vjp | None,
    *,
    doc: str,
    samples: Sequence[Sample],
    flops: Callable[[Node], int] | int = 0,
    kind: Any = "general",
    into: Into = None,
    **record: Any,
) -> Primitive:
    """Any operator. `flops` is the arithmetic of one node, or of one element of its result.

    `into="eval"` says that `eval` itself takes `out=`. Without one, a view or an elementwise result is copied.
    """
    count = flops if callable(flops) else (lambda node: flops * definite(node.outs[0].aval.size))
    into = into or (_copied(eval) if record.get("view") or kind == "elementwise" else None)
    into = eval if into == "eval" else into
    return register(Primitive(name, kind, infer, eval, vjp, count, doc, samples=tuple(samples), into=into, **record))


def no_dependence(cts: Any, inputs: Any, outs: Any, **params: Any) -> tuple[Value | None, ...]:
    """The vjp of operators that let nothing through: steps, integers, `stop_gradient`."""
    return (None,) * len(inputs)


_no_vjp = no_dependence


def _by_partials(partials: Partials | None) -> Vjp | None:
    if partials is None:
        return None

    def vjp(cts: Any, inputs: Any, outs: Any, **params: Any) -> tuple[Value | None, ...]:
        (ct,) = cts
        return tuple(weighted(ct, partial) for partial in partials(*inputs, outs[0], **params))

    return vjp


def _along_partials(partials: Partials | None) -> Callable[..., tuple[Value | None, ...]] | None:
    if partials is None:
        return None

    def jvp(tangents: Any, inputs: Any, outs: Any, **params: Any) -> tuple[Value | None, ...]:
        total: Value | None = None
        for tangent, partial in zip(tangents, partials(*inputs, outs[0], **params), strict=True):
            term = None if tangent is None else weighted(tangent, partial)
            if term is not None:
                total = term if total is None else total + term
        return (total,)

    return jvp


def _named(ufunc: str) -> Callable[..., Any]:
    def evaluate(xp: Any, *arrays: Any, out: Any = None) -> Any:
        return getattr(xp, ufunc)(*arrays, out=out)

    return evaluate


def _copied(eval: Callable[..., Any]) -> Callable[..., Any]:
    def into(xp: Any, *arrays: Any, out: Any, **params: Any) -> None:
        xp.copyto(out, eval(xp, *arrays, **params))

    return into


def _alike(result: str | None) -> Callable[..., tuple[Aval, ...]]:
    """The shape rule of elementwise operators: NumPy's broadcasting; operands of one dtype."""

    def infer(first: Aval, *rest: Aval) -> tuple[Aval, ...]:
        shape, dtype = first.shape, first.dtype
        for other in rest:
            if other.dtype != dtype:
                raise ShapeError("SHP103", f"the operands are {first} and {other}", (0, 1))
            if other.shape != shape:
                shape = broadcast_shapes(shape, other.shape)
        made = result or dtype
        return (first if made == dtype and shape is first.shape else Aval(shape, made),)

    return infer


def whole(ufunc: str) -> Callable[..., None]:
    """`into` of a ufunc whose results NumPy (2.4.6, with AVX2) gets wrong where `out` has gaps: some strides of a
    negative, all of a bool."""

    def into(xp: Any, x: Any, *, out: Any) -> None:
        if out.flags.c_contiguous:
            getattr(xp, ufunc)(x, out=out)
        else:
            xp.copyto(out, getattr(xp, ufunc)(x))

    return into


def begun(xp: Any, x: Any, out: Any) -> Any:
    """Where an operator that starts from `x` goes on: a copy of it, or `out` with its elements, which may be `x`."""
    if out is None:
        return xp.array(x)
    if out is not x:
        xp.copyto(out, x)
    return out


def zeros(xp: Any, shape: tuple[int, ...], dtype: Any, out: Any) -> Any:
    """`out` filled with zeros, or new ones."""
    if out is None:
        return xp.zeros(shape, dtype=dtype)
    out.fill(0)
    return out


# ── what rules are written with ─────────────────────────────────────────────────────────────────────────────


def broadcast_shapes(left: tuple[Size, ...], right: tuple[Size, ...]) -> tuple[Size, ...]:
    """Raises ShapeError SHP101 where sizes disagree."""
    if not left or not right:
        return left or right
    if len(left) < len(right):
        left = (1,) * (len(right) - len(left)) + left
    elif len(right) < len(left):
        right = (1,) * (len(left) - len(right)) + right
    found = []
    for a, b in zip(left, right, strict=True):
        size = a if a is b else broadcast(a, b)
        if size is None:
            raise ShapeError("SHP101", f"shapes do not broadcast: {a} against {b}", (0, 1))
        found.append(size)
    return tuple(found)


def scalar(like: Value, number: Number, dtype: str | None = None) -> Value:
    """A number in the graph of `like`, of its dtype."""
    return like.builder.scalar(number, dtype or like.dtype)


def splat(like: Value, number: Number, shape: tuple[Size, ...] | None = None, dtype: str | None = None) -> Value:
    """An array of one number, of the shape of `like`."""
    shape = like.shape if shape is None else shape
    value = scalar(like, number, dtype)
    return apply("broadcast_to", value, shape=shape) if shape else value


def choose(condition: Value, then: Value, other: Value) -> Value:
    return apply("where", condition, then, other)


def same(x: Value, y: Value | Number) -> Value:
    """`x == y`, elementwise."""
    return apply("equal", x, y)

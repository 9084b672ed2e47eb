"""Reductions and running sums. Axes are sorted, from 0; the reduced dims are dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.dims import Size, at_least, definite
from gradcli.ir.graph import Node, Value, apply
from gradcli.ir.primitive import Sample, ShapeError
from gradcli.ops.batching import shifted
from gradcli.ops.define import begun, general, linear, no_dependence, same, splat

Axes = tuple[int, ...]


def _reduced(x: Aval, *, axes: Axes) -> tuple[Aval, ...]:
    return (Aval(tuple(size for axis, size in enumerate(x.shape) if axis not in axes), x.dtype),)


def _reduced_some(x: Aval, *, axes: Axes) -> tuple[Aval, ...]:
    """Of no elements there is no largest."""
    for axis in axes:
        if not at_least(x.shape[axis], 1, "the largest of no elements"):
            raise ShapeError("SHP117", f"{x} has no elements along axis {axis}: there is no largest or smallest", (0,))
    return _reduced(x, axes=axes)


def _kept(small: Value, x: Value, axes: Axes) -> Value:
    """A reduced array spread over `x` again."""
    shape: tuple[Size, ...] = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    if small.shape != shape:
        small = apply("reshape", small, shape=shape)
    return small if shape == x.shape else apply("broadcast_to", small, shape=x.shape)


def _size_in(node: Node) -> int:
    return definite(node.inputs[0].aval.size)


SAMPLES = [Sample(((2, 3),), {"axes": (1,)}), Sample(((2, 3, 2),), {"axes": (0, 2)}), Sample(((3,),), {"axes": (0,)}),
           Sample(((2, 3),), {"axes": ()})]  # fmt: skip
EMPTY = [Sample(((0, 3),), {"axes": (0,)}), Sample(((2, 0),), {"axes": (0, 1)})]


def _sum_into(xp: Any, x: Any, *, out: Any, axes: Axes) -> None:
    xp.sum(x, axis=axes, dtype=x.dtype, out=out) if axes else xp.copyto(out, x)


reduce_sum = linear(
    "reduce_sum", _reduced, lambda xp, x, *, axes: xp.sum(x, axis=axes, dtype=x.dtype) if axes else xp.array(x),
    into=_sum_into, adjoint=lambda ct, x, *, axes: _kept(ct, x, axes), flops=_size_in, doc="The sum over axes.",
    formula="1 for each term", batch=shifted("reduce_sum"), samples=SAMPLES + EMPTY,
)  # fmt: skip


# ── the largest and the smallest ────────────────────────────────────────────────────────────────────────────


def _extreme_vjp(cts: Any, inputs: Any, outs: Any, *, axes: Axes) -> tuple[Value]:
    """Equal extremes share the cotangent evenly."""
    (x,), (out,) = inputs, outs
    ties = apply("cast", same(x, _kept(out, x, axes)), dtype=x.dtype)
    share = cts[0] / apply("reduce_sum", ties, axes=axes)
    return (ties * _kept(share, x, axes),)


TIES = "k equal ones share the cotangent evenly"
reduce_max = general("reduce_max", _reduced_some, lambda xp, x, *, axes, out=None: xp.max(x, axis=axes, out=out), _extreme_vjp,
                     flops=_size_in, into="eval",
                     doc="The largest over axes.", formula="1 for the largest", conventions=TIES, samples=SAMPLES, batch=shifted("reduce_max"),
                     branch=lambda xp, x, *, axes: x == xp.max(x, axis=axes, keepdims=True))  # fmt: skip
reduce_min = general("reduce_min", _reduced_some, lambda xp, x, *, axes, out=None: xp.min(x, axis=axes, out=out), _extreme_vjp,
                     flops=_size_in, into="eval",
                     doc="The smallest over axes.", formula="1 for the smallest", conventions=TIES, samples=SAMPLES, batch=shifted("reduce_min"),
                     branch=lambda xp, x, *, axes: x == xp.min(x, axis=axes, keepdims=True))  # fmt: skip


def _index_of(name: str, doc: str) -> None:
    def infer(x: Aval, *, axis: int) -> tuple[Aval, ...]:
        (out,) = _reduced_some(x, axes=(axis,))
        return (Aval(out.shape, "i64"),)

    general(name, infer, lambda xp, x, *, axis: getattr(xp, name)(x, axis=axis).astype("int64"), no_dependence, flat=True,
            into=lambda xp, x, *, out, axis: getattr(xp, name)(x, axis=axis, out=out), flops=_size_in, doc=doc,
            batch=shifted(name), samples=[Sample(((2, 3),), {"axis": 1}, differentiable=False)])  # fmt: skip


_index_of("argmax", "The index of the first largest element along an axis.")
_index_of("argmin", "The index of the first smallest element along an axis.")

_FLAGS = [Sample(([[True, False], [True, True]],), {"axes": (1,)}), Sample(([True, False],), {"axes": (0,)})]
reduce_any = general("reduce_any", _reduced, lambda xp, x, *, axes, out=None: xp.any(x, axis=axes, out=out), no_dependence,
                     flat=True, into="eval", flops=_size_in, doc="Whether any holds.", batch=shifted("reduce_any"), samples=_FLAGS)  # fmt: skip
reduce_all = general("reduce_all", _reduced, lambda xp, x, *, axes, out=None: xp.all(x, axis=axes, out=out), no_dependence,
                     flat=True, into="eval", flops=_size_in, doc="Whether all hold.", batch=shifted("reduce_all"), samples=_FLAGS)  # fmt: skip

# ── products and running sums ───────────────────────────────────────────────────────────────────────────────


def _product_vjp(cts: Any, inputs: Any, outs: Any, *, axes: Axes) -> tuple[Value]:
    """∂/∂x_i is the product of the others: those before times those after. No division, so zeros are exact."""
    (x,) = inputs
    kept = tuple(axis for axis in range(x.rank) if axis not in axes)
    order = (*kept, *axes)
    rest = tuple(x.shape[axis] for axis in kept)
    count: Size = 1
    for axis in axes:
        count = count * x.shape[axis]
    turned = apply("reshape", apply("transpose", x, axes=order), shape=(*rest, count))
    last = len(rest)
    others = _shifted(apply("cumprod", turned, axis=last, reverse=False), last, 1.0, reverse=False) * _shifted(
        apply("cumprod", turned, axis=last, reverse=True), last, 1.0, reverse=True
    )
    others = apply("reshape", others, shape=tuple(x.shape[axis] for axis in order))
    inverse = tuple(order.index(axis) for axis in range(x.rank))
    return (_kept(cts[0], x, axes) * apply("transpose", others, axes=inverse),)


reduce_prod = general(
    "reduce_prod", _reduced, lambda xp, x, *, axes, out=None: xp.prod(x, axis=axes, dtype=x.dtype, out=out), _product_vjp,
    flops=_size_in, into="eval",
    doc="The product over axes.", formula="the product of the others", conventions="exact where factors are 0",
    batch=shifted("reduce_prod"), samples=[*SAMPLES[:3], *EMPTY, Sample(([[0.0, 2.0, 3.0], [0.0, 0.0, 1.5]],), {"axes": (1,)})],
)  # fmt: skip


def _running(name: str) -> Callable[..., Any]:
    def evaluate(xp: Any, x: Any, *, axis: int, reverse: bool, out: Any = None) -> Any:
        function = getattr(xp, name)
        if not reverse:
            return function(x, axis=axis, dtype=x.dtype, out=out)
        if out is not None:
            return function(xp.flip(x, axis), axis=axis, dtype=x.dtype, out=xp.flip(out, axis))
        return xp.flip(function(xp.flip(x, axis), axis=axis, dtype=x.dtype), axis).copy()

    return evaluate


def _like(x: Aval, *, axis: int, reverse: bool) -> tuple[Aval, ...]:
    return (x,)


_RUNS = [Sample(((2, 3),), {"axis": 1, "reverse": False}), Sample(((2, 3),), {"axis": 0, "reverse": True}),
         Sample(((2, 0),), {"axis": 1, "reverse": False})]  # fmt: skip
cumsum = linear(
    "cumsum", _like, _running("cumsum"), into="eval", adjoint=
    lambda ct, x, *, axis, reverse: apply("cumsum", ct, axis=axis, reverse=not reverse), flops=1,
    doc="The sums up to each element along an axis.", formula="the sums from each element on", batch=shifted("cumsum"),
    samples=_RUNS,
)  # fmt: skip


def _shifted(x: Value, axis: int, first: float, *, reverse: bool) -> Value:
    """Each element's predecessor in the direction of the run; `first` where there is none."""
    size = x.shape[axis]
    if size == 0:
        return x
    items = tuple(((1 if reverse else 0), size - 1, 1) if k == axis else (0, n, 1) for k, n in enumerate(x.shape))
    part = apply("slice", x, items=items)
    edge = splat(x, first, tuple(1 if k == axis else n for k, n in enumerate(x.shape)))
    return apply("concat", part, edge, axis=axis) if reverse else apply("concat", edge, part, axis=axis)


def _cumprod_vjp(cts: Any, inputs: Any, outs: Any, *, axis: int, reverse: bool) -> tuple[Value]:
    """ct(x_i) = Π_{j<i} x_j · r_i with r_i = ct_i + x_{i+1} r_{i+1}: no division, so zeros are exact."""
    (x,) = inputs
    before = _shifted(outs[0], axis, 1.0, reverse=reverse)
    factors = _shifted(x, axis, 0.0, reverse=not reverse)
    return (before * apply("recurrence", factors, cts[0], axis=axis, reverse=not reverse),)


cumprod = general("cumprod", _like, _running("cumprod"), _cumprod_vjp, flops=1, into="eval",
                  doc="The products up to each element along an axis.", formula="from a recurrence, without division",
                  conventions="exact where factors are 0", batch=shifted("cumprod"),
                  samples=[*_RUNS, Sample(([2.0, 0.0, 3.0, 0.0],), {"axis": 0, "reverse": False})])  # fmt: skip


def _recurrence(xp: Any, a: Any, b: Any, *, axis: int, reverse: bool, out: Any = None) -> Any:
    out = begun(xp, b, out)
    a, rows = xp.moveaxis(a, axis, 0), xp.moveaxis(out, axis, 0)
    order = range(len(rows))[::-1] if reverse else range(len(rows))
    before = None
    for k in order:
        if before is not None:
            rows[k] += a[k] * rows[before]
        before = k
    return out


def _recurrence_vjp(cts: Any, inputs: Any, outs: Any, *, axis: int, reverse: bool) -> tuple[Value, Value]:
    a, _ = inputs
    back = apply("recurrence", _shifted(a, axis, 0.0, reverse=not reverse), cts[0], axis=axis, reverse=not reverse)
    return back * _shifted(outs[0], axis, 0.0, reverse=reverse), back


def _two_alike(a: Aval, b: Aval, *, axis: int, reverse: bool) -> tuple[Aval, ...]:
    if a != b:
        raise ShapeError("SHP105", f"a recurrence of {a} and {b}", (0, 1))
    return (b,)


recurrence = general("recurrence", _two_alike, _recurrence, _recurrence_vjp, flops=2, into="eval", aliases=(1,),
                     doc="y_i = b_i + a_i · y_{i-1} along an axis, the first y being b's first.",
                     formula="the recurrence backwards", batch=shifted("recurrence"),
                     samples=[Sample(((2, 3), (2, 3)), {"axis": 1, "reverse": False}),
                              Sample(((3, 2), (3, 2)), {"axis": 0, "reverse": True})])  # fmt: skip

# ── constants and makers ────────────────────────────────────────────────────────────────────────────────────


def _constant(xp: Any, *, dtype: str, shape: tuple[int, ...], data: bytes) -> Any:
    return xp.frombuffer(data, dtype=NUMPY_NAMES[dtype]).reshape(shape)


constant = general("constant", lambda *, dtype, shape, data: (Aval(shape, dtype),), _constant, no_dependence, flat=True,
                   into=lambda xp, *, out, **params: xp.copyto(out, _constant(xp, **params)),
                   doc="An array known now.",
                   samples=[Sample((), {"dtype": "f32", "shape": (1,), "data": b"\0\0\x80\x3f"}, differentiable=False)])  # fmt: skip
iota = general("iota", lambda *, size, dtype: (Aval((size,), dtype),),
               lambda xp, *, size, dtype: xp.arange(size, dtype=NUMPY_NAMES[dtype]), no_dependence, flat=True, flops=1,
               into=lambda xp, *, out, size, dtype: xp.copyto(out, xp.arange(size, dtype=NUMPY_NAMES[dtype])),
               doc="0, 1, 2, …", samples=[Sample((), {"size": 4, "dtype": "i64"}, differentiable=False)])  # fmt: skip
dim_size = general("dim_size", lambda *, size, dtype: (Aval((), dtype),),
                   lambda xp, *, size, dtype: xp.asarray(size, dtype=NUMPY_NAMES[dtype]), no_dependence, flat=True,
                   into=lambda xp, *, out, size, dtype: out.fill(size), doc="The size of a dim, as a number.",
                   samples=[Sample((), {"size": 4, "dtype": "i64"}, differentiable=False)])  # fmt: skip

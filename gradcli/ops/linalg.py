"""The matrix product, with leading dims broadcast."""

from __future__ import annotations

from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size, definite, equal, product
from gradcli.ir.graph import Node, Value, apply
from gradcli.ir.primitive import Sample, ShapeError
from gradcli.ops.batching import aligned
from gradcli.ops.define import broadcast_shapes, general


def _product(x: Aval, y: Aval) -> tuple[Aval, ...]:
    """`[…, m, k] @ [..., k, n]`; both of rank 2 or more."""
    if x.rank < 2 or y.rank < 2:
        raise ShapeError("SHP107", f"a matrix product of {x} and {y}", (0, 1))
    if x.dtype != y.dtype:
        raise ShapeError("SHP103", f"a matrix product of {x} and {y}", (0, 1))
    if not equal(x.shape[-1], y.shape[-2], "matmul"):
        raise ShapeError("SHP201", f"matmul inner sizes differ: {x.shape[-1]} against {y.shape[-2]}", (0, 1))
    lead = broadcast_shapes(x.shape[:-2], y.shape[:-2]) if x.rank > 2 or y.rank > 2 else ()
    return (Aval((*lead, x.shape[-2], y.shape[-1]), x.dtype),)


def turned(x: Value) -> Value:
    """Matrices with rows and columns exchanged."""
    return apply("transpose", x, axes=(*range(x.rank - 2), x.rank - 1, x.rank - 2))


def _product_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value, Value]:
    (ct,), (x, y) = cts, inputs
    return apply("matmul", ct, turned(y)), apply("matmul", turned(x), ct)


def _product_flops(node: Node) -> int:
    return 2 * definite(node.outs[0].aval.size) * definite(node.inputs[0].aval.shape[-1])


def _product_batch(args: Any, batched: Any, size: Size) -> tuple[Value, ...]:
    """A batch of matrices times one matrix is one product of a taller matrix; so is one matrix times columns."""
    x, y = args
    if not batched[0] and x.rank == 2 and y.rank == 3 and y.shape[-1] == 1:
        rows = apply("matmul", apply("reshape", y, shape=y.shape[:-1]), turned(x))
        return (apply("reshape", rows, shape=(*rows.shape, 1)),)
    if batched[1] or y.rank > 2:
        return (apply("matmul", *aligned(args, batched)),)
    tall = apply("reshape", x, shape=(product(x.shape[:-1]), x.shape[-1]))
    return (apply("reshape", apply("matmul", tall, y), shape=(*x.shape[:-1], y.shape[-1])),)


def _product_into(xp: Any, x: Any, y: Any, *, out: Any) -> None:
    """BLAS writes whole rows; into anything else NumPy multiplies itself, much slower and in another order."""
    whole = out.strides[-1] == out.itemsize and out.strides[-2] >= out.itemsize * out.shape[-1]
    if whole or not out.size:
        xp.matmul(x, y, out=out)
    else:
        xp.copyto(out, xp.matmul(x, y))


matmul = general(
    "matmul", _product, lambda xp, x, y: xp.matmul(x, y), _product_vjp, kind="bilinear", flops=_product_flops, into=_product_into,
    doc="The matrix product.", formula="ct @ yᵀ, xᵀ @ ct", batch=_product_batch,
    samples=[Sample(((2, 3), (3, 4))), Sample(((5, 1, 2, 3), (4, 3, 2))), Sample(((2, 0), (0, 3))), Sample(((2, 3, 1), (1, 2)))],
)  # fmt: skip

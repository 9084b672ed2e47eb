"""Sliding windows over the last dims, and what adds them up again: convolution and pooling are made of these two.

`windows` shows x[…, n] as w[…, p, j] = x[…, p · stride + j · dilation], without a copy: its dims are those that lead,
then the number of windows along each dim, then the sizes of a window. `overlap_add` is its transpose: an element gets
the sum over all windows that show it. Each is the other's adjoint.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size, at_least, definite, equal, floor_divide
from gradcli.ir.graph import Value, apply
from gradcli.ir.primitive import Sample, ShapeError
from gradcli.ops.batching import leading
from gradcli.ops.define import linear

Counts = tuple[int, ...]  # one number for each dim that windows slide along


def span(size: int, dilation: int) -> int:
    """From the first element of a window to its last, both counted."""
    return dilation * (size - 1) + 1


def count_of(n: Size, size: int, stride: int, dilation: int) -> Size:
    """How many windows a dim of size n has. Raises ShapeError SHP205 for none, SHP119 where a symbol leaves it open."""
    reach = span(size, dilation)
    if not at_least(n, reach, "a window"):
        raise ShapeError("SHP205", f"a window that spans {reach} does not fit into a dim of size {n}", (0,))
    steps = floor_divide(n - reach, stride)
    if steps is None:
        raise ShapeError("SHP119", f"how many windows with a stride of {stride} fit into {n} depends on its size", (0,))
    return steps + 1


def _shape(shape: tuple[Size, ...], sizes: Counts, strides: Counts, dilations: Counts) -> tuple[Size, ...]:
    lead = len(shape) - len(sizes)
    return (*shape[:lead], *map(count_of, shape[lead:], sizes, strides, dilations), *sizes)


def _shown(x: Aval, *, sizes: Counts, strides: Counts, dilations: Counts) -> tuple[Aval, ...]:
    return (Aval(_shape(x.shape, sizes, strides, dilations), x.dtype),)


def _windows(xp: Any, x: Any, *, sizes: Counts, strides: Counts, dilations: Counts) -> Any:
    lead, own = x.strides[: -len(sizes)], x.strides[-len(sizes) :]
    steps = (step * stride for step, stride in zip(own, strides, strict=True))
    inner = (step * dilation for step, dilation in zip(own, dilations, strict=True))
    return xp.lib.stride_tricks.as_strided(x, _shape(x.shape, sizes, strides, dilations), (*lead, *steps, *inner))


def _added_up(ct: Value, x: Value, *, sizes: Counts, strides: Counts, dilations: Counts) -> Value:
    return apply("overlap_add", ct, over=x.shape[x.rank - len(sizes) :], strides=strides, dilations=dilations)


windows = linear(
    "windows", _shown, _windows, _added_up, view=True, batch=leading("windows", 1),
    doc="Windows that slide along the last dims, as new last dims.", formula="every window added where it was",
    samples=[Sample(((5,),), {"sizes": (3,), "strides": (1,), "dilations": (1,)}),
             Sample(((2, 6, 5),), {"sizes": (2, 3), "strides": (2, 1), "dilations": (3, 1)}),
             Sample(((3, 7),), {"sizes": (2,), "strides": (3,), "dilations": (1,)}),
             Sample(((0, 3, 4),), {"sizes": (2, 2), "strides": (1, 2), "dilations": (1, 1)})],
)  # fmt: skip


def _summed(v: Aval, *, over: tuple[Size, ...], strides: Counts, dilations: Counts) -> tuple[Aval, ...]:
    lead, dims = v.rank - 2 * len(over), len(over)
    counts, sizes = v.shape[lead : lead + dims], v.shape[lead + dims :]
    for n, count, size, stride, dilation in zip(over, counts, sizes, strides, dilations, strict=True):
        if isinstance(size, int) and not equal(count, count_of(n, size, stride, dilation), "windows"):
            raise ShapeError("SHP105", f"{v} does not hold the windows of {list(over)}", (0,))
    return (Aval((*v.shape[:lead], *over), v.dtype),)


def _overlap_add(xp: Any, v: Any, *, over: tuple[int, ...], strides: Counts, dilations: Counts, out: Any = None) -> Any:
    """Whole slices at a time: one for each element of a window, or one for each window where these are fewer.

    A new result lies in memory as the windows do, so that both are walked in one order: almost a third faster.
    """
    dims = len(over)
    counts, sizes = v.shape[-2 * dims : -dims], v.shape[-dims:]
    if out is None:
        out = xp.zeros_like(v[(..., *(0,) * dims)], shape=(*v.shape[: -2 * dims], *over))
    else:
        out.fill(0)
    if prod(sizes) <= prod(counts):
        for element in product(*map(range, sizes)):
            out[(..., *map(_every, element, dilations, counts, strides))] += v[(..., *element)]
    else:
        whole = (slice(None),) * dims
        for window in product(*map(range, counts)):
            out[(..., *map(_every, window, strides, sizes, dilations))] += v[(..., *window, *whole)]
    return out


def _every(place: int, width: int, count: int, step: int) -> slice:
    """`count` elements, `step` apart, from `place * width` on."""
    start = place * width
    return slice(start, start + (count - 1) * step + 1, step)


overlap_add = linear(
    "overlap_add", _summed, _overlap_add,
    lambda ct, v, *, over, strides, dilations: apply(
        "windows", ct, sizes=v.shape[v.rank - len(over):], strides=strides, dilations=dilations),
    batch=leading("overlap_add", 1), into="eval", flops=lambda node: definite(node.inputs[0].aval.size),
    doc="Windows added up where they overlap: the transpose of `windows`.", formula="the windows of it",
    samples=[Sample(((3, 3),), {"over": (5,), "strides": (1,), "dilations": (1,)}),
             Sample(((2, 2, 3, 2, 3),), {"over": (6, 5), "strides": (2, 1), "dilations": (3, 1)}),
             Sample(((2, 1, 4),), {"over": (8,), "strides": (2,), "dilations": (2,)}),
             Sample(((0, 2, 2, 2, 2),), {"over": (3, 4), "strides": (1, 2), "dilations": (1, 1)})],
)  # fmt: skip

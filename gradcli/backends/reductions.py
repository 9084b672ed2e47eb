"""Routes of reductions: sums by BLAS, extremes of short rows column by column, where NumPy begins anew for each row.

Sums are exact to k · eps · Σ|terms|, in an order of their own that is the same in every run; extremes are NumPy's to
the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np

from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.dims import known
from gradcli.ir.graph import Node, Value

Array = np.ndarray[Any, Any]
Writer = Callable[..., Any]

FEW = 512  # elements below which a few calls more cost more than they save
SHORT_SUM, SHORT_MAX = 128, 16  # elements of a short last axis
NARROW, LONG = 512, 65536  # elements behind axes that are summed, and along them


def reduction(node: Node) -> Writer | None:
    """A function `write(x, *, out)` that reduces as the node does; None where NumPy's own is as fast."""
    if node.prim.name == "reduce_sum":
        return _sum(node)
    return _short_extreme(node) if node.prim.name in ("reduce_max", "reduce_min") else None


def _ends(node: Node) -> int | None:
    """How many elements the axes hold that are reduced, where these are the last ones of a float array."""
    found = _adjacent(node)
    return None if found is None or found[2] > 1 else found[1]


def _adjacent(node: Node) -> tuple[int, int, int] | None:
    """Elements before, along and behind the axes that are reduced, where these are neighbours in a float array."""
    x, axes = node.inputs[0], node.params["axes"]
    if x.dtype not in ("f64", "f32") or not axes or tuple(axes) != tuple(range(axes[0], axes[0] + len(axes))):
        return None
    sizes = [known(size) or 0 for size in x.shape]
    return prod(sizes[: axes[0]]), prod(sizes[axes[0] : axes[-1] + 1]), prod(sizes[axes[-1] + 1 :])


def _sum(node: Node) -> Writer | None:
    """BLAS reads row after row; NumPy's loop begins anew for each: 2 to 20 times as fast over a short last axis, 1.3 to
    15 times over axes before it."""
    found, x = _adjacent(node), node.inputs[0]
    if found is None or known_size(x) < FEW:
        return None
    lead, count, behind = found
    if behind == 1:
        return partial(_sum_rows, _ones(count, x), _plain_reduce(node)) if 2 <= count <= SHORT_SUM else None
    if behind > NARROW or count > LONG or count * behind < FEW:
        return None
    return partial(_sum_columns, _ones(count, x), (lead, count, behind), _plain_reduce(node))


def _ones(count: int, like: Value) -> Array:
    return np.ones(count, NUMPY_NAMES[like.dtype])


def _sum_rows(ones: Array, plain: Writer, x: Array, *, out: Array) -> None:
    if x.flags.c_contiguous and out.flags.c_contiguous:
        np.matmul(x.reshape(-1, ones.size), ones, out=out.reshape(-1))
    else:
        plain(x, out=out)


def _sum_columns(ones: Array, shape: tuple[int, int, int], plain: Writer, x: Array, *, out: Array) -> None:
    if x.flags.c_contiguous and out.flags.c_contiguous:
        np.matmul(ones, x.reshape(shape), out=out.reshape(shape[0], shape[2]))
    else:
        plain(x, out=out)


def _short_extreme(node: Node) -> Writer | None:
    """Column by column: NumPy's loop over a short row is all beginning and end; 2 to 40 times as fast."""
    count, x = _ends(node), node.inputs[0]
    if count is None or not 2 <= count <= SHORT_MAX or known_size(x) < FEW:
        return None
    larger = np.maximum if node.prim.name == "reduce_max" else np.minimum
    return partial(_extreme_of_rows, larger, count, _plain_reduce(node))


def _extreme_of_rows(larger: Writer, count: int, plain: Writer, x: Array, *, out: Array) -> None:
    if not (x.flags.c_contiguous and out.flags.c_contiguous):
        plain(x, out=out)
        return
    rows, found = x.reshape(-1, count), out.reshape(-1)
    larger(rows[:, 0], rows[:, 1], out=found)
    for column in range(2, count):
        larger(found, rows[:, column], out=found)


def _plain_reduce(node: Node) -> Writer:
    into = node.prim.into
    assert into is not None
    return partial(into, np, **node.params)


def known_size(value: Value) -> int:
    """The number of elements; 0 where it is not known."""
    return known(value.aval.size) or 0

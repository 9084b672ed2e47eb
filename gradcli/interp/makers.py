"""Operators that make arrays: filled, counted, or loaded from files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, expressions, indexing, static
from gradcli.interp.scope import Data, Frame
from gradcli.interp.signature import Site, nonnegative, operator, read_sizes
from gradcli.interp.values import (
    Arr,
    CastV,
    describe,
    is_number,
)
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

SMALL = 4096  # makers up to this many elements are constants


def _filled(site: Site, shape: Any, value: Any, dtype: Any) -> Arr:
    dims = nonnegative(read_sizes(shape))
    if dtype is not None and not isinstance(dtype, CastV):
        raise ShapeError("SHP116", f"`dtype` is a type like f32, not {describe(dtype)}")
    arr = site.arr(value) if dtype is None else site.ctx.cast(value, dtype.dtype)
    return indexing.broadcast_to(site.ctx, arr, dims)


@operator("zeros(shape, dtype=None)", "makers", "An array of zeros; weak unless a dtype is given.")
def _zeros(site: Site, shape: Any, dtype: Any) -> Arr:
    return _filled(site, shape, 0.0, dtype)


@operator("ones(shape, dtype=None)", "makers", "An array of ones; weak unless a dtype is given.")
def _ones(site: Site, shape: Any, dtype: Any) -> Arr:
    return _filled(site, shape, 1.0, dtype)


@operator("full(shape, value, dtype=None)", "makers", "An array of one value.", "broadcast_to")
def _full(site: Site, shape: Any, value: Any, dtype: Any) -> Arr:
    return _filled(site, shape, value, dtype)


def iota(site: Site, size: Size) -> Arr:
    """0, 1, 2, … below a size, as weak integers."""
    if not isinstance(size, Poly) and size <= SMALL:
        return Arr(arrays.constant(site.ctx, "i64", (int(size),), range(int(size))), weak=True)
    value = site.ctx.region.builder.emit(primitive("iota"), (), {"size": size, "dtype": "i64"})[0]
    return Arr(value, weak=True)


@operator("arange(start, stop=None, step=1)", "makers", "Numbers from start (0 where one bound is given) below stop.")
def _arange(site: Site, start: Any, stop: Any, step: Any) -> Arr:
    low, high = (0, start) if stop is None else (start, stop)
    for value in (low, high, step):
        if not is_number(value) or isinstance(value, bool):
            raise ShapeError(static.unknown(value), f"arange takes known numbers, not {describe(value)}")
    if isinstance(low, Poly) or isinstance(high, Poly) or isinstance(step, Poly):
        if step != 1 or isinstance(low, float) or isinstance(high, float):
            raise ShapeError("SHP119", "arange over a dim without a size counts by 1")
        count: Size = high - low
    else:
        if step == 0:
            raise ShapeError("SHP110", "the step of arange is not 0")
        length = (high - low) / step
        if length != length or length >= 1 << 62:
            raise ShapeError("SHP110", "arange has no finite number of elements")
        count = max(
            0, -int((low - high) // step) if all(isinstance(v, int) for v in (low, high, step)) else -int(-length // 1)
        )
        if count <= SMALL:
            numbers = [low + k * step for k in range(count)]
            whole = all(isinstance(v, int) for v in (low, step))
            dtype = "i64" if whole and isinstance(high, int) else site.ctx.weak_float
            return Arr(arrays.constant(site.ctx, dtype, (count,), numbers), weak=True)
    out = iota(site, count)
    if step != 1:
        out = site.arr(expressions.binary(site.ctx, "*", out, step))
    return out if low == 0 else site.arr(expressions.binary(site.ctx, "+", out, low))


@operator("linspace(start, stop, num=50)", "makers", "num numbers from start to stop, both included, evenly spaced.")
def _linspace(site: Site, start: Any, stop: Any, num: Any) -> Arr:
    (count,) = read_sizes(num, "the number of points")
    for given in (count, start, stop):
        if isinstance(given, Poly) or not is_number(given):
            raise ShapeError(static.unknown(given), f"linspace takes known numbers, not {describe(given)}")
    if isinstance(count, Poly) or isinstance(start, Poly) or isinstance(stop, Poly) or count < 0:
        raise ShapeError("SHP110", f"the number of points is 0 or more, not {count}")
    count = int(count)
    if count <= SMALL:
        step = (stop - start) / (count - 1) if count > 1 else 0.0
        numbers = [start + k * step for k in range(count)]
        if count > 1:
            numbers[-1] = stop
        return Arr(arrays.constant(site.ctx, site.ctx.weak_float, (count,), [float(n) for n in numbers]), weak=True)
    steps = expressions.binary(site.ctx, "*", iota(site, count), float(stop - start) / (count - 1))
    points = expressions.binary(site.ctx, "+", steps, float(start))
    return indexing.assign(site.ctx, points, [count - 1], float(stop), add=False)


@operator("eye(rows, columns=None)", "makers", "Ones on the diagonal, zeros elsewhere.")
def _eye(site: Site, rows: Any, columns: Any) -> Arr:
    (n,) = nonnegative(read_sizes(rows, "the number of rows"))
    (m,) = nonnegative(read_sizes(n if columns is None else columns, "the number of columns"))
    ctx = site.ctx
    row = indexing.reshape(ctx, iota(site, n), (n, 1))
    column = indexing.reshape(ctx, iota(site, m), (1, m))
    return Arr(arrays.as_value(ctx, expressions.binary(ctx, "==", row, column), ctx.weak_float), (n, m), True)


def open_load(ctx: Elaborator, frame: Frame, call: ast.Call) -> Any:
    """The file of a `load("w.safetensors", "l1.w")`; paths are relative to the model."""
    from gradcli.data.read import open_array

    values = [expressions.evaluate(ctx, frame, arg) for arg in call.args]
    if call.keywords or not 1 <= len(values) <= 2 or not all(isinstance(v, str) for v in values):
        raise fail(
            "NAM020",
            "load takes a path and, for files of several arrays, a name",
            call.span,
            help='`load("y.npy")`, `load("w.safetensors", "l1.w")`',
        )
    return open_array(values[0], base=frame.scope.base, span=call.span, key=values[1] if len(values) > 1 else None)


@operator(
    "load(path, key=None)", "makers", "An array from a file beside the model: npy, npz, safetensors, csv or json."
)
def _load(site: Site, path: Any, key: Any) -> Arr:
    ctx = site.ctx
    stored = open_load(ctx, site.frame, site.node)
    weak = stored.dtype is None
    dtype = ("i64" if stored.integral else ctx.weak_float) if weak else ctx.map_dtype(stored.dtype)
    if stored.note:
        ctx.note("DAT106", stored.note, site.node.span)
    shape = tuple(int(d) for d in stored.shape)
    arrays.check_aval(Aval(shape, dtype))
    value = ctx.run.region.builder.input(Aval(shape, dtype), stored.path.name)
    ctx.run.data.append(Data(value, stored))
    return Arr(value, weak=weak)

"""Linear algebra, as the language spells it: systems of equations, determinants, diagonals and triangles.

Matrices are the last two dims; leading dims are a stack of them. Signatures and shapes are those of NumPy 2.
"""

from __future__ import annotations

from typing import Any

from gradcli.interp import arrays, indexing, makers, static
from gradcli.interp.dtypes import WEAK_FLOAT, rank_of, settle
from gradcli.interp.expressions import binary
from gradcli.interp.reductions import reduced
from gradcli.interp.signature import Site, nonnegative, one_axis, operator
from gradcli.interp.values import Arr, TupleV, describe
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError, primitive

FAR = 1 << 62  # larger than any size

# ── of floats ───────────────────────────────────────────────────────────────────────────────────────────────


def _floats(site: Site, *values: Any) -> list[Arr]:
    """Operands in one float dtype."""
    members = [site.arr(value) for value in values]
    dtype, weak = settle(max(WEAK_FLOAT, *map(rank_of, members)), site.ctx.weak_float)
    return [arrays.settle_arr(site.ctx, member, dtype, weak=weak) for member in members]


def _one_matrix(site: Site, name: str, x: Any) -> Arr:
    (arr,) = _floats(site, x)
    return arrays.emit(site.ctx, primitive(name), [arr], weak=arr.weak)


@operator(
    "solve(a, b)", "linear algebra", "The x with `a @ x = b`; b is a vector, or else a stack of matrices.", "solve"
)
def _solve(site: Site, a: Any, b: Any) -> Arr:
    left, right = _floats(site, a, b)
    vector = right.rank == 1
    if vector:
        right = indexing.reshape(site.ctx, right, (*right.dims, 1))
    elif not right.rank:
        raise ShapeError("SHP107", f"the right side of solve is a vector or a matrix, not {right}", (1,))
    out = arrays.emit(site.ctx, primitive("solve"), [left, right], weak=left.weak)
    return indexing.reshape(site.ctx, out, out.dims[:-1]) if vector else out


@operator("inv(a)", "linear algebra", "The inverse of a matrix; `solve(a, b)` is more exact than `inv(a) @ b`.", "inv")
def _inv(site: Site, a: Any) -> Arr:
    return _one_matrix(site, "inv", a)


@operator("det(a)", "linear algebra", "The determinant of a matrix.", "det")
def _det(site: Site, a: Any) -> Arr:
    return _one_matrix(site, "det", a)


@operator("cholesky(a)", "linear algebra", "The lower triangular l with `l @ l.T = a`.", "cholesky")
def _cholesky(site: Site, a: Any) -> Arr:
    return _one_matrix(site, "cholesky", a)


@operator(
    "slogdet(a)",
    "linear algebra",
    "`(sign, logarithm)` of the determinant of a matrix, without overflow: it is `sign * exp(logarithm)`.",
    "slogdet",
)
def _slogdet(site: Site, a: Any) -> TupleV:
    (arr,) = _floats(site, a)
    value = arrays.as_value(site.ctx, arr, arr.dtype)
    outs = site.ctx.region.builder.emit(primitive("slogdet"), (value,))
    return TupleV(tuple(Arr(out, arr.dims[:-2], arr.weak) for out in outs))


# ── diagonals ───────────────────────────────────────────────────────────────────────────────────────────────


def diagonal(site: Site, arr: Arr, offset: int, first: int, second: int) -> Arr:
    """The diagonal of two axes, as one that comes last."""
    rest = [k for k in range(arr.rank) if k not in (first, second)]
    turned = indexing.transpose(site.ctx, arr, (*rest, first, second))
    rows, columns = turned.dims[-2:]
    length = _length(arr, rows + min(offset, 0), columns - max(offset, 0))
    if offset == 0:
        length = rows if length == rows else columns  # its name is kept
    places = _places(site, length, offset)
    axes = (turned.rank - 2, turned.rank - 1)
    out = arrays.emit(
        site.ctx, primitive("gather"), [turned, *places], {"axes": axes}, dims=(*turned.dims[:-2], length)
    )
    return Arr(out.value, out.dims, arr.weak)


def _length(arr: Arr, rows: Size, columns: Size) -> Size:
    """The smaller of two sizes, and 0 at least. Raises ShapeError SHP119 where no one can tell."""
    difference = rows - columns
    if isinstance(difference, Poly) and len({c > 0 for c in difference.terms.values()}) > 1:
        raise ShapeError("SHP119", f"the diagonal of {arr} has {rows} or {columns} elements", (0,))
    more = next(iter(difference.terms.values())) > 0 if isinstance(difference, Poly) else difference > 0
    length = columns if more else rows
    return length if sizes.at_least(length, 0, "a diagonal") else 0


def _places(site: Site, length: Size, offset: int) -> list[Arr]:
    """The rows and the columns of a diagonal."""
    count = makers.iota(site, sizes.named(length, None))
    return [
        arrays.settle_arr(site.ctx, binary(site.ctx, "+", count, shift) if shift else count, "i64")
        for shift in (max(-offset, 0), max(offset, 0))
    ]


def _offset(value: Any, what: str) -> int:
    """Beyond every size all diagonals are alike: places stay within i64."""
    found = None if isinstance(value, bool) else static.whole(value)
    if not isinstance(found, int):
        raise ShapeError(static.unknown(value), f"{what} is a known integer, not {describe(value)}")
    return max(-FAR, min(FAR, found))


@operator(
    "trace(x, offset=0, axis1=0, axis2=1)",
    "linear algebra",
    "The sum of a diagonal of two axes, by default the first two.",
)
def _trace(site: Site, x: Any, offset: Any, axis1: Any, axis2: Any) -> Arr:
    arr = site.arr(x)
    if arr.rank < 2:
        raise ShapeError("SHP107", f"trace wants 2 dims or more, not {arr}", (0,))
    first, second = one_axis(site, axis1, arr), one_axis(site, axis2, arr)
    if first == second:
        raise ShapeError("SHP111", f"trace along two axes; both are axis {first} of {arr}", (0,))
    found = diagonal(site, arr, _offset(offset, "`offset`"), first, second)
    return reduced(site, "reduce_sum", found, found.rank - 1)


@operator(
    "diag(x, k=0)", "linear algebra", "The matrix with the vector x on its k-th diagonal, or that diagonal of a matrix."
)
def _diag(site: Site, x: Any, k: Any) -> Arr:
    arr, offset = site.arr(x), _offset(k, "`k`")
    if arr.rank == 2:
        return diagonal(site, arr, offset, 0, 1)
    if arr.rank != 1:
        raise ShapeError("SHP107", f"diag wants a vector or a matrix, not {arr}", (0,))
    dims = nonnegative((arr.dims[0] + abs(offset),) * 2) if offset else (*arr.dims, *arr.dims)
    params = {"shape": arrays.plain(dims), "axes": (0, 1)}
    out = arrays.emit(
        site.ctx, primitive("scatter_zeros"), [arr, *_places(site, arr.dims[0], offset)], params, dims=dims
    )
    return Arr(out.value, dims, arr.weak)


# ── triangles ───────────────────────────────────────────────────────────────────────────────────────────────


@operator("tril(x, k=0)", "linear algebra", "x, and 0 above its k-th diagonal, for the last two dims.")
def _tril(site: Site, x: Any, k: Any) -> Arr:
    return _triangle(site, "tril", x, _offset(k, "`k`"), upper=False)


@operator("triu(x, k=0)", "linear algebra", "x, and 0 below its k-th diagonal, for the last two dims.")
def _triu(site: Site, x: Any, k: Any) -> Arr:
    return _triangle(site, "triu", x, _offset(k, "`k`"), upper=True)


def _triangle(site: Site, name: str, x: Any, offset: int, *, upper: bool) -> Arr:
    """Selected, not multiplied: the zeros are exact and nothing flows."""
    ctx, arr = site.ctx, site.arr(x)
    if arr.rank < 2:
        raise ShapeError("SHP107", f"{name} wants a matrix, or a stack of them, not {arr}", (0,))
    n, m = arrays.plain(arr.dims[-2:])
    below = binary(ctx, "+", indexing.reshape(ctx, makers.iota(site, n), (n, 1)), offset)
    inside = binary(ctx, "<=" if upper else ">=", below, indexing.reshape(ctx, makers.iota(site, m), (1, m)))
    zero = Arr(arrays.scalar(ctx, 0, arr.dtype), weak=arr.weak)
    return Arr(arrays.select(ctx, inside, arr, zero).value, arr.dims, arr.weak)

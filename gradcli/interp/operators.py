"""The operators as the language spells them: signatures, defaults, and how each becomes primitives.

`OPERATORS` is the frozen list of edition 2026 (with the nets of the prelude). Every entry is one function below the
line that states its signature; elementwise operators need no more than their name in a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.interp import arrays, expressions, indexing, static
from gradcli.interp.dtypes import WEAK_FLOAT, WEAK_INT, rank_of
from gradcli.interp.scope import Data, Frame
from gradcli.interp.values import (
    Arr,
    CastV,
    Deferred,
    GradV,
    LayerV,
    ListV,
    NetV,
    OperatorV,
    RecomputeV,
    TupleV,
    describe,
    is_number,
)
from gradcli.ir import dims as sizes
from gradcli.ir.aval import ITEMSIZE, Aval
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import fail, nearest

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

Handler = Callable[["Elaborator", Frame, ast.Call, list[Any], dict[str, Any]], Any]
REQUIRED = object()
SMALL = 4096  # makers up to this many elements are constants


@dataclass(frozen=True, slots=True)
class Surface:
    """An operator's signature as `gradcli ops` prints it, and what it does."""

    name: str
    signature: str
    family: str
    doc: str
    prim: str | None = None  # the primitive whose derivative it has


OPERATORS: dict[str, Handler] = {}
SURFACES: dict[str, Surface] = {}

FLOAT_ONE = ["sqrt", "rsqrt", "cbrt", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "lgamma", "digamma", "sigmoid", "isfinite", "isnan"]
NUMBER_ONE = ["neg", "abs", "sign", "square", "floor", "ceil", "round", "trunc", "relu"]
FLOAT_TWO = ["div", "atan2", "hypot", "logaddexp"]
NUMBER_TWO = ["add", "sub", "mul", "maximum", "minimum"]


def _bind(
    name: str, names: list[str], defaults: dict[str, Any], node: ast.Call, args: list[Any], kw: dict[str, Any]
) -> list[Any]:
    """Arguments in the order of the signature. Raises ModelError NAM020, NAM021 or NAM022."""
    if len(args) > len(names):
        raise fail(
            "NAM020",
            f"{name} takes at most {len(names)} arguments ({', '.join(names)}), {len(args)} are given",
            node.span,
        )
    bound = dict(zip(names, args, strict=False))
    for key, value in kw.items():
        if key not in names:
            guess = nearest(key, names)
            raise fail(
                "NAM022",
                f"{name} has no argument `{key}`",
                node.span,
                help=f"did you mean `{guess}`?" if guess else f"it takes {', '.join(names)}",
            )
        if key in bound:
            raise fail("NAM022", f"{name}'s argument `{key}` is given twice", node.span)
        bound[key] = value
    missing = [n for n in names if n not in bound and n not in defaults]
    if missing:
        raise fail("NAM021", f"{name} needs {', '.join(missing)}", node.span, help=f"`{SURFACES[name].signature}`")
    return [bound.get(n, defaults.get(n)) for n in names]


def operator(
    signature: str, family: str, doc: str, prim: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function under `signature`, whose defaults are literals of the language."""
    name, _, rest = signature.partition("(")
    names, defaults = [], {}
    for part in rest.rstrip(")").split(", "):
        key, has, text = part.partition("=")
        names.append(key)
        if has:
            defaults[key] = {"None": None, "false": False, "true": True}.get(
                text, int(text) if text.lstrip("-").isdigit() else text
            )

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        def handler(ctx: Elaborator, frame: Frame, node: ast.Call, args: list[Any], kw: dict[str, Any]) -> Any:
            return function(Site(ctx, frame, node), *_bind(name, names, defaults, node, args, kw))

        OPERATORS[name] = handler
        SURFACES[name] = Surface(name, signature, family, doc, prim)
        return function

    return enter


@dataclass(frozen=True, slots=True)
class Site:
    """Where an operator is called."""

    ctx: Elaborator
    frame: Frame
    node: ast.Call

    def arr(self, value: Any) -> Arr:
        return arrays.to_arr(self.ctx, value)


def _elementwise(name: str, count: int, least: int) -> None:
    """An operator that is one elementwise primitive; static where all operands are and it may be used in sizes."""
    parts = "x" if count == 1 else "x, y"

    def handler(ctx: Elaborator, frame: Frame, node: ast.Call, args: list[Any], kw: dict[str, Any]) -> Any:
        operands = _bind(name, parts.split(", "), {}, node, args, kw)
        if name in static.FUNCTIONS and all(is_number(o) and not isinstance(o, bool | Poly) for o in operands):
            return static.FUNCTIONS[name](*operands)
        return arrays.elementwise(ctx, primitive(name), operands, least=least)

    OPERATORS[name] = handler
    SURFACES[name] = Surface(name, f"{name}({parts})", "elementwise", "", name)


for _name in FLOAT_ONE:
    _elementwise(_name, 1, WEAK_FLOAT)
for _name in NUMBER_ONE:
    _elementwise(_name, 1, WEAK_INT)
for _name in FLOAT_TWO:
    _elementwise(_name, 2, WEAK_FLOAT)
for _name in NUMBER_TWO:
    _elementwise(_name, 2, WEAK_INT)


@operator("pow(x, y)", "elementwise", "`x ** y`.", "pow")
def _pow(site: Site, x: Any, y: Any) -> Any:
    return expressions.binary(site.ctx, "**", x, y)


@operator("matmul(x, y)", "linear algebra", "The matrix product `x @ y`, leading dims broadcast.", "matmul")
def _matmul(site: Site, x: Any, y: Any) -> Arr:
    return expressions.matmul(site.ctx, x, y)


@operator(
    "where(cond, x, y)",
    "elementwise",
    "`x if cond else y`, elementwise; nothing flows into the branch not taken.",
    "where",
)
def _where(site: Site, cond: Any, x: Any, y: Any) -> Arr:
    return arrays.select(site.ctx, cond, x, y)


@operator("softplus(x, beta=1)", "activations", "log(1 + exp(beta x)) / beta, without overflow.", "softplus")
def _softplus(site: Site, x: Any, beta: Any) -> Any:
    ctx, soft = site.ctx, primitive("softplus")
    if is_number(beta) and beta == 1:
        return arrays.elementwise(ctx, soft, (x,), least=WEAK_FLOAT)
    inner = arrays.elementwise(ctx, soft, (expressions.binary(ctx, "*", x, beta),), least=WEAK_FLOAT)
    return expressions.binary(ctx, "/", inner, beta)


@operator(
    "stop_gradient(x)", "derivatives", "x, and no derivative flows into it, in any mode or order.", "stop_gradient"
)
def _stop_gradient(site: Site, x: Any) -> Any:
    if isinstance(x, TupleV):
        return TupleV(tuple(_stop_gradient(site, item) for item in x.items), x.names)
    arr = site.arr(x)
    out = arrays.emit(site.ctx, primitive("stop_gradient"), [arr], dims=arr.dims)
    return Arr(out.value, arr.dims, arr.weak)


# ── reductions ──────────────────────────────────────────────────────────────────────────────────────────────


def read_axes(site: Site, axis: Any, arr: Arr) -> tuple[int, ...]:
    """`axis=1`, `axis=(0, 2)`, `axis=batch`, None for all; sorted, from 0. Raises ShapeError SHP111."""
    axis = site.ctx.axis(axis, arr)
    if axis is None:
        return tuple(range(arr.rank))
    given = axis.items if isinstance(axis, ListV | TupleV) else (axis,)
    found = []
    for item in given:
        place = static.whole(item)
        if not isinstance(place, int) or not -arr.rank <= place < arr.rank:
            text = place if isinstance(place, int) else describe(item)
            raise ShapeError("SHP111", f"{text} is no axis of {arr}, which has {arr.rank} dims", (0,))
        found.append(place % arr.rank)
    if len(set(found)) != len(found):
        raise ShapeError("SHP111", "an axis is named twice")
    return tuple(sorted(found))


def one_axis(site: Site, axis: Any, arr: Arr) -> int:
    axes = read_axes(site, axis, arr)
    if len(axes) != 1:
        raise ShapeError("SHP111", "this operator works along one axis")
    return axes[0]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ShapeError("SHP110", f"`keepdims` is true or false, not {describe(value)}")
    return value


def _reduce(site: Site, prim: str, x: Any, axis: Any, keepdims: Any) -> Arr:
    ctx, arr = site.ctx, site.arr(x)
    if prim in ("reduce_any", "reduce_all"):
        arr = arr if arr.dtype == "bool" else expressions.binary(ctx, "!=", arr, 0)
    elif (prim in ("reduce_sum", "reduce_prod") and arr.dtype in ("bool", "i32")) or arr.dtype == "bool":
        arr = arrays.settle_arr(ctx, arr, "i64")
    axes = read_axes(site, axis, arr)
    out = arr if not axes and arr.rank == 0 else arrays.emit(ctx, primitive(prim), [arr], {"axes": axes})
    weak = arr.weak and out.dtype == arr.dtype
    if _flag(keepdims):
        kept = tuple(1 if k in axes else d for k, d in enumerate(arr.dims))
        return indexing.reshape(ctx, out, kept, weak=weak)
    return Arr(out.value, out.dims if out.named else None, weak)


def _reductions() -> None:
    rows = {
        "sum": ("reduce_sum", "The sum of the elements."),
        "prod": ("reduce_prod", "The product of the elements."),
        "max": ("reduce_max", "The largest element; ties share the cotangent evenly."),
        "min": ("reduce_min", "The smallest element; ties share the cotangent evenly."),
        "any": ("reduce_any", "Whether any element is true."),
        "all": ("reduce_all", "Whether all elements are true."),
    }
    for name, (prim, doc) in rows.items():
        operator(f"{name}(x, axis=None, keepdims=false)", "reductions", doc, prim)(
            lambda site, x, axis, keepdims, prim=prim: _reduce(site, prim, x, axis, keepdims)
        )
    for name in ("argmax", "argmin"):
        doc = f"The index (i64) of the first {'largest' if name == 'argmax' else 'smallest'} element."
        operator(f"{name}(x, axis=None, keepdims=false)", "reductions", doc, name)(
            lambda site, x, axis, keepdims, prim=name: _arg(site, prim, x, axis, keepdims)
        )
    for name in ("cumsum", "cumprod"):
        doc = f"The {'sums' if name == 'cumsum' else 'products'} of the elements up to each, along an axis."
        operator(f"{name}(x, axis=None)", "reductions", doc, name)(
            lambda site, x, axis, prim=name: _cumulative(site, prim, x, axis)
        )


def _arg(site: Site, prim: str, x: Any, axis: Any, keepdims: Any) -> Arr:
    arr = site.arr(x)
    flat = axis is None
    source = _flat(site.ctx, arr) if flat else arr
    place = 0 if flat else one_axis(site, axis, arr)
    out = arrays.emit(site.ctx, primitive(prim), [source], {"axis": place})
    if _flag(keepdims):
        kept = (1,) * arr.rank if flat else tuple(1 if k == place else d for k, d in enumerate(arr.dims))
        return indexing.reshape(site.ctx, out, kept)
    return out


def _cumulative(site: Site, prim: str, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    arr = arrays.settle_arr(site.ctx, arr, "i64") if arr.dtype in ("bool", "i32") else arr
    arr, place = (_flat(site.ctx, arr), 0) if axis is None else (arr, one_axis(site, axis, arr))
    out = arrays.emit(site.ctx, primitive(prim), [arr], {"axis": place, "reverse": False}, dims=arr.dims)
    return Arr(out.value, arr.dims, arr.weak)


_reductions()


# ── shape ───────────────────────────────────────────────────────────────────────────────────────────────────


def _flat(ctx: Elaborator, arr: Arr) -> Arr:
    return indexing.reshape(ctx, arr, (arrays.plain([sizes.product(arr.dims)])[0],))


def read_sizes(value: Any, what: str = "a shape") -> tuple[Size, ...]:
    """A shape: a list of known integers, or one. Raises ShapeError SHP110."""
    given = value.items if isinstance(value, ListV | TupleV) else (value,)
    found: list[Size] = []
    for item in given:
        size = static.whole(item) if is_number(item) else None
        if size is None:
            raise ShapeError("SHP110", f"{what} is made of known integers, not {describe(item)}")
        found.append(size)
    if len(found) > arrays.MAX_RANK:
        raise ShapeError("SHP107", f"{what} of rank {len(found)}; at most {arrays.MAX_RANK} dims are possible")
    return tuple(found)


@operator("reshape(x, shape)", "shape", "The same elements under another shape; one size may be -1.", "reshape")
def _reshape(site: Site, x: Any, shape: Any) -> Arr:
    arr = site.arr(x)
    dims = list(read_sizes(shape))
    unknown = [k for k, d in enumerate(dims) if not isinstance(d, Poly) and d == -1]
    if any(not isinstance(d, Poly) and d < -1 for d in dims) or len(unknown) > 1:
        raise ShapeError("SHP112", "a shape has sizes of 0 or more, and one -1 at most")
    total = sizes.product(arr.dims)
    if unknown:
        rest = sizes.product(d for k, d in enumerate(dims) if k != unknown[0])
        missing = sizes.quotient(total, rest, "reshape")
        if missing is None:
            raise ShapeError("SHP112", f"{arr} has {total} elements, which {rest} does not divide", (0,))
        dims[unknown[0]] = missing
    elif not sizes.equal(total, sizes.product(dims), "reshape"):
        raise ShapeError(
            "SHP112",
            f"{arr} has {total} elements, the shape {arrays.shape_text(tuple(dims))} {sizes.product(dims)}",
            (0,),
        )
    return indexing.reshape(site.ctx, arr, tuple(dims))


@operator(
    "transpose(x, axes=None)", "shape", "The dims in another order, by default reversed; also `x.T`.", "transpose"
)
def _transpose(site: Site, x: Any, axes: Any) -> Arr:
    arr = site.arr(x)
    if axes is None:
        return indexing.transpose(site.ctx, arr, tuple(reversed(range(arr.rank))))
    value = site.ctx.axis(axes, arr)
    order = tuple(int(d) % arr.rank if arr.rank else int(d) for d in read_sizes(value, "an order of axes"))
    if sorted(order) != list(range(arr.rank)):
        raise ShapeError("SHP111", f"`axes` names each of the {arr.rank} axes of {arr} once", (0,))
    return indexing.transpose(site.ctx, arr, order)


@operator("flatten(x)", "shape", "All elements in one dim.", "reshape")
def _flatten(site: Site, x: Any) -> Arr:
    return _flat(site.ctx, site.arr(x))


@operator("squeeze(x, axis=None)", "shape", "Without dims of size 1: all of them, or those of `axis`.", "reshape")
def _squeeze(site: Site, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    axes = read_axes(site, axis, arr)
    if axis is None:
        axes = tuple(k for k in axes if arr.dims[k] == 1)
    for k in axes:
        if not sizes.equal(arr.dims[k], 1, "squeeze"):
            raise ShapeError("SHP111", f"axis {k} of {arr} has size {arr.dims[k]}, not 1", (0,))
    return indexing.reshape(site.ctx, arr, tuple(d for k, d in enumerate(arr.dims) if k not in axes))


@operator("expand_dims(x, axis)", "shape", "A new dim of size 1 at `axis`; also `x[:, None]`.", "reshape")
def _expand_dims(site: Site, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    axis = site.ctx.axis(axis, arr)
    given = read_sizes(axis, "an axis")
    rank = arr.rank + len(given)
    if any(isinstance(a, Poly) or not -rank <= a < rank for a in given):
        raise ShapeError("SHP111", f"no such axis in a result of {rank} dims", (0,))
    places = {int(a) % rank for a in given}
    if len(places) != len(given):
        raise ShapeError("SHP111", "an axis is named twice")
    rest = iter(arr.dims)
    return indexing.reshape(site.ctx, arr, tuple(1 if k in places else next(rest) for k in range(rank)))


@operator(
    "broadcast_to(x, shape)", "shape", "Repeated along new dims and dims of size 1, without a copy.", "broadcast_to"
)
def _broadcast_to(site: Site, x: Any, shape: Any) -> Arr:
    return indexing.broadcast_to(site.ctx, site.arr(x), _nonnegative(read_sizes(shape)))


def _nonnegative(dims: tuple[Size, ...]) -> tuple[Size, ...]:
    if any(not isinstance(d, Poly) and d < 0 for d in dims):
        raise ShapeError("SHP110", "a size is not negative")
    if any(not isinstance(d, Poly) and d >= 1 << 62 for d in dims):
        raise ShapeError("SHP110", "a size does not fit into 63 bits")
    return dims


def _members(site: Site, value: Any, name: str) -> list[Arr]:
    """The arrays that a list or a tuple holds, in one dtype."""
    if isinstance(value, Arr) and value.rank and not isinstance(value.dims[0], Poly):
        items: list[Any] = [indexing.index(site.ctx, value, [k]) for k in range(int(value.dims[0]))]
    elif isinstance(value, ListV | TupleV):
        items = list(value.items)
    else:
        raise ShapeError("SHP113", f"{name} joins a list of arrays, not {describe(value)}", (0,), f"`{name}([a, b])`")
    if not items:
        raise ShapeError("SHP113", f"{name} of an empty list has no shape", (0,))
    members = [site.arr(item) for item in items]
    dtype, weak = arrays.settle(max(map(rank_of, members)), site.ctx.weak_float)
    return [arrays.settle_arr(site.ctx, m, dtype, weak=weak) for m in members]


@operator("concat(arrays, axis=0)", "shape", "Arrays joined along an axis that they have.", "concat")
def _concat(site: Site, value: Any, axis: Any) -> Arr:
    members = _members(site, value, "concat")
    if any(m.rank != members[0].rank for m in members) or not members[0].rank:
        shapes = ", ".join(map(str, members))
        raise ShapeError(
            "SHP107", f"concat joins arrays of one rank, 1 or more: {shapes}", (0,), "`stack` makes a new axis"
        )
    place = one_axis(site, axis, members[0])
    if len(members) == 1:
        return members[0]
    out = arrays.emit(site.ctx, primitive("concat"), members, {"axis": place})
    return Arr(out.value, out.dims if out.named else None, members[0].weak)


@operator("stack(arrays, axis=0)", "shape", "Arrays of one shape joined along a new axis.", "concat")
def _stack(site: Site, value: Any, axis: Any) -> Arr:
    members = _members(site, value, "stack")
    first = members[0]
    for k, member in enumerate(members):
        if member.rank != first.rank or not all(map(sizes.equal, member.dims, first.dims)):
            raise ShapeError(
                "SHP104", f"stack wants arrays of one shape: member 0 is {first}, member {k} is {member}", (0,)
            )
    (place,) = read_sizes(site.ctx.axis(axis, first), "an axis")
    rank = first.rank + 1
    if isinstance(place, Poly) or not -rank <= place < rank:
        raise ShapeError("SHP111", f"{place} is no axis of a result of {rank} dims", (0,))
    place %= rank
    rows = [indexing.reshape(site.ctx, m, (*m.dims[:place], 1, *m.dims[place:])) for m in members]
    if len(rows) == 1:
        return rows[0]
    out = arrays.emit(site.ctx, primitive("concat"), rows, {"axis": place})
    return Arr(out.value, (*first.dims[:place], len(rows), *first.dims[place:]), first.weak)


@operator(
    "split(x, parts, axis=0)", "shape", "Equal parts along an axis, or parts that end at the given indices.", "slice"
)
def _split(site: Site, x: Any, parts: Any, axis: Any) -> TupleV:
    arr = site.arr(x)
    place = one_axis(site, axis, arr)
    size = arr.dims[place]
    if isinstance(parts, ListV | TupleV):
        bounds: list[Size] = [0, *read_sizes(parts, "the bounds of a split"), size]
    else:
        (count,) = read_sizes(parts, "the number of parts")
        if isinstance(count, Poly) or count < 1 or (each := sizes.divide(size, count, "split")) is None:
            raise ShapeError("SHP112", f"a dim of size {size} does not split into {count} equal parts", (0,))
        bounds = [each * k for k in range(count + 1)]
    lead: list[Any] = [slice(None)] * place
    found = [indexing.index(site.ctx, arr, [*lead, slice(a, b)]) for a, b in zip(bounds, bounds[1:], strict=False)]
    return TupleV(tuple(found))


@operator("flip(x, axis=None)", "shape", "The order of the elements turned round along one axis, some, or all.", "flip")
def _flip(site: Site, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    out = arrays.emit(site.ctx, primitive("flip"), [arr], {"axes": read_axes(site, axis, arr)}, dims=arr.dims)
    return Arr(out.value, arr.dims, arr.weak)


@operator(
    "take(x, indices, axis=None)",
    "shape",
    "The parts of x at integer indices along an axis (of flat x without one).",
    "gather",
)
def _take(site: Site, x: Any, indices: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    if axis is None:
        return indexing.index(site.ctx, _flat(site.ctx, arr), [indices])
    place = one_axis(site, axis, arr)
    lead: list[Any] = [slice(None)] * place
    return indexing.index(site.ctx, arr, [*lead, indices])


@operator(
    "size(n)",
    "shape",
    "The size of the dim n, a weak integer; where there is no such dim, the number of elements of n.",
)
def _size(site: Site, n: Any) -> Any:
    expr = site.node.args[0] if site.node.args else None
    if isinstance(expr, ast.Name) and (known := expressions.find_dim(site.ctx, site.frame, expr.id)) is not None:
        return arrays.plain([known])[0]
    if is_number(n) and isinstance(expr, ast.Name) and expressions.find(site.frame, expr.id) is None:
        return n
    return arrays.plain([sizes.product(site.arr(n).dims)])[0]


@operator("shape(x)", "shape", "The sizes of the dims, as a list of integers; also `x.shape`.")
def _shape(site: Site, x: Any) -> ListV:
    return ListV(tuple(arrays.plain(site.arr(x).dims)), site.node.span)


# ── makers ──────────────────────────────────────────────────────────────────────────────────────────────────


def _filled(site: Site, shape: Any, value: Any, dtype: Any) -> Arr:
    dims = _nonnegative(read_sizes(shape))
    if dtype is not None and not isinstance(dtype, CastV):
        raise ShapeError("SHP116", f"`dtype` is a type like f32, not {describe(dtype)}")
    arr = site.arr(value) if dtype is None else site.ctx.cast(value, dtype.dtype)
    if arr.rank:
        raise ShapeError("SHP107", f"full repeats a number, not {arr}", (1,), "`broadcast_to(x, shape)` repeats arrays")
    return indexing.broadcast_to(site.ctx, arr, dims)


@operator("zeros(shape, dtype=None)", "makers", "An array of zeros; weak unless a dtype is given.")
def _zeros(site: Site, shape: Any, dtype: Any) -> Arr:
    return _filled(site, shape, 0.0, dtype)


@operator("ones(shape, dtype=None)", "makers", "An array of ones; weak unless a dtype is given.")
def _ones(site: Site, shape: Any, dtype: Any) -> Arr:
    return _filled(site, shape, 1.0, dtype)


@operator("full(shape, value, dtype=None)", "makers", "An array of one value.")
def _full(site: Site, shape: Any, value: Any, dtype: Any) -> Arr:
    return _filled(site, shape, value, dtype)


def _iota(site: Site, size: Size) -> Arr:
    if not isinstance(size, Poly) and size <= SMALL:
        return Arr(arrays.constant(site.ctx, "i64", (int(size),), range(int(size))), weak=True)
    value = site.ctx.region.builder.emit(primitive("iota"), (), {"size": size, "dtype": "i64"})[0]
    return Arr(value, weak=True)


@operator("arange(start, stop=None, step=1)", "makers", "Numbers from start (0 where one bound is given) below stop.")
def _arange(site: Site, start: Any, stop: Any, step: Any) -> Arr:
    low, high = (0, start) if stop is None else (start, stop)
    for value in (low, high, step):
        if not is_number(value) or isinstance(value, bool):
            raise ShapeError("SHP110", f"arange takes known numbers, not {describe(value)}")
    if isinstance(low, Poly) or isinstance(high, Poly) or isinstance(step, Poly):
        if step != 1 or isinstance(low, float) or isinstance(high, float):
            raise ShapeError("SHP110", "arange over a symbolic dim counts by 1")
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
    out: Any = _iota(site, count)
    out = out if step == 1 else expressions.binary(site.ctx, "*", out, step)
    return out if low == 0 else expressions.binary(site.ctx, "+", out, low)


@operator("linspace(start, stop, num=50)", "makers", "num numbers from start to stop, both included, evenly spaced.")
def _linspace(site: Site, start: Any, stop: Any, num: Any) -> Arr:
    (count,) = read_sizes(num, "the number of points")
    if isinstance(count, Poly) or count < 0 or not (is_number(start) and is_number(stop)):
        raise ShapeError("SHP110", "linspace takes known numbers and a known number of points")
    if isinstance(start, Poly) or isinstance(stop, Poly):
        raise ShapeError("SHP110", "linspace takes known numbers")
    count = int(count)
    if count <= SMALL:
        step = (stop - start) / (count - 1) if count > 1 else 0.0
        numbers = [start + k * step for k in range(count)]
        if count > 1:
            numbers[-1] = stop
        return Arr(arrays.constant(site.ctx, site.ctx.weak_float, (count,), [float(n) for n in numbers]), weak=True)
    steps = expressions.binary(site.ctx, "*", _iota(site, count), float(stop - start) / (count - 1))
    points = expressions.binary(site.ctx, "+", steps, float(start))
    return indexing.assign(site.ctx, points, [count - 1], float(stop), add=False)


@operator("eye(rows, columns=None)", "makers", "Ones on the diagonal, zeros elsewhere.")
def _eye(site: Site, rows: Any, columns: Any) -> Arr:
    (n,) = _nonnegative(read_sizes(rows, "the number of rows"))
    (m,) = _nonnegative(read_sizes(n if columns is None else columns, "the number of columns"))
    ctx = site.ctx
    row = indexing.reshape(ctx, _iota(site, n), (n, 1))
    column = indexing.reshape(ctx, _iota(site, m), (1, m))
    return Arr(arrays.as_value(ctx, expressions.binary(ctx, "==", row, column), ctx.weak_float), (n, m), True)


# ── derivatives and files ───────────────────────────────────────────────────────────────────────────────────


def _net(value: Any, name: str) -> Any:
    if isinstance(value, NetV | LayerV | GradV | RecomputeV):
        return value
    if isinstance(value, OperatorV | CastV):
        raise ShapeError("DIF006", f"{name} takes a net, not {describe(value)}", (), "wrap it: `net f(x) = …`")
    hint = "a net that was called is a value: write `grad(f)(x)`" if isinstance(value, Arr | TupleV) else None
    raise ShapeError("DIF006", f"{name} takes a net, not {describe(value)}", (0,), hint)


def _grad(site: Site, net: Any, wrt: Any, sens: Any, name: str) -> GradV:
    expr = wrt.expr if isinstance(wrt, Deferred) else None
    if wrt is not None and expr is None and len(site.node.args) > 1:
        expr = site.node.args[1]
    return GradV(_net(net, name), expr, sens, name == "value_and_grad", site.node.span, site.frame)


@operator(
    "grad(f, wrt=None, sens=None)",
    "derivatives",
    "The net that gives the derivative of f's outputs, summed or weighted by `sens`, by `wrt` (the first float input).",
)
def _grad_operator(site: Site, f: Any, wrt: Any, sens: Any) -> GradV:
    return _grad(site, f, wrt, sens, "grad")


@operator("value_and_grad(f, wrt=None, sens=None)", "derivatives", "The net that gives `(value, gradient)`.")
def _value_and_grad(site: Site, f: Any, wrt: Any, sens: Any) -> GradV:
    return _grad(site, f, wrt, sens, "value_and_grad")


@operator("checkpoint(f)", "derivatives", "f, whose values need not be kept for the backward pass.")
def _checkpoint(site: Site, f: Any) -> RecomputeV:
    return RecomputeV(_net(f, "checkpoint"))


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


__all__ = ["ITEMSIZE", "OPERATORS", "SURFACES", "Surface"]

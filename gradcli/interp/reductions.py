"""Reductions, as the language spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, expressions, indexing
from gradcli.interp.signature import Site, flat, one_axis, operator, read_axes, read_flag
from gradcli.interp.values import Arr
from gradcli.ir.primitive import primitive

if TYPE_CHECKING:
    pass


def reduced(site: Site, prim: str, x: Any, axis: Any, keepdims: Any = False) -> Arr:
    """A reduction by the name of its primitive; sums and products of bools and i32 are i64."""
    ctx, arr = site.ctx, site.arr(x)
    if arr.dtype == "bool" and prim in ("reduce_max", "reduce_min"):
        prim = "reduce_any" if prim == "reduce_max" else "reduce_all"
    if prim in ("reduce_any", "reduce_all"):
        arr = arr if arr.dtype == "bool" else expressions.binary(ctx, "!=", arr, 0)
    elif prim in ("reduce_sum", "reduce_prod") and arr.dtype in ("bool", "i32"):
        arr = arrays.settle_arr(ctx, arr, "i64")
    axes = read_axes(site, axis, arr)
    out = arr if not axes and arr.rank == 0 else arrays.emit(ctx, primitive(prim), [arr], {"axes": axes})
    weak = arr.weak and out.dtype == arr.dtype
    if read_flag(keepdims, "keepdims"):
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
            lambda site, x, axis, keepdims, prim=prim: reduced(site, prim, x, axis, keepdims)
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
    axis = site.ctx.axis(axis, arr)
    source = flat(site.ctx, arr) if axis is None else arr
    place = 0 if axis is None else one_axis(site, axis, arr)
    out = arrays.emit(site.ctx, primitive(prim), [source], {"axis": place})
    if read_flag(keepdims, "keepdims"):
        kept = (1,) * arr.rank if axis is None else tuple(1 if k == place else d for k, d in enumerate(arr.dims))
        return indexing.reshape(site.ctx, out, kept)
    return out


def _cumulative(site: Site, prim: str, x: Any, axis: Any) -> Arr:
    arr = site.arr(x)
    arr = arrays.settle_arr(site.ctx, arr, "i64") if arr.dtype in ("bool", "i32") else arr
    axis = site.ctx.axis(axis, arr)
    arr, place = (flat(site.ctx, arr), 0) if axis is None else (arr, one_axis(site, axis, arr))
    out = arrays.emit(site.ctx, primitive(prim), [arr], {"axis": place, "reverse": False}, dims=arr.dims)
    return Arr(out.value, arr.dims, arr.weak)


_reductions()

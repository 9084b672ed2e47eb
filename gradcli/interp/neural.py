"""Normalisation and attention as PyTorch has them. Here arguments are read and refused; what is computed stands in the
prelude, in the language itself.
"""

from __future__ import annotations

from typing import Any

from gradcli.interp import arrays, expressions, indexing
from gradcli.interp.calls import composed
from gradcli.interp.signature import Site, operator, read_flag, read_sizes
from gradcli.interp.values import Arr, TupleV
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Size
from gradcli.ir.primitive import ShapeError

# ── normalisation ───────────────────────────────────────────────────────────────────────────────────────────


@operator(
    "layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5)",
    "neural",
    "Less the mean and over the root of the population variance plus eps, both over the last dims, which "
    "`normalized_shape` names; then times weight, plus bias (Ba et al. 2016).",
)
def _layer_norm(site: Site, x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: Any) -> Arr:
    return _normalised(site, "layer_norm", x, normalized_shape, {"weight": weight, "bias": bias}, eps)


@operator(
    "rms_norm(input, normalized_shape, weight=None, eps=1e-5)",
    "neural",
    "Over the root of the mean square plus eps, over the last dims, which `normalized_shape` names; then times weight "
    "(Zhang & Sennrich 2019).",
)
def _rms_norm(site: Site, x: Any, normalized_shape: Any, weight: Any, eps: Any) -> Arr:
    return _normalised(site, "rms_norm", x, normalized_shape, {"weight": weight}, eps)


def _normalised(site: Site, name: str, x: Any, shape: Any, affine: dict[str, Any], eps: Any) -> Arr:
    arr = site.arr(x)
    over = read_sizes(shape, "`normalized_shape`")
    if not over or arr.rank < len(over) or not _alike(arr.dims[-len(over) :], over, name):
        text = arrays.shape_text(over)
        raise ShapeError("SHP207", f"{name}: the last dims of {arr} are not the normalized shape {text}", (0, 1))
    given = {key: site.arr(value) for key, value in affine.items() if value is not None}
    for key, value in given.items():
        if not _alike(value.dims, over, name):
            text = f"the {key} is {value}, the normalized shape {arrays.shape_text(over)}"
            raise ShapeError("SHP207", f"{name}: {text}")
    operands = {key: _nameless(given[key]) if key in given else None for key in affine}
    axes = TupleV(tuple(range(arr.rank - len(over), arr.rank)))
    made = composed(site, f"_{name}", x=_nameless(arr), over=axes, eps=eps, **operands)
    return Arr(made.value, arr.dims, made.weak)


def _alike(left: tuple[Size, ...], right: tuple[Size, ...], why: str) -> bool:
    return len(left) == len(right) and all(sizes.equal(a, b, why) for a, b in zip(left, right, strict=True))


def _nameless(arr: Arr) -> Arr:
    """So that no dim of the user's is taken for an argument of a prelude net after `axis=`."""
    return Arr(arr.value, weak=arr.weak)


# ── attention ───────────────────────────────────────────────────────────────────────────────────────────────


@operator(
    "attention(q, k, v, mask=None, causal=false, scale=None)",
    "neural",
    "softmax(q @ kᵀ · scale) @ v over the last two dims (Vaswani et al. 2017); scale is 1 / sqrt(size of a key) where "
    "none is given. Where a bool mask is true a key takes part, a float mask is added; `causal` leaves out later keys. "
    "A query without any key gets 0.",
)
def _attention(site: Site, q: Any, k: Any, v: Any, mask: Any, causal: Any, scale: Any) -> Arr:
    queries, keys, values = (site.arr(operand) for operand in (q, k, v))
    _refuse_attention(queries, keys, values)
    allowed = added = None
    if mask is not None:
        given = site.arr(mask)
        if given.dtype in ("i32", "i64"):
            text = f"a mask is of bools, or of floats that are added, not {given}"
            raise ShapeError("SHP103", text, (3,), "compare it: `mask != 0`")
        allowed, added = (given, None) if given.dtype == "bool" else (None, given)
    if scale is None:
        scale = expressions.binary(site.ctx, "**", arrays.plain([keys.dims[-1]])[0], -0.5)
    keys = indexing.transpose(site.ctx, keys, (*range(keys.rank - 2), keys.rank - 1, keys.rank - 2))
    inputs = {"q": queries, "keys": keys, "v": values, "scale": scale}
    masks = {"allowed": allowed, "added": added, "causal": read_flag(causal, "causal")}
    made: Arr = composed(site, "_attention", **inputs, **masks)
    return made


def _refuse_attention(q: Arr, k: Arr, v: Arr) -> None:
    for place, (name, arr) in enumerate((("q", q), ("k", k), ("v", v))):
        if arr.rank < 2:
            raise ShapeError("SHP107", f"attention wants {name} of [..., n, features], not {arr}", (place,))
    if not sizes.equal(q.dims[-1], k.dims[-1], "attention"):
        raise ShapeError("SHP207", f"attention: queries of {q.dims[-1]} features meet keys of {k.dims[-1]}", (0, 1))
    if not sizes.equal(k.dims[-2], v.dims[-2], "attention"):
        raise ShapeError("SHP207", f"attention: {k.dims[-2]} keys come with {v.dims[-2]} values", (1, 2))

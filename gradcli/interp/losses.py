"""Losses as PyTorch has them. Here arguments are read and refused; what is computed stands in the prelude."""

from __future__ import annotations

from typing import Any

from gradcli.interp import arrays, indexing, static
from gradcli.interp.calls import composed
from gradcli.interp.signature import Site, operator, read_choice, read_flag
from gradcli.interp.values import Arr, describe, is_number
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError

REDUCTIONS = ("none", "mean", "sum")


@operator('mse(input, target, reduction="mean")', "neural", "The squared error: its mean, its sum, or each element's.")
def _mse(site: Site, x: Any, target: Any, reduction: Any) -> Any:
    how = read_choice(reduction, "reduction", REDUCTIONS)
    return composed(site, "_mse", x=site.arr(x), target=site.arr(target), reduction=how)


@operator(
    'binary_cross_entropy(input, target, weight=None, reduction="mean", with_logits=false)',
    "neural",
    "-(t log p + (1 - t) log(1 - p)) of probabilities p, each logarithm cut off at -100; of logits x, p = sigmoid(x), "
    "without overflow, where `with_logits` is true.",
)
def _binary_cross_entropy(site: Site, x: Any, target: Any, weight: Any, reduction: Any, with_logits: Any) -> Any:
    how = read_choice(reduction, "reduction", REDUCTIONS)
    name = "_bce_with_logits" if read_flag(with_logits, "with_logits") else "_bce"
    return composed(site, name, x=site.arr(x), target=site.arr(target), weight=weight, reduction=how)


# ── classes ─────────────────────────────────────────────────────────────────────────────────────────────────


@operator(
    'cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0)',
    "neural",
    "-log softmax(input) at the target. Classes are axis 1 of the input (axis 0 of one dim); the target has integer "
    "labels, without that axis, or the probability of each class. `weight` has one number for each class; labels equal "
    "to `ignore_index` do not count. The mean is weighted too.",
)
def _cross_entropy(
    site: Site, x: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any, label_smoothing: Any
) -> Any:
    logits, given = site.arr(x), site.arr(target)
    if not logits.rank:
        raise ShapeError("SHP107", f"cross_entropy wants logits of [N, classes, ...] or [classes], not {logits}", (0,))
    place = min(1, logits.rank - 1)
    of_labels = given.dtype in ("i32", "i64")
    _refuse_target(logits, given, place)
    if weight is not None:
        _refuse_weight(site.arr(weight), logits.dims[place])
    options = {
        "weight": weight,
        "reduction": read_choice(reduction, "reduction", REDUCTIONS),
        "smoothing": _fraction(label_smoothing, "label_smoothing"),
    }
    logits = _classes_last(site, logits, place)
    if of_labels:
        ignored = _whole(ignore_index, "ignore_index")
        return composed(site, "_cross_entropy_at", x=logits, labels=given, ignored=ignored, **options)
    return composed(site, "_cross_entropy", x=logits, target=_classes_last(site, given, place), **options)


def _classes_last(site: Site, arr: Arr, place: int) -> Arr:
    return indexing.transpose(site.ctx, arr, (*[k for k in range(arr.rank) if k != place], place))


def _refuse_target(logits: Arr, target: Arr, place: int) -> None:
    labels = (*logits.dims[:place], *logits.dims[place + 1 :])
    if target.dtype in ("i32", "i64"):
        if not _alike(target.dims, labels):
            want = f"integer labels for {logits} have the shape {arrays.shape_text(labels)}"
            hint = "drop the dim of size 1: `[:, 0]`" if target.dims == (*labels, 1) else "probabilities are floats"
            raise ShapeError("SHP207", f"cross_entropy: {want}, not {arrays.shape_text(target.dims)}", (0, 1), hint)
    elif target.dtype == "bool":
        raise ShapeError("SHP103", f"a target is of integer labels or of probabilities, not {target}", (1,))
    elif not _alike(target.dims, logits.dims):
        if _alike(target.dims, labels):
            raise ShapeError("SHP103", f"labels are integers, not {target}", (1,), "cast them: `i64(…)`")
        text = f"probabilities for {logits} have its shape, not {arrays.shape_text(target.dims)}"
        raise ShapeError("SHP207", f"cross_entropy: {text}", (0, 1))


def _refuse_weight(weight: Arr, classes: Size) -> None:
    if weight.rank != 1 or not sizes.equal(weight.dims[0], classes, "cross_entropy"):
        raise ShapeError("SHP207", f"cross_entropy: {classes} classes have as many weights, not {weight}", (0, 2))


def _alike(left: tuple[Size, ...], right: tuple[Size, ...]) -> bool:
    return len(left) == len(right) and all(sizes.equal(a, b, "a target") for a, b in zip(left, right, strict=True))


def _fraction(value: Any, name: str) -> float:
    if not is_number(value) or isinstance(value, bool | Poly) or not 0 <= value <= 1:
        raise ShapeError("SHP110", f"`{name}` is a known number from 0 to 1, not {describe(value)}")
    return float(value)


def _whole(value: Any, name: str) -> int:
    found = static.whole(value)
    if not isinstance(found, int):
        raise ShapeError(static.unknown(value), f"`{name}` is a known integer, not {describe(value)}")
    return found

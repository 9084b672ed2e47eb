"""Numbers as text: the shortest digits that give back the value in its own dtype.

`4.51` of an f32 is printed as 4.51, not as the f64 beside it (4.510000228881836). JSON has no `nan` and no `inf`, so
they are strings there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NONFINITE = {"nan": '"nan"', "inf": '"inf"', "-inf": '"-inf"'}


def shortest(array: Array) -> list[str]:
    """Every element of `array` in C order, as the shortest text that reads back as itself: `2.0`, `4.51`, `nan`."""
    match array.dtype.kind:
        case "b":
            return ["true" if value else "false" for value in array.ravel().tolist()]
        case "f" if array.dtype.itemsize < 8:
            # NumPy finds the digits, Python writes them, so that f32 and f64 change to exponents at the same size.
            return [repr(float(text)) for text in array.ravel().astype("U").tolist()]
        case _:
            return list(map(repr, array.ravel().tolist()))


def for_people(array: Array, precision: int | None = None) -> list[str]:
    """The same without a `.0` that says nothing, and with at most `precision` significant digits."""
    texts = [text.removesuffix(".0") for text in shortest(array)]
    if precision is None or array.dtype.kind != "f":
        return texts
    rounded = (f"{value:.{precision}g}" for value in array.ravel().tolist())
    # More digits than the shortest would tell of the f64 beside the value: 4.510000229 of the f32 4.51.
    return [text if len(text) <= len(short) else short for text, short in zip(rounded, texts, strict=True)]


def brief(value: float, dtype: str) -> str:
    """One number with 6 digits; with all of them where 6 would hide that it is no whole number, as of 1.0000001."""
    import numpy as np

    from gradcli.ir.aval import NUMPY_NAMES

    if dtype == "bool":
        return "true" if value else "false"
    with np.errstate(all="ignore"):
        array = np.asarray(value).astype(NUMPY_NAMES[dtype])
    (text,) = for_people(array, 6)
    hidden = array.dtype.kind == "f" and text.lstrip("-").isdecimal() and float(text) != float(array)
    return for_people(array)[0] if hidden else text


def json_array(array: Array) -> str:
    """Nested JSON lists, of the shape of `array`; a scalar is a bare number."""
    texts = shortest(array)
    if array.dtype.kind == "f":
        import numpy as np

        if not np.isfinite(array).all():
            texts = [NONFINITE.get(text, text) for text in texts]
    if array.size == 0:
        return _empty(array.shape)
    for size in reversed(array.shape[1:]):
        texts = list(_grouped(texts, size))
    if array.ndim == 0:
        return texts[0]
    return f"[{', '.join(texts)}]"


def json_number(value: float, dtype: str = "f64") -> str:
    """One float for JSON, in the digits of `dtype` where that can hold it."""
    import numpy as np

    if dtype in ("f16", "f32"):
        with np.errstate(over="ignore"):
            held = np.array(value, dtype.replace("f", "float"))
        if np.isfinite(held) or not np.isfinite(value):
            value = float(str(held))
    return NONFINITE.get(repr(float(value)), repr(float(value)))


def norm(array: Array) -> float:
    """The Euclidean norm, computed in f64 without overflow of the squares."""
    import numpy as np

    values = np.abs(array.astype(np.float64, copy=False)).ravel()
    largest = float(values.max(initial=0.0))
    if not np.isfinite(largest) or largest == 0.0:
        return largest
    # Most gradients are far from the ends of f64: only there is it worth a division.
    if 1e-140 < largest < 1e140:
        return float(np.sqrt(values @ values))
    scaled = values / largest
    return largest * float(np.sqrt(scaled @ scaled))


def _grouped(texts: list[str], size: int) -> Iterator[str]:
    for start in range(0, len(texts), size):
        yield f"[{', '.join(texts[start : start + size])}]"


def _empty(shape: tuple[int, ...]) -> str:
    """Lists of `shape` that hold no element: `[[], []]` for (2, 0)."""
    text = "[]"
    for size in reversed(shape[: shape.index(0)]):
        text = f"[{', '.join([text] * size)}]"
    return text

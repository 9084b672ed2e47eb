"""How numbers lie in files, which dtype they are read as, and their bytes made into an array.

Every format comes down to one `Layout`: a shape, an element type, an order of axes. The size that a header promises is
compared with the bytes that are there before anything is allocated.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

from gradcli.data.files import DataFile
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np

MAX_RANK = 64  # NumPy's
MAX_BYTES = 2**63 - 1
CHUNK = 1 << 22  # bytes read at a time

# What an element type, named by NumPy's letter and its bytes, is read as, and what the user calls it.
READ_AS = {
    "b1": ("bool", "bool"),
    "f2": ("f16", "f16"),
    "f4": ("f32", "f32"),
    "f8": ("f64", "f64"),
    "bf2": ("f32", "bf16"),
    "i1": ("i32", "i8"),
    "i2": ("i32", "i16"),
    "i4": ("i32", "i32"),
    "i8": ("i64", "i64"),
    "u1": ("i32", "u8"),
    "u2": ("i32", "u16"),
    "u4": ("i64", "u32"),
    "u8": ("i64", "u64"),
}


@record
class Layout:
    """`element` is a key of `READ_AS`; `fortran` means that the first axis runs fastest."""

    shape: tuple[int, ...]
    element: str
    big_endian: bool = False
    fortran: bool = False

    @property
    def dtype(self) -> str:
        return READ_AS[self.element][0]

    @property
    def note(self) -> str | None:
        dtype, name = READ_AS[self.element]
        return None if name == dtype else f"{name} is read as {dtype}"

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * int(self.element[-1])


def check_shape(shape: object, itemsize: int, file: DataFile, code: str) -> tuple[int, ...]:
    """`shape` as a tuple, or the error `code`: negative sizes, sizes that no memory has, too many axes."""
    if not isinstance(shape, (tuple, list)) or any(type(size) is not int for size in shape):
        raise file.fail(code, "{} has a header whose shape is not a list of whole numbers")
    if len(shape) > MAX_RANK:
        raise file.fail(code, f"{{}} has a header with {len(shape)} axes; at most {MAX_RANK} are possible")
    if any(size < 0 for size in shape):
        raise file.fail(code, "{} has a header with a negative size")
    if any(size > MAX_BYTES for size in shape) or prod(max(size, 1) for size in shape) * itemsize > MAX_BYTES:
        raise file.fail(code, "{} has a header that promises more elements than any memory holds")
    return tuple(shape)


def compare_size(promised: int, present: int, what: str, file: DataFile) -> None:
    """Raises DAT011 where the header promises other than what is there."""
    if present < promised:
        raise file.fail(
            "DAT011", f"{what} is cut off: its header promises {promised:,} bytes of data, it has {present:,}"
        )
    if present > promised:
        raise file.fail("DAT011", f"{what} has {present - promised:,} bytes more than its header promises")


def read_values(stream: BinaryIO, layout: Layout, what: str, file: DataFile) -> np.ndarray[Any, Any]:
    """The next `layout.nbytes` bytes as a C-contiguous array of `layout.dtype`, native byte order.

    The caller has compared the size already; a stream that ends early nevertheless raises DAT011.
    """
    import numpy as np

    raw = np.empty(layout.nbytes, np.uint8)
    view, filled = raw.data, 0
    while filled < len(view):
        data = stream.read(min(CHUNK, len(view) - filled))
        if not data:
            raise file.fail("DAT011", f"{what} is cut off: {filled:,} bytes of data instead of {len(view):,}")
        view[filled : filled + len(data)] = data
        filled += len(data)
    values = _decode(raw, layout, what, file)
    if layout.fortran and len(layout.shape) > 1:
        return np.ascontiguousarray(values.reshape(layout.shape[::-1]).T)
    return values.reshape(layout.shape)


def _decode(raw: np.ndarray[Any, Any], layout: Layout, what: str, file: DataFile) -> np.ndarray[Any, Any]:
    import numpy as np

    if layout.element == "b1":
        truths: np.ndarray[Any, Any] = raw != 0  # a byte other than 0 and 1 would be a bool that is neither
        return truths
    order = ">" if layout.big_endian else "<"
    if layout.element == "bf2":  # the upper half of an f32
        return (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    values = raw.view(order + layout.element)
    if layout.element == "u8" and values.size and int(values.max()) > MAX_BYTES:
        raise file.fail("DAT014", f"{what} holds the u64 number {values.max()}, which does not fit into i64")
    return values.astype(NUMPY_NAMES[layout.dtype], copy=False)

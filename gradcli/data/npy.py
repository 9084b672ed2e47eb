"""NumPy's .npy format, versions 1 to 3: magic, version, length, a Python dict as text, then the bytes.

The header is read without NumPy and without trust: pickled objects are refused and never loaded, and a shape is
believed only when the file has the bytes for it.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

from gradcli.data.elements import CHUNK, READ_AS, Layout, check_shape, compare_size, read_values
from gradcli.data.files import DataFile
from gradcli.data.stored import Stored
from gradcli.syntax.diagnostics import ModelError

if TYPE_CHECKING:
    import numpy as np

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000  # bytes; NumPy's own limit


def open_npy(file: DataFile) -> Stored:
    """The array of an .npy file; raises DAT004, DAT010 to DAT013."""
    with file.open() as stream:
        size = file.size(stream)
        if not size:
            raise file.empty()
        layout = read_header(stream, file.name, file)
        offset = stream.tell()
    compare_size(layout.nbytes, size - offset, file.name, file)

    def fetch(_: bool) -> np.ndarray[Any, Any]:
        with file.open() as stream:
            size = file.size(stream)
            if read_header(stream, file.name, file) != layout or stream.tell() + layout.nbytes != size:
                raise file.changed()
            return read_values(stream, layout, file.name, file)

    return Stored(file.path, None, layout.shape, layout.dtype, layout.note, False, file, fetch)


def take_npy(stream: BinaryIO, file: DataFile) -> DataFile:
    """`file` with the .npy that `stream` gives as its content; at most one byte is read beyond what the header asks."""
    kept = _Recorder(stream)
    layout = read_header(kept, file.name, DataFile(file.path, file.name, file.span, b""))
    left = layout.nbytes + 1
    while left and (data := kept.read(min(left, CHUNK))):
        left -= len(data)
    return DataFile(file.path, file.name, file.span, bytes(kept.seen))


class _Recorder:
    """A stream that remembers what was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.seen = stream, bytearray()

    def read(self, count: int) -> bytes:
        data = self.stream.read(count) or b""
        self.seen += data
        return data


def read_header(stream: BinaryIO | _Recorder, what: str, file: DataFile) -> Layout:
    """The header at the stream's place, leaving it at the data. `what` is named in errors: `d.npz:x`."""
    magic = _exactly(stream, len(MAGIC))
    if not magic:
        raise file.empty()
    if magic != MAGIC:
        raise not_npy(magic, what, file)
    version = _exactly(stream, 2)
    if len(version) < 2:
        raise file.fail("DAT011", f"{what} is cut off inside its header")
    width = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}.get(version)
    if width is None:
        raise file.fail("DAT010", f"{what} has an .npy header of unknown version {'.'.join(map(str, version))}")
    length = int.from_bytes(_exactly(stream, width), "little")
    if length > MAX_HEADER:
        raise file.fail("DAT010", f"{what} has an .npy header of {length:,} bytes; at most {MAX_HEADER:,} are read")
    header = _exactly(stream, length)
    if len(header) < length or not length:
        raise file.fail("DAT011", f"{what} is cut off inside its header")
    return _layout(_fields(header, version == b"\x03\x00", what, file), what, file)


def not_npy(start: bytes, what: str, file: DataFile) -> ModelError:
    """The error for something else where an .npy should be."""
    if MAGIC.startswith(start):
        return file.fail("DAT011", f"{what} is cut off inside its header")
    if is_pickle(start):
        return pickled(what, file)
    if start.startswith(b"PK"):
        return file.fail(
            "DAT005", f"{what} is an npz archive by its first bytes, not an .npy", help="rename it to `.npz`"
        )
    return file.fail("DAT010", f"{what} is not an .npy: it does not begin as one")


def is_pickle(start: bytes) -> bool:
    return len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5


def pickled(what: str, file: DataFile) -> ModelError:
    help = "save plain numbers: `np.save(path, np.array(values, dtype=float))`, or safetensors"
    return file.fail(
        "DAT012",
        f"{what} holds pickled Python objects, which gradcli never loads: unpickling runs code from the file",
        help=help,
    )


def _exactly(stream: BinaryIO | _Recorder, count: int) -> bytes:
    """`count` bytes, or fewer at the end: a pipe may give them in pieces."""
    data = b""
    while len(data) < count and (more := stream.read(count - len(data))):
        data += more
    return data


def _fields(header: bytes, utf8: bool, what: str, file: DataFile) -> dict[str, Any]:
    """The dict of a header: descr, fortran_order and shape, nothing else."""
    from ast import literal_eval

    try:
        text = header.decode("utf-8" if utf8 else "latin-1").strip()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a forged header may hold what Python warns of
            try:
                fields = literal_eval(text)
            except SyntaxError:  # Python 2 wrote long integers, (3L, 4L)
                fields = literal_eval(text.replace("L,", ",").replace("L)", ")"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise file.fail("DAT010", f"{what} has an .npy header that cannot be read") from None
    twice = isinstance(fields, dict) and any(text.count(f"'{key}'") > 1 for key in fields)
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"} or twice:
        raise file.fail("DAT010", f"{what} has an .npy header without exactly descr, fortran_order and shape")
    return fields


def _layout(fields: dict[str, Any], what: str, file: DataFile) -> Layout:
    descr, fortran = fields["descr"], fields["fortran_order"]
    if isinstance(descr, list):
        names = [str(part[0]) for part in descr if isinstance(part, tuple) and part]
        raise file.fail(
            "DAT013", f"{what} holds records, not numbers", help=f"save one field, `a[{names[0]!r}]`" if names else None
        )
    if not isinstance(descr, str) or not isinstance(fortran, bool) or not isinstance(fields["shape"], tuple):
        raise file.fail("DAT010", f"{what} has an .npy header whose descr, fortran_order or shape is of the wrong kind")
    order, element = (descr[0], descr[1:]) if descr[:1] in ("<", ">", "|", "=") else ("<", descr)
    if "O" in element[:1]:
        raise pickled(what, file)
    if element not in READ_AS or element == "bf2":
        raise unsupported(_describe(element), what, file)
    shape = check_shape(fields["shape"], int(element[-1]), DataFile(file.path, what, file.span), "DAT010")
    return Layout(shape, element, big_endian=order == ">", fortran=fortran)


def unsupported(kind: str, what: str, file: DataFile) -> ModelError:
    """The error for elements that are no f16, f32, f64, i32, i64, bool and cannot be read as one."""
    if kind == "complex":
        return file.fail(
            "DAT013",
            f"{what} holds complex numbers, which are not in this edition",
            help="save the real and the imaginary part as two arrays",
        )
    return file.fail("DAT013", f"{what} holds {kind}, not f16, f32, f64, i32, i64 or bool")


def _describe(element: str) -> str:
    match element[:1], element[1:]:
        case "c", _:
            return "complex"
        case "f", ("12" | "16") as size:
            return f"float{int(size) * 8} numbers (long double)"
        case (("U" | "S" | "a"), _):
            return "texts"
        case (("M" | "m"), _):
            return "dates or times"
        case "V", _:
            return "raw bytes or records"
    return f"elements of the unknown type {element[:20]!r}"

"""The safetensors format: a length (u64, little-endian), that many bytes of JSON, then the arrays' bytes.

The JSON gives for each name `{"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}`, counted from the end of
the header. The arrays must fill the rest of the file, without overlaps or holes.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from gradcli.data.elements import Layout, check_shape, read_values
from gradcli.data.files import DataFile, printable
from gradcli.data.npy import unsupported
from gradcli.data.stored import Stored

if TYPE_CHECKING:
    import numpy as np

METADATA = "__metadata__"
MAX_HEADER = 100_000_000  # bytes; the limit of the format's own library
ELEMENTS = {
    "BOOL": "b1", "F16": "f2", "F32": "f4", "F64": "f8", "BF16": "bf2", "I8": "i1", "I16": "i2", "I32": "i4",
    "I64": "i8", "U8": "u1", "U16": "u2", "U32": "u4", "U64": "u8",
}  # fmt: skip


class _Twice(Exception):
    """A JSON object names this key twice."""


def open_safetensors(file: DataFile) -> dict[str, Stored]:
    """Every array of the file by its name; raises DAT004, DAT008, DAT011, DAT013, DAT021."""
    header, start, room = _header(file)
    stored: dict[str, Stored] = {}
    ranges: list[tuple[int, int, str]] = []
    for key, entry in header.items():
        if key == METADATA:
            continue
        what = f"{file.name}:{printable(key)}"
        layout, begin, end = _entry(entry, what, file)
        if end > room:
            raise file.fail("DAT011", f"{what} is cut off: its data ends at byte {end:,} of {room:,}")
        ranges.append((begin, end, key))
        fetch = partial(_fetch, file, layout, start, begin, what)
        stored[key] = Stored(file.path, key, layout.shape, layout.dtype, layout.note, False, file, fetch)
    _check_ranges(sorted(ranges), room, file)
    return stored


def _fetch(file: DataFile, layout: Layout, start: int, begin: int, what: str, _: bool) -> np.ndarray[Any, Any]:
    with file.open() as stream:
        if file.size(stream) < start + begin + layout.nbytes:
            raise file.changed()
        stream.seek(start + begin)
        return read_values(stream, layout, what, file)


def _header(file: DataFile) -> tuple[dict[str, Any], int, int]:
    """The JSON object, the offset of the data, and how many bytes of data there are."""
    with file.open() as stream:
        size = file.size(stream)
        if not size:
            raise file.empty()
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise file.fail("DAT021", "{} is not a safetensors file, or is cut off inside its header")
        text = stream.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except _Twice as twice:
        raise file.fail("DAT008", f"{{}} names `{printable(str(twice))}` twice") from None
    except (ValueError, RecursionError):
        raise file.fail("DAT021", "{} has a safetensors header that is not JSON") from None
    if not isinstance(header, dict):
        raise file.fail("DAT021", "{} has a safetensors header that is not a JSON object")
    return header, 8 + length, size - 8 - length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        times = Counter(key for key, _ in pairs)
        raise _Twice(next(key for key in times if times[key] > 1))
    return fields


def _entry(entry: object, what: str, file: DataFile) -> tuple[Layout, int, int]:
    here = DataFile(file.path, what, file.span)
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        raise here.fail("DAT021", "{} has no dtype, shape and data_offsets in the header")
    dtype, offsets = entry["dtype"], entry["data_offsets"]
    element = ELEMENTS.get(dtype) if isinstance(dtype, str) else None
    if element is None:
        kind = "complex" if str(dtype).startswith("C") else f"elements of type {printable(str(dtype))[:20]}"
        raise unsupported(kind, what, file)
    layout = Layout(check_shape(entry["shape"], int(element[-1]), here, "DAT021"), element)
    match offsets:
        case [begin, end] if type(begin) is type(end) is int and begin >= 0 and end - begin == layout.nbytes:
            return layout, begin, end
    raise here.fail("DAT021", f"{{}} has data_offsets that do not fit its shape ({layout.nbytes:,} bytes)")


def _check_ranges(ranges: list[tuple[int, int, str]], room: int, file: DataFile) -> None:
    """Sorted ranges must follow one another and fill the data."""
    position = 0
    for begin, end, key in ranges:
        if begin != position:
            what = "overlaps another array" if begin < position else "leaves a hole before it"
            raise file.fail("DAT021", f"{{}}:{printable(key)} {what} in the data")
        position = end
    if position != room:
        raise file.fail("DAT011", f"{{}} has {room - position:,} bytes more than its header promises")

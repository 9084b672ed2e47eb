"""The .npy reader: everything NumPy writes, and forged headers of every kind."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcli.data.read import open_array
from gradcli.syntax.diagnostics import ModelError

DTYPES = {"f16": "f2", "f32": "f4", "f64": "f8", "i32": "i4", "i64": "i8", "bool": "?"}


def header(text: str, version: int = 1, length: int | None = None) -> bytes:
    """Magic, version, length and `text`, as the format has them."""
    data = text.encode()
    size = len(data) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size) + data


def described(descr: Any, shape: Any, fortran: Any = False) -> bytes:
    return header(repr({"descr": descr, "fortran_order": fortran, "shape": shape}))


def refused(tmp_path: Path, content: bytes, *, name: str = "x.npy") -> tuple[str, str]:
    """Code and message of the error that `content` is refused with, at opening or at loading."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        open_array(name, base=tmp_path).load()
    (diagnostic,) = caught.value.diagnostics
    assert caught.value.exit_code == 2
    assert name in diagnostic.message  # stands alone, without a place in a model
    return diagnostic.code, diagnostic.message


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (2, 3, 4)])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("endian", "<>")
def test_what_numpy_saves_is_read(tmp_path: Path, dtype: str, shape: tuple[int, ...], order: Any, endian: str) -> None:
    count = int(np.prod(shape))
    saved = np.asarray((np.arange(count) % 7 - 2.5).reshape(shape), order=order).astype(endian + DTYPES[dtype])
    np.save(tmp_path / "x.npy", saved)
    stored = open_array("x.npy", base=tmp_path)
    assert (stored.shape, stored.dtype, stored.note, stored.key) == (shape, dtype, None, None)
    loaded = stored.load()
    assert loaded.flags.c_contiguous
    assert loaded.dtype == np.dtype(DTYPES[dtype])
    assert loaded.dtype.isnative
    np.testing.assert_array_equal(loaded, saved)


@pytest.mark.parametrize(
    ("saved", "dtype", "note"),
    [("i1", "i32", "i8 is read as i32"), ("u1", "i32", "u8 is read as i32"), ("i2", "i32", "i16 is read as i32"),
     ("u2", "i32", "u16 is read as i32"), ("u4", "i64", "u32 is read as i64"), (">u8", "i64", "u64 is read as i64")],
)  # fmt: skip
def test_other_integers_are_widened_with_a_note(tmp_path: Path, saved: str, dtype: str, note: str) -> None:
    values = np.array([0, 1, np.iinfo(saved).max // 2, np.iinfo(saved).min // 2], dtype=saved)
    np.save(tmp_path / "x.npy", values)
    stored = open_array("x.npy", base=tmp_path)
    assert (stored.dtype, stored.note) == (dtype, note)
    loaded = stored.load()
    assert loaded.dtype.name == {"i32": "int32", "i64": "int64"}[dtype]
    assert loaded.tolist() == values.tolist()


def test_a_u64_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    content = described("<u8", (2,)) + struct.pack("<QQ", 1, 2**63)
    assert refused(tmp_path, content) == (
        "DAT014",
        "x.npy holds the u64 number 9223372036854775808, which does not fit into i64",
    )


def test_a_bool_byte_is_true_or_false(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(described("|b1", (3,)) + b"\x00\x02\xff")
    loaded = open_array("x.npy", base=tmp_path).load()
    assert loaded.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version(tmp_path: Path, version: tuple[int, int]) -> None:
    with open(tmp_path / "x.npy", "wb") as stream:
        np.lib.format.write_array(stream, np.arange(4.0), version=version)
    assert open_array("x.npy", base=tmp_path).load().tolist() == [0, 1, 2, 3]


def test_long_integers_of_python_2(tmp_path: Path) -> None:
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1L, 2L), }"
    (tmp_path / "x.npy").write_bytes(header(text) + bytes(16))
    assert open_array("x.npy", base=tmp_path).shape == (1, 2)


def forged_shape(shape: Any) -> bytes:
    return described("<f8", shape) + bytes(16)


BROKEN = {
    "empty": (b"", "DAT004"),
    "magic cut off": (b"\x93NUM", "DAT011"),
    "other bytes": (b"hello, world", "DAT010"),
    "a zip": (b"PK\x03\x04" + bytes(40), "DAT005"),
    "version 4": (header("{}", version=4)[:6] + b"\x04\x00\x00\x00", "DAT010"),
    "version cut off": (b"\x93NUMPY\x01", "DAT011"),
    "length cut off": (b"\x93NUMPY\x01\x00\x10", "DAT011"),
    "header cut off": (header("{'descr': ", length=500), "DAT011"),
    "no header": (header(""), "DAT011"),
    "huge header": (header("{}", version=2, length=2**31), "DAT010"),
    "not python": (header("{'descr': <f8}"), "DAT010"),
    "code": (header("{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').sched_yield()}"), "DAT010"),
    "deep": (header("(" * 9000 + ")" * 900), "DAT010"),
    "many signs": (header("-" * 9000 + "1"), "DAT010"),
    "many digits": (header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 9000 + ",)}"), "DAT010"),
    "bad escape": (header("{'descr': '\\d', 'fortran_order': False, 'shape': ()}"), "DAT013"),
    "a list": (header("[1, 2]"), "DAT010"),
    "unhashable": (header("{[]: 1}"), "DAT010"),
    "missing field": (header("{'descr': '<f8', 'shape': (2,)}"), "DAT010"),
    "extra field": (header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'x': 1}"), "DAT010"),
    "fortran 1": (described("<f8", (2,), 1), "DAT010"),
    "shape a number": (forged_shape(2), "DAT010"),
    "shape a list": (forged_shape([2]), "DAT010"),
    "shape true": (forged_shape((True,)), "DAT010"),
    "shape float": (forged_shape((2.0,)), "DAT010"),
    "negative": (forged_shape((-1,)), "DAT010"),
    "two negatives": (forged_shape((-1, -2)), "DAT010"),
    "overflowing": (forged_shape((2**32, 2**32)), "DAT010"),
    "huge dim beside zero": (forged_shape((0, 2**62)), "DAT010"),
    "400 digits": (forged_shape((10**400,)), "DAT010"),
    "65 axes": (forged_shape((1,) * 65), "DAT010"),
    "one terabyte": (forged_shape((2**37,)), "DAT011"),
    "one byte short": (described("<f8", (2,)) + bytes(15), "DAT011"),
    "one byte more": (described("<f8", (2,)) + bytes(17), "DAT011"),
    "two arrays": ((described("<f8", (2,)) + bytes(16)) * 2, "DAT011"),
    "objects": (described("|O", (1,)) + pickle.dumps([1]), "DAT012"),
    "a pickle": (pickle.dumps([1.0]), "DAT012"),
    "records": (described([("a", "<f8"), ("b", "<i4")], (1,)) + bytes(12), "DAT013"),
    "record of objects": (described([("a", "|O")], (1,)) + bytes(8), "DAT013"),
    "complex": (described("<c16", (1,)) + bytes(16), "DAT013"),
    "long double": (described("<f16", (1,)) + bytes(16), "DAT013"),
    "texts": (described("<U3", (1,)) + bytes(12), "DAT013"),
    "dates": (described("<M8[ns]", (1,)) + bytes(8), "DAT013"),
    "void": (described("|V2", (1,)) + bytes(2), "DAT013"),
    "no such type": (described("<f3", (1,)) + bytes(3), "DAT013"),
    "empty type": (described("", (1,)), "DAT013"),
    "type a number": (described(8, (1,)) + bytes(8), "DAT010"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_forged_headers_are_refused(tmp_path: Path, name: str) -> None:
    content, code = BROKEN[name]
    assert refused(tmp_path, content)[0] == code


def test_refusals_name_what_was_found(tmp_path: Path) -> None:
    assert refused(tmp_path, *BROKEN["complex"][:1])[1] == "x.npy holds complex numbers, which are not in this edition"
    assert refused(tmp_path, *BROKEN["one byte short"][:1])[1] == (
        "x.npy is cut off: its header promises 16 bytes of data, it has 15"
    )
    assert "pickled Python objects, which gradcli never loads" in refused(tmp_path, *BROKEN["objects"][:1])[1]


def test_nothing_is_allocated_on_the_word_of_a_header(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        refused(tmp_path, forged_shape((2**37,)))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_but_never_crashes(tmp_path_factory: Any, data: st.DataObject) -> None:
    stream = io.BytesIO()
    np.save(stream, np.arange(6.0).reshape(2, 3))
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ModelError):
        open_array(str(path), base=path.parent).load()


def test_a_file_that_changes_after_it_was_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3.0))
    stored = open_array("x.npy", base=tmp_path)
    np.save(tmp_path / "x.npy", np.arange(4.0))
    with pytest.raises(ModelError) as caught:
        stored.load()
    assert caught.value.diagnostics[0].code == "DAT050"


class Drip(io.RawIOBase):
    """A pipe that gives a byte at a time, and then garbage without end."""

    def __init__(self, content: bytes) -> None:
        self.content, self.given = content, 0

    def read(self, size: int = -1) -> bytes:
        self.given += 1
        return self.content[self.given - 1 : self.given] or b"x"

    def isatty(self) -> bool:
        return False


def test_standard_input(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.arange(6, dtype="f4").reshape(2, 3))
    stored = open_array("@-", base=tmp_path, stdin=io.BytesIO(stream.getvalue()))
    assert (stored.shape, stored.dtype) == ((2, 3), "f32")
    assert stored.load().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert stored.load().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_standard_input_is_read_no_further_than_its_header_says(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.arange(2.0))
    drip = Drip(stream.getvalue())
    with pytest.raises(ModelError, match="@- has 1 bytes more than its header promises"):
        open_array("@-", base=tmp_path, stdin=drip)  # type: ignore[arg-type]
    assert drip.given <= len(stream.getvalue()) + 1


@pytest.mark.parametrize(("content", "code"), [(b"", "DAT004"), (b"yes\n" * 9, "DAT010"), (b"PK\3\4....", "DAT005")])
def test_bad_standard_input(tmp_path: Path, content: bytes, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        open_array("@-", base=tmp_path, stdin=io.BytesIO(content))
    assert caught.value.diagnostics[0].code == code

"""npz and safetensors: what NumPy and the safetensors package write, and archives that lie."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from gradcli.data.read import open_archive, open_array
from gradcli.syntax.diagnostics import Diagnostic, ModelError


def npy(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


def refused(path: Path, reference: str | None = None) -> Diagnostic:
    """The error that a file is refused with, at opening or at loading any of its arrays."""

    def read() -> None:
        if reference:
            open_array(reference, base=path.parent).load()
        for stored in open_archive(path.name, base=path.parent).values():
            stored.load()

    with pytest.raises(ModelError) as caught:
        read()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message.startswith(path.name)
    return diagnostic


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_numpy(tmp_path: Path, save: Any) -> None:
    arrays = {"x": np.eye(3, dtype="f4"), "l1.w": np.arange(4), "a/b,c": np.float64(2.5), "none": np.zeros((0, 2))}
    save(tmp_path / "d.npz", **arrays)
    stored = open_archive("d.npz", base=tmp_path)
    assert list(stored) == list(arrays)
    for name, array in arrays.items():
        assert stored[name].shape == array.shape
        assert stored[name].key == name
        np.testing.assert_array_equal(stored[name].load(), array, strict=True)
    assert open_array("d.npz:l1.w", base=tmp_path).load().tolist() == [0, 1, 2, 3]
    assert open_array("d.npz", base=tmp_path, key="a/b,c").load() == 2.5


def test_a_wrong_key_lists_the_right_ones(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", weight=np.zeros(2), bias=np.zeros(2))
    error = refused(tmp_path / "d.npz", "d.npz:wieght")
    assert (error.code, error.message) == ("DAT006", "d.npz has no array named `wieght`")
    assert error.notes == ("it holds weight, bias",)
    assert error.help == "did you mean `d.npz:weight`?"
    assert refused(tmp_path / "d.npz", "d.npz").code == "DAT007"
    assert refused(tmp_path / "d.npz", "d.npz:").code == "DAT007"


def test_an_archive_of_one_array_needs_no_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(3))
    assert open_array("d.npz", base=tmp_path).load().tolist() == [0, 1, 2]


def zipped(path: Path, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of duplicate names
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_archives_that_lie(tmp_path: Path) -> None:
    good = npy(np.arange(1000.0))
    path = zipped(tmp_path / "twice.npz", [("x.npy", good), ("x.npy", good)])
    assert refused(path).code == "DAT008"
    path = zipped(tmp_path / "bzip.npz", [("x.npy", good)], zipfile.ZIP_BZIP2)
    assert refused(path).code == "DAT020"
    path = zipped(tmp_path / "short.npz", [("x.npy", good[:-8])])
    assert refused(path).message == "short.npz:x is cut off: its header promises 8,000 bytes of data, it has 7,992"
    path = zipped(tmp_path / "objects.npz", [("x.npy", npy(np.array([{}], dtype=object)))])
    assert refused(path).code == "DAT012"
    path = zipped(tmp_path / "torch.npz", [("model/data.pkl", b"\x80\x02.")])
    assert refused(path).code == "DAT012"
    assert open_archive(zipped(tmp_path / "other.npz", [("readme", b"hi")]).name, base=tmp_path) == {}
    (tmp_path / "npy.npz").write_bytes(good)
    assert refused(tmp_path / "npy.npz").code == "DAT005"
    for name, content in {"empty": b"", "text": b"hello", "magic": b"PK\x03\x04"}.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
        assert refused(tmp_path / f"{name}.npz").code == ("DAT004" if name == "empty" else "DAT020")


def test_a_bad_checksum_is_found_when_the_values_are_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.npz", [("x.npy", npy(np.arange(1000.0)))])
    content = bytearray(path.read_bytes())
    content[4000] ^= 1
    path.write_bytes(content)
    stored = open_array("d.npz:x", base=tmp_path)
    with pytest.raises(ModelError) as caught:
        stored.load()
    assert caught.value.diagnostics[0].code == "DAT020"


def patched(path: Path, signature: bytes, offset: int, content: bytes) -> Path:
    data = bytearray(path.read_bytes())
    place = data.index(signature) + offset
    data[place : place + len(content)] = content
    path.write_bytes(data)
    return path


def test_sizes_claimed_by_the_directory_are_compared_with_the_file(tmp_path: Path) -> None:
    """A central directory entry has its compressed size at byte 20, its size at 24, its flags at 8."""
    directory = b"PK\x01\x02"
    path = zipped(tmp_path / "claim.npz", [("x.npy", npy(np.zeros(4)))])
    patched(path, directory, 24, struct.pack("<I", 2**31))
    error = refused(path)
    assert (error.code, error.message) == (
        "DAT020", "claim.npz:x claims 2,147,483,648 bytes, more than its archive can hold"
    )  # fmt: skip
    path = zipped(tmp_path / "both.npz", [("x.npy", npy(np.zeros(4)))])
    patched(path, directory, 20, struct.pack("<II", 2**31, 2**31))
    assert refused(path).code == "DAT020"
    path = zipped(tmp_path / "secret.npz", [("x.npy", npy(np.zeros(4)))])
    patched(path, directory, 8, b"\x01")
    assert refused(path).message == "secret.npz:x is encrypted"


def test_every_damaged_byte_of_an_archive_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.arange(20.0), y=np.zeros((2, 2)))
    content = path.read_bytes()
    for place in range(len(content)):
        for change in (0xFF, 0x01):
            path.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
            with suppress(ModelError):
                for stored in open_archive("d.npz", base=tmp_path).values():
                    stored.load()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert refused(path).code.startswith("DAT")


def test_safetensors_of_the_package(tmp_path: Path) -> None:
    arrays = {"l1.w": np.arange(6, dtype="f4").reshape(2, 3), "n": np.full((), 7, "i8"), "e": np.zeros((0, 3)),
              "h": np.ones(3, "f2"), "m": np.array([True, False]), "u": np.array([1, 255], "u1")}  # fmt: skip
    safetensors.numpy.save_file(arrays, tmp_path / "w.safetensors", metadata={"format": "np"})
    stored = open_archive("w.safetensors", base=tmp_path)
    assert set(stored) == set(arrays)
    assert stored["u"].note == "u8 is read as i32"
    for name, array in arrays.items():
        assert stored[name].shape == array.shape
        np.testing.assert_array_equal(stored[name].load(), array)
    assert open_array("w.safetensors:l1.w", base=tmp_path).load().dtype == np.float32


def tensors(header: Any, data: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str, shape: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_bf16_is_read_as_f32(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, np.inf, 3.140625], "f4")
    halves = (values.view("u4") >> 16).astype("<u2").tobytes()
    (tmp_path / "w.safetensors").write_bytes(tensors({"w": entry("BF16", [2, 2], 0, 8)}, halves))
    stored = open_array("w.safetensors:w", base=tmp_path)
    assert (stored.dtype, stored.note) == ("f32", "bf16 is read as f32")
    np.testing.assert_array_equal(stored.load(), values.reshape(2, 2), strict=True)


TWO = {"a": entry("F64", [1], 0, 8), "b": entry("F64", [1], 8, 16)}
LIES = {
    "empty": (b"", "DAT004"),
    "short": (b"\x01\x00", "DAT021"),
    "length": (tensors(TWO, bytes(16), length=2**60), "DAT021"),
    "not json": (tensors(b"{'a'}", b""), "DAT021"),
    "not utf-8": (tensors(b'{"\xff": 1}', b""), "DAT021"),
    "deep": (tensors(b"[" * 100_000, b""), "DAT021"),
    "a list": (tensors([1], b""), "DAT021"),
    "twice": (tensors(b'{"a": 1, "a": 2}', b""), "DAT008"),
    "no offsets": (tensors({"a": {"dtype": "F64", "shape": [1]}}, bytes(8)), "DAT021"),
    "a number": (tensors({"a": 1}, b""), "DAT021"),
    "dtype": (tensors({"a": entry("F8_E4M3", [1], 0, 1)}, bytes(1)), "DAT013"),
    "dtype list": (tensors({"a": entry([], [1], 0, 1)}, bytes(1)), "DAT013"),  # type: ignore[arg-type]
    "complex": (tensors({"a": entry("C64", [1], 0, 8)}, bytes(8)), "DAT013"),
    "negative": (tensors({"a": entry("F64", [-1], 0, 8)}, bytes(8)), "DAT021"),
    "overflow": (tensors({"a": entry("F64", [2**33, 2**33], 0, 8)}, bytes(8)), "DAT021"),
    "float shape": (tensors({"a": entry("F64", [1.0], 0, 8)}, bytes(8)), "DAT021"),
    "size": (tensors({"a": entry("F64", [2], 0, 8)}, bytes(8)), "DAT021"),
    "backwards": (tensors({"a": entry("F64", [1], 8, 0)}, bytes(8)), "DAT021"),
    "true": (tensors({"a": entry("BOOL", [1], False, True)}, bytes(1)), "DAT021"),
    "beyond": (tensors({"a": entry("F64", [1], 0, 8)}, bytes(7)), "DAT011"),
    "terabyte": (tensors({"a": entry("F64", [2**37], 0, 2**40)}, bytes(8)), "DAT011"),
    "overlap": (tensors({"a": entry("F64", [1], 0, 8), "b": entry("F64", [1], 4, 12)}, bytes(12)), "DAT021"),
    "hole": (tensors({"a": entry("F64", [1], 0, 8), "b": entry("F64", [1], 9, 17)}, bytes(17)), "DAT021"),
    "more": (tensors(TWO, bytes(17)), "DAT011"),
}


@pytest.mark.parametrize("name", LIES)
def test_safetensors_that_lie(tmp_path: Path, name: str) -> None:
    content, code = LIES[name]
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    assert refused(path).code == code
    if name not in ("dtype", "complex"):  # the package knows 8-bit floats and complex numbers
        with pytest.raises(Exception):  # noqa: B017, PT011  # the package refuses the same files
            safetensors.numpy.load(content)

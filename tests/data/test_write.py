"""Files written whole or not at all, and read back by us, NumPy and the safetensors package."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from gradcli.data import write
from gradcli.data.read import open_archive, open_array
from gradcli.data.write import write_arrays, write_sparse
from gradcli.record import replace
from gradcli.request import SparseMatrix
from gradcli.syntax.diagnostics import Diagnostic, ModelError

ARRAYS = {
    "x": np.arange(6, dtype="f4").reshape(2, 3) / 3,
    "x,y": np.array([1.5, np.nan, np.inf, -np.inf, -0.0]),
    "value/out": np.float64(2.5),
    "l1.w": np.asfortranarray(np.arange(6, dtype="i4").reshape(2, 3)),
    "h": np.ones((0, 3), "f2"),
    "mask": np.array([[True], [False]]),
    "swapped": np.arange(3, dtype=">i8"),
    "strided": np.arange(10.0)[::-3],
    "größe": np.arange(2),
}


def refused(path: Path, arrays: dict[str, Any]) -> Diagnostic:
    with pytest.raises(ModelError) as caught:
        write_arrays(path, arrays)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write_arrays(path, ARRAYS)
    ours = open_archive(path.name, base=tmp_path)
    theirs = np.load(path) if suffix == "npz" else safetensors.numpy.load_file(path)
    assert set(ours) == set(theirs) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(
            ours[name].load(), np.asarray(array).astype(array.dtype.newbyteorder("=")), strict=True
        )
        np.testing.assert_array_equal(theirs[name], array)
    assert np.signbit(ours["x,y"].load()[-1])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ARRAYS)
def test_npy(tmp_path: Path, name: str) -> None:
    write_arrays(tmp_path / "a.npy", {name: ARRAYS[name]})
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.asarray(ARRAYS[name]))
    np.testing.assert_array_equal(open_array("a.npy", base=tmp_path).load(), np.asarray(ARRAYS[name]))
    with open(tmp_path / "a.npy", "rb") as stream:
        np.lib.format.read_magic(stream)
        np.lib.format.read_array_header_1_0(stream)
        assert stream.tell() % 64 == 0


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8),
        st.sampled_from(["f2", "f4", "f8", "i4", "i8", "?"]).flatmap(
            lambda dtype: arrays_of.arrays(
                dtype, arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
            )
        ),
        max_size=4,
    )
)
def test_any_arrays_come_back_bit_for_bit(tmp_path_factory: Any, arrays: dict[str, Any]) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("any.npz", "any.safetensors"):
        write_arrays(folder / name, arrays)
        back = open_archive(name, base=folder)
        assert set(back) == set(arrays)
        for key, array in arrays.items():
            assert back[key].load().tobytes() == np.asarray(array).tobytes()
            assert back[key].shape == np.shape(array)


def test_json_has_the_shortest_digits(tmp_path: Path) -> None:
    arrays = {
        "x": np.array([[4.51, 1e-8]], "f4"),
        "y": np.array([np.nan, -np.inf]),
        "h": np.float16(0.1),
        "n": np.arange(2),
    }
    write_arrays(tmp_path / "a.json", arrays)
    assert (tmp_path / "a.json").read_text() == (
        '{"x": [[4.51, 1e-08]],\n "y": ["nan", "-inf"],\n "h": 0.1,\n "n": [0, 1]}\n'
    )
    back = open_archive("a.json", base=tmp_path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name].load().astype(array.dtype), array)


@given(arrays_of.arrays("f4", st.integers(1, 20), elements=st.floats(width=32)))
@settings(max_examples=60, deadline=None)
def test_text_gives_back_every_f32(tmp_path_factory: Any, array: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("f.json", "f.csv"):
        write_arrays(folder / name, {"x": array})
        np.testing.assert_array_equal(open_array(name, base=folder).load().astype("f4"), array)


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for array, text in [
        (np.array([[1.5, np.nan], [np.inf, 2]]), "1.5,nan\ninf,2.0\n"),
        (np.arange(3), "0\n1\n2\n"),
        (np.float32(0.1), "0.1\n"),
        (np.array([[True, False]]), "true,false\n"),
    ]:
        write_arrays(path, {"x": array})
        assert path.read_text() == text
        np.testing.assert_array_equal(
            open_array("a.csv", base=tmp_path).load().astype(array.dtype).reshape(array.shape), array
        )
    write_arrays(path, {"x": np.arange(2), "x,y": np.array([0.5, 1.5])})
    assert path.read_text() == 'x,"x,y"\n0,0.5\n1,1.5\n'
    assert open_array("a.csv", base=tmp_path, key="x,y").load().tolist() == [0.5, 1.5]


def test_formats_that_cannot_hold_the_arrays(tmp_path: Path) -> None:
    pair = {"x": np.zeros(2), "y": np.zeros(3)}
    for name, arrays, message in [
        ("a.npy", pair, "cannot hold 2 arrays (x, y): an .npy holds one array"),
        ("a.npy", {}, "cannot hold 0 arrays: an .npy holds one array"),
        ("a.csv", pair, "cannot hold 2 arrays (x, y): a csv holds one array, or columns of one length"),
        ("a.csv", {"x": np.zeros((1, 1, 1))}, "a csv holds at most two axes, `x` has 3"),
        ("a.txt", pair, "has no suffix that says how to write arrays"),
        ("a", pair, "has no suffix that says how to write arrays"),
        ("a.npz", {"z": np.zeros(2, complex)}, "`z` is complex128, which is not written"),
        ("a.npz", {"z": np.array([{}], dtype=object)}, "`z` is object, which is not written"),
        (
            "a.safetensors",
            {"__metadata__": np.zeros(2)},
            "a safetensors file cannot hold an array named `__metadata__`",
        ),
    ]:
        error = refused(tmp_path / name, arrays)
        assert error.code == "DAT041"
        assert error.message.endswith(message)
    assert os.listdir(tmp_path) == []


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "circle.npz").symlink_to("circle.npz")
    (tmp_path / "file").write_text("")
    for name, message in [
        ("folder.npz", "it is a folder"),
        ("pipe.npz", "it is not a file"),
        ("nowhere/a.npz", f"its folder {tmp_path / 'nowhere'} does not exist"),
        ("circle.npz", "its symbolic links go in a circle"),
        ("file/a.npz", "not a directory"),
        ("n" * 300 + ".npz", "file name too long"),
        ("a\0.npz", "its name holds a NUL character"),
    ]:
        error = refused(tmp_path / name, {"x": np.zeros(2)})
        assert error.code == "DAT040"
        assert error.message.endswith(f"cannot be written: {message}")
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors", "json", "csv"])
def test_a_failure_half_way_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("before")

    def full(descriptor: int) -> None:
        raise problem

    monkeypatch.setattr(write.os, "fsync", full)
    expected = ModelError if isinstance(problem, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_arrays(path, {"x": np.zeros(2)})
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "before"
    if isinstance(caught.value, ModelError):
        assert caught.value.exit_code == 3
        assert caught.value.diagnostics[0].message == f"{path} cannot be written: no space left on device"


def test_links_and_modes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "real.npz").write_bytes(b"")
    (tmp_path / "real.npz").chmod(0o640)
    (tmp_path / "link.npz").symlink_to("real.npz")
    write_arrays(tmp_path / "link.npz", {"x": np.arange(3)})
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "real.npz").stat().st_mode & 0o777 == 0o640
    assert open_array("real.npz:x", base=tmp_path).load().tolist() == [0, 1, 2]


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_arrays(tmp_path / name, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


# ── sparse matrices ─────────────────────────────────────────────────────────────────────────────────────────


def sparse(dtype: str = "f8") -> SparseMatrix:
    """[[1, 0, 2], [0, 0, 0]]"""
    data = np.array([1, 2], dtype)
    return SparseMatrix(data, np.array([0, 2]), np.array([0, 2, 2]), (2, 3), (2,), (3,), 2, "forward")


@pytest.mark.parametrize(("dtype", "stored"), [("f8", "<f8"), ("f4", "<f4"), ("f2", "<f4")])
def test_a_sparse_matrix_has_the_layout_of_scipy(dtype: str, stored: str, tmp_path: Path) -> None:
    """What `scipy.sparse.save_npz` writes of `csr_matrix([[1, 0, 2], [0, 0, 0]])`: names, dtypes and shapes."""
    write_sparse(tmp_path / "j.npz", sparse(dtype))
    with np.load(tmp_path / "j.npz") as found:
        assert found.files == ["indices", "indptr", "format", "shape", "data"]
        assert [(a.dtype.str, a.shape) for a in found.values()] == [
            ("<i4", (2,)), ("<i4", (3,)), ("|S3", ()), ("<i8", (2,)), (stored, (2,))
        ]  # fmt: skip
        assert found["format"].item() == b"csr"
        assert [found[name].tolist() for name in ("indices", "indptr", "shape", "data")] == [
            [0, 2], [0, 2, 2], [2, 3], [1, 2]
        ]  # fmt: skip


def test_numbers_of_columns_are_wide_where_there_are_many(tmp_path: Path) -> None:
    write_sparse(tmp_path / "j.npz", replace(sparse(), shape=(2, 1 << 31)))
    with np.load(tmp_path / "j.npz") as found:
        assert (found["indices"].dtype, found["indptr"].dtype) == (np.int64, np.int64)


@pytest.mark.parametrize("name", ["j.npy", "j.csv", "j.txt"])
def test_a_sparse_matrix_is_written_as_npz_only(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        write_sparse(tmp_path / name, sparse())
    assert caught.value.diagnostics[0].code == "DAT041"
    assert not list(tmp_path.iterdir())

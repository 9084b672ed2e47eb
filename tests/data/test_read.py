"""References, and files that are none: missing, folders, pipes, links in a circle, other kinds than their names say."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradcli.data.codes import CODES
from gradcli.data.read import is_reference, open_archive, open_array
from gradcli.syntax.diagnostics import Diagnostic, ModelError, Source, Span

ROOT = Path(__file__).resolve().parents[2]


def refused(tmp_path: Path, reference: str, span: Span | None = None) -> Diagnostic:
    with pytest.raises(ModelError) as caught:
        open_array(reference, base=tmp_path, span=span)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.mark.parametrize(
    "text",
    ["x.npy", "d.npz", "d.npz:key", "d.npz:a/b,c", "w.safetensors:l1.w", "t.csv", "t.csv:price", "v.json", "v.json:x",
     "@anything", "@-", "@", "dir/x.NPY", "my data (1).npy", "C:/data/d.npz:x", "d.npz:a.npy", "d.npz:", "x.npy:key"],
)  # fmt: skip
def test_references(text: str) -> None:
    assert is_reference(text)


@pytest.mark.parametrize(
    "text",
    ["4", "[[1, 2]]", "x", "-1", "", "npy", 'load("x.npy")', 'f32(load("d.npz:x"))', 'load("d.npz", "x")[0:2]',
     'load("x.npy")[..., 1:3]', "a if b else c", "random:7", "basis:0,0"],
)  # fmt: skip
def test_expressions(text: str) -> None:
    assert not is_reference(text)


def test_paths_are_relative_to_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "sub" / "x.npy", np.arange(3))
    monkeypatch.setenv("HOME", str(tmp_path))
    for reference, base in [("x.npy", "sub"), ("sub/x.npy", "."), ("@sub/x.npy", "."), ("~/sub/x.npy", "nowhere")]:
        assert open_array(reference, base=tmp_path / base).load().tolist() == [0, 1, 2]
    assert open_array(str(tmp_path / "sub/x.npy"), base=Path("elsewhere")).path == tmp_path / "sub/x.npy"


def test_a_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    np.save(tmp_path / "weights.npy", np.arange(3))
    error = refused(tmp_path, "wieghts.npy")
    assert (error.code, error.message, error.help) == (
        "DAT001", "wieghts.npy does not exist", "did you mean `weights.npy`?"
    )  # fmt: skip
    assert refused(tmp_path, "nowhere/x.npy").message == (
        f"nowhere/x.npy does not exist, nor does its folder {tmp_path / 'nowhere'}"
    )
    (tmp_path / "dead.npy").symlink_to("gone.npy")
    assert refused(tmp_path, "dead.npy").message == "dead.npy is a link to gone.npy, which does not exist"


def test_the_place_in_the_model_is_kept(tmp_path: Path) -> None:
    span = Span(Source("model.net", 'input x = load("x.npy")'), 10, 23)
    assert refused(tmp_path, "x.npy", span).span == span


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "circle.npy").symlink_to("round.npy")
    (tmp_path / "round.npy").symlink_to("circle.npy")
    (tmp_path / "file").write_text("1")
    for name, code, message in [
        ("folder.npy", "DAT002", "folder.npy is a folder, not a file"),
        ("pipe.npy", "DAT002", "pipe.npy is a named pipe"),
        ("@/dev/zero", "DAT002", "/dev/zero is not a regular file"),
        ("@.", "DAT002", ". is a folder, not a file"),
        ("@", "DAT001", "the path of the data is empty"),
        ("circle.npy", "DAT003", "circle.npy cannot be read: its symbolic links go in a circle"),
        ("file/x.npy", "DAT003", "file/x.npy cannot be read: not a directory"),
        ("a\0b.npy", "DAT003", "a\\x00b.npy cannot be read: its name holds a NUL character"),
        ("n" * 300 + ".npy", "DAT003", f"{'n' * 100}…{'n' * 76}.npy cannot be read: file name too long"),
    ]:
        error = refused(tmp_path, name)
        assert (error.code, error.message) == (code, message)
    assert refused(tmp_path, "pipe.npy").help == "give it as `@-`, an .npy on standard input"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"")
    (tmp_path / "x.npy").chmod(0)
    assert refused(tmp_path, "x.npy").message == "x.npy cannot be read: permission denied"


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".csv", ".json", ".data"])
def test_empty_files(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x{suffix}").write_bytes(b"")
    error = refused(tmp_path, f"@x{suffix}")
    assert (error.code, error.message) == ("DAT004", f"x{suffix} is empty")


def test_other_suffixes_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    from gradcli.data.write import write_arrays

    for suffix in ("npy", "npz", "safetensors", "csv", "json"):
        write_arrays(tmp_path / f"x.{suffix}", {"x": np.arange(3.0)})
        (tmp_path / f"x.{suffix}").rename(tmp_path / f"{suffix}.data")
        assert open_array(f"@{suffix}.data", base=tmp_path).load().tolist() == [0, 1, 2]
    assert list(open_archive("@npz.data", base=tmp_path)) == ["x"]
    (tmp_path / "model.pt").write_bytes(b"\x80\x04\x95")
    assert refused(tmp_path, "@model.pt").code == "DAT012"
    (tmp_path / "noise.bin").write_bytes(bytes(range(20)))
    assert refused(tmp_path, "@noise.bin").code == "DAT005"


def test_a_model_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "model.net").write_text("net f(x: f64) = x\n")
    found = refused(tmp_path, "@model.net")
    assert (found.code, found.message) == ("DAT005", "model.net is a model, not data")
    assert "-o results.npz" in (found.help or "")


def test_files_of_one_array_have_no_names(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    (tmp_path / "v.json").write_text("[1]")
    (tmp_path / "t.csv").write_text("1,2")
    for name in ("x.npy", "v.json"):
        assert refused(tmp_path, f"{name}:key").code == "DAT007"
    assert refused(tmp_path, "t.csv:key").code == "DAT006"
    for name in ("x.npy", "v.json", "t.csv"):
        with pytest.raises(ModelError) as caught:
            open_archive(name, base=tmp_path)
        assert caught.value.diagnostics[0].code == "DAT007"


def test_a_terminal_is_not_waited_for(tmp_path: Path) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    with pytest.raises(ModelError) as caught:
        open_array("@-", base=tmp_path, stdin=Terminal())
    assert caught.value.diagnostics[0].code == "DAT051"


def test_headers_are_read_without_numpy(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 3)))
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "w.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    (tmp_path / "v.json").write_text("[1]")
    program = """
import sys
from pathlib import Path
import gradcli.data.random, gradcli.data.write
from gradcli.data.read import open_archive, open_array
shapes = [open_array(name, base=Path()).shape for name in ("d.npz", "x.npy", "t.csv", "v.json")]
assert shapes == [(2, 3), (3,), (2, 2), (1,)], shapes
assert open_archive("w.safetensors", base=Path()) == {}
assert "numpy" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )


def test_every_code_that_is_raised_is_explained() -> None:
    import re

    raised = {
        code
        for path in (ROOT / "gradcli" / "data").glob("*.py")
        if path.name != "codes.py"
        for code in re.findall(r'"(DAT\d{3})"', path.read_text(encoding="utf-8"))
    }
    assert raised == set(CODES)
    assert all(entry.explanation and entry.broken != entry.repaired for entry in CODES.values())

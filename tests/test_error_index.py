"""The index of errors: for each code a model or a command that shows it, with the full message, in `error_index.md`.

`python -m tests.test_error_index` writes the index again. Read each difference: is it a message one is glad to get?
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli.cli.main import run
from gradcli.manual.rules import entries
from tests.conftest import Cli

INDEX = Path(__file__).with_name("error_index.md")
MODEL = """net Net(x: f32[2]) -> f32[2] {
  param w: f32 = 2.0
  param b: f32[2] = zeros()
  h = w * x + b
  return tanh(h)
}
input x: f32[2] = [1.0, 2.0]
"""
ELSEWHERE = {  # codes that no file shows on every machine, and where they are tested
    "DAT050": "tests/data/test_read.py",
    "DAT051": "tests/data/test_read.py",
    "DAT052": "tests/data/test_npy.py",
    "DAT107": "tests/api/test_python.py",
    "DAT112": "tests/cli/test_diff.py",
    "DIF008": "tests/ad/test_reverse.py",
    "ENV001": "tests/backends/test_choose.py",
    "ENV002": "tests/backends/test_choose.py",
    "ENV003": "tests/backends/test_choose.py",
    "ENV004": "tests/cli/test_diff.py",
    "ENV005": "tests/backends/test_cupy.py",
    "ENV006": "tests/cli/test_bench.py",
    "ENV007": "tests/emitting/test_jax.py",
    "ENV090": "tests/backends/test_numpy.py",
    "ENV091": "the shell: > /dev/full",
    "NUM008": "tests/ad/test_sparsity.py",
    "NUM095": "tests/cli/test_gradcheck.py",
    "NUM097": "tests/cli/test_bench.py",
    "NUM098": "tests/cli/test_profile.py",
    "SHP119": "tests/test_error_index.py",
}


# ── what the files of a code hold ───────────────────────────────────────────────────────────────────────────


def saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def archived(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:  # without times, so that the bytes are the same every time
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), saved(array))
    return stream.getvalue()


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


PAIR = np.float32([1, 2])
FILES: dict[str, dict[str, bytes]] = {
    "DAT001": {"missing.npy": saved(PAIR)},
    "DAT004": {"empty.npy": b""},
    "DAT005": {"archive.npy": archived(x=PAIR)},
    "DAT006": {"data.npz": archived(x=PAIR, y=PAIR)},
    "DAT007": {"data.npz": archived(x=PAIR, y=PAIR)},
    "DAT008": {"data.json": b'{"x": [1, 2], "x": [3, 4]}'},
    "DAT010": {"forged.npy": header("(-2,)") + bytes(8)},
    "DAT011": {"partial-download.npy": header("(1000,)") + bytes(80)},
    "DAT012": {"objects.npy": saved(np.array([{}, None], dtype=object))},
    "DAT013": {"complex.npy": saved(np.complex64([1, 2j]))},
    "DAT014": {"hashes.npy": saved(np.uint64([2**64 - 1, 1]))},
    "DAT020": {"damaged.npz": archived(x=PAIR)[:-9]},
    "DAT021": {"forged.safetensors": (1 << 60).to_bytes(8, "little") + b"{}"},
    "DAT030": {"utf-16.csv": "1\n2\n".encode("utf-16")},
    "DAT031": {"data.csv": b"1.0,2.o\n"},
    "DAT032": {"data.json": b"[[1, 2], [3]]"},
    "DAT033": {"data.json": b'{"x": [1, 2'},
    "DAT034": {"data.csv": b"1e999\n"},
    "DAT103": {"some.npz": archived(w=np.float32(1))},
    "DAT104": {"other.npz": archived(w=np.float32(1), b=PAIR, c=PAIR)},
    "DAT105": {"x64.npy": saved(np.float64([1, 2]))},
    "DAT106": {"x16.npy": saved(np.float16([1, 2]))},
    "NUM040": {"golden.npz": archived(x=np.float32([0.14130163, 0.0026]))},
    "NUM041": {"old.net": MODEL.replace("w * x + b", "b + x * w").encode()},
    "DAT111": {"model.net": "net f(x: f64) = x # Größe\n".encode("latin-1")},
}
COMMANDS = {
    "DAT008": "gradcli grad model.net --inputs data.json",
    "DAT031": "gradcli grad model.net -i x=data.csv",
    "DAT032": "gradcli grad model.net -i x=data.json",
    "DAT033": "gradcli grad model.net --inputs data.json",
    "DAT034": "gradcli grad model.net -i x=data.csv",
    "DAT106": "gradcli grad model.net -i x=x16.npy",
    "DAT111": "gradcli check model.net",
    "DAT021": "gradcli grad model.net --inputs forged.safetensors",
    "DAT041": "gradcli grad model.net --get-all --get-by-list -o grads.npy",
    "DIF007": "gradcli grad model.net --order 11",
    "NUM010": "gradcli test case.net",
}
CASE = b'net f(x: f64) = x * x\ncase "squares" {\n  expect f(3.0) ~= 8.0\n}\n'


# ── the index ───────────────────────────────────────────────────────────────────────────────────────────────


def prepare(code: str, broken: str, folder: Path) -> tuple[str, str | None]:
    """Write the files that show a code; gives the command, and the model where the page has one."""
    (folder / "folder").mkdir()
    (folder / "models").mkdir()
    (folder / "models" / "case.net").write_bytes(CASE)
    (folder / "case.net").write_bytes(CASE)
    (folder / "model.net").write_text(MODEL)
    (folder / "private.npy").symlink_to("private.npy")  # a link to itself: what root cannot read, either
    for name, content in FILES.get(code, {}).items():
        (folder / name).write_bytes(content)
    if code in COMMANDS or broken.startswith("gradcli "):
        return COMMANDS.get(code) or broken.partition("  #")[0], None
    text = broken
    if code.startswith("DAT"):
        name = broken.split()[1].rstrip(":")
        text = broken.partition("  #")[0] + f"\nnet f({name}) = 2 * {name}\n"
    name = "self.net" if "self.net" in text else "broken.net"
    (folder / name).write_text(text)
    return f"gradcli {'eval' if code.startswith('DAT') else 'check'} {name}", text


def shown(command: str, folder: Path) -> str:
    """What a command prints, on both streams, without what differs between machines."""
    import shlex

    out = io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(out):
        before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(b""))
        try:
            run(shlex.split(command)[1:])
        finally:
            sys.stdin = before
    text = re.sub(r"[\d.]+ \w?B are available", "… are available", out.getvalue().replace(f"{folder}/", ""))
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def section(code: str) -> str:
    """One code as a piece of Markdown: prose, program, full output."""
    entry = entries()[code]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command, text = prepare(code, entry.broken, folder)
        output = re.sub(r"numpy, \d+ threads?", "numpy, 1 thread", shown(command, folder))  # of this machine
    program = f"```net\n{text.rstrip()}\n```\n\n" if text is not None else ""
    return f"## {code}: {entry.title}\n\n{program}```console\n$ {command}\n{output}```\n"


def codes() -> list[str]:
    return [code for code in entries() if code not in ELSEWHERE]


def stored() -> Iterator[tuple[str, str]]:
    for part in re.split(r"^(?=## )", INDEX.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        yield part[3:9], part.rstrip() + "\n"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")


@pytest.mark.parametrize("code", codes())
def test_the_message_is_the_one_that_was_read(code: str) -> None:
    found = section(code)
    assert found == dict(stored())[code]
    assert f"[{code}]" in found
    assert "internal error" not in found


def test_every_code_is_in_the_index_or_tested_elsewhere() -> None:
    assert [code for code, _ in stored()] == codes()
    assert set(ELSEWHERE) <= set(entries())


def test_a_net_whose_loop_follows_a_dim_is_proved_or_checked_where_it_is_used(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(
        "net f(x: f64[n]) {\n  for i in 0..n {\n    x = 2 * x\n  }\n  return x\n}\n"
        "net g(x: f64[n]) {\n  s = 0.0\n  for i in 0..n {\n    s = s + sum(x[:i])\n  }\n  return s\n}\n"
    )
    ran = cli_inside("check", "m.net", cwd=tmp_path).done()
    assert "net f(x: f64[n]) -> f64[n]\n    holds for all sizes" in ran.out
    assert (
        "not checked alone: this loop is written out, so its turns are a known integer; n has no size here" in ran.out
    )


def write() -> None:
    """Write the index again."""
    os.environ["NO_COLOR"] = "1"
    INDEX.write_text("# The index of errors\n\n" + "\n".join(map(section, codes())), encoding="utf-8")


if __name__ == "__main__":
    write()

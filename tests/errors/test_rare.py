"""Messages of what a sound machine does not do by itself: a file that changes under the reader, memory that runs out,
a GPU that is missing, a full disk. Each is made to happen, and what is printed is compared in full.

All other codes are in `tests/error_index.md`; `python -m tests.test_error_index` writes that index again. The pages
here are short and stand beside what brings them about: after a change, read the new message and write it here.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gradcli
from gradcli import backends
from gradcli.data.stored import Stored
from gradcli.ir.primitive import primitive
from gradcli.manual.rules import entries
from tests import test_error_index as index
from tests.conftest import ROOT, Cli, Ran

MODEL = "net f(x: f64[2]) = sin(x)\ninput x = [1.0, 2.0]\n"
STORED = 'net f(x: f64[2]) = sin(x)\ninput x: f64[2] = load("x.npy")\n'
Patch = pytest.MonkeyPatch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.net").write_text(MODEL)
    (tmp_path / "stored.net").write_text(STORED)
    np.save(tmp_path / "x.npy", np.array([1.0, 2.0]))
    return tmp_path


# ── how each is made to happen ──────────────────────────────────────────────────────────────────────────────


def exhausted(*_: object, **__: object) -> Any:
    raise MemoryError


def changing_file(patch: Patch, folder: Path) -> None:
    """Another program writes the file after its header was read."""
    read = Stored.load

    def load(stored: Stored, *, integers: bool = False) -> Any:
        np.save(folder / "x.npy", np.zeros(7))
        return read(stored, integers=integers)

    patch.setattr(Stored, "load", load)


def closed_input(patch: Patch, folder: Path) -> None:
    """As `<&-` in a shell."""
    patch.setattr(sys, "stdin", None)


def no_memory_for_a_file(patch: Patch, folder: Path) -> None:
    made = Stored.__init__

    def init(stored: Stored, *given: Any, **named: Any) -> None:
        made(stored, *given, **named)
        object.__setattr__(stored, "fetch", exhausted)

    patch.setattr(Stored, "__init__", init)


def no_memory_while_running(patch: Patch, folder: Path) -> None:
    patch.setattr(np, "sin", exhausted)


def no_memory_for_the_graph(patch: Patch, folder: Path) -> None:
    patch.setattr("gradcli.api.run", exhausted)


def no_cupy(patch: Patch, folder: Path) -> None:
    patch.setattr(backends, "find_spec", lambda name: None)


def no_driver(patch: Patch, folder: Path) -> None:
    cupy(patch, None)
    patch.setattr(backends, "DRIVERS", ("/no/such/driver",))


def no_gpu_answers(patch: Patch, folder: Path) -> None:
    cupy(patch, None)


def two_gpus(patch: Patch, folder: Path) -> None:
    cupy(patch, 2)


def cupy(patch: Patch, count: int | None) -> None:
    """A CuPy with a driver, that sees `count` GPUs or none that answers."""

    class Refused(Exception):
        pass

    def counted() -> int:
        if count is None:
            raise Refused("cudaErrorNoDevice: no CUDA-capable device is detected")
        return count

    runtime = SimpleNamespace(getDeviceCount=counted, CUDARuntimeError=Refused)
    patch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    patch.setattr(backends, "find_spec", lambda name: object())
    patch.setattr(backends, "DRIVERS", ("/",))
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


# ── what is printed ─────────────────────────────────────────────────────────────────────────────────────────

PAGES: dict[str, tuple[str, Callable[[Patch, Path], None], str, int, str]] = {
    "a file changes while it is read": (
        "DAT050",
        changing_file,
        "eval stored.net",
        2,
        """\
error[DAT050]: x.npy changed while it was read
  --> stored.net:2:19
   |
 2 | input x: f64[2] = load("x.npy")
   |                   ^^^^^^^^^^^^^
""",
    ),
    "standard input is closed": (
        "DAT051",
        closed_input,
        "eval model.net -i x=@-",
        2,
        """\
error[DAT051]: standard input is closed, so `@-` has nothing to read
""",
    ),
    "standard input is closed, and the model should come from it": (
        "DAT110",
        closed_input,
        "eval -",
        2,
        """\
error[DAT110]: standard input is closed
""",
    ),
    "a file is larger than memory": (
        "DAT052",
        no_memory_for_a_file,
        "eval stored.net",
        3,
        """\
error[DAT052]: x.npy does not fit into memory
  --> stored.net:2:19
   |
 2 | input x: f64[2] = load("x.npy")
   |                   ^^^^^^^^^^^^^
""",
    ),
    "CuPy is missing": (
        "ENV001",
        no_cupy,
        "grad model.net --backend cupy",
        3,
        """\
error[ENV001]: the backend cupy needs CuPy, which is not installed
   = help: `pip install 'gradcli[cupy]'`
""",
    ),
    "there is no driver": (
        "ENV002",
        no_driver,
        "grad model.net --backend cupy",
        3,
        """\
error[ENV002]: the backend cupy needs a GPU: no GPU driver was found
   = help: `--backend numpy` runs on the processor
""",
    ),
    "the driver finds no GPU": (
        "ENV002",
        no_gpu_answers,
        "grad model.net --backend cupy",
        3,
        """\
error[ENV002]: the backend cupy needs a GPU, and none answers
   = note: cudaErrorNoDevice: no CUDA-capable device is detected
   = help: `--backend numpy` runs on the processor
""",
    ),
    "there are two GPUs, and the fourth is asked for": (
        "ENV003",
        two_gpus,
        "grad model.net --backend cupy --device 3",
        3,
        """\
error[ENV003]: there is no GPU 3; 2 can be used, counted from 0
   = help: `--device 0`
""",
    ),
    "memory runs out while the model runs": (
        "ENV090",
        no_memory_while_running,
        "eval model.net",
        3,
        """\
error[ENV090]: the memory of this machine ran out while the model was running
  --> model.net:1:20
   |
 1 | net f(x: f64[2]) = sin(x)
   |                    ^^^^^^ f64[2]
   |
   = note: the plan takes 16 B, beside 16 B of inputs
   = help: a smaller model or batch, or `--dtype f32`; `--memory BYTES` has loops keep less
""",
    ),
    "memory runs out before the model runs": (
        "ENV090",
        no_memory_for_the_graph,
        "eval model.net",
        3,
        """\
error[ENV090]: the memory of this machine ran out
   = help: a smaller model or batch, or `--dtype f32`
""",
    ),
}


@pytest.mark.parametrize("what", PAGES)
def test_the_message_is_the_one_that_was_read(
    what: str, cli_inside: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, happen, command, code, wanted = PAGES[what]
    with monkeypatch.context() as patch:
        happen(patch, folder)
        ran = cli_inside(*command.split(), cwd=folder)
    assert ran.out == ""
    assert ran.err == wanted
    assert f"[{found}]" in wanted
    assert ran.code == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_where_the_output_goes(folder: Path) -> None:
    command = [sys.executable, "-m", "gradcli", "grad", "model.net"]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ran.stderr.decode() == "error[ENV091]: no space is left where the output goes\n"
    assert ran.returncode == 3


def test_an_operator_without_a_rule(cli_inside: Cli, folder: Path) -> None:
    sine = primitive("sin")
    before = sine.vjp
    object.__setattr__(sine, "vjp", None)
    try:
        ran = cli_inside("grad", "model.net", cwd=folder)
    finally:
        object.__setattr__(sine, "vjp", before)
    assert ran == Ran(
        2,
        "",
        """\
error[DIF008]: sin has no derivative rule
  --> model.net:1:20
   |
 1 | net f(x: f64[2]) = sin(x)
   |                    ^^^^^^
   |
   = help: `stop_gradient(…)` around it keeps the value and lets no derivative through
""",
    )


def test_an_argument_that_is_no_array(folder: Path) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.load(folder / "model.net").grad(x="three")
    assert str(caught.value).startswith("error[DAT107]: ")


def test_every_code_is_shown() -> None:
    elsewhere = {"ENV091", "DIF008", "DAT107", "NUM008", "NUM095", "DAT112"}
    elsewhere |= {"ENV004", "ENV005", "ENV006", "ENV007", "NUM097", "NUM098"}
    here = {page[0] for page in PAGES.values()} | elsewhere
    assert set(index.ELSEWHERE) <= here | {"SHP119"}
    assert {*index.codes(), *here, "SHP119"} == {*entries()}


# ── exit codes ──────────────────────────────────────────────────────────────────────────────────────────────

# A result that is not finite, and data that are widened, are notes; a test run that tests nothing is a failed one, and
# so is a comparison that finds a difference, or a trace that finds a fault.
OTHER_EXITS = {"NUM001": 3, "NUM090": 0, "NUM091": 1, "NUM040": 1, "NUM041": 1, "DAT106": 0, "USE006": 1, "NAM008": 0}


@pytest.mark.parametrize("code", index.codes())
def test_exit_codes(code: str, cli_inside: Cli, tmp_path: Path) -> None:
    command, _ = index.prepare(code, entries()[code].broken, tmp_path)
    arguments = shlex.split(command)[1:]
    ran = cli_inside(*arguments, cwd=tmp_path)
    in_a_model = 1 if arguments[0] in ("check", "test") else 2
    wanted = 2 if code.startswith(("USE", "ENV")) or code == "DAT110" else in_a_model
    assert ran.code == OTHER_EXITS.get(code, wanted)
    if ran.code in (2, 3) and code != "USE007":  # where the cases ran, and only the report is missing
        assert ran.out == ""

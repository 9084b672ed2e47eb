"""A determined console for every test, and two ways to run the command line: as a process, and inside this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is no matter of a test: machines are busy.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent

CONSOLE = {"COLUMNS": "80", "LINES": "24", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1", "TZ": "UTC"}
GPUS = os.environ.get("CUDA_VISIBLE_DEVICES")  # what tests/backends/test_gpu.py gives back
FORGOTTEN = ("FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PYTHONWARNINGS", "GRADCLI_BACKEND", "GRADCLI_THREADS")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command gave: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    def done(self) -> Ran:
        """This, if the command exited 0."""
        assert self.code == 0, f"exit {self.code}\n{self.out}{self.err}"
        return self


Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def console(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns, no colour, nothing of the user's own; no GPU, which `--backend auto` would take."""
    for name, value in CONSOLE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in FORGOTTEN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli() -> Cli:
    """`cli("grad", "model.net", cwd=…, stdin=…)`: a fresh `python -m gradcli`, as a user starts it.

    `stdin` is text or bytes; `env` is added to the environment. No output of a command ever holds a traceback.
    """

    def run(
        *arguments: str | Path,
        cwd: Path | None = None,
        stdin: str | bytes = b"",
        env: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> Ran:
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | (env or {})
        ran = subprocess.run(
            [sys.executable, "-m", "gradcli", *map(str, arguments)],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            cwd=cwd,
            env=environment,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        out, err = ran.stdout.decode("utf-8", "replace"), ran.stderr.decode("utf-8", "replace")
        assert "Traceback (most recent call last)" not in out + err, out + err
        return Ran(ran.returncode, out.replace("\r\n", "\n"), err.replace("\r\n", "\n"))

    return run


@pytest.fixture
def cli_inside(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The same without a new process: faster, for tests that run many commands. `cwd` as above, no `stdin`."""
    from gradcli.__main__ import main

    def run(*arguments: str | Path, cwd: Path | None = None) -> Ran:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["gradcli", *map(str, arguments)])
            if cwd is not None:
                patch.chdir(cwd)
            try:
                code = main()
            except SystemExit as stop:
                code = stop.code
        out, err = capsys.readouterr()
        return Ran(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    return run

"""What `--threads` does, and that it is reported as it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gradcli.backends import threads


def ask(text: str) -> str:
    code = f"from gradcli.backends import limit_threads, threads_in_use\n{text}"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    "first", ["limit_threads(1)", "import numpy", "import numpy; numpy.ones((9, 9)) @ numpy.ones(9)"]
)
def test_blas_is_told_before_or_after_it_is_loaded(first: str) -> None:
    assert ask(f"{first}\nlimit_threads(1); import numpy; print(threads_in_use(1))") == "1"


def test_without_a_wish_it_is_what_blas_uses() -> None:
    found = int(ask("import numpy; print(threads_in_use(None))"))
    assert 1 <= found <= 1024


def test_the_environment_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_loaded", list)
    monkeypatch.setattr(threads, "_found", {})
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert threads.threads_in_use(None) == threads.cores()
    assert threads.threads_in_use(3) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads.threads_in_use(3) == 2

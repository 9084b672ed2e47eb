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


def test_a_wish_is_told_again_only_when_something_else_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(
        threads, "_functions", lambda names: [told.append] if names is threads.SETTERS else [lambda: told[-1]]
    )
    monkeypatch.setattr(threads, "_told", [])
    for name in threads.VARIABLES:
        monkeypatch.setenv(name, "1")
    for wish in (2, 2, 3, 3, None, 2):
        threads.limit_threads(wish)
    assert told == [2, 3, 2]
    told.append(5)  # somebody else's
    threads.limit_threads(2)
    assert told[-1] == 2


def test_only_a_process_that_began_with_one_thread_wishes_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    large = threads.WORTH_THREADS
    monkeypatch.setattr(threads, "_started_single", [])
    assert threads.wish(None, large) is None
    assert threads.wish(3, 0) == 3
    monkeypatch.setattr(threads, "_started_single", [True])
    assert threads.wish(None, large) == threads.cores()
    assert threads.wish(None, large - 1) is None
    assert threads.wish(1, large) == 1

"""BLAS works on the thread that calls it while a plan runs, and has what it had afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradcli.backends import threads
from gradcli.backends.threads import OneThread


def stand_in(monkeypatch: pytest.MonkeyPatch, uses: int) -> list[int]:
    """A BLAS that remembers what it was told."""
    told = [uses]

    def functions(names: tuple[str, ...]) -> list[Callable[..., int | None]]:
        return [told.append] if names is threads.SETTERS else [lambda: told[-1]]

    monkeypatch.setattr(threads, "_functions", functions)
    return told


def test_blas_has_one_thread_while_a_plan_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = stand_in(monkeypatch, 4)
    one = OneThread()
    with one:
        assert told[-1] == 1
        with one:  # a second plan, from another thread
            assert told[-1] == 1
        assert told[-1] == 1
    assert told == [4, 1, 4]


def test_what_has_one_thread_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told = stand_in(monkeypatch, 1)
    with OneThread():
        pass
    assert told == [1]


def test_a_library_that_cannot_be_asked_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_functions", lambda names: [])
    with OneThread():
        assert threads.cores() >= 1


def test_the_environment_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threads.start_single()
    assert "OPENBLAS_NUM_THREADS" not in threads.os.environ
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.start_single()
    assert {threads.os.environ[name] for name in threads.VARIABLES} == {"1"}

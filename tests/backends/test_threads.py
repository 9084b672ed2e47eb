"""BLAS works on the thread that calls it while a plan runs, and has what it had afterwards, whatever its make."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradcli.backends import numpy as backend
from gradcli.backends import threads
from gradcli.backends.threads import Library, OneThread
from gradcli.ir.graph import apply
from gradcli.plan import make_plan
from tests.ir.graphs import build

Patch = pytest.MonkeyPatch


def stand_in(monkeypatch: Patch, *uses: int) -> list[list[int]]:
    """Libraries that remember what they were told."""
    told = [[number] for number in uses]
    made = [Library(lambda own=own: own[-1], own.append) for own in told]  # type: ignore[misc]
    monkeypatch.setattr(threads, "_found", made)
    return told


def test_blas_has_one_thread_while_a_plan_runs(monkeypatch: Patch) -> None:
    (told,) = stand_in(monkeypatch, 4)
    one = OneThread()
    with one:
        assert told[-1] == 1
        with one:  # a second plan, from another thread
            assert told[-1] == 1
        assert told[-1] == 1
    assert told == [4, 1, 4]


@pytest.mark.parametrize("rows", [100, 10_000])
def test_large_sums_are_added_up_by_one_thread(rows: int, monkeypatch: Patch) -> None:
    """A route lets BLAS do it, which would cut many rows into as many parts as it has threads."""
    (told,) = stand_in(monkeypatch, 4)
    graph = build(lambda x: apply("reduce_sum", x, axes=(0,)), f"f64[{rows}, 8]")
    backend.run(make_plan(graph), [np.ones((rows, 8))])
    assert told == ([4, 1, 4] if rows > 100 else [4])


def test_each_of_several_libraries_has_what_it_had(monkeypatch: Patch) -> None:
    """SciPy comes with a BLAS of its own."""
    told = stand_in(monkeypatch, 1, 8, 3)
    with OneThread():
        assert [own[-1] for own in told] == [1, 1, 1]
    assert told == [[1], [8, 1, 8], [3, 1, 3]]


def test_a_child_process_knows_of_no_run(monkeypatch: Patch) -> None:
    (told,) = stand_in(monkeypatch, 4)
    one = OneThread()
    with one:
        one.forget()  # in the child, while a thread that it does not have was in a run
        assert told[-1] == 4
        with one:
            assert told[-1] == 1
    assert told[-1] == 4


def test_the_environment_is_honoured(monkeypatch: Patch) -> None:
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threads.start_single()
    assert "OPENBLAS_NUM_THREADS" not in threads.os.environ
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.start_single()
    assert {threads.os.environ[name] for name in threads.VARIABLES} == {"1"}


# ── other makes ─────────────────────────────────────────────────────────────────────────────────────────────


def product(workers: int) -> Any:
    graph = build(lambda x, y: apply("exp", apply("matmul", x, y) / 100.0), "f64[600, 40]", "f64[40, 50]")
    plan = make_plan(graph)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 40)), rng.normal(size=(40, 50))
    (found,) = backend.run(plan, [x, y], workers)
    np.testing.assert_allclose(found, np.exp(x @ y / 100), rtol=1e-13)
    return found


def library(monkeypatch: Patch, **functions: Any) -> None:
    """One BLAS is loaded, which has these functions."""
    monkeypatch.setattr(threads, "_found", None)
    monkeypatch.setattr(threads, "_loaded", lambda: ["/lib/libblas.so"])
    monkeypatch.setattr(ctypes, "CDLL", lambda path: SimpleNamespace(**functions))


def test_mkl_is_told(monkeypatch: Patch, capfd: pytest.CaptureFixture[str]) -> None:
    told = [6]
    library(monkeypatch, MKL_Get_Max_Threads=lambda: told[-1], MKL_Set_Num_Threads=told.append, cblas_dgemm=None)
    product(2)
    assert told == [6, 1, 6]
    assert threads.threads_in_use() == 6
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("functions", [{}, {"BLASSetThreading": None}, {"openblas_set_num_threads": None}])
def test_a_library_that_cannot_be_asked_is_left_alone(
    functions: dict[str, Any], monkeypatch: Patch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reference BLAS has no threads; Accelerate has its own way; a build may lack half of the names."""
    library(monkeypatch, **functions)
    np.testing.assert_array_equal(product(2), product(1))
    assert threads.threads_in_use(3) >= 1
    assert capfd.readouterr() == ("", "")


def test_a_library_that_cannot_be_opened_is_left_alone(monkeypatch: Patch) -> None:
    def refuse(path: str) -> Any:
        raise OSError(path)

    library(monkeypatch)
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert threads.libraries() == []


def test_libraries_are_looked_for_once(monkeypatch: Patch) -> None:
    looked = 0

    def loaded() -> list[str]:
        nonlocal looked
        looked += 1
        return []

    monkeypatch.setattr(threads, "_found", None)
    monkeypatch.setattr(threads, "_loaded", loaded)
    assert "numpy" in sys.modules
    for _ in range(3):
        product(1)
    assert looked == 1


def test_the_library_of_this_numpy_is_known() -> None:
    if sys.platform == "linux" and np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"].endswith(
        "openblas"
    ):
        assert threads.libraries()

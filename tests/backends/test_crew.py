"""The pool of threads: lanes are run once each, failures and interrupts end all of them, and the pool goes on."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli.backends import crew
from gradcli.backends import numpy as backend
from gradcli.backends.crew import share
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, apply
from gradcli.plan import Plan, Tiling, make_plan
from gradcli.syntax.diagnostics import ModelError, Source, Span
from tests.conftest import ROOT
from tests.plan.drawn import arrays_for
from tests.plan.test_exact import large

SOURCE = Source("model.net", "net f(x, i) {\n  return sin(x[i]) * 2\n}\n")
PLACE = Span(SOURCE, 27, 31)


def counted(lanes: int, workers: int) -> list[int]:
    """How often each lane ran, each block of it once."""
    ran = [0] * lanes

    def work(lane: int, worker: int) -> Iterator[None]:
        assert 0 <= worker < workers
        for _ in range(3):
            ran[lane] += 1
            yield

    share(work, lanes, workers)
    return ran


@pytest.mark.parametrize("workers", [1, 2, 3, 64])
def test_each_lane_runs_once(workers: int) -> None:
    for lanes in (0, 1, 2, 8, 100):
        assert counted(lanes, workers) == [3] * lanes


def test_a_system_that_gives_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the number of processes is limited: those that there are do the work."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(crew, "_started", [])
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert counted(8, 4) == [3] * 8


def test_a_pool_that_is_busy_is_not_waited_for() -> None:
    """All threads of the pool are held by one task; another one is done by the thread that asks."""
    let_go, held = threading.Event(), threading.Barrier(9)

    def hold(lane: int, worker: int) -> Iterator[None]:
        held.wait()
        let_go.wait()
        yield

    pool = threading.Thread(target=share, args=(hold, 8, 8))
    crew._start(7)
    busy = len(crew._started)
    assert busy >= 7
    held = threading.Barrier(9)
    pool.start()
    held.wait()
    try:
        if busy == 7:
            assert counted(4, 4) == [3] * 4
    finally:
        let_go.set()
        pool.join()
    assert counted(4, 4) == [3] * 4


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fails", [0, 1], ids=["in the thread that asked", "in another"])
def test_a_failure_holds_no_memory(fails: int) -> None:
    """Not even until garbage is looked for, which a command may never do."""

    class Memory:
        pass

    def failing(memory: Memory) -> None:
        met = threading.Barrier(2)

        def work(lane: int, worker: int) -> Iterator[None]:
            met.wait()
            if worker == fails:
                raise FloatingPointError(str(memory))
            yield

        share(work, 2, 2)

    memory = Memory()
    held = weakref.ref(memory)
    gc.disable()
    try:
        with pytest.raises(FloatingPointError) as caught:
            failing(memory)
        del caught, memory
        deadline = time.monotonic() + 20
        while held() is not None and time.monotonic() < deadline:
            time.sleep(0.001)  # until the other thread has let go
        assert held() is None
    finally:
        gc.enable()


def test_what_a_lane_raises_ends_the_others() -> None:
    blocks = 0

    def work(lane: int, worker: int) -> Iterator[None]:
        nonlocal blocks
        for _ in range(5_000):
            if lane == 1:
                raise ValueError("lane 1")
            blocks += 1
            time.sleep(0.001)
            yield

    for workers in (2, 3, 8):
        blocks = 0
        with pytest.raises(ValueError, match="lane 1"):
            share(work, 8, workers)
        assert blocks < 5_000  # not even one of them ran to its end
        assert counted(8, workers) == [3] * 8


def reading() -> Plan:
    """`sin(x[i]) * 2`, of 4,000 indices in many blocks."""
    builder = Builder()
    x, i = builder.input(Aval((50,), "f64"), "x"), builder.input(Aval((4000,), "i64"), "i")
    with builder.at(PLACE):
        read = apply("gather", x, i, axes=(0,))
    return make_plan(builder.finish([apply("sin", read) * 2.0]), Tiling(rows=7))


@pytest.mark.parametrize("wrong", [0, 17, 2000, 3999])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_data_that_is_refused_in_a_lane_names_the_line(wrong: int, workers: int) -> None:
    plan, x = reading(), np.arange(50.0)
    index = np.arange(4000) % 50
    bad = index.copy()
    bad[wrong] = 50
    for _ in range(3):
        with pytest.raises(ModelError) as caught:
            backend.run(plan, [x, bad], workers)
        (diagnostic,) = caught.value.diagnostics
        assert (diagnostic.code, diagnostic.span, caught.value.exit_code) == ("SHP108", PLACE, 2)
        np.testing.assert_array_equal(backend.run(plan, [x, index], workers)[0], np.sin(x[index]) * 2)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_memory_that_runs_out_in_a_lane(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, index = reading(), np.arange(4000) % 50

    def refuse(*args: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("gradcli.backends.lanes.Kit", refuse)
        with pytest.raises(ModelError) as caught:
            backend.run(plan, [np.arange(50.0), index], workers)
    assert (caught.value.diagnostics[0].code, caught.value.exit_code) == ("ENV090", 3)
    assert backend.run(plan, [np.arange(50.0), index], workers)[0].shape == (4000,)


# ── several callers ─────────────────────────────────────────────────────────────────────────────────────────


def test_runs_of_one_plan_at_the_same_time() -> None:
    graph = large("perceptron")
    plan = make_plan(graph)
    inputs = [arrays_for(graph, seed) for seed in range(4)]
    expected = [backend.run(plan, arrays) for arrays in inputs]
    wrong: list[str] = []

    def work(k: int) -> None:
        for _ in range(6):
            for found, want in zip(backend.run(plan, inputs[k], 3), expected[k], strict=True):
                if not np.array_equal(found, want):
                    wrong.append(f"caller {k}")

    callers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
    assert not wrong


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of a timer are POSIX")
def test_a_run_within_a_run() -> None:
    """A signal handler runs the plan that it interrupts."""
    graph = large("chain f64")
    plan, arrays = make_plan(graph), arrays_for(graph, 0)
    expected = backend.run(plan, arrays)
    inner: list[bool] = []

    def handle(number: int, frame: object) -> None:
        inner.append(all(map(np.array_equal, backend.run(plan, arrays, 2), expected)))

    before = signal.signal(signal.SIGALRM, handle)
    try:
        for k in range(40):
            signal.setitimer(signal.ITIMER_REAL, 0.0005 + k * 0.0002)
            for _ in range(3):
                assert all(map(np.array_equal, backend.run(plan, arrays, 2), expected))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(inner) >= 10
    assert all(inner)


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────


def _in_child(plan: Plan, arrays: list[Any], expected: list[Any], found: Any) -> None:
    found.put(all(map(np.array_equal, backend.run(plan, arrays, 3), expected)))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.* JAX:RuntimeWarning")  # where another test has imported it
def test_a_child_process_has_threads_of_its_own() -> None:
    graph = large("perceptron")
    plan, arrays = make_plan(graph), arrays_for(graph, 0)
    expected = backend.run(plan, arrays, 3)
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    for _ in range(3):
        child = context.Process(target=_in_child, args=(plan, arrays, expected, found))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert found.get() is True
        assert all(map(np.array_equal, backend.run(plan, arrays, 3), expected))


LONG = ("eval", "-e", "sum(exp(sin(x)) * tanh(x) + cos(x) ** 3)", "-i", "x=arange(40_000_000) / 7e6", "--threads", "3")


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.parametrize("after", [0.7, 1.0, 1.4])
def test_ctrl_c_while_threads_work(after: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcli", *LONG],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(after)
    early = process.poll() is not None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert b"Traceback" not in err
    assert early or (process.returncode, out) == (130, b""), err
    assert err in (b"", b"interrupted\n")  # the first, where nothing had begun


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_interrupts_in_the_middle_of_threaded_runs() -> None:
    """Again and again, at any moment of a run: each ends as an interrupt, and the next run is right."""
    program = Path(__file__).with_name("interrupted.py")
    ran = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert int(ran.stdout) >= 20

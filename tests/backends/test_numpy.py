"""Running plans on NumPy: results that are the caller's own, errors that name a line, little in between."""

from __future__ import annotations

import sys
import threading
import warnings
from typing import Any

import numpy as np
import pytest

from gradcli.backends import frame
from gradcli.backends import numpy as backend
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.primitive import Primitive, primitive
from gradcli.plan import make_plan
from gradcli.record import replace
from gradcli.syntax.diagnostics import ModelError, Source, Span
from tests.ir.graphs import build

SOURCE = Source("model.net", "net f(x, i) {\n  return x[i]\n}\n")


def with_eval(evaluate: Any) -> Graph:
    """An operator that does what a test wants, in line 2."""
    neg = primitive("neg")
    prim = Primitive("odd", "general", neg.infer, evaluate, None, neg.flops)
    builder = Builder()
    x = builder.input(Aval((2,), "f64"), "x")
    with builder.at(Span(SOURCE, 16, 27)):
        (out,) = builder.emit(prim, (x,))
    return builder.finish([out])


def test_scalars_are_arrays() -> None:
    (out,) = backend.run(make_plan(build(lambda x: x * 2.0, "f32")), [np.float32(3)])
    assert isinstance(out, np.ndarray)
    assert out.shape == ()
    assert out.dtype == "float32"
    assert out == 6


def test_overflow_and_division_by_zero_are_quiet() -> None:
    graph = build(lambda x: (1.0 / x, apply("exp", x * 1e4), apply("log", -x)), "f64[2]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = backend.run(make_plan(graph), [np.array([0.0, 1.0])])
    assert np.isinf(results[0][0])
    assert np.isinf(results[1][1])
    assert np.isnan(results[2][1])


def test_inputs_that_are_read_only_or_strided() -> None:
    plan = make_plan(build(lambda x: apply("tanh", x) * x, "f64[3, 2]"))
    x = np.arange(6.0).reshape(2, 3).T
    x.flags.writeable = False
    np.testing.assert_array_equal(backend.run(plan, [x])[0], np.tanh(x) * x)


def test_an_index_out_of_range_names_the_line() -> None:
    builder = Builder()
    x, i = builder.input(Aval((3,), "f64"), "x"), builder.input(Aval((1,), "i64"), "i")
    with builder.at(Span(SOURCE, 23, 27)):
        out = apply("gather", x, i, axes=(0,))
    plan = make_plan(builder.finish([out]))
    np.testing.assert_array_equal(backend.run(plan, [np.arange(3.0), np.array([2])])[0], [2.0])
    with pytest.raises(ModelError) as caught:
        backend.run(plan, [np.arange(3.0), np.array([3])])
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span == Span(SOURCE, 23, 27)
    assert caught.value.exit_code == 2


def test_memory_that_runs_out_names_the_line() -> None:
    def evaluate(xp: Any, x: Any) -> Any:
        raise MemoryError

    with pytest.raises(ModelError) as caught:
        backend.run(make_plan(with_eval(evaluate)), [np.ones(2)])
    assert caught.value.exit_code == 3
    assert caught.value.diagnostics[0].code == "ENV090"
    assert caught.value.diagnostics[0].span == Span(SOURCE, 16, 27)


def test_an_interrupt_passes_through() -> None:
    def evaluate(xp: Any, x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backend.run(make_plan(with_eval(evaluate)), [np.ones(2)])


def test_operators_of_several_results() -> None:
    neg = primitive("neg")
    prim = Primitive("both", "general", lambda x: (x, x), lambda xp, x: (x + 1, x - 1), None, neg.flops)
    builder = Builder()
    x = builder.input(Aval((2,), "f64"), "x")
    up, down = builder.emit(prim, (x,))
    results = backend.run(make_plan(builder.finish([down, up])), [np.zeros(2)])
    assert [list(array) for array in results] == [[-1.0, -1.0], [1.0, 1.0]]
    (only,) = backend.run(make_plan(builder.finish([up * 2.0])), [np.zeros(2)])
    assert list(only) == [2.0, 2.0]


def test_threads_do_not_disturb_each_other() -> None:
    def make(x: Value) -> Value:
        for _ in range(50):
            x = apply("sin", x) + 1.0
        return x

    plan = make_plan(build(make, "f64[500]"))
    inputs = [np.full(500, float(k)) for k in range(8)]
    expected = [backend.run(plan, [x])[0] for x in inputs]
    found: list[Any] = [None] * 8

    def work(k: int) -> None:
        for _ in range(20):
            (found[k],) = backend.run(plan, [inputs[k]])

    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_array_equal(have, want)


def test_a_plan_is_made_ready_once() -> None:
    plan = make_plan(build(lambda x: x * 2.0, "f64[2]"))
    backend.run(plan, [np.ones(2)])
    (frame,) = plan.compiled["numpy:1"]
    backend.run(plan, [np.ones(2)])
    assert plan.compiled["numpy:1"] == [frame]
    assert not replace(plan, compiled={}).compiled


@pytest.mark.parametrize("often", [0, 5])
def test_a_step_runs_no_python_function(often: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the calls of the array library stands the function of the plan, or one loop, and nothing else."""

    def make(x: Value) -> Value:
        for _ in range(2000):
            x = apply("sin", x)
        return x

    plan, x, called = make_plan(build(make, "f64[4]")), np.ones(4), 0
    monkeypatch.setattr(frame, "OFTEN", often)
    for _ in range(2):
        backend.run(plan, [x])

    def counted(at: object, event: str, arg: object) -> None:
        nonlocal called
        called += event == "call"

    sys.setprofile(counted)
    try:
        backend.run(plan, [x])
    finally:
        sys.setprofile(None)
    assert called < 50

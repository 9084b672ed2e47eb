"""Steps as lines and as one function: the same results, the same places of errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcli.backends import frame
from gradcli.backends import numpy as backend
from gradcli.backends.script import in_order
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, apply
from gradcli.plan import make_plan
from gradcli.syntax.diagnostics import ModelError, Source, Span
from tests.ir.graphs import build

SOURCE = Source("model.net", "net f(x, i) {\n  return x[i]\n}\n")


@pytest.mark.parametrize("often", [0, 100])
def test_an_error_names_its_line(often: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "OFTEN", often)
    builder = Builder()
    x, i = builder.input(Aval((3,), "f64"), "x"), builder.input(Aval((1,), "i64"), "i")
    first = apply("sin", x) * 2.0
    with builder.at(Span(SOURCE, 23, 27)):
        out = apply("gather", first, i, axes=(0,))
    plan = make_plan(builder.finish([out + 1.0, first]))
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            backend.run(plan, [np.arange(3.0), np.array([3])])
        assert caught.value.diagnostics[0].span == Span(SOURCE, 23, 27)
        made = backend.run(plan, [np.arange(3.0), np.array([2])])
        np.testing.assert_array_equal(made[0], [np.sin(2.0) * 2.0 + 1.0])


def test_what_runs_often_becomes_a_function() -> None:
    plan = make_plan(build(lambda x: (apply("tanh", x) * x, x), "f64[3]"))
    x = np.arange(3.0)
    for _ in range(frame.OFTEN):
        lines = backend.run(plan, [x])
    (kept,) = plan.compiled["numpy:1"]
    assert kept.function is None
    function = backend.run(plan, [x])
    assert kept.function is not None
    for found, want in zip(function, lines, strict=True):
        np.testing.assert_array_equal(found, want)
        assert not np.shares_memory(found, x)


@pytest.mark.parametrize("often", [0, 100])
def test_nothing_of_a_run_is_kept(often: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(frame, "OFTEN", often)
    plan = make_plan(build(lambda x: apply("reshape", x, shape=(3, 2)) * 2.0, "f64[2, 3]"))
    x = np.ones((2, 3))
    before = sys.getrefcount(x)
    (out,) = backend.run(plan, [x])
    assert sys.getrefcount(x) == before
    assert sys.getrefcount(out) == 2


def test_where_results_are_given_by_name() -> None:
    def taken(x: Any, *, out: Any) -> None:
        raise AssertionError

    assert in_order(np.multiply)
    assert not any(map(in_order, (np.maximum, np.minimum, taken)))

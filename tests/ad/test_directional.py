"""High orders along a direction: one series in the step against forward mode nested as often."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gradcli.ad import directional as module
from gradcli.ad.directional import directional
from gradcli.ir.graph import Graph, apply
from gradcli.ir.verify import verify
from tests.ir.graphs import build, naive

X, Y = np.array([0.3, -0.7, 1.1]), np.array([1.5, 0.2, 0.9])
T, S = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.1, -1.0])


def nested(graph: Graph, order: int, monkeypatch: pytest.MonkeyPatch) -> Graph:
    with monkeypatch.context() as patch:
        patch.setattr(module, "SERIES_FROM", 99)
        return directional(graph, [0, 1], [0], order)


@pytest.mark.parametrize("order", range(1, 9))
def test_a_series_is_what_nested_passes_are(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build(
        lambda x, y: apply("sin", x * y) * apply("exp", x) + apply("reduce_sum", apply("tanh", x) / y, axes=(0,)),
        *("f64[3]", "f64[3]"),
    )
    once = nested(graph, order, monkeypatch)
    monkeypatch.setattr(module, "SERIES_FROM", 1)
    series = directional(graph, [0, 1], [0], order)
    for made in (once, series):
        verify(made)
        assert [value.aval for value in made.inputs] == [value.aval for value in graph.inputs] * 2
    (wanted,), (found,) = naive(once, [X, Y, T, S]), naive(series, [X, Y, T, S])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-10 * abs(wanted).max())


def test_the_closed_form_of_a_power() -> None:
    graph = build(lambda x: x * x * x * x * x * x, "f64[3]")
    for order in range(1, 8):
        (found,) = naive(directional(graph, [0], [0], order), [X, T])
        falling = factorial(6) / factorial(6 - order) if order <= 6 else 0.0
        assert_allclose(found, falling * X ** max(6 - order, 0) * T**order, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtypes", [("f64", "f32"), ("f32", "f64")])
def test_dtypes_that_differ_are_nested(dtypes: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def make(x: Any, y: Any) -> Any:
        return apply("cast", apply("sin", x), dtype="f64") * apply("cast", y, dtype="f64")

    graph = build(make, f"{dtypes[0]}[3]", f"{dtypes[1]}[3]")
    made = directional(graph, [0, 1], [0], 6)
    (found,), (wanted,) = (naive(each, [X, Y, T, S]) for each in (made, nested(graph, 6, monkeypatch)))
    assert found.tobytes() == wanted.tobytes()


def test_without_a_path_it_is_zero() -> None:
    graph = build(lambda x, y: apply("exp", y), "f64[3]", "f64[3]")
    for order in (1, 2, 6):
        (found,) = naive(directional(graph, [0], [0], order), [X, Y, T])
        assert_allclose(found, np.zeros(3))

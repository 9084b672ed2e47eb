"""Taylor mode: series against nested gradients for every elementwise operator, and high orders against mpmath."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradcli
from gradcli import differentiate
from gradcli.ad.reverse import reverse
from gradcli.ad.taylor import NoSeries, along_ones, derivative_along
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from
from gradcli.ir.verify import verify
from tests.ops.samples import Case, evaluate, floats, graph_of, operands, walk

ORDER = 4
ELEMENTWISE = [
    case
    for case in walk()
    if case.values[0].prim.kind == "elementwise"
    and case.values[0].sample.differentiable
    and floats(operands(case.values[0]))
    and floats(graph_of(case.values[0], operands(case.values[0])).outputs)
]


@pytest.mark.parametrize("case", ELEMENTWISE)
def test_series_of_every_elementwise_operator(case: Case) -> None:
    """All operands but one are held; the nested gradients of the sum are the derivatives along ones, where each
    element goes its own way."""
    arrays = operands(case)
    graph = graph_of(case, arrays)
    for position in floats(arrays):
        if along_ones(graph, position, [0]) is None:
            continue
        nested = graph
        for order in range(1, ORDER + 1):
            made = derivative_along(graph, position, order, [0])
            verify(made)
            nested = outputs_from(reverse(nested, [position], outputs=[0]), len(nested.outputs))
            (wanted,) = evaluate(nested, arrays)
            found = evaluate(made, arrays)[-1]
            scale = float(abs(wanted).max(initial=1.0))
            assert_allclose(found.sum() if wanted.size == 1 else found, wanted.sum() if wanted.size == 1 else wanted,
                            rtol=1e-9, atol=1e-11 * scale)  # fmt: skip


# By mpmath 1.3 with 60 digits: `mpmath.diff(f, x, 10)`.
TENTH = {
    ("exp(sin(x) * tanh(x))", 0.7): 65941.093905172979278,
    ("softplus(x) * lgamma(x) / sqrt(x) + atan2(x, x**2 + 1)", 0.7): 85314535.403659711691,
    ("1 / (1 + x * x)", 0.5): -402120.071184384,
    ("x ** 10", 3.0): 3628800.0,
    ("x ** 9", 0.0): 0.0,
    ("sqrt(x)", 2.0): -46.475397287920466282,
}


@pytest.mark.parametrize(("expression", "point"), TENTH)
def test_the_tenth_derivative(expression: str, point: float) -> None:
    found = gradcli.compile(f"net f(x) = {expression}").grad(x=point, order=10)
    assert_allclose(found[0], TENTH[expression, point], rtol=1e-8, atol=1e-9)


def test_nested_passes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    net = gradcli.compile("net f(x) = exp(sin(x) * tanh(x)) / (1 + x ** 2)")
    series = net.grad(x=0.7, order=6)[0]
    monkeypatch.setattr(differentiate, "SERIES_FROM", 99)
    assert_allclose(series, net.grad(x=0.7, order=6)[0], rtol=1e-12)


@pytest.mark.parametrize("expression", ["sum(sin(x) * exp(x))", "sin(x) * x", "mean(where(x > 0.5, x ** 7, cos(x)))"])
def test_arrays_whose_elements_go_their_own_way(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = gradcli.compile(f"net f(x) = {expression}")
    x = np.array([0.1, 0.7, 1.3])
    series = net.grad(x=x, order=5)[0]
    monkeypatch.setattr(differentiate, "SERIES_FROM", 99)
    assert_allclose(series, net.grad(x=x, order=5)[0], rtol=1e-11)


@pytest.mark.parametrize("expression", ["sum(x) ** 3", "cumsum(x) ** 3", "max(x) * sum(x ** 6)", "x @ x"])
def test_other_arrays_are_left_to_nested_passes(expression: str) -> None:
    graph = _graph(expression, np.array([0.1, 0.7]))
    assert along_ones(graph, 0, [0]) is None
    assert np.isfinite(gradcli.compile(f"net f(x) = {expression}").grad(x=np.array([0.1, 0.7]), order=5)[0]).all()


def test_an_operator_without_series_is_left_to_nested_passes() -> None:
    graph = _graph("max([x, x * x]) ** 2", np.array(0.7))
    with pytest.raises(NoSeries):
        derivative_along(graph, 0, 2, [0])
    assert gradcli.compile("net f(x) = max([x, x * x]) ** 6").grad(x=0.7, order=5)[0] == pytest.approx(720 * 0.7)


def test_matrices_and_shapes_on_the_way_of_one_number() -> None:
    """x [1, 2; 3, 4] @ [x, x²] summed, to the fifth power."""
    net = gradcli.compile("net f(x) = sum([[1.0, 2], [3, 4]] @ stack([x, x ** 2])) ** 5")
    by_hand = np.polynomial.Polynomial([0.0, 4.0, 6.0]) ** 5
    assert_allclose(net.grad(x=0.3, order=7)[0], by_hand.deriv(7)(0.3), rtol=1e-12)


def test_stop_gradient_is_respected() -> None:
    net = gradcli.compile("net f(x) = stop_gradient(x) ** 3 * x ** 5")
    assert net.grad(x=2.0, order=5)[0] == pytest.approx(8 * 120)


def test_a_long_chain() -> None:
    """2,000 operators do not recurse."""
    text = "net f(x) {\n  y = x\n" + "".join(f"  y = y + {k / 1e4} * sin(y)\n" for k in range(1000)) + "  return y\n}\n"
    found = gradcli.compile(text).grad(x=1e-3, order=5)[0]
    assert np.isfinite(found)


def _graph(expression: str, x: np.ndarray) -> Graph:
    from gradcli import opening
    from gradcli.request import ModelFile, Request

    return opening.prepare(ModelFile(text=f"net f(x) = {expression}", name="t.net"), Request(arrays={"x": x}))[1].graph

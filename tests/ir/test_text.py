"""How graphs are shown."""

from __future__ import annotations

import pytest

from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.constants import pack
from gradcli.ir.graph import Builder, Graph, apply
from gradcli.ir.text import render
from gradcli.syntax.diagnostics import Source, Span
from tests.ir.graphs import build

MODEL = Source("model.net", "net Net(x, y) {\n  x = x * 2\n  return x @ y\n}\n")


def guide() -> Graph:
    builder = Builder()
    x, y = builder.input(Aval((2, 3), "f32"), "x"), builder.input(Aval((3, 3), "f32"), "y")
    with builder.at(Span(MODEL, 18, 27)):
        h = x * 2.0
    h.hint = "h"
    with builder.at(Span(MODEL, 30, 42)):
        out = apply("matmul", h, y)
    return builder.finish([out])


def test_a_graph() -> None:
    assert render(guide()) == (
        "graph(x: f32[2, 3], y: f32[3, 3])\n"
        "  h  : f32[2, 3] = mul(x, 2.0)   # model.net:2\n"
        "  %0 : f32[2, 3] = matmul(h, y)  # model.net:3\n"
        "  return %0\n"
    )


def test_a_gradient_names_what_it_is_the_cotangent_of() -> None:
    text = render(reverse(guide(), [0]))
    lines = {line.split(":")[0].strip(): line for line in text.splitlines()}
    assert lines["d_h"].endswith("# model.net:3")
    assert lines["d_x"].endswith("mul(d_h, 2.0)                    # model.net:2")
    assert text.endswith("  return %0, d_x\n")


def test_a_name_that_two_values_have_names_neither_but_an_input() -> None:
    def make(x):  # type: ignore[no-untyped-def]
        h = apply("sin", x)
        k = apply("cos", h)
        h.hint = k.hint = "h"
        out = k * x
        out.hint = "x"
        return out

    assert render(build(make, "f64")) == (
        "graph(x: f64[])\n  %0 : f64[] = sin(x)\n  %1 : f64[] = cos(%0)\n  %2 : f64[] = mul(%1, x)\n  return %2\n"
    )


def test_nothing_but_an_input() -> None:
    assert render(build(lambda x: x, "f64[0]")) == "graph(x: f64[0])\n  return x\n"


@pytest.mark.parametrize(
    ("dtype", "shape", "numbers", "shown"),
    [
        ("f32", (2,), [0.1, 1e30], "constant([0.1, 1e+30])"),
        ("f64", (2,), [0.1, -0.0], "constant([0.1, -0.0])"),
        ("f16", (1,), [65504.0], "constant([65500.0])"),
        ("i64", (2, 2), [1, 2, 3, 4], "constant([[1, 2], [3, 4]])"),
        ("bool", (2,), [True, False], "constant([true, false])"),
        ("f64", (3, 0), [], "constant([])"),
        ("f64", (20,), [float("nan")] * 20, "constant(nan everywhere)"),
        ("i32", (20,), list(range(20)), "constant(0 … 19)"),
    ],
)
def test_constants(dtype: str, shape: tuple[int, ...], numbers: list[float], shown: str) -> None:
    builder = Builder()
    graph = builder.finish([builder.constant(dtype, shape, pack(numbers, dtype))])
    assert f"= {shown}\n" in render(graph)


def test_params_and_slices() -> None:
    items = ((0, 2, 1), (4, 5, -1), (1, 2, 2))
    text = render(build(lambda x: apply("slice", x, items=items), "f64[3, 5, 6]"))
    assert "slice(x, items=[0:2, 4::-1, 1:5:2])" in text
    assert "reduce_sum(x, axes=[0, 1])" in render(build(lambda x: apply("reduce_sum", x, axes=(0, 1)), "f64[2, 2]"))


def test_places_of_the_model_come_before_those_of_the_prelude() -> None:
    builder = Builder()
    x = builder.input(Aval((), "f64"), "x")
    prelude = Source("prelude.net", "net mean(x) = sum(x)\n", prelude=True)
    with builder.at(Span(prelude, 14, 20), Span(MODEL, 18, 27)):
        out = apply("sin", x)
    assert render(builder.finish([out])).splitlines()[1].endswith("# model.net:2")

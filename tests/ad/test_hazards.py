"""What derivative systems get wrong, one test each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gradcli.ad import matrix
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.interp import loops
from gradcli.ir.primitive import primitive
from gradcli.ir.verify import verify
from tests.interp.nets import value, values
from tests.ir.graphs import arrays_for, build, naive
from tests.ops.samples import Case, evaluate, graph_of, operands


@pytest.fixture
def rolled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short loops are rolled, too."""
    monkeypatch.setattr(loops, "ROLLED_FROM", 1)


# ── perturbation confusion ──────────────────────────────────────────────────────────────────────────────────

GRAD, JVP = "grad({})", "jvp({}, tangent=1.0)"


@pytest.mark.parametrize("outer", [GRAD, JVP])
@pytest.mark.parametrize("inner", [GRAD, JVP])
def test_perturbations_are_not_confused(outer: str, inner: str) -> None:
    """d/dx [x · d/dy (x + y)] = 1, never 2 (Siskind & Pearlmutter, "Perturbation confusion and referential
    transparency", 2005)."""
    text = (
        "net main(x: f64) {\n  net f(x: f64) {\n    net g(y: f64) = x + y\n"
        f"    return x * {inner.format('g')}(1.0)\n  }}\n  return {outer.format('f')}(x)\n}}\n"
    )
    assert value(text, net="main", x=1.0) == 1.0


@pytest.mark.parametrize("outer", [GRAD, JVP])
@pytest.mark.parametrize("inner", [GRAD, JVP])
def test_perturbations_meet_where_they_should(outer: str, inner: str) -> None:
    """d/dx [x · d/dy (x² y³)] = d/dx 3 x³ y² = 9 x² y²"""
    text = (
        "net main(x: f64) {\n  net f(x: f64) {\n    net g(y: f64) = x * x * y ** 3\n"
        f"    return x * {inner.format('g')}(2.0)\n  }}\n  return {outer.format('f')}(x)\n}}\n"
    )
    assert_allclose(value(text, net="main", x=3.0), 9 * 9 * 4, rtol=1e-14)


@pytest.mark.parametrize("inner", [GRAD, JVP])
def test_perturbations_inside_a_batch(inner: str) -> None:
    text = (
        "net f(x: f64) {\n  net g(y: f64) = x * x * y ** 3\n"
        f"  return {inner.format('g')}(x)\n}}\nnet main(x: f64[n]) = vmap(grad(f))(x)\n"
    )
    x = np.array([1.0, 2.0, 3.0])
    assert_allclose(value(text, net="main", x=x), 12 * x**3, rtol=1e-14)


# ── stop_gradient ───────────────────────────────────────────────────────────────────────────────────────────

STOPPED = "net f(x: f64) = x * stop_gradient(x ** 2) + stop_gradient(sin(x))\n"


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("grad(f)(x)", 9.0),
        ("jvp(f, tangent=2.0)(x)", 18.0),
        ("jacobian(f)(x)", 9.0),
        ("hessian(f)(x)", 0.0),
        ("hvp(f, v=1.0)(x)", 0.0),
        ("grad(grad(f))(x)", 0.0),
        ("grad(jvp(f, tangent=2.0))(x)", 0.0),
        ("jvp(grad(f), tangent=1.0)(x)", 0.0),
        ("grad(checkpoint(f))(x)", 9.0),
        ("vmap(grad(f))([x, x])[1]", 9.0),
        ("grad(g)([x, x])[0]", 9.0),
        ("jvp(g, tangent=[1.0, 0])([x, x])[0]", 9.0),
        ("grad(h)(x)", 0.3 * 3 * 0.3 * 2.7),
    ],
)
def test_nothing_flows_through_stop_gradient(form: str, wanted: float, rolled: None) -> None:
    text = STOPPED + (
        "net g(x: f64[n]) = vmap(f)(x)\n"
        "net h(x: f64) {\n  for i in 0..2 {\n    x = x * stop_gradient(x) * 0.3\n  }\n  return x\n}\n"
        f"net main(x: f64) = {form}\n"
    )
    assert_allclose(value(text, net="main", x=3.0), wanted, rtol=1e-14)


def test_every_transformation_of_stop_gradient_itself_is_zero() -> None:
    graph = build(lambda x: primitive("stop_gradient")(x), "f64[3]")
    x, v = arrays_for(graph), np.ones(3)
    for made, more in (
        (reverse(graph, [0], sens="inputs"), [v]),
        (forward(graph, [0]), [v]),
        (matrix.jacobian(graph, [0], mode="forward"), []),
        (matrix.jacobian(graph, [0], mode="reverse"), []),
        (matrix.hessian(graph, [0]), []),
        (matrix.hvp(graph, [0]), [v]),
    ):
        verify(made)
        kept, derivative = naive(made, [*x, *more])
        assert_array_equal(kept, x[0])
        assert not derivative.any()


# ── inputs and outputs ──────────────────────────────────────────────────────────────────────────────────────

UNUSED = "net f(x: f64[2], y: f32[3]) = sum(x ** 3)\n"


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        ("grad(f, wrt=y)", (3,)),
        ("jvp(f, tangent=[1.0, 2, 3], wrt=y)", ()),
        ("jacobian(f, wrt=y)", (3,)),
        ("hessian(f, wrt=y)", (3, 3)),
        ("hvp(f, v=[1.0, 2, 3], wrt=y)", (3,)),
        ("grad(checkpoint(f), wrt=y)", (3,)),
        ("grad(grad(f, wrt=y), wrt=x)", (2,)),
    ],
)
def test_an_unused_input_has_zeros(form: str, shape: tuple[int, ...]) -> None:
    text = UNUSED + f"net main(x: f64[2], y: f32[3]) = {form}(x, y)\n"
    found = value(text, net="main", x=[1.0, 2.0], y=np.ones(3, "f4"))
    assert found.shape == shape
    assert not found.any()


def test_an_unused_input_in_a_batch_and_in_hessian_blocks() -> None:
    text = UNUSED + (
        "net main(x: f64[4, 2], y: f32[4, 3]) {\n"
        "  return vmap(grad(f, wrt=y))(x, y), vmap(hessian(f, wrt=(x, y)))(x, y)\n}\n"
    )
    x = np.arange(8.0).reshape(4, 2)
    by_y, xx, *others = values(text, net="main", x=x, y=np.ones((4, 3), "f4"))
    assert by_y.shape == (4, 3)
    assert_array_equal(xx, 6 * x[:, :, None] * np.eye(2))
    assert [(a.shape, bool(a.any())) for a in others] == [((4, 2, 3), False), ((4, 3, 2), False), ((4, 3, 3), False)]


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("grad(f)(x)", [1.0, 1.0]),
        ("grad(f, sens=[3.0, 4.0])(x)", [3.0, 4.0]),
        ("jvp(f, tangent=[3.0, 4.0])(x)", [3.0, 4.0]),
        ("jacobian(f)(x)", [[1.0, 0.0], [0.0, 1.0]]),
        ("hessian(f)(x)", [[0.0, 0.0], [0.0, 0.0]]),
        ("hvp(f, v=[3.0, 4.0])(x)", [0.0, 0.0]),
        ("vmap(grad(s))(x)", [1.0, 1.0]),
        ("grad(checkpoint(f))(x)", [1.0, 1.0]),
        ("jacobian(checkpoint(f))(x)", [[1.0, 0.0], [0.0, 1.0]]),
        ("checkpoint(f)(x)", [5.0, 6.0]),
        ("vmap(s)(x)", [5.0, 6.0]),
    ],
)
def test_an_input_that_is_returned(form: str, wanted: Any) -> None:
    text = f"net f(x: f64[n]) = x\nnet s(x: f64) = x\nnet main(x: f64[n]) = {form}\n"
    assert_array_equal(value(text, net="main", x=[5.0, 6.0]), wanted)


TWO = "net f(x: f64) {\n  return x ** 2, x ** 3, i64(x)\n}\n"


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("grad(f)(x)", [4 + 12]),
        ("grad(f, sens=(2.0, 3.0))(x)", [2 * 4 + 3 * 12]),
        ("jvp(f, tangent=10.0)(x)", [40, 120]),
        ("jacobian(f)(x)", [4, 12]),
        ("hessian(f)(x)", [2 + 12]),
        ("hessian(f, sens=(2.0, 3.0))(x)", [2 * 2 + 3 * 12]),
        ("hvp(f, v=10.0, sens=(2.0, 3.0))(x)", [10 * (2 * 2 + 3 * 12)]),
        ("checkpoint(f)(x)", [4, 8, 2]),
        ("grad(checkpoint(f), sens=(2.0, 3.0))(x)", [2 * 4 + 3 * 12]),
        ("jvp(checkpoint(f), tangent=10.0)(x)", [40, 120]),
        ("jacobian(jvp(f, tangent=10.0))(x)", [20, 120]),
        ("grad(jacobian(f), sens=(2.0, 3.0))(x)", [2 * 2 + 3 * 12]),
        ("value_and_jvp(f, tangent=10.0)(x)", [4, 8, 2, 40, 120]),
    ],
)
def test_two_outputs_and_an_integer(form: str, wanted: list[float]) -> None:
    assert [float(v) for v in values(TWO + f"net main(x: f64) = {form}\n", net="main", x=2.0)] == wanted


def test_two_outputs_in_a_batch() -> None:
    text = TWO + "net main(x: f64[n]) {\n  return vmap(f)(x), vmap(jacobian(f))(x)\n}\n"
    squares, cubes, whole, by_squares, by_cubes = values(text, net="main", x=[2.0, 3.0])
    assert (squares.tolist(), cubes.tolist(), whole.tolist()) == ([4.0, 9.0], [8.0, 27.0], [2, 3])
    assert (by_squares.tolist(), by_cubes.tolist()) == ([4.0, 6.0], [12.0, 27.0])


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        ("grad(f, sens=s)", (0,)),
        ("jvp(f, tangent=s)", (0,)),
        ("jacobian(f)", (0, 0)),
        ("hessian(f, sens=s)", (0, 0)),
        ("hvp(f, v=s, sens=s)", (0,)),
        ("vmap(g)", (0,)),
        ("vmap(grad(g))", (0,)),
        ("vmap(hessian(g))", (0,)),
        ("checkpoint(f)", (0,)),
        ("jacobian(jacobian(f))", (0, 0, 0)),
        ("grad(hessian(f))", (0,)),
    ],
)
def test_arrays_without_elements(form: str, shape: tuple[int, ...]) -> None:
    text = (
        "net g(x: f64) = sin(x) * x\nnet f(x: f64[n]) = sin(x) * x * (1.0 + sum(x))\n"
        f"net main(x: f64[n]) {{\n  s = zeros([0])\n  return {form}(x)\n}}\n"
    )
    assert value(text, net="main", x=np.zeros(0)).shape == shape


# ── matrices ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["matmul", "solve", "cumprod", "scan", "concat", "gather", "softplus", "scatter_set"])
def test_both_modes_give_one_jacobian(name: str) -> None:
    case = Case(primitive(name), primitive(name).samples[0])
    arrays = operands(case)
    graph = graph_of(case, arrays)
    wrt = [k for k, value in enumerate(graph.inputs) if value.aval.is_float]
    one, other = (evaluate(matrix.jacobian(graph, wrt, mode=mode), arrays) for mode in ("forward", "reverse"))
    for a, b in zip(one, other, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-13)

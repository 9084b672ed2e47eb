"""What goes wrong with derivatives of loops, one test each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import gradcli
from gradcli import opening
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.interp import loops
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from
from gradcli.ir.primitive import primitive
from gradcli.passes.pipeline import optimize
from gradcli.plan import make_plan
from gradcli.request import ModelFile, Request
from tests.interp.nets import grads, value
from tests.ops.samples import Case, graph_of, operands


@pytest.fixture
def rolled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short loops are rolled, too."""
    monkeypatch.setattr(loops, "ROLLED_FROM", 1)


FORMS = ["grad(f)(x)", "jvp(f, tangent=2.0)(x)", "jacobian(f)(x)", "hessian(f)(x)", "hvp(f, v=2.0)(x)", "f(x)",
         "vmap(f)([x, 2 * x])", "vmap(grad(f))([x, 2 * x])", "vmap(hessian(f))([x, 2 * x])",
         "grad(g)([x, 2 * x])", "hessian(g)([x, 2 * x])", "grad(checkpoint(f))(x)", "jacobian(grad(f))(x)"]  # fmt: skip


def both_ways(body: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rolled, and written out."""
    text = body + f"net g(x: f64[n]) = vmap(f)(x)\nnet main(x: f64) = {form}\n"
    found = []
    for rolled_from in (1, 1000):
        monkeypatch.setattr(loops, "ROLLED_FROM", rolled_from)
        found.append(value(text, net="main", x=0.7))
    assert_allclose(found[0], found[1], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_integers_are_carried(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside floats, as counters, as indices, and as what decides."""
    both_ways(
        "net f(x: f64) {\n  w = [1.0, x, sin(x), x * x]\n  k = 0\n  y = x\n  even = true\n"
        "  for i in 0..5 {\n    y = y * w[k] + (x if even else k * y)\n    k = (3 * k + i) % 4\n"
        "    even = not even\n  }\n  return y * k\n}\n",
        form, monkeypatch,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_tuple_is_carried(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both_ways(
        "net f(x: f64) {\n  state = (x, (x * x, [x, 1.0]))\n  for i in 0..4 {\n"
        "    state = (state[1][0] * x, (sin(state[0]) + i, state[1][1] * state[0]))\n  }\n"
        "  return state[0] + state[1][0] * sum(state[1][1])\n}\n",
        form, monkeypatch,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_loop_in_a_loop(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both_ways(
        "net f(x: f64) {\n  y = x\n  for i in 0..3 {\n    z = y\n"
        "    for j in 0..i + 1 {\n      z = sin(z) * x + j\n    }\n"
        "    y = y * z\n  }\n  return y\n}\n",
        form, monkeypatch,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_of_loops_in_a_loop_of_a_batch(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both_ways(
        "net step(a: f64, b: f64) {\n  for i in 0..3 {\n    a = sin(a) * b + 0.1 * i\n  }\n  return a\n}\n"
        "net f(x: f64) {\n  v = [x, 2 * x, x * x]\n  for i in 0..3 {\n"
        "    v = vmap(step, axes=(0, None))(v, x) + x\n  }\n  return sum(v)\n}\n",
        form, monkeypatch,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("turns", ["0..0", "3..3", "0..4 while x > 9", "0..4 while i < 0"])
def test_a_loop_of_no_turns(form: str, turns: str, rolled: None) -> None:
    text = "net f(x: f64) {{\n  x = x * x\n{}  return x\n}}\n"
    loop = f"  for i in {turns} {{\n    x = sin(x)\n  }}\n"
    with_it, without = (
        value(text.format(part) + f"net g(x: f64[n]) = vmap(f)(x)\nnet main(x: f64) = {form}\n", net="main", x=0.7)
        for part in (loop, "")
    )
    assert_allclose(with_it, without, rtol=1e-15)


TAKES = "net {name}(x: f64) {{\n  for i in 0..{turns} {{\n    x = x + x * x\n  }}\n  return x\n}}\n"
SINGLE = ["f", "grad(f)", "jvp(f, tangent=2.0)", "jacobian(f)", "hessian(f)", "hvp(f, v=2.0)", "grad(grad(f))",
          "grad(checkpoint(f))", "jacobian(grad(f))", "grad(jvp(f, tangent=2.0))"]  # fmt: skip


def turns_taken(x: float, limit: float) -> int:
    taken = 0
    while taken < 7 and x < limit:
        x, taken = x + x * x, taken + 1
    return taken


@pytest.mark.parametrize("form", SINGLE)
@pytest.mark.parametrize("limit", [0.5, 2.0, 6.0, 1e9])
def test_the_derivative_is_of_the_turns_taken(form: str, limit: float, rolled: None) -> None:
    """How many they are depends on x; each row of a batch takes its own."""
    stops = TAKES.format(name="f", turns=f"7 while x < {limit}")
    rows = np.array([0.7, 1.4, 0.2])
    wanted = [value(TAKES.format(name="f", turns=turns_taken(x, limit)) + f"net main(x: f64) = {form}(x)\n", net="main",
                    x=x) for x in rows]  # fmt: skip
    one = [value(stops + f"net main(x: f64) = {form}(x)\n", net="main", x=x) for x in rows]
    assert_allclose(one, wanted, rtol=1e-14)
    together = value(stops + f"net main(x: f64[n]) = vmap({form})(x)\n", net="main", x=rows)
    assert_allclose(together, wanted, rtol=1e-14)


def written(n: int) -> Graph:
    """y[i] = …, of what was written before: n turns over an array of n elements."""
    text = (
        "net main(x: f64[n]) {\n  y = zeros([n])\n  y[0] = x[0]\n  for i in 1..n {\n"
        "    y[i] = sin(y[i - 1]) * x[i]\n  }\n  return sum(y * y)\n}\n"
    )
    request = Request(arrays={"x": np.ones(n)})
    return opening.prepare(ModelFile(text=text, name="t.net"), request)[1].graph


def test_writing_element_by_element_is_right() -> None:
    x = np.random.default_rng(0).uniform(0.5, 1.5, 30)
    gradient = optimize(reverse(written(30), [0]))
    found = backend.run(make_plan(gradient), [x])[-1]
    way, h = np.random.default_rng(1).uniform(-1, 1, 30), 1e-6

    def total(x: np.ndarray[Any, Any]) -> float:
        y = [x[0]]
        for a in x[1:]:
            y.append(np.sin(y[-1]) * a)
        return float(np.sum(np.square(y)))

    assert_allclose(found @ way, (total(x + h * way) - total(x - h * way)) / (2 * h), rtol=1e-8)


@pytest.mark.parametrize("made", [lambda g: reverse(g, [0]), lambda g: forward(g, [0])], ids=["grad", "jvp"])
def test_writing_element_by_element_takes_as_many_nodes_for_any_number_of_turns(made: Any) -> None:
    assert len(optimize(made(written(20)))) == len(optimize(made(written(2_000)))) < 20


def test_tangents_of_writing_element_by_element_are_written_in_place() -> None:
    """The memory of ten times the turns is ten times that, not a hundred times."""
    few, many = (make_plan(optimize(forward(written(n), [0]))).peak for n in (200, 2_000))
    assert many < 11 * few


def test_a_loop_of_one_result() -> None:
    """Nothing carried and one thing stacked, which is what is left of some loops backwards."""
    (sample,) = (s for s in primitive("scan").samples if s.params["carry"] == 0)
    case = Case(primitive("scan"), sample)
    arrays = operands(case)
    graph = graph_of(case, arrays)
    (found,) = backend.run(make_plan(graph), arrays)
    assert_array_equal(found, arrays[0] ** 2)
    gradient = optimize(outputs_from(reverse(graph, [0]), 1))
    assert_array_equal(backend.run(make_plan(gradient), arrays)[0], 2 * arrays[0])


@pytest.mark.parametrize("turns", ["0..12", "0..12 while sum(x) < 30"])
def test_the_hessian_of_a_loop(turns: str) -> None:
    """Symmetric, its product with a vector is `hvp`, and both are those of central differences of the gradient."""
    text = (
        f"net f(x: f64[3], w: f64[3]) {{\n  for i in {turns} {{\n    x = x + 0.3 * sin(w * x) * sum(x)\n  }}\n"
        "  return sum(x ** 2)\n}\n"
    )
    x, w, v, h = np.array([0.3, 0.5, 0.9]), np.array([1.0, -0.4, 0.6]), np.array([0.2, -0.7, 0.4]), 1e-5

    def of(form: str, w: np.ndarray[Any, Any]) -> Any:
        whole = text + f"net main(x: f64[3], w: f64[3], v: f64[3]) = {form}(x, w)\n"
        return value(whole, net="main", x=x, w=w, v=v)

    full = of("hessian(f, wrt=w)", w)
    assert_allclose(full, full.T, rtol=1e-12)
    assert_allclose(full @ v, of("hvp(f, v=v, wrt=w)", w), rtol=1e-12)
    slope = (of("grad(f, wrt=w)", w + h * v) - of("grad(f, wrt=w)", w - h * v)) / (2 * h)
    assert_allclose(full @ v, slope, rtol=1e-7)


def test_gradients_through_the_command_of_a_net_that_transforms() -> None:
    """The gradient of a model that holds a Hessian of a loop in a batch."""
    text = (
        "net f(x: f64, w: f64) {\n  for i in 0..10 {\n    x = sin(x * w) + x\n  }\n  return x\n}\n"
        "net main(x: f64[n], w: f64) = sum(vmap(hessian(f), axes=(0, None))(x, w))\n"
    )
    x, h = np.array([0.1, 0.2]), 1e-5
    found = grads(text, net="main", x=x, w=0.3, get_all=True)
    ahead, behind = (gradcli.compile(text, net="main").eval(x=x, w=0.3 + s)[0] for s in (h, -h))
    assert_allclose(found["w"], (ahead - behind) / (2 * h), rtol=1e-7)

"""Reasons of zeros from Python: matrices, tangents and products, models that are real, and what is not paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from gradcli import api
from gradcli.request import ModelFile, Request, Result
from gradcli.zeros.tape import Tape
from gradcli.zeros.why import Explainer

MODELS = Path(__file__).resolve().parents[2] / "models"
X, Y = np.array([1.0, -2.0]), np.array([3.0, 4.0])


def run(verb: Any, body: str, **options: Any) -> Result:
    """A net of x and y with these lines."""
    text = "\n".join(["net f(x: f64[2], y: f64[2]) {", *body.strip().splitlines(), "}", ""])
    return gradcli.compile(text).run(verb, **{"x": X, "y": Y} | options)


def at(reason: str, *lines: int, **more: Any) -> dict[str, Any]:
    return {"reason": reason, "at": [f"<text>:{line}" for line in lines], **more}


# ── nothing is paid where nothing is zero ──


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the run was repeated")

    monkeypatch.setattr(Explainer, "_tape", refuse)


def test_nothing_is_looked_at_where_no_gradient_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch)
    (entry,) = run("grad", "h = sin(x)\nreturn sum(h * y)").grads
    assert entry.zero is None
    assert entry.zeros is None


def test_nothing_is_looked_at_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch)
    found = run("grad", "h = relu(-x * x)\nreturn sum(h)", why="x")
    np.testing.assert_array_equal(found.grads[0].array, [0, 0])
    with pytest.raises(AssertionError, match="repeated"):
        _ = found.grads[0].zero


def test_the_structure_needs_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch)
    assert run("grad", "return sum(floor(x) * y)").grads[0].zero == at("flat", 2)


def test_one_run_explains_all_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, own = [], Explainer._tape
    monkeypatch.setattr(Explainer, "_tape", lambda self, question: runs.append(1) or own(self, question))
    found = run("grad", "h = relu(x * y - 99)\nreturn sum(h)", get_all=True)
    assert [entry.zero for entry in found.grads] == [at("masked", 2, inactive=[1.0])] * 2
    assert len(runs) == 1


def test_a_run_that_is_too_long_leaves_it_unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradcli.zeros.tape.LONGEST", 3)
    assert run("grad", "h = relu(x - 9)\nreturn sum(h)").grads[0].zero == at("masked", 2, inactive=[1.0])
    assert run("grad", "h = relu(sin(x) - 9)\nreturn sum(h)").grads[0].zero == at("numeric")


def test_a_run_that_takes_too_much_memory_leaves_it_unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Tape.__init__
    monkeypatch.setattr(Tape, "__init__", lambda self, graph, arrays, limit: own(self, graph, arrays, 20))
    assert run("grad", "h = relu(x - 9)\nreturn sum(h)").grads[0].zero == at("numeric")


# ── other verbs ──


def test_a_jacobian() -> None:
    body = "h = relu(x - 9)\nk = y - y\ng = y * x\nreturn h, k, g"
    found = {entry.name: entry.zero for entry in run("jac", body, get_all=True).blocks or ()}
    assert found == {
        "h/x": at("masked", 2, inactive=[1.0]),
        "h/y": at("no path"),
        "k/x": at("no path"),
        "k/y": at("cancels", 3),
        "g/x": None,
        "g/y": None,
    }


def test_a_sparse_jacobian() -> None:
    (entry,) = run("jac", "h = relu(x - 9)\nreturn h", sparse=True).blocks or ()
    assert entry.zero == at("masked", 2, inactive=[1.0])


def test_a_hessian() -> None:
    body = "h = relu(x - 9)\nreturn sum(h * h) + sum(y * y * y)"
    found = {entry.name: entry.zero for entry in run("hess", body, get_all=True).blocks or ()}
    assert found["x/y"] == at("no path")
    assert found["y/y"] is None
    assert found["x/x"] == at("masked", 2, inactive=[1.0])


@pytest.mark.parametrize("sparse", [False, True])
def test_a_hessian_at_a_stationary_point(sparse: bool) -> None:
    (entry,) = run("hess", "h = x * x\nreturn sum(h * x)", x=np.zeros(2), sparse=sparse).blocks or ()
    assert entry.zero is not None
    assert entry.zero["reason"] == "multiplied by zero"


def test_a_product_with_a_hessian() -> None:
    body = "h = relu(x - 9)\nreturn sum(h * h * y) + sum(y)"
    found = {e.name: e.zero for e in run("hess", body, get_all=True, vec={"x": X, "y": Y}).products or ()}
    assert found["x"] == at("masked", 2, inactive=[1.0])
    assert found["y"] is not None
    assert found["y"]["reason"] in ("masked", "multiplied by zero")
    found = {
        e.name: e.zero for e in run("hess", "return sum(x * x * y)", get_all=True, vec={"x": 0 * X}).products or ()
    }
    assert found == {"x": at("direction is zero"), "y": at("direction is zero")}


def test_a_tangent() -> None:
    def why(body: str, **options: Any) -> Any:
        return [entry.zero for entry in run("jvp", body, **options).tangents]

    assert why("h = relu(x - 9)\nreturn h", tangent={"x": X}) == [at("masked", 2, inactive=[1.0])]
    assert why("h = relu(x - 9) + 0 * y\nreturn h", tangent={"x": X, "y": Y}) == [
        at("masked", 2, inactive=[1.0], also=[at("multiplied by zero", 2)])
    ]
    assert why("h = x - y\nreturn h", tangent={"x": X, "y": X}) == [at("cancels", 2)]
    assert why("h = x\nreturn sum(h)", tangent={"x": X - X.mean()}) == [at("cancels", 3)]
    assert why("h = x / y\nreturn h", tangent={"x": X, "y": Y}) == [at("cancels", 2)]
    assert why("h = relu(x - 9)\nk = x - y\nreturn h + k", tangent={"x": X, "y": X}) == [at("cancels", 3)]
    assert why("h = x * y\nreturn h", tangent={"x": np.zeros(2)}) == [at("direction is zero")]


# ── sensitivities and orders ──


def test_sensitivities_of_higher_orders() -> None:
    found = run("grad", "h = relu(x)\nreturn sum(h * h * y)", order=2, get_all=True, sens={"x": np.array([0.0, 1.0])})
    assert {entry.name: entry.zero for entry in found.grads} == {
        "x,x": at("masked", 2, inactive=[0.5], also=[at("sens is zero")]),
        "x,y": at("masked", 2, inactive=[0.5], also=[at("sens is zero")]),
        "y,x": at("sens is zero"),
        "y,y": at("sens is zero"),
    }


def test_a_series_is_explained_by_the_derivative_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def why(line: str, x: float, order: int) -> Any:
        text = f"net f(x: f64) {{\n  h = {line}\n  return h\n}}\n"
        return gradcli.compile(text).run("grad", x=x, order=order).grads[0].zero

    assert why("x ** 3", 1.0, 6) == at("no path")
    assert why("stop_gradient(x)", 1.0, 6) == at("stopped", 2)
    assert why("sin(x)", 0.0, 6) == at("multiplied by zero", 2)
    assert why("relu(x - 9) * sin(x)", 0.5, 5)["reason"] == "masked"
    assert why("sin(x) * cos(x)", 0.0, 6)["reason"] != "numeric"
    monkeypatch.setattr("gradcli.differentiate.MOST_STEPS", 3)
    assert why("sin(x)", 0.0, 6) == at("numeric")


@pytest.mark.parametrize(
    ("expression", "zeros", "reason"),
    [
        ("det(a)", [[0, 1], [1, 0]], "multiplied by zero"),
        ("slogdet(a)[1]", [[0, 1], [1, 0]], "multiplied by zero"),
        ("sum(inv(a)[0])", [[1, 0], [1, 1]], "multiplied by zero"),
        ("sum(solve(a, ones([2]))[0])", [[1, 0], [1, 1]], "multiplied by zero"),
        ("sum(cholesky(a)[0])", [[0, 1], [1, 0], [1, 1]], "no path"),
    ],
)
def test_slopes_of_matrices(expression: str, zeros: Any, reason: str) -> None:
    """At a diagonal matrix: an element that a result depends on has a slope that is zero; another has no path."""
    model = gradcli.compile(f"net f(a: f64[2, 2]) = {expression}\n")
    (entry,) = model.run("grad", a=np.diag([4.0, 3.0]), why=["a"]).grads
    assert entry.elements is not None
    assert [(one["reason"], one["indices"]) for one in entry.elements()] == [(reason, zeros)]


def test_f16() -> None:
    text = "net f(x: f16[2]) {\n  a = 1e-4 * x\n  b = 1e-4 * a\n  return sum(b)\n}\n"
    (entry,) = gradcli.compile(text).run("grad", x=np.ones(2, "float16")).grads
    assert entry.zero == at("underflow", 2)


def test_sums_that_are_zero_but_for_their_order() -> None:
    """The plan may add in another order than the run that explains: what is zero there is zero to rounding here."""
    text = "net f(x: f64[7]) {\n  p = softmax(x)\n  return sum(p) * 1.0\n}\n"
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=7)
        (entry,) = gradcli.compile(text).run("grad", x=x, why="x").grads
        assert all(zero["reason"] == "cancels" for zero in entry.zeros or [])


# ── real models ──


WITHOUT_PARAMS = ("main", "Constant", "Worst")


def zeros_of(model: str, net: str | None) -> dict[str, Any]:
    """Of each gradient with zero elements, its reasons: reason and line."""
    file, wrt = ModelFile(path=MODELS / model), "all,params" if net not in WITHOUT_PARAMS else "all"
    names = tuple(entry.name for entry in api.run(file, Request(net=net, wrt=wrt)).grads)
    found = api.run(file, Request(net=net, wrt=wrt, why=names))
    return {
        entry.name: {(zero["reason"], *(int(at.rpartition(":")[2]) for at in zero["at"])) for zero in entry.zeros}
        for entry in found.grads
        if entry.zeros
    }


@pytest.mark.parametrize(
    ("model", "net"),
    [
        *(("deepmd/energy.net", net) for net in ("Loss", "Energy")),
        *(("pinn/burgers.net", net) for net in ("Loss", "Residual")),
        ("iris/iris.net", "Loss"),
    ],
)
def test_models_that_have_no_zeros(model: str, net: str) -> None:
    assert zeros_of(model, net) == {}


def test_forces_add_up_to_zero() -> None:
    """Of each cluster, whatever the weights; and they do not depend on the last of them."""
    found = zeros_of("deepmd/energy.net", "Forces")
    assert found.pop("fit.b3") == {("no path",)}
    (line,) = (
        k for k, text in enumerate((MODELS / "deepmd/energy.net").read_text().splitlines(), 1) if "None, :" in text
    )
    assert len(found) == 10
    assert all(reasons == {("cancels", line)} for reasons in found.values())


def test_how_many_are_right_is_flat() -> None:
    found = zeros_of("iris/iris.net", "Accuracy")
    assert set(found) == {"x", "Logits.w1", "Logits.b1", "Logits.w2", "Logits.b2"}
    assert len({reason for reasons in found.values() for reason in reasons}) == 1
    assert {reason for reasons in found.values() for reason, _ in reasons} == {"flat"}


@pytest.mark.parametrize(
    ("model", "net", "found"),
    [
        ("gmm/mixture.net", "main", {"q": {("masked", 8)}}),  # above the diagonal of a triangle
        ("ode/predators.net", "Constant", {"rates": {("multiplied by zero", 30)}}),  # by log(1)
        ("nested/saddle.net", "Worst", {"p": {("flat", 22)}}),  # p only says which step is better
    ],
)
def test_models_with_zeros(model: str, net: str, found: dict[str, Any]) -> None:
    assert zeros_of(model, net) == found


def test_one_element_of_a_product() -> None:
    assert zeros_of("guide/element.net", None) == {"x": {("no path",)}, "y": {("no path",)}}


def test_rows_of_a_batch_that_have_stopped() -> None:
    """The turns that a row does not take are no path."""
    text = """\
net row(x: f64, y: f64) {
  s = x
  h = 0 * y
  for i in 0..300 while s < 100 {
    s = 2 * s + h
  }
  return s
}
net f(x: f64[3], y: f64[3]) = vmap(row)(x, y)
"""
    net = gradcli.compile(text, net="f")
    (entry,) = net.run("grad", x=np.array([1.0, 30.0, 300.0]), y=np.ones(3), wrt="y", why="y").grads
    assert entry.zeros == [
        at("multiplied by zero", 3, indices=[[0], [1]]),
        at("no path", indices=[[2]]),
    ]


# ── what is read through integers and bools ──


@pytest.mark.parametrize(
    ("body", "flat"),
    [
        ("m = x > 0\nk = where(m, y, 2 * y)\nreturn k[1]", [1]),
        ("m = i64(x)\nk = concat([m[1:], m[1:]])\nreturn y[k][0]", [1]),
        ("m = x > 0\nk = transpose(reshape(m, [1, 2]))\nreturn where(k[1], y, 2 * y)", [1]),
        ("m = argmax(reshape(x, [2, 1]), axis=1)\nreturn y[m][0]", [0]),
        ("m = any(reshape(x, [2, 1]) > 0, axis=1)\nreturn where(m[0], y, 2 * y)", [0]),
        ("m = any(x > 0)\nreturn where(m, y, 2 * y)", [0, 1]),
        ("m = f64(x > 0)\nreturn y * m[0]", [0]),
    ],
)
def test_only_what_is_read_is_flat(body: str, flat: list[int]) -> None:
    (entry,) = run("grad", body, x=np.array([1.0, 0.0]), why="x").grads
    found = {tuple(index): zero for zero in entry.zeros or () for index in zero["indices"]}
    assert {k: found[k,]["reason"] for k in range(2)} == {k: "flat" if k in flat else "no path" for k in range(2)}

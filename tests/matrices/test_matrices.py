"""`jvp`, `jac` and `hess` from Python: once, and planned for many calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.api.test_python import refusal
from tests.interp.nets import same

NET = """
net Scale(x: f64[...]) {
  param w: f64 = 2.0
  return w * x
}
net main(x: f64[n], y: f64[n]) -> f64[n] {
  layer l1 = Scale
  return l1(x) * x * y
}
"""
X, Y, T = np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([1.0, -1.0])
BY_X, BY_Y, BY_W = np.diag(4 * X * Y), np.diag(2 * X * X), X * X * Y
HESSIAN = {"x/x": np.diag(4 * Y), "x/y": np.diag(4 * X), "y/x": np.diag(4 * X), "y/y": np.zeros((2, 2))}


@pytest.fixture
def net() -> Any:
    return gradcli.compile(NET)


# ── once ──


def test_the_jacobian(net: Any) -> None:
    same(net.jac(x=X, y=Y)["out/x"], BY_X)
    found = net.jac(x=X, y=Y, get_all=True, get_by_list=True)
    assert found.keys() == ["out/x", "out/y", "out/l1.w"]
    for block, wanted in zip(found, (BY_X, BY_Y, BY_W), strict=True):
        same(block, wanted)
    assert net.jac(x=X, y=Y, wrt="y", value=True).keys() == ["value/out", "out/y"]
    assert net.jac(x=X, y=Y, order=2, get_all=True)["out/x,y"].shape == (2, 2, 2)


def test_the_hessian(net: Any) -> None:
    found = net.hess(x=X, y=Y, get_all=True)
    assert found.keys() == [*HESSIAN]
    for name, block in found.items():
        same(block, HESSIAN[name])
    same(net.hess(x=X, y=Y, sens=T)["x/x"], np.diag(4 * Y * T))


def test_a_product_with_a_vector(net: Any) -> None:
    for vec in (T, {"x": T}, (T,), [1, -1], "[1, -1]"):
        same(net.hess(x=X, y=Y, vec=vec)["x"], 4 * Y * T)
    found = net.hess(x=X, y=Y, get_all=True, vec={"y": T})
    assert found.keys() == ["x", "y"]
    same(found["x"], 4 * X * T)
    same(found["y"], np.zeros(2))
    both = net.hess(x=X, y=Y, get_all=True, vec=(T, 2 * T))
    same(both["x"], 4 * Y * T + 8 * X * T)


def test_tangents(net: Any) -> None:
    for tangent in ({"x": T}, {"x": [1, -1]}, {"x": "[1, -1]"}):
        same(net.jvp(x=X, y=Y, tangent=tangent)["out"], 4 * X * Y * T)
    same(net.jvp(x=X, y=Y, tangent={"x": T, "l1.w": 0.5})["out"], 4 * X * Y * T + 0.5 * BY_W)
    same(net.jvp(x=X, y=Y, wrt="y", tangent=T)["out"], 2 * X * X * T)
    same(net.jvp(x=X, y=Y, tangent={"x": T}, order=2)["out"], 4 * Y * T * T)
    found = net.jvp(x=X, y=Y, tangent={"x": T}, value=True)
    assert found.keys() == ["value/out", "out"]


def test_the_whole_result(net: Any) -> None:
    jac = net.run("jac", x=X, y=Y)
    (block,) = jac.blocks
    assert (block.name, block.output, block.wrt, block.rows, block.kind) == ("out/x", "out", ("x",), 1, "input")
    assert jac.mode == "forward, 2 passes (2 input elements, 2 output elements)"
    product = net.run("hess", x=X, y=Y, vec=T)
    assert (product.blocks, product.along) == (None, ({"wrt": "x", "kind": "array", "source": None},))


@pytest.mark.parametrize(
    ("verb", "options", "code"),
    [
        ("jvp", {}, "USE004"),
        ("jvp", {"tangent": T}, "DIF005"),
        ("jvp", {"tangent": {"q": T}}, "DIF003"),
        ("jvp", {"tangent": {"x": np.ones(3)}}, "DIF004"),
        ("jvp", {"tangent": {"x": T.astype("f4")}}, "DIF004"),
        ("jvp", {"tangent": {"x": 1.0}}, "DIF004"),
        ("jvp", {"tangent": {"x": "text"}}, "NAM001"),
        ("jvp", {"tangent": {"x": None}}, "DAT107"),
        ("jvp", {"tangent": {"x": T}, "wrt": "y"}, "DIF009"),
        ("jvp", {"tangent": {"x": T}, "order": 11}, "DIF007"),
        ("jvp", {"tangent": {"x": T}, "sens": T}, "DAT102"),
        ("jac", {"wrt": "q"}, "DIF003"),
        ("jac", {"order": 0}, "DIF007"),
        ("jac", {"vec": T}, "DAT102"),
        ("jac", {"memory": 8}, "NUM001"),
        ("hess", {"vec": {"y": T}}, "DIF009"),
        ("hess", {"vec": (T, T)}, "DIF005"),
        ("hess", {"vec": np.ones(3)}, "DIF004"),
        ("hess", {"sens": np.ones(3)}, "DIF004"),
        ("hess", {"memory": 8}, "NUM001"),
        ("hess", {"order": 2}, "DAT102"),
    ],
)
def test_wrong_use_is_a_model_error(net: Any, verb: str, options: dict[str, Any], code: str) -> None:
    refusal(lambda: getattr(net, verb)(x=X, y=Y, **options), code)
    refusal(lambda: net.compile(verb, **options)(x=X, y=Y), code)


def test_how_to_cast_an_array(net: Any) -> None:
    found = refusal(lambda: net.jvp(x=X, y=Y, tangent={"x": T.astype("f4")}), "DIF004")
    assert found.help == 'cast it: `.astype("float64")`'
    assert found.span is not None  # where x is declared


def test_inputs_that_are_called_like_options_of_other_verbs() -> None:
    net = gradcli.compile("net f(tangent: f64, vec: f64) = tangent * vec\n")
    same(net.grad(tangent=2.0, vec=3.0)["tangent"], 3.0)
    same(net.jac(tangent=2.0, vec=3.0)["out/tangent"], 3.0)
    same(net.compile("grad")(tangent=2.0, vec=3.0)["tangent"], 3.0)
    same(net.jvp(inputs={"tangent": 2.0}, vec=3.0, tangent={"tangent": 1.0})["out"], 3.0)


# ── planned ──


def test_planned_matrices(net: Any) -> None:
    jac, hess = net.compile("jac", get_all=True), net.compile("hess")
    for k in (1.0, 2.0):
        same(jac(x=k * X, y=Y)["out/x"], k * BY_X)
        same(jac(x=k * X, y=Y)["out/y"], k * k * BY_Y)
        same(hess(x=k * X, y=k * Y)["x/x"], k * HESSIAN["x/x"])
    assert jac(x=np.ones(5), y=np.ones(5))["out/x"].shape == (5, 5)


def test_tangents_and_vectors_of_each_call(net: Any) -> None:
    jvp, hess = net.compile("jvp"), net.compile("hess", get_all=True)
    for k in (1.0, 2.0, 3.0):
        same(jvp(x=X, y=Y, tangent={"x": k * T})["out"], 4 * X * Y * k * T)
        same(jvp(x=X, y=Y, tangent={"y": k * T, "x": T})["out"], 4 * X * Y * T + 2 * X * X * k * T)
        same(hess(x=X, y=Y, vec={"x": k * T})["y"], 4 * X * k * T)
        same(hess(x=X, y=Y, vec=(T, k * T))["x"], 4 * Y * T + 4 * X * k * T)
        same(hess(x=X, y=Y, sens=k * T, vec={"x": T})["x"], 4 * Y * k * T * T)
    assert hess(x=X, y=Y).keys() == [*HESSIAN]
    refusal(lambda: jvp(x=X, y=Y, tangent={"x": np.ones(3)}), "DIF004")
    refusal(lambda: jvp(x=X, y=Y), "USE004")


def test_directions_given_when_compiled_are_defaults(net: Any) -> None:
    f = net.compile("jvp", tangent={"x": T}, y=Y)
    same(f(x=X)["out"], 4 * X * Y * T)
    same(f(x=X, tangent={"y": T})["out"], 2 * X * X * T)
    same(f(x=X)["out"], 4 * X * Y * T)
    g = net.compile("hess", vec="random:1")
    same(g(x=X, y=Y)["x"], net.hess(x=X, y=Y, vec="random:1")["x"])
    same(g(x=X, y=Y, vec="basis:0")["x"], [4 * Y[0], 0])
    same(g(x=X, y=Y, vec="basis:1")["x"], [0, 4 * Y[1]])


def test_directions_of_the_same_form_plan_nothing(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradcli import engine

    made: list[int] = []
    real = engine.plan_of
    monkeypatch.setattr(engine, "plan_of", lambda *a, **k: (made.append(1), real(*a, **k))[1])
    jvp, grad, hess = net.compile("jvp"), net.compile("grad"), net.compile("hess")
    planned = 0
    for k in range(5):
        jvp(x=X, y=Y, tangent={"x": k * T})
        grad(x=X, y=Y, sens=k * T)
        hess(x=X, y=Y, vec=[float(k), 1.0])
        planned = planned or len(made)
    assert len(made) == planned


def test_out_is_filled(net: Any) -> None:
    room = np.full((2, 2), np.nan)
    assert net.compile("jac")(x=X, y=Y, out={"out/x": room})["out/x"] is room
    same(room, BY_X)
    refusal(lambda: net.compile("jac")(x=X, y=Y, out={"x": room}), "DAT102")


def test_results_are_the_callers_own(net: Any) -> None:
    identity = gradcli.compile("net f(x: f64[2]) = x\n")
    for f in (identity.jvp, identity.compile("jvp")):
        t = T.copy()
        (found,) = f(x=X, tangent=t)
        assert not np.shares_memory(found, t)
        found[...] = 9
        same(f(x=X, tangent=t)[0], T)


def test_calls_from_several_threads(net: Any) -> None:
    f = net.compile("jvp")

    def work(k: int) -> bool:
        x = np.full(50 + k % 3, 2.0)
        found = f(x=x, y=x, tangent={"x": np.full(x.size, float(k))})["out"]
        return bool((found == 16.0 * k).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_a_value_beside(net: Any) -> None:
    f = net.compile("jvp", value=True)
    value, tangent = f(x=X, y=Y, tangent={"x": T})
    same(value, 2 * X * X * Y)
    same(tangent, 4 * X * Y * T)


def test_sparse_matrices(net: Any) -> None:
    found = net.jac(x=X, y=Y, get_all=True, sparse=True)
    assert repr(found) == "Arrays(out/x: sparse float64[2, 2], out/y: sparse float64[2, 2])"
    matrix = found["out/x"]
    assert (matrix.shape, [*matrix.indptr], [*matrix.indices]) == ((2, 2), [0, 1, 2], [0, 1])
    same(matrix.data, np.diag(BY_X))
    same(net.hess(x=X, y=Y, sparse=True, sens=T)["x/x"].data, 4 * Y * T)
    refusal(lambda: net.compile("jac", sparse=True)(x=X, y=Y), "USE005")
    refusal(lambda: net.hess(x=X, y=Y, sparse=True, vec=T), "USE005")

"""jvp, jacobian, hessian, hvp, vmap and checkpoint in the language: every form, nesting, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradcli
from gradcli import differentiate, opening
from gradcli.differentiate import Target, derive
from gradcli.passes.pipeline import optimize
from gradcli.plan import make_plan
from gradcli.request import ModelFile, Request
from tests.interp.nets import other_lines, refused, same, value, values

F = """
net f(x: f64[n], y: f64) -> f64[n] {
  param w: f64[2, 2] = [[1.0, 2.0], [3.0, 4.0]]
  return y * sin(w @ x)
}
"""
X, Y = np.array([0.3, -0.5]), 1.5
W = np.array([[1.0, 2.0], [3.0, 4.0]])
JX = Y * np.cos(W @ X)[:, None] * W
JY = np.sin(W @ X)


def inside(expression: str, items: str = F) -> list[np.ndarray[Any, Any]]:
    return values(f"{items}\nnet main(x: f64[2], y: f64) {{\n  return {expression}\n}}\n", x=X, y=Y)


V = "[2.0, -1.0]"
VA = np.array([2.0, -1.0])


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        (f"jvp(f, tangent=({V}, 0.5))(x, y)", [JX @ VA + 0.5 * JY]),
        (f"jvp(f, ({V}, 0.5))(x, y)", [JX @ VA + 0.5 * JY]),
        (f"jvp(f, tangent={V}, wrt=x)(x, y)", [JX @ VA]),
        ("jvp(f, tangent=2, wrt=y)(x, y)", [2 * JY]),
        (f"jvp(f, tangent=(1.0, {V}), wrt=(y, x))(x, y)", [JX @ VA + JY]),
        ("jvp(f, tangent=[[1.0, 0], [0, 0]], wrt=w)(x, y)", [Y * np.cos(W @ X) * np.array([X[0], 0])]),
        (f"value_and_jvp(f, tangent={V}, wrt=x)(x, y)", [Y * np.sin(W @ X), JX @ VA]),
        ("jacobian(f)(x, y)", [JX]),
        ("jacobian(f, wrt=y)(x, y)", [JY]),
        ("jacobian(f, wrt=all)(x, y)", [JX, JY]),
        ("jacobian(f, wrt=w)(x, y)[0, 0]", [[Y * np.cos(W @ X)[0] * X[0], Y * np.cos(W @ X)[0] * X[1]]]),
        ("hessian(f, wrt=y)(x, y)", [0.0]),
        ("hessian(f, wrt=(x, y))(x, y)[0][1]", [np.cos(W @ X) @ W]),
        ("hessian(f, wrt=(x, y), sens=[1.0, 0.0])(x, y)[1][0]", [np.cos(W @ X)[0] * W[0]]),
        ("hvp(f, v=1.0, wrt=y)(x, y)", [0.0]),
        (f"hvp(f, v={V})(x, y)", [-Y * W.T @ (np.sin(W @ X) * (W @ VA))]),
        (f"hvp(f, v=({V}, 1.0), wrt=(x, y))(x, y)[1]", [np.cos(W @ X) @ W @ VA]),
        ("vmap(f, axes=(0, None))([x, 2 * x], y)", [[Y * np.sin(W @ X), Y * np.sin(W @ X * 2)]]),
        ("vmap(f)([x, 2 * x], [y, y])", [[Y * np.sin(W @ X), Y * np.sin(W @ X * 2)]]),
        ("vmap(f, axes=(1, None))(stack([x, 2 * x], axis=1), y)", [[Y * np.sin(W @ X), Y * np.sin(W @ X * 2)]]),
        ("vmap(f, axes=(None, 0))(x, [1.0, 2.0])", [[np.sin(W @ X), 2 * np.sin(W @ X)]]),
        ("vmap(f, axes=(-1, None))(stack([x, 2 * x], axis=1), y)[1]", [Y * np.sin(W @ X * 2)]),
        ("checkpoint(f)(x, y)", [Y * np.sin(W @ X)]),
        ("grad(checkpoint(f))(x, y)", [JX.sum(axis=0)]),
        ("grad(checkpoint(f), wrt=params)(x, y)", [Y * np.cos(W @ X)[:, None] * X[None, :]]),
        ("jacobian(grad(f), wrt=y)(x, y)", [np.cos(W @ X) @ W]),
    ],
)
def test_forms(expression: str, wanted: list[Any]) -> None:
    found = inside(expression)
    assert len(found) == len(wanted)
    for one, exact in zip(found, wanted, strict=True):
        assert_allclose(one, exact, rtol=1e-13, atol=1e-15)


TWO = "net f(x: f64[2], k: i64) -> (f64, i64, f64[2]) {\n  return x[0] * x[1], k, x ** 2\n}\n"


def two(expression: str) -> list[np.ndarray[Any, Any]]:
    return values(f"{TWO}net main(x: f64[2], k: i64) {{\n  return {expression}\n}}\n", x=[3.0, 5.0], k=np.int64(2))


def test_several_outputs_are_nested_as_the_result_without_the_integers() -> None:
    found = two("jvp(f, tangent=[1.0, 0.0])(x, k)")
    assert [a.tolist() for a in found] == [5.0, [6.0, 0.0]]
    found = two("jacobian(f)(x, k)")
    assert [a.tolist() for a in found] == [[5.0, 3.0], [[6.0, 0.0], [0.0, 10.0]]]
    assert [a.tolist() for a in two("hessian(f)(x, k)")] == [[[2.0, 1.0], [1.0, 2.0]]]
    assert [a.tolist() for a in two("value_and_jvp(f, tangent=[1.0, 0.0])(x, k)[1]")] == [5.0, [6.0, 0.0]]
    assert [a.tolist() for a in two("vmap(f, axes=(0, None))([x, x], k)[1]")] == [[2, 2]]


def test_a_jacobian_has_the_dims_of_output_then_input() -> None:
    text = "net f(x: f32[3, 4]) -> f32[2] = [sum(x), sum(x * x)]\nnet main(x: f32[3, 4]) = jacobian(f)(x)\n"
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = value(text, x=x)
    assert (found.shape, found.dtype) == ((2, 3, 4), np.float32)
    same(found, np.stack([np.ones_like(x), 2 * x]), "f32")


def test_names_of_dims_live_on() -> None:
    text = (
        "net f(x: f64[batch, k]) -> f64[batch] = sum(x * x, axis=1)\n"
        "net main(x: f64[batch, k]) {\n  j = vmap(grad(f))(x[:, None, :])\n  return sum(jacobian(f)(x), axis=k), j\n}\n"
    )
    x = np.arange(6.0).reshape(3, 2)
    first, second = values(text, x=x)
    same(first, np.einsum("ab,ac->abc", np.eye(3), 2 * x).sum(axis=2))
    same(second, (2 * x)[:, None, :])
    mapped = (
        "net f(x: f64[k], y: f64) = sum(x) * y\nnet main(x: f64[batch, k], y: f64[batch]) = vmap(f, axes=batch)(x, y)\n"
    )
    same(value(mapped, x=x, y=[1.0, 2.0, 3.0]), x.sum(axis=1) * [1, 2, 3])


def test_a_map_over_a_dim_shares_what_has_it_not() -> None:
    text = "net f(x: f64[k], w: f64[k]) = x @ w\nnet main(x: f64[batch, k], w: f64[k]) = vmap(f, axes=batch)(x, w)\n"
    x = np.arange(6.0).reshape(3, 2)
    same(value(text, x=x, w=[1.0, 2.0]), x @ [1, 2])


def test_perturbations_of_different_levels_are_not_confused() -> None:
    """Siskind & Pearlmutter 2005: d/dx (x · d/dy (x + y)) is 1, and 2 where levels are confused; in all mixtures."""
    outer = {"grad": "grad(f)(x)", "jvp": "jvp(f, tangent=1.0)(x)"}
    inner = {"grad": "grad(g)(1.0)", "jvp": "jvp(g, tangent=1.0)(1.0)"}
    for out in outer.values():
        for inn in inner.values():
            text = (
                f"net f(x: f64) -> f64 {{\n  net g(y: f64) = x + y\n  return x * {inn}\n}}\nnet main(x: f64) = {out}\n"
            )
            same(value(text, x=3.0), 1.0)


STOPPED = {
    "grad(f)(x)": 9.0,
    "jvp(f, tangent=1.0)(x)": 9.0,
    "jacobian(f)(x)": 9.0,
    "vmap(grad(f))([x])[0]": 9.0,
    "grad(grad(f))(x)": 0.0,
    "grad(jvp(f, tangent=1.0))(x)": 0.0,
    "jvp(grad(f), tangent=1.0)(x)": 0.0,
    "hessian(f)(x)": 0.0,
    "hvp(f, v=1.0)(x)": 0.0,
}


@pytest.mark.parametrize("form", STOPPED)
def test_stop_gradient_in_every_mode_and_order(form: str) -> None:
    """f = stop(x²) · x has the slope x², which is stopped, too."""
    text = f"net f(x: f64) = stop_gradient(x * x) * x\nnet main(x: f64) = {form}\n"
    same(value(text, x=3.0), STOPPED[form])


def test_a_gradient_of_a_hessian_of_a_map() -> None:
    text = (
        "net e(x: f64) = x ** 4\n"
        "net s(x: f64[n]) = sum(vmap(e)(x))\n"
        "net h(x: f64[n]) = sum(hessian(s)(x) ** 2)\n"
        "net main(x: f64[n]) = grad(h)(x)\n"
    )
    x = np.array([1.0, 2.0])
    same(value(text, x=x), 2 * (12 * x**2) * 24 * x, rtol=1e-13)


def test_a_map_of_a_map() -> None:
    text = (
        "net f(x: f64, y: f64) = x * y\n"
        "net row(x: f64, ys: f64[m]) = vmap(f, axes=(None, 0))(x, ys)\n"
        "net main(xs: f64[n], ys: f64[m]) = vmap(row, axes=(0, None))(xs, ys)\n"
    )
    same(value(text, xs=[1.0, 2.0], ys=[3.0, 4.0, 5.0]), np.outer([1, 2], [3, 4, 5]))


def test_layers_are_mapped_and_differentiated() -> None:
    text = """
net Dense[i, o](x: f64[i]) -> f64[o] {
  param w: f64[i, o] = ones()
  return x @ w
}
net main(x: f64[n, 2]) {
  layer l = Dense[2, 3]
  y = vmap(l)(x)
  return y, vmap(jacobian(l))(x), jvp(l, tangent=ones([2, 3]), wrt=w)(x[0])
}
"""
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    y, j, t = values(text, x=x)
    same(y, np.repeat(x.sum(axis=1)[:, None], 3, axis=1))
    same(j, np.ones((2, 3, 2)))
    same(t, np.full(3, 3.0))


# ── recomputation ───────────────────────────────────────────────────────────────────────────────────────────


def peak(text: str, **inputs: Any) -> int:
    request = Request(arrays=inputs)
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), request)
    derived = derive(prepared.graph, [Target("x", "input", 0)], 1, prepared.outputs, None)
    return make_plan(optimize(differentiate.gradients_only(prepared.graph, derived))).peak


def test_a_checkpoint_keeps_less() -> None:
    blocks = "\n".join("  x = {}(x)" for _ in range(8))
    text = (
        "net block(x) {\n  for i in 0..8 {\n    x = sin(x) * exp(0.1 * x)\n  }\n  return x\n}\n"
        f"net main(x: f64[n]) {{\n{blocks}\n  return sum(x)\n}}\n"
    )
    x = np.linspace(0.0, 1.0, 10_000)
    kept, again = (text.replace("{}", name) for name in ("block", "checkpoint(block)"))
    assert peak(again, x=x) < 0.5 * peak(kept, x=x)
    first, second = (gradcli.compile(t).grad(x=x)["x"] for t in (kept, again))
    np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-15)  # sums in other blocks


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────

G = "net f(x: f64[2], k: i64) = sum(x) * k\nnet g(y) { param w: f64 = 2.0; param u: i64 = 3; return w * y * u }\n"


@pytest.mark.parametrize(
    ("form", "code", "says"),
    [
        ("jvp(f, tangent=[1.0, 2.0, 3.0])(x, k)", "DIF004", "the tangent is f64[3], the input x f64[2]"),
        ("jvp(f, tangent=f32([1.0, 2.0]))(x, k)", "DIF004", "the tangent is f32[2], the input x f64[2]"),
        ("jvp(f, tangent=([1.0, 2.0], 3.0))(x, k)", "DIF005", "2 given as `tangent`, for 1 inputs"),
        ("jvp(f, tangent=1.0, wrt=k)(x, k)", "DIF001", "k is i64 and has no derivative"),
        ("jvp(f)(x, k)", "NAM021", "jvp needs tangent"),
        ("jvp(f, tangent=None)(x, k)", "SHP113", "None is not an array"),
        ("hvp(f, v=None)(x, k)", "SHP113", "None is not an array"),
        ("grad(g, wrt=u)(1.0)", "DIF001", "u is i64 and has no derivative"),
        ("jvp(g, tangent=1.0, wrt=u)(1.0)", "DIF001", "u is i64 and has no derivative"),
        ("hessian(g, wrt=(w, u))(1.0)", "DIF001", "u is i64 and has no derivative"),
        ("hvp(f, v=1.0)(x, k)", "DIF004", "the vector is f64, the input x f64[2]"),
        ("jacobian(f, wrt=z)(x, k)", "DIF003", "no input or param `z`"),
        ("jacobian(f(x, k))", "DIF006", "jacobian takes a net"),
        ("vmap(f, axes=(0, 0))(x, k)", "SHP111", "0 is no axis of input k"),
        ("vmap(f, axes=(0, 0, 0))(x, k)", "SHP120", "`axes` has 3 members, f has 2 inputs"),
        ("vmap(f, axes=(None, None))(x, k)", "SHP120", "maps no input"),
        ("vmap(f, axes=(2, None))(x, k)", "SHP111", "2 is no axis of input x"),
        ("vmap(sin)(x)", "DIF006", "vmap takes a net"),
        ("hessian(f, sens=[1.0])(x, k)", "DIF004", "the sensitivity"),
    ],
)
def test_what_is_refused(form: str, code: str, says: str) -> None:
    found = refused(f"{G}net main(x: f64[2], k: i64) = {form}\n", code, says=says, x=[1.0, 2.0], k=np.int64(2))
    assert found.span is not None
    assert found.span.line == 3


def test_different_sizes_under_a_map_name_both() -> None:
    text = "net f(x: f64, y: f64) = x * y\nnet main(x: f64[2], y: f64[3]) = vmap(f)(x, y)\n"
    refused(text, "SHP120", says="x has 2 elements along axis 0, y has 3 along axis 0", x=[1.0, 2], y=[1.0, 2, 3])


def test_an_error_inside_a_mapped_net_names_its_line() -> None:
    text = "net f(x: f64[2]) = x @ ones([3])\nnet main(x: f64[4, 2]) = vmap(f)(x)\n"
    found = refused(text, "SHP201", x=np.ones((4, 2)))
    assert found.span is not None
    assert found.span.line == 1
    assert other_lines(found)

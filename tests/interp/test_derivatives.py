"""Derivatives in the language: every form of `wrt` and `sens`, nesting, several outputs, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import grads, other_lines, refused, same, value, values

F = """
net f(x: f64, y: f64) {
  param w: f64 = 2.0
  param b: f64 = 3.0
  return w * x ** 2 * y + b * y
}
"""
X, Y = 3.0, 5.0
DX, DY, DW, DB = 2 * 2 * X * Y, 2 * X**2 + 3, X**2 * Y, Y


def inside(expression: str, items: str = F) -> list[float]:
    """The flattened values of a transformation of `f` at (3, 5)."""
    out = values(f"{items}\nnet main(x: f64, y: f64) {{\n  return {expression}\n}}\n", x=X, y=Y)
    return [float(v) if v.ndim == 0 else v.tolist() for v in out]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("grad(f)(x, y)", [DX]),
        ("grad(f, wrt=x)(x, y)", [DX]),
        ("grad(f, wrt=y)(x, y)", [DY]),
        ("grad(f, wrt=(x, y))(x, y)", [DX, DY]),
        ("grad(f, wrt=(y, x))(x, y)", [DY, DX]),
        ("grad(f, wrt=[y, x])(x, y)", [DY, DX]),
        ("grad(f, wrt=all)(x, y)", [DX, DY]),
        ("grad(f, wrt=params)(x, y)", [DW, DB]),
        ("grad(f, wrt=w)(x, y)", [DW]),
        ("grad(f, wrt=(x, b))(x, y)", [DX, DB]),
        ("grad(f, wrt=(b, w, x))(x, y)", [DB, DW, DX]),
        ("grad(f, wrt=(all, params))(x, y)", [DX, DY, DW, DB]),
        ("grad(f, wrt=(params, all))(x, y)", [DW, DB, DX, DY]),
        ("grad(f, wrt=(x,))(x, y)", [DX]),
        ("grad(f)(y=y, x=x)", [DX]),
        ("grad(f)(x, y=y)", [DX]),
        ("grad(f, wrt=(all, params))(x, y)[1][0]", [DW]),
        ("grad(f, wrt=(all, w))(x, y)[0][1]", [DY]),
        ("value_and_grad(f)(x, y)", [2 * X**2 * Y + 3 * Y, DX]),
        ("value_and_grad(f, wrt=(x, w))(x, y)[1]", [DX, DW]),
        ("grad(f, sens=10.0)(x, y)", [10 * DX]),
        ("grad(f, wrt=(x, w), sens=x)(x, y)", [3 * DX, 3 * DW]),
        ("value_and_grad(f, sens=10.0)(x, y)", [2 * X**2 * Y + 3 * Y, 10 * DX]),
        ("grad(grad(f, wrt=x), wrt=y)(x, y)", [4 * X]),
        ("grad(grad(f, wrt=y), wrt=x)(x, y)", [4 * X]),
        ("grad(grad(f))(x, y)", [4 * Y]),
        ("grad(grad(f), wrt=(x, y))(x, y)", [4 * Y, 4 * X]),
        ("grad(grad(f, wrt=x), wrt=params)(x, y)", [2 * X * Y, 0.0]),
        ("grad(grad(f, wrt=w), wrt=x)(x, y)", [2 * X * Y]),
        ("grad(grad(grad(f)), wrt=y)(x, y)", [4.0]),
        ("grad(grad(f, wrt=all))(x, y)", [4 * Y + 4 * X]),
        ("grad(grad(f, wrt=(x, y)), wrt=x, sens=(1.0, 0.0))(x, y)", [4 * Y]),
        ("grad(value_and_grad(f))(x, y)", [DX + 4 * Y]),
        ("grad(checkpoint(f))(x, y)", [DX]),
        ("grad(f)(x, y) + grad(f)(2 * x, y)", [3 * DX]),
        ("stop_gradient(f(x, y))", [2 * X**2 * Y + 3 * Y]),
    ],
)
def test_forms(expression: str, wanted: list[float]) -> None:
    assert inside(expression) == pytest.approx(wanted, rel=1e-14)


def test_a_transformation_may_be_named() -> None:
    text = F + "\nnet main(x: f64, y: f64) {\n  df = grad(f, wrt=x)\n  ddf = grad(df, wrt=y)\n  return ddf(x, y)\n}\n"
    same(value(text, x=X, y=Y), 4 * X)


def test_the_first_float_input_is_the_default() -> None:
    text = "net f(i: i64, b: bool, x: f64) = x * x * i\nnet main(i: i64, b: bool, x: f64) = grad(f)(i, b, x)\n"
    same(value(text, i=np.int64(2), b=np.bool_(True), x=3.0), 12.0)


def test_all_means_the_float_inputs() -> None:
    text = (
        "net f(x: f64, i: i64, y: f32) = x * i * y\n"
        "net main(x: f64, i: i64, y: f32) {\n  return grad(f, wrt=all)(x, i, y)\n}\n"
    )
    a, b = values(text, x=3.0, i=np.int64(2), y=np.float32(5))
    same(a, 10.0, "f64")
    same(b, 6.0, "f32")


def test_layers_in_wrt() -> None:
    text = """
net S(x) {
  param w: f64 = 2.0
  param b: f64 = 1.0
  return w * x + b
}
net f(x: f64) {
  layer l1 = S
  layer h[2] = S
  return h[1](h[0](l1(x)))
}
net main(x: f64) {
  return FORM
}
"""
    table = {
        "grad(f, wrt=l1)(x)": [12.0, 4.0],
        "grad(f, wrt=l1.w)(x)": [12.0],
        "grad(f, wrt=(x, l1.w))(x)": [8.0, 12.0],
        "grad(f, wrt=h)(x)": [14.0, 2.0, 15.0, 1.0],
        "grad(f, wrt=h[1])(x)": [15.0, 1.0],
        "grad(f, wrt=h[0].w)(x)": [14.0],
        "grad(f, wrt=params)(x)": [12.0, 4.0, 14.0, 2.0, 15.0, 1.0],
        "grad(f, wrt=(l1, x))(x)[0]": [12.0, 4.0],
    }
    for form, wanted in table.items():
        assert [float(v) for v in values(text.replace("FORM", form), x=3.0)] == wanted, form


def test_the_names_after_wrt_are_those_of_the_transformed_net_before_the_scope_around() -> None:
    text = "net f(a: f64, b: f64) = a * b\nnet main(b: f64) {\n  a = 7.0\n  return grad(f, wrt=a)(b, 10 * b)\n}\n"
    same(value(text, b=2.0), 20.0)


def test_a_net_called_by_its_name_in_wrt() -> None:
    text = (
        "net U(x: f64) {\n  param w: f64 = 2.0\n  return w * x * x\n}\n"
        "net f(x: f64) = U(x) + U(2 * x)\n"
        "net main(x: f64) = grad(f, wrt=U.w)(x)\n"
    )
    same(value(text, x=3.0), 45.0)


# ── sens and several outputs ──

TWO = "net f(x: f64) -> (f64, f64) {\n  return x ** 2, x ** 3\n}\n"


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("grad(f)(x)", 4.0 + 12.0),
        ("grad(f, sens=(1.0, 0.0))(x)", 4.0),
        ("grad(f, sens=(0.0, 1.0))(x)", 12.0),
        ("grad(f, sens=(x, 10.0))(x)", 8.0 + 120.0),
    ],
)
def test_several_outputs(form: str, wanted: float) -> None:
    same(value(TWO + f"net main(x: f64) = {form}\n", x=2.0), wanted)


@pytest.mark.parametrize("sens", ["1.0", "(1.0, 1.0, 1.0)", "(1.0, (1.0, 1.0))"])
def test_sens_has_the_nesting_of_the_result(sens: str) -> None:
    found = refused(TWO + f"net main(x: f64) = grad(f, sens={sens})(x)\n", "DIF005", x=2.0)
    assert "2" in found.message


def test_nested_outputs_take_nested_sens() -> None:
    text = (
        "net g(x: f64) {\n  t = (2 * x, 3 * x)\n  return x, t\n}\n"
        "net main(x: f64) = grad(g, sens=(1.0, (10.0, 100.0)))(x)\n"
    )
    same(value(text, x=2.0), 321.0)


def test_integer_and_bool_outputs_have_no_part_in_it() -> None:
    text = "net f(x: f64) {\n  return x ** 2, x > 0, i64(x)\n}\nnet main(x: f64) = grad(f)(x)\n"
    same(value(text, x=2.0), 4.0)


def test_if_no_float_output_is_left_that_is_an_error() -> None:
    found = refused("net f(x: f64) = x > 0\nnet main(x: f64) = grad(f)(x)\n", "DIF002", x=2.0)
    assert found.span is not None
    assert found.span.line == 2


def test_sens_weights_the_elements() -> None:
    text = "net f(x: f64[3]) = x ** 2\nnet main(x: f64[3], s: f64[3]) = grad(f, sens=s)(x)\n"
    same(value(text, x=[1.0, 2.0, 3.0], s=[1.0, 0.0, 10.0]), [2.0, 0.0, 60.0])


@pytest.mark.parametrize(
    "sens", ["1.0", "[1.0, 2.0]", "[[1.0, 2.0, 3.0]]", "f32([1.0, 2.0, 3.0])", "[true, false, true]"]
)
def test_the_shape_and_dtype_of_sens_must_match_exactly(sens: str) -> None:
    text = f"net f(x: f64[3]) = x ** 2\nnet main(x: f64[3]) = grad(f, sens={sens})(x)\n"
    found = refused(text, "DIF004", x=[1.0, 2.0, 3.0])
    assert "f64" in found.message


def test_sens_is_differentiated_through() -> None:
    text = "net f(x: f64) = x ** 2\nnet main(x: f64, s: f64) = grad(f, sens=s)(x)\n"
    g = grads(text, x=3.0, s=5.0, get_all=True)
    same(g["x"], 10.0)
    same(g["s"], 6.0)


def test_a_weak_sens_takes_the_outputs_dtype() -> None:
    same(value("net f(x: f32) = x ** 2\nnet main(x: f32) = grad(f, sens=10.0)(x)\n", x=3.0), 60.0, "f32")


# ── integers ──


@pytest.mark.parametrize(("wrt", "name"), [("k", "k"), ("(x, k)", "k"), ("b", "b")])
def test_an_integer_or_bool_in_wrt_is_an_error(wrt: str, name: str) -> None:
    text = (
        f"net f(x: f64, k: i64, b: bool) = x * k\n"
        f"net main(x: f64, k: i64, b: bool) {{\n  return grad(f, wrt={wrt})(x, k, b)\n}}\n"
    )
    found = refused(text, "DIF001", name, x=1.0, k=np.int64(2), b=np.bool_(True))
    assert found.span is not None
    assert found.span.line == 3


def test_a_net_without_float_inputs_has_nothing_to_differentiate_by() -> None:
    refused("net f(k: i64) = 2.0 * k\nnet main(k: i64) = grad(f)(k)\n", "DIF001", k=np.int64(2))


@pytest.mark.parametrize("wrt", ["z", "l1.w", "(x, z)", "sin"])
def test_an_unknown_name_in_wrt_lists_what_there_is(wrt: str) -> None:
    found = refused(F + f"net main(x: f64, y: f64) {{\n  return grad(f, wrt={wrt})(x, y)\n}}\n", "DIF003", x=X, y=Y)
    words = found.message + " ".join(found.notes) + (found.help or "") + "".join(label.text for label in found.others)
    assert all(name in words for name in ("x", "y", "w", "b"))


def test_a_misspelt_name_in_wrt_is_suggested() -> None:
    text = "net f(velocity: f64) = velocity ** 2\nnet main(x: f64) = grad(f, wrt=velocty)(x)\n"
    found = refused(text, "DIF003", "velocty", x=X)
    assert "velocity" in (found.help or "")


def test_params_of_a_net_without_params() -> None:
    refused("net f(x: f64) = x\nnet main(x: f64) = grad(f, wrt=params)(x)\n", "DIF003", x=1.0)


def test_a_name_twice_in_wrt() -> None:
    assert inside("grad(f, wrt=(x, x))(x, y)") == [DX, DX]


@pytest.mark.parametrize("what", ["sin", "x", "3", "f(x, y)", '"f"'])
def test_what_is_transformed_is_a_net(what: str) -> None:
    refused(F + f"net main(x: f64, y: f64) = grad({what})(x, y)\n", "DIF006", x=X, y=Y)


def test_a_transformation_takes_the_inputs_of_its_net() -> None:
    refused(F + "net main(x: f64, y: f64) = grad(f)(x)\n", "NAM021", x=X, y=Y)
    refused(F + "net main(x: f64, y: f64) = grad(f)(x, y, x)\n", "NAM020", x=X, y=Y)
    refused(F + "net main(x: f64, y: f64) = grad(f)(x, z=y)\n", "NAM022", x=X, y=Y)


def test_an_unknown_option_of_grad() -> None:
    found = refused(F + "net main(x: f64, y: f64) = grad(f, wtr=x)(x, y)\n", "NAM022", x=X, y=Y)
    assert "wrt" in (found.help or "")


# ── zero gradients, stop_gradient ──


def test_an_input_without_a_path_has_zeros_of_its_own_shape_and_dtype() -> None:
    text = "net f(x: f64, y: f32[2, 3]) = x\nnet main(x: f64, y: f32[2, 3]) = grad(f, wrt=y)(x, y)\n"
    same(value(text, x=1.0, y=np.ones((2, 3), "float32")), np.zeros((2, 3)), "f32")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("y", "no path"),
        ("y * stop_gradient(x)", "stopped"),
        ("y + floor(x)", "flat"),
        ("y + (x > 0)", "flat"),
    ],
)
def test_reports_say_why_a_gradient_is_zero(expression: str, reason: str) -> None:
    result = gradcli.compile(f"net f(x: f64, y: f64) =\n  {expression}\n".replace("=\n ", "=")).run(
        "grad", x=3.0, y=5.0
    )
    (entry,) = result.grads
    same(entry.array, 0.0)
    assert entry.zero is not None
    assert entry.zero["reason"] == reason


def test_a_stopped_gradient_says_at_which_line() -> None:
    result = gradcli.compile("net f(x: f64, y: f64) {\n  h = 2 * x\n  g = stop_gradient(h)\n  return g * y\n}\n").run(
        "grad", x=3.0, y=5.0
    )
    zero = result.grads[0].zero
    assert zero is not None
    assert zero["reason"] == "stopped"
    assert any(":3" in place for place in zero["at"])


@pytest.mark.parametrize(
    ("net", "wanted"),
    [
        ("stop_gradient(x) * x", [3.0, 0.0, 0.0]),
        ("stop_gradient(x ** 2) * x ** 2", [54.0, 18.0, 0.0]),
        ("stop_gradient(stop_gradient(x) * x) + x", [1.0, 0.0, 0.0]),
        ("x * stop_gradient(sin(x)) ** 2 + x ** 3", [27 + np.sin(3.0) ** 2, 18.0, 6.0]),
    ],
)
def test_stop_gradient_at_any_order(net: str, wanted: list[float]) -> None:
    text = (
        f"net f(x: f64) = {net}\n"
        f"net main(x: f64) {{\n  return grad(f)(x), grad(grad(f))(x), grad(grad(grad(f)))(x)\n}}\n"
    )
    assert [float(v) for v in values(text, x=3.0)] == pytest.approx(wanted, rel=1e-14)


def test_stop_gradient_inside_a_net_that_is_differentiated_inside() -> None:
    text = "net f(x: f64) = stop_gradient(x) * x\nnet main(x: f64) = grad(f)(x) * x\n"
    same(value(text, x=3.0), 9.0)
    same(grads(text, x=3.0)["x"], 3.0)


def test_stop_gradient_of_a_tuple_and_of_a_param() -> None:
    text = "net main(x: f64) {\n  param w: f64 = 2.0\n  a, b = stop_gradient((x, w))\n  return a * b + x * w\n}\n"
    g = grads(text, x=3.0, get_all=True, get_by_list=True)
    same(g["x"], 2.0)
    same(g["w"], 3.0)


def test_perturbation_confusion() -> None:
    text = """
net main(x: f64) {
  net inner(y) = x + y
  net outer_(z) {
    net g(y) = z + y
    return z * grad(g)(1.0)
  }
  return grad(outer_)(x) + x * grad(inner)(1.0)
}
"""
    same(value(text, x=1.0), 2.0)
    same(grads(text, x=1.0)["x"], 1.0)


def test_gradient_of_a_gradient_norm_reaches_params() -> None:
    text = """
net U(x: f64[2]) {
  param w: f64[2] = [1.0, 2.0]
  return sum(w * x ** 2)
}
net main(x: f64[2]) = sum(grad(U)(x) ** 2)
"""
    g = grads(text, x=[3.0, 4.0], wrt="params")
    same(g["U.w"], [2 * 1 * 4 * 9, 2 * 2 * 4 * 16])


def test_value_and_grad_keeps_several_outputs() -> None:
    text = TWO + "net main(x: f64) {\n  (a, b), g = value_and_grad(f)(x)\n  return a + 10 * b + 100 * g\n}\n"
    same(value(text, x=2.0), 4.0 + 80.0 + 1600.0)


def test_grad_by_a_weak_integer_is_f64() -> None:
    same(value("net f(x) = x ** 2\nnet main() = grad(f)(3)\n"), 6.0, "f64")


def test_grad_of_an_imported_net(tmp_path: Any) -> None:
    (tmp_path / "a.net").write_text("net f(x) {\n  param w: f64 = 2.0\n  return w * x ** 2\n}\n")
    (tmp_path / "m.net").write_text(
        'import "a.net" as a\nnet main(x: f64) {\n  return grad(a.f)(x), grad(a.f, wrt=w)(x)\n}\n'
    )
    assert [float(v) for v in gradcli.load(tmp_path / "m.net").eval(x=3.0)] == [12.0, 9.0]


def test_grad_in_a_default_and_in_a_const_is_elaborated_or_refused_in_words() -> None:
    same(value("net f(x) = x ** 2\nconst k = grad(f)(3.0)\nnet main(x: f64) = k * x\n", x=1.0), 6.0)


def test_a_wrong_shape_inside_a_differentiated_net_names_the_call() -> None:
    text = "net f(x: f64[2]) = sum(x)\nnet main(x: f64[3]) = grad(f)(x)\n"
    found = refused(text, "SHP106", x=[1.0, 2.0, 3.0])
    assert found.span is not None
    assert found.span.line == 2
    assert 1 in other_lines(found)


def test_the_derivative_by_a_dim_s_worth_of_data_is_shaped_as_the_data() -> None:
    g = grads("net f(x: f64[n, m], y: f64) = y * sum(x)\n", x=np.ones((2, 3)), y=2.0, get_all=True)
    same(g["x"], np.full((2, 3), 2.0))
    same(g["y"], 6.0)

"""Nets: signatures and their named dims, static parameters, results, calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import calc, grads, other_lines, proved, refused, same, value, values

A23 = np.arange(6.0).reshape(2, 3)


# ── the two forms ──


def test_a_net_as_one_expression_and_as_a_body() -> None:
    same(value("net f(x, y) = x * y\n", x=2.0, y=3.0), 6.0)
    same(value("net f(x, y) {\n  return x * y\n}\n", x=2.0, y=3.0), 6.0)


def test_a_body_on_one_line_with_semicolons() -> None:
    same(value("net f(x: f64) -> f64 { y = x + 1; z = y * y; return z }\n", x=2.0), 9.0)


def test_newlines_are_free_inside_brackets() -> None:
    text = "net f(\n  x: f64[n],\n  y: f64\n) = sum(\n  [1.0,\n   2.0]\n  * x\n) + (y\n  + 1)\n"
    same(value(text, x=[1.0, 1.0], y=1.0), 5.0)


def test_a_trailing_comma_is_allowed() -> None:
    same(value("net f(x: f64, y: f64,) = concat([[x,], [y],])\n", x=1.0, y=2.0), [1.0, 2.0])


def test_a_net_without_inputs() -> None:
    same(value("net f() = 2.0 * pi\n"), 2 * np.pi)


def test_a_body_without_return_is_refused() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net f(x) {\n  y = x\n}\n").eval(x=1.0)
    assert caught.value.diagnostics[0].code in ("SYN007", "NAM012")


def test_return_is_last() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net f(x) {\n  return x\n  y = x\n}\n")
    assert caught.value.diagnostics[0].code == "SYN019"


# ── types ──


@pytest.mark.parametrize("type_", ["f32", "f32[]"])
def test_scalars(type_: str) -> None:
    same(value(f"net f(x: {type_}) = 2 * x\n", x=2.0), 4.0, "f32")


def test_types_are_optional() -> None:
    same(value("net f(x) = x + 1\n", x=np.float32(2)), 3.0, "f32")


@pytest.mark.parametrize(
    ("type_", "given", "code"),
    [
        ("f64[3]", [1.0, 2.0], "SHP106"),
        ("f64", [1.0, 2.0], "SHP105"),
        ("f64[n]", 1.0, "SHP105"),
        ("f64[n, n]", A23, "SHP106"),
        ("f64[2, ...]", 1.0, "SHP105"),
        ("f64[..., 2]", A23, "SHP106"),
        ("i64", 1.5, "DAT105"),
        ("bool", 1.5, "DAT105"),
    ],
)
def test_data_are_held_against_the_signature(type_: str, given: Any, code: str) -> None:
    found = refused(f"net f(x: {type_}) = x\n", code, x=given)
    assert "x" in found.message


def test_a_named_dim_must_agree_within_one_input() -> None:
    same(value("net f(x: f64[n, n]) = x[0, 1]\n", x=[[1.0, 2.0], [3.0, 4.0]]), 2.0)


def test_a_named_dim_must_agree_everywhere() -> None:
    text = "net f(x: f64[n], y: f64[n]) = x * y\nnet main(a: f64[2], b: f64[3]) = f(a, b)\n"
    found = refused(text, "SHP106", "f(a, b)", a=[1.0, 2.0], b=[1.0, 2.0, 3.0])
    assert "n" in found.message
    assert {label.span.line for label in found.others} == {1}
    assert any("2" in label.text for label in found.others)


def test_each_call_binds_dims_anew() -> None:
    text = "net f(x: f64[n]) = sum(x) * size(n)\nnet main(a: f64[2], b: f64[3]) = f(a) + f(b)\n"
    same(value(text, a=[1.0, 1.0], b=[1.0, 1.0, 1.0]), 13.0)


@pytest.mark.parametrize(("shape", "total"), [((3,), 3), ((2, 3), 6), ((4, 2, 3), 24)])
def test_an_ellipsis_stands_for_any_leading_dims(shape: tuple[int, ...], total: int) -> None:
    same(value("net f(x: f64[..., i]) = sum(x) * size(i)\n", x=np.ones(shape)), 3.0 * total)


def test_an_ellipsis_in_the_result() -> None:
    text = "net f(x: f64[..., i], w: f64[i, o]) -> f64[..., o] = x @ w\n"
    same(value(text, x=np.ones((2, 4, 3)), w=np.ones((3, 5))), np.full((2, 4, 5), 3.0))


@pytest.mark.parametrize("dim", ["2 * k", "k + k", "k * 2", "k + 2", "k ** 2", "3 * k - 2"])
def test_a_dim_may_be_an_expression_of_bound_dims(dim: str) -> None:
    text = f"net f(x: f64[k], y: f64[{dim}]) = sum(y) + x[0]\n"
    same(value(text, x=np.ones(2), y=np.ones(4)), 5.0)
    refused(text, "SHP106", x=np.ones(2), y=np.ones(5))


def test_a_dim_expression_may_use_dims_of_later_inputs() -> None:
    same(value("net f(y: f64[2 * k], x: f64[k]) = sum(y) + x[0]\n", x=np.ones(2), y=np.ones(4)), 5.0)


def test_shapes_are_proved_where_a_dim_expression_uses_dims_of_later_inputs(tmp_path: Path) -> None:
    checked = proved("net f(gates: f64[4 * h], out: f64[h]) = gates[0:h] + out\n", tmp_path)
    assert checked.inputs == (("gates", "f64[4 * h]"), ("out", "f64[h]"))
    assert [kind for _, kind in checked.outputs] == ["f64[h]"]
    assert not checked.conditions


def test_a_dim_that_nothing_binds_is_refused() -> None:
    refused("net f(y: f64[2 * k]) = sum(y)\n", "NAM001", "k", y=np.ones(4))


def test_an_unknown_dtype_suggests_one() -> None:
    found = refused("net f(x: float32) = x\n", "SHP116", x=1.0)
    assert "f32" in (found.help or "") + found.message


def test_complex_numbers_are_refused_by_name() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net f(x: c64) = x\n").eval(x=1.0)
    assert "omplex" in str(caught.value) + " ".join(caught.value.diagnostics[0].notes)


def test_complex_data_are_refused_by_name() -> None:
    found = refused("net f(x) = x\n", "DAT107", x=np.array([1j]))
    assert "complex" in found.message


# ── results ──


def test_several_results_are_typed_one_by_one() -> None:
    text = "net f(x: f64[m]) -> (f64[m], f64) {\n  return 2 * x, sum(x)\n}\n"
    a, b = values(text, x=[1.0, 2.0])
    same(a, [2.0, 4.0])
    same(b, 3.0)


def test_a_result_that_is_a_plain_name_keeps_it() -> None:
    net = gradcli.compile("net f(x: f64) {\n  h = x * 2\n  return h, x + 1\n}\n")
    assert net.eval(x=1.0).keys() == ["h", "out1"]
    assert gradcli.compile("net f(x: f64) = x * 2\n").eval(x=1.0).keys() == ["out"]


@pytest.mark.parametrize(
    ("results", "code"),
    [("f64[3]", "SHP106"), ("f64", "SHP105"), ("f32[2]", "SHP103"), ("(f64[2], f64)", "SHP105"), ("i64[2]", "SHP103")],
)
def test_results_are_held_against_their_type(results: str, code: str) -> None:
    found = refused(f"net f(x: f64[2]) -> {results} {{\n  y = 2 * x\n  return y\n}}\n", code, x=[1.0, 2.0])
    assert found.span is not None
    assert found.span.line == 3
    assert other_lines(found) == [1]


def test_a_weak_result_takes_its_declared_dtype() -> None:
    same(value("net f() -> f32 = 1.5\n"), 1.5, "f32")


def test_an_unbound_dim_in_a_result_type_is_bound_by_the_result() -> None:
    same(value("net f(x: f64[n]) -> f64[m] = concat([x, x])\n", x=[1.0]), [1.0, 1.0])


# ── static parameters ──


def test_static_parameters_are_given_at_the_call() -> None:
    text = "net f[i, o](x: f64[i]) -> f64[o] = ones([o]) * sum(x)\nnet main(x: f64[2]) = f[2, 3](x)\n"
    same(value(text, x=[1.0, 2.0]), [3.0, 3.0, 3.0])


def test_static_parameters_are_weak_integers_in_expressions() -> None:
    same(value("net f[n](x: f32) = x * size(n)\nnet main(x: f32) = f[4](x)\n", x=1.5), 6.0, "f32")


def test_static_parameters_may_be_expressions_of_dims() -> None:
    text = "net f[n](x: f64[n]) = sum(x)\nnet main(x: f64[k], y: f64[2 * k]) = f[k](x) + f[2 * k](y)\n"
    same(value(text, x=[1.0], y=[1.0, 1.0]), 3.0)


def test_a_static_parameter_must_agree_with_data() -> None:
    refused("net f[n](x: f64[n]) = sum(x)\nnet main(x: f64[2]) = f[3](x)\n", "SHP106", "f[3](x)", x=[1.0, 2.0])


def test_a_net_with_static_parameters_needs_them() -> None:
    found = refused("net f[n](x: f64[n]) = sum(x)\nnet main(x: f64[2]) = f(x)\n", "NAM020", "f(x)", x=[1.0, 2.0])
    assert "f[n]" in found.message + (found.help or "")


@pytest.mark.parametrize("given", ["2, 3", "2.5", "x"])
def test_static_parameters_are_counted_integers(given: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value(f"net f[n](x: f64[n]) = sum(x)\nnet main(x: f64[2]) = f[{given}](x)\n", x=[1.0, 2.0])
    assert caught.value.diagnostics[0].code in ("NAM020", "SHP110")


def test_a_net_with_params_and_static_parameters_is_used_through_layer_only() -> None:
    text = "net D[i](x: f64[i]) {\n  param w: f64[i] = ones()\n  return sum(w * x)\n}\nnet main(x: f64[2]) = D[2](x)\n"
    found = refused(text, "NAM014", x=[1.0, 2.0])
    assert "layer" in found.message + (found.help or "")


# ── calls ──

F = "net f(x: f64, y: f64 = 10.0) = x - y\n"


@pytest.mark.parametrize(
    ("call", "wanted"),
    [("f(x)", -9.0), ("f(x, 3.0)", -2.0), ("f(x, y=3.0)", -2.0), ("f(y=3.0, x=x)", -2.0), ("f(x=x)", -9.0)],
)
def test_positional_and_named_arguments(call: str, wanted: float) -> None:
    same(value(F + f"net main(x: f64) = {call}\n", x=1.0), wanted)


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        ("f()", "NAM021", "x"),
        ("f(y=1.0)", "NAM021", "x"),
        ("f(x, 1.0, 2.0)", "NAM020", "2 inputs"),
        ("f(x, z=1.0)", "NAM022", "z"),
        ("f(x, x=1.0)", "NAM022", "x"),
    ],
)
def test_wrong_calls_name_the_net_and_where_it_is(call: str, code: str, says: str) -> None:
    found = refused(F + f"net main(x: f64) = {call}\n", code, says=says, x=1.0)
    assert found.span is not None
    assert found.span.line == 2
    assert other_lines(found) == [1]


def test_a_positional_argument_after_a_named_one_is_refused() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(F + "net main(x: f64) = f(x=x, 2.0)\n")
    assert caught.value.diagnostics[0].code == "SYN020"


def test_a_misspelt_argument_suggests_the_right_one() -> None:
    found = refused("net f(temperature: f64) = temperature\nnet main(x: f64) = f(temprature=x)\n", "NAM022", x=1.0)
    assert "temperature" in (found.help or "")


def test_a_default_may_use_consts() -> None:
    same(value("const k = 4.0\nnet f(x: f64, y = 2 * k) = x * y\n", x=1.0), 8.0)


def test_a_default_may_use_an_earlier_input() -> None:
    text = "net f(x: f64, y = 2.0) = x * y\nnet main(x: f64) = f(x) + f(x, y=3.0)\n"
    same(value(text, x=1.0), 5.0)


def test_an_operator_is_called_with_named_arguments() -> None:
    same(calc("sum(x=x, axis=1)", "x: f64[2, 3]", x=A23), A23.sum(1))


def test_calling_an_array_is_refused() -> None:
    found = refused("net main(x: f64, y: f64) = x(y)\n", "NAM020", "x", x=1.0, y=1.0)
    assert "*" in (found.help or "")


def test_a_net_as_an_argument_is_refused() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value("net g(x) = x\nnet f(h, x) = h(x)\nnet main(x: f64) = f(g, x)\n", x=1.0)
    first = caught.value.diagnostics[0]
    assert first.span is not None
    assert first.span.line == 3


def test_a_net_may_be_named_inside_a_net() -> None:
    same(value("net g(x) = x * x\nnet main(x: f64) {\n  h = g\n  d = grad(h)\n  return h(x) + d(x)\n}\n", x=3.0), 15.0)


def test_a_weak_argument_stays_weak_in_an_untyped_input() -> None:
    same(value("net g(k, x) = k * x\nnet main(x: f32) = g(0.5, x)\n", x=2.0), 1.0, "f32")


def test_a_declared_input_ends_weakness() -> None:
    same(value("net g(k: f64, x) = k * x\nnet main(x: f32) = g(0.5, x)\n", x=2.0), 1.0, "f64")


def test_a_definite_dtype_into_another_declared_one_is_refused_with_a_cast() -> None:
    text = "net g(k: f32) = k\nnet main(x: f64) = g(x)\n"
    found = refused(text, "SHP103", "g(x)", x=2.0)
    assert other_lines(found) == [1]
    assert "f32(" in (found.help or "")
    same(value(text.replace("g(x)", "g(f32(x))"), x=2.0), 2.0, "f32")


def test_a_tuple_is_passed_to_an_untyped_input() -> None:
    text = "net two(x) {\n  return x, 2 * x\n}\nnet g(t) = t[0] + t[1]\nnet main(x: f64) = g(two(x))\n"
    same(value(text, x=1.0), 3.0)


def test_gradients_by_name_of_named_inputs() -> None:
    g = grads("net f(x: f64, y: f64) = x * y * y\n", x=2.0, y=3.0, get_all=True)
    assert list(g) == ["x", "y"]
    same(g["x"], 9.0)
    same(g["y"], 12.0)


def test_an_input_named_twice_is_refused() -> None:
    found = refused("net main(x: f64,\n         x: f64) = x\n", "NAM004", "x", x=1.0)
    assert other_lines(found) == [1]


def test_a_static_parameter_named_twice_is_refused() -> None:
    refused("net g[n, n](x: f64[n]) = x\nnet main(x: f64[2]) = g[2, 2](x)\n", "NAM004", "n", x=[1.0, 2.0])


def test_two_ellipses_in_a_type() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net main(x: f64[..., ...]) = x\n").eval(x=[1.0])
    assert caught.value.diagnostics[0].span is not None


def test_deep_and_long_expressions() -> None:
    same(calc("(" * 3000 + "x" + ")" * 3000, "x: f64", x=1.0), 1.0)
    same(calc("+".join(["x"] * 20_000), "x: f64", x=1.0), 20_000.0)
    same(calc("-" * 3000 + "x", "x: f64", x=1.0), 1.0)
    same(calc("tanh(" * 2000 + "x" + ")" * 2000, "x: f64", x=0.0), 0.0)

"""Words, names and dims: what sees what, what hides what, and the words of the language."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradcli
from tests.interp.nets import expects, other_lines, refused, same, value

RESERVED = [
    "net",
    "case",
    "param",
    "layer",
    "for",
    "in",
    "while",
    "return",
    "if",
    "else",
    "and",
    "or",
    "not",
    "expect",
    "true",
    "false",
    "None",
    "inf",
    "nan",
]
FREE = ["edition", "import", "as", "input", "const", "dim", "error", "within", "all", "params", "pi", "e"]


@pytest.mark.parametrize("word", RESERVED)
def test_reserved_words_are_no_names(word: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(f"net main(x: f64) {{\n  {word} = x\n  return x\n}}\n").eval(x=1.0)
    found = caught.value.diagnostics[0]
    assert found.code.startswith("SYN")
    assert found.span is not None
    assert found.span.line in (2, 3)


@pytest.mark.parametrize("word", [word for word in FREE if word != "all"])
def test_the_other_words_are_special_only_in_their_places(word: str) -> None:
    same(
        value(
            f"net main({word}: f64) {{\n  y = 2 * {word}\n  {word} = y + 1\n  return {word}\n}}\n", inputs={word: 3.0}
        ),
        7.0,
    )


def test_names_that_begin_with_words() -> None:
    same(
        value(
            "net main(network: f64, form: f64, inside: f64) = network + form * inside\n",
            network=1.0,
            form=2.0,
            inside=3.0,
        ),
        7.0,
    )


def test_pi_and_e_are_constants_that_a_name_may_hide() -> None:
    same(value("net main(x: f64) {\n  pi = 3.0\n  e = x\n  return pi * e\n}\n", x=2.0), 6.0)
    same(value("const e = 5.0\nnet main(x: f64) = e * x\n", x=2.0), 10.0)
    same(value("net main(x: f64) = e * x + pi\n", x=2.0), 2 * np.e + np.pi)


# ── hiding ──


def test_a_name_may_hide_a_const() -> None:
    same(value("const k = 2.0\nnet main(x: f64) {\n  k = 10.0\n  return k * x\n}\nnet other(x) = k * x\n", x=1.0), 10.0)


def test_an_input_may_hide_a_const() -> None:
    same(value("const k = 2.0\nnet main(k: f64) = 3 * k\n", k=1.0), 3.0)


def test_a_name_of_a_local_net_may_hide_one_outside() -> None:
    same(value("net main(x: f64) {\n  a = 10.0\n  net g(a) = a + 1\n  return g(x) + a\n}\n", x=1.0), 12.0)


def test_hiding_ends_with_the_net() -> None:
    same(
        value("const k = 2.0\nnet g(x) {\n  k = 100.0\n  return k * x\n}\nnet main(x: f64) = g(x) + k\n", x=1.0), 102.0
    )


@pytest.mark.parametrize("name", ["sum", "exp", "g", "grad", "zeros", "softmax", "size"])
def test_a_name_never_hides_a_net_or_an_operator(name: str) -> None:
    for text in (
        f"net g(y) = y\nnet main(x: f64) {{\n  {name} = x\n  return x\n}}\n",
        f"net g(y) = y\nnet main({name}: f64) = {name}\n",
        f"net g(y) = y\nnet main(x: f64) {{\n  for {name} in 0..2 {{\n    x = x + 1\n  }}\n  return x\n}}\n",
        f"net g(y) = y\nnet main(x: f64) {{\n  param {name}: f64 = 1.0\n  return x\n}}\n",
    ):
        found = refused(text, "NAM003", name, net="main", inputs={"x" if "main(x:" in text else name: 1.0})
        if name == "g":
            assert other_lines(found) == [1]


def test_a_net_of_the_file_named_like_an_operator_is_refused() -> None:
    found = refused("net sum(x) = x\nnet main(x: f64) = sum(x)\n", "NAM003", "sum", x=1.0)
    assert found.span is not None
    assert found.span.line == 1


def test_a_const_named_like_an_operator_is_refused() -> None:
    refused("const exp = 3\nnet main(x: f64) = exp * x\n", "NAM003", "exp", x=1.0)


def test_a_local_net_never_hides_a_net() -> None:
    refused("net g(y) = y\nnet main(x: f64) {\n  net g(y) = 2 * y\n  return g(x)\n}\n", "NAM003", "g", x=1.0)


def test_a_dtype_is_no_name() -> None:
    with pytest.raises(gradcli.ModelError):
        value("net main(x: f64) {\n  f32 = x\n  return f32\n}\n", x=1.0)


@pytest.mark.parametrize("name", ["mse", "pad", "trace"])
def test_the_list_of_operators_is_frozen_so_such_a_name_is_not_free(name: str) -> None:
    refused(f"net {name}(x) = 2 * x\nnet main(x: f64) = {name}(x)\n", "NAM003", name, x=1.0)


# ── dims ──


def test_dims_have_a_namespace_of_their_own() -> None:
    text = "net main(n: f64[n]) = sum(n) * size(n)\n"
    same(value(text, n=[1.0, 2.0, 3.0]), 18.0)


def test_size_is_the_dims_where_there_is_one_else_the_number_of_elements() -> None:
    same(
        value(
            "net main(x: f64[a, 3]) {\n  b = x\n  return size(a) + 100 * size(b) + 10000 * size(x * 1)\n}\n",
            x=np.ones((2, 3)),
        ),
        2 + 600 + 60000,
        "i64",
    )
    same(value("net main(x: f64[x, 3]) = size(x)\n", x=np.ones((2, 3))), 2)


def test_size_of_an_unknown_name() -> None:
    refused("net main(x: f64) = size(q) * x\n", "NAM001", "q", x=1.0)


def test_size_is_weak() -> None:
    same(value("net main(x: f32[n]) = x / size(n)\n", x=[1.0, 2.0]), [0.5, 1.0], "f32")


def test_a_dim_bound_outside_is_the_same_inside() -> None:
    text = "dim n = 2\nnet g(x: f64[n]) = sum(x)\nnet main(x: f64[m]) = g(x)\n"
    same(value(text, x=[1.0, 1.0]), 2.0)
    refused(text, "SHP106", x=[1.0, 1.0, 1.0])


def test_dims_of_the_caller_are_not_those_of_the_called() -> None:
    same(value("net g(y: f64[n]) = sum(y)\nnet main(x: f64[n]) = g(concat([x, x]))\n", x=[1.0, 1.0]), 4.0)


def test_dims_used_in_expressions_by_name() -> None:
    same(value("net main(x: f64[n]) = zeros([n]) + x\n", x=[1.0, 2.0]), [1.0, 2.0])


def test_a_static_parameter_and_a_dim_share_a_namespace() -> None:
    text = "net g[n](x: f64[n]) = sum(x) * size(n)\nnet main(x: f64[2]) = g[2](x)\n"
    same(value(text, x=[1.0, 1.0]), 4.0)


def test_shape_gives_the_sizes() -> None:
    same(
        value("net main(x: f64[a, 3]) = zeros(x.shape) + x.shape[0] + shape(x)[1]\n", x=np.ones((2, 3))),
        np.full((2, 3), 5.0),
    )


def test_axis_names_are_dims_of_that_array_before_the_scope_around() -> None:
    text = "const batch = 1\nnet main(x: f64[batch_, 3], y: f64[3, batch]) = sum(y, axis=batch)\n"
    with pytest.raises(gradcli.ModelError):
        value(text, x=np.ones((2, 3)), y=np.ones((3, 2)))
    same(value("const b = 1\nnet main(x: f64[b_, 3]) = sum(x, axis=b)\n", x=np.ones((2, 3))), [3.0, 3.0])
    same(value("net main(x: f64[k, 3]) {\n  k = 1\n  return sum(x, axis=k)\n}\n", x=np.ones((2, 3))), [2.0, 2.0, 2.0])


def test_an_axis_that_is_no_dim_of_the_array_suggests_one_that_is() -> None:
    found = refused("net main(x: f64[batch, width]) = sum(x, axis=widht)\n", "NAM001", "widht", x=np.ones((2, 3)))
    assert "`width`" in (found.help or "")


# ── scope of cases and nets ──


def test_a_case_sees_nets_consts_dims_and_inputs(tmp_path: Path) -> None:
    text = "net f(x) = 2 * x\nconst k = 3.0\ndim n = 4\ninput x = [1.0, 2.0]\n"
    result = expects(tmp_path, text, "expect f(x) * k == [6.0, 12.0]", "expect zeros([n]) == 0", "expect size(n) == 4")
    assert result.status == "passed", result.message


def test_a_net_does_not_see_names_of_its_caller() -> None:
    refused("net g(y) = y * hidden\nnet main(x: f64) {\n  hidden = 2.0\n  return g(x)\n}\n", "NAM001", "hidden", x=1.0)


def test_a_const_does_not_see_inputs() -> None:
    refused("const k = 2 * x\ninput x = 1.0\nnet main(x: f64) = k * x\n", "NAM001", "x")


def test_an_input_item_sees_consts_but_no_other_input() -> None:
    same(value("const k = 2.0\ninput x = k * 3\nnet main(x) = x\n"), 6.0)


def test_an_unknown_net_suggests_an_operator_or_net() -> None:
    assert "`softmax`" in (refused("net main(x: f64) = sofmax(x)\n", "NAM001", "sofmax", x=1.0).help or "")
    assert "`Dense`" in (
        refused("net Dense(x) = x\nnet main(x: f64) = Dnese(x)\n", "NAM001", "Dnese", x=1.0).help or ""
    )


def test_an_unknown_attribute() -> None:
    assert "`.T`" in refused("net main(x: f64[2, 2]) = x.t\n", "NAM007", x=np.eye(2)).message


def test_an_operator_is_no_value() -> None:
    found = refused("net main(x: f64) = exp + x\n", "SHP113", x=1.0)
    assert "exp" in found.message


def test_a_net_is_no_value() -> None:
    found = refused("net g(x) = x\nnet main(x: f64) = g + x\n", "SHP113", x=1.0)
    assert "g" in found.message

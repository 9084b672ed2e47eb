"""Statements: binding, rebinding, tuple targets, annotations, and where they end."""

from __future__ import annotations

import numpy as np
import pytest

import gradcli
from tests.interp.nets import grads, other_lines, refused, same, value, values


def body(*lines: str, signature: str = "x: f64") -> str:
    inside = "\n".join(f"  {line}" for line in lines)
    return f"net main({signature}) {{\n{inside}\n}}\n"


def test_the_newest_binding_is_meant_from_there_on() -> None:
    same(value(body("y = x", "x = x + 1", "x = x * y", "return x"), x=3.0), 12.0)


def test_rebinding_an_input_differentiates_by_the_input() -> None:
    same(grads(body("x = x * x", "x = x * x", "return x"), x=2.0)["x"], 32.0)


def test_rebinding_may_change_shape_and_dtype() -> None:
    same(value(body("h = x", "h = [x, x]", "h = f32(h)", "return h"), x=1.0), [1.0, 1.0], "f32")


def test_a_tuple_is_taken_apart() -> None:
    same(value(body("a, b = (x, 2 * x)", "return a + b"), x=1.0), 3.0)


def test_the_right_side_is_evaluated_before_names_are_bound() -> None:
    a, b = values(body("a = x", "b = 2 * x", "a, b = b, a", "return a, b"), x=1.0)
    same(a, 2.0)
    same(b, 1.0)


def test_nested_targets() -> None:
    text = "net g(x: f64, y: f64) = x * y\n" + body(
        "v, (gx, gy) = value_and_grad(g, wrt=(x, y))(x, 5.0)", "return v + 10 * gx + 100 * gy"
    )
    same(value(text, x=2.0), 10.0 + 50.0 + 200.0)


@pytest.mark.parametrize("line", ["a, b = (x, x, x)", "a, b, c = (x, x)", "a, b = x", "a, (b, c) = (x, x)"])
def test_a_tuple_is_taken_apart_into_as_many_names_as_it_has(line: str) -> None:
    refused(body(line, "return x"), "SHP115", x=1.0)


def test_annotations_are_checked() -> None:
    same(value(body("h: f64[n] = 2 * x", "return h", signature="x: f64[n]"), x=[1.0, 2.0]), [2.0, 4.0])


@pytest.mark.parametrize(
    ("annotation", "code"), [("f64[3]", "SHP106"), ("f64", "SHP105"), ("f32[n]", "SHP103"), ("i64[n]", "SHP103")]
)
def test_a_wrong_annotation_is_refused(annotation: str, code: str) -> None:
    found = refused(body(f"h: {annotation} = 2 * x", "return h", signature="x: f64[n]"), code, x=[1.0, 2.0])
    assert found.span is not None
    assert found.span.line == 2


def test_an_annotation_gives_names_to_dims() -> None:
    text = body("h: f64[batch, 2] = x", "return sum(h, axis=batch)", signature="x: f64[3, 2]")
    same(value(text, x=np.ones((3, 2))), [3.0, 3.0])


def test_an_annotation_ends_weakness() -> None:
    same(value(body("k: f64 = 0.5", "return k * x", signature="x: f32"), x=2.0), 1.0, "f64")
    same(value(body("k: f32 = 0.5", "return k * x", signature="x: f32"), x=2.0), 1.0, "f32")
    same(value(body("k = 0.5", "return k * x", signature="x: f32"), x=2.0), 1.0, "f32")


def test_an_annotation_takes_weak_integers_into_floats() -> None:
    same(value(body("k: f32 = 3", "return k * x", signature="x: f32"), x=2.0), 6.0, "f32")


def test_an_integer_annotation_refuses_a_fraction() -> None:
    found = refused(body("k: i64 = 1.5", "return k * x"), "SHP103", x=1.0)
    assert found.span is not None
    assert found.span.line == 2


def test_a_value_alone_is_refused() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(body("x + 1", "return x"))
    assert caught.value.diagnostics[0].code == "SYN021"


def test_plus_equals_on_a_name_is_refused_with_what_to_write() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(body("x += 1", "return x"))
    first = caught.value.diagnostics[0]
    assert first.code == "SYN021"
    assert "`x = x + " in (first.help or "")


def test_two_statements_on_a_line_need_a_semicolon() -> None:
    same(value("net main(x: f64) { y = x; y = y * 2; return y }\n", x=2.0), 4.0)
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(body("y = x z = x", "return y"))
    assert caught.value.diagnostics[0].code == "SYN023"


def test_an_unused_wrong_statement_is_an_error_all_the_same() -> None:
    refused(body("h = unknown + 1", "return x"), "NAM001", "unknown", x=1.0)


def test_independent_errors_are_all_told() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value(body("a = unknwn", "b = x @ x", "return a + b"), x=1.0)
    assert [d.code for d in caught.value.diagnostics] == ["NAM001", "SHP107"]


def test_an_unknown_name_suggests_the_nearest() -> None:
    text = body("total = x * 2", "return totl + 1")
    found = refused(text, "NAM001", "totl", x=1.0)
    assert "`total`" in (found.help or "")


def test_a_name_used_before_it_is_bound_is_unknown() -> None:
    refused(body("y = z", "z = x", "return y"), "NAM001", "z", x=1.0)


def test_a_param_must_have_a_type() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(body("param w = [1.0]", "return x * w"))
    assert caught.value.diagnostics[0].code == "SYN025"


def test_a_statement_of_a_net_at_the_top_of_the_file_is_refused() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("nu = 0.1\nnet f(x) = x\n")
    first = caught.value.diagnostics[0]
    assert first.code == "SYN018"
    assert "const nu" in (first.help or "")


def test_the_place_of_the_declared_input_is_named_where_a_shape_is_wrong() -> None:
    text = "net f(x: f64[2, 3], y: f64[2, 3]) {\n  z = x\n  return z @ y\n}\n"
    found = refused(text, "SHP201", "@", x=np.ones((2, 3)), y=np.ones((2, 3)))
    assert "3" in found.message
    assert "2" in found.message
    assert 1 in other_lines(found)
    assert found.help is not None
    assert "z @ y.T" in found.help
    same(value(text.replace("z @ y", "z @ y.T"), x=np.ones((2, 3)), y=np.ones((2, 3))), np.full((2, 2), 3.0))

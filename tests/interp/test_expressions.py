"""Expressions: precedence, comparisons, literals, lists and tuples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import calc, refused, refused_expression, same, value, values

PRECEDENCE = """
-x ** 2
-2 ** 2
2 ** -1
2.0 ** 3 ** 2
(2.0 ** 3) ** 2
-x * y
x - y - 1
x / y / 2
x / y * 2
x * y % 3
x % y * 2
x + y * 2
(x + y) * 2
-x + y
- -x
+x
x - -y
2 * -x
x ** 2 * y
x ** -y
-x ** -y
x % 2
-x % 2
x % -2
7 % 3
-7 % 3
7.5 % -2
x / 2 + y % 2 - -1
1e3 + 1_000
1 - 1 - 1
2 * 3 + 4 * 5
"""


@pytest.mark.parametrize("text", PRECEDENCE.strip().splitlines())
def test_precedence_is_pythons(text: str) -> None:
    same(calc(f"{text} + 0 * x * y", "x: f64, y: f64", x=3.5, y=2.0), eval(text, {"x": 3.5, "y": 2.0}), rtol=1e-15)


@pytest.mark.parametrize("text", [row for row in PRECEDENCE.strip().splitlines() if "x" not in row])
def test_constants_are_computed_alike(text: str) -> None:
    same(value(f"const k = {text}\nnet f(x: f64) = k + x\n", x=0.0), eval(text), rtol=1e-15)


LOGIC = """
a or b and c
(a or b) and c
not a or b
not (a or b)
not a == b
a and not b or c
not not a
"""


@pytest.mark.parametrize("text", LOGIC.strip().splitlines())
def test_logic_is_pythons_elementwise(text: str) -> None:
    table = np.array(np.meshgrid([False, True], [False, True], [False, True])).reshape(3, -1)
    wanted = [eval(text, dict(zip("abc", map(bool, row), strict=True))) for row in table.T]
    same(calc(text, "a: bool[8], b: bool[8], c: bool[8]", a=table[0], b=table[1], c=table[2]), wanted, "bool")


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">="])
def test_comparisons(op: str) -> None:
    x, y = np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, 2.0, 2.0, np.nan])
    same(calc(f"x {op} y", "x: f64[4], y: f64[4]", x=x, y=y), eval(f"x {op} y"), "bool")


@pytest.mark.parametrize("text", ["0 < x < 1", "x == y == 1", "0 <= x < y", "(x) < y >= x"])
def test_comparisons_do_not_chain(text: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(f"net f(x, y) = {text}\n")
    found = caught.value.diagnostics[0]
    assert found.code == "SYN011"
    assert found.help is not None
    repair = found.help.split("`")[1]
    assert " and " in repair
    same(calc(repair, "x: f64, y: f64", x=0.5, y=1.0), eval(text, {"x": 0.5, "y": 1.0}), "bool")


def test_comparisons_in_brackets_are_no_chain() -> None:
    same(calc("(x < y) == (y > x)", "x: f64, y: f64", x=1.0, y=2.0), True, "bool")


def test_the_conditional_is_an_elementwise_choice() -> None:
    x = np.array([-1.0, 0.0, 2.0])
    same(calc("x if x > 0 else 10 * x", "x: f64[3]", x=x), [-10.0, 0.0, 2.0])
    same(calc("1 if x > 1 else 2 if x > -0.5 else 3", "x: f64[3]", x=x), [3, 2, 1])


def test_the_conditional_binds_loosest() -> None:
    same(calc("x + 1 if x > 0 or x < -5 else x - 1", "x: f64", x=1.0), 2.0)
    same(calc("1.0 + (x if x > 0 else -x)", "x: f64", x=-3.0), 4.0)


@pytest.mark.parametrize(("text", "under", "meant"), [("x ^ 2", "^", "**"), ("x // 2", "//", "floor")])
def test_operators_of_other_languages_name_the_one_meant(text: str, under: str, meant: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(f"net f(x) = {text}\n")
    found = caught.value.diagnostics[0]
    assert found.code == "SYN010"
    assert found.span is not None
    assert found.span.text == under
    assert meant in (found.help or "")


@pytest.mark.parametrize(
    "text", ["x && y", "x || y", "!x", "x ? y : 1", "x++", "x += 1 + 2 if", "x <> y", "x ** ", "* x", "x y"]
)
def test_broken_expressions_are_refused_with_a_place(text: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(f"net f(x, y) = {text}\n")
    assert caught.value.diagnostics[0].span is not None


# ── literals ──

LITERALS: list[tuple[str, Any, str]] = [
    ("3", 3, "i64"),
    ("1_000", 1000, "i64"),
    ("1_000_000.5", 1000000.5, "f64"),
    ("1.5", 1.5, "f64"),
    ("1e-3", 1e-3, "f64"),
    ("1E3", 1e3, "f64"),
    ("1.5e+2", 150.0, "f64"),
    ("0.1", 0.1, "f64"),
    ("0", 0, "i64"),
    ("007", 7, "i64"),
    ("9223372036854775807", 2**63 - 1, "i64"),
    ("true", True, "bool"),
    ("false", False, "bool"),
    ("pi", np.pi, "f64"),
    ("e", np.e, "f64"),
    ("inf", np.inf, "f64"),
    ("-inf", -np.inf, "f64"),
    ("nan", np.nan, "f64"),
    ("5e-324", 5e-324, "f64"),
    ("1.7976931348623157e308", 1.7976931348623157e308, "f64"),
    ("[1, 2]", [1, 2], "i64"),
    ("[1, 2.5]", [1, 2.5], "f64"),
    ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]], "i64"),
    ("[[true, false]]", [[True, False]], "bool"),
    ("[[[1.0]]]", [[[1.0]]], "f64"),
    ("[-1, +2]", [-1, 2], "i64"),
    ("[pi, 1 / 2]", [np.pi, 0.5], "f64"),
]


@pytest.mark.parametrize(("text", "wanted", "dtype"), [row for row in LITERALS if row[0] != "007"])
def test_literals(text: str, wanted: Any, dtype: str) -> None:
    same(calc(text), wanted, dtype)


@pytest.mark.parametrize("text", ["2.", ".5", "2.e3", "1__0", "1_", "0x10", "1e", "2x", "1.5.2"])
def test_numbers_written_wrongly(text: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(f"net f(x) = {text} * x\n")
    assert caught.value.diagnostics[0].code == "SYN008"


@pytest.mark.parametrize("text", ["1e400", "9223372036854775808"])
def test_numbers_out_of_range(text: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(f"net f(x) = {text} * x\n")
    assert caught.value.diagnostics[0].code == "SYN009"


@pytest.mark.parametrize(
    ("text", "row"), [("[[1, 2], [3]]", "[3]"), ("[[1], [2], [3, 4]]", "[3, 4]"), ("[[[1], [2, 3]]]", "[2, 3]")]
)
def test_ragged_rows_point_at_the_row(text: str, row: str) -> None:
    found = refused_expression(text, "SHP104", row)
    assert found.others


def test_a_number_among_rows_is_ragged() -> None:
    refused_expression("[[1, 2], 3]", "SHP104")


def test_a_text_is_no_array() -> None:
    refused_expression('x + "one"', "SHP113", signature="x: f64", x=1.0)


def test_python_words_are_explained() -> None:
    for text in ("True", "False"):
        found = refused_expression(f"x if {text} else x", "NAM001", text, "x: f64", x=1.0)
        assert text.lower() in (found.help or "")


# ── lists ──


def test_plus_on_lists_adds_arrays() -> None:
    same(calc("[1.0, 2.0] + [x, x]", "x: f64", x=1.0), [2.0, 3.0])


def test_members_are_stacked_differentiably() -> None:
    g = gradcli.compile("net f(x: f64, y: f64) = sum([x, 2 * y, x * y] * [1.0, 10.0, 100.0])\n").grad(
        x=2.0, y=3.0, get_all=True
    )
    same(g["x"], 301.0)
    same(g["y"], 220.0)


def test_arrays_in_a_list_are_stacked() -> None:
    same(calc("2 * [x, x + 1]", "x: f64[2]", x=[1.0, 2.0]), [[2.0, 4.0], [4.0, 6.0]])


def test_members_of_different_shapes_are_refused_when_an_array_is_needed() -> None:
    text = "net f(x: f64[2], y: f64[3]) {\n  l = [x, y]\n  return sum(l)\n}\n"
    refused(text, "SHP104", x=[1.0, 2.0], y=[1.0, 2.0, 3.0])


def test_concat_takes_the_list_itself_also_through_a_name() -> None:
    text = "net f(x: f64[2], y: f64[3]) {\n  l = [x, y]\n  return concat(l)\n}\n"
    same(value(text, x=[1.0, 2.0], y=[1.0, 2.0, 3.0]), [1.0, 2.0, 1.0, 2.0, 3.0])


def test_shapes_and_axes_through_names() -> None:
    text = "net f(x: f64[6]) {\n  s = [2, 3]\n  a = [0, 1]\n  return sum(reshape(x, s), axis=a)\n}\n"
    same(value(text, x=np.ones(6)), 6.0)


def test_shapes_and_axes_through_untyped_inputs_of_nets() -> None:
    text = "net g(x, s, a) = sum(reshape(x, s), axis=a)\nnet main(x: f64[6]) = g(x, [2, 3], [0, 1])\n"
    same(value(text, x=np.ones(6)), 6.0)
    text = "net g(l) = concat(l)\nnet main(x: f64[2], y: f64[3]) = g([x, y])\n"
    same(value(text, x=np.ones(2), y=np.ones(3)), np.ones(5))


def test_a_list_with_mixed_dtypes_is_promoted() -> None:
    same(calc("[x, i, 1]", "x: f32, i: i64", x=np.float32(1), i=np.int64(2)), [1, 2, 1], "f32")


def test_a_list_of_weak_numbers_is_weak() -> None:
    same(calc("x * [0.5, 1]", "x: f32", x=np.float32(2)), [1.0, 2.0], "f32")


def test_an_empty_list() -> None:
    same(calc("concat([x, []])", "x: f64[2]", x=[1.0, 2.0]), [1.0, 2.0])


def test_a_list_is_a_result() -> None:
    same(calc("[x, 2 * x]", "x: f64", x=1.0), [1.0, 2.0])


# ── tuples ──


def test_a_tuple_with_one_member_is_that_member() -> None:
    same(value("net f(x: f64) {\n  t = (x)\n  return t + 1\n}\n", x=1.0), 2.0)


def test_operators_want_arrays_not_tuples() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value("net f(x: f64) {\n  t = (x, x)\n  return t + 1\n}\n", x=1.0)
    assert caught.value.diagnostics[0].code == "SHP113"


def test_nested_tuples() -> None:
    text = "net f(x: f64) {\n  t = (x, (2 * x, 3 * x))\n  a, (b, c) = t\n  return a + b + c + t[1][0]\n}\n"
    same(value(text, x=1.0), 8.0)


def test_nested_results_are_flattened_in_order() -> None:
    out = values("net f(x: f64) {\n  t = (2 * x, 3 * x)\n  return x, t\n}\n", x=1.0)
    assert [float(v) for v in out] == [1.0, 2.0, 3.0]


# ── integers ──


@pytest.mark.parametrize("text", ["i + j", "i - j", "i * j", "i % j", "i / j", "i ** 2", "-i", "abs(i)", "i @ j"])
def test_arithmetic_of_integers_is_numpys(text: str) -> None:
    i, j = np.array([7, -7, 5]), np.array([3, 3, -3])
    wanted = np.asarray(eval(text))
    out = calc(text, "i: i64[3], j: i64[3]", i=i, j=j)
    same(out, wanted, {"int64": "i64", "float64": "f64"}[wanted.dtype.name])


def test_an_integer_to_a_negative_power() -> None:
    i = np.array([2, 4])
    same(calc("i ** -1", "i: i64[2]", i=i), [0.5, 0.25], "f64")
    found = refused_expression("i ** j", "NUM004", signature="i: i64[2], j: i64", i=i, j=np.int64(-1))
    assert "f64(" in (found.help or "")
    same(calc("f64(i) ** j", "i: i64[2], j: i64", i=i, j=np.int64(-1)), [0.5, 0.25], "f64")


def test_a_remainder_by_zero() -> None:
    same(calc("x % 0.0", "x: f64", x=1.0), np.nan)
    refused_expression("5 % 0 * x", "NUM002", signature="x: f64", x=1.0)


def test_division_of_constants_is_true_division() -> None:
    same(calc("7 / 2"), 3.5, "f64")
    same(calc("x / 0", "x: f64", x=1.0), np.inf)


def test_and_of_numbers_is_refused() -> None:
    refused_expression("x and y", "SHP103", signature="x: f64, y: f64", x=1.0, y=1.0)
    refused_expression("not x", "SHP103", signature="x: f64", x=1.0)


def test_a_condition_must_be_a_bool() -> None:
    found = refused_expression("1 if x else 2", "SHP103", signature="x: f64", x=1.0)
    assert found.span is not None
    assert found.span.text in ("x", "1 if x else 2")

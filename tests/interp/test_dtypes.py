"""Dtypes: the promotion lattice, weak values, casts, and what data become."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import NUMPY, calc, grads, refused, refused_expression, same, value

DTYPES = ("bool", "i32", "i64", "f16", "f32", "f64")

# JAX's table (jax.readthedocs.io, "Type promotion semantics"), its rows of these types; a weak float alone is f64 here.
LATTICE = {
    ("bool", "bool"): "bool",
    ("bool", "i32"): "i32",
    ("bool", "i64"): "i64",
    ("bool", "f16"): "f16",
    ("bool", "f32"): "f32",
    ("bool", "f64"): "f64",
    ("i32", "i32"): "i32",
    ("i32", "i64"): "i64",
    ("i32", "f16"): "f16",
    ("i32", "f32"): "f32",
    ("i32", "f64"): "f64",
    ("i64", "i64"): "i64",
    ("i64", "f16"): "f16",
    ("i64", "f32"): "f32",
    ("i64", "f64"): "f64",
    ("f16", "f16"): "f16",
    ("f16", "f32"): "f32",
    ("f16", "f64"): "f64",
    ("f32", "f32"): "f32",
    ("f32", "f64"): "f64",
    ("f64", "f64"): "f64",
}
PAIRS = [(a, b, out) for (a, b), out in LATTICE.items()] + [(b, a, out) for (a, b), out in LATTICE.items() if a != b]

WEAK_INT = {"bool": "i64", "i32": "i32", "i64": "i64", "f16": "f16", "f32": "f32", "f64": "f64"}
WEAK_FLOAT = {"bool": "f64", "i32": "f64", "i64": "f64", "f16": "f16", "f32": "f32", "f64": "f64"}


def of(dtype: str, number: Any = 1) -> Any:
    return np.array(number, NUMPY[dtype])


def dtype_of(expression: str, **types: str) -> str:
    signature = ", ".join(f"{name}: {dtype}" for name, dtype in types.items())
    out = calc(expression, signature, **{name: of(dtype) for name, dtype in types.items()})
    return {v: k for k, v in NUMPY.items()}[str(out.dtype)]


@pytest.mark.parametrize(("a", "b", "wanted"), PAIRS)
@pytest.mark.parametrize("operator", ["x * y", "maximum(x, y)", "where(true, x, y)", "[x, y]", "concat([[x], [y]])"])
def test_promotion_is_jaxs_lattice(a: str, b: str, wanted: str, operator: str) -> None:
    if operator in ("x * y", "maximum(x, y)") and (a, b) == ("bool", "bool"):
        pytest.skip("arithmetic of two bools counts")
    assert dtype_of(operator, x=a, y=b) == wanted


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weak", ["2", "(1 + 1)", "k", "[2, 3]", "size(n)", "arange(2)"])
def test_weak_integers_take_the_dtype_they_meet(dtype: str, weak: str) -> None:
    text = f"const k = 2\ndim n = 2\nnet f(x: {dtype}) = x * {weak}\n"
    assert str(value(text, x=of(dtype)).dtype) == NUMPY[WEAK_INT[dtype]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "weak",
    [
        "0.5",
        "(1 / 2)",
        "k",
        "[1, 0.5]",
        "zeros([2])",
        "ones([2])",
        "full([2], 0.5)",
        "eye(2)",
        "linspace(0, 1, 2)",
        "arange(0.5, 2)",
        "sqrt(2)",
        "pi",
        "sin([1.0, 2.0])",
        "sum([1.0, 2.0])",
        "(0.5 if true else 1)",
        "abs(-0.5)",
    ],
)
def test_weak_floats_take_the_dtype_they_meet(dtype: str, weak: str) -> None:
    text = f"const k = 0.5\nnet f(x: {dtype}) = x * {weak}\n"
    assert str(value(text, x=of(dtype)).dtype) == NUMPY[WEAK_FLOAT[dtype]]


def test_alone_a_float_is_f64_and_an_int_i64() -> None:
    for text, dtype in [
        ("0.5", "f64"),
        ("2", "i64"),
        ("zeros([2])", "f64"),
        ("ones([2])", "f64"),
        ("arange(3)", "i64"),
        ("arange(3.0)", "f64"),
        ("linspace(0, 1, 3)", "f64"),
        ("eye(2)", "f64"),
        ("full([2], 3)", "i64"),
        ("full([2], 3.0)", "f64"),
        ("true", "bool"),
        ("2 + 0.5", "f64"),
        ("1 / 2", "f64"),
        ("2 ** 3", "i64"),
    ]:
        assert dtype_of(text) == dtype, text


def test_an_int_array_with_a_weak_float_is_a_weak_f64() -> None:
    assert dtype_of("i * 0.5", i="i32") == "f64"
    assert dtype_of("(i * 0.5) * x", i="i32", x="f32") == "f32"
    assert dtype_of("(i * 0.5) * x", i="i64", x="f16") == "f16"


def test_a_definite_int_never_widens_a_float() -> None:
    assert dtype_of("i * x", i="i64", x="f32") == "f32"
    assert dtype_of("i / x", i="i64", x="f16") == "f16"
    assert dtype_of("x ** i", i="i64", x="f32") == "f32"


def test_weakness_survives_names_and_local_nets() -> None:
    text = "net f(x: f32) {\n  k = 0.5\n  m = k * k + 1\n  net g(a) = a * m\n  return g(x)\n}\n"
    assert str(value(text, x=of("f32")).dtype) == "float32"


def test_weakness_survives_untyped_inputs_of_nets() -> None:
    text = "net twice(a) = a + a\nnet main(x: f32) = twice(0.5) * x\n"
    assert str(value(text, x=of("f32")).dtype) == "float32"


def test_weakness_survives_tuples_loops_and_writes() -> None:
    text = """
net main(x: f32[2]) {
  t = (0.5, 2.0)
  a = zeros([2])
  for i in 0..2 {
    a[i] = 0.5 * i
  }
  return x * t[0] * a
}
"""
    assert str(value(text, x=np.ones(2, "float32")).dtype) == "float32"


@pytest.mark.parametrize(
    "operator",
    [
        "reshape(z, [2, 1])",
        "transpose(z)",
        "z[0]",
        "z[::-1]",
        "z[:, None]",
        "concat([z, z])",
        "stack([z, z])",
        "flip(z)",
        "broadcast_to(z, [2, 2])",
        "expand_dims(z, 0)",
        "flatten(z)",
        "squeeze(z)",
        "take(z, [0, 0])",
        "split(z, 2)[0]",
        "cumsum(z)",
        "cumprod(z)",
        "max(z)",
        "mean(z)",
        "var(z)",
        "norm(z)",
        "softmax(z)",
        "relu(z)",
        "gelu(z)",
        "clip(z, 0, 1)",
        "z @ z",
        "where(z > 0, z, 1)",
        "stop_gradient(z)",
        "round(z)",
        "sign(z)",
        "z ** 2",
        "-z",
        "minimum(z, 0)",
        "prod(z)",
    ],
)
def test_weakness_survives_operators_whose_operands_are_all_weak(operator: str) -> None:
    text = f"net f(x: f32) {{\n  z = zeros([2])\n  return {operator} * x\n}}\n"
    assert str(value(text, x=of("f32")).dtype) == "float32"


def test_a_declared_type_ends_weakness() -> None:
    for line in ("k: f64 = 0.5", "k = f64(0.5)", "param k: f64 = 0.5"):
        text = f"net f(x: f32) {{\n  {line}\n  return k * x\n}}\n"
        assert str(value(text, x=of("f32")).dtype) == "float64", line


def test_meeting_a_definite_float_ends_weakness() -> None:
    assert dtype_of("(0.5 * x) * y", x="f64", y="f32") == "f64"


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
@pytest.mark.parametrize(
    "operator",
    [
        "exp(x)",
        "sigmoid(x)",
        "softmax([x, x])",
        "mean([x, x])",
        "var([x, 2 * x])",
        "logsumexp([x, x])",
        "gelu(x)",
        "mish(x)",
        "selu(x)",
        "x ** 2",
        "x ** 0.5",
        "2 ** x",
        "x % 2",
        "1 / x",
        "norm([x])",
        "cumsum([x])",
        "hypot(x, 1)",
        "x if x > 0 else 0",
        "lgamma(x)",
        "sum([x])",
        "prod([x])",
    ],
)
def test_a_narrow_model_stays_narrow_in_value_and_gradient(dtype: str, operator: str) -> None:
    assert dtype_of(operator, x=dtype) == dtype
    text = f"net f(x: {dtype}) = {operator}\n"
    assert str(grads(text, x=of(dtype))["x"].dtype) == NUMPY[dtype]


@pytest.mark.parametrize(
    "operator", ["exp(i)", "sqrt(i)", "i / i", "mean([i])", "softmax([i])", "sigmoid(i)", "atan2(i, i)", "i ** 0.5"]
)
def test_float_operators_of_integers_are_f64(operator: str) -> None:
    assert dtype_of(operator, i="i32") == "f64"


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("sum([i, i])", "i32"),
        ("abs(i)", "i32"),
        ("max([i])", "i32"),
        ("cumsum([i])", "i32"),
        ("i * i", "i32"),
        ("prod([i])", "i32"),
        ("floor(i)", "i32"),
        ("square(i)", "i32"),
        ("argmax([i])", "i64"),
        ("i % 2", "i32"),
    ],
)
def test_integer_operators_keep_integers(operator: str, wanted: str) -> None:
    got = dtype_of(operator, i="i32")
    assert got in (wanted, "i64") if operator.startswith(("sum", "prod", "cumsum")) else got == wanted


def test_bools_are_counted_by_sums() -> None:
    same(calc("sum(x > 1)", "x: f64[3]", x=[1.0, 2.0, 3.0]), 2, "i64")
    same(calc("mean(x > 1)", "x: f64[4]", x=[1.0, 2.0, 3.0, 4.0]), 0.75, "f64")
    same(calc("(x > 1) * x", "x: f32[3]", x=[1.0, 2.0, 3.0]), [0, 2, 3], "f32")


# ── casts ──


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", DTYPES)
def test_casts(dtype: str, given: str) -> None:
    same(calc(f"{dtype}(x)", f"x: {given}[2]", x=np.array([0, 1], NUMPY[given])), [0, 1], dtype)


def test_a_cast_to_an_integer_truncates() -> None:
    same(calc("i64(x)", "x: f64[4]", x=[1.7, -1.7, 0.5, -0.5]), [1, -1, 0, 0], "i64")


def test_a_cast_of_a_literal_and_a_list() -> None:
    same(calc("f32(0.1)"), np.float32(0.1), "f32")
    same(calc("f32([1, 2])"), [1, 2], "f32")
    same(calc("i32(2)"), 2, "i32")
    same(calc("bool([0, 0.5, nan])"), [False, True, True], "bool")


def test_a_cast_between_floats_has_a_derivative() -> None:
    g = grads("net f(x: f64) = f32(x) ** 2\n", x=3.0)
    same(g["x"], 6.0, "f64")
    same(grads("net f(x: f64) = i64(x) * x\n", x=3.5)["x"], 3.0)


def test_a_cast_takes_one_value() -> None:
    refused_expression("f32(1, 2)", "NAM020")


def test_a_dtype_may_be_given_to_makers() -> None:
    same(calc("zeros([2], dtype=f32)"), [0, 0], "f32")
    same(calc("ones([2], dtype=i32) * x", "x: f32", x=1.0), [1, 1], "f32")
    same(calc("full([2], 3, dtype=f32)"), [3, 3], "f32")
    assert dtype_of("zeros([2], dtype=f64) + x", x="f32") == "f64"


# ── data ──


@pytest.mark.parametrize("given", [4, 4.0, [4, 5], [[1.5]]])
def test_python_numbers_are_weak_and_f64_for_an_untyped_input(given: Any) -> None:
    same(value("net f(x) = x\n", x=given), np.asarray(given, "float64"), "f64")
    same(value("net f(x: f32[...]) = x\n", x=given), np.asarray(given, "float32"), "f32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_keep_their_dtype_for_an_untyped_input(dtype: str) -> None:
    same(value("net f(x) = x\n", x=of(dtype)), 1, dtype)


@pytest.mark.parametrize(
    ("given", "declared"), [("f32", "f64"), ("f16", "f32"), ("i64", "f32"), ("i32", "f64"), ("i32", "i64")]
)
def test_narrower_data_are_widened_with_a_note(given: str, declared: str) -> None:
    net = gradcli.compile(f"net f(x: {declared}) = x\n")
    same(net.eval(x=of(given))[0], 1, declared)
    notes = net.run("eval", x=of(given)).notes
    assert any(note.code == "DAT106" for note in notes)


@pytest.mark.parametrize(
    ("given", "declared"),
    [("f64", "f32"), ("f32", "f16"), ("f64", "f16"), ("f32", "i64"), ("i64", "i32"), ("f64", "bool")],
)
def test_nothing_is_narrowed_silently(given: str, declared: str) -> None:
    found = refused(f"net f(x: {declared}) = x\n", "DAT105", x=of(given))
    assert found.help is not None
    assert found.span is not None


def test_no_note_where_nothing_is_widened() -> None:
    assert not gradcli.compile("net f(x: f32) = x\n").run("eval", x=of("f32")).notes


def test_dtype_changes_every_float_type_and_cast_and_the_data() -> None:
    text = "net f(x: f32, i: i64) {\n  param w: f32 = 0.1\n  a: f32 = f32(x) * w\n  return a, i * 0.5, zeros([2])\n}\n"
    net = gradcli.compile(text)
    for dtype in ("f16", "f32", "f64"):
        out = net.eval(x=np.float32(2), i=np.int64(3), dtype=dtype)
        assert {str(v.dtype) for v in out} == {NUMPY[dtype]}
    out = net.eval(x=np.float64(2), i=np.int64(3), dtype="f32")
    assert str(out[0].dtype) == "float32"


def test_a_weak_int_that_is_differentiated_by_is_f64() -> None:
    same(value("net g(x) = x * x\nnet main() = grad(g)(3)\n"), 6.0, "f64")


def test_small_and_unsigned_integers_and_big_endian_data() -> None:
    same(value("net f(x) = x\n", x=np.array([1, 2], "uint8")), [1, 2], "i32")
    same(value("net f(x) = x\n", x=np.array([1.5], ">f8")), [1.5], "f64")
    same(value("net f(x) = x\n", x=np.array([3], ">i4")), [3], "i32")


def test_a_huge_integer_literal_in_a_float_model() -> None:
    same(calc("x * 16777217", "x: f32", x=1.0), np.float32(16777217), "f32")


def test_an_integer_literal_that_does_not_fit_is_refused() -> None:
    refused_expression("x + 3000000000", "SHP103", signature="x: i32", x=np.int32(1))


def test_an_integer_literal_beyond_f16() -> None:
    same(calc("x * 70000", "x: f16", x=1.0), np.inf, "f16")


def test_a_float_literal_beyond_f32_is_infinite() -> None:
    same(calc("x * 1e300", "x: f32", x=1.0), np.inf, "f32")


@pytest.mark.parametrize("given", [2**40, -(2**40), [1, 2**31]])
def test_python_integers_that_do_not_fit_are_refused_not_wrapped(given: Any) -> None:
    found = refused("net f(x: i32[...]) = x\n", "DAT105", x=given)
    assert "x" in found.message


def test_an_integer_input_item_that_does_not_fit_is_refused() -> None:
    with pytest.raises(gradcli.ModelError):
        value("net f(x: i32) = x\ninput x = 3000000000\n")

"""pad, roll, repeat, tile, take_along and one_hot against NumPy 2: values, names of dims, dtypes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.interp.nets import NUMPY, calc, grads, refused, refused_expression, same

X = np.arange(6.0).reshape(2, 3) + 1
CUBE = np.random.default_rng(2).normal(size=(2, 3, 4))

# ── padding ─────────────────────────────────────────────────────────────────────────────────────────────────

WIDTHS: list[tuple[str, Any]] = [
    ("1", 1),
    ("(2, 1)", (2, 1)),
    ("[2, 1]", (2, 1)),
    ("[(2, 1)]", [(2, 1)]),
    ("[(1, 0), (0, 2)]", [(1, 0), (0, 2)]),
    ("[[0, 0], [7, 8]]", [(0, 0), (7, 8)]),
    ("((3, 2), 1)", [(3, 2), (1, 1)]),
    ("0", 0),
]


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize(("text", "width"), WIDTHS, ids=[text for text, _ in WIDTHS])
def test_pad_is_numpys(mode: Any, text: str, width: Any) -> None:
    for x in (X, X[:1], X[:, :1]):
        types = f"x: f64{list(x.shape)}"
        same(calc(f'pad(x, {text}, mode="{mode}")', types, x=x), np.pad(x, width, mode=mode), "f64")


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_what_flows_back_through_padding_is_counted_once_for_each_copy(mode: Any) -> None:
    """The gradient of Σ c · pad(x) is by each element the sum of the c where it stands."""
    number = np.arange(1.0, 4.0)
    where = np.pad(np.arange(3), (5, 4), mode=mode, **({"constant_values": -1} if mode == "constant" else {}))
    c = np.arange(12.0)
    slope = grads(f'net f(x: f64[3], c: f64[12]) = sum(c * pad(x, (5, 4), mode="{mode}"))\n', x=number, c=c, wrt="x")
    same(slope["x"], [c[where == k].sum() for k in range(3)])


def test_what_is_padded_with_takes_part_in_promotion_and_in_derivatives() -> None:
    same(calc("pad(x, 1, constant_values=7)", "x: i32[1]", x=np.array([1], "i4")), [7, 1, 7], "i32")
    same(calc("pad(x, 1, constant_values=0.5)", "x: f32[1]", x=[1.0]), [0.5, 1.0, 0.5], "f32")
    same(calc("pad(x, 1, constant_values=0.5)", "x: i64[1]", x=np.array([1])), [0.5, 1.0, 0.5], "f64")
    same(calc("pad(x, 1)", "x: bool[1]", x=np.array([True])), [False, True, False], "bool")
    same(calc("pad(x, 1, constant_values=-inf)", "x: f64[1]", x=[1.0]), [-np.inf, 1.0, -np.inf])
    assert np.signbit(calc("pad(x, 1, constant_values=-0.0)", "x: f64[1]", x=[1.0])[0])
    slopes = grads("net f(x: f64[2], v: f64) = sum(pad(x, 1, constant_values=v))\n", x=np.ones(2), v=3.0, get_all=True)
    same(slopes["v"], 2.0)
    same(slopes["x"], [1.0, 1.0])


def test_dims_that_are_not_padded_keep_their_names() -> None:
    for mode in ("constant", "edge", "wrap"):
        found = calc(f'sum(pad(x, [(0, 0), (1, 1)], mode="{mode}"), axis=a)', "x: f64[a, b]", x=X)
        same(found, np.pad(X, [(0, 0), (1, 1)], mode=mode).sum(0))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("pad(x, -1)", "SHP110", "`pad_width` is 0 or more"),
        ("pad(x, [1, 2, 3])", "SHP110", "`pad_width` is one integer, or 2 in a list"),
        ("pad(x, [(1, 2), (1, 2), (1, 2)])", "SHP110", "3 pairs for 2 dims"),
        ("pad(x, sum(x))", "SHP110", "`pad_width` is made of known integers"),
        ('pad(x, 1, mode="mean")', "SHP110", '"constant", "edge", "reflect" or "wrap", not "mean"'),
        ("pad(x, 1, constant_values=[1, 2])", "SHP107", "`constant_values` is one number"),
        ('pad(x[:, :0], 1, mode="edge")', "SHP117", 'mode "edge" of no elements'),
    ],
)
def test_paddings_that_are_refused(expression: str, code: str, says: str) -> None:
    refused_expression(expression, code, signature="x: f64[2, 3]", says=says, x=X)


# ── rolling, repeating, tiling ──────────────────────────────────────────────────────────────────────────────

SAME: list[tuple[str, Any]] = [
    ("roll(x, 2)", np.roll(CUBE, 2)),
    ("roll(x, -25)", np.roll(CUBE, -25)),
    ("roll(x, 1, axis=2)", np.roll(CUBE, 1, 2)),
    ("roll(x, -5, axis=-1)", np.roll(CUBE, -5, -1)),
    ("roll(x, [1, 2], axis=[2, 1])", np.roll(CUBE, (1, 2), (2, 1))),
    ("roll(x, [1, 2], axis=1)", np.roll(CUBE, (1, 2), 1)),
    ("roll(x, 1, axis=(0, 1))", np.roll(CUBE, 1, (0, 1))),
    ("roll(x, 1, axis=c)", np.roll(CUBE, 1, 2)),
    ("roll(x, 0, axis=0)", CUBE),
    ("repeat(x, 2)", np.repeat(CUBE, 2)),
    ("repeat(x, 3, axis=1)", np.repeat(CUBE, 3, 1)),
    ("repeat(x, [2, 0, 1], axis=b)", np.repeat(CUBE, [2, 0, 1], 1)),
    ("repeat(x, 0, axis=0)", np.repeat(CUBE, 0, 0)),
    ("tile(x, 2)", np.tile(CUBE, 2)),
    ("tile(x, [2, 1])", np.tile(CUBE, (2, 1))),
    ("tile(x, [2, 1, 3, 2])", np.tile(CUBE, (2, 1, 3, 2))),
    ("tile(x, [0, 1, 1])", np.tile(CUBE, (0, 1, 1))),
    ("tile(x[0, 0, 0], [2, 3])", np.tile(CUBE[0, 0, 0], (2, 3))),
]


@pytest.mark.parametrize(("text", "wanted"), SAME, ids=[text for text, _ in SAME])
def test_rolling_repeating_and_tiling_are_numpys(text: str, wanted: Any) -> None:
    same(calc(text, "x: f64[a, b, c]", x=CUBE), wanted, "f64")


def test_arrays_without_elements_are_rolled_and_repeated() -> None:
    none = np.zeros((0, 3))
    assert calc("roll(x, 1, axis=0)", "x: f64[0, 3]", x=none).shape == (0, 3)
    assert calc("repeat(x, 2, axis=0)", "x: f64[0, 3]", x=none).shape == (0, 3)
    assert calc("tile(x, [2, 2])", "x: f64[0, 3]", x=none).shape == (0, 6)


def test_names_pass_through_what_keeps_a_dim() -> None:
    same(calc("sum(roll(x, 1, axis=a), axis=a)", "x: f64[a, b, c]", x=CUBE), CUBE.sum(0), rtol=1e-12)
    same(calc("sum(repeat(x, 2, axis=b), axis=a)", "x: f64[a, b, c]", x=CUBE), np.repeat(CUBE, 2, 1).sum(0))
    same(calc("sum(tile(x, 2), axis=b)", "x: f64[a, b, c]", x=CUBE), np.tile(CUBE, 2).sum(1))


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("roll(x, x[0, 0])", "SHP110", "`shift` is made of known integers"),
        ("roll(x, [1, 2])", "SHP110", "several shifts"),
        ("roll(x, [1, 2, 3], axis=[0, 1])", "SHP110", "3 shifts for 2 axes"),
        ("roll(x, 1, axis=2)", "SHP111", "2 is no axis of f64[2, 3]"),
        ("repeat(x, -1)", "SHP110", "a size is not negative"),
        ("repeat(x, [1, 2], axis=1)", "SHP110", "`repeats` is one integer, or 3 in a list"),
        ("tile(x, 0.5)", "SHP110", "`reps` is made of known integers"),
    ],
)
def test_wrong_arguments_are_refused(expression: str, code: str, says: str) -> None:
    refused_expression(expression, code, signature="x: f64[2, 3]", says=says, x=X)


# ── picking ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take_along_is_numpys(axis: int) -> None:
    order = np.argsort(CUBE, axis)
    types = "x: f64[a, b, c], i: i64[a, b, c]"
    same(calc(f"take_along(x, i, axis={axis})", types, x=CUBE, i=order), np.sort(CUBE, axis))
    best = CUBE.argmax(axis, keepdims=True)
    found = calc(f"take_along(x, argmax(x, axis={axis}, keepdims=true), axis={axis})", "x: f64[a, b, c]", x=CUBE)
    same(found, np.take_along_axis(CUBE, best, axis))


def test_indices_broadcast_against_the_other_dims_and_may_be_written() -> None:
    same(calc("take_along(x, [[2, 0]], axis=1)", "x: f64[2, 3]", x=X), np.take_along_axis(X, np.array([[2, 0]]), 1))
    same(calc("take_along(x, [[-1], [0]], axis=1)", "x: f64[2, 3]", x=X), [[3.0], [4.0]])
    same(
        calc("take_along(x, i, axis=a)", "x: f32[a, b], i: i32[1, b]", x=X.astype("f4"), i=np.array([[1, 0, 1]], "i4")),
        [[4, 2, 6]],
        "f32",
    )


def test_repeated_indices_accumulate_backwards() -> None:
    slope = grads(
        "net f(x: f64[2, 3], c: f64[2, 4]) = sum(c * take_along(x, [[2, 2, 0, 2], [1, 1, 1, 1]], axis=1))\n",
        x=X, c=np.arange(8.0).reshape(2, 4), wrt="x",
    )  # fmt: skip
    same(slope["x"], [[2.0, 0.0, 4.0], [0.0, 22.0, 0.0]])


def test_an_index_out_of_range_is_an_error() -> None:
    types = "x: f64[2, 3], i: i64[2, 1]"
    for index in (3, -1):
        found = refused_expression("take_along(x, i, axis=1)", "SHP108", signature=types, x=X, i=np.full((2, 1), index))
        assert f"index {index} is out of range" in found.message
    refused_expression("take_along(x, [[3], [0]], axis=1)", "SHP108", signature="x: f64[2, 3]", x=X)
    refused_expression("take_along(x, [0], axis=1)", "SHP107", signature="x: f64[2, 3]", says="as many dims", x=X)
    refused_expression(
        "take_along(x, x, axis=1)", "SHP110", signature="x: f64[2, 3]", says="an index is an integer", x=X
    )


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64", "i32"])
def test_one_hot_is_a_row_of_the_identity(dtype: str) -> None:
    labels = np.array([[2, 0], [1, 2]])
    found = calc(f"one_hot(y, 3, dtype={dtype})", "y: i64[a, b]", y=labels)
    same(found, np.eye(3)[labels], dtype)


def test_one_hot_is_weak_without_a_dtype() -> None:
    same(calc("one_hot([1], 2)"), [[0.0, 1.0]], "f64")
    same(calc("x * one_hot(y, 2)", "x: f32, y: i32", x=2.0, y=np.array(1, "i4")), [0.0, 2.0], "f32")
    same(calc("sum(one_hot(y, 2), axis=n)", "y: i64[n]", y=np.array([1, 1, 0])), [1.0, 2.0])
    assert calc("one_hot(y, 4)", "y: i64[0]", y=np.zeros(0, int)).shape == (0, 4)
    assert str(calc("one_hot(y, 2, f32)", "y: i64[1]", y=np.array([1])).dtype) == NUMPY["f32"]


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_out_of_range_is_an_error_and_no_row_of_zeros(label: int) -> None:
    found = refused_expression("one_hot(y, 3)", "SHP108", "one_hot(y, 3)", signature="y: i64[1]", y=np.array([label]))
    assert f"index {label} is out of range for a dim of size 3" in found.message
    refused(f"net f(x: f64) = x * one_hot([{label}], 3)\n", "SHP108", x=1.0)


def test_labels_are_integers() -> None:
    found = refused_expression(
        "one_hot(y, 3)", "SHP103", signature="y: f64[1]", says="labels are integers", y=np.ones(1)
    )
    assert found.help == "cast them: `i64(…)`"
    refused_expression("one_hot(1, x)", "SHP110", signature="x: f64", says="`num_classes` is made of", x=3.0)
    refused_expression("one_hot(1, 2, 3)", "SHP116", says="`dtype` is a type like f32")

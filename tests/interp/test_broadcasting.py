"""Broadcasting: NumPy's, named dims, and the silent growth that is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.interp.nets import calc, grads, other_lines, refused, refused_expression, same, value

SHAPES = [
    ((), (3,)),
    ((3,), (3,)),
    ((1,), (3,)),
    ((2, 3), (3,)),
    ((2, 3), (1,)),
    ((2, 3), (2, 1)),
    ((2, 1), (1, 3)),
    ((2, 1), (3,)),
    ((4, 1, 3), (2, 1)),
    ((4, 2, 3), (2, 1)),
    ((3, 1), (1, 3)),
    ((3, 1), (1,)),
    ((3, 3), (3, 1)),
    ((3, 3), (3,)),
    ((1, 1), (3,)),
    ((0,), (1,)),
    ((2, 0), (1, 1)),
    ((5, 1), (4,)),
]


def types(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    return ", ".join(f"{n}: f64[{', '.join(map(str, s))}]" for n, s in (("x", one), ("y", other)))


@pytest.mark.parametrize(("one", "other"), SHAPES + [(b, a) for a, b in SHAPES if a != b])
def test_shapes_broadcast_as_in_numpy_forwards_and_back(one: Any, other: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=one), rng.normal(size=other)
    text = f"net f({types(one, other)}) = x * y\n"
    same(value(text, x=x, y=y), x * y)
    g = grads(text, x=x, y=y, get_all=True)
    full = np.broadcast_shapes(one, other)

    def back(ct: Any, shape: tuple[int, ...]) -> Any:
        ct = ct.sum(axis=tuple(range(ct.ndim - len(shape))))
        return ct.sum(axis=tuple(k for k, d in enumerate(shape) if d == 1 and ct.shape[k] != 1), keepdims=True)

    same(g["x"], back(np.broadcast_to(y, full), one), rtol=1e-13, atol=1e-14)
    same(g["y"], back(np.broadcast_to(x, full), other), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("one", "other"), [((3,), (2,)), ((2, 3), (2,)), ((2, 3), (3, 2)), ((0,), (2,)), ((2, 2), (3, 2, 3))]
)
def test_what_numpy_refuses_is_refused_with_both_places(one: Any, other: Any) -> None:
    signature = types(one, other).replace(", y", ",\n      y")
    found = refused(
        f"net f({signature}) =\\\n".replace("\\\n", " x + y\n"), "SHP101", "+", x=np.ones(one), y=np.ones(other)
    )
    assert {1, 2} <= set(other_lines(found))


SILENT = [((3, 1), (3,)), ((3,), (3, 1)), ((2, 3, 1), (3,)), ((4, 1), (4,)), ((2, 3, 1), (1, 3)), ((3, 1, 1), (3, 1))]


@pytest.mark.parametrize(("one", "other"), SILENT[:4] + SILENT[5:])
@pytest.mark.parametrize(
    "operator", ["x - y", "x * y", "maximum(x, y)", "x < y", "where(x > 0, x, y)", "x if x > 0 else y", "hypot(x, y)"]
)
def test_the_classic_silent_growth_is_refused(one: Any, other: Any, operator: str) -> None:
    refused(f"net f({types(one, other)}) = {operator}\n", "SHP102", x=np.ones(one), y=np.ones(other))


def test_two_of_the_same_rank_may_grow() -> None:
    same(calc("x[:, None] + y[None, :]", "x: f64[3], y: f64[3]", x=np.ones(3), y=np.ones(3)), np.full((3, 3), 2.0))
    same(calc("x + y", "x: f64[3, 1], y: f64[1, 3]", x=np.ones((3, 1)), y=np.ones((1, 3))), np.full((3, 3), 2.0))


def test_one_that_grows_alone_is_fine() -> None:
    same(calc("x + y", "x: f64[3, 3], y: f64[3]", x=np.ones((3, 3)), y=np.ones(3)), np.full((3, 3), 2.0))
    same(calc("x + y", "x: f64[3, 3], y: f64[3, 1]", x=np.ones((3, 3)), y=np.ones((3, 1))), np.full((3, 3), 2.0))


def test_dims_of_different_names_are_different_whatever_their_size() -> None:
    out = calc("x + y", "x: f64[a, 1], y: f64[b]", x=np.ones((3, 1)), y=np.ones(3))
    same(out, np.full((3, 3), 2.0))


def test_dims_of_one_name_are_the_same() -> None:
    refused_expression("x + y", "SHP102", "+", "x: f64[a, 1], y: f64[a]", x=np.ones((3, 1)), y=np.ones(3))


def test_dims_without_names_of_one_size_count_as_the_same() -> None:
    refused_expression("x + y", "SHP102", signature="x: f64[3, 1], y: f64[3]", x=np.ones((3, 1)), y=np.ones(3))
    refused("net f(x, y) = x + y\n", "SHP102", x=np.ones((3, 1)), y=np.ones(3))


def test_dims_of_different_sizes_are_different() -> None:
    same(calc("x + y", "x: f64[3, 1], y: f64[2]", x=np.ones((3, 1)), y=np.ones(2)), np.full((3, 2), 2.0))


def test_the_rule_holds_through_names_and_calls() -> None:
    text = "net mse_(p, t) = mean((p - t) ** 2)\nnet main(x: f64[n, 2], w: f64[2, 1], t: f64[n]) = mse_(x @ w, t)\n"
    found = refused(text, "SHP102", x=np.ones((4, 2)), w=np.ones((2, 1)), t=np.ones(4))
    assert found.span is not None
    assert found.span.text == "-"
    same(
        value(text.replace("mse_(x @ w", "mse_((x @ w)[:, 0]"), x=np.ones((4, 2)), w=np.ones((2, 1)), t=np.ones(4)), 1.0
    )


def test_the_help_is_a_repair_with_the_models_own_names() -> None:
    text = "net loss(pred: f64[n, 1], target: f64[n]) = mean((pred - target) ** 2)\n"
    found = refused(text, "SHP102", "-", pred=np.ones((3, 1)), target=np.ones(3))
    assert "pred[:, 0]" in (found.help or "") + " ".join(found.notes)


def test_keepdims_against_the_reduced() -> None:
    same(calc("x - mean(x, axis=1, keepdims=true)", "x: f64[3, 3]", x=np.eye(3)), np.eye(3) - 1 / 3, rtol=1e-15)


def test_a_size_1_dim_of_a_name_grows() -> None:
    same(calc("x * y", "x: f64[a], y: f64[b]", x=np.ones(1), y=np.ones(3)), np.ones(3))


def test_a_reduction_of_named_dims_keeps_the_names_of_the_others() -> None:
    text = "sum(sum(x, axis=b), axis=a)"
    same(calc(text, "x: f64[a, b]", x=np.ones((2, 3))), 6.0)
    refused_expression("sum(sum(x, axis=b), axis=b)", "SHP111", signature="x: f64[a, b]", x=np.ones((2, 3)))


def test_names_survive_elementwise_operators_and_transposes() -> None:
    same(calc("sum(exp(x).T * 1, axis=a)", "x: f64[a, b]", x=np.zeros((2, 3))), [2.0, 2.0, 2.0])
    same(calc("sum(x @ y, axis=b)", "x: f64[a, k], y: f64[k, b]", x=np.ones((2, 3)), y=np.ones((3, 4))), [12.0, 12.0])


def test_a_name_that_two_axes_have_is_ambiguous() -> None:
    refused_expression("sum(x, axis=n)", "SHP111", signature="x: f64[n, n]", x=np.ones((2, 2)))


def test_leading_dims_of_matmul_broadcast() -> None:
    x, y = np.random.default_rng(0).normal(size=(4, 2, 3)), np.random.default_rng(1).normal(size=(3, 5))
    same(calc("x @ y", "x: f64[4, 2, 3], y: f64[3, 5]", x=x, y=y), x @ y, rtol=1e-13)
    y = np.random.default_rng(1).normal(size=(6, 1, 3, 5))
    same(calc("x @ y", "x: f64[4, 2, 3], y: f64[6, 1, 3, 5]", x=x, y=y), x @ y, rtol=1e-13)


@pytest.mark.parametrize(
    ("one", "other"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2)), ((5, 2, 3), (5, 3, 2))],
)
def test_matmul_of_vectors_and_stacks_is_numpys(one: Any, other: Any) -> None:
    x, y = np.random.default_rng(0).normal(size=one), np.random.default_rng(1).normal(size=other)
    same(calc("x @ y", types(one, other), x=x, y=y), x @ y, rtol=1e-13)


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [((2, 3), (2, 3), "SHP201"), ((2, 3), (4,), "SHP201"), ((2,), (3, 2), "SHP201"), ((), (3,), "SHP107")],
)
def test_matmul_refusals_name_both_operands(one: Any, other: Any, code: str) -> None:
    signature = types(one, other).replace(", y", ",\n      y")
    found = refused(f"net f({signature}) = x @ y\n", code, x=np.ones(one), y=np.ones(other))
    assert {1, 2} <= set(other_lines(found))

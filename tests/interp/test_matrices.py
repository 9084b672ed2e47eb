"""Linear algebra in the language: values and shapes against NumPy, dtypes, names of dims, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import NUMPY, calc, grads, proved, refused, same, value, values

RNG = np.random.default_rng(0)
A = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
B = RNG.normal(size=(2, 3, 4))
X = RNG.normal(size=(3, 4, 5))
SIGNATURE = "a: f64[2, 3, 3], b: f64[2, 3, 4]"

VALUES: list[tuple[str, Any]] = [
    ("solve(a, b)", np.linalg.solve(A, B)),
    ("solve(a[0], b)", np.linalg.solve(A[0], B)),
    ("solve(a, b[0])", np.linalg.solve(A, B[0])),
    ("solve(a[0], b[0, :, 0])", np.linalg.solve(A[0], B[0, :, 0])),
    ("solve(a, b[0, :, 0])", np.linalg.solve(A, B[0, :, 0])),
    ("inv(a)", np.linalg.inv(A)),
    ("det(a)", np.linalg.det(A)),
    ("det(a[0])", np.linalg.det(A[0])),
    ("slogdet(-a)[0]", np.array([-1.0, -1.0])),
    ("slogdet(-a)[1]", np.log(np.linalg.det(A))),
    ("cholesky(a @ transpose(a, axes=[0, 2, 1]))", np.linalg.cholesky(A @ A.transpose(0, 2, 1))),
]


@pytest.mark.parametrize(("expression", "wanted"), VALUES, ids=[row[0] for row in VALUES])
def test_systems_and_determinants_are_numpys(expression: str, wanted: Any) -> None:
    same(calc(expression, SIGNATURE, a=A, b=B), wanted, "f64", rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("k", range(-5, 7))
def test_triangles_and_diagonals_are_numpys(k: int) -> None:
    same(calc(f"tril(x, {k})", "x: f64[3, 4, 5]", x=X), np.tril(X, k))
    same(calc(f"triu(x, k={k})", "x: f64[3, 4, 5]", x=X), np.triu(X, k))
    same(calc(f"tril(x, {k})", "x: f64[4, 4]", x=X[0, :, :4]), np.tril(X[0, :, :4], k))
    same(calc(f"diag(x, {k})", "x: f64[4, 5]", x=X[0]), np.diag(X[0], k))
    same(calc(f"diag(x, {k})", "x: f64[5]", x=X[0, 0]), np.diag(X[0, 0], k))


@pytest.mark.parametrize("k", [1 << 40, (1 << 63) - 1, 1e30])
def test_offsets_beyond_every_size(k: float) -> None:
    x = X[0, :, :4]
    for name, far, near in (("tril", x, 0 * x), ("triu", 0 * x, x)):
        same(calc(f"{name}(x, {k})", "x: f64[4, 4]", x=x), far)
        same(calc(f"{name}(x, -{k})", "x: f64[4, 4]", x=x), near)
    same(calc(f"diag(x, -{k})", "x: f64[4, 4]", x=x), np.zeros(0))
    same(calc(f"trace(x, {k})", "x: f64[4, 4]", x=x), 0.0)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (0, 2), (2, 1), (-1, -2)])
@pytest.mark.parametrize("offset", [-4, -1, 0, 2, 7])
def test_trace_is_numpys(offset: int, axes: tuple[int, int]) -> None:
    one, two = axes
    found = calc(f"trace(x, offset={offset}, axis1={one}, axis2={two})", "x: f64[3, 4, 5]", x=X)
    same(found, np.trace(X, offset, one, two), rtol=1e-14, atol=1e-15)


# ── dtypes ──


@pytest.mark.parametrize("name", ["inv", "det", "cholesky"])
def test_integers_become_floats(name: str) -> None:
    whole = np.array([[4, 2], [2, 5]])
    wanted = getattr(np.linalg, name)(whole)
    same(calc(f"{name}(x)", "x: i64[2, 2]", x=whole), wanted, "f64")
    same(calc(f"{name}([[4, 2], [2, 5]]) + f32(0)"), wanted.astype("f4"), "f32", rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_floats_keep_their_dtype(dtype: str) -> None:
    body = "  s, l = slogdet(x)\n  return solve(x, [1, 2]), inv(x), det(x), s, l, cholesky(x)\n"
    found = values(f"net main(x: {dtype}[2, 2]) {{\n{body}}}\n", x=np.array([[4, 2], [2, 5]], NUMPY[dtype]))
    assert {str(out.dtype) for out in found} == {NUMPY[dtype]}


def test_the_right_side_promotes_the_matrix() -> None:
    found = value("net main(a: f32[2, 2], b: f64[2]) = solve(a, b)\n", a=np.eye(2, dtype="f4"), b=[1.0, 2.0])
    same(found, [1.0, 2.0], "f64")


def test_diagonals_and_triangles_keep_any_dtype() -> None:
    flags = np.array([[True, True], [True, False]])
    same(calc("triu(x)", "x: bool[2, 2]", x=flags), np.triu(flags), "bool")
    same(calc("diag(x)", "x: bool[2, 2]", x=flags), np.diag(flags), "bool")
    same(calc("diag(x)", "x: i32[2]", x=np.array([1, 2], "i4")), np.diag([1, 2]), "i32")
    same(calc("trace(x)", "x: i32[2, 2]", x=np.ones((2, 2), "i4")), 2, "i64")
    same(calc("trace(x)", "x: bool[2, 2]", x=flags), 1, "i64")
    same(calc("tril([[1, 2], [3, 4]]) * f32(1)"), [[1, 0], [3, 4]], "f32")


# ── names of dims, and symbols ──


def test_names_of_dims_are_kept() -> None:
    text = """net main(x: f64[batch, n, n], y: f64[n]) {
  d = sum(det(x), axis=batch)
  s = sum(solve(x, y), axis=batch)
  t = trace(x, axis1=1, axis2=2)
  return d, s, sum(t, axis=batch), sum(diag(y)[0], axis=n), sum(tril(x), axis=batch), sum(slogdet(x)[1], axis=batch)
}
"""
    a = np.stack([A[0], A[1]])
    found = values(text, x=a, y=B[0, :, 0])
    wanted = [np.linalg.det(a).sum(), np.linalg.solve(a, B[0, :, 0]).sum(0), np.trace(a, 0, 1, 2).sum(), B[0, 0, 0],
              np.tril(a).sum(0), np.log(np.linalg.det(a)).sum()]  # fmt: skip
    for one, other in zip(found, wanted, strict=True):
        same(one, other, rtol=1e-13)


def test_trace_along_named_axes() -> None:
    found = value("net main(x: f64[n, batch, m]) = trace(x, axis1=n, axis2=m)\n", x=X)
    same(found, np.trace(X, 0, 0, 2), rtol=1e-15)


SYMBOLIC = [
    ("det(x)", "f64", []),
    ("solve(x, x[:, 0])", "f64[n]", ["n ≥ 1"]),
    ("inv(x)", "f64[n, n]", []),
    ("cholesky(x)", "f64[n, n]", []),
    ("trace(x)", "f64", []),
    ("diag(x)", "f64[n]", []),
    ("diag(x, k=2)", "f64[n - 2]", ["n ≥ 2"]),
    ("diag(diag(x), k=-1)", "f64[n + 1, n + 1]", []),
    ("triu(x)", "f64[n, n]", []),
    ("grad(d)(x)", "f64[n, n]", []),
]


@pytest.mark.parametrize(("expression", "type_", "conditions"), SYMBOLIC, ids=[row[0] for row in SYMBOLIC])
def test_shapes_are_proved_for_all_sizes(expression: str, type_: str, conditions: list[str], tmp_path: Path) -> None:
    text = f"net main(x: f64[n, n]) {{\n  net d(x) = det(x) + slogdet(x)[1]\n  return {expression}\n}}\n"
    checked = proved(text, tmp_path)
    assert [kind for _, kind in checked.outputs] == [type_]
    assert list(checked.conditions) == conditions


def test_a_diagonal_whose_length_depends_on_two_dims_waits_for_their_sizes(tmp_path: Path) -> None:
    text = "net main(x: f64[n, m]) = trace(x)\n"
    assert proved(text, tmp_path).skipped == "the diagonal of f64[n, m] has n or m elements"
    same(value(text, x=X[0]), np.trace(X[0]), rtol=1e-15)


# ── derivatives ──

SLOPES = [
    *("det(x)", "slogdet(x)[1]", "sum(w * inv(x))", "sum(w * cholesky(x))", "sum(w * solve(x, w))"),
    *("trace(x @ x, offset=1)", "sum(diag(x, 1) ** 2)", "sum(w * diag(x[0] ** 2))"),
    *("sum((w * tril(x, -1)) ** 2)", "sum(w * triu(x ** 2))"),
]


@pytest.mark.parametrize("expression", SLOPES)
def test_gradients_are_central_differences(expression: str) -> None:
    x = A[0] + 0.5 * np.eye(3)
    w, way = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))
    net = gradcli.compile(f"net main(x: f64[3, 3], w: f64[3, 3]) = {expression}\n")
    slope = (net.eval(x=x + 6e-6 * way, w=w)[0] - net.eval(x=x - 6e-6 * way, w=w)[0]) / 1.2e-5
    np.testing.assert_allclose(np.vdot(net.grad(x=x, w=w)["x"], way), slope, rtol=1e-8, atol=1e-8)


def test_nothing_flows_from_what_a_triangle_leaves_out() -> None:
    """Selected, not multiplied by 0: what is not finite there leaves no trace."""
    x = np.array([[1.0, np.nan], [2.0, 4.0]])
    text = "net f(x: f64[2, 2]) = sum(tril(x) ** 2)\n"
    same(value(text, x=x), 21.0)
    same(grads(text, x=x)["x"], [[2.0, 0.0], [4.0, 8.0]])


# ── refusals ──

REFUSED = [
    ("det(y)", "SHP107", "det wants a matrix"),
    ("det(x[0:1])", "SHP202", "det wants a square matrix, not f64[1, 2]"),
    ("inv(1)", "SHP107", "inv wants a matrix"),
    ("solve(x, [1, 2, 3])", "SHP201", "solve: the matrix has 2 rows, the right side 3"),
    ("solve(x, 1)", "SHP107", "the right side of solve is a vector or a matrix"),
    ("solve(stack([x, x, x]), stack([x, x]))", "SHP101", "do not broadcast"),
    ("diag(y[0])", "SHP107", "diag wants a vector or a matrix"),
    ("diag(stack([x, x]))", "SHP107", "diag wants a vector or a matrix"),
    ("diag(x, y[0])", "SHP110", "`k` is a known integer"),
    ("tril(y)", "SHP107", "tril wants a matrix"),
    ("triu(x, 0.5)", "SHP110", "`k` is a known integer, not a float"),
    ("trace(y)", "SHP107", "trace wants 2 dims or more"),
    ("trace(x, axis1=1)", "SHP111", "both are axis 1"),
    ("trace(x, axis1=2)", "SHP111", "2 is no axis"),
    ("trace(x, true)", "SHP110", "`offset` is a known integer, not a bool"),
]


@pytest.mark.parametrize(("expression", "code", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_refused(expression: str, code: str, says: str) -> None:
    text = f"net main(x: f64[2, 2], y: f64[2]) = {expression}\n"
    refused(text, code, expression, says=says, x=np.eye(2), y=np.ones(2))


def test_the_operand_that_is_not_square_is_pointed_at() -> None:
    found = refused("net main(x: f64[2, 3]) = det(x)\n", "SHP202", "det(x)", x=np.ones((2, 3)))
    assert [label.text for label in found.others] == ["x is f64[2, 3]", "input x is f64[2, 3]"]


SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("call", ["inv(y)", "solve(y, [1, 2])", "solve(y, x)"])
def test_a_singular_matrix_is_an_error_with_its_line(call: str) -> None:
    text = f"net main(x: f64[2, 2]) {{\n  y = 2 * x\n  return {call}\n}}\n"
    found = refused(text, "NUM005", call, says="the matrix is singular", x=SINGULAR)
    assert found.span is not None
    assert found.span.line == 3


def test_a_singular_matrix_in_the_backward_pass_has_the_line_of_its_operator() -> None:
    text = "net main(x: f64[2, 2]) {\n  s, l = slogdet(x)\n  return l\n}\n"
    assert value(text, x=SINGULAR) == -np.inf
    refused(text, "NUM005", "slogdet(x)", verb="grad", x=SINGULAR)


def test_a_matrix_that_is_not_positive_definite_is_an_error_with_its_line() -> None:
    text = "net main(x: f64[2, 2, 2]) = cholesky(x)\n"
    refused(text, "NUM006", "cholesky(x)", says="matrix [1] of the stack", x=np.stack([np.eye(2), -np.eye(2)]))


def test_a_constant_that_is_singular_is_refused_when_it_runs_not_when_it_is_folded() -> None:
    refused("net main(x: f64) = x * inv([[1, 2], [2, 4]])\n", "NUM005", "inv([[1, 2], [2, 4]])", x=1.0)

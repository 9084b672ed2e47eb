"""Loops whose rows stop on their own: each row against itself alone, in every mode, where a row that has stopped could
do harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.interp.nets import value

ROWS = np.array([10.0, 1.5, 0.5, 4.0])  # 3, 1, 0 and 2 turns
ROOTS = "net f(x: f64) {\n  for i in 0..9 while x > 1 {\n    x = sqrt(x - 1)\n  }\n  return x\n}\n"
FORMS = ["f", "grad(f)", "grad(grad(f))", "jvp(f, tangent=2.0)", "grad(jvp(f, tangent=2.0))", "hvp(f, v=2.0)"]


def one_by_one(text: str, form: str, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.array([value(text + f"net main(x: f64) = {form}(x)\n", net="main", x=x) for x in rows])


@pytest.mark.parametrize("form", FORMS)
def test_rows_as_if_alone(form: str) -> None:
    """The square root of a row that has stopped would be nan, its slope too."""
    found = value(ROOTS + f"net main(x: f64[n]) = vmap({form})(x)\n", net="main", x=ROWS)
    assert_allclose(found, one_by_one(ROOTS, form, ROWS), rtol=1e-14)


BATCHED = ROOTS + "net g(x: f64[n]) = vmap(f)(x)\nnet h(x: f64[n]) = vmap(grad(f))(x)\n"


@pytest.mark.parametrize(
    ("form", "alone"),
    [
        ("grad(g)", "grad(f)"),
        ("jvp(g, tangent=[2.0, 2, 2, 2])", "jvp(f, tangent=2.0)"),
        ("grad(h)", "grad(grad(f))"),
        ("hvp(g, v=[2.0, 2, 2, 2])", "hvp(f, v=2.0)"),
        ("grad(grad(g))", "grad(grad(f))"),
    ],
)
def test_derivatives_of_a_batch(form: str, alone: str) -> None:
    """What a row that has stopped would compute has infinite slopes: 0 · inf must not reach it, nor other rows."""
    found = value(BATCHED + f"net main(x: f64[n]) = {form}(x)\n", net="main", x=ROWS)
    assert_allclose(found, one_by_one(ROOTS, alone, ROWS), rtol=1e-14)


@pytest.mark.parametrize(("form", "alone"), [("jacobian(g)", "grad(f)"), ("hessian(g)", "grad(grad(f))")])
def test_matrices_of_a_batch_are_diagonal(form: str, alone: str) -> None:
    found = value(BATCHED + f"net main(x: f64[n]) = {form}(x)\n", net="main", x=ROWS)
    assert_allclose(found, np.diag(one_by_one(ROOTS, alone, ROWS)), rtol=1e-14)


STEPS = """
net f(x: f64[4], step: i64) {
  k = 0
  s = 0.0
  for i in 0..9 while k < 4 {
    s = s + x[k] ** 3
    k = k + step
  }
  return s
}
"""


@pytest.mark.parametrize("form", ["f", "grad(f)", "jvp(f, tangent=[1.0, 2, 3, 4])", "hessian(f)"])
def test_an_index_that_ended_a_row_is_not_read_again(form: str) -> None:
    """Rows with a step of 2 or 3 stop with k beyond the array, while the row with a step of 1 goes on."""
    x, steps = np.arange(12.0).reshape(3, 4), np.array([1, 2, 3])
    found = value(STEPS + f"net main(x: f64[n, 4], k: i64[n]) = vmap({form})(x, k)\n", net="main", x=x, k=steps)
    alone = STEPS + f"net main(x: f64[4], k: i64) = {form}(x, k)\n"
    assert_allclose(found, [value(alone, net="main", x=a, k=k) for a, k in zip(x, steps, strict=True)])


@pytest.mark.parametrize("form", ["f", "grad(f)", "hessian(f)"])
def test_no_rows(form: str) -> None:
    found = value(ROOTS + f"net main(x: f64[n]) = vmap({form})(x)\n", net="main", x=np.zeros(0))
    assert found.shape == (0,)


def test_rows_that_all_stop_at_once() -> None:
    found = value(ROOTS + "net main(x: f64[n]) = vmap(grad(f))(x)\n", net="main", x=np.array([0.5, -1.0]))
    assert found.tolist() == [1.0, 1.0]


def test_weights_of_each_row() -> None:
    """What the rows hold, and see slice by slice, is their own as well."""
    text = """
net f(x: f64, w: f64[5]) {
  s = 1.0
  for i in 0..5 while s < x {
    s = s * x + log(w[i]) * sqrt(x - s)
  }
  return s
}
"""
    rng = np.random.default_rng(0)
    x, w = np.array([3.0, 0.5, 1.5, 40.0]), rng.uniform(0.5, 2.0, (4, 5))
    for form in ("f", "grad(f, wrt=w)", "grad(f)", "hvp(f, v=1.0, wrt=x)"):
        found = value(text + f"net main(x: f64[n], w: f64[n, 5]) = vmap({form})(x, w)\n", net="main", x=x, w=w)
        alone = text + f"net main(x: f64, w: f64[5]) = {form}(x, w)\n"
        assert_allclose(found, [value(alone, net="main", x=a, w=b) for a, b in zip(x, w, strict=True)], rtol=1e-13)

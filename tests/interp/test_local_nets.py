"""Nets inside nets: what they see, derivatives through it, and the error where a name is bound again."""

from __future__ import annotations

import numpy as np
import pytest

import gradcli
from tests.interp.nets import grads, other_lines, refused, same, value

CRITIC = """
net main(x: f64[n], w1: f64[n, 2], w2: f64[2]) {
  net critic(a) = sum(tanh(a @ w1) @ w2)
  g = grad(critic)(x)
  return sum(g * g)
}
"""


def test_a_local_net_sees_names_bound_above_it() -> None:
    same(value("net main(x: f64) {\n  k = 2 * x\n  net g(y) = k * y\n  return g(5.0)\n}\n", x=3.0), 30.0)


def test_derivatives_flow_through_the_names_it_sees() -> None:
    text = "net main(x: f64) {\n  k = x * x\n  net g(y) = k * y\n  return g(x)\n}\n"
    same(grads(text, x=3.0)["x"], 27.0)


def test_grad_of_a_local_net_through_what_it_closes_over() -> None:
    x, w1, w2 = np.array([0.3, -0.2]), np.array([[0.5, 1.0], [-1.0, 0.25]]), np.array([1.0, -2.0])

    def penalty(x: np.ndarray, w1: np.ndarray, w2: np.ndarray) -> float:
        g = w1 @ ((1 - np.tanh(x @ w1) ** 2) * w2)
        return float((g * g).sum())

    same(value(CRITIC, x=x, w1=w1, w2=w2), penalty(x, w1, w2), rtol=1e-13)
    g = grads(CRITIC, x=x, w1=w1, w2=w2, get_all=True)
    for name, at in {"x": x, "w1": w1, "w2": w2}.items():
        d = np.random.default_rng(0).normal(size=at.shape)
        steps = [penalty(**{"x": x, "w1": w1, "w2": w2, name: at + h * d}) for h in (6e-6, -6e-6)]
        np.testing.assert_allclose((g[name] * d).sum(), (steps[0] - steps[1]) / 12e-6, rtol=1e-8)


def test_wrt_inside_is_by_its_own_inputs_only_and_closed_over_names_are_constant() -> None:
    text = "net main(x: f64) {\n  net g(y) = x * y * y\n  return grad(g)(x)\n}\n"
    same(value(text, x=3.0), 18.0)
    same(grads(text, x=3.0)["x"], 12.0)


REBOUND = """net f(x: f64) {
  a = x
  net g(y) = a * y
  a = a + 1
  return g(x)
}
"""


def test_calling_it_after_a_name_it_uses_was_bound_again_names_both_places() -> None:
    found = refused(REBOUND, "NAM010", "g(x)", says="`a`", x=1.0)
    assert other_lines(found) == [3, 4]
    assert "input" in (found.help or "")


def test_the_help_for_a_rebound_name_is_a_repair() -> None:
    text = REBOUND.replace("g(y) = a * y", "g(y, a) = a * y").replace("g(x)", "g(x, a)")
    same(value(text, x=1.0), 2.0)


def test_grad_of_it_after_a_rebinding_is_refused_too() -> None:
    refused(REBOUND.replace("return g(x)", "return grad(g)(x)"), "NAM010", x=1.0)


def test_calling_it_before_the_rebinding_is_fine() -> None:
    same(
        value("net f(x: f64) {\n  a = x\n  net g(y) = a * y\n  b = g(2.0)\n  a = a + 1\n  return a + b\n}\n", x=1.0),
        4.0,
    )


def test_rebinding_a_name_it_does_not_use_is_fine() -> None:
    same(value("net f(x: f64) {\n  a = x\n  b = x\n  net g(y) = a * y\n  b = 7.0\n  return g(b)\n}\n", x=2.0), 14.0)


def test_rebinding_a_name_that_its_own_input_hides_is_fine() -> None:
    same(value("net f(x: f64) {\n  a = x\n  net g(a) = a * a\n  a = a + 1\n  return g(a)\n}\n", x=2.0), 9.0)


def test_rebinding_by_an_indexed_assignment_counts() -> None:
    refused("net f(x: f64[2]) {\n  net g(y) = x * y\n  x[0] = 5.0\n  return g(2.0)\n}\n", "NAM010", x=[1.0, 2.0])


def test_rebinding_in_a_loop_counts() -> None:
    refused(
        "net f(x: f64) {\n  a = x\n  net g(y) = a * y\n  for i in 0..2 {\n    a = g(a)\n  }\n  return a\n}\n",
        "NAM010",
        x=1.0,
    )


def test_rebinding_of_a_name_used_through_another_local_net_counts() -> None:
    text = "net f(x: f64) {\n  a = x\n  net g(y) = a * y\n  net h(y) = g(y) + 1\n  a = a + 1\n  return h(x)\n}\n"
    refused(text, "NAM010", x=1.0)


def test_it_may_call_nets_of_the_file_and_hold_nets_itself() -> None:
    text = """
net sq(x) = x * x
net main(x: f64) {
  net outer_(y) {
    net inner(z) = sq(z) * x
    return inner(y) + y
  }
  return outer_(2.0)
}
"""
    same(value(text, x=3.0), 14.0)
    same(grads(text, x=3.0)["x"], 4.0)


def test_it_is_not_seen_outside() -> None:
    refused("net a(x: f64) {\n  net g(y) = y\n  return g(x)\n}\nnet main(x: f64) = a(x) + g(x)\n", "NAM001", "g", x=1.0)


def test_it_does_not_see_what_is_bound_below_it() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value("net main(x: f64) {\n  net g(y) = k * y\n  k = 2.0\n  return g(x)\n}\n", x=1.0)
    assert caught.value.diagnostics[0].code in ("NAM001", "NAM010")


def test_its_params_include_those_of_the_enclosing_nets_that_it_uses() -> None:
    text = """
net main(x: f64) {
  param w: f64 = 3.0
  param unused: f64 = 1.0
  net critic(q) {
    param c: f64 = 2.0
    return c * w * q
  }
  gc, gw = grad(critic, wrt=params)(x)
  return gc + 100 * gw
}
"""
    # its own first, or the enclosing net's first: either way one is w·q = 15 and the other c·q = 10
    assert float(value(text, x=5.0)) in (15.0 + 1000.0, 10.0 + 1500.0)


def test_a_param_of_the_enclosing_net_by_name() -> None:
    text = "net main(x: f64) {\n  param w: f64 = 3.0\n  net g(q) = w * q * q\n  return grad(g, wrt=w)(x)\n}\n"
    same(value(text, x=5.0), 25.0)


def test_named_dims_of_the_enclosing_net_are_the_same_inside() -> None:
    text = "net main(x: f64[n], y: f64[m]) {\n  net g(z: f64[n]) = sum(z) * size(n)\n  return g(y)\n}\n"
    same(value(text, x=[1.0, 1.0], y=[1.0, 1.0]), 4.0)
    refused(text, "SHP106", "g(y)", x=[1.0, 1.0], y=[1.0, 1.0, 1.0])


def test_a_local_net_with_static_parameters() -> None:
    same(
        value("net main(x: f64) {\n  net rep[n](y) = ones([n]) * y * x\n  return rep[3](2.0)\n}\n", x=2.0),
        [4.0, 4.0, 4.0],
    )


def test_a_second_local_net_of_one_name_is_refused() -> None:
    found = refused("net main(x: f64) {\n  net g(y) = y\n  net g(y) = 2 * y\n  return g(x)\n}\n", "NAM003", "g", x=1.0)
    assert other_lines(found) == [2]


def test_the_help_names_the_input_to_add() -> None:
    found = refused(REBOUND, "NAM010", x=1.0)
    assert "`a`" in (found.help or "")

"""Loops of numbers on floats: the bits of the same loop on arrays, however it counts, keeps and ends."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from gradcli import opening
from gradcli.backends import loop as loops
from gradcli.backends.counting import AT_ONCE, counting
from gradcli.backends.routes import forget_scratch
from gradcli.engine import Machine, plan_of, run_plan
from gradcli.plan.plan import Plan, Turns
from gradcli.request import ModelFile, Request
from gradcli.running import derive_request

TURNS = AT_ONCE + 300
BODIES = {
    "a map": "h = sin(h * w)",
    "what counts": "h = h + sin(w * h) / (1 + i)",
    "slices": "h = tanh(h * w + x[i])",
    "two that change places": "t = k; k = 0.5 * h + cos(k); h = t * w",
    "a choice": "h = where(h > 0.3, h * w, h + 0.1)",
    "what is only given on": "k = k; h = sin(h) * k",
    "written element by element": "y[i] = h; h = h * w + x[i]",
    "several kept": "h = exp(-h * h * w); k = k * 0.5 + log(1 + h * h) * x[i]",
    "ends that nobody reads": "h = sin(h) * w; y[i] = h * h",
    "inf and nan on the way": "h = 1 / (h - x[i] * 0) - w / (h * 0 + x[i] * 0)",
    "log of nothing": "h = log(h * h - h * h) * 0 + w",
}


def planned(body: str, order: int) -> tuple[Plan, list[Any]]:
    text = (
        f"net main(w: f64, x: f64[{TURNS}]) -> f64 {{\n  h = 0.7\n  k = w * w\n  y = zeros([{TURNS}])\n"
        f"  for i in 0..{TURNS} {{ {body} }}\n  return h * h + k + sum(y * y)\n}}\n"
    )
    arrays = {"w": np.array(0.9), "x": np.linspace(-0.5, 1.0, TURNS)}
    request = Request(arrays=arrays, wrt="w,x" if order == 1 else "w", order=order)
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), request)
    plan = plan_of(derive_request(prepared, request).graph, Machine())
    assert isinstance(plan, Plan)
    return plan, [arrays[fed.name] for fed in prepared.inputs]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", BODIES)
def test_the_bits_of_arrays(name: str, order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, inputs = planned(BODIES[name], order)
    steps = [step for step in plan.steps if isinstance(step, Turns)]
    assert any(counting(step) is not None for step in steps)
    found = [run_plan(plan, inputs, Machine()) for _ in range(2)]
    monkeypatch.setattr(loops, "counting", lambda step: None)
    plan.compiled.clear()
    expected = run_plan(plan, inputs, Machine())
    for results in found:
        for one, other in zip(results, expected, strict=True):
            np.testing.assert_array_equal(one, other)
            there = ~np.isnan(other)  # a nan has no sign to speak of
            np.testing.assert_array_equal(np.signbit(one[there]), np.signbit(other[there]))


def test_other_loops_are_none() -> None:
    text = "net main(h: f64[3], c: f64) -> f64 {\n  for i in 0..20 { h = sin(h) * c }\n  return sum(h)\n}\n"
    arrays = {"h": np.ones(3), "c": np.array(0.5)}
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays=arrays))
    plan = plan_of(prepared.graph, Machine())
    assert isinstance(plan, Plan)
    (step,) = [step for step in plan.steps if isinstance(step, Turns)]
    assert counting(step) is None


def test_a_long_loop_takes_the_memory_of_its_plan() -> None:
    text = "net main(x: f64) -> f64 {\n  for i in 0..200000 { x = x + 0.001 * sin(x) / (1 + i) }\n  return x\n}\n"
    request = Request(arrays={"x": np.array(0.5)})
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), request)
    plan = plan_of(derive_request(prepared, request).graph, Machine(threads=1))
    inputs = [np.array(0.5)]
    forget_scratch()
    tracemalloc.start()
    try:
        run_plan(plan, inputs, Machine(threads=1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak == pytest.approx(plan.peak, rel=0.1)

"""The memory that a plan says it takes, held against what its runs allocate: to a tenth, from 1 MB up."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from gradcli import opening
from gradcli.backends.routes import forget_scratch
from gradcli.engine import Machine, plan_of, run_plan
from gradcli.request import ModelFile, Request
from gradcli.running import derive_request

CHAIN = "net f(x: {dtype}[n]) -> {dtype} = sum(sin(x) * exp(-x * x) + tanh(x))"
COSINES = "net f(x: f64[n]) -> f64[n] = sin(x) * cos(x) / (1 + x * x)"
SEVERAL = """net f(x: f64[n, m]) -> f64 {
  a = tanh(x)
  s = sum(a, axis=0)
  b = exp(-x * s)
  return sum(log(1 + b)) + sum(sigmoid(x @ transpose(x)))
}"""
PERCEPTRON = """net f(x: f32[n, 784], v: f32[784, 512], w: f32[512, 10]) -> f32 {
  return sum(logsumexp(relu(x @ v) @ w, axis=1))
}"""
LOOP = """net f(h: f64[8]) -> f64 {
  for i in 0..6000 { h = 1.5 * sin(h) }
  return sum(h * h)
}"""
LARGE_TURNS = """net f(h: f64[n], w: f64[n]) -> f64 {
  for i in 0..40 { h = tanh(h * w) - 0.1 * h * h }
  return sum(h * h)
}"""
WITHIN = """net f(h: f64[n], w: f64[n]) -> f64 {
  for i in 0..20 {
    for j in 0..10 { h = h + 0.01 * sin(h * w) }
    h = h / (1 + sum(h * h))
  }
  return sum(h)
}"""
SOLVES = "net f(a: f64[n, n], b: f64[n, m]) -> f64 = sum(solve(a + 3 * eye(n), b) ** 2)"
LAYERS = """net f(x: f32[n, 64, 64]) -> f32 {
  s = softmax(x @ transpose(x, [0, 2, 1]) / 8.0, axis=2)
  return sum((s @ x) ** 2)
}"""

PROGRAMS: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, Any]]] = {
    "chain f64": (CHAIN.format(dtype="f64"), {"x": (1_000_000,)}, {}),
    "chain f32": (CHAIN.format(dtype="f32"), {"x": (1_000_000,)}, {}),
    "a block and a bit": (CHAIN.format(dtype="f64"), {"x": (140_000,)}, {}),
    "sines and cosines": (COSINES, {"x": (400_000,)}, {}),
    "several regions": (SEVERAL, {"x": (700, 500)}, {}),
    "its second order": (CHAIN.format(dtype="f64"), {"x": (200_000,)}, {"order": 2}),
    "a perceptron": (PERCEPTRON, {"x": (512, 784), "v": (784, 512), "w": (512, 10)}, {"get_all": True}),
    "a loop of small arrays": (LOOP, {"h": (8,)}, {}),
    "a loop of large arrays": (LARGE_TURNS, {"h": (50_000,), "w": (50_000,)}, {"get_all": True}),
    "a loop that keeps less": (LARGE_TURNS, {"h": (50_000,), "w": (50_000,)}, {"memory": 14_000_000}),
    "loops within loops": (WITHIN, {"h": (2_000,), "w": (2_000,)}, {"get_all": True}),
    "linear algebra": (SOLVES, {"a": (300, 300), "b": (300, 200)}, {"get_all": True}),
    "batches of matrices": (LAYERS, {"x": (60, 64, 64)}, {}),
}  # fmt: skip

# An older NumPy takes the copies that LAPACK overwrites where tracemalloc does not see them.
NUMPY_COUNTS = np.lib.NumpyVersion(np.__version__) >= "2.5.0"


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_planned_peak_is_the_measured_one(name: str, threads: int) -> None:
    text, shapes, options = PROGRAMS[name]
    rng = np.random.default_rng(0)
    arrays = {
        key: rng.uniform(1.0, 1.5, shape).astype("f4" if "f32" in text else "f8") for key, shape in shapes.items()
    }
    request = Request(arrays=arrays, threads=threads, **options)
    machine = Machine(threads=threads, memory=request.memory)
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), request)
    plan = plan_of(derive_request(prepared, request).graph, machine)
    inputs = [arrays[fed.name] for fed in prepared.inputs]
    forget_scratch()
    unseen = 0 if NUMPY_COUNTS else max((n.prim.workspace(n) for n in plan.graph.nodes if n.prim.workspace), default=0)
    tracemalloc.start()
    try:
        peak, deadline = 0, time.monotonic() + 20
        while peak < 0.9 * plan.peak and time.monotonic() < deadline:  # until each thread has come to take a part
            run_plan(plan, inputs, machine)
            peak = unseen + tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak >= 1_000_000, "large enough to see"
    assert peak == pytest.approx(plan.peak, rel=0.1)

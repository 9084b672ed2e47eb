"""Of what a loop carries, its adjoint keeps the parts that it reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcli import opening
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from gradcli.passes.dce import dce
from gradcli.passes.histories import keep_parts
from gradcli.passes.loops import prune
from gradcli.passes.pipeline import optimize
from gradcli.plan import make_plan
from gradcli.request import ModelFile, Request

MODELS = {
    "one element before": """y = zeros([n])
  y[0] = x[0]
  for i in 1..n {
    y[i] = sin(y[i - 1]) * x[i]
  }""",
    "two elements before": """y = ones([n])
  for i in 2..n {
    y[i] = y[i - 1] * x[i] + tanh(y[i - 2])
  }""",
    "a trajectory": """y = zeros([n, 3])
  y[0] = x[:3]
  for i in 0..size(n) - 1 {
    y[i + 1] = y[i] + 0.1 * sin(y[i]) * x[i]
  }""",
    "by an index from data": """y = zeros([n])
  k = i64(4 * x)
  for i in 0..n {
    y[i] = y[k[i]] * x[i] + x[i]
  }""",
    "by an index that is carried": """y = ones([n])
  k = i64(0)
  for i in 1..n {
    y[i] = y[k] * x[i]
    k = i64(y[k]) % 3
  }""",
    "with a condition": """y = ones([n])
  for i in 1..n while y[i - 1] < 1.5 {
    y[i] = y[i - 1] * (1 + x[i])
  }""",
}
WHOLE = {
    "the whole is read, too": """y = ones([n])
  for i in 1..n {
    y[i] = y[i - 1] * x[i] + sum(y * y) / 100
  }""",
}


def gradient(body: str, n: int) -> tuple[Graph, list[Any]]:
    text = f"net main(x: f64[n]) {{\n  {body}\n  return sum(y * y)\n}}\n"
    x = np.linspace(0.1, 0.9, n)
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays={"x": x}))
    return reverse(prepared.graph, [0]), [x]


def run(graph: Graph, arrays: list[Any]) -> list[Any]:
    return backend.run(make_plan(graph), arrays)


@pytest.mark.parametrize("name", [*MODELS, *WHOLE])
def test_the_same_derivatives(name: str) -> None:
    graph, arrays = gradient({**MODELS, **WHOLE}[name], 12)
    for program, given in ((graph, arrays), (forward(graph, [0]), [*arrays, np.linspace(-1, 1, 12)])):
        made = keep_parts(program)
        verify(made)
        for found, wanted in zip(run(dce(prune(made)), given), run(dce(prune(program)), given), strict=True):
            np.testing.assert_array_equal(found, wanted)


def memory(body: str, n: int) -> int:
    return make_plan(optimize(gradient(body, n)[0], verify=True)).peak


@pytest.mark.parametrize("name", MODELS)
def test_memory_is_linear_in_the_number_of_elements(name: str) -> None:
    assert memory(MODELS[name], 4000) < 2.5 * memory(MODELS[name], 2000)


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_read_as_a_whole_is_kept_as_a_whole(name: str) -> None:
    assert memory(WHOLE[name], 50) > 50 * 50 * 8

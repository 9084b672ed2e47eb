"""The cost of a gradient is at most 5 times that of the function, for every operator, without a clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli import opening
from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.cost import cost
from gradcli.ir.graph import Builder, Graph
from gradcli.ir.primitive import Primitive, Sample, registry
from gradcli.passes.pipeline import optimize
from gradcli.request import ModelFile, Request
from tests.ad.cost_exceptions import EXCEPTIONS

BOUND = 5.0


def graph_of(prim: Primitive, sample: Sample) -> Graph:
    """The operator alone, on operands of the sample's shapes and dtypes."""
    builder = Builder()
    inputs = []
    for k, operand in enumerate(sample.operands):
        if isinstance(operand, tuple) and all(isinstance(size, int) for size in operand):
            shape, dtype = operand, "f64"
        else:
            array = np.asarray(operand)
            shape, dtype = array.shape, {"b": "bool", "i": "i64", "f": "f64"}[array.dtype.kind]
        inputs.append(builder.input(Aval(shape, dtype), f"x{k}"))
    return builder.finish(builder.emit(prim, inputs, sample.params))


def floor_of(graph: Graph) -> int:
    """What any function costs: it reads its inputs and writes its results, a view too, as far as anybody sees it."""
    values: list[Any] = [*graph.inputs, *graph.outputs]
    return sum(int(value.aval.size) for value in values)


def ratio(graph: Graph) -> float:
    """The cost of value and gradients, over that of the value."""
    wrt = [k for k, value in enumerate(graph.inputs) if value.aval.is_float]
    return cost(optimize(reverse(graph, wrt, sens="inputs"))) / max(1, cost(graph), floor_of(graph))


def differentiable() -> list[Primitive]:
    return [p for p in registry().values() if p.vjp is not None and any(s.differentiable for s in p.samples)]


def worst(prim: Primitive) -> float:
    found = [0.0]
    for sample in prim.samples:
        graph = graph_of(prim, sample)
        if sample.differentiable and any(v.aval.is_float for v in graph.inputs) and graph.outputs[0].aval.is_float:
            found.append(ratio(graph))
    return max(found)


@pytest.mark.parametrize("prim", differentiable(), ids=lambda prim: prim.name)
def test_the_gradient_of_an_operator_costs_at_most_five_times_the_operator(prim: Primitive) -> None:
    found = worst(prim)
    bound, reason = EXCEPTIONS.get(prim.name, (BOUND, ""))
    assert found <= bound, f"the gradient of {prim.name} costs {found:.1f} times the operator"
    if prim.name in EXCEPTIONS:
        assert reason
        assert found > max(BOUND, bound / 2), f"{prim.name} costs {found:.1f} now: mend the table"


def test_the_table_names_operators() -> None:
    assert set(EXCEPTIONS) <= set(registry())


LOOP = """
net chain(x: f64[k]) -> f64 {
  y = 1.0
  for i in 0..k - 1 {
    y = y * x[i] + x[i] * x[i + 1]
  }
  return y
}
"""


@pytest.mark.parametrize("length", [20, 400])
def test_the_gradient_of_a_loop_touches_what_its_turns_read(length: int) -> None:
    """Were the cotangent of `x` added up as a whole in every turn, it would cost five times what the turn does."""
    _, prepared = opening.prepare(ModelFile(text=LOOP), Request(arrays={"x": np.ones(length)}))
    assert ratio(optimize(prepared.graph)) <= 4

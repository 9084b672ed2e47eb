"""Numbers as floats of Python: the bits of arrays without dims, whatever the number, and by which way it is run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradcli import api
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.backends.frame import Frame
from gradcli.backends.numbers import BY_MATH, BY_PYTHON
from gradcli.backends.scalars import CHUNK, OFTEN, Scalars, scalars
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.primitive import registry
from gradcli.passes.pipeline import optimize
from gradcli.plan import Plan, make_plan
from gradcli.request import ModelFile, Request
from tests.ir.graphs import build

NUMBERS = [0.0, -0.0, 0.3, -0.7, 1.0, -1.0, 2.5, 40.0, 1e-320, 1e300, -1e300, math.inf, -math.inf, math.nan]
OPERATORS = registry()
ELEMENTWISE = sorted(
    name
    for name, prim in OPERATORS.items()
    if prim.kind == "elementwise" and not prim.samples[0].params and name != "where"
)


def by_arrays(plan: Plan, inputs: list[Any]) -> list[Any]:
    results = [np.empty((), "?" if value.dtype == "bool" else "f8") for value in plan.graph.outputs]
    with np.errstate(all="ignore"):
        Frame(plan).run(inputs, results)
    return results


def by_numbers(program: Scalars, plan: Plan, inputs: list[Any]) -> list[Any]:
    results = [np.empty((), "?" if value.dtype == "bool" else "f8") for value in plan.graph.outputs]
    with np.errstate(all="ignore"):
        program.run(inputs, results)
    return results


def same_bits(found: list[Any], expected: list[Any], what: object) -> None:
    for one, other in zip(found, expected, strict=True):
        if other.dtype == "f8" and np.isnan(other):
            assert np.isnan(one), what
        else:
            assert one.tobytes() == other.tobytes(), (what, one, other)


def program_of(graph: Graph) -> tuple[Plan, Scalars]:
    plan = make_plan(graph)
    program = scalars(plan)
    assert program is not None
    return plan, program


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_bits_of_arrays(name: str) -> None:
    prim = OPERATORS[name]
    count = next(len(sample.operands) for sample in prim.samples)
    if name.startswith("logical"):
        graph = build(lambda *xs: apply(name, *(apply("greater", x, 0.0) for x in xs)), *["f64"] * count)
    else:
        graph = build(lambda *xs: apply(name, *xs), *["f64"] * count)
    plan, program = program_of(graph)
    rng = np.random.default_rng(0)
    tries = [rng.normal(scale=scale, size=count) for scale in (0.3, 1.0, 30.0) for _ in range(60)]
    tries += [np.array(pair[:count]) for x in NUMBERS for y in NUMBERS for pair in [(x, y, x)]]
    for numbers in tries:
        inputs = [np.array(number) for number in numbers]
        same_bits(by_numbers(program, plan, inputs), by_arrays(plan, inputs), (name, *numbers))
    assert program.left == [], "it has become a function on the way"


def test_every_rule_is_of_an_operator() -> None:
    assert set(BY_PYTHON) | BY_MATH <= set(OPERATORS)


def chain(length: int) -> Graph:
    def make(x: Value, y: Value) -> Value:
        for k in range(length):
            x = apply("sin", x) * (1.0 + 0.001 * k) + y
        return apply("where", apply("less", x, y), x, apply("sqrt", apply("abs", x)))

    return optimize(reverse(build(make, "f64", "f64"), [0, 1]))


def test_a_program_of_many_chunks_before_and_after_it_is_made_of_functions() -> None:
    plan, program = program_of(chain(CHUNK))
    assert len(program.parts) > 3
    inputs = [np.array(0.4), np.array(-0.1), np.array(1.0)][: len(plan.graph.inputs)]
    expected = by_arrays(plan, inputs)
    for run in range(OFTEN + 40):
        same_bits(by_numbers(program, plan, inputs), expected, run)
    assert program.left == []


def test_numbers_that_python_refuses_are_done_with_arrays_before_and_after() -> None:
    plan, program = program_of(build(lambda x, y: (apply("log", x) / y, apply("exp", y)), "f64", "f64"))
    for x, y in [(0.0, 1.0), (-1.0, 2.0), (2.0, 0.0), (2.0, 1e4), (2.0, 3.0)] * OFTEN:
        inputs = [np.array(x), np.array(y)]
        same_bits(by_numbers(program, plan, inputs), by_arrays(plan, inputs), (x, y))


def test_other_plans_are_none() -> None:
    assert scalars(make_plan(build(lambda x: apply("sin", x), "f64[3]"))) is None
    assert scalars(make_plan(build(lambda x: apply("sin", x), "f32"))) is None
    assert scalars(make_plan(build(lambda x: x, "f64"))) is None, "nothing is computed"
    builder = Builder()
    i = builder.input(Aval((), "i64"), "i")
    assert scalars(make_plan(builder.finish([apply("cast", i, dtype="f64")]))) is None


def test_a_model_of_numbers_runs_so_and_owns_its_results() -> None:
    text = "net main(x: f64, y: f64) -> f64 = log(x) + x * y - sin(y)\ninput x = 2.0\ninput y = 5.0\n"
    first, second = (
        {row.wrt: row.array for row in api.run(ModelFile(text=text, name="m.net"), Request(get_all=True)).grads}
        for _ in range(2)
    )
    assert first == {("x",): 5.5, ("y",): 2.0 - math.cos(5.0)}
    plan = make_plan(build(lambda x: apply("sin", x) * x, "f64"))
    one, other = backend.run(plan, [np.array(0.5)]), backend.run(plan, [np.array(0.7)])
    assert isinstance(plan.compiled["numpy:1"][0], Scalars)
    assert (float(one[0]), float(other[0])) == (math.sin(0.5) * 0.5, math.sin(0.7) * 0.7)
    assert second == first

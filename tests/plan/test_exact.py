"""Every plan computes what NumPy does, operator by operator (`spied.py` says how near), at any tile size and on any
number of threads: the operator walk, random programs and their gradients, all models.

`GRADCLI_EXHAUSTIVE=1` tries thousands of programs, all dtypes, and all cases of the models, those with long loops too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradcli import opening, testing
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.backends import routes
from gradcli.engine import Machine
from gradcli.gradcheck.held import calls_of
from gradcli.ir.graph import Graph, Value, apply
from gradcli.ops import elementwise
from gradcli.passes.pipeline import optimize
from gradcli.plan import Tiling, make_plan
from gradcli.plan.plan import Blocks
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import fail
from tests.ir.graphs import build
from tests.ops.samples import Case, graph_of, operands, walk
from tests.plan.drawn import arrays_for, programs
from tests.plan.spied import Array, frozen, same_bits, watched

EXHAUSTIVE = bool(os.environ.get("GRADCLI_EXHAUSTIVE"))
TILES = (1, 7, None)  # None: as the cost model has it
THREADS = (1, 2, 3, 8)
SEEDS = st.integers(0, 2**16)
CASES = 3  # of each model; and of these, those that make at most so many calls of operators:
CALLS = 400
LEFT = "left to the exhaustive run"
MODELS = sorted((Path(__file__).resolve().parents[2] / "models").rglob("*.net"))


def examples(count: int) -> Any:
    """So many by default. What is drawn is large, and thrown away where it does not fit."""
    return settings(
        max_examples=count * (50 if EXHAUSTIVE else 1),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# ── operator by operator ────────────────────────────────────────────────────────────────────────────────────


@examples(50)
@given(programs(), SEEDS, st.booleans())
def test_random_programs(graph: Graph, seed: int, special: bool) -> None:
    for rows in TILES:
        watched(graph, arrays_for(graph, seed, special), Tiling(rows=rows))


@examples(40)
@given(programs(most=9), SEEDS, st.booleans())
def test_gradients_of_random_programs(graph: Graph, seed: int, special: bool) -> None:
    gradient = optimize(reverse(graph, range(len(graph.inputs))))
    for rows in TILES:
        watched(gradient, arrays_for(graph, seed, special), Tiling(rows=rows))


@pytest.fixture(scope="module")
def routed() -> Any:
    """What is meant for large arrays is done with small ones, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "processor", lambda: "avx2")
        for name in ("LEAST", "FEW", "TABLE"):
            patch.setattr(routes, name, 1)
        patch.setattr(elementwise, "SHORT", 1)
        yield


@examples(40)
@given(programs(), SEEDS, st.booleans())
def test_random_programs_by_every_route(routed: None, graph: Graph, seed: int, special: bool) -> None:
    for rows in (7, None):
        watched(graph, arrays_for(graph, seed, special), Tiling(rows=rows))


@pytest.mark.parametrize("case", [*walk(), *walk(empty=True)])
def test_every_operator(case: Case) -> None:
    for dtype in ("f64", "f32", "f16") if EXHAUSTIVE else ("f32",):
        arrays = operands(case, dtype)
        for rows in TILES:
            watched(graph_of(case, arrays), arrays, Tiling(rows=rows))


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_models(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases of a model; of loops, that they give what their bodies give, node by node."""

    def run(graph: Graph, inputs: Sequence[Any], machine: Machine) -> list[Array]:
        graph = optimize(graph)
        if calls_of(graph) > CALLS and not EXHAUSTIVE:
            raise fail("USE001", LEFT)
        for rows in TILES if EXHAUSTIVE else (7,):
            results = watched(graph, inputs, Tiling(rows=rows))
        return results

    monkeypatch.setattr(testing, "run_graph", run)
    program = opening.open_program(ModelFile(model), Request())
    for case in program.scope.cases if EXHAUSTIVE else program.scope.cases[:CASES]:
        ran = testing.run_case(str(model), program, case, Machine())
        assert ran.status == "passed" or LEFT in ran.message, ran


# ── programs that are cut as they are ───────────────────────────────────────────────────────────────────────


def total(x: Value) -> Value:
    return apply("reduce_sum", x, axes=tuple(range(x.rank)))


def chain(x: Value) -> Value:
    return total(apply("sin", x) * apply("exp", -(x * x)) + apply("tanh", x))


def perceptron(x: Value, y: Value, w: Value, b: Value, v: Value) -> Value:
    scores = apply("matmul", apply("relu", apply("matmul", x, w) + b), v)
    top = apply("reshape", apply("reduce_max", scores, axes=(1,)), shape=(scores.shape[0], 1))
    logs = scores - top
    logs = logs - apply("reshape", apply("log", apply("reduce_sum", apply("exp", logs), axes=(1,))), shape=top.shape)
    return total(y * logs)


def normalised(x: Value) -> Value:
    """By statistics of all rows: one pass over them for each."""
    x, rows = apply("softplus", x), float(x.shape[0])  # type: ignore[arg-type]  # known
    centred = x - apply("reduce_sum", x, axes=(0,)) / rows
    return apply("sigmoid", centred / apply("sqrt", apply("reduce_sum", centred * centred, axes=(0,)) / rows + 1e-3))


def attention(x: Value, y: Value) -> Value:
    turned = apply("transpose", y, axes=(0, 2, 1))
    scores = apply("exp", apply("tanh", apply("matmul", x, turned)))
    sums = apply("reshape", apply("reduce_sum", scores, axes=(2,)), shape=(*scores.shape[:2], 1))
    return apply("matmul", scores / sums, y)


LARGE: dict[str, tuple[Callable[..., Any], Sequence[str]]] = {
    "chain f64": (chain, ["f64[100003]"]),
    "chain f32": (chain, ["f32[300, 401]"]),
    "perceptron": (perceptron, ["f32[515, 40]", "f32[515, 10]", "f32[40, 90]", "f32[90]", "f32[90, 10]"]),
    "normalised": (normalised, ["f64[6001, 7]"]),
    "attention": (attention, ["f32[200, 24, 8]", "f32[200, 24, 8]"]),
    "turned": (lambda x, y: apply("transpose", apply("cos", x), axes=(1, 0)) + apply("sin", y) * y,
               ["f64[200, 300]", "f64[300, 200]"]),
}  # fmt: skip


def large(name: str) -> Graph:
    make, avals = LARGE[name]
    graph = build(make, *avals)
    return optimize(reverse(graph, range(len(graph.inputs))))


@pytest.mark.parametrize("name", LARGE)
def test_large_programs(name: str) -> None:
    graph = large(name)
    assert any(isinstance(step, Blocks) and step.blocks > 1 for step in make_plan(graph).steps)
    for special in (False, True):
        watched(graph, arrays_for(graph, 0, special), Tiling())


# ── threads ─────────────────────────────────────────────────────────────────────────────────────────────────


def alike_on_any_number_of_threads(
    graph: Graph, arrays: Sequence[Array], others: Sequence[Array], rows: int | None
) -> None:
    """One plan gives the same bits whoever works, and whatever it computed before."""
    plan = make_plan(graph, Tiling(rows=rows))
    arrays, others = [frozen(x) for x in arrays], [frozen(x) for x in others]
    expected = backend.run(plan, arrays)
    for workers in THREADS:
        for _ in range(2):
            backend.run(plan, others, workers)
            for found, want in zip(backend.run(plan, arrays, workers), expected, strict=True):
                same_bits(found, want, f"{workers} threads")


@examples(40)
@given(programs(), SEEDS, st.sampled_from(TILES[:2]))
def test_random_programs_on_threads(graph: Graph, seed: int, rows: int) -> None:
    alike_on_any_number_of_threads(graph, arrays_for(graph, seed), arrays_for(graph, seed + 1, True), rows)


@pytest.mark.parametrize("name", LARGE)
def test_large_programs_on_threads(name: str) -> None:
    graph = large(name)
    alike_on_any_number_of_threads(graph, arrays_for(graph, 0), arrays_for(graph, 1, True), None)

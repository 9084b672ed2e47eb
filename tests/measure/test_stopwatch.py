"""A plan with clocks beside its calls runs as it does without: the same bits, on the same threads, in the same time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from gradcli.backends import numpy as backend
from gradcli.backends.routes import processor
from gradcli.backends.timed import END, GIVEN_UP, Stopwatch, Timed, clock_costs
from gradcli.engine import Machine, plan_of
from gradcli.ir.cost import node_flops
from gradcli.measure.bench import Work, first_call
from gradcli.measure.parts import Part, parts_of
from gradcli.measure.profile import label_of, profile
from gradcli.plan import Plan, Tiling, make_plan
from gradcli.plan.plan import Blocks, Call, Turns
from gradcli.request import ModelFile, Request
from tests.passes.test_slopes import HARD, scaled

CHAIN = "net main(x: f64[n]) = sum(sin(x) * exp(-x * x) + tanh(x) * cos(x))\n"
LAYER = """\
net main(x: f32[rows, 64], y: f32[rows]) -> f32 {
  param w: f32[64, 128] = he_uniform(seed=1)
  param v: f32[128] = he_uniform(seed=2)
  return mean(square(tanh(x @ w) @ v - y))
}
"""
LOOP = """\
net main(w: f64[6, 6], h0: f64[6], x: f64[40, 6]) -> f64 {
  h = h0
  for i in 0..40 { h = tanh(w @ h + x[i]) }
  return sum(h * h)
}
"""
WHILE = "net main(x: f64[3]) {\n  for i in 0..100 while sum(x) > 1 { x = sin(x) * 0.5 }\n  return sum(x)\n}\n"
RUNNING = "net main(a: f64, x: f64[50]) {\n  p = a\n  for i in 0..50 { p = p * x[i] }\n  return p\n}\n"
COUNTING = "net main(a: f64) {\n  x = a\n  for i in 0..50 { x = x + 0.01 * sin(x) / (x - 0.5) }\n  return x\n}\n"
NUMBERS = "net main(a: f64) = sin(a) * exp(a) / a\n"
LINEAR = "net main(x: f64[100], y: f64[100]) = sum(x * y)\n"
ROWS = {"chain": 200_003, "layer": 4_099}
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "chain": (CHAIN, {"x": np.linspace(-3, 3, ROWS["chain"])}),
    "layer": (LAYER, {"x": np.ones((ROWS["layer"], 64), "f4"), "y": np.ones(ROWS["layer"], "f4")}),
    "loop": (LOOP, {"w": np.eye(6) * 0.5, "h0": np.ones(6), "x": np.linspace(0, 1, 240).reshape(40, 6)}),
    "while": (WHILE, {"x": np.array([0.5, 1.0, 2.0])}),
    "running": (RUNNING, {"a": np.array(1.0), "x": np.linspace(0.9, 1.1, 50)}),
    "counting": (COUNTING, {"a": np.array(0.75)}),
    "counting, refused": (COUNTING, {"a": np.array(0.5)}),
    "numbers": (NUMBERS, {"a": np.array(0.75)}),
    "numbers, refused": (NUMBERS, {"a": np.array(0.0)}),
    "linear": (LINEAR, {"x": np.ones(100), "y": np.ones(100)}),
}


def called(name: str, workers: int = 1) -> tuple[Work, Plan, list[Any]]:
    """All derivatives of a model: the work, its plan, and the results of a plain run."""
    text, arrays = DATA[name]
    machine = Machine(threads=workers)
    wrt = "all" if name == "layer" else None
    work, _, plan, results = first_call(ModelFile(text=text, name="m.net"), Request(arrays=arrays, wrt=wrt), machine)
    assert isinstance(plan, Plan)
    return work, plan, results


def timed(name: str, workers: int = 1) -> tuple[Plan, list[Timed]]:
    work, plan, results = called(name, workers)
    watch = Stopwatch(plan, workers)
    for _ in range(20):  # the later ones as one function
        made, steps = watch.run(work.inputs)
        assert [array.tobytes() for array in made] == [array.tobytes() for array in results]
    return plan, steps


def steps_called(steps: list[Timed], prim: str) -> list[Timed]:
    return [step for step in steps if step.pieces and (node := step.pieces[0].node) and node.prim.name == prim]


# ── the plan that runs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("name", DATA)
def test_results_are_those_of_the_plain_run_to_the_bit(name: str, workers: int) -> None:
    _, steps = timed(name, workers)
    assert steps
    assert all(piece.seconds >= 0 and piece.calls >= 0 for step in steps for piece in step.pieces)


def test_steps_are_numbered_as_the_plan_is_shown() -> None:
    plan, steps = timed("layer")
    for step in steps:
        if step.name != END and not step.deeper:
            assert step.step is plan.steps[int(step.name)]
    for step in steps:
        if step.deeper and not step.name.endswith(END):
            outer, inner = map(int, step.name.split("."))
            blocks = plan.steps[outer]
            assert isinstance(blocks, Blocks)
            assert step.step is blocks.full.steps[inner]


@pytest.mark.parametrize("name", ["chain", "layer"])
@pytest.mark.parametrize("workers", [1, 2])
def test_each_node_of_a_block_is_called_once_a_block(name: str, workers: int) -> None:
    """The last, shorter one, too."""
    _, steps = timed(name, workers)
    blocks = [step.step for step in steps if isinstance(step.step, Blocks)]
    assert blocks
    assert any(step.rest is not None for step in blocks)
    inner = [step for step in steps if step.blocks is not None]
    assert inner
    for step in inner:
        assert step.blocks is not None
        assert step.calls == step.blocks.blocks
        assert [piece.calls for piece in step.pieces] == (
            [step.calls] if step.blocks.rest is None else [step.calls - 1, 1]
        )
    assert label_of(next(step for step in steps if step.step is blocks[0]), 2).endswith(" on 2 threads")


def test_a_rest_that_has_other_steps_has_rows_of_its_own() -> None:
    """A last block of one row: its broadcasts are none."""
    text = "net main(x: f64[7, 5], s: f64[7]) = sum(tanh(x * reshape(s, [7, 1])) @ ones([5, 1]))\n"
    arrays = {"x": np.linspace(0, 1, 35).reshape(7, 5), "s": np.ones(7)}
    work, _, plan, _ = first_call(ModelFile(text=text, name="m"), Request(arrays=arrays), Machine())
    cut = make_plan(plan.graph, Tiling(rows=3))
    plain = backend.run(cut, work.inputs)
    made, steps = Stopwatch(cut).run(work.inputs)
    assert [array.tobytes() for array in made] == [array.tobytes() for array in plain]
    for blocks in (step for step in cut.steps if isinstance(step, Blocks)):
        assert blocks.rest is not None
        rest = [
            piece
            for step in steps
            if step.blocks is blocks
            for piece in step.pieces
            if piece.graph is blocks.rest.graph
        ]
        assert sum(piece.calls == 1 for piece in rest) == len(rest) > 0


def test_a_cosine_that_comes_with_its_sine_is_a_copy() -> None:
    if processor() != "avx2":
        pytest.skip("no pairs here")
    _, steps = timed("chain")
    (sin,), (cos,) = steps_called(steps, "sin"), steps_called(steps, "cos")
    assert cos.seconds < sin.seconds / 2


# ── loops ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_lines_of_a_turn_are_called_once_a_turn() -> None:
    _, steps = timed("loop")
    loops = [step for step in steps if isinstance(step.step, Turns)]
    assert len(loops) == 2
    for loop in loops:
        assert (loop.calls, loop.runs) == (1, 1)
    inner = [step for step in steps if step.inside and isinstance(step.step, Call) and step.step.how != "view"]
    assert inner
    assert {step.calls for step in inner} == {40}
    assert {step.runs for step in inner} == {40}


def test_a_loop_that_may_end_early_is_timed_inside() -> None:
    """Of the body as many turns as were taken; the condition is asked once more."""
    _, steps = timed("while")
    x, turns = np.array([0.5, 1.0, 2.0]), 0
    while x.sum() > 1:
        x, turns = np.sin(x) * 0.5, turns + 1
    sines = [step for step in steps_called(steps, "sin") if step.inside]
    assert [step.calls for step in sines] == [turns]
    assert {step.calls for step in steps_called(steps, "greater")} == {turns + 1}


def test_a_loop_that_is_one_call_of_numpy() -> None:
    """It counts as its turns."""
    _, steps = timed("running")
    products = [step for step in steps_called(steps, "mul") if step.inside]
    assert products
    assert {step.calls for step in products} == {50}


@pytest.mark.parametrize("name", ["counting", "counting, refused"])
def test_a_loop_of_numbers_shares_its_time(name: str) -> None:
    """Where Python refuses one, it is done with arrays."""
    _, steps = timed(name)
    sines = [step for step in steps_called(steps, "sin") if step.inside]
    assert sines
    assert {step.calls for step in sines} == {50}
    assert all(step.seconds > 0 for step in sines)


@pytest.mark.parametrize("name", ["numbers", "numbers, refused"])
def test_a_plan_of_numbers_shares_its_time(name: str) -> None:
    plan, steps = timed(name)
    assert {step.calls for step in steps} == {1}
    assert {step.name for step in steps_called(steps, "exp")} == {
        str(k) for k, step in enumerate(plan.steps) if step.nodes[0].prim.name == "exp"
    }
    assert all(step.seconds > 0 for step in steps_called(steps, "exp"))


def test_what_runs_instead_is_what_is_told() -> None:
    graph = scaled((3,), "f64")
    given = [np.ones(value.shape) for value in graph.inputs]
    given[0][2], given[1][5, 2], given[2][5, 2], given[3][2] = HARD["underflow"]
    plan = plan_of(graph, Machine())
    assert isinstance(plan, Plan)
    assert plan.otherwise is not None
    watch = Stopwatch(plan)
    for _ in range(3):
        made, steps = watch.run(given)
        assert [array.tobytes() for array in made] == [array.tobytes() for array in backend.run(plan, given)]
        assert label_of(steps[0], 1) == GIVEN_UP
        assert steps[0].seconds > 0
        assert {id(step.step) for step in steps[1:] if not step.deeper} <= {*map(id, plan.otherwise.steps), id(None)}
    given[1][:], given[2][:] = 1, 1
    made, steps = watch.run(given)
    assert label_of(steps[0], 1) != GIVEN_UP


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────


def parts(name: str) -> tuple[Plan, list[Part]]:
    plan, steps = timed(name)
    return plan, parts_of(steps)


def test_flops_are_those_of_the_whole_arrays() -> None:
    plan, found = parts("layer")
    whole = sum(node_flops(node) for node in plan.graph.nodes if node.prim.name == "matmul")
    assert sum(part.flops for part in found if part.node is not None and part.node.prim.name == "matmul") == whole
    _, found = parts("loop")
    made = [part for part in found if part.node is not None and part.node.prim.name == "tanh"]
    assert [part.flops for part in made] == [40 * node_flops(part.node) for part in made if part.node is not None]


def test_what_stays_within_a_block_moves_no_memory() -> None:
    """Of the chain: x is read once, and its gradient written."""
    _, found = parts("chain")
    n = ROWS["chain"]
    assert sum(part.bytes for part in found) == 2 * 8 * n
    assert sum(part.bytes > 0 for part in found) == 4  # each of two blocks, the last one smaller


def test_what_all_blocks_read_or_add_up_moves_once() -> None:
    """Of the layer: x and y, w and v; and their gradients, which each lane has."""
    _, found = parts("layer")
    rows, weights = ROWS["layer"] * (64 + 1) * 4, (64 * 128 + 128) * 4
    assert rows + 2 * weights <= sum(part.bytes for part in found) <= 2.2 * (rows + 2 * weights)


def test_a_result_that_is_an_input_is_copied() -> None:
    _, steps = timed("linear")
    copies = [step for step in steps if step.name == END]
    assert copies
    assert {label_of(step, 1) for step in copies} == {"copy f64[100]"}
    assert [part.bytes for part in parts_of(copies)] == [1_600] * len(copies)


# ── times ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_takes_less_than_some_microseconds() -> None:
    tick, beside = clock_costs()
    assert 0 <= tick < 20e-6
    assert 0 <= beside < 20e-6


def often_enough(holds: Callable[[], bool], times: int = 8) -> bool:
    """A machine that others use, too, gives a good measurement once in a while."""
    return any(holds() for _ in range(times))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["chain", "layer"])
def test_the_steps_take_together_what_a_plain_run_takes(name: str, workers: int) -> None:
    work, plan, _ = called(name, workers)
    watch = Stopwatch(plan, workers)
    watch.run(work.inputs)

    def near() -> bool:
        plain, stepwise = [], []
        for _ in range(9):
            begun = perf_counter()
            backend.run(plan, work.inputs, workers)
            plain.append(perf_counter() - begun)
            stepwise.append(sum(step.seconds for step in watch.run(work.inputs)[1]))
        return abs(float(np.median(stepwise)) / float(np.median(plain)) - 1) < 0.15

    assert often_enough(near)


def test_a_line_that_takes_long_is_the_one_that_is_named() -> None:
    """Held against runs without it."""
    slow, fast = "  b = tanh(sin(x) * 1.5)\n", "  b = x\n"
    text = f"net main(x: f64[300_000]) -> f64 {{\n  a = x * 0.5\n{slow}  return sum(a * b)\n}}\n"
    arrays = {"x": np.linspace(0, 1, 300_000)}

    def took(text: str) -> float:
        work, _, plan, _ = first_call(ModelFile(text=text, name="m"), Request(arrays=arrays), Machine(threads=1))
        runs = []
        for _ in range(7):
            begun = perf_counter()
            backend.run(plan, work.inputs)
            runs.append(perf_counter() - begun)
        return float(np.median(runs))

    def agrees() -> bool:
        saved = 1 - took(text.replace(slow, fast)) / took(text)
        found = profile(ModelFile(text=text, name="m"), Request(arrays=arrays, threads=1), rounds=5)
        share = {line.line: line.figures.total / found.stepwise for line in found.lines}
        return max(share, key=lambda line: share[line]) == 3 and abs(share[3] - saved) < 0.15

    assert often_enough(agrees)

"""Backward loops by slopes: what becomes one product in each turn, what does not, and what becomes of overflow."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from gradcli import api, opening
from gradcli.ad.fission import split_loops
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.engine import Machine, plan_of
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from gradcli.passes.pipeline import optimize
from gradcli.passes.rows import by_rows
from gradcli.passes.slopes import with_slopes
from gradcli.plan.plan import Blocks, Plan
from gradcli.request import ModelFile, Request
from tests.ir.graphs import naive

# The body of a loop of 12 turns over h and k, f64[3], with w: f64[3] and x: f64[12, 3], and what is left of the
# backward loop.
BODIES = {
    "a map": ("h = w * sin(h)", ["mul"]),
    "a step": ("h = h + 0.1 * w * sin(h)", ["add", "mul"]),
    "several ways": ("h = h + 0.1 * (tanh(w * h) - h * h * w)", ["add", "mul"]),
    "by slices": ("h = (h - x[i] * h) / (1.5 + x[i]) + sin(h * x[i])", ["mul"]),
    "a choice": ("h = where(h > 0.3, h * w, sin(h) * 0.9)", ["mul"]),
    "with something on the way": ("h = tanh(h * w); k = k + h * h", ["add", "mul"]),
    "two that need each other": ("h = h + 0.1 * k * w; k = k - 0.1 * sin(h) * w", ["add"] * 3 + ["mul"] * 3),
    "one after the other": ("h = sin(h * w); k = tanh(k * w) * 0.5", ["mul", "mul"]),
    "one that is passed on": ("t = k; k = h + 0.1 * sin(k * w); h = t", ["add", "mul"]),
    "a product of matrices": ("h = tanh(outer(w, w) @ h + k)", None),
    "a sum over all": ("h = h * w + sum(h) / 9", None),
    "a maximum": ("h = maximum(h * w, 0.1) * x[i]", ["mul"]),
}  # fmt: skip


def program(body: str) -> tuple[Graph, list[Any]]:
    text = (
        "net main(w: f64[3], x: f64[12, 3]) -> f64 {\n  h = w * 0.5\n  k = w * w\n"
        f"  for i in 0..12 {{ {body} }}\n  return sum(h * h) + sum(k)\n}}\n"
    )
    arrays = {"w": np.array([0.4, 0.9, -0.7]), "x": np.linspace(-0.5, 1.0, 36).reshape(12, 3)}
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays=arrays))
    return prepared.graph, list(arrays.values())


def always(turns: int, rows: object, carried: int) -> bool:
    return True


def last_loop(graph: Graph) -> list[str]:
    """The operators of the loop that comes last."""
    body = [node for node in graph.nodes if node.prim.name == "scan"][-1].params["body"]
    return sorted(node.prim.name for node in body.nodes if not node.prim.view and node.prim.name != "constant")


@pytest.mark.parametrize("name", BODIES)
def test_the_same_gradients(name: str) -> None:
    body, left = BODIES[name]
    graph, arrays = program(body)
    graph = optimize(by_rows(optimize(reverse(graph, [0, 1]))))
    made = with_slopes(graph, always)
    verify(made)
    split = optimize(split_loops(optimize(made), always))
    for each in (made, split):
        for found, want in zip(naive(each, arrays), naive(graph, arrays), strict=True):
            np.testing.assert_allclose(found, want, rtol=1e-13, atol=1e-15)
    if left is None:
        assert made is graph
    else:
        assert last_loop(split) == left


@pytest.mark.parametrize("name", ["a map", "several ways", "two that need each other"])
def test_the_same_products_with_a_hessian(name: str) -> None:
    graph, arrays = program(BODIES[name][0])
    graph = optimize(forward(reverse(graph, [0]), [0]))
    arrays = [*arrays, np.array([1.0, -0.5, 0.25])]
    for found, want in zip(naive(with_slopes(graph, always), arrays), naive(graph, arrays), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-15)


def test_what_saves_nothing_stays() -> None:
    for body in ("h = h * w", "h = h * w + x[i]"):
        graph = optimize(reverse(program(body)[0], [1]))
        assert with_slopes(graph, always) is graph
    graph = optimize(reverse(program("h = h + 0.1 * w * sin(h)")[0], [0]))
    assert with_slopes(graph, lambda turns, rows, carried: False) is graph


def test_the_model_itself_is_computed_as_it_says() -> None:
    """`(h - x) * w` where h is nearly x is exact; `h * w - x * w` is not."""
    graph = optimize(program("h = (h - x[i]) * w * 0.5 + x[i]")[0])
    assert with_slopes(graph, always) is graph


def test_spans_and_roles_are_kept() -> None:
    graph = with_slopes(optimize(reverse(program(BODIES["several ways"][0])[0], [0])), always)
    body = [node for node in graph.nodes if node.prim.name == "scan"][-1].params["body"]
    assert all(node.spans for node in body.nodes if node.prim.name in ("mul", "add"))
    slope = body.outputs[0].node
    assert slope.prim.name == "add"
    assert all(value.node is None or value.node.role.kind == "adjoint" for value in slope.inputs)
    assert slope.role.kind == "adjoint"


# ── where they overflow or underflow ────────────────────────────────────────────────────────────────────────

# h0, what all of a and all of b are at one turn (1 at others), and the cotangent that the loop begins with.
HARD = {
    "underflow": (1e300, 1e-200, 1e-200, 1e250),
    "a subnormal slope": (1e300, 1e-160, 1.7e-155, 1e250),
    "overflow": (1e-300, 1e200, 1e200, 1e-250),
    "underflow of f32": (1e30, 1e-25, 1e-25, 1e25),
    "overflow of f32": (1e-30, 1e25, 1e25, 1e-25),
}


def scaled(shape: tuple[int, ...], dtype: str, turns: int = 12, more: str = "") -> Graph:
    """The gradients of a loop h ← h · a_i · b_i by h0: their slopes are a_i · b_i."""
    size = ", ".join(map(str, shape))
    text = (
        f"net main(h0: {dtype}[{size}], a: {dtype}[{turns}, {size}], b: {dtype}[{turns}, {size}], ct: {dtype}[{size}]) "
        f"-> {dtype} {{\n  h = h0\n  for i in 0..{turns} {{ h = h * a[i] * b[i]{more} }}\n  return sum(h * ct)\n}}\n"
    )
    data = {"h0": shape, "a": (turns, *shape), "b": (turns, *shape), "ct": shape}
    arrays = {name: np.ones(shape, NUMPY_NAMES[dtype]) for name, shape in data.items()}
    return optimize(reverse(opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays=arrays))[1].graph, [0]))


def hold(graph: Graph, given: list[Any], workers: int = 1, rtol: float = 1e-13) -> tuple[Plan, bool]:
    """The plan, and whether it ran to its end; else the other one did."""
    plan = plan_of(graph, Machine(threads=workers))
    assert isinstance(plan, Plan)
    assert plan.otherwise is not None
    for _ in range(2):
        for found, exact in zip(backend.run(plan, given, workers), naive(graph, given), strict=True):
            np.testing.assert_allclose(found, exact, rtol=rtol)
    return plan, bool(plan.compiled[f"numpy:{workers}"])


@pytest.mark.parametrize("name", HARD)
def test_slopes_that_no_number_holds(name: str) -> None:
    dtype = "f32" if "f32" in name else "f64"
    begin, a, b, ct = HARD[name]
    graph, rtol = scaled((3,), dtype), 1e-5 if dtype == "f32" else 1e-13
    given = [np.ones(value.shape, NUMPY_NAMES[dtype]) for value in graph.inputs]
    given[0][2], given[1][5, 2], given[2][5, 2], given[3][2] = begin, a, b, ct
    want = naive(graph, given)
    assert all(np.isfinite(array).all() and array.all() for array in want)
    with np.errstate(all="ignore"):
        slopes = naive(optimize(with_slopes(graph, always)), given)[1]
    assert abs(slopes[2] / want[1][2] - 1) > 1e-10, "it takes care"
    assert not hold(graph, given, rtol=rtol)[1]
    given[1][5, 2] = 1 / given[2][5, 2]
    assert hold(graph, given, rtol=rtol)[1]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("place", [(0, 0), (40, 3000), (63, 4095)])
def test_slopes_that_several_threads_make(workers: int, place: tuple[int, int]) -> None:
    graph = scaled((4096,), "f64", 64, " * cos(a[i] - 1) * cos(b[i] - 1)")
    given = [np.ones(4096), np.ones((64, 4096)), np.ones((64, 4096)), np.ones(4096)]
    plan, whole = hold(graph, given, workers)
    assert whole
    assert any(isinstance(step, Blocks) and len(step.lanes) > 1 and step.full.watched for step in plan.steps)
    begin, a, b, ct = HARD["underflow"]
    given[0][place[1]], given[1][place], given[2][place], given[3][place[1]] = begin, a, b, ct
    assert not hold(graph, given, workers)[1]


def test_one_plan_at_a_time_has_memory() -> None:
    graph = scaled((512,), "f64", 256, " * cos(a[i] - 1) * cos(b[i] - 1)")
    given = [np.ones(512), np.full((256, 512), 1e-200), np.full((256, 512), 1e-200), np.ones(512)]
    plan, whole = hold(graph, given)
    assert not whole
    assert plan.otherwise is not None
    plan.otherwise.compiled.clear()
    tracemalloc.start()
    backend.run(plan, given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * max(plan.peak, plan.otherwise.peak)


def test_constants_that_underflow_together() -> None:
    """Their product is a slope, which must not be folded to 0."""
    text = (
        "net main(h0: f64[3], ct: f64) -> f64 {\n  h = h0\n"
        "  for i in 0..12 { h = where(i < 1, h * 1e-200 * 1e-200, h) }\n  return sum(h * ct)\n}\n"
    )
    arrays = {"h0": np.full(3, 1e300), "ct": np.array(1e300)}
    graph = optimize(reverse(opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays=arrays))[1].graph, [0]))
    assert not hold(graph, list(arrays.values()))[1]


def test_cotangents_may_fade_away() -> None:
    """They underflow in the loop, as they do without slopes: that is no reason to run it twice."""
    graph = scaled((3,), "f64")
    given = [np.ones(3), np.full((12, 3), 1e-30), np.ones((12, 3)), np.ones(3)]
    assert hold(graph, given)[1]


def test_what_else_a_block_makes_may_underflow() -> None:
    """The sine of a small number squares it on its way."""
    text = (
        "net main(h: f64[4096], w: f64[4096]) -> f64 {\n  for i in 0..200 { h = h + 0.1 * w * sin(h) }\n"
        "  return sum(h * h)\n}\n"
    )
    arrays = {"h": np.linspace(0.1, 0.8, 4096), "w": np.full(4096, -9.0)}
    graph = optimize(reverse(opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays=arrays))[1].graph, [0]))
    plan, whole = hold(graph, list(arrays.values()), rtol=1e-11)
    assert whole
    assert any(isinstance(step, Blocks) and step.full.watched for step in plan.steps)


@pytest.mark.parametrize("ct", [np.inf, np.nan])
def test_cotangents_that_are_not_finite(ct: float) -> None:
    """Nothing flows where a choice goes the other way, whatever the cotangent; 0 times that is nan."""
    graph, arrays = program("h = where(x[i] > 0.2, h * w * x[i], sin(w) + 0.1) * x[i]")
    graph = optimize(reverse(graph, [0]))
    arrays[0][1] = ct
    hold(graph, arrays)


def test_a_slope_that_overflows_beneath_a_cotangent_of_zero() -> None:
    graph = scaled((3,), "f64")
    given = [np.zeros(3), np.full((12, 3), 1e200), np.full((12, 3), 1e200), np.zeros(3)]
    assert np.isfinite(naive(graph, given)[1]).all()
    assert not hold(graph, given)[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_anyway_is_the_same(bad: float) -> None:
    graph, arrays = program("h = h + 0.1 * w * sin(h) * x[i]")
    arrays[1][5, 1] = bad
    assert not hold(optimize(reverse(graph, [0, 1])), arrays)[1]


def test_a_plan_without_slopes_has_no_other() -> None:
    graph, _ = program("h = tanh(outer(w, w) @ h + k)")
    plan = plan_of(optimize(reverse(graph, [0])), Machine())
    assert plan.otherwise is None
    assert not plan.watched


def test_a_carry_that_no_turn_changes_has_no_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "net main(w: f64[3]) -> f64 {\n  h = w\n  for i in 0..9 { h = h * h * w }\n  return sum(h)\n}\n"
    request = Request(order=3, arrays={"w": np.array([0.5, 1.0, 1.5])})
    got = api.run(ModelFile(text=text, name="m.net"), request).grads[0].array
    monkeypatch.setattr("gradcli.rolled.with_slopes", lambda graph, worth: graph)
    want = api.run(ModelFile(text=text, name="m.net"), request).grads[0].array
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_small_steps_of_f32_lose_nothing() -> None:
    """1 + s would lose the same digits of s in each of 10,000 turns."""
    text = "net main(x: f32[100]) -> f32 {\n  for i in 0..10000 { x = x + 0.0001 * tanh(x) }\n  return sum(x)\n}\n"
    x = np.linspace(0.01, 1.0, 100)

    def gradient(dtype: str) -> Any:
        file = ModelFile(text=text.replace("f32", dtype), name="m.net")
        _, prepared = opening.prepare(file, Request(arrays={"x": x.astype(NUMPY_NAMES[dtype])}))
        graph = optimize(reverse(prepared.graph, [0]))
        planned = backend.run(plan_of(graph, Machine()), [x.astype(NUMPY_NAMES[dtype])])[-1]
        return planned, naive(graph, [x.astype(NUMPY_NAMES[dtype])])[-1]

    (exact, _), (found, plain) = gradient("f64"), gradient("f32")
    errors = [float(np.max(np.abs(each / exact - 1))) for each in (found, plain)]
    assert errors[0] <= max(2 * errors[1], 1e-6), errors

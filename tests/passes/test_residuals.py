"""Loops keep what their adjoints would compute again at great cost: the same numbers, and nothing computed twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcli import opening
from gradcli.ad.reverse import reverse
from gradcli.engine import Machine, plan_of
from gradcli.ir.graph import Builder, Graph, Node, apply
from gradcli.ir.region import regions
from gradcli.ir.verify import verify
from gradcli.passes.checkpoints import checkpoint_loops
from gradcli.passes.pipeline import optimize
from gradcli.passes.residuals import keep_costly
from gradcli.plan.costs import KEPT, worth_keeping
from gradcli.request import ModelFile, Request
from tests.ir.graphs import naive

BODIES = {
    "a tanh": "for i in 0..9 { h = h + x * tanh(h * x) }",
    "a product": "w = outer(x, x) / 4\n  for i in 0..9 { h = tanh(w @ h) + x }",
    "its square": "for i in 0..9 { t = exp(-h); h = h + t * t * x }",
    "sigmoid, whose slope is another sigmoid": "for i in 0..9 { h = sigmoid(h * x) + x }",
    "with a condition": "for i in 0..40 while sum(h) < 9 { h = h + exp(-h) * x + 0.1 }",
    "within a loop": "for i in 0..30 { for j in 0..40 { h = sin(h) + x * cos(h) }; h = h * x }",
    "two loops of one body": "for i in 0..9 { h = sin(h) * x + h }\n  for i in 0..9 { h = sin(h) * x + h }",
    "what is also carried": "t = x\n  for i in 0..9 { t = tanh(h * t); h = h + t }",
}


def always(turns: int, kept: int, carried: int) -> bool:
    return True


def gradient(body: str, order: int = 1) -> tuple[Graph, list[Any]]:
    text = f"net main(x: f64[n]) {{\n  h = x * 0.5\n  {body}\n  return sum(h * h)\n}}\n"
    x = np.linspace(0.1, 0.9, 5)
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), Request(arrays={"x": x}))
    graph = prepared.graph
    for _ in range(order):
        if graph.outputs[0].rank:
            builder = Builder()
            made = builder.inline(graph, [builder.input(value.aval, value.hint) for value in graph.inputs])
            graph = builder.finish([apply("reduce_sum", made[0], axes=(0,))])
        graph = reverse(graph, [0])
        graph = Graph(graph.inputs, graph.nodes, graph.outputs[-1:], graph.n_values, graph.names)
    return optimize(graph, verify=True), [x]


def calls(graph: Graph) -> list[str]:
    """The operators of all loops, one within another."""
    found = [graph]
    for part in found:
        found += [inner for node in part.nodes for inner in regions(node).values()]
    return [node.prim.name for part in found[1:] for node in part.nodes]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("order", [1, 2])
def test_the_same_derivatives(name: str, order: int) -> None:
    graph, arrays = gradient(BODIES[name], order)
    kept = keep_costly(graph, always)
    verify(kept)
    for program in (kept, optimize(kept, verify=True)):
        np.testing.assert_array_equal(naive(program, arrays)[0], naive(graph, arrays)[0])


@pytest.mark.parametrize(
    ("name", "prim", "times"),
    [("a tanh", "tanh", 1), ("its square", "exp", 1), ("with a condition", "exp", 1), ("within a loop", "cos", 2),
     ("a product", "tanh", 1), ("sigmoid, whose slope is another sigmoid", "sigmoid", 2)],
)  # fmt: skip
def test_it_is_computed_once(name: str, prim: str, times: int) -> None:
    graph, _ = gradient(BODIES[name])
    before, after = calls(graph), calls(optimize(keep_costly(graph, always)))
    assert after.count(prim) == times
    assert before.count(prim) > times or name.startswith("sigmoid"), "its slope is another in both"


def test_a_product_is_not_multiplied_again() -> None:
    graph, _ = gradient(BODIES["a product"])
    assert calls(graph).count("matmul") == calls(optimize(keep_costly(graph, always))).count("matmul") + 1


def test_two_loops_of_one_body_read_each_its_own() -> None:
    """Their adjoints are one graph, too, of which each loop stacks what it made itself."""
    graph, arrays = gradient(BODIES["two loops of one body"])
    kept = keep_costly(graph, always)
    scans = [node for node in kept.nodes if node.prim.name == "scan"]
    loops, adjoints = scans[:2], scans[2:]
    assert [_stacks(node) for node in loops] == [1, 1]
    assert {loops[k].outs[-1] in adjoints[1 - k].inputs for k in (0, 1)} == {True}
    np.testing.assert_array_equal(naive(kept, arrays)[0], naive(graph, arrays)[0])


def _stacks(node: Node) -> int:
    return len(node.outs) - 2 * int(node.params["carry"])


def test_chunks_of_a_loop_keep_it_too() -> None:
    graph, arrays = gradient("for i in 0..64 { h = h + x * tanh(h * x) }")
    cut = optimize(checkpoint_loops(graph, 2))
    kept = optimize(keep_costly(cut, always), verify=True)
    assert calls(kept).count("tanh") == calls(cut).count("tanh") - 1 == 2, "once forwards, once for the chunk again"
    np.testing.assert_array_equal(naive(kept, arrays)[0], naive(graph, arrays)[0])


def test_what_is_cheap_is_made_again() -> None:
    graph, _ = gradient("for i in 0..9 { h = h * h * x + x }")
    assert keep_costly(graph, always) is graph


def test_what_takes_much_memory_is_made_again() -> None:
    graph, _ = gradient(BODIES["a tanh"])
    assert keep_costly(graph, lambda turns, kept, carried: turns * kept < 9 * 40) is graph
    assert keep_costly(graph, lambda turns, kept, carried: (turns, kept, carried) == (9, 40, 40)) is not graph
    assert worth_keeping(1000, KEPT // 1000, 0)
    assert worth_keeping(1000, KEPT, KEPT)
    assert not worth_keeping(1000, KEPT, KEPT // 4)


@pytest.mark.parametrize("memory", [None, 300_000])
def test_a_limit_of_memory_is_kept(memory: int | None) -> None:
    """Where what is kept would not fit, it is made again."""
    graph, _ = gradient("for i in 0..4000 { h = h + 0.001 * x * tanh(h * x) }")
    plan = plan_of(graph, Machine(memory=memory))
    assert memory is None or plan.peak + plan.input_bytes <= memory

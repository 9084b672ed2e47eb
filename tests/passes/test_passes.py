"""Every pass keeps the values of random graphs; the verifier names a pass that breaks one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcli.ad.reverse import reverse
from gradcli.ir.constants import pack
from gradcli.ir.graph import Graph, Value, apply
from gradcli.ir.primitive import primitive
from gradcli.ir.verify import BrokenGraph, verify
from gradcli.passes import pipeline
from gradcli.passes.dce import dce
from gradcli.passes.fold import fold
from gradcli.passes.pipeline import FAST_PASSES, PASSES, optimize
from gradcli.record import replace
from gradcli.syntax.diagnostics import Source, Span
from tests.ir.graphs import arrays_for, build, graphs, naive, same

SPECIAL = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-310])
EACH = sorted({step.__name__: step for step in PASSES}.items())


def close(graph: Graph, made: Graph, seed: int) -> None:
    arrays = arrays_for(graph, seed)
    for old, new in zip(naive(graph, arrays), naive(made, arrays), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-11, atol=1e-11 * (1 + np.abs(old).max(initial=0)))


@pytest.mark.parametrize("step", [step for _, step in EACH], ids=[name for name, _ in EACH])
@settings(max_examples=60)
@given(graph=graphs(), seed=st.integers(0, 2**16))
def test_a_pass_keeps_values_and_gradients(step: pipeline.Pass, graph: Graph, seed: int) -> None:
    for each in (graph, reverse(graph, range(len(graph.inputs)))):
        made = step(each)
        verify(made)
        assert [value.aval for value in made.outputs] == [value.aval for value in each.outputs]
        assert made.names == each.names
        close(each, made, seed)


@settings(max_examples=150)
@given(graph=graphs(smooth=False, most=10), seed=st.integers(0, 2**16))
def test_arithmetic_is_kept_to_the_bit_on_special_numbers(graph: Graph, seed: int) -> None:
    """But for sums, whose order may change, so that here they stand for themselves only."""
    kept = replace(graph, outputs=tuple(v for v in graph.outputs if not _sums(graph, v.id))) if graph.outputs else graph
    rng = np.random.default_rng(seed)
    arrays = [rng.choice(SPECIAL, [int(n) for n in value.shape]) for value in graph.inputs]
    made = optimize(kept, verify=True)
    for old, new in zip(naive(kept, arrays), naive(made, arrays), strict=True):
        assert same(old, new)


def _sums(graph: Graph, output: int) -> bool:
    """Whether it depends on a sum of a sum."""
    needed = {output}
    for node in reversed(graph.nodes):
        if any(out.id in needed for out in node.outs):
            needed.update(value.id for value in node.inputs)
            inner = node.inputs[0].node if node.inputs else None
            if node.prim.name == "reduce_sum" and inner is not None and inner.prim.name == "reduce_sum":
                return True
    return False


@settings(max_examples=80)
@given(graphs(), st.integers(0, 2**16))
def test_optimize_keeps_values_and_is_verified_after_every_pass(graph: Graph, seed: int) -> None:
    close(graph, optimize(graph, verify=True), seed)


@settings(max_examples=60)
@given(graphs(), st.integers(0, 2**16))
def test_optimize_never_adds_nodes_that_cost(graph: Graph, seed: int) -> None:
    from gradcli.ir.cost import cost

    signs = len(graph)  # `-(x * c)` becomes `x * -c`, which reads one number more where `x * c` is needed, too
    assert cost(optimize(graph)) <= cost(dce(graph)) + signs


@settings(max_examples=60)
@given(graphs(), st.integers(0, 2**16))
def test_fast_math_keeps_the_values_of_tame_graphs(graph: Graph, seed: int) -> None:
    made = optimize(graph, fast_math=True, verify=True)
    arrays = arrays_for(graph, seed)
    for old, new in zip(naive(graph, arrays), naive(made, arrays), strict=True):
        assert new.shape == old.shape
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9 * (1 + np.abs(old).max(initial=0)))


def test_the_verifier_names_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_a_node(graph: Graph) -> Graph:
        return replace(graph, nodes=graph.nodes[1:])

    monkeypatch.setattr(pipeline, "PASSES", (dce, lose_a_node))
    graph = build(lambda x: apply("sin", apply("cos", x)), "f64")
    with pytest.raises(BrokenGraph, match=r"after lose_a_node: node 0, sin: .* used before it is made"):
        optimize(graph, verify=True)


def test_every_pass_is_one_sentence() -> None:
    for step in {*PASSES, *FAST_PASSES}:
        assert step.__doc__
        assert step.__doc__.strip().count(".") == 1


# ── dce ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dce_drops_what_nobody_reads_and_keeps_inputs() -> None:
    def make(x: Value, y: Value) -> Value:
        apply("sin", apply("cos", y))
        return x * x

    made = dce(build(make, "f64", "f64"))
    assert [node.prim.name for node in made.nodes] == ["mul"]
    assert len(made.inputs) == 2


# ── fold ────────────────────────────────────────────────────────────────────────────────────────────────────


def folded(make, *avals: str) -> list[str]:  # type: ignore[no-untyped-def]
    graph = build(make, *avals)
    made = dce(fold(graph))
    verify(made)
    arrays = arrays_for(graph)
    for old, new in zip(naive(graph, arrays), naive(made, arrays), strict=True):
        assert same(old, new)
    return [node.prim.name for node in made.nodes]


def row(x: Value, *numbers: float) -> Value:
    return x.builder.constant("f64", (len(numbers),), pack(numbers, "f64"))


def test_constants_are_evaluated() -> None:
    assert folded(lambda x: x + apply("sin", row(x, 1.0, 2.0)) * row(x, 3.0, 4.0), "f64[2]") == ["constant", "add"]
    assert folded(lambda x: apply("reduce_sum", row(x, 1.0, 2.0), axes=(0,)), "f64") == ["constant"]


def test_a_number_that_is_broadcast_stays_a_view() -> None:
    def make(x: Value) -> Value:
        ones = apply("broadcast_to", x.builder.scalar(1.0, "f64"), shape=(1000, 1000))
        return apply("reduce_sum", apply("sin", ones * 2.0), axes=(0, 1)) + x

    assert folded(make, "f64") == ["constant", "broadcast_to", "reduce_sum", "add"]


def test_large_results_are_left_to_the_run() -> None:
    def make(x: Value) -> Value:
        return x.builder.emit(primitive("iota"), (), {"size": 100_000, "dtype": "f64"})[0] + x

    assert folded(make, "f64") == ["iota", "add"]


def test_data_that_is_refused_is_left_for_the_run_to_say() -> None:
    def make(x: Value) -> Value:
        idx = x.builder.constant("i64", (1,), pack([7], "i64"))
        return apply("gather", row(x, 1.0, 2.0), idx, axes=(0,)) + x

    graph = build(make, "f64")
    assert "gather" in [node.prim.name for node in fold(graph).nodes]


def test_spans_and_names_survive() -> None:
    source = Source("model.net", "net f(x) = sin(x) * 1\n")

    def make(x: Value) -> Value:
        with x.builder.at(Span(source, 11, 21)):
            h = apply("sin", x)
            h.hint = "h"
            return h * 1.0

    (node,) = optimize(build(make, "f64")).nodes
    assert node.spans == (Span(source, 11, 21),)
    assert node.outs[0].hint == "h"

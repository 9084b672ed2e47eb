"""Transformations of random graphs: against compositions of evaluations, against each other, and as optimised plans."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from
from gradcli.ir.verify import verify
from gradcli.passes.pipeline import optimize
from gradcli.plan import make_plan
from tests.ad.combining import TRANSFORMATIONS, Point, Transformation, agree, dual
from tests.ir.graphs import arrays_for, graphs, naive

SMALL = graphs(most=8)
ANY = st.sampled_from(TRANSFORMATIONS)
SEEDS = st.integers(0, 2**16)


def at(graph: Graph, seed: int) -> Point:
    return Point(graph, arrays_for(graph, seed))


@settings(max_examples=150, deadline=None)
@given(SMALL, ANY, ANY, SEEDS)
def test_pairs(graph: Graph, first: Transformation, second: Transformation, seed: int) -> None:
    point = at(graph, seed)
    inner = first.make(point)
    first.hold(point, inner)
    assume(inner.smooth)
    outer = second.make(inner)
    second.hold(inner, outer)


@settings(max_examples=80, deadline=None)
@given(SMALL, ANY, SEEDS)
def test_both_modes_are_dual(graph: Graph, each: Transformation, seed: int) -> None:
    inner = each.make(at(graph, seed))
    dual(inner.graph, inner.arrays, seed)


@settings(max_examples=60, deadline=None)
@given(SMALL, SEEDS)
def test_forward_over_reverse_is_reverse_over_forward(graph: Graph, seed: int) -> None:
    """H v, as the tangents of the gradient and as the gradient of the tangents; and by two reverse passes."""
    wrt, n = range(len(graph.inputs)), len(graph.outputs)
    arrays, ways = arrays_for(graph, seed), arrays_for(graph, seed + 1)
    gradient, tangents = outputs_from(reverse(graph, wrt), n), outputs_from(forward(graph, wrt), n)
    one = naive(outputs_from(forward(gradient, wrt), len(wrt)), [*arrays, *ways])
    other = naive(outputs_from(reverse(tangents, wrt), len(tangents.outputs)), [*arrays, *ways])
    twice = naive(outputs_from(reverse(gradient, wrt, sens="inputs"), len(wrt)), [*arrays, *ways])
    scale = 1.0 + max(float(abs(a).max(initial=0.0)) for a in one)
    for a, b, c in zip(one, other, twice, strict=True):
        assert_allclose(b, a, rtol=1e-10, atol=1e-11 * scale)
        assert_allclose(c, a, rtol=1e-10, atol=1e-11 * scale)


@settings(max_examples=120, deadline=None)
@given(SMALL, ANY, ANY, SEEDS)
def test_optimised_plans(graph: Graph, first: Transformation, second: Transformation, seed: int) -> None:
    """The plan of the optimised graph, run twice, against one node after the other."""
    inner = first.make(at(graph, seed))
    made = second.make(inner)
    verify(made.graph)
    wanted = naive(made.graph, made.arrays)
    plan = make_plan(optimize(made.graph, verify=True))
    scale = max([1.0, *(float(abs(a).max(initial=0.0)) for a in wanted)])
    for _ in range(2):
        for found, exact in zip(backend.run(plan, made.arrays), wanted, strict=True):
            assert_allclose(found, exact, rtol=1e-9, atol=1e-11 * scale)


@settings(max_examples=60, deadline=None)
@given(SMALL, ANY, SEEDS)
def test_a_checkpoint_changes_nothing(graph: Graph, each: Transformation, seed: int) -> None:
    """The transformation of the part that is computed again, and of the part itself."""
    point = at(graph, seed)
    (checkpoint,) = (t for t in TRANSFORMATIONS if t.name == "checkpoint")
    agree(each.make(checkpoint.make(point)).values(), each.make(point).values())


@settings(max_examples=40, deadline=None)
@given(SMALL, st.lists(ANY, min_size=3, max_size=3), SEEDS)
def test_three_at_a_time(graph: Graph, chosen: list[Transformation], seed: int) -> None:
    """The last of three, against evaluations of the first two."""
    point = at(graph, seed)
    assume(sum(int(np.size(a)) for a in point.arrays) <= 12)
    for each in chosen[:-1]:
        point = each.make(point)
        assume(point.smooth)
    last = chosen[-1]
    last.hold(point, last.make(point))

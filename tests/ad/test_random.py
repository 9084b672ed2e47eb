"""Gradients of random graphs against central differences, and reverse mode against itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from tests.ir.graphs import Array, arrays_for, graphs, naive

STEP = 6e-6  # the cube root of the rounding error of f64


def total(graph: Graph, arrays: list[Array]) -> float:
    return float(sum(array.sum() for array in naive(graph, arrays)))


@settings(max_examples=150)
@given(graphs(), st.integers(0, 2**16))
def test_along_a_random_direction(graph: Graph, seed: int) -> None:
    arrays = arrays_for(graph, seed)
    directions = arrays_for(graph, seed + 1)
    made = reverse(graph, range(len(graph.inputs)))
    verify(made)
    results = naive(made, arrays)
    for old, new in zip(naive(graph, arrays), results, strict=False):
        assert_allclose(new, old, rtol=0, atol=0)
    found = results[len(graph.outputs) :]
    assert [(g.shape, g.dtype) for g in found] == [(a.shape, a.dtype) for a in arrays]
    slope = sum(float(np.sum(g * d)) for g, d in zip(found, directions, strict=True))
    ahead = total(graph, [a + STEP * d for a, d in zip(arrays, directions, strict=True)])
    behind = total(graph, [a - STEP * d for a, d in zip(arrays, directions, strict=True)])
    scale = max(1.0, abs(slope), abs(ahead))
    assert abs((ahead - behind) / (2 * STEP) - slope) <= 1e-5 * scale


@settings(max_examples=60)
@given(graphs(most=8), st.integers(0, 2**16))
def test_the_second_order_is_symmetric(graph: Graph, seed: int) -> None:
    """⟨u, H v⟩ = ⟨v, H u⟩, each by differentiating the gradient weighted with one of them."""
    arrays, u, v = (arrays_for(graph, seed + k) for k in range(3))
    first = reverse(graph, range(len(graph.inputs)))
    positions = list(range(len(graph.outputs), len(first.outputs)))
    second = reverse(first, range(len(graph.inputs)), sens="inputs", outputs=positions)
    verify(second)

    def form(left: list[Array], right: list[Array]) -> float:
        products = naive(second, [*arrays, *right])[len(first.outputs) :]
        return sum(float(np.sum(a * b)) for a, b in zip(left, products, strict=True))

    assert_allclose(form(u, v), form(v, u), rtol=1e-6, atol=1e-6)


@settings(max_examples=60)
@given(graphs(), st.integers(0, 2**16), st.floats(-3, 3))
def test_gradients_are_linear_in_the_sensitivity(graph: Graph, seed: int, factor: float) -> None:
    made = reverse(graph, range(len(graph.inputs)), sens="inputs")
    arrays = arrays_for(made, seed)
    n = len(graph.inputs)
    once = naive(made, arrays)[len(graph.outputs) :]
    scaled = naive(made, [*arrays[:n], *(factor * array for array in arrays[n:])])[len(graph.outputs) :]
    for a, b in zip(once, scaled, strict=True):
        assert_allclose(factor * a, b, rtol=1e-9, atol=1e-9 * (1 + np.abs(a).max(initial=0)))

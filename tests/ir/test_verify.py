"""The verifier finds what a pass may never do."""

from __future__ import annotations

import pytest
from hypothesis import given

from gradcli.ir.aval import Aval
from gradcli.ir.graph import Graph
from gradcli.ir.verify import BrokenGraph, verify
from gradcli.record import replace
from tests.ir.graphs import build, graphs


def sample() -> Graph:
    from gradcli.ir.graph import apply

    return build(lambda x, y: apply("tanh", x * y) + x, "f64[2]", "f64[2]")


@given(graphs())
def test_what_the_builder_makes_is_a_graph(graph: Graph) -> None:
    verify(graph)


def test_order() -> None:
    graph = sample()
    with pytest.raises(BrokenGraph, match="used before it is made"):
        verify(replace(graph, nodes=graph.nodes[::-1]))


def test_twice() -> None:
    graph = sample()
    with pytest.raises(BrokenGraph, match="made twice"):
        verify(replace(graph, nodes=(*graph.nodes, graph.nodes[0])))


def test_output_that_nobody_makes() -> None:
    graph = sample()
    with pytest.raises(BrokenGraph, match="never made"):
        verify(replace(graph, nodes=graph.nodes[:-1]))


def test_values_of_another_graph() -> None:
    graph = sample()
    with pytest.raises(BrokenGraph, match="used before it is made"):
        verify(replace(graph, inputs=sample().inputs))


def test_wrong_aval() -> None:
    graph = sample()
    graph.nodes[0].outs[0].aval = Aval((7,), "f32")
    with pytest.raises(BrokenGraph, match=r"mul: its results are f32\[7\], its rule infers f64\[2\]"):
        verify(graph)


def test_names() -> None:
    with pytest.raises(BrokenGraph, match="1 names for 2 inputs"):
        verify(replace(sample(), names=("x",)))


def test_numbers_of_values() -> None:
    with pytest.raises(BrokenGraph, match="numbered beyond"):
        verify(replace(sample(), n_values=3))

"""A graph in two parts gives what it gives whole, and computes what does not depend on the last inputs in the first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ad.split import split
from gradcli.ir.graph import Graph, apply
from gradcli.ir.verify import verify
from tests.ir.graphs import arrays_for, build, graphs, naive


def names(graph: Graph) -> list[str]:
    return [node.prim.name for node in graph.nodes]


@settings(max_examples=100)
@given(graphs(), st.integers(0, 2**16))
def test_the_parts_give_what_the_whole_gives(graph: Graph, seed: int) -> None:
    wrt = range(len(graph.inputs))
    for made in (forward(graph, wrt), forward(reverse(graph, wrt), wrt)):
        first, second = split(made, len(graph.inputs))
        verify(first)
        verify(second)
        arrays = arrays_for(made, seed)
        kept = naive(first, arrays[: len(graph.inputs)])
        found = naive(second, [*kept, *arrays[len(graph.inputs) :]])
        for one, other in zip(found, naive(made, arrays), strict=True):
            assert_array_equal(one, other)


def test_what_does_not_depend_on_the_last_inputs_is_in_the_first_part() -> None:
    graph = build(lambda x, v: apply("exp", apply("sin", x)) * v, "f64[3]", "f64[3]")
    first, second = split(graph, 1)
    assert (names(first), names(second)) == (["sin", "exp"], ["mul"])


def test_views_and_constants_are_made_again_and_not_kept() -> None:
    graph = build(lambda x, v: apply("reshape", apply("sin", x), shape=(3, 1)) * (v + 1.0), "f64[3]", "f64[3]")
    first, second = split(graph, 1)
    assert [str(value.aval) for value in first.outputs] == ["f64[3]"]
    assert names(second) == ["reshape", "constant", "add", "mul"]


def test_an_output_that_depends_on_none_of_the_last_inputs() -> None:
    graph = build(lambda x, v: (apply("sin", x), v, x), "f64[3]", "f64[3]")
    first, second = split(graph, 1)
    assert (len(first.outputs), names(second)) == (2, [])

"""What `joins` says of every operator is true: it is evaluated on blocks of rows and put together again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcli.ir.graph import Graph, Node
from gradcli.plan.axes import FLAT, Join, joins
from gradcli.plan.rows import Output, Region
from tests.ops.samples import Case, evaluate, graph_of, operands, walk
from tests.plan.tiled import run_region

SIZES = ([1], [2], [2, 1, 3], [1000])


def region_of(node: Node, join: Join) -> Region:
    """A region of one node."""
    axis_of = {node.inputs[k].id: axis for k, axis in join.ins} | {node.outs[k].id: axis for k, axis in join.outs}
    values, axis = (node.inputs, join.ins[0]) if join.ins else (node.outs, join.outs[0])
    rows = int(values[axis[0]].aval.size if axis[1] == FLAT else values[axis[0]].shape[axis[1]])  # type: ignore[arg-type]
    outputs = tuple(Output(out, axis_of.get(out.id), join.how) for out in node.outs)
    inputs = tuple({value.id: value for value in node.inputs}.values())
    return Region((node,), (join,), rows, axis_of, inputs, outputs, axis[1] == FLAT)


def check(case: Case, arrays: list[Any]) -> int:
    """How many joins there are."""
    graph: Graph = graph_of(case, arrays)
    (node,) = graph.nodes
    expected = evaluate(graph, arrays)
    for join in joins(node):
        region = region_of(node, join)
        for sizes in SIZES if region.rows else ():
            env = {value.id: array for value, array in zip(graph.inputs, arrays, strict=True)}
            found = run_region(region, env, sizes)
            for out, want in zip(graph.outputs, expected, strict=True):
                np.testing.assert_allclose(found[out.id], want, rtol=1e-12, atol=1e-12)
                assert found[out.id].dtype == want.dtype
    return len(joins(node))


@pytest.mark.parametrize("case", walk())
def test_blocks_give_what_the_whole_gives(case: Case) -> None:
    check(case, operands(case))


@pytest.mark.parametrize("case", walk(empty=True))
def test_arrays_without_elements(case: Case) -> None:
    check(case, operands(case))

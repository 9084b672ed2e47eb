"""Batching over the whole registry: the rows of what a batch gives are what its rows give, whichever operands vary."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, apply
from gradcli.ir.primitive import Primitive, registry
from gradcli.ir.verify import verify
from tests.ops.samples import Array, Case, evaluate, floats, graph_of, operands, walk

SIZE = 3
WITH_OPERANDS = [case for case in walk() if case.values[0].sample.operands]


@pytest.mark.parametrize("prim", [pytest.param(prim, id=prim.name) for prim in registry().values()])
def test_every_primitive_has_a_rule(prim: Primitive) -> None:
    assert prim.batch is not None or prim.kind == "elementwise" or not prim.samples[0].operands


def rows(arrays: list[Array], sample_rows: list[list[Array]], flags: tuple[bool, ...]) -> list[Array]:
    return [
        np.stack([row[k] for row in sample_rows]) if has else array
        for k, (array, has) in enumerate(zip(arrays, flags, strict=True))
    ]


def hold(graph: Graph, arrays: list[Array], varied: list[list[Array]], flags: tuple[bool, ...]) -> None:
    many = batch(graph, flags, SIZE)
    verify(many)
    found = evaluate(many, rows(arrays, varied, flags))
    for k in range(SIZE):
        one = [row if has else array for row, array, has in zip(varied[k], arrays, flags, strict=True)]
        for together, alone in zip(found, evaluate(graph, one), strict=True):
            if alone.dtype.kind == "f":
                assert_allclose(together[k], alone, rtol=1e-12, atol=1e-13)
            else:
                assert_array_equal(together[k], alone)


@pytest.mark.parametrize("case", WITH_OPERANDS)
def test_a_batch_against_a_loop(case: Case) -> None:
    """Explicit operands vary by being turned round (indices, flags) or by a factor; the others are drawn anew."""
    arrays = operands(case)
    varied = [
        [other if sampled != "list" else other * (1 + k) if other.dtype.kind == "f" else np.roll(other, k)
         for other, sampled in zip(operands(case, seed=k), kinds(case), strict=True)]
        for k in range(SIZE)
    ]  # fmt: skip
    graph = graph_of(case, arrays)
    for flags in product((False, True), repeat=len(arrays)):
        if any(flags):
            hold(graph, arrays, varied, flags)


def kinds(case: Case) -> list[str]:
    return ["shape" if isinstance(operand, tuple) else "list" for operand in case.sample.operands]


@pytest.mark.parametrize("case", [c for c in WITH_OPERANDS if c.values[0].sample.differentiable])
def test_batches_of_derivatives(case: Case) -> None:
    """A batch of cotangents, and of tangents, at one point."""
    arrays = operands(case)
    graph = graph_of(case, arrays)
    wrt, outs = floats(arrays), floats(graph.outputs)
    if not wrt or not outs:
        return
    rng = np.random.default_rng(0)
    for made, like in ((reverse(graph, wrt, sens="inputs"), [graph.outputs[k] for k in outs]),
                       (forward(graph, wrt), [graph.inputs[k] for k in wrt])):  # fmt: skip
        ways = [[rng.normal(size=value.shape) for value in like] for _ in range(SIZE)]
        flags = (False,) * len(arrays) + (True,) * len(like)
        hold(made, [*arrays, *ways[0]], [[*arrays, *way] for way in ways], flags)


def test_a_matrix_times_a_batch_of_columns_is_one_product() -> None:
    builder = Builder()
    m, x = builder.input(Aval((4, 5), "f64"), "m"), builder.input(Aval((5, 1), "f64"), "x")
    graph = builder.finish([apply("matmul", m, x)])
    arrays = [floats_of(4, 5), floats_of(5, 1)]
    hold(graph, arrays, [[arrays[0], floats_of(5, 1, seed=k)] for k in range(SIZE)], (False, True))
    (rows,) = [node for node in batch(graph, (False, True), SIZE).nodes if node.prim.name == "matmul"]
    assert rows.outs[0].shape == (SIZE, 4)


def floats_of(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)

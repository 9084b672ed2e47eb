"""Forward mode over the whole registry: ⟨ct, J t⟩ = ⟨Jᵀ ct, t⟩, and `J t` again in both modes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from tests.ops.samples import Array, Case, evaluate, floats, graph_of, operands, walk

SMOOTH = [
    case
    for case in walk()
    if case.values[0].sample.differentiable
    and floats(operands(case.values[0]))
    and floats(graph_of(case.values[0], operands(case.values[0])).outputs)
]


def dual(graph: Graph, arrays: list[Array], seed: int) -> None:
    """The duality of both modes for random tangents and cotangents, to 1e-12 of the largest term."""
    rng = np.random.default_rng(seed)
    wrt, outs = floats(arrays), floats(graph.outputs)
    along, back = forward(graph, wrt), reverse(graph, wrt, sens="inputs")
    verify(along)
    tangents = [rng.normal(size=arrays[k].shape) for k in wrt]
    cts = [rng.normal(size=graph.outputs[k].shape) for k in outs]
    pushed = evaluate(along, [*arrays, *tangents])[len(graph.outputs) :]
    pulled = evaluate(back, [*arrays, *cts])[len(graph.outputs) :]
    left = sum(float(np.vdot(ct, t)) for ct, t in zip(cts, pushed, strict=True))
    right = sum(float(np.vdot(ct, t)) for ct, t in zip(pulled, tangents, strict=True))
    scale = sum(float(abs(ct * t).sum()) for ct, t in zip(cts, pushed, strict=True))
    assert_allclose(left, right, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("case", SMOOTH)
def test_duality(case: Case) -> None:
    arrays = operands(case)
    dual(graph_of(case, arrays), arrays, 1)


@pytest.mark.parametrize("case", SMOOTH)
def test_duality_of_the_tangents(case: Case) -> None:
    """Forward over forward, and reverse over forward."""
    arrays = operands(case)
    graph = graph_of(case, arrays)
    wrt = floats(arrays)
    rng = np.random.default_rng(2)
    dual(forward(graph, wrt), [*arrays, *(rng.normal(size=arrays[k].shape) for k in wrt)], 3)


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("case", SMOOTH)
def test_tangents_keep_the_dtype(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    verify(forward(graph_of(case, arrays), floats(arrays)))

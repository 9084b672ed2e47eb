"""Forward mode over the whole registry: ⟨ct, J t⟩ = ⟨Jᵀ ct, t⟩, and `J t` again in both modes."""

from __future__ import annotations

import numpy as np
import pytest

from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ir.live import outputs_from
from gradcli.ir.verify import verify
from tests.ad.combining import dual
from tests.ops.samples import Case, floats, graph_of, operands, walk

SMOOTH = [
    case
    for case in walk()
    if case.values[0].sample.differentiable
    and floats(operands(case.values[0]))
    and floats(graph_of(case.values[0], operands(case.values[0])).outputs)
]


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


@pytest.mark.parametrize("case", SMOOTH)
def test_duality_of_the_gradients(case: Case) -> None:
    """Forward over reverse, and reverse over reverse."""
    arrays = operands(case)
    graph = graph_of(case, arrays)
    dual(outputs_from(reverse(graph, floats(arrays)), len(graph.outputs)), arrays, 4)


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("case", SMOOTH)
def test_tangents_keep_the_dtype(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    verify(forward(graph_of(case, arrays), floats(arrays)))

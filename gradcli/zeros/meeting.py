"""Where terms that are not zero meet and add up to zero, along a direction: tangents are followed forwards.

A derivative along a direction that moves several inputs may be zero though the derivative by each is not. The graph of
the tangents is run step by step; a sum of tangents is told where it is zero and its terms are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.ad.forward import forward
from gradcli.ad.zero import places
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Graph, Node

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

SUMS = ("add", "sub", "reduce_sum", "matmul", "cumsum", "add_slice", "scatter_add", "overlap_add")


def meeting(graph: Graph, inputs: Sequence[Array], directions: Mapping[int, Array]) -> list[str]:
    """The places (`model.net:12`) where tangents cancel on their way to the outputs of a graph."""
    positions = sorted(directions)
    along = forward(graph, positions)
    env = dict(zip((v.id for v in along.inputs), [*inputs, *(directions[p] for p in positions)], strict=True))
    moving = {value.id for value in along.inputs[len(inputs) :]}
    found: list[Node] = []
    with np.errstate(all="ignore"):
        for node in along.nodes:
            operands = [env[value.id] for value in node.inputs]
            made = node.prim.eval(np, *operands, **node.params)
            for out, array in zip(node.outs, made if isinstance(made, tuple) else (made,), strict=True):
                env[out.id] = np.asarray(array, dtype=NUMPY_NAMES[out.dtype])
            terms = [k for k, value in enumerate(node.inputs) if value.id in moving]
            if terms:
                moving.update(out.id for out in node.outs)
                if node.prim.name in SUMS and _cancels(node, operands, terms, env[node.outs[0].id]):
                    found.append(node)
    return places(found)


def _cancels(node: Node, operands: Sequence[Array], terms: Sequence[int], made: Array) -> bool:
    """Whether an element is zero, and the sum of its terms' magnitudes is not."""
    sizes = [np.abs(x) if x.dtype.kind == "f" else x for x in operands]
    if node.prim.name in ("add", "sub"):
        return len(terms) == 2 and bool(((made == 0) & (sizes[0] != 0) & (sizes[1] != 0)).any())
    return bool(((made == 0) & (np.asarray(node.prim.eval(np, *sizes, **node.params)) != 0)).any())

"""Why a gradient is zero, as far as the structure of the graph tells it."""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.ad.reverse import active
from gradcli.ir.graph import Graph, Node


def why_zero(graph: Graph, wrt_index: int, outputs: Sequence[int] | None = None) -> dict[str, object] | None:
    """Why the gradient by input `wrt_index` of the float outputs at the positions `outputs` (default: all) is zero.

    `{"reason": "no path", "at": []}` where no output depends on the input; `"flat"` where paths end in a step or an
    integer, `"stopped"` where they end in a `stop_gradient`, each with its places (`model.net:12`), the second under
    `also` where there are both; None where a differentiable path exists, so that only the numbers can tell.
    """
    positions = range(len(graph.outputs)) if outputs is None else outputs
    results = {graph.outputs[k].id for k in positions if graph.outputs[k].aval.is_float}
    smooth = active(graph, [wrt_index])
    if any(smooth[value] for value in results):
        return None
    needed = _needed(graph, results)
    ends = [
        node
        for node in graph.nodes
        if any(smooth[value.id] for value in node.inputs)
        and any(needed[out.id] and not smooth[out.id] for out in node.outs)
    ]
    if not ends:
        return {"reason": "no path", "at": []}
    by_reason = {
        "flat": [node for node in ends if not node.prim.stops],
        "stopped": [node for node in ends if node.prim.stops],
    }
    found: list[dict[str, object]] = [
        {"reason": reason, "at": places(nodes)} for reason, nodes in by_reason.items() if nodes
    ]
    return found[0] | {"also": found[1:]} if found[1:] else found[0]


def _needed(graph: Graph, results: set[int]) -> bytearray:
    """One flag for each value: whether a result depends on it, in any way."""
    flags = bytearray(graph.n_values)
    for result in results:
        flags[result] = 1
    for node in reversed(graph.nodes):
        if any(flags[out.id] for out in node.outs):
            for value in node.inputs:
                flags[value.id] = 1
    return flags


def places(nodes: Sequence[Node]) -> list[str]:
    """`model.net:12` for each, once, in order; lines of the model before lines of the prelude."""
    places: dict[str, None] = {}
    for node in nodes:
        own = [span for span in node.spans if not span.source.prelude] or node.spans
        places.update((f"{span.source.name}:{span.line}", None) for span in own[:1])
    return list(places)

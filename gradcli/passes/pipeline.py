"""The passes in their order, and the verifier between them."""

from __future__ import annotations

from collections.abc import Callable

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ir.dims import conditions
from gradcli.ir.graph import Graph
from gradcli.ir.region import inside
from gradcli.ir.verify import BrokenGraph
from gradcli.ir.verify import verify as check
from gradcli.passes.dce import dce
from gradcli.passes.fold import fold
from gradcli.passes.histories import keep_parts
from gradcli.passes.loops import prune
from gradcli.passes.simplify import simplify, simplify_fast

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (keep_parts, prune, dce, fold, simplify, dce)
FAST_PASSES: tuple[Pass, ...] = (keep_parts, prune, dce, fold, simplify_fast, fold, simplify_fast, dce)


def optimize(graph: Graph, fast_math: bool = False, verify: bool = False) -> Graph:
    """The same function, cheaper, also inside loops. Exact but for the order of sums, unless `fast_math`.

    With `verify`, raises BrokenGraph that names the pass after which the graph was no longer one.
    """
    with conditions():  # recorded when the graph was made, met again while nodes are copied
        for step in FAST_PASSES if fast_math else PASSES:
            graph = step(graph)
            if verify:
                try:
                    check(graph)
                except BrokenGraph as broken:
                    raise BrokenGraph(f"after {step.__name__}: {broken}") from None
        return inside(graph, lambda region: optimize(region, fast_math, verify))

"""Regions cut into blocks: how many rows at a time, and in which lanes.

Sizes come from shapes and the cost model alone, never from the number of threads or the load of the machine, so that
the sums of a plan are added in one order, always.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from gradcli.ir.graph import Graph, Node
from gradcli.plan import costs
from gradcli.plan.flat import nbytes
from gradcli.record import record, replace

if TYPE_CHECKING:
    from gradcli.plan.plan import Plan
    from gradcli.plan.rows import Region


@record
class Tiling:
    """How a graph is cut: `rows` is a block size that is forced (by tests), `threads` how many work at a time, which
    only counts for memory. Nothing is cut where `on` is false."""

    on: bool = True
    rows: int | None = None
    threads: int = 1

    def inside(self) -> Tiling:
        """Of the plan of a block, which is not cut again."""
        return replace(self, on=False)


class Cut(NamedTuple):
    size: int
    lanes: tuple[tuple[int, ...], ...]
    full: Plan
    rest: Plan | None


def steps_of(graph: Graph, tiling: Tiling) -> list[Node | Region]:
    """The nodes of a graph, those that run by blocks taken together."""
    if not tiling.on or sum(nbytes(out) for node in graph.nodes for out in node.outs) < costs.FEWEST_BYTES:
        return list(graph.nodes)
    from gradcli.plan.rows import regions

    return regions(graph)


def blocks_of(region: Region, tiling: Tiling, plan: Callable[[Graph], Plan]) -> Cut:
    """Cut a region; `plan` plans the body of a block."""
    size = tiling.rows or _size(region, plan)
    size = min(size, region.rows)
    count = ceil(region.rows / size)
    starts = range(0, region.rows, size)
    lanes = _deal(starts, _lanes(region, count))
    left = region.rows - (count - 1) * size
    full = plan(region.body(size))
    return Cut(size, lanes, full, None if left == size else plan(region.body(left)))


def _size(region: Region, plan: Callable[[Graph], Plan]) -> int:
    """As many rows as the cache holds, in blocks of nearly one size, an even number of them."""
    fewest, most = _bounds(region)
    probe = min(region.rows, fewest)
    least = plan(region.body(probe))
    streamed = sum(nbytes(v) for v in (*least.graph.inputs, *least.graph.outputs) if v.rank) / probe
    rows = int(costs.CACHE / max(1.0, least.arena / probe + streamed))
    size = max(fewest, min(rows, most))
    count = max(1, round(region.rows / size))
    if 1 < count < 2 * costs.LANES:
        count += count % 2
    return max(1, ceil(region.rows / count))


def _bounds(region: Region) -> tuple[int, int]:
    """The fewest and the most rows of a block."""
    if region.flat:
        return costs.FEWEST_ELEMENTS, costs.MOST_ELEMENTS
    products = any(node.prim.name == "matmul" for node in region.nodes)
    return (costs.FEWEST_ROWS, 4096) if products else (1, 1 << 20)


def _lanes(region: Region, blocks: int) -> int:
    """How many lanes: as many as blocks, as their sums of their own allow."""
    sums = sum(nbytes(output.value) for output in region.outputs if output.axis is None)
    return max(1, min(blocks, costs.LANES, 2 + costs.PARTIALS // max(1, sums)))


def _deal(starts: range, lanes: int) -> tuple[tuple[int, ...], ...]:
    """Runs of neighbours, whose lengths differ by one at most."""
    count = len(starts)
    ends = [count * k // lanes for k in range(lanes + 1)]
    return tuple(tuple(starts[a:b]) for a, b in itertools.pairwise(ends))

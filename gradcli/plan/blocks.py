"""Regions cut into blocks: how many rows at a time, and in which lanes.

Sizes come from shapes and the cost model alone, never from the number of threads or the load of the machine, so that
the sums of a plan are added in one order, always.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from gradcli.ir.graph import Graph, Node, Value
from gradcli.plan import costs
from gradcli.plan.flat import nbytes
from gradcli.record import record, replace

if TYPE_CHECKING:
    from gradcli.plan.axes import Join
    from gradcli.plan.plan import Plan
    from gradcli.plan.rows import Region


@record
class Tiling:
    """How a graph is cut: `threads` is how many work at a time, which only counts for memory. Nothing is cut where `on`
    is false. `rows` is a block size that is forced, by tests: then whatever can be cut is, however small."""

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
    small = tiling.rows is None and costs.too_small([nbytes(out) for node in graph.nodes for out in node.outs])
    if not tiling.on or small:
        return list(graph.nodes)
    from gradcli.plan.rows import regions

    return regions(graph) if tiling.rows is None else regions(graph, _anything)


def _anything(nodes: Sequence[Node], rows: int) -> bool:
    return rows > 1


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
    """As many rows as the cache holds and as pay for their sums, or as many elements as may be: in blocks of nearly
    one size, an even number of them."""
    fewest, most = _bounds(region)
    rows = most if region.flat else _rows(region, fewest, plan)
    size = max(fewest, min(rows, most, ceil(region.rows / costs.FEWEST_BLOCKS)))
    count = max(1, round(region.rows / size))
    if 1 < count < 2 * costs.LANES:
        count += count % 2
    return max(1, ceil(region.rows / count))


def _rows(region: Region, fewest: int, plan: Callable[[Graph], Plan]) -> int:
    probe = min(region.rows, fewest)
    least = plan(region.body(probe))
    held = max(1.0, least.arena / probe + _tiled(region, _ends(region)))  # bytes, of a row
    made = [out for node in region.nodes if not node.prim.view for out in node.outs]
    work = max(1.0, _tiled(region, made))
    long = min(costs.OPERATOR * len(made) / work, costs.MOST_CACHE / held)
    return int(max(costs.CACHE / held, long, costs.SUMS * _sums(region) / work))


def _bounds(region: Region) -> tuple[int, int]:
    """The fewest and the most rows of a block."""
    if region.flat:
        return costs.FEWEST_ELEMENTS, costs.MOST_ELEMENTS
    cut = any(_cuts(node, join) for node, join in zip(region.nodes, region.joins, strict=True))
    return (costs.FEWEST_ROWS if cut else 1), costs.MOST_ROWS


def _cuts(node: Node, join: Join) -> bool:
    """Whether the rows are those of matrices that are multiplied; else each of them holds whole products."""
    if node.prim.name != "matmul":
        return False
    return not join.outs or join.outs[0][1] >= node.outs[0].rank - 2


def _lanes(region: Region, blocks: int) -> int:
    """How many lanes: as many as blocks, as their sums of their own allow."""
    most = max(2, min(costs.LANES, costs.PARTIALS // max(1, _sums(region))))
    return min(blocks, most - most % 2)


def _ends(region: Region) -> list[Value]:
    return [*region.inputs, *(output.value for output in region.outputs)]


def _tiled(region: Region, values: Sequence[Value]) -> float:
    """Bytes of values for each row; what is whole, or summed, is none of it."""
    return sum(nbytes(value) for value in values if value.id in region.axis_of) / max(1, region.rows)


def _sums(region: Region) -> int:
    """Bytes of what a region adds up over its rows."""
    return sum(nbytes(output.value) for output in region.outputs if output.axis is None)


def _deal(starts: range, lanes: int) -> tuple[tuple[int, ...], ...]:
    """Runs of neighbours, whose lengths differ by one at most."""
    count = len(starts)
    ends = [count * k // lanes for k in range(lanes + 1)]
    return tuple(tuple(starts[a:b]) for a, b in itertools.pairwise(ends))

"""A small interpreter of regions: what a graph gives when its regions run by blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Graph, Node
from gradcli.ir.region import interpret
from gradcli.ir.verify import verify
from gradcli.plan.axes import FLAT
from gradcli.plan.rows import Region, regions

Array = np.ndarray[Any, Any]

COMBINE = {"sum": np.add, "max": np.maximum, "min": np.minimum}


def anything(nodes: Sequence[Node], rows: int) -> bool:
    """Every region is worth it."""
    return rows > 1


def run(
    graph: Graph, inputs: Sequence[Any], sizes: Sequence[int], items: Sequence[Region | Node] | None = None
) -> list[Any]:
    """The outputs of a graph whose regions run by blocks of `sizes`, taken in turn."""
    env: dict[int, Any] = {value.id: np.asarray(array) for value, array in zip(graph.inputs, inputs, strict=True)}
    with np.errstate(all="ignore"):
        for item in regions(graph, anything) if items is None else items:
            if isinstance(item, Region):
                env.update(run_region(item, env, sizes))
                continue
            made = item.prim.eval(np, *[env[value.id] for value in item.inputs], **item.params)
            for out, array in zip(item.outs, made if isinstance(made, tuple) else (made,), strict=True):
                env[out.id] = np.asarray(array, dtype=NUMPY_NAMES[out.dtype])
    return [env[value.id] for value in graph.outputs]


def run_region(region: Region, env: dict[int, Any], sizes: Sequence[int]) -> dict[int, Any]:
    parts: list[list[Any]] = [[] for _ in region.outputs]
    for block in blocks(region.rows, sizes):
        body = region.body(block.stop - block.start)
        verify(body)
        arrays = [cut(env[value.id], region.axis_of.get(value.id), block) for value in region.inputs]
        assert [array.shape for array in arrays] == [value.shape for value in body.inputs]
        for part, array in zip(parts, interpret(np, body, arrays), strict=True):
            part.append(array)
    made: dict[int, Any] = {}
    for output, part in zip(region.outputs, parts, strict=True):
        if output.axis is None:
            total = part[0]
            for array in part[1:]:
                total = COMBINE[output.how](total, array)
        else:
            total = np.concatenate(part, axis=0 if output.axis == FLAT else output.axis)
            total = total.reshape(output.value.shape) if output.axis == FLAT else total
        assert total.shape == output.value.shape, (output.value, total.shape)
        made[output.value.id] = total
    return made


def cut(array: Any, axis: int | None, block: slice) -> Any:
    if axis is None:
        return array
    if axis == FLAT:
        return np.ascontiguousarray(array).reshape(-1)[block]
    return array[(slice(None),) * axis + (block,)]


def blocks(rows: int, sizes: Sequence[int]) -> Iterator[slice]:
    start, k = 0, 0
    while start < rows:
        stop = min(rows, start + sizes[k % len(sizes)])
        yield slice(start, stop)
        start, k = stop, k + 1

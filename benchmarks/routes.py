"""Each route against NumPy's own way, on tiles, interleaved in one process: where the figures of the table come from.

python benchmarks/routes.py [ROUNDS]

A ratio of 2 is half of NumPy's time. The machine, NumPy's version and its CPU features are printed with them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.backends import kernels, routes
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Node, Value

SIZE = 16384
TILES = 24  # that are taken in turn: a processor learns which way the branches of one go


def graph_of(name: str, dtype: str, shapes: list[tuple[int, ...]], number: float | None = None, **params: Any) -> Graph:
    """One operator on inputs, with a number as its last operand where one is given."""
    builder = Builder()
    inputs = [builder.input(Aval(shape, dtype), f"x{k}") for k, shape in enumerate(shapes)]
    operands = inputs if number is None else [*inputs, builder.scalar(number, dtype)]
    from gradcli.ir.primitive import primitive

    return builder.finish(builder.emit(primitive(name), operands, params))


def seconds(calls: dict[str, Callable[[int], Any]], rounds: int) -> dict[str, float]:
    """Medians of calls taken in turn, of one tile after the other."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            for tile in range(TILES):
                call(tile)
            if turn:
                found[name].append((time.perf_counter() - start) / TILES)
    return {name: statistics.median(times) for name, times in found.items()}


def shape_of(value: Value) -> tuple[int, ...]:
    """Of sizes that are all known."""
    return tuple(map(definite, value.shape))


def compared(graph: Graph, rounds: int) -> float | None:
    """NumPy's time over the route's; None where no route is taken."""
    node: Node = next(node for node in graph.nodes if node.prim.name != "constant")
    write = routes.writers(graph.nodes).get(node)
    if write is None:
        return None
    rng = np.random.default_rng(0)
    tiles: list[list[Any]] = []
    for _ in range(TILES):
        arrays: list[Any] = [rng.normal(size=shape_of(v)).astype(NUMPY_NAMES[v.dtype]) for v in graph.inputs]
        if node.prim.name in ("sin", "cos"):
            arrays[0] *= 3
        if node.prim.name == "pow":
            arrays = [abs(arrays[0]), np.array(routes.constant_number(node.inputs[-1]), arrays[0].dtype)]
        tiles.append(arrays)
    out = np.empty(shape_of(node.outs[0]), NUMPY_NAMES[node.outs[0].dtype])
    into = node.prim.into
    assert into is not None
    calls = {
        "NumPy": lambda tile: into(np, *tiles[tile], out=out, **node.params),
        "route": lambda tile: write(*tiles[tile], out=out),
    }
    with np.errstate(all="ignore"):
        times = seconds(calls, rounds)
    return times["NumPy"] / times["route"]


def pair(rounds: int) -> float:
    """A sine and the cosine of the same angle."""
    x, sine, cosine = np.random.default_rng(0).normal(size=(TILES, SIZE)) * 3, np.empty(SIZE), np.empty(SIZE)
    builder = Builder()
    angle = builder.input(Aval((SIZE,), "f64"), "x")
    from gradcli.ir.primitive import primitive

    outs = [builder.emit(primitive(name), [angle], {})[0] for name in ("sin", "cos")]
    found = list(routes.writers(builder.finish(outs).nodes).values())

    def routed(tile: int) -> None:
        found[0](x[tile], out=sine)
        found[1](x[tile], out=cosine)

    def plain(tile: int) -> None:
        np.sin(x[tile], out=sine)
        np.cos(x[tile], out=cosine)

    times = seconds({"NumPy": plain, "route": routed}, rounds)
    return times["NumPy"] / times["route"]


def cases() -> dict[str, Graph]:
    """Every entry, and the reductions at several sizes of their axis."""
    made = {f"{r.prim} {r.dtype}": graph_of(r.prim, r.dtype, [(SIZE,)]) for r in routes.ROUTES}
    for dtype in ("f64", "f32"):
        made |= {f"x**{y:g} {dtype}": graph_of("pow", dtype, [(SIZE,)], y) for y in kernels.POWERS}
        for count in (2, 3, 4, 8, 16, 32, 64, 128):
            for name in ("reduce_sum", "reduce_max"):
                rows = (SIZE // count, count)
                made[f"{name} of {count} {dtype}"] = graph_of(name, dtype, [rows], axes=(1,))
        for behind in (2, 8, 32, 128, 512):
            made[f"sum before {behind} {dtype}"] = graph_of("reduce_sum", dtype, [(SIZE // behind, behind)], axes=(0,))
    for name in ("exp", "sin", "tanh", "sigmoid", "sqrt", "square"):
        made[f"{name} f16"] = graph_of(name, "f16", [(2 * SIZE,)])
    made["matmul f16"] = graph_of("matmul", "f16", [(64, 64), (64, 64)])
    return made


def main(rounds: int = 15) -> int:
    """Print the ratios."""
    print(f"NumPy {np.__version__}, processor: {routes.processor()}; {SIZE} elements, median of {rounds}")
    for name, graph in cases().items():
        ratio = compared(graph, rounds)
        print(f"  {name:<24} {'no route here' if ratio is None else f'{ratio:6.2f} ×'}")
    if routes.processor() != "other":
        print(f"  {'sin and cos f64':<24} {pair(rounds):6.2f} ×")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))

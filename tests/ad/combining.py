"""Transformations of graphs as a table: how each is made, and what it must give, found in another way.

A `Point` is a graph and the arrays that it is tried on. A transformation makes a point of a point, so that they are
applied to each other; what its results must be is composed of evaluations of the graph that it was made of:

    reverse, forward, jacobian, hvp, hessian    central differences along one random direction
    batch                                       a loop over rows
    checkpoint                                  the graph itself
    loop, while                                 a loop in Python over evaluations

So whatever holds for (outer, inner) rests on evaluations of `inner` alone, which is held in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.testing import assert_allclose

import gradcli.ad.checkpoint
import gradcli.ad.scan  # noqa: F401 - fill the registry
from gradcli.ad import matrix
from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.live import outputs_from
from gradcli.ir.primitive import primitive
from gradcli.ir.verify import verify
from tests.ops.samples import Array, evaluate, floats

ROWS = 3  # of a batch
TURNS = 3  # of a loop
STEP = 2e-4  # of a central difference of the fourth order, where both of its errors are small


class Point(NamedTuple):
    graph: Graph
    arrays: list[Array]

    @property
    def wrt(self) -> list[int]:
        """The positions of the float inputs: all are differentiated by."""
        return floats(self.arrays)

    @property
    def results(self) -> list[int]:
        """The positions of the float outputs."""
        return floats(self.graph.outputs)

    @property
    def smooth(self) -> bool:
        return bool(self.wrt and self.results)

    def values(self, arrays: Sequence[Array] | None = None) -> list[Array]:
        return evaluate(self.graph, self.arrays if arrays is None else arrays)

    def with_inputs(self, graph: Graph, more: Sequence[Array]) -> Point:
        """What a derivative gives beside the values of the graph, at this point."""
        made = Point(outputs_from(graph, len(self.graph.outputs)), [*self.arrays, *more])
        verify(made.graph)
        return made


class Transformation(NamedTuple):
    """`make(inner)` is the point that it makes; `hold(inner, outer)` fails where that gives something else than it
    must; `differentiates` says that it is of floats by floats."""

    name: str
    make: Callable[[Point], Point]
    hold: Callable[[Point, Point], None]
    differentiates: bool = True


def random_like(values: Sequence[Value | Array], seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.uniform(-1.0, 1.0, value.shape)) for value in values]


# ── derivatives ─────────────────────────────────────────────────────────────────────────────────────────────


def slopes(point: Point, ways: Sequence[Array]) -> tuple[list[Array], float]:
    """The derivative of each float output along `ways`, one for each float input, and the size of what was subtracted.

    f'(0) = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h, exact but for O(h⁴) and rounding.
    """
    moves = dict(zip(point.wrt, ways, strict=True))

    def at(step: float) -> list[Array]:
        found = point.values([a + step * moves[k] if k in moves else a for k, a in enumerate(point.arrays)])
        return [found[k] for k in point.results]

    far, near, ahead, beyond = (at(k * STEP) for k in (-2, -1, 1, 2))
    found = [(8 * (c - b) - (d - a)) / (12 * STEP) for a, b, c, d in zip(far, near, ahead, beyond, strict=True)]
    return found, max([1.0, *(float(abs(a).max(initial=0.0)) for a in (*ahead, *found))])


def agree(found: Sequence[Array], wanted: Sequence[Array], scale: float = 0.0) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert_allclose(a, b, rtol=1e-6 if scale else 1e-11, atol=1e-8 * scale if scale else 1e-12)


def _sens(point: Point, seed: int) -> list[Array]:
    return random_like([point.graph.outputs[k] for k in point.results], seed)


def _ways(point: Point, seed: int) -> list[Array]:
    return random_like([point.arrays[k] for k in point.wrt], seed)


def _reverse(inner: Point) -> Point:
    return inner.with_inputs(reverse(inner.graph, inner.wrt, sens="inputs"), _sens(inner, 1))


def _hold_reverse(inner: Point, outer: Point) -> None:
    """⟨sens, f'(x) v⟩ = ⟨gradients, v⟩"""
    ways, sens = _ways(inner, 2), outer.arrays[len(inner.arrays) :]
    wanted, scale = slopes(inner, ways)
    agree([_inner(outer.values(), ways)], [_inner(sens, wanted)], scale)


def _inner(left: Sequence[Array], right: Sequence[Array]) -> Array:
    return np.asarray(sum(float(np.vdot(a, b)) for a, b in zip(left, right, strict=True)))


def _forward(inner: Point) -> Point:
    return inner.with_inputs(forward(inner.graph, inner.wrt), _ways(inner, 3))


def _hold_forward(inner: Point, outer: Point) -> None:
    agree(outer.values(), *slopes(inner, outer.arrays[len(inner.arrays) :]))


def _jacobian(inner: Point) -> Point:
    return inner.with_inputs(matrix.jacobian(inner.graph, inner.wrt), ())


def _hold_jacobian(inner: Point, outer: Point) -> None:
    ways = _ways(inner, 4)
    agree(along(outer.values(), [inner.graph.outputs[k] for k in inner.results], ways), *slopes(inner, ways))


def along(blocks: Sequence[Array], rows: Sequence[Value | Array], ways: Sequence[Array]) -> list[Array]:
    """The product of a matrix with a vector: for each of `rows` one block for each of `ways`."""
    assert len(blocks) == len(rows) * len(ways)
    table = [blocks[k : k + len(ways)] for k in range(0, len(blocks), len(ways))]
    for row, blocks_ in zip(rows, table, strict=True):
        assert [block.shape for block in blocks_] == [(*row.shape, *way.shape) for way in ways]
    return [np.asarray(sum(np.tensordot(block, way, way.ndim) for block, way in zip(row, ways, strict=True)))
            for row in table]  # fmt: skip


def _hessian(inner: Point) -> Point:
    return inner.with_inputs(matrix.hessian(inner.graph, inner.wrt, sens="inputs"), _sens(inner, 5))


def _hold_hessian(inner: Point, outer: Point) -> None:
    """Its product with a vector is the slope of the gradient, and it is symmetric."""
    ways, blocks = _ways(inner, 6), outer.values()
    own = [inner.arrays[k] for k in inner.wrt]
    wanted, scale = slopes_of_gradient(inner, outer.arrays[len(inner.arrays) :], ways)
    agree(along(blocks, own, ways), wanted, scale)
    n = len(own)
    for i in range(n):
        for j in range(n):
            turned = np.moveaxis(blocks[j * n + i], range(own[j].ndim), range(-own[j].ndim, 0))
            assert_allclose(blocks[i * n + j], turned, rtol=1e-9, atol=1e-11 * scale)


def _hvp(inner: Point) -> Point:
    product = matrix.hvp(inner.graph, inner.wrt, sens="inputs")
    return inner.with_inputs(product, [*_sens(inner, 7), *_ways(inner, 8)])


def _hold_hvp(inner: Point, outer: Point) -> None:
    n = len(inner.arrays) + len(inner.results)
    agree(outer.values(), *slopes_of_gradient(inner, outer.arrays[len(inner.arrays) : n], outer.arrays[n:]))


def slopes_of_gradient(inner: Point, sens: Sequence[Array], ways: Sequence[Array]) -> tuple[list[Array], float]:
    """As `slopes`, of the gradient with `sens` held fixed."""
    gradient = inner.with_inputs(reverse(inner.graph, inner.wrt, sens="inputs"), sens)
    return slopes(gradient, [*ways, *(np.zeros_like(s) for s in sens)])


def dual(graph: Graph, arrays: Sequence[Array], seed: int) -> None:
    """⟨ct, J t⟩ = ⟨Jᵀ ct, t⟩ for random tangents and cotangents, to 1e-12 of the largest term."""
    rng = np.random.default_rng(seed)
    wrt, outs = floats(arrays), floats(graph.outputs)
    pushing, pulling = forward(graph, wrt), reverse(graph, wrt, sens="inputs")
    verify(pushing)
    tangents = [rng.normal(size=arrays[k].shape) for k in wrt]
    cts = [rng.normal(size=graph.outputs[k].shape) for k in outs]
    pushed = evaluate(pushing, [*arrays, *tangents])[len(graph.outputs) :]
    pulled = evaluate(pulling, [*arrays, *cts])[len(graph.outputs) :]
    terms = [ct * t for ct, t in zip(cts, pushed, strict=True)] + [
        ct * t for ct, t in zip(pulled, tangents, strict=True)
    ]
    scale = sum(float(abs(term).sum()) for term in terms)
    assert_allclose(_inner(cts, pushed), _inner(pulled, tangents), rtol=1e-12, atol=1e-12 * scale)


# ── batches and recomputation ───────────────────────────────────────────────────────────────────────────────


def _batched(inner: Point) -> list[bool]:
    """All inputs, but the last of several floats."""
    n = len(inner.arrays)
    return [k != inner.wrt[-1] if len(inner.wrt) > 1 else True for k in range(n)]


def _row(array: Array, k: int) -> Array:
    """Another array in the same domain: floats by a factor, sizes and places one less, arrays of these turned round."""
    if array.dtype.kind == "f":
        return array * 1.03**k
    return np.roll(array, k) if array.ndim or array.dtype.kind == "b" else np.maximum(array - k, 0)


def _batch(inner: Point) -> Point:
    flags = _batched(inner)
    made = batch(inner.graph, flags, ROWS)
    verify(made)
    arrays = [np.stack([_row(array, k) for k in range(ROWS)]) if has else array
              for array, has in zip(inner.arrays, flags, strict=True)]  # fmt: skip
    return Point(made, arrays)


def _hold_batch(inner: Point, outer: Point) -> None:
    flags = _batched(inner)
    rows = [[array[k] if has else array for array, has in zip(outer.arrays, flags, strict=True)] for k in range(ROWS)]
    agree(outer.values(), [np.stack(parts) for parts in zip(*map(inner.values, rows), strict=True)])


def _checkpoint(inner: Point) -> Point:
    builder = Builder()
    inputs = [builder.input(value.aval, value.hint) for value in inner.graph.inputs]
    made = builder.finish(builder.emit(primitive("checkpoint"), inputs, {"body": inner.graph}))
    verify(made)
    return Point(made, inner.arrays)


def _hold_checkpoint(inner: Point, outer: Point) -> None:
    agree(outer.values(), inner.values())


# ── loops ───────────────────────────────────────────────────────────────────────────────────────────────────
# The operands that are floats take turns in being carried, held and seen slice by slice; the others are held. What is
# carried grows by a small part of the mean of the results, which are stacked.


def _roles(inner: Point) -> tuple[list[int], list[int], list[int]]:
    """The positions of what is held, carried and sliced."""
    carried, sliced = inner.wrt[::3], inner.wrt[2::3]
    return [k for k in range(len(inner.arrays)) if k not in carried and k not in sliced], carried, sliced


def _share(inner: Point) -> float:
    return 0.1 / max([1.0, *(float(abs(a).max(initial=0.0)) for a in inner.values())])


def _turn(inner: Point, share: float, stops: bool) -> Graph:
    """`(i, [limit,] *held, *carried, *slices) → (*carried, *results)`"""
    held, carried, sliced = _roles(inner)
    builder = Builder()
    builder.input(Aval((), "i64"), "i")
    if stops:
        builder.input(Aval((), "i64"), "limit")
    places = [*held, *carried, *sliced]
    own = dict(zip(places, [builder.input(inner.graph.inputs[k].aval, f"x{k}") for k in places], strict=True))
    made = builder.inline(inner.graph, [own[k] for k in range(len(places))])
    growth: Value | float = 0.1
    for out in made:
        if out.aval.is_float and out.aval.size:
            total = apply("reduce_sum", out, axes=tuple(range(out.rank))) if out.rank else out
            growth = total * (share / int(out.aval.size)) + growth  # type: ignore[arg-type]  # known
    return builder.finish([*(own[k] + own[k] * growth for k in carried), *made])


def _loop(inner: Point, stops: bool = False) -> Point:
    held, carried, sliced = _roles(inner)
    limit = [np.asarray(TURNS - 1)] if stops else []
    builder = Builder()
    count = [builder.input(Aval((), "i64"), "limit")] if stops else []
    avals = [value.aval for value in inner.graph.inputs]
    inputs = {k: builder.input(Aval((TURNS, *avals[k].shape), avals[k].dtype) if k in sliced else avals[k], f"x{k}")
              for k in range(len(avals))}  # fmt: skip
    params = {
        "body": _turn(inner, _share(inner), stops),
        "cond": _while_below(inner) if stops else None,
        "turns": TURNS,
        "consts": len(count) + len(held),
        "carry": len(carried),
        "reverse": False,
        "counted": False,
    }
    made = builder.emit(primitive("scan"), [*count, *(inputs[k] for k in (*held, *carried, *sliced))], params)
    n = len(carried)
    graph = builder.finish([*made[:n], *made[2 * n : 2 * n + len(inner.graph.outputs)]])
    verify(graph)
    slices = [np.stack([_row(a, k) for k in range(TURNS)]) if p in sliced else a for p, a in enumerate(inner.arrays)]
    return Point(graph, [*limit, *slices])


def _while_below(inner: Point) -> Graph:
    """i < limit"""
    held, carried, _ = _roles(inner)
    builder = Builder()
    i, limit = (builder.input(Aval((), "i64"), name) for name in ("i", "limit"))
    for k in (*held, *carried):
        builder.input(inner.graph.inputs[k].aval, f"x{k}")
    return builder.finish([apply("less", i, limit)])


def _hold_loop(inner: Point, outer: Point, stops: bool = False) -> None:
    _, carried, sliced = _roles(inner)
    arrays, share = outer.arrays[1:] if stops else outer.arrays, _share(inner)
    turns = int(outer.arrays[0]) if stops else TURNS
    state = {k: arrays[k] for k in carried}
    stacks = [
        np.zeros((TURNS, *value.shape), a.dtype) for value, a in zip(inner.graph.outputs, inner.values(), strict=True)
    ]
    for turn in range(turns):
        made = inner.values([state.get(k, a[turn] if k in sliced else a) for k, a in enumerate(arrays)])
        for stack, array in zip(stacks, made, strict=True):
            stack[turn] = array
        growth = 0.1 + share * sum(float(a.mean()) for a in made if a.dtype.kind == "f" and a.size)
        state = {k: a + a * growth for k, a in state.items()}
    agree(outer.values(), [*state.values(), *stacks])


def _loop_that_stops(inner: Point) -> Point:
    return _loop(inner, stops=True)


def _hold_loop_that_stops(inner: Point, outer: Point) -> None:
    _hold_loop(inner, outer, stops=True)


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────

TRANSFORMATIONS = (
    Transformation("grad", _reverse, _hold_reverse),
    Transformation("jvp", _forward, _hold_forward),
    Transformation("jacobian", _jacobian, _hold_jacobian),
    Transformation("hessian", _hessian, _hold_hessian),
    Transformation("hvp", _hvp, _hold_hvp),
    Transformation("vmap", _batch, _hold_batch, differentiates=False),
    Transformation("checkpoint", _checkpoint, _hold_checkpoint, differentiates=False),
    Transformation("for", _loop, _hold_loop, differentiates=False),
    Transformation("for … while", _loop_that_stops, _hold_loop_that_stops, differentiates=False),
)

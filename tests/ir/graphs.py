"""Graphs for tests: written as lambdas over avals, or drawn at random; and their plainest evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ad.reverse import reverse
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.verify import verify

Array = np.ndarray[Any, Any]


def aval(text: str) -> Aval:
    """`f32[2, 3]` as an aval."""
    dtype, _, sizes = text.rstrip("]").partition("[")
    return Aval(tuple(int(size) for size in sizes.split(",") if size.strip()), dtype)


def build(make: Callable[..., Value | tuple[Value, ...]], *avals: str) -> Graph:
    """The graph of a function of values: `build(lambda x, y: x * y, "f64[3]", "f64[3]")`; inputs are x, y, z, …"""
    builder = Builder()
    inputs = [builder.input(aval(text), name) for text, name in zip(avals, "xyzuvw", strict=False)]
    results = make(*inputs)
    graph = builder.finish(results if isinstance(results, tuple) else (results,))
    verify(graph)
    return graph


def naive(graph: Graph, arrays: Sequence[Any]) -> list[Array]:
    """One node after the other, each result a new array."""
    env: dict[int, Array] = {}
    for value, array in zip(graph.inputs, arrays, strict=True):
        env[value.id] = np.array(array, NUMPY_NAMES[value.dtype])
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            made = node.prim.eval(np, *[env[value.id] for value in node.inputs], **node.params)
            for out, array in zip(node.outs, made if isinstance(made, tuple) else (made,), strict=True):
                env[out.id] = np.array(array)
    return [env[value.id] for value in graph.outputs]


def gradients(graph: Graph, arrays: Sequence[Any], wrt: Sequence[int] | None = None) -> list[Array]:
    """The gradients of the sum of the float outputs."""
    wrt = range(len(graph.inputs)) if wrt is None else wrt
    made = reverse(graph, wrt)
    verify(made)
    return naive(made, arrays)[len(graph.outputs) :]


def arrays_for(graph: Graph, seed: int = 0) -> list[Array]:
    """Normal numbers for every input."""
    rng = np.random.default_rng(seed)
    return [
        np.asarray(rng.standard_normal([int(size) for size in value.shape]), NUMPY_NAMES[value.dtype])
        for value in graph.inputs
    ]


def same(left: Array, right: Array) -> bool:
    """The same bits, but for the sign and payload of a nan: -0.0 is not 0.0."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    nan = np.isnan(left)
    return bool(
        np.array_equal(nan, np.isnan(right))
        and np.array_equal(left[~nan], right[~nan])
        and np.array_equal(np.signbit(left[~nan]), np.signbit(right[~nan]))
    )


# ── at random ───────────────────────────────────────────────────────────────────────────────────────────────

SHAPES = ((), (3,), (1, 3), (2, 3), (2, 1), (3, 2), (0, 3))
SMOOTH = ("neg", "tanh", "sin", "cos", "square")
ARITHMETIC = ("neg", "abs", "floor")
BINARY = ("add", "sub", "mul")
MOVES = (
    "reshape",
    "transpose",
    "broadcast_to",
    "slice",
    "unslice",
    "update_slice",
    "add_slice",
    "concat",
    "reduce_sum",
)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -3.0)


@st.composite
def graphs(draw: Any, dtype: str = "f64", smooth: bool = True, most: int = 14, sizes: bool = True) -> Graph:
    """A well-typed graph. `smooth` ones have derivatives everywhere and stay within range; the others only add,
    multiply, divide and choose, so that they are exact up to the order of operations. `sizes`: dims of size 0, too."""
    builder = Builder()
    shapes = SHAPES if sizes else SHAPES[:-1]
    pool = [
        builder.input(Aval(draw(st.sampled_from(shapes)), dtype), name) for name in "xyz"[: draw(st.integers(1, 3))]
    ]
    pool.append(builder.scalar(draw(st.sampled_from(NUMBERS)), dtype))
    for _ in range(draw(st.integers(1, most))):
        made = _grow(draw, builder, pool, smooth)
        if made is not None and made.aval.size <= 200:
            pool.append(made)
    count = draw(st.integers(1, 3))
    return builder.finish([draw(st.sampled_from(pool)) for _ in range(count - 1)] + [pool[-1]])


def _grow(draw: Any, builder: Builder, pool: list[Value], smooth: bool) -> Value | None:
    x = draw(st.sampled_from(pool[-6:]))
    kind = draw(st.sampled_from(("unary", "binary", "binary", "move", "move", "number", "choice")))
    match kind:
        case "unary":
            return apply(draw(st.sampled_from(SMOOTH if smooth else ARITHMETIC)), x)
        case "binary":
            y = draw(st.sampled_from(pool))
            if not _broadcast(x, y):
                return None
            name = draw(st.sampled_from(BINARY if smooth else (*BINARY, "div", "maximum", "minimum")))
            if smooth and name == "mul":  # within range, however deep
                return apply("mul", apply("tanh", x), y)
            return apply(name, x, y)
        case "number":
            number = builder.scalar(draw(st.sampled_from(NUMBERS)), x.dtype)
            if draw(st.booleans()):
                number = apply("broadcast_to", number, shape=x.shape) if x.rank else number
            return apply(draw(st.sampled_from((*BINARY, "div") if not smooth else BINARY)), x, number)
        case "choice":
            y = draw(st.sampled_from(pool))
            if not _broadcast(x, y):
                return None
            flag = builder.scalar(draw(st.booleans()), "bool") if smooth else apply("greater", x, y)
            return builder.emit(_prim("where"), (flag, x, y))[0]
    return _move(draw, builder, draw(st.sampled_from(MOVES)), x, pool)


def _move(draw: Any, builder: Builder, name: str, x: Value, pool: list[Value]) -> Value | None:
    shape = tuple(int(size) for size in x.shape)
    items = tuple(
        draw(st.sampled_from([(0, n, 1), (0, n // 2, 1), (n // 2, n - n // 2, 1), (n - 1, n, -1)])) for n in shape
    )
    match name:
        case "reshape":
            return apply(name, x, shape=draw(st.sampled_from([(int(x.aval.size),), (*shape, 1), (1, *shape), shape])))
        case "transpose":
            return apply(name, x, axes=tuple(draw(st.permutations(range(x.rank)))))
        case "broadcast_to":
            return apply(name, x, shape=draw(st.sampled_from([shape, (2, *shape), (1, *shape)])))
        case "reduce_sum":
            return apply(name, x, axes=tuple(sorted(draw(st.sets(st.sampled_from(range(x.rank)))) if x.rank else ())))
        case "concat":
            return apply(name, x, x, axis=draw(st.integers(0, x.rank - 1))) if x.rank else None
    if not x.rank or 0 in shape:
        return None
    part = apply("slice", x, items=items)
    match name:
        case "slice":
            return part
        case "unslice":
            return apply(name, part, shape=x.shape, items=items)
    like = [value for value in pool if value.shape == x.shape]
    return apply(name, draw(st.sampled_from(like)), part, items=items)


def _broadcast(x: Value, y: Value) -> bool:
    try:
        np.broadcast_shapes(x.shape, y.shape)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def _prim(name: str) -> Any:
    from gradcli.ir.primitive import primitive

    return primitive(name)

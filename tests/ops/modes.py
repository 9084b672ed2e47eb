"""One expression at one point, through every mode: what differs between them is a bug.

`hold("x ** y", x=0.0, y=2.0, slope=[0, 0], second=[[2, 0], [0, 0]])` says what the gradient and the Hessian are, by all
elements of all inputs in order. It is held in reverse and in forward mode, in the four orders of one over the other, in
Taylor mode, in a batch beside an ordinary point, in f64 and in f32, on graphs and through the language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.testing import assert_allclose

import gradcli
from gradcli import opening
from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ad.taylor import NoSeries, derivative_along
from gradcli.ir.aval import EPS, NUMPY_NAMES
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from gradcli.request import ModelFile, Request
from tests.ir.graphs import Array, naive

Expected = float | Sequence[Any] | Array


class Found(NamedTuple):
    """`what` was found: the value, the `slope` (`pushed` in forward mode), the second or the third derivative."""

    what: str
    mode: str
    array: Array


def hold(
    expression: str,
    *,
    slope: Expected,
    second: Expected | None = None,
    third: float | None = None,
    value: Expected | None = None,
    pushed: Expected | None = None,
    items: str = "",
    dtypes: Sequence[str] = ("f64", "f32"),
    ulps: float = 4,
    **point: Any,
) -> None:
    """The gradient, and if given the value, the Hessian, and the third derivative by one scalar input. Numbers agree to
    `ulps` units of rounding, infinities and nans exactly. `pushed` is the gradient of forward mode, where a 0 meets an
    infinity in one mode and not in the other. `items` stand above the net."""
    expected = {"value": value, "slope": slope, "pushed": slope if pushed is None else pushed, "second": second}
    for dtype in dtypes:
        arrays = {name: np.asarray(number, NUMPY_NAMES[dtype]) for name, number in point.items()}
        graph = graph_of(expression, arrays, dtype, items)
        inputs = list(arrays.values())
        everything = [Found("value", "value", naive(graph, inputs)[0]), *_slopes(graph, inputs)]
        if second is not None:
            everything += _seconds(graph, inputs)
        if third is not None:
            everything += _thirds(graph, inputs)
        everything += _in_language(expression, arrays, dtype, items, second is not None)
        for found in everything:
            _compare(found, {**expected, "third": third}[found.what], dtype, ulps)
        _hold_batch(graph, inputs, second is not None)


def graph_of(expression: str, arrays: Mapping[str, Array], dtype: str = "f64", items: str = "") -> Graph:
    text = f"{items}\nnet main({_signature(arrays, dtype)}) = {expression}\n"
    return opening.prepare(ModelFile(text=text, name="point.net"), Request(arrays=dict(arrays)))[1].graph


def _signature(arrays: Mapping[str, Array], dtype: str) -> str:
    return ", ".join(f"{name}: {dtype}[{', '.join(map(str, array.shape))}]" for name, array in arrays.items())


def _compare(found: Found, expected: Expected | None, dtype: str, ulps: float) -> None:
    if expected is None:
        return
    wanted = np.asarray(expected, NUMPY_NAMES[dtype])
    same_size = wanted.size == found.array.size
    wanted = wanted.reshape(found.array.shape) if same_size else np.broadcast_to(wanted, found.array.shape)
    assert_allclose(found.array, wanted, rtol=ulps * EPS[dtype], atol=0, err_msg=f"{found.mode}, {dtype}")


def _units(array: Array) -> Iterator[Array]:
    """The arrays that are 1 at one element and 0 elsewhere."""
    for k in range(array.size):
        unit = np.zeros(array.size, array.dtype)
        unit[k] = 1
        yield unit.reshape(array.shape)


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(array) for array in arrays])


def _verified(graph: Graph) -> Graph:
    verify(graph)
    return graph


# ── on graphs ───────────────────────────────────────────────────────────────────────────────────────────────


def _slopes(graph: Graph, inputs: list[Array]) -> Iterator[Found]:
    yield Found("slope", "reverse", _flat(naive(_verified(reverse(graph, range(len(inputs)))), inputs)[1:]))
    found = []
    for k, array in enumerate(inputs):
        along = _verified(forward(graph, [k]))
        found += [naive(along, [*inputs, unit])[1].sum() for unit in _units(array)]
    yield Found("pushed", "forward", np.array(found))
    if all(array.ndim == 0 for array in inputs):
        yield from _series(graph, inputs, 1, "pushed")


def _seconds(graph: Graph, inputs: list[Array]) -> Iterator[Found]:
    """Row by row: the derivatives of one element of the gradient, or the gradient of the derivative by one element."""
    count, everything = len(inputs), range(len(inputs))
    gradient = reverse(graph, everything)
    rows: list[tuple[Array, ...]] = []
    for k in everything:
        tangent = forward(graph, [k])
        pulled = _verified(reverse(gradient, everything, sens="inputs", outputs=[1 + k]))
        pushed = _verified(forward(gradient, [k], outputs=range(1, 1 + count)))
        back = _verified(reverse(tangent, everything, outputs=[1]))
        again = [_verified(forward(tangent, [j], outputs=[1])) for j in everything]
        for unit in _units(inputs[k]):
            given = [*inputs, unit]
            twice = [naive(made, [*given, other])[2].sum()
                     for made, array in zip(again, inputs, strict=True) for other in _units(array)]  # fmt: skip
            rows.append((
                _flat(naive(pulled, given)[1 + count :]),
                _flat(naive(pushed, given)[1 + count :]),
                _flat(naive(back, given)[2:]),
                np.array(twice),
            ))  # fmt: skip
    modes = ("reverse over reverse", "forward over reverse", "reverse over forward", "forward over forward")
    for mode, matrix in zip(modes, zip(*rows, strict=True), strict=False):  # without elements there are no rows
        yield Found("second", mode, np.array(matrix))
    if count == 1 and inputs[0].ndim == 0:
        yield from _series(graph, inputs, 2, "second")


def _thirds(graph: Graph, inputs: list[Array]) -> Iterator[Found]:
    one = np.ones_like(inputs[0])
    back, along = graph, graph
    for _ in range(3):
        back = reverse(back, [0], outputs=[len(back.outputs) - 1])
        along = forward(along, [0], outputs=[len(along.outputs) - 1])
    yield Found("third", "reverse, order 3", naive(_verified(back), inputs)[-1])
    yield Found("third", "forward, order 3", naive(_verified(along), [*inputs, one, one, one])[-1])
    yield from _series(graph, inputs, 3, "third")


def _series(graph: Graph, inputs: list[Array], order: int, what: str) -> Iterator[Found]:
    try:
        made = [_verified(derivative_along(graph, k, order, [0])) for k in range(len(inputs))]
    except NoSeries:
        return
    yield Found(what, f"Taylor, order {order}", np.array([naive(each, inputs)[1].sum() for each in made]))


# ── in batches ──────────────────────────────────────────────────────────────────────────────────────────────


def _hold_batch(graph: Graph, inputs: list[Array], second: bool) -> None:
    """The rows of a batch of hard and ordinary points are what each point gives alone."""
    everything, ones = range(len(inputs)), [np.ones_like(array) for array in inputs]
    gradient = reverse(graph, everything)
    derived = [(gradient, []), (forward(graph, everything), ones)]
    if second:
        derived.append((forward(gradient, everything), ones))
    points = [inputs, _ordinary(inputs), inputs]
    rows = [np.stack(row) for row in zip(*points, strict=True)]
    for made, tangents in derived:
        many = batch(made, [True] * len(inputs) + [False] * len(tangents), len(points))
        found = naive(_verified(many), [*rows, *tangents])
        for k, point in enumerate(points):
            for together, alone in zip(found, naive(made, [*point, *tangents]), strict=True):
                assert_allclose(together[k], alone, rtol=16 * np.finfo(alone.dtype).eps, atol=0, err_msg=f"row {k}")


def _ordinary(inputs: Sequence[Array]) -> list[Array]:
    """Different positive numbers below 1; matrices are well conditioned."""
    made = []
    for k, array in enumerate(inputs):
        numbers = 0.31 + 0.23 * k + 0.17 * np.arange(array.size) / max(array.size, 1)
        point = numbers.reshape(array.shape).astype(array.dtype)
        made.append(point + 3 * np.eye(*array.shape, dtype=array.dtype) if array.ndim == 2 else point)
    return made


# ── through the language ────────────────────────────────────────────────────────────────────────────────────


def _in_language(expression: str, arrays: dict[str, Array], dtype: str, items: str, second: bool) -> Iterator[Found]:
    """`grad`, `jvp`, `hessian` and `vmap`, optimised, planned and run."""
    inputs = list(arrays.values())
    rows = {f"{name}_rows": np.stack([array, other, array])
            for (name, array), other in zip(arrays.items(), _ordinary(inputs), strict=True)}  # fmt: skip
    point, many = ", ".join(arrays), ", ".join(rows)
    ways = [(name, unit.tolist()) for name, array in arrays.items() for unit in _units(array)]
    forms = [
        f"grad(f, wrt=all)({point})",
        *(f"jvp(f, wrt={name}, tangent={unit})({point})" for name, unit in ways),
        *([f"hessian(f, wrt=all)({point})"] if second else []),
        f"vmap(grad(f, wrt=all))({many})",
    ]
    text = (
        f"{items}\nnet f({_signature(arrays, dtype)}) = {expression}\n"
        f"net main({_signature(arrays | rows, dtype)}) {{ return {', '.join(forms)} }}\n"
    )
    results = iter(gradcli.compile(text, net="main").eval(**arrays, **rows))
    yield Found("slope", "grad", _flat(list(islice(results, len(inputs)))))
    yield Found("pushed", "jvp", np.array([tangent.sum() for tangent in islice(results, len(ways))]))
    if second:
        sizes = [array.size for array in inputs]
        grid = [[next(results).reshape(height, width) for width in sizes] for height in sizes]
        yield Found("second", "hessian", np.block(grid))
    batched = list(results)
    for k in (0, 2):
        yield Found("slope", "vmap of grad", _flat([array[k] for array in batched]))

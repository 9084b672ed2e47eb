"""Diagonals read and written as views: the same bits as by indices, and only where the indices are those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from gradcli import opening
from gradcli.backends.diagonals import on_diagonal
from gradcli.engine import Machine, plan_of, run_plan
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.constants import pack
from gradcli.ir.graph import Builder, Graph, Node
from gradcli.ir.primitive import primitive
from gradcli.request import ModelFile, Request
from tests.ir.graphs import naive

SHAPES = [(1, 1), (10, 10), (25, 10, 10), (2, 3, 4, 6), (3, 7, 5)]


def indexed(name: str, shape: tuple[int, ...], indices: list[Any], dtype: str = "f64", **params: Any) -> Graph:
    """The operator with constant indices of the last two axes."""
    builder = Builder()
    axes = params.pop("axes", (len(shape) - 2, len(shape) - 1))
    length = np.shape(indices[0])
    part = (*shape[: axes[0]], *length, *(size for k, size in enumerate(shape) if k > axes[0] and k not in axes))
    operands = [] if name == "scatter_zeros" else [builder.input(Aval(shape, dtype), "x")]
    operands += [] if name == "gather" else [builder.input(Aval(part, dtype), "v")]
    for index in indices:
        array = np.asarray(index, "i8")
        made = builder.emit(
            primitive("constant"), (), {"data": pack(array, "i64"), "shape": array.shape, "dtype": "i64"}
        )
        operands += made
    params |= {"shape": shape} if name == "scatter_zeros" else {}
    return builder.finish([builder.emit(primitive(name), operands, {"axes": axes, **params})[0]])


def last(graph: Graph) -> Node:
    return graph.nodes[-1]


def numbers(aval: Aval, seed: int) -> Any:
    found = (
        np.random.default_rng(seed).normal(scale=9, size=tuple(map(int, aval.shape))).astype(NUMPY_NAMES[aval.dtype])
    )
    if aval.is_float and found.size:
        found.reshape(-1)[:: max(1, found.size // 3)] = -0.0
        found.reshape(-1)[-1] = np.nan
    return found


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "i64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["gather", "scatter_zeros", "scatter_add"])
def test_the_same_bits(name: str, shape: tuple[int, ...], dtype: str) -> None:
    count = min(shape[-2:])
    graph = indexed(name, shape, [np.arange(count)] * 2, dtype)
    arrays = [numbers(value.aval, seed) for seed, value in enumerate(graph.inputs)]
    write = on_diagonal(last(graph))
    assert write is not None
    (expected,) = naive(graph, arrays)
    whole = [np.arange(count)] * 2
    for gaps in (False, True):
        room = np.full((2, *expected.shape), 7, expected.dtype)
        out = np.moveaxis(np.moveaxis(room, 0, -1).copy(), -1, 0)[0] if gaps else room[0]
        given = [np.repeat(array, 2, axis=-1)[..., ::2] for array in arrays] if gaps else arrays
        write(*given, *whole, out=out)
        assert_array_equal(out, expected)
        assert_array_equal(np.signbit(out), np.signbit(expected))
    if name == "scatter_add":
        own = arrays[0].copy()
        write(own, arrays[1], *whole, out=own)
        assert_array_equal(own, expected)


OTHERS = {
    "repeated": {"indices": [[0, 0, 1], [0, 0, 1]]},
    "beside it": {"indices": [[0, 1], [1, 2]]},
    "turned round": {"indices": [[2, 1, 0], [2, 1, 0]]},
    "beyond the last": {"indices": [[0, 1, 2, 3], [0, 1, 2, 3]]},
    "none": {"indices": [[], []]},
    "not the last axes": {"indices": [[0, 1], [0, 1]], "shape": (3, 3, 4), "axes": (0, 1)},
    "one axis": {"indices": [[0, 1, 2]], "axes": (1,)},
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_indices_are_read_as_they_are(case: str) -> None:
    assert on_diagonal(last(indexed("gather", **{"shape": (3, 3), **OTHERS[case]}))) is None


def test_diagonals_of_a_model() -> None:
    text = (
        "net of_each(t: f64[n, n]) -> f64 = trace(t) ** 2 + sum(diag(diag(t)) * t)\n"
        "net f(t: f64[k, 9, 9]) -> f64 = sum(vmap(of_each)(t))\n"
    )
    t = np.random.default_rng(0).normal(size=(5, 9, 9))
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), Request(net="f", arrays={"t": t}))
    (found,) = run_plan(plan_of(prepared.graph, Machine()), [t], Machine())
    traces = np.einsum("kii->k", t)
    np.testing.assert_allclose(found, (traces**2).sum() + (np.einsum("kii->ki", t) ** 2).sum(), rtol=1e-13)

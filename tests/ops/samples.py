"""The registry as a list of cases: every primitive × sample, its operands as arrays, and graphs of it alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradcli.ad.checkpoint
import gradcli.ad.scan
import gradcli.ops  # noqa: F401 - fill the registry
from gradcli.ir.aval import FLOATS, NUMPY_NAMES, Aval
from gradcli.ir.graph import Builder, Graph
from gradcli.ir.primitive import Primitive, Sample, registry
from gradcli.ir.verify import verify

Array = np.ndarray[Any, Any]

DTYPES = {np.dtype(long): short for short, long in NUMPY_NAMES.items()}

# Arrays without elements, for the operators whose shapes are not simply those of their operands.
SPAN: dict[str, Any] = {"items": ((0, 0, 1), (0, 3, 1))}
NONE: list[int] = []
EMPTY: dict[str, list[Sample]] = {
    "where": [Sample((NONE, (0,), (0,))), Sample((True, (2, 0), (1, 1)))],
    "cast": [Sample(((0, 3),), {"dtype": "f32"}), Sample((NONE,), {"dtype": "f64"})],
    "stop_gradient": [Sample(((0, 3),))],
    "polygamma": [Sample(((2, 0),), {"n": 2})],
    "reduce_max": [Sample(((0, 3),), {"axes": (1,)})],
    "reduce_min": [Sample(((3, 0),), {"axes": (0,)})],
    "argmax": [Sample(((0, 3),), {"axis": 1})],
    "argmin": [Sample(((3, 0),), {"axis": 0})],
    "reduce_any": [Sample((NONE,), {"axes": (0,)})],
    "reduce_all": [Sample((NONE,), {"axes": (0,)})],
    "cumsum": [Sample(((2, 0),), {"axis": 1, "reverse": True}), Sample(((2, 0),), {"axis": 0, "reverse": True})],
    "cumprod": [Sample(((2, 0),), {"axis": 1, "reverse": True}), Sample(((2, 0),), {"axis": 0, "reverse": True})],
    "recurrence": [Sample(((2, 0), (2, 0)), {"axis": axis, "reverse": axis == 0}) for axis in (0, 1)],
    "broadcast_to": [Sample(((1, 0),), {"shape": (2, 0)}), Sample(((2, 1),), {"shape": (2, 0)})],
    "slice": [Sample(((3,),), {"items": ((1, 0, 1),)}), Sample(((0, 3),), {"items": ((0, 0, 1), (2, 2, -1))})],
    "unslice": [Sample(((0, 3),), {"shape": (2, 3), **SPAN}), Sample(((0, 3),), {"shape": (0, 3), **SPAN})],
    "update_slice": [Sample(((2, 3), (0, 3)), SPAN), Sample(((0, 3), (0, 3)), SPAN)],
    "add_slice": [Sample(((2, 3), (0, 3)), SPAN), Sample(((0, 3), (0, 3)), SPAN)],
    "gather": [Sample(((3, 2), NONE), {"axes": (0,)}), Sample(((3, 0), [2, 2]), {"axes": (0,)})],
    "scatter_zeros": [Sample(((0, 2), NONE), {"shape": (3, 2), "axes": (0,)}),
                      Sample(((2, 0), [1, 1]), {"shape": (3, 0), "axes": (0,)})],
    "scatter_add": [Sample(((3, 2), (0, 2), NONE), {"axes": (0,)}), Sample(((0, 2), (0, 2), NONE), {"axes": (0,)})],
    "scatter_set": [Sample(((3, 2), (0, 2), NONE), {"axes": (0,)}), Sample(((3, 0), (2, 0), [1, 1]), {"axes": (0,)})],
    "matmul": [Sample(((2, 0), (0, 3))), Sample(((0, 2), (2, 3))), Sample(((0, 2, 3), (3, 2)))],
}  # fmt: skip


class Case(NamedTuple):
    prim: Primitive
    sample: Sample


def is_shape(operand: Any) -> bool:
    return isinstance(operand, tuple) and all(isinstance(size, int) for size in operand)


def operands(case: Case, dtype: str = "f64", seed: int = 0) -> list[Array]:
    """The operands of a sample, floats among them of `dtype`."""
    rng = np.random.default_rng(seed)
    made = []
    for operand in case.sample.operands:
        if is_shape(operand):
            array = np.asarray(rng.uniform(case.sample.low, case.sample.high, operand))
        else:
            array = np.asarray(operand, np.int64) if operand == NONE else np.asarray(operand)
        made.append(array.astype(NUMPY_NAMES[dtype]) if array.dtype.kind == "f" else array)
    of_bools = {"where": 1, "reduce_any": 1, "reduce_all": 1, "logical_not": 1, "logical_and": 2, "logical_or": 2}
    return [array.astype(bool) if k < of_bools.get(case.prim.name, 0) else array for k, array in enumerate(made)]


def aval_of(array: Array) -> Aval:
    return Aval(array.shape, DTYPES[array.dtype])


def graph_of(case: Case, arrays: Sequence[Array]) -> Graph:
    """The operator alone, on inputs like `arrays`."""
    builder = Builder()
    inputs = [builder.input(aval_of(array), f"x{k}") for k, array in enumerate(arrays)]
    graph = builder.finish(builder.emit(case.prim, inputs, params_for(case, arrays)))
    verify(graph)
    return graph


def params_for(case: Case, arrays: Sequence[Array]) -> dict[str, Any]:
    """The params of a sample; graphs that they hold in the float dtype of the arrays."""
    dtype = next((DTYPES[array.dtype] for array in arrays if array.dtype.kind == "f"), "f64")
    return {name: _retyped(value, dtype) if isinstance(value, Graph) else value
            for name, value in case.sample.params.items()}  # fmt: skip


def _retyped(region: Graph, dtype: str) -> Graph:
    builder = Builder()
    avals = [Aval(v.shape, dtype if v.aval.is_float else v.dtype) for v in region.inputs]
    inputs = [builder.input(aval, v.hint) for aval, v in zip(avals, region.inputs, strict=True)]
    return builder.finish(builder.inline(region, inputs))


def evaluate(graph: Graph, arrays: Sequence[Any], xp: Any = np) -> list[Any]:
    """One node after the other; each result must have the shape and the dtype that its rule foretold."""
    env: dict[int, Any] = {}
    for value, array in zip(graph.inputs, arrays, strict=True):
        assert aval_of(array) == value.aval
        env[value.id] = array
    for node in graph.nodes:
        made = results(node.prim, [env[value.id] for value in node.inputs], node.params, xp)
        for out, array in zip(node.outs, made, strict=True):
            assert aval_of(array) == out.aval, f"{node.prim.name}: {aval_of(array)}, not {out.aval}"
            env[out.id] = array
    return [env[value.id] for value in graph.outputs]


def results(prim: Primitive, arrays: Sequence[Any], params: dict[str, Any], xp: Any = np) -> tuple[Any, ...]:
    """What `eval` gives, as arrays: NumPy gives scalars for those without dims."""
    with np.errstate(all="ignore"):
        made = prim.eval(xp, *arrays, **params)
    made = made if isinstance(made, tuple) else (made,)
    return tuple(map(np.asarray, made)) if xp is np else made


def floats(values: Sequence[Any]) -> list[int]:
    """The positions of those that are floats."""
    return [k for k, value in enumerate(values) if DTYPES.get(value.dtype, value.dtype) in FLOATS]


def walk(*, empty: bool = False) -> list[Any]:
    """All samples of all primitives as pytest parameters; with `empty`, the cases without elements."""
    cases = [(prim, _empty(prim) if empty else prim.samples) for prim in registry().values()]
    return [
        pytest.param(Case(prim, s), id=f"{prim.name}-{k}") for prim, samples in cases for k, s in enumerate(samples)
    ]


def _empty(prim: Primitive) -> list[Sample]:
    """Elementwise operators broadcast against 0; the others are in the table, or have such a sample of their own."""
    if prim.name in EMPTY:
        return EMPTY[prim.name]
    arity = len(prim.samples[0].operands)
    if prim.kind != "elementwise":
        return [s for s in prim.samples if any(is_shape(x) and 0 in x for x in s.operands)]
    return [Sample(shapes) for shapes in ([((2, 0),)] if arity == 1 else [((0,), (0,)), ((2, 0), (2, 1)), ((), (0,))])]

"""Results that are written into memory with gaps, as those of a block are where the axis that is cut is not the first:
NumPy has loops of its own for some strides, and some of them are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from gradcli.ir.graph import apply
from gradcli.ir.primitive import Primitive, registry
from gradcli.plan import Tiling
from tests.ir.graphs import build
from tests.ops.test_into import PARAMS
from tests.plan.drawn import arrays_for
from tests.plan.spied import Array, ulps_between, watched

COUNT = 33  # more than a vector or two
STEPS = (1, 2, 3, 4, 8, 16)  # in elements
ELEMENTWISE = [prim for prim in registry().values() if prim.kind == "elementwise" and not prim.view]


def spaced(like: Array, step: int) -> Array:
    """The same numbers, `step` elements apart."""
    made = np.zeros(len(like) * step, like.dtype)[::step]
    made[...] = like
    return made


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("prim", ELEMENTWISE, ids=lambda prim: prim.name)
def test_every_elementwise_operator(prim: Primitive, dtype: str) -> None:
    assert prim.into is not None
    rng = np.random.default_rng(0)
    flags = "logical" in prim.name
    arrays = [np.asarray(rng.normal(size=COUNT), dtype) for _ in prim.samples[0].operands]
    for array in arrays:
        array[:4] = [np.inf, -np.inf, np.nan, 0.0]
    arrays = [array > 0 if flags or (k == 0 and prim.name == "where") else array for k, array in enumerate(arrays)]
    params = PARAMS.get(prim.name, {})
    with np.errstate(all="ignore"):
        want = prim.eval(np, *arrays, **params)
        for step in STEPS:
            own = [spaced(array, step) for array in arrays]
            for gap in STEPS:
                out = spaced(np.zeros_like(want), gap)
                prim.into(np, *own, out=out, **params)
                apart = (out != want) if want.dtype == bool else ulps_between(out, want)
                assert apart.max() <= (0 if want.dtype == bool else 2), (step, gap)


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16"])
@pytest.mark.parametrize("columns", [2, 4, 8])
def test_a_negative_in_columns(columns: int, dtype: str) -> None:
    """`argmax` needs whole columns, so that all is cut along the last axis."""
    graph = build(lambda x: (-apply("sin", x), apply("argmax", x, axis=0)), f"{dtype}[5, {columns}]")
    watched(graph, arrays_for(graph, 0), Tiling(rows=1))


def test_flags_in_columns() -> None:
    graph = build(lambda x: (apply("isfinite", x), apply("argmax", x, axis=0)), "f64[20, 2]")
    watched(graph, arrays_for(graph, 0, special=True), Tiling(rows=1))

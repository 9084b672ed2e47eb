"""Every primitive × sample: shapes and dtypes as foretold, and derivatives of order one, two and three.

`check` compares the vjp of a graph with central differences, along a random direction and under a random cotangent;
the gradient is a graph again, so order two is `check` of what `check` has made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gradcli.ad.reverse import reverse
from gradcli.ir.aval import EPS
from gradcli.ir.graph import Graph
from gradcli.ir.primitive import Primitive, registry
from gradcli.ir.verify import verify
from tests.ops.samples import Array, Case, aval_of, evaluate, floats, graph_of, operands, walk

STEP = 6e-6  # about the cube root of the rounding unit, where both errors of a central difference are least
WALK = walk()
SMOOTH = [
    case
    for case in WALK
    if case.values[0].sample.differentiable
    and floats(operands(case.values[0]))
    and floats(graph_of(case.values[0], operands(case.values[0])).outputs)
]
PRIMITIVES = [pytest.param(prim, id=prim.name) for prim in registry().values()]
FLAT = [param for param in PRIMITIVES if param.values[0].flat or param.values[0].stops]


def check(graph: Graph, wrt: Sequence[int], outputs: Sequence[int], arrays: Sequence[Array], order: int) -> None:
    """⟨ct, ∂f·v⟩ by central differences is ⟨vjp(ct), v⟩, for the outputs at `outputs`; and so on to `order`."""
    rng = np.random.default_rng(order)
    gradient = reverse(graph, wrt, sens="inputs", outputs=outputs)
    verify(gradient)
    cts = [rng.normal(size=graph.outputs[k].shape) for k in outputs]
    way = {k: rng.normal(size=arrays[k].shape) for k in wrt}

    def along(step: float) -> float:
        moved = [array + step * way[k] if k in way else array for k, array in enumerate(arrays)]
        found = evaluate(graph, moved)
        return sum(float(np.vdot(ct, found[k])) for ct, k in zip(cts, outputs, strict=True))

    made = evaluate(gradient, [*arrays, *cts])
    gradients = range(len(graph.outputs), len(made))
    found = sum(float(np.vdot(made[k], way[w])) for k, w in zip(gradients, wrt, strict=True))
    assert np.isfinite(found)
    slope = (along(STEP) - along(-STEP)) / (2 * STEP)
    scale = max([1.0, *(float(abs(array).max(initial=0)) for array in made)])
    assert_allclose(found, slope, rtol=1e-7, atol=1e-8 * scale)
    if order > 1:
        weights = range(len(graph.inputs), len(gradient.inputs))
        check(gradient, [*wrt, *weights], list(gradients), [*arrays, *cts], order - 1)


# ── the record ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prim", PRIMITIVES)
def test_every_primitive_has_samples(prim: Primitive) -> None:
    assert prim.samples
    assert prim.doc


@pytest.mark.parametrize("prim", [param for param in PRIMITIVES if param not in FLAT])
def test_every_primitive_has_a_derivative_or_says_that_it_has_none(prim: Primitive) -> None:
    assert prim.vjp is not None
    tried = {case.values[0].prim.name for case in SMOOTH}
    between_bools = {"logical_and", "logical_or", "logical_not", "reduce_any", "reduce_all"}
    assert prim.name in tried | between_bools, "no sample on which the derivative is tried"


@pytest.mark.parametrize("prim", FLAT)
def test_nothing_flows_through_what_is_flat_or_stops(prim: Primitive) -> None:
    assert prim.vjp is not None
    for sample in prim.samples:
        graph = graph_of(Case(prim, sample), operands(Case(prim, sample)))
        assert prim.vjp(graph.outputs, graph.inputs, graph.outputs, **sample.params) == (None,) * len(graph.inputs)


def test_every_primitive_of_operands_is_tried_on_arrays_without_elements() -> None:
    tried = {case.values[0].prim.name for case in walk(empty=True)}
    assert {prim.name for prim in registry().values() if prim.samples[0].operands} <= tried


# ── shapes and dtypes ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16"])
@pytest.mark.parametrize("case", WALK)
def test_the_shape_rule_foretells_the_result_and_floats_stay_as_wide_as_they_are(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    found = evaluate(graph_of(case, arrays), arrays)
    if "dtype" in case.sample.params:
        return  # cast, and what is made from nothing: the rule says which
    assert {aval_of(array).dtype for array in found} <= {dtype, "i64", "bool"}


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("case", SMOOTH)
def test_narrow_floats_give_what_wide_ones_give_to_rounding(case: Case, dtype: str) -> None:
    """Value and gradients, computed in the narrow dtype throughout, against f64 on the same numbers."""
    narrow = operands(case, dtype)
    wide = [array.astype("f8") if array.dtype.kind == "f" else array for array in narrow]
    rng = np.random.default_rng(1)
    results = []
    for arrays in (narrow, wide):
        graph = graph_of(case, arrays)
        gradient = reverse(graph, floats(graph.inputs), sens="inputs")
        if not results:
            outs = [graph.outputs[k] for k in floats(graph.outputs)]
            cts = [rng.normal(size=out.shape).astype(narrow[floats(narrow)[0]].dtype) for out in outs]
        own = [np.asarray(ct, aval) for ct, aval in zip(cts, _dtypes(gradient, len(arrays)), strict=True)]
        results.append(evaluate(gradient, [*arrays, *own]))
    for found, expected in zip(*results, strict=True):
        if found.dtype == "int64":
            continue
        scale = float(abs(expected).max(initial=1.0))
        assert_allclose(found.astype("f8"), expected, rtol=16 * EPS[dtype], atol=8 * EPS[dtype] * scale)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("case", SMOOTH)
def test_gradients_of_gradients_stay_as_narrow_as_their_operands(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    graph = graph_of(case, arrays)
    wrt = floats(graph.inputs)
    first = reverse(graph, wrt)
    second = reverse(first, wrt, outputs=range(len(graph.outputs), len(first.outputs)))
    found = evaluate(second, arrays)
    assert [aval_of(array) for array in found[len(first.outputs) :]] == [aval_of(arrays[k]) for k in wrt]


def _dtypes(gradient: Graph, n_inputs: int) -> list[str]:
    names = {"f16": "float16", "f32": "float32", "f64": "float64"}
    return [names[value.dtype] for value in gradient.inputs[n_inputs:]]


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16"])
@pytest.mark.parametrize("case", walk(empty=True))
def test_arrays_without_elements(case: Case, dtype: str) -> None:
    """Value and gradient have their shapes and dtypes, and whatever elements they have are finite."""
    arrays = operands(case, dtype)
    graph = graph_of(case, arrays)
    results = evaluate(graph, arrays)
    wrt = floats(graph.inputs)
    if wrt and floats(graph.outputs):
        gradient = reverse(graph, wrt)
        verify(gradient)
        results = evaluate(gradient, arrays)
        assert [a.shape for a in results[len(graph.outputs) :]] == [arrays[k].shape for k in wrt]
    assert all(np.isfinite(array).all() for array in results)


# ── derivatives ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", SMOOTH)
def test_the_vjp_agrees_with_central_differences(case: Case) -> None:
    arrays = operands(case)
    graph = graph_of(case, arrays)
    check(graph, floats(arrays), floats(graph.outputs), arrays, order=1)


@pytest.mark.parametrize("case", SMOOTH)
def test_the_second_order_agrees_with_central_differences(case: Case) -> None:
    arrays = operands(case, seed=2)
    graph = graph_of(case, arrays)
    check(graph, floats(arrays), floats(graph.outputs), arrays, order=2)


@pytest.mark.parametrize("case", [case for case in SMOOTH if case.values[0].prim.kind == "elementwise"])
def test_the_third_order_agrees_with_central_differences(case: Case) -> None:
    arrays = operands(case, seed=3)
    graph = graph_of(case, arrays)
    check(graph, floats(arrays), floats(graph.outputs), arrays, order=3)


@pytest.mark.parametrize("case", SMOOTH)
def test_the_vjp_is_linear_in_the_cotangent(case: Case) -> None:
    rng = np.random.default_rng(4)
    arrays = operands(case)
    graph = graph_of(case, arrays)
    gradient = reverse(graph, floats(arrays), sens="inputs")
    outs = [graph.outputs[k] for k in floats(graph.outputs)]
    first, second = ([rng.normal(size=out.shape) for out in outs] for _ in range(2))
    first, second = ([np.asarray(ct, d) for ct, d in zip(cts, _dtypes(gradient, len(arrays)), strict=True)]
                     for cts in (first, second))  # fmt: skip
    both = [2 * a - 3 * b for a, b in zip(first, second, strict=True)]
    of_first, of_second, of_both, of_none = (
        evaluate(gradient, [*arrays, *cts])[len(graph.outputs) :]
        for cts in (first, second, both, [np.zeros_like(ct) for ct in first])
    )
    eps = max(EPS[value.dtype] for value in gradient.inputs[len(arrays) :])
    for a, b, c, zero in zip(of_first, of_second, of_both, of_none, strict=True):
        scale = float(abs(a).max(initial=0.0) + abs(b).max(initial=0.0))
        assert_allclose(c, 2 * a - 3 * b, rtol=16 * eps, atol=16 * eps * scale)
        assert not zero.any()


@pytest.mark.parametrize("case", SMOOTH)
def test_each_operand_alone_has_the_gradient_that_it_has_among_all(case: Case) -> None:
    arrays = operands(case)
    graph = graph_of(case, arrays)
    together = evaluate(reverse(graph, floats(arrays)), arrays)[len(graph.outputs) :]
    for position, expected in zip(floats(arrays), together, strict=True):
        (found,) = evaluate(reverse(graph, [position]), arrays)[len(graph.outputs) :]
        np.testing.assert_array_equal(found, expected)

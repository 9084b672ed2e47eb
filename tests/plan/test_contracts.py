"""What plans take for granted of every operator: that its record tells where its result lies in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.primitive import Primitive, Sample, registry

WALK = [
    pytest.param(prim, sample, id=f"{prim.name}-{k}")
    for prim in registry().values()
    for k, sample in enumerate(prim.samples)
]


def operands(sample: Sample) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    made = []
    for operand in sample.operands:
        if isinstance(operand, tuple) and all(isinstance(size, int) for size in operand):
            made.append(np.asarray(rng.uniform(sample.low, sample.high, operand)))
        else:
            made.append(np.asarray(operand))
    return made


def dtype_name(array: np.ndarray[Any, Any]) -> str:
    return next(name for name, long in NUMPY_NAMES.items() if long == array.dtype.name)


def results(prim: Primitive, arrays: list[Any], params: dict[str, Any]) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        made = prim.eval(np, *arrays, **params)
    return made if isinstance(made, tuple) else (made,)


@pytest.mark.parametrize(("prim", "sample"), WALK)
def test_only_views_share_memory_with_an_operand(prim: Primitive, sample: Sample) -> None:
    arrays = operands(sample)
    for result in results(prim, arrays, sample.params):
        shared = [k for k, array in enumerate(arrays) if np.shares_memory(result, array)]
        assert shared == ([0] if prim.view and result.size else [])


@pytest.mark.parametrize(("prim", "sample"), WALK)
def test_results_are_of_the_inferred_avals(prim: Primitive, sample: Sample) -> None:
    arrays = operands(sample)
    avals = prim.infer(*[Aval(array.shape, dtype_name(array)) for array in arrays], **sample.params)
    for aval, result in zip(avals, results(prim, arrays, sample.params), strict=True):
        assert np.shape(result) == tuple(aval.shape)
        assert np.asarray(result).dtype == NUMPY_NAMES[aval.dtype]


@pytest.mark.parametrize(("prim", "sample"), [p for p in WALK if p.values[0].ufunc is not None])  # type: ignore[union-attr]
def test_a_ufunc_is_what_eval_calls(prim: Primitive, sample: Sample) -> None:
    if sample.params:
        pytest.skip("steps with params call eval")
    arrays = operands(sample)
    (expected,) = results(prim, arrays, {})
    with np.errstate(all="ignore"):
        found = getattr(np, prim.ufunc or "")(*arrays)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("prim", "sample"), [p for p in WALK if p.values[0].overwrites is not None])  # type: ignore[union-attr]
def test_what_overwrites_an_operand_does_so_only_when_asked(prim: Primitive, sample: Sample) -> None:
    arrays = operands(sample)
    before = [array.copy() for array in arrays]
    (expected,) = results(prim, arrays, sample.params)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)
    target = arrays[prim.overwrites or 0]
    found = prim.eval(np, *arrays, out=target, **sample.params)
    assert found is target
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("prim", [p for p in registry().values() if p.accumulate], ids=lambda p: p.name)
def test_what_accumulates_names_an_operator_that_overwrites(prim: Primitive) -> None:
    """`add(acc, this(v, *rest, shape=…))` is the other's `(acc, v, *rest)`."""
    other = registry()[prim.accumulate or ""]
    assert other.overwrites == 0
    for sample in prim.samples:
        arrays = operands(sample)
        (sparse,) = results(prim, arrays, sample.params)
        total = np.ones_like(sparse)
        params = {name: value for name, value in sample.params.items() if name != "shape"}
        (found,) = results(other, [total, *arrays], params)
        np.testing.assert_allclose(found, total + sparse, rtol=1e-12)

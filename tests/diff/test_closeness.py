"""Distances between arrays: units in the last place, the worst element, and what a tolerance allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gradcli.diff.closeness import compare_arrays, distance
from gradcli.facts.differences import Tolerance

DTYPES: dict[str, Any] = {"f16": np.float16, "f32": np.float32, "f64": np.float64}
PAIRS = st.sampled_from([*DTYPES]).flatmap(
    lambda name: st.tuples(*[arrays.from_dtype(np.dtype(DTYPES[name]), allow_nan=False, allow_infinity=False)] * 2)
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_ulp_is_the_next_float(dtype: str) -> None:
    kind = DTYPES[dtype]
    for number in (0.0, 1.0, -1.0, 5e-6, np.finfo(kind).max, np.finfo(kind).tiny):
        a = np.asarray(number, kind)
        b = np.nextafter(a, kind(-np.inf))
        assert int(distance(a, np.asarray(b, kind))) == 1


@given(PAIRS)
def test_ulps_are_a_distance(pair: tuple[Any, Any]) -> None:
    a, b = map(np.asarray, pair)
    there, back = int(distance(a, b)), int(distance(b, a))
    assert there == back
    assert (there == 0) == bool(a == b)  # also of zeros of either sign
    assert there == int(distance(-a, -b))


def test_across_all_numbers() -> None:
    top = np.asarray(np.finfo(np.float64).max)
    assert int(distance(top, -top)) == 2 * (2047 * 2**52 - 1)


@pytest.mark.parametrize(
    ("tolerance", "agrees"),
    [
        (Tolerance(), True),
        (Tolerance(ulps=0), False),
        (Tolerance(ulps=1), False),
        (Tolerance(ulps=2), True),
        (Tolerance(rtol=1e-17), False),
        (Tolerance(rtol=1e-15), True),
        (Tolerance(atol=1e-15, ulps=0), True),
        (Tolerance(rtol=0.0, atol=1e-17), False),
    ],
)
def test_what_a_tolerance_allows(tolerance: Tolerance, agrees: bool) -> None:
    left = np.array([1.0, 1.0 + 2**-51])
    assert (compare_arrays(left, np.ones(2), "f64", tolerance) is None) == agrees


def test_the_worst_element() -> None:
    worst = compare_arrays(np.array([[1, 2], [3, 4.5]]), np.array([[1.0, 2.25], [3, 4]]), "f64", Tolerance())
    assert worst is not None
    assert (worst.index, worst.left, worst.right, worst.count, worst.size) == ((1, 1), "4.5", "4", 2, 4)
    assert (worst.absolute, worst.relative, worst.ulps) == (0.5, 0.125, 2**49)


@pytest.mark.parametrize(("left", "right", "agrees"), [
    ("nan", "nan", True), ("inf", "inf", True), ("inf", "-inf", False), ("nan", "1", False), ("1e308", "inf", False),
])  # fmt: skip
def test_what_is_not_finite(left: str, right: str, agrees: bool) -> None:
    for tolerance in (Tolerance(), Tolerance(ulps=10), Tolerance(rtol=1.0, atol=1.0)):
        worst = compare_arrays(np.array(float(left)), np.array(float(right)), "f64", tolerance)
        assert (worst is None) == agrees
        assert worst is None or worst.ulps is None


def test_integers_are_compared_exactly() -> None:
    worst = compare_arrays(np.array([2**62 + 1]), np.array([2**62]), "i64", Tolerance())
    assert worst is not None
    assert (worst.absolute, worst.ulps) == (1.0, None)
    low, high = np.array([-(2**63)]), np.array([2**63 - 1])
    assert compare_arrays(low, high, "i64", Tolerance()).absolute == 2.0**64  # type: ignore[union-attr]
    assert compare_arrays(np.array([True]), np.array([False]), "bool", Tolerance()).absolute == 1  # type: ignore[union-attr]


def test_arrays_without_elements_agree() -> None:
    assert compare_arrays(np.zeros((0, 3)), np.zeros((0, 3)), "f64", Tolerance(ulps=0)) is None

"""Numbers: the shortest digits that give back the value in its dtype, for people, for JSON, and in summaries."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcli.report.arrays import LARGE, Drawing, draw, shape_text
from gradcli.report.numbers import for_people, json_array, json_number, norm, shortest

INF = float("inf")


@pytest.mark.parametrize(
    ("dtype", "values", "texts"),
    [
        ("f4", [4.51, 0.1, 16777216, 1e-45, 3.4028235e38], ["4.51", "0.1", "16777216.0", "1e-45", "3.4028235e+38"]),
        ("f2", [4.51, 0.1, 65504, 6e-8], ["4.51", "0.1", "65500.0", "6e-08"]),
        ("f8", [4.51, 0.1, 1e22, 5e-324], ["4.51", "0.1", "1e+22", "5e-324"]),
        ("f4", [np.nan, INF, -INF, -0.0], ["nan", "inf", "-inf", "-0.0"]),
        ("i8", [2**63 - 1, -(2**63)], ["9223372036854775807", "-9223372036854775808"]),
        ("i4", [0, -7], ["0", "-7"]),
        ("?", [True, False], ["true", "false"]),
    ],
)
def test_the_shortest_digits_of_each_dtype(dtype: str, values: list[Any], texts: list[str]) -> None:
    assert shortest(np.array(values, dtype)) == texts


@pytest.mark.parametrize(("dtype", "width"), [("f2", 16), ("f4", 32), ("f8", 64)])
def test_the_digits_give_back_the_value(dtype: str, width: Any) -> None:
    @given(st.floats(width=width, allow_nan=False))
    def check(value: float) -> None:
        (text,) = shortest(np.array([value], dtype))
        assert np.array(text, dtype) == np.array(value, dtype)

    check()


def test_people_see_no_fraction_that_says_nothing() -> None:
    assert for_people(np.array([10.0, 4.51, np.nan], "f4")) == ["10", "4.51", "nan"]


def test_a_precision_rounds_and_never_invents_digits() -> None:
    array = np.array([4.51, 1 / 3, 123456.0], "f4")
    assert for_people(array, 3) == ["4.51", "0.333", "123456"]
    assert for_people(array, 17) == for_people(array)
    assert for_people(np.array([1 / 3], "f8"), 2) == ["0.33"]
    assert for_people(np.array([123456789]), 2) == ["123456789"]


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (3,), (2, 3), (2, 1, 2)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "?"])
def test_json_has_the_shape_and_the_values(shape: tuple[int, ...], dtype: str) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    assert json.loads(json_array(array)) == array.tolist()


def test_json_has_no_numbers_that_are_none() -> None:
    assert json_array(np.array([np.nan, INF, -INF, 1.5], "f4")) == '["nan", "inf", "-inf", 1.5]'
    assert json_number(INF) == '"inf"'


def test_a_number_is_written_in_the_dtype_that_holds_it() -> None:
    assert json_number(float(np.float32(4.51)), "f32") == "4.51"
    assert json_number(1e6, "f16") == "1000000.0"  # beyond f16
    assert json_number(0.1, "i64") == "0.1"


@pytest.mark.parametrize("scale", [1.0, 1e300, 1e-300, 5e-324])
def test_the_norm_neither_overflows_nor_vanishes(scale: float) -> None:
    assert norm(np.array([3.0, -4.0]) * scale) == pytest.approx(5 * scale)


def test_the_norm_of_special_arrays() -> None:
    assert norm(np.zeros((0, 3))) == 0
    assert norm(np.array([1.0, -INF])) == INF
    assert np.isnan(norm(np.array([1.0, np.nan, INF])))
    assert norm(np.array([True, False])) == 1


# ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────


def drawn(array: Any, **how: Any) -> str:
    return "\n".join(draw(np.asarray(array), Drawing(**how)))


def test_decimal_points_stand_below_each_other() -> None:
    rows = drawn(np.array([[4.51, 2.7], [1e-5, np.nan], [-10, 300]], "f4")).splitlines()
    assert rows == ["[[  4.51     2.7]", " [  1e-05  nan  ]", " [-10      300  ]]"]


def test_scalars_and_arrays_without_elements() -> None:
    assert drawn(np.float32(4.51)) == "4.51"
    assert drawn(np.zeros((2, 0, 3))) == "[] (no elements, 2×0×3)"
    assert (shape_text(()), shape_text((2, 3))) == ("scalar", "2×3")


def test_blocks_of_three_axes_stand_apart() -> None:
    assert drawn(np.arange(8).reshape(2, 2, 2)) == "[[[0  1]\n  [2  3]]\n\n [[4  5]\n  [6  7]]]"


def test_long_rows_go_on_below_their_first_number() -> None:
    assert drawn(np.arange(100, 106), width=11) == "[100  101\n 102  103\n 104  105]"


def test_a_large_array_is_its_facts_and_its_corners() -> None:
    array = np.arange(240.0).reshape(24, 10)
    array[0, 1] = np.nan
    assert drawn(array) == (
        "min 0 · max 239 · mean 119.996 · norm nan\n"
        "zeros 1 · non-finite 1\n"
        "[[  0  nan    2  …    7    8    9]\n"
        " [ 10   11   12  …   17   18   19]\n"
        " [ 20   21   22  …   27   28   29]\n"
        " …\n"
        " [210  211  212  …  217  218  219]\n"
        " [220  221  222  …  227  228  229]\n"
        " [230  231  232  …  237  238  239]]"
    )
    assert drawn(array, full=True).count("\n") == 23
    assert drawn(np.arange(LARGE)).count("…") == 0
    assert drawn(np.arange(LARGE + 1)).endswith("\n[0  1  2  …  198  199  200]")


def test_facts_keep_to_the_width() -> None:
    lines = drawn(np.linspace(-1 / 3, 1 / 7, 300), width=30).splitlines()
    assert all(len(line) <= 30 for line in lines)
    assert lines[:2] == ["min -0.333333 · max 0.142857", "mean -0.0952381 · norm 2.90309"]


@pytest.mark.parametrize("shape", [(300,), (300, 1), (7, 7, 7), (4, 4, 4, 4), (2,) * 9, (50, 2, 2, 50), (201, 0)])
def test_a_summary_is_short_whatever_the_shape(shape: tuple[int, ...]) -> None:
    text = drawn(np.ones(shape))
    assert len(text.split()) < 1300
    assert text.count("[") == text.count("]")


def test_a_large_array_that_is_not_finite_or_not_of_floats() -> None:
    assert drawn(np.full(300, np.nan)).startswith("zeros 0 · non-finite 300\n")
    assert drawn(np.ones(300, bool)).startswith("300 of 300 are true\n")
    assert drawn(np.full(300, 1.7e308)).startswith("min 1.7e+308 · max 1.7e+308 · mean 1.7e+308 · norm inf\n")

"""Colourings are valid, compressed columns give back the matrix, known matrices take the known number of colours."""

from __future__ import annotations

import time
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcli.ad import coloring
from gradcli.ad.coloring import color_columns, color_rows, color_stars, count, symmetric, symmetric_sources, transposed
from gradcli.ad.sparsity import Pattern

Array = np.ndarray[Any, Any]


def pattern_of(flags: Array) -> Pattern:
    rows, columns = np.nonzero(flags)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(flags)))])
    return Pattern(*flags.shape, indptr, columns)


def flags_of(pattern: Pattern) -> Array:
    flags = np.zeros((pattern.rows, pattern.columns), bool)
    flags[pattern.row_numbers(), pattern.indices] = True
    return flags


def banded(n: int, reach: int) -> Pattern:
    """With the elements at most `reach` from the diagonal."""
    columns = np.arange(n)[:, None] + np.arange(-reach, reach + 1)
    inside = (columns >= 0) & (columns < n)
    return Pattern(n, n, np.concatenate([[0], np.cumsum(inside.sum(axis=1))]), columns[inside])


def arrow(n: int, tip: int = 0) -> Pattern:
    """The diagonal, and a full row and column."""
    others = np.delete(np.arange(n), tip)
    rows = np.concatenate([np.arange(n), np.full(n - 1, tip), others])
    columns = np.concatenate([np.arange(n), others, np.full(n - 1, tip)])
    order = np.lexsort((columns, rows))
    return Pattern(n, n, np.concatenate([[0], np.cumsum(np.bincount(rows))]), columns[order])


def blocks(n: int, size: int) -> Pattern:
    columns = np.arange(n).reshape(-1, 1, size).repeat(size, axis=1).reshape(-1)
    return Pattern(n, n, np.arange(n + 1) * size, columns)


@st.composite
def matrices(draw: Any, square: bool = False) -> Array:
    rows = draw(st.integers(0, 9))
    columns = rows if square else draw(st.integers(0, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    made = rng.random((rows, columns)) < draw(st.sampled_from([0.05, 0.2, 0.4, 0.8, 1.0]))
    return made | made.T if square else made


# ── columns and rows ────────────────────────────────────────────────────────────────────────────────────────


def valid_columns(flags: Array, colors: Array) -> bool:
    used = flags.any(axis=0)
    apart = all(
        colors[i] != colors[j] for i, j in combinations(range(len(colors)), 2) if (flags[:, i] & flags[:, j]).any()
    )
    return apart and bool((colors[used] >= 0).all() and (colors[~used] == coloring.NONE).all())


@settings(max_examples=150)
@given(matrices())
def test_columns_that_share_a_row_differ(flags: Array) -> None:
    pattern = pattern_of(flags)
    assert valid_columns(flags, color_columns(pattern))
    assert valid_columns(flags.T, color_rows(pattern))
    np.testing.assert_array_equal(flags_of(transposed(pattern)), flags.T)


@given(matrices())
def test_columns_are_read_from_their_sums(flags: Array) -> None:
    colors = color_columns(pattern_of(flags))
    matrix = np.where(flags, np.random.default_rng(0).normal(size=flags.shape), 0.0)
    seeds = (colors[:, None] == np.arange(count(colors))).astype(float)
    read = (matrix @ seeds)[:, colors] if count(colors) else matrix
    np.testing.assert_array_equal(np.where(flags, read, 0.0), matrix)


@given(matrices())
def test_colours_that_would_take_too_much_memory_are_one_for_each_column(flags: Array) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coloring, "BITS", 0)
        colors = color_columns(pattern_of(flags))
    assert valid_columns(flags, colors)
    assert count(colors) == flags.any(axis=0).sum()


# ── stars ───────────────────────────────────────────────────────────────────────────────────────────────────


def valid_stars(flags: Array, colors: Array) -> bool:
    """Neighbours differ, and no path of four vertices has two colours; by looking at all of them."""
    n = len(flags)
    near = [[w for w in range(n) if flags[v, w] and v != w] for v in range(n)]
    if any(colors[v] == colors[w] for v in range(n) for w in near[v]):
        return False
    paths = (
        (a, b, c, d) for b in range(n) for c in near[b] for a in near[b] if a != c for d in near[c] if d not in (a, b)
    )
    return all(len({colors[v] for v in path}) > 2 for path in paths)


def recovered(pattern: Pattern, colors: Array, matrix: Array) -> Array:
    sums = np.stack([matrix[:, colors == c].sum(axis=1) for c in range(count(colors))]) if count(colors) else None
    found = np.zeros_like(matrix)
    which, rows = symmetric_sources(pattern, colors)
    if sums is not None:
        found[pattern.row_numbers(), pattern.indices] = sums[which, rows]
    return found


@settings(max_examples=200)
@given(matrices(square=True))
def test_stars_are_valid_and_give_back_the_matrix(flags: Array) -> None:
    pattern = pattern_of(flags)
    half = np.where(flags, np.random.default_rng(1).normal(size=flags.shape), 0.0)
    matrix = np.tril(half) + np.tril(half, -1).T
    for order in (range(len(flags)), range(len(flags))[::-1]):
        colors = coloring._stars(pattern, order)
        assert valid_stars(flags, colors)
        np.testing.assert_array_equal(recovered(pattern, colors, matrix), matrix)
    np.testing.assert_array_equal(recovered(pattern, color_stars(pattern), matrix), matrix)
    assert count(color_stars(pattern)) <= count(color_columns(pattern))


def test_colours_that_are_no_stars_are_refused() -> None:
    with pytest.raises(ValueError, match="no star colouring"):
        symmetric_sources(banded(4, 1), np.array([0, 1, 0, 1]))


@given(matrices())
def test_what_has_no_mirror_image_is_left_out(flags: Array) -> None:
    n = min(flags.shape)
    flags = flags[:n, :n]
    np.testing.assert_array_equal(flags_of(symmetric(pattern_of(flags))), flags & flags.T)


# ── known numbers, and size ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [4, 5, 50, 100_000])
def test_a_band_takes_as_many_colours_as_it_is_wide(n: int) -> None:
    for reach in (1, 2):
        pattern = banded(n, reach)
        assert count(color_stars(pattern)) <= 2 * reach + 1
        assert count(color_columns(pattern)) == min(2 * reach + 1, n)


def test_a_tridiagonal_matrix_takes_three_stars() -> None:
    assert count(color_stars(banded(1000, 1))) == 3


@pytest.mark.parametrize("tip", [0, 3, 49])
def test_an_arrow_takes_two_stars_and_as_many_columns_as_it_has(tip: int) -> None:
    pattern = arrow(50, tip)
    assert count(color_stars(pattern)) == 2
    assert count(color_columns(pattern)) == 50


def test_a_diagonal_takes_one_and_nothing_takes_none() -> None:
    assert count(color_stars(banded(9, 0))) == 1
    assert count(color_stars(pattern_of(np.zeros((3, 3), bool)))) == 0
    assert count(color_columns(pattern_of(np.zeros((3, 0), bool)))) == 0


@pytest.mark.parametrize("pattern", [banded(100_000, 1), arrow(100_000), arrow(100_000, 99_999), blocks(100_000, 5)],
                         ids=["tridiagonal", "arrow", "arrow-last", "blocks"])  # fmt: skip
def test_a_hundred_thousand_columns(pattern: Pattern) -> None:
    start = time.process_time()
    colors = color_stars(pattern)
    assert count(colors) <= 5
    symmetric_sources(pattern, colors)
    assert time.process_time() - start < 30  # not a measurement: the difference between n and n²


def test_a_wide_row_does_not_take_memory_for_each_of_its_colours() -> None:
    assert count(color_columns(arrow(100_000))) == 100_000

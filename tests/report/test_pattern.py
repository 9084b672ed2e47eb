"""The drawing of a pattern is small whatever the size, and well-formed; its facts as lines."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from gradcli.report.pattern import CELLS, _shaded, svg, table
from gradcli.request import SparseMatrix

Array = np.ndarray[Any, Any]


def matrix_of(flags: Array, **how: Any) -> SparseMatrix:
    rows, columns = np.nonzero(flags)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(flags)))])
    about: dict[str, Any] = {
        "output": (len(flags),),
        "input": (flags.shape[1],),
        "colors": 3,
        "mode": "star",
    }
    return SparseMatrix(np.ones(len(rows)), columns, indptr, flags.shape, **(about | how))


def tridiagonal(n: int) -> SparseMatrix:
    columns = np.arange(n)[:, None] + np.array([-1, 0, 1])
    inside = (columns >= 0) & (columns < n)
    indptr = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    return SparseMatrix(np.ones(indptr[-1]), columns[inside], indptr, (n, n), (n,), (n,), 3, "star")


def drawn(matrix: SparseMatrix) -> Array:
    """The cells of a drawing, read back from its paths."""
    down, across = (min(size, CELLS) for size in matrix.shape)
    cells = np.zeros((down, across), bool)
    for x, y, wide, back in re.findall(r"M(\d+) (\d+)h(\d+)v1H(\d+)z", svg(matrix, "H")):
        assert x == back
        cells[int(y), int(x) : int(x) + int(wide)] = True
    return cells


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (1, 9), (9, 1), (0, 3), (3, 0), (1, 1)])
def test_a_small_pattern_is_drawn_element_by_element(shape: tuple[int, int]) -> None:
    flags = np.random.default_rng(0).random(shape) < 0.5
    np.testing.assert_array_equal(drawn(matrix_of(flags)), flags)
    ElementTree.fromstring(svg(matrix_of(flags), "H"))


@pytest.mark.parametrize("n", [301, 1000, 100_000])
def test_a_large_pattern_is_drawn_in_a_small_file(n: int) -> None:
    text = svg(tridiagonal(n), "H")
    assert len(text) < 40_000
    cells = drawn(tridiagonal(n))
    assert cells.shape == (CELLS, CELLS)
    rows, columns = np.nonzero(cells)
    assert abs(rows - columns).max() <= 1
    assert cells.diagonal().all()


def test_fuller_cells_are_darker_and_thin_lines_stay_visible() -> None:
    flags = np.eye(3000, dtype=bool)
    flags[:10, 1500:1510] = True
    shades = _shaded(matrix_of(flags))
    assert shades[0, 150] == shades.max()
    assert 0 < shades[100, 100] < shades.max()


def test_every_element_is_in_some_cell_whatever_the_size() -> None:
    flags = np.random.default_rng(1).random((317, 455)) < 0.001
    rows, columns = np.nonzero(flags)
    expected = np.zeros((300, 300), bool)
    expected[rows * 300 // 317, columns * 300 // 455] = True
    np.testing.assert_array_equal(_shaded(matrix_of(flags)) > 0, expected)


def test_a_title_is_text() -> None:
    root = ElementTree.fromstring(svg(tridiagonal(5), "f <x> & y" + "z" * 100))
    title = root.findtext("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.startswith("f <x> & yzz")
    assert "…: 5 × 5 · 13 non-zeros · density 0.52 · 3 colours, star" in title


def test_the_facts() -> None:
    flags = np.ones((6, 4), bool)
    made = matrix_of(flags, output=(2, 3), input=(4,), colors=4, mode="forward")
    assert table(made) == [
        "pattern     6 × 4  (2×3 by 4)",
        "non-zeros   24  (4 a row)",
        "density     1",
        "colours     4",
        "passes      4",
        "mode        forward",
    ]
    assert table(tridiagonal(100_000))[:3] == [
        "pattern     100_000 × 100_000",
        "non-zeros   299_998  (3 a row)",
        "density     3e-05",
    ]

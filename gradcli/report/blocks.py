"""Blocks of a Jacobian or Hessian on a page: drawn as matrices, or where they are sparse as facts and elements."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from gradcli.report.arrays import CUT, GAP, SUMMARY_DIGITS, Drawing, draw, draw_matrix, shape_text
from gradcli.report.numbers import for_people
from gradcli.request import Entry, SparseMatrix

SHOWN = 6  # elements of a sparse block


def shape_of(entry: Entry) -> str:
    """`2×3 × 4`: the dims of what is differentiated, those of what by."""
    return " × ".join(map(shape_text, entry.sides))


def draw_block(entry: Entry, drawing: Drawing) -> list[str]:
    """The lines of one block."""
    if entry.matrix is not None:
        return _sparse(entry.matrix, drawing)
    rows, columns = entry.sides
    if not rows or not columns:
        return draw(entry.array, drawing)
    return draw_matrix(entry.array.reshape(prod(rows), prod(columns)), drawing)


def _sparse(matrix: SparseMatrix, drawing: Drawing) -> list[str]:
    """What there is to say of the pattern, then elements with their row and column."""
    from gradcli.report import pattern

    count = matrix.nnz if drawing.full else min(matrix.nnz, SHOWN)
    digits = SUMMARY_DIGITS if drawing.precision is None and not drawing.full else drawing.precision
    places = [f"[{row}, {column}]" for row, column in elements(matrix, count)]
    width = max(map(len, places), default=0)
    numbers = for_people(matrix.data[:count], digits)
    lines = [f"{place:<{width}}{GAP}{number}" for place, number in zip(places, numbers, strict=True)]
    return [*pattern.table(matrix), *lines, *([CUT] if count < matrix.nnz else [])]


def elements(matrix: SparseMatrix, count: int | None = None) -> Iterator[tuple[int, int]]:
    """Row and column of each element, or of the first `count`, in the order of `data`."""
    import numpy as np

    columns = matrix.indices[:count]
    rows = np.searchsorted(matrix.indptr, np.arange(len(columns)), side="right") - 1
    return zip(rows.tolist(), columns.tolist(), strict=True)

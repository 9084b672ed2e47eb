"""The page of a result for a pipe or a file: no width limit, no colour, no box characters, and no import of Rich."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from gradcli.report.layout import GAP, INDENT, Grid, Page


def render(page: Page) -> str:
    """The whole page, ending in a newline."""
    lines = [f" {page.heading}"]
    for number, grid in enumerate(page.grids):
        lines.extend([""] * (number > 0))
        lines.extend(_lines(grid))
    return "\n".join(lines) + "\n"


def _lines(grid: Grid) -> Iterator[str]:
    widths = grid.widths()
    for row in (tuple((title,) for title in grid.titles), *grid.rows):
        for cells in zip_longest(*row, fillvalue=""):
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            yield (" " * INDENT + (" " * GAP).join(padded)).rstrip()

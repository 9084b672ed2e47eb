"""The page of a result for a pipe or a file: no width limit, no colour, no box characters, and no import of Rich."""

from __future__ import annotations

from gradcli.report.layout import GAP, INDENT, Page


def render(page: Page) -> str:
    """The whole page, ending in a newline."""
    lines = [f" {page.heading}"]
    for number, grid in enumerate(page.grids):
        lines.extend([""] * (number > 0))
        lines.extend((" " * INDENT + (" " * GAP).join(cells)).rstrip() for cells in grid.lines())
    return "\n".join(lines) + "\n"

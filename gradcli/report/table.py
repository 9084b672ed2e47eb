"""The page of a result on a terminal, drawn by Rich. Imported only where something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

from gradcli.report.layout import GAP, INDENT, Page

NAMES = ("output", "input", "param", "at", "by", "block")  # titles of the first column
STYLES = dict.fromkeys(NAMES, "cyan") | {"shape": "dim", "dtype": "dim", "why zero": "dim"}


def console(stream: TextIO, *, color: bool, width: int | None) -> Console:
    """A console that prints text as it is: no markup, no guessing at numbers, no emoji."""
    return Console(
        file=stream,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=color,
        no_color=not color,
        color_system="auto" if color else None,
        legacy_windows=False,
    )


def render(page: Page, stream: TextIO, *, color: bool, width: int) -> None:
    """Writes `page` to `stream`; the arrays in it were laid out for `width` columns already.

    What is wider all the same, as a single number can be, is left to the terminal to wrap: nothing is cut.
    """
    drawn = console(stream, color=color, width=width)
    drawn.print(Text(f" {page.heading}", style="bold"), soft_wrap=True)
    for number, grid in enumerate(page.grids):
        if number:
            drawn.print()
        styles = [STYLES.get(title, "") for title in grid.titles]
        for row, cells in enumerate(grid.lines()):
            drawn.print(_line(cells, styles if row else ["dim"] * len(cells)), soft_wrap=True)


def _line(cells: Sequence[str], styles: Sequence[str]) -> Text:
    gaps = [INDENT, *[GAP] * (len(cells) - 1)]
    line = Text()
    for gap, cell, style in zip(gaps, cells, styles, strict=True):
        line.append(" " * gap).append(cell.rstrip(), style).append(" " * (len(cell) - len(cell.rstrip())))
    line.rstrip()
    return line

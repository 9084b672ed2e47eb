"""The page of a result on a terminal, drawn by Rich. Imported only where something is drawn."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradcli.report.layout import GAP, INDENT, Cell, Grid, Page

NAMES = ("output", "input", "param", "at", "by")  # titles of the first column
STYLES = dict.fromkeys(NAMES, "cyan") | {"shape": "dim", "dtype": "dim", "zero because": "yellow"}


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
    """Writes `page` to `stream`; the arrays in it were laid out for `width` columns already."""
    drawn = console(stream, color=color, width=width)
    drawn.print(Text(f" {page.heading}", style="bold"), soft_wrap=True)
    for number, grid in enumerate(page.grids):
        if number:
            drawn.print()
        # Wider than the terminal where one name or one array row is: numbers are never cut.
        needed = INDENT + sum(grid.widths()) + GAP * len(grid.titles)
        drawn.print(_table(grid), soft_wrap=True, width=max(width, needed), crop=False)


def _table(grid: Grid) -> Table:
    table = Table(box=None, show_edge=False, pad_edge=True, padding=(0, GAP - INDENT, 0, INDENT), header_style="dim")
    for title in grid.titles:
        table.add_column(Text(title), style=STYLES.get(title, ""), no_wrap=True, overflow="ignore")
    for row in grid.rows:
        table.add_row(*map(_text, row))
    return table


def _text(cell: Cell) -> Text:
    return Text("\n".join(cell), no_wrap=True, overflow="ignore")

"""A result as a page of text: a heading and tables of cells, which `plain` and `table` then write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import TextWrapper
from typing import Any

from gradcli.record import record, replace
from gradcli.report.arrays import Drawing, draw, shape_text
from gradcli.report.blocks import draw_block, shape_of
from gradcli.report.findings import Finding, grouped, index_lines, reason_lines
from gradcli.report.signs import columns, padded, printable
from gradcli.request import Entry, Result

INDENT, GAP = 2, 3
NARROWEST = 24  # columns that an array gets on however narrow a terminal

BLOCK = "block"  # the title of the first column of matrices
WHY = "why zero"
ZERO, MOST_ZEROS = "0 everywhere", 6  # for more lines of zeros

Cell = tuple[str, ...]  # the lines of one cell


@record
class Grid:
    """One table: column titles, and rows of cells of one or several lines."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def widths(self) -> list[int]:
        """How wide each column is at least."""
        whole = zip(self.titles, *self.rows, strict=True)
        return [max(map(columns, (title, *(line for cell in cells for line in cell)))) for title, *cells in whole]

    def width(self, gap: int = GAP) -> int:
        """Of the whole, with its indent and the gaps."""
        return INDENT + sum(self.widths()) + gap * (len(self.titles) - 1)

    def lines(self) -> Iterator[tuple[str, ...]]:
        """Every line as its cells, titles first, padded so that they stand below each other."""
        widths = self.widths()
        for row in (tuple((title,) for title in self.titles), *self.rows):
            for cells in zip_longest(*row, fillvalue=""):
                yield tuple(map(padded, cells, widths))


def without_columns(one: Grid, width: int, first_to_go: Sequence[str], gap: int = GAP) -> Grid:
    """Without columns, by their titles, where the terminal is too narrow for all."""
    for title in first_to_go:
        if one.width(gap) <= width:
            break
        keep = [k for k, name in enumerate(one.titles) if name != title]
        rows = tuple(tuple(row[k] for k in keep) for row in one.rows)
        one = Grid(tuple(one.titles[k] for k in keep), rows)
    return one


@record
class Page:
    """What is printed of a result."""

    heading: str
    grids: tuple[Grid, ...]


def page(result: Result, drawing: Drawing) -> Page:
    """Values first where they were asked for, then derivatives, then what is said of their zero elements."""
    grids = []
    if result.values is not None:
        grids.append(_grid("output", "value", result.values, drawing))
    if result.verb != "eval":
        grids.append(_grid(_first(result), noun(result), result.derivatives, drawing))
        grids.extend(_elements(entry, drawing) for entry in result.derivatives if entry.elements is not None)
    return Page(heading(result), tuple(grids))


def noun(result: Result) -> str:
    """What the derivatives of a result are called, one of them; the value where it has none."""
    if result.products:
        return "product"
    return {"grad": "gradient", "eval": "value", "jvp": "tangent", "jac": "Jacobian", "hess": "Hessian"}[result.verb]


def heading(result: Result) -> str:
    """`model.net · net Net · sens s.npy · numpy, 1 thread`"""
    parts = [printable(result.model).replace("\n", " "), f"net {result.net}"]
    if result.sens:
        parts.append(sens_text(result.sens))
    if result.along:
        parts.append(along_text(result))
    parts.append(result.ran_on)
    return " · ".join(parts)


def sens_text(sens: Sequence[dict[str, Any]]) -> str:
    """`sens: ones (implicit)`, `sens s.npy`, or one `NAME=…` for each of several outputs."""
    if all(one["kind"] == "ones" for one in sens):
        return "sens: ones (implicit)"
    shown = [_source(one) for one in sens]
    if len(sens) == 1:
        return f"sens {shown[0]}"
    return "sens " + ", ".join(f"{one['output']}={text}" for one, text in zip(sens, shown, strict=True))


def along_text(result: Result) -> str:
    """`tangent x=t.npy, y=[1, 0]`, `vec x=random:1`"""
    label = "tangent" if result.verb == "jvp" else "vec"
    return f"{label} " + ", ".join(f"{one['wrt']}={_source(one)}" for one in result.along or ())


def _source(one: dict[str, Any]) -> str:
    """What was given, on one line."""
    return " ".join(printable(str(one.get("source") or one["kind"])).split())


def _first(result: Result) -> str:
    """The title of the first column: `input` and `param` where all are by such, `by` where they are mixed."""
    if result.tangents or result.blocks:
        return "output" if result.tangents else BLOCK
    kinds = {entry.kind for entry in result.derivatives}
    return kinds.pop() if len(kinds) == 1 else "by" if kinds else "input"


def _grid(first: str, last: str, entries: Sequence[Entry], drawing: Drawing) -> Grid:
    """A column says why something is zero, where something is."""
    rows = list(entries if drawing.full else grouped(entries))
    facts = Grid((first, "shape", "dtype"), tuple(_facts(row, first == BLOCK) for row in rows))
    reasons = Grid((WHY,), tuple((reason_lines(_zero(row)),) for row in rows))
    any_reason = any(any(lines) for (lines,) in reasons.rows)
    if drawing.width is not None:
        left = drawing.width - INDENT - sum(facts.widths()) - GAP * len(facts.titles)
        if any_reason:
            reasons = _narrowed(reasons, left // 2)
            left -= reasons.widths()[0] + GAP
        drawing = replace(drawing, width=max(left, NARROWEST))
    more = reasons if any_reason else Grid((), ((),) * len(rows))
    drawn = [_drawn(row, drawing, first == BLOCK) for row in rows]
    return Grid(
        (*facts.titles, last, *more.titles),
        tuple((*fact, array, *why) for fact, array, why in zip(facts.rows, drawn, more.rows, strict=True)),
    )


def _zero(row: Entry | Finding) -> dict[str, Any] | None:
    return row.entries[0].zero if isinstance(row, Finding) else row.zero


def _narrowed(grid: Grid, width: int) -> Grid:
    """Cells whose lines go on below each other, rather than be wider; a place is never broken."""
    wrapper = TextWrapper(max(width, NARROWEST), break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")
    rows = tuple((tuple(part for line in lines for part in wrapper.wrap(line) or [""]),) for (lines,) in grid.rows)
    return Grid(grid.titles, rows)


def _elements(entry: Entry, drawing: Drawing) -> Grid:
    """Which elements are zero, and why."""
    rows = tuple((index_lines(zero, entry, full=drawing.full), reason_lines(zero)) for zero in entry.zeros or ())
    return Grid((f"zeros of {_name(entry)}", WHY), rows or ((("none",), ("",)),))


def _name(entry: Entry) -> str:
    return entry.name.removeprefix("value/") if entry.kind == "value" else entry.name


def _facts(row: Entry | Finding, block: bool) -> tuple[Cell, ...]:
    """Name, shape and dtype; of a whole layer how many params it has."""
    if isinstance(row, Finding):
        dtypes = dict.fromkeys(entry.dtype for entry in row.entries)
        return ((f"{row.name} ({len(row.entries)} params)",), ("",), (", ".join(dtypes),))
    return ((_name(row),), (shape_of(row) if block else shape_text(row.array.shape),), (row.dtype,))


def _drawn(row: Entry | Finding, drawing: Drawing, block: bool) -> Cell:
    """The array; of one that is zero no more than a few lines."""
    if isinstance(row, Finding):
        return (ZERO,)
    lines = tuple(draw_block(row, drawing) if block else draw(row.array, drawing))
    return (ZERO,) if len(lines) > MOST_ZEROS and row.zero and not drawing.full else lines

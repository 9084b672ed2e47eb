"""Errors as people read them: headline, place, the line with its marks, the other places, notes and the repair.

    error[SHP201]: matmul inner sizes differ: 3 against 2
      --> model.net:9:10
       |
     9 |   return x @ y
       |          ^   - y is f32[2, 3]
       |          |
       |          x is f32[2, 3]
       |
       = help: `x @ y.T` has matching sizes

Places on one line share an excerpt; those on other lines, or in other files, have excerpts of their own. Columns are
counted as a terminal draws them, so marks stand under wide letters, tabs and accents where they should.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gradcli.report.excerpts import Excerpt, Line, Mark, Text, excerpts
from gradcli.report.forms import as_line
from gradcli.report.signs import paint, printable, whole_words
from gradcli.syntax.diagnostics import Diagnostic, Label, Span


def render_all(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    """Each in full, with an empty line between them."""
    return "\n".join(render(diagnostic, color=color) for diagnostic in diagnostics)


def render(diagnostic: Diagnostic, *, color: bool = False) -> str:
    """One diagnostic in full, ending in a newline."""
    kind, code = diagnostic.severity, diagnostic.code
    title = whole_words(diagnostic.message).replace("\n", "\n  ")
    lines = [f"{paint(f'{kind}[{code}]', kind, color=color)}{paint(f': {title}', 'bold', color=color)}"]
    return "\n".join(line.rstrip() for line in [*lines, *_below(diagnostic, color)]) + "\n"


def render_places(spans: Iterable[Span | None], *, color: bool = False) -> str:
    """Excerpts of several places, each with its own carets; nothing for None."""
    alone = [Diagnostic("", "", span) for span in spans if span is not None]
    parts = [part for diagnostic in alone for part in excerpts(diagnostic)]
    gutter = max((len(str(line.number)) for part in parts for line in part.lines), default=1)
    rail = Rail(gutter, "error", color)
    lines = [line for number, part in enumerate(parts) for line in rail.excerpt(part, first=number == 0)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _below(diagnostic: Diagnostic, color: bool) -> list[str]:
    """What stands below a headline."""
    lines: list[str] = []
    parts = excerpts(diagnostic)
    gutter = max((len(str(line.number)) for part in parts for line in part.lines), default=1)
    rail = Rail(gutter, diagnostic.severity, color)
    for number, part in enumerate(parts):
        lines.extend(rail.excerpt(part, first=number == 0))
    remarks = [("note", note) for note in diagnostic.notes]
    remarks += [("note", f"{other.text} (at {other.span.place})") for other in _unplaced(diagnostic, parts)]
    remarks += [("help", diagnostic.help)] if diagnostic.help else []
    if remarks and parts:
        lines.append(rail.bar())
    for name, text in remarks:
        lines.extend(rail.remark(name, text))
    return lines


def render_short(diagnostic: Diagnostic, *, color: bool = False) -> str:
    """One line; what a run prints of a note."""
    line = as_line(diagnostic)
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    return line.replace(head, paint(head, diagnostic.severity, color=color), 1) + "\n"


def _unplaced(diagnostic: Diagnostic, parts: Sequence[Excerpt]) -> list[Label]:
    return [] if parts else [*diagnostic.others]


class Rail:
    """Lines with the gutter before them: ` 9 | …`."""

    def __init__(self, gutter: int, severity: str, color: bool) -> None:
        self.gutter, self.severity, self.color = gutter, severity, color

    def paint(self, text: str, style: str) -> str:
        return paint(text, style, color=self.color)

    def bar(self, text: str = "", number: int | None = None) -> str:
        shown = "" if number is None else str(number)
        return self.paint(f" {shown:>{self.gutter}} |", "rail") + (f" {text}" if text else "")

    def remark(self, name: str, text: str) -> Iterator[str]:
        head, *rest = whole_words(text).split("\n")
        yield f" {'':{self.gutter}} {self.paint('=', 'rail')} {self.paint(name, name)}: {head}"
        for line in rest:
            yield f" {'':{self.gutter}}   {'':{len(name)}}  {line}"

    def excerpt(self, part: Excerpt, *, first: bool) -> Iterator[str]:
        if not first:
            yield self.bar()
        arrow = "-->" if first else ":::"
        yield f"{'':{self.gutter}} {self.paint(arrow, 'rail')} {printable(part.place)}"
        yield self.bar()
        last: Line | None = None
        for line in part.lines:
            if last is not None and line.number > last.number + 1:
                yield self.paint("...", "rail")
            yield self.bar(line.text, line.number)
            for row in _marks(line.marks):
                yield self.bar("".join(self.paint(text, self._style(style)) for text, style in row))
            last = line

    def _style(self, style: str) -> str:
        return self.severity if style == "primary" else "rail"


Row = list[tuple[str, str]]  # pieces of text with their style: "primary" or "other"


def _marks(marks: Sequence[Mark]) -> Iterator[Row]:
    """The rows below a line: carets with the last label beside them, then the other labels, hanging, right to left."""
    row = Text()
    # Short marks are drawn over long ones, the primary one over its equals, so that each of nested places is seen.
    for mark in sorted(marks, key=lambda mark: (mark.start - mark.end, mark.style == "primary")):
        row.put(mark.start, ("^" if mark.style == "primary" else "-") * (mark.end - mark.start), mark.style)
    labelled = [mark for mark in marks if mark.label]
    beside = max(labelled, key=lambda mark: (mark.end, mark.start), default=None)
    if beside is not None and beside.end < row.length():
        beside = None  # an unlabelled mark stands to its right
    after: list[str] = []
    if beside is not None:
        head, *after = beside.label.split("\n")
        row.put(beside.end + 1, head, beside.style)
    hanging = [mark for mark in labelled if mark is not beside]
    yield row.pieces()
    if after and beside is not None and not hanging:
        for text in after:
            yield Text().put(beside.end + 1, text, beside.style).pieces()
    elif after and beside is not None:
        hanging.append(Mark(beside.start, beside.end, "\n".join(after), beside.style))
    if hanging:
        yield _stems(hanging).pieces()
    left = sorted(hanging, key=lambda mark: mark.start)
    while left:
        mark = left.pop()
        for text in mark.label.split("\n"):
            below = _stems([other for other in left if other.start < mark.start])
            yield below.put(mark.start, text, mark.style).pieces()


def _stems(marks: Iterable[Mark]) -> Text:
    row = Text()
    for mark in marks:
        row.put(mark.start, "|", mark.style)
    return row

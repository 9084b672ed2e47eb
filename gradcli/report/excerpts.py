"""Which lines of which files an error shows, with its marks in terminal columns.

A span over several lines is marked on its first and its last one. A line longer than 110 columns is shown as a window
around its marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradcli.record import record, replace
from gradcli.report.signs import TAB, printable, shown, width
from gradcli.syntax.diagnostics import Diagnostic, Source, Span

LONGEST = 110  # columns of a source line
BEFORE = 40  # columns kept to the left of the first mark of a long line
CUT = "…"


@record
class Mark:
    """Columns `start` to `end` (exclusive, never empty) below a line; `style` is "primary" or "other"."""

    start: int
    end: int
    label: str
    style: str


@record
class Line:
    """One line of a source as it is shown."""

    number: int
    text: str
    marks: tuple[Mark, ...]


@record
class Excerpt:
    """Lines of one file, below the place that they are about."""

    place: str
    lines: tuple[Line, ...]


class Text:
    """A row that is written into at columns."""

    def __init__(self) -> None:
        self._cells: list[tuple[str, str]] = []

    def put(self, column: int, text: str, style: str) -> Text:
        """Overwrites from `column` on."""
        self._cells += [(" ", "")] * (column + len(text) - len(self._cells))
        self._cells[column : column + len(text)] = [(letter, style) for letter in text]
        return self

    def length(self) -> int:
        return len(self._cells)

    def pieces(self) -> list[tuple[str, str]]:
        """Runs of one style, for colouring."""
        runs: list[tuple[str, str]] = []
        for letter, style in self._cells:
            if runs and runs[-1][1] == style:
                runs[-1] = (runs[-1][0] + letter, style)
            else:
                runs.append((letter, style))
        return runs


@record
class _Piece:
    """The part of a span that lies on one line; `start` and `end` count letters from 0."""

    source: Source
    line: int
    start: int
    end: int
    label: str
    style: str


def excerpts(diagnostic: Diagnostic) -> list[Excerpt]:
    """The primary place first, with what lies on its lines or beside them; then each other place."""
    if diagnostic.span is None:
        spans = [(other.span, other.text, "other") for other in diagnostic.others]
    else:
        spans = [(diagnostic.span, diagnostic.label, "primary")]
        spans += [(other.span, other.text, "other") for other in diagnostic.others]
    groups: list[tuple[Span, list[_Piece]]] = []
    for span, label, style in spans:
        pieces = _pieces(span, printable(label), style)
        near = next((kept for _, kept in groups if _touch(kept, pieces)), None)
        if near is None:
            groups.append((span, pieces))
        else:
            near.extend(pieces)
    return [Excerpt(span.place, tuple(_lines(pieces))) for span, pieces in groups]


def _pieces(span: Span, label: str, style: str) -> list[_Piece]:
    source = span.source
    end = span.end
    while end > span.start + 1 and source.text[end - 1 : end] in ("\n", "\r"):
        end -= 1
    first, column = source.locate(span.start)
    last, end_column = source.locate(max(end - 1, span.start))
    end_column += end > span.start  # exclusive, but on the line of what comes before it
    if first == last:
        return [_Piece(source, first, column - 1, max(end_column - 1, column), label, style)]
    text = source.line(last)
    indent = len(text) - len(text.lstrip())
    opening = source.line(first)
    return [
        _Piece(source, first, column - 1, max(len(opening.rstrip()), column), "", style),
        _Piece(source, last, min(indent, end_column - 2), max(end_column - 1, 1), label, style),
    ]


def _touch(kept: Sequence[_Piece], new: Sequence[_Piece]) -> bool:
    """Whether a place belongs into an excerpt: on its lines, or on a line beside them."""
    if kept[0].source is not new[0].source:
        return False
    lines = [piece.line for piece in kept]
    return any(min(lines) - 1 <= piece.line <= max(lines) + 1 for piece in new)


def _lines(pieces: Iterable[_Piece]) -> Iterable[Line]:
    by_line: dict[int, list[_Piece]] = {}
    for piece in pieces:
        by_line.setdefault(piece.line, []).append(piece)
    for number in sorted(by_line):
        yield _line(number, by_line[number])


def _line(number: int, pieces: list[_Piece]) -> Line:
    text = pieces[0].source.line(number)
    low, high = _window(text, pieces)
    before, after = (CUT if low else ""), (CUT if high < len(text) else "")
    columns = [len(before)]
    letters = [before]
    for letter in text[low:high]:
        if letter == "\t":
            step = TAB - columns[-1] % TAB
            letters.append(" " * step)
        else:
            letters.append(shown(letter))
            step = width(letters[-1])
        columns.append(columns[-1] + step)
    marks = [_mark(piece, columns, low) for piece in pieces]
    return Line(number, "".join([*letters, after]).rstrip(), tuple(marks))


def _mark(piece: _Piece, columns: list[int], low: int) -> Mark:
    last = len(columns) - 1
    start = min(max(piece.start - low, 0), last)
    end = min(max(piece.end - low, 0), last)
    mark = Mark(columns[start], columns[end], piece.label, piece.style)
    return mark if mark.end > mark.start else replace(mark, end=mark.start + 1)


def _window(text: str, pieces: list[_Piece]) -> tuple[int, int]:
    """The letters of a line that are shown: all, or those around the first place that is marked on it."""
    if len(text) <= LONGEST:
        return 0, len(text)
    first = pieces[0]
    wanted = [piece for piece in pieces if abs(piece.start - first.start) < LONGEST - BEFORE]
    left = min(piece.start for piece in wanted)
    low = max(0, min(left - BEFORE, len(text) - LONGEST))
    return (0, LONGEST) if low < 8 and left < LONGEST - 8 else (low, min(low + LONGEST, len(text)))

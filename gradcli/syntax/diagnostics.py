"""Errors as values: what went wrong, where, which other place matters, and a repair.

A `Diagnostic` is data only; `report/` draws it. Every place in a model file is a `Span`: a half-open range
of characters in a `Source`. This module imports nothing of gradcli, so every room may use it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal, NamedTuple

from gradcli.record import field, record

Severity = Literal["error", "warning", "note"]

DONE, NO, USAGE, ENVIRONMENT, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 70, 130


@record(eq=False)
class Source:
    """One text that diagnostics can point into: a file, standard input, or an expression of the command line."""

    name: str  # as shown to the user: a path, `<stdin>`, `<expression>`, `-i x`
    text: str
    prelude: bool = False  # errors inside the prelude are shown at the line that called it
    starts: list[int] = field(default_factory=list)

    def line_starts(self) -> list[int]:
        """Offsets at which lines begin; lines end at `\\n` only."""
        if not self.starts:
            self.starts.append(0)
            position = self.text.find("\n")
            while position >= 0:
                self.starts.append(position + 1)
                position = self.text.find("\n", position + 1)
        return self.starts

    def locate(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of the character at `offset`."""
        starts = self.line_starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its end."""
        starts = self.line_starts()
        end = starts[number] - 1 if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r")


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of `source`."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.locate(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.locate(self.start)[1]

    @property
    def place(self) -> str:
        """`model.net:9:10`"""
        line, column = self.source.locate(self.start)
        return f"{self.source.name}:{line}:{column}"

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """From the beginning of this span to the end of `other`."""
        return Span(self.source, self.start, other.end)


class Label(NamedTuple):
    """Another place that matters, and why."""

    span: Span
    text: str


@record
class Diagnostic:
    """`message` stands alone as a headline; `label` is the text under the caret; `help` is a real repair or None."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    others: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        where = f"{self.span.place}: " if self.span else ""
        return f"{where}{self.severity}[{self.code}]: {self.message}"


class ModelError(Exception):
    """A model, its data or its use was refused; carries every independent diagnostic that was found.

    `exit_code` is what the command line exits with: 2 for models and data, 3 for the environment.
    """

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic], exit_code: int = USAGE) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        self.exit_code = exit_code
        super().__init__("\n".join(map(str, self.diagnostics)))


def fail(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    label: str = "",
    others: Iterable[Label] = (),
    notes: Iterable[str] = (),
    help: str | None = None,
    exit_code: int = USAGE,
) -> ModelError:
    """A `ModelError` with one diagnostic, ready to be raised."""
    return ModelError(Diagnostic(code, message, span, label, tuple(others), tuple(notes), help), exit_code)


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a, b, c`, or `a, b, … and 40 more`; long names are cut."""
    every = [name if len(name) <= 60 else f"{name[:57]}…" for name in names]
    text = ", ".join(every[:most])
    return text if len(every) <= most else f"{text}, … and {len(every) - most:_} more"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant, or None."""
    from difflib import get_close_matches

    cutoff = 0.6 if len(word) > 4 else 0.7  # short words are alike by chance
    found = get_close_matches(word, sorted(set(words)), n=1, cutoff=cutoff)
    return found[0] if found else None

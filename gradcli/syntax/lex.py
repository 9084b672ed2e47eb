"""Text → tokens. What cannot be a token is reported here, and the token that was meant takes its place.

So the parser meets only tokens of the grammar, and one wrong character costs one message. Positions are offsets in
code points, so a caret stands right under any script.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cache
from typing import NamedTuple

from gradcli.record import field, record
from gradcli.syntax.diagnostics import Diagnostic, Label, ModelError, Source, Span
from gradcli.syntax.tables import tables

LIMIT = 20  # errors reported for one file
BLANKS = " \t\r\f"


class Token(NamedTuple):
    """A kind of the grammar (`NAME`, `->`, `return`) and where it stands. `_END` ends a statement, `` the text."""

    kind: str
    start: int
    end: int


@record(frozen=False)
class Problems:
    """The errors of one text, as they are found."""

    source: Source
    found: list[Diagnostic] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    def add(
        self,
        code: str,
        message: str,
        start: int,
        end: int,
        *,
        label: str = "",
        others: tuple[Label, ...] = (),
        notes: tuple[str, ...] = (),
        help: str | None = None,
    ) -> None:
        """Report an error at the characters `start` to `end`."""
        span = Span(self.source, start, end)
        self.found.append(Diagnostic(code, message, span, label, others, notes, help))
        self.offsets.insert(bisect_left(self.offsets, start), start)

    def label(self, token: Token, text: str) -> tuple[Label, ...]:
        """One other place that matters."""
        return (Label(Span(self.source, token.start, token.end), text),)

    def within(self, start: int, end: int) -> bool:
        """Whether an error was found from `start` up to and with `end`."""
        at = bisect_left(self.offsets, start)
        return at < len(self.offsets) and self.offsets[at] <= end

    @property
    def full(self) -> bool:
        return len(self.found) >= LIMIT

    def raise_any(self) -> None:
        """Raise what was found, in the order of the text; nothing where all is well."""
        if self.found:
            self.found.sort(key=lambda each: each.span.start if each.span else 0)
            raise ModelError(self.found[:LIMIT])


def scan(source: Source, problems: Problems) -> tuple[list[Token], list[Span]]:
    """The tokens of `source` without blanks, and its comments. The last token is an `_END` of no width."""
    text = source.text
    words = tables().words
    tokens: list[Token] = []
    comments: list[Span] = []
    if "\0" in text:
        at = text.index("\0")
        problems.add("SYN017", "a NUL byte: this is no text file", at, at + 1)
        problems.raise_any()
    new, add = tuple.__new__, tokens.append  # `Token(…)` itself takes twice as long
    for match in _scanner().finditer(text):
        kind = match.lastgroup
        if kind is None:
            end = match.end()
            kind = match[0].lstrip(BLANKS)
            add(new(Token, (kind, end - len(kind), end)))
            continue
        start, end = match.span(kind)
        if kind == "NAME":
            word = text[start:end]
            if word in words:
                kind = word
            elif not word.isascii():
                _mend(kind, start, end, tokens, problems)
                continue
        elif kind == "COMMENT":
            comments.append(Span(source, start, end))
            continue
        elif kind == "BLANK":
            continue
        elif kind.startswith("WRONG"):
            _mend(kind, start, end, tokens, problems)
            if problems.full:
                problems.raise_any()
            continue
        add(new(Token, (kind, start, end)))
    tokens.append(Token("_END", len(text), len(text)))
    return tokens, comments


@cache
def _scanner() -> re.Pattern[str]:
    """One match for each token, blanks before it included."""
    return re.compile(f"[{BLANKS}]*(?:{tables().scanner})")


def _mend(kind: str, start: int, end: int, tokens: list[Token], problems: Problems) -> None:
    """What is no token, reported; loaded when there is something to mend."""
    from gradcli.syntax.mend import mend

    mend(kind, start, end, tokens, problems)

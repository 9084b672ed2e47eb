"""Where a token cannot stand: what the rules of `explain.py` look at, and what they answer."""

from __future__ import annotations

from typing import NamedTuple

from gradcli.record import record
from gradcli.syntax.lex import Problems, Token


@record
class Situation:
    """The token at `position` came where one of `expected` should; its statement begins at token `begin`."""

    problems: Problems
    tokens: list[Token]
    position: int
    begin: int
    expected: frozenset[str]
    level: str  # items, statements, expression

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    @property
    def before(self) -> Token:
        """The token before, of the same statement; of kind `` where this is the first."""
        return self.tokens[self.position - 1] if self.position > self.begin else Token("", 0, 0)

    @property
    def after(self) -> Token:
        return self.tokens[min(self.position + 1, len(self.tokens) - 1)]

    @property
    def first(self) -> Token:
        return self.tokens[self.begin]

    @property
    def begins(self) -> bool:
        return self.position == self.begin

    def text(self, token: Token) -> str:
        return self.problems.source.text[token.start : token.end]

    def bracket(self) -> Token | None:
        """The innermost ( or [ that is open here."""
        depth = 0
        for token in reversed(self.tokens[self.begin : self.position]):
            if token.kind in (")", "]"):
                depth += 1
            elif token.kind in ("(", "["):
                if not depth:
                    return token
                depth -= 1
        return None

    def closing(self) -> Token | None:
        """The token after the bracket that closes the one at the current token."""
        depth = 0
        for number in range(self.position, len(self.tokens) - 1):
            kind = self.tokens[number].kind
            depth += (kind in ("(", "[")) - (kind in (")", "]"))
            if kind == "_END" and not depth:
                return None
            if not depth:
                return self.tokens[number + 1]
        return None

    @property
    def kinds(self) -> set[str]:
        """The kinds of the tokens of this statement up to here."""
        return {token.kind for token in self.tokens[self.begin : self.position]}

    def shown(self, token: Token) -> str:
        """The token in a message, cut where it is long."""
        text = self.text(token)
        return f"`{text}`" if len(text) <= 24 else f"`{text[:20]}…`"


class Found(NamedTuple):
    """An error: its code and message, the repair, and the token it is at, if it is another one."""

    code: str
    message: str
    help: str | None = None
    at: Token | None = None
    other: tuple[Token, str] | None = None

"""Text → syntax tree, or every independent syntax error at once.

Tokens (`lex.py`) are put in order (`brackets.py`) and walk through the LALR(1) tables that Lark made of
`grammar.lark` (`tables.py`), which call `build.py` at each reduction. The walk keeps two stacks and never recurses:
depth is bounded by memory only, time is linear in the text. After an error (`explain.py`) it goes back to the
enclosing list of statements and on behind the end of the broken one, so that one mistake costs one message.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from gradcli.collecting import uncollected
from gradcli.syntax import ast
from gradcli.syntax.brackets import arrange
from gradcli.syntax.build import Builder
from gradcli.syntax.diagnostics import Source, Span, fail
from gradcli.syntax.lex import Problems, Token, scan
from gradcli.syntax.tables import tables

EDITIONS = (2026,)
# What stands in for a header that is broken, so that the statements of its block are read all the same.
HEADER = ("net", "NAME", "(", ")")


def parse(source: Source) -> ast.Module:
    """The tree of a whole file; an empty file has no items. Raises ModelError with up to 20 errors of family SYN."""
    problems = Problems(source)
    with uncollected():
        tokens, comments = scan(source, problems)
        items = _Walk("module", arrange(tokens, problems), problems).run()
    _refuse_edition(source, tokens)
    problems.raise_any()
    return ast.Module(source, cast("tuple[ast.Item, ...]", items), tuple(comments))


def _refuse_edition(source: Source, tokens: list[Token]) -> None:
    """A file of another edition is one error, whatever else this edition does not understand in it."""
    spoken = [token for token in tokens[:50] if token.kind != "_END"]
    if len(spoken) > 1 and source.text[spoken[0].start : spoken[0].end] == "edition" and spoken[1].kind == "INT":
        year = source.text[spoken[1].start : spoken[1].end].replace("_", "")
        if year not in map(str, EDITIONS):
            newer = len(year) > 4 or int(year) > max(EDITIONS)
            year = year if len(year) < 20 else f"{year[:8]}…"
            raise fail(
                "EDN001",
                f"edition {year} needs another gradcli: this one knows edition {', '.join(map(str, EDITIONS))}",
                Span(source, spoken[1].start, spoken[1].end),
                help="upgrade: `pip install -U gradcli`" if newer else None,
            )


def parse_expression(source: Source) -> ast.Expr:
    """The tree of one expression, as after `-e`, `-i` and `--sens`; newlines are free. Raises ModelError likewise."""
    problems = Problems(source)
    tokens, _ = scan(source, problems)
    arranged = arrange(tokens, problems)
    plain = [token for token in arranged if token.kind != "_END" or source.text.startswith(";", token.start)]
    expression = _Walk("expression", plain, problems).run()
    problems.raise_any()
    return cast(ast.Expr, expression)


@cache
def _lists() -> tuple[dict[int, str], frozenset[int]]:
    """States in which a list of items or statements may go on, and states right after the `{` of a block."""
    goes_on: dict[int, str] = {
        row[symbol]: symbol for row in tables().gotos for symbol in ("items", "statements") if symbol in row
    }
    opened = frozenset(row["{"] for row in tables().actions if row.get("{", -1) >= 0)
    return goes_on, opened


@cache
def _leaps() -> tuple[dict[str, dict[str, int]], ...]:
    """What `_leap` found, by state, symbol and kind of token: the states do not change, so it holds for every text."""
    return tuple({symbol: {} for symbol in row} for row in tables().gotos)


def _leap(below: int, state: int, symbol: str, kind: str) -> int:
    """From `state`, reached from `below` by `symbol`, past all rules of one member that a token of `kind` asks for.

    An `x` is an atom, a postfix, a power, … and an either: twelve steps that build nothing, taken at once.
    """
    table, end = tables(), state
    while (action := table.actions[end].get(kind, 0)) < 0 and not table.rules[~action][2]:
        end = table.gotos[below][table.rules[~action][0]]
    _leaps()[below][symbol][kind] = end
    return end


class _Walk:
    """One walk over the tables. `states`, `values`, `starts` and `ends` are stacks; a rule pops its members."""

    def __init__(self, start: str, tokens: list[Token], problems: Problems) -> None:
        self.tokens = [*tokens, Token("$END", len(problems.source.text), len(problems.source.text))]
        self.problems = problems
        self.start = start
        self.states = [tables().starts[start]]
        self.values: list[Any] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        builder = Builder(problems)
        self.rules = [
            (symbol, size, getattr(builder, method) if method else None, tuple(member - size for member in kept))
            for symbol, size, method, kept in tables().rules
        ]

    def run(self) -> Any:
        """The value of the whole text; None or a part of it where there are errors."""
        position = self._feed(self.tokens, 0)
        while position < len(self.tokens):
            position = self._feed(self.tokens, self._recover(position))
        return self.values[-1] if self.values else None

    def _feed(self, tokens: list[Token], position: int) -> int:
        """Take `tokens` from `position` on; the position of the first that cannot stand where it does, or their number.

        For each, reduce as far as it says, then shift it.
        """
        actions, gotos, final, leaps = tables().actions, tables().gotos, tables().ends[self.start], _leaps()
        states, values, starts, ends = self.states, self.values, self.starts, self.ends
        source, rules, new = self.problems.source, self.rules, tuple.__new__  # `Span(…)` takes twice as long
        for number in range(position, len(tokens)):
            token = tokens[number]
            kind, at, end = token
            while (action := actions[states[-1]].get(kind)) is not None and action < 0:
                symbol, size, method, kept = rules[~action]
                if method is None:  # its only member stands for itself
                    del states[-1]
                elif size:
                    start, stop = starts[-size], ends[-1]
                    span = new(Span, (source, start, stop))
                    if len(kept) == 1:
                        value = method(span, values[kept[0]])
                    elif len(kept) == 2:
                        value = method(span, values[kept[0]], values[kept[1]])
                    else:
                        value = method(span, *[values[member] for member in kept])
                    del states[-size:], values[-size:], starts[-size:], ends[-size:]
                    values.append(value)
                    starts.append(start)
                    ends.append(stop)
                else:
                    here = ends[-1] if ends else 0
                    values.append(method(Span(source, here, here)))
                    starts.append(here)
                    ends.append(here)
                below = states[-1]
                states.append(leaps[below][symbol].get(kind) or _leap(below, gotos[below][symbol], symbol, kind))
            if action is None:
                return number + (kind == "$END" and states[-1] == final)
            states.append(action)
            values.append(token)
            starts.append(at)
            ends.append(end)
        return len(tokens)

    def _takes(self, kind: str, at: int) -> bool:
        """Put in a token that is not in the text; False where it cannot stand."""
        return self._feed([Token(kind, at, at)], 0) == 1

    def _accepts(self, kind: str) -> bool:
        """Whether a token of this kind could be shifted: the reductions before it are walked, not made.

        LALR merges look-aheads, so a row of the table may name a token that a reduction later turns out to refuse.
        """
        table, depth, above = tables(), len(self.states), [self.states[-1]]
        while True:
            action = table.actions[above[-1]].get(kind)
            if action is None:
                return kind == "$END" and above[-1] == table.ends[self.start]
            if action >= 0:
                return True
            symbol, size, _, _ = table.rules[-1 - action]
            for _ in range(size):
                above.pop()
                if not above:
                    depth -= 1
                    above.append(self.states[depth - 1])
            above.append(table.gotos[above[-1]][symbol])

    # ── after an error ─────────────────────────────────────────────────────────────────────────────────────

    def _recover(self, position: int) -> int:
        """Report the token at `position`, which cannot stand there; the position to go on from."""
        token = self.tokens[position]
        begin = position
        while begin and self.tokens[begin - 1].kind not in ("_END", "{", "}"):
            begin -= 1
        expected = frozenset(kind for kind in tables().actions[self.states[-1]] if self._accepts(kind))
        level = self._level()
        follows = token.kind == "$END" or self.problems.within(self.tokens[begin].start, token.end)
        if not follows or not self.problems.found:
            from gradcli.syntax.explain import explain
            from gradcli.syntax.situation import Situation

            explain(Situation(self.problems, self.tokens, position, begin, expected, level))
        if self.problems.full or self.start == "expression":
            return len(self.tokens)
        start = self.tokens[begin].start
        if "{" in expected and token.kind == "_END":
            if self.tokens[position + 1].kind == "{":
                return position + 1
            if self._open_block(position):
                return position
            position = self._indented(position, start)
        self._back()
        return self._skip(position, start)

    def _back(self) -> None:
        """Drop what belongs to the broken statement."""
        goes_on, opened = _lists()
        while len(self.states) > 1 and self.states[-1] not in goes_on and self.states[-1] not in opened:
            for stack in (self.states, self.values, self.starts, self.ends):
                del stack[-1:]

    def _level(self) -> str:
        """Where the error is: in `items`, in `statements`, or in an `expression` of its own."""
        goes_on, opened = _lists()
        for state in reversed(self.states):
            if state in opened:
                return "statements"
            if state in goes_on:
                return goes_on[state]
        return "items" if self.start == "module" else "expression"

    def _open_block(self, position: int) -> bool:
        """Put in the `{` that is missing before `position`, if its `}` is there."""
        rest = [token.kind for token in self.tokens[position:]]
        _, opened = _lists()
        at = self.tokens[position].start
        blocks = sum(state in opened for state in self.states)
        return rest.count("}") - rest.count("{") > blocks and self._takes("{", at)

    def _indented(self, position: int, start: int) -> int:
        """From the end of a line to the end of the last line below it that is indented more than offset `start`."""
        locate = self.problems.source.locate
        indent = locate(start)[1]
        while self.tokens[position].kind == "_END" and locate(self.tokens[position + 1].start)[1] > indent:
            position += 1
            while self.tokens[position].kind not in ("_END", "{", "}", "$END"):
                position += 1
        return position

    def _skip(self, position: int, start: int) -> int:
        """Past the broken statement that starts at offset `start`; a block in it is still read."""
        while True:
            match self.tokens[position].kind:
                case "_END" if self.tokens[position - 1].kind == ":":  # a block as in Python
                    return self._indented(position, start)
                case "_END":
                    return position
                case "}" if self._level() == "statements":
                    return position
                case "$END":
                    return position if self._level() == "items" else len(self.tokens)
                case "{" if all(self._takes(kind, start) for kind in HEADER):
                    return position
            position += 1

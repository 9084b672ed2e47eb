"""The parser's tables: from `grammar.lark` by Lark, once; after that read from `_tables.py`.

Lark does the work that is hard: it reads the grammar, orders the terminals and computes the LALR(1) tables. That
takes a third of a second and importing Lark another 40 ms, so it is done by `tools/make_tables.py` and not at every
start. At run time a parser is only a walk over the tables (`parse.py`). Where `grammar.lark` is newer than
`_tables.py`, as while one is working on the grammar, the tables are made in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cache
from os.path import dirname, join
from typing import TYPE_CHECKING, Any, cast

from gradcli.record import record

if TYPE_CHECKING:
    from lark import Lark
    from lark.grammar import Rule
    from lark.lexer import TerminalDef
    from lark.parsers.lalr_analysis import ParseTable

GRAMMAR = join(dirname(dirname(__file__)), "grammar.lark")
STARTS = ("module", "expression")
WRONG = ("WRONG_NUMBER", "WRONG_OPERATOR", "WRONG_SIGN", "WRONG_STRING", "WRONG_QUOTES", "WRONG_CHARACTER")


@record
class Tables:
    """What a parse needs to know of the grammar; plain values only.

    `scanner` is one regular expression with a named group for each kind of token; what no named group matched is a
    fixed spelling. The kind of a fixed spelling (`->`), and of a name that is one of `words`, is its own text.

    `actions[state][kind]` is the state to go to, or `-1 - number` of the rule to reduce by; `gotos[state][symbol]`
    is the state after a reduction. A rule is `(symbol, size, method, kept)`: the method of the builder that is
    called with the members numbered in `kept`, or "" where the only member is passed on.
    """

    scanner: str
    words: frozenset[str]
    rules: tuple[tuple[str, int, str, tuple[int, ...]], ...]
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]
    starts: dict[str, int]
    ends: dict[str, int]


def stamp(grammar: str) -> str:
    """Tells whether tables belong to a grammar: its length and checksum (hashlib takes 2 ms to import)."""
    data = grammar.encode()
    return f"{len(data)}-{zlib.crc32(data):08x}"


def read_grammar() -> str:
    """The text of `grammar.lark`."""
    with open(GRAMMAR, encoding="utf-8") as file:
        return file.read()


@cache
def tables() -> Tables:
    """The tables of `grammar.lark`."""
    from gradcli.syntax import _tables

    grammar = read_grammar()
    if stamp(grammar) != _tables.STAMP:
        return build(grammar)
    return Tables(
        _tables.SCANNER,
        _tables.WORDS,
        _tables.RULES,
        _tables.ACTIONS,
        _tables.GOTOS,
        _tables.STARTS,
        _tables.ENDS,
    )


def build(grammar: str) -> Tables:
    """Tables made by Lark; the same text gives the same tables, always.

    Raises lark's GrammarError where the grammar is malformed, ValueError where two rules compete for the same text.
    """
    from lark import Lark
    from lark.lexer import BasicLexer
    from lark.parsers.lalr_analysis import Shift

    class Postlex:
        """Makes Lark keep the terminals that stand in no rule."""

        always_accept = WRONG

        def process(self, stream: object) -> object:
            return stream

    lark = Lark(grammar, parser="lalr", lexer="basic", start=list(STARTS), postlex=Postlex(), maybe_placeholders=False)
    scanner, words, kinds = _terminals(BasicLexer(lark.lexer_conf).terminals)
    numbers = {rule: number for number, rule in enumerate(lark.rules)}
    table = _analyze(lark)
    order = _reachable(table.states, [table.start_states[start] for start in STARTS])
    symbols = {rule.origin.name for rule in lark.rules}

    def row(state: Any, of_symbols: bool) -> dict[str, int]:
        entries = sorted((kinds.get(name, str(name)), str(name), *entry) for name, entry in table.states[state].items())
        return {
            kind: order[target] if action is Shift else -1 - numbers[target]
            for kind, name, action, target in entries
            if (name in symbols) == of_symbols
        }

    return Tables(
        scanner=scanner,
        words=words,
        rules=tuple(map(_rule, lark.rules)),
        actions=tuple(row(state, False) for state in order),
        gotos=tuple(row(state, True) for state in order),
        starts={start: order[table.start_states[start]] for start in STARTS},
        ends={start: order[table.end_states[start]] for start in STARTS},
    )


def _terminals(terminals: Iterable[TerminalDef]) -> tuple[str, frozenset[str], dict[str, str]]:
    """The scanner, the words, and the kind of each terminal with a fixed spelling, by Lark's name for it.

    Lark has ordered the terminals: by priority, then longer ones first; words come out of the names.
    """
    from lark.lexer import PatternStr

    groups: list[str] = []
    kinds: dict[str, str] = {}
    for terminal in terminals:
        pattern = terminal.pattern.to_regexp()
        if not isinstance(terminal.pattern, PatternStr):
            groups.append(f"(?P<{terminal.name}>{pattern})")
        else:
            kinds[terminal.name] = terminal.pattern.value
            if not terminal.pattern.value.isidentifier():
                groups.append(pattern)
    return "|".join(groups), frozenset(filter(str.isidentifier, kinds.values())), kinds


def _analyze(lark: Lark) -> ParseTable:
    """Lark's table with its states as they are; a conflict, which Lark would settle by a guess, is an error."""
    import logging

    from lark import logger
    from lark.common import ParserConf
    from lark.parsers.lalr_analysis import LALR_Analyzer

    conflicts: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            conflicts.append(record.getMessage())

    handler = Collector()
    level, logger.level = logger.level, logging.DEBUG
    logger.addHandler(handler)
    try:
        analyzer: Any = LALR_Analyzer(ParserConf(lark.rules, {}, list(STARTS)), debug=True)
        analyzer.compute_lalr()
    finally:
        logger.removeHandler(handler)
        logger.level = level
    if conflicts:
        raise ValueError("the grammar is ambiguous:\n" + "\n".join(conflicts))
    return cast("ParseTable", analyzer.parse_table)


def _reachable(states: dict[Any, dict[str, tuple[object, Any]]], starts: list[Any]) -> dict[Any, int]:
    """Numbers for the states, in the order in which a walk from `starts` meets them."""
    order = {start: number for number, start in enumerate(starts)}
    waiting = list(starts)
    for state in waiting:
        for _, (_, target) in sorted(states[state].items()):
            if target in states and target not in order:
                order[target] = len(order)
                waiting.append(target)
    return order


def _rule(rule: Rule) -> tuple[str, int, str, tuple[int, ...]]:
    """The record of a rule in `Tables.rules`."""
    kept = tuple(n for n, member in enumerate(rule.expansion) if not getattr(member, "filter_out", False))
    if not rule.alias and len(kept) != 1:
        raise ValueError(f"{rule} needs the name of a method after `->`")
    if rule.alias == "same" and len(kept) != 1:
        raise ValueError(f"{rule} passes on {len(kept)} members")
    method = "" if len(rule.expansion) == 1 and rule.alias in (None, "same") else str(rule.alias or "same")
    return str(rule.origin.name), len(rule.expansion), method, kept

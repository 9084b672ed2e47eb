"""Which bracket closes which; then newlines inside ( ) and [ ] go, and braces that are missing are put in.

An open bracket that is never closed would swallow the rest of the file. So words that only start a statement or an
item show that one was forgotten, and the newlines after it count again.
"""

from __future__ import annotations

from gradcli.record import field, record
from gradcli.syntax.lex import Problems, Token

DEEPEST = 100  # blocks inside blocks
OPENERS = {")": "(", "]": "[", "}": "{"}
CLOSERS = {"(": ")", "[": "]", "{": "}"}
# Words that never stand between ( and ) or [ and ].
STATEMENT_WORDS = frozenset(("return", "param", "layer", "net", "case", "expect", "for", "while"))
# Words that start an item where a name, a text or a number follows; elsewhere they may be names.
ITEM_WORDS = frozenset(("input", "const", "dim", "import", "edition"))
PLACED = frozenset((*OPENERS, *CLOSERS, "_END"))  # what may be left out, or get something before it
NOTABLE = PLACED | STATEMENT_WORDS | ITEM_WORDS


def arrange(tokens: list[Token], problems: Problems) -> list[Token]:
    """`tokens` as the parser reads them: newlines only where they end something, brackets in pairs."""
    pairs = _Pairs(tokens, problems.source.text)
    pairs.run()
    if pairs.open_at_end:
        # A `}` is missing somewhere: take a net that is not indented for the start of a new item.
        pairs = _Pairs(tokens, problems.source.text, nets_unindented=True)
        pairs.run()
    pairs.report(problems)
    unopened = pairs.unopened
    depth = 0
    arranged: list[Token] = []
    for number, token in enumerate(tokens):
        kind = token[0]
        if kind not in PLACED and number not in pairs.missing:
            arranged.append(token)
            continue
        for _ in range(pairs.missing.get(number, 0)):
            arranged.append(Token("}", token.start, token.start))
            arranged.append(Token("_END", token.start, token.start))
        if kind == "_END":
            newline = not problems.source.text.startswith(";", token.start)
            if newline and (depth or (arranged and arranged[-1].kind == "_END")):
                continue
        elif number in pairs.partner:
            if kind in ("(", "["):
                depth += 1
            elif kind in (")", "]"):
                depth -= 1
                token = Token(CLOSERS[tokens[pairs.partner[number]].kind], token.start, token.end)
        elif kind in (")", "]") or number in unopened:
            continue  # reported; it closes nothing
        arranged.append(token)
    return arranged


@record(frozen=False)
class _Pairs:
    """Finds the partner of every bracket in one walk, whatever is wrong with them."""

    tokens: list[Token]
    text: str
    nets_unindented: bool = False
    partner: dict[int, int] = field(default_factory=dict)  # token number of a bracket → that of its partner
    missing: dict[int, int] = field(default_factory=dict)  # token number → how many `}` are missing before it
    open_at_end: bool = False
    _open: list[int] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=lambda: {"(": 0, "[": 0, "{": 0})
    _unclosed: list[tuple[int, int]] = field(default_factory=list)  # an opener, and the token that shows it
    unopened: dict[int, None] = field(default_factory=dict)  # closers of nothing
    _crossed: set[int] = field(default_factory=set)  # closers that stand before the one that should come first
    _too_deep: int | None = None

    def run(self) -> None:
        """Walk over the tokens."""
        for number, token in enumerate(self.tokens):
            kind = token[0]
            if kind not in NOTABLE:
                continue
            if kind in ("(", "["):
                self._push(number)
            elif kind in (")", "]"):
                self._close(number)
            elif kind == "{":
                self._give_up("([", number)
                self._push(number)
                if self._counts["{"] > DEEPEST and self._too_deep is None:
                    self._too_deep = number
            elif kind == "}":
                self._close_block(number)
            elif kind == "_END" and self.text.startswith(";", token.start):
                self._give_up("([", number)
            elif kind in STATEMENT_WORDS and self._starts_line(number):
                self._give_up("([", number)
                if kind == "case" or (kind == "net" and self.nets_unindented):
                    self._new_item(number)
            elif kind in ITEM_WORDS and self._starts_item(number):
                self._give_up("([", number)
                self._new_item(number)
        last = len(self.tokens) - 1
        self._give_up("([", last)
        self.open_at_end = bool(self._open)
        self._give_up("{", last)

    def report(self, problems: Problems) -> None:
        """Add what was found to `problems`."""
        last = len(self.tokens) - 1
        if self._too_deep is not None:
            token = self.tokens[self._too_deep]
            message = f"blocks stand in each other more than {DEEPEST} deep"
            problems.add("SYN022", message, token.start, token.end, help="give the inner ones to a net of their own")
            problems.raise_any()
        lines: dict[int, list[tuple[int, int]]] = {}
        for opener, shown in sorted(self._unclosed):
            line = problems.source.locate(self.tokens[opener].start)[0]
            lines.setdefault(line, []).append((opener, shown))
        for unclosed in lines.values():  # one message for each line
            opener, shown = unclosed[-1]
            token = self.tokens[opener]
            if self._swallowed(opener, shown, problems):
                problems.offsets.extend(self.tokens[each].start for each, _ in unclosed)
                problems.offsets.sort()
                continue
            closers = "".join(CLOSERS[self.tokens[each].kind] for each, _ in reversed(unclosed))
            closers = closers if len(closers) <= 8 else closers[:8] + "…"
            others = problems.label(self.tokens[shown], f"`{closers}` is missing before this") if shown < last else ()
            message = f"`{token.kind}` is never closed"
            problems.add("SYN002", message, token.start, token.end, others=others, help=f"close it with `{closers}`")
            problems.offsets.extend(self.tokens[each].start for each, _ in unclosed[:-1])
            problems.offsets.sort()
            if problems.full:
                problems.raise_any()
        for closer_number in self.unopened:
            token = self.tokens[closer_number]
            help = f"remove it, or open a `{OPENERS[token.kind]}` before it"
            problems.add("SYN003", f"`{token.kind}` closes nothing", token.start, token.end, help=help)
            if problems.full:
                problems.raise_any()
        for number, opener in self.partner.items():
            token, other = self.tokens[number], self.tokens[opener]
            if number > opener and OPENERS[token.kind] != other.kind and number - 1 not in self._crossed:
                right = CLOSERS[other.kind] + (token.kind if number in self._crossed else "")
                message = f"`{other.kind}` is closed by `{token.kind}`"
                others = problems.label(other, "opened here")
                problems.add("SYN003", message, token.start, token.end, others=others, help=f"write `{right}`")
                if problems.full:
                    problems.raise_any()

    def _swallowed(self, opener: int, shown: int, problems: Problems) -> bool:
        """Whether the closing bracket stands in a text that does not end on its line, which is reported."""
        start, end = self.tokens[opener].start, self.tokens[shown].start
        closer = CLOSERS[self.tokens[opener].kind]
        texts = [each.span.start for each in problems.found if each.code == "SYN014" and each.span]
        return any(start < at < end and self.text.find(closer, at, self._line_end(at)) >= 0 for at in texts)

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return end if end >= 0 else len(self.text)

    def _starts_line(self, number: int) -> bool:
        """Whether nothing of the same line or block stands before the token."""
        return number == 0 or self.tokens[number - 1].kind in ("_END", "{", "}")

    def _starts_item(self, number: int) -> bool:
        return self._starts_line(number) and self.tokens[number + 1].kind in ("NAME", "STRING", "INT")

    def _new_item(self, number: int) -> None:
        """An item that is not indented: every block ends before it."""
        start = self.tokens[number].start
        if start == 0 or self.text[start - 1] == "\n":
            self._give_up("{", number)

    def _push(self, number: int) -> None:
        self._open.append(number)
        self._counts[self.tokens[number].kind] += 1

    def _pop(self) -> int:
        opener = self._open.pop()
        self._counts[self.tokens[opener].kind] -= 1
        return opener

    def _match(self, number: int) -> None:
        opener = self._pop()
        self.partner[opener] = number
        self.partner[number] = opener

    def _close(self, number: int) -> None:
        """`)` or `]`: the nearest of its kind in this block, else the innermost bracket, else nothing."""
        wanted = OPENERS[self.tokens[number].kind]
        if number in self.partner:
            return
        if self._crosses(number):
            self._crossed.add(number)
            self._match(number)
            self._match(number + 1)
            return
        if self._counts[wanted]:
            while self.tokens[self._open[-1]].kind != wanted:
                self._unclosed.append((self._pop(), number))
        elif not self._counts["("] + self._counts["["]:
            self.unopened[number] = None
            return
        self._match(number)

    def _close_block(self, number: int) -> None:
        """`}`: the end of a block, unless the brackets that are open here are closed later on this line."""
        if self._counts["("] + self._counts["["] and self._closes_later(number):
            self.unopened[number] = None
            return
        self._give_up("([", number)
        if self._open:
            self._match(number)

    def _closes_later(self, number: int) -> bool:
        """Whether the line after this token closes more than it opens."""
        depth = 0
        for at in range(number + 1, len(self.tokens)):
            token = self.tokens[at]
            depth += (token.kind in CLOSERS) - (token.kind in OPENERS)
            if depth < 0 or token.kind in ("_END", "{", "}"):
                break
        return depth < 0

    def _crosses(self, number: int) -> bool:
        """Whether this closer and the next close the two innermost brackets in the wrong order, as in `(x[0)]`."""
        if self.tokens[number + 1].kind not in OPENERS:
            return False
        inner = [self.tokens[each].kind for each in reversed(self._open[-2:])]
        closers = [token.kind for token in self.tokens[number : number + 2]]
        return len(set(inner)) == 2 and [OPENERS.get(kind) for kind in reversed(closers)] == inner

    def _give_up(self, kinds: str, number: int) -> None:
        """The innermost brackets of these kinds are never closed, as the token at `number` shows."""
        while self._open and self.tokens[self._open[-1]].kind in kinds:
            opener = self._pop()
            self._unclosed.append((opener, number))
            if self.tokens[opener].kind == "{":
                self.missing[number] = self.missing.get(number, 0) + 1

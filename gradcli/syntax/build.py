"""The tree, made bottom-up while parsing: one method for each `-> name` of the grammar.

Each method gets the span of what it builds and the members that the grammar keeps. Nothing recurses, so depth costs
nothing. What the grammar cannot say is checked here: sizes of numbers, escapes, chained comparisons, what may stand
in which block.
"""

from __future__ import annotations

from typing import Any, cast

from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Span
from gradcli.syntax.lex import Problems, Token

LARGEST = 2**63 - 1
ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}


@record
class Builder:
    """Makes the nodes of one source and reports to `problems`."""

    problems: Problems

    # ── lists and what may be absent ───────────────────────────────────────────────────────────────────────

    def same(self, span: Span, value: Any) -> Any:
        return value

    def absent(self, span: Span) -> None:
        return None

    def empty(self, span: Span) -> list[Any]:
        return []

    def single(self, span: Span, value: Any) -> list[Any]:
        return [value]

    def append(self, span: Span, values: list[Any], value: Any) -> list[Any]:
        values.append(value)
        return values

    # ── items ──────────────────────────────────────────────────────────────────────────────────────────────

    def module(self, span: Span, items: list[ast.Item]) -> tuple[ast.Item, ...]:
        for item in items[1:]:
            if isinstance(item, ast.Edition):
                again = isinstance(items[0], ast.Edition)
                message = "the edition is given twice" if again else "the edition stands first in a file"
                self._report("SYN024", message, item.span, help="remove this line" if again else "move it to the top")
        return tuple(items)

    def module_last(self, span: Span, items: list[ast.Item], item: ast.Item) -> tuple[ast.Item, ...]:
        items.append(item)
        return self.module(span, items)

    def edition(self, span: Span, token: Token) -> ast.Edition:
        number = self.integer(Span(span.source, token.start, token.end), token)
        return ast.Edition(span, cast(int, number.value))

    def import_(self, span: Span, path: ast.Text, alias: ast.Name) -> ast.Import:
        return ast.Import(span, path, alias)

    def dim(self, span: Span, name: ast.Name, value: ast.Expr) -> ast.Dim:
        return ast.Dim(span, name, value)

    def const(self, span: Span, name: ast.Name, type: ast.Type | None, value: ast.Expr) -> ast.Const:
        return ast.Const(span, name, type, value)

    def input(self, span: Span, name: ast.Name, type: ast.Type | None, value: ast.Expr | None) -> ast.Input:
        return ast.Input(span, name, type, value)

    def case(self, span: Span, title: ast.Text, body: list[ast.Statement]) -> ast.Case:
        self._check(body, in_case=True)
        return ast.Case(span, title, tuple(body))

    # ── nets ───────────────────────────────────────────────────────────────────────────────────────────────

    def net(
        self,
        span: Span,
        name: ast.Name,
        statics: list[ast.Name],
        inputs: list[ast.NetInput],
        results: list[ast.Type] | None,
        body: list[ast.Statement],
    ) -> ast.Net:
        if name.id:  # else the parser made it up for a broken header
            self._check(body, in_case=False)
        if name.id and not any(isinstance(each, ast.Return) for each in body):
            help = "let the last statement be `return …`"
            self._report("SYN007", f"net `{name.id}` returns nothing", name.span, around=span, help=help)
        types = None if results is None else tuple(results)
        return ast.Net(span, name, tuple(statics), tuple(inputs), types, tuple(body))

    def short_net(
        self,
        span: Span,
        name: ast.Name,
        statics: list[ast.Name],
        inputs: list[ast.NetInput],
        results: list[ast.Type] | None,
        values: list[ast.Expr],
    ) -> ast.Net:
        body = ast.Return(values[0].span.to(values[-1].span), tuple(values))
        types = None if results is None else tuple(results)
        return ast.Net(span, name, tuple(statics), tuple(inputs), types, (body,))

    def net_input(self, span: Span, name: ast.Name, type: ast.Type | None, default: ast.Expr | None) -> ast.NetInput:
        return ast.NetInput(span, name, type, default)

    def scalar(self, span: Span, dtype: ast.Name) -> ast.Type:
        return ast.Type(span, dtype.id, ())

    def array(self, span: Span, dtype: ast.Name, dims: list[ast.Expr | ast.Ellipsis]) -> ast.Type:
        return ast.Type(span, dtype.id, tuple(dims))

    def ellipsis(self, span: Span) -> ast.Ellipsis:
        return ast.Ellipsis(span)

    # ── statements ─────────────────────────────────────────────────────────────────────────────────────────

    def assign(self, span: Span, targets: list[ast.Target], values: list[ast.Expr]) -> ast.Assign:
        target = targets[0]
        if len(targets) > 1:
            target = ast.TupleTarget(targets[0].span.to(targets[-1].span), tuple(targets))
        return ast.Assign(span, target, None, "=", self._together(values))

    def typed_assign(self, span: Span, name: ast.Name, type: ast.Type, values: list[ast.Expr]) -> ast.Assign:
        return ast.Assign(span, name, type, "=", self._together(values))

    def add_assign(self, span: Span, target: ast.Index, value: ast.Expr) -> ast.Assign:
        return ast.Assign(span, target, None, "+=", value)

    def nested_target(self, span: Span, targets: list[ast.Target]) -> ast.Target:
        return targets[0] if len(targets) == 1 else ast.TupleTarget(span, tuple(targets))

    def param(self, span: Span, name: ast.Name, type: ast.Type, init: ast.Expr) -> ast.Param:
        return ast.Param(span, name, type, init)

    def layer(self, span: Span, name: ast.Name, value: ast.Expr) -> ast.Layer:
        return ast.Layer(span, name, None, value)

    def layers(self, span: Span, name: ast.Name, count: ast.Expr, value: ast.Expr) -> ast.Layer:
        return ast.Layer(span, name, count, value)

    def for_(self, span: Span, var: ast.Name, start: ast.Expr, stop: ast.Expr, body: list[ast.Statement]) -> ast.For:
        return ast.For(span, var, start, stop, None, tuple(body))

    def for_while(
        self,
        span: Span,
        var: ast.Name,
        start: ast.Expr,
        stop: ast.Expr,
        cond: ast.Expr,
        body: list[ast.Statement],
    ) -> ast.For:
        return ast.For(span, var, start, stop, cond, tuple(body))

    def return_(self, span: Span, values: list[ast.Expr]) -> ast.Return:
        return ast.Return(span, tuple(values))

    def expect(self, span: Span, value: ast.Expr) -> ast.ExpectTrue:
        return ast.ExpectTrue(span, value)

    def expect_close(
        self, span: Span, left: ast.Expr, right: ast.Expr, within: list[ast.Keyword] | None = None
    ) -> ast.ExpectClose:
        return ast.ExpectClose(span, left, right, tuple(within or ()))

    def expect_error(self, span: Span, text: ast.Text, value: ast.Expr) -> ast.ExpectError:
        return ast.ExpectError(span, text, value)

    # ── expressions ────────────────────────────────────────────────────────────────────────────────────────

    def tuple_(self, span: Span, items: list[ast.Expr]) -> ast.Expr:
        return items[0] if len(items) == 1 else ast.Tuple(span, tuple(items))

    def select(self, span: Span, then: ast.Expr, cond: ast.Expr, other: ast.Expr) -> ast.Select:
        return ast.Select(span, cond, then, other)

    def binary(self, span: Span, left: ast.Expr, op: Token, right: ast.Expr) -> ast.Binary:
        return ast.Binary(span, cast(ast.BinaryOp, self._text(op)), left, right)

    def unary(self, span: Span, op: Token, operand: ast.Expr) -> ast.Unary:
        return ast.Unary(span, cast(ast.UnaryOp, self._text(op)), operand)

    def chain(
        self, span: Span, left: ast.Expr, first: Token, middle: ast.Expr, second: Token, right: ast.Expr
    ) -> ast.Expr:
        if self.problems.full:  # the texts that the help quotes may be long
            return middle
        text = span.source.text
        a = " ".join(text[span.start : first.start].split())
        b = " ".join(text[first.end : second.start].split())
        c = " ".join(text[second.end : span.end].split())
        help = f"write `{a} {self._text(first)} {b} and {b} {self._text(second)} {c}`"
        where = Span(span.source, second.start, second.end)
        others = self.problems.label(first, "the first comparison")
        self._report("SYN011", "comparisons do not chain", where, others=others, help=help if len(help) < 100 else None)
        return middle

    def longer_chain(self, span: Span, chained: ast.Expr, op: Token, right: ast.Expr) -> ast.Expr:
        return right

    def attribute(self, span: Span, value: ast.Expr, name: ast.Name) -> ast.Attribute:
        return ast.Attribute(span, value, name.id)

    def index(self, span: Span, value: ast.Expr, items: list[ast.Expr | ast.Slice | ast.Ellipsis]) -> ast.Index:
        return ast.Index(span, value, tuple(items))

    def slice(
        self, span: Span, start: ast.Expr | None, stop: ast.Expr | None, step: ast.Expr | None = None
    ) -> ast.Slice:
        return ast.Slice(span, start, stop, step)

    def keyword(self, span: Span, name: ast.Name, value: ast.Expr) -> ast.Keyword:
        return ast.Keyword(span, name.id, value)

    def call(self, span: Span, func: ast.Expr, arguments: list[ast.Expr | ast.Keyword]) -> ast.Call:
        plain: list[ast.Expr] = []
        keywords: dict[str, ast.Keyword] = {}
        for each in arguments:
            if isinstance(each, ast.Keyword):
                if each.name in keywords:
                    self._report("SYN020", f"`{each.name}` is given twice", each.span, help="remove one of them")
                keywords[each.name] = each
            else:
                if keywords:
                    last = next(reversed(keywords.values()))
                    where = (*self.problems.label(Token("NAME", last.span.start, last.span.end), "a named one"),)
                    message = "an argument without a name stands after one with a name"
                    self._report("SYN020", message, each.span, others=where, help="put it before, or name it")
                plain.append(each)
        return ast.Call(span, func, tuple(plain), tuple(keywords.values()))

    def list_(self, span: Span, items: list[ast.Expr]) -> ast.List:
        return ast.List(span, tuple(items))

    def empty_list(self, span: Span) -> ast.List:
        return ast.List(span, ())

    # ── atoms ──────────────────────────────────────────────────────────────────────────────────────────────

    def name(self, span: Span, token: Token | None = None) -> ast.Name:
        return ast.Name(span, span.text)

    def integer(self, span: Span, token: Token) -> ast.Number:
        digits = self._text(token).replace("_", "")
        plain = digits.lstrip("0") or "0"
        value = int(plain) if len(plain) < 20 else LARGEST + 1
        if value > LARGEST:
            what = f"a whole number of {len(plain)} digits" if len(plain) > 30 else plain
            help = f"i64 ends at {LARGEST} and -2**63; for a float write `{plain[0]}.{plain[1:4]}e{len(plain) - 1}`"
            self._report("SYN009", f"{what} does not fit into i64", span, help=help)
            value = 0
        elif plain != digits and digits != "0":
            self._report("SYN008", "a whole number does not start with 0", span, help=f"write `{plain}`")
        return ast.Number(span, value)

    def real(self, span: Span, token: Token) -> ast.Number:
        text = self._text(token)
        try:
            value = float(text)
        except ValueError:  # it was written wrongly, and that is reported
            value = 0.0
        digits = text.lower().partition("e")[0]
        if value == float("inf"):
            self._report("SYN009", "this number is too large for f64", span, help="write `inf` for infinity")
        elif value == 0 and digits.strip("0._") and digits.replace(".", "").replace("_", "").isdigit():
            self._report("SYN009", "this number is too small for f64", span, around=span, help="write `0.0`")
        return ast.Number(span, value)

    def infinity(self, span: Span) -> ast.Number:
        return ast.Number(span, float("inf"))

    def not_a_number(self, span: Span) -> ast.Number:
        return ast.Number(span, float("nan"))

    def true(self, span: Span) -> ast.Bool:
        return ast.Bool(span, True)

    def false(self, span: Span) -> ast.Bool:
        return ast.Bool(span, False)

    def nothing(self, span: Span) -> ast.Nothing:
        return ast.Nothing(span)

    def text(self, span: Span, token: Token) -> ast.Text:
        raw = span.text[1:-1]
        if "\\" not in raw or self.problems.within(span.start, span.start):
            return ast.Text(span, raw)
        parts: list[str] = []
        at = 0
        while (slash := raw.find("\\", at)) >= 0:
            parts.append(raw[at:slash])
            letter = raw[slash + 1]
            if letter not in ESCAPES:
                where = Span(span.source, span.start + 1 + slash, span.start + 3 + slash)
                help = "write `\\\\` for a backslash"
                self._report("SYN015", f"there is no escape `\\{letter}`", where, help=help)
            parts.append(ESCAPES.get(letter, letter))
            at = slash + 2
        return ast.Text(span, "".join(parts) + raw[at:])

    # ── helpers ────────────────────────────────────────────────────────────────────────────────────────────

    def _text(self, token: Token) -> str:
        return self.problems.source.text[token.start : token.end]

    def _together(self, values: list[ast.Expr]) -> ast.Expr:
        if len(values) == 1:
            return values[0]
        return ast.Tuple(values[0].span.to(values[-1].span), tuple(values))

    def _report(self, code: str, message: str, span: Span, *, around: Span | None = None, **more: Any) -> None:
        """Report, unless enough is reported or an error inside `around` may be the reason."""
        if not self.problems.full and (around is None or not self.problems.within(around.start, around.end)):
            self.problems.add(code, message, span.start, span.end, **more)

    def _check(self, body: list[ast.Statement], *, in_case: bool) -> None:
        """What may stand in the block of a case, of a net, and in the loops of either."""
        waiting: list[tuple[ast.Statement, bool, bool]] = [(each, False, each is body[-1]) for each in body]
        for statement, in_loop, last in waiting:
            match statement:
                case ast.For():
                    waiting.extend((each, True, False) for each in statement.body)
                case ast.ExpectClose() | ast.ExpectTrue() | ast.ExpectError() if not in_case:
                    self._report("SYN018", "`expect` stands in a case, not in a net", statement.span)
                case ast.Return() | ast.Param() | ast.Layer() if in_case:
                    word = type(statement).__name__.lower()
                    self._report("SYN018", f"`{word}` stands in a net, not in a case", statement.span)
                case ast.Return() if in_loop:
                    help = "bind a name in the loop and return it after"
                    self._report("SYN018", "`return` cannot stand in a loop", statement.span, help=help)
                case ast.Param() | ast.Layer() if in_loop:
                    word = type(statement).__name__.lower()
                    help = "declare it above the loop; `layer h[4] = …` makes several"
                    self._report(
                        "SYN018", f"a {word} is declared at the top of a net, not in a loop", statement.span, help=help
                    )
                case ast.Return() if not last:
                    help = "remove what follows it"
                    self._report("SYN019", "`return` is the last statement of a net", statement.span, help=help)

"""A net as lines that can be compared: formatting and comments are gone, local names are numbers.

A line is a statement, the head of a loop or of a local net, or the end of one. What its names mean is looked up as the
language does, so that `h = x * 2` and `k = x*2` are one line when what follows reads `h` there and `k` here. The names
of inputs, params, layers and nets are seen from outside, so they count.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from gradcli.record import field, record, replace
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Span

Token = tuple[Any, ...]
REF = ("ref",)  # stands for a local name in a skeleton
PLACES = {"": "dim", "axis": "dim", "axes": "dim", "wrt": "net"}  # what a name means in a type, and after `axis=` …


@record(eq=False)
class Line:
    """`key` is what a line of another version is matched by; None where only its text tells."""

    kind: str  # "input", "result", "param", "layer", "line", "end"
    name: str
    span: Span
    parts: tuple[Any, ...]  # the syntax trees below it
    refs: dict[int, int]  # by the id of a name's node: the number of what it means
    binds: tuple[int, ...]
    reads: tuple[int, ...] = ()  # what a name meant before the loop that binds it again
    skeleton: tuple[Token, ...] = ()

    @property
    def key(self) -> tuple[str, str] | None:
        return (self.kind, self.name) if self.kind in ("input", "result", "param", "layer") else None


def tokens(node: Any, refs: dict[int, int]) -> Iterator[Token | int]:
    """A syntax tree in preorder: its constructors, and for each local name its number."""
    work = [node]
    while work:
        tree = work.pop()
        if id(tree) in refs:
            yield refs[id(tree)]
            continue
        yield (type(tree).__name__, *map(_mark, _fields(tree)))
        work.extend(reversed(ast.children(tree)))


def _fields(tree: Any) -> Iterator[Any]:
    return (getattr(tree, name) for name in type(tree).__dict__["__slots__"] if name != "span")


def _mark(value: Any) -> Any:
    """What a constructor shows of one field: plain values as they are, trees by their being there."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return repr(value)
    return len(value) if isinstance(value, tuple) else True


def skeleton(line: Line) -> tuple[Token, ...]:
    """The line without what its local names mean."""
    parts = (token for part in line.parts for token in tokens(part, line.refs))
    head = (line.kind, line.name if line.key else "", len(line.parts), len(line.binds), len(line.reads))
    return (head, *(REF if isinstance(token, int) else token for token in parts))


def references(line: Line) -> tuple[int, ...]:
    """What its local names mean, in order."""
    found = [token for part in line.parts for token in tokens(part, line.refs) if isinstance(token, int)]
    return (*found, *line.reads)


def lines_of(net: ast.Net) -> list[Line]:
    """The signature of a net and its body."""
    reader = _Reader()
    reader.signature(net)
    reader.body(net.body)
    return reader.lines


@record(frozen=False, eq=False)
class _Reader:
    """Reads statements in order; `values` and `dims` are what names mean at this point."""

    lines: list[Line] = field(default_factory=list)
    values: dict[str, int | None] = field(default_factory=dict)  # None: a name that is seen from outside
    dims: dict[str, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    outside: list[dict[str, int | None]] = field(default_factory=list)  # around each loop that is open
    prefix: str = ""  # of what belongs to a local net: `critic.`

    def signature(self, net: ast.Net) -> None:
        for static in net.statics:
            self.dims[static.id] = next(self.numbers)
        self.line("statics", net.name.span, (), binds=tuple(self.dims.values()))
        for each in net.inputs:  # an expression of an earlier input may hold the dim of a later one
            self.dims_of(each.type)
        for each in net.inputs:
            parts = [part for part in (each.type, each.default) if part is not None]
            self.line("input", each.span, tuple(parts), name=self.prefix + each.name.id)
        for each in net.inputs:
            self.values[each.name.id] = None
        several = len(net.results or ()) > 1
        for place, type_ in enumerate(net.results or ()):
            self.line("result", type_.span, (type_,), name=f"{self.prefix}{place if several else ''}")

    def dims_of(self, type_: ast.Type | None) -> None:
        """A dim is bound by a type that names it."""
        for dim in type_.dims if type_ is not None else ():
            if isinstance(dim, ast.Name) and dim.id not in self.dims:
                self.dims[dim.id] = next(self.numbers)

    def body(self, statements: tuple[ast.Statement, ...]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, statement: ast.Statement) -> None:
        match statement:
            case ast.Assign():
                self.assign(statement)
            case ast.Param():
                self.line(
                    "param", statement.span, (statement.type, statement.init), name=self.prefix + statement.name.id
                )
                self.values[statement.name.id] = None
            case ast.Layer():
                parts = [part for part in (statement.count, statement.value) if part is not None]
                self.line("layer", statement.span, tuple(parts), name=self.prefix + statement.name.id)
                self.values[statement.name.id] = None
            case ast.For():
                self.loop(statement)
            case ast.Net():
                self.local_net(statement)
            case ast.Return():
                self.line("line", statement.span, statement.values)
            case _:  # `expect` stands in cases only
                self.line("line", statement.span, (statement,))

    def assign(self, statement: ast.Assign) -> None:
        value = [part for part in (statement.type, statement.value) if part is not None]
        targets = list(_targets(statement.target))
        written = statement.target if isinstance(statement.target, ast.Index) else None
        shape = written or statement.target
        refs = self.look_up(*value, *([written] if written else []))
        reads = tuple(n for t in targets for scope in self.outside[-1:] if (n := scope.get(t.id)) is not None)
        numbers = {target.id: next(self.numbers) for target in targets}
        if written is None:
            refs |= {id(target): -1 for target in targets}  # bound here, whatever it is called
        kind = "line" if statement.op == "=" else "line +="
        self.add(Line(kind, "", statement.span, (shape, *value), refs, tuple(numbers.values()), reads))
        self.values |= numbers

    def loop(self, statement: ast.For) -> None:
        parts = [part for part in (statement.start, statement.stop) if part is not None]
        before = dict(self.values)
        refs = self.look_up(*parts)
        number = next(self.numbers)
        self.values[statement.var.id] = number
        if statement.cond is not None:
            parts.append(statement.cond)
            refs |= self.look_up(statement.cond)
        head = statement.span
        end = (parts[-1]).span.end
        self.add(Line("for", "", head._replace(end=end), tuple(parts), refs, (number,)))
        self.outside.append(before)
        self.body(statement.body)
        self.outside.pop()
        self.values = before | {name: self.values[name] for name in before}
        self.line("end", statement.span._replace(start=statement.span.end - 1), ())

    def local_net(self, net: ast.Net) -> None:
        below = f"{self.prefix}{net.name.id}."
        inside = _Reader(self.lines, dict(self.values), dict(self.dims), self.numbers, prefix=below)
        self.line("net", net.name.span, (net.name,))
        inside.signature(net)
        inside.body(net.body)
        self.line("end", net.span._replace(start=net.span.end - 1), ())
        self.values[net.name.id] = None

    # ── one line ────────────────────────────────────────────────────────────────────────────────────────────

    def line(
        self, kind: str, span: Span, parts: tuple[Any, ...], *, name: str = "", binds: tuple[int, ...] = ()
    ) -> None:
        self.add(Line(kind, name, span, parts, self.look_up(*parts), binds))

    def add(self, line: Line) -> None:
        self.lines.append(replace(line, skeleton=skeleton(line)))

    def look_up(self, *trees: Any) -> dict[int, int]:
        """What the names below trees mean, by their nodes; those seen from outside are left as they are."""
        found: dict[int, int] = {}
        work: list[tuple[Any, str]] = [(tree, "") for tree in trees]
        while work:
            tree, place = work.pop()
            if isinstance(tree, ast.Name):
                number = self.meaning(tree.id, place)
                if number is not None:
                    found[id(tree)] = number
                continue
            if isinstance(tree, ast.Keyword | ast.Type):
                place = PLACES.get(tree.name if isinstance(tree, ast.Keyword) else "", place)
            work.extend((child, place) for child in ast.children(tree))
        return found

    def meaning(self, name: str, place: str) -> int | None:
        """In a type, or after `axis=`, a dim is meant first, elsewhere a value; after `wrt=` what another net knows."""
        if place == "net" or (place == "dim" and name in self.dims):
            return self.dims.get(name) if place == "dim" else None
        return self.values[name] if name in self.values else self.dims.get(name)


def _targets(target: ast.Target) -> Iterator[ast.Name]:
    """The names that an assignment binds, left to right."""
    work: list[Any] = [target]
    while work:
        each = work.pop()
        if isinstance(each, ast.TupleTarget):
            work.extend(reversed(each.items))
        elif isinstance(each, ast.Index):
            assert isinstance(each.value, ast.Name)
            yield each.value
        else:
            yield each

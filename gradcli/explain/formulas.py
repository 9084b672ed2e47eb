"""Formulas of the values of a graph, found from the first node to the last, so that nothing recurses over a model.

A value that was given a name is a `Symbol` from then on; all others become part of the formulas that use them. What is
the same on paper is left out: a factor 1, a copy. A formula that would become too long is given a name, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set

from gradcli.ir.dimnames import Names
from gradcli.ir.formula import Formula, Name, Number, Symbol, Term
from gradcli.ir.graph import Node, Value
from gradcli.passes.rebuild import number_of
from gradcli.syntax.diagnostics import Span

LONGEST = 24  # operators of one formula
VIEWS = ("reshape", "broadcast_to", "transpose", "copy")
ADJOINT = "d_"  # how graphs call the adjoint of a named value
TANGENT = "t_"  # and its tangent
PRIMES = ("", "′", "″", "‴")


class Letters:
    """Names that are all different: of the model where it has them, with primes where it has them twice.

    `model` are the model's names: `d_h` is the adjoint of h, and `t_h` its tangent, where h is one of them.
    """

    def __init__(self, bases: Sequence[str], model: Set[str] = frozenset()) -> None:
        self.bases, self.known, self.model = Counter(bases), {*bases, *model}, model
        self.given: dict[str, int] = {}
        self.used: set[Name] = set()
        self.numbers: Counter[str] = Counter()

    def of(self, hint: str, *, plain: bool = False) -> Name:
        """The model's name for a value; `d_h` is the adjoint of h, unless the model says so itself (`plain`)."""
        marks: tuple[str, ...] = ()
        while not plain and (mark := self._mark(hint)):
            hint, marks = hint[2:], (mark, *marks)
        key = str(Name(hint, marks))
        for _ in range(self.bases[key] + len(self.used) + 1):
            turn = self.given[key] = self.given.get(key, -1) + 1
            many = self.bases[key] > len(PRIMES)
            name = Name(
                hint + (f"_{turn}" if many and turn else PRIMES[turn] if turn < len(PRIMES) else f"_{turn}"), marks
            )
            if name not in self.used:
                break
        return self.take(name)

    def _mark(self, hint: str) -> str:
        """What the first letters of a name say that it is of the rest."""
        if hint.startswith(ADJOINT):
            return "bar" if hint not in self.known or hint.removeprefix(ADJOINT) in self.known else ""
        said = hint not in self.model and hint.removeprefix(TANGENT) in self.model
        return "dot" if hint.startswith(TANGENT) and said else ""

    def fresh(self, letter: str) -> Name:
        """`v1`, `v2` …, but those that the model uses itself."""
        while True:
            self.numbers[letter] += 1
            name = Name(f"{letter}{self.numbers[letter]}")
            if name not in self.used and name.base not in self.bases:
                return self.take(name)

    def take(self, name: Name) -> Name:
        self.used.add(name)
        return name


class Reader:
    """Formulas by the id of their value. `dims` names the dims of values, for the labels of sums; `known` are the
    names of values of the model."""

    def __init__(
        self, dims: Mapping[int, Names], stands_for: Mapping[int, Value] | None = None, known: Set[str] = frozenset()
    ) -> None:
        self.dims, self.stands_for, self.known = dims, stands_for or {}, known
        self.formulas: dict[int, Formula] = {}

    def name(self, value: Value, name: Name) -> Symbol:
        made = self.formulas[value.id] = Symbol(name, value.aval)
        return made

    def of(self, value: Value) -> Formula:
        """A value's formula; of a stand-in without a name, that of what it stands for."""
        while value.id not in self.formulas:
            value = self.stands_for[value.id]
        return self.formulas[value.id]

    def read(self, node: Node) -> list[Formula]:
        """What a node's results are, by what its operands are."""
        first = node.outs[0]
        number = number_of(first) if len(node.outs) == 1 and (first.aval.is_float or not first.rank) else None
        if number is not None:
            made: list[Formula] = [Number(number, node.outs[0].aval)]
        elif len(node.outs) == 1:
            made = [self._term(node)]
        else:
            args = tuple(self.of(value) for value in node.inputs)
            size = 1 + sum(size_of(arg) for arg in args)
            made = [
                Term(node.prim.name, args, {**node.params, "out": k}, out.aval, (), size)
                for k, out in enumerate(node.outs)
            ]
        for out, formula in zip(node.outs, made, strict=True):
            self.formulas[out.id] = formula
        return made

    def _term(self, node: Node) -> Formula:
        args, out = tuple(self.of(value) for value in node.inputs), node.outs[0]
        labels = self._labels(node) if node.prim.name.startswith("reduce_") else ()
        return simplified(
            Term(node.prim.name, args, node.params, out.aval, labels, 1 + sum(size_of(arg) for arg in args))
        )

    def _labels(self, node: Node) -> tuple[str, ...]:
        operand = node.inputs[0]
        names = self.dims.get(operand.id, (None,) * operand.rank)
        return tuple(names[axis] or str(axis) for axis in node.params["axes"])


def size_of(formula: Formula) -> int:
    return formula.size if isinstance(formula, Term) else 0


def simplified(term: Term) -> Formula:
    """The same without what says nothing: `1 · x`, `-(1)`, a copy, a view of a view."""
    first = term.args[0] if term.args else None
    if first is None:
        return term
    if term.op == "copy":
        return first
    if term.op == "neg" and isinstance(first, Number):
        return Number(-first.number, term.aval)
    if term.op in ("reshape", "broadcast_to"):
        if first.aval.shape == term.aval.shape:
            return first
        if isinstance(first, Term) and first.op == term.op:
            return simplified(Term(term.op, first.args, term.params, term.aval, (), first.size))
    if term.op == "transpose" and isinstance(first, Term) and first.op == "transpose":
        axes = first.params["axes"]
        if tuple(axes[k] for k in term.params["axes"]) == tuple(range(len(axes))):
            return first.args[0]
    if term.op == "add" and first is term.args[1]:
        return Term("mul", (Number(2.0, first.aval), first), {}, term.aval, (), 1 + size_of(first))
    if term.op in ("mul", "div"):
        other = term.args[1]
        if isinstance(other, Number) and other.number == 1 and first.aval == term.aval:
            return first
        if term.op == "mul" and isinstance(first, Number) and first.number == 1 and other.aval == term.aval:
            return other
    return term


def summed(formula: Formula) -> tuple[str, ...]:
    """The dims of the sums that a derivative ends in, term by term: those that undo a broadcast."""
    found: dict[str, None] = {}
    work = [formula]
    while work:
        part = work.pop()
        if isinstance(part, Term):
            if part.op in ("add", "neg", "reshape"):
                work.extend(reversed(part.args))
            elif part.op == "reduce_sum":
                found.update(dict.fromkeys(part.labels))
    return tuple(found)


# ── lines of the model ──────────────────────────────────────────────────────────────────────────────────────


def place(node: Node) -> Span | None:
    """The first place that asked for a node, in the model before the prelude."""
    return next((span for span in node.spans if not span.source.prelude), node.spans[0] if node.spans else None)


def groups(nodes: Sequence[Node], ends: Callable[[Node], bool]) -> list[int]:
    """For each node a number: neighbours that one expression of the model asked for have the same one.

    After a node that `ends` a line begins another group.
    """
    found: list[int] = []
    number, before = 0, object()
    for node in nodes:
        here = place(node)
        key: object = (id(here.source), here.start, here.end) if here is not None else None
        if key != before and node.prim.name != "constant":
            number += 1
            before = key
        found.append(number)
        if ends(node):
            before = object()
    return found


def as_called(span: Span, operands: Sequence[tuple[Value, Formula]]) -> tuple[str | Formula, ...]:
    """A call as the model writes it, `softmax(h, axis=1)`, with formulas for what is called on; () if it is none."""
    from gradcli.syntax import ast
    from gradcli.syntax.diagnostics import ModelError, Source
    from gradcli.syntax.parse import parse_expression

    try:
        call = parse_expression(Source("", span.text))
    except ModelError:
        return ()
    if not isinstance(call, ast.Call) or not call.args:
        return ()
    pieces: list[str | Formula] = []
    end = 0
    for k, argument in enumerate(call.args):
        where = argument.span
        inside = [f for value, f in operands if value.node is not None and _is_at(value.node, span, where)]
        if isinstance(argument, ast.Name):
            inside += [f for value, f in operands if argument.id in (value.hint, _base(f))]
        if not inside and k == 0 and len(operands) == 1:
            inside = [operands[0][1]]
        if inside:
            pieces += [span.text[end : where.start], inside[0]]
            end = where.end
    return tuple(
        " ".join(p.split()) + " " * p.endswith(" ") if isinstance(p, str) else p for p in [*pieces, span.text[end:]]
    )


def _base(formula: Formula) -> str:
    return formula.name.base if isinstance(formula, Symbol) else ""


def _is_at(node: Node, outer: Span, inner: Span) -> bool:
    start = outer.start + inner.start
    return any(
        s.source is outer.source and s.start == start and s.end - s.start == inner.end - inner.start for s in node.spans
    )

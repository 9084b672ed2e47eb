"""Formulas read off a graph, and a derivation made of them: plain values that a report writes as text or LaTeX.

A formula is a `Symbol` (a value that has a name), a `Number`, or a `Term`: a primitive applied to formulas, with its
params. Nothing is lost between a graph and its formulas: to evaluate every equation in its order is to run the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.record import record
from gradcli.syntax.diagnostics import Diagnostic, Span

MARKS = {"bar": "d_", "dot": "t_", "tilde": "dd_"}  # what a mark above a letter is in plain names


@record
class Name:
    """`x`; with a mark it is the adjoint of `x` (bar; where bars are values, a tilde) or its tangent (dot).

    Of several marks the last was set last.
    """

    base: str
    marks: tuple[str, ...] = ()

    def marked(self, mark: str) -> Name:
        return Name(self.base, (*self.marks, mark))

    def __str__(self) -> str:
        """`d_x` for the adjoint, as graphs have it."""
        return "".join(MARKS[mark] for mark in reversed(self.marks)) + self.base


@record
class Symbol:
    """A value with a name."""

    name: Name
    aval: Aval


@record
class Number:
    """One number, in every element where an array is meant."""

    number: float
    aval: Aval


@record(eq=False)
class Term:
    """`op(args)`. `labels` name the dims that a sum runs over: their names, else their numbers; none for all dims."""

    op: str
    args: tuple[Formula, ...]
    params: Mapping[str, Any]
    aval: Aval
    labels: tuple[str, ...] = ()
    size: int = 1  # how many operators it holds


Formula = Symbol | Number | Term


def symbols(formula: Formula) -> Iterator[Name]:
    """The names in a formula, from left to right."""
    work: list[Formula] = [formula]
    while work:
        part = work.pop()
        if isinstance(part, Symbol):
            yield part.name
        elif isinstance(part, Term):
            work.extend(reversed(part.args))


@record(eq=False)
class Equation:
    """`name = formula`. `call` is the same as the model writes it, in pieces of text and formulas: `softmax(`, x, `)`.

    An input has no formula, nor has what a block gives. `value` is an array where numbers were asked for.
    """

    name: Name
    aval: Aval
    formula: Formula | None = None
    dims: tuple[str | None, ...] = ()
    call: tuple[str | Formula, ...] = ()
    summed: tuple[str, ...] = ()  # dims of a sum that undoes a broadcast
    value: Any = None
    block: Block | None = None  # the block that gives it


@record(eq=False)
class Block:
    """A part that is kept as a graph of its own: a loop, or what is computed again.

    `given` binds the names inside; `lines` are the equations of one turn, `after` what it gives: of a loop first the
    next value of each of `carried`, then what is stacked. `results` are the names outside, None where nobody reads.
    """

    op: str
    params: Mapping[str, Any]
    given: tuple[Equation, ...]
    lines: tuple[Equation, ...]
    after: tuple[Equation, ...]
    results: tuple[Name | None, ...]
    carried: tuple[Name, ...] = ()
    slices: tuple[Name, ...] = ()
    index: Name | None = None
    condition: Formula | None = None


@record(eq=False)
class Step:
    """One value of a model with its derivative beside it, and the line of the model that it comes from.

    `derivative` ends in the adjoint (the tangent) of `value`; before it stands what it has in common with others. A
    block of the derivative stands beside the block it differentiates.
    """

    place: Span | None
    value: Equation
    derivative: tuple[Equation, ...] = ()
    adjoint_block: Block | None = None
    why: str = ""  # there is no derivative: `constant`, `stopped`


@record(eq=False)
class Derivation:
    """The steps of one pass, in the order of the model; adjoints are found from the last one to the first.

    `seeds` are what it starts from, each of one of `weighed`: the outputs, or in forward mode the inputs that move.
    """

    of: str  # what is differentiated: `out`, or of higher order `∂out/∂x`
    mode: str  # "reverse" or "forward"
    seeds: tuple[Equation, ...]
    weighed: tuple[Name, ...]
    steps: tuple[Step, ...]
    results: tuple[Name, ...]
    closed: tuple[Equation, ...] = ()  # the same results, each as one formula of the inputs


@record(eq=False)
class Explanation:
    """What `explain` tells of a model."""

    model: str
    net: str
    edition: int
    parts: tuple[Derivation, ...]
    numbers: bool = False
    notes: tuple[Diagnostic, ...] = ()


__all__ = ["Block", "Derivation", "Equation", "Explanation", "Formula", "Name", "Number", "Step", "Symbol", "Term"]

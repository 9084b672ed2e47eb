"""Where a number went bad, as a rule for its repair sees it: the step, and the model's text around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gradcli.facts.trace import Mend
from gradcli.ir.graph import Graph, Node, Value
from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Source, Span
from gradcli.syntax.parse import parse_expression
from gradcli.trace.saying import THROUGH

TINY = {"f16": "1e-4", "f32": "1e-12", "f64": "1e-12"}  # what is added below a root
FAR = 64  # steps that are looked at from a spot


@record(eq=False)
class Spot:
    """Where a number went bad: the step, the operator whose value or derivative it computes, the numbers it read, and
    the `where` with its operand's position, if one leaves the number out."""

    graph: Graph
    node: Node
    operator: str
    derived: bool  # whether it is a step of the derivative
    numbers: tuple[float, ...]
    span: Span
    masked: tuple[Node, int] | None

    @property
    def dtype(self) -> str:
        return self.node.outs[0].dtype


Rule = Callable[[Spot], Iterator[Mend]]


def bare(value: Value) -> Value:
    while value.node is not None and value.node.prim.name in THROUGH:
        value = value.node.inputs[0]
    return value


def tree_of(span: Span) -> ast.Expr | None:
    """The expression at a place, its spans within the text of that place."""
    try:
        return parse_expression(Source("", span.text))
    except ModelError:
        return None


def argument_of(span: Span, name: str) -> str | None:
    """The text of the only argument, where the place is `name(…)`."""
    match tree_of(span):
        case ast.Call(func=ast.Name(id=called), args=(inner,), keywords=()) if called == name:
            return inner.span.text
    return None


def held(tree: ast.Expr) -> str:
    text = tree.span.text
    return f"({text})" if isinstance(tree, ast.Binary | ast.Unary | ast.Select) else text


def reaches(text: str, here: Span, there: Span) -> bool:
    """Whether an expression means the same at both places: no name of it is bound between, and no net begins."""
    if here.source is not there.source:
        return False
    first, last = sorted((here, there), key=lambda span: span.start)
    start = first.source.text.rfind("\n", 0, first.start) + 1
    between = first.source.text[start : last.source.text.rfind("\n", 0, last.start) + 1]
    words = set(re.findall(r"[A-Za-z_]\w*\b(?!\s*=(?!=))", text))  # names of arguments are none
    bound = set(re.findall(r"([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)?\+?=(?!=)", between))
    return not words & bound and not re.search(r"^\s*net\b|\bfor\b", between, re.MULTILINE)


def readers(graph: Graph, value: Value) -> Iterator[Node]:
    """Steps of the model that are made of a value, the nearest first."""
    reached, left = {value.id}, FAR
    for node in graph.nodes:
        if node.role is None and any(operand.id in reached for operand in node.inputs):
            yield node
            left -= 1
            if not left:
                return
            reached.update(out.id for out in node.outs)

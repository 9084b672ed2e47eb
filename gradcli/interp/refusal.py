"""What a rule refuses, as a diagnostic: with the operands' places, and where their shapes came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gradcli.interp import names
from gradcli.interp.scope import Frame
from gradcli.interp.values import Arr
from gradcli.ir.primitive import ShapeError
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, ModelError, Span, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

DEFERRED = ("wrt", "axis", "axes", "axis1", "axis2")  # arguments that are read in another scope


def refused(ctx: Elaborator, frame: Frame, node: Any, error: ShapeError, args: list[Any]) -> ModelError:
    """A shape or dtype rule's refusal, with the operands' places and where their shapes came from."""
    operands = _operands(node)
    values = args[1:] if isinstance(node, ast.Call) else args
    others: list[Label] = []
    which = error.operands or (tuple(range(len(operands))) if len(operands) == 2 else ())
    primary = ctx.user_span(frame, node.span)
    inside = primary is node.span
    if inside and isinstance(node, ast.Binary):
        primary = _sign(node)
    for index in which:
        if not inside or index >= len(operands) or index >= len(values):
            continue
        operand, value = operands[index], values[index]
        if not isinstance(value, Arr):
            continue
        if operand.span != node.span:
            others.append(Label(operand.span, f"{short(operand.span)} is {value}"))
        if isinstance(operand, ast.Name):
            binding = names.find(frame, operand.id)
            if binding is not None and binding.span != operand.span:
                others.append(Label(binding.span, f"{binding.what} {operand.id} is {value}"))
    notes = () if inside else (f"refused inside `{short(node.span)}` of the prelude",)
    help = error.help
    if help is not None and "{" in help:
        own = inside and len(operands) > 1  # else it is about what the operator makes of its operand
        help = help.format(*[_factor(operand) for operand in operands] if own else "xy")
    return fail(error.code, error.message, primary, others=others, help=help, notes=notes)


def _sign(node: ast.Binary) -> Span:
    """The operator's own place between its operands; parentheses and comments may stand around it."""
    start, end = node.left.span.end, node.right.span.start
    between = re.sub(r"#[^\n]*", lambda comment: " " * len(comment[0]), node.span.source.text[start:end])
    at = start + between.find(node.op)
    return Span(node.span.source, at, at + len(node.op)) if at >= start else node.span


def _factor(operand: Any) -> str:
    """An operand as it may stand beside an operator in a repair."""
    text = short(operand.span)
    return text if isinstance(operand, ast.Name | ast.Number | ast.Call | ast.Index | ast.Attribute) else f"({text})"


def short(span: Span) -> str:
    text = " ".join(span.text.split())
    return text if len(text) <= 32 else text[:29] + "…"


def _operands(node: Any) -> list[Any]:
    match node:
        case ast.Binary():
            return [node.left, node.right]
        case ast.Call():
            return [*node.args, *[k.value for k in node.keywords if k.name not in DEFERRED]]
        case ast.Unary():
            return [node.operand]
        case ast.Index() | ast.Attribute():
            return [node.value]
        case ast.Select():
            return [node.cond, node.then, node.other]
    return []

"""Steps of a graph as a reader of the model would write them: `d_s / (s * 2)`, and with numbers `1 / 0`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gradcli.ir.constants import unpack
from gradcli.ir.graph import Node, Role, Value
from gradcli.trace.places import own_span

INFIX = {  # sign, how strongly it binds
    "add": ("+", 2), "sub": ("-", 2), "mul": ("*", 3), "div": ("/", 3), "rem": ("%", 3), "matmul": ("@", 3),
    "pow": ("**", 5),
    "less": ("<", 1), "less_equal": ("<=", 1), "greater": (">", 1), "greater_equal": (">=", 1), "equal": ("==", 1),
    "not_equal": ("!=", 1), "logical_and": ("and", 0), "logical_or": ("or", 0),
}  # fmt: skip
SPELLED = {"reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "reduce_prod": "prod", "reduce_any": "any",
           "reduce_all": "all", "logical_not": "not", "scan": "for", "recurrence": "cumprod"}  # fmt: skip
THROUGH = ("broadcast_to", "reshape", "stop_gradient", "copy", "cast", "transpose")  # the same numbers
UNDERFLOW = "underflow of"  # what a 0 is, made of numbers that are none
ATOM = 9
LONGEST = 32  # letters of a line's own text
DEPTH = 3


def operator(name: str) -> str:
    """A primitive as the language has it."""
    return INFIX[name][0] if name in INFIX else SPELLED.get(name, name)


def formula(node: Node) -> str:
    """A step, with what the model calls its operands."""
    return _applied(node, [_said(value, DEPTH, node) for value in node.inputs])[0]


def with_numbers(node: Node, numbers: Sequence[float]) -> str:
    """The step with the numbers in place of its operands."""
    parts = [(number(x, value.dtype), ATOM if not x < 0 else 4) for x, value in zip(numbers, node.inputs, strict=True)]
    return _applied(node, parts)[0]


def operand(value: Value, step: Node | None = None) -> str:
    """What the model calls a value: its name, its number, or how it is made."""
    return _said(value, DEPTH, step)[0]


def about(value: Value, step: Node) -> str:
    """What a name that the model does not have stands for; the line of what has none, where that is another one."""
    inner = through(value)
    role = None if inner.node is None else inner.node.role
    hint = inner.hint or value.hint
    if hint.startswith("d_"):
        return f"the adjoint of {hint[2:]}"
    if hint.startswith("t_"):
        return f"the tangent of {hint[2:]}"
    if role is None and inner.node is not None and not inner.hint and inner.node.prim.name != "constant":
        span = own_span(inner.node)
        here = own_span(step)
        return f"line {span.line}" if span is not None and (here is None or span.line != here.line) else ""
    return ""


def through(value: Value) -> Value:
    """The value that holds the numbers which this one shows in another shape."""
    while not value.hint and value.node is not None and value.node.prim.name in THROUGH:
        value = value.node.inputs[0]
    return value


def number(x: float, dtype: str) -> str:
    """6 digits, or as many as it takes to tell it from a whole number."""
    from gradcli.report.numbers import brief

    return brief(x, dtype)


def depth(role: Role | None) -> int:
    """How often a node's value was differentiated."""
    count = 0
    while role is not None:
        count, role = count + 1, role.of
    return count


def _applied(node: Node, parts: Sequence[tuple[str, int]]) -> tuple[str, int]:
    name = node.prim.name
    if name in INFIX and len(parts) == 2:
        sign, strength = INFIX[name]
        left, right = _held(parts[0], strength + (name == "pow")), _held(parts[1], strength + (name != "pow"))
        return f"{left} {sign} {right}", strength
    if name == "one_minus_square":
        return f"1 - {_held(parts[0], 6)}**2", 2
    if name == "neg":
        return f"-{_held(parts[0], 4)}", 4
    called = node.outs[0].dtype if name == "cast" else operator(name)
    return f"{called}({', '.join(text for text, _ in parts)})", ATOM


def _held(part: tuple[str, int], strength: int) -> str:
    return part[0] if part[1] >= strength else f"({part[0]})"


def _said(value: Value, left: int, step: Node | None) -> tuple[str, int]:
    value = through(value)
    node = value.node
    if node is None or (value.hint and _known(value)):
        return value.hint or "…", ATOM
    if node.prim.name == "constant":
        return _constant(node), ATOM
    span = own_span(node)
    same = step is not None and own_span(step) == span
    if node.role is None and span is not None and not same and len(span.text) <= LONGEST and "\n" not in span.text:
        return span.text, ATOM if _is_whole(span.text) else 1
    if not left:
        return "…", ATOM
    return _applied(node, [_said(inner, left - 1, step) for inner in node.inputs])


def _is_whole(text: str) -> bool:
    """Whether it is a name or a call, which needs no brackets."""
    depth, name = 0, re.match(r"[\w.]+", text)
    rest = text[name.end() :] if name is not None else "+"
    for k, letter in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and (letter != ")" or k < len(rest) - 1):
            return False
    return True


def _constant(node: Node) -> str:
    """Its number, where all elements are the same."""
    numbers = set(unpack(node.params["data"], node.outs[0].dtype))
    return number(float(numbers.pop()), node.outs[0].dtype) if len(numbers) == 1 else "a constant"


def _known(value: Value) -> bool:
    """Whether a name is one of the model's, and not one of the prelude's."""
    span = own_span(value.node)
    name = value.hint[2:] if value.hint[:2] in ("d_", "t_") else value.hint
    return span is None or re.search(rf"\b{re.escape(name)}\b", span.source.text) is not None

"""Repairs for numbers that went bad: a table of patterns, each with the text that takes the place of the model's.

A candidate only says what may help at a spot; whoever asks runs the repaired model and drops what does not help.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gradcli.ir.graph import Graph, Node, Value
from gradcli.places import own_span
from gradcli.record import record
from gradcli.saying import THROUGH, through
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Source, Span
from gradcli.syntax.parse import parse_expression
from gradcli.traced import Mend

TINY = {"f16": "1e-4", "f32": "1e-12", "f64": "1e-12"}  # what is added below a root
INSIDE = {
    "acos": 0,
    "asin": 0,
    "atanh": 0,
    "log1p": 0,
    "exp": 0,
    "exp2": 0,
    "expm1": 0,
    "cosh": 0,
    "sinh": 0,
    "acosh": 2,
}
LONGEST = 12  # letters of an argument that is written three times
FAR = 64  # steps that are looked at from a spot


@record(eq=False)
class Spot:
    """Where a number went bad: the step, the operator whose value or derivative it computes, the numbers it read, and
    the `where` with its operand's position, if one leaves the number out."""

    graph: Graph
    node: Node
    operator: str
    adjoint: bool
    numbers: tuple[float, ...]
    span: Span
    masked: tuple[Node, int] | None

    @property
    def dtype(self) -> str:
        return self.node.outs[0].dtype


Rule = Callable[[Spot], Iterator[Mend]]


def candidates(spot: Spot) -> Iterator[Mend]:
    """Repairs that may help, the best first."""
    if spot.span.source.prelude:
        return
    yield from _select_first(spot)
    for rule in RULES.get(("adjoint" if spot.adjoint else "value", spot.operator), ()):
        yield from rule(spot)


# ── select the argument first ───────────────────────────────────────────────────────────────────────────────


def _select_first(spot: Spot) -> Iterator[Mend]:
    """`where(c, f(x), y)` evaluates f everywhere: `f(where(c, x, 1))` only where it is asked for."""
    masked = spot.masked or _where_after(spot)
    if masked is None:
        return
    node, branch = masked
    place, tree = own_span(node), _tree(spot.span)
    condition = None if place is None else _condition(_tree(place))
    if place is None or condition is None or not _reaches(condition, place, spot.span):
        return

    def chosen(inner: str, one: object) -> str:
        return f"where({condition}, {inner}, {one})" if branch == 1 else f"where({condition}, {one}, {inner})"

    safe = _with_argument(tree, chosen)
    if safe is not None:
        yield Mend("both sides of a `where` are computed: select the argument first", spot.span, safe)


def _with_argument(tree: ast.Expr | None, chosen: Callable[[str, object], str]) -> str | None:
    match tree:
        case ast.Binary(op="/"):
            return f"{_held(tree.left)} / {chosen(tree.right.span.text, 1)}"
        case ast.Binary(op="**"):
            return f"{chosen(tree.left.span.text, 1)} ** {_held(tree.right)}"
        case ast.Call(func=ast.Name(), args=(inner,), keywords=()):
            return f"{tree.func.span.text}({chosen(inner.span.text, INSIDE.get(tree.func.span.text, 1))})"
    return None


def _where_after(spot: Spot) -> tuple[Node, int] | None:
    """The `where` that reads the value which the spot is the adjoint of, where it let no cotangent through."""
    if not spot.adjoint or 0.0 not in spot.numbers[:1]:
        return None
    own = [node for node in spot.graph.nodes if node.role is None and own_span(node) == spot.span]
    reached = {out.id for node in own if node.prim.name == spot.operator for out in node.outs}
    for node in spot.graph.nodes:
        if node.role is None and any(value.id in reached for value in node.inputs):
            if node.prim.name == "where":
                found = next((k for k in (1, 2) if node.inputs[k].id in reached), None)
                if found is not None:
                    return node, found
            elif node.prim.kind == "elementwise" or node.prim.view:
                reached.update(out.id for out in node.outs)
    return None


def _condition(tree: ast.Expr | None) -> str | None:
    match tree:
        case ast.Call(func=ast.Name(id="where"), args=(condition, _, _)):
            return condition.span.text
        case ast.Select():
            return tree.cond.span.text
    return None


# ── roots ───────────────────────────────────────────────────────────────────────────────────────────────────


def _root_at_zero(spot: Spot) -> Iterator[Mend]:
    """The derivative of a root at 0 is infinite: either 0 is meant there, or a small number below the root keeps it
    smooth."""
    tiny = TINY[spot.dtype]
    match _tree(spot.span):
        case ast.Call(func=ast.Name(id="norm"), args=(inner, *rest), keywords=keywords):
            more = "".join(f", {part.span.text}" for part in (*rest, *keywords))
            yield Mend("the norm has no derivative at 0; a small number below the root keeps it smooth", spot.span,
                       f"sqrt(sum(square({inner.span.text}){more}) + {tiny})")  # fmt: skip
        case ast.Call(func=ast.Name(id="std"), args=args, keywords=keywords):
            inside = ", ".join(part.span.text for part in (*args, *keywords))
            yield Mend("a spread of 0 has no derivative; a small number below the root keeps it smooth", spot.span,
                       f"sqrt(var({inside}) + {tiny})")  # fmt: skip
        case ast.Call(func=ast.Name(id="hypot"), args=(x, y)):
            yield Mend("the distance has no derivative at 0; a small number below the root keeps it smooth", spot.span,
                       f"sqrt(square({x.span.text}) + square({y.span.text}) + {tiny})")  # fmt: skip
        case ast.Call(func=ast.Name(id="sqrt"), args=(inner,)) if len(inner.span.text) > LONGEST:
            yield Mend("the derivative of a root at 0 is infinite; a small number below it keeps it smooth", spot.span,
                       f"sqrt({inner.span.text} + {tiny})")  # fmt: skip
        case ast.Call(func=ast.Name(id="sqrt" | "cbrt" as name), args=(inner,)):
            text, sign = inner.span.text, ">" if name == "sqrt" else "!="
            yield Mend(f"the derivative of {name} at 0 is infinite; to have 0 there", spot.span,
                       f"where({text} {sign} 0, {name}(where({text} {sign} 0, {text}, 1)), 0)")  # fmt: skip
        case ast.Binary(op="**", left=left, right=right):
            text = left.span.text
            yield Mend("the derivative of this power at 0 is infinite; to have 0 there", spot.span,
                       f"where({text} > 0, where({text} > 0, {text}, 1) ** {_held(right)}, 0)")  # fmt: skip


def _root_below_zero(spot: Spot) -> Iterator[Mend]:
    x = spot.numbers[0]
    match _tree(spot.span):
        case ast.Binary(op="**", left=left) if len(spot.numbers) == 2 and abs(spot.numbers[1] * 3 - 1) < 1e-3:
            yield Mend("the cube root of a negative number is `cbrt`", spot.span, f"cbrt({left.span.text})")
        case ast.Binary(op="**", left=left, right=right) if x < 0:
            yield Mend("below 0 only whole powers are real; if the magnitude is meant", spot.span,
                       f"abs({left.span.text}) ** {_held(right)}")  # fmt: skip
        case ast.Call(func=ast.Name(id="sqrt"), args=(inner,)) if -1e-3 < x < 0:
            yield Mend("rounding made it negative; keep it above 0", spot.span,
                       f"sqrt(maximum({inner.span.text}, {TINY[spot.dtype]}))")  # fmt: skip
        case ast.Call(func=ast.Name(id="sqrt"), args=(inner,)) if x < 0:
            yield Mend("below 0 there is no real root; if the magnitude is meant", spot.span,
                       f"sqrt(abs({inner.span.text}))")  # fmt: skip


# ── exponentials ────────────────────────────────────────────────────────────────────────────────────────────


def _overflow(spot: Spot) -> Iterator[Mend]:
    """`exp(a)` inside a formula that has a stable form of its own."""
    argument = _argument(spot.span, "exp")
    if argument is None:
        return
    for node in _readers(spot.graph, spot.node.outs[0]):
        place = own_span(node)
        if place is None or place.source.prelude or not _reaches(argument, spot.span, place):
            continue
        made = _stable(node, through(spot.node.outs[0]), argument, place)
        if made is not None:
            name, by = made
            yield Mend(f"`{name}` computes this without overflow", place, by)


def _stable(node: Node, power: Value, argument: str, place: Span) -> tuple[str, str] | None:
    """The stable operator that a step with `power` = exp(argument) inside is, and how it is called."""
    name, inputs = node.prim.name, [_bare(value) for value in node.inputs]
    if name == "div" and _one_more(inputs[1], power):
        if inputs[0] is power:
            return "sigmoid", f"sigmoid({argument})"
        if _is_one(inputs[0]):
            return "sigmoid", f"sigmoid({_minus(argument)})"
    if name == "div" and inputs[0] is power and _is_sum(inputs[1], power):
        axes: tuple[int, ...] = inputs[1].node.params["axes"] if inputs[1].node is not None else ()
        if len(axes) == 1:
            return "softmax", f"softmax({argument}{'' if power.rank == 1 else f', axis={axes[0]}'})"
        return None
    if name == "log" and _one_more(inputs[0], power):
        return "softplus", f"softplus({argument})"
    if name == "log1p" and inputs[0] is power:
        return "softplus", f"softplus({argument})"
    if name == "log" and _is_sum(inputs[0], power):
        call = _tree(place)
        inner = call.args[0] if isinstance(call, ast.Call) and call.args else None
        more = "".join(f", {k.span.text}" for k in inner.keywords) if isinstance(inner, ast.Call) else ""
        return "logsumexp", f"logsumexp({argument}{more})"
    return None


def _bare(value: Value) -> Value:
    while value.node is not None and value.node.prim.name in THROUGH:
        value = value.node.inputs[0]
    return value


def _one_more(value: Value, power: Value) -> bool:
    node = value.node
    if node is None or node.prim.name != "add":
        return False
    a, b = map(_bare, node.inputs)
    return (a is power and _is_one(b)) or (b is power and _is_one(a))


def _is_one(value: Value) -> bool:
    from gradcli.ir.constants import unpack

    node = value.node
    return node is not None and node.prim.name == "constant" and set(unpack(node.params["data"], value.dtype)) == {1}


def _is_sum(value: Value, power: Value) -> bool:
    return value.node is not None and value.node.prim.name == "reduce_sum" and _bare(value.node.inputs[0]) is power


def _minus(text: str) -> str:
    if re.fullmatch(r"-[\w.]+(\([^()]*\))?", text):
        return text[1:]
    return f"-{text}" if re.fullmatch(r"[\w.]+(\([^()]*\))?", text) else f"-({text})"


# ── logarithms and quotients ────────────────────────────────────────────────────────────────────────────────


def _log_of_zero(spot: Spot) -> Iterator[Mend]:
    inner = _argument(spot.span, "log")
    if inner is None or spot.numbers[0] != 0:
        return
    stable = _log_of(inner)
    if stable is not None:
        yield Mend(
            f"`{stable.partition('(')[0].lstrip('-')}` has the logarithm before it underflows", spot.span, stable
        )
    safe = f"log(where({inner} > 0, {inner}, 1))"
    if any(node.prim.name == "mul" and _bare(spot.node.inputs[0]) in map(_bare, node.inputs)
           for node in _readers(spot.graph, spot.node.outs[0])):  # fmt: skip
        yield Mend(f"{inner} * log({inner}) is 0 at 0: take the logarithm only above 0", spot.span, safe)
    yield Mend("the logarithm of 0 is infinite; keep its argument above 0", spot.span,
               f"log(maximum({inner}, {TINY[spot.dtype]}))")  # fmt: skip


def _log_of(inner: str) -> str | None:
    """The logarithm of what is nearly 0, in one operator."""
    match _tree(Span(Source("", inner), 0, len(inner))):
        case ast.Call(func=ast.Name(id="softmax"), args=args, keywords=keywords):
            return f"log_softmax({', '.join(part.span.text for part in (*args, *keywords))})"
        case ast.Call(func=ast.Name(id="sigmoid"), args=(x,)):
            return f"-softplus({_minus(x.span.text)})"
        case ast.Binary(op="-", left=ast.Number(value=1), right=ast.Call(func=ast.Name(id="sigmoid"), args=(x,))):
            return f"-softplus({x.span.text})"
        case ast.Call(func=ast.Name(id="sum"), args=(ast.Call(func=ast.Name(id="exp"), args=(x,)),), keywords=keywords):
            return f"logsumexp({', '.join(part.span.text for part in (x, *keywords))})"
    return None


def _quotient(spot: Spot) -> Iterator[Mend]:
    """Quotients that have a value where both sides are 0."""
    match _tree(spot.span):
        case ast.Binary(op="/", left=ast.Call(func=ast.Name(id="sin"), args=(a,)), right=b) if (
            a.span.text == b.span.text
        ):
            x = a.span.text
            yield Mend("sin(x) / x is 1 at 0", spot.span,
                       f"where({x} == 0, 1, sin({x}) / where({x} == 0, 1, {x}))")  # fmt: skip
        case ast.Binary(
            op="/", left=left, right=ast.Call(func=ast.Name(id="norm"), args=(inner, *rest), keywords=keywords)
        ):
            more = "".join(f", {part.span.text}" for part in (*rest, *keywords))
            yield Mend("a vector of zeros has no direction; a small number below the root keeps it 0", spot.span,
                       f"{_held(left)} / sqrt(sum(square({inner.span.text}){more}) + {TINY[spot.dtype]})")  # fmt: skip
        case ast.Binary(op="/", left=ast.Call(func=ast.Name(id="exp"), args=(a,)), right=total):
            over = _sum_of_exp(total, a.span.text)
            if over is not None:
                yield Mend("`softmax` computes this without underflow", spot.span, f"softmax({a.span.text}{over})")


def _sum_of_exp(tree: ast.Expr, argument: str) -> str | None:
    """Of `sum(exp(a), axis=…)` how it is called besides `a`, as `softmax` takes it."""
    match tree:
        case ast.Call(func=ast.Name(id="sum"), args=(ast.Call(func=ast.Name(id="exp"), args=(inner,)),)):
            if inner.span.text == argument:
                return "".join(f", axis={k.value.span.text}" for k in tree.keywords if k.name == "axis")
    return None


RULES: dict[tuple[str, str], Sequence[Rule]] = {
    ("value", "exp"): (_overflow,),
    ("value", "log"): (_log_of_zero,),
    ("value", "div"): (_quotient,),
    ("value", "pow"): (_root_below_zero,),
    ("value", "sqrt"): (_root_below_zero,),
    ("adjoint", "sqrt"): (_root_at_zero,),
    ("adjoint", "cbrt"): (_root_at_zero,),
    ("adjoint", "hypot"): (_root_at_zero,),
    ("adjoint", "pow"): (_root_at_zero,),
}


# ── the text of a model ─────────────────────────────────────────────────────────────────────────────────────


def _tree(span: Span) -> ast.Expr | None:
    """The expression at a place, its spans within the text of that place."""
    try:
        return parse_expression(Source("", span.text))
    except ModelError:
        return None


def _argument(span: Span, name: str) -> str | None:
    """The text of the only argument, where the place is `name(…)`."""
    match _tree(span):
        case ast.Call(func=ast.Name(id=called), args=(inner,), keywords=()) if called == name:
            return inner.span.text
    return None


def _held(tree: ast.Expr) -> str:
    text = tree.span.text
    return f"({text})" if isinstance(tree, ast.Binary | ast.Unary | ast.Select) else text


def _reaches(text: str, here: Span, there: Span) -> bool:
    """Whether an expression means the same at both places: no name of it is bound between, and no net begins."""
    if here.source is not there.source:
        return False
    first, last = sorted((here, there), key=lambda span: span.start)
    start = first.source.text.rfind("\n", 0, first.start) + 1
    between = first.source.text[start : last.source.text.rfind("\n", 0, last.start) + 1]
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    bound = set(re.findall(r"([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)?\+?=(?!=)", between))
    return not words & bound and not re.search(r"^\s*net\b|\bfor\b", between, re.MULTILINE)


def _readers(graph: Graph, value: Value) -> Iterator[Node]:
    """Steps of the model that are made of a value, the nearest first."""
    reached, left = {value.id}, FAR
    for node in graph.nodes:
        if node.role is None and any(operand.id in reached for operand in node.inputs):
            yield node
            left -= 1
            if not left:
                return
            reached.update(out.id for out in node.outs)


__all__ = ["Spot", "candidates"]

"""Repairs for numbers that went bad: a table of patterns, each with the text that takes the place of the model's.

A candidate only says what may help at a spot; whoever asks runs the repaired model and drops what does not help.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gradcli.facts.trace import Mend
from gradcli.ir.graph import Node, Value
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Source, Span
from gradcli.trace.places import own_span
from gradcli.trace.quotients import divisor_of_zero, nothing_by_nothing, quotient
from gradcli.trace.saying import through
from gradcli.trace.spots import FAR, TINY, Rule, Spot, argument_of, bare, held, reaches, readers, tree_of

NEAR_ONE = {"f16": "1e-3", "f32": "1e-6", "f64": "1e-12"}  # how near to 1 a slope is finite
LOWEST = {"f16": "-1e4", "f32": "-1e9", "f64": "-1e9"}  # in place of -inf
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
PICKING = ("gather", "slice", "take", "reshape", "broadcast_to", "cast", "copy", "transpose")  # parts of a value
LONGEST = 12  # letters of an argument that is written three times


def candidates(spot: Spot) -> Iterator[Mend]:
    """Repairs that may help, the best first."""
    if spot.span.source.prelude:
        return
    yield from _select_first(spot)
    for rule in RULES.get(("slope" if spot.derived else "value", spot.operator), ()):
        yield from rule(spot)


# ── select the argument first ───────────────────────────────────────────────────────────────────────────────


def _select_first(spot: Spot) -> Iterator[Mend]:
    """`where(c, f(x), y)` evaluates f everywhere: `f(where(c, x, 1))` only where it is asked for."""
    masked = spot.masked or _where_after(spot)
    if masked is None:
        return
    node, branch = masked
    place, tree = own_span(node), tree_of(spot.span)
    condition = None if place is None else _condition(tree_of(place))
    if place is None or condition is None or not reaches(condition, place, spot.span):
        return

    def chosen(inner: str, one: object) -> str:
        return f"where({condition}, {inner}, {one})" if branch == 1 else f"where({condition}, {one}, {inner})"

    safe = _with_argument(tree, chosen)
    if safe is not None:
        yield Mend("both sides of a `where` are computed: select the argument first", spot.span, safe)


def _with_argument(tree: ast.Expr | None, chosen: Callable[[str, object], str]) -> str | None:
    match tree:
        case ast.Binary(op="/"):
            return f"{held(tree.left)} / {chosen(tree.right.span.text, 1)}"
        case ast.Binary(op="**"):
            return f"{chosen(tree.left.span.text, 1)} ** {held(tree.right)}"
        case ast.Call(func=ast.Name(), args=(inner,), keywords=()):
            return f"{tree.func.span.text}({chosen(inner.span.text, INSIDE.get(tree.func.span.text, 1))})"
    return None


def _where_after(spot: Spot) -> tuple[Node, int] | None:
    """The `where` that reads the value which the spot is the adjoint of, where it let no cotangent through."""
    if not spot.derived or 0.0 not in spot.numbers[:1]:
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
    match tree_of(spot.span):
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
        case ast.Binary(op="**", left=left, right=right) if spot.numbers[0] == 0:  # else it is too large
            text = left.span.text
            yield Mend("the derivative of this power at 0 is infinite; to have 0 there", spot.span,
                       f"where({text} > 0, where({text} > 0, {text}, 1) ** {held(right)}, 0)")  # fmt: skip


def _root_below_zero(spot: Spot) -> Iterator[Mend]:
    x = spot.numbers[0]
    match tree_of(spot.span):
        case ast.Binary(op="**", left=left) if len(spot.numbers) == 2 and abs(spot.numbers[1] * 3 - 1) < 1e-3:
            yield Mend("the cube root of a negative number is `cbrt`", spot.span, f"cbrt({left.span.text})")
        case ast.Binary(op="**", left=left, right=right) if x < 0:
            yield Mend("below 0 only whole powers are real; if the magnitude is meant", spot.span,
                       f"abs({left.span.text}) ** {held(right)}")  # fmt: skip
        case ast.Call(func=ast.Name(id="sqrt")) if x < 0 and (variance := _variance(spot.node.inputs[0])) is not None:
            yield variance
        case ast.Call(func=ast.Name(id="sqrt"), args=(inner,)) if -1e-3 < x < 0:
            yield Mend("rounding made it negative; keep it above 0", spot.span,
                       f"sqrt(maximum({inner.span.text}, {TINY[spot.dtype]}))")  # fmt: skip
        case ast.Call(func=ast.Name(id="sqrt"), args=(inner,)) if x < 0:
            yield Mend("below 0 there is no real root; if the magnitude is meant", spot.span,
                       f"sqrt(abs({inner.span.text}))")  # fmt: skip


def _variance(value: Value) -> Mend | None:
    """`mean(x * x) - mean(x) ** 2`, which rounding makes negative."""
    place = own_span(value.node)
    match None if place is None else tree_of(place):
        case ast.Binary(
            op="-",
            left=ast.Call(func=ast.Name(id="mean"), args=(square, *rest), keywords=keywords),
            right=ast.Binary(op="**", left=ast.Call(func=ast.Name(id="mean"), args=(x, *_)), right=ast.Number(value=2)),
        ):
            text = x.span.text
            if place is not None and square.span.text in (f"{text} * {text}", f"{text} ** 2", f"square({text})"):
                inside = ", ".join(part.span.text for part in (x, *rest, *keywords))
                why = "rounding made it negative: two large numbers are nearly equal. `var` takes the mean off first"
                return Mend(why, place, f"var({inside})")
    return None


def _inverse(spot: Spot) -> Iterator[Mend]:
    """`acos`, `asin` and `atanh` at 1, or above it by rounding; `acosh` at 1."""
    x, near = spot.numbers[-1] if spot.derived else spot.numbers[0], NEAR_ONE[spot.dtype]
    match tree_of(spot.span):
        case ast.Call(func=ast.Name(id="acos" | "asin" | "atanh" as name), args=(inner,)) if spot.derived or (
            abs(x) < 1 + 1e-3
        ):
            why = f"the slope of {name} at 1 is infinite" if spot.derived else f"{name} is finite below 1"
            yield Mend(f"{why}; keep its argument within", spot.span,
                       f"{name}(clip({inner.span.text}, -1 + {near}, 1 - {near}))")  # fmt: skip
        case ast.Call(func=ast.Name(id="acosh"), args=(inner,)):
            yield Mend("the slope of acosh at 1 is infinite; keep its argument above", spot.span,
                       f"acosh(maximum({inner.span.text}, 1 + {near}))")  # fmt: skip


# ── exponentials ────────────────────────────────────────────────────────────────────────────────────────────


def _overflow(spot: Spot) -> Iterator[Mend]:
    """`exp(a)` inside a formula that has a stable form of its own."""
    argument = argument_of(spot.span, "exp")
    if argument is None:
        return
    for node in readers(spot.graph, spot.node.outs[0]):
        place = own_span(node)
        if place is None or place.source.prelude or not reaches(argument, spot.span, place):
            continue
        made = _stable(node, through(spot.node.outs[0]), argument, place)
        if made is not None:
            name, by = made
            yield Mend(f"`{name}` computes this without overflow", place, by)


def _stable(node: Node, power: Value, argument: str, place: Span) -> tuple[str, str] | None:
    """The stable operator that a step with `power` = exp(argument) inside is, and how it is called."""
    name, inputs = node.prim.name, [bare(value) for value in node.inputs]
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
        call = tree_of(place)
        inner = call.args[0] if isinstance(call, ast.Call) and call.args else None
        more = "".join(f", {k.span.text}" for k in inner.keywords) if isinstance(inner, ast.Call) else ""
        return "logsumexp", f"logsumexp({argument}{more})"
    return None


def _one_more(value: Value, power: Value) -> bool:
    node = value.node
    if node is None or node.prim.name != "add":
        return False
    a, b = map(bare, node.inputs)
    return (a is power and _is_one(b)) or (b is power and _is_one(a))


def _is_one(value: Value) -> bool:
    from gradcli.ir.constants import unpack

    node = value.node
    return node is not None and node.prim.name == "constant" and set(unpack(node.params["data"], value.dtype)) == {1}


def _is_sum(value: Value, power: Value) -> bool:
    return value.node is not None and value.node.prim.name == "reduce_sum" and bare(value.node.inputs[0]) is power


def _minus(text: str) -> str:
    if re.fullmatch(r"-[\w.]+(\([^()]*\))?", text):
        return text[1:]
    return f"-{text}" if re.fullmatch(r"[\w.]+(\([^()]*\))?", text) else f"-({text})"


# ── logarithms ──────────────────────────────────────────────────────────────────────────────────────────────


def _log_of_zero(spot: Spot) -> Iterator[Mend]:
    inner = argument_of(spot.span, "log")
    if inner is None or spot.numbers[0] != 0:
        return
    stable = _log_of(inner) or _log_of_named(spot, inner)
    if stable is not None:
        yield Mend(
            f"`{stable.partition('(')[0].lstrip('-')}` has the logarithm before it underflows", spot.span, stable
        )
    safe = f"log(where({inner} > 0, {inner}, 1))"
    argument = bare(spot.node.inputs[0])
    above = [bare(argument.node.inputs[0])] if argument.node is not None and argument.node.prim.name == "div" else []
    factors = [value for node in readers(spot.graph, spot.node.outs[0]) if node.prim.name == "mul"
               for value in map(bare, node.inputs)]  # fmt: skip
    if any(value in factors for value in (argument, *above)):
        factor = held(tree) if (tree := tree_of(Span(Source("", inner), 0, len(inner)))) is not None else inner
        product = f"{factor} * log({inner})" if argument in factors else f"the product with log({inner})"
        yield Mend(f"{product} is 0 at 0: take the logarithm only above 0", spot.span, safe)
    yield Mend("the logarithm of 0 is infinite; keep its argument above 0", spot.span,
               f"log(maximum({inner}, {TINY[spot.dtype]}))")  # fmt: skip


def _log1p(spot: Spot) -> Iterator[Mend]:
    inner = argument_of(spot.span, "log1p")
    if inner is not None and spot.numbers[0] == -1:
        yield Mend("log1p of -1 is the logarithm of 0; keep its argument above", spot.span,
                   f"log1p(maximum({inner}, -1 + {NEAR_ONE[spot.dtype]}))")  # fmt: skip


def _log_of(inner: str) -> str | None:
    """The logarithm of what is nearly 0, in one operator."""
    match tree_of(Span(Source("", inner), 0, len(inner))):
        case ast.Call(func=ast.Name(id="softmax"), args=args, keywords=keywords):
            return f"log_softmax({', '.join(part.span.text for part in (*args, *keywords))})"
        case ast.Call(func=ast.Name(id="sigmoid"), args=(x,)):
            return f"-softplus({_minus(x.span.text)})"
        case ast.Binary(op="-", left=ast.Number(value=1), right=ast.Call(func=ast.Name(id="sigmoid"), args=(x,))):
            return f"-softplus({x.span.text})"
        case ast.Call(func=ast.Name(id="sum"), args=(ast.Call(func=ast.Name(id="exp"), args=(x,)),), keywords=keywords):
            return f"logsumexp({', '.join(part.span.text for part in (x, *keywords))})"
        case ast.Call(func=ast.Name(id="prod"), args=(x, *rest), keywords=keywords):
            return f"sum({', '.join([f'log({x.span.text})', *(part.span.text for part in (*rest, *keywords))])})"
    return None


def _log_of_named(spot: Spot, inner: str) -> str | None:
    """`log(p[0])`, where `p = softmax(z)` is a line before; `log(1 - p)`, where it is `p = sigmoid(z)`."""
    found = re.fullmatch(r"(1 - )?([A-Za-z_]\w*)(\[.*\])?", inner)
    if found is None:
        return None
    rest, name, part = found.groups("")
    value = spot.node.inputs[0]
    while (
        value.node is not None and value.hint != name and value.node.prim.name in (*PICKING, *(["sub"] if rest else []))
    ):
        value = value.node.inputs[1 if value.node.prim.name == "sub" else 0]
    place = own_span(value.node)
    if value.hint != name or place is None or not reaches(place.text, place, spot.span):
        return None
    stable = _log_of(rest + place.text)
    return None if stable is None else stable + part


# ── infinities that the model writes ────────────────────────────────────────────────────────────────────────


def _masked_out(spot: Spot) -> Iterator[Mend]:
    """`-inf - -inf`, where all that a softmax is taken of is masked out."""
    if spot.numbers != (-float("inf"),) * 2:
        return
    left, seen = [value.node for value in spot.node.inputs], 0
    while left and seen < FAR:
        node, seen = left.pop(0), seen + 1
        place = None if node is None or node.prim.name != "where" else own_span(node)
        match None if place is None else tree_of(place):
            case ast.Call(func=ast.Name(id="where"), args=(cond, a, b)) if "-inf" in (a.span.text, b.span.text):
                parts = [LOWEST[spot.dtype] if part.span.text == "-inf" else part.span.text for part in (a, b)]
                yield Mend("all is masked out here; a low number in place of -inf gives equal shares", place,
                           f"where({cond.span.text}, {parts[0]}, {parts[1]})")  # fmt: skip
                return
        left += [] if node is None else [value.node for value in node.inputs]


RULES: dict[tuple[str, str], Sequence[Rule]] = {
    ("value", "exp"): (_overflow,),
    ("value", "log"): (_log_of_zero,),
    ("value", "log1p"): (_log1p,),
    ("value", "div"): (quotient, divisor_of_zero, nothing_by_nothing),
    ("value", "pow"): (_root_below_zero,),
    ("value", "sqrt"): (_root_below_zero,),
    ("value", "sub"): (_masked_out,),
    ("value", "acos"): (_inverse,),
    ("value", "asin"): (_inverse,),
    ("value", "atanh"): (_inverse,),
    ("slope", "acos"): (_inverse,),
    ("slope", "asin"): (_inverse,),
    ("slope", "acosh"): (_inverse,),
    ("slope", "sqrt"): (_root_at_zero,),
    ("slope", "cbrt"): (_root_at_zero,),
    ("slope", "hypot"): (_root_at_zero,),
    ("slope", "pow"): (_root_at_zero,),
}


__all__ = ["Spot", "candidates"]

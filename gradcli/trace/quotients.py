"""Repairs for divisors that are 0: of patterns that have a value there, of what makes the divisor, of 0 / 0 at last."""

from __future__ import annotations

from collections.abc import Iterator

from gradcli.facts.trace import Mend
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Span
from gradcli.trace.places import own_span
from gradcli.trace.spots import FAR, TINY, Spot, bare, held, tree_of

FACTORS = ("mul", "maximum", "abs", "neg")  # what is 0 where what it is made of is
LONGEST = 24  # letters of a divisor that is written twice


def quotient(spot: Spot) -> Iterator[Mend]:
    """Quotients that have a value where both sides are 0."""
    match tree_of(spot.span):
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
                       f"{held(left)} / sqrt(sum(square({inner.span.text}){more}) + {TINY[spot.dtype]})")  # fmt: skip
        case ast.Binary(op="/", left=left, right=ast.Call(func=ast.Name(id="sqrt"), args=(inner,))) if (
            spot.numbers[1] == 0
        ):
            yield Mend("a small number below the root keeps the divisor above 0", spot.span,
                       f"{held(left)} / sqrt({inner.span.text} + {TINY[spot.dtype]})")  # fmt: skip
        case ast.Binary(op="/", left=ast.Call(func=ast.Name(id="exp"), args=(a,)), right=total):
            over = _sum_of_exp(total, a.span.text)
            if over is not None:
                yield Mend("`softmax` computes this without underflow", spot.span, f"softmax({a.span.text}{over})")
        case ast.Binary(op="/", left=left, right=ast.Call(func=ast.Name(id="sum" | "mean")) as right) if (
            spot.numbers == (0, 0)
        ):
            yield Mend("nothing is left to divide by; a divisor that is not 0 gives 0", spot.span,
                       f"{held(left)} / maximum({right.span.text}, {TINY[spot.dtype]})")  # fmt: skip


def _sum_of_exp(tree: ast.Expr, argument: str) -> str | None:
    """Of `sum(exp(a), axis=…)` how it is called besides `a`, as `softmax` takes it."""
    match tree:
        case ast.Call(func=ast.Name(id="sum"), args=(ast.Call(func=ast.Name(id="exp"), args=(inner,)),)):
            if inner.span.text == argument:
                return "".join(f", axis={k.value.span.text}" for k in tree.keywords if k.name == "axis")
    return None


# ── what makes the divisor ──────────────────────────────────────────────────────────────────────────────────


def divisor_of_zero(spot: Spot) -> Iterator[Mend]:
    """A divisor with a norm, a spread or a root as a factor, on a line of its own or in the quotient."""
    if spot.numbers[1:] != (0,):
        return
    left, seen = [spot.node.inputs[1]], set[int]()
    while left and len(seen) < FAR:
        value = bare(left.pop(0))
        place = own_span(value.node)
        if value.node is None or value.id in seen:
            continue
        seen.add(value.id)
        made = None if place is None or place.source.prelude else _smooth(place, spot)
        if made is not None:
            yield made
        elif value.node.prim.name in FACTORS:
            left += value.node.inputs


def _smooth(place: Span, spot: Spot) -> Mend | None:
    """The root that a divisor is made of, above 0."""
    tiny = TINY[spot.dtype]
    match tree_of(place):
        case ast.Call(func=ast.Name(id="norm"), args=(inner, *rest), keywords=keywords):
            more = "".join(f", {part.span.text}" for part in (*rest, *keywords))
            return Mend("a divisor is 0 where this norm is; a small number below the root keeps it above", place,
                        f"sqrt(sum(square({inner.span.text}){more}) + {tiny})")  # fmt: skip
        case ast.Call(func=ast.Name(id="std"), args=args, keywords=keywords):
            inside = ", ".join(part.span.text for part in (*args, *keywords))
            return Mend("a divisor is 0 where this spread is; a small number below the root keeps it above", place,
                        f"sqrt(var({inside}) + {tiny})")  # fmt: skip
        case ast.Call(func=ast.Name(id="sqrt"), args=(inner,)):
            return Mend("a divisor is 0 where this root is; a small number below it keeps it above", place,
                        f"sqrt({inner.span.text} + {tiny})")  # fmt: skip
    return None


def nothing_by_nothing(spot: Spot) -> Iterator[Mend]:
    """0 / 0, of whatever."""
    match tree_of(spot.span):
        case ast.Binary(op="/", left=left, right=right) if spot.numbers == (0, 0):
            text = right.span.text
            if len(text) <= LONGEST:
                yield Mend("0 / 0 has no value; to have 0 there", spot.span,
                           f"{held(left)} / where({text} == 0, 1, {text})")  # fmt: skip

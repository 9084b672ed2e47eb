"""Declared types: how the dims in brackets become sizes, and how an array is held against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import expressions, names, static
from gradcli.interp.scope import Frame
from gradcli.interp.values import describe, show_type
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, Span, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator


def match_dims(
    ctx: Elaborator,
    frame: Frame,
    type_: ast.Type,
    dims: tuple[Size, ...],
    what: str,
    *,
    exact: bool,
    at: Span | None = None,
) -> tuple[Size, ...]:
    """Hold an array's dims against a type: unknown names are bound, all else must agree.

    With `exact` false, dims that are expressions wait (their names may be bound by a later input).
    Raises ModelError SHP106 with both places.
    """
    declared = list(type_.dims)
    places = [i for i, d in enumerate(declared) if isinstance(d, ast.Ellipsis)]
    at = at or frame.call_span or type_.span
    lead = 0
    if len(places) > 1:
        raise fail("SHP105", "a type has one `...` at most", declared[places[1]].span)
    if places:
        lead = len(dims) - (len(declared) - 1)
        declared[places[0] : places[0] + 1] = [None] * max(lead, 0)  # type: ignore[list-item]  # any size
    if len(declared) != len(dims) or lead < 0:
        raise fail(
            "SHP105",
            f"{what} is {show_type(type_.dtype, dims)}, declared {' '.join(type_.span.text.split())}",
            at,
            others=[Label(type_.span, "declared here")],
        )
    found: list[Size] = []
    for axis, (expr, size) in enumerate(zip(declared, dims, strict=True)):
        if expr is None:
            found.append(size)
            continue
        if isinstance(expr, ast.Name):
            known = names.find_dim(ctx, frame, expr.id)
            if known is None and isinstance(constant := _constant_size(ctx, frame, expr), int | Poly):
                known = constant
            if known is None:
                found.append(frame.bind_dim(expr.id, size, type_.span))
                continue
            wanted: Size = known
        elif not exact and not isinstance(expr, ast.Number):
            found.append(size)
            continue
        else:
            wanted = size_of(ctx, frame, expr)
        if not sizes.equal(size, wanted, what):
            bound = frame.dims.get(expr.id) if isinstance(expr, ast.Name) else None
            others = [Label(expr.span, f"declared {wanted} here" if not bound else "must agree here")]
            if bound and bound[1] != type_.span:
                others.append(Label(bound[1], f"{expr.span.text} is {wanted} here"))
            raise fail(
                "SHP106",
                f"dim {axis} of {what} is {size}, not {expr.span.text}"
                + (f" = {wanted}" if not isinstance(expr, ast.Number) else ""),
                at,
                others=others,
            )
        found.append(wanted)
    return tuple(found)


def _constant_size(ctx: Elaborator, frame: Frame, expr: ast.Name) -> Any:
    """A name in a type that is no dim may be a constant integer: a const, or a loop variable."""
    binding = names.find(frame, expr.id)
    if binding is not None:
        return static.whole(binding.value) if isinstance(binding.value, int) else None
    if expr.id in frame.scope.consts:
        return static.whole(ctx.const(frame.scope, expr.id))
    return None


def size_of(ctx: Elaborator, frame: Frame, expr: Any) -> Size:
    """An expression in a type or in brackets after a net's name, as a size. Raises ModelError SHP110 or SHP119."""
    given = expressions.evaluate(ctx, frame, expr, dims_first=True)
    value = static.whole(given)
    if value is None:
        raise fail(static.unknown(given), f"a size is a known whole number, not {describe(given)}", expr.span)
    if not isinstance(value, Poly) and value < 0:
        raise fail("SHP110", f"a size is 0 or more, not {value}", expr.span)
    if not isinstance(value, Poly) and value >= 1 << 62:
        raise fail("SHP110", "this size does not fit into 63 bits", expr.span)
    return value


def declared_dims(ctx: Elaborator, frame: Frame, type_: ast.Type) -> tuple[Size, ...]:
    """The dims of a declaration; every name must be bound already."""
    found: list[Size] = []
    for expr in type_.dims:
        if isinstance(expr, ast.Ellipsis):
            raise fail(
                "SHP105", "`...` stands for the leading dims of an argument; here the shape must be given", expr.span
            )
        if isinstance(expr, ast.Name):
            known = names.find_dim(ctx, frame, expr.id)
            if known is not None:
                found.append(known)
                continue
        found.append(size_of(ctx, frame, expr))
    return tuple(found)

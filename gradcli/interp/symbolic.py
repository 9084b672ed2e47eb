"""Nets elaborated for all sizes: their named dims are symbols, and what must hold of these is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gradcli.interp import arrays, calls, names, types
from gradcli.interp.elaborate import Elaborator, Options
from gradcli.interp.listing import Listing
from gradcli.interp.program import output_names, run_entry
from gradcli.interp.scope import Frame, Scope
from gradcli.interp.values import Arr, NetV
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Condition, Name, Size, conditions, symbol
from gradcli.ir.graph import Graph
from gradcli.record import record
from gradcli.syntax import ast

Types = tuple[tuple[str, str], ...]  # a name and its type as text


@record(eq=False)
class Proved:
    """A net for all sizes under `conditions`; `names` says what the inputs of its graph are called, by their values."""

    inputs: Types
    params: Types
    outputs: Types
    conditions: tuple[Condition, ...]
    graph: Graph
    names: dict[int, str]
    listing: Listing


def prove(scope: Scope, options: Options, decl: ast.Net) -> Proved:
    """Elaborate a net with its named dims as symbols.

    Where a type begins in `...`, once without leading dims and once with one. Raises ModelError; LookupError with
    a reason where the net can only be checked where it is used.
    """
    types = [each.type for each in decl.inputs if each.type is not None]
    proved = _prove(scope, options, decl, None)
    if any(isinstance(dim, ast.Ellipsis) for type_ in types for dim in type_.dims):
        proved = _prove(scope, options, decl, symbol("..."))
    return proved


def _prove(scope: Scope, options: Options, decl: ast.Net, lead: Size | None) -> Proved:
    ctx = Elaborator(scope, options)
    ctx.listing = Listing(decl, ctx.weak_float)
    instance = ctx.named_net(scope, decl.name.id)
    with conditions() as found:
        symbols = Frame(scope, instance.instance, net=decl)
        net = NetV(decl, scope, instance.instance, statics=tuple(symbol(s.id) for s in decl.statics) or None)
        for name, size in zip(decl.statics, net.statics or (), strict=False):
            symbols.dims[name.id] = (size, name.span)
        typed = {each.name.id: each.type or _type_of_item(scope, each.name.id) for each in decl.inputs}
        for type_ in typed.values():
            _name_dims(ctx, symbols, type_)
        bound: dict[str, Any] = {}
        for declared in decl.inputs:
            name_ = declared.name.id
            if (type_ := typed[name_]) is not None:
                dims = _symbolic_dims(ctx, symbols, type_, lead)
                bound[name_] = Arr(ctx.region.builder.input(Aval(arrays.plain(dims), ctx.dtype(type_)), name_), dims)
            elif declared.default is None:
                raise LookupError(f"its input {name_} has no type: checked where it is used")
        ctx.run.entry = instance.instance.path
        result = run_entry(ctx, net, bound, decl)
        outputs = calls.flat_arrays(ctx, result, decl.name.span)
    params = {net.instance.name(p): ctx.run.params[p].arr for p in net.instance.params}
    given = [(name, arr.value.id) for name, arr in (*bound.items(), *params.items()) if arr is not None]
    return Proved(
        _texts(bound.items()),
        _texts(params.items()),
        _texts(zip(output_names(ctx, decl, result), outputs, strict=True)),
        tuple(found),
        ctx.region.builder.finish([ctx.region.lift(arr.value) for arr in outputs]),
        {place: name for name, place in given},
        ctx.listing,
    )


def _type_of_item(scope: Scope, name: str) -> ast.Type | None:
    return scope.inputs[name].type if name in scope.inputs else None


def _name_dims(ctx: Elaborator, frame: Frame, type_: ast.Type | None) -> None:
    """Bind a symbol to each name in a type that is not bound yet: an expression of an earlier input may hold it."""
    for expr in type_.dims if type_ else ():
        if not isinstance(expr, ast.Name) or expr.id in frame.scope.consts:
            continue
        if names.find_dim(ctx, frame, expr.id) is None:
            frame.dims[expr.id] = (symbol(expr.id, Name(expr.id)), expr.span)


def _texts(arrs: Iterable[tuple[str, Any]]) -> Types:
    return tuple((name, str(arr)) for name, arr in arrs)


def _symbolic_dims(ctx: Elaborator, frame: Frame, type_: ast.Type, lead: Size | None) -> tuple[Size, ...]:
    """The dims of a type whose names are bound, and `lead` for `...`, if there is one."""
    found: list[Size] = []
    for expr in type_.dims:
        if isinstance(expr, ast.Ellipsis):
            found.extend([] if lead is None else [lead])
        else:
            found.append(types.size_of(ctx, frame, expr))
    return tuple(found)

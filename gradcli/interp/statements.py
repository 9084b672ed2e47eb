"""Running the body of a net or a case, statement by statement.

An error in one statement is kept and poisons what the statement binds, so that independent errors are reported
together and none of them twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, calls, expressions, indexing, loops, names, params, types
from gradcli.interp.modules import repeated
from gradcli.interp.scope import Frame, Instance
from gradcli.interp.values import (
    POISON,
    Arr,
    ListV,
    NetV,
    Poisoned,
    TupleV,
    describe,
    make_tuple,
)
from gradcli.ir.primitive import ShapeError
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, ModelError, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator


def run_body(ctx: Elaborator, frame: Frame, net: ast.Net) -> Any:
    """The results of a net in a frame whose inputs are bound. Raises Poisoned where a statement was refused."""
    result: Any = None
    for statement in net.body:  # the parser saw to it that the last one is the only `return`
        result = _guarded(ctx, frame, statement)
    if result is POISON:
        raise Poisoned
    return calls.check_results(ctx, frame, net, result, net.body[-1].span)


def run_block(ctx: Elaborator, frame: Frame, statements: tuple[ast.Statement, ...]) -> None:
    for statement in statements:
        _guarded(ctx, frame, statement)


def _guarded(ctx: Elaborator, frame: Frame, statement: ast.Statement) -> Any:
    try:
        return execute(ctx, frame, statement)
    except ShapeError as error:
        span = ctx.user_span(frame, statement.span)
        ctx.keep(fail(error.code, error.message, span, help=error.help))
    except ModelError as error:
        ctx.keep(error)
    except Poisoned:
        pass
    _poison(frame, statement)
    return POISON


def _poison(frame: Frame, statement: ast.Statement) -> None:
    match statement:
        case ast.Assign():
            work: list[Any] = [statement.target]
            while work:
                target = work.pop()
                if isinstance(target, ast.TupleTarget):
                    work.extend(target.items)
                else:
                    name = target.value if isinstance(target, ast.Index) else target
                    assert isinstance(name, ast.Name)
                    frame.bind(name.id, POISON, name.span)
        case ast.Param() | ast.Layer() | ast.Net():
            frame.bind(statement.name.id, POISON, statement.name.span)
        case ast.For():
            for inner in statement.body:
                if not isinstance(inner, ast.For):
                    _poison(frame, inner)


def execute(ctx: Elaborator, frame: Frame, statement: ast.Statement) -> Any:
    """One statement; the value of a `return`."""
    match statement:
        case ast.Assign():
            return assign(ctx, frame, statement)
        case ast.Return():
            return _return(ctx, frame, statement)
        case ast.Param():
            return params.declare_param(ctx, frame, statement)
        case ast.Layer():
            return params.declare_layer(ctx, frame, statement)
        case ast.For():
            return loops.loop(ctx, frame, statement, run_block)
        case ast.Net():
            if errors := repeated(statement):
                raise ModelError(errors)
            return _local_net(ctx, frame, statement)
        case ast.ExpectClose() | ast.ExpectTrue() | ast.ExpectError():
            return ctx.expect(frame, statement)


def _return(ctx: Elaborator, frame: Frame, statement: ast.Return) -> Any:
    values = [expressions.evaluate(ctx, frame, expr) for expr in statement.values]
    names = tuple(expr.id if isinstance(expr, ast.Name) else "" for expr in statement.values)
    if len(values) == 1 and not isinstance(values[0], TupleV):
        ctx.result_names[id(frame.net)] = names
    result = make_tuple(values, names)
    ctx.listing.returned(frame.net, statement, result)
    return result


def _local_net(ctx: Elaborator, frame: Frame, statement: ast.Net) -> None:
    name = statement.name.id
    ctx.may_bind(frame, statement.name)
    if statement.statics and any(isinstance(s, ast.Param) for s in statement.body):
        pass  # used through `layer` only; said where it is called
    instance = Instance(f"{frame.instance.path}.{name}", frame.instance.owner, frame.instance)
    frame.bind(name, None, statement.name.span, "net")
    binding = frame.names[name]
    binding.value = NetV(statement, frame.scope, instance, frame, frame.serial)


# ── assignment ──────────────────────────────────────────────────────────────────────────────────────────────


def assign(ctx: Elaborator, frame: Frame, statement: ast.Assign) -> None:
    target = statement.target
    if isinstance(target, ast.Index):
        _assign_part(ctx, frame, statement, target)
        return
    value = expressions.evaluate(ctx, frame, statement.value)
    if statement.type is not None and isinstance(target, ast.Name):
        ctx.here(frame, statement.span)
        what = f"`{target.id}`"
        try:
            arr = arrays.convert(ctx, value, ctx.dtype(statement.type), what)
        except ShapeError as error:
            raise fail(
                error.code,
                error.message,
                statement.value.span,
                help=error.help,
                others=[Label(statement.type.span, "declared here")],
            ) from None
        saved, frame.call_span = frame.call_span, statement.value.span
        try:
            dims = types.match_dims(ctx, frame, statement.type, arr.dims, what, exact=True)
        finally:
            frame.call_span = saved
        value = Arr(arr.value, dims)
    bind_target(ctx, frame, target, value, statement)


def bind_target(ctx: Elaborator, frame: Frame, target: ast.Target, value: Any, statement: ast.Assign) -> None:
    """Bind a name, or several to the members of a tuple. Raises ModelError where the counts differ."""
    match target:
        case ast.Name():
            ctx.may_bind(frame, target)
            ctx.bind(frame, target, value)
        case ast.TupleTarget():
            if not isinstance(value, TupleV | ListV):
                raise fail(
                    "SHP115",
                    f"{describe(value)} cannot be taken apart into {len(target.items)} names",
                    statement.value.span,
                    others=[Label(target.span, f"{len(target.items)} names")],
                )
            if len(value.items) != len(target.items):
                raise fail(
                    "SHP115",
                    f"{describe(value)} for {len(target.items)} names",
                    statement.value.span,
                    others=[Label(target.span, f"{len(target.items)} names")],
                )
            for inner, item in zip(target.items, value.items, strict=True):
                bind_target(ctx, frame, inner, item, statement)
        case ast.Index():
            raise fail("SHP115", "an indexed part is written by a statement of its own", target.span)


def _assign_part(ctx: Elaborator, frame: Frame, statement: ast.Assign, target: ast.Index) -> None:
    """`x[i] = e` binds `x` again to a copy with that part replaced."""
    name = target.value
    assert isinstance(name, ast.Name)
    base = names.lookup(ctx, frame, name)
    if base is POISON:
        raise Poisoned
    parts = [
        part
        for item in target.items
        for part in ((item.start, item.stop, item.step) if isinstance(item, ast.Slice) else (item,))
        if part is not None and not isinstance(part, ast.Ellipsis)
    ]
    evaluated = [expressions.evaluate(ctx, frame, part) for part in parts]
    value = expressions.evaluate(ctx, frame, statement.value)
    ctx.here(frame, statement.span)
    try:
        items = indexing.read_items(target.items, evaluated)
        made = indexing.assign(ctx, arrays.to_arr(ctx, base), items, value, add=statement.op == "+=")
    except ShapeError as error:
        others = []
        binding = names.find(frame, name.id)
        if binding is not None and isinstance(base, Arr):
            others.append(Label(binding.span, f"{binding.what} {name.id} is {base}"))
        span = ctx.user_span(frame, target.span)
        raise fail(error.code, error.message, span, others=others, help=error.help) from None
    ctx.may_bind(frame, name)
    ctx.bind(frame, name, made)

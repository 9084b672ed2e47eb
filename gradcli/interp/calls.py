"""Calling: nets (their body runs in a fresh frame), layers, transformed nets, operators and casts.

Binding arguments follows Python; binding types gives names to dims. A dim named in a signature is bound by the first
argument that has it and must agree everywhere; on return the caller's names come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, expressions, types
from gradcli.interp.scope import Frame, Instance
from gradcli.interp.values import (
    POISON,
    Arr,
    CastV,
    Deferred,
    DerivativeV,
    LayerV,
    MapV,
    NetV,
    OperatorV,
    RecomputeV,
    Transformed,
    TupleV,
    counted,
    describe,
    flatten,
    is_number,
    make_tuple,
)
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, ModelError, Span, fail, nearest

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator
    from gradcli.interp.signature import Site

MAX_DEPTH = 64
MAX_CALLS = 100_000  # of nets, each written out


def call(ctx: Elaborator, callee: Any, args: list[Any], keywords: dict[str, Any], frame: Frame, node: ast.Call) -> Any:
    """The result of a call expression."""
    match callee:
        case OperatorV():
            return ctx.operators[callee.name](ctx, frame, node, args, keywords)
        case CastV():
            if len(args) != 1 or keywords:
                raise fail("NAM020", f"the cast `{callee.dtype}(x)` takes one value", node.span)
            return ctx.cast(args[0], callee.dtype)
        case NetV() | LayerV() | DerivativeV() | MapV() | RecomputeV():
            _refuse_shared_weights(callee, node.func.span)
            if isinstance(callee, NetV) and callee.scope.prelude:
                args, keywords = _prelude_arguments(ctx, args, keywords)
            else:
                keywords = {name: _now(ctx, value) for name, value in keywords.items()}
            return call_net(ctx, callee, bind(callee, args, keywords, node.span), node.span, frame)
    help_ = "a product is written `a * b`" if isinstance(callee, Arr) or is_number(callee) else None
    raise fail("NAM020", f"{describe(callee)} cannot be called", node.func.span, help=help_)


def _refuse_shared_weights(callee: Any, span: Span) -> None:
    """A net with params and static parameters is a layer: by its own name it would own one weight in two shapes."""
    while isinstance(callee, Transformed):
        callee = callee.fn
    if isinstance(callee, NetV) and callee.decl.statics and not callee.scope.prelude:
        for statement in callee.decl.body:
            if isinstance(statement, ast.Param | ast.Layer):
                raise fail(
                    "NAM014",
                    f"{callee.name} has params and static parameters: it is used through `layer`",
                    span,
                    others=[Label(statement.name.span, "this one would have a shape for each size")],
                    help=f"`layer l = {' '.join(span.text.split())}`, then `l(…)`",
                )


def _now(ctx: Elaborator, value: Any) -> Any:
    return expressions.evaluate(ctx, value.frame, value.expr) if isinstance(value, Deferred) else value


def _prelude_arguments(ctx: Elaborator, args: list[Any], keywords: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """After `axis=` a bare name is a dim of the first argument."""
    made = {}
    for name, value in keywords.items():
        made[name] = ctx.axis(value, arrays.to_arr(ctx, args[0])) if isinstance(value, Deferred) and args else value
    return args, {name: _now(ctx, value) for name, value in made.items()}


# ── arguments ───────────────────────────────────────────────────────────────────────────────────────────────


def base_net(callee: Any) -> NetV:
    """The net below any transformations; its inputs are the callee's."""
    while not isinstance(callee, NetV):
        callee = callee.net if isinstance(callee, LayerV) else callee.fn
        if isinstance(callee, OperatorV | CastV):
            raise ShapeError("DIF006", f"{describe(callee)} is no net", (), "wrap it: `net f(x) = …`")
    return callee


def bind(callee: Any, args: list[Any], keywords: dict[str, Any], span: Span) -> dict[str, Any]:
    """Arguments by the names of the inputs; inputs that are left to their defaults are absent.

    Raises ModelError NAM020 (too many), NAM021 (missing), NAM022 (no such input, or given twice).
    """
    net = base_net(callee)
    inputs = {i.name.id: i for i in net.decl.inputs}
    names = list(inputs)
    where = [Label(net.decl.name.span, "defined here")] if not net.scope.prelude else []
    if len(args) > len(names):
        text = f"{net.name} takes {counted(len(names), 'input')}, {len(args)} are given"
        raise fail("NAM020", text, span, others=where, help=f"`{_signature(net)}`")
    bound = dict(zip(names, args, strict=False))
    for name, value in keywords.items():
        if name not in inputs:
            guess = nearest(name, names)
            help_ = f"did you mean `{guess}`?" if guess else f"`{_signature(net)}`"
            raise fail("NAM022", f"{net.name} has no input `{name}`", span, others=where, help=help_)
        if name in bound:
            raise fail("NAM022", f"{net.name}'s input `{name}` is given twice", span, others=where)
        bound[name] = value
    missing = [n for n, i in inputs.items() if n not in bound and i.default is None]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise fail("NAM021", f"{net.name} needs its input{plural} {', '.join(missing)}", span, others=where)
    return bound


def _signature(net: NetV) -> str:
    """`norm(x, axis=None, keepdims=false)`"""
    parts = (i.name.id + (f"={i.default.span.text}" if i.default is not None else "") for i in net.decl.inputs)
    return f"{net.name}({', '.join(parts)})"


# ── nets ────────────────────────────────────────────────────────────────────────────────────────────────────


def call_net(ctx: Elaborator, callee: Any, bound: dict[str, Any], span: Span, caller: Frame) -> Any:
    """Run a net, a layer or a transformed net on bound arguments."""
    if isinstance(callee, Transformed):
        return _transformed(ctx, callee, bound, span, caller)
    net = callee.net if isinstance(callee, LayerV) else callee
    if net.decl.statics and net.statics is None:
        example = ", ".join(s.id for s in net.decl.statics)
        raise fail("NAM020", f"{net.name} has static parameters: write `{net.name}[{example}](…)`", span)
    frame = enter(ctx, net, span, caller)
    ctx.run.calls.append((net.decl, span))
    try:
        bind_inputs(ctx, frame, net, bound)
        result = ctx.body(frame, net.decl)
    finally:
        ctx.run.calls.pop()
    user: Frame | None = caller
    if user is not None and not net.scope.prelude:
        user.instance.params.update(net.instance.params)
    return leave(frame, result)


def _transformed(ctx: Elaborator, callee: Transformed, bound: dict[str, Any], span: Span, caller: Frame) -> Any:
    from gradcli.interp import mapping, transform

    match callee:
        case DerivativeV():
            return transform.call_derivative(ctx, callee, bound, span, caller)
        case MapV():
            return mapping.call_map(ctx, callee, bound, span, caller)
    return transform.call_checkpoint(ctx, callee, bound, span, caller)


def composed(site: Site, name: str, **inputs: Any) -> Any:
    """A net of the prelude, on inputs that an operator has read: its refusals stand at the operator's call."""
    net = site.ctx.named_net(site.ctx.prelude(), name)
    return call_net(site.ctx, net, inputs, site.node.span, site.frame)


def enter(ctx: Elaborator, net: NetV, span: Span, caller: Frame) -> Frame:
    """A fresh frame for one call. Raises ModelError NAM002 for recursion, with the whole cycle."""
    decls = [decl for decl, _ in ctx.run.calls]
    if net.decl in decls:
        cycle = ctx.run.calls[decls.index(net.decl) :]
        names = " → ".join([*(decl.name.id for decl, _ in cycle), net.name])
        steps = [Label(at, f"{after.name.id} is called here") for after, at in cycle[1:]]
        raise fail(
            "NAM002",
            f"recursion: {names}",
            span,
            label=f"{net.name} is called again",
            others=steps,
            help="a loop with a bound is written `for i in 0..n { … }`",
        )
    ctx.run.n_calls += 1
    if ctx.run.n_calls > MAX_CALLS:
        raise fail("NUM003", f"more than {MAX_CALLS:_} calls of nets, each of which is written out", span)
    ctx.check_size(span)
    if len(decls) >= MAX_DEPTH:
        raise fail("NAM002", f"nets call each other deeper than {MAX_DEPTH}", span)
    frame = Frame(net.scope, net.instance, net.enclosing, net.defined_at, net.decl)
    inside = net.scope.prelude and caller.scope.prelude
    frame.call_span = caller.call_span if inside else span
    if not ctx.run.calls:
        frame.given = ctx.run.given
    frame.depth = len(decls) + 1
    for name, size in zip(net.decl.statics, net.statics or (), strict=False):
        frame.bind_dim(name.id, size, name.span)
    return frame


def bind_inputs(ctx: Elaborator, frame: Frame, net: NetV, bound: dict[str, Any]) -> None:
    """Give inputs their values: types are checked where they are given, and bind named dims."""
    later = []
    for declared in net.decl.inputs:
        name = declared.name.id
        ctx.may_bind(frame, declared.name)
        if name in bound:
            value = bound[name]
        else:
            assert declared.default is not None
            value = expressions.evaluate(ctx, frame, declared.default)
        if isinstance(value, NetV | LayerV | Transformed | OperatorV | CastV):
            raise fail(
                "SHP113",
                f"{describe(value)} is no value: input {name} of {net.name} takes an array",
                frame.call_span or declared.span,
                others=[Label(declared.name.span, "this input")],
                help="nets are not passed as inputs in this edition; a net defined inside sees what encloses it",
            )
        if declared.type is not None:
            arr = _declared(ctx, frame, net, declared, value)
            later.append((declared, arr))
            value = arr
        frame.bind(name, value, declared.name.span, "input")
    for declared, arr in later:
        assert declared.type is not None
        what = f"input {declared.name.id} of {net.name}"
        given = frame.given.get(declared.name.id)
        dims = types.match_dims(ctx, frame, declared.type, arr.dims, what, exact=True, at=given)
        frame.names[declared.name.id].value = Arr(arr.value, dims, arr.weak)


def _declared(ctx: Elaborator, frame: Frame, net: NetV, declared: ast.NetInput, value: Any) -> Arr:
    """An argument as its declared dtype, plain names in its dims bound."""
    assert declared.type is not None
    what = f"input {declared.name.id} of {net.name}"
    try:
        arr = arrays.convert(ctx, value, ctx.dtype(declared.type), what)
    except ShapeError as error:
        raise fail(
            error.code,
            error.message,
            frame.given.get(declared.name.id) or frame.call_span or declared.span,
            help=error.help,
            others=[Label(declared.span, "declared here")],
        ) from None
    types.match_dims(ctx, frame, declared.type, arr.dims, what, exact=False, at=frame.given.get(declared.name.id))
    return arr


def leave(frame: Frame, result: Any) -> Any:
    """Results as the caller knows their dims. Raises ModelError NUM003 for a tuple that grew without bound."""
    if isinstance(result, TupleV):
        flatten(result)
        return TupleV(tuple(leave(frame, item) for item in result.items), result.names)
    if isinstance(result, Arr) and result.named:
        return Arr(result.value, frame.rename(result.dims), result.weak)
    return result


def check_results(ctx: Elaborator, frame: Frame, net: ast.Net, result: Any, span: Span) -> Any:
    """Hold the results of a net against `-> …`."""
    if net.results is None or result is POISON:
        return result
    members = list(result.items) if isinstance(result, TupleV) else [result]
    if len(members) != len(net.results):
        raise fail(
            "SHP105",
            f"{net.name.id} returns {len(members)} results, declared {len(net.results)}",
            span,
            others=[Label(t.span, "declared here") for t in net.results[:1]],
        )
    made = []
    for index, (member, type_) in enumerate(zip(members, net.results, strict=True)):
        what = f"result {index} of {net.name.id}" if len(members) > 1 else f"the result of {net.name.id}"
        saved, frame.call_span = frame.call_span, span if not frame.scope.prelude else frame.call_span
        try:
            arr = arrays.convert(ctx, member, ctx.dtype(type_), what)
            made.append(Arr(arr.value, types.match_dims(ctx, frame, type_, arr.dims, what, exact=True)))
        except ShapeError as error:
            raise fail(
                error.code, error.message, span, help=error.help, others=[Label(type_.span, "declared here")]
            ) from None
        finally:
            frame.call_span = saved
    return make_tuple(made, result.names if isinstance(result, TupleV) else ())


def with_statics(ctx: Elaborator, net: NetV, given: list[Size | None], span: Span) -> NetV:
    """`Dense[2, 16]`. Raises ModelError where the count differs or a value is no size."""
    wanted = [s.id for s in net.decl.statics]
    if len(given) != len(wanted):
        text = f"{net.name} has {len(wanted)} static parameter{'s' if len(wanted) != 1 else ''}"
        names = f" ({', '.join(wanted)})" if wanted else ""
        raise fail(
            "NAM020", f"{text}{names}, {len(given)} are given", span, others=[Label(net.decl.name.span, "defined here")]
        )
    for name, value in zip(wanted, given, strict=True):
        if value is None or (not isinstance(value, Poly) and value < 0):
            raise fail("SHP110", f"the static parameter {name} of {net.name} is a known integer, 0 or more", span)
    statics = tuple(size for size in given if size is not None)
    return NetV(net.decl, net.scope, net.instance, net.enclosing, net.defined_at, statics)


def instance_of(path: str, owner: str, outer: Instance | None = None) -> Instance:
    return Instance(path, owner, outer)


def flat_arrays(ctx: Elaborator, result: Any, span: Span) -> list[Arr]:
    """The results of a net as arrays. Raises ModelError where one is none."""
    found = []
    for item in flatten(result):
        try:
            found.append(arrays.to_arr(ctx, item))
        except ShapeError as error:
            raise fail(error.code, f"a net returns arrays: {error.message}", span) from None
    return found


__all__ = ["MAX_DEPTH", "ModelError", "bind", "call", "call_net", "with_statics"]

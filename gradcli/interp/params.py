"""Params and layers: which trainable values a net owns, their names, shapes and first values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, calls, expressions, static, types
from gradcli.interp.names import RANDOM
from gradcli.interp.scope import Data, Frame, Instance
from gradcli.interp.values import Arr, LayerArrayV, LayerV, NetV, ParamInfo, describe, show_type
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Poly, Size
from gradcli.ir.graph import Graph
from gradcli.ir.primitive import ShapeError
from gradcli.record import field, record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, ModelError, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator


MAX_LAYERS = 100_000


@record(eq=False)
class Seeded:
    """A first value from the counter-based generator."""

    kind: str
    shape: tuple[Size, ...]
    dtype: str
    path: str
    options: dict[str, float] = field(default_factory=dict)


@record(eq=False)
class Computed:
    """A first value, or the data of an input, that a graph without inputs gives; `data` are the files it reads."""

    graph: Graph
    data: tuple[Data, ...]


@record(eq=False)
class FromFile:
    """A first value that lies in a file, read when it is needed; cast to `dtype`."""

    stored: Any
    dtype: str


def declare_param(ctx: Elaborator, frame: Frame, statement: ast.Param) -> None:
    """`param w: f32[i, o] = …` in a frame whose dims are bound."""
    ctx.may_bind(frame, statement.name)
    _refuse_twice(frame, statement.name)
    info = register(ctx, frame.instance, statement)
    dims = _param_dims(ctx, frame, statement)
    shape = arrays.plain(dims)
    if info.arr is None:
        _create(ctx, frame, statement, info, dims)
    elif info.arr.value.aval.shape != shape:
        name = (frame.instance.outer or frame.instance).name(info.path)
        raise fail(
            "SHP106",
            f"param {name} is {info.arr} and {show_type(statement.type.dtype, dims)}",
            frame.call_span or statement.span,
            others=[Label(statement.span, "declared here")],
            help="a layer for each size has params of its own: `layer`",
        )
    assert info.arr is not None
    made = Arr(info.arr.value, dims)
    ctx.listing.bound(frame.net, statement.name, made)
    frame.bind(statement.name.id, made, statement.name.span, "param")


def _refuse_twice(frame: Frame, name: ast.Name) -> None:
    """Params and layers are named in files and reports: a net has one of each name. Raises ModelError NAM004."""
    known = frame.names.get(name.id)
    if known is not None and known.what in ("param", "layer"):
        raise fail("NAM004", f"`{name.id}` is declared twice", name.span, others=[Label(known.span, "first here")])


def register(ctx: Elaborator, instance: Instance, statement: ast.Param) -> ParamInfo:
    """Note a param in the order of its net; its shape may still be unknown."""
    name = statement.name.id
    path = f"{instance.path}.{name}"
    instance.params.setdefault(path)
    info = ctx.run.params.get(path)
    if info is None:
        info = ctx.run.params[path] = ParamInfo(path, instance.seed_path(name), statement.span)
    return info


def _param_dims(ctx: Elaborator, frame: Frame, statement: ast.Param) -> tuple[Size, ...]:
    return types.declared_dims(ctx, frame, statement.type)


def _create(ctx: Elaborator, frame: Frame, statement: ast.Param, info: ParamInfo, dims: tuple[Size, ...]) -> None:
    dtype = ctx.dtype(statement.type)
    aval = Aval(arrays.plain(dims), dtype)
    arrays.check_aval(aval)
    init = _initial(ctx, frame, statement, info, aval)
    value = ctx.run.region.builder.input(aval, frame.instance.name(info.path))
    info.arr = Arr(value, arrays.plain(dims))
    info.init = lambda: init
    ctx.run.param_paths[value] = info.path


def _initial(ctx: Elaborator, frame: Frame, statement: ast.Param, info: ParamInfo, aval: Aval) -> Any:
    """How the param gets its first value. Raises ModelError where shapes or arguments disagree."""
    expr = statement.init
    if isinstance(expr, ast.Call) and isinstance(expr.func, ast.Name):
        kind = expr.func.id
        if kind in RANDOM:
            if not aval.is_float:
                raise fail("SHP103", f"`{kind}` gives floats, but {statement.name.id} is {aval}", expr.span)
            return Seeded(kind, aval.shape, aval.dtype, info.seed_path, _options(ctx, frame, expr, RANDOM[kind]))
        if kind in ("zeros", "ones") and not expr.args and not expr.keywords:
            return _filled(ctx, aval, 0.0 if kind == "zeros" else 1.0)
        if kind == "full" and len(expr.args) == 1 and not expr.keywords:
            value = expressions.evaluate(ctx, frame, expr.args[0])
            if isinstance(value, int | float):
                return _filled(ctx, aval, value)
        if kind == "load":
            from gradcli.interp.makers import open_load

            stored = open_load(ctx, frame, expr)
            return from_stored(ctx, stored, aval, f"param {statement.name.id}", statement)
    return _computed(ctx, frame, statement, aval)


def _options(ctx: Elaborator, frame: Frame, call: ast.Call, defaults: dict[str, float]) -> dict[str, float]:
    kind = call.func.id if isinstance(call.func, ast.Name) else ""
    options = dict(defaults)
    given = list(zip(defaults, call.args, strict=False)) + [(k.name, k.value) for k in call.keywords]
    if len(call.args) > len(defaults):
        raise fail("NAM020", f"{kind} takes {', '.join(defaults)}", call.span)
    for name, expr in given:
        if name not in defaults:
            raise fail("NAM022", f"{kind} has no argument `{name}`", expr.span, help=f"it takes {', '.join(defaults)}")
        value = expressions.evaluate(ctx, frame, expr)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise fail("SHP110", f"`{name}` is a known number, not {describe(value)}", expr.span)
        if name == "seed" and (static.whole(value) is None or value < 0):
            raise fail("SHP110", "a seed is a known integer, 0 or more", expr.span)
        options[name] = value
    return options


def _filled(ctx: Elaborator, aval: Aval, number: float) -> Computed:
    with ctx.fresh_run():
        from gradcli.ir.primitive import primitive

        value = arrays.scalar(ctx, int(number) if aval.dtype in ("i32", "i64") else number, aval.dtype)
        if aval.shape:
            value = ctx.region.builder.emit(primitive("broadcast_to"), (value,), {"shape": aval.shape})[0]
        return Computed(ctx.region.builder.finish([value]), ())


def _computed(ctx: Elaborator, frame: Frame, statement: ast.Param, aval: Aval) -> Computed:
    """Any other expression: evaluated once, before the run."""
    expr = statement.init
    assert expr is not None
    outer = Frame(frame.scope, frame.instance)
    outer.dims = dict(frame.dims)
    with ctx.fresh_run() as run:
        value = expressions.evaluate(ctx, outer, expr)
        ctx.here(frame, statement.span)
        try:
            arr = arrays.convert(ctx, value, aval.dtype, f"param {statement.name.id}")
        except ShapeError as error:
            raise fail(
                error.code,
                error.message,
                expr.span,
                help=error.help,
                others=[Label(statement.type.span, "declared here")],
            ) from None
        if arr.value.aval.shape != aval.shape and not _agree(arr.value.aval.shape, aval.shape):
            full = f"`full({expr.span.text})` fills the shape" if arr.rank == 0 else None
            raise fail(
                "SHP105",
                f"param {statement.name.id} is declared {aval}, its value is {arr}",
                expr.span,
                others=[Label(statement.type.span, "declared here")],
                help=full,
            )
        return Computed(ctx.region.builder.finish([ctx.region.lift(arr.value)]), tuple(run.data))


def _agree(one: tuple[Size, ...], other: tuple[Size, ...]) -> bool:
    from gradcli.ir.dims import equal

    return len(one) == len(other) and all(equal(a, b, "a declaration") for a, b in zip(one, other, strict=True))


def from_stored(ctx: Elaborator, stored: Any, aval: Aval, what: str, statement: Any) -> FromFile:
    """A file as the first value of a param. Raises ModelError where its shape or dtype is another."""
    from gradcli.interp.feeds import settle_dtype

    if not _agree(tuple(stored.shape), aval.shape):
        raise fail(
            "SHP105",
            f"{what} is declared {aval}, {stored.path.name} holds {show_type(stored.dtype or 'f64', stored.shape)}",
            statement.span if statement is not None else None,
        )
    dtype, _ = settle_dtype(
        ctx, stored.dtype, aval.dtype, what, statement.span if statement is not None else None, integral=stored.integral
    )
    return FromFile(stored, dtype)


# ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────


def declare_layer(ctx: Elaborator, frame: Frame, statement: ast.Layer) -> None:
    """`layer l1 = Dense[2, 16]`, `layer h[4] = Dense[50, 50]`"""
    ctx.may_bind(frame, statement.name)
    _refuse_twice(frame, statement.name)
    made = make_layer(ctx, frame, frame.instance, statement)
    frame.bind(statement.name.id, made, statement.name.span, "layer")


def make_layer(ctx: Elaborator, frame: Frame, instance: Instance, statement: ast.Layer) -> LayerV | LayerArrayV:
    """A layer or an array of layers below `instance`, their params noted in order; made once a run."""
    name = statement.name.id
    path = f"{instance.path}.{name}"
    known: LayerV | LayerArrayV | None = ctx.run.layers.get(path)
    if known is not None:
        return known
    net = expressions.evaluate(ctx, frame, statement.value, dims_first=True)
    if not isinstance(net, NetV):
        raise fail(
            "NAM014",
            f"a layer is made from a net, not {describe(net)}",
            statement.value.span,
            help="write `layer l1 = Dense[2, 16]`",
        )
    if net.decl.statics and net.statics is None:
        names = ", ".join(s.id for s in net.decl.statics)
        raise fail("NAM020", f"{net.name} has static parameters: write `{net.name}[{names}]`", statement.value.span)
    made: LayerV | LayerArrayV
    if statement.count is None:
        made = _one_layer(ctx, instance, net, name, statement)
    else:
        count = types.size_of(ctx, frame, statement.count)
        if isinstance(count, Poly) or count > 10_000:
            raise fail(
                static.unknown(count), "the number of layers is a known integer, at most 10_000", statement.count.span
            )
        made = LayerArrayV(tuple(_one_layer(ctx, instance, net, f"{name}.{k}", statement) for k in range(count)), name)
    ctx.run.layers[path] = made
    return made


def _one_layer(ctx: Elaborator, instance: Instance, net: NetV, name: str, statement: ast.Layer) -> LayerV:
    path = f"{instance.path}.{name}"
    if len(ctx.run.layers) > MAX_LAYERS:
        raise fail("NUM003", f"more than {MAX_LAYERS:_} layers", statement.span)
    if path.count(".") > calls.MAX_DEPTH:
        raise fail(
            "NAM002",
            f"layers inside layers without end: {net.name} declares a layer of itself",
            statement.span,
            others=[Label(net.decl.name.span, "this net")],
        )
    own = Instance(path, instance.owner, instance)
    layer = NetV(net.decl, net.scope, own, net.enclosing, net.defined_at, net.statics)
    declare_ahead(ctx, layer)
    instance.params.update(own.params)
    made = LayerV(layer)
    ctx.run.layers[path] = made
    return made


def declare_ahead(ctx: Elaborator, net: NetV) -> None:
    """Note the params of an instance in order, and make those whose shape follows from static parameters."""
    frame = Frame(net.scope, net.instance, net.enclosing, net.defined_at, net.decl)
    for name, size in zip(net.decl.statics, net.statics or (), strict=True):
        frame.bind_dim(name.id, size, name.span)
    for statement in net.decl.body:
        if isinstance(statement, ast.Param):
            info = register(ctx, net.instance, statement)
            try:
                dims = _param_dims(ctx, frame, statement)
            except ModelError:
                continue  # its dims are bound at the first call
            if info.arr is None:
                _create(ctx, frame, statement, info, dims)
        elif isinstance(statement, ast.Layer):
            made = make_layer(ctx, frame, net.instance, statement)
            frame.bind(statement.name.id, made, statement.name.span, "layer")

"""Function transformations: derivatives, batches and recomputation of a net, each on a graph of its own.

The net runs in a region of its own, on fresh inputs, so that only what flows through them is differentiated (or
varies over the batch): outer values that the net uses come in as further inputs, and perturbation confusion cannot
arise. The region's graph is transformed and the result is copied into the graph around, where it may be transformed
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, calls
from gradcli.interp.scope import Frame, Region
from gradcli.interp.select import Selected, leaves, picked, select
from gradcli.interp.values import (
    POISON,
    Arr,
    DerivativeV,
    ListV,
    NetV,
    RecomputeV,
    TupleV,
    flatten,
    make_tuple,
    nested,
    show_type,
)
from gradcli.ir.graph import Builder, Graph, Value
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.record import record
from gradcli.syntax.diagnostics import Span, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

DIRECTED = ("jvp", "value_and_jvp", "hvp")  # the forms that take a direction


# ── a net in a region of its own ────────────────────────────────────────────────────────────────────────────


@record(eq=False)
class Ran:
    """A net that ran in a region: its graph, what feeds each of the graph's inputs, and its results."""

    graph: Graph
    args: tuple[Value, ...]  # in the graph around, in the order of the graph's inputs; fresh inputs as `fresh` has them
    result: Any  # as the net nests it
    outputs: tuple[Arr, ...]

    def position(self, value: Value) -> int:
        return next(k for k, given in enumerate(self.graph.inputs) if given is value)


class Apart:
    """Opens a region, makes fresh inputs in it, runs the net, and closes it again."""

    def __init__(self, ctx: Elaborator) -> None:
        self.ctx = ctx
        self.outer = ctx.region
        self.region = Region(Builder(), ctx.region)
        self.fresh: dict[int, Value] = {}  # id of an input here → what feeds it in the graph around

    def input(self, name: str, arr: Arr, fed: Value) -> Arr:
        """An input of the region like `arr`, fed by `fed`."""
        value = self.region.builder.input(arr.value.aval, name)
        self.fresh[value.id] = fed
        return Arr(value, arr.dims if arr.named else None, arr.weak)

    def run(self, fn: Any, arguments: dict[str, Any], span: Span, caller: Frame) -> Any:
        """The result of the net, its arrays seen in the region; POISON where it was refused."""
        self.ctx.region = self.region
        try:
            return calls.call_net(self.ctx, fn, arguments, span, caller)
        finally:
            self.ctx.region = self.outer

    def lift(self, value: Value) -> Value:
        return self.region.lift(value)

    def close(self, result: Any, span: Span) -> Ran:
        self.ctx.region = self.region
        try:
            outputs = calls.flat_arrays(self.ctx, result, span)
            values = [self.region.lift(arr.value) for arr in outputs]
        finally:
            self.ctx.region = self.outer
        graph = self.region.builder.close(values)
        args = [self.outer.lift(self.fresh.get(v.id) or self.region.origins[v.id]) for v in graph.inputs]
        return Ran(graph, tuple(args), result, tuple(outputs))


def arguments_of(ctx: Elaborator, net: NetV, bound: dict[str, Any]) -> dict[str, Any]:
    """Bound arguments in the order of the inputs, defaults filled in, each typed input in its declared dtype."""
    arguments: dict[str, Any] = {}
    for declared in net.decl.inputs:
        name = declared.name.id
        if name in bound:
            value = bound[name]
        else:
            assert declared.default is not None
            value = ctx.file_expression(net.scope, declared.default)
        if declared.type is not None and not isinstance(value, str) and value is not None:
            with suppress(ShapeError):  # refused again, with its place, when the net is entered
                value = arrays.convert(ctx, value, ctx.dtype(declared.type), f"input {name} of {net.name}")
        arguments[name] = value
    return arguments


# ── derivatives ─────────────────────────────────────────────────────────────────────────────────────────────


def call_derivative(ctx: Elaborator, form: DerivativeV, bound: dict[str, Any], span: Span, caller: Frame) -> Any:
    """The value of `grad(f, …)(…)`, `jvp(f, …)(…)`, … on bound arguments."""
    net = calls.base_net(form.fn)
    arguments = arguments_of(ctx, net, bound)
    chosen = select(ctx, net, form, arguments)
    apart = Apart(ctx)
    moving: dict[str, tuple[Arr, Arr]] = {}  # name → as it is outside, and inside
    for item in leaves(chosen):
        if item.kind == "input" and item.name not in moving:
            outside = _as_float(ctx, arguments[item.name])
            moving[item.name] = outside, apart.input(item.name, outside, outside.value)
    result = apart.run(form.fn, {**arguments, **{n: inside for n, (_, inside) in moving.items()}}, span, caller)
    if result is POISON:
        return result
    by = picked(ctx, form, net, chosen)
    likes, values = [], []
    for leaf in leaves(by):
        outside, inside = moving[leaf.name] if leaf.kind == "input" else (_param(ctx, leaf.name),) * 2
        likes.append(outside)
        values.append(apart.lift(inside.value))
    ran = apart.close(result, span)
    floats = [k for k, arr in enumerate(ran.outputs) if arr.aval.is_float]
    if not floats:
        raise fail("DIF002", f"no result of {net.name} is a float", span)
    extra = [] if form.sens is None else sensitivities(ctx, form.sens, ran.result, ran.outputs, floats, span)
    if form.kind in DIRECTED:
        extra += directions(ctx, form, [leaf.name for leaf in leaves(by)], likes, span)
    wrt = [ran.position(value) for value in values]
    derivative = _graph_of(form, ran.graph, wrt, floats)
    made = ctx.region.builder.inline(derivative, [*ran.args, *extra])
    primal = [_like(v, [o]) for v, o in zip(made, ran.outputs, strict=False)]
    return _assembled(form, ran, by, likes, floats, primal, iter(made[len(ran.outputs) :]))


def _param(ctx: Elaborator, path: str) -> Arr:
    arr = ctx.run.params[path].arr
    assert arr is not None
    return arr


def _as_float(ctx: Elaborator, value: Any) -> Arr:
    """What is differentiated by: weak integers are floats."""
    arr = arrays.to_arr(ctx, value)
    if not arr.aval.is_float:
        return arrays.settle_arr(ctx, arr, ctx.weak_float, weak=True)
    return Arr(ctx.region.lift(arr.value), arr.dims if arr.named else None, arr.weak)


def _graph_of(form: DerivativeV, graph: Graph, wrt: Sequence[int], floats: Sequence[int]) -> Graph:
    """The transformed graph: `(*inputs, *sens, *directions) → (*outputs, *derivatives)`."""
    sens: Any = "inputs" if form.sens is not None else "ones"
    match form.kind:
        case "grad" | "value_and_grad":
            from gradcli.ad.reverse import reverse

            return reverse(graph, wrt, sens=sens, outputs=floats)
        case "jvp" | "value_and_jvp":
            from gradcli.ad.forward import forward

            return forward(graph, wrt, floats)
    from gradcli.ad import matrix

    match form.kind:
        case "jacobian":
            return matrix.jacobian(graph, wrt, floats)
        case "hessian":
            return matrix.hessian(graph, wrt, floats, sens)
    return matrix.hvp(graph, wrt, floats, sens)


def _assembled(
    form: DerivativeV,
    ran: Ran,
    by: Any,
    likes: Sequence[Arr],
    floats: Sequence[int],
    primal: Sequence[Arr],
    made: Iterator[Value],
) -> Any:
    """The derivatives, nested as the form says: by what it is by, by the results, or by both."""
    outs = [ran.outputs[k] for k in floats]
    match form.kind:
        case "jvp" | "value_and_jvp":
            found = _by_result(ran.result, iter([_like(next(made), [out]) for out in outs]))
        case "jacobian":
            blocks = [_nest(by, iter([_like(next(made), [out, x]) for x in likes])) for out in outs]
            found = _by_result(ran.result, iter(blocks))
        case "hessian":
            rows = [_nest(by, iter([_like(next(made), [x, y]) for y in likes])) for x in likes]
            found = _nest(by, iter(rows))
        case _:
            found = _nest(by, iter([_like(next(made), [x]) for x in likes]))
    if form.kind.startswith("value_and_"):
        return TupleV((nested(ran.result, iter(primal)), found))
    return found


def _like(value: Value, of: Sequence[Arr]) -> Arr:
    """A derivative with the names of the dims that it has from what it is of and by."""
    dims = tuple(d for arr in of for d in arr.dims)
    return Arr(value, dims if any(arr.named for arr in of) else None, all(arr.weak for arr in of))


def _nest(by: Any, found: Iterator[Any]) -> Any:
    if isinstance(by, Selected):
        return next(found)
    return make_tuple([_nest(item, found) for item in by])


def _by_result(result: Any, values: Iterator[Any]) -> Any:
    """Nested as the results are, without those that are no floats."""
    if isinstance(result, TupleV):
        members = [_by_result(item, values) for item in result.items if _has_float(item)]
        return make_tuple(members)
    return next(values)


def _has_float(result: Any) -> bool:
    return any(not isinstance(item, Arr) or item.aval.is_float for item in flatten(result))


# ── sensitivities and directions ────────────────────────────────────────────────────────────────────────────


def sensitivities(
    ctx: Elaborator, sens: Any, result: Any, outputs: Sequence[Arr], floats: Sequence[int], span: Span
) -> list[Value]:
    """`sens` with the nesting of the result, shape and dtype exactly. Raises ModelError DIF004 or DIF005."""
    given = flatten(sens)
    if isinstance(sens, ListV) and isinstance(result, TupleV):
        given = list(sens.items)
    if len(given) not in (len(outputs), len(floats)):
        names = ", ".join(f"{n or f'out{k}'}: {o}" for k, (o, n) in enumerate(_named_outputs(result, outputs)))
        raise fail(
            "DIF005",
            f"{len(given)} given as `sens`, for {len(outputs)} outputs",
            span,
            notes=[f"outputs: {names}"],
            help="give one for each, nested as the result is",
        )
    if len(given) == len(outputs):
        given = [given[k] for k in floats]
    pairs = zip(floats, given, strict=True)
    return [exactly(ctx, value, outputs[k], "sensitivity", "the output", span) for k, value in pairs]


def directions(ctx: Elaborator, form: DerivativeV, names: list[str], likes: Sequence[Arr], span: Span) -> list[Value]:
    """The tangents of `jvp` or the vectors of `hvp`, one for each of `names`. Raises ModelError DIF004 or DIF005."""
    what = "vector" if form.kind == "hvp" else "tangent"
    given = flatten(form.along)
    if isinstance(form.along, ListV) and len(names) > 1:
        given = list(form.along.items)
    if len(given) != len(names):
        wanted = ", ".join(f"{name}: {arr}" for name, arr in zip(names, likes, strict=True))
        raise fail(
            "DIF005",
            f"{len(given)} given as `{'v' if form.kind == 'hvp' else 'tangent'}`, for {len(names)} inputs",
            span,
            notes=[f"one {what} for each of {wanted}"],
            help="`wrt=…` names fewer of them" if len(given) < len(names) else None,
        )
    rows = zip(given, names, likes, strict=True)
    return [exactly(ctx, value, like, what, f"the input {name}", span) for value, name, like in rows]


def exactly(ctx: Elaborator, value: Any, like: Arr, what: str, of: str, span: Span) -> Value:
    """A value in the shape and dtype of `like` exactly; weak numbers take the dtype. Raises ModelError DIF004."""
    try:
        arr = arrays.convert(ctx, value, like.dtype, f"the {what}")
    except ShapeError:
        given = arrays.to_arr(ctx, value)
        raise fail("DIF004", f"the {what} is {given}, {of} {like}", span, help=f"cast it: `{like.dtype}(…)`") from None
    if arr.value.aval.shape != like.value.aval.shape:
        raise fail(
            "DIF004",
            f"the {what} is {show_type(arr.dtype, arr.dims)}, {of} {like}",
            span,
            help=f"a {what} has the shape and dtype of {of} exactly",
        )
    return ctx.region.lift(arr.value)


def _named_outputs(result: Any, outputs: Sequence[Arr]) -> list[tuple[Arr, str]]:
    names = result.names if isinstance(result, TupleV) and len(result.names) == len(outputs) else ("",) * len(outputs)
    return list(zip(outputs, names, strict=True))


# ── recomputation ───────────────────────────────────────────────────────────────────────────────────────────


def call_checkpoint(ctx: Elaborator, form: RecomputeV, bound: dict[str, Any], span: Span, caller: Frame) -> Any:
    """The value of `checkpoint(f)(…)`: `f` as one node, which keeps nothing but what comes in."""
    import gradcli.ad.checkpoint  # noqa: F401 - registers the primitive

    apart = Apart(ctx)
    result = apart.run(form.fn, arguments_of(ctx, calls.base_net(form.fn), bound), span, caller)
    if result is POISON:
        return result
    ran = apart.close(result, span)
    ctx.region.builder.spans = (span,)
    made = ctx.region.builder.emit(primitive("checkpoint"), ran.args, {"body": ran.graph})
    return nested(result, iter([_like(v, [o]) for v, o in zip(made, ran.outputs, strict=True)]))

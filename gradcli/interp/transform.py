"""Function transformations: `grad` and `value_and_grad` of a net, by reverse mode on a graph of its own.

The net runs in a region of its own, on fresh inputs, so that only what flows through them is differentiated: outer
values that the net uses come in as further inputs (perturbation confusion cannot arise). The region's graph is
differentiated and the result is copied into the graph around, where it may be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, calls
from gradcli.interp.scope import Frame, Region
from gradcli.interp.values import (
    POISON,
    Arr,
    GradV,
    ListV,
    NetV,
    ParamInfo,
    TupleV,
    flatten,
    is_number,
    make_tuple,
    show_type,
)
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Value
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, Span, fail, nearest

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator


@record
class Selected:
    """What a derivative is by: an input or a param of the transformed net."""

    name: str
    kind: str  # "input" or "param"; for params `name` is the absolute path


def dotted(expr: ast.Expr) -> str | None:
    """`x`, `l1.w`, `h[0].w` after `wrt=`, in the spelling of reports: `h.0.w`; None for anything else."""
    parts: list[str] = []
    while True:
        match expr:
            case ast.Name():
                return ".".join([expr.id, *reversed(parts)])
            case ast.Attribute():
                parts.append(expr.name)
                expr = expr.value
            case ast.Index(items=(ast.Number(value=int() as number),)):
                parts.append(str(number))
                expr = expr.value
            case _:
                return None


def select(ctx: Elaborator, net: NetV, wrt: ast.Expr | None, arguments: dict[str, Any], span: Span) -> Any:
    """The inputs to be made fresh, before the net runs: nested lists of `Selected`, params still as words.

    Raises ModelError DIF001 for an input without a derivative.
    """
    floats = [n for n, v in arguments.items() if differentiable(v)]
    left_out = [n for n, v in arguments.items() if isinstance(v, Arr) and not differentiable(v)]
    if wrt is None:
        if not floats:
            raise fail("DIF001", f"no input of {net.name} is a float", span)
        first = next(iter(arguments))
        if first != floats[0] and first in left_out:
            ctx.note("DIF001", f"{first} is {arguments[first]} and has no derivative: by {floats[0]} instead", span)
        return Selected(floats[0], "input")
    return _select(ctx, net, wrt, arguments, floats, left_out, top=True)


def _select(
    ctx: Elaborator,
    net: NetV,
    expr: ast.Expr,
    arguments: dict[str, Any],
    floats: list[str],
    out: list[str],
    *,
    top: bool,
) -> Any:
    if isinstance(expr, ast.Tuple | ast.List):
        if not top:
            raise fail("DIF003", "`wrt` is a name or a tuple of names", expr.span)
        return [_select(ctx, net, item, arguments, floats, out, top=False) for item in expr.items]
    name = dotted(expr)
    if name is None:
        raise fail("DIF003", "after `wrt=` stand names: `x`, `l1.w`, `all`, `params`", expr.span)
    if name in arguments:
        value = arguments[name]
        if not differentiable(value):
            kind = f"is {value}" if isinstance(value, Arr) else "is no array"
            declared = next((i for i in net.decl.inputs if i.name.id == name and i.type is not None), None)
            help = f"declare it as a float: `{name}: f64`" if declared else f"cast it: `f64({name})`"
            others = [Label(declared.span, "declared here")] if declared else []
            raise fail("DIF001", f"{name} {kind} and has no derivative", expr.span, others=others, help=help)
        return Selected(name, "input")
    if name == "all":
        if out:
            ctx.note("DIF001", f"left out of `all`, as not float: {', '.join(out)}", expr.span)
        if not floats:
            raise fail("DIF001", f"no input of {net.name} is a float", expr.span)
        return [Selected(n, "input") for n in floats]
    return Selected(name, "word")


def differentiable(value: Any) -> bool:
    """Floats, and weak integers, which count as f64."""
    if isinstance(value, Arr):
        return value.aval.is_float or (value.weak and value.dtype != "bool")
    if isinstance(value, ListV):
        return all(differentiable(v) for v in flatten(TupleV(value.items)))
    return is_number(value) and not isinstance(value, bool)


def call_grad(ctx: Elaborator, grad: GradV, bound: dict[str, Any], span: Span, caller: Frame) -> Any:
    """The value of `grad(f, …)(…)` or `value_and_grad(f, …)(…)` on bound arguments."""
    net = calls.base_net(grad.fn)
    arguments = _arguments(ctx, net, bound)
    chosen = select(ctx, net, grad.wrt, arguments, grad.span)
    outer = ctx.region
    fresh: dict[str, Arr] = {}
    for item in _leaves(chosen):
        if item.kind == "input" and item.name not in fresh:
            fresh[item.name] = _as_float(ctx, arguments[item.name])
    region = Region(Builder(), outer)
    ctx.region = region
    try:
        inner: dict[str, Arr] = {}
        for name, arr in fresh.items():
            value = region.builder.input(arr.value.aval, name)
            inner[name] = Arr(value, arr.dims, arr.weak)
        result = calls.call_net(ctx, grad.fn, {**arguments, **inner}, span, caller)
        if result is POISON:
            return result
        outputs = calls.flat_arrays(ctx, result, span)
        values = [region.lift(arr.value) for arr in outputs]
    finally:
        ctx.region = outer
    picked = _picked(ctx, grad, net, chosen, fresh)
    gradients = _differentiate(ctx, grad, region, inner, fresh, result, outputs, values, picked, span)
    gradient = _nest(picked, iter(gradients))
    if not grad.with_value:
        return gradient
    return TupleV((_same_nesting(result, iter(ctx.primal)), gradient))


def _arguments(ctx: Elaborator, net: NetV, bound: dict[str, Any]) -> dict[str, Any]:
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


def _as_float(ctx: Elaborator, value: Any) -> Arr:
    """What is differentiated by: weak integers are floats."""
    arr = arrays.to_arr(ctx, value)
    return arr if arr.aval.is_float else arrays.settle_arr(ctx, arr, ctx.weak_float, weak=True)


def _leaves(chosen: Any) -> list[Selected]:
    if isinstance(chosen, Selected):
        return [chosen]
    return [leaf for item in chosen for leaf in _leaves(item)]


def _picked(ctx: Elaborator, grad: GradV, net: NetV, chosen: Any, fresh: dict[str, Arr]) -> Any:
    """Words of `wrt` that are params, now that the net has run and its params are known."""
    if isinstance(chosen, Selected):
        if chosen.kind == "input":
            return chosen
        span = grad.wrt.span if grad.wrt is not None else grad.span
        paths = resolve_params(net, chosen.name, lambda path: _is_float(ctx.run.params[path]), span)
        if len(paths) == 1:
            return Selected(paths[0], "param")
        return [Selected(path, "param") for path in paths]
    return [_picked(ctx, grad, net, item, fresh) for item in chosen]


def _is_float(param: ParamInfo) -> bool:
    return param.arr is not None and param.arr.aval.is_float


def resolve_params(net: NetV, word: str, is_float: Callable[[str], bool], span: Span | None) -> list[str]:
    """The absolute paths that a name of `wrt` stands for: one param, all floats of a layer, or all (`params`)."""
    by_name = {net.instance.name(path): path for path in net.instance.params}
    if word in by_name:
        return [by_name[word]]
    all_of = [path for path in by_name.values() if is_float(path)]
    below = [path for path in all_of if net.instance.name(path).startswith(word + ".")]
    if below:
        return below
    if word == "params":
        if not all_of:
            raise fail("DIF003", f"{net.name} has no float params" if by_name else f"{net.name} has no params", span)
        return all_of
    names = [i.name.id for i in net.decl.inputs] + list(by_name)
    guess = nearest(word, names)
    have = ", ".join(names) or "none"
    raise fail(
        "DIF003",
        f"{net.name} has no input or param `{word}`",
        span,
        notes=[f"inputs and params: {have}"],
        help=f"did you mean `{guess}`?" if guess else None,
    )


def _differentiate(
    ctx: Elaborator,
    grad: GradV,
    region: Region,
    inner: dict[str, Arr],
    fresh: dict[str, Arr],
    result: Any,
    outputs: list[Arr],
    values: list[Value],
    picked: Any,
    span: Span,
) -> list[Arr]:
    """Differentiate the region's graph and copy it into the graph around; gradients in the order of `picked`."""
    from gradcli.ad.reverse import reverse

    floats = [k for k, arr in enumerate(outputs) if arr.aval.is_float]
    if not floats:
        raise fail("DIF002", f"no result of {calls.base_net(grad.fn).name} is a float", span)
    graph = region.builder.close(values)
    position = {value.id: k for k, value in enumerate(graph.inputs)}
    wrt: list[int] = []
    slots: list[tuple[Selected, int | None]] = []
    for leaf in _leaves(picked):
        value = inner[leaf.name].value if leaf.kind == "input" else _param_here(ctx, region, leaf.name)
        slots.append((leaf, None if value is None else len(wrt)))
        if value is not None:
            wrt.append(position[value.id])
    sens = [] if grad.sens is None else sensitivities(ctx, grad.sens, result, outputs, floats, span)
    derivative = reverse(graph, wrt, sens="inputs" if grad.sens is not None else "ones", outputs=floats)
    actual = {inner[name].value.id: arr.value for name, arr in fresh.items()}
    args = [ctx.region.lift(actual.get(v.id) or region.origins[v.id]) for v in graph.inputs]
    made = ctx.region.builder.inline(derivative, [*args, *sens])
    ctx.primal = [Arr(v, o.dims if o.named else None, o.weak) for v, o in zip(made, outputs, strict=False)]
    found = made[len(outputs) :]
    gradients = []
    for leaf, slot in slots:
        like = fresh[leaf.name] if leaf.kind == "input" else ctx.run.params[leaf.name].arr
        assert like is not None
        value = found[slot] if slot is not None else zeros(ctx, like.value.aval)
        gradients.append(Arr(value, like.dims if like.named else None, like.weak))
    return gradients


def _param_here(ctx: Elaborator, region: Region, path: str) -> Value | None:
    """A param as an input of the region; None where the net does not use it."""
    arr = ctx.run.params[path].arr
    return None if arr is None else region.lifted.get(arr.value)


def zeros(ctx: Elaborator, aval: Aval) -> Value:
    zero = ctx.region.builder.scalar(0.0, aval.dtype)
    if not aval.shape:
        return zero
    return ctx.region.builder.emit(primitive("broadcast_to"), (zero,), {"shape": aval.shape})[0]


def sensitivities(
    ctx: Elaborator, sens: Any, result: Any, outputs: list[Arr], floats: list[int], span: Span
) -> list[Value]:
    """`sens` with the nesting of the result, shape and dtype exactly. Raises ModelError DIF004."""
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
    found = []
    for k, value in zip(floats, given, strict=True):
        out = outputs[k]
        try:
            arr = arrays.convert(ctx, value, out.dtype, "the sensitivity")
        except ShapeError:
            given_type = arrays.to_arr(ctx, value)
            raise fail(
                "DIF004", f"the sensitivity is {given_type}, the output {out}", span, help=f"cast it: `{out.dtype}(…)`"
            ) from None
        if arr.value.aval.shape != out.value.aval.shape:
            raise fail(
                "DIF004",
                f"the sensitivity is {show_type(arr.dtype, arr.dims)}, the output {out}",
                span,
                help="a sensitivity has the shape and dtype of the output exactly",
            )
        found.append(ctx.region.lift(arr.value))
    return found


def _named_outputs(result: Any, outputs: list[Arr]) -> list[tuple[Arr, str]]:
    names = result.names if isinstance(result, TupleV) and len(result.names) == len(outputs) else ("",) * len(outputs)
    return list(zip(outputs, names, strict=True))


def _nest(picked: Any, gradients: Any) -> Any:
    if isinstance(picked, Selected):
        return next(gradients)
    return make_tuple([_nest(item, gradients) for item in picked])


def _same_nesting(result: Any, values: Any) -> Any:
    if isinstance(result, TupleV):
        return TupleV(tuple(_same_nesting(item, values) for item in result.items), result.names)
    return next(values)


__all__ = ["call_grad", "resolve_params", "select"]

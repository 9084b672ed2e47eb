"""`vmap`: a net for one element, run for all along an axis; `ad/batch.py` makes the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, calls, expressions, indexing, static
from gradcli.interp.scope import Frame
from gradcli.interp.transform import Apart, arguments_of
from gradcli.interp.values import POISON, Arr, ListV, MapV, NetV, counted, describe, nested, show_size
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size, name_of
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Span, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator


def call_map(ctx: Elaborator, form: MapV, bound: dict[str, Any], span: Span, caller: Frame) -> Any:
    """The value of `vmap(f, axes=…)(…)` on bound arguments: the results with the mapped axis in front.

    Raises ModelError SHP111 for an axis that an input has not, SHP120 where nothing is mapped or sizes differ.
    """
    from gradcli.ad.batch import batch

    net = calls.base_net(form.fn)
    arguments = {name: _array(ctx, value) for name, value in arguments_of(ctx, net, bound).items()}
    axes = _axes(ctx, form, net, arguments)
    size = _size(form, arguments, axes)
    apart = Apart(ctx)
    inner = dict(arguments)
    mapped = set()
    for name, axis in axes.items():
        arr = arguments[name]
        front = indexing.transpose(ctx, arr, (axis, *(k for k in range(arr.rank) if k != axis)))
        one = apart.region.builder.input(type(arr.aval)(arrays.plain(front.dims[1:]), arr.dtype), name)
        apart.fresh[one.id] = ctx.region.lift(front.value)
        mapped.add(one.id)
        inner[name] = Arr(one, front.dims[1:], arr.weak)
    result = apart.run(form.fn, inner, span, caller)
    if result is POISON:
        return result
    ran = apart.close(result, span)
    graph = batch(ran.graph, [value.id in mapped for value in ran.graph.inputs], arrays.plain([size])[0])
    made = ctx.region.builder.inline(graph, ran.args)
    rows = iter([Arr(v, (size, *o.dims), o.weak) for v, o in zip(made, ran.outputs, strict=True)])
    return nested(result, rows)


def _array(ctx: Elaborator, value: Any) -> Any:
    return arrays.to_arr(ctx, value) if isinstance(value, ListV) else value


def _axes(ctx: Elaborator, form: MapV, net: NetV, arguments: dict[str, Any]) -> dict[str, int]:
    """The inputs that are mapped, each with its axis from 0."""
    names = list(arguments)
    if form.axes is None:
        return {name: 0 for name, value in arguments.items() if isinstance(value, Arr) and value.rank}
    if not isinstance(form.axes, ast.Tuple | ast.List):
        found = {name: _axis(ctx, form, form.axes, name, arguments[name], every=True) for name in names}
    else:
        items = form.axes.items
        if len(items) != len(names):
            text = f"`axes` has {counted(len(items), 'member')}, {net.name} has {counted(len(names), 'input')}"
            raise fail("SHP120", text, form.axes.span, help=f"one for each of {', '.join(names)}")
        found = {
            name: _axis(ctx, form, item, name, arguments[name], every=False)
            for name, item in zip(names, items, strict=True)
        }
    return {name: axis for name, axis in found.items() if axis is not None}


def _axis(ctx: Elaborator, form: MapV, expr: ast.Expr, name: str, value: Any, *, every: bool) -> int | None:
    """What `expr` says about one input; where it stands for all inputs, those that have no such axis are shared."""
    dims = value.dims if isinstance(value, Arr) else ()
    if isinstance(expr, ast.Name):
        places = [k for k, d in enumerate(dims) if (known := name_of(d)) is not None and known.text == expr.id]
        if len(places) == 1:
            return places[0]
        if every and not places:
            return None
    given = expressions.evaluate(ctx, form.frame, expr)
    if given is None:
        return None
    axis = static.whole(given)
    if not isinstance(axis, int):
        raise fail("SHP111", f"an axis is a number, the name of a dim or None, not {describe(given)}", expr.span)
    if every and not dims:
        return None
    if not -len(dims) <= axis < len(dims):
        raise fail("SHP111", f"{axis} is no axis of input {name}, which is {describe(value)}", expr.span)
    return axis % len(dims)


def _size(form: MapV, arguments: dict[str, Any], axes: dict[str, int]) -> Size:
    """The one size that all mapped axes have."""
    where = form.axes.span if form.axes is not None else form.span
    if not axes:
        raise fail("SHP120", "vmap maps no input: none of them has that axis", where)
    (first, axis), *rest = axes.items()
    size: Size = arguments[first].dims[axis]
    for name, place in rest:
        other = arguments[name].dims[place]
        if not sizes.equal(size, other, "vmap"):
            text = f"{first} has {show_size(size)} elements along axis {axis}, {name} has {show_size(other)}"
            raise fail("SHP120", f"vmap over different sizes: {text} along axis {place}", where,
                       help="`axes=(0, None)` shares an input")  # fmt: skip
        size = other if name_of(size) is None and not isinstance(size, Poly) else size
    return size

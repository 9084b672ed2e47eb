"""What a derivative is by: the names after `wrt=` as inputs and params of the net that is transformed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradcli.interp.values import Arr, DerivativeV, ListV, NetV, ParamInfo, TupleV, flatten, is_number
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


def select(ctx: Elaborator, net: NetV, form: DerivativeV, arguments: dict[str, Any]) -> Any:
    """The inputs to be made fresh, before the net runs: nested lists of `Selected`, params still as words.

    Raises ModelError DIF001 for an input without a derivative.
    """
    wrt, span = form.wrt, form.span
    floats = [n for n, v in arguments.items() if differentiable(v)]
    left_out = [n for n, v in arguments.items() if isinstance(v, Arr) and not differentiable(v)]
    if wrt is None:
        if not floats:
            raise fail("DIF001", f"no input of {net.name} is a float", span)
        if form.kind in ("jvp", "value_and_jvp"):
            return [Selected(n, "input") for n in floats]
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


def leaves(chosen: Any) -> list[Selected]:
    if isinstance(chosen, Selected):
        return [chosen]
    return [leaf for item in chosen for leaf in leaves(item)]


def picked(ctx: Elaborator, form: DerivativeV, net: NetV, chosen: Any) -> Any:
    """Words of `wrt` that are params, now that the net has run and its params are known."""
    if isinstance(chosen, Selected):
        if chosen.kind == "input":
            return chosen
        span = form.wrt.span if form.wrt is not None else form.span
        paths = resolve_params(net, chosen.name, lambda path: _is_float(ctx.run.params[path]), span)
        if len(paths) == 1:
            _refuse_integers(ctx.run.params[paths[0]], chosen.name, span)
            return Selected(paths[0], "param")
        return [Selected(path, "param") for path in paths]
    return [picked(ctx, form, net, item) for item in chosen]


def _refuse_integers(param: ParamInfo, name: str, span: Span) -> None:
    if not _is_float(param):
        declared = Label(param.span, "declared here")
        help = f"declare it as a float: `{name}: f64`"
        raise fail("DIF001", f"{name} is {param.arr} and has no derivative", span, others=[declared], help=help)


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

"""What a name means: the newest binding in the net, then around it, then the file, then the language."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gradcli.interp.modules import has_net, prelude_names
from gradcli.interp.scope import Binding, Frame
from gradcli.interp.values import Arr, CastV, LayerV, ModuleV, OperatorV
from gradcli.ir.aval import DTYPES
from gradcli.ir.dims import Size
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, ModelError, fail, nearest

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

# The seeded initialisers with their arguments and defaults.
RANDOM: dict[str, dict[str, float]] = {
    "normal": {"seed": 0, "scale": 1.0, "mean": 0.0},
    "uniform": {"seed": 0, "low": -1.0, "high": 1.0},
    "glorot_uniform": {"seed": 0},
    "glorot_normal": {"seed": 0},
    "he_uniform": {"seed": 0},
    "he_normal": {"seed": 0},
}
# What other languages call what this one has.
ELSEWHERE = {
    "True": "true", "False": "false", "none": "None", "null": "None", "nil": "None", "NaN": "nan", "Inf": "inf",
    "float": "f64(x)", "double": "f64(x)", "int": "i64(x)", "len": "size(x)",
    "range": "for i in 0..n", "arctan": "atan", "arcsin": "asin", "arccos": "acos",
    "arctan2": "atan2", "ln": "log", "amax": "max", "amin": "min",
}  # fmt: skip


def find(frame: Frame, name: str) -> Binding | None:
    """A name's binding in a frame or the frames around it, whatever its age."""
    scope: Frame | None = frame
    while scope is not None:
        if name in scope.names:
            return scope.names[name]
        scope = scope.enclosing
    return None


def lookup(ctx: Elaborator, frame: Frame, node: ast.Name, *, dims_first: bool = False) -> Any:
    """What a name means here: the newest binding in the net, then around it, then the file, then the language."""
    name = node.id
    if dims_first:
        size = find_dim(ctx, frame, name)
        if size is not None:
            return size
    scope: Frame | None = frame
    limit: int | None = None
    inner: list[Frame] = []
    while scope is not None:
        binding = scope.names.get(name)
        if binding is not None:
            if limit is not None and binding.serial > limit:
                raise fail(
                    "NAM010",
                    f"`{name}` was bound again after the net that uses it was defined",
                    frame.call_span or node.span,
                    label="called here",
                    others=[Label(node.span, "used here"), Label(binding.span, "bound again here")],
                    help=f"pass `{name}` as an input of the net",
                )
            if inner and isinstance(binding.value, Arr) and binding.what == "param":
                _use_param(ctx, binding.value, inner)
            elif inner and isinstance(binding.value, LayerV):
                for user in inner:
                    user.instance.params.update(binding.value.net.instance.params)
            return binding.value
        limit = scope.enclosing_limit
        inner.append(scope)
        scope = scope.enclosing
    return file_name(ctx, frame, node)


def _use_param(ctx: Elaborator, arr: Arr, frames: list[Frame]) -> None:
    """A local net's params include those of enclosing nets that it uses."""
    path = ctx.run.param_paths.get(arr.value)
    if path is not None:
        for frame in frames:
            frame.instance.params.setdefault(path)


def file_name(ctx: Elaborator, frame: Frame, node: ast.Name) -> Any:
    """A name of the file, or of the language."""
    name, scope = node.id, frame.scope
    if has_net(scope, name):
        return ctx.named_net(scope, name)
    if name in scope.consts:
        return ctx.const(scope, name)
    if name in scope.imports:
        return ModuleV(scope.imports[name][1], name)
    if name in scope.inputs and _sees_inputs(frame):
        return ctx.file_input(scope, name, node.span)
    if name in DTYPES:
        return CastV(name)
    if name in ctx.operators:
        return OperatorV(name)
    if name in prelude_names():
        return ctx.named_net(ctx.prelude(), name)
    size = find_dim(ctx, frame, name)
    if size is not None:
        return size
    if name == "pi":
        return math.pi
    if name == "e":
        return math.e
    raise unknown_name(ctx, frame, node)


def _sees_inputs(frame: Frame) -> bool:
    """Whether it is the body of a case, or of a net inside one."""
    while frame.enclosing is not None:
        frame = frame.enclosing
    return frame.sees_inputs


def unknown_name(ctx: Elaborator, frame: Frame, node: ast.Name) -> ModelError:
    scope = frame.scope
    words: list[str] = [*scope.nets, *scope.consts, *scope.dims, *scope.imports]
    words += [*ctx.operators, *prelude_names()]
    around: Frame | None = frame
    while around is not None:
        words.extend(around.names)
        words.extend(around.dims)
        around = around.enclosing
    if _sees_inputs(frame):
        words.extend(scope.inputs)
    if node.id in RANDOM:
        return fail(
            "NAM001",
            f"`{node.id}` gives a param its first values, and stands only there",
            node.span,
            help=f"`param w: f32[3] = {node.id}(seed=1)`",
        )
    text = f"there is no `{node.id}` here"
    if node.id in ELSEWHERE:
        return fail("NAM001", text, node.span, help=f"write `{ELSEWHERE[node.id]}`")
    odd = next((sign for sign in node.id if not sign.isascii()), None)
    if odd is not None:
        from unicodedata import name as letter

        return fail("NAM001", f"{text}: it has a {letter(odd, 'letter')}", node.span)
    guess = nearest(node.id, [*words, "true", "false", "None", "inf", "nan", "pi"])
    if node.id in scope.inputs:
        return fail(
            "NAM001",
            text,
            node.span,
            others=[Label(scope.inputs[node.id].span, "this input feeds the entry net")],
            help=f"nets see only their own inputs: add `{node.id}` to the signature",
        )
    if node.id in ("complex", "c64", "c128", "complex64", "complex128"):
        return fail("NAM001", "complex numbers are not in this edition", node.span)
    return fail("NAM001", text, node.span, help=f"did you mean `{guess}`?" if guess else None)


def find_dim(ctx: Elaborator, frame: Frame, name: str) -> Size | None:
    """The size of a named dim or static parameter, with its name; None where there is none."""
    around: Frame | None = frame
    while around is not None:
        if name in around.dims:
            return around.dims[name][0]
        around = around.enclosing
    return ctx.file_dim(frame.scope, name)

"""The operators of the language: the elementwise ones here, the others by family, each below its signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradcli.ops  # the primitives that the names below stand for
from gradcli.interp import (
    arranging,
    arrays,
    calls,
    derivatives,
    einsum,
    expressions,
    losses,
    makers,
    matrices,
    neural,
    reductions,
    shaping,
    sliding,
    static,
)
from gradcli.interp.dtypes import WEAK_FLOAT, WEAK_INT
from gradcli.interp.scope import Frame
from gradcli.interp.signature import OPERATORS, SURFACES, Site, Surface, bind, operator, read_choice
from gradcli.interp.values import Arr, TupleV, is_number
from gradcli.ir.dims import Poly
from gradcli.ir.primitive import primitive
from gradcli.syntax import ast

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

# of floats: ints and literals become floats
FLOAT_ONE = (
    "sqrt", "rsqrt", "cbrt", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p",
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "erf", "erfc", "lgamma", "digamma", "sigmoid", "isfinite", "isnan",
)  # fmt: skip
FLOAT_TWO = ("div", "atan2", "hypot", "logaddexp")
# of numbers: bools become ints
NUMBER_ONE = ("neg", "abs", "sign", "square", "floor", "ceil", "round", "trunc", "relu")
NUMBER_TWO = ("add", "sub", "mul", "maximum", "minimum")
STEPS = ("floor", "ceil", "round", "trunc")  # nothing to do for ints


def _elementwise(name: str, count: int, least: int) -> None:
    """An operator that is one elementwise primitive; static where all operands are and it may be used in sizes."""
    parts = ["x", "y"][:count]
    known, steps = static.FUNCTIONS.get(name), name in STEPS

    def handler(ctx: Elaborator, frame: Frame, node: ast.Call, args: list[Any], kw: dict[str, Any]) -> Any:
        operands = args if len(args) == count and not kw else bind(name, parts, {}, node, args, kw)
        if known is not None and all(is_number(o) and not isinstance(o, bool | Poly) for o in operands):
            return known(*operands)
        if steps and isinstance(operands[0], Arr) and not operands[0].aval.is_float:
            return operands[0]
        return arrays.elementwise(ctx, primitive(name), operands, least=least)

    OPERATORS[name] = handler
    SURFACES[name] = Surface(name, f"{name}({', '.join(parts)})", "elementwise", "", name)


for _name in FLOAT_ONE:
    _elementwise(_name, 1, WEAK_FLOAT)
for _name in NUMBER_ONE:
    _elementwise(_name, 1, WEAK_INT)
for _name in FLOAT_TWO:
    _elementwise(_name, 2, WEAK_FLOAT)
for _name in NUMBER_TWO:
    _elementwise(_name, 2, WEAK_INT)


@operator("pow(x, y)", "elementwise", "`x ** y`.", "pow")
def _pow(site: Site, x: Any, y: Any) -> Any:
    return expressions.binary(site.ctx, "**", x, y)


@operator("matmul(x, y)", "linear algebra", "The matrix product `x @ y`, leading dims broadcast.", "matmul")
def _matmul(site: Site, x: Any, y: Any) -> Arr:
    return expressions.matmul(site.ctx, x, y)


@operator(
    "where(cond, x, y)",
    "elementwise",
    "`x if cond else y`, elementwise; nothing flows into the branch not taken.",
    "where",
)
def _where(site: Site, cond: Any, x: Any, y: Any) -> Arr:
    return arrays.select(site.ctx, cond, x, y)


@operator("softplus(x, beta=1)", "activations", "log(1 + exp(beta x)) / beta, without overflow.", "softplus")
def _softplus(site: Site, x: Any, beta: Any) -> Any:
    ctx, soft = site.ctx, primitive("softplus")
    if is_number(beta) and beta == 1:
        return arrays.elementwise(ctx, soft, (x,), least=WEAK_FLOAT)
    inner = arrays.elementwise(ctx, soft, (expressions.binary(ctx, "*", x, beta),), least=WEAK_FLOAT)
    return expressions.binary(ctx, "/", inner, beta)


@operator(
    'gelu(x, approximate="none")',
    "activations",
    'x times the probability that a normal number is smaller: exact, or approximate="tanh" (Hendrycks & Gimpel 2016).',
)
def _gelu(site: Site, x: Any, approximate: Any) -> Any:
    exact = read_choice(approximate, "approximate", ("none", "tanh")) == "none"
    return calls.composed(site, "_gelu" if exact else "_gelu_tanh", x=x)


@operator(
    "stop_gradient(x)", "derivatives", "x, and no derivative flows into it, in any mode or order.", "stop_gradient"
)
def _stop_gradient(site: Site, x: Any) -> Any:
    if isinstance(x, TupleV):
        return TupleV(tuple(_stop_gradient(site, item) for item in x.items), x.names)
    arr = site.arr(x)
    out = arrays.emit(site.ctx, primitive("stop_gradient"), [arr], dims=arr.dims)
    return Arr(out.value, arr.dims, arr.weak)


__all__ = [
    "OPERATORS", "SURFACES", "Surface", "arranging", "derivatives", "einsum", "gradcli", "losses", "makers", "matrices",
    "neural", "reductions", "shaping", "sliding",
]  # fmt: skip

"""`grad`, `value_and_grad` and `checkpoint`, as the language spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp.signature import Site, operator
from gradcli.interp.values import (
    Arr,
    CastV,
    Deferred,
    GradV,
    LayerV,
    NetV,
    OperatorV,
    RecomputeV,
    TupleV,
    describe,
)
from gradcli.ir.primitive import ShapeError

if TYPE_CHECKING:
    pass


def _net(value: Any, name: str) -> Any:
    if isinstance(value, NetV | LayerV | GradV | RecomputeV):
        return value
    if isinstance(value, OperatorV | CastV):
        raise ShapeError("DIF006", f"{name} takes a net, not {describe(value)}", (), "wrap it: `net f(x) = …`")
    hint = "a net that was called is a value: write `grad(f)(x)`" if isinstance(value, Arr | TupleV) else None
    raise ShapeError("DIF006", f"{name} takes a net, not {describe(value)}", (0,), hint)


def _grad(site: Site, net: Any, wrt: Any, sens: Any, name: str) -> GradV:
    expr = wrt.expr if isinstance(wrt, Deferred) else None
    if wrt is not None and expr is None and len(site.node.args) > 1:
        expr = site.node.args[1]
    return GradV(_net(net, name), expr, sens, name == "value_and_grad", site.node.span, site.frame)


@operator(
    "grad(f, wrt=None, sens=None)",
    "derivatives",
    "The net that gives the derivative of f's outputs, summed or weighted by `sens`, by `wrt` (the first float input).",
)
def _grad_operator(site: Site, f: Any, wrt: Any, sens: Any) -> GradV:
    return _grad(site, f, wrt, sens, "grad")


@operator("value_and_grad(f, wrt=None, sens=None)", "derivatives", "The net that gives `(value, gradient)`.")
def _value_and_grad(site: Site, f: Any, wrt: Any, sens: Any) -> GradV:
    return _grad(site, f, wrt, sens, "value_and_grad")


@operator("checkpoint(f)", "derivatives", "f, whose values need not be kept for the backward pass.")
def _checkpoint(site: Site, f: Any) -> RecomputeV:
    return RecomputeV(_net(f, "checkpoint"))

"""The function transformations, as the language spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp.signature import Site, operator
from gradcli.interp.values import (
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
    describe,
)
from gradcli.ir.primitive import ShapeError

if TYPE_CHECKING:
    from gradcli.syntax import ast


def _net(value: Any, name: str) -> Any:
    if isinstance(value, NetV | LayerV | Transformed):
        return value
    if isinstance(value, OperatorV | CastV):
        raise ShapeError("DIF006", f"{name} takes a net, not {describe(value)}", (), "wrap it: `net f(x) = …`")
    hint = f"a net that was called is a value: write `{name}(f)(x)`" if isinstance(value, Arr | TupleV) else None
    raise ShapeError("DIF006", f"{name} takes a net, not {describe(value)}", (0,), hint)


def _words(site: Site, value: Any, place: int) -> ast.Expr | None:
    """What stands after `wrt=` or `axes=`, or at that place: names, which are read where they belong."""
    if isinstance(value, Deferred):
        return value.expr
    return site.node.args[place] if value is not None and len(site.node.args) > place else None


def _derivative(
    site: Site, kind: str, f: Any, wrt: Any, *, sens: Any = None, along: Any = None, at: int = 1
) -> DerivativeV:
    return DerivativeV(kind, _net(f, kind), _words(site, wrt, at), sens, along, site.node.span, site.frame)


@operator(
    "grad(f, wrt=None, sens=None)",
    "derivatives",
    "The net that gives the derivative of f's outputs, summed or weighted by `sens`, by `wrt` (the first float input).",
)
def _grad(site: Site, f: Any, wrt: Any, sens: Any) -> DerivativeV:
    return _derivative(site, "grad", f, wrt, sens=sens)


@operator("value_and_grad(f, wrt=None, sens=None)", "derivatives", "The net that gives `(value, gradient)`.")
def _value_and_grad(site: Site, f: Any, wrt: Any, sens: Any) -> DerivativeV:
    return _derivative(site, "value_and_grad", f, wrt, sens=sens)


@operator(
    "jvp(f, tangent, wrt=None)",
    "derivatives",
    "The net that gives the tangents of f's outputs (forward mode), for a tangent of each of `wrt` (all float inputs).",
)
def _jvp(site: Site, f: Any, tangent: Any, wrt: Any) -> DerivativeV:
    return _derivative(site, "jvp", f, wrt, along=tangent, at=2)


@operator("value_and_jvp(f, tangent, wrt=None)", "derivatives", "The net that gives `(value, tangents)`.")
def _value_and_jvp(site: Site, f: Any, tangent: Any, wrt: Any) -> DerivativeV:
    return _derivative(site, "value_and_jvp", f, wrt, along=tangent, at=2)


@operator(
    "jacobian(f, wrt=None)",
    "derivatives",
    "The net that gives the whole matrix, output × input, of each output by each of `wrt` (the first float input).",
)
def _jacobian(site: Site, f: Any, wrt: Any) -> DerivativeV:
    return _derivative(site, "jacobian", f, wrt)


@operator(
    "hessian(f, wrt=None, sens=None)",
    "derivatives",
    "The net that gives the second derivatives, input × input, of f's outputs, summed or weighted by `sens`.",
)
def _hessian(site: Site, f: Any, wrt: Any, sens: Any) -> DerivativeV:
    return _derivative(site, "hessian", f, wrt, sens=sens)


@operator(
    "hvp(f, v, wrt=None, sens=None)",
    "derivatives",
    "The net that gives the product of the Hessian with `v`, one for each of `wrt`, without the matrix.",
)
def _hvp(site: Site, f: Any, v: Any, wrt: Any, sens: Any) -> DerivativeV:
    return _derivative(site, "hvp", f, wrt, sens=sens, along=v, at=2)


@operator(
    "vmap(f, axes=None)",
    "derivatives",
    "The net that runs f for each element along an axis: the first of every array, or `axes`, one for each input.",
)
def _vmap(site: Site, f: Any, axes: Any) -> MapV:
    return MapV(_net(f, "vmap"), _words(site, axes, 1), site.node.span, site.frame)


@operator("checkpoint(f)", "derivatives", "f, whose values are computed again in the backward pass instead of kept.")
def _checkpoint(site: Site, f: Any) -> RecomputeV:
    return RecomputeV(_net(f, "checkpoint"))

"""Forward mode: a graph becomes the graph of its values and of their tangents, node by node in the same order.

    t(y) = Σ over the operands x of y = p(…, x, …) of ∂p/∂x · t(x)

An elementwise operator has it from its partial derivatives, a linear one by being applied to the tangents, a bilinear
one in two terms. All others have it from their vjp: that is linear in the cotangent, `vjp(ct) = Jᵀ ct`, so its own
reverse derivative by the cotangent, weighted by the tangents, is `J t`. Thus an operator states its derivative once.
"""

from __future__ import annotations

from collections.abc import Sequence

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ad.reverse import (
    Traced,
    float_outputs,
    missing_rule,
    refuse_without_derivative,
    reverse,
    splat,
    stand_in,
    unbroadcast,
)
from gradcli.ir.dims import conditions
from gradcli.ir.graph import Builder, Graph, Node, Role, Value
from gradcli.ir.live import outputs_from, without_dead
from gradcli.ir.primitive import primitive

Tangents = list[Value | None]


def forward(graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None = None) -> Graph:
    """`(*inputs, *tangents) → (*outputs, *tangents of outputs)`, one tangent for each input at the positions `wrt`, of
    its aval, and one for each float output among the positions `outputs` (default: all); zeros where no path leads.

    Raises ModelError DIF001 for a `wrt` that is no float, DIF002 where no output is one, DIF008 for a missing rule.
    """
    return _differentiated(graph, wrt, outputs, None).graph


def traced(graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None = None) -> Traced:
    """`forward`, with the tangent of every value on the way. Raises as `forward` does."""
    return _differentiated(graph, wrt, outputs, {})


def _differentiated(
    graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None, stands_for: dict[int, Value] | None
) -> Traced:
    for position in wrt:
        refuse_without_derivative(graph, position)
    chosen = float_outputs(graph, outputs)
    with conditions():  # recorded when the primal was made
        return _differentiate(graph, wrt, chosen, stands_for)


def _differentiate(
    graph: Graph, wrt: Sequence[int], chosen: Sequence[int], stands_for: dict[int, Value] | None
) -> Traced:
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names or builder.names
    tangents: dict[int, Value] = {}  # by the id of the old value
    for position in wrt:
        old = graph.inputs[position]
        tangents[old.id] = builder.input(old.aval, f"t_{old.hint}" if old.hint else f"tangent.{position}")
    for node in graph.nodes:
        builder.replay([node], env)
        if any(value.id in tangents for value in node.inputs):
            builder.spans, first = node.spans, len(builder.nodes)
            _push(builder, node, env, tangents)
            builder.mark(first, Role("tangent", node.prim.name, node.role))
            builder.spans = ()
            if stands_for is not None:
                tangents |= {o.id: stand_in(builder, tangents[o.id], stands_for) for o in node.outs if o.id in tangents}
    found = []
    for k in chosen:
        old = graph.outputs[k]
        found.append(tangents[old.id] if old.id in tangents else splat(builder, 0.0, old.aval))
    made = builder.close([*(env[old.id] for old in graph.outputs), *found])
    return Traced(without_dead(made) if stands_for is None else made, env, tangents, stands_for or {})


def _push(builder: Builder, node: Node, env: dict[int, Value], tangents: dict[int, Value]) -> None:
    """The tangents of a node's results, where there are any."""
    if node.prim.stops or node.prim.flat:
        return
    given = [tangents.get(value.id) for value in node.inputs]
    inputs = tuple(env[value.id] for value in node.inputs)
    outs = tuple(env[value.id] for value in node.outs)
    for old, tangent in zip(node.outs, push_forward(builder, node, given, inputs, outs), strict=True):
        if tangent is not None and old.aval.is_float:
            if tangent.shape != old.aval.shape:
                tangent = builder.emit(primitive("broadcast_to"), (tangent,), {"shape": old.aval.shape})[0]
            if old.hint and not tangent.hint:
                tangent.hint = f"t_{old.hint}"
            tangents[old.id] = tangent


def push_forward(
    builder: Builder, node: Node, tangents: Tangents, inputs: tuple[Value, ...], outs: tuple[Value, ...]
) -> tuple[Value | None, ...]:
    """`J t` of one node, by the rule that its kind has; a tangent may be of a shape that broadcasts to its result's."""
    prim = node.prim
    if prim.jvp is not None:
        return prim.jvp(tuple(tangents), inputs, outs, **node.params)
    if prim.kind == "linear":
        return builder.emit(prim, _along(builder, tangents, inputs), node.params)
    if prim.kind == "bilinear":
        return (_product_rule(builder, node, tangents, inputs),)
    return transposed(builder, node, tangents, inputs, outs)


def _along(builder: Builder, tangents: Tangents, inputs: tuple[Value, ...]) -> list[Value]:
    """The operands of a linear operator with tangents for the floats; indices stay."""
    return [
        value if not value.aval.is_float else splat(builder, 0.0, value.aval) if tangent is None else tangent
        for tangent, value in zip(tangents, inputs, strict=True)
    ]


def _product_rule(builder: Builder, node: Node, tangents: Tangents, inputs: tuple[Value, ...]) -> Value | None:
    total: Value | None = None
    for k, tangent in enumerate(tangents):
        if tangent is not None:
            operands = [*inputs[:k], tangent, *inputs[k + 1 :]]
            term = builder.emit(node.prim, operands, node.params)[0]
            total = term if total is None else total + term
    return total


def transposed(
    builder: Builder, node: Node, tangents: Tangents, inputs: tuple[Value, ...], outs: tuple[Value, ...]
) -> tuple[Value | None, ...]:
    """`J t` as the transpose of the vjp. Raises ModelError DIF008 where there is none."""
    if node.prim.vjp is None:
        raise missing_rule(node)
    pulled, floats, moved = _vjp_graph(node, tangents)
    if not moved:
        return (None,) * len(outs)
    first = len(inputs) + len(outs)
    back = reverse(pulled, range(first, first + len(floats)), sens="inputs")
    count = len(pulled.outputs)
    only = outputs_from(back, count)
    nothing = [splat(builder, 0.0, outs[k].aval) for k in floats]  # in place of the cotangent, of which J t is free
    ways = [tangent for k in moved if (tangent := tangents[k]) is not None]
    results: Tangents = [None] * len(outs)
    for k, tangent in zip(floats, builder.inline(only, [*inputs, *outs, *nothing, *ways]), strict=True):
        results[k] = tangent
    return tuple(results)


def _vjp_graph(node: Node, tangents: Tangents) -> tuple[Graph, list[int], list[int]]:
    """`(*operands, *results, *cotangents) → cotangents of the operands that move`, with the float results and the
    operands that these are of."""
    assert node.prim.vjp is not None
    builder = Builder()
    builder.spans = node.spans
    inputs = tuple(builder.input(value.aval) for value in node.inputs)
    outs = tuple(builder.input(value.aval) for value in node.outs)
    floats = [k for k, out in enumerate(node.outs) if out.aval.is_float]
    cts: Tangents = [None] * len(outs)
    for k in floats:
        cts[k] = builder.input(node.outs[k].aval)
    made = node.prim.vjp(tuple(cts), inputs, outs, **node.params)
    moved: list[int] = []
    pulled: list[Value] = []
    for k, (ct, tangent) in enumerate(zip(made, tangents, strict=True)):
        if ct is not None and tangent is not None:
            moved.append(k)
            pulled.append(unbroadcast(builder, ct, node.inputs[k].aval))
    return builder.finish(pulled), floats, moved


__all__ = ["forward", "push_forward", "traced", "transposed"]

"""Reverse mode: a graph becomes the graph of its values and its gradients.

The primal nodes are replayed into a fresh builder; then their list is walked backwards once, and each node that lies
between `wrt` and the outputs sends the cotangents of its results to its operands, by its own rule:

    ct(x) = Σ over the uses y = p(…, x, …) of vjp_p(ct(y)) by x

What flows back is emitted as ordinary primitives, so the result can be printed, optimised, run, or differentiated
again. Two things happen here and in no rule: broadcasting is undone (`unbroadcast`), and the terms of the sum are
added up (`accumulate`). Every adjoint node carries the spans of the node that it differentiates, and says so (`Role`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ir.aval import Aval
from gradcli.ir.dims import conditions
from gradcli.ir.graph import Builder, Graph, Node, Role, Value
from gradcli.ir.primitive import primitive
from gradcli.record import record
from gradcli.syntax.diagnostics import ModelError, fail


def reverse(
    graph: Graph,
    wrt: Sequence[int],
    *,
    sens: Literal["ones", "inputs"] = "ones",
    outputs: Sequence[int] | None = None,
) -> Graph:
    """`(*inputs, *sens) → (*outputs, *gradients)`, the gradients by the inputs at the positions `wrt`, in that order.

    Differentiated are the float outputs among the positions `outputs` (default: all), weighted by ones or, with
    `sens="inputs"`, by one new input `sens.K` for each, of output K's aval. A gradient has the aval of its input; it is
    zeros where no path leads from the input to an output.

    Raises ModelError DIF001 for a `wrt` that is no float, DIF002 where no output is one, DIF008 for a missing rule.
    """
    return _differentiated(graph, wrt, sens, outputs, None).graph


@record(eq=False)
class Traced:
    """A derivative's graph in which every cotangent (in forward mode, every tangent) is a value of its own.

    `primal` and `moved` say what the values of the graph differentiated became, by their old ids: each itself, and its
    cotangent where it has one. A cotangent may be a value without a node, no input: it stands for the one that
    `stands_for` has under its id. With these in their places the graph is the one that runs: `whole`.
    """

    graph: Graph
    primal: Mapping[int, Value]
    moved: Mapping[int, Value]
    stands_for: Mapping[int, Value]

    def whole(self, values: Sequence[Value]) -> Graph:
        """The graph without stand-ins, with `values` for its outputs."""
        builder = Builder()
        env = {old.id: builder.input(old.aval, old.hint) for old in self.graph.inputs}
        builder.names[:] = self.graph.names

        def seen(value: Value) -> Value:
            chain = []
            while value.id not in env:
                chain.append(value)
                value = self.stands_for[value.id]
            env.update((link.id, env[value.id]) for link in chain)
            return env[value.id]

        for node in self.graph.nodes:
            for value in node.inputs:
                seen(value)
            builder.replay([node], env)
        return builder.close([seen(value) for value in values])


def traced(
    graph: Graph, wrt: Sequence[int], *, sens: Literal["ones", "inputs"] = "ones", outputs: Sequence[int] | None = None
) -> Traced:
    """`reverse`, with the cotangent of every value on the way. Raises as `reverse` does."""
    return _differentiated(graph, wrt, sens, outputs, {})


def stand_in(builder: Builder, value: Value, stands_for: dict[int, Value]) -> Value:
    """A value without a node in the place of `value`. What is zeros but for a part stays: sums look at it."""
    if value.node is not None and value.node.prim.accumulate is not None:
        return value
    made = builder.input(value.aval)
    del builder.inputs[-1], builder.names[-1]
    stands_for[made.id] = value
    return made


def meant(values: Sequence[Value], stands_for: Mapping[int, Value]) -> list[Value]:
    """What stand-ins among `values` stand for, and what that stands for in its turn."""
    found = []
    for value in values:
        while value.id in stands_for:
            value = stands_for[value.id]
            found.append(value)
    return found


def _differentiated(
    graph: Graph, wrt: Sequence[int], sens: str, outputs: Sequence[int] | None, stands_for: dict[int, Value] | None
) -> Traced:
    for position in wrt:
        refuse_without_derivative(graph, position)
    chosen = float_outputs(graph, outputs)
    with conditions():  # what is assumed about sizes here was recorded when the primal was made, or follows from it
        return _differentiate(graph, wrt, chosen, sens, stands_for)


def float_outputs(graph: Graph, outputs: Sequence[int] | None) -> list[int]:
    """The float outputs among the positions `outputs` (default: all). Raises ModelError DIF002 where there is none."""
    chosen = [k for k in (range(len(graph.outputs)) if outputs is None else outputs) if graph.outputs[k].aval.is_float]
    if not chosen:
        raise fail("DIF002", "no output is a float: there is nothing to differentiate")
    return chosen


def refuse_without_derivative(graph: Graph, position: int) -> None:
    """Raises ModelError DIF001 for an input that is no float."""
    value = graph.inputs[position]
    if not value.aval.is_float:
        name = value.hint or f"input {position}"
        raise fail("DIF001", f"{name} is {value.aval.text} and has no derivative", help="give it as floats")


def _differentiate(
    graph: Graph, wrt: Sequence[int], chosen: Sequence[int], sens: str, stands_for: dict[int, Value] | None
) -> Traced:
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names or builder.names
    weights = [builder.input(graph.outputs[k].aval, f"sens.{k}") for k in chosen] if sens == "inputs" else None
    builder.replay(graph.nodes, env)
    n_primal = len(builder.nodes)

    cts: dict[int, Value] = {}  # by the id of the old value
    for k, output in enumerate(chosen):
        old = graph.outputs[output]
        weight = splat(builder, 1.0, old.aval) if weights is None else weights[k]
        cts[old.id] = accumulate(builder, cts.get(old.id), weight)
    _backwards(graph, builder, env, active(graph, wrt), cts, stands_for)

    gradients = []
    for position in wrt:
        old = graph.inputs[position]
        ct = cts.get(old.id)
        gradients.append(splat(builder, 0.0, old.aval) if ct is None else _hinted(ct, old))
    results = [*(env[old.id] for old in graph.outputs), *gradients]
    made = builder.close(results)
    nodes = _without_dead(made.nodes, n_primal, results, stands_for or {})
    found = Graph(made.inputs, nodes, made.outputs, made.n_values, made.names)
    return Traced(found, env, cts, stands_for or {})


def active(graph: Graph, wrt: Sequence[int]) -> bytearray:
    """One flag for each value: whether it is a float that some input of `wrt` reaches by differentiable nodes."""
    flags = bytearray(graph.n_values)
    for position in wrt:
        flags[graph.inputs[position].id] = 1
    for node in graph.nodes:
        if node.prim.stops or node.prim.flat:
            continue
        if any(flags[value.id] for value in node.inputs):
            for out in node.outs:
                flags[out.id] = out.aval.is_float
    return flags


def _backwards(
    graph: Graph, builder: Builder, env: dict[int, Value], flags: bytearray, cts: dict[int, Value],
    stands_for: dict[int, Value] | None,
) -> None:  # fmt: skip
    """Send cotangents from results to operands, last node first; nodes that receive none are passed over."""
    for node in reversed(graph.nodes):
        outs = [cts.get(out.id) if flags[out.id] else None for out in node.outs]
        if all(ct is None for ct in outs):
            continue
        for ct, old in zip(outs, node.outs, strict=True):
            if ct is not None:
                _hinted(ct, old)
        if stands_for is not None:
            outs = [None if ct is None else stand_in(builder, ct, stands_for) for ct in outs]
            cts.update((old.id, ct) for old, ct in zip(node.outs, outs, strict=True) if ct is not None)
        builder.spans, first = node.spans, len(builder.nodes)
        for old, ct in zip(node.inputs, _pull_back(node, outs, env), strict=True):
            if ct is not None and flags[old.id]:
                cts[old.id] = accumulate(builder, cts.get(old.id), unbroadcast(builder, ct, old.aval))
        builder.mark(first, Role("adjoint", node.prim.name, node.role))
    builder.spans = ()


def _pull_back(node: Node, outs: list[Value | None], env: dict[int, Value]) -> tuple[Value | None, ...]:
    prim = node.prim
    if prim.vjp is None:
        raise missing_rule(node)
    inputs = tuple(env[value.id] for value in node.inputs)
    return prim.vjp(tuple(outs), inputs, tuple(env[value.id] for value in node.outs), **node.params)


def missing_rule(node: Node) -> ModelError:
    return fail(
        "DIF008",
        f"{node.prim.name} has no derivative rule",
        node.spans[0] if node.spans else None,
        help="`stop_gradient(…)` around it keeps the value and lets no derivative through",
    )


def accumulate(builder: Builder, total: Value | None, term: Value) -> Value:
    """`total + term`. A term that is zeros but for a part (`unslice`, `scatter_zeros`) only touches that part."""
    if total is None:
        return term
    for dense, sparse in ((total, term), (term, total)):
        node = sparse.node
        if node is not None and node.prim.accumulate is not None:
            params = {name: value for name, value in node.params.items() if name != "shape"}
            return builder.emit(primitive(node.prim.accumulate), (dense, *node.inputs), params)[0]
    return builder.emit(primitive("add"), (total, term))[0]


def unbroadcast(builder: Builder, ct: Value, aval: Aval) -> Value:
    """The cotangent of an operand of shape `aval` that was broadcast to the shape of `ct`: summed where it grew.

    A dim grew where the operand has the integer 1 and the result has not, or has no such dim at all; symbols that are
    equal under a condition did not grow.
    """
    if ct.shape == aval.shape:
        return ct
    extra = ct.rank - aval.rank
    grown = tuple(
        axis for axis, size in enumerate(ct.shape) if axis < extra or (aval.shape[axis - extra] == 1 and size != 1)
    )
    if grown:
        ct = builder.emit(primitive("reduce_sum"), (ct,), {"axes": grown})[0]
    if ct.rank != aval.rank:
        ct = builder.emit(primitive("reshape"), (ct,), {"shape": aval.shape})[0]
    return ct


def splat(builder: Builder, number: float, aval: Aval) -> Value:
    """An array of one number."""
    scalar = builder.scalar(number, aval.dtype)
    return builder.emit(primitive("broadcast_to"), (scalar,), {"shape": aval.shape})[0] if aval.shape else scalar


def _hinted(ct: Value, old: Value) -> Value:
    """For printing: the cotangent of `h` is called `d_h`, unless it has a name already."""
    if old.hint and not ct.hint:
        ct.hint = f"d_{old.hint}"
    return ct


def _without_dead(
    nodes: tuple[Node, ...], n_primal: int, results: Sequence[Value], stands_for: Mapping[int, Value]
) -> tuple[Node, ...]:
    """All primal nodes, and of the adjoint ones those that a result needs: rules give all cotangents of a node."""
    live = {value.id for value in (*results, *meant(results, stands_for))}
    kept = []
    for node in reversed(nodes[n_primal:]):
        if any(out.id in live for out in node.outs):
            kept.append(node)
            live.update(value.id for value in node.inputs)
            if stands_for:
                live.update(value.id for value in meant(node.inputs, stands_for))
    return (*nodes[:n_primal], *reversed(kept))

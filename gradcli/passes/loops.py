"""Loops without what nobody reads: carries, stacked results, operands that only serve each other or are given twice.

A carry lives when its last value or its history is read, or when the condition, another live carry or something
stacked reads it in the body; an operand, when the body reads it. A carry that no turn changes is given, not carried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.live import without_dead


def prune(graph: Graph) -> Graph:
    """Drop from each `scan` what no live result needs."""
    if not any(node.prim.name == "scan" for node in graph.nodes):
        return graph
    graph = without_dead(graph)
    read = {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        if node.prim.name == "scan":
            _pruned(builder, node, env, read)
        else:
            builder.replay([node], env)
    return without_dead(builder.close([env[value.id] for value in graph.outputs]))


def _pruned(builder: Builder, node: Node, env: dict[int, Value], read: set[int]) -> None:
    """Emit the node without its dead parts; `env` gets the results that are left."""
    loop, held = _given(_given_once(node, env), read)
    operands, params, places = narrowed(loop, read)
    builder.spans, start = node.spans, len(builder.nodes)
    made = builder.emit(node.prim, [env[loop.inputs[k].id] for k in operands], params)
    builder.mark(start, node.role)
    builder.spans = ()
    left = [(loop.outs[place], new) for place, new in zip(places, made, strict=True)]
    for old, new in [*left, *((end, env[begin.id]) for end, begin in held)]:
        env[old.id] = new
        new.hint = new.hint or old.hint


def narrowed(node: Node, read: Set[int]) -> tuple[list[int], dict[str, Any], list[int]]:
    """Which operands a `scan` needs and which results it has for those that are read; and its parameters then."""
    params = node.params
    body, cond, n_consts, n = params["body"], params["cond"], params["consts"], params["carry"]
    first = 1 + n_consts
    stacked = [k for k in range(n, len(body.outputs)) if node.outs[n + k].id in read]
    kept = {k for k in range(n) if node.outs[k].id in read or node.outs[n + k].id in read}
    kept |= {k for k in range(n) if cond is not None and cond.inputs[first + k].id in _reads(cond)}
    while True:
        carry = sorted(kept)
        part = _body(body, [*carry, *stacked])
        reads = _reads(part)
        grown = kept | {k for k in range(n) if body.inputs[first + k].id in reads}
        if grown == kept:
            break
        kept = grown
    seen_by_cond = set() if cond is None else {k for k, v in enumerate(cond.inputs) if v.id in _reads(cond)}
    consts = [k for k in range(n_consts) if body.inputs[1 + k].id in reads or 1 + k in seen_by_cond]
    slices = [k for k in range(first + n, len(body.inputs)) if body.inputs[k].id in reads]
    inner = [0, *(1 + k for k in consts), *(first + k for k in carry), *slices]
    shift = 0 if params["counted"] else -1  # of the body's inputs against the operands
    operands = [*([0] if params["counted"] else []), *(k + shift for k in inner[1:])]
    left = {
        **params,
        "body": _with_inputs(part, inner),
        "cond": None if cond is None else _with_inputs(cond, inner[: 1 + len(consts) + len(carry)]),
        "consts": len(consts),
        "carry": len(carry),
    }
    places = [*carry, *(n + k for k in carry), *(n + k for k in stacked)]
    places += [len(node.outs) - 1] if cond is not None else []
    return operands, left, places


def _given(node: Node, read: Set[int]) -> tuple[Node, list[tuple[Value, Value]]]:
    """The loop, to which carries are given that no turn changes; and their ends with what they are."""
    params = node.params
    body, cond, n_consts, n = params["body"], params["cond"], params["consts"], params["carry"]
    first, shift = 1 + n_consts, 0 if params["counted"] else -1
    held = [k for k in range(n) if body.outputs[k] is body.inputs[first + k] and node.outs[n + k].id not in read]
    if not held:
        return node, []
    carry = [k for k in range(n) if k not in held]
    head = [*range(first), *(first + k for k in (*held, *carry))]
    inner = [*head, *range(first + n, len(body.inputs))]
    places = [*carry, *(n + k for k in carry), *range(2 * n, len(node.outs))]
    chosen = _body(body, [*carry, *range(n, len(body.outputs))])
    left = {
        **params,
        "body": _with_inputs(chosen, inner),
        "cond": None if cond is None else _with_inputs(cond, head),
        "consts": n_consts + len(held),
        "carry": len(carry),
    }
    operands = [*([0] if params["counted"] else []), *(k + shift for k in inner[1:])]
    made = _as(node, left, [node.inputs[k] for k in operands], [node.outs[k] for k in places])
    return made, [(node.outs[k], node.inputs[first + k + shift]) for k in held]


def _given_once(node: Node, env: Mapping[int, Value]) -> Node:
    """The loop, whose body and condition read an operand that is given twice at its first place."""
    params = node.params
    body, cond, n = params["body"], params["cond"], params["consts"] + params["carry"]
    operands = node.inputs[1:] if params["counted"] else node.inputs
    found: dict[tuple[int, bool], int] = {}
    same = list(range(len(body.inputs)))
    for k, value in enumerate(operands):
        if k < params["consts"] or k >= n:
            same[1 + k] = found.setdefault((env[value.id].id, k >= n), 1 + k)
    if same == list(range(len(body.inputs))):
        return node
    other = None if cond is None else _reading(cond, same)
    return _as(node, {**params, "body": _reading(body, same), "cond": other}, node.inputs, node.outs)


def _as(node: Node, params: dict[str, Any], inputs: Sequence[Value], outs: Sequence[Value]) -> Node:
    made = Node(node.prim, tuple(inputs), params)
    made.outs, made.spans, made.role = tuple(outs), node.spans, node.role
    return made


def _reading(graph: Graph, places: Sequence[int]) -> Graph:
    """The graph, in which each input is read at another place."""
    builder = Builder()
    inputs = [builder.input(value.aval, value.hint) for value in graph.inputs]
    return builder.close(builder.inline(graph, [inputs[places[k]] for k in range(len(inputs))]))


def _body(body: Graph, outputs: Sequence[int]) -> Graph:
    chosen = tuple(body.outputs[k] for k in outputs)
    return without_dead(Graph(body.inputs, body.nodes, chosen, body.n_values, body.names))


def _reads(graph: Graph) -> set[int]:
    """Values that a node or an output reads; a carry that is only passed on is read by its own output alone."""
    return {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}


def _with_inputs(graph: Graph, positions: Sequence[int]) -> Graph:
    inputs = tuple(graph.inputs[k] for k in positions)
    names = tuple(graph.names[k] for k in positions) if graph.names else ()
    if inputs == graph.inputs:
        return graph
    return Graph(inputs, graph.nodes, graph.outputs, graph.n_values, names)

"""Loops without what nobody reads: carries, stacked results, operands that only serve each other or are given twice.

A carry lives when its last value or its history is read, or when the condition, another live carry or something
stacked reads it in the body; an operand, when the body reads it. What a loop inside reads is what it needs for those of
its results that live, so that at any depth nothing is left that only serves itself. The same of checkpoints. A carry
that no turn changes is given, not carried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.live import without_dead
from gradcli.record import record

HOLDERS = ("scan", "checkpoint")


def prune(graph: Graph) -> Graph:
    """Drop from each `scan` and each `checkpoint` what no live result needs."""
    if not any(node.prim.name in HOLDERS for node in graph.nodes):
        return graph
    read = _reads(graph)
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        if not any(out.id in read for out in node.outs):
            continue
        if node.prim.name == "scan":
            _pruned(builder, node, env, read)
        elif node.prim.name == "checkpoint" and (part := _part(node, read)) is not None:
            _emitted(builder, part, env)
        else:
            builder.replay([node], env)
    return without_dead(builder.close([env[value.id] for value in graph.outputs]))


def narrowed(node: Node, read: Set[int]) -> Node:
    """A `scan` or a `checkpoint` as it runs where only the results in `read` are; with spans and role."""
    part = _scanned(node, read) if node.prim.name == "scan" else _part(node, read)
    if part is None:
        return node
    return _as(node, part.params, [node.inputs[k] for k in part.operands], [node.outs[k] for k in part.places])


@record(eq=False)
class Part:
    """What is left of a node: which of its operands, with which params, and which of its results it has then."""

    node: Node
    operands: list[int]
    params: dict[str, Any]
    places: list[int]


def _pruned(builder: Builder, node: Node, env: dict[int, Value], read: set[int]) -> None:
    """Emit the loop without its dead parts; `env` gets the results that are left."""
    loop, held = _given(_given_once(node, env), read)
    _emitted(builder, _scanned(loop, read), env)
    for end, begin in held:
        if end.id in read:
            env[end.id] = env[begin.id]
            env[end.id].hint = env[end.id].hint or end.hint


def _emitted(builder: Builder, part: Part, env: dict[int, Value]) -> None:
    node = part.node
    builder.spans, start = node.spans, len(builder.nodes)
    made = builder.emit(node.prim, [env[node.inputs[k].id] for k in part.operands], part.params)
    builder.mark(start, node.role)
    builder.spans = ()
    for place, new in zip(part.places, made, strict=True):
        env[node.outs[place].id] = new
        new.hint = new.hint or node.outs[place].hint


# ── what is needed ──────────────────────────────────────────────────────────────────────────────────────────


def _reads(graph: Graph) -> set[int]:
    """The values that the outputs need; a carry that is only passed on is needed by its own output alone."""
    live = {value.id for value in graph.outputs}
    for node in reversed(graph.nodes):
        if any(out.id in live for out in node.outs):
            live.update(node.inputs[k].id for k in _operands(node, live))
    return live


def _operands(node: Node, read: Set[int]) -> Sequence[int]:
    """The operands that those results need which are read."""
    if node.prim.name == "scan":
        return _needs(node, read)[1]
    if node.prim.name == "checkpoint":
        body: Graph = node.params["body"]
        reads = _reads(_of(body, [k for k, out in enumerate(node.outs) if out.id in read]))
        return [k for k, value in enumerate(body.inputs) if value.id in reads]
    return range(len(node.inputs))


def _needs(node: Node, read: Set[int]) -> tuple[list[int], list[int], list[int]]:
    """Which carries of a loop live, which operands it needs (its count among them), and which inputs of the body."""
    params = node.params
    body, cond, n_consts, n = params["body"], params["cond"], params["consts"], params["carry"]
    first = 1 + n_consts
    seen = set() if cond is None else _reads(cond)
    kept = {k for k in range(n) if node.outs[k].id in read or node.outs[n + k].id in read}
    kept |= {k for k in range(n) if cond is not None and cond.inputs[first + k].id in seen}
    while True:
        reads = _reads(_of(body, [*sorted(kept), *_stacked(node, read)]))
        grown = kept | {k for k in range(n) if body.inputs[first + k].id in reads}
        if grown == kept:
            break
        kept = grown
    consts = [
        k for k in range(1, first) if body.inputs[k].id in reads or (cond is not None and cond.inputs[k].id in seen)
    ]
    slices = [k for k in range(first + n, len(body.inputs)) if body.inputs[k].id in reads]
    inner = [0, *consts, *(first + k for k in sorted(kept)), *slices]
    shift = 0 if params["counted"] else -1  # of the body's inputs against the operands
    return sorted(kept), [*([0] if params["counted"] else []), *(k + shift for k in inner[1:])], inner


def _stacked(node: Node, read: Set[int]) -> list[int]:
    n = node.params["carry"]
    return [k for k in range(n, len(node.params["body"].outputs)) if node.outs[n + k].id in read]


# ── what is left ────────────────────────────────────────────────────────────────────────────────────────────


def _part(node: Node, read: Set[int]) -> Part | None:
    """Of a checkpoint; None where all of it is needed."""
    places = [k for k, out in enumerate(node.outs) if out.id in read]
    operands = _operands(node, read)
    if len(places) == len(node.outs) and len(operands) == len(node.inputs):
        return None
    body = prune(without_dead(_of(node.params["body"], places)))
    return Part(node, [*operands], {**node.params, "body": _with_inputs(body, operands)}, places)


def _scanned(node: Node, read: Set[int]) -> Part:
    params = node.params
    body, cond, n_consts, n = params["body"], params["cond"], params["consts"], params["carry"]
    carry, operands, inner = _needs(node, read)
    stacked = _stacked(node, read)
    consts = sum(1 <= k <= n_consts for k in inner)
    left = {
        **params,
        "body": _with_inputs(prune(without_dead(_of(body, [*carry, *stacked]))), inner),
        "cond": None if cond is None else _with_inputs(cond, inner[: 1 + consts + len(carry)]),
        "consts": consts,
        "carry": len(carry),
    }
    places = [*carry, *(n + k for k in carry), *(n + k for k in stacked)]
    places += [len(node.outs) - 1] if cond is not None else []
    return Part(node, operands, left, places)


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
    chosen = without_dead(_of(body, [*carry, *range(n, len(body.outputs))]))
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
        if value.id in env and (k < params["consts"] or k >= n):  # else nothing needs it
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


def _of(body: Graph, outputs: Sequence[int]) -> Graph:
    """The graph with only these outputs."""
    return Graph(body.inputs, body.nodes, tuple(body.outputs[k] for k in outputs), body.n_values, body.names)


def _with_inputs(graph: Graph, positions: Sequence[int]) -> Graph:
    inputs = tuple(graph.inputs[k] for k in positions)
    names = tuple(graph.names[k] for k in positions) if graph.names else ()
    if inputs == graph.inputs:
        return graph
    return Graph(inputs, graph.nodes, graph.outputs, graph.n_values, names)

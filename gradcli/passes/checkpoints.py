"""Loops whose adjoint would keep too much: keep the carry at every L-th turn, and run the turns between again.

A loop F of n turns whose history its adjoint B reads, `[n, …]`, becomes two loops over chunks of L turns:

    F  →  for c in 0..C:            carry ← the L turns of chunk c                   keeps the carry before each chunk
    B  →  for c in 0..C backwards:  history ← the L turns again;  B of these L turns  keeps one chunk's history

which keeps C + L carries instead of n for one more run of the loop, at best 2·√n. Chunks are chunked again where that
is not enough: k levels keep about k · n^(1/k) and run the loop k times (Griewank & Walther, *Evaluating Derivatives*,
2nd ed. 2008, chapter 12; Chen et al., "Training deep nets with sublinear memory cost", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.ir.primitive import primitive
from gradcli.record import record

FEWEST = 16  # turns of a loop that is worth it
INDEX = Aval((), "i64")


def checkpoint_loops(graph: Graph, levels: int) -> Graph:
    """The same graph with each loop whose history only its adjoint reads cut into chunks, `levels` - 1 times."""
    pairs = _pairs(graph) if levels > 1 else {}
    if not pairs:
        return graph
    forwards = {f: b for b, fs in pairs.items() for f in fs}
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    cut: dict[Node, _Cut] = {}
    for node in graph.nodes:
        builder.spans, first = node.spans, len(builder.nodes)
        if node in forwards:
            cut[node] = _forward(builder, node, env, levels)
        elif node in pairs:
            _backward(builder, node, [cut[f] for f in pairs[node]], env, levels)
        else:
            builder.replay([node], env)
            continue
        builder.mark(first, node.role)
    builder.spans = ()
    return builder.close([env[value.id] for value in graph.outputs])


def lengths(turns: int, levels: int) -> tuple[int, int]:
    """The number of chunks and the turns of each, of a loop that is cut `levels` - 1 times: all of one length, if one
    that is not far from the best divides the turns, as such chunks need no count."""
    best = max(2, round(turns ** ((levels - 1) / levels)))
    near = (best + sign * by for by in range(best // 4 + 1) for sign in (1, -1))
    length = next((length for length in near if turns % length == 0), best)
    return -(-turns // length), length


def _pairs(graph: Graph) -> dict[Node, list[Node]]:
    """Adjoint loops with the loops whose histories they read, where nobody else reads these, nor theirs."""
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            readers.setdefault(value.id, []).append(node)
    outputs = {value.id for value in graph.outputs}
    found: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if node.prim.name != "scan" or not isinstance(node.params["turns"], int) or node.params["turns"] < FEWEST:
            continue
        histories = [value for value in _histories(node) if value.id in readers or value.id in outputs]
        users = {user for value in histories for user in readers.get(value.id, ())}
        if len(users) != 1 or any(value.id in outputs for value in histories):
            continue
        (user,) = users
        if _is_adjoint(user, node) and not any(v.id in readers or v.id in outputs for v in _histories(user)):
            found.setdefault(user, []).append(node)
    return found


def _histories(node: Node) -> Sequence[Value]:
    n = node.params["carry"]
    return node.outs[n : 2 * n]


def _is_adjoint(user: Node, node: Node) -> bool:
    if user.prim.name != "scan" or user.params["turns"] != node.params["turns"]:
        return False
    ids = {value.id for value in _histories(node)}
    sliced = {value.id for value in _Parts(user).slices}
    others = {value.id for value in user.inputs} - sliced
    return user.params["reverse"] != node.params["reverse"] and user.params["cond"] is None and not ids & others


class _Parts:
    """The operands of a loop, by what they are."""

    def __init__(self, node: Node) -> None:
        params, values = node.params, node.inputs
        self.count = values[0] if params["counted"] else None
        rest = values[1:] if params["counted"] else values
        end = params["consts"] + params["carry"]
        self.consts, self.carry, self.slices = rest[: params["consts"]], rest[params["consts"] : end], rest[end:]


@record(eq=False)
class _Cut:
    """A loop that was cut: the carry before each chunk, its turns, and what its turns need to be run again."""

    node: Node
    starts: tuple[Value, ...]
    taken: Value
    consts: tuple[Value, ...]
    slices: tuple[Value, ...]  # in chunks


# ── one chunk ───────────────────────────────────────────────────────────────────────────────────────────────


def _shifted(graph: Graph, length: int, turns: int | None = None) -> Graph:
    """`(j, c, …)` for `(i, …)`, with i = c · length + j; of a condition, also that i is below `turns`."""
    builder = Builder()
    j, c = builder.input(INDEX, "j"), builder.input(INDEX, "c")
    rest = [builder.input(value.aval, value.hint) for value in graph.inputs[1:]]
    i = c * length + j
    made = builder.inline(graph, [i, *rest])
    return builder.finish(made if turns is None else [apply("logical_and", apply("less", i, turns), made[0])])


def _chunk(
    builder: Builder, node: Node, c: Value, taken: Value | None, operands: Sequence[Value], length: int
) -> tuple[Value, ...]:
    """The turns of chunk `c`: as many as were `taken`, or, where that is None, while the condition holds."""
    params = node.params
    whole = taken is None and params["turns"] % length == 0
    count = None
    if taken is not None or (params["cond"] is None and not whole):
        total = builder.scalar(params["turns"], "i64") if taken is None else taken
        left = apply("maximum", total - c * length, 0)
        count = apply("minimum", left, length)
    cond = params["cond"] if taken is None else None
    made = {
        **params,
        "body": _shifted(params["body"], length),
        "cond": None if cond is None else _shifted(cond, length, params["turns"]),
        "turns": length,
        "consts": params["consts"] + 1,
        "counted": count is not None,
    }
    return builder.emit(primitive("scan"), [*([] if count is None else [count]), c, *operands], made)


def _cut_up(x: Value, chunks: int, length: int) -> Value:
    """`[turns, …]` as `[chunks, length, …]`, filled up with zeros."""
    missing = chunks * length - int(x.shape[0])  # type: ignore[arg-type]  # graphs are planned with known sizes
    if missing:
        zero = x.builder.scalar(0, x.dtype)
        x = apply("concat", x, apply("broadcast_to", zero, shape=(missing, *x.shape[1:])), axis=0)
    return apply("reshape", x, shape=(chunks, length, *x.shape[1:]))


def _joined(x: Value, turns: int) -> Value:
    """`[chunks, length, …]` as `[turns, …]` again."""
    chunks, length, *rest = x.shape
    x = apply("reshape", x, shape=(chunks * length, *rest))
    items = tuple((0, size, 1) for size in (turns, *rest))
    return x if x.shape[0] == turns else apply("slice", x, items=items)


def _inputs(builder: Builder, values: Sequence[Value], *, sliced: bool = False) -> list[Value]:
    avals = [Aval(value.shape[1:], value.dtype) if sliced else value.aval for value in values]
    return [builder.input(aval, value.hint) for aval, value in zip(avals, values, strict=True)]


# ── both loops ──────────────────────────────────────────────────────────────────────────────────────────────


def _forward(builder: Builder, node: Node, env: dict[int, Value], levels: int) -> _Cut:
    params, parts = node.params, _Parts(node)
    turns, n = params["turns"], params["carry"]
    chunks, length = lengths(turns, levels)
    consts, carry = ([env[v.id] for v in values] for values in (parts.consts, parts.carry))
    slices = [_cut_up(env[v.id], chunks, length) for v in parts.slices]
    stops = params["cond"] is not None
    given = None if parts.count is None else env[parts.count.id]
    inner = Builder()
    inner.spans = node.spans
    c = inner.input(INDEX, "c")
    held = _inputs(inner, [*([] if given is None else [given]), *consts])
    state, extra = _inputs(inner, carry), [inner.input(INDEX, "taken")] if stops else []
    part = _inputs(inner, slices, sliced=True)
    taken = None if given is None else held[0]
    made = _chunk(inner, node, c, taken, [*held[given is not None :], *state, *part], length)
    stacked = made[2 * n : n + len(params["body"].outputs)]
    total = [extra[0] + made[-1]] if stops else []
    body = inner.finish([*made[:n], *total, *stacked])
    outer = {
        "body": body,
        "cond": _goes_on(params["cond"], given, length) if stops else None,
        "turns": chunks,
        "consts": len(held),
        "carry": n + len(extra),
        "reverse": params["reverse"],
        "counted": False,
    }
    zero = [builder.scalar(0, "i64")] if stops else []
    before = [*([] if given is None else [given]), *consts]
    outs = builder.emit(primitive("scan"), [*before, *carry, *zero, *slices], outer)
    total_carry = n + len(extra)
    for old, new in zip(node.outs[:n], outs, strict=False):
        env[old.id] = new
    own = node.outs[2 * n : n + len(params["body"].outputs)]
    for old, new in zip(own, outs[2 * total_carry :], strict=False):
        env[old.id] = _joined(new, turns)
    if stops:
        env[node.outs[-1].id] = outs[n]
    known = outs[n] if stops else given if given is not None else builder.scalar(turns, "i64")
    return _Cut(node, tuple(outs[total_carry : total_carry + n]), known, tuple(consts), tuple(slices))


def _goes_on(cond: Graph, given: Value | None, length: int) -> Graph:
    """Before a chunk: `(c, *consts, *carry, taken)`, whether all turns so far were taken and the next one is."""
    assert given is None, "a loop with a condition is not counted"
    builder = Builder()
    c = builder.input(INDEX, "c")
    rest = [builder.input(value.aval, value.hint) for value in cond.inputs[1:]]
    so_far = apply("equal", builder.input(INDEX, "taken"), c * length)
    return builder.finish([apply("logical_and", so_far, builder.inline(cond, [c * length, *rest])[0])])


def _told(cut: _Cut, total: Value) -> Value | None:
    """The turns that were taken, where that is not known beforehand."""
    return total if cut.node.params["cond"] is not None or cut.node.params["counted"] else None


def _backward(builder: Builder, node: Node, cuts: Sequence[_Cut], env: dict[int, Value], levels: int) -> None:
    params, parts = node.params, _Parts(node)
    turns, n = params["turns"], params["carry"]
    chunks, length = lengths(turns, levels)
    histories: dict[int, tuple[int, int]] = {
        value.id: (k, place) for k, cut in enumerate(cuts) for place, value in enumerate(_histories(cut.node))
    }
    others = [value for value in parts.slices if value.id not in histories]
    consts, carry = ([env[v.id] for v in values] for values in (parts.consts, parts.carry))
    cut_others = [_cut_up(env[v.id], chunks, length) for v in others]
    taken = [cut.taken for cut in cuts]
    inner = Builder()
    c = inner.input(INDEX, "c")
    totals, held = _inputs(inner, taken), _inputs(inner, consts)
    of_cuts = [_inputs(inner, cut.consts) for cut in cuts]
    state = _inputs(inner, carry)
    starts = [_inputs(inner, cut.starts, sliced=True) for cut in cuts]
    parts_of_cuts = [_inputs(inner, cut.slices, sliced=True) for cut in cuts]
    part = dict(zip((v.id for v in others), _inputs(inner, cut_others, sliced=True), strict=True))
    again: list[Sequence[Value]] = []
    for cut, total, of_cut, start, sliced in zip(cuts, totals, of_cuts, starts, parts_of_cuts, strict=True):
        inner.spans = cut.node.spans
        m = cut.node.params["carry"]
        again.append(_chunk(inner, cut.node, c, _told(cut, total), [*of_cut, *start, *sliced], length)[m : 2 * m])
    seen = [part[v.id] if v.id in part else again[histories[v.id][0]][histories[v.id][1]] for v in parts.slices]
    inner.spans, first = node.spans, len(inner.nodes)
    made = _chunk(inner, node, c, _told(cuts[0], totals[0]), [*held, *state, *seen], length)
    inner.mark(first, node.role)
    body = inner.finish([*made[:n], *made[2 * n : n + len(params["body"].outputs)]])
    outer = {
        "body": checkpoint_loops(body, levels - 1),
        "cond": None,
        "turns": chunks,
        "consts": len(totals) + len(held) + sum(map(len, of_cuts)),
        "carry": n,
        "reverse": params["reverse"],
        "counted": False,
    }
    operands: list[Any] = [*taken, *consts, *(v for cut in cuts for v in cut.consts), *carry]
    operands += [*(v for cut in cuts for v in cut.starts), *(v for cut in cuts for v in cut.slices), *cut_others]
    outs = builder.emit(primitive("scan"), operands, outer)
    for old, new in zip(node.outs[:n], outs, strict=False):
        env[old.id] = new
    own = node.outs[2 * n : n + len(params["body"].outputs)]
    for old, new in zip(own, outs[2 * n :], strict=False):
        env[old.id] = _joined(new, turns)

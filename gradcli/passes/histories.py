"""Parts of histories in place of whole ones.

The adjoint of a loop reads what was carried before each turn. Where it only reads a part of it, by an index that the
loop itself could compute (`y[i] = f(y[i - 1])` reads one element of y), the loop stacks that part turn by turn, and the
whole array is not kept: n elements instead of n².
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.record import record

READS = ("gather", "slice")  # what takes a part of its first operand


def keep_parts(graph: Graph) -> Graph:
    """Let each loop stack the parts of its carry that are all its adjoint reads of it."""
    moves = [move for shared in shared_turns(graph) for move in _parts_of(shared)]
    return stacking(graph, moves) if moves else graph


@record(eq=False)
class Shared:
    """A loop, and one that reads what it carried: its adjoint. `places` gives for each input of the adjoint's body that
    the loop's body has, too, its place among the inputs of that; `histories` are the inputs of the adjoint's body that
    are what was carried, `known` the values of it that the loop's body could compute."""

    loop: Node
    adjoint: Node
    places: Mapping[int, int]
    histories: Sequence[Value]
    known: set[int]

    @property
    def body(self) -> Graph:
        """The adjoint's."""
        found: Graph = self.adjoint.params["body"]
        return found


def shared_turns(graph: Graph) -> Iterator[Shared]:
    """Each loop with each that reads a history of it, turn by turn."""
    for adjoint in graph.nodes:
        if adjoint.prim.name != "scan":
            continue
        params, body = adjoint.params, adjoint.params["body"]
        first = 1 + params["consts"] + params["carry"]
        slices = adjoint.inputs[len(adjoint.inputs) - (len(body.inputs) - first) :]
        for loop in {value.node: None for value in slices if value.node is not None}:
            if loop.prim.name == "scan" and loop.params["turns"] == params["turns"]:
                places = _places(loop, adjoint)
                ids = {value.id for value in loop.outs[loop.params["carry"] : 2 * loop.params["carry"]]}
                read = [body.inputs[k] for k, value in enumerate(slices, first) if value.id in ids and k in places]
                if read:
                    yield Shared(loop, adjoint, places, read, _known(body, places))


@record(eq=False)
class Move:
    """A node of an adjoint's body that its loop computes."""

    shared: Shared
    part: Node


def stacking(graph: Graph, moves: Sequence[Move]) -> Graph:
    """The graph with each part stacked by its loop, and read by the adjoint."""
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    stacked: dict[Move, Value] = {}  # what its loop stacks
    for node in graph.nodes:
        given = [move for move in moves if move.shared.loop is node]
        taken = [move for move in moves if move.shared.adjoint is node]
        builder.spans, first = node.spans, len(builder.nodes)
        if given:
            stacked.update(_stack(builder, node, env, given))
        elif taken:
            _read(builder, node, env, [(move.part, stacked[move]) for move in taken])
        else:
            builder.replay([node], env)
            continue
        builder.mark(first, node.role)
    builder.spans = ()
    return builder.close([env[value.id] for value in graph.outputs])


def _parts_of(shared: Shared) -> list[Move]:
    """What can be moved out of one loop: all that it reads of a history, where these are parts of it."""
    return [Move(shared, node) for value in shared.histories for node in _parts(shared.body, value, shared.known)]


def _places(loop: Node, adjoint: Node) -> dict[int, int]:
    """Inputs of the adjoint's body, by their place, that the loop's body has: the turn, consts, histories, slices."""
    own, other = loop.params, adjoint.params
    mine, theirs = loop.inputs[own["counted"] :], adjoint.inputs[other["counted"] :]
    ends = own["consts"] + own["carry"]
    by_value = {v.id: 1 + k for k, v in enumerate(mine) if k < own["consts"]}
    sliced = {v.id: 1 + k for k, v in enumerate(mine) if k >= ends}
    carry = own["carry"]
    sliced |= {v.id: 1 + own["consts"] + k for k, v in enumerate(loop.outs[carry : 2 * carry])}
    places = {0: 0}
    for k, value in enumerate(theirs):
        if k < other["consts"] and value.id in by_value:
            places[1 + k] = by_value[value.id]
        elif k >= other["consts"] + other["carry"] and value.id in sliced:
            places[1 + k] = sliced[value.id]
    return places


def _known(body: Graph, places: Mapping[int, int]) -> set[int]:
    """Values of the adjoint's body that the loop's body could compute."""
    known = {body.inputs[k].id for k in places}
    for node in body.nodes:
        if all(value.id in known for value in node.inputs):
            known.update(out.id for out in node.outs)
    return known


def _parts(body: Graph, history: Value, known: set[int]) -> list[Node]:
    users = [node for node in body.nodes if any(value is history for value in node.inputs)]
    if any(value is history for value in body.outputs):
        return []
    sizes = 0
    for node in users:
        if node.prim.name not in READS or node.inputs[0] is not history or node.outs[0].id not in known:
            return []
        sizes += definite(node.outs[0].aval.size)
    if 2 * sizes > definite(history.aval.size):
        return []
    return users


# ── both loops again ────────────────────────────────────────────────────────────────────────────────────────


def _stack(builder: Builder, loop: Node, env: dict[int, Value], moves: Sequence[Move]) -> dict[Move, Value]:
    """Emit the loop with one more stacked result for each part that it does not stack yet."""
    body: Graph = loop.params["body"]
    inner = Builder()
    inputs = [inner.input(value.aval, value.hint) for value in body.inputs]
    outputs, n = list(inner.inline(body, inputs)), loop.params["carry"]
    places: dict[Move, int] = {}
    for move in moves:
        part = _computed(inner, inputs, move)
        if part not in outputs[n:]:
            outputs.append(part)
        places[move] = n + outputs.index(part, n)
    made = builder.emit(loop.prim, [env[v.id] for v in loop.inputs], {**loop.params, "body": inner.finish(outputs)})
    count = len(loop.outs) - (loop.params["cond"] is not None)
    env.update((old.id, new) for old, new in zip(loop.outs[:count], made, strict=False))
    if loop.params["cond"] is not None:
        env[loop.outs[-1].id] = made[-1]
    return {move: made[place] for move, place in places.items()}


def _computed(inner: Builder, inputs: Sequence[Value], move: Move) -> Value:
    """The part, emitted into the body of its loop, of which these are the inputs."""
    theirs = move.shared.body
    own = {theirs.inputs[k].id: inputs[place] for k, place in move.shared.places.items()}
    inner.replay(_needed(theirs, move.part), own)
    return own[move.part.outs[0].id]


def _needed(body: Graph, part: Node) -> list[Node]:
    """The nodes that a node of a body is computed from, and itself, in order."""
    wanted, found = {part.outs[0].id}, []
    for node in reversed(body.nodes):
        if any(out.id in wanted for out in node.outs):
            found.append(node)
            wanted.update(value.id for value in node.inputs)
    return found[::-1]


def _read(builder: Builder, adjoint: Node, env: dict[int, Value], parts: Sequence[tuple[Node, Value]]) -> None:
    """Emit the adjoint with the parts as further slices."""
    body: Graph = adjoint.params["body"]
    inner = Builder()
    own = {value.id: inner.input(value.aval, value.hint) for value in body.inputs}
    for part, _ in parts:
        own[part.outs[0].id] = inner.input(Aval(part.outs[0].shape, part.outs[0].dtype), "")
    moved = {part for part, _ in parts}
    inner.replay([node for node in body.nodes if node not in moved], own)
    made = inner.finish([own[value.id] for value in body.outputs])
    operands = [*(env[value.id] for value in adjoint.inputs), *(value for _, value in parts)]
    outs = builder.emit(adjoint.prim, operands, {**adjoint.params, "body": made})
    env.update((old.id, new) for old, new in zip(adjoint.outs, outs, strict=True))

"""What a turn computed is read by its adjoint, where computing it once more costs much more than keeping it.

The adjoint of a turn computes the turn again from what was carried. A tanh or a product of matrices that the loop's own
turn made on the way is stacked by the loop in place of that, and the adjoint reads its slice: the same numbers. Sums
and products of elements are made again, as they take no longer than reading them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.region import inside, regions
from gradcli.passes.histories import Move, Shared, shared_turns, stacking

COSTLY = 7  # flops for each element of the result: more than a few passes over memory

Worth = Callable[[int, int, int], bool]  # turns, bytes that each would keep, bytes of what is carried


def keep_costly(graph: Graph, worth: Worth) -> Graph:
    """The same results; loops, also within loops, stack what their adjoints would compute again at great cost."""
    graph = inside(graph, lambda region: keep_costly(region, worth))
    moves: list[Move] = []
    for shared in shared_turns(graph):
        found = _costly(shared)
        kept = sum(definite(node.outs[0].aval.nbytes) for node in found)
        carried = sum(definite(value.aval.nbytes) for value in shared.histories)
        if found and worth(definite(shared.loop.params["turns"]), kept, carried):
            moves += [Move(shared, node) for node in found]
    return stacking(graph, moves) if moves else graph


def _costly(shared: Shared) -> list[Node]:
    """Of what the loop computes, too: what the adjoint reads and costs much, or what this is made of."""
    known, body = shared.known, shared.body
    made, carried = _made_already(shared), _dependent(body, shared.histories)
    queue: list[Value] = [*body.outputs]
    queue += [v for node in body.nodes if not _all_known(node, known) for v in node.inputs]
    found: dict[Node, None] = {}
    seen: set[int] = set()
    while queue:
        value = queue.pop()
        node = value.node
        if node is None or value.id in seen or not _all_known(node, known) or value.id not in carried:
            continue
        seen.add(value.id)
        if value.id in made and _costs(node):
            found[node] = None
        else:
            queue += node.inputs
    return [node for node in body.nodes if node in found]


def _all_known(node: Node, known: set[int]) -> bool:
    return all(out.id in known for out in node.outs)


def _dependent(body: Graph, histories: Sequence[Value]) -> set[int]:
    """What is computed from what was carried. The rest is the same for both loops, before either of them."""
    found = {value.id for value in histories}
    for node in body.nodes:
        if any(value.id in found for value in node.inputs):
            found.update(out.id for out in node.outs)
    return found


def _costs(node: Node) -> bool:
    if len(node.outs) != 1 or node.prim.view or regions(node):
        return False
    return node.prim.flops(node) >= COSTLY * max(1, definite(node.outs[0].aval.size))


def _made_already(shared: Shared) -> set[int]:
    """The values of the adjoint's body that the loop's body computes anyway."""
    builder = Builder()
    body: Graph = shared.loop.params["body"]
    inputs = [builder.input(value.aval) for value in body.inputs]
    builder.inline(body, inputs)
    count = builder.n_values
    own = {shared.body.inputs[k].id: inputs[place] for k, place in shared.places.items()}
    builder.replay([node for node in shared.body.nodes if _all_known(node, shared.known)], own)
    return {key for key, value in own.items() if value.id < count}

"""Names of dims, carried from values that have them through a graph: so `Σ_batch` can be written for a sum's axis 0.

Names are for readers only. Where operands disagree, or an operator moves elements, a dim has none.
"""

from __future__ import annotations

from collections.abc import Mapping

from gradcli.ir.graph import Graph, Node

Names = tuple[str | None, ...]


def dim_names(graph: Graph, known: Mapping[int, Names]) -> dict[int, Names]:
    """For each value, by its id, a name or None for each of its dims; `known` goes before what follows."""
    found: dict[int, Names] = dict(known)
    for node in graph.nodes:
        operands = [found.get(v.id) or known.get(v.id) or (None,) * v.rank for v in node.inputs]
        every = _of_loop(node, operands) if node.prim.name == "scan" else [_of_result(node, operands)] * len(node.outs)
        for out, made in zip(node.outs, every, strict=True):
            own = known.get(out.id)
            guess = made if len(made) == out.rank else (None,) * out.rank
            found[out.id] = guess if own is None else tuple(a or b for a, b in zip(own, guess, strict=True))
    return found


def _of_loop(node: Node, operands: list[Names]) -> list[Names]:
    """What is carried keeps its names from turn to turn; a history has the turns in front."""
    params = node.params
    start, n = params["counted"] + params["consts"], params["carry"]
    carried = operands[start : start + n]
    return [*carried, *((None, *names) for names in carried), *[()] * (len(node.outs) - 2 * n)]


def _of_result(node: Node, operands: list[Names]) -> Names:
    out, params = node.outs[0], node.params
    match node.prim.name:
        case "reduce_sum" | "reduce_max" | "reduce_min" | "reduce_prod" | "reduce_any" | "reduce_all":
            return tuple(name for axis, name in enumerate(operands[0]) if axis not in params["axes"])
        case "transpose":
            return tuple(operands[0][axis] for axis in params["axes"])
        case "matmul":
            x, y = operands
            return (*_aligned([x[:-2], y[:-2]], out.rank - 2), x[-2], y[-1])
        case "reshape":
            return _reshaped(node, operands[0])
        case "broadcast_to":
            return _aligned(operands, out.rank)
        case "stop_gradient" | "copy" | "flip" | "cumsum" | "cumprod":
            return operands[0]
    if node.prim.kind == "elementwise":
        return _aligned(operands, out.rank)
    return (None,) * out.rank


def _aligned(operands: list[Names], rank: int) -> Names:
    """Of each dim counted from the last the one name that operands have for it."""
    found: list[str | None] = []
    for back in range(rank, 0, -1):
        names = {names[-back] for names in operands if len(names) >= back} - {None}
        found.append(names.pop() if len(names) == 1 else None)
    return tuple(found)


def _reshaped(node: Node, names: Names) -> Names:
    """Dims of size 1 come and go; all others must stay."""
    old = [(size, name) for size, name in zip(node.inputs[0].shape, names, strict=True) if size != 1]
    rest = iter(old)
    if [size for size, _ in old] != [size for size in node.outs[0].shape if size != 1]:
        return ()
    return tuple(None if size == 1 else next(rest)[1] for size in node.outs[0].shape)

"""What each operator does to sets of columns: its results depend on what the operands that they are made of depend on.

An elementwise operator unites the sets of its operands. One that moves data is run on numbers of sets instead of
data; one that adds up what it moves unites the sets that meet. An operator without a rule lets each of its results
depend on all that its operands depend on, which is always true.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from gradcli.ad.indexsets import Sets, Table, merge, union
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node
from gradcli.ir.primitive import DataError, primitive
from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@record(eq=False)
class Operands:
    """What a rule sees: one array of set numbers for each operand, all of `table`, zeros for one that depends on
    nothing; and the data of those that are known integers."""

    ids: list[Array]
    table: Table
    data: list[Array | None]


Rule = Callable[[Node, Operands], Sets]


def carried(node: Node, operands: Operands) -> Sets:
    """The sets of a node's results, of all of them where there are several; fewer dims than these have, where all of a
    dim depend on the same."""
    rule = RULES.get(node.prim.name, elementwise if node.prim.kind == "elementwise" else mixed)
    return rule(node, operands)


def elementwise(node: Node, operands: Operands) -> Sets:
    ids, table = operands.ids[0], operands.table
    for other in operands.ids[1:]:
        ids, table = union(ids, other, table)
    return Sets(ids, table)


def mixed(node: Node, operands: Operands) -> Sets:
    """Every result of everything."""
    import numpy as np

    ids = np.concatenate([np.unique(ids) for ids in operands.ids])
    made, table = merge(np.zeros(len(ids), np.int64), ids, 1, operands.table)
    return Sets(made.reshape(()), table)


def _moved(node: Node, operands: Operands) -> Sets:
    """An operator that only moves elements moves their numbers; what it fills with zeros depends on nothing."""
    import numpy as np

    first = sum(value.aval.is_float for value in node.inputs)
    indices = operands.data[first:]
    try:
        if any(index is None for index in indices):
            return mixed(node, operands)
        made = node.prim.eval(np, *operands.ids[:first], *indices, **node.params)
    except DataError:  # the run says it, with its place
        return mixed(node, operands)
    return Sets(np.asarray(made), operands.table)


def _added(node: Node, operands: Operands) -> Sets:
    """The last float operand is added where its elements go to, in zeros or in a copy of the first one. Where they go
    to is what the transpose of the operator reads there."""
    import numpy as np

    first = sum(value.aval.is_float for value in node.inputs)
    indices = operands.data[first:]
    shape = tuple(map(definite, node.outs[0].shape))
    numbers = np.arange(prod(shape)).reshape(shape)
    reading, params = _transposed(node)
    try:
        if any(index is None for index in indices):
            return mixed(node, operands)
        places = np.asarray(primitive(reading).eval(np, numbers, *indices, **params))
    except DataError:
        return mixed(node, operands)
    groups = np.concatenate([array.reshape(-1) for array in ([places] if first == 1 else [numbers, places])])
    members = np.concatenate([ids.reshape(-1) for ids in operands.ids[:first]])
    made, table = merge(groups, members, prod(shape), operands.table)
    return Sets(made.reshape(shape), table)


def _transposed(node: Node) -> tuple[str, dict[str, Any]]:
    """The operator that reads where this one adds, with its params."""
    params = {name: value for name, value in node.params.items() if name not in ("shape", "over")}
    if node.prim.name == "overlap_add":
        sizes = node.inputs[0].shape[node.inputs[0].rank - len(node.params["over"]) :]
        return "windows", params | {"sizes": tuple(map(definite, sizes))}
    return ("slice" if node.prim.name == "add_slice" else "gather"), params


def _over(ids: Array, axes: tuple[int, ...], table: Table) -> tuple[Array, Table]:
    """The union over axes, which are dropped."""
    import numpy as np

    kept = [axis for axis in range(ids.ndim) if axis not in axes]
    shape = tuple(ids.shape[axis] for axis in kept)
    if not ids.any():
        return np.zeros(shape, np.int64), table
    turned = np.transpose(ids, [*kept, *axes]).reshape(prod(shape), prod(ids.shape[axis] for axis in axes))
    groups = np.repeat(np.arange(turned.shape[0]), turned.shape[1])
    made, table = merge(groups, turned.reshape(-1), turned.shape[0], table)
    return made.reshape(shape), table


def _reduced(node: Node, operands: Operands) -> Sets:
    return Sets(*_over(operands.ids[0], node.params["axes"], operands.table))


def _running(node: Node, operands: Operands) -> Sets:
    """Each element of those up to it along an axis: of 1, then 2, then 4 … of them."""
    import numpy as np

    axis, of_all = node.params["axis"], elementwise(node, operands)
    ids, table = np.moveaxis(of_all.ids, axis, -1), of_all.table
    if node.params["reverse"]:
        ids = ids[..., ::-1]
    step = 1
    while step < ids.shape[-1]:
        further, table = union(ids[..., step:], ids[..., :-step], table)
        ids = np.concatenate([ids[..., :step], further], axis=-1)
        step *= 2
    return Sets(np.moveaxis(ids[..., ::-1] if node.params["reverse"] else ids, -1, axis), table)


def _product(node: Node, operands: Operands) -> Sets:
    """An element of a matrix product: of a row of the left and a column of the right."""
    x, y = operands.ids
    rows, table = _over(x, (x.ndim - 1,), operands.table)
    columns, table = _over(y, (y.ndim - 2,), table)
    return Sets(*union(rows[..., :, None], columns[..., None, :], table))


def _by_matrix(node: Node, operands: Operands) -> Sets:
    """Each matrix of a stack by itself: of all elements of the matrices of the operands."""
    table, found = operands.table, None
    for ids in operands.ids:
        whole, table = _over(ids, (ids.ndim - 2, ids.ndim - 1), table)
        found, table = (whole, table) if found is None else union(found, whole, table)
    assert found is not None
    return Sets(found.reshape((*found.shape, *(1,) * (node.outs[0].rank - found.ndim))), table)


MOVES = (
    "reshape",
    "broadcast_to",
    "transpose",
    "flip",
    "copy",
    "slice",
    "unslice",
    "concat",
    "update_slice",
    "windows",
)
RULES: dict[str, Rule] = {
    **dict.fromkeys((*MOVES, "gather", "scatter_set"), _moved),
    **dict.fromkeys(("add_slice", "scatter_zeros", "scatter_add", "overlap_add"), _added),
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"), _reduced),
    **dict.fromkeys(("cumsum", "cumprod", "recurrence"), _running),
    **dict.fromkeys(("solve", "inv", "cholesky", "det", "slogdet", "cofactor", "cofactor_along"), _by_matrix),
    "matmul": _product,
}

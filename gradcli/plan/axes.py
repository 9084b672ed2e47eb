"""What an operator does along each axis: which axes of operands and results run together, block by block.

A `Join` says: cut these axes of the operands into the same blocks, leave all else whole, apply the operator to each
block, and the results are the blocks of the result along its axis (`keep`), or parts that are added up (`sum`) or
compared (`max`, `min`). An axis in no join is opaque: there the order matters, or more than one row is seen at once
(`cumsum` along it, a part of it, a window). An operand with a dim of 1 where others have more is whole in that join.

`FLAT` stands for all axes of an array at once: its elements one after the other. An axis of size 1 is never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

from gradcli.ir.graph import Node, Value
from gradcli.ir.region import regions as bodies
from gradcli.record import record

How = Literal["keep", "sum", "max", "min"]
Shape = tuple[int, ...]

FLAT = -1


@record
class Join:
    """`ins` are (operand, axis), `outs` (result, axis): none for what is added up. All these axes are of one size."""

    ins: tuple[tuple[int, int], ...]
    outs: tuple[tuple[int, int], ...]
    how: How = "keep"


def joins(node: Node) -> tuple[Join, ...]:
    """All joins of a node whose sizes are known. A node that holds a graph has none."""
    if bodies(node):
        return ()
    rule = _elementwise if node.prim.kind == "elementwise" else _RULES.get(node.prim.name, _none)
    return tuple(rule(node))


def resized(node: Node, join: Join, rows: int) -> dict[str, Any]:
    """The params of a node for a block of `rows` along a join of axes."""
    params = dict(node.params)
    for _, axis in join.outs[:1]:
        if "shape" in params:
            params["shape"] = replaced(params["shape"], axis, rows)
        if "items" in params:
            params["items"] = replaced(params["items"], axis, (0, rows, 1))
    return params


def replaced(items: Sequence[Any], place: int, item: Any) -> tuple[Any, ...]:
    return (*items[:place], item, *items[place + 1 :])


def known(value: Value) -> Shape:
    """A shape of which every size is a number."""
    return value.aval.shape  # type: ignore[return-value]  # plans are of known sizes


def elements(value: Value) -> int:
    return int(value.aval.size)  # type: ignore[arg-type]  # as above


# ── what rules are made of ──────────────────────────────────────────────────────────────────────────────────

Rule = Callable[[Node], Iterator[Join]]


def _kept(shape: Shape, to: Callable[[int], int], *, but: Sequence[int] = ()) -> Iterator[Join]:
    """Each axis of the first operand runs with `to(axis)` of the result, `but` some."""
    for axis, size in enumerate(shape):
        if size != 1 and axis not in but:
            yield Join(((0, axis),), ((0, to(axis)),))


def _aligned(node: Node, cores: Sequence[int], core: int = 0) -> Iterator[Join]:
    """Leading dims that broadcast: all but the last `cores` of operands and the last `core` of the results."""
    lead = len(known(node.outs[0])) - core
    shapes = [known(value)[: len(known(value)) - own] for value, own in zip(node.inputs, cores, strict=True)]
    for axis, size in enumerate(known(node.outs[0])[:lead]):
        if size != 1:
            places = [(k, axis - lead + len(shape)) for k, shape in enumerate(shapes)]
            ins = tuple((k, own) for k, own in places if own >= 0 and shapes[k][own] == size)
            yield Join(ins, tuple((k, axis) for k in range(len(node.outs))))


def _flat(node: Node) -> Iterator[Join]:
    """The elements in order, where each operand has as many as the result, or one for all."""
    size = elements(node.outs[0])
    counts = [elements(value) for value in node.inputs]
    if size > 1 and all(count in (1, size) for count in counts):
        yield Join(tuple((k, FLAT) for k, count in enumerate(counts) if count == size), ((0, FLAT),))


# ── the rules ───────────────────────────────────────────────────────────────────────────────────────────────


def _none(node: Node) -> Iterator[Join]:
    """Made from nothing: what reads a part of it reads it as an input."""
    return iter(())


def _elementwise(node: Node) -> Iterator[Join]:
    yield from _aligned(node, [0] * len(node.inputs))
    yield from _flat(node)


def _same(node: Node) -> Iterator[Join]:
    yield from _kept(known(node.inputs[0]), lambda axis: axis)
    yield from _flat(node)


def _reduced(how: How | None) -> Rule:
    """`None`: parts of the reduced axes say nothing of the whole."""

    def rule(node: Node) -> Iterator[Join]:
        x, axes = node.inputs[0], node.params["axes"]
        yield from _kept(known(x), lambda axis: axis - sum(gone < axis for gone in axes), but=axes)
        if how is not None:
            yield from (Join(((0, axis),), (), how) for axis in axes if known(x)[axis] != 1)
            if elements(node.outs[0]) == 1 and elements(x) > 1:
                yield Join(((0, FLAT),), (), how)

    return rule


def _dropped(node: Node) -> Iterator[Join]:
    """One axis is looked along, and gone."""
    gone = node.params["axis"]
    return _kept(known(node.inputs[0]), lambda axis: axis - (gone < axis), but=(gone,))


def _along(node: Node) -> Iterator[Join]:
    """All operands are of one shape; along one axis the order matters."""
    operands = range(len(node.inputs))
    for axis, size in enumerate(known(node.outs[0])):
        if size != 1 and axis != node.params["axis"]:
            yield Join(tuple((k, axis) for k in operands), ((0, axis),))


def _flipped(node: Node) -> Iterator[Join]:
    return _kept(known(node.inputs[0]), lambda axis: axis, but=node.params["axes"])


def _transposed(node: Node) -> Iterator[Join]:
    return _kept(known(node.inputs[0]), node.params["axes"].index)


def _reshaped(node: Node) -> Iterator[Join]:
    """Axes of one size that stand behind equally many rows of the same elements."""
    old, new = known(node.inputs[0]), known(node.outs[0])
    behind: dict[tuple[int, int], int] = {}
    outer = 1
    for axis, size in enumerate(new):
        behind[outer, size] = axis
        outer *= size
    if outer:
        outer = 1
        for axis, size in enumerate(old):
            if size != 1 and (outer, size) in behind:
                yield Join(((0, axis),), ((0, behind[outer, size]),))
            outer *= size
    yield from _flat(node)


def _repeated(node: Node) -> Iterator[Join]:
    """Where it grows, the rows are made: nothing is read by rows."""
    yield from _aligned(node, [0])
    yield from _flat(node)


def _sliced(node: Node) -> Iterator[Join]:
    """Axes that are taken whole, of an array and of the part alike."""
    whole = known(node.outs[0]) if node.prim.name != "slice" else known(node.inputs[0])
    operands = range(len(node.inputs))
    for axis, (size, item) in enumerate(zip(whole, node.params["items"], strict=True)):
        if size != 1 and item == (0, size, 1):
            yield Join(tuple((k, axis) for k in operands), ((0, axis),))


def _product(node: Node) -> Iterator[Join]:
    x, y = map(known, node.inputs)
    rank = len(known(node.outs[0]))
    yield from _aligned(node, (2, 2), 2)
    if x[-2] != 1:
        yield Join(((0, len(x) - 2),), ((0, rank - 2),))
    if y[-1] != 1:
        yield Join(((1, len(y) - 1),), ((0, rank - 1),))
    if x[-1] != 1:
        yield Join(((0, len(x) - 1), (1, len(y) - 2)), (), "sum")


def _stacked(node: Node) -> Iterator[Join]:
    """Matrices one by one."""
    return _aligned(node, [2] * len(node.inputs), len(known(node.outs[0])) - len(known(node.inputs[0])) + 2)


def _solved(node: Node) -> Iterator[Join]:
    """Matrices one by one. One matrix for many right sides is factored once, so these stay together."""
    return (join for join in _aligned(node, (2, 2), 2) if any(k == 0 for k, _ in join.ins))


def _windowed(node: Node) -> Iterator[Join]:
    dims = len(node.params["sizes"]) if node.prim.name == "windows" else 2 * len(node.params["over"])
    lead = known(node.inputs[0])[: len(known(node.inputs[0])) - dims]
    return _kept(lead, lambda axis: axis)


def _picked(node: Node) -> Iterator[Join]:
    """Each element of the index reads for itself; other axes of the table are read whole, each for itself."""
    (table, index), axes = map(known, node.inputs[:2]), node.params["axes"]
    part = _Part(len(table), len(index), axes)
    for k, size in enumerate(index):
        if size != 1:
            yield Join(tuple((place, k) for place in range(1, len(node.inputs))), ((0, part.place + k),))
    for axis, own in part.rest:
        if table[axis] != 1:
            yield Join(((0, axis),), ((0, own),))


def _put(node: Node) -> Iterator[Join]:
    """Into zeros, parts add up; other axes are written whole, each for itself."""
    first = 1 if node.prim.name == "scatter_zeros" else 2  # index
    target, index = known(node.outs[0]), known(node.inputs[first])
    part = _Part(len(target), len(index), node.params["axes"])
    if first == 1:
        for k, size in enumerate(index):
            if size != 1:
                ins = ((0, part.place + k), *((place, k) for place in range(1, len(node.inputs))))
                yield Join(ins, (), "sum")
    for axis, own in part.rest:
        if target[axis] != 1:
            yield Join(((0, own),) if first == 1 else ((0, axis), (1, own)), ((0, axis),))


class _Part:
    """Where the axes of an array, and those of an index, stand in what is read at the index (`ops/index.py`)."""

    def __init__(self, rank: int, n_index: int, axes: Sequence[int]) -> None:
        adjacent = all(b - a == 1 for a, b in pairwise(axes))
        self.place = axes[0] if adjacent else 0
        left = [axis for axis in range(rank) if axis not in axes]
        self.rest = [(axis, k if k < self.place else k + n_index) for k, axis in enumerate(left)]


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("constant", "iota", "dim_size"), _none),
    **dict.fromkeys(("copy", "stop_gradient"), _same),
    **dict.fromkeys(("cumsum", "cumprod", "recurrence", "concat"), _along),
    **dict.fromkeys(("argmax", "argmin"), _dropped),
    **dict.fromkeys(("slice", "unslice", "update_slice", "add_slice"), _sliced),
    **dict.fromkeys(("inv", "cholesky", "det", "slogdet", "cofactor", "cofactor_along"), _stacked),
    **dict.fromkeys(("windows", "overlap_add"), _windowed),
    **dict.fromkeys(("scatter_zeros", "scatter_add", "scatter_set"), _put),
    "reduce_sum": _reduced("sum"),
    "reduce_max": _reduced("max"),
    "reduce_min": _reduced("min"),
    "reduce_any": _reduced("max"),
    "reduce_all": _reduced("min"),
    "reduce_prod": _reduced(None),
    "flip": _flipped,
    "transpose": _transposed,
    "reshape": _reshaped,
    "broadcast_to": _repeated,
    "matmul": _product,
    "solve": _solved,
    "gather": _picked,
}

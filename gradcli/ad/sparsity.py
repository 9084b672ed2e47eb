"""Which elements of an output depend on which elements of an input, from the structure of the graph alone.

Every element of a value carries the set of input elements that it is computed from; each operator carries the sets of
its operands to its results (`dependence.py`). Only derivatives count: nothing goes through steps, integers and
`stop_gradient`. What is found holds at every point, so an element outside the pattern is zero for all data of these
shapes.

Indices that come from constants or from integers given as `known` are looked at: a pattern through `x[idx]` is then
that of these indices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.ad.dependence import Operands, carried, mixed
from gradcli.ad.indexsets import NOTHING, Sets, Table, side_by_side, singletons, spread, tidy, union
from gradcli.ad.reverse import active
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.primitive import DataError
from gradcli.record import record
from gradcli.syntax.diagnostics import fail

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Data = dict[int, Any]  # arrays of integers, by the id of their value
LIMIT = 50_000_000  # elements of a pattern
WRITTEN_OUT = 20_000  # nodes of all turns of a loop; beyond, all that comes out depends on all that goes in


@record(eq=False)
class Pattern:
    """Row r of a matrix of `rows × columns` can be other than zero in the columns `indices[indptr[r] : indptr[r + 1]]`,
    which are sorted; both arrays are i64."""

    rows: int
    columns: int
    indptr: Array
    indices: Array

    @property
    def nnz(self) -> int:
        return len(self.indices)

    @property
    def density(self) -> float:
        """The share of elements that can be other than zero; 0 for a matrix without elements."""
        return self.nnz / max(self.rows * self.columns, 1)

    def row_numbers(self) -> Array:
        """The row of each element."""
        import numpy as np

        return np.repeat(np.arange(self.rows), np.diff(self.indptr))


def pattern(graph: Graph, output: int, wrt: int, known: Mapping[int, Any] | None = None) -> Pattern:
    """The pattern of the derivative of output `output` by input `wrt`: rows are elements of the output, columns those
    of the input, both flattened. `known` gives arrays of integer inputs, by position.

    Raises ModelError NUM008 where it has more than LIMIT elements.
    """
    import numpy as np

    result, source = graph.outputs[output], graph.inputs[wrt]
    rows, columns = _size(result), _size(source)
    given = {graph.inputs[k]: array for k, array in (known or {}).items()}
    data = {value.id: np.asarray(array) for value, array in given.items() if not value.aval.is_float}
    (found,) = _Walk(graph, [result], {wrt: singletons(_shape(source))}, data).run()
    if found is None:
        return Pattern(rows, columns, np.zeros(rows + 1, np.int64), np.zeros(0, np.int64))
    return _written_out(found, rows, columns)


def _size(value: Value) -> int:
    return definite(value.aval.size)


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(map(definite, value.shape))


def _written_out(sets: Sets, rows: int, columns: int) -> Pattern:
    import numpy as np

    table, ids = sets.table, sets.ids.reshape(-1)
    lengths = table.members()[ids]
    if int(lengths.sum()) > LIMIT:
        raise fail(
            "NUM008",
            f"the pattern is dense: {int(lengths.sum()):_} elements of a matrix of {rows:_} × {columns:_} can be other "
            f"than zero; at most {LIMIT:_} are stored",
            help="a product with a vector needs no matrix: `--vec`",
        )
    runs = table.runs(ids)
    indices = spread(table.low[runs], table.high[runs] - table.low[runs])
    return Pattern(rows, columns, np.concatenate([[0], np.cumsum(lengths)]), indices)


# ── the walk ────────────────────────────────────────────────────────────────────────────────────────────────


class _Walk:
    """The nodes between some inputs and some results, in order, with the sets of the values that are still needed."""

    def __init__(self, graph: Graph, results: Sequence[Value], inputs: Mapping[int, Sets], data: Data) -> None:
        self.graph = graph
        self.results = results
        self.needed, self.last = _uses(graph, results)
        self.active = active(graph, [*inputs])
        self.sets = {graph.inputs[k].id: sets for k, sets in inputs.items() if graph.inputs[k].id in self.last}
        self.data = _known_data(graph, self.needed, data)

    def run(self) -> list[Sets | None]:
        """The sets of the results; None for one that depends on nothing."""
        for place, node in enumerate(self.graph.nodes):
            if any(self.needed[out.id] and self.active[out.id] for out in node.outs):
                self.step(node)
            for value in node.inputs:
                if self.last[value.id] == place:
                    self.sets.pop(value.id, None)
        return [self.sets.get(value.id) for value in self.results]

    def step(self, node: Node) -> None:
        given = [self.sets[value.id] for value in node.inputs if value.id in self.sets]
        if not given:
            return
        numbers, table = side_by_side(given)
        remaining = iter(numbers)
        ids = [next(remaining) if v.id in self.sets else _nothing(v) for v in node.inputs]
        operands = Operands(ids, table, [self.data.get(value.id) for value in node.inputs])
        wanted = [bool(self.active[out.id]) and out.id in self.last for out in node.outs]
        region = REGIONS.get(node.prim.name)
        found = [carried(node, operands)] * len(wanted) if region is None else region(node, operands, wanted)
        for out, made, want in zip(node.outs, found, wanted, strict=True):
            if want:
                self.sets[out.id] = _grown(tidy(made), _shape(out))


def _nothing(value: Value) -> Array:
    import numpy as np

    return np.broadcast_to(np.int64(NOTHING), _shape(value))


def _grown(sets: Sets, shape: tuple[int, ...]) -> Sets:
    """A rule may give fewer dims, where all of a dim depend on the same."""
    import numpy as np

    return sets if sets.ids.shape == shape else Sets(np.broadcast_to(sets.ids, shape), sets.table)


def _uses(graph: Graph, results: Sequence[Value]) -> tuple[bytearray, dict[int, int]]:
    """Which values the results are computed from, and where each value that is used is used last."""
    needed = bytearray(graph.n_values)
    last: dict[int, int] = {}
    for value in results:
        needed[value.id] = 1
        last[value.id] = len(graph.nodes)
    for place in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[place]
        wanted = any(needed[out.id] for out in node.outs)
        for value in node.inputs:
            last.setdefault(value.id, place)
            needed[value.id] |= wanted
    return needed, last


def _known_data(graph: Graph, needed: bytearray, data: Data) -> Data:
    """`data` with the integers that indices are made of, where they follow from constants and from `data`."""
    import numpy as np

    wanted = bytearray(graph.n_values)
    for node in graph.nodes:
        if needed[node.outs[0].id]:
            for value in node.inputs:
                wanted[value.id] |= not value.aval.is_float and node.prim.name in LOOKS_AT
    for node in reversed(graph.nodes):
        if any(wanted[out.id] for out in node.outs):
            for value in node.inputs:
                wanted[value.id] = 1
    data = dict(data)
    for node in graph.nodes:
        if wanted[node.outs[0].id] and all(value.id in data for value in node.inputs):
            try:
                made = node.prim.eval(np, *[data[value.id] for value in node.inputs], **node.params)
            except DataError:  # the run says it, with its place
                continue
            for out, array in zip(node.outs, made if isinstance(made, tuple) else (made,), strict=True):
                data[out.id] = np.asarray(array)
    return data


# ── graphs within nodes ─────────────────────────────────────────────────────────────────────────────────────


def _through(body: Graph, given: Sequence[Sets | None], data: Sequence[Array | None]) -> list[Sets]:
    """The sets of the outputs of a graph whose inputs have these sets, and these data where they are known integers."""
    moving = {
        k: sets
        for k, (value, sets) in enumerate(zip(body.inputs, given, strict=True))
        if sets is not None and value.aval.is_float
    }
    known = {value.id: array for value, array in zip(body.inputs, data, strict=True) if array is not None}
    found = _Walk(body, body.outputs, moving, known).run()
    table = next(sets.table for sets in given if sets is not None)
    return [
        Sets(_nothing(value), table) if sets is None else sets for value, sets in zip(body.outputs, found, strict=True)
    ]


def _inside(node: Node, operands: Operands, wanted: Sequence[bool]) -> Sequence[Sets]:
    body: Graph = node.params["body"]
    return _through(body, [Sets(ids, operands.table) for ids in operands.ids], operands.data)


def _looped(node: Node, operands: Operands, wanted: Sequence[bool]) -> Sequence[Sets]:
    """Turn by turn, each with the sets that the turns before gave. Where it is not known how many turns are taken, the
    carry may be that after any."""
    turns, any_end = _turns(node, operands)
    if turns is None:
        return [mixed(node, operands)] * len(node.outs)
    states, stacks = _run_turns(node, operands, turns)
    params, carry = node.params, node.params["carry"]
    ends = [_any_of([state[k] for state in states]) if any_end else states[-1][k] for k in range(carry)]
    rows = [[state[k] for state in states[:-1]] for k in range(carry)]
    rows += [[stack[k] for stack in stacks] for k in range(len(params["body"].outputs) - carry)]
    rows += [[]] * (params["cond"] is not None)  # how many turns were taken
    made = [
        _stacked(turns, row if want else [], out, operands.table)
        for out, want, row in zip(node.outs[carry:], wanted[carry:], rows, strict=True)
    ]
    return [*ends, *made]


def _turns(node: Node, operands: Operands) -> tuple[Sequence[int] | None, bool]:
    """The turns of a loop in their order, and whether it may end after any; None where they are too many, or where it
    is not known at which one it begins."""
    params, told = node.params, operands.data[0] if node.params["counted"] else None
    any_end = params["cond"] is not None or (params["counted"] and told is None)
    turns = range(definite(params["turns"]) if told is None else int(told))
    if len(turns) * len(params["body"].nodes) > WRITTEN_OUT or (any_end and params["reverse"]):
        return None, any_end
    return (turns[::-1] if params["reverse"] else turns), any_end


def _run_turns(
    node: Node, operands: Operands, turns: Sequence[int]
) -> tuple[list[Sequence[Sets]], list[Sequence[Sets]]]:
    """The carry before each turn, and after the last; and what each turn gives besides."""
    params, first = node.params, int(node.params["counted"])
    carry, slices = params["carry"], params["consts"] + params["carry"]
    given, data = [Sets(ids, operands.table) for ids in operands.ids[first:]], operands.data[first:]
    states: list[Sequence[Sets]] = [given[params["consts"] : slices]]
    stacks: list[Sequence[Sets]] = []
    for turn in turns:
        seen = [*given[: params["consts"]], *states[-1], *(Sets(each.ids[turn], each.table) for each in given[slices:])]
        parts = (None if array is None else array[turn] for array in data[slices:])
        known = [_integer(turn), *data[: params["consts"]], *[None] * carry, *parts]
        made = _through(params["body"], [None, *seen], known)
        states.append(made[:carry])
        stacks.append(made[carry:])
    return states, stacks


def _integer(number: int) -> Array:
    import numpy as np

    return np.asarray(number)


def _any_of(several: Sequence[Sets]) -> Sets:
    """Element by element, the union of all."""
    total = several[0]
    for each in several[1:]:
        (left, right), table = side_by_side([total, each])
        total = tidy(Sets(*union(left, right, table)))
    return total


def _stacked(numbers: Sequence[int], rows: Sequence[Sets], out: Value, table: Table) -> Sets:
    """An array whose rows of these numbers are given; the others depend on nothing."""
    import numpy as np

    ids = np.full(_shape(out), NOTHING)
    if rows:
        found, table = side_by_side(rows)
        for number, row in zip(numbers, found, strict=True):
            ids[number] = row
    return Sets(ids, table)


REGIONS = {"checkpoint": _inside, "scan": _looped}
LOOKS_AT = ("gather", "scatter_zeros", "scatter_add", "scatter_set", *REGIONS)  # operators whose integers matter

"""Arrays that a loop reads or writes row by row, at a place that the number of the turn tells.

    for i in 0..n { h = f(h, x[i + 1]); y[i] = h }      h and slices of x[1:] alone; y is what the loop stacks

A place a·i + b, with whole numbers a ≠ 0 and b, is another in each turn. So an array that is only read there is sliced,
as a view. Of a carry of which a turn reads and writes one such row alone, that row is a slice of what the carry was at
first, as nobody wrote there before; what the turn makes of it is stacked, and put into the carry after the loop. Where
a carry is only added to, in several such places, what is added is stacked, and added after the loop: there, sums are
added in another order. All else is the same numbers, without an index at work in each turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.ir.aval import is_int
from gradcli.ir.constants import unpack
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.ir.live import without_dead
from gradcli.ir.region import inside
from gradcli.record import record

WRITES = ("scatter_set", "scatter_add")


def by_rows(graph: Graph) -> Graph:
    """Let each loop, also within loops, take slices of what it reads row by row, and stack what it writes so."""
    graph = inside(graph, by_rows)
    read = {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}
    found = {node: rows for node in graph.nodes if node.prim.name == "scan" and (rows := _Rows(node, read)).any}
    if not found:
        return graph
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        if node not in found:
            builder.replay([node], env)
            continue
        builder.spans, first = node.spans, len(builder.nodes)
        made = found[node].emit(builder, [env[value.id] for value in node.inputs])
        builder.mark(first, node.role)
        builder.spans = ()
        env.update((old.id, new) for old, new in zip(node.outs, made, strict=True) if new is not None)
    return without_dead(builder.close([env[value.id] for value in graph.outputs]))


@record
class Place:
    """Row a·i + b along an axis, for turn i."""

    a: int
    b: int
    axis: int

    def rows(self, value: Value, turns: int) -> tuple[tuple[object, object, int], ...]:
        """Those of all turns, as the items of a slice."""
        return tuple((self.b, turns, self.a) if k == self.axis else (0, size, 1) for k, size in enumerate(value.shape))


@record(eq=False)
class Written:
    """What a turn does to a carry: the nodes that write, one after the other, each with its place, and those that read.
    Either all of them at one place, or all of them add."""

    writes: tuple[tuple[Node, Place], ...]
    reads: tuple[Node, ...]

    @property
    def adds(self) -> bool:
        """Whether what is added is enough to know; else there is one place, and the row before a turn may be needed."""
        places = {place for _, place in self.writes}
        alone = not self.reads and all(node.prim.name == "scatter_add" for node, _ in self.writes)
        return alone and len(places) == len(self.writes)

    @property
    def begins(self) -> bool:
        """Whether the row before the turn is read."""
        first = self.writes[0][0]
        return not self.adds and (
            first.prim.name == "scatter_add" or any(n.inputs[0] is first.inputs[0] for n in self.reads)
        )


class _Rows:
    """What a loop reads and writes row by row: `reads` are nodes that read a row of a const, with the place."""

    def __init__(self, node: Node, read: set[int]) -> None:
        params = node.params
        self.node, self.body, self.turns = node, params["body"], params["turns"]
        self.counted, self.consts, self.n = int(params["counted"]), params["consts"], params["carry"]
        self.given = self.body.inputs[1 : 1 + self.consts]
        self.carries = self.body.inputs[1 + self.consts : 1 + self.consts + self.n]
        self.numbers = _numbers(self.body)
        self.written: dict[int, Written] = {}
        if params["cond"] is None and not params["counted"]:
            for k in range(self.n):
                if node.outs[self.n + k].id not in read and (found := self.of_carry(k)) is not None:
                    self.written[k] = found
        self.reads: dict[Node, Place] = {}
        for each in self.body.nodes:
            if each.prim.name == "gather" and each.inputs[0] in self.given and (place := self.place(each, 1)):
                self.reads[each] = place

    @property
    def any(self) -> bool:
        return bool(self.reads or self.written)

    def place(self, node: Node, first: int) -> Place | None:
        """Where a node reads or writes one row, by its operands from `first` on."""
        axes, index = node.params["axes"], node.inputs[first:]
        number = self.numbers.get(index[0].id)
        if len(axes) != 1 or number is None or number[0] == 0:
            return None
        size, (a, b) = node.inputs[0].shape[axes[0]], number
        if not isinstance(size, int) or not isinstance(self.turns, int) or self.turns < 1:
            return None
        inside = all(0 <= row < size for row in (b, b + a * (self.turns - 1)))
        return Place(a, b, axes[0]) if inside else None

    def of_carry(self, k: int) -> Written | None:
        """What is done to a carry, if it is nothing but reading and writing rows in such places."""
        carry, value = self.carries[k], self.body.outputs[k]
        writes: list[tuple[Node, Place]] = []
        while value is not carry:
            node = value.node
            if node is None or node.prim.name not in WRITES or (place := self.place(node, 2)) is None:
                return None
            writes.append((node, place))
            value = node.inputs[0]
        if not writes:
            return None
        states = [carry, *(node.outs[0] for node, _ in reversed(writes))]
        others = [node for node in self.body.nodes if any(value in states for value in node.inputs)]
        reads = tuple(node for node in others if node not in [each for each, _ in writes])
        made = Written(tuple(reversed(writes)), reads)
        if any(value in states for node in others for value in node.inputs[1:]):
            return None
        if [value for value in self.body.outputs if value in states] != [states[-1]]:
            return None
        places = [place for _, place in writes] + [self.place(n, 1) if n.prim.name == "gather" else None for n in reads]
        return made if made.adds or (None not in places and len(set(places)) == 1) else None

    # ── what is made of it ──────────────────────────────────────────────────────────────────────────────────

    def emit(self, builder: Builder, operands: Sequence[Value]) -> list[Value | None]:
        """The results of the node; None for histories that nobody reads."""
        first, end = self.counted + self.consts, self.counted + self.consts + self.n
        left = [k for k in range(self.n) if k not in self.written]
        of = dict(zip(self.body.inputs[1:], operands[self.counted :], strict=True))
        sliced = [self.sliced(of[node.inputs[0]], node, place) for node, place in self.reads.items()]
        sliced += [self.sliced(operands[first + k], *done.writes[0]) for k, done in self.written.items() if done.begins]
        given = [*operands[:first], *(operands[first + k] for k in left), *operands[end:], *sliced]
        made = builder.emit(self.node.prim, given, {**self.node.params, "body": self.without(left), "carry": len(left)})
        found: list[Value | None] = [None] * len(self.node.outs)
        for at, k in enumerate(left):
            found[k], found[self.n + k] = made[at], made[len(left) + at]
        own = len(self.body.outputs) - self.n
        found[2 * self.n : 2 * self.n + own] = made[2 * len(left) : 2 * len(left) + own]
        rows = iter(made[2 * len(left) + own :])
        for k, done in self.written.items():
            total = operands[first + k]
            for node, place in done.writes if done.adds else done.writes[:1]:
                total = self.put(total, next(rows), node, place, "add_slice" if done.adds else "update_slice")
            found[k] = total
        if self.node.params["cond"] is not None:
            found[-1] = made[-1]
        return found

    def without(self, left: Sequence[int]) -> Graph:
        """The body: rows are inputs, and what is written is stacked."""
        inner = Builder()
        gone = {self.carries[k] for k in self.written}
        env = {value.id: inner.input(value.aval, value.hint) for value in self.body.inputs if value not in gone}
        for node in self.reads:
            env[node.outs[0].id] = inner.input(node.outs[0].aval, node.outs[0].hint)
        writes = {node for done in self.written.values() for node, _ in done.writes}
        reads = {node for done in self.written.values() if not done.adds for node in done.reads}
        rows = {}  # of each state of a carry
        for k, done in self.written.items():
            if done.begins:
                rows[self.carries[k].id] = inner.input(done.writes[0][0].inputs[1].aval, self.carries[k].hint)
        added = {node for done in self.written.values() if done.adds for node, _ in done.writes}
        for node in self.body.nodes:
            if node in reads:
                env[node.outs[0].id] = rows[node.inputs[0].id]
            elif node in writes and node not in added:
                row = env[node.inputs[1].id]
                with inner.at(*node.spans):
                    row = row if node.prim.name == "scatter_set" else rows[node.inputs[0].id] + row
                rows[node.outs[0].id] = row
            elif node not in self.reads and node not in added:
                inner.replay([node], env)
        outputs = [env[self.body.outputs[k].id] for k in left] + [env[v.id] for v in self.body.outputs[self.n :]]
        for done in self.written.values():
            last = done.writes[-1][0].outs[0]
            outputs += [env[node.inputs[1].id] for node, _ in done.writes] if done.adds else [rows[last.id]]
        return without_dead(inner.close(outputs))

    def sliced(self, array: Value, node: Node, place: Place) -> Value:
        """The rows of all turns, the turns in front."""
        with array.builder.at(*node.spans):
            rows = apply("slice", array, items=place.rows(array, self.turns))
            if place.axis:
                rest = [k for k in range(array.rank) if k != place.axis]
                rows = apply("transpose", rows, axes=(place.axis, *rest))
        return rows

    def put(self, into: Value, rows: Value, node: Node, place: Place, how: str) -> Value:
        """Into the carry the rows of all turns."""
        with into.builder.at(*node.spans):
            if place.axis:
                order = [*range(1, into.rank)]
                order.insert(place.axis, 0)
                rows = apply("transpose", rows, axes=tuple(order))
            return apply(how, into, rows, items=place.rows(into, self.turns))


def _numbers(body: Graph) -> dict[int, tuple[int, int]]:
    """The values of a body that are a·i + b, with i the number of the turn."""
    found = {body.inputs[0].id: (1, 0)}
    for node in body.nodes:
        if len(node.outs) != 1 or node.outs[0].rank or not is_int(node.outs[0].dtype):
            continue
        if node.prim.name == "constant":
            found[node.outs[0].id] = (0, int(unpack(node.params["data"], node.outs[0].dtype)[0]))
            continue
        known = [found.get(value.id) for value in node.inputs]
        made = None if None in known or not known else _number(node.prim.name, [pair for pair in known if pair])
        if made is not None:
            found[node.outs[0].id] = made
    return found


def _number(name: str, known: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    match name, known:
        case "add", ((a, b), (c, d)):
            return a + c, b + d
        case "sub", ((a, b), (c, d)):
            return a - c, b - d
        case "mul", ((a, b), (0, d)) | ((0, d), (a, b)):
            return a * d, b * d
        case "neg", ((a, b),):
            return -a, -b
        case "cast", ((a, b),):
            return a, b
    return None

"""Loops without what need not be done turn by turn: for all turns at once before a loop, or after it.

    h ← h + w · sin(x_i)                        S = sin(X);  h ← h + W · S_i, where W = w · 1, made once
    c ← c + x_iᵀ · g_i                          the loop stacks g;  c = X ᵀ · G, one product over all turns and rows

A value of the body has a *level*: the same in each turn (0), another in each turn, but known before the loop (1), or
dependent on what is carried (2). What is of level 0 becomes a const, what is of level 1 the slices of an array; and
what only stacked results and sums need (a carry c ← c + g that nothing else reads) is done after the loop, from what
it stacks. What is left is the recurrence itself.

Sums over turns may be added in another order; all else is the same numbers. Loops that may end early are left alone:
what such a loop did not do must not be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gradcli.ad.batch import batch
from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.ir.live import without_dead
from gradcli.ir.primitive import primitive
from gradcli.ir.region import inside, regions

Worth = Callable[[int, Sequence[int], int], bool]  # turns, bytes of each value that is made for all, bytes carried


def split_loops(graph: Graph, worth: Worth) -> Graph:
    """The same results, with each loop, also within loops, cut down to its recurrence where that is worth it."""
    graph = inside(graph, lambda region: split_loops(region, worth))
    read = {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}
    splits = {node: split for node in graph.nodes if (split := _Split.of(node, read, worth)) is not None}
    if not splits:
        return graph
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        if node not in splits:
            builder.replay([node], env)
            continue
        first = len(builder.nodes)
        made = splits[node].emit(builder, [env[value.id] for value in node.inputs])
        builder.mark(first, node.role)
        env.update((old.id, new) for old, new in zip(node.outs, made, strict=True) if new is not None)
    return without_dead(builder.close([env[value.id] for value in graph.outputs]))


class _Split:
    """What becomes of one loop. `levels` has a level for each value of the body."""

    def __init__(self, node: Node, read: set[int]) -> None:
        params = node.params
        self.node, self.body = node, params["body"]
        self.turns, self.n, self.consts = params["turns"], params["carry"], params["consts"]
        self.first = 1 + self.consts
        self.carries = self.body.inputs[self.first : self.first + self.n]
        self.wanted = [out.id in read for out in node.outs]
        self.levels = _levels(self.body, self.first, self.n)
        self.sums = {k: term for k in range(self.n) if (term := self.sum_of(k)) is not None}
        self.core = self.needed([self.body.outputs[k] for k in range(self.n) if k not in self.sums])
        inner = {value.id for node in self.core for value in node.inputs}
        inner |= {self.body.outputs[k].id for k in range(self.n) if k not in self.sums}
        self.hoisted = [out for node in self.body.nodes for out in node.outs if out.id in inner and self.moves(node)]
        self.outputs = {k: value for k, value in enumerate(self.body.outputs[self.n :], 2 * self.n) if self.wanted[k]}

    @classmethod
    def of(cls, node: Node, read: set[int], worth: Worth) -> _Split | None:
        """None where nothing is gained."""
        if node.prim.name != "scan" or node.params["cond"] is not None or node.params["counted"]:
            return None
        if not isinstance(node.params["turns"], int) or node.params["turns"] < 2:
            return None
        made = cls(node, read)
        return made if made.pays(worth) else None

    # ── what goes where ─────────────────────────────────────────────────────────────────────────────────────

    def sum_of(self, k: int) -> Value | None:
        """The term g of a carry c ← c + g that is read nowhere else."""
        carry, out = self.carries[k], self.body.outputs[k]
        node = out.node
        if self.wanted[self.n + k] or node is None or node.prim.name != "add":
            return None
        if node.inputs.count(carry) != 1 or out.aval != carry.aval:
            return None
        term: Value = node.inputs[1 - node.inputs.index(carry)]
        if term.aval != carry.aval or not self.levels[term.id]:
            return None
        readers = [node for node in self.body.nodes for value in node.inputs if value in (carry, out)]
        if readers != [node] or list(self.body.outputs).count(out) != 1 or carry in self.body.outputs:
            return None
        return term

    def read_once(self, value: Value) -> bool:
        readers = [node for node in self.body.nodes for other in node.inputs if other is value]
        return len(readers) + list(self.body.outputs).count(value) == 1

    def needed(self, values: Iterable[Value]) -> set[Node]:
        """The nodes of level 2 that values are made by."""
        found: set[Node] = set()
        queue = list(values)
        while queue:
            node = queue.pop().node
            if node is not None and node not in found and self.levels[node.outs[0].id] == 2:
                found.add(node)
                queue += node.inputs
        return found

    def moves(self, node: Node) -> bool:
        """Whether a result that the loop reads is made before it; views, and what is small on its own, are not."""
        level = max(self.levels[out.id] for out in node.outs)
        if level == 2 or node.prim.name == "constant":
            return False
        return level == 0 or not self.shows(node.outs[0])

    def shows(self, value: Value) -> bool:
        """Whether it looks at a slice, a const or a constant, with nothing computed between."""
        while value.node is not None and value.node.prim.view and value.node.inputs:
            value = value.node.inputs[0]
        return value.node is None or value.node.prim.name == "constant"

    def pays(self, worth: Worth) -> bool:
        """Whether some work moves, and is worth it."""
        moved = [node for node in self.body.nodes if node not in self.core and not node.prim.view]
        moved = [node for node in moved if node.prim.name != "constant"]
        if not moved or any(map(_alone, moved)):
            return False
        rows = [value for node in moved for value in node.outs if self.levels[value.id]]
        kept = [value for k, value in enumerate(self.carries) if k not in self.sums]
        return worth(self.turns, _bytes(rows), sum(_bytes(kept)))

    # ── what is made of it ──────────────────────────────────────────────────────────────────────────────────

    def emit(self, builder: Builder, operands: Sequence[Value]) -> list[Value | None]:
        """The results of the node; None for those that nobody reads."""
        outside = _Outside(self, builder, operands)
        before = outside.make([value for value in self.hoisted if self.levels[value.id] == 1])
        same = outside.once([value for value in self.hoisted if self.levels[value.id] == 0])
        core, stacked = self.core_loop(builder, operands, before, same)
        outside.known(core, stacked)
        return outside.results(core, stacked)

    def core_loop(
        self, builder: Builder, operands: Sequence[Value], before: dict[int, Value], same: dict[int, Value]
    ) -> tuple[dict[int, tuple[Value, Value]], dict[int, Value]]:
        """Emit what is left of the loop: for each carry that is no sum its last value and its history, and for each
        value that is read behind the loop what it stacks."""
        kept = [k for k in range(self.n) if k not in self.sums]
        if not kept:
            return {}, {}
        stacked = self.stacked()
        inner = Builder()
        env = {self.body.inputs[0].id: inner.input(Aval((), "i64"), "i")}
        consts = list(self.body.inputs[1 : self.first])
        for value in consts:
            env[value.id] = inner.input(value.aval, value.hint)
        for key in same:
            old = next(value for value in self.hoisted if value.id == key)
            env[key] = inner.input(old.aval, old.hint)
        for k in kept:
            env[self.carries[k].id] = inner.input(self.carries[k].aval, self.carries[k].hint)
        for value in self.body.inputs[self.first + self.n :]:
            env[value.id] = inner.input(value.aval, value.hint)
        for key in before:
            old = next(value for value in self.hoisted if value.id == key)
            env[key] = inner.input(old.aval, old.hint)
        left = [node for node in self.body.nodes if not all(out.id in env for out in node.outs)]
        inner.replay(self.reached(left, [*(self.body.outputs[k] for k in kept), *stacked], env), env)
        body = inner.close([env[self.body.outputs[k].id] for k in kept] + [env[value.id] for value in stacked])
        arguments = [*operands[: self.consts], *same.values(), *(operands[self.consts + k] for k in kept)]
        arguments += [*operands[self.consts + self.n :], *before.values()]
        builder.spans = self.node.spans
        params = {**self.node.params, "body": body, "consts": self.consts + len(same), "carry": len(kept)}
        outs = builder.emit(self.node.prim, arguments, params)
        builder.spans = ()
        count = len(kept)
        core = {k: (outs[place], outs[count + place]) for place, k in enumerate(kept)}
        return core, {value.id: outs[2 * count + place] for place, value in enumerate(stacked)}

    def reached(self, nodes: Sequence[Node], values: Iterable[Value], env: dict[int, Value]) -> list[Node]:
        """Of some nodes those that values need, given what is known."""
        wanted = {value.id for value in values}
        found = []
        for node in reversed(nodes):
            if any(out.id in wanted and out.id not in env for out in node.outs):
                found.append(node)
                wanted.update(value.id for value in node.inputs)
        return found[::-1]

    def stacked(self) -> list[Value]:
        """What of the core is read behind the loop: by results, and by what is done after it."""
        found: dict[int, Value] = {}
        queue, seen = [*self.sums.values(), *self.outputs.values()], set()
        while queue:
            value = queue.pop()
            node = value.node
            if node is None or value.id in seen:
                continue
            seen.add(value.id)
            if node in self.core:
                found[value.id] = value
            else:
                queue += node.inputs
        return list(found.values())


class _Outside:
    """What is emitted around the loop, for all turns at once."""

    def __init__(self, split: _Split, builder: Builder, operands: Sequence[Value]) -> None:
        self.split, self.builder = split, builder
        body, n = split.body, split.n
        self.args: dict[int, Value] = {}  # input of the body, or value of the core → its array over all turns
        self.shared: dict[int, Value] = {}
        for value, operand in zip(body.inputs[1 : split.first], operands, strict=False):
            self.shared[value.id] = operand
        for value, operand in zip(body.inputs[split.first + n :], operands[split.consts + n :], strict=True):
            self.args[value.id] = operand
        self.begin = operands[split.consts : split.consts + n]

    def known(self, core: dict[int, tuple[Value, Value]], stacked: dict[int, Value]) -> None:
        self.args |= {self.split.carries[k].id: history for k, (_, history) in core.items()}
        self.args |= stacked

    def make(self, values: Sequence[Value]) -> dict[int, Value]:
        """Arrays `[turns, …]` of values of the body."""
        if not values:
            return {}
        part, ins = self.part(values)
        flags = [value.id in self.args or value is self.split.body.inputs[0] for value in ins]
        made = batch(part, flags, self.split.turns)
        found = self.builder.inline(made, [self.argument(value) for value in ins])
        return {value.id: new for value, new in zip(values, found, strict=True)}

    def once(self, values: Sequence[Value]) -> dict[int, Value]:
        """Values that are the same in each turn."""
        if not values:
            return {}
        part, ins = self.part(values)
        found = self.builder.inline(part, [self.argument(value) for value in ins])
        return {value.id: new for value, new in zip(values, found, strict=True)}

    def part(self, values: Sequence[Value]) -> tuple[Graph, list[Value]]:
        """The graph of values of the body, from its inputs and what is known of it, and these."""
        builder = Builder()
        env: dict[int, Value] = {}
        ins: list[Value] = []
        for value in [*self.split.body.inputs, *(out for node in self.split.core for out in node.outs)]:
            if value.id in self.args or value.id in self.shared or value is self.split.body.inputs[0]:
                env[value.id] = builder.input(value.aval, value.hint)
                ins.append(value)
        builder.replay(self.split.reached(self.split.body.nodes, values, env), env)
        graph = builder.close([env[value.id] for value in values])
        used = {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}
        kept = [k for k, value in enumerate(graph.inputs) if value.id in used]
        inputs = tuple(graph.inputs[k] for k in kept)
        names = tuple(graph.names[k] for k in kept)
        return Graph(inputs, graph.nodes, graph.outputs, graph.n_values, names), [ins[k] for k in kept]

    def argument(self, value: Value) -> Value:
        if value is self.split.body.inputs[0]:
            return self.builder.emit(primitive("iota"), (), {"size": self.split.turns, "dtype": "i64"})[0]
        return self.args[value.id] if value.id in self.args else self.shared[value.id]

    # ── results ─────────────────────────────────────────────────────────────────────────────────────────────

    def results(self, core: dict[int, tuple[Value, Value]], stacked: dict[int, Value]) -> list[Value | None]:
        split, n = self.split, self.split.n
        found: list[Value | None] = [None] * len(split.node.outs)
        for k, (last, history) in core.items():
            found[k], found[n + k] = last, history
        factors = {k: pair for k, term in split.sums.items() if (pair := self.product(term)) is not None}
        values = [term for k, term in split.sums.items() if k not in factors]
        values += [value for a, b, _ in factors.values() for value in (a, b)]
        values += [value for value in split.outputs.values() if value.id not in stacked]
        made = self.make(list({value.id: value for value in values}.values())) | stacked
        for k, value in split.outputs.items():
            found[k] = made[value.id]
        for k, term in split.sums.items():
            pair = factors.get(k)
            with self.builder.at(*term.node.spans if term.node is not None else ()):
                total = _summed(made[term.id]) if pair is None else self.multiplied(pair, made)
                found[k] = self.begin[k] + total
        return found

    def product(self, term: Value) -> tuple[Value, Value, bool] | None:
        """The factors of a product of two matrices that nothing else reads, and whether it is turned."""
        turned = False
        while term.rank == 2 and self.split.read_once(term) and term.node is not None:
            node = term.node
            if node.prim.name == "transpose":
                term, turned = node.inputs[0], turned != (tuple(node.params["axes"]) == (1, 0))
                continue
            known = node.prim.name == "matmul" and all(value.rank == 2 for value in node.inputs)
            if known and node not in self.split.core and all(self.split.levels[value.id] for value in node.inputs):
                return node.inputs[0], node.inputs[1], turned
            return None
        return None

    def multiplied(self, factors: tuple[Value, Value, bool], made: dict[int, Value]) -> Value:
        """Σ over turns of products, as one product: the turns are rows like others."""
        a, b, turned = factors
        rows, columns = _in_rows(made[b.id]), _in_rows(made[a.id], turned=True)
        total = apply("matmul", columns, rows)
        return apply("transpose", total, axes=(1, 0)) if turned else total


def _in_rows(matrices: Value, *, turned: bool = False) -> Value:
    """`[turns, k, n]` as `[turns · k, n]`; `turned`, `[turns, m, k]` as `[m, turns · k]`: where the matrices are
    transposed, the other way round of what is in rows."""
    node = matrices.node
    if not turned:
        turns, inner, columns = matrices.shape
        return apply("reshape", matrices, shape=(turns * inner, columns))
    if node is not None and node.prim.name == "transpose" and tuple(node.params["axes"]) == (0, 2, 1):
        return apply("transpose", _in_rows(node.inputs[0]), axes=(1, 0))
    turns, rows, inner = matrices.shape
    return apply("reshape", apply("transpose", matrices, axes=(1, 0, 2)), shape=(rows, turns * inner))


def _alone(node: Node) -> bool:
    """Whether it runs for one turn at a time: it holds a graph, or has no rule for batches."""
    return bool(regions(node)) or (node.prim.batch is None and node.prim.kind != "elementwise" and bool(node.inputs))


def _summed(array: Value) -> Value:
    return apply("reduce_sum", array, axes=(0,))


def _bytes(values: Iterable[Value]) -> list[int]:
    return [definite(value.aval.nbytes) for value in values]


def _levels(body: Graph, first: int, carry: int) -> bytearray:
    levels = bytearray(body.n_values)
    for k, value in enumerate(body.inputs):
        levels[value.id] = 0 if 0 < k < first else 2 if first <= k < first + carry else 1
    for node in body.nodes:
        level = max((levels[value.id] for value in node.inputs), default=0)
        if _alone(node):
            level = 2
        for out in node.outs:
            levels[out.id] = level
    return levels

"""Plans: the nodes of a graph as flat steps over numbered slots.

A value lives from its step to its last use, in one slot; slots of dead values are taken again. Values that may share
memory (a view and what it looks at) form one *class*, rooted in the value whose step allocates. A result may replace a
dead operand in place where the operand owns its memory alone: it is a root, no other member of its class is alive, and
its class is neither an input, a constant nor an output. Inputs that are *given away* (the carry of a loop, which the
loop owns) count as temporaries. A small view of a large temporary is copied, so that it does not keep the whole alive,
or the next step from writing into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.region import carried, regions
from gradcli.record import field, record
from gradcli.syntax.diagnostics import Span

SMALL = 8  # a view of at most this part of a temporary is copied


@record
class Step:
    """`slots[outs] = node(slots[ins])`, then the slots `dead` are emptied.

    `into` is the operand that the result replaces in place, or None for a new array; `copied` says that the result of
    a view is copied.
    """

    node: Node
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    dead: tuple[int, ...]
    into: int | None = None
    copied: bool = False
    bodies: tuple[tuple[str, FlatPlan], ...] = ()  # of the graphs that the node holds, by the names of their params
    wanted: tuple[bool, ...] = ()  # of a lazy node: the results that somebody reads


@record
class Copy:
    """One result: its slot, and whether it must be copied to be the caller's own."""

    slot: int
    copied: bool


@record(eq=False)
class FlatPlan:
    """What a backend runs. Inputs come in the slots `inputs`, constants in those of `constants`."""

    graph: Graph
    inputs: tuple[int, ...]
    constants: tuple[tuple[int, Node], ...]
    steps: tuple[Step, ...]
    results: tuple[Copy, ...]
    n_slots: int
    peak: int  # bytes of constants, temporaries and results alive at once, beside the inputs
    input_bytes: int
    largest: Value | None  # the value that takes most
    largest_bytes: int
    at_peak: Node | None  # the node that runs when most is alive
    blas_flops: int  # arithmetic of matrix products
    compiled: dict[str, Any] = field(default_factory=dict)  # one program for each backend, made when run


def _blas_flops(node: Node) -> int:
    return node.prim.flops(node) if node.prim.name == "matmul" else 0


def repeated(value: Value) -> bool:
    """A view that shows elements more than once: BLAS wants it written out."""
    node = value.node
    while node is not None and node.prim.view and node.inputs:
        if node.outs[0].aval.size != node.inputs[0].aval.size and node.prim.name == "broadcast_to":
            return True
        node = node.inputs[0].node
    return False


def make_flat(graph: Graph) -> FlatPlan:
    """Plan a graph whose sizes are all known. Raises TypeError for a symbolic one."""
    return _Planner(graph).plan()


def flat_body(graph: Graph, given: range, known: dict[tuple[Graph, range], FlatPlan]) -> FlatPlan:
    """The plan of a graph that a node holds, some of whose inputs are given away; those that are `known` are shared."""
    if (graph, given) not in known:
        known[graph, given] = _Planner(graph, known, given).plan()
    return known[graph, given]


class _Planner:
    """One walk over the nodes with what is alive at each."""

    def __init__(
        self,
        graph: Graph,
        bodies: dict[tuple[Graph, range], FlatPlan] | None = None,
        given: range = range(0),
    ) -> None:
        self.graph = graph
        self.given = given  # positions of the inputs that are given away
        self.bodies = {} if bodies is None else bodies
        self.last = _last_uses(graph)
        self.slot: dict[int, int] = {}
        self.free: list[int] = []
        self.n_slots = 0
        self.root: dict[int, int] = {}  # value → the value whose step allocated its memory
        self.members: dict[int, int] = {}  # root → how many members of its class are alive
        self.bytes: dict[int, int] = {}  # root → bytes; 0 for inputs
        self.lent: set[int] = set()  # roots that are never written to: inputs and constants
        self.alive = 0
        self.peak = 0
        self.at_peak: Node | None = None
        self.largest: Value | None = None
        self.largest_bytes = 0

    def plan(self) -> FlatPlan:
        graph = self.graph
        inputs = tuple(
            self.take(value, nbytes(value) if k in self.given else 0) for k, value in enumerate(graph.inputs)
        )
        self.lent.update(value.id for k, value in enumerate(graph.inputs) if k not in self.given)
        input_bytes = sum(nbytes(value) for value in graph.inputs)
        constants = [node for node in graph.nodes if node.prim.name == "constant"]
        slots = [(self.take(node.outs[0], nbytes(node.outs[0]), node), node) for node in constants]
        self.lent.update(node.outs[0].id for node in constants)
        steps = [self.step(k, node) for k, node in enumerate(graph.nodes) if node.prim.name != "constant"]
        results = self.results()
        return FlatPlan(
            graph, inputs, tuple(slots), tuple(steps), results, self.n_slots, self.peak, input_bytes,
            self.largest, self.largest_bytes, self.at_peak,
            sum(map(_blas_flops, graph.nodes)) + sum(plan.blas_flops for step in steps for _, plan in step.bodies),
        )  # fmt: skip

    # ── one step ────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, place: int, node: Node) -> Step:
        ins = tuple(self.slot[value.id] for value in node.inputs)
        into = self.in_place(place, node)
        copied = node.prim.view and bool(node.inputs) and self.keeps_alive(node)
        outs: tuple[int, ...]
        if into is not None:
            outs = (self.rename(node.inputs[into], node.outs[0]),)
        else:
            for out in node.outs:
                if node.prim.view and node.inputs and not copied:
                    self.share(out, self.root[node.inputs[0].id])
                else:
                    self.take(out, 0 if node.prim.lazy and out.id not in self.last else nbytes(out), node)
            outs = tuple(self.slot[out.id] for out in node.outs)
        bodies = tuple(
            (name, flat_body(graph, carried(node, name), self.bodies)) for name, graph in regions(node).items()
        )
        self.pass_by(sum(plan.peak for _, plan in bodies), node)
        self.pass_by(sum(nbytes(v) for v in node.inputs if node.prim.name == "matmul" and repeated(v)), node)
        dead = [value for value in {v.id: v for v in node.inputs}.values() if self.last[value.id] == place]
        dead += [out for out in node.outs if out.id not in self.last]
        if into is not None:
            dead = [value for value in dead if value is not node.inputs[into]]
        wanted = tuple(out.id in self.last for out in node.outs) if node.prim.lazy else ()
        return Step(node, ins, outs, tuple(self.drop(value) for value in dead), into, copied, bodies, wanted)

    def in_place(self, place: int, node: Node) -> int | None:
        """The operand that the result may replace."""
        prim = node.prim
        if len(node.outs) != 1:
            return None
        if prim.overwrites is not None:
            candidates: Sequence[int] = (prim.overwrites,)
        elif prim.kind == "elementwise" and prim.ufunc is not None and not node.params:
            candidates = range(len(node.inputs))
        else:
            return None
        out = node.outs[0]
        for k in candidates:
            value = node.inputs[k]
            if value.aval == out.aval and value.rank and self.last[value.id] == place and self.owns(value):
                root = self.root[value.id]
                if all(other is value or self.root[other.id] != root for other in node.inputs):
                    return k if prim.overwrites is None or node.inputs.count(value) == 1 else None
        return None

    def owns(self, value: Value) -> bool:
        """Whether its memory is its own: allocated by its step, and seen by no other value that is alive."""
        root = self.root[value.id]
        return root == value.id and root not in self.lent and self.members[root] == 1

    def keeps_alive(self, node: Node) -> bool:
        """Whether a view is a small part of a temporary."""
        root = self.root[node.inputs[0].id]
        return root not in self.lent and SMALL * sum(map(nbytes, node.outs)) <= self.bytes[root]

    # ── slots and bytes ─────────────────────────────────────────────────────────────────────────────────────

    def place_of(self, value: Value) -> int:
        slot = self.free.pop() if self.free else self.n_slots
        self.n_slots = max(self.n_slots, slot + 1)
        self.slot[value.id] = slot
        return slot

    def take(self, value: Value, size: int, node: Node | None = None) -> int:
        """A new class of memory."""
        self.root[value.id] = value.id
        self.members[value.id] = 1
        self.bytes[value.id] = size
        self.alive += size
        if self.alive > self.peak:
            self.peak, self.at_peak = self.alive, node
        if size > self.largest_bytes:
            self.largest, self.largest_bytes = value, size
        return self.place_of(value)

    def pass_by(self, size: int, node: Node) -> None:
        """Memory that a step takes and gives back."""
        if size and self.alive + size > self.peak:
            self.peak, self.at_peak = self.alive + size, node

    def share(self, value: Value, root: int) -> int:
        """A view: one more member of a class."""
        self.root[value.id] = root
        self.members[root] += 1
        return self.place_of(value)

    def rename(self, old: Value, new: Value) -> int:
        """The result takes over the memory and the slot of a dead operand."""
        self.root[new.id] = new.id
        self.members[new.id] = 1
        self.bytes[new.id] = self.bytes.pop(old.id)
        self.slot[new.id] = self.slot.pop(old.id)
        return self.slot[new.id]

    def drop(self, value: Value) -> int:
        """A value dies; with the last of its class its memory goes."""
        slot = self.slot.pop(value.id)
        self.free.append(slot)
        root = self.root[value.id]
        self.members[root] -= 1
        if not self.members[root] and root not in self.lent:
            self.alive -= self.bytes[root]
        return slot

    def results(self) -> tuple[Copy, ...]:
        """Copied is what the caller would share: an input, a constant, a view, the same value twice."""
        seen: set[int] = set()
        made = []
        for value in self.graph.outputs:
            root = self.root[value.id]
            copied = root in self.lent or root != value.id or root in seen
            seen.add(root)
            if copied:
                self.alive += nbytes(value)
                self.note(value)
            made.append(Copy(self.slot[value.id], copied))
        self.peak = max(self.peak, self.alive)
        return tuple(made)

    def note(self, value: Value) -> None:
        if nbytes(value) > self.largest_bytes:
            self.largest, self.largest_bytes = value, nbytes(value)


def _last_uses(graph: Graph) -> dict[int, int]:
    """Value → the place of the last node that reads it; an output is read after all nodes."""
    last: dict[int, int] = {}
    for place, node in enumerate(graph.nodes):
        for value in node.inputs:
            last[value.id] = place
    for value in graph.outputs:
        last[value.id] = len(graph.nodes)
    return last


def nbytes(value: Value) -> int:
    """Bytes of an array of known sizes."""
    size = value.aval.nbytes
    if not isinstance(size, int):
        raise TypeError(f"the size of {value!r} is not known")
    return int(size)


def span_of(node: Node | None) -> Span | None:
    """Where the model asked for it: a line of its own before a line of the prelude."""
    if node is None or not node.spans:
        return None
    return next((span for span in node.spans if not span.source.prelude), node.spans[0])

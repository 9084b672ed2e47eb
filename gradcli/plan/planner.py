"""Graph → Plan: where each value lives, what is written in place, what is alive when.

One walk over the steps gives every value a *storage*: a new one, that of the operand which it replaces, or that of what
it looks at. A storage is alive from the step that fills it to the last step that reads one of its values. Then storages
that hold a whole result become that result, and those that are left share the arena.

A result may replace an operand that dies at its step, where the operator allows it, the operand fills its storage, and
nothing else that is alive lives there; never an input, a constant or a result.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.primitive import is_registered
from gradcli.ir.region import carried
from gradcli.ir.region import regions as graphs_of
from gradcli.plan import costs
from gradcli.plan.arena import Arena
from gradcli.plan.blocks import Tiling, blocks_of, steps_of
from gradcli.plan.flat import FlatPlan, flat_body, nbytes, repeated
from gradcli.plan.plan import Blocks, Call, Home, Kind, Plan, Step, Storage, Turns
from gradcli.plan.writing import aliases, writes
from gradcli.record import replace

if TYPE_CHECKING:
    from gradcli.plan.rows import Region

LINEAR_ALGEBRA = {"matmul", "solve", "inv", "cholesky", "det", "slogdet", "cofactor", "cofactor_along"}
LARGE, FEW = 1 << 16, 3  # a small result of many steps in place is copied at the end: steps in the arena start faster
SMALL = 8  # a view of at most this part of a temporary is copied, so that the temporary may go


def make_plan(graph: Graph, tiling: Tiling | None = None) -> Plan:
    """Plan a graph whose sizes are all known. Raises TypeError for a symbolic one."""
    return _Planner(graph, tiling or Tiling()).plan()


def plan_of_turn(graph: Graph, tiling: Tiling, first_carry: int, given: Sequence[int]) -> Plan:
    """The plan of a loop's body, whose results are as quick to write to as anything else. Inputs that are given away,
    carries without history, may be written to."""
    making = [node for node in graph.nodes if not node.prim.view and node.prim.overwrites is None]
    large = sum(nbytes(out) for node in making for out in node.outs) >= costs.LARGE_TURN
    return _Planner(graph, tiling if large else tiling.inside(), sys.maxsize, first_carry, given).plan()


class _Draft:
    """A storage while the walk goes on."""

    __slots__ = ("first", "kind", "last", "nbytes", "place", "values", "whole")

    def __init__(self, kind: Kind, nbytes: int, first: int, place: int = 0) -> None:
        self.kind, self.nbytes, self.first, self.last, self.place = kind, nbytes, first, first, place
        self.values: list[Value] = []
        self.whole: Value | None = None  # the value that fills it now


class _Planner:
    def __init__(
        self, graph: Graph, tiling: Tiling, few: int = FEW, first_carry: int = 0, given: Sequence[int] = ()
    ) -> None:
        self.graph = graph
        self.few = few  # values in a small result that is worth a place of its own
        self.first_carry, self.given = first_carry, frozenset(given)  # inputs of a loop's body
        self.tiling = tiling
        self.input_bytes = sum(map(nbytes, graph.inputs))
        self.items = [item for item in steps_of(graph, tiling) if not _constant(item)]
        self.last = _last_uses(graph, self.items)
        self.drafts: list[_Draft] = []
        self.homes: dict[int, Home] = {}
        self.bodies: dict[tuple[Graph, range], FlatPlan] = {}
        self.turn_plans: dict[tuple[Graph, tuple[int, ...]], Plan] = {}
        self.passing: dict[int, int] = {}  # bytes that a step takes and gives back

    def plan(self) -> Plan:
        for k, value in enumerate(self.graph.inputs):
            kind: Kind = "carry" if k in self.given else "input"
            self.settle(value, _Draft(kind, nbytes(value), -1, k), fixed=False, packed=k in self.given)
        for node in self.graph.nodes:
            if node.prim.name == "constant":
                self.settle(node.outs[0], _Draft("constant", nbytes(node.outs[0]), -1))
        steps = tuple(self.step(number, item) for number, item in enumerate(self.items))
        copied = self.claim_results()
        arena = self.share_arena()
        own = sum(draft.nbytes for draft in self.drafts if draft.kind in ("constant", "result"))
        own += sum(nbytes(self.graph.outputs[k]) for k in copied) + sum(map(self.views, steps))
        made = max(self.alive(("made",)))
        largest = max((d.whole for d in self.drafts if d.whole and d.kind != "input"), key=nbytes, default=None)
        return Plan(
            self.graph, steps, tuple(map(_storage, self.drafts)), self.homes, copied, self.dead(), arena,
            made, own + arena + made, self.input_bytes, largest,
            0 if largest is None else nbytes(largest), self.busiest(), uses_blas(self.graph),
        )  # fmt: skip

    # ── one step ────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, number: int, item: Node | Region) -> Step:
        if not isinstance(item, Node):
            return self.region(number, item)
        node = item
        operand = self.homes[node.inputs[0].id] if node.inputs else None
        if node.prim.view and operand is not None and self.shows(node, operand):
            self.look(node, operand)
            return Call(node, "view")
        into = self.replaced(number, node)
        if into is not None:
            self.take_over(node.inputs[into], node.outs[0])
            return Call(node, "replace", into)
        if node.prim.view and node.inputs:
            self.settle(node.outs[0], _Draft("arena", nbytes(node.outs[0]), number))
            return Call(node, "copy")
        if writes(node):
            self.passing[number] = sum(nbytes(v) for v in node.inputs if node.prim.name == "matmul" and repeated(v))
            self.settle(node.outs[0], _Draft("arena", nbytes(node.outs[0]), number))
            return Call(node, "write")
        if node.prim.name == "scan" and node.params["cond"] is None and not node.params["counted"]:
            return self.turns(number, node)
        return self.made(number, node)

    def turns(self, number: int, node: Node) -> Turns:
        body, carry = node.params["body"], node.params["carry"]
        wanted = tuple(out.id in self.last for out in node.outs)
        carries = range(1 + node.params["consts"], 1 + node.params["consts"] + carry)
        given = tuple(place for place, history in zip(carries, wanted[carry:], strict=False) if not history)
        if (body, given) not in self.turn_plans:
            self.turn_plans[body, given] = plan_of_turn(body, self.tiling, carries.start, given)
        plan = self.turn_plans[body, given]
        stays = tuple(plan.stays(k) for k in range(carry))
        for out, read in zip(node.outs, wanted, strict=True):
            if read:
                self.settle(out, _Draft("arena", nbytes(out), number))
        spare = [None if history or stay else self.scratch(number, nbytes(out)) for out, history, stay in
                 zip(node.outs, wanted[carry:], stays, strict=False)]  # fmt: skip
        ends = [None if read else self.scratch(number, nbytes(out)) for out, read in
                zip(node.outs[:carry], wanted, strict=False)]  # fmt: skip
        self.passing[number] = plan.made
        room = self.scratch(number, plan.arena) if plan.arena else None
        return Turns(node, plan, wanted, stays, tuple(spare), tuple(ends), room)

    def region(self, number: int, region: Region) -> Blocks:
        for output in region.outputs:
            self.settle(output.value, _Draft("arena", nbytes(output.value), number))
        made = blocks_of(region, self.tiling, lambda graph: make_plan(graph, self.tiling.inside()))
        step = Blocks(region, *made, partial=())
        partial = tuple(tuple(self.scratch(number, nbytes(v)) for v in step.sums) for _ in made.lanes[1:])
        threads = min(len(made.lanes), self.tiling.threads) if step.kit else 0
        kits = tuple(self.scratch(number, step.kit) for _ in range(threads))
        self.passing[number] = made.full.made * min(len(made.lanes), self.tiling.threads)
        return replace(step, partial=partial, kits=kits)

    def made(self, number: int, node: Node) -> Call:
        wanted = tuple(out.id in self.last for out in node.outs) if node.prim.lazy else ()
        for k, out in enumerate(node.outs):
            size = nbytes(out) if not wanted or wanted[k] else 0
            self.settle(out, _Draft("made", size, number), fixed=False)
        bodies = tuple(
            (name, flat_body(graph, carried(node, name), self.bodies)) for name, graph in graphs_of(node).items()
        )
        self.passing[number] = sum(plan.peak for _, plan in bodies)
        return Call(node, "make", bodies=bodies, wanted=wanted)

    def shows(self, node: Node, operand: Home) -> bool:
        """Whether the result is to look at its operand: it can, and does not keep much memory for little."""
        draft = self.drafts[operand.storage]
        if node.prim.name == "reshape" and not operand.packed and draft.kind != "input":
            return False
        return draft.kind not in ("arena", "made") or SMALL * nbytes(node.outs[0]) > draft.nbytes

    def look(self, node: Node, operand: Home) -> None:
        """Operators that only look are asked once; one that does more than that, such as taking notes, in each run."""
        packed = operand.packed and _stays_packed(node)
        fixed = operand.fixed and is_registered(node.prim)
        for out in node.outs:
            self.homes[out.id] = Home(operand.storage, fixed, packed)
            self.live(operand.storage, out)

    def replaced(self, number: int, node: Node) -> int | None:
        """The operand whose memory the result takes over."""
        out = node.outs[0]
        for k in aliases(node):
            value = node.inputs[k]
            if value.aval != out.aval or self.last[value.id] != number:
                continue
            home = self.homes[value.id]
            draft = self.drafts[home.storage]
            alone = draft.kind in ("arena", "carry") and draft.whole is value and draft.last == number
            others = [v for v in node.inputs if v is not value and self.homes[v.id].storage == home.storage]
            once = node.prim.overwrites is None or node.inputs.count(value) == 1
            if alone and once and not others:
                return k
        return None

    # ── storages ────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self, value: Value, draft: _Draft, *, fixed: bool = True, packed: bool = True) -> None:
        """A storage of its own."""
        self.homes[value.id] = Home(len(self.drafts), fixed, packed)
        draft.whole = value
        self.drafts.append(draft)
        self.live(len(self.drafts) - 1, value)

    def take_over(self, old: Value, new: Value) -> None:
        home = self.homes[old.id]
        self.homes[new.id] = home
        self.drafts[home.storage].whole = new
        self.live(home.storage, new)

    def live(self, storage: int, value: Value) -> None:
        draft = self.drafts[storage]
        draft.values.append(value)
        draft.last = max(draft.last, self.last.get(value.id, draft.last))

    def scratch(self, number: int, size: int) -> int:
        self.drafts.append(_Draft("arena", size, number))
        return len(self.drafts) - 1

    # ── after the walk ──────────────────────────────────────────────────────────────────────────────────────

    def claim_results(self) -> tuple[int, ...]:
        """Storages that hold a whole result in the end become the result, or are the carry that it is of; gives the
        outputs that are copied."""
        copied = []
        for k, value in enumerate(self.graph.outputs):
            home = self.homes[value.id]
            draft = self.drafts[home.storage]
            worth = draft.nbytes >= LARGE or len(draft.values) <= self.few
            if draft.kind == "carry" and draft.whole is value and draft.place == self.first_carry + k:
                continue
            if draft.kind == "arena" and draft.whole is value and worth:
                draft.kind, draft.place = "result", k
                for held in draft.values:
                    self.homes[held.id] = Home(home.storage, False, self.homes[held.id].packed)
            else:
                copied.append(k)
        return tuple(copied)

    def share_arena(self) -> int:
        """Give each storage of the arena its offset; gives the bytes of the arena."""
        arena = Arena()
        ends: dict[int, list[_Draft]] = {}  # those that die at each step
        passed = 0
        for draft in sorted((d for d in self.drafts if d.kind == "arena"), key=lambda draft: draft.first):
            for number in range(passed, draft.first):
                for old in ends.pop(number, ()):
                    arena.give(old.place, old.nbytes)
            passed = max(passed, draft.first)
            draft.place = arena.take(draft.nbytes)
            ends.setdefault(draft.last, []).append(draft)
        return arena.size

    def views(self, step: Step) -> int:
        """Bytes of the views of rows that a loop keeps between runs: of arrays that are the same in every run."""
        if not isinstance(step, Turns) or not 0 < step.node.params["turns"] <= costs.ROWS_KEPT:
            return 0
        if _of_numbers(step.body.graph):  # whose rows are floats of Python, some thousand at a time
            return 0
        first = step.node.params["consts"] + step.node.params["carry"]
        outs = [out for out, read in zip(step.node.outs, step.wanted, strict=True) if read]
        rows = [*step.node.inputs[first:], *outs[sum(step.wanted[: step.node.params["carry"]]) :]]
        kept = [costs.VIEW + costs.VIEW_DIM * (value.rank - 1) for value in rows if self.homes[value.id].fixed]
        return sum(kept) * int(step.node.params["turns"])

    def alive(self, kinds: Sequence[str]) -> list[int]:
        """Bytes of such storages at each step, and what the step itself passes by."""
        change = [0] * (len(self.items) + 2)
        for draft in self.drafts:
            if draft.kind in kinds:
                change[max(draft.first, 0)] += draft.nbytes
                change[min(draft.last, len(self.items)) + 1] -= draft.nbytes
        found = list(accumulate(change))
        for number, size in self.passing.items():
            found[number] += size
        return found

    def busiest(self) -> Node | None:
        if not self.items:
            return None
        alive = self.alive(("arena", "result", "made"))[: len(self.items)]
        item = self.items[alive.index(max(alive))]
        return item if isinstance(item, Node) else max(item.nodes, key=lambda node: sum(map(nbytes, node.outs)))

    def dead(self) -> tuple[tuple[Value, ...], ...]:
        """After each step, the values in memory of their operators that nobody reads any more."""
        found: list[tuple[Value, ...]] = [()] * len(self.items)
        for draft in self.drafts:
            if draft.kind == "made" and draft.last < len(self.items):
                found[draft.last] += tuple(draft.values)
        return tuple(found)


def _of_numbers(body: Graph) -> bool:
    values = [*body.inputs[1:], *(out for node in body.nodes for out in node.outs)]
    return all(not value.rank and value.dtype in ("f64", "bool") for value in values)


def _storage(draft: _Draft) -> Storage:
    return Storage(draft.kind, draft.nbytes, draft.first, draft.last, draft.place, tuple(draft.values))


def uses_blas(graph: Graph) -> bool:
    """Whether a node, also within a loop, calls into BLAS or LAPACK."""
    found = [graph]
    for part in found:
        if any(node.prim.name in LINEAR_ALGEBRA or _adds_many(node) for node in part.nodes):
            return True
        found += [inner for node in part.nodes for inner in graphs_of(node).values()]
    return False


def _adds_many(node: Node) -> bool:
    """Whether BLAS, which a route may let add up rows, would do so with several threads."""
    if node.prim.name != "reduce_sum" or not node.outs[0].rank:
        return False
    return definite(node.inputs[0].aval.size) >= costs.SHARED_SUM


def _constant(item: Node | Region) -> bool:
    return isinstance(item, Node) and item.prim.name == "constant"


def _stays_packed(node: Node) -> bool:
    """Whether a view of what is packed is packed."""
    x, out = node.inputs[0].aval, node.outs[0].aval
    if node.prim.name == "slice":
        leads = [k for k, (a, b) in enumerate(zip(x.shape, out.shape, strict=True)) if a != b]
        return leads in ([], [0]) and all(step == 1 for _, _, step in node.params["items"])
    return node.prim.name in ("reshape", "stop_gradient") or (node.prim.name == "broadcast_to" and x.size == out.size)


def _last_uses(graph: Graph, items: Sequence[Node | Region]) -> dict[int, int]:
    """Value → the number of the last step that reads it; an output is read after all steps."""
    last: dict[int, int] = {}
    for number, item in enumerate(items):
        for value in item.inputs:
            last[value.id] = number
    for value in graph.outputs:
        last[value.id] = len(items)
    return last

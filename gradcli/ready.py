"""A request made ready to be run node by node: the graph of its value and gradients, before any pass, and its data.

Nodes keep their places in the model and their roles in a derivative. Where memory is short, loops keep less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from gradcli import running, saying
from gradcli.differentiate import Derived
from gradcli.engine import MAX_LEVELS, Machine
from gradcli.interp.params import FromFile
from gradcli.interp.program import Fed, Feed, Prepared, Program
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Value
from gradcli.ir.region import regions
from gradcli.passes.checkpoints import checkpoint_loops, lengths
from gradcli.passes.histories import keep_parts
from gradcli.passes.loops import prune
from gradcli.places import Around
from gradcli.plan import check_memory, fits, make_flat
from gradcli.record import record, replace
from gradcli.request import Request
from gradcli.syntax.diagnostics import ModelError, Span
from gradcli.tracing import Tracer

if TYPE_CHECKING:
    from gradcli.weights import Given


@record(eq=False)
class Cut:
    """Loops that keep less, because memory is short, and run some of their turns again: the turns of each, by its
    places, and how often they were cut (see `passes.checkpoints`)."""

    turns: Mapping[tuple[Span, ...], int]
    levels: int = 1

    def turn(self, around: Around) -> tuple[int | None, Around]:
        """The turn of the loop around, of which a step may be in a chunk; and the outermost chunk."""
        chunks = [around]
        while around.outer is not None and around.node is not None and around.outer.node is not None and (
            around.outer.node.spans == around.node.spans and around.node.spans in self.turns
        ):  # fmt: skip
            around = around.outer
            chunks.insert(0, around)
        turn, left = chunks[-1].turn, 0 if around.node is None else self.turns.get(around.node.spans, 0)
        for k, chunk in enumerate(chunks[:-1]):
            left = lengths(left, self.levels - k)[1]
            turn = None if turn is None or chunk.turn is None else turn + chunk.turn * left
        return turn, around


@record(eq=False)
class Ready:
    """A request ready to be run node by node; `feeds` name the data of each graph input: name and source."""

    program: Program
    prepared: Prepared
    derived: Derived
    inputs: tuple[Any, ...]
    feeds: tuple[tuple[str, str], ...]
    sens: tuple[dict[str, Any], ...]
    cut: Cut

    def spoiling(self, tracer: Tracer) -> set[int]:
        """The births that spoil a result."""
        return {root for _, _, value in self.results if value.id in tracer.bad for root in tracer.bad[value.id].roots}

    @property
    def results(self) -> list[tuple[str, Literal["value", "gradient"], Value]]:
        """Name, kind and value of each result."""
        count, outputs = len(self.prepared.outputs), self.derived.graph.outputs
        names = [*self.prepared.outputs, *map(",".join, self.derived.names)]
        return [(name, "value" if k < count else "gradient", value)
                for k, (name, value) in enumerate(zip(names, outputs, strict=True))]  # fmt: skip


def get_ready(program: Program, prepared: Prepared, request: Request) -> Ready:
    """Raises ModelError as `grad` does, NUM001 where it cannot fit into memory."""
    machine = Machine(memory=request.memory)
    given = running.read_sens(program, prepared, request) if request.sens or request.sens_arrays is not None else None
    derived = _derived(prepared, request, None if given is None else list(given))
    for fed in prepared.params:
        derived.graph.inputs[fed.position].hint = fed.name  # `l1.w`, which tells the layer
    _name_inside(derived.graph)
    graph, cut = _fitting(derived.graph, request.memory)
    derived = replace(derived, graph=graph)
    inputs = [*running.feed_arrays(prepared, machine), *running.sens_arrays(given or {}, derived.weighted, machine)]
    feeds: list[tuple[str, str]] = [("", "")] * len(inputs)
    for fed in (*prepared.inputs, *prepared.params, *prepared.data):
        feeds[fed.position] = _source(fed)
    for k, (name, _) in enumerate(derived.weighted, len(prepared.graph.inputs)):
        feeds[k] = (f"sens {name}", _weight(given, name))
    return Ready(program, prepared, derived, tuple(inputs), tuple(feeds), running.describe_sens(prepared, given), cut)


def _name_inside(graph: Graph) -> None:
    """What comes into a checkpoint without a name is called by what the model gives to it."""
    graphs = [graph]
    for around in graphs:
        for node in around.nodes:
            graphs += regions(node).values()
            if node.prim.name == "checkpoint":
                for value, given in zip(node.params["body"].inputs, node.inputs, strict=True):
                    said = saying.operand(given)
                    value.hint = value.hint or (said if re.fullmatch(r"[\w.…]+(\[[^\[\]]*\])?", said) else f"({said})")


def _derived(prepared: Prepared, request: Request, weighted: list[str] | None) -> Derived:
    """The graph of the gradients; of the value alone where nothing was asked for and nothing has a gradient."""
    try:
        return running.derive_request(prepared, request, weighted)
    except ModelError as error:
        asked = request.get_all or request.get_by_list or request.wrt or request.at or weighted or request.order > 1
        if asked or error.diagnostics[0].code not in ("DIF001", "DIF002"):
            raise
        return Derived(prepared.graph, (), (), (), ())


def _fitting(graph: Graph, memory: int | None) -> tuple[Graph, Cut]:
    """The graph; where it keeps too much, with loops that keep less. Raises ModelError NUM001."""
    plan = make_flat(graph)
    if fits(plan, memory):
        return graph, Cut({})
    whole = prune(keep_parts(graph))
    least = make_flat(whole)
    for levels in range(1, MAX_LEVELS + 1):
        shorter = checkpoint_loops(whole, levels)
        plan = make_flat(shorter)
        if fits(plan, memory):
            turns = {node.spans: definite(node.params["turns"]) for node in whole.nodes if node.prim.name == "scan"}
            return shorter, Cut(turns if shorter is not whole else {}, levels)
        least = min(least, plan, key=lambda plan: plan.peak)
        if levels > 1 and shorter is whole:
            break
    check_memory(least, memory)
    return whole, Cut({})


def _source(fed: Fed) -> tuple[str, str]:
    match fed.origin:
        case Feed():
            return fed.name, fed.origin.source
        case FromFile():
            return fed.name, fed.origin.stored.name
    return fed.name, str(getattr(fed.origin, "name", ""))


def _weight(given: Mapping[str, Given] | None, name: str) -> str:
    return given[name].source if given is not None and name in given else ""

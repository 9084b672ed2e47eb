"""A request made ready to be run node by node: the graph of its value and gradients, before any pass, and its data.

Nodes keep their places in the model and their roles in a derivative. Where memory is short, loops keep less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from gradcli import running
from gradcli.differentiate import Derived
from gradcli.engine import MAX_LEVELS, Machine
from gradcli.interp.params import FromFile
from gradcli.interp.program import Fed, Feed, Prepared, Program
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Value
from gradcli.ir.region import graphs_of
from gradcli.passes.checkpoints import checkpoint_loops
from gradcli.passes.histories import keep_parts
from gradcli.passes.loops import prune
from gradcli.plan import check_memory, fits, make_flat
from gradcli.record import record, replace
from gradcli.request import Request
from gradcli.syntax.diagnostics import ModelError, Span
from gradcli.trace import saying
from gradcli.trace.tracer import Tracer
from gradcli.trace.turns import Turns

if TYPE_CHECKING:
    from gradcli.weights import Given

WHOLE = "@"  # before a whole name


@record(eq=False)
class Ready:
    """A request ready to be run node by node; `feeds` name the data of each graph input: name and source."""

    program: Program
    prepared: Prepared
    derived: Derived
    inputs: tuple[Any, ...]
    feeds: tuple[tuple[str, str], ...]
    sens: tuple[dict[str, Any], ...]
    turns: Turns
    inside: Mapping[int, str]  # what is named inside a layer, by its whole name: `l1/h`

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
    with _whole_names(prepared):
        derived = _derived(prepared, request, None if given is None else list(given))
    for fed in prepared.params:
        derived.graph.inputs[fed.position].hint = fed.name  # `l1.w`, which tells the layer
    graph, turns = _fitting(derived.graph, request.memory, prepared.loops)
    derived = replace(derived, graph=graph)
    inside = _shortened(derived, len(prepared.outputs))
    _name_inside(graph)
    inputs = [*running.feed_arrays(prepared, machine), *running.sens_arrays(given or {}, derived.weighted, machine)]
    feeds: list[tuple[str, str]] = [("", "")] * len(inputs)
    for fed in (*prepared.inputs, *prepared.params, *prepared.data):
        feeds[fed.position] = _source(fed)
    for k, (name, _) in enumerate(derived.weighted, len(prepared.graph.inputs)):
        feeds[k] = (f"sens {name}", _weight(given, name))
    return Ready(
        program, prepared, derived, tuple(inputs), tuple(feeds), running.describe_sens(prepared, given), turns, inside
    )  # fmt: skip


@contextmanager
def _whole_names(prepared: Prepared) -> Iterator[None]:
    """Named lines of layers by their whole names, for as long as the block lasts: derivatives are named after them."""
    named = {value: name for name, value in prepared.lines.items() if value.hint == name.rpartition("/")[2] != name}
    for value, name in named.items():
        value.hint = WHOLE + name
    try:
        yield
    finally:
        for value, name in named.items():
            value.hint = name.rpartition("/")[2]


def _shortened(derived: Derived, count: int) -> dict[int, str]:
    """The values with whole names, which are called by their own again; and gradients by params of layers."""
    graph, found = derived.graph, {}
    for value in (*graph.inputs, *(out for node in graph.nodes for out in node.outs)):
        sign, marked, name = value.hint.partition(WHOLE)
        if marked:
            value.hint, found[value.id] = sign + name.rpartition("/")[2], name
    for names, value in zip(derived.names, graph.outputs[count:], strict=True):
        if value.hint == f"d_{names[-1].rpartition('.')[2]}":
            found[value.id] = names[-1]
    return found


def _name_inside(graph: Graph) -> None:
    """What comes into a checkpoint without a name is called by what the model gives to it."""
    for around in graphs_of(graph):
        for node in around.nodes:
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


def _fitting(graph: Graph, memory: int | None, bounds: Mapping[Span, Set[tuple[int, int]]]) -> tuple[Graph, Turns]:
    """The graph; where it keeps too much, with loops that keep less. Raises ModelError NUM001."""
    plan = make_flat(graph)
    if fits(plan, memory):
        return graph, Turns(bounds, {})
    whole = prune(keep_parts(graph))
    least = make_flat(whole)
    for levels in range(1, MAX_LEVELS + 1):
        shorter = checkpoint_loops(whole, levels)
        plan = make_flat(shorter)
        if fits(plan, memory):
            cut = {node.spans: definite(node.params["turns"]) for node in whole.nodes if node.prim.name == "scan"}
            return shorter, Turns(bounds, cut if shorter is not whole else {}, levels)
        least = min(least, plan, key=lambda plan: plan.peak)
        if levels > 1 and shorter is whole:
            break
    check_memory(least, memory)
    return whole, Turns(bounds, {})


def _source(fed: Fed) -> tuple[str, str]:
    match fed.origin:
        case Feed():
            return fed.name, fed.origin.source
        case FromFile():
            return fed.name, fed.origin.stored.name
    return fed.name, str(getattr(fed.origin, "name", ""))


def _weight(given: Mapping[str, Given] | None, name: str) -> str:
    return given[name].source if given is not None and name in given else ""

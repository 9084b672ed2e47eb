"""`trace`: the value and the gradients of a request node by node, and what went bad on the way as a reader sees it.

The graph is that of `grad`, before any pass: every node keeps its place in the model and its role in a derivative. The
first birth (see `tracing`) that spoils a result is the finding. A repair is only told after the repaired model, or the
model in a wider dtype, was run and did not go bad at that place again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from gradcli import mends, running, saying
from gradcli.api import open_model, prepare, read_consts, read_feeds, read_params
from gradcli.differentiate import Derived
from gradcli.engine import Machine
from gradcli.interp.elaborate import Options
from gradcli.interp.params import FromFile
from gradcli.interp.program import Fed, Feed, Prepared, Program
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Role, Value
from gradcli.nearness import LEAST, SHRINKING, Probe, underflows
from gradcli.passes.histories import keep_parts
from gradcli.passes.loops import prune
from gradcli.places import Around, own_span, role_of, span_around
from gradcli.plan import check_memory, fits, make_plan
from gradcli.record import record, replace
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ModelError, Source, Span
from gradcli.traced import Born, Finding, Hop, Mend, Near, Operand, Spoiled, Trace, Turn
from gradcli.tracing import LIMITS, Birth, Nearest, Tracer, numbers_at, steps

if TYPE_CHECKING:
    from gradcli.weights import Given

MOST_HARMLESS = 5
MOST_MENDS = 3  # that are tried
WIDER = {"f16": ("f32", "f64"), "f32": ("f64",), "f64": ()}


@record(eq=False)
class Ready:
    """A request ready to be run node by node; `feeds` name the data of each graph input: name and source."""

    program: Program
    prepared: Prepared
    derived: Derived
    inputs: tuple[Any, ...]
    feeds: tuple[tuple[str, str], ...]
    sens: tuple[dict[str, Any], ...]

    @property
    def results(self) -> list[tuple[str, Literal["value", "gradient"], Value]]:
        """Name, kind and value of each result."""
        count, outputs = len(self.prepared.outputs), self.derived.graph.outputs
        names = [*self.prepared.outputs, *map(",".join, self.derived.names)]
        return [(name, "value" if k < count else "gradient", value)
                for k, (name, value) in enumerate(zip(names, outputs, strict=True))]  # fmt: skip


def trace(
    file: ModelFile,
    request: Request,
    *,
    margins: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Trace:
    """What a run finds. Raises ModelError as `grad` does."""
    ready = _ready(*prepare(file, request), request)
    if on_start is not None:
        on_start(steps(ready.derived.graph))
    probe = Probe() if margins else None
    tracer = Tracer(on_step=on_step) if probe is None else Tracer(probe.look, on_step, probe.carries)
    outs = tracer.run(ready.derived.graph, ready.inputs)
    root = _first(ready, tracer)
    finding = None
    if root is not None:
        finding = _finding(ready, tracer, root, outs)
        finding = replace(finding, mend=_mend(file, request, ready, tracer, root, finding))
    spoiling = _spoiling(ready, tracer)
    harmless = [k for k, birth in enumerate(tracer.births) if k not in spoiling and birth.node is not None]
    return Trace(
        ready.program.scope.source.name, ready.prepared.net, ready.program.scope.edition, ready.sens, request.order,
        len(ready.derived.graph.nodes), finding,
        tuple(_finding(ready, tracer, k, outs) for k in _one_a_place(tracer, harmless)) if root is None else (),
        _near(tracer.nearest), None if probe is None else probe.margins(),
        (*ready.prepared.notes, *ready.derived.notes),
    )  # fmt: skip


def _ready(program: Program, prepared: Prepared, request: Request) -> Ready:
    machine = Machine(memory=request.memory)
    given = running.read_sens(program, prepared, request) if request.sens or request.sens_arrays is not None else None
    derived = _derived(prepared, request, None if given is None else list(given))
    derived = replace(derived, graph=_fitting(derived.graph, request.memory))
    inputs = [*running.feed_arrays(prepared, machine), *running.sens_arrays(given or {}, derived.weighted, machine)]
    feeds: list[tuple[str, str]] = [("", "")] * len(inputs)
    for fed in (*prepared.inputs, *prepared.params, *prepared.data):
        feeds[fed.position] = _source(fed)
    for k, (name, _) in enumerate(derived.weighted, len(prepared.graph.inputs)):
        feeds[k] = (f"sens {name}", _weight(given, name))
    return Ready(program, prepared, derived, tuple(inputs), tuple(feeds), running.describe_sens(prepared, given))


def _derived(prepared: Prepared, request: Request, weighted: list[str] | None) -> Derived:
    """The graph of the gradients; of the value alone where nothing was asked for and nothing has a gradient."""
    try:
        return running.derive_request(prepared, request, weighted)
    except ModelError as error:
        asked = request.get_all or request.get_by_list or request.wrt or request.at or weighted or request.order > 1
        if asked or error.diagnostics[0].code not in ("DIF001", "DIF002"):
            raise
        return Derived(prepared.graph, (), (), (), ())


def _fitting(graph: Graph, memory: int | None) -> Graph:
    """The graph; where it keeps too much, without what loops keep and nobody reads. Raises ModelError NUM001."""
    if fits(make_plan(graph), memory):
        return graph
    shorter = prune(keep_parts(graph))
    check_memory(make_plan(shorter), memory)
    return shorter


def _source(fed: Fed) -> tuple[str, str]:
    match fed.origin:
        case Feed():
            return fed.name, fed.origin.source
        case FromFile():
            return fed.name, fed.origin.stored.name
    return fed.name, str(getattr(fed.origin, "name", ""))


def _weight(given: Mapping[str, Given] | None, name: str) -> str:
    return given[name].source if given is not None and name in given else ""


# ── which birth ─────────────────────────────────────────────────────────────────────────────────────────────


def _spoiling(ready: Ready, tracer: Tracer) -> set[int]:
    return {root for _, _, value in ready.results if value.id in tracer.bad for root in tracer.bad[value.id].roots}


def _first(ready: Ready, tracer: Tracer) -> int | None:
    """The first birth that spoils a result."""
    return min(_spoiling(ready, tracer), default=None)


def _one_a_place(tracer: Tracer, births: Sequence[int]) -> list[int]:
    places: dict[Any, int] = {}
    for k in births:
        birth = tracer.births[k]
        places.setdefault(span_around(birth.around, birth.node), k)
    return list(places.values())[:MOST_HARMLESS]


# ── what is told of it ──────────────────────────────────────────────────────────────────────────────────────


def _finding(ready: Ready, tracer: Tracer, root: int, outs: Sequence[Any]) -> Finding:
    birth = tracer.births[root]
    node, out = birth.node, birth.out
    shape = tuple(map(definite, out.shape))
    about = (out.dtype, shape, birth.index, birth.count)
    tail = (_turns(birth.around), _path(ready, tracer, root), *_spoils(ready, tracer, root, outs))
    value = _text(birth.value)
    if node is None or node.prim.name == "constant":
        name, source = ready.feeds[birth.place] if node is None else ("a constant", "the model")
        span = ready.prepared.origins.get(name) if node is None else own_span(node)
        return Finding(value, "data", 0, "", "", "", "", name, source, span, *about, (), *tail)
    role = role_of(birth.around, node)
    read = [(v, x) for v, x in zip(node.inputs, birth.operands, strict=True)
            if saying.operand(v, node) != saying.number(x, v.dtype)]  # fmt: skip
    vanished = _vanished(ready, birth)
    operands = dict.fromkeys(_operand(v, x, node, vanished.get(v.id, "")) for v, x in read)
    elementwise = node.prim.kind == "elementwise"
    return Finding(
        value, _born(role), saying.depth(role), saying.operator(role.prim if role is not None else node.prim.name),
        node.prim.name, saying.formula(node), saying.with_numbers(node, birth.operands) if elementwise else "",
        out.hint, "", span_around(birth.around, node), *about, tuple(operands), *tail,
    )  # fmt: skip


def _operand(value: Value, number: float, node: Node, vanished: str) -> Operand:
    shape = tuple(map(definite, value.shape))
    whole = node.prim.kind != "elementwise" and bool(shape)
    small = 0 < abs(number) < LEAST.get(value.dtype, 0.0)
    about = vanished or ("denormal" if small else saying.about(value, node))
    return Operand(saying.operand(value, node), about, number, value.dtype, shape, whole)


def _vanished(ready: Ready, birth: Birth) -> dict[int, str]:
    """Of operands that are 0 by underflow, what underflowed; the run is repeated to see what they were made of."""
    node = birth.node
    if node is None or node.prim.kind != "elementwise":
        return {}
    made_by = [(saying.through(v).node, v.id) for v, x in zip(node.inputs, birth.operands, strict=True) if x == 0]
    zeros = {made: key for made, key in made_by if made is not None and made.prim.name in SHRINKING}
    seen: dict[int, str] = {}

    def look(around: Around, made: Node, operands: Sequence[Any], outs: Sequence[Any]) -> None:
        if made in zeros and around.turn == birth.around.turn and outs[0].shape == birth.out.shape:
            numbers = [float(x) for x in numbers_at(made, operands, birth.index)]
            if underflows(made.prim.name, numbers):
                seen[zeros[made]] = f"underflow of {saying.with_numbers(made, numbers)}"

    if zeros:
        Tracer(look).run(ready.derived.graph, ready.inputs)
    return seen


def _born(role: Role | None) -> Born:
    return "value" if role is None else role.kind


def _turns(around: Around) -> tuple[Turn, ...]:
    """Loops around a step, the outermost first."""
    found: list[Turn] = []
    at: Around | None = around
    while at is not None:
        if at.turn is not None and at.node is not None:
            span = span_around(at.outer or at, at.node)
            found.append(Turn(span, at.turn, _variable(span, at.node, at.turn)))
        at = at.outer
    return tuple(reversed(found))


def _variable(span: Span | None, node: Node, turn: int) -> str:
    """`i = 7` in a loop whose end is a literal: its first turns may have been written out, not its last ones."""
    head = None if span is None else re.match(r"for\s+(\w+)\s+in\s+[^{}]*?\.\.\s*(\d+)\s*[{w]", span.text)
    return "" if head is None else f"{head[1]} = {int(head[2]) - node.params['turns'] + turn}"


def _text(value: float) -> str:
    return "nan" if value != value else "inf" if value > 0 else "-inf"


def _spoils(
    ready: Ready, tracer: Tracer, root: int, outs: Sequence[Any]
) -> tuple[tuple[Spoiled, ...], tuple[Spoiled, ...]]:
    """The results that this birth spoils, and those that only others do."""
    import numpy as np

    spoils: list[Spoiled] = []
    besides: list[Spoiled] = []
    for (name, kind, value), array in zip(ready.results, outs, strict=True):
        if value.id in tracer.bad:
            bad = int(array.size - np.count_nonzero(np.isfinite(array)))
            found = spoils if root in tracer.bad[value.id].roots else besides
            found.append(Spoiled(name, kind, bad, int(array.size)))
    return tuple(spoils), tuple(besides)


def _path(ready: Ready, tracer: Tracer, root: int) -> tuple[Hop, ...]:
    """The steps from where it was born to a result, a gradient if it spoils one; those of one line and role as one."""
    bad = tracer.bad
    spoiled = [value for _, _, value in reversed(ready.results) if value.id in bad and root in bad[value.id].roots]
    gradients = [value for _, kind, value in ready.results if kind == "gradient" and value in spoiled]
    if not spoiled:
        return ()
    chain = _chain(tracer, root, (gradients or spoiled)[0].id)
    hops: list[Hop] = []
    for key in chain:
        entry = bad[key]
        role = role_of(Around(ready.derived.graph), entry.node)
        name = "" if entry.node is None else role.prim if role is not None else entry.node.prim.name
        how = ""
        if entry.node is not None and entry.how and entry.parents and len(entry.how) > 1 and _tells(entry.how):
            how = saying.with_numbers(entry.node, entry.how)
        hop = Hop(
            own_span(entry.node),
            "data" if entry.node is None else _born(role),
            saying.operator(name),
            _text(entry.what),
            how,
        )
        if hops and (hops[-1].span, hops[-1].born) == (hop.span, hop.born):
            last = hops.pop()
            hop = replace(hop, how=hop.how or (last.how if last.value == hop.value else ""))
        if hop.span is not None or hop.born == "data":
            hops.append(hop)
    return tuple(hops)


def _tells(how: Sequence[float]) -> bool:
    """Whether infinities made a nan: `0 * inf`."""
    return not any(x != x for x in how)


def _chain(tracer: Tracer, root: int, result: int) -> list[int]:
    """Values from the birth to a result, by the shortest way back."""
    bad, came = tracer.bad, {result: -1}
    queue = deque([result])
    while queue:
        key = queue.popleft()
        before = [p for p in bad[key].parents if root in bad[p].roots]
        if not before:
            chain = []
            while key != -1:
                chain.append(key)
                key = came[key]
            return chain
        for parent in before:
            if parent not in came:
                came[parent] = key
                queue.append(parent)
    return []


def _near(nearest: Nearest | None) -> Near | None:
    if nearest is None:
        return None
    node = nearest.node
    role = node.role
    name = saying.operator(role.prim if role is not None else node.prim.name)
    return Near(own_span(node), _born(role), name, nearest.dtype, nearest.value, LIMITS[nearest.dtype], nearest.room)


# ── repairs, tried before they are told ─────────────────────────────────────────────────────────────────────


def _mend(file: ModelFile, request: Request, ready: Ready, tracer: Tracer, root: int, finding: Finding) -> Mend | None:
    birth = tracer.births[root]
    if birth.node is None or finding.span is None or finding.born == "data":
        return None
    role = role_of(birth.around, birth.node)
    adjoint, name = (False, birth.node.prim.name) if role is None else (role.kind == "adjoint", role.prim)
    spot = mends.Spot(birth.around.graph, birth.node, name, adjoint, birth.operands, finding.span,
                      tracer.masked.get(root))  # fmt: skip
    for tried, mend in enumerate(mends.candidates(spot)):
        if tried == MOST_MENDS:
            break
        if _helps(file, request, mend):
            return mend
    for dtype in WIDER.get(birth.out.dtype, ()):
        if _clean(partial(prepare, file, replace(request, dtype=dtype)), request):
            return Mend(f"{dtype} holds these numbers", option=f"--dtype {dtype}")
    return None


def _helps(file: ModelFile, request: Request, mend: Mend) -> bool:
    """Whether the model with the repair no longer goes bad at its place."""
    assert mend.span is not None
    source, span = open_model(file) if str(file.path) != "-" else mend.span.source, mend.span
    if span.source.name != source.name or span.source.text != source.text:
        return False  # a file that is imported
    text = source.text[: span.start] + mend.by + source.text[span.end :]
    patched = Source(source.name, text)

    def again() -> tuple[Program, Prepared]:
        options = Options(request.dtype, read_consts(request.consts))
        if file.expression:
            program = Program.of_expression(patched, file.path or _here(), options)
        else:
            base = file.path.parent if file.path is not None and str(file.path) != "-" else _here()
            program = Program(patched, base, options, None)
        return program, read_params(program.prepare(request.net, read_feeds(program, request)), request)

    start, end = span.start, span.start + len(mend.by)
    return _clean(again, request, lambda place: start <= place < end)


def _here() -> Any:
    from pathlib import Path

    return Path()


def _clean(
    make: Callable[[], tuple[Program, Prepared]], request: Request, within: Callable[[int], bool] = lambda place: True
) -> bool:
    """Whether a model runs, and nothing is born in it `within` a stretch of its text that spoils a result."""
    try:
        ready = _ready(*make(), request)
        tracer = Tracer()
        tracer.run(ready.derived.graph, ready.inputs)
    except ModelError:
        return False
    for root in _spoiling(ready, tracer):
        birth = tracer.births[root]
        span = span_around(birth.around, birth.node)
        if span is None or within(span.start):
            return False
    return True

"""`trace`: the value and the gradients of a request node by node, and what went bad on the way as a reader sees it.

The graph is that of `grad`, before any pass: every node keeps its place in the model and its role in a derivative. The
first birth (see `tracer`) that spoils a result is the finding; a repair is told with it once it was tried.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gradcli.facts.trace import Born, Finding, Hop, Near, Operand, Spoiled, Trace, Turn
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node, Role, Value
from gradcli.opening import prepare
from gradcli.record import replace
from gradcli.request import ModelFile, Request
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Span
from gradcli.trace import saying
from gradcli.trace.margins import ADDING, LEAST, SHRINKING, Probe, underflows
from gradcli.trace.places import Around, own_span, role_of, span_around
from gradcli.trace.ready import Ready, get_ready
from gradcli.trace.spots import tree_of
from gradcli.trace.tracer import LIMITS, Bad, Birth, Nearest, Tracer, numbers_at, steps
from gradcli.trace.trying import repair

MOST_HARMLESS = 5


def trace(
    file: ModelFile,
    request: Request,
    *,
    margins: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Trace:
    """What a run finds. Raises ModelError as `grad` does."""
    ready = get_ready(*prepare(file, request), request)
    if on_start is not None:
        on_start(steps(ready.derived.graph))
    alone = ready.turns.first_alone(ready.derived.graph.nodes)
    probe = Probe(ready.turns, alone, ready.inside) if margins else None
    tracer = Tracer(on_step=on_step, probe=probe)
    outs = tracer.run(ready.derived.graph, ready.inputs)
    root = _first(ready, tracer)
    finding = None
    if root is not None:
        finding = _finding(ready, tracer, root, outs, _vanished(ready, tracer.births[root]))
        finding = replace(finding, mend=repair(file, request, ready, tracer, root, finding, on_step))
    spoiling = ready.spoiling(tracer)
    harmless = [k for k, birth in enumerate(tracer.births)
                if k not in spoiling and birth.node is not None and birth.node.prim.name != "constant"]  # fmt: skip
    return Trace(
        ready.program.scope.source.name, ready.prepared.net, ready.program.scope.edition, ready.sens, request.order,
        len(ready.derived.graph.nodes), finding,
        tuple(_finding(ready, tracer, k, outs, {}) for k in _one_a_place(tracer, harmless)) if root is None else (),
        _near(tracer.nearest), None if probe is None else probe.margins(),
        (*ready.prepared.notes, *ready.derived.notes, *_elsewhere(request)),
    )  # fmt: skip


def _elsewhere(request: Request) -> tuple[Diagnostic, ...]:
    """That the numbers are not those of the backend that was asked for."""
    if request.backend != "cupy":
        return ()
    text = "`trace` ran on NumPy, step by step; the numbers of CuPy differ from these by rounding"
    return (Diagnostic("NUM091", text, severity="note"),)


# ── which birth ─────────────────────────────────────────────────────────────────────────────────────────────


def _first(ready: Ready, tracer: Tracer) -> int | None:
    """The first birth that spoils a result; what is made of infinities that the model writes counts before these."""
    spoiling = ready.spoiling(tracer)
    return min(spoiling - tracer.written, default=min(spoiling, default=None))


def _one_a_place(tracer: Tracer, births: Sequence[int]) -> list[int]:
    places: dict[Any, int] = {}
    for k in births:
        birth = tracer.births[k]
        places.setdefault(span_around(birth.around, birth.node), k)
    return list(places.values())[:MOST_HARMLESS]


# ── what is told of it ──────────────────────────────────────────────────────────────────────────────────────


def _finding(ready: Ready, tracer: Tracer, root: int, outs: Sequence[Any], vanished: Mapping[int, str]) -> Finding:
    birth = tracer.births[root]
    node, out = birth.node, birth.out
    shape = tuple(map(definite, out.shape))
    about = (out.dtype, shape, birth.index, birth.count)
    tail = (_turns(ready, birth.around), _path(ready, tracer, root), *_spoils(ready, tracer, root, outs))
    value = _text(birth.value)
    if node is None or node.prim.name == "constant":
        name, source = ready.feeds[birth.place] if node is None else ("a constant", "the model")
        span = ready.prepared.origins.get(name) if node is None else own_span(node)
        return Finding(value, "data", 0, "", "", "", "", "", name, source, span, *about, (), *tail)
    role = role_of(birth.around, node)
    read = [(v, x) for v, x in zip(node.inputs, birth.operands, strict=True)
            if saying.operand(v, node) != saying.number(x, v.dtype)]  # fmt: skip
    operands = dict.fromkeys(_operand(v, x, node, vanished.get(v.id, "")) for v, x in read)
    elementwise = node.prim.kind == "elementwise"
    name = role.prim if role is not None else node.prim.name if node.prim.name != "cast" else out.dtype
    return Finding(
        value, _born(role), saying.depth(role), saying.operator(name),
        _within(node), node.prim.name, saying.formula(node),
        saying.with_numbers(node, birth.operands) if elementwise else "",
        out.hint, "", span_around(birth.around, node), *about, tuple(operands), *tail,
    )  # fmt: skip


def _within(node: Node) -> str:
    """What of the language the model calls that is made of this step, and of others."""
    span = own_span(node)
    match None if span is None else tree_of(span):
        case ast.Call(func=ast.Name(id=name)):
            return name
    return ""


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
        at = _broadcast(birth.index, outs[0].shape)
        if made in zeros and around.turn == birth.around.turn and at is not None:
            numbers = [float(x) for x in numbers_at(made, operands, at)]
            if made.prim.name == "reduce_prod":
                if operands[0].all():
                    seen[zeros[made]] = f"{saying.UNDERFLOW} {saying.formula(made)}"
            elif underflows(made.prim.name, numbers):
                seen[zeros[made]] = f"{saying.UNDERFLOW} {saying.with_numbers(made, numbers)}"
        if made is node:
            raise _Enough

    if zeros:
        with suppress(_Enough):
            Tracer(look, only=birth.around).run(ready.derived.graph, ready.inputs)
    return seen


def _broadcast(index: Sequence[int], shape: Sequence[int]) -> tuple[int, ...] | None:
    """The element of an operand of that shape that an element of the result is made of."""
    last = index[len(index) - len(shape) :] if len(shape) <= len(index) else ()
    if len(last) != len(shape) or any(size != 1 and k >= size for k, size in zip(last, shape, strict=True)):
        return None
    return tuple(0 if size == 1 else k for k, size in zip(last, shape, strict=True))


class _Enough(Exception):
    """What was to be seen has been."""


def _born(role: Role | None) -> Born:
    return "value" if role is None else role.kind


def _turns(ready: Ready, around: Around) -> tuple[Turn, ...]:
    """Loops around a step, the outermost first."""
    found: list[Turn] = []
    at: Around | None = around
    while at is not None:
        turn, at = ready.turns.of(at)
        if turn is not None and at.node is not None:
            span, every = span_around(at.outer or at, at.node), ready.turns.range_of(at.node)
            stops = at.node.params["cond"] is not None or at.node.params["counted"]
            found.append(Turn(span, turn, _variable(span, every, turn), None if stops or every is None else len(every)))
        at = at.outer
    return tuple(reversed(found))


def _variable(span: Span | None, every: range | None, turn: int) -> str:
    """`i = 7`"""
    head = None if span is None else re.match(r"for\s+(\w+)\s+in\b", span.text)
    return "" if head is None or every is None or turn >= len(every) else f"{head[1]} = {every[turn]}"


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
    chain = [bad[key] for key in _chain(tracer, root, (gradients or spoiled)[0].id)]
    hops: list[Hop] = []
    for entry in chain:
        if entry is not chain[0] and entry.node is not None and _adds_to_another(entry.node, bad):
            continue
        hop = _hop(ready, entry)
        if hops and (hops[-1].span, hops[-1].born) == (hop.span, hop.born):
            last = hops.pop()
            hop = replace(hop, how=hop.how or (last.how if last.value == hop.value else ""))
        if hop.span is not None or hop.born == "data":
            hops.append(hop)
    return tuple(hops)


def _hop(ready: Ready, entry: Bad) -> Hop:
    node, value = entry.node, _text(entry.what)
    if node is None:
        return Hop(own_span(node), "data", "", value, "")
    role = role_of(Around(ready.derived.graph), node)
    name = node.prim.name if role is None else role.prim
    added = _sums_cotangents(node) and entry.what == entry.what
    how = entry.how if len(entry.how) > 1 and entry.parents and _tells(entry.how) and not added else ()
    return Hop(own_span(node), _born(role), saying.operator(name), value, saying.with_numbers(node, how) if how else "")


def _adds_to_another(node: Node, bad: Mapping[int, Bad]) -> bool:
    """Whether a step adds a finite term of its line to a cotangent that other lines have spoiled."""
    if not _sums_cotangents(node):
        return False
    total, first = node.inputs[0], node.inputs[0].node
    whole = node.prim.name != "add" and first is not None and (first.spans, first.role) == (node.spans, node.role)
    return not any(value.id in bad for value in ([total] if whole else node.inputs[1:]))


def _sums_cotangents(node: Node) -> bool:
    return node.role is not None and node.role.kind == "adjoint" and node.prim.name in ADDING


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

"""Repairs, tried before they are told: the repaired model, or the model in a wider dtype, must not go bad there again.

A trial costs what `grad` costs: the results are looked at first, and only where one of them is still not finite is the
repaired model run node by node, to see whether that comes from the place that was repaired.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from gradcli import mends
from gradcli.api import open_model, prepare, read_consts, read_feeds, read_params
from gradcli.engine import Machine, run_graph
from gradcli.interp.elaborate import Options
from gradcli.interp.program import Prepared, Program
from gradcli.places import role_of, span_around
from gradcli.ready import Ready, get_ready
from gradcli.record import replace
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ModelError, Source
from gradcli.traced import Finding, Mend
from gradcli.tracing import Tracer

MOST = 3  # that are tried
WIDER = {"f16": ("f32", "f64"), "f32": ("f64",), "f64": ()}


def repair(
    file: ModelFile,
    request: Request,
    tracer: Tracer,
    root: int,
    finding: Finding,
    on_step: Callable[[str], None] | None = None,
) -> Mend | None:
    """The first repair of a birth that helps; `on_step` is told of each trial."""
    birth = tracer.births[root]
    if birth.node is None or finding.span is None or finding.born == "data":
        return None
    role = role_of(birth.around, birth.node)
    adjoint, name = (False, birth.node.prim.name) if role is None else (role.kind == "adjoint", role.prim)
    spot = mends.Spot(birth.around.graph, birth.node, name, adjoint, birth.operands, finding.span,
                      tracer.masked.get(root))  # fmt: skip
    for tried, mend in enumerate(mends.candidates(spot)):
        if tried == MOST:
            break
        if on_step is not None:
            on_step("a repair")
        if _helps(file, request, mend):
            return mend
    for dtype in WIDER.get(birth.out.dtype, ()):
        if on_step is not None:
            on_step(f"in {dtype}")
        ready = _ready(partial(prepare, file, replace(request, dtype=dtype)), request)
        if ready is not None and _finite(ready, request):
            return Mend(f"{dtype} holds these numbers", option=f"--dtype {dtype}")
    return None


def _helps(file: ModelFile, request: Request, mend: Mend) -> bool:
    """Whether the model with the repair no longer goes bad at its place."""
    assert mend.span is not None
    source, span = open_model(file) if str(file.path) != "-" else mend.span.source, mend.span
    if span.source.name != source.name or span.source.text != source.text:
        return False  # a file that is imported
    patched = Source(source.name, source.text[: span.start] + mend.by + source.text[span.end :])

    def again() -> tuple[Program, Prepared]:
        options = Options(request.dtype, read_consts(request.consts))
        if file.expression:
            program = Program.of_expression(patched, file.path or Path(), options)
        else:
            base = file.path.parent if file.path is not None and str(file.path) != "-" else Path()
            program = Program(patched, base, options, None)
        return program, read_params(program.prepare(request.net, read_feeds(program, request)), request)

    ready = _ready(again, request)
    return ready is not None and (
        _finite(ready, request) or _clean(ready, range(span.start, span.start + len(mend.by)))
    )


def _ready(make: Callable[[], tuple[Program, Prepared]], request: Request) -> Ready | None:
    try:
        return get_ready(*make(), request)
    except ModelError:
        return None


def _finite(ready: Ready, request: Request) -> bool:
    """Whether all results are."""
    import numpy as np

    try:
        outs = run_graph(ready.derived.graph, ready.inputs, Machine(memory=request.memory))
    except ModelError:
        return False
    return all(bool(np.isfinite(array).all()) for array in outs)


def _clean(ready: Ready, place: range) -> bool:
    """Whether nothing that spoils a result is born within a stretch of the text."""
    tracer = Tracer()
    try:
        tracer.run(ready.derived.graph, ready.inputs)
    except ModelError:
        return False
    births = [tracer.births[root] for root in ready.spoiling(tracer)]
    spans = [span_around(birth.around, birth.node) for birth in births]
    return all(span is not None and span.start not in place for span in spans)

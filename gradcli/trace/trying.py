"""Repairs, tried before they are told: the repaired model, or the model in a wider dtype, must not go bad there again.

A trial costs what the trace does. So of a long run only the likeliest repair of each kind is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from gradcli.facts.trace import Finding, Mend
from gradcli.interp.elaborate import Options
from gradcli.interp.files import read_source
from gradcli.interp.program import Prepared, Program
from gradcli.ir.cost import cost
from gradcli.opening import prepare, read_consts, read_feeds, read_params
from gradcli.record import replace
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ModelError, Source, Span
from gradcli.trace import mends
from gradcli.trace.places import role_of, span_around
from gradcli.trace.ready import Ready, get_ready
from gradcli.trace.saying import UNDERFLOW
from gradcli.trace.spots import Spot
from gradcli.trace.tracer import Birth, Tracer

MOST = 3  # that are tried
LONG = 10**9  # operations: some seconds
FLOOR = "maximum("  # what keeps an operand away from 0
WIDER = {"f16": ("f32", "f64"), "f32": ("f64",), "f64": ()}


def repair(
    file: ModelFile,
    request: Request,
    ready: Ready,
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
    name = birth.node.prim.name if role is None else role.prim
    spot = Spot(birth.around.graph, birth.node, name, role is not None, birth.operands, finding.span,
                tracer.masked.get(root))  # fmt: skip
    most = MOST if cost(ready.derived.graph) <= LONG else 1
    wider = [
        Mend(f"{dtype} holds these numbers", option=f"--dtype {dtype}") for dtype in WIDER.get(birth.out.dtype, ())
    ]
    texts = [*islice(mends.candidates(spot), most)]
    vanished = any(operand.about.startswith(UNDERFLOW) for operand in finding.operands)
    later = [mend for mend in texts if vanished and FLOOR in mend.by]  # 0 is not what the model means
    for mend in (*(mend for mend in texts if mend not in later), *wider[:most], *later):
        if on_step is not None:
            on_step("a repair" if mend.span else mend.option)
        if mend.span is not None and _helps(ready, request, file, mend, finding.span):
            return mend
        if mend.span is None and _clean(
            partial(prepare, file, replace(request, dtype=mend.option.split()[-1])), request
        ):
            return mend
    return None


def _helps(ready: Ready, request: Request, file: ModelFile, mend: Mend, born: Span) -> bool:
    """Whether the model with the repair, of its own text or of a file that it imports, no longer goes bad there, nor so
    that it reaches a result where it was born."""
    assert mend.span is not None
    span, own = mend.span, ready.program.scope.source
    patched = Source(span.source.name, span.source.text[: span.start] + mend.by + span.source.text[span.end :])
    base = file.path.parent if file.path is not None and str(file.path) != "-" else Path()

    def read(target: Path) -> Source:
        return patched if str(target) == patched.name else read_source(target, shown=str(target), imported=True)

    def again() -> tuple[Program, Prepared]:
        options = Options(request.dtype, read_consts(request.consts))
        if file.expression:
            program = Program.of_expression(patched, file.path or Path(), options)
        else:
            program = Program(patched if span.source is own else own, base, options, None, read)
        return program, read_params(program.prepare(request.net, read_feeds(program, request)), request)

    before = born.start < span.end or born.source is not span.source
    place = born.start if before else born.start + len(mend.by) - (span.end - span.start)
    return _clean(again, request, range(span.start, span.start + len(mend.by)), place)


class _Again(Exception):
    """What a repair was to prevent."""


def _clean(
    make: Callable[[], tuple[Program, Prepared]], request: Request, place: range | None = None, born: int = -1
) -> bool:
    """Whether a model runs, and no number goes bad so that it reaches a result; or where a repair was made at a `place`
    of its text, none there, and none with a result where it was `born`."""

    def starts(birth: Birth) -> int | None:
        span = span_around(birth.around, birth.node)
        made = birth.node is not None and birth.node.prim.name != "constant"
        return (span.start if span is not None else None) if made else -2

    def look(birth: Birth) -> None:
        start = starts(birth)
        if place is not None and (start is None or start in place):
            raise _Again

    tracer = Tracer(on_birth=look)
    try:
        ready = get_ready(*make(), request)
        tracer.run(ready.derived.graph, ready.inputs)
    except (ModelError, _Again):
        return False
    return not any(place is None or starts(tracer.births[root]) == born for root in ready.spoiling(tracer))

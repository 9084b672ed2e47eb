"""What `trace` found as a page of 80 columns, or as a document for programs.

inf is born in the adjoint of line 3, in the derivative of `sqrt`
  --> model.net:3:7
   |
 3 |   s = sqrt(r2)
   |       ^^^^^^^^ d_s / (s * 2) = 1 / 0 = inf

  operands   d_s              1   the adjoint of s
             s * 2            0
  path       2:12   x * x         adjoint   inf * 0 = nan
             gradient of x                  nan in 3 of 3
  mend       …
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from gradcli.facts.trace import Finding, Hop, Near, Operand, Spoiled, Trace, Turn
from gradcli.report.diagnostics import Rail
from gradcli.report.excerpts import excerpts
from gradcli.report.layout import sens_text
from gradcli.report.margins import (
    json_float,
    margins_json,
    margins_page,
    near_json,
    number,
    one_line,
    place_json,
    table,
    where,
)
from gradcli.report.margins import shortened as _cut
from gradcli.report.signs import columns, padded, paint, printable
from gradcli.syntax.diagnostics import Diagnostic

WIDTH = 80
ENDS = 4  # steps at each end of a long path
LABEL = 11  # columns of what a row is about
HOW = 16  # columns of a calculation in a table


def page(trace: Trace, *, color: bool, full: bool = False) -> str:
    """All that was found, for people."""
    lines = [paint(f" {heading(trace)}", "bold", color=color)]
    if trace.finding is not None:
        lines += ["", *_finding(trace, trace.finding, color, full)]
    else:
        lines.append(_clean(trace))
        lines += [_harmless(one) for one in trace.harmless]
    if trace.margins is not None:
        lines += margins_page(trace.margins, color=color)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def heading(trace: Trace) -> str:
    """`model.net · net main · order 2 · sens: ones (implicit)`"""
    parts = [printable(trace.model).replace("\n", " "), f"net {trace.net}"]
    parts += [f"order {trace.order}"] if trace.order > 1 else []
    return " · ".join([*parts, *([sens_text(trace.sens)] if trace.sens else [])])


# ── what went bad ───────────────────────────────────────────────────────────────────────────────────────────


def headline(found: Finding, model: str) -> str:
    """One sentence."""
    if found.born == "data":
        at = f"[{', '.join(map(str, found.index))}]" if found.index else ""
        if found.source == "the model":
            return f"{found.value} is in the model itself, as a constant"
        return (
            f"{found.value} came in with the data: {found.name}{at}{f', from {found.source}' if found.source else ''}"
        )
    what = f"`{found.operator}`" if found.operator else "a step"
    what += f" inside `{found.within}`" if found.within and found.within != found.operator else ""
    line = f" of line {found.span.line}" if found.span is not None else ""
    if found.span is not None and found.span.source.name != model:
        line += f" in {printable(found.span.source.name)}"
    if found.born == "value":
        return f"{found.value} is born in the value{line}, in {what}"
    of = "".join(["the "] + [f"{found.born} of the "] * (found.order - 1) + [found.born])
    return f"{found.value} is born in {of}{line}, in the derivative of {what}"


def _finding(trace: Trace, found: Finding, color: bool, full: bool) -> Iterator[str]:
    yield from (paint(line, "error", color=color) for line in textwrap.wrap(headline(found, trace.model), WIDTH))
    equation = "" if found.born == "data" else " = ".join(filter(None, (found.formula, found.numbers, found.value)))
    if found.span is not None:
        label, drawn = _fitting(found, equation, color)
        yield from drawn
        yield ""
        equation = "" if label == equation else equation
    rows: list[tuple[str, list[str]]] = [
        ("step", textwrap.wrap(equation, WIDTH - LABEL - 2)),
        ("turn", [_turn(turn) for turn in found.turns]),
        ("element", [_element(found)] if found.shape else []),
        ("operands", table([_operand(one) for one in found.operands])),
        ("path", table([*_hops(found.path, full), *map(_end, found.spoils)])),
        ("besides", [f"{one.kind} of {_cut(one.name)}: {_end(one)[2]}, born by itself" for one in found.besides]),
        ("mend", _mend(found)),
    ]
    for name, texts in rows:
        for k, text in enumerate(texts):
            yield f"  {paint(padded(name if not k else '', LABEL), 'dim', color=color)}{text}"


def _fitting(found: Finding, equation: str, color: bool) -> tuple[str, list[str]]:
    """The line with a mark and as much of the equation as fits beside it; that label, too."""
    labels = (equation, f"{found.numbers} = {found.value}" if found.numbers else "", found.value) if equation else ("",)
    assert found.span is not None
    for label in labels:
        parts = excerpts(Diagnostic("", "", found.span, label))
        rail = Rail(max(len(str(line.number)) for part in parts for line in part.lines), "error", False)
        if max(columns(text) for part in parts for text in rail.excerpt(part, first=True)) <= WIDTH:
            break
    rail.color = color
    return label, [text for k, part in enumerate(parts) for text in rail.excerpt(part, first=not k)]


def _turn(turn: Turn) -> str:
    place = f" of the loop at {turn.span.place}" if turn.span is not None else ""
    of = f" of {turn.of}" if turn.of is not None else ""
    return f"{turn.turn}{of}, counted from 0{f' ({turn.variable})' if turn.variable else ''}{place}"


def _element(found: Finding) -> str:
    aval = f"{found.dtype}[{', '.join(map(str, found.shape))}]"
    rest = f", the first of {found.count}" if found.count > 1 else ""
    return f"[{', '.join(map(str, found.index))}] of {aval}{rest}"


def _operand(one: Operand) -> tuple[str, ...]:
    text = number(one.value, one.dtype)
    if one.whole:
        text = f"up to {text}"
    return _cut(one.name), text, one.about


def _hops(path: Sequence[Hop], full: bool) -> Iterator[tuple[str, ...]]:
    """The steps after the birth, and its own where an infinity becomes nan there; of many, those at the ends."""
    after = [hop for hop in path[0 if path and path[0].how else 1 :] if hop.span is not None]
    for k, hop in enumerate(after):
        if not full and len(after) > 2 * ENDS + 1 and ENDS <= k < len(after) - ENDS:
            if k == ENDS:
                yield f"… {len(after) - 2 * ENDS} more steps", "", ""
            continue
        assert hop.span is not None
        how = f"{hop.how} = " if hop.how and columns(hop.how) <= HOW else ""
        yield f"{where(hop.span):<7}{_cut(one_line(hop.span))}", hop.born, f"{how}{hop.value}"


def _end(one: Spoiled) -> tuple[str, ...]:
    return f"{one.kind} of {_cut(one.name)}", "", f"{one.bad} of {one.size} not finite"


def _mend(found: Finding) -> list[str]:
    mend = found.mend
    if mend is None:
        return []
    if mend.option:
        return [f"{mend.text}: `{mend.option}`"]
    where = f"{mend.span.place}, " if mend.span is not None and mend.span != found.span else ""
    head = textwrap.wrap(f"{where}{mend.text}:", WIDTH - LABEL - 2)
    by = textwrap.wrap(mend.by, WIDTH - LABEL - 4, break_long_words=False, break_on_hyphens=False)
    return [*head, *(f"  {text}" for text in by)]


# ── nothing went bad ────────────────────────────────────────────────────────────────────────────────────────


def _clean(trace: Trace) -> str:
    steps = f"{trace.steps:_} step{'' if trace.steps == 1 else 's'}"
    near = trace.nearest
    if near is None:
        return f" nothing bad in {steps}"
    return f" nothing bad in {steps}; smallest margin: {_near(near)}"


def _near(near: Near) -> str:
    """`3e+04 of 6.55e+04 (f16) at 4:7`"""
    place = f" at {where(near.span)}" if near.span is not None else ""
    return f"{near.value:.3g} of {near.limit:.3g} ({near.dtype}){place}"


def _harmless(found: Finding) -> str:
    place = f" at {where(found.span)}" if found.span is not None else ""
    what = "" if found.born == "value" else f"the {found.born} of "
    return f" harmless: {found.value}, born in {what}`{found.operator}`{place}, reaches no result"


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────


def document(trace: Trace) -> str:
    """The document `gradcli.trace/1`."""
    head = {"schema": "gradcli.trace/1", "model": trace.model, "net": trace.net, "edition": trace.edition}
    body = {
        "order": trace.order,
        "sens": [*trace.sens],
        "steps": trace.steps,
        "found": None if trace.finding is None else _found(trace.finding),
        "harmless": [_found(one) for one in trace.harmless],
        "nearest": None if trace.nearest is None else near_json(trace.nearest),
        "margins": None if trace.margins is None else margins_json(trace.margins),
    }
    from gradcli.report.forms import as_json

    rest = {"notes": [as_json(note) for note in trace.notes]}
    lines = [_text(head)[1:-1], *(_text({key: value})[1:-1] for key, value in (body | rest).items())]
    return "{" + ",\n ".join(lines) + "}\n"


def _text(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if shown.isprintable() else json.dumps(value)


def _found(found: Finding) -> dict[str, Any]:
    return {
        "value": found.value, "born": found.born, "order": found.order, "operator": found.operator or None,
        "within": found.within or None, **place_json(found.span), "step": found.step or None,
        "formula": found.formula or None, "numbers": found.numbers or None,
        "name": found.name or None, "source": found.source or None,
        "dtype": found.dtype, "shape": [*found.shape], "index": [*found.index], "count": found.count,
        "operands": [
            {"name": one.name, "about": one.about or None, "value": json_float(one.value, one.dtype),
             "dtype": one.dtype, "shape": [*one.shape], "largest": one.whole}
            for one in found.operands
        ],
        "turns": [
            {**place_json(turn.span), "turn": turn.turn, "of": turn.of, "variable": turn.variable or None}
            for turn in found.turns
        ],
        "path": [
            {**place_json(hop.span), "born": hop.born, "operator": hop.operator or None,
             "value": hop.value, "how": hop.how or None}
            for hop in found.path
        ],
        "spoils": [_spoiled(one) for one in found.spoils],
        "besides": [_spoiled(one) for one in found.besides],
        "mend": None if found.mend is None else {
            "text": found.mend.text, **place_json(found.mend.span),
            "by": found.mend.by or None, "option": found.mend.option or None,
        },
    }  # fmt: skip


def _spoiled(one: Spoiled) -> dict[str, Any]:
    return {"name": one.name, "kind": one.kind, "nonfinite": one.bad, "size": one.size}

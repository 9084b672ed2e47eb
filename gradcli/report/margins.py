"""The near misses of a trace: three tables, and the gradients layer by layer as a drawing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from gradcli.facts.trace import Flow, Loss, Margins, Near
from gradcli.report.numbers import brief, json_number
from gradcli.report.signs import columns, padded, paint, printable
from gradcli.syntax.diagnostics import Span

TEXT, NARROW = 24, 16  # columns of an expression in a table, and in a wide one
BAR = 16  # columns of the longest bar
TURNS = 6  # of a loop in the table
STEADY = 3  # decades: a gradient that grows or shrinks by more on its way back is told
FAR = 6  # and by how many, where it does so on a part of the way only, as a small factor may be meant


def margins_page(margins: Margins, *, color: bool) -> Iterator[str]:
    """The tables that have something to say."""
    tables = (
        ("nearest to the limits of a dtype", [_near_row(one) for one in margins.near]),
        ("cancellation: digits lost in a sum", [_loss_row(one) for one in margins.losses]),
        ("gradients, from the output back (root mean square)", _flow_rows(margins.flow)),
    )
    for title, rows in tables:
        if rows:
            yield ""
            yield paint(f" {title}", "bold", color=color)
            yield from (f"  {line}" for line in table(rows))
    if verdict := flow_verdict(margins.flow):
        yield f"  {verdict}"


def _near_row(one: Near) -> tuple[str, ...]:
    if not one.small:
        room = f"{one.room:.2g}× below {one.limit:.3g}"
    elif one.value == 0:
        room = "underflow to 0"
    elif one.room < 1:
        room = f"denormal, below {one.limit:.3g}"
    else:
        room = f"{one.room:.2g}× above {one.limit:.3g}"
    return where(one.span), shortened(one_line(one.span), NARROW), one.born, f"{one.value:.3g}", f"{room} ({one.dtype})"


def _loss_row(one: Loss) -> tuple[str, ...]:
    at = f"[{', '.join(map(str, one.index))}]" if one.index else ""
    left = f"{one.terms:.3g} to {one.left:.3g}"
    return (
        where(one.span),
        shortened(one_line(one.span), NARROW),
        one.born,
        left,
        f"{one.digits:.1f} of {one.held:.1f} {at}",
    )


def _flow_rows(flow: Sequence[Flow]) -> list[tuple[str, ...]]:
    shown = thinned(flow)
    return [_flow_row(one, share) for one, share in zip(shown, _shares(shown), strict=True)]


def _flow_row(one: Flow, share: float) -> tuple[str, ...]:
    bar = "█" * max(round(share * BAR), one.rms > 0)
    zeros = f"{one.zeros:.0%} zeros" if 0 < one.zeros < 1 else ""
    shape = "×".join(map(str, one.shape)) or "scalar"
    return where(one.span), shortened(_name(one)), shape, f"{one.rms:.3g}", bar, zeros


def _name(one: Flow) -> str:
    return one.name if one.turn is None else f"{one.name}, turn {one.turn}"


def thinned(flow: Sequence[Flow]) -> list[Flow]:
    """Of the turns of a loop, TURNS of each value: the first, the last, and some between."""
    groups: dict[Any, list[int]] = {}
    for k, one in enumerate(flow):
        groups.setdefault(k if one.turn is None else (one.span, one.name), []).append(k)
    kept: set[int] = set()
    for places in groups.values():
        step = max(1, -(-(len(places) - 1) // (TURNS - 1)))
        kept.update((*places[::step], places[-1]))
    return [one for k, one in enumerate(flow) if k in kept]


def flow_verdict(flow: Sequence[Flow]) -> str:
    """Whether the gradient vanishes or explodes on its way: where it ends, or else farthest on the way, as what is
    added up at the end hides it."""
    alive = [one for one in flow if 0 < one.rms < math.inf]
    if len(alive) < 2:
        return ""
    first, last = alive[0], alive[-1]
    way = [one for one in alive if not one.ends]
    at, limit = last, STEADY
    if abs(_growth(first, last)) < STEADY and way:
        at, limit = max(way, key=lambda one: abs(_growth(first, one))), FAR
    growth = _growth(first, at)
    if abs(growth) < limit:
        return ""
    what, than = ("explodes", "larger") if growth > 0 else ("vanishes", "smaller")
    return f"it {what}: {_power(abs(growth))} times {than} at `{_name(at)}` than at `{_name(first)}`"


def _growth(first: Flow, one: Flow) -> float:
    """From one to the other, in decades."""
    return math.log10(one.rms) - math.log10(first.rms)


def _power(decades: float) -> str:
    """`7.3e+04`, also beyond what a float holds."""
    whole = math.floor(decades)
    return f"{10 ** (decades - whole) * 10.0**whole:.2g}" if whole < 300 else f"1e+{round(decades)}"


def _shares(flow: Sequence[Flow]) -> list[float]:
    """How long the bar of each is, on a scale of decades: 0 for nothing, 1 for the largest."""
    logs = [math.log10(one.rms) for one in flow if 0 < one.rms < math.inf]
    low, high = min(logs, default=0.0), max(logs, default=0.0)
    low = min(low, high - 1) - 0.5
    return [max(0.0, (math.log10(one.rms) - low) / (high - low)) if 0 < one.rms < math.inf else float(one.rms > 0)
            for one in flow]  # fmt: skip


# ── the drawing ─────────────────────────────────────────────────────────────────────────────────────────────

LEFT, TOP, ROW, SPREAD = 150, 66, 22, 420
INK, PAPER, PALE = "#12406b", "#ffffff", "#8a94a0"


def flow_svg(flow: Sequence[Flow], title: str) -> str:
    """A bar for each named value, from the output back to the inputs, on a scale of decades."""
    from xml.sax.saxutils import escape  # takes 40 ms, for what is drawn only

    flow = thinned(flow)
    wide, high = LEFT + SPREAD + 90, TOP + ROW * max(len(flow), 1) + 20
    about = flow_verdict(flow) or "root mean square of the adjoint, from the output back"
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    name = escape(printable(title).replace("\n", " "))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="12">',
        f"<title>gradients of {name}: {escape(about)}</title>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        f'<text x="16" y="24" font-size="15" font-weight="bold" fill="{INK}">gradients of {name}</text>',
        f'<text x="16" y="44" fill="#444">{escape(about)}</text>',
    ]
    for k, (one, share) in enumerate(zip(flow, _shares(flow), strict=True)):
        y = TOP + k * ROW
        line = f", line {one.span.line}" if one.span is not None and one.turn is None else ""
        label = escape(shortened(f"{_name(one)}{line}"))
        lines.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end" fill="#444">{label}</text>')
        lines.append(
            f'<rect x="{LEFT}" y="{y + 2}" width="{max(1, round(share * SPREAD))}" height="{ROW - 8}" fill="{INK}"/>'
        )
        lines.append(f'<text x="{LEFT + round(share * SPREAD) + 6}" y="{y + 13}" fill="{PALE}">{one.rms:.3g}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────


def margins_json(margins: Margins) -> dict[str, Any]:
    """The part `margins` of the document."""
    return {
        "near": [near_json(one) for one in margins.near],
        "losses": [
            {**place_json(one.span), "born": one.born, "operator": one.operator, "dtype": one.dtype,
             "index": [*one.index], "terms": json_float(one.terms, one.dtype), "left": json_float(one.left, one.dtype),
             "digits": round(one.digits, 2), "held": round(one.held, 2)}
            for one in margins.losses
        ],
        "flow": [
            {**place_json(one.span), "name": one.name, "shape": [*one.shape], "rms": json_float(one.rms),
             "zeros": round(one.zeros, 6), "turn": one.turn}
            for one in margins.flow
        ],
        "verdict": flow_verdict(margins.flow) or None,
    }  # fmt: skip


def near_json(near: Near) -> dict[str, Any]:
    """How near one step came."""
    return {
        **place_json(near.span), "born": near.born, "operator": near.operator, "dtype": near.dtype, "small": near.small,
        "value": json_float(near.value, near.dtype), "limit": json_float(near.limit), "room": json_float(near.room),
    }  # fmt: skip


def json_float(value: float, dtype: str = "f64") -> Any:
    """A number of JSON, in the digits of its dtype; what is none, as a text."""
    return json.loads(json_number(value, dtype))


def place_json(span: Span | None) -> dict[str, Any]:
    """Where, and the text there."""
    if span is None:
        return {"place": None, "expression": None}
    return {"place": span.place, "expression": span.text}


# ── cells ───────────────────────────────────────────────────────────────────────────────────────────────────


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Cells below each other."""
    widths = [max(map(columns, cells)) for cells in zip(*rows, strict=True)]
    return ["   ".join(map(padded, row, widths)).rstrip() for row in rows]


def where(span: Span | None) -> str:
    """`3:7`, line and column."""
    if span is None:
        return ""
    line, column = span.source.locate(span.start)
    return f"{line}:{column}"


def one_line(span: Span | None) -> str:
    """The text at a place on one line."""
    return "" if span is None else " ".join(printable(span.text).split())


def shortened(text: str, most: int = TEXT) -> str:
    """`text` in at most so many columns."""
    return text if columns(text) <= most else text[: most - 1] + "…"


def number(value: float, dtype: str) -> str:
    """6 digits, or as many as it takes to tell it from a whole number."""
    return brief(value, dtype)

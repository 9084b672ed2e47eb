"""What `gradcheck` prints: a row for each gradient with its worst element, then what there is to say of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, TextIO

from gradcli.record import replace
from gradcli.report.arrays import shape_text
from gradcli.report.diagnostics import render_all
from gradcli.report.document import list_of, text
from gradcli.report.forms import as_json
from gradcli.report.layout import NARROWEST, Grid, Page, sens_text, without_columns
from gradcli.report.numbers import json_number
from gradcli.report.signs import paint, printable
from gradcli.request import CheckedGradients, GradientCheck, WorstElement

NAMED = 3  # sensitivities that a heading has room for
DIGITS = 8  # of the two values: enough to see a relative difference that is not rounding
FIRST_TO_GO = ("step", "noise", "shape")  # columns that a narrow terminal does without
STYLES = {"right": "help", "wrong": "error", "not finite": "warning", "at a kink": "warning"}


def write(found: CheckedGradients, stream: TextIO, form: str, *, color: bool, why: str = "") -> None:
    """Writes it as `table`, `plain` or `json`. `why` is the command that tells where what is not finite was born."""
    if form == "json":
        stream.write(document(found))
        return
    page = Page(heading(found), (grid(found),) if found.rows else ())
    if form == "table":
        from gradcli.report import table

        width = shutil.get_terminal_size().columns
        table.render(
            replace(page, grids=tuple(without_columns(one, width, FIRST_TO_GO) for one in page.grids)),
            stream,
            color=color,
            width=width,
        )
    else:
        from gradcli.report import plain

        stream.write(plain.render(page))
    width = shutil.get_terminal_size().columns if form == "table" else 0
    for line in remarks(found, why):
        texts = wrap(line, max(width - 2, NARROWEST), subsequent_indent="  ") if width else [line]
        stream.write("".join(f"  {text}\n" for text in texts))
    stream.write(f" {verdict(found, color=color)}\n")
    if found.culprits:
        stream.write("\n" + render_all((one.diagnostic for one in found.culprits), color=color))


def heading(found: CheckedGradients) -> str:
    """`model.net · net Net · sens random:0 · in f64`"""
    name = printable(found.model).replace("\n", " ")
    return " · ".join([name, f"net {found.net}", _sens(found.sens), f"in {found.dtype}"])


def _sens(sens: Sequence[dict[str, Any]]) -> str:
    """Each by its name, or of many: `sens random:0 … random:7 of 8 outputs`."""
    if len(sens) <= NAMED:
        return sens_text(sens)
    sources = dict.fromkeys(str(one["source"] or one["kind"]) for one in sens)
    first, last = next(iter(sources)), next(reversed(sources))
    what = "gradients" if any("," in one["output"] for one in sens) else "outputs"
    return f"sens {first}{f' … {last}' if last != first else ''} of {len(sens)} {what}"


def grid(found: CheckedGradients) -> Grid:
    titles = ("by", "shape", "worst at", "gradient", "differences", "error", "noise", "step")
    rows = tuple(tuple((cell,) for cell in _cells(row)) for row in found.rows)
    return Grid(titles, rows)


def _cells(row: GradientCheck) -> list[str]:
    head = [row.name, shape_text(row.shape)]
    if row.worst is None:
        return [*head, "", "", "", "", "", ""]
    worst = row.worst
    values = [f"{value:.{DIGITS}g}" for value in (worst.gradient, worst.differences)]
    return [*head, _place(worst.index), *values, _size(worst.error), _size(worst.noise), _size(worst.step)]


def _size(number: float) -> str:
    return "0" if number == 0 else f"{number:.0e}"


def _place(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


# ── what there is to say ────────────────────────────────────────────────────────────────────────────────────


def remarks(found: CheckedGradients, why: str) -> Iterator[str]:
    for row in found.rows:
        yield from _remarks(row)
    if why and not_finite(found):
        yield f"`{why}` tells where that is born"
    for place in dict.fromkeys(place for row in found.rows for place in row.turns):
        yield f"loop at {place}: beside the point it would take other turns; held to those it takes there"
    for order, apart in enumerate(found.duality, 1):
        which = f" (order {order})" if len(found.duality) > 1 else ""
        if apart is not None:
            says = f"agrees with reverse mode to {_size(apart)}"
            if apart > found.duality_limit:
                says = f"disagrees with reverse mode: {_size(apart)} apart"
            yield f"forward mode {says}{which}"
    if _joined(found):
        yield "each operator by itself is right: what joins them is at fault; please report it"


def _joined(found: CheckedGradients) -> bool:
    """Whether something is wrong, and no operator by itself."""
    wrong = [row for row in found.rows if row.verdict == "wrong" and not row.nonfinite]
    return bool(wrong or not found.dual) and not found.culprits


def not_finite(found: CheckedGradients) -> list[GradientCheck]:
    """The rows that are not finite, of the lowest order at which there are any."""
    rows = [row for row in found.rows if row.nonfinite or row.verdict == "not finite"]
    return [row for row in rows if len(row.wrt) == min(len(row.wrt) for row in rows)]


def _remarks(row: GradientCheck) -> Iterator[str]:
    declared = f" (declared at {row.at})" if row.at else ""
    match row.verdict:
        case "wrong":
            where = _place(row.worst.index) if row.worst is not None else ""
            yield f"{row.name}{where} is wrong{declared}"
            if row.nonfinite:
                yield f"{row.nonfinite} of {row.size} elements are not finite"
        case "not finite":
            what = (
                f"{row.nonfinite} of {row.size} elements" if row.nonfinite else "the value, at this point or beside it"
            )
            yield f"{row.name} is not finite: {what}"
        case "at a kink":
            yield f"{row.name} cannot be told: {_kinks(row)}"
        case "hidden by rounding":
            yield f"{row.name} cannot be told: differences are too rough: rounding hides it, or it bends too fast"
        case "empty":
            yield f"{row.name} has no elements"
    if row.at_kinks and row.verdict != "at a kink":
        yield f"{row.name}: {row.at_kinks} of {row.checked} elements cannot be told: {_kinks(row)}"
    if row.checked < row.size - row.nonfinite and row.verdict != "not finite":
        every = f", all of them in {_counted(row.directions, 'direction')}" if row.directions else ""
        yield f"{row.name}: {row.checked} of {row.size} elements one by one{every}"


def _kinks(row: GradientCheck) -> str:
    """`relu at model.net:7 has a kink within every step`"""
    if not row.kinks:
        return "the value is not finite beside the point"
    named = ", ".join(f"{one['operator']} at {one['at']}" if one["at"] else str(one["operator"]) for one in row.kinks)
    return f"a kink within every step: {named}"


def verdict(found: CheckedGradients, *, color: bool) -> str:
    """`right: 2 gradients, 15 elements one by one`"""
    wrong = [row.name for row in found.rows if row.verdict == "wrong"]
    right = [row for row in found.rows if row.verdict == "right"]
    if not found.ok:
        what = f"{len(wrong)} of {_counted(len(found.rows), 'gradient')}" if wrong else "forward mode"
        return f"{paint('wrong', 'error', color=color)}: {what}"
    if not right:
        return f"{paint('nothing to tell', 'warning', color=color)}: {_counted(len(found.rows), 'gradient')}"
    elements = sum(row.checked - row.at_kinks for row in right)
    left = len(found.rows) - len(right)
    others = f" of {len(found.rows)}" if left else ""
    counts = f"{len(right)}{others} {'gradient' if len(found.rows) == 1 else 'gradients'}"
    return f"{paint('right', 'help', color=color)}: {counts}, {_counted(elements, 'element')} one by one"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────


def document(found: CheckedGradients) -> str:
    """Schema `gradcli.gradcheck/1`."""
    head = {
        "schema": "gradcli.gradcheck/1", "model": found.model, "net": found.net, "edition": found.edition,
        "dtype": found.dtype, "seed": found.seed, "ok": found.ok,
    }  # fmt: skip
    duality = ", ".join(
        f'{{"order": {order}, "apart": {"null" if apart is None else json_number(apart)}, '
        f'"limit": {json_number(found.duality_limit)}}}'
        for order, apart in enumerate(found.duality, 1)
    )
    lines = [
        ", ".join(f"{text(key)}: {text(value)}" for key, value in head.items()),
        f'"sens": {text([*found.sens])}',
        f'"gradients": {list_of(map(_row, found.rows))}',
        f'"duality": [{duality}]',
        f'"culprits": {list_of(map(_culprit, found.culprits))}',
        f'"notes": {text([as_json(note) for note in found.notes])}',
    ]
    return "{" + ",\n ".join(lines) + "}\n"


def _row(row: GradientCheck) -> str:
    head: dict[str, Any] = {
        "wrt": [*row.wrt], "kind": row.kind, "shape": [*row.shape], "dtype": row.dtype, "verdict": row.verdict,
        "at": row.at, "checked": row.checked, "at_kinks": row.at_kinks, "directions": row.directions,
        "nonfinite": row.nonfinite,
    }  # fmt: skip
    worst = "null" if row.worst is None else _worst(row.worst)
    tail = {"kinks": [*row.kinks], "turns": [*row.turns]}
    return f'{text(head)[:-1]}, "worst": {worst}, {text(tail)[1:-1]}}}'


def _worst(worst: WorstElement) -> str:
    names = ("gradient", "differences", "error", "step", "noise")
    numbers = ", ".join(f'"{name}": {json_number(getattr(worst, name))}' for name in names)
    return f'{{"index": {text([*worst.index])}, {numbers}}}'


def _culprit(one: Any) -> str:
    head = {"operator": one.operator, "operand": one.operand, "mode": one.mode}
    numbers = f'"found": {json_number(one.found)}, "expected": {json_number(one.expected)}'
    tail = {"at": one.at, "diagnostic": as_json(one.diagnostic)}
    return f"{text(head)[:-1]}, {numbers}, {text(tail)[1:-1]}}}"

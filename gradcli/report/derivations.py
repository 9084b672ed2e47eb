"""A derivation as text: what the model computes on the left, read down; its adjoints beside it, read up.

Where both do not fit beside each other, an adjoint stands below what it is the adjoint of.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from gradcli.ir.dims import known
from gradcli.ir.formula import Derivation, Equation, Explanation, Formula, Name, Number, Step
from gradcli.record import record, replace
from gradcli.report.notation import Style, spread, write
from gradcli.report.signs import columns, padded, paint, printable
from gradcli.report.styles import TEXT
from gradcli.report.turns import block_lines, first_result

WIDTH = 80
FEW = 6  # elements that stand in a line of numbers
GAP = "  "
ORDER = {
    "reverse": "values are read down, adjoints up: {x} is ∂L/∂x, and L = {loss}",
    "forward": "both are read down: {x} is the derivative of x along the tangents given",
}


def explanation_text(explanation: Explanation, *, width: int = WIDTH, precision: int | None, color: bool) -> str:
    """All parts, each ending in a newline."""
    head = f" {printable(explanation.model)} · net {explanation.net}"
    parts = [_part(part, explanation, width, precision, color) for part in explanation.parts]
    return paint(head, "bold", color=color) + "\n" + "\n".join(parts)


def _part(part: Derivation, explanation: Explanation, width: int, precision: int | None, color: bool) -> str:
    lines = [f" {reading(part)}", ""]
    rows = _places_once([row for step in part.steps for row in _rows(step, precision, explanation.model)])
    lines += _table(rows, part.mode, width, color)
    if part.closed:
        lines += ["", GAP + "in closed form"]
        lines += [_closed(equation) for equation in part.closed]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def reading(part: Derivation) -> str:
    """How a derivation is to be read, and what it is of: a sentence without its full stop."""
    loss = " + ".join(weighted(part, TEXT, "Σ ")) or "0"
    title = part.of if part.of.startswith("∂") else f"{part.mode} mode"
    return f"{title}: {ORDER[part.mode].format(x=TEXT.name(Name('x', marks_of(part))), loss=loss)}"


def marks_of(part: Derivation) -> tuple[str, ...]:
    """The mark that this derivation sets."""
    return part.seeds[0].name.marks[-1:]


def weighted(part: Derivation, style: Style, total: str) -> Iterator[str]:
    """The terms of L: `Σ out`, or `Σ ōut ⊙ out`."""
    for seed, output in zip(part.seeds, part.weighed, strict=True):
        scalar = known(seed.aval.size) == 1
        ones = isinstance(seed.formula, Number)
        factor = "" if ones else f"{style.name(seed.name)} {style.times if scalar else style.each} "
        yield f"{'' if scalar else total}{factor}{style.name(output)}"


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────


@record
class Row:
    """One row of the table; `left` and `right` are of several lines where they are loops. `value` is the number beside
    what the model computes, `number` that of the adjoint, `note` what is said about it."""

    place: str
    left: str
    shape: str
    right: str
    value: str = ""
    number: str = ""
    note: str = ""


def _rows(step: Step, digits: int | None, model: str) -> Iterator[Row]:
    """`digits` of numbers, where there are any."""
    if step.value.block is not None and (
        step.adjoint_block is not None or step.value.name == first_result(step.value.block)
    ):
        beside = step.adjoint_block
        right = "\n".join(block_lines(beside, TEXT)) if beside is not None else ""
        yield Row(place_text(step, model), "\n".join(block_lines(step.value.block, TEXT)), "", right)
    *before, last = step.derivative or (None,)
    for equation in before:
        if equation is not None and equation.block is None:
            yield Row("", "", "", _side(equation), "", number_text(equation, digits), _note(equation))
    left = TEXT.name(step.value.name) if step.value.formula is None else _equation(step.value)
    if step.why == "constant" and step.value.call:
        left = f"{TEXT.name(step.value.name)} = {_call(step.value.call)}"
    right, number, note = f"({step.why})" if step.why else "", "", ""
    if last is not None:
        right, number, note = f"{_side(last)}  {right}".rstrip(), number_text(last, digits), _note(last)
    place = "" if step.value.block is not None else place_text(step, model)
    yield Row(place, left, shape_text(step.value), right, number_text(step.value, digits), number, note)


def place_text(step: Step, model: str) -> str:
    """The line's number, with the file where it is not the model's own."""
    if step.place is None:
        return ""
    name = step.place.source.name
    return str(step.place.line) if name == model else printable(f"{name.rpartition('/')[2]}:{step.place.line}")


def _side(equation: Equation) -> str:
    return _given(equation) if equation.formula is None else _equation(equation)


def _note(equation: Equation) -> str:
    return f"(summed over {', '.join(dim_text(d) for d in equation.summed)})" if equation.summed else ""


def _given(equation: Equation) -> str:
    """What has no formula: a sensitivity as it was given, or what a loop leaves."""
    if equation.call:
        return f"{TEXT.name(equation.name)} = {_call(equation.call)}"
    return f"{TEXT.name(equation.name)}{source_text(equation)}"


def source_text(equation: Equation) -> str:
    """Where an adjoint comes from that a block leaves."""
    if equation.block is None or not equation.name.marks:
        return ""
    return " from the loop" if equation.block.op == "scan" else " from the part"


def _equation(equation: Equation) -> str:
    assert equation.formula is not None
    made = write(equation.formula, TEXT)
    called = f"{_call(equation.call)} = " if equation.call else ""
    return f"{TEXT.name(equation.name)} = {called}{made}"


def dim_text(label: str) -> str:
    return f"dim {label}" if label.isdecimal() else label


def _call(pieces: Sequence[str | Formula]) -> str:
    return "".join(printable(piece) if isinstance(piece, str) else write(piece, TEXT) for piece in pieces)


def shape_text(equation: Equation) -> str:
    """`f32[batch, 3]`"""
    names = equation.dims or (None,) * equation.aval.rank
    dims = ", ".join(name or str(size) for name, size in zip(names, equation.aval.shape, strict=True))
    return f"{equation.aval.dtype}[{dims}]" if dims else equation.aval.dtype


def number_text(equation: Equation, precision: int | None) -> str:
    if equation.value is None or (isinstance(equation.formula, Number) and equation.aval.rank):
        return ""
    array: Any = equation.value
    if array.size > FEW:
        return _summary(array)
    return _nested([_digits(x, precision) for x in array.ravel().tolist()], array.shape)


def _digits(number: float, precision: int | None) -> str:
    return str(number) if isinstance(number, bool | int) else f"{number:.{precision or 4}g}"


def _nested(texts: list[str], shape: tuple[int, ...]) -> str:
    for size in reversed(shape):
        texts = [f"[{' '.join(texts[k : k + size])}]" for k in range(0, len(texts), size)] if size else ["[]"]
    return texts[0]


def _summary(array: Any) -> str:
    if (array == array.flat[0]).all():
        return f"all {array.flat[0]:.4g}"
    if array.dtype.kind == "b":
        return f"{int(array.sum())} of {array.size} true"
    return f"{array.min():.3g} … {array.max():.3g}"


def _closed(equation: Equation) -> str:
    assert equation.formula is not None
    formula, where = spread(equation.formula)
    return f"{GAP * 2}∂L/∂{equation.name.base} = {write(formula, TEXT)}" + (f"  {where}" if where else "")


# ── laying out ──────────────────────────────────────────────────────────────────────────────────────────────

FIELDS = ("place", "left", "value", "shape", "right", "number", "note")


def _places_once(rows: Sequence[Row]) -> list[Row]:
    """A line's number only where it begins."""
    found, before = [], ""
    for row in rows:
        found.append(replace(row, place="") if row.place == before else row)
        before = row.place or before
    return found


def _table(rows: Sequence[Row], mode: str, width: int, color: bool) -> list[str]:
    titles = Row("", "value", "shape", "adjoint" if mode == "reverse" else "tangent")
    for tried in (rows, [_brief(row) for row in rows]):
        used = [f for f in FIELDS if any(getattr(row, f) for row in tried)]
        sizes = {
            f: max(columns(line) for row in (titles, *tried) for line in getattr(row, f).split("\n")) for f in used
        }
        if sum(sizes.values()) + len(GAP) * len(used) <= width:
            head, *lines = [GAP + GAP.join(cells) for row in (titles, *tried) for cells in _cells(row, used, sizes)]
            return [paint(head.rstrip(), "dim", color=color), *lines]
    wide = max((columns(row.place) for row in rows), default=0)
    return [line for row in rows for line in _stacked(row, wide, width)]


def _brief(row: Row) -> Row:
    """Without a note that only repeats what the sum says."""
    return replace(row, note="") if row.note.startswith("(summed") and "Σ_" in row.right else row


def _cells(row: Row, used: Sequence[str], sizes: dict[str, int]) -> Iterator[list[str]]:
    for parts in zip_longest(*(getattr(row, f).split("\n") for f in used), fillvalue=""):
        yield [padded(part, sizes[f]) for f, part in zip(used, parts, strict=True)]


def _stacked(row: Row, wide: int, width: int) -> Iterator[str]:
    """The value and its shape on one line, the adjoint below, further in."""
    first = f"{GAP}{padded(row.place, wide)}{GAP}"
    if row.value:
        row = replace(row, left=f"{row.left} = {row.value}")
    if row.right.startswith("(") and row.right.endswith(")") and " " not in row.right:  # only why there is none
        row = replace(row, left=f"{row.left}  {row.right}", right="")
    for k, line in enumerate(row.left.split("\n") if row.left else ()):
        text = (first if k == 0 else " " * len(first)) + line
        room = width - columns(text) - columns(row.shape)
        if row.shape and room >= 2:
            yield text + " " * room + row.shape
        else:
            yield from _wrapped(text, width, wide + 6)
            if row.shape:
                yield " " * (width - columns(row.shape)) + row.shape
    said = not row.number or row.right.endswith(f"= {row.number}")
    tail = ("" if said else f" = {row.number}") + (f"  {row.note}" if row.note else "")
    if row.right or row.note:
        for line in f"{row.right}{tail}".split("\n"):
            yield from _wrapped(" " * (wide + 10) + line.rstrip(), width, wide + 14)


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    if columns(text) <= width:
        return [text]
    lead = len(text) - len(text.lstrip())
    return textwrap.wrap(
        text.strip(), width, initial_indent=" " * lead, subsequent_indent=" " * indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip

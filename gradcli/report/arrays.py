"""Arrays as lines of text: aligned rows as NumPy draws them, or a summary with the corners of a large one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from gradcli.record import record, replace
from gradcli.report.numbers import for_people, norm

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LARGE = 200  # elements above which an array is summarised
EDGES = (3, 2, 1)  # rows and columns kept at each end of a summarised array: as many as LARGE allows
SUMMARY_DIGITS = 6
FEWER_DIGITS = (6, 4)  # of a matrix that would be too wide for the terminal
GAP = "  "
CUT = "…"


@record
class Drawing:
    """How arrays are drawn: all of a large one, how many digits, and how wide (None: as wide as they are)."""

    full: bool = False
    precision: int | None = None
    width: int | None = None


def shape_text(shape: tuple[int, ...]) -> str:
    """`2×3`, or `scalar`."""
    return "×".join(map(str, shape)) or "scalar"


def draw_matrix(array: Array, drawing: Drawing) -> list[str]:
    """`draw`, but numbers lose digits rather than let the rows of a matrix go on in the next line."""
    if array.ndim == 2 and array.size <= LARGE and drawing.precision is None and not drawing.full:
        for digits in (None, *FEWER_DIGITS):
            lines = draw(array, replace(drawing, width=None, precision=digits))
            if fits(lines, drawing.width):
                return lines
    return draw(array, drawing)


def draw(array: Array, drawing: Drawing) -> list[str]:
    """The lines of `array`; above 200 elements a summary, unless `drawing.full`."""
    if array.size > LARGE and not drawing.full:
        return [*_facts(array, drawing), *_corners(array, drawing)]
    if array.ndim == 0:
        return for_people(array, drawing.precision)
    if array.size == 0:
        return [f"[] (no elements, {shape_text(array.shape)})"]
    return _rows(for_people(array, drawing.precision), array.shape, drawing.width)


def _facts(array: Array, drawing: Drawing) -> list[str]:
    import numpy as np

    if array.dtype.kind == "b":
        return [f"{int(array.sum())} of {array.size} are true"]
    digits = SUMMARY_DIGITS if drawing.precision is None else drawing.precision
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array.ravel()
    lines = []
    if finite.size:
        wide = finite.astype(np.float64)
        # Dividing first keeps the mean of large values finite.
        mean = float(np.sum(wide / wide.size))
        parts = {"min": float(finite.min()), "max": float(finite.max()), "mean": mean, "norm": norm(array)}
        lines += _joined([f"{name} {value:.{digits}g}" for name, value in parts.items()], drawing.width)
    zeros = int(array.size - np.count_nonzero(array))
    return lines + _joined([f"zeros {zeros}", f"non-finite {array.size - finite.size}"], drawing.width)


def _joined(facts: list[str], width: int | None) -> list[str]:
    """Facts side by side, in as many lines as `width` asks for."""
    lines: list[str] = []
    for fact in facts:
        longer = f"{lines[-1]} · {fact}" if lines else ""
        if lines and (width is None or len(longer) <= width):
            lines[-1] = longer
        else:
            lines.append(fact)
    return lines


def _corners(array: Array, drawing: Drawing) -> list[str]:
    """As much of each corner as LARGE allows, and as many columns as stand in one line of `drawing.width`."""
    edge = next((e for e in EDGES if prod(len(_kept(size, e)) for size in array.shape) <= LARGE), EDGES[-1])
    outer = [_kept(size, edge) for size in array.shape[:-1]]
    for columns in range(edge, 0, -1):
        lines = _cut(array, [*outer, _kept(array.shape[-1], columns)], drawing, None)
        if fits(lines, drawing.width):
            return lines
    return _cut(array, [*outer, _kept(array.shape[-1], edge)], drawing, drawing.width)


def fits(lines: list[str], width: int | None) -> bool:
    return width is None or max(map(len, lines)) <= width


def _cut(array: Array, kept: list[list[int | None]], drawing: Drawing, width: int | None) -> list[str]:
    import numpy as np

    part = array[np.ix_(*[[at for at in axis if at is not None] for axis in kept])]
    digits = SUMMARY_DIGITS if drawing.precision is None else drawing.precision
    texts = iter(for_people(part, digits))
    whole = [CUT if None in place else next(texts) for place in product(*kept)]
    return _rows(whole, tuple(map(len, kept)), width, kept)


def _kept(size: int, edge: int) -> list[int | None]:
    """The indices of an axis that a summary shows, `edge` at each end; None stands for those left out."""
    if size <= 2 * edge + 1:
        return [*range(size)]
    return [*range(edge), None, *range(size - edge, size)]


def _rows(
    texts: list[str], shape: tuple[int, ...], width: int | None, kept: list[list[int | None]] | None = None
) -> list[str]:
    """Nested brackets around rows of aligned columns. Rows wider than `width` go on in the next line."""
    columns = shape[-1]
    rows = [texts[start : start + columns] for start in range(0, len(texts), columns)]
    aligned = _aligned(rows)
    depth = len(shape)
    lines: list[str] = []
    for number, (row, place) in enumerate(zip(aligned, product(*map(range, shape[:-1])), strict=True)):
        if kept and (cut := _cut_row(place, kept)) is not None:
            if cut:
                lines.extend([""] * (cut < depth - 1))
                lines.append(" " * cut + CUT)
            continue
        opened = _trailing(place, lambda at, axis: at == 0)
        closed = _trailing(place, lambda at, axis: at == shape[axis] - 1)
        if depth > 2 and opened and number:
            lines.append("")
        head = " " * (depth - 1 - opened) + "[" * (opened + 1)
        lines.extend(_wrapped(head, row, "]" * (closed + 1), width, depth))
    return lines


def _cut_row(place: tuple[int, ...], kept: list[list[int | None]]) -> int | None:
    """None for a row that is shown; for one left out, the indent of its `…`, or 0 where an outer one has it."""
    for axis, at in enumerate(place):
        if kept[axis][at] is None:
            return axis + 1 if not any(place[axis + 1 :]) else 0
    return None


def _trailing(place: tuple[int, ...], at_end: Any) -> int:
    """How many of the innermost axes are at their first (or last) index."""
    count = 0
    for axis in reversed(range(len(place))):
        if not at_end(place[axis], axis):
            break
        count += 1
    return count


def _aligned(rows: list[list[str]]) -> list[list[str]]:
    """The cells of each column padded so that their decimal points stand below each other."""
    columns = []
    for cells in zip(*rows, strict=True):
        halves = [_halves(cell) for cell in cells]
        left = max(len(before) for before, _ in halves)
        right = max(len(after) for _, after in halves)
        columns.append([before.rjust(left) + after.ljust(right) for before, after in halves])
    return [list(row) for row in zip(*columns, strict=True)]


def _halves(text: str) -> tuple[str, str]:
    at = next((at for at, letter in enumerate(text) if letter in ".e"), len(text))
    return (text[:at], text[at:]) if text[-1:].isdigit() else (text, "")


def _wrapped(head: str, cells: list[str], tail: str, width: int | None, depth: int) -> Iterator[str]:
    line = head
    fresh = True
    for number, cell in enumerate(cells):
        end = len(tail) if number == len(cells) - 1 else 0
        if not fresh and width is not None and len(line) + len(GAP) + len(cell) + end > width:
            yield line.rstrip()
            line, fresh = " " * depth, True
        line += cell if fresh else GAP + cell
        fresh = False
    yield line + tail

"""A plan as a page: one line a step, with the line of the model that it comes from; then buffers; then the peak.

Steps inside of blocks and turns are numbered after the step that runs them, `2.0`, and so are their buffers, `2.b1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradcli.facts.plan import Buffer, Cut, Laid, LaidStep, Layout
from gradcli.report.document import list_of, text
from gradcli.report.layout import INDENT, Cell, Grid
from gradcli.report.signs import CUT, columns, printable
from gradcli.report.units import right, size

FLAT = "operators as they are: blocks, lanes and the arena are of NumPy alone"
OUTSIDE = ("input", "result")  # of a body: memory of the step that runs it
GAP, FEW = 2, 2  # blanks between columns, names in one
WHAT = 30  # columns that the text of a step has at least, before the folders of its file go
Row = tuple[str, ...]


def page(found: Layout, width: int | None = None) -> str:
    """At most so many columns wide, or as wide as it is."""
    lines = [f" {heading(found)}", *([f" {FLAT}"] if found.plan.flat else []), *steps_lines(found.plan, width)]
    buffers = list(_buffers(found.plan))
    if buffers:
        lines += ["", *_lines(_grid(("buffer", "kind", "bytes", "steps", "holds"), buffers, (2,)), width)]
    return "\n".join([*lines, "", f" {closing(found)}", ""])


def heading(found: Layout) -> str:
    """`model.net · net Net · order 2 · numpy, 1 thread`"""
    parts = [printable(found.model).replace("\n", " "), f"net {found.net}"]
    parts += [f"order {found.order}"] if found.order > 1 else []
    return " · ".join([*parts, ran_on(found)])


def ran_on(found: Layout) -> str:
    if not found.threads:
        return found.backend
    return f"{found.backend}, {found.threads} thread{'' if found.threads == 1 else 's'}"


def closing(found: Layout) -> str:
    """What it takes at most, of which the stretch of temporaries, and how many work at it."""
    arena = [] if found.plan.flat else [f"arena {size(found.plan.arena)}"]
    peak = f"peak {size(found.plan.peak)} beside {size(found.input_bytes)} of inputs"
    return " · ".join([peak, *arena, ran_on(found)])


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────


def steps_lines(plan: Laid, width: int | None) -> Iterator[str]:
    """The table of steps; where it is too wide, files go without their folders."""
    rows = list(_steps(plan))
    titles = ("step", "how", "into", "line", "what")
    grid = _grid(titles, rows, ())
    if width is not None and _before(grid) + WHAT > width:
        grid = _grid(titles, [(*row[:3], row[3].rpartition("/")[2], row[4]) for row in rows], ())
    return _lines(grid, width)


def _steps(plan: Laid, outer: str = "") -> Iterator[Row]:
    for number, step in enumerate(plan.steps):
        name = f"{outer}{number}"
        place = f"{printable(step.file)}:{step.line}" if step.line else ""
        yield name, step.how, _several(step.into), place, printable(what(step)).replace("\n", " ")
        for _, body in step.bodies:
            yield from _steps(body, f"{name}.")


def _several(names: Sequence[str]) -> str:
    """All of a few; of more the first and the last."""
    return ", ".join(names) if len(names) <= FEW else f"{names[0]} … {names[-1]}"


def what(step: LaidStep) -> str:
    """`%1 = sin(x)`; of blocks how many, of a loop how often."""
    if step.cut is not None:
        return cut_text(step.cut)
    if step.turns is not None:
        return f"{step.turns} turn{'' if step.turns == 1 else 's'}"
    return step.text


def cut_text(cut: Cut) -> str:
    """`3 × 16 rows, 2 lanes; sums: d_w; last block 4`"""
    rows = ("element" if cut.flat else "row") + ("" if cut.size == 1 else "s")
    lanes = f"{cut.lanes} lane{'' if cut.lanes == 1 else 's'}"
    last = f"; last block {cut.rest}" if cut.rest != cut.size else ""
    sums = f"; sums: {', '.join(cut.sums)}" if cut.sums else ""
    return f"{cut.blocks} × {cut.size} {rows}, {lanes}{sums}{last}"


# ── buffers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _buffers(plan: Laid, outer: str = "") -> Iterator[Row]:
    for buffer in plan.buffers:
        if buffer.kind != "input" and not (outer and buffer.kind in OUTSIDE):
            holds = ", ".join(buffer.holds) or buffer.use
            yield f"{outer}{buffer.name}", buffer.kind, size(buffer.bytes), _life(buffer, plan, outer), holds
    for number, step in enumerate(plan.steps):
        for _, body in step.bodies:
            yield from _buffers(body, f"{outer}{number}.")


def _life(buffer: Buffer, plan: Laid, outer: str) -> str:
    """`0…3`; what is there before the first step has no beginning, what outlives the last no end."""
    if buffer.last < 0:
        return "none"  # a constant of which bodies have copies of their own
    first = "" if buffer.first < 0 else f"{outer}{buffer.first}"
    last = "" if buffer.last >= len(plan.steps) else f"{outer}{buffer.last}"
    return first if first == last else f"{first}…{last}"


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def _grid(titles: Row, rows: list[Row], numbers: tuple[int, ...]) -> Grid:
    table = [[*column] for column in zip(titles, *rows, strict=True)]
    table = [right(column) if k in numbers else column for k, column in enumerate(table)]
    head, *lines = zip(*table, strict=True)
    made: tuple[tuple[Cell, ...], ...] = tuple(tuple((cell,) for cell in line) for line in lines)
    return Grid(tuple(head), made)


def _before(grid: Grid) -> int:
    """Columns in front of the last one."""
    return INDENT + sum(width + GAP for width in grid.widths()[:-1])


def _lines(grid: Grid, width: int | None) -> Iterator[str]:
    for cells in grid.lines():
        line = (" " * INDENT + (" " * GAP).join(cells)).rstrip()
        yield line if width is None else _shortened(line, width)


def _shortened(line: str, width: int) -> str:
    if columns(line) <= width:
        return line
    while columns(line) > width - 1:
        line = line[:-1]
    return line.rstrip() + CUT


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────


def document(found: Layout) -> str:
    """Schema `gradcli.plan/1`."""
    head = {
        "schema": "gradcli.plan/1", "model": found.model, "net": found.net, "edition": found.edition,
        "order": found.order, "backend": found.backend, "threads": found.threads,
        "input_bytes": found.input_bytes, "peak": found.plan.peak, "arena": found.plan.arena, "flat": found.plan.flat,
    }  # fmt: skip
    lines = [
        ", ".join(f"{text(key)}: {text(value)}" for key, value in head.items()),
        f'"steps": {list_of(text(_step_json(step)) for step in found.plan.steps)}',
        f'"buffers": {list_of(text(_plain(buffer)) for buffer in found.plan.buffers)}',
    ]
    return "{" + ",\n ".join(lines) + "}\n"


def _plain(value: Any) -> dict[str, Any]:
    fields = {name: getattr(value, name) for name in value.__match_args__}
    return {name: [*field] if isinstance(field, tuple) else field for name, field in fields.items()}


def _step_json(step: LaidStep) -> dict[str, Any]:
    cut = None if step.cut is None else _plain(step.cut)
    bodies = {
        name: {
            "steps": [_step_json(inner) for inner in body.steps],
            "buffers": [_plain(buffer) for buffer in body.buffers],
            "arena": body.arena,
            "peak": body.peak,
        }
        for name, body in step.bodies
    }
    return _plain(step) | {"cut": cut, "bodies": bodies}

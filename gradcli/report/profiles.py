"""What `profile` prints: lines of the model, or steps of the plan, with their time, work and share of the peaks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, TextIO

from gradcli.facts.measure import LOOP, Figures, Profile, ProfiledLine, ProfiledStep
from gradcli.report.benches import heading, spread_json
from gradcli.report.document import list_of, text
from gradcli.report.forms import as_json
from gradcli.report.layout import GAP, INDENT, NARROWEST, Cell, Grid, Page
from gradcli.report.signs import CUT, columns, printable
from gradcli.report.units import count, digits, duration, right, share, size
from gradcli.syntax.diagnostics import listed

DIRECTIONS = ("forward", "backward", "tangent")
# Columns that a narrow terminal does without.
FIRST_TO_GO = ("flop/B", "bytes", "flops", "forward", "direction", "backward", "turns", "calls", "of peak", "share")
SOURCE, LABEL = 24, 20  # columns that the text of a line, of a step has at least, before others go
BOUND = {"memory": "memory", "flops": "arithmetic"}
WORTH_SAYING = 0.15  # of the time of a line: operators that are named
SMALL = 10e-6  # seconds: operators that take less mostly take being called
NUMBER = 200e-9  # seconds: no call of NumPy takes less
MOSTLY = 0.75  # of a run
NUMBERS = 1  # column from which all but the last end below each other


def write(found: Profile, stream: TextIO, form: str, *, by: str, version: str = "") -> None:
    """Writes it as `table`, `plain`, `json`, `csv` or `speedscope`."""
    if form == "json":
        stream.write(document(found))
    elif form == "csv":
        stream.write(as_csv(found, by))
    elif form == "speedscope":
        from gradcli.report.speedscope import document as flame

        stream.write(flame(found, version))
    else:
        _page(found, stream, form, by)


def _page(found: Profile, stream: TextIO, form: str, by: str) -> None:
    width = shutil.get_terminal_size().columns if form == "table" else None
    grid = fitted(*((lines_grid(found), SOURCE) if by == "line" else (steps_grid(found), LABEL)), width)
    page = Page(heading(found), (grid,) if grid.rows else ())
    for line in (f" {page.heading}", *(f" {line}" for line in about(found))):
        texts = wrap(line, max(width, NARROWEST), subsequent_indent="   ", drop_whitespace=True) if width else [line]
        stream.write("".join(f"{text if k else ' ' + text.lstrip()}\n" for k, text in enumerate(texts)))
    stream.writelines((" " * INDENT + (" " * gap(width)).join(cells)).rstrip() + "\n" for cells in grid.lines())


def gap(width: int | None) -> int:
    return GAP if width is None else 2


def about(found: Profile) -> Iterator[str]:
    """How long a run takes, of how many it is the median, and what the machine reaches."""
    steps = sum(not step.deeper for step in found.steps)
    own = f"its {steps} steps {duration(found.stepwise)}" if steps != 1 else f"its step {duration(found.stepwise)}"
    calling = ", the rest calls them" if found.stepwise < MOSTLY * found.seconds.median else ""
    yield f"a run takes {duration(found.seconds.median)} (median of {found.rounds}), {own}{calling}"
    products = "".join(f", {count(rate)}flop/s in {dtype} products" for dtype, rate in found.peaks.flops.items())
    yield f"peaks, measured here: {size(found.peaks.bandwidth)}/s of memory{products}"
    if found.lines and found.stepwise:
        yield most(found)


def most(found: Profile) -> str:
    """`most of it: line 4, 83 %, in matmul: bound by arithmetic, at 87 % of its peak`"""
    line = max(found.lines, key=lambda line: line.figures.total)
    figures = line.figures
    place = f"line {_place(found, line.file, line.line)}" if line.line else "what no line asked for"
    ranked = sorted(figures.operators.items(), key=lambda one: -one[1][0])
    names = [name for name, (seconds, _) in ranked if seconds >= WORTH_SAYING * figures.total][:3]
    head = f"most of it: {place}, {share(figures.total / found.stepwise)}"
    if names[:1] == [LOOP]:
        return f"{head}: the loop itself, whose turns do little"
    head += f", in {listed(names)}" if names else ""
    if figures.bound is not None:
        return f"{head}: bound by {BOUND[figures.bound]}, at {share(figures.peak or 0.0)} of its peak"
    each = figures.total / max(sum(calls for _, calls in figures.operators.values()), 1)
    if each >= SMALL:
        return f"{head}: bound by what it computes"
    return f"{head}: {'single numbers' if each < NUMBER else 'small arrays'}, {duration(each)} a call"


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def lines_grid(found: Profile) -> Grid:
    """One row for each line; a loop's lines tell its turns."""
    looped = any(line.turns > 1 for line in found.lines)
    rows = []
    for line in found.lines:
        name = _place(found, line.file, line.line)
        turns = [f"×{line.turns}" if line.turns > 1 else ""] if looped else []
        text = printable(line.text) if line.line else "what no line asked for"
        rows.append([name, *_cells(line.figures, found), *turns, text])
    return _grid(["line", *_titles(found), *(["turns"] if looped else []), "source"], rows)


def steps_grid(found: Profile) -> Grid:
    """One row for each step of the plan; what a loop or blocks run stands indented below, and is counted there, too."""
    looped = any(step.figures.calls != 1 for step in found.steps)
    mixed = len({step.direction for step in found.steps}) > 1
    rows = []
    for step in found.steps:
        place = _place(found, step.file, step.line)
        calls = [f"×{step.figures.calls}" if step.figures.calls != 1 else ""] if looped else []
        way = [step.direction] if mixed else []
        label = "  " * step.deeper + step.label
        rows.append([step.name, *_cells(step.within, found, apart=False), *calls, *way, place, label])
    tail = [*(["calls"] if looped else []), *(["direction"] if mixed else []), "line", "what"]
    return _grid(["step", *_titles(found, apart=False), *tail], rows)


def _place(found: Profile, file: str, line: int) -> str:
    """The number of a line, with its file where there are several."""
    several = len({one.file for one in found.lines if one.line}) > 1
    return "none" if not line else f"{printable(file)}:{line}" if several else str(line)


def _titles(found: Profile, *, apart: bool = True) -> list[str]:
    return ["time", "share", *(_directions(found) if apart else ()), "flops", "bytes", "flop/B", "of peak"]


def _directions(found: Profile) -> list[str]:
    have = [name for name in DIRECTIONS if any(name in line.figures.seconds for line in found.lines)]
    return have if len(have) > 1 else []


def _cells(figures: Figures, found: Profile, *, apart: bool = True) -> list[str]:
    """With the time of each direction `apart`."""
    whole = found.stepwise or 1.0
    ways = _directions(found) if apart else []
    return [
        duration(figures.total),
        share(figures.total / whole),
        *(duration(figures.seconds[name]) if name in figures.seconds else "" for name in ways),
        count(figures.flops) if figures.flops else "",
        size(figures.bytes) if figures.bytes else "",
        digits(figures.intensity) if figures.intensity else "",
        "" if figures.peak is None else f"{share(figures.peak)} {figures.bound or ''}".rstrip(),
    ]


def _grid(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    table = [[*column] for column in zip(titles, *rows, strict=True)]
    table = [right(column) if NUMBERS <= k < len(table) - 1 else column for k, column in enumerate(table)]
    head, *lines = zip(*table, strict=True)
    made: tuple[tuple[Cell, ...], ...] = tuple(tuple((cell,) for cell in line) for line in lines)
    return Grid(tuple(head), made)


def fitted(grid: Grid, least: int, width: int | None) -> Grid:
    """Without some columns, so that the last one has at least so many letters, and that one cut."""
    if width is None:
        return grid
    for title in FIRST_TO_GO:
        if _before(grid) + least <= width:
            break
        keep = [k for k, name in enumerate(grid.titles) if name.strip() != title]
        grid = Grid(
            tuple(grid.titles[k] for k in keep), tuple(tuple(row[k] for k in keep) for row in grid.rows)
        )  # fmt: skip
    left = max(width - _before(grid), 1)
    rows = tuple((*row[:-1], (_cut(row[-1][0], left),)) for row in grid.rows)
    return Grid((*grid.titles[:-1], _cut(grid.titles[-1], left)), rows)


def _before(grid: Grid) -> int:
    """Columns in front of the last one."""
    return INDENT + sum(width + gap(1) for width in grid.widths()[:-1])


def _cut(text: str, width: int) -> str:
    if columns(text) <= width:
        return text
    while columns(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + CUT


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────

LINE_KEYS = ("file", "line", "text", "turns")
STEP_KEYS = ("number", "name", "label", "direction", "file", "line", "deeper")


def document(found: Profile) -> str:
    """Schema `gradcli.profile/1`."""
    head = {
        "schema": "gradcli.profile/1", "model": found.model, "net": found.net, "edition": found.edition,
        "backend": found.backend, "threads": found.threads, "order": found.order, "rounds": found.rounds,
    }  # fmt: skip
    lines = [
        ", ".join(f"{text(key)}: {text(value)}" for key, value in head.items()),
        f'"sens": {text([*found.sens])}',
        f'"seconds": {text(spread_json(found.seconds))}, "stepwise": {text(found.stepwise)}',
        f'"peaks": {text({"bandwidth": found.peaks.bandwidth, "flops": found.peaks.flops})}',
        f'"lines": {list_of(text(_record(line, LINE_KEYS)) for line in found.lines)}',
        f'"steps": {list_of(text(_step_record(step)) for step in found.steps)}',
        f'"notes": {text([as_json(note) for note in found.notes])}',
    ]
    return "{" + ",\n ".join(lines) + "}\n"


def _record(row: ProfiledLine | ProfiledStep, keys: Sequence[str]) -> dict[str, Any]:
    figures = row.figures
    head = {key: getattr(row, key) for key in keys} | {"seconds": figures.total}
    return head | {name: figures.seconds.get(name, 0.0) for name in DIRECTIONS} | {
        "calls": figures.calls, "flops": figures.flops, "bytes": figures.bytes, "intensity": figures.intensity,
        "peak": figures.peak, "bound": figures.bound,
    }  # fmt: skip


def _step_record(step: ProfiledStep) -> dict[str, Any]:
    return _record(step, STEP_KEYS) | {"within": step.within.total}


def as_csv(found: Profile, by: str) -> str:
    """A line of names, then one row for each line of the model or step of the plan; what is not known is empty."""
    import csv
    import io

    rows: list[dict[str, Any]] = (
        [_record(line, LINE_KEYS) for line in found.lines]
        if by == "line"
        else [_step_record(step) for step in found.steps]
    )
    out = io.StringIO()
    keys = [*(LINE_KEYS if by == "line" else STEP_KEYS), "seconds", *DIRECTIONS, "calls", "flops", "bytes"]
    keys += ["intensity", "peak", "bound", *(["within"] if by == "step" else [])]
    writer = csv.DictWriter(out, keys, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()

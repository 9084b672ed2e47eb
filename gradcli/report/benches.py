"""What `bench` prints: the first call in its parts, later runs of each side with ratios, memory, and what that says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, TextIO

from gradcli.facts.measure import Bench, First, Side, Spread
from gradcli.report.document import list_of, text
from gradcli.report.forms import as_json
from gradcli.report.layout import NARROWEST, Cell, Grid, Page, sens_text
from gradcli.report.signs import printable
from gradcli.report.units import between, count, digits, duration, right, share, size

SHORT = 50e-6  # seconds of a run below which it is calls that are timed
UNSTEADY = 0.25  # of the median, between the quartiles


def write(found: Bench, stream: TextIO, form: str, *, color: bool) -> None:
    """Writes it as `table`, `plain` or `json`."""
    if form == "json":
        stream.write(document(found))
        return
    page = Page(heading(found), (first_grid(found), later_grid(found), memory_grid(found)))
    width = shutil.get_terminal_size().columns if form == "table" else 0
    if form == "table":
        from gradcli.report import table

        table.render(page, stream, color=color, width=width)
    else:
        from gradcli.report import plain

        stream.write(plain.render(page))
    stream.write("\n")
    for line in remarks(found):
        texts = wrap(line, max(width - 2, NARROWEST), subsequent_indent="  ") if width else [line]
        stream.write("".join(f"  {text}\n" for text in texts))


def heading(found: Bench | Any) -> str:
    """`model.net · net Net · order 2 · sens: ones (implicit) · numpy, 1 thread`"""
    parts = [printable(found.model).replace("\n", " "), f"net {found.net}"]
    parts += [f"order {found.order}"] if found.order > 1 else []
    parts.append(f"{sens_text(found.sens)}")
    parts.append(f"{found.backend}, {found.threads} thread{'' if found.threads == 1 else 's'}")
    return " · ".join(parts)


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def first_grid(found: Bench) -> Grid:
    rows: list[tuple[str, str, str]] = []
    for side in found.sides:
        if side.first is not None:
            parts = [*side.first.parts, ("in all", side.first.total)]
            rows += [(side.name if not k else "", part, duration(took)) for k, (part, took) in enumerate(parts)]
    return _grid(("first call", "part", "time"), rows, (2,))


def later_grid(found: Bench) -> Grid:
    rows = []
    for side in found.sides:
        spread, ratio = side.seconds, side.ratio
        rows.append(
            (side.name, duration(spread.median), between(spread.low, spread.high),
             count(1 / spread.median),
             *(("", "") if ratio is None else (digits(ratio.median), f"{digits(ratio.low)}–{digits(ratio.high)}")))
        )  # fmt: skip
    return _grid(("later calls", "time", "quartiles", "a second", "gradcli / it", "quartiles"), rows, (1, 3))


def memory_grid(found: Bench) -> Grid:
    memory = found.memory
    told = [
        ("inputs", memory.inputs), ("peak beside them, as planned", memory.planned),
        ("the same, as measured", memory.measured), ("held between runs", memory.held),
        ("taken by a later run", memory.run), ("of that, its results", memory.results),
    ]  # fmt: skip
    told += [(f"{side.name}: temporaries and results", side.bytes) for side in found.sides[1:] if side.bytes]
    return _grid(("memory", "bytes"), [(name, size(bytes)) for name, bytes in told if bytes is not None], (1,))


def _grid(titles: tuple[str, ...], rows: Sequence[Sequence[str]], numbers: tuple[int, ...]) -> Grid:
    """A table whose columns `numbers` end below each other."""
    columns = [[*column] for column in zip(titles, *rows, strict=True)]
    columns = [right(column) if k in numbers else column for k, column in enumerate(columns)]
    head, *lines = zip(*columns, strict=True)
    made: tuple[tuple[Cell, ...], ...] = tuple(tuple((cell,) for cell in line) for line in lines)
    return Grid(tuple(head), made)


# ── what there is to say ────────────────────────────────────────────────────────────────────────────────────


def remarks(found: Bench) -> Iterator[str]:
    """How often, how much work, whether the numbers agree, and how the sides compare."""
    own = found.sides[0].seconds.median
    yield f"{found.rounds} rounds, in each {_listed([_runs(side, not k) for k, side in enumerate(found.sides)])}"
    if found.flops:
        yield f"{count(found.flops)}flop a run: {count(found.flops / own)}flop/s"
    for side in found.sides[1:]:
        if side.apart is not None:
            near = "the same numbers" if side.apart == 0 else f"the same numbers, to {side.apart:.0e} of the largest"
            about = f" ({side.about})" if side.about else ""
            yield f"{side.name}{about} gives {near}"
    ratios = [side for side in found.sides if side.ratio is not None]
    if ratios:
        yield f"gradcli takes {_listed([_ratio(side) for side in ratios])}"
    if own < SHORT:
        yield "a run is that short: most of it is calling operators, not computing, and measuring shows"
    unsteady = max(found.sides, key=lambda side: _width(side.seconds))
    if _width(unsteady.seconds) > UNSTEADY:
        wide = share(_width(unsteady.seconds))
        yield f"the machine is busy: quartiles of {unsteady.name} are {wide} of its median apart; more `--seconds` help"


def _runs(side: Side, first: bool) -> str:
    word = f" run{'' if side.runs == 1 else 's'}" if first else ""
    return f"{side.runs}{word} of {side.name}"


def _ratio(side: Side) -> str:
    assert side.ratio is not None
    return f"{digits(side.ratio.median)} of the time of {side.name}"


def _width(spread: Spread) -> float:
    return (spread.high - spread.low) / spread.median


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────


def document(found: Bench) -> str:
    """Schema `gradcli.bench/1`."""
    head = {
        "schema": "gradcli.bench/1", "model": found.model, "net": found.net, "edition": found.edition,
        "backend": found.backend, "threads": found.threads, "order": found.order, "rounds": found.rounds,
        "flops": found.flops,
    }  # fmt: skip
    memory = {name: getattr(found.memory, name) for name in ("inputs", "planned", "measured", "held", "run", "results")}
    lines = [
        ", ".join(f"{text(key)}: {text(value)}" for key, value in head.items()),
        f'"sens": {text([*found.sens])}',
        f'"sides": {list_of(text(_side(side)) for side in found.sides)}',
        f'"memory": {text(memory)}',
        f'"notes": {text([as_json(note) for note in found.notes])}',
    ]
    return "{" + ",\n ".join(lines) + "}\n"


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name, "about": side.about, "first": _first(side.first), "runs": side.runs,
        "seconds": spread_json(side.seconds), "ratio": None if side.ratio is None else spread_json(side.ratio),
        "apart": side.apart, "bytes": side.bytes,
    }  # fmt: skip


def _first(first: First | None) -> dict[str, float] | None:
    return None if first is None else {**dict(first.parts), "in all": first.total}


def spread_json(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "low": spread.low, "high": spread.high}

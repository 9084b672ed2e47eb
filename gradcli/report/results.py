"""A result in the form that was asked for: a table, plain text, JSON, JSON lines, CSV, or arrays in a file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TextIO

from gradcli.report.arrays import Drawing
from gradcli.request import Result

FORMATS = ("table", "plain", "json", "jsonl", "csv")


def write(result: Result, stream: TextIO, form: str, *, color: bool, full: bool, precision: int | None) -> None:
    """Writes `result` to `stream` as one of FORMATS; `table` is as wide as the terminal."""
    match form:
        case "json" | "jsonl" | "csv":
            from gradcli.report import document

            stream.write(getattr(document, f"result_{form}")(result))
        case "table":
            from gradcli.report import layout, table

            width = shutil.get_terminal_size().columns
            page = layout.page(result, Drawing(full, precision, width))
            table.render(page, stream, color=color, width=width)
        case _:
            from gradcli.report import layout, plain

            stream.write(plain.render(layout.page(result, Drawing(full, precision))))


def check_target(path: Path) -> None:
    """Raises ModelError for a file that `store` could not write, before anything is computed."""
    from gradcli.data.write import check_target

    check_target(path)


def store(result: Result, path: Path) -> None:
    """Writes every array of `result` to `path` under its name, whole or not at all; raises ModelError."""
    from gradcli.data.write import write_arrays

    write_arrays(path, {entry.name: entry.array for entry in result.arrays})


def nonfinite(result: Result) -> list[tuple[str, int, int]]:
    """The arrays that hold nan or inf: name, how many elements, of how many."""
    import numpy as np

    found = []
    for entry in result.arrays:
        bad = int(entry.array.size - np.count_nonzero(np.isfinite(entry.array)))
        if bad:
            found.append((entry.name, bad, entry.array.size))
    return found

"""A result in the form that was asked for: a table, plain text, JSON, JSON lines, CSV, or arrays in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from gradcli.report.arrays import Drawing
from gradcli.request import Entry, Result, SparseMatrix
from gradcli.syntax.diagnostics import fail, listed

FORMATS = ("table", "plain", "json", "jsonl", "csv")


def write(result: Result, stream: TextIO, form: str, *, color: bool, full: bool, precision: int | None) -> None:
    """Writes `result` to `stream` as one of FORMATS, or a sparse block as `svg`; `table` is as wide as the
    terminal."""
    match form:
        case "json" | "jsonl" | "csv":
            from gradcli.report import document

            stream.write(getattr(document, f"result_{form}")(result))
        case "svg":
            from gradcli.report import layout, pattern

            entry, matrix = the_sparse_one(result, "a drawing shows")
            stream.write(pattern.svg(matrix, f"{layout.noun(result)} {entry.name} of {result.model}"))
        case "table":
            from shutil import get_terminal_size

            from gradcli.report import layout, table

            width = get_terminal_size().columns
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
    from gradcli.data.write import write_arrays, write_sparse

    if any(entry.matrix is not None for entry in result.arrays):
        write_sparse(path, the_sparse_one(result, "a file holds")[1])
        return
    write_arrays(path, {entry.name: entry.array for entry in result.arrays})


def the_sparse_one(result: Result, who: str) -> tuple[Entry, SparseMatrix]:
    """The only block. Raises ModelError USE005 where there are several."""
    found = [(entry, entry.matrix) for entry in result.arrays if entry.matrix is not None]
    if len(found) != 1:
        names = listed(entry.name for entry, _ in found)
        several = len({entry.output for entry, _ in found}) > 1
        help = "a net that returns one of the outputs, run with `--net`" if several else "select one input: `--wrt x`"
        raise fail("USE005", f"{who} one sparse block; these are {names}", help=help)
    return found[0]


def nonfinite(result: Result) -> list[tuple[str, int, int]]:
    """The arrays that hold nan or inf: name, how many elements, of how many."""
    import numpy as np

    found = []
    for entry in result.arrays:
        bad = int(entry.array.size - np.count_nonzero(np.isfinite(entry.array)))
        if bad:
            found.append((entry.name, bad, entry.array.size))
    return found

"""`grad --check FILE`: hold the results of a run against stored ones.

Every difference is a diagnostic at the line of the input or param that it belongs to; where the adjoint program tells
from which operator's line the gradient came, that line stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gradcli.data.files import printable
from gradcli.data.read import open_archive, open_array
from gradcli.diff.closeness import compare_arrays
from gradcli.facts.differences import Comparison, Tolerance, Worst
from gradcli.record import record
from gradcli.request import Entry, Result
from gradcli.syntax.diagnostics import Diagnostic, Label, Span, nearest

CODE = "NUM040"
MOST = 100  # differences that are told of


@record
class Row:
    """One array that differs: `worst` where it is by its numbers."""

    name: str
    message: str
    worst: Worst | None = None


def compare_result(result: Result, path: str, tolerance: Tolerance) -> Comparison:
    """Compare by name: missing and extra names differ, too. Raises ModelError for a file that cannot be read."""
    entries = {entry.name: entry for entry in result.arrays}
    if path.endswith(".npy") and len(entries) == 1:
        stored = {next(iter(entries)): open_array(path, base=Path())}
    else:
        stored = open_archive(path, base=Path())
    found: list[Diagnostic] = []
    for entry in result.arrays:
        row = _row(entry, stored, printable(path), tolerance)
        if row is not None:
            found.append(_diagnostic(row, _places(entry, result.origins)))
    for name in stored:
        if name not in entries:
            text = f"{printable(name)}: in {printable(path)}, but not a result of this run"
            found.append(Diagnostic(CODE, text))
    return Comparison(result.model, tuple(_some(found)))


def _row(entry: Entry, stored: Mapping[str, Any], path: str, tolerance: Tolerance) -> Row | None:
    name = printable(entry.name)
    reference = stored.get(entry.name)
    if reference is None:
        guess = nearest(entry.name, stored)
        return Row(name, f"missing in {path}" + (f"; is it `{printable(guess)}`?" if guess else ""))
    if tuple(reference.shape) != entry.array.shape:
        return Row(name, f"shape {_shape(entry.array.shape)}, stored {_shape(reference.shape)}")
    if reference.dtype is not None and reference.dtype != entry.dtype:
        return Row(name, f"dtype {entry.dtype}, stored {reference.dtype}")
    stored_array = reference.load(integers=entry.array.dtype.kind in "iu").astype(entry.array.dtype)
    worst = compare_arrays(entry.array, stored_array, entry.dtype, tolerance)
    return None if worst is None else Row(name, f"{worst.left}, stored {worst.right}{worst.at}; {worst.share}", worst)


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _places(entry: Entry, origins: Mapping[str, Span]) -> list[Label]:
    """The declaration of what a gradient is by, then the lines whose operators it came out of; of a value its line."""
    by = origins.get(entry.wrt[-1]) if entry.wrt else None
    what = {"input": "by this input", "param": "by this param"}.get(entry.kind, "")
    made = "its last adjoint comes from this line" if entry.wrt else "computed here"
    return [*([Label(by, what)] if by else []), *(Label(span, made) for span in entry.makers)]


def _diagnostic(row: Row, places: list[Label]) -> Diagnostic:
    head = places[0] if places else None
    notes = [f"{row.worst.distance}; allowed: {row.worst.allowed}"] if row.worst is not None else []
    return Diagnostic(
        CODE,
        f"{row.name}: {row.message}",
        head.span if head else None,
        head.text if head else "",
        tuple(places[1:]),
        tuple(notes),
    )


def _some(found: list[Diagnostic]) -> Iterator[Diagnostic]:
    """Nobody reads more."""
    yield from found[:MOST]
    if len(found) > MOST:
        yield Diagnostic(CODE, f"… and {len(found) - MOST:_} more differences")

"""`grad --check FILE`: hold gradients against stored ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gradcli.record import record
from gradcli.request import Result
from gradcli.syntax.diagnostics import nearest
from gradcli.testing import RTOL, show


@record
class Row:
    """One array: whether it agrees, and the worst element where it does not."""

    name: str
    ok: bool
    message: str


@record
class Comparison:
    """All arrays of a result against a file; `lines` are for people, one for each array that differs."""

    ok: bool
    rows: tuple[Row, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(f"{row.name}: {row.message}" for row in self.rows if not row.ok)


def compare_result(result: Result, path: str, *, rtol: float | None, atol: float | None) -> Comparison:
    """Compare by name: missing and extra names differ, too. Raises ModelError for a file that cannot be read."""
    from gradcli.data.read import open_archive, open_array

    entries = {e.name: e for e in result.arrays}
    if path.endswith(".npy") and len(entries) == 1:
        stored = {next(iter(entries)): open_array(path, base=Path())}
    else:
        stored = open_archive(path, base=Path())
    rows = []
    for name, entry in entries.items():
        if name not in stored:
            guess = nearest(name, stored)
            rows.append(Row(name, False, f"missing in {path}" + (f"; is it `{guess}`?" if guess else "")))
            continue
        reference = stored[name]
        if tuple(reference.shape) != entry.array.shape:
            rows.append(Row(name, False, f"shape {entry.array.shape}, stored {tuple(reference.shape)}"))
            continue
        if reference.dtype is not None and reference.dtype != entry.dtype:
            rows.append(Row(name, False, f"dtype {entry.dtype}, stored {reference.dtype}"))
            continue
        rows.append(_row(name, entry.array, reference.load(), entry.dtype, rtol, atol))
    rows.extend(Row(name, False, f"in {path}, but not a result of this run") for name in stored if name not in entries)
    return Comparison(all(row.ok for row in rows), tuple(rows))


def _row(name: str, array: Any, reference: Any, dtype: str, rtol: float | None, atol: float | None) -> Row:
    import numpy as np

    with np.errstate(all="ignore"):
        a, b = array.astype(np.float64), np.asarray(reference).astype(np.float64)
        rtol = RTOL.get(dtype, 0.0) if rtol is None else rtol
        finite = np.abs(b[np.isfinite(b)])
        atol = (rtol * float(finite.max()) if finite.size else 0.0) if atol is None else atol
        error = np.abs(a - b)
        holds = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.isfinite(b) & (error <= atol + rtol * np.abs(b)))
        if holds.all():
            return Row(name, True, "")
        excess = np.where(holds, -1.0, np.where(np.isfinite(error), error, np.inf))
        where = np.unravel_index(int(np.argmax(excess)), a.shape)
    at = f" at [{', '.join(str(int(i)) for i in where)}]" if a.shape else ""
    count = int((~holds).sum())
    text = f"{show(array[where])}, stored {show(np.asarray(reference)[where])}{at}; {count} of {a.size} elements differ"
    return Row(name, False, f"{text} (rtol={rtol:g}, atol={atol:.3g})")

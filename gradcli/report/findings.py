"""Reasons why derivatives are zero, as people read them: one line each, and params of one layer as one finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradcli.record import record
from gradcli.request import Entry

SHOWN = 6  # indices of one reason


@record
class Finding:
    """Gradients of params that are all zero for one reason, and are all that there are of a layer: `l1.*`."""

    name: str
    entries: tuple[Entry, ...]


def reason_lines(zero: dict[str, Any] | None) -> tuple[str, ...]:
    """`masked at model.net:12 (100% inactive)`, and a line for each of the other reasons; one empty line for none."""
    if not zero:
        return ("",)
    return tuple(_reason(part) for part in (zero, *zero.get("also", ())))


def _reason(zero: dict[str, Any]) -> str:
    shares = [f" ({100 * share:.3g}% inactive)" for share in zero.get("inactive", ())]
    places = [place + share for place, share in zip(zero["at"], shares or [""] * len(zero["at"]), strict=True)]
    return f"{zero['reason']} at {', '.join(places)}" if places else str(zero["reason"])


def index_lines(zero: dict[str, Any], entry: Entry, *, full: bool) -> tuple[str, ...]:
    """`all`, or the indices: `[0] [1] [5]`, and of many how many there are."""
    indices = zero["indices"]
    if len(indices) == entry.array.size:
        return ("all",)
    count = len(indices) if full else SHOWN
    shown = " ".join(str(index) for index in indices[:count])
    return (shown if len(indices) <= count else f"{shown} … ({len(indices)} in all)",)


def findings(entries: Sequence[Entry]) -> list[Finding]:
    """The layers all of whose gradients are zero for one reason, the outermost of each."""
    return [group for group in grouped(entries) if isinstance(group, Finding)]


def grouped(entries: Sequence[Entry]) -> Iterator[Entry | Finding]:
    """The entries in order, and a finding where the first of its entries stands."""
    below: dict[str, list[Entry]] = {}
    for entry in entries:
        for layer in _layers(entry):
            below.setdefault(layer, []).append(entry)
    whole = {layer for layer, found in below.items() if len(found) > 1 and _alike(found)}
    done: set[str] = set()
    for entry in entries:
        layers = [layer for layer in _layers(entry) if layer in whole]
        if not layers:
            yield entry
        elif layers[0] not in done:
            done.add(layers[0])
            yield Finding(f"{layers[0]}.*", tuple(below[layers[0]]))


def _layers(entry: Entry) -> list[str]:
    """Of `enc.l1.w`: `enc`, `enc.l1`."""
    if entry.kind != "param" or len(entry.wrt) != 1:
        return []
    parts = entry.name.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]


def _alike(entries: Sequence[Entry]) -> bool:
    """Whether all are zero for one reason; what is said of single elements is no common finding."""
    first = entries[0].zero
    return first is not None and all(entry.zero == first and entry.elements is None for entry in entries)

"""Matrices that would not fit, refused from their shapes alone, before anything is differentiated."""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.engine import Machine
from gradcli.ir.aval import Aval
from gradcli.syntax.diagnostics import ModelError

Block = tuple[str, Aval]


def refuse_dense(what: str, blocks: Sequence[Block], machine: Machine, help: str) -> None:
    """Raises ModelError NUM001 where `blocks` together take more than there is, with their size."""
    from gradcli.plan import available_memory, human_bytes, too_large

    available = available_memory() if machine.memory is None else machine.memory
    sizes = [int(aval.nbytes) if isinstance(aval.nbytes, int) else 0 for _, aval in blocks]
    if available is None or sum(sizes) <= available:
        return
    size, (name, aval) = max(zip(sizes, blocks, strict=True), key=lambda pair: pair[0])
    notes = [f"{len(blocks)} blocks; the largest, {name}, is {aval}: {human_bytes(size)}"] if len(blocks) > 1 else []
    shape = f", {aval}," if len(blocks) == 1 else ""
    text = f"the dense {what}{shape} takes {human_bytes(sum(sizes))}"
    raise too_large(text, available, machine.memory, notes=notes, help=help)


def pointed(error: ModelError, help: str) -> ModelError:
    """A refusal of what a matrix needs on the way, with the help for matrices."""
    from gradcli.record import replace

    found = [replace(d, help=help) if d.code == "NUM001" else d for d in error.diagnostics]
    return ModelError(found, error.exit_code)

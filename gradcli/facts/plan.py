"""What `show --stage plan` tells of a plan, as plain values between the work and its report."""

from __future__ import annotations

from gradcli.record import record


@record
class Buffer:
    """Memory that values take turns in, from step `first` to step `last` (-1: before the first step).

    `kind` is input, carry, constant, arena, result or made (by its own operator); `offset` is that in the arena. What
    `holds` no value of the plan has a `use`: `sums of lane 1`, `work of thread 0`, `work of a turn`, `carry between
    turns`, `last value, unread`.
    """

    name: str
    kind: str
    bytes: int
    first: int
    last: int
    offset: int | None
    holds: tuple[str, ...]
    use: str = ""


@record
class Cut:
    """How a region runs: `blocks` of up to `size` of its `rows` (elements, where `flat`), dealt out to `lanes`, each
    with `sums` of its own where rows are added up. The last block has `rest` rows, if not `size`."""

    rows: int
    size: int
    rest: int
    blocks: int
    lanes: int
    flat: bool
    sums: tuple[str, ...]


@record
class LaidStep:
    """`how` a step writes: write, in place, view, copy, make; or that it is blocks, or turns.

    `into` are the buffers of its results, `over` is the value that one in place writes over. `bodies` are what runs in
    a block, in a turn, or in the graphs that an operator holds.
    """

    how: str
    text: str
    into: tuple[str, ...]
    over: str | None = None
    file: str = ""
    line: int = 0
    cut: Cut | None = None
    turns: int | None = None
    bodies: tuple[tuple[str, Laid], ...] = ()


@record
class Laid:
    """Steps and their buffers; `arena` is the bytes of the stretch that temporaries share, `peak` what is alive at
    most, beside the inputs. A `flat` plan has operators make their results, and no arena."""

    steps: tuple[LaidStep, ...]
    buffers: tuple[Buffer, ...]
    arena: int
    peak: int
    flat: bool = False


@record
class Layout:
    """The plan of a gradient, and what it was made for."""

    model: str
    net: str
    edition: int
    order: int
    backend: str
    threads: int
    input_bytes: int
    plan: Laid

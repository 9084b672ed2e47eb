"""What `trace` tells: where a number went bad, what it spoils, and how near the others came. Plain values."""

from __future__ import annotations

from typing import Any, Literal

from gradcli.record import record
from gradcli.syntax.diagnostics import Diagnostic, Span

Born = Literal["data", "value", "adjoint", "tangent"]


@record
class Operand:
    """One operand of the step that went bad: what it is in the model, and its value at the element.

    Where a step reads many elements of it, `value` is the largest magnitude among them and `whole` says so.
    """

    name: str
    about: str  # "the adjoint of s", or nothing
    value: float
    dtype: str
    shape: tuple[int, ...]
    whole: bool = False


@record
class Hop:
    """One step on the way from the bad number to a result: `value` is what it is there, `how` made of what."""

    span: Span | None
    born: Born
    operator: str
    value: str
    how: str = ""


@record
class Spoiled:
    """A result that holds numbers that are not finite, and how many."""

    name: str
    kind: Literal["value", "gradient"]
    bad: int
    size: int


@record
class Mend:
    """A repair. Where it is a change of the text, `by` stands for the text at `span`; where it is an option of the
    command line, `option` is it."""

    text: str
    span: Span | None = None
    by: str = ""
    option: str = ""


@record
class Turn:
    """The loop around and the turn, counted from 0; `variable` as the loop has it, where that is known: `i = 7`."""

    span: Span | None
    turn: int
    variable: str = ""
    of: int | None = None  # how many there are, if that is known before they are run


@record
class Finding:
    """The first number that is not finite, born from finite ones or come in with the data, and spoiling a result."""

    value: str  # "nan", "inf" or "-inf"
    born: Born
    order: int  # of the derivative: 0 for a value
    operator: str  # whose value it is, or whose derivative: `sqrt`
    within: str  # what the model calls there: `norm`, which is made of it; or nothing
    step: str  # what was computed: `div`
    formula: str  # `d_s / (s * 2)`
    numbers: str  # `1 / 0`
    name: str  # of the data, or of the line
    source: str  # of the data: `x.npy`
    span: Span | None
    dtype: str
    shape: tuple[int, ...]
    index: tuple[int, ...]
    count: int
    operands: tuple[Operand, ...]
    turns: tuple[Turn, ...]
    path: tuple[Hop, ...]
    spoils: tuple[Spoiled, ...]
    besides: tuple[Spoiled, ...]  # results that are not finite for reasons of their own
    mend: Mend | None = None


@record
class Near:
    """How near a step came to a limit of its dtype: to the largest number, or with `small` to the least that has all
    digits. `room` is the factor between them; below 1 digits were lost, at 0 all of them."""

    span: Span | None
    born: Born
    operator: str
    dtype: str
    value: float
    limit: float
    room: float
    small: bool = False


@record
class Loss:
    """Cancellation: a sum whose terms are larger than what is left of them, at one element, by `digits` digits of the
    `held` that the dtype has."""

    span: Span | None
    born: Born
    operator: str
    dtype: str
    index: tuple[int, ...]
    terms: float
    left: float
    digits: float
    held: float


@record
class Flow:
    """The gradient on its way back: the adjoint of a named value (of what a loop carries, into a turn), its root mean
    square, and how much of it is 0."""

    span: Span | None
    name: str
    shape: tuple[int, ...]
    rms: float
    zeros: float
    turn: int | None = None
    ends: bool = False  # it is the gradient by an input or a param, where all that reads it is added up


@record
class Margins:
    """Near misses, the nearest first; the gradient from the output back to the inputs."""

    near: tuple[Near, ...]
    losses: tuple[Loss, ...]
    flow: tuple[Flow, ...]


@record
class Trace:
    """What one run of `trace` found. `harmless` are numbers that are not finite and reach no result."""

    model: str
    net: str
    edition: int
    sens: tuple[dict[str, Any], ...]
    order: int
    steps: int
    finding: Finding | None
    harmless: tuple[Finding, ...]
    nearest: Near | None
    margins: Margins | None
    notes: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing went bad that reaches a result."""
        return self.finding is None

"""What comparing tells: how far numbers may be apart and are, and what differs between two models or stored results."""

from __future__ import annotations

from typing import Literal

from gradcli.record import record
from gradcli.syntax.diagnostics import Diagnostic, Span

Part = Literal["all", "structure", "numbers"]  # of two models that is compared


@record
class Tolerance:
    """What was asked for; None where it was not. Without any, the defaults of `~=` in a case hold."""

    rtol: float | None = None
    atol: float | None = None
    ulps: int | None = None

    def __str__(self) -> str:
        """`rtol=1e-05, atol=2.6e-05`"""
        given = {"rtol": self.rtol, "atol": self.atol, "ulps": self.ulps or None}
        return ", ".join(f"{name}={value:.3g}" for name, value in given.items() if value is not None)


@record
class Worst:
    """The element that is furthest off, and how many are off; `ulps` is None between what are no two numbers."""

    index: tuple[int, ...]
    left: str
    right: str
    absolute: float
    relative: float
    ulps: int | None
    count: int
    size: int
    allowed: Tolerance

    @property
    def at(self) -> str:
        """` at [1, 2]`; nothing for a scalar."""
        return f" at [{', '.join(map(str, self.index))}]" if self.index else ""

    @property
    def distance(self) -> str:
        """`off by 0.5, 6e-02 of it, 2 ulps`"""
        texts = [f"off by {self.absolute:.3g}", f"{self.relative:.2g} of it"]
        if self.ulps is not None:
            texts.append(f"{self.steps} ulp{'' if self.ulps == 1 else 's'}")
        return ", ".join(texts)

    @property
    def steps(self) -> str:
        """`ulps` as text: `3`, `1.1e+15`; nothing between what are no two numbers."""
        if self.ulps is None:
            return ""
        return str(self.ulps) if self.ulps < 1_000_000 else f"{float(self.ulps):.2g}"

    @property
    def share(self) -> str:
        """`2 of 3 elements differ`"""
        return f"{self.count:_} of {self.size:_} elements differ"


@record
class Comparison:
    """`--check`: a result held against stored arrays; each difference is a diagnostic at its place in the model."""

    model: str
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not self.diagnostics


@record
class Change:
    """One place where the text of two models differs; `net` is empty for what belongs to the file."""

    kind: Literal["changed", "added", "removed"]
    what: str  # "line", "input", "result", "param", "layer", "net", "const", "dim", "loop", …
    net: str
    name: str  # of what has one
    message: str  # `another type`; empty for what only one side has
    left: Span | None
    right: Span | None


@record
class Unlike:
    """One array that differs: by its numbers where `worst` is there, else as `message` says."""

    name: str
    kind: str  # "value", "input", "param", or "array" of a stored result
    message: str
    worst: Worst | None = None
    left: Span | None = None
    right: Span | None = None


@record
class Difference:
    """What `diff` found between `left` and `right`; `changes` or `unlike` is None where that was not compared."""

    left: str
    right: str
    kind: Literal["models", "stored"]
    net: str
    nets: int  # how many nets, or arrays, were compared
    arrays: int
    changes: tuple[Change, ...] | None
    unlike: tuple[Unlike, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return not self.changes and not self.unlike

"""The lines of a net with the shapes of what they bind, as `check --shapes` prints them.

A line that runs several times, in a loop that is written out or in an `...` net, may have another shape each time: the
first and the last are kept.
"""

from __future__ import annotations

from typing import Any

from gradcli.interp.values import Arr, TupleV, flatten, is_number
from gradcli.ir.dims import Poly
from gradcli.record import field, record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Span


@record
class Listed:
    """One thing that a line binds, `name` being empty for what it returns, and its type; several from turn to turn."""

    span: Span
    name: str
    types: tuple[str, ...]

    @property
    def type(self) -> str:
        """`f64[n]`, or `f64[1] … f64[4]`"""
        return self.types[0] if len(self.types) == 1 else f"{self.types[0]} … {self.types[-1]}"


@record(eq=False)
class Listing:
    """Collects what one net binds while it is elaborated; without a net, nothing."""

    net: ast.Net | None = None
    weak_float: str = "f64"
    found: dict[tuple[int, str], tuple[Span, dict[str, None]]] = field(default_factory=dict)

    def bound(self, net: ast.Net | None, name: ast.Name, value: Any) -> None:
        """A name was bound in a net; those of other nets are passed over."""
        if net is not None and net is self.net:
            self._keep(name.span, name.id, value)

    def returned(self, net: ast.Net | None, statement: ast.Return, value: Any) -> None:
        if net is not None and net is self.net:
            self._keep(statement.span, "", value)

    def _keep(self, span: Span, name: str, value: Any) -> None:
        text = self._type(value)
        if text:
            _, types = self.found.setdefault((span.start, name), (span, {}))
            types.pop(text, None)
            types[text] = None

    def saved(self) -> dict[tuple[int, str], tuple[Span, dict[str, None]]]:
        """What is kept now, for `restore` where an attempt is taken back."""
        return {key: (span, dict(types)) for key, (span, types) in self.found.items()}

    def restore(self, found: dict[tuple[int, str], tuple[Span, dict[str, None]]]) -> None:
        self.found.clear()
        self.found.update(found)

    def lines(self) -> tuple[Listed, ...]:
        """In the order of the file."""
        found = sorted(self.found.items(), key=lambda item: item[0])
        return tuple(Listed(span, name, tuple(types)) for (_, name), (span, types) in found)

    def _type(self, value: Any) -> str:
        """`f32[batch, 50]`, `(f32[n], f32)`; nothing for a list, a text or a net."""
        if isinstance(value, Arr):
            return str(value)
        if isinstance(value, bool):
            return "bool"
        if is_number(value) or isinstance(value, Poly):
            return self.weak_float if isinstance(value, float) else "i64"
        leaves = [self._type(leaf) for leaf in flatten(value)] if isinstance(value, TupleV) else []
        return f"({', '.join(leaves)})" if leaves and all(leaves) else ""

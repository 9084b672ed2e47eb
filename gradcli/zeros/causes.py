"""Causes of zeros, and sets of them as numbers: so an array can hold, for each element, the set of what made it zero.

Number 0 is the empty set: nothing depends on the element.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.ad.zero import places
from gradcli.ir.graph import Node
from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@record
class Cause:
    """One reason, as reports name it, at one place (`model.net:12`; empty for none).

    `mask` tells by which operator and operand, where cotangents are cut off. A cause is `soft` where a factor is zero
    that changes with what the derivative is by, as in `h * h` at 0: what made h zero tells more.
    """

    reason: str
    place: str = ""
    mask: tuple[int, int] | None = None
    soft: bool = False


NUMERIC = Cause("numeric")  # what nothing explains


def place_of(node: Node) -> str:
    found = places([node])
    return found[0] if found else ""


def distinct(numbers: Array) -> list[int]:
    """The numbers that occur, which are small; sorted."""
    import numpy as np

    found: list[int] = np.flatnonzero(np.bincount(numbers.ravel())).tolist()
    return found


class Causes:
    """Sets of causes by number."""

    def __init__(self) -> None:
        self.sets: list[frozenset[Cause]] = [frozenset()]
        self._numbers: dict[frozenset[Cause], int] = {self.sets[0]: 0}
        self._unions: dict[tuple[int, int], int] = {}
        self._at: dict[tuple[str, int, int | None, bool], int] = {}

    def number(self, causes: Iterable[Cause]) -> int:
        found = frozenset(causes)
        number = self._numbers.get(found)
        if number is None:
            number = self._numbers[found] = len(self.sets)
            self.sets.append(found)
        return number

    def at(self, reason: str, node: Node, operand: int | None = None, *, soft: bool = False) -> int:
        """One cause at the line of the model that a node comes from; with the operand that a mask cuts off."""
        key = (reason, id(node), operand, soft)
        if key not in self._at:
            mask = None if operand is None else (id(node), operand)
            self._at[key] = self.number([Cause(reason, place_of(node), mask, soft)])
        return self._at[key]

    def hardened(self, numbers: Array, mask: int) -> Array:
        """The sets with `mask` in place of what is soft."""
        import numpy as np

        for number in distinct(numbers):
            hard = frozenset(cause for cause in self.sets[number] if not cause.soft)
            if len(hard) < len(self.sets[number]):
                numbers = np.where(numbers == number, self.number(hard | self.sets[mask]), numbers)
        return numbers

    def either(self, a: int, b: int) -> int:
        """The union of two sets."""
        if a == b or not b:
            return a
        if (a, b) not in self._unions:
            self._unions[a, b] = self.number(self.sets[a] | self.sets[b])
        return self._unions[a, b]

    def union(self, a: Array, b: Array) -> Array:
        """Element by element."""
        import numpy as np

        if not b.any() or a is b:
            return a
        if not a.any():
            return b
        codes, count = a * len(self.sets) + b, len(self.sets)
        pairs = distinct(codes)
        table = np.zeros(max(pairs) + 1, dtype=np.int64)
        for pair in pairs:
            table[pair] = self.either(pair // count, pair % count)
        return np.asarray(table[codes])

    def merged(self, flags: Sequence[tuple[int, Array]], shape: tuple[int, ...]) -> Array:
        """For each element the union of the sets whose flag is set there."""
        import numpy as np

        total = np.zeros(shape, dtype=np.int64)
        for number, flag in flags:
            total = self.union(total, np.where(flag, number, 0))
        return total

    def over(self, numbers: Array, axes: tuple[int, ...]) -> Array:
        """The union along axes, which are dropped."""

        found = [number for number in distinct(numbers) if number]
        shape = tuple(size for axis, size in enumerate(numbers.shape) if axis not in axes)
        return self.merged([(number, (numbers == number).any(axis=axes)) for number in found], shape)

    def masked_at(self, numbers: Array, place: str) -> Array:
        """Where something at this place cuts off."""
        import numpy as np

        found = [k for k, causes in enumerate(self.sets) if any(c.mask and c.place == place for c in causes)]
        return np.isin(numbers, found)

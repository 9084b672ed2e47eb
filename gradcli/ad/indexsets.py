"""Arrays whose elements are sets of columns, stored by number: `ids` says for each element which set of a table it has.

Data that only moves moves its numbers, and what many elements share is stored once: `x / sum(x)` of n elements holds
one set of all columns, not n. A set is stored as runs of neighbours, so that bands, blocks and running sums take one
run for each element, however wide they are. Two numbers mean the same in every table: NOTHING and EVERYTHING.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NOTHING, EVERYTHING = 0, 1
MOST = 20_000_000  # runs looked at for one union; beyond, sets become EVERYTHING, which is always true


@record(eq=False)
class Table:
    """Set k has the runs `starts[k]` to `starts[k + 1]`; a run has the columns from `low` to before `high`. The runs
    of a set are sorted and do not touch."""

    columns: int
    starts: Array
    low: Array
    high: Array

    @property
    def sizes(self) -> Array:
        """How many runs each set has."""
        return self.starts[1:] - self.starts[:-1]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def members(self) -> Array:
        """How many columns each set has."""
        import numpy as np

        before = np.concatenate([[0], np.cumsum(self.high - self.low)])
        made: Array = before[self.starts[1:]] - before[self.starts[:-1]]
        return made

    def runs(self, ids: Array) -> Array:
        """The numbers of the runs of the sets `ids`, one set after the other."""
        return spread(self.starts[ids], self.sizes[ids])


@record(eq=False)
class Sets:
    """One set for each element of an array: `ids: i64[…]`, numbers of sets in `table`."""

    ids: Array
    table: Table


def singletons(shape: tuple[int, ...]) -> Sets:
    """Element k has the set {k}."""
    import numpy as np

    count = int(np.prod(shape, dtype=np.int64))
    numbers = np.arange(count)
    low, high = np.concatenate([[0], numbers]), np.concatenate([[count], numbers + 1])
    ids = numbers + 2 if count > 1 else np.full(count, EVERYTHING)
    return Sets(ids.reshape(shape), Table(count, np.arange(-1, count + 2).clip(0), low, high))


def side_by_side(several: Sequence[Sets]) -> tuple[list[Array], Table]:
    """The ids of each, all meant for one table."""
    import numpy as np

    parts = list({id(each.table): each.table for each in several}.values())
    if len(parts) == 1:
        return [each.ids for each in several], parts[0]
    first = parts[0]
    offsets = dict(zip(map(id, parts), np.cumsum([0, *(len(part) - 2 for part in parts)]), strict=False))
    sizes = np.concatenate([first.sizes, *[part.sizes[2:] for part in parts[1:]]])
    low, high = (np.concatenate(arrays) for arrays in zip(*map(_own, parts), strict=True))
    whole = np.array([0]), np.array([first.columns])
    joined = Table(first.columns, starts_of(sizes), np.concatenate([whole[0], low]), np.concatenate([whole[1], high]))
    ids = [np.where(each.ids > EVERYTHING, each.ids + offsets[id(each.table)], each.ids) for each in several]
    return ids, joined


def _own(table: Table) -> tuple[Array, Array]:
    """The runs of all sets but the two that every table has."""
    return table.low[1:], table.high[1:]


def union(left: Array, right: Array, table: Table) -> tuple[Array, Table]:
    """Element by element, with broadcasting; equal pairs are looked at once."""
    import numpy as np

    if left is right:
        return left, table
    left, right = np.broadcast_arrays(left, right)
    ids = np.asarray(np.maximum(left, right))  # right where one is nothing, or both are the same
    ids[(left == EVERYTHING) | (right == EVERYTHING)] = EVERYTHING
    mixed = (left > EVERYTHING) & (right > EVERYTHING) & (left != right)
    if not mixed.any():
        return ids, table
    keys, back = np.unique(left[mixed] * len(table) + right[mixed], return_inverse=True)
    made, table = _pairs(*np.divmod(keys, len(table)), table)
    ids[mixed] = made[back.reshape(-1)]
    return ids, table


def _pairs(left: Array, right: Array, table: Table) -> tuple[Array, Table]:
    """The unions of pairs. A set that holds the other is found by looking at the smaller one only, so that a large
    one joined by n small ones costs n, not n times its size."""
    import numpy as np

    members, sizes = table.members(), table.sizes
    swapped = members[left] < members[right]
    large, small = np.where(swapped, right, left), np.where(swapped, left, right)
    made = np.full(len(large), EVERYTHING)
    if int(sizes[small].sum()) > MOST:
        return made, table
    pair, runs, width = np.repeat(np.arange(len(small)), sizes[small]), table.runs(small), table.columns + 1
    keys = np.repeat(np.arange(len(table)), sizes) * width + table.low
    below = np.searchsorted(keys, large[pair] * width + table.low[runs], side="right") - 1
    held = (below >= table.starts[large[pair]]) & (table.high[runs] <= table.high[below])
    missing = np.bincount(pair[~held], minlength=len(large)) > 0
    made[~missing] = large[~missing]
    count = int(missing.sum())
    groups = np.tile(np.arange(count), 2)
    made[missing], table = merge(groups, np.concatenate([large[missing], small[missing]]), count, table)
    return made, table


def merge(groups: Array, ids: Array, count: int, table: Table) -> tuple[Array, Table]:
    """For each of `count` groups the union of the sets of its members; member k has the set `ids[k]`."""
    import numpy as np

    made = np.zeros(count, np.int64)
    some = ids > EVERYTHING
    groups_of, ids_of = np.divmod(distinct(groups[some] * len(table) + ids[some]), len(table))
    made[groups_of] = ids_of  # right where a group has one set only
    made[groups[ids == EVERYTHING]] = EVERYTHING
    again = groups_of[1:] == groups_of[:-1]
    several = np.zeros(len(groups_of), bool)
    several[1:] |= again
    several[:-1] |= again
    several &= made[groups_of] != EVERYTHING
    groups_of, ids_of = groups_of[several], ids_of[several]
    if not len(ids_of):
        return made, table
    lengths = table.sizes[ids_of]
    if int(lengths.sum()) > MOST:
        made[groups_of] = EVERYTHING
        return made, table
    named, number = np.unique(groups_of, return_inverse=True)
    base, runs, width = np.repeat(number, lengths), table.runs(ids_of), table.columns + 1
    low, high = _joined(base * width + table.low[runs], base * width + table.high[runs])
    owner = low // width
    low, high = low - owner * width, high - owner * width
    full = np.bincount(owner[high - low == table.columns], minlength=len(named)) > 0
    made[named] = np.where(full, EVERYTHING, len(table) + np.cumsum(~full) - 1)
    kept = ~full[owner]
    sizes = np.bincount(owner, minlength=len(named))[~full]
    low, high = np.concatenate([table.low, low[kept]]), np.concatenate([table.high, high[kept]])
    return made, Table(table.columns, starts_of(np.concatenate([table.sizes, sizes])), low, high)


def _joined(low: Array, high: Array) -> tuple[Array, Array]:
    """Runs that overlap or touch become one; sorted."""
    import numpy as np

    order = np.argsort(low, kind="stable")
    low, high = low[order], np.maximum.accumulate(high[order])
    begins = np.ones(len(low), bool)
    begins[1:] = low[1:] > high[:-1]
    return low[begins], high[np.append(begins[1:], True)]


def tidy(sets: Sets) -> Sets:
    """The same with a table of only the sets in use, where that is at most half of what it holds."""
    import numpy as np

    table = sets.table
    used = np.zeros(len(table), bool)
    used[sets.ids] = True
    used[:2] = True
    if 2 * int(table.sizes[used].sum()) > len(table.low):
        return sets
    numbers = np.flatnonzero(used)
    runs = table.runs(numbers)
    smaller = Table(table.columns, starts_of(table.sizes[numbers]), table.low[runs], table.high[runs])
    return Sets((np.cumsum(used) - 1)[sets.ids], smaller)


# ── numbers in a row ────────────────────────────────────────────────────────────────────────────────────────


def spread(starts: Array, lengths: Array) -> Array:
    """`start, start + 1, …` for each start, as many as its length, one run after the other."""
    import numpy as np

    before = np.cumsum(lengths) - lengths
    made: Array = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
    return made


def starts_of(sizes: Array) -> Array:
    """Where each run begins, and where the last one ends."""
    import numpy as np

    return np.concatenate([[0], np.cumsum(sizes)])


def distinct(keys: Array) -> Array:
    """Sorted, each once."""
    import numpy as np

    keys = np.sort(keys, kind="stable")
    kept = np.ones(len(keys), bool)
    kept[1:] = keys[1:] != keys[:-1]
    made: Array = keys[kept]
    return made

"""One stretch of memory for all temporaries of a plan: which bytes of it are taken when.

Places are given out by best fit, and neighbours that are free become one again, so that the stretch is little longer
than what is alive at once. Nothing is allocated here.
"""

from __future__ import annotations

from bisect import bisect_left, insort

ALIGNED = 64  # bytes: a cache line, and the widest vector


class Arena:
    """`take` gives an offset, `give` takes it back; `size` is the length of the stretch."""

    def __init__(self) -> None:
        self.size = 0
        self._free: list[tuple[int, int]] = []  # (offset, bytes), by offset, never neighbours

    def take(self, nbytes: int) -> int:
        """The offset of `nbytes`, aligned. The smallest gap that is large enough; else the stretch grows."""
        need = aligned(nbytes)
        gap = min((gap for gap in self._free if gap[1] >= need), key=lambda gap: (gap[1], gap[0]), default=None)
        if gap is not None:
            self._free.remove(gap)
            if gap[1] > need:
                insort(self._free, (gap[0] + need, gap[1] - need))
            return gap[0]
        offset = self.size
        if self._free and sum(self._free[-1]) == self.size:
            offset = self._free.pop()[0]
        self.size = offset + need
        return offset

    def give(self, offset: int, nbytes: int) -> None:
        """The bytes are free again."""
        size = aligned(nbytes)
        place = bisect_left(self._free, (offset, 0))
        if place < len(self._free) and offset + size == self._free[place][0]:
            size += self._free.pop(place)[1]
        if place and sum(self._free[place - 1]) == offset:
            before = self._free.pop(place - 1)
            offset, size = before[0], before[1] + size
        insort(self._free, (offset, size))


def aligned(nbytes: int) -> int:
    """The next multiple of a cache line; of nothing, one line, so that every place is its own."""
    return max(ALIGNED, -(-nbytes // ALIGNED) * ALIGNED)

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
        self._gaps: list[tuple[int, int]] = []  # (bytes, offset), sorted; never neighbours
        self._begin: dict[int, int] = {}  # offset of a gap → its bytes
        self._end: dict[int, int] = {}  # where a gap ends → its bytes

    def take(self, nbytes: int) -> int:
        """The offset of `nbytes`, aligned. The smallest gap that is large enough; else the stretch grows."""
        need = aligned(nbytes)
        place = bisect_left(self._gaps, (need, 0))
        if place < len(self._gaps):
            size, offset = self._gaps[place]
            self._close(offset, size)
            if size > need:
                self._open(offset + need, size - need)
            return offset
        offset = self.size
        last = self._end.get(offset)
        if last is not None:
            offset -= last
            self._close(offset, last)
        self.size = offset + need
        return offset

    def give(self, offset: int, nbytes: int) -> None:
        """The bytes are free again."""
        size = aligned(nbytes)
        after, before = self._begin.get(offset + size), self._end.get(offset)
        if after is not None:
            self._close(offset + size, after)
            size += after
        if before is not None:
            self._close(offset - before, before)
            offset, size = offset - before, size + before
        self._open(offset, size)

    def _open(self, offset: int, size: int) -> None:
        insort(self._gaps, (size, offset))
        self._begin[offset] = self._end[offset + size] = size

    def _close(self, offset: int, size: int) -> None:
        del self._gaps[bisect_left(self._gaps, (size, offset))]
        del self._begin[offset], self._end[offset + size]


def aligned(nbytes: int) -> int:
    """The next multiple of a cache line; of nothing, one line, so that every place is its own."""
    return max(ALIGNED, -(-nbytes // ALIGNED) * ALIGNED)

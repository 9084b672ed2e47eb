"""Colours for the columns of a pattern, so that one derivative pass serves all columns of a colour.

A Jacobian's columns may share a pass where they share no row; its rows, in reverse passes, where they share no column.
A Hessian is symmetric, so less is enough: a *star colouring* of its graph, in which neighbours differ and every path
of four vertices has three colours. Then each pair of neighbours i, j has one that is the only neighbour of its colour
for the other, and element (i, j) is read there. An arrow needs n colours for its columns and 2 for its stars.

Sources: Gebremedhin, Manne and Pothen, *What color is your Jacobian?*, SIAM Review 47 (2005), 629-705; the centres of
stars are kept as in Gebremedhin, Tarafdar, Manne and Pothen, *New acyclic and star coloring algorithms with
application to computing Hessians*, SIAM J. Sci. Comput. 29 (2007), 1042-1072. A set of colours is one integer, of
which each colour is a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.ad.sparsity import Pattern

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NONE = -1  # of a column without elements, which no pass needs
SEVERAL = -2
BITS = 1 << 31  # of all sets of colours together; beyond, every column gets a pass of its own
FEW = 64  # colours whose passes take less time than another order would


def color_columns(pattern: Pattern) -> Array:
    """A colour for each column, from 0; columns that share a row differ. `i64[columns]`."""
    least = _widest(pattern.indptr)
    if least * pattern.rows > BITS:
        return _each_its_own(pattern)
    return _best(pattern, lambda order: _greedy(pattern, order), enough=least)


def color_rows(pattern: Pattern) -> Array:
    """A colour for each row; rows that share a column differ. `i64[rows]`."""
    return color_columns(transposed(pattern))


def color_stars(pattern: Pattern) -> Array:
    """A colour for each column of a symmetric pattern, from whose passes `symmetric_sources` recovers it."""
    widest = _widest(pattern.indptr)
    colors = _best(pattern, lambda order: _stars(pattern, order), enough=min(widest, FEW))
    if count(colors) > widest:  # so many do for columns at best, and those are stars, too
        return min(colors, color_columns(pattern), key=count)
    return colors


def count(colors: Array) -> int:
    """How many colours there are."""
    return int(colors.max(initial=NONE)) + 1


def transposed(pattern: Pattern) -> Pattern:
    """The pattern of the transpose."""
    import numpy as np

    order = np.argsort(pattern.indices, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pattern.indices, minlength=pattern.columns))])
    return Pattern(pattern.columns, pattern.rows, indptr, pattern.row_numbers()[order])


def symmetric(pattern: Pattern) -> Pattern:
    """The elements whose mirror images are in the pattern, too: the others are zero in a matrix that is symmetric."""
    import numpy as np

    rows, columns, n = pattern.row_numbers(), pattern.indices, pattern.columns
    mirrored = columns * n + rows
    ordered = np.sort(mirrored)
    if np.array_equal(ordered, rows * n + columns):
        return pattern
    kept = np.isin(mirrored, rows * n + columns)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=pattern.rows))])
    return Pattern(pattern.rows, n, indptr, columns[kept])


def symmetric_sources(pattern: Pattern, colors: Array) -> tuple[Array, Array]:
    """Where each element of a symmetric pattern is read in the compressed columns: `(colour, row)` of each.

    Element (i, j) stands in row i of the sum of the columns of j's colour, if j is the only one there; else in row j
    of i's colour. Both elements of a pair are read at one place, so the matrix is symmetric to the bit.
    """
    import numpy as np

    rows, columns = pattern.row_numbers(), pattern.indices
    slots = rows * (count(colors) + 1) + colors[columns]
    _, slot, size = np.unique(slots, return_inverse=True, return_counts=True)
    alone = size[slot.reshape(-1)] == 1
    mirror = np.argsort(columns, kind="stable")  # the element (j, i) of each (i, j)
    upper = rows <= columns
    here = np.where(upper, alone, ~alone[mirror])
    if not (alone | alone[mirror]).all():
        raise ValueError("these colours are no star colouring of this pattern")
    return np.where(here, colors[columns], colors[rows]), np.where(here, rows, columns)


# ── greedy ──────────────────────────────────────────────────────────────────────────────────────────────────


def _widest(indptr: Array) -> int:
    """The most elements of a row."""
    import numpy as np

    return int(np.diff(indptr).max(initial=0))


def _each_its_own(pattern: Pattern) -> Array:
    import numpy as np

    colors = np.full(pattern.columns, NONE)
    used = np.unique(pattern.indices)
    colors[used] = np.arange(len(used))
    return colors


def _best(pattern: Pattern, color: Callable[[Sequence[int]], Array], enough: int) -> Array:
    """Colours in the order of the columns, which suits bands; where that is not few, also fullest columns first."""
    import numpy as np

    sizes = np.bincount(pattern.indices, minlength=pattern.columns)
    used = np.flatnonzero(sizes)
    colors = color(used.tolist())
    if count(colors) <= enough:
        return colors
    return min(colors, color(used[np.argsort(-sizes[used], kind="stable")].tolist()), key=count)


def _greedy(pattern: Pattern, order: Sequence[int]) -> Array:
    """Each column gets the first colour that none of its rows has yet."""
    import numpy as np

    turned = transposed(pattern)
    starts, rows_of = turned.indptr.tolist(), turned.indices.tolist()
    colors = np.full(pattern.columns, NONE).tolist()
    taken = [0] * pattern.rows
    for column in order:
        rows = rows_of[starts[column] : starts[column + 1]]
        met = 0
        for row in rows:
            met |= taken[row]
        bit = ~met & (met + 1)
        colors[column] = bit.bit_length() - 1
        for row in rows:
            taken[row] |= bit
    return np.array(colors, np.int64)


def _stars(pattern: Pattern, order: Sequence[int]) -> Array:
    """Each vertex gets the first colour that closes no path of four vertices in two colours.

    With u, w, x colours fixed, v may not take: the colour of a neighbour w; that of x, where v-w-x and x has another
    neighbour coloured as w (then x is the *centre* of a star of which w is a leaf); nor a colour found around either
    of two neighbours u, w of one colour.
    """
    import numpy as np

    starts, neighbours = pattern.indptr.tolist(), pattern.indices.tolist()
    colors = np.full(pattern.columns, NONE).tolist()
    around = [0] * pattern.columns  # the colours of a vertex's neighbours
    centres = [0] * pattern.columns  # the colours of the centres of the stars in which it is a leaf
    seen: list[dict[int, int]] = [{} for _ in range(pattern.columns)]  # colour → its only neighbour of it, or SEVERAL
    for v in order:
        near = [w for w in neighbours[starts[v] : starts[v + 1]] if colors[w] >= 0]
        mine: dict[int, int] = {}
        met = own = 0
        for w in near:
            color = colors[w]
            own |= 1 << color
            met |= centres[w]
            other = mine.get(color)
            if other is None:
                mine[color] = w
            else:
                met |= around[w] if other == SEVERAL else around[w] | around[other]
                mine[color] = SEVERAL
        met |= own
        bit = ~met & (met + 1)
        colors[v] = bit.bit_length() - 1
        seen[v], around[v] = mine, own
        for w in near:
            _join(v, w, colors, seen, centres)
            around[w] |= bit
    return np.array(colors, np.int64)


def _join(v: int, w: int, colors: list[int], seen: list[dict[int, int]], centres: list[int]) -> None:
    """Keep the stars right for the new edge v-w, of which v has just got its colour."""
    of_v, of_w = colors[v], colors[w]
    if seen[v][of_w] == SEVERAL:
        centres[w] |= 1 << of_v
    other = seen[w].get(of_v)
    if other is None:
        seen[w][of_v] = v
        return
    centres[v] |= 1 << of_w
    if other != SEVERAL:
        centres[other] |= 1 << of_w
        seen[w][of_v] = SEVERAL

"""The pattern of a sparse matrix: its facts as lines of text, and a drawing as SVG.

A drawing has at most CELLS cells a side, whatever the size of the matrix: a cell is as dark as it is full, compared
with the fullest one. Neighbours in a row that are equally dark are one rectangle, and all of one shade one path, so
the file stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from gradcli.report.arrays import shape_text
from gradcli.report.signs import printable
from gradcli.request import SparseMatrix

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CELLS = 300  # a side
SIDE, NARROWEST = 480, 24  # of the drawing, the longer and the least of the shorter one
LEFT, TOP, BELOW = 64, 62, 34  # margins, for numbers and the title
SHADES = (0.22, 0.4, 0.6, 0.8, 1.0)
INK, PAPER, PALE = "#12406b", "#ffffff", "#8a94a0"
WIDTH = 60  # of a title, in letters


def facts(matrix: SparseMatrix) -> list[tuple[str, str]]:
    """What there is to say about a pattern, each with its name."""
    rows, columns = matrix.shape
    size = f"{rows:_} × {columns:_}"
    shapes = f"  ({shape_text(matrix.output)} by {shape_text(matrix.input)})"
    each = f"  ({matrix.nnz / rows:.4g} a row)" if rows else ""
    return [
        ("pattern", size + (shapes if max(len(matrix.output), len(matrix.input)) > 1 else "")),
        ("non-zeros", f"{matrix.nnz:_}{each}"),
        ("density", f"{matrix.density:.3g}"),
        ("colours", f"{matrix.colors:_}"),
        ("passes", f"{matrix.passes:_}"),
        ("mode", matrix.mode),
    ]


def table(matrix: SparseMatrix) -> list[str]:
    """The facts as lines of text."""
    found = facts(matrix)
    width = max(len(name) for name, _ in found)
    return [f"{name:<{width}}   {value}" for name, value in found]


def svg(matrix: SparseMatrix, title: str) -> str:
    """A drawing that needs nothing else: `title`, size, elements and colours above, the cells below."""
    rows, columns = matrix.shape
    wide, high = _extent(columns, rows), _extent(rows, columns)
    full = LEFT + max(wide, SIDE) + 16, TOP + high + BELOW
    colors = f"{matrix.colors:_} colour{'' if matrix.colors == 1 else 's'}"
    about = (
        f"{rows:_} × {columns:_} · {matrix.nnz:_} non-zeros · density {matrix.density:.3g} · {colors}, {matrix.mode}"
    )
    name = escape(_shortened(printable(title).replace("\n", " ")))
    size = f'width="{full[0]}" height="{full[1]}" viewBox="0 0 {full[0]} {full[1]}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="12">',
        f"<title>{name}: {about}</title>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold" fill="{INK}">{name}</text>',
        f'<text x="{LEFT}" y="42" fill="#444">{about}</text>',
        *_cells(matrix, wide, high),
        f'<rect x="{LEFT}" y="{TOP}" width="{wide}" height="{high}" fill="none" stroke="{PALE}"/>',
        *_numbers(rows, columns, wide, high),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _shortened(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _extent(size: int, other: int) -> int:
    """How long a side is drawn: to scale, but for what would be too narrow to see."""
    return max(NARROWEST, round(SIDE * min(1.0, size / max(other, 1))))


def _numbers(rows: int, columns: int, wide: int, high: int) -> Iterator[str]:
    """The first and last row and column, beside the cells and below them."""
    style = f'fill="{PALE}" font-size="11"'
    if rows:
        yield f'<text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end" {style}>0</text>'
    if rows > 1:
        yield f'<text x="{LEFT - 6}" y="{TOP + high}" text-anchor="end" {style}>{rows - 1:_}</text>'
    if columns:
        yield f'<text x="{LEFT}" y="{TOP + high + 16}" {style}>0</text>'
    if columns > 1:
        anchor = "end" if wide > 4 * NARROWEST else "start"
        at = LEFT + wide if anchor == "end" else LEFT + 18
        yield f'<text x="{at}" y="{TOP + high + 16}" text-anchor="{anchor}" {style}>{columns - 1:_}</text>'


def _cells(matrix: SparseMatrix, wide: int, high: int) -> Iterator[str]:
    """One path for each shade, in units of cells."""
    import numpy as np

    shades = _shaded(matrix)
    down, across = shades.shape
    if not shades.any():
        return
    place = f"translate({LEFT} {TOP}) scale({wide / across:.6g} {high / down:.6g})"
    yield f'<g transform="{place}" fill="{INK}" shape-rendering="crispEdges">'
    for number, opacity in enumerate(SHADES, 1):
        edges = np.diff((shades == number).astype(np.int8), prepend=0, append=0, axis=1)
        starts, ends = np.argwhere(edges == 1).tolist(), np.argwhere(edges == -1)[:, 1].tolist()
        runs = [f"M{x} {y}h{end - x}v1H{x}z" for (y, x), end in zip(starts, ends, strict=True)]
        if runs:
            yield f'<path fill-opacity="{opacity}" d="{"".join(runs)}"/>'
    yield "</g>"


def _shaded(matrix: SparseMatrix) -> Array:
    """For each cell the number of its shade, 0 for an empty one. By the square root: thin lines stay visible beside
    full blocks."""
    import numpy as np

    rows, columns = matrix.shape
    down, across = min(rows, CELLS), min(columns, CELLS)
    if not matrix.nnz:
        return np.zeros((down, across), np.int64)
    row = np.repeat(np.arange(rows), np.diff(matrix.indptr)) * down // rows
    cell = row * across + matrix.indices.astype(np.int64) * across // columns
    found = np.bincount(cell, minlength=down * across).reshape(down, across)
    room = np.outer(_sizes(rows, down), _sizes(columns, across))
    filled = np.sqrt(found / room)
    shades: Array = np.ceil(filled / filled.max() * len(SHADES)).astype(np.int64)
    return shades


def _sizes(count: int, cells: int) -> Array:
    """How many rows or columns each cell stands for."""
    import numpy as np

    return np.bincount(np.arange(count) * cells // count, minlength=cells)

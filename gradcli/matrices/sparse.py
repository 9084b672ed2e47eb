"""Sparse Jacobians and Hessians: the pattern from the graph, colours for it, one program for all colours, recovery.

    B = J S        S[j, c] = 1 where column j has colour c

is what `forward` gives for the directions in S, `reverse` the same for rows; in B every element of the pattern of J
stands alone somewhere, where it is read. How many colours there are follows from the pattern, not from the size. What
does not depend on the direction is computed once; the rest is batched over as many colours as the caches hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from gradcli.ad import coloring
from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import float_outputs, refuse_without_derivative, reverse
from gradcli.ad.sparsity import Pattern, pattern
from gradcli.ad.split import split
from gradcli.engine import Machine, plan_of, run_plan
from gradcli.ir.aval import ITEMSIZE, NUMPY_NAMES, Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from
from gradcli.passes.pipeline import optimize
from gradcli.record import field, record
from gradcli.request import SparseMatrix
from gradcli.syntax.diagnostics import ModelError

if TYPE_CHECKING:
    import numpy as np

    from gradcli.plan import AnyPlan

    Array = np.ndarray[Any, Any]

Mode = Literal["forward", "reverse", "star"]
TOGETHER = 1 << 22  # bytes of an array over the colours that are taken together: about what the caches hold
KEPT = 1 << 26  # bytes of the seeds of all colours that are kept for the next run


def sparse_jacobian(graph: Graph, output: int, wrt: int, arrays: Sequence[Any], machine: Machine) -> SparseMatrix:
    """The derivative of output `output` by input `wrt`, of elements of the one × elements of the other; `arrays` feed
    the inputs.

    Raises ModelError DIF001 and DIF002 where there is none, NUM008 where its pattern is too dense to be stored.
    """
    return jacobian_program(graph, output, wrt, arrays, machine).run(arrays, machine)


def sparse_hessian(
    graph: Graph, wrt: int, arrays: Sequence[Any], machine: Machine, outputs: Sequence[int] | None = None
) -> SparseMatrix:
    """The second derivative by input `wrt` of the sum of the float outputs at `outputs` (default: all).

    Raises as `sparse_jacobian`.
    """
    gradient = reverse(graph, [wrt], outputs=outputs)
    only = outputs_from(gradient, len(graph.outputs))
    return hessian_program(only, 0, wrt, arrays, machine).run(arrays, machine)


# ── programs, made once and run often ───────────────────────────────────────────────────────────────────────


@record(eq=False)
class SparseProgram:
    """What finds one sparse matrix: `first` runs once, `second` for each chunk of `batch` colours, the last of which
    may have some too many."""

    pattern: Pattern
    mode: Mode
    colors: Array  # of the elements that are seeded: columns, or rows in reverse mode
    chunks: tuple[Chunk, ...]
    batch: int
    first: AnyPlan
    second: AnyPlan
    seeded: Aval
    output: Aval
    input: Aval
    kept: dict[int, Array] = field(default_factory=dict)  # seeds, by chunk

    def run(self, arrays: Sequence[Any], machine: Machine) -> SparseMatrix:
        """The matrix for these arrays, which have the integers that the program was made for."""
        import numpy as np

        fixed = run_plan(self.first, arrays, machine) if self.chunks else []
        parts = [np.zeros(0, NUMPY_NAMES[self.output.dtype])]
        for number, chunk in enumerate(self.chunks):
            (found,) = run_plan(self.second, [*fixed, self.seeds(number)], machine)
            parts.append(found.take(chunk.places, mode="clip"))  # none is out of range: not looked at each
        data: Array = parts[-1]
        if len(self.chunks) > 1:
            data = np.empty(self.pattern.nnz, data.dtype)
            for chunk, part in zip(self.chunks, parts[1:], strict=True):
                data[chunk.elements] = part
        return SparseMatrix(
            data, self.pattern.indices, self.pattern.indptr, (self.pattern.rows, self.pattern.columns),
            _sizes(self.output), _sizes(self.input), coloring.count(self.colors), self.mode,
        )  # fmt: skip

    def seeds(self, number: int) -> Array:
        """For a chunk: `[batch, *seeded]`, 1 in row c at the elements of its colour c."""
        import numpy as np

        if number in self.kept:
            return self.kept[number]
        local = self.colors - number * self.batch
        seeds = np.zeros((self.batch, len(self.colors)), NUMPY_NAMES[self.seeded.dtype])
        elements = np.flatnonzero((local >= 0) & (local < self.batch))
        seeds[local[elements], elements] = 1
        seeds = seeds.reshape((self.batch, *_sizes(self.seeded)))
        if seeds.nbytes * len(self.chunks) <= KEPT:
            self.kept[number] = seeds
        return seeds


@record(eq=False)
class Chunk:
    """Elements of the pattern, by number, and where each is read in the results of one run."""

    elements: Array
    places: Array


def jacobian_program(graph: Graph, output: int, wrt: int, arrays: Sequence[Any], machine: Machine) -> SparseProgram:
    """By columns in forward mode, or by rows in reverse mode where these need fewer colours."""
    made, found = _prepared(graph, output, wrt, arrays, machine)
    columns = coloring.color_columns(found)
    rows = coloring.color_rows(found) if coloring.count(columns) > 1 else columns
    if coloring.count(rows) < coloring.count(columns):
        sources = rows[found.row_numbers()], found.indices
        return _program(made, wrt, found, "reverse", rows, sources, machine)
    sources = columns[found.indices], found.row_numbers()
    return _program(made, wrt, found, "forward", columns, sources, machine)


def hessian_program(gradient: Graph, output: int, wrt: int, arrays: Sequence[Any], machine: Machine) -> SparseProgram:
    """The derivative of a gradient by the input `wrt` that it is by itself, output `output` of `gradient`: symmetric,
    so that fewer colours do."""
    made, found = _prepared(gradient, output, wrt, arrays, machine)
    found = coloring.symmetric(found)
    colors = coloring.color_stars(found)
    return _program(made, wrt, found, "star", colors, coloring.symmetric_sources(found, colors), machine)


def refuse_dense(rows: int, columns: int, dtype: str, machine: Machine) -> None:
    """Raises ModelError NUM001 where a matrix with all its elements would not fit into memory."""
    from gradcli.plan import available_memory, human_bytes, too_large

    available = machine.memory if machine.memory is not None else available_memory()
    size = rows * columns * ITEMSIZE[dtype]
    if available is not None and size > available:
        raise too_large(
            f"a matrix of {rows:_} × {columns:_} takes {human_bytes(size)}",
            available,
            machine.memory,
            help="`--sparse` keeps only what can be other than zero; `--vec` gives a product without the matrix",
        )


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────


def _sizes(aval: Aval) -> tuple[int, ...]:
    return tuple(map(definite, aval.shape))


def _prepared(graph: Graph, output: int, wrt: int, arrays: Sequence[Any], machine: Machine) -> tuple[Graph, Pattern]:
    """The graph of one output, simplified, and its pattern for the integers among `arrays`."""
    refuse_without_derivative(graph, wrt)
    float_outputs(graph, [output])
    only = Graph(graph.inputs, graph.nodes, (graph.outputs[output],), graph.n_values, graph.names)
    made = optimize(only, fast_math=machine.fast_math)
    return made, pattern(made, 0, wrt, dict(enumerate(arrays)))


def _program(
    graph: Graph, wrt: int, found: Pattern, mode: Mode, colors: Array, sources: tuple[Array, Array], machine: Machine
) -> SparseProgram:
    """`sources`: for each element of the pattern the colour, and the place in the result of that colour."""
    back = mode == "reverse"
    derived = reverse(graph, [wrt], sens="inputs") if back else forward(graph, [wrt])
    first, second = split(optimize(outputs_from(derived, 1), fast_math=machine.fast_math), 1)
    output, by = graph.outputs[0].aval, graph.inputs[wrt].aval
    seeded, result = (output, by) if back else (by, output)
    count = max(coloring.count(colors), 1)
    bytes_each = max(prod(_sizes(output)), prod(_sizes(by)), 1) * ITEMSIZE[seeded.dtype]
    size = min(count, max(1, TOGETHER // bytes_each))
    flags = [*(False for _ in first.outputs), True]
    plan, size = _planned(lambda size: batch(second, flags, size), size, machine)
    chunks = tuple(_chunks(sources, prod(_sizes(result)), size))
    return SparseProgram(found, mode, colors, chunks, size, plan_of(first, machine), plan, seeded, output, by)


def _chunks(sources: tuple[Array, Array], width: int, size: int) -> Iterator[Chunk]:
    """The elements that each `size` colours give, in the order of the pattern."""
    import numpy as np

    number = sources[0] // size
    order = np.argsort(number, kind="stable")
    ends = np.cumsum(np.bincount(number))
    for elements in np.split(order, ends[:-1]) if len(order) else ():
        color, place = (array[elements] for array in sources)
        yield Chunk(elements, color % size * width + place)


def _planned(make: Callable[[int], Graph], count: int, machine: Machine) -> tuple[AnyPlan, int]:
    """A plan for `count` colours at a time, or as many of them as fit. Raises ModelError NUM001 where not one does."""
    size = count
    while True:
        try:
            return plan_of(make(size), machine), size
        except ModelError as refused:
            if size == 1 or refused.diagnostics[0].code != "NUM001":
                raise
            size = (size + 1) // 2

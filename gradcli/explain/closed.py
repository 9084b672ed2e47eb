"""A gradient as one formula of the inputs, where it is short: read off the program after the passes.

Where everything counts once, products with ones are sums of rows and columns: `1 @ yᵀ` has `Σ_n y` in every row.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.ad.reverse import reverse
from gradcli.explain.derivation import Asked, Made
from gradcli.explain.formulas import Reader, size_of
from gradcli.ir.aval import Aval
from gradcli.ir.dimnames import dim_names
from gradcli.ir.formula import Equation, Formula, Name, Number, Term, symbols
from gradcli.ir.graph import Graph, Node
from gradcli.ir.live import outputs_from
from gradcli.ir.region import regions
from gradcli.passes.pipeline import optimize

SHORT = 6  # operators
MANY = 400  # nodes of a program that is worth a look


def closed_forms(asked: Asked, made: Made, seeds: Sequence[Equation], *, ones: bool) -> tuple[Equation, ...]:
    """One equation for each gradient that has a short formula."""
    if len(asked.graph.nodes) > MANY:
        return ()
    program = reverse(asked.graph, asked.wrt, sens="ones" if ones else "inputs")
    program = optimize(outputs_from(program, len(asked.graph.outputs)))
    if len(program.nodes) > MANY:
        return ()
    pairs = zip(asked.graph.inputs, program.inputs, strict=False)
    reader = Reader(dim_names(program, {new.id: asked.dims[old.id] for old, new in pairs if old.id in asked.dims}))
    extras = iter(made.extras)
    for k, value in enumerate(program.inputs):
        hint = asked.inputs[k] if k < len(asked.inputs) else ""
        name = Name(hint) if k < len(asked.inputs) else next(extras)
        if hint or k >= len(asked.inputs):
            reader.name(value, name)
    for node in program.nodes:
        _read(node, reader)
    return tuple(_closed(asked, made, program, reader))


def _read(node: Node, reader: Reader) -> None:
    """Make formulas of a node's results; not where an operand has none, or a long one."""
    if regions(node) or (node.prim.name == "constant" and node.outs[0].rank):
        return
    if any(v.id not in reader.formulas or size_of(reader.of(v)) > SHORT for v in node.inputs):
        return
    sums = _sums(node, reader)
    if sums is None:
        reader.read(node)
    else:
        reader.formulas[node.outs[0].id] = sums


def _closed(asked: Asked, made: Made, program: Graph, reader: Reader) -> list[Equation]:
    found = []
    inputs = {name for name in made.values if not name.marks} | set(made.extras)
    for name, value in zip(made.derivation.results, program.outputs, strict=True):
        formula = reader.formulas.get(value.id)
        if formula is None or size_of(formula) > SHORT or any(part not in inputs for part in symbols(formula)):
            continue
        found.append(Equation(name, value.aval, formula))
    return found


def _sums(node: Node, reader: Reader) -> Formula | None:
    """`1 @ a` → the sums of a's columns in every row; `a @ 1` → the sums of its rows in every column."""
    out = node.outs[0]
    ones = [isinstance(f := reader.of(value), Number) and f.number == 1 for value in node.inputs]
    if node.prim.name != "matmul" or out.rank != 2 or ones.count(True) != 1:
        return None
    axis = ones.index(True)  # of the other operand, which is summed over it
    matrix, over = node.inputs[1 - axis], axis
    if matrix.node is not None and matrix.node.prim.name == "transpose":
        matrix, over = matrix.node.inputs[0], 1 - axis
    args, names = (reader.of(matrix),), reader.dims.get(matrix.id, (None, None))
    size = 1 + size_of(args[0])
    aval = Aval((matrix.shape[1 - over],), matrix.dtype)
    total = Term("reduce_sum", args, {"axes": (over,)}, aval, (names[over] or str(over),), size)
    shape = (1, out.shape[1]) if axis == 0 else (out.shape[0], 1)
    kept = Term("reshape", (total,), {"shape": shape}, Aval(shape, out.dtype), (), size)
    return Term("broadcast_to", (kept,), {"shape": out.shape}, out.aval, (), size)

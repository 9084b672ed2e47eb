"""Nodes that hold a graph of their own, as blocks of equations: a loop by one turn, a part that is computed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set

from gradcli.explain.formulas import ADJOINT, LONGEST, VIEWS, Letters, Reader
from gradcli.ir.dimnames import Names, dim_names
from gradcli.ir.formula import Block, Equation, Formula, Name, Term
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.region import graphs_of, regions
from gradcli.record import replace

SENS = "sens."  # how a graph calls what an output of it is weighed by


def block_of(node: Node, outer: Reader) -> Block:
    """A node's graph as equations; `outer` has the formulas of its operands. Its results have no names yet."""
    body: Graph = node.params["body"]
    letters = Letters([value.hint for value in body.inputs], outer.known)
    inner = [_input_name(value.hint, letters) for value in body.inputs]
    weighed = any(value.hint.startswith(SENS) for value in body.inputs)  # it is an adjoint
    is_loop = node.prim.name == "scan"
    counted = is_loop and node.params["counted"]
    operands: list[Value | None] = [*([None] if is_loop else []), *node.inputs[1 if counted else 0 :]]
    first = 1 + node.params["consts"] if is_loop else 0
    end = first + node.params["carry"] if is_loop else 0
    reader = _inside(body, inner, outer.known)
    reader.dims = dim_names(body, dict(_dims(operands, body, outer, end)))
    lines, results = _turn(body, reader, letters)
    given = (
        Equation(name, value.aval, None if operand is None else outer.of(operand))
        for name, value, operand in zip(inner, body.inputs, operands, strict=True)
    )
    carried = tuple(inner[first:end])
    targets = [*carried, *(letters.fresh("g" if weighed else "y") for _ in results[len(carried) :])]
    params = {key: value for key, value in node.params.items() if key not in ("body", "cond")}
    if counted:
        params["count"] = outer.of(node.inputs[0])
    return Block(
        node.prim.name,
        params,
        tuple(given),
        tuple(lines),
        tuple(Equation(name, made.aval, made) for name, made in zip(targets, results, strict=True)),
        (),
        carried,
        tuple(inner[end:]) if is_loop else (),
        inner[0] if is_loop else None,
        _condition(node, inner) if is_loop and node.params["cond"] is not None else None,
    )


def model_names(graph: Graph) -> set[str]:
    """How the values of a graph are called, and those of the graphs that its nodes hold."""
    return {
        value.hint
        for one in graphs_of(graph)
        for value in (*one.inputs, *(out for node in one.nodes for out in node.outs))
    }


def _input_name(hint: str, letters: Letters) -> Name:
    if hint.startswith(SENS):
        return letters.of(f"{ADJOINT}y{int(hint.removeprefix(SENS)) + 1}")
    return letters.of(hint) if hint else letters.fresh("u")


def _dims(operands: Sequence[Value | None], body: Graph, outer: Reader, sliced: int) -> Iterator[tuple[int, Names]]:
    """The names of dims of a body's inputs, those from number `sliced` on being slices of the operands, if it is one of
    a loop."""
    for k, (operand, value) in enumerate(zip(operands, body.inputs, strict=True)):
        names = outer.dims.get(operand.id, ()) if operand is not None else ()
        if len(names) > value.rank and 0 < sliced <= k:
            names = names[1:]
        if len(names) == value.rank:
            yield value.id, names


def _inside(graph: Graph, names: Sequence[Name], known: Set[str] = frozenset()) -> Reader:
    reader = Reader({}, known=known)
    for value, name in zip(graph.inputs, names, strict=False):
        reader.name(value, name)
    return reader


def _condition(node: Node, names: Sequence[Name]) -> Formula:
    """What must hold for another turn, by the names of the body."""
    graph: Graph = node.params["cond"]
    reader = _inside(graph, names)
    for made in graph.nodes:
        reader.read(made)
    return reader.of(graph.outputs[0])


def _turn(graph: Graph, reader: Reader, letters: Letters) -> tuple[list[Equation], list[Formula]]:
    """The equations of the values that have a name or are read twice, and what the graph gives."""
    uses = Counter(value for node in graph.nodes for value in {value.id for value in node.inputs})
    uses.update(value.id for value in graph.outputs)
    results = {value.id for value in graph.outputs}
    lines: list[Equation] = []
    for node in graph.nodes:
        if regions(node):
            lines += _nested(node, reader, letters, uses.keys())
            continue
        for out, formula in zip(node.outs, reader.read(node), strict=True):
            if not isinstance(formula, Term) or node.prim.name in VIEWS:
                continue
            named = bool(out.hint) and out.id not in results and not out.hint.startswith(ADJOINT)
            if named or uses[out.id] > 1 or formula.size > LONGEST:
                name = letters.of(out.hint) if out.hint else letters.fresh("u")
                lines.append(Equation(name, out.aval, formula))
                reader.name(out, name)
    return lines, [reader.of(value) for value in graph.outputs]


def _nested(node: Node, reader: Reader, letters: Letters, read: Set[int]) -> list[Equation]:
    """A loop in a loop: those of its results that are read, by name, all of one block."""
    block = block_of(node, reader)
    names = [result_name(k, block, letters, "u") if out.id in read else None for k, out in enumerate(node.outs)]
    block = replace(block, results=tuple(names))
    found = []
    for out, name in zip(node.outs, names, strict=True):
        if name is not None:
            reader.name(out, name)
            found.append(Equation(name, out.aval, None, block=block))
    return found


def result_name(k: int, block: Block, letters: Letters, letter: str, hint: str = "") -> Name:
    """What result k of a block is called: as what it carried, `h_i` of what that was before each turn, or else."""
    count = len(block.carried)
    if not hint and k < 2 * count:
        hint = str(block.carried[k]) if k < count else f"{block.carried[k - count]}_i"
    if not hint and block.condition is not None and k == count + len(block.after):
        hint = "turns"
    return letters.of(hint) if hint else letters.fresh(letter)

"""The programs of `jvp`, `jac` and `hess` for a prepared net, and how their results are named.

jvp          the tangents of the outputs, J t           forward mode
jac          out × x blocks of first derivatives        forward or reverse mode, whichever takes fewer passes
hess         x × y blocks of second derivatives         forward mode over the gradient, of the outputs together
hess --vec   its product with a vector, for each x      forward mode over the gradient, without the matrix
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from gradcli import weights
from gradcli.ad import matrix
from gradcli.ad.directional import directional
from gradcli.ad.reverse import float_outputs, reverse
from gradcli.ad.zero import why_zero
from gradcli.differentiate import Question, Reason, Scene, Target, scene_of
from gradcli.directions import describe, read_tangents, read_vectors, scene_of_jvp
from gradcli.engine import Machine, plan_of, run_plan, threads_of
from gradcli.interp.program import Prepared, Program
from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Value
from gradcli.ir.live import outputs_from
from gradcli.matrices.limits import pointed, refuse_dense
from gradcli.record import record, replace
from gradcli.request import Entry, ModelFile, Request, Result, SparseMatrix
from gradcli.running import all_zero, describe_sens, feed_arrays, read_sens, refuse_many, refuse_order, result_of
from gradcli.syntax.diagnostics import Diagnostic, ModelError, fail, listed
from gradcli.weights import Given
from gradcli.zeros.why import Explainer

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

VERBS = ("jvp", "jac", "hess")
HELP = {
    "jac": "`--sparse` keeps only what can be other than zero; `gradcli jvp` gives products without the matrix",
    "hess": "`--sparse` keeps only what can be other than zero; `--vec` gives products without the matrix",
}


@record(eq=False)
class Row:
    """One array of a result before there are numbers: its fields of an `Entry`, and what to ask if it is all zero."""

    name: str
    kind: str
    wrt: tuple[str, ...]
    zero: Question
    output: str | None = None
    rows: int = 0


@record(eq=False)
class Extra:
    """One input that a program has besides those of the net: the sensitivity or the direction of `name`."""

    option: str  # "sens" or "along"
    name: str
    given: Given
    aval: Aval
    position: int = 0  # of the input that it is a direction of

    def array(self, machine: Machine) -> Array:
        return weights.array(self.given, self.aval, machine, self.name)


@record(eq=False)
class Derivation:
    """A program `(*inputs of the net, *extras) → (*values where they are asked for, *one array for each row)`."""

    graph: Graph
    field: str  # of a `Result`: "tangents", "blocks" or "products"
    rows: tuple[Row, ...]
    extras: tuple[Extra, ...] = ()
    sens: Mapping[str, Given] | None = None
    along: Mapping[str, Given] | None = None
    notes: tuple[Diagnostic, ...] = ()
    mode: str = ""
    whole: Graph | None = None


def run(file: ModelFile, program: Program, prepared: Prepared, request: Request, machine: Machine) -> Result:
    """The tangents, blocks or products that the request asks for, and with `--value` the net's values."""
    made = derivation(program, prepared, request, machine)
    inputs = feed_arrays(prepared, machine)
    extras = [extra.array(machine) for extra in made.extras]
    try:
        plan = plan_of(made.graph, machine)
        arrays = run_plan(plan, [*inputs, *extras], machine)
    except ModelError as error:
        raise pointed(error, HELP[request.verb]) if made.field == "blocks" else error from None
    first = len(prepared.outputs) if request.value else 0
    values = tuple(
        Entry(f"value/{name}", "value", array, out.aval.dtype)
        for name, array, out in zip(prepared.outputs, arrays[:first], made.graph.outputs, strict=False)
    )
    explainer, otherwise = _explainer(made, inputs, extras, machine), _otherwise(made, extras)
    derivatives = zip(made.rows, arrays[first:], made.graph.outputs[first:], strict=True)
    entries = tuple(
        entry_of(row, array, out.aval.dtype, explainer.zero_of(row.zero, otherwise) if all_zero(array) else None)
        for row, array, out in derivatives
    )
    sens = describe_sens(prepared, made.sens) if request.verb == "hess" else ()
    notes = (*prepared.notes, *made.notes)
    shown, threads = values if request.value else None, threads_of(plan, machine)
    result = result_of(file, program, prepared, request, machine, threads, sens, shown, (), notes)
    return replace(result, along=describe(made.along), mode=made.mode, **{made.field: entries})


def entry_of(row: Row, array: Array, dtype: str, reason: Any, matrix: SparseMatrix | None = None) -> Entry:
    kind: Any = row.kind  # that of a target, a text
    return Entry(row.name, kind, array, dtype, row.wrt, reason, row.output, row.rows, matrix)


def _explainer(made: Derivation, inputs: Sequence[Array], extras: Sequence[Array], machine: Machine) -> Explainer:
    given = [*zip(made.extras, extras, strict=True)]
    sens = {extra.name: array for extra, array in given if extra.option == "sens"}
    along = [(extra, array) for extra, array in given if extra.option == "along"]
    vectors = {_vector(extra.name): array for extra, array in along}
    directions = {extra.position: array for extra, array in along} if made.field == "tangents" else {}
    return Explainer(machine, inputs, sens, vectors=vectors, whole=made.whole, directions=directions)


def _vector(name: str) -> str:
    """What the direction of an input is called beside sensitivities, which are called by outputs."""
    return f"vec {name}"


def _otherwise(made: Derivation, extras: Sequence[Array]) -> str | None:
    """Why all derivatives are zero, whatever the graph."""
    for option, reason in (("sens", "sens is zero"), ("along", "direction is zero")):
        given = [array for extra, array in zip(made.extras, extras, strict=True) if extra.option == option]
        if given and not any(array.any() for array in given):
            return reason
    return None


# ── which program ───────────────────────────────────────────────────────────────────────────────────────────


def derivation(program: Program, prepared: Prepared, request: Request, machine: Machine) -> Derivation:
    """Raises ModelError DIF… where what is asked has no derivative, NUM001 where a matrix would not fit."""
    refuse_order(request.order)
    scene = scene_of_jvp(prepared, request) if request.verb == "jvp" else scene_of(prepared, request)
    floats = float_outputs(scene.graph, None)
    match request.verb:
        case "jvp":
            given = read_tangents(program, prepared, request, scene)
            made = _tangents(prepared, scene, floats, given, request.order)
        case "jac":
            made = _jacobian(prepared, scene, floats, request.order, machine)
        case _:
            vectors = read_vectors(program, prepared, request, scene)
            sens = read_sens(program, prepared, request)
            if vectors is None:
                made = _hessian(prepared, scene, floats, sens, machine)
            else:
                made = _products(prepared, scene, floats, sens, vectors)
    graph = made.graph
    if request.value:
        _refuse_same_names(prepared, made.rows)
        graph = _with_values(scene.graph, graph)
    return replace(made, graph=scene.joined(graph), notes=(*scene.notes, *made.notes), whole=scene.whole)


def _tangents(
    prepared: Prepared, scene: Scene, floats: list[int], given: Mapping[str, Given], order: int
) -> Derivation:
    """Of order N, the Nth derivative of the outputs along the one direction."""
    moved = [t.position for t in scene.targets if t.name in given]
    graph = directional(scene.graph, moved, floats, order)
    rows = tuple(
        Row(
            prepared.outputs[k],
            "tangent",
            (),
            replace(by_rows(lambda: scene.graph, moved, k), numbers=lambda: order == 1),
            prepared.outputs[k],
        )
        for k in floats
    )
    mode = _mode(["forward"], 1) if order == 1 else f"order {order} along one direction"
    notes = left_out(prepared, scene, floats)
    return Derivation(graph, "tangents", rows, _extras("along", given, scene), None, given, notes, mode)


def _jacobian(prepared: Prepared, scene: Scene, floats: list[int], order: int, machine: Machine) -> Derivation:
    """Of order N, the Jacobian of the Jacobian …: blocks have the dims of N inputs after those of the output."""
    refuse_many(len(floats) * len(scene.targets) ** order, f"a Jacobian of order {order}")
    places = [(k, by) for k in floats for by in product(scene.targets, repeat=order)]
    names = [f"{prepared.outputs[k]}/{','.join(t.name for t in by)}" for k, by in places]
    avals = [_block(scene, scene.graph.outputs[k].aval, by) for k, by in places]
    refuse_dense("Jacobian", [*zip(names, avals, strict=True)], machine, HELP["jac"])
    wrt = [t.position for t in scene.targets]
    graph, chosen, modes, passes = scene.graph, floats, [], 1
    for _ in range(order):
        below, ends = graph, [*product(chosen, wrt)]
        modes.append(matrix.cheaper_mode(below, wrt, chosen))
        count = _size(below.inputs, wrt) if modes[-1] == "forward" else _size(below.outputs, chosen)
        graph = outputs_from(matrix.jacobian(below, wrt, chosen, modes[-1]), len(below.outputs))
        chosen, passes = [*range(len(graph.outputs))], passes * count
    rows = tuple(
        Row(
            name, by[-1].kind, tuple(t.name for t in by), by_rows(lambda: below, [position], end),
            prepared.outputs[k], scene.graph.outputs[k].rank,
        )
        for name, (k, by), (end, position) in zip(names, places, ends, strict=True)
    )  # fmt: skip
    mode = _mode(modes, passes, input=_size(scene.graph.inputs, wrt), output=_size(scene.graph.outputs, floats))
    return Derivation(graph, "blocks", rows, notes=left_out(prepared, scene, floats), mode=mode)


def _hessian(
    prepared: Prepared, scene: Scene, floats: list[int], sens: Mapping[str, Given] | None, machine: Machine
) -> Derivation:
    refuse_many(len(scene.targets) ** 2, "a Hessian")
    pairs = [*product(scene.targets, repeat=2)]
    names = [f"{a.name}/{b.name}" for a, b in pairs]
    inputs = scene.graph.inputs
    avals = [_block(scene, inputs[a.position].aval, [b]) for a, b in pairs]
    refuse_dense("Hessian", [*zip(names, avals, strict=True)], machine, HELP["hess"])
    wrt = [t.position for t in scene.targets]
    made = matrix.hessian(scene.graph, wrt, floats, weighting(sens))
    question = questions_of_second(scene, floats, sens)
    output = prepared.outputs[floats[0]] if len(floats) == 1 else None
    rows = tuple(
        Row(
            name, b.kind, (a.name, b.name), question([b.position], wrt.index(a.position)),
            output, inputs[a.position].rank,
        )
        for name, (a, b) in zip(names, pairs, strict=True)
    )  # fmt: skip
    size = _size(inputs, wrt)
    mode = _mode(["reverse", "forward"], size, input=size)
    graph = outputs_from(made, len(scene.graph.outputs))
    return Derivation(graph, "blocks", rows, sens_extras(prepared, scene, floats, sens), sens, mode=mode)


def _products(
    prepared: Prepared, scene: Scene, floats: list[int], sens: Mapping[str, Given] | None, given: Mapping[str, Given]
) -> Derivation:
    wrt = [t.position for t in scene.targets]
    moved = [t.position for t in scene.targets if t.name in given]
    made = matrix.hvp(scene.graph, wrt, floats, weighting(sens), moved)
    about = questions_of_second(scene, floats, sens)
    weights = [(wrt.index(t.position), _vector(t.name)) for t in scene.targets if t.name in given]

    def question(k: int) -> Question:
        """The product by x is the derivative by x of the gradients, weighted by the vectors: second derivatives are
        symmetric."""
        places, names = zip(*weights, strict=True)
        return replace(about(moved, k), moved=(wrt[k],), which=places, weighted=names)

    rows = tuple(Row(t.name, t.kind, (t.name,), question(k)) for k, t in enumerate(scene.targets))
    extras = (*sens_extras(prepared, scene, floats, sens), *_extras("along", given, scene))
    graph = outputs_from(made, len(scene.graph.outputs))
    return Derivation(graph, "products", rows, extras, sens, given, mode=_mode(["reverse", "forward"], 1))


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse_same_names(prepared: Prepared, rows: Sequence[Row]) -> None:
    """Raises ModelError USE005 where an output is called `value`, so that a block of it is called as a value is."""
    values = {f"value/{name}" for name in prepared.outputs}
    for row in rows:
        if row.name in values:
            raise fail("USE005", f"`--value` gives {row.name}, and so is a block called", help="leave out `--value`")


def _with_values(graph: Graph, derivative: Graph) -> Graph:
    """The outputs of `graph`, then those of `derivative`, which has further inputs."""
    builder = Builder()
    inputs = [builder.input(value.aval, name) for value, name in zip(derivative.inputs, derivative.names, strict=True)]
    values = builder.inline(graph, inputs[: len(graph.inputs)])
    return builder.close([*values, *builder.inline(derivative, inputs)])


def weighting(sens: Mapping[str, Given] | None) -> matrix.Sens:
    return "ones" if sens is None else "inputs"


def questions_of_second(
    scene: Scene, floats: Sequence[int], sens: Mapping[str, Given] | None
) -> Callable[[Sequence[int], int], Question]:
    """About gradient k by the inputs that move. The gradients are made if anybody asks."""
    wrt = [t.position for t in scene.targets]
    count = len(scene.graph.outputs)
    gradients = cache(lambda: outputs_from(reverse(scene.graph, wrt, sens=weighting(sens), outputs=floats), count))

    def question(moved: Sequence[int], k: int) -> Question:
        first = [structural(lambda: scene.graph, positions, floats) for positions in (moved, [wrt[k]])]
        about = by_rows(gradients, moved, k)
        return replace(about, structure=_any_of([*first, about.structure]))

    return question


def by_rows(graph: Callable[[], Graph], moved: Sequence[int], k: int) -> Question:
    """About all rows of a matrix together: the derivatives of output k, weighted in any way."""
    return Question(graph, tuple(moved), (k,), "any", structural(graph, moved, [k]))


def structural(graph: Callable[[], Graph], moved: Sequence[int], outputs: Sequence[int]) -> Reason:
    """Why some outputs of a graph do not change with the inputs that move."""

    def why() -> dict[str, object] | None:
        found = [why_zero(graph(), position, outputs=outputs) for position in moved]
        return None if None in found else _telling(found)

    return why


def _any_of(reasons: Sequence[Reason]) -> Reason:
    """Where each reason is enough."""
    return lambda: _telling([reason() for reason in reasons])


def _telling(found: Sequence[dict[str, object] | None]) -> dict[str, object] | None:
    """The reason that says most: a place rather than none."""
    known = [each for each in found if each is not None]
    return next((each for each in known if each["reason"] != "no path"), known[0] if known else None)


def _extras(option: str, given: Mapping[str, Given], scene: Scene) -> tuple[Extra, ...]:
    positions = {t.name: t.position for t in scene.targets}
    inputs = scene.graph.inputs
    return tuple(Extra(option, n, one, inputs[positions[n]].aval, positions[n]) for n, one in given.items())


def sens_extras(
    prepared: Prepared, scene: Scene, floats: Sequence[int], sens: Mapping[str, Given] | None
) -> tuple[Extra, ...]:
    if sens is None:
        return ()
    names = [prepared.outputs[k] for k in floats]
    return tuple(
        Extra("sens", name, sens[name], scene.graph.outputs[k].aval) for k, name in zip(floats, names, strict=True)
    )


def _block(scene: Scene, of: Aval, by: Sequence[Target]) -> Aval:
    inputs = [scene.graph.inputs[t.position].aval.shape for t in by]
    return Aval((*of.shape, *(size for shape in inputs for size in shape)), of.dtype)


def left_out(prepared: Prepared, scene: Scene, floats: Sequence[int]) -> tuple[Diagnostic, ...]:
    left = [
        f"{name} ({v.aval})"
        for name, v in zip(prepared.outputs, scene.graph.outputs, strict=True)
        if not v.aval.is_float
    ]
    if not left:
        return ()
    return (Diagnostic("DIF002", f"left out, as not float: {listed(left)}", severity="note"),)


def _size(values: Sequence[Value], positions: Sequence[int]) -> int:
    return sum(prod(definite(size) for size in values[k].shape) for k in positions)


def _mode(modes: Sequence[str], passes: int, **sizes: int) -> str:
    """`forward over reverse, 3 passes (3 input elements)`"""
    elements = ", ".join(f"{size:_} {side} element{'' if size == 1 else 's'}" for side, size in sizes.items())
    count = f"{passes:_} pass{'' if passes == 1 else 'es'}"
    return f"{' over '.join(reversed(modes))}, {count}{f' ({elements})' if elements else ''}"

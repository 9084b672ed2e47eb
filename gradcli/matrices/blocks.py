"""`jac --sparse` and `hess --sparse` on a prepared net: each block as what of it can be other than zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from gradcli.ad.reverse import float_outputs, reverse
from gradcli.differentiate import Question, Scene, scene_of
from gradcli.engine import Machine
from gradcli.interp.program import Prepared, Program
from gradcli.ir.live import outputs_from
from gradcli.matrices.sparse import hessian_program, jacobian_program
from gradcli.matrices.verb import Row, by_rows, entry_of, left_out, questions_of_second, sens_extras, weighting
from gradcli.record import replace
from gradcli.request import Entry, ModelFile, Request, Result, SparseMatrix
from gradcli.running import describe_sens, feed_arrays, read_sens, refuse_many, result_of
from gradcli.syntax.diagnostics import fail
from gradcli.weights import Given
from gradcli.zeros.why import Explainer

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Found = Iterator[tuple[Row, str, SparseMatrix]]  # each block with its dtype


def run(file: ModelFile, program: Program, prepared: Prepared, request: Request, machine: Machine) -> Result:
    """Raises ModelError USE005 for what cannot be asked of a sparse matrix, NUM008 for a pattern that is dense."""
    _refuse(request)
    scene = scene_of(prepared, request)
    floats = float_outputs(scene.graph, None)
    sens = read_sens(program, prepared, request) if request.verb == "hess" else None
    arrays = feed_arrays(prepared, machine)
    if request.verb == "jac":
        found = _jacobian(prepared, scene, floats, arrays, machine)
        notes = (*scene.notes, *left_out(prepared, scene, floats))
    else:
        found = _hessian(prepared, scene, floats, sens, arrays, machine)
        notes = scene.notes
    described = describe_sens(prepared, sens) if request.verb == "hess" else ()
    weights = {extra.name: extra.array(machine) for extra in sens_extras(prepared, scene, floats, sens)}
    explainer = Explainer(machine, arrays, weights)
    blocks = tuple(
        entry_of(row, m.data, dtype, explainer.zero_of(row.zero) if _all_zero(m) else None, m)
        for row, dtype, m in found
    )
    notes = (*prepared.notes, *notes)
    result = result_of(file, program, prepared, request, machine, machine.workers, described, None, (), notes)
    return replace(result, blocks=blocks, mode="; ".join(_mode(entry) for entry in blocks))


def _all_zero(matrix: SparseMatrix) -> bool:
    """Whether there are elements, kept or not, and all are zero."""
    return 0 not in matrix.shape and not matrix.data.any()


def _refuse(request: Request) -> None:
    for name, given in (
        ("--at", request.at is not None),
        ("--vec", bool(request.along) or request.along_arrays is not None),
        ("--value", request.value),
        (f"--order {request.order}", request.order != 1),
    ):
        if given:
            raise fail("USE005", f"`--sparse` and `{name}` do not go together", help="leave out one of them")


def _jacobian(
    prepared: Prepared, scene: Scene, floats: Sequence[int], arrays: Sequence[Any], machine: Machine
) -> Found:
    refuse_many(len(floats) * len(scene.targets), "a Jacobian")
    for k, target in product(floats, scene.targets):
        output = prepared.outputs[k]
        about = by_rows(lambda: scene.graph, [target.position], k)
        row = Row(f"{output}/{target.name}", target.kind, (target.name,), about, output, scene.graph.outputs[k].rank)
        made = jacobian_program(scene.graph, k, target.position, arrays, machine)
        yield row, made.output.dtype, made.run(arrays, machine)


def _hessian(
    prepared: Prepared,
    scene: Scene,
    floats: list[int],
    sens: dict[str, Given] | None,
    arrays: Sequence[Any],
    machine: Machine,
) -> Found:
    refuse_many(len(scene.targets) ** 2, "a Hessian")
    wrt = [t.position for t in scene.targets]
    whole = reverse(scene.graph, wrt, sens=weighting(sens), outputs=floats)
    gradient = outputs_from(whole, len(scene.graph.outputs))
    arrays = [*arrays, *(extra.array(machine) for extra in sens_extras(prepared, scene, floats, sens))]
    question = questions_of_second(scene, floats, sens)
    output = prepared.outputs[floats[0]] if len(floats) == 1 else None
    for (k, a), b in product(enumerate(scene.targets), scene.targets):
        about: Question = question([b.position], k)
        row = Row(f"{a.name}/{b.name}", b.kind, (a.name, b.name), about, output, gradient.outputs[k].rank)
        program = hessian_program if a is b else jacobian_program
        made = program(gradient, k, b.position, arrays, machine)
        yield row, made.output.dtype, made.run(arrays, machine)


def _mode(entry: Entry) -> str:
    """`x/x: star, 2 colours for 50 columns`"""
    assert entry.matrix is not None
    count = entry.matrix.colors
    return f"{entry.name}: {entry.matrix.mode}, {count:_} colour{'' if count == 1 else 's'}"

"""How a gradient comes about, as equations: for each gradient that is asked for a derivation, with numbers if wanted.

The equations are those of the program that runs, with the sensitivity as a letter. Of order n, what is derived is each
derivative of order n - 1, as the passes left it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from gradcli import weights
from gradcli.ad import forward, reverse
from gradcli.ad.reverse import float_outputs
from gradcli.differentiate import Scene, Target, scene_of
from gradcli.directions import read_tangents, scene_of_jvp
from gradcli.engine import Machine, run_graph
from gradcli.explain.closed import closed_forms
from gradcli.explain.derivation import Asked, Made, derive
from gradcli.interp.program import Prepared, Program
from gradcli.ir.formula import Derivation, Equation, Explanation, Name, Number, Step
from gradcli.ir.graph import Graph
from gradcli.passes.dce import dce
from gradcli.passes.pipeline import optimize
from gradcli.record import record, replace
from gradcli.request import Request
from gradcli.running import feed_arrays, read_sens, refuse_many, refuse_order
from gradcli.weights import Given

if TYPE_CHECKING:
    from gradcli.ad.reverse import Traced


@record(eq=False)
class Subject:
    """What one derivation is of: a graph with the outputs that count, and what these are called."""

    of: str
    label: str  # of its sensitivity where the order is above 1
    graph: Graph
    outputs: tuple[str, ...]
    lines: bool = True  # whether it is the model's own graph, with its named lines


def explain(
    program: Program, prepared: Prepared, request: Request, machine: Machine, mode: str, *, numbers: bool
) -> Explanation:
    """Raises ModelError DIF… where there is nothing to differentiate, or by nothing."""
    refuse_order(request.order)
    scene = scene_of_jvp(prepared, request) if mode == "forward" and request.along else scene_of(prepared, request)
    refuse_many(len(scene.targets) ** request.order, f"order {request.order} by {len(scene.targets)} inputs and params")
    given = _given(program, prepared, request, scene, mode)
    inputs = _input_arrays(prepared, scene, machine) if numbers else []
    parts = []
    for subject in _subjects(prepared, scene, request.order):
        if given is not None and request.order > 1 and subject.label not in given:
            continue
        targets = [t for t in scene.targets if mode == "reverse" or given is None or t.name in given]
        asked, traced = _traced(prepared, scene, subject, targets, mode)
        made = derive(asked, traced, subject.of)
        part = _seeded(made, subject, targets, given, mode)
        if mode == "reverse":
            closed = closed_forms(asked, made, part.seeds, ones=given is None)
            part = replace(part, closed=closed)
        if numbers:
            arrays = _seed_arrays(made, subject, targets, given, machine, mode)
            part = _with_values(made, part, traced, [*inputs, *arrays], machine)
        parts.append(part)
    return Explanation(
        program.scope.source.name, prepared.net, program.scope.edition, tuple(parts), numbers,
        (*prepared.notes, *scene.notes),
    )  # fmt: skip


# ── what is derived ─────────────────────────────────────────────────────────────────────────────────────────


def _subjects(prepared: Prepared, scene: Scene, order: int) -> Iterator[Subject]:
    floats = float_outputs(scene.graph, None)
    names = tuple(prepared.outputs[k] for k in floats)
    graph = scene.graph
    if len(floats) < len(graph.outputs):
        graph = replace(graph, outputs=tuple(graph.outputs[k] for k in floats))
    first = Subject(", ".join(names), "", graph, names)
    for by in product(scene.targets, repeat=order - 1):
        subject = first
        for depth, target in enumerate(by, 1):
            subject = _differentiated(subject, target, by[:depth])
        yield subject


def _differentiated(subject: Subject, target: Target, by: Sequence[Target]) -> Subject:
    """The gradient by one input, as something to differentiate again."""
    made = reverse.reverse(subject.graph, [target.position])
    only = Graph(made.inputs, made.nodes, made.outputs[-1:], made.n_values, made.names)
    names = [t.name for t in by]
    plain = subject.lines and len(subject.outputs) == 1
    of = f"∂{subject.of}/∂{target.name}" if plain else f"∂({subject.of})/∂{target.name}"
    return Subject(of, ",".join(names), optimize(dce(only)), ("out",), False)


def _traced(
    prepared: Prepared, scene: Scene, subject: Subject, targets: Sequence[Target], mode: str
) -> tuple[Asked, Traced]:
    positions = [t.position for t in targets]
    graph = subject.graph
    forwards = mode == "forward"
    traced = forward.traced(graph, positions) if forwards else reverse.traced(graph, positions, sens="inputs")
    names = [""] * len(graph.inputs)
    for fed in (*prepared.inputs, *prepared.params):
        names[fed.position] = fed.name
    for target in targets:
        names[target.position] = target.name
    own = scene.graph is prepared.graph and subject.lines
    dims = prepared.dims if own else _input_dims(prepared, graph)
    lines = {value.id: name.rpartition("/")[2] for name, value in prepared.lines.items()} if own else {}
    return Asked(graph, positions, names, subject.outputs, lines, dims, mode, subject.lines), traced


def _input_dims(prepared: Prepared, graph: Graph) -> dict[int, tuple[str | None, ...]]:
    pairs = zip(prepared.graph.inputs, graph.inputs, strict=False)
    return {new.id: prepared.dims[old.id] for old, new in pairs if old.id in prepared.dims}


# ── what it is weighted by ──────────────────────────────────────────────────────────────────────────────────


def _given(
    program: Program, prepared: Prepared, request: Request, scene: Scene, mode: str
) -> Mapping[str, Given] | None:
    """Sensitivities, or in forward mode tangents, by name; None for ones."""
    if mode == "reverse":
        return read_sens(program, prepared, request)
    return read_tangents(program, prepared, request, scene) if request.along else None


def _labels(subject: Subject, targets: Sequence[Target], mode: str) -> list[str]:
    """The names under which what weighs a derivation is given, in the order of its inputs."""
    if mode == "forward":
        return [t.name for t in targets]
    return [subject.label] if subject.label else [*subject.outputs]


def _seeded(
    made: Made, subject: Subject, targets: Sequence[Target], given: Mapping[str, Given] | None, mode: str
) -> Derivation:
    """With what the derivation starts from: ones, or what was given for it."""
    seeds = []
    for name, label in zip(made.extras, _labels(subject, targets, mode), strict=True):
        aval = made.values[name].aval
        source = None if given is None else given[label].source or given[label].kind
        formula = Number(1.0, aval) if source is None else None
        seeds.append(Equation(name, aval, formula, call=() if source is None else (source,)))
    by_name = {seed.name: seed for seed in seeds}
    steps = tuple(
        replace(step, derivative=tuple(by_name.get(equation.name, equation) for equation in step.derivative))
        for step in made.derivation.steps
    )
    return replace(made.derivation, seeds=tuple(seeds), steps=steps)


def _seed_arrays(
    made: Made, subject: Subject, targets: Sequence[Target], given: Mapping[str, Given] | None, machine: Machine,
    mode: str,
) -> list[Any]:  # fmt: skip
    arrays = []
    for name, label in zip(made.extras, _labels(subject, targets, mode), strict=True):
        one = Given("ones", "", None) if given is None else given[label]
        arrays.append(weights.array(one, made.values[name].aval, machine, label))
    return arrays


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _input_arrays(prepared: Prepared, scene: Scene, machine: Machine) -> list[Any]:
    """What feeds the graph of a scene: the net's inputs, and with `--at` the value of the line."""
    inputs = feed_arrays(prepared, machine)
    return inputs if scene.whole is None else [*inputs, *run_graph(scene.whole, inputs, machine)]


def _with_values(made: Made, part: Derivation, traced: Traced, inputs: Sequence[Any], machine: Machine) -> Derivation:
    """Each equation with the array that the program has for it."""
    names = [*made.values]
    whole = traced.whole([made.values[name] for name in names])
    arrays: dict[Name, Any] = dict(zip(names, run_graph(whole, inputs, machine), strict=True))

    def valued(equation: Equation) -> Equation:
        return replace(equation, value=arrays.get(equation.name))

    steps = tuple(
        Step(step.place, valued(step.value), tuple(map(valued, step.derivative)), step.adjoint_block, step.why)
        for step in part.steps
    )
    return replace(part, steps=steps, seeds=tuple(map(valued, part.seeds)), closed=tuple(map(valued, part.closed)))

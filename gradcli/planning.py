"""One verb of one net, planned for arrays of known shapes: what `Net.compile` makes once and runs many times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gradcli import differentiate, engine, opening, running
from gradcli.collecting import uncollected
from gradcli.engine import Machine
from gradcli.interp.program import Prepared, Program
from gradcli.ir.graph import Graph
from gradcli.record import record
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import fail

if TYPE_CHECKING:
    from gradcli.plan import AnyPlan


@record(eq=False)
class Planned:
    """A plan with what feeds it unless a call gives something else, and what its results are called.

    `places` are the positions of inputs and params by name; `slots` those of sensitivities (`"sens"`) and directions
    (`"along"`), in the order in which these are given where they have no name.
    """

    plan: AnyPlan
    names: tuple[str, ...]
    inputs: tuple[Any, ...]
    places: Mapping[str, int]
    slots: Mapping[str, Mapping[str, int]]

    def fed(self, arrays: Mapping[str, Any], weights: Mapping[str, Any]) -> list[Any]:
        """The arrays of one call; `weights` are what is given as `sens` and `along`."""
        inputs = list(self.inputs)
        for name, position, value in (*self._own(arrays), *self._weights(weights)):
            inputs[position] = engine.fit(value, self.plan.graph.inputs[position].aval, name)
        return inputs

    def _own(self, arrays: Mapping[str, Any]) -> Iterator[tuple[str, int, Any]]:
        for name, value in arrays.items():
            if name in self.places:
                yield name, self.places[name], value

    def _weights(self, weights: Mapping[str, Any]) -> Iterator[tuple[str, int, Any]]:
        for option, given in weights.items():
            for name, value in _by_name(given, self.slots.get(option, {})).items():
                if not isinstance(value, str):  # `random:1` is an array of the plan already
                    yield name, self.slots[option][name], value


def _by_name(given: Any, slots: Mapping[str, int]) -> Mapping[str, Any]:
    """What `weights.arrays_by_name` found when the plan was made for something of the same form."""
    if given is None or isinstance(given, Mapping):
        return given or {}
    several = given if isinstance(given, tuple) else (given,)
    return dict(zip(slots, several, strict=True))


@uncollected()
def plan(file: ModelFile, request: Request, machine: Machine) -> Planned:
    """Raises ModelError as the verb does, and USE005 for sparse matrices, whose pattern may follow from data."""
    if request.sparse:
        raise fail(
            "USE005", "a callable gives dense matrices", help=f"`net.{request.verb}(…, sparse=True)` at each call"
        )
    program = opening.open_program(file, request)
    prepared = opening.read_params(program.prepare(request.net, opening.read_feeds(program, request)), request)
    graph, names, extras = _derived(program, prepared, request, machine)
    if request.value and request.verb != "eval":
        names = [*(f"value/{name}" for name in prepared.outputs), *names]
    inputs = running.feed_arrays(prepared, machine)
    places = {fed.name: fed.position for fed in (*prepared.inputs, *prepared.params)}
    slots: dict[str, dict[str, int]] = {"sens": {}, "along": {}}
    for position, (option, name, _) in enumerate(extras, len(inputs)):
        slots[option][name] = position
    inputs += [array for _, _, array in extras]
    return Planned(engine.plan_of(graph, machine), tuple(names), tuple(inputs), places, slots)


Extras = list[tuple[str, str, Any]]  # option, name, array


def _derived(
    program: Program, prepared: Prepared, request: Request, machine: Machine
) -> tuple[Graph, list[str], Extras]:
    """The program of a verb, the names of its derivatives, and what it is fed besides the inputs of the net."""
    if request.verb == "eval":
        return prepared.graph, list(prepared.outputs), []
    if request.verb == "grad":
        given = running.read_sens(program, prepared, request)
        derived = running.derive_request(prepared, request, None if given is None else list(given))
        arrays = running.sens_arrays(given or {}, derived.weighted, machine)
        graph = derived.graph if request.value else differentiate.gradients_only(prepared.graph, derived)
        extras = [("sens", name, array) for (name, _), array in zip(derived.weighted, arrays, strict=True)]
        return graph, [",".join(names) for names in derived.names], extras
    from gradcli.matrices.verb import derivation

    made = derivation(program, prepared, request, machine)
    return made.graph, [row.name for row in made.rows], [(e.option, e.name, e.array(machine)) for e in made.extras]

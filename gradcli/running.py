"""`eval` and `grad` on a prepared net: which program is run, on what data, and how the results are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli import weights
from gradcli.collecting import uncollected
from gradcli.differentiate import Derived, Question, choose_targets, derive, line_value, scene_of
from gradcli.engine import Machine, array_of, plan_of, run_plan, threads_of
from gradcli.interp.program import Fed, Prepared, Program
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Graph
from gradcli.ir.makers import makers
from gradcli.record import replace
from gradcli.request import Entry, ModelFile, Request, Result
from gradcli.syntax.diagnostics import Diagnostic, ModelError, fail, listed, nearest
from gradcli.weights import Given
from gradcli.zeros.why import Explainer

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MAX_ORDER = 10
MAX_DERIVATIVES = 4096


def evaluate(file: ModelFile, program: Program, prepared: Prepared, request: Request, machine: Machine) -> Result:
    """The net's values, or with `--at` those of a named line."""
    graph, names = prepared.graph, prepared.outputs
    if request.at is not None:
        value = line_value(prepared, request.at)
        graph, names = Graph(graph.inputs, graph.nodes, (value,), graph.n_values, graph.names), (request.at,)
    plan = plan_of(graph, machine)
    arrays = run_plan(plan, feed_arrays(prepared, machine), machine)
    values = tuple(
        Entry(name, "at" if request.at else "value", array, out.aval.dtype, makers=makers(out))
        for name, array, out in zip(names, arrays, graph.outputs, strict=True)
    )
    return result_of(
        file, program, prepared, request, machine, threads_of(plan, machine), (), values, (), prepared.notes
    )


def gradients(file: ModelFile, program: Program, prepared: Prepared, request: Request, machine: Machine) -> Result:
    """The gradients that the request asks for, and with `--value` the net's values."""
    request = _selecting_why(request)
    _refuse_orders(prepared, request)
    given = read_sens(program, prepared, request)
    derived = derive_request(prepared, request, None if given is None else list(given))
    _refuse_why(request, derived)
    count = len(prepared.outputs)
    keep = derived.graph.outputs if request.value else derived.graph.outputs[count:]
    graph = Graph(derived.graph.inputs, derived.graph.nodes, keep, derived.graph.n_values, derived.graph.names)
    inputs = feed_arrays(prepared, machine)
    sens = sens_arrays(given or {}, derived.weighted, machine)
    plan = plan_of(graph, machine)
    arrays = run_plan(plan, [*inputs, *sens], machine)
    values = None
    if request.value:
        values = tuple(
            Entry(f"value/{name}", "value", array, out.aval.dtype, makers=makers(out))
            for name, array, out in zip(prepared.outputs, arrays, keep, strict=False)
        )
        arrays = arrays[count:]
    weights_by_name = {name: array for (name, _), array in zip(derived.weighted, sens, strict=True)}
    explainer = Explainer(machine, inputs, weights_by_name, whole=derived.whole)
    primal = {id(node) for node in derived.graph.nodes[: len(prepared.graph.nodes)]} if request.order == 1 else None
    outs = derived.graph.outputs[count:]
    rows = zip(derived.names, derived.kinds, arrays, [out.aval for out in outs], derived.zero, strict=True)
    plain = [_gradient(explainer, request, *row) for row in rows]
    grads = tuple(replace(entry, makers=makers(out, primal)) for entry, out in zip(plain, outs, strict=True))
    notes = (*prepared.notes, *derived.notes)
    described, threads = describe_sens(prepared, given), threads_of(plan, machine)
    return result_of(file, program, prepared, request, machine, threads, described, values, grads, notes)


def all_zero(array: Array) -> bool:
    """Whether there are elements, and all are zero."""
    return bool(array.size) and not array.any()


def _gradient(
    explainer: Explainer, request: Request, by: tuple[str, ...], kind: str, array: Array, aval: Aval, question: Question
) -> Entry:
    name = ",".join(by)
    elements = explainer.zeros_of(question, array) if name in request.why else None
    reason = explainer.zero_of(question) if all_zero(array) else None
    return Entry(name, kind, array, aval.dtype, by, reason, elements=elements)  # type: ignore[arg-type]  # of an input or a param


def result_of(
    file: ModelFile, program: Program, prepared: Prepared, request: Request, machine: Machine, threads: int,
    sens: tuple[dict[str, Any], ...], values: tuple[Entry, ...] | None, grads: tuple[Entry, ...],
    notes: Sequence[Diagnostic],
) -> Result:  # fmt: skip
    return Result(
        request.verb, program.scope.source.name, prepared.net, program.scope.edition, machine.backend,
        threads, sens, values, grads, tuple(notes), machine.why, origins=prepared.origins,
    )  # fmt: skip


def feed_arrays(prepared: Prepared, machine: Machine) -> list[Any]:
    """Arrays for the inputs of the prepared graph, in their order."""
    inputs: list[Any] = [None] * len(prepared.graph.inputs)
    fed: Fed
    for fed in (*prepared.inputs, *prepared.params, *prepared.data):
        try:
            inputs[fed.position] = array_of(fed, machine)
        except ModelError as error:
            place = prepared.origins.get(fed.name)
            raise ModelError([replace(d, span=d.span or place) for d in error.diagnostics], error.exit_code) from None
    return inputs


# ── which program ───────────────────────────────────────────────────────────────────────────────────────────


@uncollected()
def derive_request(prepared: Prepared, request: Request, weighted: list[str] | None = None) -> Derived:
    """The gradient program of a request. Raises ModelError DIF… where there is nothing to differentiate."""
    _refuse_orders(prepared, request)
    scene = scene_of(prepared, request)
    made = derive(scene.graph, scene.targets, request.order, prepared.outputs, weighted)
    return replace(made, graph=scene.joined(made.graph), notes=scene.notes, whole=scene.whole)


def _selecting_why(request: Request) -> Request:
    """Where nothing else says by what, it is by what `--why` names."""
    if not request.why or request.wrt or request.at or request.get_all or request.get_by_list:
        return request
    names = dict.fromkeys(name.strip() for names in request.why for name in names.split(","))
    return replace(request, wrt=",".join(names))


def _refuse_why(request: Request, derived: Derived) -> None:
    """Raises ModelError DIF003 for a name that no gradient has."""
    names = [",".join(by) for by in derived.names]
    for name in request.why:
        if name not in names:
            guess = nearest(name, names)
            raise fail(
                "DIF003",
                f"`--why {name}` names no gradient that is asked for",
                notes=[f"gradients: {listed(names)}"],
                help=f"did you mean `--why {guess}`?" if guess else None,
            )


def refuse_order(order: int) -> None:
    """Raises ModelError DIF007 for an order that is too high."""
    if not 1 <= order <= MAX_ORDER:
        shown = order if abs(order) < 10**9 else "one of so many digits"
        raise fail("DIF007", f"--order is 1 to {MAX_ORDER}, not {shown}")


def refuse_many(count: int, what: str) -> None:
    """Raises ModelError DIF007 for more derivatives than anybody reads."""
    if count > MAX_DERIVATIVES:
        raise fail("DIF007", f"{what} is {count:_} derivatives", help="name fewer: `--wrt x`")


def _refuse_orders(prepared: Prepared, request: Request) -> None:
    refuse_order(request.order)
    if request.order > 1 and request.at is None:
        targets, _ = choose_targets(prepared, request)
        what = f"order {request.order} by {len(targets)} inputs and params"
        refuse_many(len(targets) ** request.order, what)


# ── sensitivities ───────────────────────────────────────────────────────────────────────────────────────────


def weightable(prepared: Prepared, request: Request) -> dict[str, Aval]:
    """What `--sens` may weight: the outputs, or for higher orders the gradients of the order before."""
    if request.order == 1:
        pairs = zip(prepared.outputs, prepared.graph.outputs, strict=True)
        return {name: v.aval for name, v in pairs if v.aval.is_float}
    if request.at is not None:
        aval = line_value(prepared, request.at).aval
        return {",".join([request.at] * (request.order - 1)): aval}
    targets, _ = choose_targets(prepared, request)
    names: list[tuple[str, ...]] = [()]
    for _ in range(request.order - 1):
        names = [(*n, t.name) for n in names for t in targets]
    avals = {t.name: prepared.graph.inputs[t.position].aval for t in targets}
    return {",".join(n): avals[n[-1]] for n in names}


def sens_arrays(given: Mapping[str, Given], weighted: Sequence[tuple[str, Aval]], machine: Machine) -> list[Array]:
    """The arrays of what is weighted, in order."""
    return [weights.array(given[name], aval, machine, "sens") for name, aval in weighted]


def read_sens(
    program: Program, prepared: Prepared, request: Request, *, widens: bool = False
) -> dict[str, Given] | None:
    """Sensitivities by what they weight; None where none is given. With `widens` they may be of narrower floats.

    Raises ModelError DIF004 or DIF005.
    """
    words = weightable(prepared, request)
    asked = weights.Asked("--sens", "sensitivity", "sensitivities", "output", "outputs", words, widens=widens)

    def unknown(name: str) -> ModelError:
        what = "output" if request.order == 1 else "gradient"
        return fail("DIF005", f"there is no {what} `{name}` to weight", notes=[asked.listed()])

    given = weights.by_name(asked, request.sens, request.sens_arrays, unknown)
    if given is None:
        return None
    if request.order == 1 and set(given) != set(words):
        missing = [w for w in words if w not in given]
        raise fail(
            "DIF005",
            f"no sensitivity for {', '.join(missing)}",
            notes=[asked.listed()],
            help=" ".join(f"--sens {w}=…" for w in words) + ", one for each output",
        )
    return {word: weights.read(program, asked, word, value) for word, value in given.items()}


def describe_sens(prepared: Prepared, given: Mapping[str, Given] | None) -> tuple[dict[str, Any], ...]:
    """Each sensitivity as the report has it."""
    if given is None:
        floats = [n for n, v in zip(prepared.outputs, prepared.graph.outputs, strict=True) if v.aval.is_float]
        return tuple({"output": name, "kind": "ones", "source": None} for name in floats)
    return tuple({"output": word, "kind": one.kind, "source": one.source or None} for word, one in given.items())


__all__ = ["evaluate", "gradients"]

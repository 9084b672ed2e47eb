"""`eval` and `grad` on a prepared net: which program is run, on what data, and how the results are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcli.differentiate import Derived, Reason, Target, choose_targets, cut_at, derive
from gradcli.engine import Machine, array_of, materialise, run_graph
from gradcli.interp.dtypes import RANKS
from gradcli.interp.program import Fed, Feed, Prepared, Program
from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Value
from gradcli.record import replace
from gradcli.request import Entry, ModelFile, Request, Result
from gradcli.syntax.diagnostics import Diagnostic, ModelError, fail, nearest

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
    arrays = run_graph(graph, feed_arrays(prepared, machine), machine)
    values = tuple(
        Entry(name, "at" if request.at else "value", array, out.aval.dtype)
        for name, array, out in zip(names, arrays, graph.outputs, strict=True)
    )
    return _result(file, program, prepared, request, machine, (), values, (), prepared.notes)


def gradients(file: ModelFile, program: Program, prepared: Prepared, request: Request, machine: Machine) -> Result:
    """The gradients that the request asks for, and with `--value` the net's values."""
    _refuse_order(prepared, request)
    weights = read_sens(program, prepared, request)
    derived = derive_request(prepared, request, None if weights is None else list(weights))
    count = len(prepared.outputs)
    keep = derived.graph.outputs if request.value else derived.graph.outputs[count:]
    graph = Graph(derived.graph.inputs, derived.graph.nodes, keep, derived.graph.n_values, derived.graph.names)
    inputs = feed_arrays(prepared, machine)
    sens = [sens_array(weights[name], aval, machine) for name, aval in derived.weighted] if weights is not None else []
    arrays = run_graph(graph, [*inputs, *sens], machine)
    values = None
    if request.value:
        values = tuple(
            Entry(f"value/{name}", "value", array, out.aval.dtype)
            for name, array, out in zip(prepared.outputs, arrays, keep, strict=False)
        )
        arrays = arrays[count:]
    no_sens = bool(sens) and not any(s.any() for s in sens)
    grads = tuple(
        Entry(",".join(names), kind, array, out.aval.dtype, names, _zero(array, reason, no_sens))  # type: ignore[arg-type]
        for names, kind, array, out, reason in zip(
            derived.names, derived.kinds, arrays, derived.graph.outputs[count:], derived.zero, strict=True
        )
    )
    notes = (*prepared.notes, *derived.notes)
    return _result(file, program, prepared, request, machine, _describe_sens(prepared, weights), values, grads, notes)


def _zero(array: Array, reason: Reason, no_sens: bool) -> dict[str, Any] | None:
    """Why a gradient is all zero: from the structure where it tells, else that the numbers make it so."""
    if array.size == 0 or array.any():
        return None
    if (found := reason()) is not None:
        return found
    return {"reason": "sens is zero" if no_sens else "numeric", "at": []}


def _result(
    file: ModelFile, program: Program, prepared: Prepared, request: Request, machine: Machine,
    sens: tuple[dict[str, Any], ...], values: tuple[Entry, ...] | None, grads: tuple[Entry, ...],
    notes: Sequence[Diagnostic],
) -> Result:  # fmt: skip
    from gradcli.backends import threads_in_use

    return Result(
        request.verb, program.scope.source.name, prepared.net, program.scope.edition, machine.backend,
        threads_in_use(machine.threads), sens, values, grads, tuple(notes), machine.why,
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


def line_value(prepared: Prepared, name: str) -> Value:
    """The value of a named line (`h`, `l1/h`). Raises ModelError NAM011."""
    if name in prepared.lines:
        return prepared.lines[name]
    guess = nearest(name, prepared.lines)
    raise fail(
        "NAM011",
        f"{prepared.net} has no line that binds `{name}`",
        notes=[f"its named lines: {', '.join(prepared.lines) or 'none'}"],
        help=f"did you mean `{guess}`?" if guess else None,
    )


def derive_request(prepared: Prepared, request: Request, weighted: list[str] | None = None) -> Derived:
    """The gradient program of a request. Raises ModelError DIF… where there is nothing to differentiate."""
    _refuse_order(prepared, request)
    if request.at is None:
        targets, notes = choose_targets(prepared, request)
        made = derive(prepared.graph, targets, request.order, prepared.outputs, weighted)
        return Derived(made.graph, made.names, made.kinds, made.weighted, made.zero, tuple(notes))
    return _derive_at(prepared, request, weighted)


def _refuse_order(prepared: Prepared, request: Request) -> None:
    """Raises ModelError DIF007 for an order that is too high, or gives more derivatives than anybody reads."""
    if not 1 <= request.order <= MAX_ORDER:
        shown = request.order if abs(request.order) < 10**9 else "one of so many digits"
        raise fail("DIF007", f"--order is 1 to {MAX_ORDER}, not {shown}")
    if request.order > 1 and request.at is None:
        targets, _ = choose_targets(prepared, request)
        count = len(targets) ** request.order
        if count > MAX_DERIVATIVES:
            raise fail(
                "DIF007",
                f"order {request.order} by {len(targets)} inputs and params is {count:_} derivatives",
                help="name fewer: `--wrt x`",
            )


def _derive_at(prepared: Prepared, request: Request, weighted: list[str] | None) -> Derived:
    """The derivative with respect to a named line: the graph is cut there, differentiated, and joined again."""
    assert request.at is not None
    if request.wrt or request.get_all or request.get_by_list:
        raise fail(
            "DIF003", "`--at` already says what to differentiate by", help="leave out --wrt, --get-all, --get-by-list"
        )
    value = line_value(prepared, request.at)
    if not value.aval.is_float:
        raise fail("DIF001", f"{request.at} is {value.aval} and has no derivative")
    inner = cut_at(prepared.graph, value)
    target = Target(request.at, "at", len(inner.inputs) - 1)
    made = derive(inner, [target], request.order, prepared.outputs, weighted)
    builder = Builder()
    n = len(prepared.graph.inputs)
    names = prepared.graph.names
    inputs = [builder.input(v.aval, name) for v, name in zip(prepared.graph.inputs, names, strict=True)]
    sens = [
        builder.input(v.aval, name)
        for v, name in zip(made.graph.inputs[n + 1 :], made.graph.names[n + 1 :], strict=True)
    ]
    whole = prepared.graph
    (point,) = builder.inline(Graph(whole.inputs, whole.nodes, (value,), whole.n_values, whole.names), inputs)
    outputs = builder.inline(made.graph, [*inputs, point, *sens])
    return Derived(builder.finish(outputs), made.names, made.kinds, made.weighted, made.zero)


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


def read_sens(program: Program, prepared: Prepared, request: Request) -> dict[str, tuple[str, str, Any]] | None:
    """Sensitivities by what they weight, as (kind, text, data); None for ones. Raises ModelError DIF004, DIF005."""
    words = weightable(prepared, request)
    given = _sens_pairs(request, words)
    if given is None:
        return None
    if request.order == 1 and set(given) != set(words):
        missing = [w for w in words if w not in given]
        raise fail(
            "DIF005",
            f"no sensitivity for {', '.join(missing)}",
            notes=["outputs: " + ", ".join(f"{w}: {a}" for w, a in words.items())],
            help=" ".join(f"--sens {w}=…" for w in words) + ", one for each output",
        )
    return {word: _one_sens(program, word, value, words[word]) for word, value in given.items()}


def _sens_pairs(request: Request, words: dict[str, Aval]) -> dict[str, Any] | None:
    """What is given for each word, as text or as an array."""
    listed = "outputs: " + ", ".join(f"{w}: {a}" for w, a in words.items())
    if request.sens_arrays is not None:
        arrays = request.sens_arrays
        if isinstance(arrays, dict):
            unknown = [k for k in arrays if k not in words]
            if unknown:
                raise fail("DIF005", f"there is no output {', '.join(unknown)} to weight", notes=[listed])
            return dict(arrays)
        several = list(arrays) if isinstance(arrays, tuple) else [arrays]
        if len(several) != len(words):
            raise fail("DIF005", f"{len(several)} sensitivities for {len(words)} outputs", notes=[listed])
        return dict(zip(words, several, strict=True))
    if not request.sens:
        return None
    pairs: dict[str, Any] = {}
    unnamed: list[str] = []
    for text in request.sens:
        head, has, tail = text.partition("=")
        if has and head.strip() in words and not tail.startswith("="):
            pairs[head.strip()] = tail
        elif has and head.strip().isidentifier() and not tail.startswith("="):
            what = "output" if request.order == 1 else "gradient"
            raise fail("DIF005", f"there is no {what} `{head.strip()}` to weight", notes=[listed])
        else:
            unnamed.append(text)
    if unnamed and (pairs or len(unnamed) != len(words)):
        head = unnamed[0].partition("=")[0].strip()
        guess = nearest(head, words) if "=" in unnamed[0] and head.isidentifier() else None
        raise fail(
            "DIF005",
            f"{len(unnamed)} sensitivit{'y' if len(unnamed) == 1 else 'ies'} without a name for {len(words)} outputs",
            notes=[listed],
            help=f"did you mean `--sens {guess}=…`?" if guess else f"name each: `--sens {next(iter(words))}=…`",
        )
    return pairs or dict(zip(words, unnamed, strict=True))


def _one_sens(program: Program, word: str, value: Any, aval: Aval) -> tuple[str, str, Any]:
    from gradcli.api import array_feed, value_feed

    if not isinstance(value, str):
        feed = array_feed(value, f"the sensitivity of {word}")
        return "array", "", _exact(feed, aval, word)
    text = value.strip()
    if text.startswith("random:"):
        seed = text.removeprefix("random:")
        if not seed.isdecimal():
            raise fail("DIF004", f"--sens {text}: a seed is a whole number", help="`--sens random:1`")
        return "random", text, int(seed)
    if text.startswith("basis:"):
        return "basis", text, _basis(text, aval)
    feed = value_feed(program, f"--sens {word}", text)
    from gradcli.data.read import is_reference

    return ("file" if is_reference(text) else "expression"), text, _exact(feed, aval, word)


def _basis(text: str, aval: Aval) -> tuple[int, ...]:
    parts = text.removeprefix("basis:")
    words = [p.strip() for p in parts.split(",")] if parts.strip() else []
    shape = [definite(d) for d in aval.shape]
    if len(words) != len(shape) or not all(w.lstrip("-").isdecimal() for w in words):
        example = ",".join("0" for _ in shape)
        raise fail(
            "DIF004", f"--sens {text} names no element of {aval}", help=f"one index for each dim: `basis:{example}`"
        )
    index = tuple(int(w) for w in words)
    for k, (i, d) in enumerate(zip(index, shape, strict=True)):
        if not -d <= i < d:
            raise fail("DIF004", f"--sens {text}: index {i} is out of range for dim {k} of {aval}")
    return index


def _exact(feed: Feed, aval: Aval, word: str) -> Feed:
    """A sensitivity has the shape and dtype of what it weights exactly; weak numbers take the dtype."""
    if tuple(feed.shape) != aval.shape:
        have = Aval(feed.shape, feed.dtype or aval.dtype)
        raise fail(
            "DIF004",
            f"the sensitivity is {have}, {word} is {aval}",
            feed.span,
            help="a sensitivity has the shape and dtype of the output exactly",
        )
    if feed.dtype is not None and feed.dtype != aval.dtype:
        wide = feed.dtype not in RANKS or RANKS[feed.dtype] > RANKS[aval.dtype]
        raise fail(
            "DIF004",
            f"the sensitivity is {feed.dtype}, {word} is {aval}",
            feed.span,
            help=f"cast it: `--sens '{aval.dtype}(load(\"{feed.source}\"))'`" if wide else f"store it as {aval.dtype}",
        )
    return feed


def sens_array(weight: tuple[str, str, Any], aval: Aval, machine: Machine) -> Array:
    """The numbers of one sensitivity."""
    import numpy as np

    from gradcli.ir.aval import NUMPY_NAMES

    kind, _, data = weight
    shape = tuple(definite(d) for d in aval.shape)
    if kind == "random":
        from gradcli.data.random import random_sens

        return random_sens(data, shape, aval.dtype)
    if kind == "basis":
        array: Array = np.zeros(shape, NUMPY_NAMES[aval.dtype])
        array[data] = 1
        return array
    return materialise(data, aval, machine, "sens")


def _describe_sens(prepared: Prepared, weights: dict[str, tuple[str, str, Any]] | None) -> tuple[dict[str, Any], ...]:
    if weights is None:
        floats = [n for n, v in zip(prepared.outputs, prepared.graph.outputs, strict=True) if v.aval.is_float]
        return tuple({"output": name, "kind": "ones", "source": None} for name in floats)
    return tuple({"output": w, "kind": kind, "source": text or None} for w, (kind, text, _) in weights.items())


__all__ = ["Path", "evaluate", "gradients"]

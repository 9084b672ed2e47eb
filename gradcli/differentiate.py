"""Gradient programs of a prepared net: what is asked by, how often, and weighted by what.

`derive` composes reverse passes: order n differentiates each gradient of order n - 1 again. The result is one graph
with the net's inputs, then one input for each sensitivity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradcli.ad.reverse import reverse
from gradcli.interp.program import Prepared
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Value
from gradcli.request import Request
from gradcli.syntax.diagnostics import Diagnostic, fail, nearest


@dataclass(frozen=True, slots=True)
class Target:
    """What a derivative is by: a graph input."""

    name: str
    kind: str  # "input", "param" or "at"
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """A gradient program. Its outputs are the net's outputs, then one gradient for each row of `names`.

    `graph.inputs` are the net's, then one sensitivity for each of `weighted` (names of what is weighted).
    `zero` tells, row by row, why the structure makes it zero (None where it does not).
    """

    graph: Graph
    names: tuple[tuple[str, ...], ...]
    kinds: tuple[str, ...]
    weighted: tuple[tuple[str, Aval], ...]
    zero: tuple[dict[str, object] | None, ...]
    notes: tuple[Diagnostic, ...] = field(default=())


def choose_targets(prepared: Prepared, request: Request) -> tuple[list[Target], list[Diagnostic]]:
    """The inputs and params to differentiate by. Raises ModelError DIF001 or DIF003."""
    inputs = [Target(f.name, "input", f.position) for f in prepared.inputs]
    params = [Target(f.name, "param", f.position) for f in prepared.params]
    floats = [t for t in inputs if prepared.graph.inputs[t.position].aval.is_float]
    notes: list[Diagnostic] = []
    if request.wrt is not None:
        if request.get_all or request.get_by_list:
            raise fail(
                "DIF003", "`--wrt` already says what to differentiate by", help="leave out --get-all and --get-by-list"
            )
        return _words(prepared, request.wrt, inputs, floats, params), notes
    if request.get_by_list and not params:
        raise fail("DIF003", f"{prepared.net} has no params", help="declare one: `param w: f32[3] = zeros()`")
    if request.get_all or not request.get_by_list:
        left = [t.name for t in inputs if t not in floats]
        if not floats:
            raise fail(
                "DIF001",
                f"{prepared.net} has no float input to differentiate by",
                help="by its params: `--get-by-list`" if params else None,
            )
        if left and (request.get_all or inputs[0] not in floats):
            notes.append(Diagnostic("DIF001", f"left out, as not float: {', '.join(left)}", severity="note"))
    chosen = (floats if request.get_all else []) + (params if request.get_by_list else [])
    return chosen or floats[:1], notes


def _words(
    prepared: Prepared, words: str, inputs: list[Target], floats: list[Target], params: list[Target]
) -> list[Target]:
    chosen: list[Target] = []
    for word in (w.strip() for w in words.split(",")):
        exact = [t for t in (*inputs, *params) if t.name == word]
        if exact:
            aval = prepared.graph.inputs[exact[0].position].aval
            if not aval.is_float:
                raise fail(
                    "DIF001",
                    f"{word} is {aval} and has no derivative",
                    prepared.origins.get(word),
                    help=f"give it as floats, or cast in the net: `f64({word})`",
                )
            found = exact[:1]
        elif word == "all":
            found = floats
        elif word == "params":
            found = params
        else:
            found = [t for t in params if t.name.startswith(word + ".")]
        if not found:
            names = [t.name for t in (*inputs, *params)]
            guess = nearest(word, names)
            raise fail(
                "DIF003",
                f"{prepared.net} has no input or param `{word}`"
                if word not in ("all", "params")
                else f"{prepared.net} has no {'float inputs' if word == 'all' else 'params'}",
                notes=[f"inputs and params: {', '.join(names) or 'none'}"],
                help=f"did you mean `{guess}`?" if guess else None,
            )
        chosen.extend(t for t in found if t not in chosen)
    return chosen


def cut_at(graph: Graph, value: Value) -> Graph:
    """The graph with `value` as one more input, last: what follows a named line."""
    builder = Builder()
    env = {old.id: builder.input(old.aval, name) for old, name in zip(graph.inputs, graph.names, strict=True)}
    fresh = builder.input(value.aval, "at")
    nodes = []
    for node in graph.nodes:
        if node is value.node:
            if len(node.outs) > 1:
                builder.replay([node], env)
            env[value.id] = fresh
            builder.replay(nodes, env)
            nodes = []
        else:
            nodes.append(node)
    if value.node is None:
        env[value.id] = fresh
    builder.replay(nodes, env)
    return builder.finish([env[v.id] for v in graph.outputs])


def derive(
    graph: Graph, targets: Sequence[Target], order: int, outputs: Sequence[str], weighted: Sequence[str] | None
) -> Derived:
    """The gradient program of order `order`. `weighted` names what the last pass weights (None: ones everywhere).

    Raises ModelError DIF002 where no output is a float.
    """
    from gradcli.ad.zero import why_zero

    floats = [k for k, value in enumerate(graph.outputs) if value.aval.is_float]
    if not floats:
        raise fail("DIF002", "no output of the net is a float: there is nothing to differentiate")
    wrt = [t.position for t in targets]
    rows: list[tuple[tuple[str, ...], Graph, tuple[int, ...], str]] = [((), graph, tuple(floats), "")]
    for level in range(1, order + 1):
        last = level == order
        grown = []
        for names, inner, which, _ in rows:
            label = ",".join(names)
            weigh = last and weighted is not None and (level == 1 or label in weighted)
            if last and weighted is not None and not weigh:
                grown.extend(((*names, t.name), inner, (), "sens is zero") for t in targets)
                continue
            made = reverse(inner, wrt, sens="inputs" if weigh else "ones", outputs=which)
            count = len(inner.outputs)
            for k, t in enumerate(targets):
                only = Graph(made.inputs, made.nodes, (made.outputs[count + k],), made.n_values, made.names)
                reason = why_zero(inner, t.position, outputs=which)
                grown.append(((*names, t.name), only, (0,), reason))  # type: ignore[arg-type]
        rows = grown
    return _together(graph, targets, order, rows, outputs, weighted, floats)


def _together(graph, targets, order, rows, outputs, weighted, floats):  # type: ignore[no-untyped-def]
    """One graph of all rows: the primal outputs, then the gradients."""
    builder = Builder()
    inputs = [builder.input(v.aval, name) for v, name in zip(graph.inputs, graph.names, strict=True)]
    primal = list(builder.inline(graph, inputs))
    sens: dict[str, list[Value]] = {}
    sens_names: list[tuple[str, Aval]] = []
    gradients: list[Value] = []
    n = len(graph.inputs)
    for names, only, which, _ in rows:
        if not which:
            like = graph.inputs[next(t.position for t in targets if t.name == names[-1])].aval
            zero = builder.scalar(0.0, like.dtype)
            from gradcli.ir.primitive import primitive

            params = {"shape": like.shape}
            gradients.append(builder.emit(primitive("broadcast_to"), (zero,), params)[0] if like.shape else zero)
            continue
        extra = only.inputs[n:]
        label = ",".join(names[:-1])
        if extra and label not in sens:
            words = [outputs[k] for k in floats] if order == 1 else [label]
            sens[label] = [builder.input(v.aval, f"sens {w}") for v, w in zip(extra, words, strict=True)]
            sens_names.extend((w, v.aval) for v, w in zip(extra, words, strict=True))
        gradients.append(
            builder.inline(only, [*inputs, *sens.get(label, [])])[0] if extra else builder.inline(only, inputs)[0]
        )
    zero_reasons = tuple({"reason": r, "at": []} if isinstance(r, str) and r else (r or None) for *_, r in rows)
    kinds = tuple(next(t.kind for t in targets if t.name == names[-1]) for names, *_ in rows)
    return Derived(
        builder.finish([*primal, *gradients]),
        tuple(names for names, *_ in rows),
        kinds,
        tuple(sens_names),
        zero_reasons,
    )

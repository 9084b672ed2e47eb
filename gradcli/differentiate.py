"""Gradient programs of a prepared net: what is asked by, how often, and weighted by what.

`derive` composes reverse passes: order n differentiates each gradient of order n - 1 again. The result is one graph
with the net's inputs, then one input for each sensitivity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

from gradcli.ad.reverse import reverse
from gradcli.interp.program import Prepared
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.passes.dce import dce
from gradcli.record import record, replace
from gradcli.request import Request
from gradcli.syntax.diagnostics import Diagnostic, fail, listed, nearest

MOST_STEPS = 2_000  # of a derivative that is looked at to see why the next one is zero
SERIES_FROM = 5  # order from which one series is cheaper than nested passes

Reason = Callable[[], dict[str, Any] | None]


@record
class Target:
    """What a derivative is by: a graph input."""

    name: str
    kind: str  # "input", "param" or "at"
    position: int


@record(eq=False)
class Question:
    """What to ask where a derivative is zero: by the inputs `moved` of the outputs `which` of a graph, which is made
    when anybody asks.

    The outputs are weighted by what `weighted` names, by ones (None), or in any way that is not zero (`"any"`).
    `structure` tells why the structure makes it zero, and None where it does not. Where `numbers` says false, nothing
    else can tell.
    """

    graph: Callable[[], Graph]
    moved: tuple[int, ...]
    which: tuple[int, ...]
    weighted: tuple[str, ...] | Literal["any"] | None
    structure: Reason
    numbers: Callable[[], bool] = lambda: True


@record(eq=False)
class Derived:
    """A gradient program. Its outputs are the net's outputs, then one gradient for each row of `names`.

    `graph.inputs` are the net's, then one sensitivity for each of `weighted` (names of what is weighted).
    `zero` is what to ask where a row is zero. Its graphs have the inputs of the net, and where `whole` is a graph of
    these, that graph's value behind them.
    """

    graph: Graph
    names: tuple[tuple[str, ...], ...]
    kinds: tuple[str, ...]
    weighted: tuple[tuple[str, Aval], ...]
    zero: tuple[Question, ...]
    notes: tuple[Diagnostic, ...] = ()
    whole: Graph | None = None


def choose_targets(prepared: Prepared, request: Request) -> tuple[list[Target], list[Diagnostic]]:
    """The inputs and params to differentiate by. Raises ModelError DIF001 or DIF003."""
    inputs = [Target(f.name, "input", f.position) for f in prepared.inputs]
    named = [Target(f.name, "param", f.position) for f in prepared.params]
    params = [t for t in named if prepared.graph.inputs[t.position].aval.is_float]
    floats = [t for t in inputs if prepared.graph.inputs[t.position].aval.is_float]
    notes: list[Diagnostic] = []
    if request.wrt is not None:
        if request.get_all or request.get_by_list:
            raise fail(
                "DIF003", "`--wrt` already says what to differentiate by", help="leave out --get-all and --get-by-list"
            )
        return _words(prepared, request.wrt, [*inputs, *named], floats, params), notes
    if request.get_by_list and len(params) < len(named):
        left = [t.name for t in named if t not in params]
        notes.append(Diagnostic("DIF001", f"left out, as not float: {listed(left)}", severity="note"))
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
            notes.append(Diagnostic("DIF001", f"left out, as not float: {listed(left)}", severity="note"))
    chosen = (floats if request.get_all else []) + (params if request.get_by_list else [])
    return chosen or floats[:1], notes


def _words(
    prepared: Prepared, words: str, every: list[Target], floats: list[Target], params: list[Target]
) -> list[Target]:
    chosen: list[Target] = []
    for word in (w.strip() for w in words.split(",")):
        exact = [t for t in every if t.name == word]
        if exact:
            aval = prepared.graph.inputs[exact[0].position].aval
            if not aval.is_float:
                raise fail(
                    "DIF001",
                    f"{word} is {aval.text} and has no derivative",
                    prepared.origins.get(word),
                    help=f"declare it as a float in the model: `{word}: f64`",
                )
            found = exact[:1]
        elif word == "all":
            found = floats
        elif word == "params":
            found = params
        else:
            found = [t for t in params if t.name.startswith(word + ".")]
        if not found:
            names = [t.name for t in every]
            if not word:
                notes = [f"inputs and params: {listed(names) or 'none'}"]
                raise fail(
                    "DIF003", "a name in `--wrt` is empty", notes=notes, help="`--wrt all` is by all float inputs"
                )
            guess = nearest(word, names)
            raise fail(
                "DIF003",
                f"{prepared.net} has no input or param `{word}`"
                if word not in ("all", "params")
                else f"{prepared.net} has no {'float inputs' if word == 'all' else 'params'}",
                notes=[f"inputs and params: {listed(names) or 'none'}"],
                help=f"did you mean `{guess}`?" if guess else None,
            )
        chosen.extend(t for t in found if t not in chosen)
    return chosen


@record(eq=False)
class Scene:
    """The graph that is differentiated, and what by: the net's own, or what follows a named line of it."""

    graph: Graph
    targets: tuple[Target, ...]
    notes: tuple[Diagnostic, ...] = ()
    whole: Graph | None = None  # the net's, ending in the line

    def joined(self, made: Graph) -> Graph:
        """What was made of `graph`, as a program of the net's inputs; inputs that it has besides follow these."""
        if self.whole is None:
            return made
        builder = Builder()
        own = [builder.input(v.aval, name) for v, name in zip(self.whole.inputs, self.whole.names, strict=True)]
        first = len(own) + 1
        more = [builder.input(v.aval, n) for v, n in zip(made.inputs[first:], made.names[first:], strict=True)]
        (point,) = builder.inline(self.whole, own)
        return builder.finish(builder.inline(made, [*own, point, *more]))


def scene_of(prepared: Prepared, request: Request) -> Scene:
    """Raises ModelError DIF001 or DIF003 where there is nothing of that kind to differentiate by."""
    if request.at is None:
        targets, notes = choose_targets(prepared, request)
        return Scene(prepared.graph, tuple(targets), tuple(notes))
    if request.wrt or request.get_all or request.get_by_list:
        raise fail(
            "DIF003", "`--at` already says what to differentiate by", help="leave out --wrt, --get-all, --get-by-list"
        )
    value = line_value(prepared, request.at)
    if not value.aval.is_float:
        raise fail("DIF001", f"{request.at} is {value.aval.text} and has no derivative")
    inner = cut_at(prepared.graph, value)
    target = Target(request.at, "at", len(inner.inputs) - 1)
    return Scene(inner, (target,), whole=replace(prepared.graph, outputs=(value,)))


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


def cut_at(graph: Graph, value: Value) -> Graph:
    """The graph with `value` as one more input, last: what follows a named line."""
    builder = Builder()
    env = {old.id: builder.input(old.aval, name) for old, name in zip(graph.inputs, graph.names, strict=True)}
    fresh = builder.input(value.aval, "at")
    nodes: list[Node] = []
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
    return builder.close([env[v.id] for v in graph.outputs])


def derive(
    graph: Graph, targets: Sequence[Target], order: int, outputs: Sequence[str], weighted: Sequence[str] | None
) -> Derived:
    """The gradient program of order `order`. `weighted` names what the last pass weights (None: ones everywhere).

    Raises ModelError DIF002 where no output is a float.
    """
    floats = [k for k, value in enumerate(graph.outputs) if value.aval.is_float]
    if not floats:
        raise fail("DIF002", "no output of the net is a float: there is nothing to differentiate")
    wrt = [t.position for t in targets]
    if weighted is None and (derived := by_series(graph, targets, order)) is not None:
        return derived
    rows = [_Row((), graph, tuple(floats))]
    for level in range(1, order + 1):
        grown: list[_Row] = []
        for row in rows:
            weigh = level == order and weighted is not None and (level == 1 or ",".join(row.names) in weighted)
            if level == order and weighted is not None and not weigh:
                grown.extend(_Row((*row.names, t.name), row.graph, (), _unweighted(row, t)) for t in targets)
                continue
            made = reverse(row.graph, wrt, sens="inputs" if weigh else "ones", outputs=row.which)
            if order == 1:
                return _first(made, row, targets, [outputs[k] for k in floats] if weigh else [])
            count = len(row.graph.outputs)
            for k, t in enumerate(targets):
                only = Graph(made.inputs, made.nodes, (made.outputs[count + k],), made.n_values, made.names)
                grown.append(_Row((*row.names, t.name), dce(only), (0,), _question(row, t, weigh)))
        rows = grown
    return _together(graph, targets, rows)


def by_series(graph: Graph, targets: Sequence[Target], order: int) -> Derived | None:
    """A high order by one input in Taylor mode, without weights; None where nested passes must do it."""
    if order < SERIES_FROM or len(targets) != 1:
        return None
    from gradcli.ad.taylor import NoSeries, along_ones, derivative_along

    (target,) = targets
    floats = [k for k, value in enumerate(graph.outputs) if value.aval.is_float]
    parts = along_ones(graph, target.position, floats)
    x = graph.inputs[target.position].aval
    if parts is None or x.dtype == "f16" or any(value.dtype != x.dtype for value in parts):
        return None
    inner = Graph(graph.inputs, graph.nodes, (*graph.outputs, *parts), graph.n_values, graph.names)
    count = len(graph.outputs)
    try:
        made = derivative_along(inner, target.position, order, range(count, len(inner.outputs)))
    except NoSeries:
        return None
    builder = Builder()
    inputs = [builder.input(v.aval, name) for v, name in zip(made.inputs, graph.names, strict=True)]
    outs = builder.inline(made, inputs)
    total: Value | None = None
    for part in outs[len(inner.outputs) :]:
        if x.size == 1:
            part = apply("reshape", apply("reduce_sum", part, axes=tuple(range(part.rank))), shape=x.shape)
        total = part if total is None else total + part
    assert total is not None
    names = (target.name,) * order
    question = _nested(_Row((), graph, tuple(floats)), target, order)
    return Derived(builder.close([*outs[:count], total]), (names,), (target.kind,), (), (question,))


@record(eq=False)
class _Row:
    """One derivative on the way: by `names`, the outputs `which` of `graph`; none where it is zero without a graph."""

    names: tuple[str, ...]
    graph: Graph
    which: tuple[int, ...]
    zero: Question | None = None


def _question(row: _Row, target: Target, weighed: bool = False, names: Sequence[str] | None = None) -> Question:
    """About the derivative of a row by a target; what is weighed is called by `names`, else by the row."""
    from gradcli.ad.zero import why_zero

    def structure() -> dict[str, Any] | None:
        return why_zero(row.graph, target.position, outputs=row.which)

    weighted = tuple(names or [",".join(row.names)]) if weighed else None
    return Question(lambda: row.graph, (target.position,), row.which, weighted, structure)


def _nested(row: _Row, target: Target, order: int) -> Question:
    """About a high derivative: of the one before it, which nested passes give, unless that gets too long."""

    @cache
    def before() -> tuple[_Row, dict[str, Any] | None, bool]:
        """The derivative before, or one that is zero by its structure, with the reason; whether it is what is asked."""
        last = row
        for _ in range(order - 1):
            about = _question(last, target).structure()
            if about is not None or len(last.graph.nodes) > MOST_STEPS:
                return last, about, False
            made = reverse(last.graph, [target.position], outputs=last.which)
            slope = made.outputs[len(last.graph.outputs)]
            only = Graph(made.inputs, made.nodes, (slope,), made.n_values, made.names)
            last = _Row((*last.names, target.name), dce(only), (0,))
        return last, _question(last, target).structure(), len(last.graph.nodes) <= MOST_STEPS

    return Question(lambda: before()[0].graph, (target.position,), (0,) if order > 1 else row.which, None,
                    lambda: before()[1], lambda: before()[2])  # fmt: skip


def _unweighted(row: _Row, target: Target) -> Question:
    """About what is weighted by nothing."""
    reason = {"reason": "sens is zero", "at": []}
    return Question(lambda: row.graph, (target.position,), row.which, (), lambda: reason, numbers=lambda: False)


def _first(made: Graph, row: _Row, targets: Sequence[Target], weighted: Sequence[str]) -> Derived:
    """The first derivative: what one reverse pass gave is the program."""
    sens = made.inputs[len(row.graph.inputs) :]
    return Derived(
        made,
        tuple((t.name,) for t in targets),
        tuple(t.kind for t in targets),
        tuple((name, value.aval) for name, value in zip(weighted, sens, strict=True)),
        tuple(_question(row, t, bool(weighted), weighted) for t in targets),
    )


def _together(graph: Graph, targets: Sequence[Target], rows: Sequence[_Row]) -> Derived:
    """One graph of all rows: the primal outputs, then the gradients. What is weighted is called by its row."""
    builder = Builder()
    inputs = [builder.input(v.aval, name) for v, name in zip(graph.inputs, graph.names, strict=True)]
    primal = list(builder.inline(graph, inputs))
    by_name = {t.name: t for t in targets}
    sens: dict[str, Value] = {}
    gradients: list[Value] = []
    for row in rows:
        if not row.which:
            gradients.append(_zeros(builder, graph.inputs[by_name[row.names[-1]].position].aval))
            continue
        label = ",".join(row.names[:-1])
        extra = row.graph.inputs[len(graph.inputs) :]
        if extra and label not in sens:
            sens[label] = builder.input(extra[0].aval, f"sens {label}")
        gradients.append(builder.inline(row.graph, [*inputs, *([sens[label]] if extra else [])])[0])
    return Derived(
        builder.close([*primal, *gradients]),
        tuple(row.names for row in rows),
        tuple(by_name[row.names[-1]].kind for row in rows),
        tuple((label, value.aval) for label, value in sens.items()),
        tuple(row.zero for row in rows if row.zero is not None),
    )


def _zeros(builder: Builder, aval: Aval) -> Value:
    zero = builder.scalar(0.0, aval.dtype)
    return apply("broadcast_to", zero, shape=aval.shape) if aval.shape else zero


def gradients_only(graph: Graph, derived: Derived) -> Graph:
    """Without the primal outputs, which nobody reads."""
    return replace(derived.graph, outputs=derived.graph.outputs[len(graph.outputs) :])

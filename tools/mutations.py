"""Mutations of derivative rules, for `tools/mutants.py`: each makes of an operator's record one with a fault.

A fault lies in what a rule gives (a sign, a factor, a cotangent left out, those of two operands exchanged), in what it
is given (a result in place of an operand, and the other way round), or in one of the operators that it emits (a term or
a factor left out, operands exchanged, branches exchanged, of a sum the first term only).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any, NamedTuple

import gradcli.ops.define as define
from gradcli.ir.graph import Builder, Value, apply
from gradcli.ir.primitive import Primitive
from gradcli.record import replace

FACTOR = 1.0001  # small enough to be overlooked by a loose tolerance
touched: list[int] = [0]  # how often a mutation has changed something
Rule = Callable[..., tuple[Any, ...]]
Change = Callable[[Primitive], Primitive]


class Mutant(NamedTuple):
    """`kind` is counted; `text` says what was planted; `rule` is what it is planted in: vjp, jvp, both or batch."""

    prim: Primitive
    rule: str
    kind: str
    text: str
    change: Change

    @property
    def label(self) -> str:
        return f"{self.prim.name}, {self.rule}: {self.kind}, {self.text}"


Emitted = dict[tuple[int, str], None]  # by number, the operators that a rule emits on some sample


def mutants(prim: Primitive, arity: int, results: int, emitted: dict[str, Emitted]) -> Iterator[Mutant]:
    """All mutants of an operator; `emitted` says what each of its rules emits."""
    for rule in ("both", "vjp", "jvp", "batch"):
        if (stated := rule_of(prim, rule)) is None or (rule == "vjp" and prim.partials is not None):
            continue
        for kind, text, changed in [*_of_results(rule, arity, results), *_of_operands(rule, arity, results)]:
            yield Mutant(prim, rule, kind, text, _planting(rule, changed, stated))
        for place, name in emitted.get(rule, {}):
            for kind, text, emission in EMISSIONS.get(name, []):
                changed = _emitting(place, name, emission)
                yield Mutant(prim, rule, kind, f"{text} of `{name}`, number {place}", _planting(rule, changed, stated))


def rule_of(prim: Primitive, rule: str) -> Rule | None:
    """`both` are the partial derivatives, from which vjp and jvp follow."""
    if prim.flat or prim.stops:
        return prim.batch if rule == "batch" else None
    if rule == "jvp" and prim.partials is not None:
        return None
    return {"both": prim.partials, "vjp": prim.vjp, "jvp": prim.jvp, "batch": prim.batch}[rule]


def with_rule(prim: Primitive, rule: str, stated: Rule) -> Primitive:
    if rule == "both":
        vjp, jvp = define._by_partials(stated), define._along_partials(stated)
        return replace(prim, partials=stated, vjp=vjp, jvp=jvp)
    return replace(prim, **{rule: stated})


def _planting(rule: str, changed: Callable[[Rule], Rule], stated: Rule) -> Change:
    return lambda prim: with_rule(prim, rule, changed(stated))


# ── what a rule gives ───────────────────────────────────────────────────────────────────────────────────────


def _of_results(rule: str, arity: int, results: int) -> Iterator[tuple[str, str, Callable[[Rule], Rule]]]:
    if rule == "batch":
        yield "row", "every row is the first", _after(_first_row)
        yield "row", "rows one further", _after(_turned_rows)
        return
    count = results if rule == "jvp" else arity
    for k in range(count):
        yield "sign", f"of {k}", _after(_at(k, lambda x: scaled(x, -1.0)))
        yield "factor", f"of {k}", _after(_at(k, lambda x: scaled(x, FACTOR)))
        yield "dropped", f"{k}", _after(_at(k, lambda x: None))
    for a, b in combinations(range(count), 2):
        yield "swapped", f"{a} and {b}", _after(_exchanged(a, b))


def _after(change: Callable[[list[Any]], list[Any]]) -> Callable[[Rule], Rule]:
    return lambda stated: lambda *args, **params: tuple(change(list(stated(*args, **params))))


def _at(k: int, change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    def changed(made: list[Any]) -> list[Any]:
        if k < len(made) and made[k] is not None:
            made[k] = change(made[k])
            touched[0] += 1
        return made

    return changed


def scaled(x: Any, by: float) -> Any:
    match x:
        case define.Per():
            return define.Per(x.value * (1 / by))
        case define.Only():
            return define.choose(
                x.condition, define.scalar(x.condition, by, "f64"), define.scalar(x.condition, 0.0, "f64")
            )
    return x * by


def _exchanged(a: int, b: int) -> Callable[[list[Any]], list[Any]]:
    def change(made: list[Any]) -> list[Any]:
        if max(a, b) < len(made):
            touched[0] += made[a] is not made[b]
            made[a], made[b] = made[b], made[a]
        return made

    return change


def _first_row(made: list[Any]) -> list[Any]:
    touched[0] += 1
    return [apply("broadcast_to", _part(x, 0, 1), shape=x.shape) for x in made]


def _turned_rows(made: list[Any]) -> list[Any]:
    touched[0] += 1
    return [apply("concat", _part(x, 1, x.shape[0]), _part(x, 0, 1), axis=0) for x in made]


def _part(x: Value, start: int, stop: int, axis: int = 0) -> Value:
    items = tuple((start, stop - start, 1) if k == axis else (0, size, 1) for k, size in enumerate(x.shape))
    return apply("slice", x, items=items)


# ── what a rule is given ────────────────────────────────────────────────────────────────────────────────────


def _of_operands(rule: str, arity: int, results: int) -> Iterator[tuple[str, str, Callable[[Rule], Rule]]]:
    """Stale residuals, and operands exchanged; of tangents also one left out."""
    if rule == "batch":
        return
    for k in range(arity):
        yield "stale", f"the result in place of operand {k}", _given(rule, _result_for(k))
        yield "stale", f"operand {k} in place of the result", _given(rule, _operand_for(k))
        if rule == "jvp" and arity > 1:
            yield "dropped", f"tangent {k}", _without_tangent(k)
    for a, b in combinations(range(arity), 2):
        yield "swapped", f"operands {a} and {b}", _given(rule, _both_for(a, b))


Residuals = tuple[tuple[Any, ...], tuple[Any, ...]]


def _put(values: Sequence[Any], k: int, value: Any) -> tuple[Any, ...]:
    """With another value at k, where it has the same shape and dtype."""
    fits = k < len(values) and values[k].aval == value.aval
    touched[0] += fits and values[k] is not value
    return tuple(value if n == k and fits else old for n, old in enumerate(values))


Residual = Callable[[Any, Any], Residuals]


def _result_for(k: int) -> Residual:
    return lambda inputs, outs: (_put(inputs, k, outs[0]), outs) if k < len(inputs) else (inputs, outs)


def _operand_for(k: int) -> Residual:
    return lambda inputs, outs: (inputs, _put(outs, 0, inputs[k])) if k < len(inputs) else (inputs, outs)


def _both_for(a: int, b: int) -> Residual:
    def change(inputs: Any, outs: Any) -> Residuals:
        if max(a, b) >= len(inputs):
            return inputs, outs
        return _put(_put(inputs, a, inputs[b]), b, inputs[a]), outs

    return change


def _given(rule: str, change: Residual) -> Callable[[Rule], Rule]:
    def changed(stated: Rule) -> Rule:
        def of_partials(*args: Any, **params: Any) -> tuple[Any, ...]:
            inputs, outs = change(args[:-1], args[-1:])
            return stated(*inputs, *outs, **params)

        def of_cotangents(ways: Any, inputs: Any, outs: Any, **params: Any) -> tuple[Any, ...]:
            return stated(ways, *change(tuple(inputs), tuple(outs)), **params)

        return of_partials if rule == "both" else of_cotangents

    return changed


def _without_tangent(k: int) -> Callable[[Rule], Rule]:
    def changed(stated: Rule) -> Rule:
        def rule(tangents: Any, inputs: Any, outs: Any, **params: Any) -> tuple[Any, ...]:
            left = tuple(None if n == k else t for n, t in enumerate(tangents))
            touched[0] += left != tuple(tangents)
            if all(t is None for t in left):
                return (None,) * len(outs)
            return stated(left, inputs, outs, **params)

        return rule

    return changed


# ── what a rule emits ───────────────────────────────────────────────────────────────────────────────────────

Emission = Callable[[Builder, Any, Sequence[Value], Any], tuple[Value, ...] | None]


def _one_operand(k: int) -> Emission:
    """An operand in place of the result, where it is of the result's shape; else spread to it."""

    def emission(builder: Builder, emit: Any, inputs: Sequence[Value], params: Any) -> tuple[Value, ...] | None:
        (out,) = emit()
        x = inputs[k]
        if x.aval == out.aval:
            return (x,)
        return (apply("broadcast_to", x, shape=out.shape),) if x.rank <= out.rank and x.dtype == out.dtype else None

    return emission


def _other_order(a: int, b: int) -> Emission:
    def emission(builder: Builder, emit: Any, inputs: Sequence[Value], params: Any) -> tuple[Value, ...] | None:
        if inputs[a].aval != inputs[b].aval:
            return None
        order = list(range(len(inputs)))
        order[a], order[b] = b, a
        return emit([inputs[k] for k in order])  # type: ignore[no-any-return]

    return emission


def _first_term(builder: Builder, emit: Any, inputs: Sequence[Value], params: Any) -> tuple[Value, ...] | None:
    x = inputs[0]
    for axis in params["axes"]:
        if x.shape[axis] == 0:
            return None
        x = _part(x, 0, 1, axis)
    return emit([x])  # type: ignore[no-any-return]


def _through(name: str) -> Emission:
    return lambda builder, emit, inputs, params: (apply(name, *inputs),)


EMISSIONS: dict[str, list[tuple[str, str, Emission]]] = {
    "neg": [("sign", "the sign", _one_operand(0))],
    "add": [("dropped", "term 1", _one_operand(0)), ("dropped", "term 0", _one_operand(1))],
    "sub": [("dropped", "term 1", _one_operand(0)), ("swapped", "the operands", _other_order(0, 1))],
    "mul": [("factor", "factor 1", _one_operand(0)), ("factor", "factor 0", _one_operand(1))],
    "div": [("factor", "the divisor", _one_operand(0)), ("swapped", "the operands", _other_order(0, 1))],
    "matmul": [("swapped", "the operands", _other_order(0, 1))],
    "where": [("swapped", "the branches", _other_order(1, 2))],
    "concat": [("swapped", "the operands", _other_order(0, 1))],
    "reduce_sum": [("missing sum", "the sum", _first_term)],
    "sin": [("function", "cos instead", _through("cos"))],
    "cos": [("function", "sin instead", _through("sin"))],
    "sinh": [("function", "cosh instead", _through("cosh"))],
    "cosh": [("function", "sinh instead", _through("sinh"))],
    "exp": [("function", "the argument", _one_operand(0))],
    "log": [("function", "the argument", _one_operand(0))],
    "sqrt": [("function", "the argument", _one_operand(0))],
    "sigmoid": [("function", "the argument", _one_operand(0))],
    "cast": [("function", "the argument", _one_operand(0))],
    "stop_gradient": [("function", "the argument", _one_operand(0))],
    "tril": [("function", "the whole matrix", _one_operand(0))],
    "triu": [("function", "the whole matrix", _one_operand(0))],
    "cumsum": [("function", "the argument", _one_operand(0))],
    "flip": [("function", "the argument", _one_operand(0))],
    "transpose": [("function", "the argument", _one_operand(0))],
}


def _emitting(place: int, name: str, emission: Emission) -> Callable[[Rule], Rule]:
    """The rule, but for what it emits as number `place`, where that is the operator `name`."""

    def changed(stated: Rule) -> Rule:
        def rule(*args: Any, **params: Any) -> tuple[Any, ...]:
            with intercepted(args, place, name, emission):
                return stated(*args, **params)

        return rule

    return changed


def _builder_of(args: Sequence[Any]) -> Builder:
    flat = [x for arg in args for x in (arg if isinstance(arg, tuple | list) else (arg,))]
    builder: Builder = next(x.builder for x in flat if isinstance(x, Value))
    return builder


@contextmanager
def intercepted(args: Sequence[Any], place: int, name: str, emission: Emission) -> Iterator[None]:
    builder, seen = _builder_of(args), 0
    emit = builder.emit

    def changed(prim: Primitive, inputs: Sequence[Value], params: Any = None) -> tuple[Value, ...]:
        nonlocal seen
        if prim.name == "constant":
            return emit(prim, inputs, params)
        seen += 1
        if seen - 1 != place or prim.name != name:
            return emit(prim, inputs, params)
        seen += 1_000_000  # what the change itself emits is not counted
        try:
            made = emission(builder, lambda given=inputs: emit(prim, given, params), inputs, dict(params or {}))
        finally:
            seen -= 1_000_000
        if made is None:
            return emit(prim, inputs, params)
        touched[0] += 1
        return made

    builder.emit = changed  # type: ignore[method-assign]
    try:
        yield
    finally:
        builder.emit = emit  # type: ignore[method-assign]


def recorded(stated: Rule, found: Emitted) -> Rule:
    """The rule, which writes down what it emits."""

    def rule(*args: Any, **params: Any) -> tuple[Any, ...]:
        builder, count = _builder_of(args), 0
        emit = builder.emit

        def noted(prim: Primitive, inputs: Sequence[Value], params: Any = None) -> tuple[Value, ...]:
            nonlocal count
            if prim.name != "constant":
                found[count, prim.name] = None
                count += 1
            return emit(prim, inputs, params)

        builder.emit = noted  # type: ignore[method-assign]
        try:
            return stated(*args, **params)
        finally:
            builder.emit = emit  # type: ignore[method-assign]

    return rule

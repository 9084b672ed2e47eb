"""The derivatives and the batches of loops: each is a loop again, whose body is the transformed body.

- Tangents are carried along with what they are tangents of.
- Cotangents are carried backwards: a turn of the adjoint computes its turn once more from what the carry was before
  it, and goes back through it. Cotangents of consts add up from turn to turn, those of slices are stacked.
- In a batch each row stops on its own: a row that has stopped keeps its carry while others go on. Its further turns are
  computed and thrown away, on a copy of what a row that goes has: on its own carry they might meet an index out of
  range, or an infinite slope, of which 0 times makes nan.

(Griewank & Walther, *Evaluating Derivatives*, 2nd ed. 2008, chapters 3 and 12.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradcli.ad.batch import batch, batched_values
from gradcli.ad.forward import forward
from gradcli.ad.reverse import accumulate, active, reverse
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.live import outputs_from, without_dead
from gradcli.ir.primitive import primitive
from gradcli.record import record

Optional = tuple[Value | None, ...]
INDEX = Aval((), "i64")


@record(eq=False)
class Loop:
    """The params of a `scan`, and what they say about its operands and results."""

    body: Graph
    cond: Graph | None
    turns: Size
    consts: int
    carry: int
    reverse: bool
    counted: bool

    def operands(self, values: Sequence[Any]) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """The number of turns (None where it is not counted), consts, carry, slices."""
        count, rest = (values[0], values[1:]) if self.counted else (None, values)
        end = self.consts + self.carry
        return count, list(rest[: self.consts]), list(rest[self.consts : end]), list(rest[end:])

    def results(self, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """The last carry, the histories, what is stacked."""
        n, end = self.carry, self.carry + len(self.body.outputs)
        return list(values[:n]), list(values[n : 2 * n]), list(values[2 * n : end])

    def emit(self, builder: Builder, operands: Sequence[Value], **changes: Any) -> tuple[Value, ...]:
        params = {name: getattr(self, name) for name in Loop.__match_args__} | changes
        return builder.emit(primitive("scan"), list(operands), params)


def _floats(values: Sequence[Value]) -> list[int]:
    return [k for k, value in enumerate(values) if value.aval.is_float]


def _splat(builder: Builder, number: float, aval: Aval) -> Value:
    scalar = builder.scalar(number, aval.dtype)
    return builder.emit(primitive("broadcast_to"), (scalar,), {"shape": aval.shape})[0] if aval.shape else scalar


# ── cotangents ──────────────────────────────────────────────────────────────────────────────────────────────


def vjp(cts: Optional, inputs: tuple[Value, ...], outs: tuple[Value, ...], **params: Any) -> Optional:
    loop = Loop(**params)
    count, consts, inits, slices = loop.operands(inputs)
    _, histories, _ = loop.results(outs)
    of_finals, of_histories, of_stacked = loop.results(cts)
    builder = next(ct for ct in cts if ct is not None).builder
    read = tuple(k for k, ct in enumerate(of_histories) if ct is not None)
    stacked = tuple(k for k, ct in enumerate(of_stacked) if ct is not None)
    what = ("vjp", loop.consts, loop.carry, read, stacked)
    body = builder.derived(loop.body, what, lambda: _adjoint(loop, read, stacked))
    moving, held = _floats(inits), _floats(consts)
    start = [_splat(builder, 0.0, inits[k].aval) if of_finals[k] is None else of_finals[k] for k in moving]
    sums = [_splat(builder, 0.0, consts[k].aval) for k in held]
    seen = [*histories, *slices, *(of_histories[k] for k in read), *(of_stacked[k] for k in stacked)]
    taken = outs[-1] if loop.cond is not None else count
    made = loop.emit(
        builder, [*([] if taken is None else [taken]), *consts, *start, *sums, *seen],
        body=body, cond=None, carry=len(start) + len(sums), reverse=not loop.reverse, counted=taken is not None,
    )  # fmt: skip
    finals = iter(made[: len(start) + len(sums)])
    by_init = {k: next(finals) for k in moving}
    by_const = {k: next(finals) for k in held}
    by_slice = dict(zip(_floats(slices), made[2 * (len(start) + len(sums)) :], strict=True))
    found = [by.get(k) for by, of in ((by_const, consts), (by_init, inits), (by_slice, slices)) for k in range(len(of))]
    return (None, *found) if loop.counted else tuple(found)


def _adjoint(loop: Loop, read: tuple[int, ...], stacked: tuple[int, ...]) -> Graph:
    """`(i, *consts, *cts of carry, *sums, *carry, *slices, *cts of histories, *cts of stacked)
    → (*cts of carry, *sums, *cts of slices)`, all of floats only."""
    body, n = loop.body, loop.carry
    _, consts, carry, slices = Loop(body, None, loop.turns, loop.consts, n, False, False).operands(body.inputs[1:])
    moving, held, cut = _floats(carry), _floats(consts), _floats(slices)
    wrt = [1 + k for k in held] + [1 + len(consts) + k for k in moving] + [1 + len(consts) + n + k for k in cut]
    outputs = [*moving, *(n + k for k in stacked)]
    builder = Builder()
    i, *given = (builder.input(value.aval, value.hint) for value in (body.inputs[0], *consts))
    after = [builder.input(carry[k].aval, f"d_{carry[k].hint}") for k in moving]
    sums = [builder.input(consts[k].aval, f"d_{consts[k].hint}") for k in held]
    before = [builder.input(value.aval, value.hint) for value in (*carry, *slices)]
    of_histories = {k: builder.input(carry[k].aval, "") for k in read}
    of_stacked = [builder.input(body.outputs[n + k].aval, "") for k in stacked]
    if not wrt or not outputs:
        nothing = [_splat(builder, 0.0, slices[k].aval) for k in cut]
        return builder.finish([*after, *sums, *nothing])
    back = outputs_from(reverse(body, wrt, sens="inputs", outputs=outputs), len(body.outputs))
    made = builder.inline(back, [i, *given, *before, *after, *of_stacked])
    by_const, rest = made[: len(held)], made[len(held) :]
    by_carry, by_slice = rest[: len(moving)], rest[len(moving) :]
    passed = [ct + of_histories[k] if k in of_histories else ct for k, ct in zip(moving, by_carry, strict=True)]
    totals = [_added(builder, a, b) for a, b in zip(sums, by_const, strict=True)]
    return builder.finish([*passed, *totals, *by_slice])


def _added(builder: Builder, total: Value, term: Value) -> Value:
    """`total + term`. A term that is zeros but for some parts is added part by part: a turn that reads `x[i]` and
    `x[i + 1]` touches two elements of the cotangent of `x`, not all."""
    parts = []
    while term.node is not None and term.node.prim.name in ("add_slice", "scatter_add"):
        parts.append(term.node)
        term = term.node.inputs[0]
    builder.spans = term.node.spans if term.node is not None else ()
    total = accumulate(builder, total, term)
    for node in reversed(parts):
        builder.spans = node.spans
        (total,) = builder.emit(node.prim, (total, *node.inputs[1:]), node.params)
    builder.spans = ()
    return total


# ── tangents ────────────────────────────────────────────────────────────────────────────────────────────────


def jvp(tangents: Optional, inputs: tuple[Value, ...], outs: tuple[Value, ...], **params: Any) -> Optional:
    loop = Loop(**params)
    count, consts, inits, slices = loop.operands(inputs)
    _, t_consts, t_inits, t_slices = loop.operands(tangents)
    builder = next(t for t in tangents if t is not None).builder
    held, cut = ([k for k, t in enumerate(ts) if t is not None] for ts in (t_consts, t_slices))
    moving = _moving(loop, held, [k for k, t in enumerate(t_inits) if t is not None], cut)
    what = ("jvp", loop.consts, loop.carry, *held, -1, *moving, -1, *cut)
    body = builder.derived(loop.body, what, lambda: _tangent(loop, held, moving, cut))
    cond = loop.cond
    if cond is not None:
        stop = cond
        cond = builder.derived(stop, what, lambda: _more_inputs(loop, stop, held, moving))
    ways = [_splat(builder, 0.0, inits[k].aval) if t_inits[k] is None else t_inits[k] for k in moving]
    operands = [*consts, *(t_consts[k] for k in held), *inits, *ways, *slices, *(t_slices[k] for k in cut)]
    made = loop.emit(
        builder, operands if count is None else [count, *operands],
        body=body, cond=cond, consts=loop.consts + len(held), carry=loop.carry + len(moving),
    )  # fmt: skip
    n, total = loop.carry, loop.carry + len(moving)
    own = len(loop.body.outputs) - n
    by_final = dict(zip(moving, made[n:total], strict=True))
    by_history = dict(zip(moving, made[total + n : 2 * total], strict=True))
    by_stacked = dict(zip(_floats(loop.body.outputs[n:]), made[2 * total + own :], strict=False))
    found = [by.get(k) for by, count_ in ((by_final, n), (by_history, n), (by_stacked, own)) for k in range(count_)]
    return (*found, None) if loop.cond is not None else tuple(found)


def _moving(loop: Loop, held: list[int], started: list[int], cut: list[int]) -> list[int]:
    """The carries that have a tangent, at the start or after some turn."""
    first = 1 + loop.consts
    fixed = [*(1 + k for k in held), *(first + loop.carry + k for k in cut)]
    moving = set(started)
    while True:
        flags = active(loop.body, [*fixed, *(first + k for k in sorted(moving))])
        reached = {k for k in range(loop.carry) if flags[loop.body.outputs[k].id]}
        if reached <= moving:
            return sorted(moving)
        moving |= reached


def _tangent(loop: Loop, held: list[int], moving: list[int], cut: list[int]) -> Graph:
    """`(i, *consts, *their tangents, *carry, *theirs, *slices, *theirs) → (*carry, *theirs, *stacked, *theirs)`"""
    body, n = loop.body, loop.carry
    _, consts, carry, slices = Loop(body, None, loop.turns, loop.consts, n, False, False).operands(body.inputs[1:])
    builder = Builder()
    i = builder.input(INDEX, body.inputs[0].hint)
    groups = [_beside(builder, values, chosen) for values, chosen in ((consts, held), (carry, moving), (slices, cut))]
    primal = [i, *(value for own, _ in groups for value in own)]
    ways = [value for _, tangents in groups for value in tangents]
    first = 1 + loop.consts
    wrt = [*(1 + k for k in held), *(first + k for k in moving), *(first + n + k for k in cut)]
    outputs = [*moving, *(n + k for k in _floats(body.outputs[n:]))]
    made = builder.inline(body, primal)
    if wrt and outputs:
        along = outputs_from(forward(body, wrt, outputs), len(body.outputs))
        pushed = list(builder.inline(along, [*primal, *ways]))
    else:
        pushed = [_splat(builder, 0.0, body.outputs[k].aval) for k in outputs]
    split = len(moving)
    return builder.finish([*made[:n], *pushed[:split], *made[n:], *pushed[split:]])


def _beside(builder: Builder, values: Sequence[Value], chosen: Sequence[int]) -> tuple[list[Value], list[Value]]:
    """Inputs for values, then for the tangents of those chosen."""
    own = [builder.input(value.aval, value.hint) for value in values]
    return own, [builder.input(values[k].aval, f"t_{values[k].hint}") for k in chosen]


def _more_inputs(loop: Loop, cond: Graph, held: Sequence[int], moving: Sequence[int]) -> Graph:
    """The condition beside tangents, which it does not read."""
    builder = Builder()
    i = builder.input(INDEX, cond.inputs[0].hint)
    consts, carry = cond.inputs[1 : 1 + loop.consts], cond.inputs[1 + loop.consts :]
    given, _ = _beside(builder, consts, held)
    state, _ = _beside(builder, carry, moving)
    return builder.finish(builder.inline(cond, [i, *given, *state]))


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────


Steer = Callable[[Value], Value]  # what all rows do, of what each would do


def batched(
    args: tuple[Value, ...], has: tuple[bool, ...], size: Size, *, steer: Steer | None = None, **params: Any
) -> tuple[Value, ...]:
    """Each row stops on its own, or all of them when `steer` says so."""
    loop = Loop(**params)
    count, consts, inits, slices = loop.operands(args)
    of_count, of_consts, of_inits, of_slices = loop.operands(has)
    if steer is not None and of_count:
        count, of_count = steer(count), False
    of_carry, alone = _batched_carry(loop, of_consts, of_inits, of_slices, bool(of_count), steer is not None)
    builder = args[0].builder
    inits = [_in_front(x, own, size) if want else x for x, own, want in zip(inits, of_inits, of_carry, strict=True)]
    slices = [_second(x) if own else x for x, own in zip(slices, of_slices, strict=True)]
    what = ("batch", size, loop.consts, loop.carry, *of_consts, -1, *of_carry, -1, *of_slices, alone, loop.counted)
    flags, results = [False, *of_consts, *of_carry, *of_slices], [*of_carry, *[True] * _n_stacked(loop)]
    body = builder.derived(loop.body, what, lambda: batch(loop.body, flags, size, results))
    cond = loop.cond
    if cond is not None:
        stop = cond
        going = [False, *of_consts, *of_carry]
        cond = builder.derived(stop, what, lambda: _steered(batch(stop, going, size, [alone]), steer))
    if alone:
        rows = [*of_consts, *of_carry, *of_slices]
        made = _each_on_its_own(builder, loop, body, cond, [count, consts, inits, slices], rows, size)
    else:
        operands = [*consts, *inits, *slices]
        made = loop.emit(builder, operands if count is None else [count, *operands], body=body, cond=cond)
    n = loop.carry
    finals = [_in_front(x, want, size) for x, want in zip(made[:n], of_carry, strict=True)]
    histories = [_second(x) if want else _in_front(x, False, size)
                 for x, want in zip(made[n : 2 * n], of_carry, strict=True)]  # fmt: skip
    stacked = [_second(x) for x in made[2 * n : 2 * n + _n_stacked(loop)]]
    taken = [] if loop.cond is None else [_in_front(made[-1], alone, size)]
    return (*finals, *histories, *stacked, *taken)


def _steered(cond: Graph, steer: Steer | None) -> Graph:
    """A batch of conditions as one, where rows differ and something steers them."""
    if steer is None or not cond.outputs[0].rank:
        return cond
    builder = Builder()
    inputs = [builder.input(value.aval, value.hint) for value in cond.inputs]
    return builder.finish([steer(*builder.inline(cond, inputs))])


def _n_stacked(loop: Loop) -> int:
    return len(loop.body.outputs) - loop.carry


def _batched_carry(
    loop: Loop, of_consts: list[bool], of_inits: list[bool], of_slices: list[bool], of_count: bool, steered: bool
) -> tuple[list[bool], bool]:
    """Which carries differ over the batch, and whether the number of turns does: then all carries do."""
    of_carry = list(of_inits)
    while True:
        flags = batched_values(loop.body, [False, *of_consts, *of_carry, *of_slices])
        grown = [a or bool(flags[out.id]) for a, out in zip(of_carry, loop.body.outputs, strict=False)]
        alone = of_count
        if loop.cond is not None and not steered:
            alone = alone or bool(batched_values(loop.cond, [False, *of_consts, *of_carry])[loop.cond.outputs[0].id])
        if alone:
            grown = [True] * loop.carry
        if grown == of_carry:
            return of_carry, alone
        of_carry = grown


def _each_on_its_own(
    builder: Builder, loop: Loop, body: Graph, cond: Graph | None, operands: list[Any], rows: list[bool], size: Size
) -> tuple[Value, ...]:
    """A loop whose rows take different numbers of turns: one that has stopped keeps its carry. Results as of `scan`,
    with the number of turns of each row last."""
    count, consts, inits, slices = operands
    turns = _splat(builder, 0, Aval((size,), "i64"))
    alive = _splat(builder, True, Aval((size,), "bool"))
    if cond is None:
        masked = _masked_by_count(loop, body, rows, size)
        none = _splat(builder, 0, Aval((1,), "i64"))  # what a batch without rows takes
        most = apply("reduce_max", apply("concat", none, count, axis=0), axes=(0,))
        return loop.emit(builder, [most, count, *consts, *inits, *slices], body=masked, consts=loop.consts + 1)
    masked, going = _masked_by_condition(loop, body, cond, rows, size)
    extra = [turns, alive]
    given = [*consts, *inits, *extra, *slices]
    made = loop.emit(
        builder, given if count is None else [count, *given], body=masked, cond=going, carry=loop.carry + 2
    )
    n = loop.carry
    stacked = made[2 * (n + 2) : 2 * (n + 2) + _n_stacked(loop)]
    return (*made[:n], *made[n + 2 : 2 * n + 2], *stacked, made[n])


def _spread(flags: Value, like: Value) -> Value:
    """One flag for each row, over the row."""
    if like.rank == 1:
        return flags
    return apply("reshape", flags, shape=(flags.shape[0], *(1,) * (like.rank - 1)))


def _kept(goes: Value, new: Sequence[Value], old: Sequence[Value]) -> list[Value]:
    return [apply("where", _spread(goes, a), a, b) for a, b in zip(new, old, strict=True)]


def _lent(goes: Value, values: Sequence[Value], rows: Sequence[bool]) -> list[Value]:
    """Those values that have `rows`, with the first row that goes in the place of each row that does not."""
    if goes.shape[0] == 0:
        return list(values)
    first = apply("argmax", apply("cast", goes, dtype="i64"), axis=0)
    return [apply("where", _spread(goes, x), x, apply("gather", x, first, axes=(0,))) if has else x
            for x, has in zip(values, rows, strict=True)]  # fmt: skip


def _masked_by_count(loop: Loop, body: Graph, rows: Sequence[bool], size: Size) -> Graph:
    """`(i, count, *consts, …)`: rows whose count is past keep their carry, and give zeros."""
    builder = Builder()
    i = builder.input(INDEX, body.inputs[0].hint)
    count = builder.input(Aval((size,), "i64"), "count")
    inputs = [i, *(builder.input(value.aval, value.hint) for value in body.inputs[1:])]
    goes = apply("less", i, count)
    made = builder.inline(body, [i, *_lent(goes, inputs[1:], rows)])
    first = 1 + loop.consts
    carry = _kept(goes, made[: loop.carry], inputs[first : first + loop.carry])
    nothing = [_splat(builder, 0, value.aval) for value in made[loop.carry :]]
    return builder.finish([*carry, *_kept(goes, made[loop.carry :], nothing)])


def _masked_by_condition(loop: Loop, body: Graph, cond: Graph, rows: Sequence[bool], size: Size) -> tuple[Graph, Graph]:
    """Body and condition with two more carries: the turns that each row has taken, and whether it still goes."""
    avals = Aval((size,), "i64"), Aval((size,), "bool")
    first, end = 1 + loop.consts, 1 + loop.consts + loop.carry
    builder = Builder()
    before = [builder.input(value.aval, value.hint) for value in body.inputs[:end]]
    turns, alive = (builder.input(aval, name) for aval, name in zip(avals, ("turns", "alive"), strict=True))
    slices = [builder.input(value.aval, value.hint) for value in body.inputs[end:]]
    # The turns that a row takes are data, as those of one loop are: `stop_gradient` says so to whoever moves inputs.
    goes = apply("stop_gradient", apply("logical_and", alive, builder.inline(cond, before)[0]))
    made = builder.inline(body, [before[0], *_lent(goes, [*before[1:], *slices], rows)])
    carry = _kept(goes, made[: loop.carry], before[first:])
    nothing = [_splat(builder, 0, value.aval) for value in made[loop.carry :]]
    counted = turns + apply("cast", goes, dtype="i64")
    masked = builder.finish([*carry, counted, goes, *_kept(goes, made[loop.carry :], nothing)])
    builder = Builder()
    before = [builder.input(value.aval, value.hint) for value in body.inputs[:end]]
    _, alive = (builder.input(aval, "") for aval in avals)
    going = apply("logical_and", alive, builder.inline(cond, before)[0])
    return masked, without_dead(builder.finish([apply("reduce_any", going, axes=(0,))]))


def _in_front(x: Value, own: bool, size: Size) -> Value:
    return x if own else apply("broadcast_to", x, shape=(size, *x.shape))


def _second(x: Value) -> Value:
    """The first two dims exchanged: a batch of slices is a slice of batches."""
    return apply("transpose", x, axes=(1, 0, *range(2, x.rank)))

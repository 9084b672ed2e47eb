"""`for i in start..stop [while cond] { … }`: kept rolled as one `scan` where it can be, else written out turn by turn.

A loop means its turns one after another. Its body is elaborated once, in a region of its own, with `i` and the names
that it carries as inputs. What that cannot say is written out: a body that uses `i` in a shape, or a layer of its own
each turn; a carried name that changes its shape or dtype from turn to turn. Where only the first turn changes it
(`h = 0.0`, then `h = h + x`), that turn is written out and the rest rolled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, bodies, expressions, static
from gradcli.interp.dtypes import rank_of
from gradcli.interp.scope import Binding, Frame, Region
from gradcli.interp.values import (
    POISON,
    Arr,
    ListV,
    LoopArr,
    LoopInt,
    Poisoned,
    TupleV,
    describe,
    flatten,
    is_number,
)
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Poly, Size, definite, name_of
from gradcli.ir.graph import Builder, Graph, Value
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Label, ModelError, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

Block = Callable[["Elaborator", Frame, tuple[ast.Statement, ...]], None]

ROLLED_FROM = 9  # turns; fewer are cheaper when they are written out
MAX_WRITTEN = 10_000  # turns of one loop that are written out
ALL_WRITTEN = 100_000  # of all loops together, inner ones in every turn of the outer
MAX_TURNS = 1_000_000_000  # of a loop that is rolled
FIRST_TURNS = 4  # that may change what a loop carries, each a name that waits for another


class NotRolled(Exception):
    """A loop that must be written out; `errors` say why, where that is the user's business."""

    def __init__(self, errors: Sequence[Diagnostic] = ()) -> None:
        self.errors = tuple(errors)


class Changed(NotRolled):
    """A turn changes the shape, the dtype or the names of dims of what is carried: `name` is `made` after it."""

    def __init__(self, errors: Sequence[Diagnostic], name: str, made: Sequence[Arr]) -> None:
        super().__init__(errors)
        self.name, self.made = name, tuple(made)


@record(eq=False)
class Carried:
    """A name that the loop carries: its value before, as arrays, and how they are nested."""

    name: str
    value: Any
    leaves: tuple[Arr, ...]
    binding: Binding


def loop(ctx: Elaborator, frame: Frame, statement: ast.For, block: Block) -> None:
    """Run a loop; `block` runs statements. Names bound before are carried; names first bound inside stay inside."""
    start, stop = (_bound(ctx, frame, statement.start, "start"), _bound(ctx, frame, statement.stop, "end"))
    turns = stop - start
    ctx.may_bind(frame, statement.var)
    if not isinstance(turns, Poly):
        if turns > MAX_TURNS:
            raise fail("NUM003", f"a loop of {turns:_} turns; {MAX_TURNS:_} are possible", statement.span)
        if turns <= 0:
            return
        if statement.cond is None and (turns < ROLLED_FROM or bodies.tests_something(statement.body)):
            _write_out(ctx, frame, statement, range(definite(start), definite(stop)), block)
            return
    taken: dict[str, tuple[Arr, ...]] = {}  # what the body gives a weak value that it is carried in
    for _ in range(FIRST_TURNS):
        try:
            _roll(ctx, frame, statement, start, stop, taken, block)
            return
        except Changed as changed:
            if statement.cond is not None or isinstance(start, Poly) or isinstance(stop, Poly):
                if changed.name in taken:
                    raise ModelError(changed.errors) from None
                taken[changed.name] = changed.made
                continue
            _write_out(ctx, frame, statement, range(start, start + 1), block)
            start = start + 1
            if start == stop:
                return
        except NotRolled as refused:
            if statement.cond is not None or (not isinstance(turns, Poly) and turns > MAX_WRITTEN and refused.errors):
                raise ModelError(refused.errors) from None
            break
    if isinstance(start, Poly) or isinstance(stop, Poly):
        raise _written_out_only(statement, stop - start)
    _write_out(ctx, frame, statement, range(start, stop), block)


def _written_out_only(statement: ast.For, turns: Size) -> ModelError:
    return fail(
        "SHP119",
        f"this loop is written out, so its turns are a known integer; {turns} has no size here",
        statement.span,
        notes=["give the dim a size to check this net"],
    )


def _bound(ctx: Elaborator, frame: Frame, expr: ast.Expr, what: str) -> Size:
    value = expressions.evaluate(ctx, frame, expr)
    known = static.whole(value) if is_number(value) else None
    if known is None:
        raise fail(static.unknown(value), f"the {what} of a loop is a known integer, not {describe(value)}", expr.span)
    return known


# ── written out ─────────────────────────────────────────────────────────────────────────────────────────────


def _write_out(ctx: Elaborator, frame: Frame, statement: ast.For, turns: range, block: Block) -> None:
    if len(turns) > MAX_WRITTEN:
        text = f"a loop of {len(turns):_} turns that is written out; {MAX_WRITTEN:_} are possible"
        help = (
            "a body that is the same in every turn is kept once: no shape, layer or integer that changes with the turn"
        )
        raise fail("NUM003", text, statement.span, help=help)
    before = set(frame.names)
    shadowed = frame.names.get(statement.var.id)
    errors = len(ctx.run.errors)
    try:
        for i in turns:
            ctx.run.n_turns += 1
            if ctx.run.n_turns > ALL_WRITTEN:
                text = f"loops of more than {ALL_WRITTEN:_} turns together, each of which is written out"
                raise fail("NUM003", text, statement.span)
            frame.bind(statement.var.id, LoopInt(i), statement.var.span, "loop variable")
            block(ctx, frame, statement.body)
            for name in [n for n in frame.names if n not in before and n != statement.var.id]:
                del frame.names[name]
            if len(ctx.run.errors) > errors:
                raise Poisoned
            ctx.check_size(statement.span)
    finally:
        frame.names.pop(statement.var.id, None)
        if shadowed is not None:
            frame.names[statement.var.id] = shadowed


# ── rolled ──────────────────────────────────────────────────────────────────────────────────────────────────


def _roll(
    ctx: Elaborator,
    frame: Frame,
    statement: ast.For,
    start: Size,
    stop: Size,
    taken: Mapping[str, Sequence[Arr]],
    block: Block,
) -> None:
    """Elaborate the body once and emit the loop. Raises NotRolled, with everything as it was, where that fails."""
    import gradcli.ad.scan  # noqa: F401 - registers the primitive

    carried = [_settled(ctx, c, taken.get(c.name, ())) for c in _carried(ctx, frame, statement, stop - start)]
    saved = _Saved(ctx, frame)
    outer = ctx.region
    inits = [arr for c in carried for arr in c.leaves]
    body, cond = Region(Builder(), outer), Region(Builder(), outer)
    try:
        goes_on = None
        if statement.cond is not None:
            state = _enter(ctx, frame, statement, cond, carried, start, stop)
            goes_on = _condition(ctx, frame, statement.cond, cond)
            _restore_names(frame, saved)
        inside = _enter(ctx, frame, statement, body, carried, start, stop)
        block(ctx, frame, statement.body)
        if len(ctx.run.errors) > saved.n_errors:
            raise NotRolled(ctx.run.errors[saved.n_errors :])
        after = [_after(ctx, frame, c) for c in carried]
        results = [body.lift(arr.value) for arrs, _ in after for arr in arrs]
    except NotRolled:
        saved.restore()
        raise
    except (ModelError, ShapeError, Poisoned) as error:
        errors = [*ctx.run.errors[saved.n_errors :], *getattr(error, "diagnostics", ())]
        saved.restore()
        raise NotRolled(errors) from None
    finally:
        ctx.region = outer
    bindings = [binding for _, binding in after]
    _restore_names(frame, saved)
    consts = list(dict.fromkeys([*_outer(body, inside), *(_outer(cond, state) if goes_on is not None else ())]))
    params = {
        "body": _closed(body, inside, consts, results),
        "cond": None if goes_on is None else _closed(cond, state, consts, [goes_on]),
        "turns": stop - start,
        "consts": len(consts),
        "carry": len(inits),
        "reverse": False,
        "counted": False,
    }
    builder = outer.builder
    builder.spans = (statement.span,)
    operands = [outer.lift(value) for value in consts] + [outer.lift(arr.value) for arr in inits]
    made = iter(builder.emit(primitive("scan"), operands, params)[: len(inits)])
    for c, (arrs, _), binding in zip(carried, after, bindings, strict=True):
        finals = [Arr(next(made), arr.dims if arr.named else None, arr.weak) for arr in arrs]
        value = _nested(c.value, iter(finals))
        frame.bind(c.name, value, binding.span, binding.what)
        if isinstance(value, Arr):
            ctx.name_line(frame, c.name, value)


class _Saved:
    """What an attempt to roll a loop may have changed, to take it back."""

    def __init__(self, ctx: Elaborator, frame: Frame) -> None:
        self.ctx, self.frame = ctx, frame
        self.names, self.dims, self.renames = dict(frame.names), dict(frame.dims), dict(frame.renames)
        self.n_errors, self.n_notes = len(ctx.run.errors), len(ctx.run.notes)

    def restore(self) -> None:
        del self.ctx.run.errors[self.n_errors :], self.ctx.run.notes[self.n_notes :]
        _restore_names(self.frame, self)
        self.frame.dims.clear()
        self.frame.dims.update(self.dims)
        self.frame.renames.clear()
        self.frame.renames.update(self.renames)


def _restore_names(frame: Frame, saved: _Saved) -> None:
    frame.names.clear()
    frame.names.update(saved.names)


def _carried(ctx: Elaborator, frame: Frame, statement: ast.For, turns: Size) -> list[Carried]:
    """The names bound before that the body binds again, in the order of the body."""
    found = []
    for name in bodies.bound_names(statement.body):
        binding = frame.names.get(name)
        if binding is None:
            continue
        if binding.value is POISON:
            raise Poisoned
        value = binding.value
        few = statement.cond is None and not isinstance(turns, Poly) and turns <= MAX_WRITTEN
        if few and _may_be_a_size(value):
            raise NotRolled  # it may stand in a shape, now or later
        try:
            leaves = tuple(arrays.to_arr(ctx, leaf) for leaf in flatten(value))
        except ShapeError as error:
            raise _not_carried(name, binding, error.code, error.message) from None
        except ModelError as error:
            raise NotRolled(error.diagnostics) from None
        found.append(Carried(name, value, leaves, binding))
    return found


def _not_carried(name: str, binding: Binding, code: str, why: str) -> NotRolled:
    return NotRolled(fail(code, f"`{name}`, carried by a loop: {why}", binding.span).diagnostics)


def _may_be_a_size(value: Any) -> bool:
    given = value.items if isinstance(value, ListV) else (value,)
    return all(isinstance(item, int) and not isinstance(item, bool) for item in given)


def _settled(ctx: Elaborator, c: Carried, made: Sequence[Arr]) -> Carried:
    """Weak values in the dtype that the body gives them, and dims with the names that it gives them."""
    leaves = list(c.leaves)
    for k, (before, now) in enumerate(zip(c.leaves, made, strict=False)):
        if before.value.aval.shape == now.value.aval.shape and (before.weak or before.dtype == now.dtype):
            arr = arrays.settle_arr(ctx, before, now.dtype, weak=now.weak)
            leaves[k] = Arr(arr.value, now.dims if now.named else None, now.weak)
    return Carried(c.name, c.value, tuple(leaves), c.binding)


def _enter(
    ctx: Elaborator,
    frame: Frame,
    statement: ast.For,
    region: Region,
    carried: Sequence[Carried],
    start: Size,
    stop: Size,
) -> list[Value]:
    """Bind the loop's variable and what it carries to inputs of a region, which becomes the current one."""
    ctx.region = region
    turn = region.builder.input(Aval((), "i64"), statement.var.id)
    inputs = [turn]
    shift = arrays.elementwise(ctx, primitive("add"), [Arr(turn, weak=True), start]) if start != 0 else Arr(turn)
    variable = LoopArr(shift.value, 1, 0, start, stop - 1)
    frame.bind(statement.var.id, variable, statement.var.span, "loop variable")
    for c in carried:
        inner = []
        for arr in c.leaves:
            value = region.builder.input(arr.value.aval, c.name)
            inputs.append(value)
            inner.append(Arr(value, arr.dims if arr.named else None, arr.weak))
        known = frame.names[c.name]
        frame.bind(c.name, _nested(c.value, iter(inner)), known.span, known.what)
    return inputs


def _condition(ctx: Elaborator, frame: Frame, expr: ast.Expr, region: Region) -> Value:
    value = expressions.evaluate(ctx, frame, expr)
    if not isinstance(value, bool) and not (isinstance(value, Arr) and rank_of(value) == 0 and not value.rank):
        help = "`all(…)` or `any(…)` of several" if isinstance(value, Arr) and value.dtype == "bool" else None
        raise fail("SHP121", f"the condition of a loop is one bool, not {describe(value)}", expr.span, help=help)
    return region.lift(arrays.to_arr(ctx, value).value)


def _after(ctx: Elaborator, frame: Frame, c: Carried) -> tuple[list[Arr], Binding]:
    """What the body made of a carried name. Raises Changed where it is of another type than before."""
    binding = frame.names[c.name]
    if binding.value is POISON:
        raise Poisoned
    found = flatten(binding.value)
    same = len(found) == len(c.leaves) and isinstance(binding.value, TupleV) == isinstance(c.value, TupleV)
    made = []
    for item, before in zip(found, c.leaves, strict=False):
        if isinstance(item, ListV) and isinstance(before, Arr):
            item = arrays.to_arr(ctx, item)
        if is_number(item):
            item = Arr(arrays.as_value(ctx, item, before.dtype), weak=before.weak)
        if not isinstance(item, Arr):
            raise _not_carried(c.name, binding, "SHP113", f"{describe(item)} is not an array")
        same = same and _alike(item, before)
        made.append(item)
    if not same:
        now = ", ".join(map(str, made))
        then = ", ".join(map(str, c.leaves))
        error = fail(
            "SHP122",
            f"`{c.name}` is {then} before the loop and {now} after a turn",
            binding.span,
            label="bound again here",
            others=[Label(c.binding.span, f"{c.name} is {then}")],
            help=f"begin with the shape and dtype that every turn has: {now}",
        )
        raise Changed(error.diagnostics, c.name, made)
    return made, binding


def _alike(now: Arr, before: Arr) -> bool:
    names = [name_of(d) for d in now.dims] == [name_of(d) for d in before.dims]
    return now.value.aval == before.value.aval and now.weak == before.weak and names


def _nested(like: Any, leaves: Any) -> Any:
    if isinstance(like, TupleV):
        return TupleV(tuple(_nested(item, leaves) for item in like.items), like.names)
    return next(leaves)


def _outer(region: Region, inputs: Sequence[Value]) -> list[Value]:
    """The values around the loop that it reads."""
    own = {value.id for value in inputs}
    return [region.origins[value.id] for value in region.builder.inputs if value.id not in own]


def _closed(region: Region, inputs: Sequence[Value], consts: Sequence[Value], outputs: Sequence[Value]) -> Graph:
    """`(i, *consts, *carry) → outputs`"""
    turn, *carry = inputs
    given = [region.lift(value) for value in consts]
    graph = region.builder.close(outputs)
    names = tuple(value.hint for value in (turn, *given, *carry))
    return Graph((turn, *given, *carry), graph.nodes, graph.outputs, graph.n_values, names)

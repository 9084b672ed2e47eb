"""A loop as one `scan`: its body is elaborated once, in a region of its own, with the loop's variable and the names
that it carries as inputs. Values from around the loop come in as further inputs, which are the same in every turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, bodies, expressions
from gradcli.interp.dtypes import rank_of
from gradcli.interp.scope import Binding, Frame, Region
from gradcli.interp.values import (
    POISON,
    Arr,
    ListV,
    LoopArr,
    Poisoned,
    TupleV,
    describe,
    flatten,
    is_number,
    nested,
)
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size, name_of
from gradcli.ir.graph import Builder, Graph, Value
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.record import record, replace
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Label, ModelError, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

Block = Callable[["Elaborator", Frame, tuple[ast.Statement, ...]], None]


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
class Loop:
    """One loop of a net that runs: `block` runs statements; `sizes` says that an integer may stand in a shape, so that
    none is carried."""

    ctx: Elaborator
    frame: Frame
    statement: ast.For
    block: Block
    sizes: bool


@record(eq=False)
class Carried:
    """A name that the loop carries: its value before, as arrays, and how they are nested."""

    name: str
    value: Any
    leaves: tuple[Arr, ...]
    binding: Binding


@record(eq=False)
class Entered:
    """A region with the loop's variable and what it carries as inputs."""

    region: Region
    inputs: tuple[Value, ...]

    def reads(self) -> list[Value]:
        """The values around the loop that are read in it."""
        own = {value.id for value in self.inputs}
        return [self.region.origins[value.id] for value in self.region.builder.inputs if value.id not in own]

    def close(self, consts: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        """`(i, *consts, *carry) → outputs`"""
        turn, *carry = self.inputs
        given = [self.region.lift(value) for value in consts]
        graph = self.region.builder.close(outputs)
        names = tuple(value.hint for value in (turn, *given, *carry))
        return Graph((turn, *given, *carry), graph.nodes, graph.outputs, graph.n_values, names)


def roll(loop: Loop, start: Size, stop: Size, taken: Mapping[str, Sequence[Arr]]) -> None:
    """Elaborate the body once, emit the loop and bind what it carries. `taken` gives by name what weak values are
    carried as. Raises NotRolled, with everything as it was, where that cannot be."""
    import gradcli.ad.scan  # noqa: F401 - registers the primitive

    ctx, frame, statement = loop.ctx, loop.frame, loop.statement
    carried = [_settled(ctx, c, taken.get(c.name, ())) for c in _carried(loop)]
    saved = _Saved(ctx, frame)
    outer = ctx.region
    try:
        test, goes_on = _condition(loop, carried, start, stop)
        saved.restore_names()
        inside = _enter(loop, carried, start, stop)
        loop.block(ctx, frame, statement.body)
        if len(ctx.run.errors) > saved.n_errors:
            raise NotRolled(ctx.run.errors[saved.n_errors :])
        after = [_after(ctx, frame, c) for c in carried]
        results = [inside.region.lift(arr.value) for arrs, _ in after for arr in arrs]
    except NotRolled:
        saved.restore()
        raise
    except (ModelError, ShapeError, Poisoned) as error:
        errors = [*ctx.run.errors[saved.n_errors :], *getattr(error, "diagnostics", ())]
        saved.restore()
        raise NotRolled(errors) from None
    finally:
        ctx.region = outer
    saved.restore_names()
    consts = list(dict.fromkeys([*inside.reads(), *test.reads()] if goes_on is not None else inside.reads()))
    inits = [outer.lift(arr.value) for c in carried for arr in c.leaves]
    params = {
        "body": inside.close(consts, results),
        "cond": None if goes_on is None else test.close(consts, [goes_on]),
        "turns": stop - start,
        "consts": len(consts),
        "carry": len(inits),
        "reverse": False,
        "counted": False,
    }
    outer.builder.spans = (statement.span,)
    made = outer.builder.emit(primitive("scan"), [*map(outer.lift, consts), *inits], params)
    _bind(loop, carried, after, made)


def keeps(loop: Loop, start: Size, stop: Size, taken: Mapping[str, Sequence[Arr]], changed: Changed) -> bool:
    """Whether a further turn keeps what the first turn has made of a name, so that the loop may begin with that."""
    ctx, outer = loop.ctx, loop.ctx.region
    carried = [_settled(ctx, c, taken.get(c.name, ())) for c in _carried(loop)]
    carried = [replace(c, leaves=changed.made) if c.name == changed.name else c for c in carried]
    saved = _Saved(ctx, loop.frame)
    try:
        _enter(loop, carried, start, stop)
        loop.block(ctx, loop.frame, loop.statement.body)
        for c in carried:
            if c.name == changed.name:
                _after(ctx, loop.frame, c)
    except Changed:
        return False
    except (NotRolled, ModelError, ShapeError, Poisoned):
        pass  # something else is wrong then
    finally:
        ctx.region = outer
        saved.restore()
    return True


def _bind(
    loop: Loop, carried: Sequence[Carried], after: Sequence[tuple[list[Arr], Binding]], made: Sequence[Value]
) -> None:
    """The carried names after the loop: the last values, bound where the body bound them."""
    values = iter(made)
    for c, (arrs, binding) in zip(carried, after, strict=True):
        finals = [Arr(next(values), arr.dims if arr.named else None, arr.weak) for arr in arrs]
        value = nested(c.value, iter(finals))
        loop.frame.bind(c.name, value, binding.span, binding.what)
        if isinstance(value, Arr):
            loop.ctx.name_line(loop.frame, c.name, value)


class _Saved:
    """What an attempt to roll a loop may have changed, to take it back."""

    def __init__(self, ctx: Elaborator, frame: Frame) -> None:
        self.ctx, self.frame = ctx, frame
        self.names, self.dims, self.renames = dict(frame.names), dict(frame.dims), dict(frame.renames)
        self.n_errors, self.n_notes = len(ctx.run.errors), len(ctx.run.notes)
        self.listed = ctx.listing.saved()

    def restore(self) -> None:
        del self.ctx.run.errors[self.n_errors :], self.ctx.run.notes[self.n_notes :]
        self.restore_names()
        self.frame.dims.clear()
        self.frame.dims.update(self.dims)
        self.frame.renames.clear()
        self.frame.renames.update(self.renames)
        self.ctx.listing.restore(self.listed)

    def restore_names(self) -> None:
        self.frame.names.clear()
        self.frame.names.update(self.names)


# ── what is carried ─────────────────────────────────────────────────────────────────────────────────────────


def _carried(loop: Loop) -> list[Carried]:
    """The names bound before that the body binds again, in the order of the body."""
    found = []
    for name in bodies.bound_names(loop.statement.body):
        binding = loop.frame.names.get(name)
        if binding is None:
            continue
        if binding.value is POISON:
            raise Poisoned
        if loop.sizes and _may_be_a_size(binding.value):
            raise NotRolled
        try:
            leaves = tuple(arrays.to_arr(loop.ctx, leaf) for leaf in flatten(binding.value))
        except ShapeError as error:
            raise _not_carried(name, binding, error.code, error.message) from None
        except ModelError as error:
            raise NotRolled(error.diagnostics) from None
        found.append(Carried(name, binding.value, leaves, binding))
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


def _after(ctx: Elaborator, frame: Frame, c: Carried) -> tuple[list[Arr], Binding]:
    """What the body made of a carried name. Raises Changed where it is of another type than before."""
    binding = frame.names[c.name]
    if binding.value is POISON:
        raise Poisoned
    made = []
    for item in flatten(binding.value):
        if not isinstance(item, Arr | ListV) and not is_number(item):
            raise _not_carried(c.name, binding, "SHP113", f"{describe(item)} is not an array")
        made.append(arrays.to_arr(ctx, item))
    alike = len(made) == len(c.leaves) and isinstance(binding.value, TupleV) == isinstance(c.value, TupleV)
    if alike and all(map(_alike, made, c.leaves)):
        return made, binding
    now, then = (", ".join(map(str, arrs)) for arrs in (made, c.leaves))
    error = fail(
        "SHP122",
        f"`{c.name}` is {then} before the loop and {now} after a turn",
        binding.span,
        label="bound again here",
        others=[Label(c.binding.span, f"{c.name} is {then}")],
        help=f"begin with the shape and dtype that every turn has: {now}",
    )
    raise Changed(error.diagnostics, c.name, made)


def _alike(now: Arr, before: Arr) -> bool:
    names = [name_of(d) for d in now.dims] == [name_of(d) for d in before.dims]
    return now.value.aval == before.value.aval and now.weak == before.weak and names


# ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────


def _enter(loop: Loop, carried: Sequence[Carried], start: Size, stop: Size) -> Entered:
    """Bind the loop's variable and what it carries to inputs of a new region, which becomes the current one."""
    ctx, frame, var = loop.ctx, loop.frame, loop.statement.var
    region = ctx.region = Region(Builder(), ctx.region)
    turn = region.builder.input(Aval((), "i64"), var.id)
    inputs = [turn]
    shift = arrays.elementwise(ctx, primitive("add"), [Arr(turn, weak=True), start]) if start != 0 else Arr(turn)
    frame.bind(var.id, LoopArr(shift.value, 1, 0, start, stop - 1), var.span, "loop variable")
    for c in carried:
        inner = []
        for arr in c.leaves:
            value = region.builder.input(arr.value.aval, c.name)
            inputs.append(value)
            inner.append(Arr(value, arr.dims if arr.named else None, arr.weak))
        known = frame.names[c.name]
        frame.bind(c.name, nested(c.value, iter(inner)), known.span, known.what)
    return Entered(region, tuple(inputs))


def _condition(loop: Loop, carried: Sequence[Carried], start: Size, stop: Size) -> tuple[Entered, Value | None]:
    """The condition in a region of its own; None where the loop has none. Raises ModelError SHP121."""
    ctx, expr, outer = loop.ctx, loop.statement.cond, loop.ctx.region
    if expr is None:
        return Entered(outer, ()), None
    entered = _enter(loop, carried, start, stop)
    value = expressions.evaluate(ctx, loop.frame, expr)
    if not isinstance(value, bool) and not (isinstance(value, Arr) and rank_of(value) == 0 and not value.rank):
        help = "`all(…)` or `any(…)` of several" if isinstance(value, Arr) and value.dtype == "bool" else None
        raise fail("SHP121", f"the condition of a loop is one bool, not {describe(value)}", expr.span, help=help)
    goes_on = entered.region.lift(arrays.to_arr(ctx, value).value)
    ctx.region = outer
    return entered, goes_on

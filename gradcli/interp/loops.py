"""`for i in start..stop [while cond] { … }`: kept rolled as one `scan` where it can be, else written out turn by turn.

A loop means its turns one after another. `rolling.py` elaborates its body once; what that cannot say is written out
here: a body that uses `i` in a shape, or a layer of its own each turn; a carried name that changes its shape or dtype
from turn to turn. Where only the first turn changes it (`h = 0.0`, then `h = h + x`), that turn is written out and the
rest rolled.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradcli.interp import bodies, expressions, static
from gradcli.interp.rolling import Block, Changed, Loop, NotRolled, keeps, roll
from gradcli.interp.scope import Frame
from gradcli.interp.values import Arr, LoopInt, Poisoned, describe, is_number
from gradcli.ir.dims import Poly, Size, known
from gradcli.record import replace
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Label, ModelError, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

ROLLED_FROM = 9  # turns; fewer are cheaper when they are written out
MAX_WRITTEN = 10_000  # turns of one loop that are written out
ALL_WRITTEN = 50_000  # of all loops together, inner ones in every turn of the outer
MAX_TURNS = 1_000_000_000  # of a loop that is rolled
ROOM = "with `while` a name keeps one shape: make room for the most there can be, and write into it by index"
FIRST_TURNS = 4  # that may change what a loop carries, each a name that waits for another


def loop(ctx: Elaborator, frame: Frame, statement: ast.For, block: Block) -> None:
    """Run a loop; `block` runs statements. Names bound before are carried; names first bound inside stay inside."""
    start, stop = (_bound(ctx, frame, statement.start, "start"), _bound(ctx, frame, statement.stop, "end"))
    turns = known(stop - start)
    ctx.may_bind(frame, statement.var)
    if turns is not None and turns > MAX_TURNS:
        raise fail("NUM003", f"a loop of {turns:_} turns; {MAX_TURNS:_} are possible", statement.span)
    if turns is not None and turns <= 0:
        return
    if isinstance(start, int) and isinstance(stop, int):
        ctx.run.loops.setdefault(statement.span, set()).add((int(start), int(stop)))
    if statement.cond is not None or turns is None or isinstance(start, Poly) or isinstance(stop, Poly):
        _roll_whole(Loop(ctx, frame, statement, block, sizes=False), start, stop)
    elif turns < ROLLED_FROM or bodies.tests_something(statement.body):
        _write_out(ctx, frame, statement, range(start, stop), block)
    else:
        _roll_rest(Loop(ctx, frame, statement, block, sizes=turns <= MAX_WRITTEN), start, stop)


def _roll_whole(loop: Loop, start: Size, stop: Size) -> None:
    """Of a loop that stops early, or as late as a symbol says: it is rolled or refused. What is carried without a dtype
    takes that which the body gives it."""
    taken: dict[str, tuple[Arr, ...]] = {}
    while True:
        try:
            roll(loop, start, stop, taken)
            return
        except Changed as changed:
            if changed.name in taken:
                raise ModelError(changed.errors) from None
            if not keeps(loop, start, stop, taken, changed):
                raise ModelError([replace(error, help=ROOM) for error in changed.errors]) from None
            taken[changed.name] = changed.made
        except NotRolled as refused:
            if loop.statement.cond is not None:
                raise ModelError([_because_of_while(loop.statement, error) for error in refused.errors]) from None
            raise _written_out_only(loop.statement, stop - start) from None


def _roll_rest(loop: Loop, start: int, stop: int) -> None:
    """Write out the first turns as long as they change what is carried, and roll the rest; all are written out where
    that has no end."""
    ctx, frame, statement, block = loop.ctx, loop.frame, loop.statement, loop.block
    for _ in range(FIRST_TURNS):
        try:
            roll(loop, start, stop, {})
            return
        except Changed:
            _write_out(ctx, frame, statement, range(start, start + 1), block)
            start += 1
            if start == stop:
                return
        except NotRolled as refused:
            if stop - start > MAX_WRITTEN and refused.errors:
                raise ModelError(refused.errors) from None
            break
    _write_out(ctx, frame, statement, range(start, stop), block)


def _because_of_while(statement: ast.For, error: Diagnostic) -> Diagnostic:
    """Where a loop's variable would have to be known, that it is not is for the condition's sake."""
    var, cond = statement.var.id, statement.cond
    of_it = error.span is not None and re.search(rf"\b{re.escape(var)}\b", error.span.text)
    if error.code != "SHP110" or cond is None or not (of_it or "not i64" in error.message):
        return error
    label = Label(cond.span, f"with `while` the body is kept once, and `{var}` is data in it")
    help = f"without `while` the turns are written out, and `{var}` is known in each"
    return replace(error, others=(*error.others, label), help=help)


def _written_out_only(statement: ast.For, turns: Size) -> ModelError:
    return fail(
        "SHP119",
        f"this loop is written out, so its turns are a known integer; {turns} has no size here",
        statement.span,
        notes=["give the dim a size to check this net"],
    )


def _bound(ctx: Elaborator, frame: Frame, expr: ast.Expr, what: str) -> Size:
    value = expressions.evaluate(ctx, frame, expr)
    whole = static.whole(value) if is_number(value) else None
    if whole is None:
        raise fail(static.unknown(value), f"the {what} of a loop is a known integer, not {describe(value)}", expr.span)
    return whole


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

"""How data becomes an input: dtypes that arrive, dtypes that are declared, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcli.interp.dtypes import RANKS, WEAK_FLOAT
from gradcli.syntax.diagnostics import Span, fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator


def settle_dtype(
    ctx: Elaborator, given: str | None, declared: str | None, what: str, span: Span | None, *, integral: bool = False
) -> tuple[str, bool]:
    """The dtype that data runs in, and whether the data must be cast to it.

    `given` is None for numbers without a dtype, which are weak. Ints and narrower floats are widened into a declared
    float with a note. Raises ModelError DAT105 for a wider float, and where ints meet floats: nothing is narrowed
    silently.
    """
    if given in ("f16", "f32", "f64") and ctx.options.dtype:
        given_now: str | None = ctx.options.dtype  # --dtype changes the data, too
    else:
        given_now = given
    if declared is None:
        dtype = given_now or ctx.weak_float
        return dtype, dtype != given
    if given_now is None:
        if declared in ("i32", "i64") and not integral:
            raise fail(
                "DAT105",
                f"{what} is declared {declared}, its data are floats",
                span,
                help=f"cast them: `{declared}(…)`",
            )
        if declared == "bool":
            raise fail("DAT105", f"{what} is declared bool, its data are numbers", span, help="compare: `x != 0`")
        return declared, True
    if given_now == declared:
        return declared, given != declared
    wide, narrow = RANKS[given_now], RANKS[declared]
    if declared.startswith("f") and wide < narrow and given_now != "bool":
        if ctx.options.dtype is None or wide < WEAK_FLOAT:
            ctx.note("DAT106", f"{what}: {given_now} is widened to {declared}", span)
        return declared, True
    if declared == "i64" and given_now == "i32":
        ctx.note("DAT106", f"{what}: i32 is widened to i64", span)
        return declared, True
    name = what.removeprefix("input ")
    mends = f"cast it, like `-i {name}='{declared}(load(\"{name}.npy\"))'`"
    if given_now in ("f32", "f64") and declared in ("f16", "f32"):
        mends += f", or run the model in {given_now}: `--dtype {given_now}`"
    raise fail(
        "DAT105", f"{what} is declared {declared}, its data are {given_now}: that would narrow them", span, help=mends
    )

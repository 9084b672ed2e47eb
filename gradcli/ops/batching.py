"""How operators state what they do to a batch: one more dim in front of some of their operands, and of each result.

A rule is `batch(args, batched, size, **params)`; the dim of `size` stands at axis 0 of the args that are `batched`.
What counts axes from the front counts one further; what broadcasts leading dims only needs them aligned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradcli.ir.dims import Size
from gradcli.ir.graph import Value, apply, apply_all

Rule = Callable[..., tuple[Value, ...]]

# What becomes of a param when there is one more dim in front.
_FURTHER: dict[str, Callable[[Any, Size], Any]] = {
    "axis": lambda axis, size: axis + 1,
    "axes": lambda axes, size: tuple(axis + 1 for axis in axes),
    "shape": lambda shape, size: (size, *shape),
    "items": lambda items, size: ((0, size, 1), *items),
}


def further(params: dict[str, Any], size: Size) -> dict[str, Any]:
    """Params with `axis`, `axes`, `shape` and `items` meant for one more dim in front."""
    return {name: _FURTHER[name](value, size) if name in _FURTHER else value for name, value in params.items()}


def grown(x: Value, batched: bool, size: Size) -> Value:
    """`x` with the dim of the batch, whether it had it or not."""
    return x if batched else apply("broadcast_to", x, shape=(size, *x.shape))


def shifted(name: str) -> Rule:
    """Of operators whose params say all about dims: every operand gets the dim, every param counts it."""

    def rule(args: Sequence[Value], batched: Sequence[bool], size: Size, **params: Any) -> tuple[Value, ...]:
        values = [grown(x, has, size) for x, has in zip(args, batched, strict=True)]
        return apply_all(name, *values, **further(params, size))

    return rule


def aligned(args: Sequence[Value], batched: Sequence[bool]) -> list[Value]:
    """Operands whose leading dims broadcast, with the dim of the batch in front of all others: dims of size 1 are put
    behind it where an operand has fewer dims than the one that has most."""
    rank = max(x.rank - has for x, has in zip(args, batched, strict=True))
    made = []
    for x, has in zip(args, batched, strict=True):
        missing = rank + 1 - x.rank
        made.append(apply("reshape", x, shape=(x.shape[0], *(1,) * missing, *x.shape[1:])) if has and missing else x)
    return made


def leading(name: str, core: int | Sequence[int]) -> Rule:
    """Of operators on the last dims whose leading dims broadcast. `core` says how many last dims each operand has for
    the operator itself: `2` for all, or one number for each."""

    def rule(args: Sequence[Value], batched: Sequence[bool], size: Size, **params: Any) -> tuple[Value, ...]:
        cores = [core] * len(args) if isinstance(core, int) else core
        lead = max(x.rank - has - inner for x, has, inner in zip(args, batched, cores, strict=True))
        made = []
        for x, has, inner in zip(args, batched, cores, strict=True):
            missing = lead + 1 + inner - x.rank
            if has and missing:
                x = apply("reshape", x, shape=(x.shape[0], *(1,) * missing, *x.shape[1:]))
            made.append(x)
        return apply_all(name, *made, **params)

    return rule

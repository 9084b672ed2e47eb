"""Promotion: JAX's lattice, which for these dtypes is a chain, with weak numbers in their places.

    bool < weak int < i32 < i64 < weak float < f16 < f32 < f64

An int never widens a float (`i64 * f32` is `f32`); a weak number takes the dtype of what it meets.
"""

from __future__ import annotations

from typing import Any

from gradcli.interp.values import Arr
from gradcli.ir.dims import Poly

BOOL, WEAK_INT, WEAK_FLOAT = 0, 1, 4
RANKS = {"bool": BOOL, "i32": 2, "i64": 3, "f16": 5, "f32": 6, "f64": 7}
DTYPE_OF_RANK = {rank: dtype for dtype, rank in RANKS.items()}


def rank_of(value: Any) -> int:
    """Where a static number or an array stands in the chain."""
    if isinstance(value, Arr):
        if value.weak:
            return WEAK_INT if value.dtype in ("i64", "i32") else WEAK_FLOAT
        return RANKS[value.dtype]
    if isinstance(value, bool):
        return BOOL
    return WEAK_INT if isinstance(value, int | Poly) else WEAK_FLOAT


def settle(rank: int, weak_float: str = "f64") -> tuple[str, bool]:
    """The dtype that a place in the chain computes in, and whether it is weak."""
    if rank == WEAK_INT:
        return "i64", True
    if rank == WEAK_FLOAT:
        return weak_float, True
    return DTYPE_OF_RANK[rank], False

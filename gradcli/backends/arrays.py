"""Arrays in the memory of a plan: its constants, and what lives in its arena."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Node, Value
from gradcli.plan.arena import ALIGNED, aligned
from gradcli.plan.plan import Plan

Array = np.ndarray[Any, Any]


def load(node: Node) -> Array:
    """The array of a constant, read-only."""
    aval = node.outs[0].aval
    made: Array = np.frombuffer(node.params["data"], NUMPY_NAMES[aval.dtype]).reshape(node.params["shape"])
    return made


def bytes_in(arena: Array, plan: Plan, storage: int) -> Array:
    """The stretch of an arena that a storage of the plan takes."""
    own = plan.storages[storage]
    return arena[own.place : own.place + own.nbytes]


def packed(room: Array, avals: Sequence[Aval]) -> list[Array]:
    """Arrays one after the other, each at the next place that is aligned."""
    ends = accumulate((aligned(definite(aval.nbytes)) for aval in avals), initial=0)
    return [array_in(room, place, aval) for place, aval in zip(ends, avals, strict=False)]


def array_in(arena: Array, place: int, aval: Aval) -> Array:
    return np.ndarray(tuple(map(definite, aval.shape)), NUMPY_NAMES[aval.dtype], arena, place)


def empty(value: Value) -> Array:
    return np.empty(value.aval.shape, NUMPY_NAMES[value.dtype])


def aligned_bytes(size: int) -> Array:
    """Memory that begins at a multiple of a cache line."""
    raw = np.empty(size + ALIGNED, np.uint8)
    start = -raw.ctypes.data % ALIGNED
    return raw[start : start + size]

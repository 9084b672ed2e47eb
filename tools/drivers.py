"""Faults of what no rule states, for `tools/mutants.py`: broadcasting undone, terms added up, loops turned round.

Each replaces a function of `gradcli/ad` while a block lasts. `JOINED` are graphs in which these functions matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

import gradcli.ad.forward as forward
import gradcli.ad.reverse as reverse
import gradcli.ad.scan_rules as scan_rules
from gradcli.gradcheck.verb import graph_agrees
from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.primitive import registry

Plant = Callable[[], AbstractContextManager[None]]


@contextmanager
def replaced(change: Callable[[Any], Any], name: str, *owners: Any) -> Iterator[None]:
    before = getattr(owners[0], name)
    for owner in owners:
        setattr(owner, name, change(before))
    try:
        yield
    finally:
        for owner in owners:
            setattr(owner, name, before)


def planting(change: Callable[[Any], Any], name: str, *owners: Any) -> Plant:
    return lambda: replaced(change, name, *owners)


def _first_terms(stated: Any) -> Any:
    """Instead of a sum over what grew, its first term."""

    def unbroadcast(builder: Builder, ct: Value, aval: Aval) -> Value:
        while ct.shape != aval.shape:
            axis = next(k for k, n in enumerate(ct.shape) if k < ct.rank - aval.rank or aval.shape[k - ct.rank] != n)
            items = tuple((0, 1, 1) if k == axis else (0, n, 1) for k, n in enumerate(ct.shape))
            ct = apply("slice", ct, items=items)
            if axis < ct.rank - aval.rank:
                ct = apply("reshape", ct, shape=ct.shape[:axis] + ct.shape[axis + 1 :])
        return ct

    return unbroadcast


def _never_backwards(stated: Any) -> Any:
    def emit(self: Any, builder: Builder, operands: Any, **changes: Any) -> Any:
        return stated(self, builder, operands, **{**changes, **({"reverse": False} if "reverse" in changes else {})})

    return emit


DRIVERS: list[tuple[str, Plant]] = [
    ("unbroadcast: the first term of the sum", planting(_first_terms, "unbroadcast", reverse, forward)),
    ("accumulate: the last term only",
     planting(lambda stated: lambda builder, total, term: term, "accumulate", reverse)),
    ("accumulate: the first term only",
     planting(lambda stated: lambda builder, total, term: term if total is None else total, "accumulate", reverse)),
    ("accumulate: one term more",
     planting(lambda stated: lambda b, total, term: stated(b, stated(b, total, term), term), "accumulate", reverse)),
    ("product rule: the first term only",
     planting(lambda stated: lambda b, node, tangents, inputs: stated(b, node, [tangents[0], None], inputs),
              "_product_rule", forward)),
    ("loops: not backwards", planting(_never_backwards, "emit", scan_rules.Loop)),
]  # fmt: skip


# ── graphs in which they matter ─────────────────────────────────────────────────────────────────────────────


def _graph(make: Callable[..., Value], *shapes: tuple[int, ...]) -> Graph:
    builder = Builder()
    inputs = [builder.input(Aval(shape, "f64"), f"x{k}") for k, shape in enumerate(shapes)]
    return builder.finish([make(*inputs)])


def _loop(h: Value, x: Value) -> Value:
    sample = registry()["scan"].samples[0]
    c, n = h, h.builder.scalar(0, "i64")
    return h.builder.emit(registry()["scan"], [c, h, n, x], sample.params)[0]


def joined() -> list[Graph]:
    return [
        _graph(lambda x, y: x * y + x, (2, 3), (3,)),
        _graph(lambda x, y: apply("matmul", x, y) * x, (3, 3), (3, 3)),
        _graph(_loop, (2,), (4, 2)),
    ]


def gradcheck_of_joined() -> bool:
    for graph in joined():
        rng = np.random.default_rng(3)
        if not graph_agrees(graph, [rng.normal(size=tuple(map(definite, value.shape))) for value in graph.inputs]):
            return False
    return True

"""What holds plans against NumPy finds faults: one is planted in a route, in the sums of lanes, in what is known of an
axis, in what may be written over, and in the order of lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gradcli.backends import lanes, routes
from gradcli.ir.graph import Graph, Value, apply
from gradcli.plan import Tiling, axes, planner
from gradcli.record import replace
from tests.ir.graphs import build
from tests.plan.drawn import arrays_for
from tests.plan.spied import Array, same_bits, watched
from tests.plan.test_exact import alike_on_any_number_of_threads, large

Patch = pytest.MonkeyPatch


def off_by(ulps: int) -> Callable[[Patch], None]:
    """The route of a sine, wrong in the last digits of one element."""

    def plant(patch: Patch) -> None:
        def wrong(kernel: Callable[..., bool], x: Array, out: Array, room: Any) -> bool:
            done = kernel(x, out, room)
            out.view("i8")[out.size // 2] += ulps
            return done

        made = [
            replace(r, kernel=lambda *args, own=r.kernel: wrong(own, *args)) for r in routes.ROUTES if r.prim == "sin"
        ]
        patch.setattr(routes, "processor", lambda: "avx2")
        patch.setattr(routes, "ROUTES", tuple(made))

    return plant


def forgets_a_block(patch: Patch) -> None:
    patch.setitem(lanes.ADDERS, "sum", lambda total, part, out: None)


def adds_one_ulp_of_all_terms(patch: Patch) -> None:
    """More than any order of adding can make of 40 terms."""
    patch.setitem(lanes.ADDERS, "sum", lambda total, part, out: np.multiply(np.add(total, part), 1 + 2e-14, out=out))


def compares_the_wrong_way(patch: Patch) -> None:
    patch.setitem(lanes.ADDERS, "max", np.minimum)


def cuts_what_is_turned_round(patch: Patch) -> None:
    patch.setitem(axes._RULES, "flip", lambda node: axes._kept(axes.known(node.inputs[0]), lambda axis: axis))


def buries_the_living(patch: Patch) -> None:
    """A value is taken for dead after the first step that reads it."""
    found = planner._last_uses

    def wrong(graph: Graph, items: Sequence[Any]) -> dict[int, int]:
        uses = found(graph, items)
        for number, item in reversed([*enumerate(items)]):
            uses.update((value.id, number) for value in item.inputs if uses[value.id] < len(items))
        return uses

    patch.setattr(planner, "_last_uses", wrong)


def chained(x: Value) -> Value:
    return apply("reduce_sum", apply("exp", x) * x, axes=(0,))


def largest(x: Value) -> Value:
    return apply("reduce_max", apply("exp", x), axes=(0,))


def turned_round(x: Value) -> Value:
    return apply("exp", apply("flip", apply("sin", x), axes=(0,)))


def read_twice(x: Value) -> Value:
    return apply("cos", apply("sin", x)) * apply("sin", x)


FAULTS: dict[str, tuple[Callable[[Patch], None], Graph, int | None]] = {
    "route": (off_by(5), build(lambda x: apply("sin", x), "f64[5000]"), None),
    "sums": (forgets_a_block, build(chained, "f64[40]"), 7),
    "digits": (adds_one_ulp_of_all_terms, build(chained, "f64[40]"), 7),
    "largest": (compares_the_wrong_way, build(largest, "f64[40]"), 7),
    "axis": (cuts_what_is_turned_round, build(turned_round, "f64[40]"), 7),
    "in place": (buries_the_living, build(read_twice, "f64[40]"), None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str, monkeypatch: Patch) -> None:
    plant, graph, rows = FAULTS[name]
    arrays = arrays_for(graph, 0)
    watched(graph, arrays, Tiling(rows=rows))
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        watched(graph, arrays, Tiling(rows=rows))


def test_a_route_within_its_ulps_is_none(monkeypatch: Patch) -> None:
    off_by(0)(monkeypatch)
    _, graph, rows = FAULTS["route"]
    watched(graph, arrays_for(graph, 0), Tiling(rows=rows))


def test_lanes_that_follow_the_threads_are_found(monkeypatch: Patch) -> None:
    graph = large("perceptron")
    run = lanes.Lanes.run

    def wrong(self: lanes.Lanes, ins: Sequence[Array], outs: Sequence[Array]) -> None:
        if self.workers > 2:
            self.step, self.partials = replace(self.step, lanes=(sum(self.step.lanes, ()),)), []
        run(self, ins, outs)

    monkeypatch.setattr(lanes.Lanes, "run", wrong)
    with pytest.raises(AssertionError, match="3 threads"):
        alike_on_any_number_of_threads(graph, arrays_for(graph, 0), arrays_for(graph, 1), 7)


def test_a_wrong_sign_of_zero_is_found() -> None:
    with pytest.raises(AssertionError):
        same_bits(np.array([0.0]), np.array([-0.0]), "zero")

"""Time is linear in the size of a model, told without a clock: by the steps that Python takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gradcli.interp.elaborate import Options
from gradcli.interp.program import Program
from gradcli.passes.pipeline import optimize
from gradcli.plan import Tiling, make_plan
from gradcli.plan.arena import ALIGNED, Arena
from gradcli.request import Request
from gradcli.running import derive_request
from gradcli.syntax.diagnostics import Source


def steps(work: Callable[[], Any]) -> tuple[int, Any]:
    """How many instructions of Python's machine some work takes, and what comes of it."""
    count = 0

    def traced(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        found = work()
    finally:
        sys.settrace(before)
    return count, found


def stages(operators: int) -> dict[str, int]:
    """Of a chain of so many operators."""
    lines = [f"  x = sin(x)\n  x = x * {1 + 1 / (2 + i)!r}" for i in range(operators // 2)]
    source = Source("chain.net", "\n".join(["net chain(x: f64) -> f64 {", *lines, "  return x", "}", "input x = 0.5"]))
    read, program = steps(lambda: Program(source, Path(), Options()))
    elaborated, prepared = steps(lambda: program.prepare(None, {}))
    derived, made = steps(lambda: derive_request(prepared, Request()))
    optimized, graph = steps(lambda: optimize(made.graph))
    planned, _ = steps(lambda: make_plan(graph, Tiling()))
    return {"read": read, "elaborate": elaborated, "derive": derived, "optimize": optimized, "plan": planned}


def test_each_stage_takes_steps_linear_in_a_chain() -> None:
    stages(20)  # what is made once
    some, twice, four = stages(200), stages(400), stages(800)
    for stage in some:
        assert four[stage] - twice[stage] < 2.1 * (twice[stage] - some[stage]), stage


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 30)), max_size=60))
def test_places_of_an_arena_never_overlap(asked: list[tuple[int, int]]) -> None:
    """Each takes some bytes, and gives back what was taken so many steps before."""
    arena = Arena()
    held: list[tuple[int, int] | None] = []
    for nbytes, age in asked:
        offset = arena.take(nbytes)
        end = offset + max(nbytes, 1)
        assert offset % ALIGNED == 0
        assert end <= arena.size
        assert all(one is None or end <= one[0] or one[0] + max(one[1], 1) <= offset for one in held)
        held.append((offset, nbytes))
        if age < len(held) and (old := held[-1 - age]) is not None:
            arena.give(*old)
            held[-1 - age] = None


def test_gaps_of_an_arena_become_one() -> None:
    arena = Arena()
    first, second, third = (arena.take(64) for _ in range(3))
    arena.give(first, 64)
    arena.give(third, 64)
    arena.give(second, 64)
    assert arena.take(192) == 0
    assert arena.size == 192

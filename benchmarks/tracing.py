"""What looking at every number costs: `trace` against a plain gradient, which runs the same steps unfused.

python benchmarks/tracing.py [ROUNDS]

Both sides begin with the text of the model and end with the arrays; the trace with the finding and its repair, too.
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.ratios import Ratio, report
from gradcli.backends import numpy as backend
from gradcli.backends import start_single
from gradcli.ir.dims import definite
from gradcli.opening import prepare
from gradcli.plan import make_flat
from gradcli.request import ModelFile, Request
from gradcli.trace.margins import Probe
from gradcli.trace.ready import get_ready
from gradcli.trace.tracer import Tracer
from gradcli.trace.verb import trace

CHAIN = "net main(x: f64[100000]) {{\n  h = {}\n" + 5 * "  h = sin(h) * 0.5 + tanh(h)\n" + "  return sum(h)\n}}\n"
LOOP = "net main(x: f64[{0}]) {{\n  h = x\n  for i in 0..500 {{ h = {1} }}\n  return sum(h)\n}}\n"
MODELS = {
    "100,000 numbers, nothing bad": (CHAIN.format("x"), 100_000),
    "100,000 numbers, a root below zero": (CHAIN.format("sqrt(x - 0.2)"), 100_000),
    "100,000 numbers, a root at zero": (CHAIN.format("sqrt(x - 0.1)"), 100_000),
    "500 turns of 10, nothing bad": (LOOP.format(10, "sin(h) * 0.5 + x"), 10),
    "500 turns of 10, nan from the first turn": (LOOP.format(10, "sqrt(h - 0.5) + x"), 10),
    "500 turns of 10, nan in the adjoint": (LOOP.format(10, "sqrt(h * (i != 400)) * 0.9 + 0.1"), 10),
    "500 turns of 10, inf after a few turns": (LOOP.format(10, "h * h + 3 * x"), 10),
    "500 turns of 10, harmless in every turn": (LOOP.format(10, "0.5 * h + stop_gradient(1 / exp(900 + x))"), 10),
    "500 turns of 10,000, nan from the first turn": (LOOP.format(10_000, "sqrt(h - 0.5) + x"), 10_000),
}
LIMIT = 4.0


def ready_of(text: str, size: int) -> tuple[ModelFile, Request]:
    return ModelFile(text=text, name="model.net"), Request(inputs=(("x", f"linspace(0.1, 1.0, {size})"),))


def plain(file: ModelFile, request: Request) -> Any:
    """The gradient, planned as it was derived."""
    ready = get_ready(*prepare(file, request), request)
    return backend.run_flat(make_flat(ready.derived.graph), ready.inputs)


def medians(sides: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Seconds of each, in turn; the first round is not counted."""
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, taken in zip(sides, seconds, strict=True):
            start = time.perf_counter()
            side()
            if turn:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def peak(work: Callable[[], Any]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def costs(name: str, text: str, size: int, rounds: int) -> list[Ratio]:
    """Of the command from the text on, of the run alone, and of its memory."""
    file, request = ready_of(text, size)
    whole, command = medians([lambda: plain(file, request), lambda: trace(file, request)], rounds)
    ready = get_ready(*prepare(file, request), request)
    graph, plan = ready.derived.graph, make_flat(ready.derived.graph)
    alone = ready.turns.first_alone(graph.nodes)
    planned, traced, probed = medians(
        [
            lambda: backend.run_flat(make_flat(graph), ready.inputs),
            lambda: Tracer().run(graph, ready.inputs),
            lambda: Tracer(probe=Probe(ready.turns, alone, ready.inside)).run(graph, ready.inputs),
        ],
        rounds,
    )
    value = max(definite(out.aval.nbytes) for node in graph.nodes for out in node.outs) / 1e6
    room = peak(lambda: backend.run_flat(plan, ready.inputs)) + value + 1  # of Python's own, and a flag for each number
    return [
        Ratio(name, command * 1e3, whole * 1e3, LIMIT),
        Ratio("  the run alone", traced * 1e3, planned * 1e3, LIMIT),
        Ratio("  with --margins", probed * 1e3, planned * 1e3, 5.0),
        Ratio("  its memory, to one value more", peak(lambda: Tracer().run(graph, ready.inputs)), room, 1.0, "MB"),
    ]


def main(rounds: int = 7) -> int:
    """Print the ratios; 1 if a limit is passed."""
    start_single()
    ratios = [ratio for name, (text, size) in MODELS.items() for ratio in costs(name, text, size, rounds)]
    return report(f"trace, median of {rounds}, against a plain gradient", ratios)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))

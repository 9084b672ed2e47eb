"""Loops: what is found in them is what looking into every turn finds, for a fraction of its cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli.backends import numpy as backend
from gradcli.facts.trace import Margins
from gradcli.opening import prepare
from gradcli.plan import make_flat
from gradcli.request import ModelFile, Request
from gradcli.trace.loops import AT_ONCE, SHARE, Turns
from gradcli.trace.margins import Probe
from gradcli.trace.ready import Ready, get_ready
from gradcli.trace.tracer import Tracer, steps
from tests.conftest import Cli

TURNS = 400
LOOP = "net main(x: f64[6], y: f64[6]) {{\n  h, k = x, y\n  for i in 0..400 {{ {} }}\n  return sum(h), sum(k)\n}}\n"
BODIES = {
    "nothing bad": "h = sin(h) * 0.5 + x",
    "nan in the first turn": "h = sqrt(h - 0.5) + x",
    "nan in one element after the other": "h = sqrt(h - 0.003 * x)",
    "inf runs away": "h = h * h + x",
    "the adjoint": "h = sqrt(h * h) * 0.9",
    "harmless in every turn": "h = 0.5 * h + 1 / (1 + exp(900 * x))",
    "harmless until it is not": "h = h + where(h > 9, k / (h - h), 0); k = k * 1.01",
    "two carries, each by itself": "h = sqrt(h - 0.001); k = log(k - 0.02)",
    "one hands over to the other": "h = h - 0.01; k = where(h < -1, log(h), k)",
    "both sides of a where": "h = where(h > 0.5, 0.99 * h, sqrt(h - 0.5))",
    "until it is done": "h = h - 0.01; k = 1 / (k * (h > 0))",
    "a divisor that is 0 in one turn": "h = h + 1 / (i - 200); k = k * h[0]",
    "0 * inf in the adjoint": "h = h + sqrt(k - k) * 0.1; k = 0.9 * k",
    "loops in a loop": "for j in 0..3 { h = h * h + 0.1 * x }; k = k + exp(100 * h)",
}
DATA = (("x", "[0.0, 0.1, 0.5, 1.0, 0.7, 2.0]"), ("y", "[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]"))


def ready_of(body: str, *, get_all: bool = True) -> Ready:
    text = LOOP.format("\n".join(part.strip() for part in body.split(";")))
    request = Request(inputs=DATA, get_all=get_all)
    return get_ready(*prepare(ModelFile(text=text, name="loop.net"), request), request)


def first_births(ready: Ready, tracer: Tracer) -> dict[str, Any]:
    """Of each result that is not finite, the first birth that spoils it: what is told of it."""
    found = {}
    for name, kind, value in ready.results:
        if value.id in tracer.bad:
            birth = tracer.births[min(tracer.bad[value.id].roots)]
            around, turns = birth.around, []
            while around is not None:
                turns.append(around.turn)
                around = around.outer
            found[f"{kind} {name}"] = birth.node, tuple(turns), birth.index, birth.operands
    return found


class Every(Turns):
    """Looks into every turn."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **{**options, "every": True})


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_what_is_found_is_what_every_turn_shows(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = ready_of(body)
    quick, slow = Tracer(), Tracer()
    made = quick.run(ready.derived.graph, ready.inputs)
    monkeypatch.setattr("gradcli.trace.tracer.Turns", Every)
    for one, other in zip(made, slow.run(ready.derived.graph, ready.inputs), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(quick.bad) == set(slow.bad)
    assert first_births(ready, quick) == first_births(ready, slow)


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_few_turns_are_looked_into(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a loop without a clock: it is run once, and few of its turns once more, node by node."""
    runs: list[Turns] = []
    looks: list[Turns] = []
    make, look = Turns.__init__, Turns._look
    monkeypatch.setattr(Turns, "__init__", lambda self, *a, **o: (runs.append(self), make(self, *a, **o))[1])
    monkeypatch.setattr(Turns, "_look", lambda self, *a: (looks.append(self), look(self, *a))[1])
    ready = ready_of(body)
    loops = [node for node in ready.derived.graph.nodes if node.prim.name == "scan"]
    Tracer().run(ready.derived.graph, ready.inputs)
    outer = [turns for turns in runs if turns.around.outer is None]
    assert len(outer) == len(loops) > 0
    for turns in outer:
        assert looks.count(turns) <= AT_ONCE + TURNS // SHARE
    assert sum(turns.around.outer is None for turns in looks) <= TURNS // 8 * len(loops)


def test_turns_that_are_told_are_those_of_the_run() -> None:
    ready, told = ready_of(BODIES["inf runs away"]), []
    Tracer(on_step=told.append).run(ready.derived.graph, ready.inputs)
    assert len(told) == steps(ready.derived.graph)


def test_a_birth_without_a_flag_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside LAPACK nothing is flagged: then a second run looks into every turn."""
    monkeypatch.setattr(Tracer, "_flag", lambda self, kind, which: None)
    ready = ready_of("h = h + 1 / (i - 200)")
    tracer = Tracer()
    tracer.run(ready.derived.graph, ready.inputs)
    assert tracer.births[0].around.turn == 200


@pytest.mark.parametrize("body", ["h = sin(h) * 0.5 + x", "h = sqrt(h - 0.5) + x", "h = sqrt(h * h) * 0.9"])
def test_a_loop_keeps_one_value_more_than_a_plain_run(body: str) -> None:
    size, turns = 5000, 200
    text = f"net main(x: f64[{size}]) {{\n  h = x\n  for i in 0..{turns} {{ {body} }}\n  return sum(h)\n}}\n"
    request = Request(inputs=(("x", f"linspace(0.0, 1.0, {size})"),))
    ready = get_ready(*prepare(ModelFile(text=text, name="loop.net"), request), request)
    plan = make_flat(ready.derived.graph)
    plain = peak(lambda: backend.run_flat(plan, ready.inputs))
    assert plain > turns * size * 8
    assert peak(lambda: Tracer().run(ready.derived.graph, ready.inputs)) < plain + turns * size * 8 / 4


def peak(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ── near misses ─────────────────────────────────────────────────────────────────────────────────────────────

SMALL = {
    **BODIES,
    "matrices": "h = 0.9 * h + 0.1 * reshape(reshape(h, [2, 3]) @ reshape(y, [3, 2]) @ reshape(h, [2, 3]), [6])",
    "sums that cancel": "h = h - (sum(h) - sum(h * 0.9999999)) * k; k = 0.99 * k",
    "underflow": "h = h * 0.01; k = k * exp(-40 * k)",
    "loops of small arrays in a loop": "h = 0.9 * h; for j in 0..20 while sum(h) > 1 { h = 0.9 * h * cos(j * k[0]) }",
}


@pytest.mark.parametrize("body", SMALL.values(), ids=list(SMALL))
def test_turns_that_are_looked_at_together_tell_what_each_of_them_tells(
    body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = ready_of(body)

    def seen() -> Margins:
        probe = Probe(ready.turns, ready.turns.first_alone(ready.derived.graph.nodes), ready.inside)
        Tracer(probe=probe).run(ready.derived.graph, ready.inputs)
        return probe.margins()

    together = seen()
    for module in ("tracer", "recording"):
        monkeypatch.setattr(f"gradcli.trace.{module}.stacked", lambda turn: 0)
    alone = seen()
    assert together.near == alone.near
    assert together.losses == alone.losses
    assert [*map(repr, together.flow)] == [*map(repr, alone.flow)]  # nan is nan


# ── short memory ────────────────────────────────────────────────────────────────────────────────────────────

VALUE = """net main(x: f64[50]) {
  h = x
  for i in 0..900 { h = tanh(h) * 0.999 + 1 / (i - 700) * 0.1 * h }
  return sum(h)
}
input x = linspace(0.0, 1.0, 50)
"""
ADJOINT = """net main(x: f64[50]) {
  h = x
  for i in 0..900 { h = tanh(h) + sqrt(h * (i != 500)) * 0.001 }
  return sum(h)
}
input x = linspace(0.1, 1.0, 50)
"""


@pytest.mark.parametrize(("model", "turn"), [(VALUE, 700), (ADJOINT, 500)])
@pytest.mark.parametrize("memory", ["200K", "60K", "16K"])
def test_the_turn_is_the_same_where_loops_are_cut(
    cli_inside: Cli, tmp_path: Path, model: str, turn: int, memory: str
) -> None:
    """Loops are run in chunks as those of `grad` are; a turn is still counted from the beginning."""
    (tmp_path / "model.net").write_text(model)
    plenty, short = (
        cli_inside("trace", "model.net", "--memory", size, "--json", cwd=tmp_path).json()["found"]
        for size in ("1G", memory)
    )
    assert [(one["turn"], one["variable"]) for one in short["turns"]] == [(turn, f"i = {turn}")]
    kept = [name for name in plenty if name not in ("path", "operands")]
    assert {name: short[name] for name in kept} == {name: plenty[name] for name in kept}


def test_gradients_turn_by_turn_where_loops_are_cut(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.net").write_text(
        "net main(x: f64[50]) {\n  h = x\n  for i in 0..600 { h = tanh(h) * 0.98 }\n  return sum(h)\n}\n"
        "input x = linspace(0.0, 1.0, 50)\n"
    )
    flows = [
        cli_inside("trace", "model.net", "--memory", size, "--margins", "--json", cwd=tmp_path).done()
        .json()["margins"]["flow"]
        for size in ("1G", "100K", "14K")
    ]  # fmt: skip
    assert flows[0] == flows[1] == flows[2]
    assert len(flows[0]) > 600


# ── infinities that reach no result ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("turns", [0, 1, 50])
@pytest.mark.parametrize("part", ["1 / (1 + exp(900 * x))", "where(x > 9, log(x - x), 0)"])
def test_a_harmless_infinity_is_told_in_a_loop_as_outside(
    cli_inside: Cli, tmp_path: Path, turns: int, part: str
) -> None:
    line = f"h = 0.5 * h + stop_gradient({part})"
    body = f"for i in 0..{turns} {{\n{line}\n}}" if turns else line
    text = f"net main(x: f64[2]) {{\n  h = x\n{body}\n  return sum(h)\n}}\ninput x = [1.0, 2.0]\n"
    (tmp_path / "model.net").write_text(text)
    found = cli_inside("trace", "model.net", "--json", cwd=tmp_path).done().json()["harmless"]
    assert [(one["operator"], one["expression"]) for one in found] == [
        ("exp", "exp(900 * x)") if "exp" in part else ("log", "log(x - x)")
    ]


def test_an_infinity_that_the_model_writes_is_not_told(cli_inside: Cli) -> None:
    ran = cli_inside("trace", "-e", "sum(exp(where(x > 1, x, -inf)))", "-i", "x=[1.0, 2.0]", "--json").done()
    assert ran.json()["harmless"] == []

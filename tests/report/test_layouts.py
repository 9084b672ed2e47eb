"""`show --stage plan`: pages of three models as they are printed, and what every page and document must hold.

`python -m tests.report.test_layouts` writes the pages again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gradcli.engine import Machine, plan_of
from gradcli.facts.plan import Laid, Layout
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, apply
from gradcli.laying import laid, layout
from gradcli.plan import make_flat
from gradcli.report.layouts import FLAT, document, page
from gradcli.report.signs import columns
from gradcli.request import ModelFile, Request
from tests.conftest import Cli

PAGES = Path(__file__).parent / "pages"
MANUAL = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
CHAIN = """\
net main(x: f32[n]) -> f32 = sum(sin(x) * exp(-x * x) + tanh(x))
input x = f32(ones([1000000]))
"""
PERCEPTRON = """\
net main(x: f32[rows, 64]) -> f32 {
  param w1: f32[64, 128] = he_uniform(seed=1)
  param w2: f32[128, 10] = he_uniform(seed=2)
  h = tanh(x @ w1)
  return mean(square(h @ w2))
}
input x = f32(ones([8192, 64]))
"""
LOOP = """\
net main(h: f64[4], w: f64[4]) -> f64 {
  for i in 0..300 {
    h = tanh(h * w)
  }
  return sum(h)
}
input h = ones([4])
input w = ones([4])
"""
MODELS = {"chain": (CHAIN, False), "perceptron": (PERCEPTRON, True), "loop": (LOOP, False)}


def of(name: str) -> Layout:
    text, params = MODELS[name]
    return layout(ModelFile(text=text, name=f"{name}.net"), Request(get_by_list=params, threads=2, backend="numpy"))


@pytest.mark.parametrize("name", MODELS)
def test_a_page_of_80_columns(name: str) -> None:
    assert page(of(name), 80) == (PAGES / f"plan_{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_wider_than_the_terminal_or_cut_elsewhere(name: str) -> None:
    found = of(name)
    assert max(map(columns, page(found, 60).splitlines()[1:-1])) <= 60
    assert "…\n" not in page(found).partition("\n\n")[0]


@pytest.mark.parametrize("name", MODELS)
def test_buffers_of_the_arena_never_overlap_while_both_are_alive(name: str) -> None:
    for plan in _plans(of(name).plan):
        places = [(b.first, b.last, b.offset, b.offset + b.bytes) for b in plan.buffers if b.offset is not None]
        for k, (first, last, begin, end) in enumerate(places):
            assert end <= plan.arena
            for other_first, other_last, other_begin, other_end in places[:k]:
                apart = last < other_first or other_last < first
                assert apart or end <= other_begin or other_end <= begin


@pytest.mark.parametrize("name", MODELS)
def test_every_step_but_what_no_line_asked_for_has_its_line(name: str) -> None:
    text = MODELS[name][0].count("\n")
    for plan in _plans(of(name).plan):
        assert all(1 <= step.line <= text for step in plan.steps if step.file)
        assert any(step.file for step in plan.steps)


def test_what_is_shown_is_what_runs() -> None:
    found = of("perceptron")
    (blocks,) = [step for step in found.plan.steps if step.cut is not None]
    assert blocks.cut is not None
    assert blocks.cut.size * (blocks.cut.blocks - 1) + blocks.cut.rest == blocks.cut.rows == 8192
    assert set(blocks.cut.sums) == {"d_w1", "d_w2"}
    assert found.threads == 2
    assert found.input_bytes == 4 * (8192 * 64 + 64 * 128 + 128 * 10)


def test_a_loop_is_turns() -> None:
    turns = [step for step in of("loop").plan.steps if step.how == "turns"]
    assert [step.turns for step in turns] == [300, 300]
    assert all(step.bodies[0][1].steps for step in turns)


def test_a_flat_plan_says_what_it_lacks() -> None:
    b = Builder()
    x = b.input(Aval((4,), "f64"), "x")
    graph = b.close([apply("exp", apply("sin", x))])
    plan = laid(make_flat(graph))
    found = Layout("m.net", "main", 2026, 1, "cupy", 0, 32, plan)
    text = page(found, 80)
    assert f" {FLAT}\n" in text
    assert [step.how for step in plan.steps] == ["make", "in place"]
    assert plan.steps[1].over == "%0"
    assert plan.peak == make_flat(graph).peak
    assert "arena" not in text.replace(FLAT, "")


def test_the_peak_is_that_of_the_plan() -> None:
    b = Builder()
    x = b.input(Aval((1000, 1000), "f64"), "x")
    graph = b.close([apply("exp", apply("sin", x))])
    plan = plan_of(graph, Machine(threads=1))
    assert laid(plan).peak == plan.peak >= 8_000_000


def test_the_document_is_as_the_manual_says(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "loop.net").write_text(PERCEPTRON)
    found: dict[str, Any] = cli_inside("show", "loop.net", "--stage", "plan", "--json", cwd=tmp_path).done().json()
    manual = MANUAL.read_text(encoding="utf-8").partition("**`show --stage plan`**")[2].partition("\n**`")[0]
    assert found["schema"] == "gradcli.plan/1"
    step = next(step for step in found["steps"] if step["cut"])
    names = [*found, *step, *step["cut"], *found["buffers"][0], *step["bodies"]["block"]]
    assert [name for name in names if f"`{name}`" not in manual] == []
    assert json.loads(document(of("loop")))["steps"]


def test_only_the_plan_is_json(cli_inside: Cli) -> None:
    ran = cli_inside("show", "-e", "x*x", "-i", "x=1", "--json")
    assert ran.code == 2
    assert ran.err.startswith("error[USE005]: `--json` is of the plan, and `--stage graph` is a text")


def test_missing_data_is_named(cli_inside: Cli) -> None:
    ran = cli_inside("show", "-e", "x*y", "--stage", "plan")
    assert "error[DAT101]: expression needs data for its inputs x, y" in ran.err
    assert "help: -i x=… -i y=…" in ran.err


def _plans(plan: Laid) -> list[Laid]:
    return [plan, *(inner for step in plan.steps for _, body in step.bodies for inner in _plans(body))]


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for each in MODELS:
        (PAGES / f"plan_{each}.txt").write_text(page(of(each), 80), encoding="utf-8")

"""`bench`: what is timed, that sides agree first, and what is printed. No time is asserted, as machines are busy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli.facts.measure import Bench, First, Memory, Side, Spread
from gradcli.ir.live import without_dead
from gradcli.measure import bench as benching
from gradcli.measure.bench import bench
from gradcli.measure.eager import Eager, bytes_of
from gradcli.measure.timing import Talk, runs_of, side_by_side, spread
from gradcli.report import benches
from gradcli.report.units import between, count, digits, duration, share, size
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import Diagnostic, ModelError
from tests.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
TOO_LONG = {("saddle", "main")}  # descents in descents: half a minute node by node
QUICK = ("--rounds", "1")
MODEL = """\
net main(x: f64[n], y: f64) -> f64 {
  param w: f64[n] = ones()
  h = tanh(x * w) * y
  for i in 0..20 {
    h = h + 0.1 * sin(h)
  }
  return sum(h * h)
}
input x = [1.0, 2.0, 3.0]
input y = 0.5
"""


def benched(text: str = MODEL, **options: Any) -> Bench:
    return bench(ModelFile(text=text, name="model.net"), Request(**options), rounds=1, seconds=0)


# ── what is measured ────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_call_is_told_part_by_part() -> None:
    found = benched()
    parts = ["read and elaborate", "load the data", "differentiate", "plan", "run"]
    assert [name for name, _ in found.first.parts] == parts
    assert all(seconds >= 0 for _, seconds in found.first.parts)
    assert found.sides[0].first == found.first


def test_eager_runs_beside_it_and_gives_the_same_numbers() -> None:
    own, eager = benched(get_all=True, get_by_list=True).sides
    assert (own.name, eager.name) == ("gradcli", "eager")
    assert own.ratio is None
    assert eager.ratio is not None
    assert eager.ratio.median > 0
    assert eager.apart is not None
    assert eager.apart < 1e-14


@pytest.mark.parametrize("model", sorted((ROOT / "models").rglob("*.net")), ids=lambda path: path.stem)
def test_eager_evaluation_of_every_model(model: Path) -> None:
    """`bench` raises where its numbers are not those of the plan."""
    file = ModelFile(model)
    for net in benching.opening.open_program(file, Request()).scope.nets:
        if (model.stem, net) in TOO_LONG:
            continue
        try:
            work, _, plan, results = benching.first_call(file, Request(net=net, wrt="all"), benching.Machine())
        except ModelError:  # it needs data
            continue
        eager = Eager(without_dead(work.graph))
        with np.errstate(all="ignore"):
            made = eager(work.inputs)
        assert benching.agree(work, "eager", results, made, plan) is not None


def test_memory_is_planned_and_measured() -> None:
    text = "net main(x: f64[1_000_000]) = sum(sin(x) * exp(x))\ninput x = arange(1_000_000) / 1e6\n"
    memory = benched(text).memory
    assert memory.inputs == 8_000_000
    assert memory.results == 8_000_000
    assert memory.measured is not None
    assert memory.run is not None
    assert memory.planned == pytest.approx(memory.measured, rel=0.15)
    assert memory.results <= memory.run <= 1.1 * memory.measured


def test_flops_count_the_turns_of_loops() -> None:
    text = (
        "net main(x: f64[10]) {\n  for i in 0..N {\n    x = x * x + 0.5\n  }\n  return sum(x)\n}\ninput x = zeros(10)\n"
    )
    few, many = (benched(text.replace("N", str(n))).flops for n in (100, 200))
    assert 1.9 < many / few < 2.01


def test_what_eager_evaluation_takes_counts_what_is_alive() -> None:
    work, _, _, _ = benching.first_call(
        ModelFile(text="net main(x: f64[1000]) = sum(exp(sin(x) * x).T)\ninput x = ones(1000)\n", name="m"),
        Request(),
        benching.Machine(),
    )
    assert 16_000 <= bytes_of(without_dead(work.graph)) <= 40_000


def test_eager_evaluation_that_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradcli.measure.eager.bytes_of", lambda graph: 1 << 60)
    found = benched()
    assert [side.name for side in found.sides] == ["gradcli"]
    assert "eager" in found.notes[-1].message


def test_a_side_that_gives_other_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "eager_of", lambda work: lambda: [np.array([1.0, 2.0, 3.5])])
    with pytest.raises(ModelError) as caught:
        benched("net main(x: f64[3]) = sum(x * x) / 2\ninput x = [1, 2, 3]\n")
    assert caught.value.exit_code == 1
    assert [one.code for one in caught.value.diagnostics] == ["NUM097"]


def test_nan_agrees_with_nan() -> None:
    assert benched("net main(x: f64) = sqrt(x) * x / x\ninput x = 0\n").sides[1].apart == 0


# ── rounds ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_sides_take_turns_and_each_goes_first() -> None:
    ran: list[str] = []
    told: list[Any] = []
    found = side_by_side(
        {name: lambda name=name: ran.append(name) for name in "abc"},
        seconds=0.0, rounds=6, talk=Talk(told.append, told.append),
    )  # fmt: skip
    assert told[0] == 6
    assert len(told) == 7
    order = [name for k, name in enumerate(ran) if k == 0 or ran[k - 1] != name]
    assert "".join(order).endswith("cab")  # the sixth round begins with c
    assert all(len(times) == 6 for times in found.seconds.values())
    assert sum(found.runs.values()) * 6 < len(ran)  # what was run to warm up does not count


def test_a_short_run_is_repeated_until_the_clock_can_tell() -> None:
    assert runs_of(lambda: None) > 100


def test_median_and_quartiles() -> None:
    assert spread([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.25, 1.75)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────

SIDE = ["name", "about", "first", "runs", "seconds", "ratio", "apart", "bytes"]
KEYS = [
    "schema", "model", "net", "edition", "backend", "threads", "order", "rounds", "flops", "sens", "sides", "memory",
    "notes",
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "model.net").write_text(MODEL)
    return tmp_path


def test_the_document(cli_inside: Cli, here: Path) -> None:
    document = cli_inside("bench", "model.net", "--wrt", "all", *QUICK, "--json", cwd=here).done().json()
    assert [*document] == KEYS
    assert document["schema"] == "gradcli.bench/1"
    assert [*document["memory"]] == ["inputs", "planned", "measured", "held", "run", "results"]
    assert all([*side] == SIDE for side in document["sides"])
    assert all([*side["seconds"]] == ["median", "low", "high"] for side in document["sides"])
    assert [*document["sides"][0]["first"]][-1] == "in all"
    assert document["rounds"] == 1


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--against", "torch"], 2, "`--against` cannot be `torch`"),
        (["--rounds", "0"], 2, "`--rounds` is a whole number from 1 on"),
        (["--seconds", "nan"], 2, "`--seconds` is a finite number"),
        (["--seconds", "-1"], 2, "`--seconds` is a number from 0 on"),
        (["--json", "--format", "plain"], 2, "disagree"),
        (["--format", "csv"], 2, "`--format` cannot be `csv`"),
        (["--wrt", "z"], 2, "no input or param `z`"),
        (["--memory", "10"], 2, "NUM001"),
    ],
)
def test_wrong_use(cli_inside: Cli, here: Path, options: list[str], code: int, says: str) -> None:
    ran = cli_inside("bench", "model.net", *options, cwd=here)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err


def test_without_inputs(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text("net main(x: f64[3]) = sum(x)\n")
    ran = cli_inside("bench", "m.net", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "DAT101" in ran.err


def test_where_jax_is_missing(cli_inside: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "find_spec", lambda name: None)
    ran = cli_inside("bench", "model.net", "--against", "jax", *QUICK, cwd=here)
    assert (ran.code, ran.out) == (3, "")
    assert "ENV006" in ran.err
    assert "help: `pip install jax`" in ran.err


def test_what_is_short_is_said(cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside("bench", "-e", "x * x", "-i", "x=2", "--rounds", "2", cwd=tmp_path).done()
    assert "most of it is calling operators" in ran.out


@pytest.mark.parametrize("verb", ["bench", "profile"])
def test_results_that_are_not_finite_are_said(cli_inside: Cli, tmp_path: Path, verb: str) -> None:
    given = [verb, "-e", "sqrt(x)", "-i", "x=0", *QUICK]
    ran = cli_inside(*given, cwd=tmp_path).done()
    assert "note[NUM090]: not finite: x" in ran.err
    assert cli_inside(*given, "--strict", cwd=tmp_path).code == 1


@pytest.mark.parametrize("verb", ["bench", "profile"])
def test_a_model_of_the_standard_input(cli: Cli, tmp_path: Path, verb: str) -> None:
    assert "net main" in cli(verb, "-", *QUICK, stdin=MODEL, cwd=tmp_path).done().out


def test_integers_are_left_out_with_a_note(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text("net main(x: f64[3], n: i64) = sum(x) * n\ninput x = [1, 2, 3]\ninput n = 2\n")
    ran = cli_inside("bench", "m.net", "--get-all", *QUICK, cwd=tmp_path).done()
    assert "left out, as not float: n" in ran.err


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────

FOUND = Bench(
    "model.net", "main", 2026, "numpy", 1, 1, ({"output": "out", "kind": "ones", "source": None},), 120,
    First((("read and elaborate", 0.0123), ("load the data", 0.001), ("differentiate", 0.0021), ("plan", 0.0042),
           ("run", 0.0019))),
    (
        Side("gradcli", Spread(0.00121, 0.00119, 0.00125), 2, first=First((("run", 0.0019),)), bytes=3_700_000),
        Side("eager", Spread(0.00390, 0.0038, 0.0041), 1, Spread(0.31, 0.3, 0.33), 0.0,
             about="each operator by itself, on NumPy"),
        Side("jax", Spread(0.00201, 0.00098, 0.0022), 2, Spread(0.602, 0.58, 0.61), 3.1e-7,
             First((("trace", 0.4), ("compile", 1.8), ("run", 0.1))), 4_100_000, "0.10.2, cpu"),
    ),
    14_900_000, Memory(8_000_000, 3_600_000, 3_700_000, 1_200, 1_200_000, 800_000), (),
)  # fmt: skip


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    benches.write(FOUND, sys.stdout, "table", color=False)
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    assert page == (Path(__file__).parent / "pages" / "bench.txt").read_text(encoding="utf-8")


def test_figures_with_units() -> None:
    assert [digits(x) for x in (0.125, 9.996, 12.34, 99.96, 1234)] == ["0.12", "10.0", "12.3", "100", "1234"]
    assert [duration(x) for x in (0, 3.2e-9, 1.23e-6, 0.99999)] == ["0.00 ns", "3.20 ns", "1.23 µs", "1.00 s"]
    assert [count(x) for x in (0, 826, 999.7, 1.49e7, 12.3)] == ["0", "826", "1.00 k", "14.9 M", "12.3"]
    assert [size(x) for x in (512, 3.7e7)] == ["512 B", "37.0 MB"]
    assert [share(x) for x in (0, 0.004, 0.62, 1.8)] == ["0 %", "0.4 %", "62 %", "180 %"]
    assert (between(1.19e-3, 1.25e-3), between(9.8e-4, 1.2e-3)) == ("1.19–1.25 ms", "980 µs–1.20 ms")


def test_a_note_is_in_the_document() -> None:
    from gradcli.record import replace

    noted = replace(FOUND, notes=(Diagnostic("NUM001", "left out", severity="note"),))
    assert '"code": "NUM001"' in benches.document(noted)

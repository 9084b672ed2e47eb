"""`profile`: time goes to the lines that asked for it, in either direction; figures are those of the plan's nodes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gradcli.engine import Machine
from gradcli.facts.measure import Figures, Peaks, Profile, ProfiledLine, ProfiledStep, Spread
from gradcli.ir.aval import Aval
from gradcli.ir.cost import moved, node_flops
from gradcli.ir.graph import Builder, apply
from gradcli.ir.primitive import primitive
from gradcli.measure.bench import first_call
from gradcli.measure.profile import profile
from gradcli.measure.roofline import measure
from gradcli.passes.pipeline import optimize
from gradcli.report import profiles, speedscope
from gradcli.request import ModelFile, Request
from tests.conftest import Cli

QUICK = ("--rounds", "1")
MODEL = """\
net Dense[i, o](x: f32[batch, i]) -> f32[batch, o] {
  param w: f32[i, o] = he_uniform(seed=1)
  return x @ w
}

net main(x: f32[batch, 8], h: f32[batch, 4]) -> f32 {
  layer l1 = Dense[8, 4]
  y = softmax(l1(x))
  for i in 0..30 {
    h = tanh(h * y)
  }
  return sum(h)
}
input x = f32(sin(reshape(arange(40), [5, 8])))
input h = f32(ones([5, 4]))
"""


@pytest.fixture(scope="module")
def found() -> Profile:
    return profile(ModelFile(text=MODEL, name="model.net"), Request(get_all=True, get_by_list=True), rounds=2)


def line(found: Profile, number: int) -> ProfiledLine:
    return next(line for line in found.lines if line.line == number)


# ── by line ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_line_that_computes_has_its_row_and_no_other(found: Profile) -> None:
    assert [line.line for line in found.lines if line.line] == [3, 8, 9, 10]
    assert [line.text for line in found.lines][:2] == ["return x @ w", "y = softmax(l1(x))"]
    assert {line.file for line in found.lines if line.line} == {"model.net"}


def test_forward_and_backward_are_told_apart(found: Profile) -> None:
    for number in (3, 8, 9, 10):
        assert set(line(found, number).figures.seconds) == {"forward", "backward"}


def test_the_operators_of_the_prelude_belong_to_the_line_that_called(found: Profile) -> None:
    labels = [step.label.split()[0] for step in found.steps if step.line == 8 and step.figures.seconds]
    assert {"exp", "reduce_max", "div"} <= set(labels)


def test_the_lines_of_a_loop_tell_its_turns(found: Profile) -> None:
    assert line(found, 9).turns == line(found, 10).turns == 30
    assert line(found, 3).turns == 1
    inside = [step for step in found.steps if step.deeper]
    assert {step.line for step in inside if step.direction == "forward"} == {10}
    assert {step.figures.calls for step in inside} == {30}


def test_what_is_computed_again_in_an_adjoint_loop_is_backward() -> None:
    """There is no memory to keep what each turn makes."""
    longer = ModelFile(text=MODEL.replace("0..30", "0..300"), name="model.net")
    found = profile(longer, Request(get_all=True, get_by_list=True, memory=14_000), rounds=1)
    tanhs = [step for step in found.steps if step.label.startswith("tanh")]
    assert [step.direction for step in tanhs] == ["forward", "backward"]


def test_all_time_is_somewhere(found: Profile) -> None:
    assert sum(line.figures.total for line in found.lines) == pytest.approx(found.stepwise)
    assert sum(step.figures.total for step in found.steps) == pytest.approx(found.stepwise)


def test_flops_of_a_product_by_hand(found: Profile) -> None:
    """Forward and both adjoints, each 2 · 5 · 8 · 4."""
    assert line(found, 3).figures.flops == 3 * 2 * 5 * 8 * 4


def test_turns_are_those_that_were_taken() -> None:
    text = "net main(x: f64) {\n  for i in 0..1000 while x > 1 {\n    x = x * 0.5\n  }\n  return x\n}\ninput x = 1000\n"
    made = profile(ModelFile(text=text, name="m"), Request(), rounds=1)
    calls = {step.figures.calls for step in made.steps if step.deeper and step.label.startswith("mul")}
    assert calls == {10}
    assert {row.turns for row in made.lines if row.line in (2, 3)} == {10}


def test_order_two_and_a_line_in_the_middle() -> None:
    text = "net main(x: f64[3]) {\n  h = tanh(x)\n  return sum(h * h * h)\n}\ninput x = [1, 2, 3]\n"
    for request in (Request(order=2), Request(at="h")):
        made = profile(ModelFile(text=text, name="m"), request, rounds=1)
        assert {row.line for row in made.lines if row.line} <= {2, 3}
        assert any("backward" in row.figures.seconds for row in made.lines)


@pytest.mark.parametrize("fast", [False, True])
def test_passes_keep_what_a_node_is_for(fast: bool) -> None:
    work, _, _, _ = first_call(ModelFile(text=MODEL, name="m"), Request(wrt="all"), Machine())
    nodes = optimize(work.graph, fast_math=fast).nodes
    roles = {node.prim.name: set() for node in nodes}  # type: dict[str, set[Any]]
    for node in nodes:
        roles[node.prim.name].add(None if node.role is None else node.role.kind)
    assert roles["matmul"] == {None, "adjoint"}
    assert roles["scan"] == {None, "adjoint"}


def test_what_moves() -> None:
    builder = Builder()
    x, i = builder.input(Aval((1_000, 4), "f64"), "x"), builder.input(Aval((2,), "i64"), "i")
    one = builder.input(Aval((), "f64"), "one")
    gather = apply("gather", x, i, axes=(0,)).node
    spread_out = (x * apply("broadcast_to", one, shape=(1_000, 4))).node
    part = builder.emit(
        primitive("add_slice"),
        [x, apply("slice", x, items=((0, 2, 1), (0, 4, 1)))],
        {"items": ((2, 2, 1), (0, 4, 1))},
    )[0].node
    assert gather is not None
    assert spread_out is not None
    assert part is not None
    assert moved(gather) == 2 * 64 + 16
    assert moved(spread_out) == 2 * 32_000 + 8
    assert moved(part) == 3 * 64
    assert node_flops(spread_out) == 4_000


@pytest.mark.parametrize("threads", [1, 2])
def test_peaks_are_numbers(threads: int) -> None:
    peaks = measure({"f32", "f16"}, 1 << 20, threads)
    assert peaks.bandwidth > 1e6
    assert set(peaks.flops) == {"f32"}
    assert peaks.least(30, 10, "f64") == (10 / peaks.bandwidth, 0)
    assert peaks.least(30, 10, "f32") == (10 / peaks.bandwidth, 30 / peaks.flops["f32"])


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────

HEAD = ["schema", "model", "net", "edition", "backend", "threads", "order", "rounds", "sens", "seconds", "stepwise",
        "peaks", "lines", "steps", "notes"]  # fmt: skip
FIGURES = ["seconds", "forward", "backward", "tangent", "calls", "flops", "bytes", "intensity", "peak", "bound"]
LINE = ["file", "line", "text", "turns", *FIGURES]
STEP = ["number", "name", "label", "direction", "file", "line", "deeper", *FIGURES, "within"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "model.net").write_text(MODEL)
    return tmp_path


def test_the_document(cli_inside: Cli, here: Path) -> None:
    document = cli_inside("profile", "model.net", *QUICK, "--json", cwd=here).done().json()
    assert [*document] == HEAD
    assert document["schema"] == "gradcli.profile/1"
    assert all([*row] == LINE for row in document["lines"])
    assert all([*row] == STEP for row in document["steps"])


@pytest.mark.parametrize(("by", "keys"), [("line", LINE), ("step", STEP)])
def test_csv(cli_inside: Cli, here: Path, by: str, keys: list[str]) -> None:
    ran = cli_inside("profile", "model.net", *QUICK, "--by", by, "--format", "csv", cwd=here).done()
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [*rows[0]] == keys
    assert all(float(row["seconds"]) >= 0 for row in rows)


@pytest.mark.parametrize("by", ["line", "step"])
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_page_is_no_wider_than_its_terminal(
    cli_inside: Cli, here: Path, by: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = cli_inside("profile", "model.net", *QUICK, "--by", by, "--format", "table", cwd=here).done()
    assert max(map(len, ran.out.splitlines())) <= columns


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--by", "node"], "`--by` cannot be `node`"),
        (["--format", "svg"], "`--format` cannot be `svg`"),
        (["--backend", "cupy"], "`profile` runs on NumPy"),
        (["--wrt", "z"], "no input or param `z`"),
    ],
)
def test_wrong_use(cli_inside: Cli, here: Path, options: list[str], says: str) -> None:
    ran = cli_inside("profile", "model.net", *options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_what_is_short_is_said(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("profile", "-e", "x * x", "-i", "x=2", *QUICK, cwd=here).done()
    assert "note[NUM098]" in ran.err


def test_several_files_are_named(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "part.net").write_text("net twice(x: f64[3]) = sin(x) * 2\n")
    (tmp_path / "model.net").write_text(
        'import "part.net" as part\nnet main(x: f64[3]) = sum(exp(part.twice(x)))\ninput x = [1, 2, 3]\n'
    )
    ran = cli_inside("profile", "model.net", *QUICK, cwd=tmp_path).done()
    assert "part.net:1" in ran.out
    assert "model.net:2" in ran.out


# ── the page and the flame graph ────────────────────────────────────────────────────────────────────────────


def figures(
    forward: float, backward: float, calls: int = 1, flops: int = 0, bytes: int = 0, **operators: float
) -> Figures:
    seconds = {"forward": forward} | ({"backward": backward} if backward else {})
    least = 0.4 * (forward + backward) if bytes else 0.0
    called = {name: (spent, calls) for name, spent in operators.items()}
    return Figures(seconds, calls, flops, bytes, least, 0.0, called)


def step(
    name: str, label: str, direction: str, line: int, deeper: int, own: Figures, within: Figures | None = None
) -> ProfiledStep:
    number = len(name)
    return ProfiledStep(number, name, label, direction, "model.net" if line else "", line, deeper, own, within or own)


FOUND = Profile(
    "model.net", "main", 2026, "numpy", 1, 1, ({"output": "out", "kind": "ones", "source": None},), 48,
    Spread(0.0114, 0.011, 0.012), 0.0112, Peaks(7.64e9, {"f32": 28.8e9}),
    (
        ProfiledLine("model.net", 4, "return x @ w + b", 1, figures(0.00101, 0.00104, 1, 105_000_000, 1_200_000)),
        ProfiledLine("model.net", 9, "for i in 0..200 {", 200, figures(0.002, 0.003, loop=0.005)),
        ProfiledLine("model.net", 10, "h = tanh(l1(h) * 0.5 + 0.25 * x[i] @ u) - 1", 200,
                     figures(0.0021, 0.002, 200, 41_000, 9_000_000)),
        ProfiledLine("", 0, "", 1, figures(0.00005, 0)),
    ),
    (
        step("0", "8 × 16 rows on 2 threads", "mixed", 4, 0, Figures({}, 1, 0, 0, 0.0),
             figures(0.00101, 0.00104, 1, 105_000_000, 1_200_000)),
        step("0.0", "matmul f32[16, 10]", "forward", 4, 1, figures(0.00101, 0, 8, 52_000_000, 600_000)),
        step("0.1", "matmul f32[20, 10]", "backward", 4, 1, figures(0, 0.00104, 8, 53_000_000, 600_000)),
        step("2", "200 turns", "forward", 9, 0, figures(0.005, 0), figures(0.0091, 0, 200, 41_000, 9_000_000)),
        step("2.0", "tanh f32[8]", "forward", 10, 1, figures(0.002, 0, 200, 41_000, 9_000_000)),
        step("2.1", "tanh f32[8]", "forward", 10, 1, figures(0.0021, 0, 200)),
        step("end", "copy f32[8]", "backward", 0, 0, Figures({"backward": 0.00005}, 1, 0, 0, 0.0)),
    ),
    (),
)  # fmt: skip


@pytest.mark.parametrize("by", ["line", "step"])
def test_the_page(capsys: pytest.CaptureFixture[str], by: str) -> None:
    import sys

    profiles.write(FOUND, sys.stdout, "table", by=by)
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    assert page == (Path(__file__).parent / "pages" / f"profile-{by}.txt").read_text(encoding="utf-8")


def check_speedscope(text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], float]:
    """Frames, events and end of a file that is as https://www.speedscope.app/file-format-schema.json has it, and whose
    frames are closed in the order in which they were opened, as its specification asks."""
    file = json.loads(text)
    assert {"$schema", "shared", "profiles"} <= {*file} <= {
        "$schema", "shared", "profiles", "name", "activeProfileIndex", "exporter"}  # fmt: skip
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = file["shared"]["frames"]
    for frame in frames:
        assert {"name"} <= {*frame} <= {"name", "file", "line", "col"}
        assert all(isinstance(frame[key], str) for key in ("name", "file") if key in frame)
        assert all(isinstance(frame[key], int) for key in ("line", "col") if key in frame)
    (one,) = file["profiles"]
    assert {*one} == {"type", "name", "unit", "startValue", "endValue", "events"}
    assert (one["type"], one["unit"]) == ("evented", "seconds")
    stack: list[int] = []
    at = one["startValue"]
    for event in one["events"]:
        assert {*event} == {"type", "frame", "at"}
        assert event["at"] >= at
        assert 0 <= event["frame"] < len(frames)
        at = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert event["type"] == "C"
            assert stack.pop() == event["frame"]
    assert not stack
    assert at <= one["endValue"]
    return frames, one["events"], one["endValue"]


def test_the_flame_graph_of_a_model(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("profile", "model.net", "--wrt", "all", *QUICK, "--format", "speedscope", cwd=here).done()
    frames, _, _ = check_speedscope(ran.out)
    assert {"forward", "backward", "9: for i in 0..30 {"} <= {frame["name"] for frame in frames}


def test_the_flame_graph_bar_by_bar() -> None:
    frames, events, end = check_speedscope(speedscope.document(FOUND, "1"))
    assert end == pytest.approx(0.0112)
    opened = [frames[event["frame"]]["name"] for event in events if event["type"] == "O"]
    assert opened == [
        "0: 8 × 16 rows on 2 threads", "forward", "4: return x @ w + b", "matmul f32[16, 10] ×8", "backward",
        "4: return x @ w + b", "matmul f32[20, 10] ×8", "forward", "9: for i in 0..200 {", "200 turns",
        "10: h = tanh(l1(h) * 0.5 + 0.25 * x[i] @ u) - 1", "tanh f32[8] ×200", "tanh f32[8] ×200", "backward",
        "copy f32[8]",
    ]  # fmt: skip

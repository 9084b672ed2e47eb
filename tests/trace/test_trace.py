"""`trace` as a command: its options, its document, what it leaves alone, and what it costs."""

from __future__ import annotations

import re
import shlex
import sys
import tracemalloc
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Role, apply
from gradcli.ir.region import interpret
from gradcli.request import ModelFile, Request
from gradcli.trace.tracer import Tracer, steps
from gradcli.trace.verb import trace
from tests.conftest import Cli

NORM = "net main(x: f64[2]) = norm(x)\ninput x = [0.0, 0.0]\n"
TWO = """net main(x: f64[2], y: f64[2]) {
  param w: f64[2] = [1.0, 0.0]
  return sum(sqrt(x) + y / w)
}
input x = [1.0, 4.0]
input y = [0.5, 0.5]
"""


# ── the document ────────────────────────────────────────────────────────────────────────────────────────────

PLACE = {"place": str, "expression": str}
MAYBE = (str, type(None))
NUMBER = (int, float, str)
NEAR = {**PLACE, "born": str, "operator": str, "dtype": str, "small": bool, "value": NUMBER, "limit": NUMBER,
        "room": NUMBER}  # fmt: skip
FOUND = {
    "value": str, "born": str, "order": int, "operator": MAYBE, "within": MAYBE, "place": MAYBE, "expression": MAYBE,
    "step": MAYBE, "formula": MAYBE, "numbers": MAYBE, "name": MAYBE, "source": MAYBE, "dtype": str, "shape": list,
    "index": list,
    "count": int, "operands": list, "turns": list, "path": list, "spoils": list, "besides": list,
    "mend": (dict, type(None)),
}  # fmt: skip
PARTS = {
    "operands": {"name": str, "about": MAYBE, "value": NUMBER, "dtype": str, "shape": list, "largest": bool},
    "turns": {"place": MAYBE, "expression": MAYBE, "turn": int, "of": (int, type(None)), "variable": MAYBE},
    "path": {"place": MAYBE, "expression": MAYBE, "born": str, "operator": MAYBE, "value": str, "how": MAYBE},
    "spoils": {"name": str, "kind": str, "nonfinite": int, "size": int},
}
MEND = {"text": str, "place": MAYBE, "expression": MAYBE, "by": MAYBE, "option": MAYBE}
DOCUMENT = {
    "schema": str, "model": str, "net": str, "edition": int, "order": int, "sens": list, "steps": int,
    "found": (dict, type(None)), "harmless": list, "nearest": (dict, type(None)), "margins": (dict, type(None)),
    "notes": list,
}  # fmt: skip
MARGINS = {
    "near": NEAR,
    "losses": {**PLACE, "born": str, "operator": str, "dtype": str, "index": list, "terms": NUMBER, "left": NUMBER,
               "digits": float, "held": float},
    "flow": {**PLACE, "name": str, "shape": list, "rms": NUMBER, "zeros": float,
             "turn": (int, type(None))},
}  # fmt: skip


def has(value: dict[str, Any], schema: dict[str, Any]) -> None:
    assert list(value) == list(schema)
    for key, kind in schema.items():
        assert isinstance(value[key], kind), (key, value[key])


def test_the_document(cli_inside: Cli, tmp_path: Path) -> None:
    loop = "net main(x: f64) {\n  h = x\n  for i in 0..20 { h = sqrt(h * h) - 0.5 * h }\n  return h\n}\n"
    (tmp_path / "model.net").write_text(loop)
    ran = cli_inside("trace", "model.net", "-i", "x=0.0", "--json", cwd=tmp_path)
    document = ran.json()
    has(document, DOCUMENT)
    assert (ran.code, document["schema"], document["margins"]) == (1, "gradcli.trace/1", None)
    found = document["found"]
    has(found, FOUND)
    for name, schema in PARTS.items():
        assert found[name]
        for part in found[name]:
            has(part, schema)
    has(found["mend"], MEND)
    assert (found["value"], found["born"], found["order"], found["operator"]) == ("inf", "adjoint", 1, "sqrt")
    assert (found["place"], found["expression"]) == ("model.net:3:24", "sqrt(h * h)")
    assert (found["turns"][0]["of"], found["turns"][0]["variable"]) == (20, "i = 19")


def test_the_document_of_a_clean_run(cli_inside: Cli) -> None:
    ran = cli_inside(
        "trace", "-e", "sum((1 + 1e-12 * x) - 1) + sum(exp(x))", "-i", "x=[1.0, -800.0]", "--margins", "--json"
    )
    document = ran.done().json()
    has(document, DOCUMENT)
    has(document["nearest"], NEAR)
    assert list(document["margins"]) == [*MARGINS, "verdict"]
    for name, schema in MARGINS.items():
        for part in document["margins"][name]:
            has(part, schema)
    assert document["margins"]["near"][0]["room"] == 0.0
    assert document["margins"]["losses"][0]["digits"] > 11
    assert document["margins"]["verdict"] is None


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────────


def found_in(ran: Any) -> dict[str, Any]:
    assert ran.code == 1, ran.out + ran.err
    found: dict[str, Any] = ran.json()["found"]
    return found


def test_what_came_in_with_data_is_said_to(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.net").write_text(TWO)
    np.save(tmp_path / "y.npy", [1.0, np.nan])
    np.savez(tmp_path / "w.npz", w=[np.inf, 1.0])
    np.save(tmp_path / "s.npy", np.array(-np.inf))
    for options, name, source, value, index in (
        (["-i", "y=y.npy"], "y", "y.npy", "nan", [1]),
        (["--params", "w.npz", "--wrt", "w", "-i", "y=[inf, 1.0]"], "y", "[inf, 1.0]", "inf", [0]),
        (["--sens", "s.npy"], "sens out", "s.npy", "-inf", []),
    ):
        found = found_in(cli_inside("trace", "model.net", *options, "--json", cwd=tmp_path))
        assert (found["born"], found["name"], found["source"]) == ("data", name, source)
        assert (found["value"], found["index"], found["mend"]) == (value, index, None)


def test_infinite_data_that_does_no_harm_is_no_finding(cli_inside: Cli) -> None:
    cli_inside("trace", "-e", "sum(exp(x + m))", "-i", "x=[1.0, 2.0]", "-i", "m=[0.0, -inf]").done()


def test_a_file_that_is_imported_is_named_and_mended(cli_inside: Cli, tmp_path: Path) -> None:
    lib = tmp_path / "lib.net"
    lib.write_text("net unit(v) = v / sqrt(sum(v * v))\n")
    (tmp_path / "model.net").write_text(
        'import "lib.net" as lib\nnet main(x: f64[3]) = sum(lib.unit(x))\ninput x = [0.0, 0.0, 0.0]\n'
    )
    ran = cli_inside("trace", "model.net", cwd=tmp_path)
    assert re.sub(r"\s+", " ", ran.out).split(" --> ")[0].endswith("of line 1 in lib.net, in `/`")
    mend = found_in(cli_inside("trace", "model.net", "--json", cwd=tmp_path))["mend"]
    assert mend["place"] == "lib.net:1:15"
    lib.write_text(lib.read_text().replace(mend["expression"], mend["by"]))
    cli_inside("trace", "model.net", cwd=tmp_path).done()


# ── options ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_selection_is_that_of_grad(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.net").write_text(TWO)
    for options, spoiled, besides in (
        ([], ["out"], []),
        (["--get-all"], ["out"], ["y"]),  # 1 / w is infinite, too: of its own
        (["--wrt", "w"], ["out", "w"], []),
        (["--get-by-list", "--sens", "2.0"], ["out", "w"], []),
    ):
        found = found_in(cli_inside("trace", "model.net", *options, "--json", cwd=tmp_path))
        assert found["expression"] == "y / w"
        assert [one["name"] for one in found["spoils"]] == spoiled
        assert [one["name"] for one in found["besides"]] == besides


def test_a_line_in_the_middle(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.net").write_text("net main(x: f64[2]) {\n  h = x * x\n  return norm(h)\n}\n")
    found = found_in(cli_inside("trace", "model.net", "-i", "x=[0.0, 0.0]", "--at", "h", "--json", cwd=tmp_path))
    assert [(one["name"], one["kind"]) for one in found["spoils"]] == [("h", "gradient")]


def test_a_model_from_standard_input(cli: Cli) -> None:
    ran = cli("trace", "-", stdin=NORM)
    assert ran.code == 1
    assert "  --> <stdin>:1:23" in ran.out
    assert "sqrt(sum(square(x)) + 1e-12)" in ran.out


def test_a_value_without_derivatives(cli_inside: Cli) -> None:
    """What has no float to differentiate by is run forwards; what was asked for and cannot be is an error."""
    cli_inside("trace", "-e", "k + 1", "-i", "k=i64(3)").done()
    ran = cli_inside("trace", "-e", "1 / f64(k)", "-i", "k=i64(0)", "--json")
    assert found_in(ran)["spoils"] == [{"name": "out", "kind": "value", "nonfinite": 1, "size": 1}]
    assert cli_inside("trace", "-e", "k + 1", "-i", "k=i64(3)", "--get-all").code == 2


def test_dtype_is_that_of_the_run(cli_inside: Cli) -> None:
    assert cli_inside("trace", "-e", "x * x", "-i", "x=300.0").code == 0
    ran = cli_inside("trace", "-e", "x * x", "-i", "x=300.0", "--dtype", "f16", "--json")
    assert found_in(ran)["mend"]["option"] == "--dtype f32"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "svg"], "`--format svg` draws near misses"),
        (["--format", "csv"], "`--format` cannot be `csv`"),
        (["--json", "--format", "plain"], "`--json` and `--format plain` disagree"),
    ],
)
def test_wrong_use(cli_inside: Cli, options: list[str], words: str) -> None:
    ran = cli_inside("trace", "-e", "x", "-i", "x=1.0", *options)
    assert ran.code == 2
    assert words in ran.err


def test_the_numbers_are_those_of_numpy_whatever_backend_is_asked_for(
    cli_inside: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a number goes bad is a question about the model: CuPy is neither needed nor imported, and that is said."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    command = ("trace", "-e", "log(x)", "-i", "x=0.0")
    plain, asked = cli_inside(*command), cli_inside(*command, "--backend", "cupy")
    assert (asked.code, asked.out) == (plain.code, plain.out)
    assert asked.err == (
        "note[NUM091]: `trace` ran on NumPy, step by step; the numbers of CuPy differ from these by rounding\n"
    )
    notes = cli_inside(*command, "--backend", "cupy", "--json").json()["notes"]
    assert [(note["code"], note["severity"]) for note in notes] == [("NUM091", "note")]
    assert plain.err == cli_inside(*command, "--backend", "auto").err == ""


def test_the_drawing(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "a<b.net").write_text("net main(x: f64[2]) {\n  h = x * x\n  k = sin(h)\n  return sum(k)\n}\n")
    ran = cli_inside("trace", "a<b.net", "-i", "x=[1.0, 2.0]", "--margins", "--format", "svg", cwd=tmp_path).done()
    texts = [element.text for element in ElementTree.fromstring(ran.out).iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "gradients of a<b.net"
    assert [text for text in texts if text and ", line " in text] == ["k, line 4", "h, line 3", "x, line 2"]


def test_grad_says_how_to_go_on(cli_inside: Cli, tmp_path: Path) -> None:
    """The note of `grad` ends with a command; that command finds it."""
    (tmp_path / "my model.net").write_text(TWO)
    ran = cli_inside("grad", "my model.net", "--get-all", "--sens", "2.0", "-i", "x=[0.0, 1.0]", cwd=tmp_path).done()
    command = ran.err.split("`")[1]
    assert command == "gradcli trace 'my model.net' -i 'x=[0.0, 1.0]' --sens 2.0 --get-all"
    assert cli_inside(*shlex.split(command)[1:], cwd=tmp_path).code == 1


# ── roles ───────────────────────────────────────────────────────────────────────────────────────────────────


def cube() -> Graph:
    builder = Builder()
    x = builder.input(Aval((3,), "f64"), "x")
    return builder.finish([apply("sin", x) * x])


def test_nodes_know_what_they_are_for() -> None:
    first = reverse(cube(), [0])
    assert [node.role for node in first.nodes[:2]] == [None, None]
    roles = {node.role for node in first.nodes[2:] if node.prim.name not in ("constant", "broadcast_to")}
    assert roles == {Role("adjoint", "mul"), Role("adjoint", "sin")}
    second = reverse(Graph(first.inputs, first.nodes, first.outputs[1:], first.n_values, first.names), [0])
    assert Role("adjoint", "cos", Role("adjoint", "sin")) in {node.role for node in second.nodes}


# ── cost ────────────────────────────────────────────────────────────────────────────────────────────────────


def chain(length: int, size: int) -> Graph:
    builder = Builder()
    x = builder.input(Aval((size,), "f64"), "x")
    for _ in range(length):
        x = apply("sin", x) * 0.5
    return builder.finish([apply("reduce_sum", x, axes=(0,))])


def test_a_run_frees_what_is_dead() -> None:
    """A forward chain keeps two values and one more, however long it is; the gradient, one more than its residuals."""
    size, length = 100_000, 30
    x = np.linspace(0.1, 1.0, size)
    graph = chain(length, size)
    assert peak(lambda: Tracer().run(graph, [x])) < 4 * x.nbytes
    gradient = reverse(graph, [0])
    held = length + 4  # each sin(x) needs its x again; what is on the way
    assert peak(lambda: Tracer().run(gradient, [x])) < (held + 1) * x.nbytes


def peak(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


TRAJECTORY = """net main(x: f64) {
  y = zeros([500])
  y[0] = x
  for i in 1..500 { y[i] = sqrt(y[i - 1] * y[i - 1]) * 0.9 }
  return sum(y)
}
"""


def test_a_loop_keeps_less_where_memory_is_short(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.net").write_text(TRAJECTORY)
    command = ("trace", "model.net", "-i", "x=0.0", "--json")
    plenty, short = (cli_inside(*command, "--memory", size, cwd=tmp_path) for size in ("1G", "1M"))
    assert found_in(plenty)["turns"][0]["variable"] == "i = 499"
    assert short.json()["found"] == plenty.json()["found"]
    refused = cli_inside(*command, "--memory", "4K", cwd=tmp_path)
    assert refused.code == 2
    assert "NUM001" in refused.err


def test_a_run_gives_what_a_plain_one_gives() -> None:
    gradient = reverse(chain(5, 7), [0])
    x = np.linspace(0.1, 1.0, 7)
    for traced, plain in zip(Tracer().run(gradient, [x]), interpret(np, gradient, [x]), strict=True):
        np.testing.assert_array_equal(traced, plain)


def test_every_step_is_told_to_whoever_shows_progress() -> None:
    told: list[str] = []
    graph = chain(3, 4)
    Tracer(on_step=told.append).run(graph, [np.ones(4)])
    assert len(told) == len(graph.nodes) == steps(graph)


def test_the_turns_of_a_loop_are_told() -> None:
    started, told = [], []
    file = ModelFile(text="net main(x: f64) {\n  for i in 0..50 { x = sin(x) }\n  return x\n}\n", name="loop.net")
    trace(file, Request(inputs=(("x", "1.0"),)), on_start=started.append, on_step=told.append)
    assert len(told) == started[0] > 2 * 50

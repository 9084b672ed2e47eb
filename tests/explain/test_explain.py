"""The verb: its options, its refusals, and the keys of its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import Cli
from tests.explain.cases import LOOP

SURVEY = ("-e", "log(x1) + x1 * x2 - sin(x2)", "-i", "x1=2", "-i", "x2=5")

EQUATION = {
    "name", "of", "symbol", "shape", "dims", "dtype", "text", "latex", "formula", "call", "summed", "block", "value",
}  # fmt: skip


def test_the_schema(cli_inside: Cli) -> None:
    document: Any = cli_inside("explain", *SURVEY, "--get-all", "--json").done().json()
    assert [*document] == ["schema", "model", "net", "edition", "parts", "lines", "notes"]
    assert document["schema"] == "gradcli.explain/1"
    (part,) = document["parts"]
    assert [*part] == ["of", "mode", "seeds", "steps", "blocks", "results", "closed"]
    assert part["results"] == ["d_x1", "d_x2"]
    for step in part["steps"]:
        assert [*step] == ["place", "value", "derivative", "why"]
        for equation in (step["value"], *step["derivative"]):
            assert set(equation) == EQUATION
            assert equation["value"] is None


def test_the_schema_of_loops(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(LOOP, encoding="utf-8")
    document: Any = cli_inside("explain", "m.net", "--get-all", "--json", cwd=tmp_path).done().json()
    forwards, backwards = sorted(document["parts"][0]["blocks"], key=lambda block: bool(block["reverse"]))
    keys = ["op", "turns", "reverse", "count", "condition", "index", "carried", "slices", "results", "given", "lines"]
    assert [*forwards] == [*backwards] == [*keys, "after"]
    assert (forwards["turns"], forwards["reverse"], backwards["reverse"]) == (50, False, True)
    assert backwards["carried"] == ["d_h", "d_w"]


def test_json_is_valid_where_numbers_are_not_finite(cli_inside: Cli) -> None:
    out = cli_inside("explain", "-e", "where(x > 0, inf, x)", "-i", "x=[1, -1]", "--numbers", "--json").done().out
    document = json.loads(out, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))
    assert document["parts"][0]["steps"][-1]["value"]["value"] == ["inf", -1.0]


def test_what_is_not_asked_for_is_left_out(cli_inside: Cli) -> None:
    """By x1 alone, sin(x2) is a constant and has no line of its own."""
    assert "v4 = v3 − sin(x2)" in cli_inside("explain", *SURVEY, "--wrt", "x1").done().out


def test_a_tangent_that_does_not_read_the_param(cli_inside: Cli, tmp_path: Path) -> None:
    """Of the lines that `w * y` makes, its value is not needed, and what only it reads has no name."""
    (tmp_path / "m.net").write_text(
        "net g(y: f64) {\n  param w: f64 = 2.0\n  return w * y\n}\n"
        "net main(x: f64) = jvp(g, tangent=1.0, wrt=w)(2.0)\ninput x = 1.0\n"
    )
    assert "v1 = 2" in cli_inside("explain", "m.net", cwd=tmp_path).done().out


def test_a_sensitivity_is_told(cli_inside: Cli) -> None:
    out = cli_inside("explain", "-e", "x * x", "-i", "x=[1, 2]", "--sens", "[3, 4]").done().out
    assert "L = Σ v̄1 ⊙ v1" in out
    assert "v̄1 = [3, 4]" in out


def test_refusals(cli_inside: Cli) -> None:
    for options, code in (
        (("--tangent", "x1=1"), "USE005"),
        (("--mode", "forward", "--sens", "1"), "USE005"),
        (("--mode", "sideways"), "USE003"),
        (("--format", "pdf"), "USE003"),
        (("--json", "--format", "md"), "USE005"),
        (("--wrt", "x3"), "DIF003"),
        (("--order", "11"), "DIF007"),
    ):
        ran = cli_inside("explain", *SURVEY, *options)
        assert (ran.code, code in ran.err) == (2, True), (options, ran.err)


def test_numbers_take_a_precision(cli_inside: Cli) -> None:
    assert "0.69314718" in cli_inside("explain", *SURVEY, "--numbers", "--precision", "8").done().out


def test_a_while_loop_has_the_turns_of_the_model(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(
        "net main(y: f64) {\n  for i in 0..50 while y < 100 {\n    y = y * y\n  }\n  return y\n}\ninput y = 10.0\n"
    )
    out = cli_inside("explain", "m.net", cwd=tmp_path).done().out
    assert "for i in 0..50 while y < 100" in out
    assert "for i in the turns taken backwards" in out


def test_a_choice_of_one_or_nothing_is_a_bracket(cli_inside: Cli) -> None:
    assert "∂L/∂x = [x > 0]\n" in cli_inside("explain", "-e", "relu(x)", "-i", "x=[1, -2]").done().out


def test_a_sum_of_the_model_is_no_broadcast_undone(cli_inside: Cli) -> None:
    """Only in reverse mode do sums undo broadcasts: the tangent of a sum is one because its value is."""
    forward = cli_inside("explain", "-e", "sum(x * x)", "-i", "x=[1, 2]", "--mode", "forward", "--json").done().json()
    assert forward["parts"][0]["steps"][-1]["derivative"][0]["summed"] == []
    back = cli_inside("explain", "-e", "x * y", "-i", "x=[1, 2]", "-i", "y=2", "--wrt", "y").done().out
    assert "ȳ = Σ v̄1 ⊙ x  (summed over dim 0)" in back


def test_a_call_reads_what_the_line_is_called(cli_inside: Cli, tmp_path: Path) -> None:
    """Of `n = layer_norm(…)` the value has a name of its own inside the operator."""
    (tmp_path / "m.net").write_text(
        "net main(x: f64[2], y: f64[2]) {\n  n = layer_norm(x, [2])\n  return mse(n, y)\n}\n"
        "input x = [1.0, 2.0]\ninput y = [1.0, 0.0]\n"
    )
    out = cli_inside("explain", "m.net", "--format", "md", cwd=tmp_path).done().out
    assert r"\mathrm{mse(}n\mathrm{, }y\mathrm{)}" in out

"""`--check FILE`: what continuous integration is told where a result is not the one that is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Cli

MODEL = """net Net(x: f32[n], y: f32[n]) -> f32[n] {
  param w: f32 = 2.0
  h = x * w
  k = h + exp(y)
  return k * h
}
input x: f32[3] = [1.0, 2.0, 3.0]
input y: f32[3] = [0.0, 0.0, 0.0]
"""


@pytest.fixture
def golden(tmp_path: Path, cli_inside: Cli) -> Path:
    (tmp_path / "model.net").write_text(MODEL)
    cli_inside("grad", "model.net", "--get-all", "--get-by-list", "-o", "g.npz", cwd=tmp_path).done()
    return tmp_path


def change(folder: Path, name: str, make: Any) -> None:
    arrays = dict(np.load(folder / "g.npz"))
    arrays[name] = make(arrays[name])
    np.savez(folder / "g.npz", **arrays)


def check(cli_inside: Cli, folder: Path, *options: str) -> Any:
    return cli_inside("grad", "model.net", "--get-all", "--get-by-list", "--check", "g.npz", *options, cwd=folder)


def test_the_worst_element_its_line_and_the_operators_behind_it(golden: Path, cli_inside: Cli) -> None:
    change(golden, "x", lambda x: x + np.float32([0, 0.5, 0.25]))
    ran = check(cli_inside, golden)
    assert (ran.code, ran.err) == (1, "")
    assert ran.out == (
        "error[NUM040]: x: 18, stored 18.5 at [1]; 2 of 3 elements differ\n"
        "  --> model.net:1:9\n"
        "   |\n"
        " 1 | net Net(x: f32[n], y: f32[n]) -> f32[n] {\n"
        "   |         ^^^^^^^^^ by this input\n"
        "   |\n"
        "  ::: model.net:3:7\n"
        "   |\n"
        " 3 |   h = x * w\n"
        "   |       ----- its last adjoint comes from this line\n"
        "   |\n"
        "   = note: off by 0.5, 0.027 of it, 262144 ulps; allowed: rtol=1e-05, atol=0.000263\n"
    )


def test_a_param_is_found_at_its_declaration(golden: Path, cli_inside: Cli) -> None:
    change(golden, "w", lambda w: w * np.float32(1.5))
    ran = check(cli_inside, golden, "--format", "oneline")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out == "model.net:2:3: error[NUM040]: w: 62, stored 93; 1 of 1 elements differ\n"


@pytest.mark.parametrize(("options", "code"), [
    ([], 0), (["--ulps", "0"], 1), (["--ulps", "2"], 1), (["--ulps", "3"], 0), (["--rtol", "1e-9"], 1),
    (["--rtol", "1e-9", "--ulps", "3"], 0), (["--atol", "1e-3"], 0),
])  # fmt: skip
def test_units_in_the_last_place(options: list[str], code: int, golden: Path, cli_inside: Cli) -> None:
    def three_up(x: Any) -> Any:
        return (x.view(np.int32) + np.int32([0, 3, 0])).view(np.float32)

    change(golden, "x", three_up)
    ran = check(cli_inside, golden, *options)
    assert ran.code == code
    assert ("3 ulps" in ran.out) == (code == 1)


def test_formats_for_programs(golden: Path, cli_inside: Cli) -> None:
    change(golden, "y", lambda y: y + np.float32(1))
    github = check(cli_inside, golden, "--format", "github")
    assert github.code == 1
    assert github.out.startswith(
        "::error file=model.net,line=1,col=20,title=NUM040,endColumn=29::y: 2, stored 3 at [0]"
    )
    sarif = json.loads(check(cli_inside, golden, "--format", "sarif").out)
    (result,) = sarif["runs"][0]["results"]
    assert result["ruleId"] == "NUM040"
    assert result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"] == 4
    found = check(cli_inside, golden, "--json").json()
    assert {key: found[key] for key in ("schema", "model", "file", "equal")} == {
        "schema": "gradcli.compare/1", "model": "model.net", "file": "g.npz", "equal": False,
    }  # fmt: skip
    (difference,) = found["differences"]
    assert (difference["line"], difference["others"][0]["line"]) == (1, 4)
    assert difference["notes"] == ["off by 1, 0.33 of it, 4.2e+06 ulps; allowed: rtol=1e-05, atol=7e-05"]


def test_agreement_in_every_format(golden: Path, cli_inside: Cli) -> None:
    for form, text in (("full", ""), ("oneline", ""), ("github", "")):
        assert check(cli_inside, golden, "--format", form).done().out == text
    assert check(cli_inside, golden, "--json", "--ulps", "0").done().json()["equal"] is True
    assert json.loads(check(cli_inside, golden, "--format", "sarif").done().out)["runs"][0]["results"] == []


def test_shapes_dtypes_and_names(golden: Path, cli_inside: Cli) -> None:
    change(golden, "x", lambda x: x[:2])
    change(golden, "y", lambda y: y.astype(np.float64))
    arrays = dict(np.load(golden / "g.npz"))
    arrays["ww"] = arrays.pop("w")
    np.savez(golden / "g.npz", **arrays)
    ran = check(cli_inside, golden, "--format", "oneline")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "model.net:1:9: error[NUM040]: x: shape [3], stored [2]",
        "model.net:1:20: error[NUM040]: y: dtype f32, stored f64",
        "model.net:2:3: error[NUM040]: w: missing in g.npz",
        "error[NUM040]: ww: in g.npz, but not a result of this run",
    ]


def test_many_differences_are_cut(golden: Path, cli_inside: Cli) -> None:
    arrays = dict(np.load(golden / "g.npz")) | {f"k{at}": np.zeros(1) for at in range(500)}
    np.savez(golden / "g.npz", **arrays)
    ran = check(cli_inside, golden, "--format", "oneline")
    assert len(ran.out.splitlines()) == 101
    assert ran.out.endswith("error[NUM040]: … and 400 more differences\n")


def test_a_value_is_found_at_its_line(golden: Path, cli_inside: Cli) -> None:
    np.savez(golden / "v.npz", **{"value/out": np.float32([6, 20, 43]), "x": np.float32([10, 18, 26])})
    ran = cli_inside("grad", "model.net", "--value", "--check", "v.npz", "--format", "oneline", cwd=golden)
    assert (ran.code, ran.out) == (
        1, "model.net:5:10: error[NUM040]: value/out: 42, stored 43 at [2]; 1 of 3 elements differ\n",
    )  # fmt: skip

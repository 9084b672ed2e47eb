"""What is printed, in every form, and what is written by `-o`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.models import BY_X, BY_Y, W, X, Y
from tests.conftest import Cli

TWO = ("two.net", "--net", "Two")
ALL = {"x": BY_X, "y": BY_Y, "l.w": 2 * X}

# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = """\
 two.net · net Two · sens: ones (implicit) · numpy, 1 thread
  output   shape   dtype   value
  h        3       f64     [2  8  18]
  k        3       f64     [5  7  9]

  input   shape   dtype   gradient
  x       3       f64     [3  5  7]
  y       3       f64     [1  1  1]
"""


def test_the_page_of_grad(cli_inside: Cli, here: Path) -> None:
    given = ["grad", *TWO, "--get-all", "--value", "--threads", "1"]
    ran = cli_inside(*given, cwd=here).done()
    assert (ran.out, ran.err) == (PAGE, "")
    assert cli_inside(*given, "--format", "plain", cwd=here).done().out == PAGE
    assert cli_inside(*given, "--format", "table", cwd=here).done().out == PAGE


def test_the_page_of_eval(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("eval", "two.net", "--net", "Other", "--threads", "1", cwd=here).done()
    assert ran.out == (
        " two.net · net Other · numpy, 1 thread\n  output   shape    dtype   value\n  out      scalar   f64     14\n"
    )


def test_a_large_array_is_summed_up(cli_inside: Cli) -> None:
    given = ["eval", "-e", "reshape(arange(600), [20, 30]) * x", "-i", "x=2.0", "--threads", "1"]
    assert cli_inside(*given).done().out == (
        " <expression> · net expression · numpy, 1 thread\n"
        "  output   shape   dtype   value\n"
        "  out      20×30   f64     min 0 · max 1198 · mean 599 · norm 16949.3\n"
        "                           zeros 1 · non-finite 0\n"
        "                           [[   0     2     4  …    54    56    58]\n"
        "                            [  60    62    64  …   114   116   118]\n"
        "                            [ 120   122   124  …   174   176   178]\n"
        "                            …\n"
        "                            [1020  1022  1024  …  1074  1076  1078]\n"
        "                            [1080  1082  1084  …  1134  1136  1138]\n"
        "                            [1140  1142  1144  …  1194  1196  1198]]\n"
    )


def test_full_prints_all_of_it(cli_inside: Cli) -> None:
    given = ["eval", "-e", "arange(600) * x", "-i", "x=1.0"]
    cut, full = cli_inside(*given).done().out, cli_inside(*given, "--full").done().out
    assert "300" not in cut
    assert all(str(number) in full for number in range(600))


def test_precision(cli_inside: Cli) -> None:
    given = ["eval", "-e", "x / 3", "-i", "x=1"]
    assert "0.3333333333333333" in cli_inside(*given).done().out
    assert "0.333\n" in cli_inside(*given, "--precision", "3").done().out


def test_numbers_are_the_shortest_of_their_dtype(cli_inside: Cli) -> None:
    for dtype, shown in (("f16", "0.1"), ("f32", "0.1"), ("f64", "0.1")):
        (value,) = cli_inside("eval", "-e", "x", "-i", "x=0.1", "--dtype", dtype, "--json").done().json()["values"]
        assert json.dumps(value["data"]) == shown


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────

HEAD = {"schema": str, "model": str, "net": str, "edition": int, "backend": str}
VALUE = {"name": str, "shape": list, "dtype": str, "data": (list, float, int, str)}
GRAD = {"wrt": list, "kind": str, "shape": list, "dtype": str, "norm": (float, int, str), "nonfinite": int}
GRAD |= {"zero": (dict, type(None)), "data": (list, float, int, str)}
SENS = {"output": str, "kind": str, "source": (str, type(None))}
GRAD_DOCUMENT = {**HEAD, "sens": list, "values": (list, type(None)), "grads": list, "notes": list}
EVAL_DOCUMENT = {**HEAD, "values": list, "notes": list}
TEST_DOCUMENT = {"schema": str, "cases": list, "passed": int, "failed": int}
CASE = {"file": str, "case": str, "status": str, "message": str, "seconds": (float, int)}
DIAGNOSTIC = {"code": str, "severity": str, "message": str}


def fits(value: dict[str, Any], fields: dict[str, Any]) -> None:
    """The same keys in the same order, each of its kind."""
    assert [*value] == [*fields]
    for name, kind in fields.items():
        assert isinstance(value[name], kind), name


def test_the_document_of_grad(cli_inside: Cli, here: Path) -> None:
    given = ["grad", *TWO, "--get-all", "--get-by-list", "--value"]
    document = cli_inside(*given, "--json", cwd=here).done().json()
    assert document == cli_inside(*given, "--format", "json", cwd=here).done().json()
    fits(document, GRAD_DOCUMENT)
    assert [document[name] for name in HEAD] == ["gradcli.grad/1", "two.net", "Two", 2026, "numpy"]
    for entry in document["sens"]:
        fits(entry, SENS)
    for value in document["values"]:
        fits(value, VALUE)
    for grad, (name, wanted) in zip(document["grads"], ALL.items(), strict=True):
        fits(grad, GRAD)
        assert grad["wrt"] == [name]
        assert grad["kind"] == ("param" if "." in name else "input")
        assert (grad["shape"], grad["dtype"], grad["nonfinite"], grad["zero"]) == ([3], "f64", 0, None)
        assert grad["norm"] == pytest.approx(np.linalg.norm(wanted), rel=1e-6)
        assert grad["data"] == [*wanted]


def test_the_document_of_eval(cli_inside: Cli, here: Path) -> None:
    document = cli_inside("eval", *TWO, "--json", cwd=here).done().json()
    fits(document, EVAL_DOCUMENT)
    assert document["schema"] == "gradcli.eval/1"
    for value, (name, wanted) in zip(document["values"], {"h": 2 * X * W, "k": X + Y}.items(), strict=True):
        fits(value, VALUE)
        assert (value["name"], value["data"]) == (name, [*wanted])


def test_the_document_of_test(cli_inside: Cli, here: Path) -> None:
    (here / "cases.net").write_text('case "good" {\n  expect 1 == 1\n}\ncase "bad" {\n  expect 1 == 2\n}\n')
    (here / "wrong.net").write_text("net f(x) = (x\n")
    ran = cli_inside("test", "cases.net", "wrong.net", "--json", cwd=here)
    assert ran.code == 1
    document = ran.json()
    fits(document, TEST_DOCUMENT)
    for case in document["cases"]:
        fits(case, CASE)
    assert [case["status"] for case in document["cases"]] == ["passed", "failed", "error"]
    assert document["cases"][1]["message"] == "expected ==, but 1 against 2"
    assert document["cases"][2]["message"] == "wrong.net:1:12: error[SYN002]: `(` is never closed"
    lines = cli_inside("test", "cases.net", "--format", "jsonl", cwd=here).out.splitlines()
    assert [json.loads(line)["case"] for line in lines] == ["good", "bad"]


def test_the_document_of_check(cli_inside: Cli, here: Path) -> None:
    (here / "wrong.net").write_text("net f(x: f64[2], y: f64[3]) = x + y\n")
    ran = cli_inside("check", "two.net", "wrong.net", "--json", cwd=here)
    assert ran.code == 1
    document = ran.json()
    assert [*document] == ["schema", "files", "errors", "warnings"]
    assert (document["schema"], document["errors"], document["warnings"]) == ("gradcli.check/1", 1, 0)
    good, bad = document["files"]
    assert [net["name"] for net in good["nets"]] == ["Scale", "Two", "Other"]
    assert good["nets"][1]["params"] == {"l.w": "f64[3]"}
    assert [output["name"] for output in good["nets"][1]["outputs"]] == ["h", "k"]
    (found,) = bad["diagnostics"]
    assert DIAGNOSTIC.items() <= {name: type(found[name]) for name in DIAGNOSTIC}.items()
    assert found["code"] == "SHP101"


def test_numbers_that_are_not_finite_are_strings(cli_inside: Cli) -> None:
    ran = cli_inside("eval", "-e", "[x / 0, -x / 0, 0 * x / 0]", "-i", "x=1.0", "--json").done()
    assert ran.json()["values"][0]["data"] == ["inf", "-inf", "nan"]
    why = "`gradcli trace -e '[x / 0, -x / 0, 0 * x / 0]' -i x=1.0` tells where it went bad"
    assert ran.err == f"note[NUM090]: the value is not finite: 3 of 3 in out; {why}\n"


def test_json_lines(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, "--get-all", "--value", "--format", "jsonl", cwd=here).done()
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [[*row][-1] for row in rows] == ["value", "value", "grad", "grad"]
    assert all([*row][:-1] == [*HEAD] for row in rows)
    assert [row["grad"]["data"] for row in rows[2:]] == [[*BY_X], [*BY_Y]]


def test_csv(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, "--get-all", "--format", "csv", cwd=here).done()
    rows = [*csv.DictReader(io.StringIO(ran.out))]
    assert [(row["name"], row["index"], float(row["value"])) for row in rows] == [
        (name, str(at), ALL[name][at]) for name in ("x", "y") for at in range(3)
    ]


def test_json_and_csv_are_complete(cli_inside: Cli) -> None:
    given = ["eval", "-e", "arange(1000) * x", "-i", "x=1.0"]
    assert len(cli_inside(*given, "--json").done().json()["values"][0]["data"]) == 1000
    assert len(cli_inside(*given, "--format", "csv").done().out.splitlines()) == 1001


@pytest.mark.parametrize("form", ["full", "oneline", "github", "sarif"])
def test_the_forms_of_check(form: str, cli_inside: Cli, here: Path) -> None:
    (here / "wrong.net").write_text("net f(x: f64[2], y: f64[3]) = x + y\n")
    ran = cli_inside("check", "wrong.net", "--format", form, cwd=here)
    assert ran.code == 1
    match form:
        case "full":
            assert "  --> wrong.net:1:33\n" in ran.out
        case "oneline":
            assert ran.out.startswith("wrong.net:1:33: error[SHP101]: ")
            assert ran.out.count("\n") == 1
        case "github":
            assert ran.out.startswith("::error file=wrong.net,line=1,")
        case "sarif":
            (result,) = json.loads(ran.out)["runs"][0]["results"]
            assert (result["ruleId"], result["level"]) == ("SHP101", "error")


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name, as other programs read them."""
    match path.suffix:
        case ".npz":
            return dict(np.load(path))
        case ".safetensors":
            return load_file(path)
        case ".json":
            return {name: np.array(value) for name, value in json.loads(path.read_text()).items()}
        case ".csv":
            head, *rows = csv.reader(io.StringIO(path.read_text()))
            return dict(zip(head, np.array(rows, float).T, strict=True))
    return {"x": np.load(path)}


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "json", "csv"])
def test_written_and_read_back(suffix: str, cli_inside: Cli, here: Path) -> None:
    name = f"g.{suffix}"
    ran = cli_inside("grad", *TWO, "--get-all", "--get-by-list", "-o", name, cwd=here).done()
    assert (ran.out, ran.err) == ("", "")
    found = read(here / name)
    assert {*found} == {*ALL}
    for key, wanted in ALL.items():
        np.testing.assert_array_equal(found[key], wanted)
    cli_inside("grad", *TWO, "--get-all", "--get-by-list", "--check", name, cwd=here).done()
    cli_inside("grad", "square.net", "-i", f"x={name}:x", "-i", f"y={name}:y", cwd=here).done()


def test_one_array_is_an_npy(cli_inside: Cli, here: Path) -> None:
    cli_inside("grad", *TWO, "-o", "g.npy", cwd=here).done()
    np.testing.assert_array_equal(np.load(here / "g.npy"), BY_X)
    ran = cli_inside("grad", *TWO, "--get-all", "-o", "h.npy", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[DAT041]: ")
    assert not (here / "h.npy").exists()


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
@pytest.mark.parametrize("suffix", ["npz", "safetensors", "npy"])
def test_written_in_the_dtype_of_the_model(suffix: str, dtype: str, cli_inside: Cli, here: Path) -> None:
    cli_inside("grad", "two.net", "--net", "Other", "--dtype", dtype, "-o", f"g.{suffix}", cwd=here).done()
    assert read(here / f"g.{suffix}")["x"].dtype == np.dtype(f"f{int(dtype[1:]) // 8}")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["eval", *TWO], ["h", "k"]),
        (["eval", "square.net", "--inputs", "d.npz"], ["out"]),
        (["grad", *TWO, "--value"], ["value/h", "value/k", "x"]),
        (["grad", "square.net", "--inputs", "d.npz", "--order", "2", "--get-all"], ["x,x", "x,y", "y,x", "y,y"]),
        (["grad", *TWO, "--at", "l/s"], ["l/s"]),
    ],
)
def test_names_in_files(arguments: list[str], names: list[str], cli_inside: Cli, here: Path) -> None:
    cli_inside(*arguments, "-o", "g.safetensors", cwd=here).done()
    assert {*load_file(here / "g.safetensors")} == {*names}


def test_nonfinite_numbers_survive(cli_inside: Cli, here: Path) -> None:
    for suffix in ("npz", "csv", "json", "safetensors"):
        name = f"g.{suffix}"
        cli_inside("eval", "-e", "[x / 0, 0 * x / 0, -x]", "-i", "x=1.0", "-o", name, cwd=here).done()
        ran = cli_inside("eval", "-e", "x", "-i", f"x={name}", "--json", cwd=here).done()
        assert ran.json()["values"][0]["data"] == ["inf", "nan", -1.0]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("missing/g.npz", "DAT040"),
        ("folder.npz", "DAT040"),
        ("circle.npz", "DAT040"),
        ("two.net/g.npz", "DAT040"),
        ("g.txt", "DAT041"),
        ("g", "DAT041"),
        ("", "DAT041"),
        ("x" * 300 + ".npz", "DAT040"),
    ],
)
def test_where_nothing_can_be_written(target: str, code: str, cli_inside: Cli, here: Path) -> None:
    (here / "folder.npz").mkdir()
    (here / "circle.npz").symlink_to("circle.npz")
    before = sorted(path.name for path in here.iterdir())
    ran = cli_inside("grad", *TWO, "-o", target, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")
    assert sorted(path.name for path in here.iterdir()) == before


def test_a_file_is_replaced_only_by_a_whole_one(cli_inside: Cli, here: Path) -> None:
    cli_inside("grad", *TWO, "-o", "g.npz", cwd=here).done()
    before = (here / "g.npz").read_bytes()
    assert cli_inside("grad", *TWO, "-i", "x=[1, 2]", "-o", "g.npz", cwd=here).code == 2
    assert (here / "g.npz").read_bytes() == before
    cli_inside("grad", *TWO, "--get-all", "-o", "g.npz", cwd=here).done()
    assert (here / "g.npz").read_bytes() != before


def test_a_link_is_written_through(cli_inside: Cli, here: Path) -> None:
    (here / "target.npz").write_bytes(b"old")
    (here / "link.npz").symlink_to("target.npz")
    cli_inside("grad", *TWO, "-o", "link.npz", cwd=here).done()
    assert (here / "link.npz").is_symlink()
    np.testing.assert_array_equal(np.load(here / "target.npz")["x"], BY_X)


# ── voice ───────────────────────────────────────────────────────────────────────────────────────────────────

ROOT_AT_0 = ("grad", "-e", "sqrt(x)", "-i", "x=0.0")


def test_strict(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside(*ROOT_AT_0).done()
    why = "`gradcli trace -e 'sqrt(x)' -i x=0.0` tells where it went bad"
    assert ran.err == f"note[NUM090]: the gradient is not finite: 1 of 1 in x; {why}\n"
    strict = cli_inside(*ROOT_AT_0, "--strict")
    assert (strict.code, strict.out, strict.err) == (1, ran.out, ran.err)
    assert cli_inside("grad", *TWO, "--strict", cwd=here).code == 0


def test_quiet(cli_inside: Cli) -> None:
    ran = cli_inside(*ROOT_AT_0, "-q").done()
    assert ran.err == ""
    assert "inf" in ran.out
    assert cli_inside(*ROOT_AT_0, "-q", "--strict").code == 1
    assert cli_inside("grad", "-e", "(", "-q").err.startswith("error[SYN002]")


def test_verbose(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, "-v", "--backend", "numpy", "--threads", "1", cwd=here).done()
    assert ran.err == "backend: numpy, 1 thread (asked for)\n"
    ran = cli_inside("grad", *TWO, "-v", "--backend", "numpy", "-o", "g.npz", cwd=here).done()
    assert ran.err.endswith("wrote g.npz\n")


@pytest.mark.parametrize(
    "options",
    [
        ["-q", "-v"],
        ["-o", "g.npz", "--json"],
        ["-o", "g.npz", "--format", "csv"],
        ["--json", "--format", "csv"],
        ["--partial"],
        ["-i", "x=[1, 2, 3]", "-i", "x=[1, 2, 3]"],
        ["-c", "a=1", "-c", "a=2"],
        ["-e", "x"],
    ],
)
def test_options_that_disagree(options: list[str], cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, *options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[USE005]: ")
    assert not (here / "g.npz").exists()


def test_engine_options_change_no_number(cli_inside: Cli, here: Path) -> None:
    plain = cli_inside("grad", *TWO, "--json", cwd=here).done().out
    for options in (["--fast-math"], ["--threads", "2"], ["--memory", "1G"], ["--backend", "numpy"], ["--device", "0"]):
        assert cli_inside("grad", *TWO, "--json", *options, cwd=here).done().out == plain


def test_what_does_not_fit_is_refused_before_it_runs(cli_inside: Cli) -> None:
    ran = cli_inside("eval", "-e", "sin(arange(1000) * x)", "-i", "x=1.0", "--memory", "4K")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[NUM001]: ")
    assert "<expression>:1:" in ran.err
    cli_inside("eval", "-e", "sin(arange(1000) * x)", "-i", "x=1.0", "--memory", "1M").done()

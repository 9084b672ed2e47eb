"""`diff`: that nothing but meaning counts in a model, git revisions, stored results. Whole answers: tests/planted."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli import api
from gradcli.data.write import write_arrays
from gradcli.diff.verb import structure
from gradcli.facts.differences import Tolerance
from gradcli.interp.files import read_source
from gradcli.interp.program import Program
from gradcli.report.differences import difference_text
from gradcli.request import Request
from gradcli.syntax.diagnostics import Source
from tests.conftest import ROOT, Cli, Ran

MODELS = sorted((ROOT / "models").rglob("*.net"))
KEYS = [
    "schema", "kind", "left", "right", "equal", "net", "nets", "arrays", "changes", "differences", "notes",
]  # fmt: skip


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────


def program(text: str, path: Path) -> Program:
    return Program(Source(path.name, text), path.parent, path=path)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: str(path.relative_to(ROOT / "models")))
def test_a_model_is_itself(path: Path) -> None:
    """With more blanks and comments, and other names for what lines bind, too."""
    text = read_source(path).text
    changes, notes, count = structure(program(text, path), program(text, path))
    assert (changes, notes) == ((), ())
    assert count or "net " not in text
    other = re.sub(r"\n", "   # a comment\n\n", text) if '"""' not in text else text
    other = re.sub(r"^(\s+)(\w+) = (.*)$", r"\1\2=  \3", other, flags=re.MULTILINE)
    changes, _, _ = structure(program(text, path), program(other, path))
    assert changes == ()


MANY = """net f(x: f64[n], y: f64[n]) -> f64[n] {
  param w: f64 = 2.0
  a = x * w
  b, c = value_and_grad(g)(y)
  net k(t) = t * a
  d = zeros([size(n), 2])
  for i in 0..4 {
    s = sin(a)
    a = a + s
    d[:, 0] = a
  }
  b = k(b)
  return a + b + c + d[:, 0]
}
net g(x: f64[n]) -> f64 = sum(x * x)
"""


def changes_of(text: str) -> list[tuple[str, str, str]]:
    found, _, _ = structure(program(MANY, Path("a.net")), program(text, Path("b.net")))
    return [(change.kind, change.what, change.name or (change.right or change.left).text) for change in found]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "i", "s", "n"])
def test_a_local_name_does_not_count(name: str) -> None:
    other = re.sub(rf"\b{name}\b", "q", MANY)
    assert other != MANY
    assert changes_of(other) == []


@pytest.mark.parametrize(("old", "new", "found"), [
    ("x * w", "w * x", ("changed", "line", "w * x")),
    ("2.0", "2.5", ("changed", "param", "w")),
    ("0..4", "0..5", ("changed", "line", "5")),
    ("d[:, 0] = a", "d[:, 0] += a", ("changed", "line", "d[:, 0] += a")),
    ("d[:, 0] = a", "d[:, 1] = a", ("changed", "line", "1")),
    ("t * a", "t * x", ("changed", "line", "x")),
    ("    a = a + s\n", "    z = a + s\n", ("changed", "line", "z = a + s")),
    ("b = k(b)", "c = k(b)", ("changed", "line", "a + b + c")),
    ("    s = sin(a)\n    a = a + s\n", "    a = a + sin(a)\n", ("changed", "line", "a + sin(a)")),
    ("sum(x * x)", "sum(x)", ("changed", "line", "x")),
    ("-> f64[n] {", "-> f64[m] {", ("changed", "result", "m")),
    ("y: f64[n]", "y: f64[m]", ("changed", "input", "y")),
    ("y: f64[n]", "y: f64[2 * n]", ("changed", "input", "y")),
    ("y: f64[n]", "y: f64[n] = ones([3])", ("changed", "input", "y")),
    ("net g(", "net h(", ("removed", "net", "g")),
    ("(x: f64[n], y: f64[n])", "(y: f64[n], x: f64[n])", ("changed", "inputs", "f")),
])  # fmt: skip
def test_what_means_something_counts(old: str, new: str, found: tuple[str, str, str]) -> None:
    assert old in MANY
    assert found in changes_of(MANY.replace(old, new))


def test_a_net_by_name_only(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net f(x) = x\nnet g(x) = x\n")
    (tmp_path / "b.net").write_text("net f(x) = x\nnet g(x) = 2 * x\n")
    assert cli_inside("diff", "a.net", "b.net", "--net", "f", "--structure", cwd=tmp_path).code == 0
    assert cli_inside("diff", "a.net", "b.net", "--net", "f", "-i", "x=[1.0]", cwd=tmp_path).code == 0
    assert cli_inside("diff", "a.net", "b.net", "--net", "g", "-i", "x=[1.0]", cwd=tmp_path).code == 1


def test_a_long_model_in_time(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net f(x) = x" + " + x" * 20_000 + "\n")
    (tmp_path / "b.net").write_text("net f(x) = x" + " + x" * 10_000 + " - x" + " + x" * 9_999 + "\n")
    ran = cli_inside("diff", "a.net", "b.net", "--structure", cwd=tmp_path)
    assert ran.code == 1
    assert len(ran.out) < 2000
    lines = [f"  x = sin(x) + {at}" for at in range(1000)]
    (tmp_path / "a.net").write_text("\n".join(["net f(x) {", *lines, "  return x", "}"]))
    (tmp_path / "b.net").write_text(
        "\n".join(["net f(x) {", *lines[:500], "  x = x * x", *lines[500:], "  return x", "}"])
    )
    found = cli_inside("diff", "a.net", "b.net", "--structure", "--json", cwd=tmp_path).json()
    assert [(change["kind"], change["right"]["text"]) for change in found["changes"]] == [("added", "x = x * x")]


def test_the_document(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net f(x: f64) = sqrt(x)\n")
    (tmp_path / "b.net").write_text("net f(x: f64) = sqrt(x) * 1e400\n".replace("1e400", "inf"))
    found = cli_inside("diff", "a.net", "b.net", "-i", "x=0.0", "--json", cwd=tmp_path).json()
    assert [*found] == KEYS
    assert found["schema"] == "gradcli.diff/1"
    assert [*found["changes"][0]] == ["kind", "what", "net", "name", "message", "left", "right"]
    (value,) = found["differences"]
    assert [*value] == ["name", "kind", "message", "worst", "left", "right"]
    assert [*value["worst"]] == [
        "index", "left", "right", "absolute", "relative", "ulps", "count", "size", "rtol", "atol",
    ]  # fmt: skip
    assert (value["worst"]["right"], value["worst"]["absolute"], value["worst"]["ulps"]) == ("nan", "nan", None)
    assert [*value["left"]] == ["file", "line", "column", "end_line", "end_column", "text"]
    only = cli_inside("diff", "a.net", "b.net", "--structure", "--json", cwd=tmp_path).json()
    assert only["differences"] is None


# ── revisions ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "layers.net").write_text("net twice(x: f64[n]) -> f64[n] = 2 * x\n")
    model = 'import "layers.net" as l\nnet main(x: f64[n]) -> f64[n] = l.twice(x)\ninput x = load("x.npy")\n'
    (tmp_path / "sub" / "main.net").write_text(model)
    np.save(tmp_path / "sub" / "x.npy", np.array([1.0, 2.0]))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "sub/main.net", "sub/layers.net")
    git(tmp_path, "-c", "user.name=n", "-c", "user.email=e@e", "commit", "-qm", "one")
    (tmp_path / "sub" / "layers.net").write_text("net twice(x: f64[n]) -> f64[n] = 3 * x\n")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *arguments], cwd=folder, check=True, env=os.environ | alone, capture_output=True)


@pytest.mark.parametrize(("folder", "left", "right"), [
    ("", "HEAD:sub/main.net", "sub/main.net"), ("sub", "HEAD:sub/main.net", "main.net"),
    ("sub", "HEAD:./main.net", "main.net"), ("sub", "HEAD:main.net", "main.net"),
])  # fmt: skip
def test_imports_are_those_of_the_revision(
    folder: str, left: str, right: str, repository: Path, cli_inside: Cli
) -> None:
    """The data are those of today."""
    ran = cli_inside("diff", left, right, cwd=repository / folder)
    assert (ran.code, ran.err) == (1, "")
    assert "line changed in net l.twice: another expression\n  --> HEAD:sub/layers.net:1:34\n" in ran.out
    assert re.search(r"value out +4 +6 +\[1\]", ran.out)
    assert cli_inside("diff", left, left, cwd=repository / folder).code == 0


@pytest.mark.parametrize(("left", "code", "help"), [
    ("HEAD:sub/mian.net", "DAT110", "did you mean HEAD:sub/main.net?"), ("HAED:sub/main.net", "DAT112", "git log"),
    ("-x:sub/main.net", "USE002", ""), ("HEAD^9:sub/main.net", "DAT112", ""), ("HEAD:sub", "DAT110", ""),
])  # fmt: skip
def test_revisions_that_are_not(left: str, code: str, help: str, repository: Path, cli_inside: Cli) -> None:
    ran = cli_inside("diff", left, "sub/main.net", cwd=repository)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")
    assert help in ran.err


def test_an_import_that_the_revision_lacks(repository: Path, cli_inside: Cli) -> None:
    git(repository, "rm", "-q", "--cached", "sub/layers.net")
    git(repository, "-c", "user.name=n", "-c", "user.email=e@e", "commit", "-qm", "two")
    ran = cli_inside("diff", "HEAD:sub/main.net", "sub/main.net", cwd=repository)
    assert ran.code == 2
    assert ran.err.startswith("error[NAM006]: cannot import: there is no file sub/layers.net at revision HEAD\n")


def test_without_a_repository_or_git(cli_inside: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "a.net").write_text("net f(x) = x\n")
    ran = cli_inside("diff", "HEAD:a.net", "a.net", cwd=tmp_path)
    assert (ran.code, ran.err.partition("]")[0]) == (2, "error[DAT112")
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = cli_inside("diff", "HEAD:a.net", "a.net", cwd=tmp_path)
    assert (ran.code, ran.err) == (3, "error[ENV004]: git is missing, and a revision was named\n")


def test_a_file_whose_name_has_a_colon(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "a:b.net").write_text("net f(x) = x\n")
    assert cli_inside("diff", "a:b.net", "a:b.net", "--structure", cwd=tmp_path).code == 0


# ── stored results ──────────────────────────────────────────────────────────────────────────────────────────


def stored(folder: Path, name: str, **arrays: Any) -> str:
    write_arrays(folder / name, {key: np.asarray(array) for key, array in arrays.items()})
    return name


def diff(cli_inside: Cli, folder: Path, *arguments: str) -> Ran:
    ran = cli_inside("diff", *arguments, cwd=folder)
    assert ran.err == ""
    return ran


@pytest.mark.parametrize("left", ["npz", "safetensors", "json"])
@pytest.mark.parametrize("right", ["npz", "safetensors", "json"])
def test_the_same_arrays_in_any_format(left: str, right: str, cli_inside: Cli, tmp_path: Path) -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3) / 7, "l1.w": np.float64(0.1), "k": np.arange(3)}
    one, two = stored(tmp_path, f"a.{left}", **arrays), stored(tmp_path, f"b.{right}", **arrays)
    assert diff(cli_inside, tmp_path, one, two, "--ulps", "0").code == 0


def test_the_worst_element_of_each_array(cli_inside: Cli, tmp_path: Path) -> None:
    one = stored(tmp_path, "a.npz", x=np.zeros((2, 3)), y=np.float32([1, 2]), z=np.ones(2), w=[1], same=[1.5])
    two = stored(
        tmp_path, "b.npz", x=np.array([[0, 0, 1e-3], [0, -2e-3, 0]]), y=[1.0, 2.0], z=np.ones((2, 1)), v=[1], same=[1.5]
    )
    ran = diff(cli_inside, tmp_path, one, two)
    assert ran.code == 1
    assert ran.out == (
        "a.npz and b.npz differ\n"
        "  6 arrays: 5 arrays differ\n"
        "\n"
        "     left  right   at      off by  of it  ulps     differ\n"
        "  x  0     -0.002  [1, 1]  0.002   1      4.6e+18  2/6\n"
        "  y: dtype f32 against f64\n"
        "  z: shape [2] against [2, 1]\n"
        "  w: only in a.npz\n"
        "  v: only in b.npz\n"
    )


@pytest.mark.parametrize(("options", "code"), [
    ([], 1), (["--atol", "2e-3"], 0), (["--rtol", "1"], 0), (["--rtol", "0.5"], 1), (["--ulps", "3"], 1),
])  # fmt: skip
def test_tolerances(options: list[str], code: int, cli_inside: Cli, tmp_path: Path) -> None:
    one, two = stored(tmp_path, "a.npz", x=[0.0, 1.0]), stored(tmp_path, "b.npz", x=[0.002, 1.0])
    assert diff(cli_inside, tmp_path, one, two, *options).code == code


def test_an_npy_is_compared_with_the_one_array_of_another_file(cli_inside: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3))
    np.save(tmp_path / "b.npy", np.array([1, 1, 2.0]))
    assert diff(cli_inside, tmp_path, "a.npy", stored(tmp_path, "a.npz", x=np.ones(3))).code == 0
    ran = diff(cli_inside, tmp_path, "a.npy", "b.npy")
    assert "  the array  1     2      [2]  1" in ran.out


def test_what_grad_wrote_is_compared_with_what_it_printed(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text("net f(x: f32[2], y: f32) = sum(x) * y\n")
    run = ["m.net", "-i", "x=[1, 2]", "-i", "y=0.1", "--get-all"]
    cli_inside("grad", *run, "-o", "a.npz", cwd=tmp_path).done()
    (tmp_path / "b.json").write_text(cli_inside("grad", *run, "--json", cwd=tmp_path).done().out)
    assert diff(cli_inside, tmp_path, "a.npz", "b.json", "--ulps", "0").code == 0


def test_hostile_names(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a\\u001b[31m\\u202eb": [1], "%s": [2]}' % ("n" * 5000))
    ran = diff(cli_inside, tmp_path, "a.json", stored(tmp_path, "b.npz", x=[1.0]))
    assert ran.code == 1
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out
    assert len(ran.out) < 1000


@pytest.mark.parametrize(("arguments", "code"), [
    (["a.npz"], "USE004"), (["a.npz", "b.npz", "c.npz"], "USE004"), (["a.npz", "m.net"], "USE005"),
    (["a.npz", "none.npz"], "DAT001"), (["none.net", "m.net"], "DAT110"), (["-", "-"], "USE005"),
    (["m.net", "m.net", "--wrt", "q"], "DIF003"), (["m.net", "m.net", "--rtol", "nan"], "USE003"),
    (["m.net", "m.net", "--ulps", "1.5"], "USE003"), (["m.net", "bad.net"], "SYN005"),
    (["m.net", "m.net", "--net", "q"], "NAM009"), (["m.net", "m.net", "--format", "csv"], "USE003"),
])  # fmt: skip
def test_what_cannot_be_compared(arguments: list[str], code: str, cli_inside: Cli, tmp_path: Path) -> None:
    stored(tmp_path, "a.npz", x=[1.0])
    stored(tmp_path, "b.npz", x=[1.0])
    (tmp_path / "m.net").write_text("net f(x = 1.0) = x\n")
    (tmp_path / "bad.net").write_text("net f(x = 1.0) = x +\n")
    ran = cli_inside("diff", *arguments, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")


# ── for programs ──


OLD = "net f(x: f64[2]) = sin(x) * 2.0\ninput x = [1.0, 2.0]\n"
NEW = "net f(x: f64[2]) {\n  h = sin(x)\n  return h * 3.0\n}\ninput x = [1.0, 2.0]\n"
ONE_LINE = """\
new.net:2:3: error[NUM041]: line added in net f
new.net:3:10: error[NUM041]: line changed in net f: another expression
new.net:3:10: error[NUM040]: value out: 1.8185948536513634 became 2.727892280477045 at [1]; 2 of 2 elements differ
new.net:1:7: error[NUM040]: by x: 1.0806046117362795 became 1.6209069176044193 at [0]; 2 of 2 elements differ
"""


def written(tmp_path: Path) -> Path:
    (tmp_path / "old.net").write_text(OLD)
    (tmp_path / "new.net").write_text(NEW)
    return tmp_path


def test_findings_one_a_line(cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside("diff", "old.net", "new.net", "--format", "oneline", cwd=written(tmp_path))
    assert (ran.code, ran.out) == (1, ONE_LINE)


def test_findings_as_annotations(cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside("diff", "old.net", "new.net", "--format", "github", cwd=written(tmp_path))
    _, second, *_, last = ran.out.splitlines()
    assert second == (
        "::error file=new.net,line=3,col=10,title=NUM041,endColumn=17::line changed in net f: another expression"
    )
    assert "by x: " in last
    assert "%0Aoff by 0.54" in last
    assert cli_inside("diff", "old.net", "old.net", "--format", "github", cwd=tmp_path).done().out == ""


def test_findings_as_sarif_have_both_places(cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside("diff", "old.net", "new.net", "--format", "sarif", cwd=written(tmp_path))
    (log,) = ran.json()["runs"]
    assert [rule["id"] for rule in log["tool"]["driver"]["rules"]] == ["NUM040", "NUM041"]
    first = log["results"][1]
    (now,), (before,) = first["locations"], first["relatedLocations"]
    for place, file, line in ((now, "new.net", 3), (before, "old.net", 1)):
        assert place["physicalLocation"]["artifactLocation"]["uri"] == file
        assert place["physicalLocation"]["region"]["startLine"] == line
    assert before["message"]["text"] == "before"


def test_numbers_only(cli_inside: Cli, tmp_path: Path) -> None:
    """What is written anew must only compute the same."""
    (written(tmp_path) / "same.net").write_text(NEW.replace("h * 3.0", "h + h"))
    assert cli_inside("diff", "old.net", "same.net", cwd=tmp_path).code == 1
    ran = cli_inside("diff", "old.net", "same.net", "--numbers", cwd=tmp_path).done()
    assert ran.out == "old.net and same.net agree\n  2 values and gradients: all agree\n"
    document = cli_inside("diff", "old.net", "new.net", "--numbers", "--json", cwd=tmp_path).json()
    assert document["changes"] is None
    assert [each["name"] for each in document["differences"]] == ["out", "x"]
    both = cli_inside("diff", "old.net", "new.net", "--numbers", "--structure", cwd=tmp_path)
    assert both.code == 2
    assert "USE005" in both.err


# ── on a terminal ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_fits_a_terminal(tmp_path: Path) -> None:
    """With fewer digits, but as many as tell two numbers apart; then without columns. In a pipe with all."""
    a, b = tmp_path / "a.npz", tmp_path / "b.npz"
    write_arrays(a, {"matrix": np.full((2, 3), 1 / 3), "w": np.array([2 / 3])})
    write_arrays(b, {"matrix": np.full((2, 3), -1e-5 / 3), "w": np.array([2 / 3 + 1e-9])})
    found = api.diff(str(a), str(b), Request(), Tolerance(), "all")

    def table(width: int) -> list[str]:
        return difference_text(found, color=False, width=width).splitlines()[-3:]

    assert table(0) == [
        "          left                right                    at      off by  of it    ulps     differ",
        "  matrix  0.3333333333333333  -3.3333333333333337e-06  [0, 0]  0.333   1e+05    9.1e+18  6/6",
        "  w       0.6666666666666666  0.6666666676666666       [0]     1e-09   1.5e-09  9e+06    1/1",
    ]
    assert table(76) == [
        "          left         right        at      off by  of it    ulps     differ",
        "  matrix  0.33333      -3.3333e-06  [0, 0]  0.333   1e+05    9.1e+18  6/6",
        "  w       0.666666667  0.666666668  [0]     1e-09   1.5e-09  9e+06    1/1",
    ]
    assert table(56) == [
        "          left         right        at      differ",
        "  matrix  0.333        -3.33e-06    [0, 0]  6/6",
        "  w       0.666666667  0.666666668  [0]     1/1",
    ]

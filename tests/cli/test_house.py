"""Help, unknown words, `check` and `test` over files and folders, `new`, `ops`, `rule`, `env`, `completion`."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

import gradcli
from gradcli.cli.verbs import VERBS
from tests.conftest import Cli

# ── use ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag: str, cli_inside: Cli) -> None:
    ran = cli_inside(flag).done()
    assert (ran.out, ran.err) == (f"gradcli {gradcli.__version__}\n", "")


def test_the_overview_lists_every_verb(cli_inside: Cli) -> None:
    ran = cli_inside("--help").done()
    assert all(f"\n  {name} " in ran.out for name in VERBS)
    assert cli_inside("-h").done().out == ran.out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb: str, cli_inside: Cli) -> None:
    ran = cli_inside(verb, "--help").done()
    assert ran.err == ""
    assert ran.out.startswith(f"Usage: gradcli {verb} ")
    assert "\nExamples:\n  gradcli " in ran.out
    assert all(len(line) <= 80 for line in ran.out.splitlines() if "gradcli completion" not in line)


def test_without_a_verb(cli_inside: Cli) -> None:
    ran = cli_inside()
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: gradcli VERB MODEL" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["gard", "m.net"], "USE001", "did you mean `grad`?"),
        (["frobnicate"], "USE001", "the verbs are grad, eval, "),
        (["m.net"], "USE001", "gradcli grad m.net"),
        (["--get-all"], "USE001", "the verb comes first"),
        ([""], "USE001", "the verbs are"),
        (["grad", "m.net", "--get-al"], "USE002", "did you mean `--get-all`?"),
        (["grad", "m.net", "--frobnicate"], "USE002", "has no option `--frobnicate`"),
        (["grad", "m.net", "-i"], "USE003", "-i"),
        (["grad", "m.net", "--format", "xml"], "USE003", "table, plain, json, jsonl, csv"),
        (["grad", "m.net", "--color", "red"], "USE003", "auto, always, never"),
        (["grad", "m.net", "--dtype", "f128"], "USE003", "f16, f32, f64"),
        (["grad", "m.net", "--memory", "lots"], "USE003", "2G"),
        (["grad", "m.net", "--threads", "0"], "USE003", "--threads"),
        (["grad", "m.net", "--threads", "9" * 400], "USE003", "--threads"),
        (["grad", "m.net", "--precision", "18"], "USE003", "--precision"),
        (["show", "m.net", "--stage", "asm"], "USE003", "ast, graph, grad, optimized"),
        (["grad"], "USE004", "-e"),
        (["test"], "USE004", "PATH"),
        (["new"], "USE004", "NAME"),
        (["completion"], "USE004", "bash|zsh|fish"),
        (["completion", "tcsh"], "USE003", "bash, zsh, fish"),
        (["ops", "tnah"], "NAM016", "did you mean `tanh`?"),
        (["rule", "SHP999"], "NAM016", "there is no rule SHP999"),
        (["grad", "missing.net"], "DAT110", "there is no file missing.net"),
        (["grad", "."], "DAT110", "gradcli test ."),
        (["check", "missing.net"], "DAT110", "missing.net"),
        (["test", "missing.net"], "DAT110", "missing.net"),
        (["check", "x" * 5000], "DAT110", "xxx"),
        (["test", "x" * 5000], "DAT110", "xxx"),
    ],
)
def test_wrong_use(arguments: list[str], code: str, words: str, cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside(*arguments, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")
    assert words in ran.err


# ── check and test ──────────────────────────────────────────────────────────────────────────────────────────

GOOD = 'net f(x: f64[n]) = x * x\ncase "squares" {\n  expect f([2.0]) == [4.0]\n}\n'
BAD = 'net f(x: f64[n]) = x * x\ncase "cubes" {\n  expect f([2.0]) == [8.0]\n}\n'
WRONG = "net f(x: f64[2]) = x @ [[1.0, 2.0, 3.0]]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models" / "inner").mkdir(parents=True)
    (tmp_path / "models" / "good.net").write_text(GOOD)
    (tmp_path / "models" / "inner" / "bad.net").write_text(BAD)
    (tmp_path / "wrong.net").write_text(WRONG)
    return tmp_path


def test_check(cli_inside: Cli, folder: Path) -> None:
    ran = cli_inside("check", "models", cwd=folder).done()
    assert ran.out.count("holds for all sizes") == 2
    ran = cli_inside("check", "models", "wrong.net", cwd=folder)
    assert ran.code == 1
    assert "error[SHP201]" in ran.out
    assert cli_inside("check", "-e", "x + 1").code == 0
    assert cli_inside("check", "-e", "x +").code == 1


def test_check_of_one_net(cli_inside: Cli, folder: Path) -> None:
    (folder / "both.net").write_text("net good(x: f64) = x\nnet bad(x: f64[2]) = x + [1.0, 2.0, 3.0]\n")
    assert cli_inside("check", "both.net", cwd=folder).code == 1
    assert cli_inside("check", "both.net", "--net", "good", cwd=folder).code == 0
    assert cli_inside("check", "both.net", "--net", "none", cwd=folder).code in (1, 2)


def test_check_of_nothing(cli_inside: Cli, folder: Path) -> None:
    (folder / "empty").mkdir()
    ran = cli_inside("check", "empty", cwd=folder)
    assert (ran.code, ran.out) == (2, "")
    (folder / "empty.net").write_text("")
    assert "warning[NAM008]" in cli_inside("check", "empty.net", cwd=folder).done().out
    assert cli_inside("check", "empty.net", "--strict", cwd=folder).code == 1


def test_test(cli_inside: Cli, folder: Path) -> None:
    ran = cli_inside("test", "models/good.net", cwd=folder).done()
    assert (ran.out, ran.err) == ("models/good.net  squares  passed\n1 passed\n", "")
    ran = cli_inside("test", "models", cwd=folder)
    assert ran.code == 1
    assert "models/good.net  squares  passed\nmodels/inner/bad.net  cubes  failed\n  error[NUM010]: " in ran.out
    assert ran.out.endswith("1 failed, 1 passed\n")


def test_cases_by_title(cli_inside: Cli, folder: Path) -> None:
    assert cli_inside("test", "models", "-k", "square", cwd=folder).code == 0
    ran = cli_inside("test", "models", "-k", "roots", cwd=folder)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error[USE006]: ")


def test_quiet_tests_show_what_failed(cli_inside: Cli, folder: Path) -> None:
    ran = cli_inside("test", "models", "-q", cwd=folder)
    assert "squares" not in ran.out
    assert "cubes" in ran.out


def test_an_error_in_a_model_is_a_failed_test(cli_inside: Cli, folder: Path) -> None:
    (folder / "broken.net").write_text('net f(x) = (x\ncase "never" { expect 1 == 1 }\n')
    ran = cli_inside("test", "broken.net", cwd=folder)
    assert ran.code == 1
    assert "error[SYN002]" in ran.out
    assert ran.out.endswith("1 error\n")


def test_junit(cli_inside: Cli, folder: Path) -> None:
    assert cli_inside("test", "models", "--junit", "report.xml", cwd=folder).code == 1
    suites = xml.parse(folder / "report.xml").getroot()
    (suite, *_) = suites.iter("testsuite")
    assert {case.get("name") for case in suites.iter("testcase")} == {"squares", "cubes"}
    assert len([*suites.iter("failure")]) == 1
    assert suite is not None


# ── new, ops, rule, env, completion ─────────────────────────────────────────────────────────────────────────


def test_a_new_model_passes_its_case(cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside("new", "first", cwd=tmp_path).done()
    assert (ran.out, ran.err) == ("first.net\n", "")
    assert cli_inside("test", "first.net", cwd=tmp_path).done().out.endswith("1 passed\n")
    assert "holds for all sizes" in cli_inside("check", "first.net", cwd=tmp_path).done().out
    cli_inside("grad", "first.net", "--wrt", "params", cwd=tmp_path).done()


def test_nothing_is_overwritten_by_new(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "first.net").write_text("mine")
    ran = cli_inside("new", "first", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "first.net exists already" in ran.err
    assert (tmp_path / "first.net").read_text() == "mine"


def test_new_elsewhere(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    cli_inside("new", "second", "--directory", "there", cwd=tmp_path).done()
    assert (tmp_path / "there" / "second.net").exists()


@pytest.mark.parametrize("name", ["", "/", "a/b", "..", "2fast", "net", "a b", "é"])
def test_names_that_no_model_can_have(name: str, cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside("new", name, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[NAM017]: ")
    assert not [*tmp_path.iterdir()]


def test_operators(cli_inside: Cli) -> None:
    page = cli_inside("ops").done().out
    names = [entry["name"] for entry in cli_inside("ops", "--json").done().json()]
    assert len(names) > 80
    assert all(f" {name} " in page for name in names)
    one = cli_inside("ops", "tanh").done().out
    assert one.startswith("tanh(x)\n")
    assert "1 - tanh(x)²" in one
    assert cli_inside("ops", "tanh", "--json").done().json()["derivative"] == "1 - tanh(x)²"


def test_rules(cli_inside: Cli) -> None:
    rules = cli_inside("rule", "--json").done().json()
    assert {"code", "title", "explanation", "broken", "repaired"} == {*rules[0]}
    page = cli_inside("rule").done().out
    assert all(f"{rule['code']}  {rule['title']}\n" in page for rule in rules)
    one = cli_inside("rule", "shp201").done().out
    assert one.startswith("SHP201: matmul inner sizes differ\n")
    assert "x @ y.T" in one


def test_environment(cli_inside: Cli) -> None:
    facts = cli_inside("env", "--json").done().json()
    assert facts["gradcli"] == gradcli.__version__
    assert {"python", "platform", "numpy", "cupy", "backend", "cores", "memory"} <= {*facts}
    page = cli_inside("env").done().out
    assert len(page.splitlines()) == len(facts)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, cli_inside: Cli, tmp_path: Path) -> None:
    script = cli_inside("completion", shell).done().out
    assert all(verb in script for verb in VERBS)
    option = "get-by-list" if shell == "fish" else "--get-by-list"
    assert option in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script)
    subprocess.run([shell, "-n", str(path)], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gradcli gr", "grad"),
        ("gradcli grad m.net --get", "--get-all"),
        ("gradcli grad m.net --dtype f", "f32"),
        ("gradcli grad ", "first.net"),
        ("gradcli show --stage op", "optimized"),
    ],
)
def test_bash_completes(words: str, offered: str, cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "first.net").write_text("net f(x) = x\n")
    (tmp_path / "script").write_text(cli_inside("completion", "bash").done().out)
    typed = words.split(" ")
    program = (
        f"source ./script; COMP_WORDS=({' '.join(json.dumps(word) for word in typed)}); COMP_CWORD={len(typed) - 1}; "
        "_gradcli; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    ran = subprocess.run(["bash", "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert offered in ran.stdout.split()

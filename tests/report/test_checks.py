"""What `check`, `test`, `ops` and `rule` print, and the documents they write for programs."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gradcli.report import checks, document, junit, pages
from gradcli.report.checks import case_text, check_text, findings_text
from gradcli.report.progress import Bar
from gradcli.report.signs import colored
from gradcli.request import CaseResult, CheckedNet, CheckResult
from gradcli.syntax.codes import CODES, Entry
from gradcli.syntax.diagnostics import Diagnostic, Source, Span
from tests.conftest import Cli

ERROR = Diagnostic("SYN005", "a value is missing", Span(Source("a.net", "net f(x) =\n"), 10, 10))
NET = CheckedNet("Net", (("x", "f32[m, k]"),), (("z", "f32[1]"),), (("out", "f32[m]"),), ("m > 0",))
CASES = (
    CaseResult("a.net", "adds", "passed", "", 0.25),
    CaseResult("a.net", 'is "<5>" & \x1b more', "failed", "expect a == b\n  1 <> 2 \x00 ]]>", 0.5),
    CaseResult("b.net", "breaks", "error", "no such file\n", 0.0),
)


def test_a_checked_net_says_what_it_is_proved_for() -> None:
    assert check_text(CheckResult("a.net", (), (NET,)), color=False) == (
        "a.net\n  net Net(x: f32[m, k]) -> f32[m]\n    params z: f32[1]\n    holds where m > 0\n"
    )


def test_a_refused_file_shows_its_errors_alone() -> None:
    text = check_text(CheckResult("a.net", (ERROR,), (NET,)), color=False)
    assert text.startswith("error[SYN005]")
    assert "holds" not in text


def test_findings_are_counted_where_there_are_several() -> None:
    assert findings_text([CheckResult("a.net", (ERROR,))]) == ""
    assert findings_text([CheckResult("a.net", (ERROR, ERROR)), CheckResult("b.net", ())]) == "2 errors in 2 files\n"


def test_a_failed_case_says_why_below_its_name() -> None:
    assert case_text(CASES[0], color=False) == "a.net  adds  passed\n"
    assert case_text(CASES[1], color=False) == ('a.net  is "<5>" & ␛ more  failed\n  expect a == b\n    1 <> 2 ␀ ]]>\n')
    assert checks.tests_text(CASES, color=False) == "1 failed, 1 error, 1 passed\n"


def test_the_json_of_test() -> None:
    found = json.loads(document.tests_json(CASES))
    assert (found["schema"], found["passed"], found["failed"]) == ("gradcli.test/1", 1, 2)
    assert found["cases"][0] == {"file": "a.net", "case": "adds", "status": "passed", "message": "", "seconds": 0.25}
    assert [json.loads(line) for line in document.tests_jsonl(CASES).splitlines()] == found["cases"]


def test_the_json_of_check() -> None:
    found = json.loads(document.checks_json([CheckResult("a.net", (ERROR,), (NET,))]))
    assert (found["schema"], found["errors"], found["warnings"]) == ("gradcli.check/1", 1, 0)
    (file,) = found["files"]
    assert file["nets"][0]["outputs"] == [{"name": "out", "type": "f32[m]"}]
    assert file["diagnostics"][0]["code"] == "SYN005"


def test_junit_is_xml_whatever_the_cases_say() -> None:
    root = ElementTree.fromstring(junit.document(CASES))
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "3", "1", "1")
    assert root.get("time") == "0.750000"
    assert [suite.get("name") for suite in root] == ["a.net", "b.net"]
    passed, failed, broken = root.iter("testcase")
    assert len(passed) == 0
    assert failed.get("name") == 'is "<5>" & � more'
    assert failed[0].tag == "failure"
    assert failed[0].get("message") == "expect a == b"
    assert failed[0].text == "expect a == b\n  1 <> 2 � ]]>"
    assert broken[0].tag == "error"
    assert len(ElementTree.fromstring(junit.document(()))) == 0


@pytest.mark.parametrize("entry", CODES.values(), ids=CODES)
def test_the_page_of_a_code_fits_on_a_screen(entry: Entry) -> None:
    page = pages.rule_page(entry, color=False)
    assert page.startswith(f"{entry.code}: {entry.title}\n")
    assert len(page.splitlines()) < 60
    assert max(map(len, page.splitlines())) <= 80
    assert page.endswith("\n")


def test_every_code_has_its_line() -> None:
    page = pages.rules_page([*CODES.values()], color=False)
    assert "SYN005  a value is missing\n" in page


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "variables", "colours"),
    [
        ("auto", {}, True),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("auto", {"TERM": "dumb"}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_who_decides_on_colour(
    choice: str, variables: dict[str, str], colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert colored(choice, Terminal()) is colours
    assert colored("auto", StringIO()) is (variables.get("FORCE_COLOR") == "1" and "NO_COLOR" not in variables)


def test_a_bar_that_is_not_wanted_or_has_no_time_writes_nothing() -> None:
    for enabled in (False, True):
        stream = Terminal()
        with Bar(stream, enabled=enabled, color=False) as bar:
            bar.start(2)
            bar.advance("one")
            bar.advance("two")
        assert stream.getvalue() == ""


def test_one_net_with_static_parameters_is_proved_as_among_others(cli_inside: Cli, tmp_path: Path) -> None:
    """It cannot be run by itself, but nobody asks for that."""
    net = "net Dense[i, o](x: f64[n, i]) -> f64[n, o] {\n  param w: f64[i, o] = zeros()\n  return x @ w\n}\n"
    (tmp_path / "m.net").write_text(net + "net main(x: f64[n, 3]) {\n  layer l = Dense[3, 4]\n  return l(x)\n}\n")
    every = cli_inside("check", "m.net", cwd=tmp_path).done().out
    one = cli_inside("check", "m.net", "--net", "Dense", cwd=tmp_path).done().out
    assert one == every.partition("  net main")[0]

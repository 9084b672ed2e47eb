"""Errors as people and programs read them: carets in their columns, other places, nothing that moves a cursor."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcli.report.diagnostics import render, render_all, render_short
from gradcli.report.forms import as_github, as_json, as_line, as_sarif
from gradcli.syntax.diagnostics import Diagnostic, Label, Source, Span

MODEL = Source("model.net", "net f(x, y) {\n\tz = 日本 + x @ y\n\treturn z\n}\n\n\ninput y: f32[2, 3]\n")


def at(source: Source, text: str, number: int = 0) -> Span:
    start = -1
    for _ in range(number + 1):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def error(span: Span | None, label: str = "", *others: Label, **more: Any) -> Diagnostic:
    return Diagnostic("SHP201", "sizes differ", span, label, others, **more)


def below(diagnostic: Diagnostic) -> list[str]:
    """What stands below the headline and the place."""
    return render(diagnostic).splitlines()[2:]


def test_places_of_one_line_share_it() -> None:
    source = Source("model.net", "net Net(x, y) {\n  return x @ y\n}\n")
    labels = Label(at(source, "x", 1), "x is f32[2, 3]"), Label(at(source, "y", 1), "y is f32[2, 3]")
    found = error(at(source, "x @ y"), "", *labels, help="`x @ y.T` has matching sizes")
    assert render(found) == (
        "error[SHP201]: sizes differ\n"
        "  --> model.net:2:10\n"
        "   |\n"
        " 2 |   return x @ y\n"
        "   |          -^^^- y is f32[2, 3]\n"
        "   |          |\n"
        "   |          x is f32[2, 3]\n"
        "   |\n"
        "   = help: `x @ y.T` has matching sizes\n"
    )


def test_marks_stand_under_wide_letters_and_tabs() -> None:
    assert below(error(at(MODEL, "@"), "here"))[1:] == [
        " 2 |     z = 日本 + x @ y",
        "   |                  ^ here",
    ]


@pytest.mark.parametrize(
    ("text", "column"), [("a\u0301 q", 2), ("🙂 q", 3), ("\u200b q", 2), ("\t\tq", 8), ("ab\tq", 4), ("\x07q", 1)]
)
def test_marks_stand_under_letters_of_any_width(text: str, column: int) -> None:
    line = below(error(at(Source("a", text), "q")))[-1]
    assert line == "   | " + " " * column + "^"


def test_another_place_far_away_has_its_own_excerpt() -> None:
    other = Source("layers.net", "net g(a) = a\n")
    found = error(at(MODEL, "y", 1), "", Label(at(MODEL, "f32[2, 3]"), "the type"), Label(at(other, "g"), "called"))
    assert below(found)[1:] == [
        " 2 |     z = 日本 + x @ y",
        "   |                    ^",
        "   |",
        "  ::: model.net:7:10",
        "   |",
        " 7 | input y: f32[2, 3]",
        "   |          --------- the type",
        "   |",
        "  ::: layers.net:1:5",
        "   |",
        " 1 | net g(a) = a",
        "   |     - called",
    ]


def test_lines_beside_each_other_share_an_excerpt() -> None:
    found = error(at(MODEL, "z"), "bound", Label(at(MODEL, "return z"), "used"))
    assert [line for line in below(found) if "::" in line or "..." in line] == []


def test_a_place_of_several_lines_is_marked_on_its_first_and_last() -> None:
    assert below(error(Span(MODEL, 12, len(MODEL.text) - 1), "all this"))[1:] == [
        " 1 | net f(x, y) {",
        "   |             ^",
        "...",
        " 7 | input y: f32[2, 3]",
        "   | ^^^^^^^^^^^^^^^^^^ all this",
    ]


def test_the_end_of_a_line_is_marked_on_that_line() -> None:
    assert below(error(Span(MODEL, 13, 14), "here"))[1:] == [" 1 | net f(x, y) {", "   |              ^ here"]
    assert below(error(Span(MODEL, len(MODEL.text), len(MODEL.text))))[-1] == "   | ^"
    assert below(error(Span(Source("empty.net", ""), 0, 0)))[-1] == "   | ^"


def test_a_long_line_is_a_window_around_its_mark() -> None:
    source = Source("long.net", "a" * 5000 + " + zz + " + "b" * 5000)
    text, marks = below(error(at(source, "zz"), "here"))[1:]
    assert len(text) < 125
    assert text.count("…") == 2
    assert text[marks.index("^^") :].startswith("zz")


def test_without_a_place_remarks_stand_alone() -> None:
    assert render(error(None, notes=("one\ntwo",), help="mend it")) == (
        "error[SHP201]: sizes differ\n   = note: one\n           two\n   = help: mend it\n"
    )


def test_what_would_move_the_cursor_is_shown_instead() -> None:
    source = Source("a\x1b[2J.net", "x\x1b[31m = y\u202e\r\n")
    found = Diagnostic("SYN001", "bad \x1b[0m\x00", at(source, "y"), "tab\tbed", (), ("\x07",), "\u2028")
    for text in (render(found), render_short(found), as_line(found)):
        assert re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\u2028]", text) is None
    assert "y�" in render(found)


def test_colour_changes_nothing_else() -> None:
    found = error(at(MODEL, "x @ y"), "here", Label(at(MODEL, "y", 1), "there"), notes=("n",), help="h")
    assert re.sub("\x1b\\[[0-9;]*m", "", render(found, color=True)) == render(found)
    assert render(found, color=True).startswith("\x1b[1;31merror[SHP201]\x1b[0m")


def test_several_have_an_empty_line_between_them() -> None:
    assert render_all([error(None), error(None)]) == "error[SHP201]: sizes differ\n\nerror[SHP201]: sizes differ\n"


def test_one_line_says_where_and_what() -> None:
    assert as_line(error(at(MODEL, "@"))) == "model.net:2:13: error[SHP201]: sizes differ"


def test_json_counts_from_one_and_ends_exclusively() -> None:
    found = as_json(error(at(MODEL, "@"), "here", Label(at(MODEL, "z"), "bound")))
    assert found == {
        "code": "SHP201",
        "severity": "error",
        "message": "sizes differ",
        "file": "model.net",
        "line": 2,
        "column": 13,
        "end_line": 2,
        "end_column": 14,
        "label": "here",
        "others": [
            {"file": "model.net", "line": 2, "column": 2, "end_line": 2, "end_column": 3, "label": "bound"},
        ],
        "notes": [],
        "help": None,
    }
    assert as_json(error(None))["file"] is None


def test_an_annotation_of_github_escapes_what_it_must() -> None:
    source = Source("a,b:c.net", "x\n")
    assert as_github(Diagnostic("SYN001", "50%\nmore", at(source, "x"), help="h")) == (
        "::error file=a%2Cb%3Ac.net,line=1,col=1,title=SYN001,endColumn=2::50%25%0Amore%0Ahelp: h"
    )
    assert as_github(error(None), "model.net") == "::error file=model.net,title=SHP201::sizes differ"


def test_sarif_has_rules_places_and_related_places() -> None:
    found = error(at(MODEL, "@"), "", Label(at(MODEL, "z"), ""))
    log = json.loads(as_sarif([("model.net", found), ("a b.net", error(None))], "1.2"))
    (run,) = log["runs"]
    assert (log["version"], run["columnKind"]) == ("2.1.0", "unicodeCodePoints")
    assert run["tool"]["driver"]["rules"] == [{"id": "SHP201"}]
    first, second = run["results"]
    region = first["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 13, "endLine": 2, "endColumn": 14}
    assert first["relatedLocations"][0]["message"] == {"text": "related"}
    assert second["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "a%20b.net"}}


@given(st.text(max_size=30), st.integers(0, 31), st.integers(0, 31), st.integers(0, 31), st.integers(0, 31))
def test_any_place_in_any_text_can_be_drawn(text: str, a: int, b: int, c: int, d: int) -> None:
    source = Source("model.net", text)

    def span(one: int, two: int) -> Span:
        return Span(source, min(one, two, len(text)), min(max(one, two), len(text)))

    found = error(span(a, b), "one", Label(span(c, d), "two"))
    for line in (drawn := render(found)).splitlines():
        assert line == line.rstrip()
    assert drawn.count("^") >= 1 + text.count("^")
    assert drawn.encode()

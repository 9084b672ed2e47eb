"""Why something is zero, on the page: a column, whole layers in one row, elements by their reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gradcli.record import replace
from gradcli.report import layout, plain
from gradcli.report.arrays import Drawing
from gradcli.report.document import result_json
from gradcli.report.findings import findings, reason_lines
from gradcli.request import Entry, Result

MASKED = {"reason": "masked", "at": ["model.net:12"], "inactive": [1.0]}
ONES = ({"output": "out", "kind": "ones", "source": None},)


def param(name: str, zero: dict[str, Any] | None = MASKED, **more: Any) -> Entry:
    array = np.ones(2) if zero is None else np.zeros(2)
    return Entry(name, "param", array, "f64", (name,), zero, **more)


def result(*entries: Entry) -> Result:
    return Result("grad", "model.net", "Net", 2026, "numpy", 1, ONES, None, entries, ())


def rows(found: Result, **how: Any) -> list[str]:
    return plain.render(layout.page(found, Drawing(**how))).splitlines()[1:]


def names(*entries: Entry) -> list[str]:
    return [finding.name for finding in findings(entries)]


@pytest.mark.parametrize(
    ("zero", "lines"),
    [
        (None, [""]),
        ({"reason": "no path", "at": []}, ["no path"]),
        ({"reason": "stopped", "at": ["m.net:2", "m.net:7"]}, ["stopped at m.net:2, m.net:7"]),
        ({"reason": "masked", "at": ["m.net:2"], "inactive": [0.375]}, ["masked at m.net:2 (37.5% inactive)"]),
        (
            MASKED | {"also": [{"reason": "cancels", "at": ["m.net:2"]}, {"reason": "sens is zero", "at": []}]},
            ["masked at model.net:12 (100% inactive)", "cancels at m.net:2", "sens is zero"],
        ),
    ],
)
def test_a_reason(zero: dict[str, Any] | None, lines: list[str]) -> None:
    assert [*reason_lines(zero)] == lines


def test_a_layer_is_one_row() -> None:
    assert rows(result(param("l1.w"), param("l1.b"), param("l2.w", None), param("l2.b"))) == [
        "  param             shape   dtype   gradient       why zero",
        "  l1.* (2 params)           f64     0 everywhere   masked at model.net:12 (100% inactive)",
        "  l2.w              2       f64     [1  1]",
        "  l2.b              2       f64     [0  0]         masked at model.net:12 (100% inactive)",
    ]


def test_all_of_it_is_shown_where_that_is_asked_for() -> None:
    assert [row.split()[0] for row in rows(result(param("l1.w"), param("l1.b")), full=True)] == [
        "param",
        "l1.w",
        "l1.b",
    ]


def test_the_outermost_layer_that_is_zero_is_named() -> None:
    assert names(param("e.l1.w"), param("e.l1.b"), param("e.l2.w")) == ["e.*"]
    assert names(param("e.l1.w"), param("e.l1.b"), param("e.l2.w", None)) == ["e.l1.*"]


def test_what_is_no_layer() -> None:
    other = {"reason": "no path", "at": []}
    assert names(param("w"), param("b")) == []
    assert names(param("l1.w")) == []
    assert names(param("l1.w"), param("l1.b", other)) == []
    assert names(param("l1.w"), replace(param("l1.b"), elements=list)) == []


def test_json_has_findings_where_there_are_any() -> None:
    assert json.loads(result_json(result(param("l1.w"), param("l1.b"))))["findings"] == [
        {"name": "l1.*", "wrt": [["l1.w"], ["l1.b"]], "zero": MASKED}
    ]
    assert "findings" not in json.loads(result_json(result(param("l1.w"))))


def test_a_terminal_breaks_reasons_between_places_and_never_in_one() -> None:
    place = "models/with/a/long/name/energy.net:36"
    entry = param("w", {"reason": "cancels", "at": [place, place]})
    page = rows(result(entry, param("v", None)), width=80)
    assert max(map(len, page)) <= 80
    assert sum(place in row for row in page) == 2


def test_many_elements_are_counted() -> None:
    zeros = [MASKED | {"indices": [[k, 1] for k in range(9)]}, {"reason": "no path", "at": [], "indices": [[0, 0]]}]
    entry = Entry("x", "input", np.zeros((9, 2)), "f64", ("x",), None, elements=lambda: zeros)
    assert rows(result(entry))[-3:] == [
        "  zeros of x                                               why zero",
        "  [0, 1] [1, 1] [2, 1] [3, 1] [4, 1] [5, 1] … (9 in all)   masked at model.net:12 (100% inactive)",
        "  [0, 0]                                                   no path",
    ]
    assert "[8, 1]" in "\n".join(rows(result(entry), full=True))
    whole = [{"reason": "no path", "at": [], "indices": np.argwhere(np.ones((9, 2))).tolist()}]
    assert rows(result(replace(entry, elements=lambda: whole)))[-1] == "  all          no path"


def test_zeros_do_not_fill_the_page() -> None:
    found = result(Entry("x", "input", np.zeros((30, 30)), "f64", ("x",), MASKED))
    assert rows(found)[1] == "  x       30×30   f64     0 everywhere   masked at model.net:12 (100% inactive)"
    assert len(rows(found, full=True)) == 31

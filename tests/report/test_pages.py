"""The page of a result: in a pipe as wide as it is, on a terminal the same in colour and within its width."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from typing import Any

import numpy as np
import pytest

from gradcli.record import replace
from gradcli.report import document, layout, plain, results, table
from gradcli.report.arrays import Drawing
from gradcli.report.document import result_csv, result_json, result_jsonl
from gradcli.request import Entry, Result
from gradcli.syntax.diagnostics import Diagnostic, Source, Span

SENS = ({"output": "out", "kind": "file", "source": "s.npy"},)
ONES = ({"output": "out", "kind": "ones", "source": None},)
X = Entry("x", "input", np.array([[2.211, 0.51, 1.49], [5.588, 2.68, 4.07]], "f4"), "f32", ("x",))
NOTHING = Entry("l1.w", "param", np.zeros(2), "f64", ("l1.w",), {"reason": "stopped", "at": ["model.net:12"]})
VALUE = Entry("value/out", "value", np.array(3.5, "f4"), "f32")
NOTE = Diagnostic("DIF101", "left out", Span(Source("model.net", "net f(n) = n\n"), 6, 7), severity="note")
GRAD = Result("grad", "model.net", "Net", 2026, "numpy", 1, SENS, None, (X,), ())
ALL = replace(GRAD, sens=ONES, threads=2, values=(VALUE,), grads=(X, NOTHING), notes=(NOTE,))
EVAL = replace(GRAD, verb="eval", sens=(), values=(replace(VALUE, name="out"),), grads=())


def shown(result: Result, **how: Any) -> str:
    return plain.render(layout.page(result, Drawing(**how)))


def on_terminal(result: Result, width: int, *, color: bool = False) -> str:
    stream = StringIO()
    table.render(layout.page(result, Drawing(width=width)), stream, color=color, width=width)
    return stream.getvalue()


def test_one_gradient() -> None:
    assert shown(GRAD) == (
        " model.net · net Net · sens s.npy · numpy, 1 thread\n"
        "  input   shape   dtype   gradient\n"
        "  x       2×3     f32     [[2.211  0.51  1.49]\n"
        "                           [5.588  2.68  4.07]]\n"
    )


def test_values_params_and_a_reason_for_zeros() -> None:
    assert shown(ALL) == (
        " model.net · net Net · sens: ones (implicit) · numpy, 2 threads\n"
        "  output   shape    dtype   value\n"
        "  out      scalar   f32     3.5\n"
        "\n"
        "  by     shape   dtype   gradient                why zero\n"
        "  x      2×3     f32     [[2.211  0.51  1.49]\n"
        "                          [5.588  2.68  4.07]]\n"
        "  l1.w   2       f64     [0  0]                  stopped at model.net:12\n"
    )


def test_eval() -> None:
    assert shown(EVAL) == (
        " model.net · net Net · numpy, 1 thread\n  output   shape    dtype   value\n  out      scalar   f32     3.5\n"
    )


@pytest.mark.parametrize("result", [GRAD, ALL, EVAL])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_shows_the_same(result: Result, width: int) -> None:
    assert on_terminal(result, width) == shown(result, width=width)


def test_colour_adds_no_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = on_terminal(ALL, 80, color=True)
    assert "\x1b[" in text
    assert re.sub("\x1b\\[[0-9;]*m", "", text) == shown(ALL, width=80)


def test_a_table_keeps_to_80_columns() -> None:
    wide = replace(X, array=np.arange(36, dtype="f4").reshape(2, 18) / 7)
    large = replace(X, name="large", array=np.linspace(0, 1, 900).reshape(30, 30))
    text = on_terminal(replace(GRAD, grads=(wide, large)), 80)
    assert max(map(len, text.splitlines())) <= 80
    for number in wide.array.ravel():
        assert str(number).removesuffix(".0") in text


def test_nothing_is_cut_on_a_narrow_terminal() -> None:
    text = on_terminal(
        replace(GRAD, grads=(replace(X, name="a.very.long.name.of.a.layer.w", dtype="f64", array=np.array([1 / 3])),)),
        20,
    )
    assert "a.very.long.name.of.a.layer.w   1       f64     [0.3333333333333333]" in text


def test_square_brackets_and_names_of_any_script_stay_as_they_are() -> None:
    strange = replace(GRAD, model="a[bold]b :smile: \x1b[31m.net", grads=(replace(X, name="層.w"), NOTHING))
    head, _, *rows = on_terminal(strange, 80).splitlines()
    assert head == " a[bold]b :smile: ␛[31m.net · net Net · sens s.npy · numpy, 1 thread"
    assert rows[0] == "  層.w   2×3     f32     [[2.211  0.51  1.49]"
    assert rows[2].index("[0") == rows[0].index("[[") + 1  # 層 is two columns wide


def test_several_sensitivities_are_named() -> None:
    two = ({"output": "a", "kind": "ones", "source": None}, {"output": "b", "kind": "random", "source": "random:1"})
    assert layout.sens_text(two) == "sens a=ones, b=random:1"
    assert layout.sens_text(ONES * 2) == "sens: ones (implicit)"


# ── for programs ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_json_of_grad_is_as_the_manual_says() -> None:
    assert json.loads(result_json(GRAD)) == {
        "schema": "gradcli.grad/1",
        "model": "model.net",
        "net": "Net",
        "edition": 2026,
        "backend": "numpy",
        "sens": [{"output": "out", "kind": "file", "source": "s.npy"}],
        "values": None,
        "grads": [
            {
                "wrt": ["x"],
                "kind": "input",
                "shape": [2, 3],
                "dtype": "f32",
                "norm": 7.89568,
                "nonfinite": 0,
                "zero": None,
                "data": [[2.211, 0.51, 1.49], [5.588, 2.68, 4.07]],
            }
        ],
        "notes": [],
    }
    keys = ["schema", "model", "net", "edition", "backend", "sens", "values", "grads", "notes"]
    assert list(json.loads(result_json(GRAD))) == keys


def test_values_zeros_and_notes_in_json() -> None:
    found = json.loads(result_json(ALL))
    assert found["values"] == [{"name": "out", "shape": [], "dtype": "f32", "data": 3.5}]
    assert found["grads"][1]["zero"] == {"reason": "stopped", "at": ["model.net:12"]}
    (note,) = found["notes"]
    assert (note["code"], note["severity"], note["file"], note["line"], note["column"]) == (
        *("DIF101", "note", "model.net"),
        *(1, 7),
    )


def test_the_json_of_eval_has_values_only() -> None:
    found = json.loads(result_json(EVAL))
    assert list(found) == ["schema", "model", "net", "edition", "backend", "values", "notes"]
    assert found["schema"] == "gradcli.eval/1"


def test_json_of_what_is_not_finite() -> None:
    entry = replace(X, array=np.array([np.nan, np.inf, -np.inf, 4.51], "f4"))
    (grad,) = json.loads(result_json(replace(GRAD, grads=(entry,))))["grads"]
    assert (grad["data"], grad["nonfinite"], grad["norm"]) == (["nan", "inf", "-inf", 4.51], 3, "nan")
    assert results.nonfinite(replace(GRAD, grads=(entry,))) == [("x", 3, 4)]


def test_json_lines_stand_alone() -> None:
    lines = [json.loads(line) for line in result_jsonl(ALL).splitlines()]
    assert [("value" in line, "grad" in line) for line in lines] == [(True, False), (False, True), (False, True)]
    assert {line["schema"] for line in lines} == {"gradcli.grad/1"}
    assert lines[1]["grad"]["data"][0] == [2.211, 0.51, 1.49]


def test_csv_has_a_row_for_each_number() -> None:
    rows = list(csv.reader(StringIO(result_csv(ALL))))
    assert rows[:4] == [
        ["name", "index", "value"],
        ["value/out", "", "3.5"],
        ["x", "0,0", "2.211"],
        ["x", "0,1", "0.51"],
    ]
    assert len(rows) == 1 + 1 + 6 + 2


def test_a_name_that_is_no_text_is_escaped_in_json() -> None:
    odd = replace(GRAD, model="a\udcff\u2028\u0085é.net")
    text = result_json(odd)
    assert text.encode()
    assert json.loads(text)["model"] == odd.model
    assert document.text("é") == '"é"'


@pytest.mark.parametrize("form", results.FORMATS)
def test_every_form_is_written(form: str) -> None:
    stream = StringIO()
    results.write(ALL, stream, form, color=False, full=False, precision=None)
    assert "4.07" in stream.getvalue()
    assert stream.getvalue().endswith("\n")

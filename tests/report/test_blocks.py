"""Blocks of matrices: their page, and how JSON tells the output's dims from the input's."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
import pytest

from gradcli.record import replace
from gradcli.report import layout, plain, results, table
from gradcli.report.arrays import Drawing
from gradcli.report.document import result_csv, result_json, result_jsonl
from gradcli.request import Entry, Result

DATA = np.arange(12.0).reshape(2, 2, 3)
BLOCK = Entry("out/x", "input", DATA, "f64", ("x",), None, "out", 2)
ZERO = Entry("out/w", "param", np.zeros((2, 2)), "f64", ("w",), {"reason": "no path", "at": []}, "out", 2)
ROW = Entry("loss/w", "param", np.arange(6.0).reshape(2, 3), "f64", ("w",), None, "loss", 0)
JAC = Result("jac", "model.net", "Net", 2026, "numpy", 1, (), None, (), (), blocks=(BLOCK, ZERO, ROW))
ONES = ({"output": "out", "kind": "ones", "source": None},)
ALONG = ({"wrt": "x", "kind": "file", "source": "v.npy"}, {"wrt": "w", "kind": "expression", "source": "[1,\n 2]"})
PRODUCT = Entry("x", "input", np.array([1.0, 2.0]), "f64", ("x",))
HVP = replace(JAC, verb="hess", sens=ONES, along=ALONG, blocks=None, products=(PRODUCT,))


def shown(result: Result) -> str:
    return plain.render(layout.page(result, Drawing()))


def test_a_row_for_each_element_of_the_output() -> None:
    assert shown(JAC) == (
        " model.net · net Net · numpy, 1 thread\n"
        "  block    shape          dtype   Jacobian        why zero\n"
        "  out/x    2×2 × 3        f64     [[0   1   2]\n"
        "                                   [3   4   5]\n"
        "                                   [6   7   8]\n"
        "                                   [9  10  11]]\n"
        "  out/w    2×2 × scalar   f64     [[0  0]         no path\n"
        "                                   [0  0]]\n"
        "  loss/w   scalar × 2×3   f64     [[0  1  2]\n"
        "                                   [3  4  5]]\n"
    )


def test_a_product() -> None:
    assert shown(HVP) == (
        " model.net · net Net · sens: ones (implicit) · vec x=v.npy, w=[1, 2] · numpy, 1 thread\n"
        "  input   shape   dtype   product\n"
        "  x       2       f64     [1  2]\n"
    )


@pytest.mark.parametrize("result", [JAC, HVP])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_shows_the_same(result: Result, width: int) -> None:
    stream = StringIO()
    table.render(layout.page(result, Drawing(width=width)), stream, color=False, width=width)
    assert stream.getvalue() == plain.render(layout.page(result, Drawing(width=width)))


def test_json_tells_the_dims_of_the_output_from_those_of_the_input() -> None:
    found = json.loads(result_json(JAC))
    assert [*found] == ["schema", "model", "net", "edition", "backend", "values", "blocks", "notes"]
    block, zero, row = found["blocks"]
    assert block == {
        "output": "out",
        "wrt": ["x"],
        "kind": "input",
        "rows": [2, 2],
        "columns": [3],
        "shape": [2, 2, 3],
        "dtype": "f64",
        "norm": pytest.approx(np.linalg.norm(DATA)),
        "nonfinite": 0,
        "zero": None,
        "data": DATA.tolist(),
    }
    assert (zero["columns"], zero["zero"]) == ([], {"reason": "no path", "at": []})
    assert (row["rows"], row["columns"]) == ([], [2, 3])


def test_json_of_a_product_has_no_blocks() -> None:
    found = json.loads(result_json(HVP))
    keys = ["schema", "model", "net", "edition", "backend", "sens", "along", "values", "blocks", "products", "notes"]
    assert [*found] == keys
    assert found["blocks"] is None
    assert found["along"] == [*ALONG]
    assert json.loads(result_jsonl(HVP))["product"]["wrt"] == ["x"]


def test_csv_names_blocks() -> None:
    assert result_csv(JAC).splitlines()[1:3] == ['out/x,"0,0,0",0.0', 'out/x,"0,0,1",1.0']


@pytest.mark.parametrize("form", results.FORMATS)
def test_every_form_is_written(form: str) -> None:
    stream = StringIO()
    results.write(JAC, stream, form, color=False, full=False, precision=None)
    assert "11" in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_an_output_called_value_keeps_its_name() -> None:
    block = replace(BLOCK, name="value/x", output="value")
    assert "  value/x   2×2 × 3   f64" in shown(replace(JAC, blocks=(block,)))


def on_terminal(result: Result, **how: object) -> str:
    stream = StringIO()
    table.render(layout.page(result, Drawing(width=60, **how)), stream, color=False, width=60)  # type: ignore[arg-type]
    return stream.getvalue()


def test_a_matrix_that_is_too_wide_loses_digits_not_its_rows() -> None:
    wide = replace(JAC, blocks=(replace(BLOCK, array=np.diag([1 / 3, 2 / 3, 1 / 7]), rows=1),))
    assert on_terminal(wide) == (
        " model.net · net Net · numpy, 1 thread\n"
        "  block   shape   dtype   Jacobian\n"
        "  out/x   3 × 3   f64     [[0.333333  0         0       ]\n"
        "                           [0         0.666667  0       ]\n"
        "                           [0         0         0.142857]]\n"
    )
    for page in (shown(wide), on_terminal(wide, full=True), on_terminal(wide, precision=17)):
        assert "0.3333333333333333" in page


def test_the_corners_of_a_large_one_have_as_many_columns_as_there_is_room_for() -> None:
    large = replace(JAC, blocks=(replace(BLOCK, array=np.arange(900.0).reshape(30, 30) / 7, rows=1),))
    rows = [line[28:] for line in on_terminal(large).splitlines()[5:]]
    assert max(map(len, rows)) <= 60 - 28
    assert rows == [
        "[[  0        …    4.14286]",
        " [  4.28571  …    8.42857]",
        " [  8.57143  …   12.7143 ]",
        " …",
        " [115.714    …  119.857  ]",
        " [120        …  124.143  ]",
        " [124.286    …  128.429  ]]",
    ]

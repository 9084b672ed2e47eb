"""csv and json: numbers without a dtype."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli.data.read import open_archive, open_array
from gradcli.data.stored import Stored
from gradcli.syntax.diagnostics import Diagnostic, ModelError


def opened(tmp_path: Path, content: str | bytes, reference: str = "t.csv") -> Stored:
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / reference.partition(":")[0]).write_bytes(data)
    return open_array(reference, base=tmp_path)


def refused(tmp_path: Path, content: str | bytes, reference: str = "t.csv") -> Diagnostic:
    with pytest.raises(ModelError) as caught:
        opened(tmp_path, content, reference)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.mark.parametrize(
    ("text", "shape", "values"),
    [
        ("1,2\n3,4\n", (2, 2), [[1, 2], [3, 4]]),
        ("1;2\r\n3;4\r\n", (2, 2), [[1, 2], [3, 4]]),
        ("1\t2\n3\t4", (2, 2), [[1, 2], [3, 4]]),
        ("  1   2\n 3 4  \n", (2, 2), [[1, 2], [3, 4]]),
        ("\ufeff1, 2\n\n# a comment\n3, 4\n", (2, 2), [[1, 2], [3, 4]]),
        ("x,y\n1,2\n3,4\n", (2, 2), [[1, 2], [3, 4]]),
        ('"x, in m","y"\n"1","2"\n3,4\n', (2, 2), [[1, 2], [3, 4]]),
        ("1\n2\n3\n", (3,), [1, 2, 3]),
        ("price\n1\n2\n", (2,), [1, 2]),
        ("1,2,3\n", (1, 3), [[1, 2, 3]]),
        ("7", (1,), [7]),
        ("-1,+2\n", (1, 2), [[-1, 2]]),
    ],
)
def test_csv(tmp_path: Path, text: str, shape: tuple[int, ...], values: Any) -> None:
    stored = opened(tmp_path, text)
    assert (stored.shape, stored.dtype, stored.integral) == (shape, None, True)
    loaded = stored.load()
    assert loaded.dtype == np.float64
    assert loaded.tolist() == values
    assert stored.load(integers=True).dtype == np.int64


def test_csv_of_floats(tmp_path: Path) -> None:
    stored = opened(tmp_path, "1.5,nan\n-inf,2e-3\nINF,1\n")
    assert not stored.integral
    np.testing.assert_array_equal(stored.load(integers=True), [[1.5, np.nan], [-np.inf, 2e-3], [np.inf, 1]])


def test_whole_numbers_stay_exact(tmp_path: Path) -> None:
    big = 2**63 - 1
    assert opened(tmp_path, f"{big},{-big}").load(integers=True).tolist() == [[big, -big]]
    stored = opened(tmp_path, f"{2**63},1")
    assert not stored.integral
    assert stored.load().tolist() == [[2.0**63, 1.0]]
    assert opened(tmp_path, f"[{big}]", "v.json").load(integers=True).tolist() == [big]


def test_csv_of_truths(tmp_path: Path) -> None:
    stored = opened(tmp_path, "true,false\nFalse,True\n")
    assert stored.dtype == "bool"
    assert stored.load().tolist() == [[True, False], [False, True]]


def test_columns_by_name(tmp_path: Path) -> None:
    stored = opened(tmp_path, "length,width,kind\n1.5,2,setosa\n3.5,4,virginica\n", "t.csv:width")
    assert (stored.shape, stored.key) == ((2,), "width")
    assert stored.load().tolist() == [2, 4]
    error = refused(tmp_path, "length,width\n1,2\n", "t.csv:wdth")
    assert (error.code, error.help, error.notes) == (
        "DAT006", "did you mean `t.csv:width`?", ("its columns are length, width",)
    )  # fmt: skip
    assert set(open_archive("t.csv", base=tmp_path)) == {"length", "width"}


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("", "DAT004", "t.csv is empty"),
        ("\n \n", "DAT004", "t.csv holds no numbers"),
        ("1,2\n3\n", "DAT032", "t.csv:2: this row has 1 numbers, the first line 2 numbers"),
        ("x,y\n3\n", "DAT032", "t.csv:2: this row has 1 numbers, the first line 2 names"),
        ("1,2\n\n3,4,5\n", "DAT032", "t.csv:3: this row has 3 numbers, the first line 2 numbers"),
        ("1,2\n3,4.o\n", "DAT031", "t.csv:2: `4.o` in column 2 is not a number"),
        ("1.0,2.o\n3,4\n", "DAT031", "t.csv:1: `2.o` in column 2 is not a number"),
        ("1,2\n3,\n", "DAT031", "t.csv:2: column 2 is empty"),
        ("1;2,5\n", "DAT031", "t.csv:1: `2,5` in column 2 is not a number"),
        ("1_000,2\n", "DAT031", "t.csv:1: `1_000` in column 1 is not a number"),
        ("1,true\n", "DAT031", "t.csv mixes numbers with true and false"),
        ("1,1e999\n", "DAT034", "t.csv:1: the number 1e999 in column 2 is beyond f64"),
        ("9" * 5000, "DAT034", f"t.csv:1: the number {'9' * 40} in column 1 is beyond f64"),
        ("x,x\n1,2\n", "DAT008", "t.csv has two columns named `x`"),
        ("hello", "DAT031", "t.csv:1: `hello` in column 1 is not a number"),
        (b"1,2\n\xff,3\n", "DAT030", "t.csv:2: byte 0xff is not UTF-8 text"),
        (b"1,2\n3,\0\n", "DAT030", "t.csv:2: a NUL character: this is not a text file"),
        ("1,2".encode("utf-16"), "DAT030", "t.csv is UTF-16 text, not UTF-8"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str | bytes, code: str, message: str) -> None:
    error = refused(tmp_path, content)
    assert (error.code, error.message) == (code, message)


def test_a_decimal_comma_is_recognised(tmp_path: Path) -> None:
    assert refused(tmp_path, "1;2,5\n").help == "write the decimal point: `2.5`"


@pytest.mark.parametrize(
    ("text", "shape", "values"),
    [
        ("3", (), 3.0),
        ("[[1, 2], [3, 4]]", (2, 2), [[1, 2], [3, 4]]),
        ("[]", (0,), []),
        ("[[], []]", (2, 0), [[], []]),
        ('[1.5, "inf", "-inf"]', (3,), [1.5, np.inf, -np.inf]),
        ("[1e-3, 2]", (2,), [1e-3, 2.0]),
        ("[NaN]", (1,), [np.nan]),
        ('"nan"', (), np.nan),
        ("[true, false]", (2,), [True, False]),
    ],
)
def test_json(tmp_path: Path, text: str, shape: tuple[int, ...], values: Any) -> None:
    stored = opened(tmp_path, text, "v.json")
    assert stored.shape == shape
    assert stored.dtype == ("bool" if "true" in text else None)
    np.testing.assert_array_equal(stored.load(), values)


def test_json_objects(tmp_path: Path) -> None:
    text = '{"x": [1, 2], "l1": {"w": [[1.5]], "b": 0}, "l2.w": [3]}'
    assert opened(tmp_path, text, "v.json:l1.w").load().tolist() == [[1.5]]
    arrays = open_archive("v.json", base=tmp_path)
    assert [(name, stored.shape) for name, stored in arrays.items()] == [
        ("x", (2,)), ("l1.w", (1, 1)), ("l1.b", ()), ("l2.w", (1,))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("[1, 2", "DAT033", "v.json:1:6: not JSON: expecting ',' delimiter"),
        ("[[1, 2], [3]]", "DAT032", "v.json[1] has 1 numbers, v.json[0] has 2"),
        ("[[[1], [2]], [[3], 4]]", "DAT032", "v.json[1][1] has a number, not a list, v.json[0][0] has 1"),
        ("[1, [2]]", "DAT032", "v.json[1] is a list, v.json[0] is a number"),
        ('{"x": [[1], [2, 3]]}', "DAT032", "v.json:x[1] has 2 numbers, v.json:x[0] has 1"),
        ("[1, null]", "DAT031", "v.json[1] is null, not a number"),
        ('[[1, 2], [3, "four"]]', "DAT031", "v.json[1][1] is the text 'four', not a number"),
        ('["four"]', "DAT031", "v.json[0] is the text 'four', not a number"),
        ("[{}]", "DAT031", "v.json[0] is an object, not a number"),
        ("[1, true]", "DAT031", "v.json mixes numbers with true and false"),
        ("[1e999]", "DAT034", "v.json: the number 1e999 is beyond f64"),
        (f"[{'9' * 400}]", "DAT034", f"v.json: the number {'9' * 20}… (400 characters) is beyond f64"),
        (f"[{'9' * 5000}]", "DAT034", f"v.json: the number {'9' * 20}… (5000 characters) is beyond f64"),
        ("[" * 100_000, "DAT033", "v.json is nested too deeply"),
        ("[" * 70 + "1" + "]" * 70, "DAT033", "v.json is nested more than 64 deep"),
        ('{"x": 1, "x": 2}', "DAT008", "v.json names `x` twice"),
        ('{"a": {"b": 1}, "a.b": 2}', "DAT008", "v.json names `a.b` twice"),
        ("  ", "DAT004", "v.json holds no numbers"),
        ('{"x": 1, "y": 2}', "DAT007", "v.json holds 2 arrays, and none is named"),
    ],
)
def test_bad_json(tmp_path: Path, text: str, code: str, message: str) -> None:
    error = refused(tmp_path, text, "v.json")
    assert (error.code, error.message) == (code, message)


def document(**changes: Any) -> str:
    grad = {"wrt": ["x"], "kind": "input", "shape": [2], "dtype": "f32", "data": [4.51, "nan"]} | changes
    second = {"wrt": ["x", "l1.w"], "kind": "param", "shape": [0, 3], "dtype": "f64", "data": []}
    values = [{"name": "out", "shape": [], "dtype": "i64", "data": 3}]
    return json.dumps({"schema": "gradcli.grad/1", "net": "N", "values": values, "grads": [grad, second], "notes": []})


def test_what_json_printed_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text(document())
    arrays = open_archive("g.json", base=tmp_path)
    assert {name: (stored.shape, stored.dtype) for name, stored in arrays.items()} == {
        "x": ((2,), "f32"), "x,l1.w": ((0, 3), "f64"), "value/out": ((), "i64")
    }  # fmt: skip
    np.testing.assert_array_equal(arrays["x"].load(), np.array([4.51, np.nan], "f4"), strict=True)
    assert arrays["x,l1.w"].load().shape == (0, 3)
    assert arrays["value/out"].load().dtype == np.int64
    values = {"schema": "gradcli.eval/1", "values": [{"name": "out", "shape": [1], "dtype": "bool", "data": [True]}]}
    assert opened(tmp_path, json.dumps(values), "e.json:out").load().tolist() == [True]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"shape": [3]}, "DAT032"), ({"shape": [[2]]}, "DAT032"), ({"shape": 2}, "DAT033"), ({"dtype": "c64"}, "DAT013"),
     ({"dtype": ["f32"]}, "DAT013"), ({"wrt": 3}, "DAT033"), ({"wrt": ["x", "l1.w"]}, "DAT008"),
     ({"dtype": "i32"}, "DAT013"), ({"dtype": "bool"}, "DAT013")],
)  # fmt: skip
def test_documents_that_lie(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    assert refused(tmp_path, document(**changes), "g.json:x").code == code


def test_documents_of_other_kinds(tmp_path: Path) -> None:
    assert refused(tmp_path, '{"schema": "gradcli.test/1"}', "g.json").code == "DAT033"
    assert refused(tmp_path, '{"schema": "gradcli.grad/1", "grads": [1]}', "g.json").code == "DAT033"
    assert refused(tmp_path, '{"schema": "gradcli.grad/1", "grads": 7}', "g.json").code == "DAT033"


@pytest.mark.parametrize("first", ["1/2", "0x10", "1_0", "1j", "null", "NA", "-", "x,"])
def test_a_first_line_that_is_neither_numbers_nor_names_is_refused(tmp_path: Path, first: str) -> None:
    (tmp_path / "t.csv").write_text(f"{first}\n1\n2\n")
    with pytest.raises(ModelError) as caught:
        open_array("t.csv", base=tmp_path).load()
    assert caught.value.diagnostics[0].code == "DAT031"


def test_a_quote_that_is_not_closed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"1\n2\n')
    with pytest.raises(ModelError) as caught:
        open_array("t.csv", base=tmp_path).load()
    assert caught.value.diagnostics[0].code == "DAT031"


def test_rows_end_at_line_feeds_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1\x0c2\n3\n")
    with pytest.raises(ModelError):
        open_array("t.csv", base=tmp_path).load()

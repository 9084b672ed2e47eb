"""Indexing, read and written, held against NumPy on a table of indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import calc, grads, other_lines, refused, refused_expression, same, value

X = np.arange(60.0).reshape(3, 4, 5)
V = np.arange(7.0) + 10

BASIC = """
0
-1
2, 3, 4
-3, -4, -5
0, 1
:
:, 0
:, -1
:, :, 2
..., 0
0, ...
...
..., 1:3
..., ::2
..., ::-1
::-1
::-2
1:
:1
1:2
:-1
-2:
0:3:2
2:0:-1
2::-1
:0:-1
5:
1:1
:99
-99:2
:, 1:3
:, 1:3, ::2
1, 1:3
None
:, None
..., None
None, 0, None
0, None, 1
:, None, :, None
None, ..., None
0, ..., 0
0, 0, 0, None
..., None, 0
:, :, :
::1, ::1
:, ::-1, 1:4:2
"""

ADVANCED = """
[0, 2]
[2, 0, 0]
[-1, 0]
:, [0, 2]
:, [3, 3, 0]
:, :, [0, 4]
..., [0, 4]
[[0, 1], [2, 0]]
:, [[0], [3]]
0, [1, 2]
[0, 1], 2
[0, 1], [2, 3]
[0, 1], [2, 3], [4, 0]
[[0], [1]], [2, 3]
:, [0, 1], [2, 3]
[0, 1], :, [2, 3]
[0, 1], :, 2
0, :, [2, 3]
0, [1, 2], :
1:, [0, 2]
[0, 2], ::2
[0, 2], None
None, [0, 2]
None, :, [0, 2]
..., None, [0, 2]
[0, 2], ..., 1
[], 0
"""


def numpy_index(text: str, array: Any) -> Any:
    return eval(f"array[{text}]", {"array": array, "None": None})


def lines(table: str) -> list[str]:
    return table.strip().splitlines()


@pytest.mark.parametrize("index", lines(BASIC))
def test_basic_indices_are_numpys(index: str) -> None:
    same(calc(f"x[{index}]", "x: f64[3, 4, 5]", x=X), numpy_index(index, X), "f64")


@pytest.mark.parametrize("index", [row for row in lines(ADVANCED) if "[]" not in row])
def test_integer_arrays_are_numpys(index: str) -> None:
    same(calc(f"x[{index}]", "x: f64[3, 4, 5]", x=X), numpy_index(index, X), "f64")


@pytest.mark.parametrize("index", [row for row in lines(BASIC) + lines(ADVANCED) if "[]" not in row])
def test_the_gradient_of_a_read_counts_how_often_each_element_was_read(index: str) -> None:
    wanted = np.zeros(X.shape)
    read = numpy_index(index, np.arange(60).reshape(X.shape))
    np.add.at(wanted.reshape(-1), np.asarray(read).reshape(-1), 1.0)
    same(grads(f"net f(x: f64[3, 4, 5]) = x[{index}]\n", x=X)["x"], wanted)


@pytest.mark.parametrize(
    "index", ["i", ":, i", "i, j", "..., i", "i, :, j", "i, 1", "i, ::2", "i, None", ":, i, j", "j, k", "k, :, j"]
)
def test_indices_from_data_are_numpys(index: str) -> None:
    i, j, k = np.array([2, 0]), np.array([1, 2]), np.int64(1)
    text = f"net f(x: f64[3, 4, 5], i: i64[2], j: i64[2], k: i64) = x[{index}] + 0 * (sum(i) + sum(j) + k)\n"
    same(value(text, x=X, i=i, j=j, k=k), eval(f"X[{index}]", {"X": X, "i": i, "j": j, "k": int(k)}))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_an_integer_scalar_of_data(dtype: str) -> None:
    type_ = {"int32": "i32", "int64": "i64"}[dtype]
    same(calc("x[i]", f"x: f64[7], i: {type_}", x=V, i=np.dtype(dtype).type(3)), 13.0)


def test_an_index_through_an_index() -> None:
    same(
        calc("x[parent[i]]", "x: f64[7], parent: i64[3], i: i64", x=V, parent=np.array([5, 2, 0]), i=np.int64(1)), 12.0
    )


def test_indices_from_data_in_a_loop() -> None:
    text = "net f(x: f64[n], p: i64[m]) {\n  s = 0.0\n  for i in 0..m {\n    s = 10 * s + x[p[i]]\n  }\n  return s\n}\n"
    same(value(text, x=[1.0, 2.0, 3.0], p=np.array([2, 0, 1])), 312.0)


def test_the_result_of_a_call_and_of_an_index_are_indexed() -> None:
    same(calc("(2 * x)[1]", "x: f64[7]", x=V), 22.0)
    same(calc("sin(x)[1:][0]", "x: f64[7]", x=V), np.sin(11.0))
    same(calc("x[0][1][2]", "x: f64[3, 4, 5]", x=X), X[0, 1, 2])


def test_indices_of_dims_and_consts() -> None:
    same(value("const k = 1\nnet f(x: f64[n]) = x[k] + x[n - 1] + x[size(n) - 2]\n", x=V), 11.0 + 16.0 + 15.0)


def test_a_list_and_a_tuple_are_indexed_by_constants() -> None:
    same(calc("[x, 2 * x][1]", "x: f64", x=3.0), 6.0)
    same(value("net f(x: f64) {\n  t = (x, 2 * x)\n  return t[1] + t[-1]\n}\n", x=3.0), 12.0)


@pytest.mark.parametrize("index", ["2", "-3"])
def test_a_tuple_index_out_of_range(index: str) -> None:
    refused(f"net f(x: f64) {{\n  t = (x, 2 * x)\n  return t[{index}]\n}}\n", "SHP108", x=1.0)


def test_a_tuple_is_not_indexed_by_data() -> None:
    refused("net f(x: f64, i: i64) {\n  t = (x, 2 * x)\n  return t[i]\n}\n", "SHP110", x=1.0, i=np.int64(0))


@pytest.mark.parametrize(
    ("index", "code", "says"),
    [
        ("3", "SHP108", "3"),
        ("-4", "SHP108", "-4"),
        (":, 4", "SHP108", "4"),
        ("..., -6", "SHP108", "-6"),
        ("[0, 3]", "SHP108", "3"),
        ("[[0, 1], [2, -4]]", "SHP108", "-4"),
        ("0, 0, 0, 0", "SHP109", ""),
        ("..., 0, ...", "SHP109", ""),
        ("0.5", "SHP110", ""),
        ("::0", "SHP110", "0"),
        ("0.5:2", "SHP110", ""),
        ("[0, 1], [0, 1, 2]", "SHP101", ""),
        ("[0.5]", "SHP110", ""),
    ],
)
def test_wrong_indices_are_refused_before_anything_runs(index: str, code: str, says: str) -> None:
    text = f"net f(x: f64[3, 4, 5]) =\\\n x[{index}]\n".replace("\\\n", "")
    found = refused(text, code, says=says, x=X)
    assert found.span is not None
    assert index in found.span.text or found.span.text in index


def test_a_boolean_mask_is_refused_with_where() -> None:
    found = refused_expression("x[x > 0]", "SHP110", signature="x: f64[7]", x=V)
    assert "where" in (found.help or "")


def test_an_index_out_of_range_says_where_the_array_came_from() -> None:
    found = refused("net f(x: f64[3],\n      y: f64) = y * x[3]\n", "SHP108", "x[3]", x=[1.0, 2.0, 3.0], y=1.0)
    assert 1 in other_lines(found)


@pytest.mark.parametrize("bad", [7, -8, -1, 2**40, -(2**40)])
@pytest.mark.parametrize("net", ["x[i]", "x[[0, 1]] * x[i]"])
def test_a_data_index_out_of_range_is_an_error_when_it_is_met(bad: int, net: str) -> None:
    text = f"net f(x: f64[7], i: i64) {{\n  a = 2 * x\n  return {net}\n}}\n"
    found = refused(text, "SHP108", says=str(bad), x=V, i=np.int64(bad))
    assert found.span is not None
    assert found.span.line == 3


def test_a_data_index_array_out_of_range_is_an_error_in_grad_too() -> None:
    for verb in ("eval", "grad"):
        refused(
            "net f(x: f64[7], i: i64[3]) = sum(x[i] ** 2)\n", "SHP108", "x[i]", verb=verb, x=V, i=np.array([0, 1, 7])
        )


def test_an_empty_slice() -> None:
    same(calc("sum(x[3:3])", "x: f64[7]", x=V), 0.0)


def test_an_index_of_a_scalar_is_refused() -> None:
    refused_expression("x[0]", "SHP109", "x[0]", "x: f64", x=1.0)


def test_named_dims_survive_slices_that_keep_the_whole_axis() -> None:
    same(calc("sum(x[:, 0], axis=batch)", "x: f64[batch, 2]", x=np.ones((3, 2))), 3.0)
    same(calc("sum(x[:, None], axis=batch)", "x: f64[batch]", x=np.ones(3)), [3.0])
    same(calc("sum(x[..., ::-1], axis=batch)", "x: f64[batch, 2]", x=np.ones((3, 2))), [3.0, 3.0])


# ── writing ──


def written(statement: str, x: Any, **data: Any) -> Any:
    types = {"float64": "f64", "int64": "i64", "float32": "f32"}
    signature = ", ".join(
        f"{k}: {types[np.asarray(v).dtype.name]}" + (f"[{', '.join(map(str, np.shape(v)))}]" if np.ndim(v) else "")
        for k, v in {"x": x, **data}.items()
    )
    return value(
        f"net f({signature}) {{\n  {statement}\n  return x\n}}\n", x=x, **{k: np.asarray(v) for k, v in data.items()}
    )


@pytest.mark.parametrize("index", lines(BASIC) + [row for row in lines(ADVANCED) if "[]" not in row])
def test_any_index_that_may_be_read_may_be_written(index: str) -> None:
    wanted = X.copy()
    exec(f"wanted[{index}] = -1.0", {"wanted": wanted, "None": None})
    same(written(f"x[{index}] = -1.0", X), wanted, "f64")


@pytest.mark.parametrize("index", lines(BASIC) + [row for row in lines(ADVANCED) if "[]" not in row])
def test_any_index_that_may_be_read_may_be_added_to_and_repeats_accumulate(index: str) -> None:
    positions = np.asarray(numpy_index(index, np.arange(60).reshape(X.shape)))
    wanted = X.copy()
    np.add.at(wanted.reshape(-1), positions.reshape(-1), 100.0)
    same(written(f"x[{index}] += 100.0", X), wanted)


@pytest.mark.parametrize(
    "index", ["0", ":, 1:3", "..., ::-2", "[2, 0]", ":, [3, 1], [0, 1]", "[0, 1], :, 2", ":, None, 0"]
)
def test_arrays_are_written_as_numpy_writes_them(index: str) -> None:
    wanted = X.copy()
    v = np.random.default_rng(0).normal(size=numpy_index(index, X).shape)
    exec(f"wanted[{index}] = v", {"wanted": wanted, "v": v, "None": None})
    same(written(f"x[{index}] = v", X, v=v), wanted)


def test_what_is_written_broadcasts() -> None:
    wanted = X.copy()
    wanted[:, 1] = np.arange(5.0)
    same(written("x[:, 1] = v", X, v=np.arange(5.0)), wanted)


def test_what_is_written_never_grows_the_target() -> None:
    found = refused(
        "net f(x: f64[3], v: f64[2, 3]) {\n  x[:] = v\n  return x\n}\n", "SHP101", x=V[:3], v=np.ones((2, 3))
    )
    assert found.span is not None
    assert found.span.line == 2


def test_of_repeated_indices_the_last_one_wins() -> None:
    same(written("x[[0, 0, 1]] = [1.0, 2.0, 3.0]", V), [2.0, 3.0, *V[2:]])
    same(written("x[i] = [1.0, 2.0, 3.0]", V, i=np.array([4, 4, 4])), [10, 11, 12, 13, 3, 15, 16])


def test_the_gradient_of_repeated_writes_goes_to_the_last_one() -> None:
    text = "net f(x: f64[3], v: f64[3], i: i64[3]) {\n  x[i] = v\n  return x * [1.0, 10.0, 100.0]\n}\n"
    g = grads(text, x=np.zeros(3), v=np.zeros(3), i=np.array([1, 1, 0]), get_all=True)
    same(g["x"], [0.0, 0.0, 100.0])
    same(g["v"], [0.0, 10.0, 1.0])


def test_repeated_data_indices_accumulate_with_plus_equals() -> None:
    same(written("x[i] += v", np.zeros(3), i=np.array([1, 1, 0]), v=np.array([1.0, 2.0, 4.0])), [4.0, 3.0, 0.0])


def test_the_gradient_of_an_accumulation_reaches_every_term() -> None:
    text = "net f(x: f64[3], v: f64[3], i: i64[3]) {\n  x[i] += v\n  return x * x\n}\n"
    g = grads(text, x=np.ones(3), v=np.ones(3), i=np.array([1, 1, 0]), get_all=True)
    same(g["x"], [4.0, 6.0, 2.0])
    same(g["v"], [6.0, 6.0, 4.0])


def test_a_data_index_that_is_written_out_of_range_is_an_error() -> None:
    for statement in ("x[i] = 1.0", "x[i] += 1.0"):
        found = refused(
            f"net f(x: f64[3], i: i64[2]) {{\n  {statement}\n  return x\n}}\n",
            "SHP108",
            says="3",
            x=np.ones(3),
            i=np.array([0, 3]),
        )
        assert found.span is not None
        assert found.span.line == 2


def test_the_old_value_is_untouched() -> None:
    text = "net f(x: f64[3]) {\n  y = x\n  x[0] = 9.0\n  return y, x\n}\n"
    given = np.array([1.0, 2.0, 3.0])
    y, x = gradcli.compile(text).eval(x=given)
    same(y, [1.0, 2.0, 3.0])
    same(x, [9.0, 2.0, 3.0])
    same(given, [1.0, 2.0, 3.0])


def test_a_net_that_writes_into_its_input_leaves_the_callers_value() -> None:
    same(
        value("net g(a) {\n  a[0] = 0.0\n  return sum(a)\n}\nnet main(x: f64[2]) = g(x) + 10 * sum(x)\n", x=[1.0, 2.0]),
        32.0,
    )


def test_a_weak_array_that_is_written_into_takes_the_dtype_of_what_is_written() -> None:
    text = "net f(x: f32) {\n  a = zeros([2])\n  a[0] = x\n  return a\n}\n"
    same(value(text, x=2.0), [2.0, 0.0], "f32")


def test_a_definite_array_keeps_its_dtype() -> None:
    same(written("x[0] = 1", np.zeros(2, "float32")), [1.0, 0.0], "f32")
    refused("net f(x: f32[2], v: f64) {\n  x[0] = v\n  return x\n}\n", "SHP103", x=np.zeros(2, "float32"), v=1.0)


def test_a_fraction_is_not_written_into_integers() -> None:
    refused("net f(x: i64[2]) {\n  x[0] = 0.5\n  return x\n}\n", "SHP103", x=np.zeros(2, "int64"))


def test_a_name_that_is_not_bound_cannot_be_written_into() -> None:
    refused("net f(x: f64) {\n  a[0] = x\n  return a\n}\n", "NAM001", "a", x=1.0)


def test_a_list_is_written_into() -> None:
    same(value("net f(x: f64) {\n  a = [x, x]\n  a[0] = 5.0\n  return a\n}\n", x=1.0), [5.0, 1.0])


def test_a_tuple_is_not_written_into() -> None:
    with pytest.raises(gradcli.ModelError):
        value("net f(x: f64) {\n  a = (x, x)\n  a[0] = 5.0\n  return a\n}\n", x=1.0)


def test_writing_the_whole() -> None:
    same(written("x[...] = 0.0", V), np.zeros(7))
    same(written("x[:] += 1.0", V), V + 1)


def test_the_gradient_of_a_write_is_zero_where_it_was_replaced() -> None:
    g = grads(
        "net f(x: f64[3], v: f64) {\n  x[1] = v\n  return x * [1.0, 2.0, 3.0]\n}\n", x=np.ones(3), v=1.0, get_all=True
    )
    same(g["x"], [1.0, 0.0, 3.0])
    same(g["v"], 2.0)


def test_an_array_read_and_written_in_one_statement() -> None:
    same(written("x[0] = x[1] + x[2]", V), [23.0, *V[1:]])
    same(written("x[1:] = x[:-1]", V), [10.0, *V[:-1]])
    same(written("x[1:] += x[:-1]", V), [10.0, *(V[1:] + V[:-1])])


def test_a_whole_float_is_an_index() -> None:
    """There is no integer division, so half of a size is a whole float."""
    same(calc("x[size(n) / 2]", "x: f64[n]", x=V[:4]), V[2])
    refused_expression("x[1.5]", "SHP110", signature="x: f64[3]", x=V[:3])

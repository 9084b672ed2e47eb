"""The Python API: load, compile, grad, eval and planned callables, on the caller's own arrays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import same

NET = """
net Scale(x: f64[...]) {
  param w: f64 = 2.0
  return w * x
}
net main(x: f64[n], y: f64[n]) -> f64[n] {
  param b: f64 = 3.0
  layer l1 = Scale
  return l1(x) * x * y + b
}
"""
X, Y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
VALUE = 2 * X * X * Y + 3
GRADS = {"x": 4 * X * Y, "y": 2 * X * X, "b": np.array(2.0), "l1.w": (X * X * Y).sum()}


@pytest.fixture
def net() -> Any:
    return gradcli.compile(NET)


def refusal(call: Any, code: str) -> Any:
    """The diagnostic of a call that is refused as a ModelError, never as anything else."""
    with pytest.raises(gradcli.ModelError) as caught:
        call()
    first = caught.value.diagnostics[0]
    assert first.code == code, first
    return first


# ── opening ──


def test_compile_and_load_give_a_net(tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(NET)
    for opened in (gradcli.compile(NET), gradcli.load(tmp_path / "m.net"), gradcli.load(str(tmp_path / "m.net"))):
        assert opened.name == "main"
        assert opened.inputs == ("x", "y")
        same(opened.eval(x=X, y=Y)["out"], VALUE)


def test_another_net_and_consts() -> None:
    other = gradcli.compile("const k = 2.0\nnet a(x: f64) = k * x\nnet main(x: f64) = x\n", net="a", consts={"k": 5.0})
    same(other.eval(x=1.0)[0], 5.0)


def test_consts_of_one_call() -> None:
    net = gradcli.compile("const k = 2.0\nnet main(x: f64) = k * x\n")
    same(net.eval(x=1.0, consts={"k": 7})[0], 7.0)
    same(net.eval(x=1.0)[0], 2.0)


def test_consts_may_be_arrays_and_lists() -> None:
    for k in ([1.0, 2.0], np.array([1.0, 2.0])):
        same(
            gradcli.compile("const k = [0.0, 0.0]\nnet main(x: f64) = k * x\n", consts={"k": k}).eval(x=3.0)[0],
            [3.0, 6.0],
        )


def test_a_missing_file(tmp_path: Path) -> None:
    refusal(lambda: gradcli.load(tmp_path / "no.net"), "DAT110")
    refusal(lambda: gradcli.load(tmp_path), "DAT110")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "m.net").write_bytes(b"\xff\xfe\x00net")
    refusal(lambda: gradcli.load(tmp_path / "m.net"), "DAT111")


def test_a_syntax_error_is_raised_when_the_model_is_opened() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net f(x) = x +\n")
    first = caught.value.diagnostics[0]
    assert first.code.startswith("SYN")
    assert first.span is not None
    assert first.span.line == 1
    assert str(first) in str(caught.value)


def test_a_file_without_nets() -> None:
    refusal(lambda: gradcli.compile("const a = 1\n"), "NAM008")


def test_the_text_of_a_net_object(net: Any) -> None:
    assert "main(x, y)" in repr(net)


# ── grad and eval ──


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["x"]),
        ({"get_all": True}, ["x", "y"]),
        ({"get_by_list": True}, ["b", "l1.w"]),
        ({"get_all": True, "get_by_list": True}, ["x", "y", "b", "l1.w"]),
        ({"wrt": "y"}, ["y"]),
        ({"wrt": "y,l1.w"}, ["y", "l1.w"]),
        ({"wrt": ["y", "l1.w"]}, ["y", "l1.w"]),
        ({"wrt": ("b", "x")}, ["b", "x"]),
        ({"wrt": "all"}, ["x", "y"]),
        ({"wrt": "params"}, ["b", "l1.w"]),
        ({"wrt": "l1"}, ["l1.w"]),
    ],
)
def test_grad_by_name_and_order(net: Any, options: Any, names: list[str]) -> None:
    g = net.grad(x=X, y=Y, **options)
    assert list(g.keys()) == names
    for name in names:
        same(g[name], GRADS[name])
    assert len(g) == len(names)
    for got, name in zip(g, names, strict=True):
        same(got, GRADS[name])


def test_results_unpack_and_are_found_by_name_and_position(net: Any) -> None:
    dx, dy = net.grad(x=X, y=Y, get_all=True)
    g = net.grad(x=X, y=Y, get_all=True)
    same(dx, g["x"])
    same(dy, g[1])
    same(g[-1], dy)
    assert "x" in g
    assert "q" not in g
    assert dict(g.items()).keys() == {"x", "y"}
    assert "x" in repr(g)
    with pytest.raises(KeyError):
        g["q"]
    with pytest.raises(IndexError):
        g[2]


def test_a_slice_of_the_results(net: Any) -> None:
    assert len(net.grad(x=X, y=Y, get_all=True)[:1]) == 1


def test_results_are_numpy_arrays_of_the_models_dtype(net: Any) -> None:
    for array in (*net.grad(x=X, y=Y, get_all=True, get_by_list=True), *net.eval(x=X, y=Y)):
        assert type(array) is np.ndarray
        assert array.dtype == np.float64
        assert array.flags.writeable
        assert array.flags.owndata or array.base is None or array.base.flags.owndata


def test_sens(net: Any) -> None:
    s = np.array([1.0, 10.0])
    same(net.grad(x=X, y=Y, sens=s)["x"], s * GRADS["x"])
    same(net.grad(x=X, y=Y, sens=[1.0, 10.0])["x"], s * GRADS["x"])
    same(net.grad(x=X, y=Y, sens={"out": s})["x"], s * GRADS["x"])


@pytest.mark.parametrize("sens", [np.ones(3), np.ones((1, 2)), 1.0, np.ones(2, "float32"), np.ones(2, "int64")])
def test_sens_of_another_shape_or_dtype_is_refused(net: Any, sens: Any) -> None:
    refusal(lambda: net.grad(x=X, y=Y, sens=sens), "DIF004")


def test_sens_of_several_outputs() -> None:
    two = gradcli.compile("net f(x: f64) {\n  a = x ** 2\n  b = x ** 3\n  return a, b\n}\n")
    same(two.grad(x=2.0, sens=(1.0, 0.0))["x"], 4.0)
    same(two.grad(x=2.0, sens={"a": 1.0, "b": 10.0})["x"], 124.0)
    with pytest.raises(gradcli.ModelError):
        two.grad(x=2.0, sens=1.0)
    with pytest.raises(gradcli.ModelError):
        two.grad(x=2.0, sens={"c": 1.0})


def test_value_puts_the_values_first(net: Any) -> None:
    g = net.grad(x=X, y=Y, value=True, get_all=True)
    assert g.keys() == ["value/out", "x", "y"]
    same(g["value/out"], VALUE)
    _, dx, dy = g
    same(dx, GRADS["x"])
    same(dy, GRADS["y"])


def test_orders() -> None:
    net = gradcli.compile("net f(x: f64, y: f64) = x ** 2 * y\n")
    g = net.grad(x=4.0, y=5.0, get_all=True, order=2)
    assert g.keys() == ["x,x", "x,y", "y,x", "y,y"]
    assert [float(v) for v in g] == [10.0, 8.0, 8.0, 0.0]
    same(net.grad(x=4.0, y=5.0, order=2)["x,x"], 10.0)
    same(gradcli.compile("net f(x: f64) = x ** 5\n").grad(x=2.0, order=4)[0], 240.0)


@pytest.mark.parametrize("order", [0, -1, 11, 1.5, "2", None])
def test_an_order_that_is_none(net: Any, order: Any) -> None:
    refusal(lambda: net.grad(x=X, y=Y, order=order), "DIF007")


def test_at_a_line_of_the_net() -> None:
    net = gradcli.compile("net f(x: f64) {\n  h = x ** 2\n  return h ** 3\n}\n")
    same(net.grad(x=2.0, at="h")[0], 48.0)
    same(net.eval(x=2.0, at="h")[0], 4.0)
    refusal(lambda: net.grad(x=2.0, at="q"), "NAM011")


def test_dtype(net: Any) -> None:
    for dtype, name in (("f32", "float32"), ("f16", "float16"), ("f64", "float64")):
        g = net.grad(x=X, y=Y, dtype=dtype, get_by_list=True, get_all=True)
        assert {str(a.dtype) for a in g} == {name}


def test_inputs_and_params_as_mappings(net: Any) -> None:
    same(net.grad(inputs={"x": X, "y": Y})["x"], GRADS["x"])
    same(net.grad(inputs={"x": X}, y=Y)["x"], GRADS["x"])
    same(net.eval(x=X, y=Y, params={"l1.w": 10.0})[0], 10 * X * X * Y + 3)
    same(net.eval(x=X, y=Y, params={"l1.w": np.array(10.0), "b": 0})[0], 10 * X * X * Y)


def test_an_input_named_as_an_option_goes_through_inputs() -> None:
    net = gradcli.compile("net f(wrt: f64, out: f64) = wrt * out\n")
    same(net.grad(inputs={"wrt": 2.0, "out": 3.0}, wrt="out")["out"], 2.0)
    same(net.compile("grad", wrt="out")(inputs={"wrt": 2.0, "out": 3.0})["out"], 2.0)


def test_input_items_and_defaults_feed_what_is_not_given() -> None:
    net = gradcli.compile("net f(x: f64, y: f64 = 3.0) = x * y\ninput x = 2.0\n")
    same(net.eval()[0], 6.0)
    same(net.eval(x=5.0)[0], 15.0)
    f = net.compile("eval")
    same(f()[0], 6.0)
    same(f(x=5.0)[0], 15.0)
    same(f(y=1.0)[0], 2.0)
    same(f()[0], 6.0)


@pytest.mark.parametrize(
    "x",
    [
        [1, 2],
        (1.0, 2.0),
        np.array([1, 2]),
        np.array([1.0, 2.0], "float32"),
        np.array([1, 2], "int32"),
        [np.float64(1), 2],
        np.array([1.0, 0, 2.0])[::2],
    ],
)
def test_what_counts_as_an_array(net: Any, x: Any) -> None:
    same(net.grad(x=x, y=Y)["x"], GRADS["x"], "f64")


def test_0_d() -> None:
    net = gradcli.compile("net f(x: f32) = x * x\n")
    for x in (3, 3.0, np.float32(3), np.array(3, "float32"), np.int64(3)):
        g = net.grad(x=x)["x"]
        assert isinstance(g, np.ndarray)
        same(g, 6.0, "f32")


def test_float32_arrays_into_f32(net: Any) -> None:
    narrow = gradcli.compile("net f(x: f32[n]) = x * x\n")
    same(narrow.grad(x=np.array([1, 2], "float32"))["x"], [2.0, 4.0], "f32")
    same(narrow.compile("grad")(x=np.array([1, 2], "float32"))["x"], [2.0, 4.0], "f32")


def test_size_0_and_strided_and_read_only_arrays() -> None:
    net = gradcli.compile("net f(x: f64[...]) = sum(x * x)\n")
    same(net.grad(x=np.zeros((0, 3)))["x"], np.zeros((0, 3)))
    a = np.arange(24.0).reshape(4, 6)
    for view in (a.T, a[::2, ::-1], np.asfortranarray(a), np.broadcast_to(a[0], (3, 6)), a.astype(">f8")):
        same(net.grad(x=view)["x"], 2 * np.asarray(view))
        same(net.compile("grad")(x=view)["x"], 2 * np.asarray(view))
    a.flags.writeable = False
    same(net.grad(x=a)["x"], 2 * a)


# ── wrong use ──

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"x": X}, "DAT101", "y"),
    ({}, "DAT101", "x"),
    ({"x": X, "y": Y, "z": 1.0}, "DAT102", "z"),
    ({"x": np.ones(3), "y": Y}, "SHP106", "n"),
    ({"x": np.ones((2, 2)), "y": Y}, "SHP105", "x"),
    ({"x": "text", "y": Y}, "DAT107", "x"),
    ({"x": None, "y": Y}, "DAT107", "x"),
    ({"x": [[1.0], [1.0, 2.0]], "y": Y}, "DAT107", "x"),
    ({"x": np.array([1j, 2]), "y": Y}, "DAT107", "complex"),
    ({"x": np.array(["a", "b"]), "y": Y}, "DAT107", "x"),
    ({"x": np.array([None, 1]), "y": Y}, "DAT107", "x"),
    ({"x": X, "y": Y, "wrt": "q"}, "DIF003", "q"),
    ({"x": X, "y": Y, "params": {"q": 1.0}}, "DAT104", "q"),
    ({"x": X, "y": Y, "params": {"b": [1.0, 2.0]}}, "DAT105", "b"),
]


@pytest.mark.parametrize(("given", "code", "says"), WRONG)
@pytest.mark.parametrize("way", ["grad", "compiled"])
def test_wrong_use_is_a_model_error(net: Any, given: dict[str, Any], code: str, says: str, way: str) -> None:
    if way == "grad":
        found = refusal(lambda: net.grad(**given), code)
    else:
        options = {k: v for k, v in given.items() if k == "wrt"}
        inputs = {k: v for k, v in given.items() if k != "wrt"}
        found = refusal(lambda: net.compile("grad", **options)(**inputs), code)
    assert says in found.message


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"x": np.ones(2)}, "DAT105"), ({"x": np.ones(2, "float32"), "params": {"w": np.float64(1.0)}}, "DAT105"),
        ({"x": np.ones(3, "float32")}, "SHP106"), ({"x": np.float32(1)}, "SHP105"),
    ],
)  # fmt: skip
def test_nothing_is_narrowed_silently(given: Any, code: str) -> None:
    net = gradcli.compile("net f(x: f32[2]) {\n  param w: f32 = 1.0\n  return w * x\n}\n")
    for call in (lambda: net.eval(**given), lambda: net.compile("eval")(**given), lambda: net.compile("grad")(**given)):
        found = refusal(call, code)
        assert code != "DAT105" or found.help is not None


def test_a_call_of_a_planned_net_after_another_dtype_is_checked_too() -> None:
    f = gradcli.compile("net f(x: f32[2]) = x * x\n").compile("grad")
    same(f(x=np.ones(2, "float32"))["x"], [2.0, 2.0], "f32")
    refusal(lambda: f(x=np.ones(2)), "DAT105")
    same(f(x=[1, 1])["x"], [2.0, 2.0], "f32")
    same(f(x=[0.5, 0.5])["x"], [1.0, 1.0], "f32")


def test_a_misspelt_input_suggests_the_right_one() -> None:
    net = gradcli.compile("net f(velocity: f64) = velocity ** 2\n")
    found = refusal(lambda: net.grad(velocity=1.0, velocty=2.0), "DAT102")
    assert "velocity" in (found.help or "") + " ".join(found.notes)


@pytest.mark.parametrize("wrt", [3, [1, 2], object()])
def test_a_wrt_that_is_no_text(net: Any, wrt: Any) -> None:
    refusal(lambda: net.grad(x=X, y=Y, wrt=wrt), "DIF003")


def test_a_wrong_backend_or_dtype_is_a_model_error(net: Any) -> None:
    for options in ({"backend": "abacus"}, {"dtype": "f128"}, {"dtype": "float32"}):
        with pytest.raises(gradcli.ModelError):
            net.grad(x=X, y=Y, **options)


def test_a_wrong_verb_is_refused(net: Any) -> None:
    with pytest.raises((gradcli.ModelError, ValueError)):
        net.compile("gard")


def test_integer_inputs_are_left_out_and_named_ones_refused() -> None:
    net = gradcli.compile("net f(k: i64, x: f64) = k * x\n")
    assert net.grad(k=2, x=3.0).keys() == ["x"]
    assert net.grad(k=2, x=3.0, get_all=True).keys() == ["x"]
    refusal(lambda: net.grad(k=2, x=3.0, wrt="k"), "DIF001")


def test_a_refusal_carries_every_independent_diagnostic() -> None:
    net = gradcli.compile("net f(x: f64) {\n  a = unknown1\n  b = unknown2\n  return x\n}\n")
    with pytest.raises(gradcli.ModelError) as caught:
        net.eval(x=1.0)
    assert [d.code for d in caught.value.diagnostics] == ["NAM001", "NAM001"]
    assert caught.value.exit_code == 2


def test_a_data_index_out_of_range_is_a_model_error_with_its_line() -> None:
    net = gradcli.compile("net f(x: f64[3], i: i64) {\n  y = 2 * x\n  return y[i]\n}\n")
    f = net.compile("eval")
    same(f(x=[1.0, 2.0, 3.0], i=np.int64(2))[0], 6.0)
    for call in (lambda: f(x=[1.0, 2.0, 3.0], i=np.int64(3)), lambda: net.eval(x=[1.0, 2.0, 3.0], i=np.int64(3))):
        found = refusal(call, "SHP108")
        assert found.span.line == 3
    same(f(x=[1.0, 2.0, 3.0], i=np.int64(0))[0], 2.0)


# ── planned callables ──


def test_a_planned_gradient(net: Any) -> None:
    f = net.compile("grad", wrt="params")
    for scale in (1.0, 2.0):
        g = f(x=scale * X, y=Y)
        assert g.keys() == ["b", "l1.w"]
        same(g["l1.w"], ((scale * X) ** 2 * Y).sum())


def test_the_default_verb_is_grad(net: Any) -> None:
    same(net.compile()(x=X, y=Y)["x"], GRADS["x"])


def test_the_full_form(net: Any) -> None:
    f = net.compile("grad", wrt=("x", "l1.w"))
    g = f(inputs={"x": X, "y": Y}, params={"l1.w": 10.0})
    same(g["x"], 20 * X * Y)
    same(f(x=X, inputs={"y": Y})["x"], GRADS["x"])
    same(f(x=X, y=Y)["x"], GRADS["x"])


def test_a_planned_value(net: Any) -> None:
    f = net.compile("eval")
    same(f(x=X, y=Y)["out"], VALUE)
    same(f(x=X, y=Y, params={"b": 0.0})["out"], VALUE - 3)


def test_planned_with_value_and_order() -> None:
    net = gradcli.compile("net f(x: f64, y: f64) = x ** 2 * y\n")
    g = net.compile("grad", value=True, get_all=True)(x=4.0, y=5.0)
    assert g.keys() == ["value/out", "x", "y"]
    assert [float(v) for v in g] == [80.0, 40.0, 16.0]
    g = net.compile("grad", order=2, get_all=True)(x=4.0, y=5.0)
    assert g.keys() == ["x,x", "x,y", "y,x", "y,y"]
    assert [float(v) for v in g] == [10.0, 8.0, 8.0, 0.0]


def test_planned_with_sens_given_at_once_or_at_each_call(net: Any) -> None:
    s = np.array([1.0, 10.0])
    same(net.compile("grad", sens=s)(x=X, y=Y)["x"], s * GRADS["x"])
    f = net.compile("grad")
    for k in (1.0, 2.0, 3.0):
        same(f(x=X, y=Y, sens=k * s)["x"], k * s * GRADS["x"])
    same(f(x=X, y=Y)["x"], GRADS["x"])
    refusal(lambda: f(x=X, y=Y, sens=np.ones(3)), "DIF004")


def test_arrays_given_when_compiled_are_defaults(net: Any) -> None:
    f = net.compile("grad", y=Y)
    same(f(x=X)["x"], GRADS["x"])
    same(f(x=X, y=2 * Y)["x"], 2 * GRADS["x"])
    same(f(x=X)["x"], GRADS["x"])


def test_params_given_when_compiled_are_defaults(net: Any) -> None:
    f = net.compile("eval", params={"b": 0.0, "l1.w": 1.0})
    same(f(x=X, y=Y)[0], X * X * Y)
    same(f(x=X, y=Y, params={"b": 1.0})[0], X * X * Y + 1)
    same(f(x=X, y=Y)[0], X * X * Y)


def test_other_shapes_are_planned_anew(net: Any) -> None:
    f = net.compile("grad")
    for n in (1, 2, 5, 2, 1):
        same(f(x=np.ones(n), y=np.ones(n))["x"], np.full(n, 4.0))


def test_a_weak_value_that_changes_kind_is_planned_anew() -> None:
    f = gradcli.compile("net f(x) = x / 2\n").compile("eval")
    same(f(x=1)[0], 0.5, "f64")
    same(f(x=np.int64(1))[0], 0.5, "f64")
    same(f(x=np.float32(1))[0], 0.5, "f32")
    same(f(x=1.5)[0], 0.75, "f64")


def test_changes_of_an_array_in_place_are_seen_at_the_next_call(net: Any) -> None:
    f, x = net.compile("grad"), X.copy()
    f(x=x, y=Y)
    x *= 2
    same(f(x=x, y=Y)["x"], 2 * GRADS["x"])


def test_out_is_filled_and_returned(net: Any) -> None:
    f = net.compile("grad", get_all=True)
    dx, dy = np.full(2, np.nan), np.full(2, np.nan)
    g = f(x=X, y=Y, out={"x": dx, "y": dy})
    assert g["x"] is dx
    assert g["y"] is dy
    same(dx, GRADS["x"])
    same(dy, GRADS["y"])
    assert f(x=X, y=Y, out={"x": dx})["y"] is not dy


def test_out_may_be_an_input(net: Any) -> None:
    f, x = net.compile("grad"), X.copy()
    f(x=x, y=Y, out={"x": x})
    same(x, GRADS["x"])


@pytest.mark.parametrize(
    "target", [np.zeros(3), np.zeros((2, 2)), np.zeros(()), np.zeros(2, "float32"), np.zeros(2, "int64"), [0.0, 0.0]]
)
def test_out_has_the_shape_and_dtype_of_the_result_exactly(net: Any, target: Any) -> None:
    with pytest.raises(gradcli.ModelError):
        net.compile("grad")(x=X, y=Y, out={"x": target})


def test_out_of_another_name_is_refused_and_writes_nothing(net: Any) -> None:
    x = np.zeros(2)
    found = refusal(lambda: net.compile("grad")(x=X, y=Y, out={"x": x, "q": x}), "DAT102")
    assert "q" in found.message
    same(x, [0.0, 0.0])


def test_an_out_array_that_is_read_only_is_refused(net: Any) -> None:
    target = np.zeros(2)
    target.flags.writeable = False
    with pytest.raises(gradcli.ModelError):
        net.compile("grad")(x=X, y=Y, out={"x": target})


# ── aliasing ──

ALIASING = [
    "net f(x: f64[3]) = x\n",
    "net f(x: f64[3]) {\n  return x, x\n}\n",
    "net f(x: f64[3]) = x[1:]\n",
    "net f(x: f64[3]) = reshape(x, [3, 1])\n",
    "net f(x: f64[3]) = broadcast_to(x, [2, 3])\n",
    "net f(x: f64[3]) = stop_gradient(x)\n",
    "net f(x: f64[3]) {\n  param w: f64[3] = [1.0, 2.0, 3.0]\n  return w, x\n}\n",
    "const k = [1.0, 2.0, 3.0]\nnet f(x: f64[3]) {\n  return k, 2 * k, x\n}\n",
    "net f(x: f64[3]) {\n  return zeros([3]), ones([3]), x.T\n}\n",
]


@pytest.mark.parametrize("text", ALIASING)
def test_results_never_alias_inputs_params_the_plan_or_each_other(text: str) -> None:
    net = gradcli.compile(text)
    for f in (
        net.eval,
        net.compile("eval"),
        net.grad,
        net.compile("grad", get_by_list="param" in text, get_all=True),
        net.compile("grad", sens=None),
    ):
        x = np.array([1.0, 2.0, 3.0])
        first = list(f(x=x))
        kept = [a.copy() for a in first]
        for i, a in enumerate(first):
            assert not np.shares_memory(a, x)
            assert all(not np.shares_memory(a, b) for b in first[i + 1 :])
            assert a.flags.writeable
        for a in first:
            a[...] = -99.0
        same(x, [1.0, 2.0, 3.0])
        for got, wanted in zip(f(x=x), kept, strict=True):
            same(got, wanted)


def test_sens_is_not_aliased() -> None:
    net = gradcli.compile("net f(x: f64[2]) = x\n")
    s = np.ones(2)
    for f in (net.grad, net.compile("grad")):
        g = f(x=X, sens=s)["x"]
        assert not np.shares_memory(g, s)


def test_a_param_array_of_the_caller_is_not_changed() -> None:
    net = gradcli.compile("net f(x: f64) {\n  param w: f64[2] = [1.0, 2.0]\n  w[0] = 5.0\n  return w * x\n}\n")
    w = np.array([3.0, 4.0])
    same(net.eval(x=1.0, params={"w": w})[0], [5.0, 4.0])
    same(w, [3.0, 4.0])


def test_results_of_an_earlier_call_stay_as_they_were(net: Any) -> None:
    f = net.compile("grad")
    first = f(x=X, y=Y)["x"]
    f(x=10 * X, y=Y)
    same(first, GRADS["x"])


# ── threads ──


def test_calls_from_several_threads_do_not_disturb_each_other(net: Any) -> None:
    f = net.compile("grad", get_all=True, get_by_list=True)

    def work(k: int) -> bool:
        x = np.full(200 + k % 3, float(k))
        y = np.full(200 + k % 3, 3.0)
        g = f(x=x, y=y, params={"b": float(k)} if k % 2 else {})
        return bool((g["x"] == 4 * x * y).all() and (g["y"] == 2 * x * x).all() and g["b"] == x.size)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


def test_threads_that_plan_at_once_with_sens_of_their_own(net: Any) -> None:
    f = net.compile("grad")

    def work(k: int) -> bool:
        s = np.full(2, float(k))
        return bool((f(x=X, y=Y, sens=s)["x"] == s * GRADS["x"]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_eval_and_grad_from_several_threads() -> None:
    net = gradcli.compile(NET)

    def work(k: int) -> bool:
        return bool((net.grad(x=k * X, y=Y)["x"] == k * GRADS["x"]).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))


# ── speed, in counts ──


def test_a_second_call_of_the_same_shapes_plans_nothing(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradcli import engine

    made: list[int] = []
    real = engine.plan_of
    monkeypatch.setattr(engine, "plan_of", lambda *a, **k: (made.append(1), real(*a, **k))[1])
    f = net.compile("grad")
    f(x=X, y=Y, params={"b": 0.0})
    planned = len(made)
    for k in range(5):
        f(x=k * X, y=Y, params={"b": float(k)})
    assert len(made) == planned


def test_the_public_names() -> None:
    assert callable(gradcli.load)
    assert callable(gradcli.compile)
    assert issubclass(gradcli.ModelError, Exception)
    assert gradcli.__version__


def test_a_planned_integer_that_does_not_fit_is_refused_not_wrapped() -> None:
    f = gradcli.compile("net f(x: i32) = x * 2\n").compile("eval")
    same(f(x=3)[0], 6, "i32")
    refusal(lambda: f(x=2**40), "DAT105")


def test_a_planned_data_of_python_numbers_is_checked_by_value_at_each_call() -> None:
    f = gradcli.compile("net f(x: i64) = x * 2\n").compile("eval")
    same(f(x=3)[0], 6, "i64")
    refusal(lambda: f(x=2.5), "DAT105")
    same(f(x=3)[0], 6, "i64")


@pytest.mark.parametrize("given", [{"inputs": [1.0]}, {"params": [1.0]}, {"out": [np.zeros(2)]}])
def test_what_is_no_mapping_is_refused_in_words(net: Any, given: dict[str, Any]) -> None:
    with pytest.raises((gradcli.ModelError, TypeError)) as caught:
        net.compile("grad")(**({"inputs": {"x": X, "y": Y}} | given))
    assert next(iter(given)) in str(caught.value)


# ── is it right, and where did it go bad ──


def test_gradcheck_says_what_the_command_says(net: Any) -> None:
    found = net.gradcheck(x=X, y=Y)
    assert found.ok
    assert [row.name for row in found.rows] == ["x", "y", "b", "l1.w"]
    assert {row.verdict for row in found.rows} == {"right"}
    assert found.rows[0].worst.gradient == pytest.approx(found.rows[0].worst.differences)
    few = net.gradcheck(inputs={"x": X, "y": Y}, wrt=["x"], order=2, seed=3, elements=1)
    assert [(row.name, row.checked) for row in few.rows] == [("x", 1), ("x,x", 1)]
    assert few.sens[0]["source"] == "random:3"
    weighed = net.gradcheck(x=X, y=Y, sens=np.array([1.0, 0.0]), wrt="x", params={"b": 1.0})
    assert weighed.rows[0].worst.gradient in GRADS["x"] * [1, 0]


def test_trace_says_what_the_command_says() -> None:
    net = gradcli.compile("net main(x: f64[2]) {\n  s = sqrt(sum(x * x))\n  return s\n}\n")
    found = net.trace(x=[0.0, 0.0])
    assert not found.ok
    assert (found.finding.operator, found.finding.span.line, found.finding.spoils[0].name) == ("sqrt", 2, "x")
    fine = net.trace(x=[1.0, 2.0], margins=True)
    assert fine.ok
    assert fine.margins is not None


def test_what_they_refuse(net: Any) -> None:
    refusal(lambda: net.gradcheck(x=X, y=Y, seed=-1), "USE003")
    refusal(lambda: net.gradcheck(x=X, y=Y, elements=1.5), "USE003")
    refusal(lambda: net.gradcheck(x=X, y=Y, wrt="q"), "DIF003")
    refusal(lambda: net.trace(x=X, y=Y, margins=1), "USE003")
    refusal(lambda: net.trace(x=X, y=Y, value=True), "DAT102")
    refusal(lambda: net.compile("gradcheck"), "USE001")

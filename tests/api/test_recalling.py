"""Calls that a callable knows again: they give what the first call gives, and no other call is taken for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradcli
from gradcli import engine, python

X, Y = np.array([2.0, 3.0]), np.array([5.0, 7.0])
NET = "net f(x: f64[n], y: f64[n]) {\n  param w: f64 = 2.0\n  return sum(w * x ** 2 * y)\n}\n"


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many calls were looked at as a whole so far."""
    seen: list[Any] = []
    first = python.Compiled._first
    monkeypatch.setattr(python.Compiled, "_first", lambda *given: (seen.append(given), first(*given))[1])
    return lambda: len(seen)


def same(got: Any, wanted: Any) -> None:
    np.testing.assert_array_equal(np.asarray(got), wanted)


def test_a_call_of_the_same_form_is_known(count: Callable[[], int]) -> None:
    f = gradcli.compile(NET).compile("grad", get_all=True)
    for k in range(1, 4):
        same(f(x=k * X, y=Y)["x"], 4 * k * X * Y)
    assert count() == 1
    for k in range(1, 4):
        same(f(inputs={"x": k * X, "y": Y}, params={"w": np.array(3.0)})["x"], 6 * k * X * Y)
    assert count() == 2


@pytest.mark.parametrize(
    ("verb", "weights", "name"),
    [("grad", {"sens": np.array(2.0)}, "x"), ("hess", {"vec": X}, "x"), ("jvp", {"tangent": X}, "out")],
)
def test_one_weight_is_known_too(count: Callable[[], int], verb: Any, weights: dict[str, Any], name: str) -> None:
    f = gradcli.compile("net f(x: f64[n]) = sum(x ** 3)\n").compile(verb)
    wanted = {"grad": 3 * X**2, "hess": 6 * X * X, "jvp": (3 * X**3).sum()}[verb]
    for k in (1.0, 2.0, 3.0):
        got = f(x=X, **{word: np.asarray(k * value) for word, value in weights.items()})[name]
        same(got, (2 * k if verb == "grad" else k) * wanted)
    assert count() == 1


@pytest.mark.parametrize("verb", ["hess", "jvp"])
def test_weights_by_name_are_known_too(count: Callable[[], int], verb: Any) -> None:
    """Of one input, of both in either order; the other direction is 0 where only one is given."""
    word = {"hess": "vec", "jvp": "tangent"}[verb]
    f = gradcli.compile("net f(x: f64[n], y: f64[n]) = sum(x ** 2 * y)\n").compile(verb, get_all=True)
    for k in (1.0, 2.0, 3.0):
        for given in ({"x": k * X}, {"y": k * Y}, {"x": k * X, "y": k * Y}, {"y": k * Y, "x": k * X}):
            along_x, along_y = given.get("x", 0 * X), given.get("y", 0 * Y)
            got = f(x=X, y=Y, **{word: given})
            if verb == "jvp":
                same(got["out"], np.sum(2 * X * Y * along_x + X**2 * along_y))
            else:
                same(got["x"], 2 * Y * along_x + 2 * X * along_y)
                same(got["y"], 2 * X * along_x)
    assert count() == 4


def test_floats_are_known_and_not_taken_for_whole_numbers(count: Callable[[], int]) -> None:
    f = gradcli.compile("net f(x: f64, y: f64) = x ** 2 * y\n").compile("grad", get_all=True)
    for x, y in ((4.0, 5.0), (2.0, 3.0)):
        assert [float(g) for g in f(x=x, y=y)] == [2 * x * y, x * x]
    assert count() == 1
    assert float(f(x=4, y=5.0)["x"]) == 40.0
    assert float(f(x=np.array(4.0), y=np.float64(5.0))["x"]) == 40.0
    assert count() == 3


def test_a_float_that_f32_does_not_hold_warns_of_nothing() -> None:
    f = gradcli.compile("net f(x: f32) = x * 2\n").compile("eval")
    for _ in range(2):
        same(f(x=1e300)[0], np.float32(np.inf))


def test_the_later_of_two_arrays_of_one_name_wins_also_when_known() -> None:
    f = gradcli.compile(NET).compile("grad", x=10 * X, params={"w": np.array(5.0)})
    for _ in range(3):
        same(f(y=Y)["x"], 100 * X * Y)
        same(f(inputs={"x": X}, y=Y)["x"], 10 * X * Y)
        same(f(inputs={"x": X}, x=2 * X, y=Y)["x"], 20 * X * Y)
        same(f(inputs={"x": X}, x=2.0 * X, y=Y, params={"w": np.array(1.0)})["x"], 4 * X * Y)


def test_inputs_called_as_the_weights_are_told_apart() -> None:
    net = gradcli.compile("net f(tangent: f64, sens: f64) = tangent * sens ** 2\n")
    three, four = np.array(3.0), np.array(4.0)
    f, g = net.compile("jvp"), net.compile("grad")
    for _ in range(3):
        same(f(inputs={"tangent": three, "sens": four}, tangent={"tangent": np.array(1.0)})[0], 16.0)
        same(f(inputs={"tangent": three}, sens=four, tangent={"sens": np.array(1.0)})[0], 24.0)
        same(g(inputs={"tangent": three, "sens": four}, sens=np.array(10.0))["tangent"], 160.0)
        same(g(inputs={"tangent": three, "sens": four})["tangent"], 16.0)


class Tagged(np.ndarray):
    """What NumPy's users derive from arrays."""


LOOKS_ALIKE = {
    "a list": lambda: [2.0, 3.0],
    "whole numbers": lambda: np.array([2, 3]),
    "the other byte order": lambda: X.astype(X.dtype.newbyteorder()),
    "a subclass": lambda: X.view(Tagged),
    "f32": lambda: X.astype("float32"),
    "read-only": lambda: np.frombuffer(X.tobytes()),
    "strided": lambda: np.array([2.0, 0.0, 3.0, 0.0])[::2],
    "backwards": lambda: np.array([3.0, 2.0])[::-1],
    "not aligned": lambda: np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float64),
}


@pytest.mark.parametrize("form", LOOKS_ALIKE)
def test_what_looks_alike_gives_the_same(form: str) -> None:
    f = gradcli.compile(NET).compile("grad")
    odd = LOOKS_ALIKE[form]()
    for x in (X, odd, X, odd):
        got = f(x=x, y=Y)["x"]
        same(got, 4 * X * Y)
        assert type(got) is np.ndarray
        assert got.dtype == np.float64
        assert got.flags.writeable


def test_a_call_that_fails_is_not_remembered(count: Callable[[], int]) -> None:
    f = gradcli.compile("net f(x: f64[3], i: i64) = x[i]\n").compile("eval")
    for _ in range(2):
        with pytest.raises(gradcli.ModelError):
            f(x=np.ones(3), i=np.array(5))
    same(f(x=np.ones(3), i=np.array(2))[0], 1.0)
    assert count() == 3
    with pytest.raises(gradcli.ModelError):
        f(x=np.ones(3), i=np.array(5))
    assert count() == 3


def test_out_is_held_against_the_results_also_when_known() -> None:
    f, room = gradcli.compile(NET).compile("grad"), np.zeros(2)
    for k in (1, 2, 3):
        assert f(x=k * X, y=Y, out={"x": room})["x"] is room
        same(room, 4 * k * X * Y)
    for wrong in ({"q": room}, {"x": np.zeros(3)}, {"x": np.zeros(2, "float32")}):
        with pytest.raises(gradcli.ModelError):
            f(x=X, y=Y, out=wrong)
    with pytest.raises(gradcli.ModelError):
        f(x=X, y=Y, out=[room])


def test_a_known_call_asks_for_no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    f = gradcli.compile(NET).compile("grad")
    f(x=X, y=Y)
    monkeypatch.setattr(engine, "runner", None)
    same(f(x=X, y=Y)["x"], 4 * X * Y)

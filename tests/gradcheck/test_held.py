"""Points near a point, run side by side: each as if it were alone, but for what is held, and told of by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gradcli import opening
from gradcli.engine import Machine, run_graph
from gradcli.gradcheck import held
from gradcli.gradcheck.held import Held, Near
from gradcli.gradcheck.slopes import Step, Way
from gradcli.ir.graph import Graph
from gradcli.request import ModelFile, Request
from gradcli.running import feed_arrays

KINK = "net main(x: f64[3]) = abs(x) * 2.0\ninput x = [1.0, -2.0, 0.001]\n"
LOOP = """\
net main(x: f64) {
  for i in 0..9 while x > 1.0 {
    x = x * 0.5
  }
  return x
}
input x = 4.1
"""
STOP = """\
net main(x: f64[2]) {
  for i in 0..12 {
    x = x * stop_gradient(x)
  }
  return x
}
input x = [1.1, 0.9]
"""
SMOOTH = """\
net main(x: f64[4, 3], w: f64[3, 3]) {
  h = x
  for i in 0..12 {
    h = tanh(h @ w) + 0.1 * x[i % 4]
  }
  net part(h) = softmax(h, axis=0) * cumsum(h, axis=1)
  return checkpoint(part)(h), sum(h)
}
input x = reshape(sin(arange(12) * 1.3), [4, 3])
input w = reshape(cos(arange(9) * 0.7), [3, 3])
"""


def ready(text: str) -> tuple[Graph, list[Any]]:
    _, prepared = opening.prepare(ModelFile(Path("m.net"), text), Request(dtype="f64"))
    return prepared.graph, feed_arrays(prepared, Machine())


def element(position: int, index: tuple[int, ...], length: float) -> Step:
    one = np.asarray(1.0)
    return Step(Way(position, one, one, index), length)


def near(text: str, moves: Sequence[Step]) -> list[Near | None]:
    graph, arrays = ready(text)
    return Held(graph, arrays, range(len(arrays)), Machine()).near(moves)


@pytest.mark.parametrize("room", [1 << 27, 4_000])
def test_each_point_as_if_alone(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in runs of a few points, where memory has no room for more."""
    monkeypatch.setattr(held, "ROOM", room)
    graph, arrays = ready(SMOOTH)
    rng = np.random.default_rng(3)
    moves = [Step(Way(k % 2, rng.normal(size=arrays[k % 2].shape), np.asarray(0.0)), 0.1) for k in range(23)]
    alone = []
    for move in moves:
        moved = [array.copy() for array in arrays]
        move.apply(moved[move.position])
        alone.append(run_graph(graph, moved, Machine()))
    one = Held(graph, arrays, [0, 1], Machine())
    found = one.near(moves)
    assert (one.most < 23) == (room < 1 << 20)
    for near_it, outputs in zip(found, alone, strict=True):
        assert near_it is not None
        for left, right in zip(near_it.outputs, outputs, strict=True):
            assert_allclose(left, right, rtol=1e-13)


def test_the_point_that_crosses_a_kink_is_told_of_alone() -> None:
    found = near(KINK, [element(0, (0,), -0.01), element(0, (2,), -0.01), element(0, (2,), 0.01)])
    assert [[node.prim.name for node in one.kinks] if one else None for one in found] == [[], ["abs"], []]


def test_turns_are_those_of_the_point() -> None:
    """4.1 takes three turns, 3.9 would take two."""
    after, before = near(LOOP, [element(0, (), 0.2), element(0, (), -0.2)])
    assert after is not None
    assert before is not None
    assert_allclose([after.outputs[0], before.outputs[0]], [4.3 / 8, 3.9 / 8])
    assert (len(after.turns), len(before.turns)) == (0, 1)
    assert not before.kinks


def test_what_is_stopped_keeps_its_value() -> None:
    (found,) = near(STOP, [element(0, (0,), 0.5)])
    assert found is not None
    assert_allclose(found.outputs[0], [1.6 * 1.1 ** (2**12 - 1), 0.9 ** (2**12)], rtol=1e-12)


def test_a_point_at_which_data_is_refused_is_left_out_alone() -> None:
    text = "net main(x: f64[3], t: f64) = x[i64(floor(t))]\ninput x = [1, 2, 3]\ninput t = 1.5\n"
    found = near(text, [element(1, (), step) for step in (0.1, 9.0, 1.0, -9.0)])
    assert [one is None for one in found] == [False, True, False, True]
    assert found[2] is not None
    assert [node.prim.name for node in found[2].kinks] == ["floor", "cast"]

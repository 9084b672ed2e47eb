"""Programs emitted for JAX: each operator against NumPy, and gradients by `jax.grad` against those of gradcli."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli import differentiate, opening, running
from gradcli.differentiate import scene_of
from gradcli.engine import Machine, plan_of, run_plan
from gradcli.ir import primitive as records
from gradcli.ir.aval import EPS
from gradcli.ir.primitive import registry
from gradcli.measure.bench import bench
from gradcli.record import replace
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ModelError
from tests.ops.samples import Case, graph_of, operands, params_for, results, walk

jax = pytest.importorskip("jax")

from gradcli.emitting.jax import emit  # noqa: E402
from gradcli.emitting.jax_gradients import Question, compile_for, needs_wide, settings  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["f64", "f32"])
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    with settings(wide=request.param == "f64", cpu=True, threads=None):
        yield request.param


@pytest.mark.parametrize("case", [*walk(), *walk(empty=True)])
def test_every_operator_gives_the_same_numbers(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    graph = graph_of(case, arrays)
    made = jax.jit(emit(graph))(*arrays)
    for want, got in zip(results(case.prim, arrays, params_for(case, arrays)), made, strict=True):
        if got is not None:
            assert got.shape == want.shape
            assert dtype == "f32" or got.dtype == want.dtype
            tolerance = 1e-10 if dtype == "f64" else 2e-4
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


WHILE = """
net main(x: f64[3], y: f64) -> f64 {
  for i in 0..60 while sum(x) > 0.5 {
    x = x * 0.9 * cos(y / (i + 1))
  }
  return sum(x * x) * y
}
input x = [3, 2, 1]
input y = 0.3
"""
LOOP = """
net main(x: f32[40, 2], h: f32[2]) -> (f32[2], f32) {
  total = sum(h)
  for i in 0..40 {
    h = tanh(h * x[i] + i / 10)
    total = total + sum(h)
  }
  return h, total
}
input x = f32(sin(reshape(arange(80), [40, 2])))
input h = [0.5, -0.5]
"""
LINE = "net main(x: f64[3]) {\n  h = tanh(x * x)\n  return sum(h * h * x)\n}\ninput x = [1, 2, 0.5]\n"
INSIDE = "net f(x: f64[2]) = sum(x ** 3)\nnet main(x: f64[2]) = sum(checkpoint(grad(f))(x))\ninput x = [1, 2]\n"
TWO = "net main(x: f64[2], y: f64[2]) {\n  return (sin(x) * y), sum(x * y)\n}\ninput x = [1, 2]\ninput y = [3, 4]\n"
GRADIENTS = {
    "while": (WHILE, {"get_all": True}),
    "loop": (LOOP, {"get_all": True}),
    "at": (LINE, {"at": "h"}),
    "at, order two": (LINE, {"at": "h", "order": 2}),
    "inside": (INSIDE, {}),
    "order two": (TWO, {"get_all": True, "order": 2}),
    "order two, weighted": (TWO, {"get_all": True, "order": 2, "sens": ("x=[1, 2]",)}),
    "weighted": (TWO, {"get_all": True, "sens": ("out0=[1, 2]", "out1=3")}),
    "value": (TWO, {"get_all": True, "value": True}),
    "order three": ("net main(x: f64) = exp(x * x)\ninput x = 0.7\n", {"order": 3}),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_either_are_those_of_both(name: str) -> None:
    text, options = GRADIENTS[name]
    found = bench(ModelFile(text=text, name="model.net"), Request(**options), against=("jax",), rounds=1, seconds=0)
    peer = found.sides[-1]
    assert peer.name == "jax"
    assert peer.apart is not None
    assert peer.apart < (1e-4 if name == "loop" else 1e-12)
    assert peer.first is not None
    assert [part for part, _ in peer.first.parts] == ["trace", "compile", "run"]


@pytest.mark.parametrize("model", sorted((ROOT / "models").rglob("*.net")), ids=lambda path: path.stem)
def test_models(model: Path) -> None:
    """By their inputs. Where the terms of a gradient cancel, nothing but rounding is left."""
    file = ModelFile(model)
    for net in opening.open_program(file, Request()).scope.nets:
        try:
            request = Request(net=net, get_all=True)
            _, prepared = opening.prepare(file, request)
            scene = scene_of(prepared, request)
            derived = running.derive_request(prepared, request, None)
        except ModelError:  # no data for this net alone, or nothing that is a float
            continue
        if len(prepared.graph.nodes) > 1_000:
            continue
        arrays = running.feed_arrays(prepared, Machine())
        ours = run_plan(plan_of(differentiate.gradients_only(prepared.graph, derived), Machine()), arrays, Machine())
        asked = Question(scene.graph, tuple(target.position for target in scene.targets))
        with settings(wide=needs_wide(prepared.graph), cpu=True, threads=None), warnings.catch_warnings():
            warnings.simplefilter("error")
            theirs = compile_for(asked, arrays, cpu=True).arrays()
        for a, b, out in zip(ours, theirs, derived.graph.outputs[len(prepared.outputs) :], strict=True):
            scale = max(np.abs(a).max(initial=0), 1e-5)
            assert np.abs(a - b).max(initial=0) <= EPS[out.dtype] ** 0.55 * scale, net


def test_an_operator_that_cannot_be_emitted_is_named_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def eval(xp: Any, x: Any) -> Any:
        return xp.sin(x) if bool((x > 0).any()) else x

    monkeypatch.setitem(records._registry, "sin", replace(registry()["sin"], eval=eval, ufunc=None))
    text = "net main(x: f64[2]) {\n  h = x * x\n  return sum(sin(h))\n}\ninput x = [1, 2]\n"
    with pytest.raises(ModelError) as caught:
        bench(ModelFile(text=text, name="model.net"), Request(), against=("jax",), rounds=1, seconds=0)
    (found,) = caught.value.diagnostics
    assert (found.code, caught.value.exit_code) == ("ENV007", 3)
    assert "`sin`" in found.message
    assert found.span is not None
    assert found.span.line == 3
    assert not jax.config.read("jax_enable_x64")


def test_other_numbers_are_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradcli.emitting.jax import RULES

    monkeypatch.setitem(RULES, "tanh", lambda x: jax.numpy.tanh(x) * 1.001)
    with pytest.raises(ModelError) as caught:
        bench(ModelFile(text=LINE, name="model.net"), Request(), against=("jax",), rounds=1, seconds=0)
    assert caught.value.exit_code == 1
    assert caught.value.diagnostics[0].code == "NUM097"
    assert "jax gives other numbers for x" in caught.value.diagnostics[0].message


def test_terms_that_cancel_to_rounding_are_no_disagreement() -> None:
    text = "net main(x: f64[5]) = sum((x - mean(x)) / std(x))\ninput x = [3, 1, 4, 1, 5]\n"
    bench(ModelFile(text=text, name="model.net"), Request(), against=("jax",), rounds=1, seconds=0)

"""No false alarms: every operator on its samples, and every net of every model that ships, run clean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.interp.files import read_source
from gradcli.ir.graph import Graph
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError
from gradcli.syntax.parse import parse
from gradcli.trace.tracer import Tracer
from tests.conftest import ROOT, Cli
from tests.ops.samples import Case, floats, graph_of, operands, walk

MODELS = ROOT / "models"
# As long as it is right: loops in a loop of a thousand turns. From nearer to where it ends it takes some of them.
CLOSER = {("nested/saddle.net", "main"): ["-i", "p=[1e-3, 1e-3]"]}
ORDER_TWO = ("survey/survey.net", "guide/second_order_sin.net", "guide/second_order_square.net")


def nets() -> list[tuple[str, str]]:
    """Every net at the top of every file, if it can be run by itself."""
    found = []
    for path in sorted(MODELS.rglob("*.net")):
        tree = parse(read_source(path, shown=path.name))
        found += [
            (str(path.relative_to(MODELS)), net.name.id)
            for net in tree.items
            if isinstance(net, ast.Net) and not net.statics
        ]
    return found


def derived(case: Case, arrays: list[Any], way: str) -> tuple[Graph, list[Any]]:
    """An operator with its derivative, and what feeds it."""
    graph = graph_of(case, arrays)
    wrt = floats(graph.inputs)
    if not (case.sample.differentiable and wrt and floats(graph.outputs)):
        return graph, arrays
    if way == "forwards":
        return forward(graph, wrt), [*arrays, *(np.ones_like(arrays[k]) for k in wrt)]
    made = reverse(graph, wrt)
    if way == "backwards":
        return made, arrays
    slopes = made.outputs[len(graph.outputs) :]
    return reverse(Graph(made.inputs, made.nodes, slopes, made.n_values, made.names), wrt), arrays


@pytest.mark.parametrize("case", walk())
@pytest.mark.parametrize("dtype", ["f64", "f32", "f16"])
def test_an_operator_runs_clean(case: Case, dtype: str) -> None:
    for way in ("backwards", "forwards", "backwards twice"):
        graph, arrays = derived(case, operands(case, dtype), way)
        tracer = Tracer()
        outs = tracer.run(graph, arrays)
        assert not tracer.births, way
        assert all(np.isfinite(array).all() for array in outs if array.dtype.kind == "f")


HARD = [0.0, -1.0, 1e300, -1e300, 1e-310, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("case", walk())
def test_what_is_not_finite_has_a_root(case: Case) -> None:
    """At hard points: each result that is not finite is traced to births, and these were made of finite numbers."""
    arrays = operands(case)
    graph = graph_of(case, arrays)
    wrt = floats(graph.inputs)
    if case.sample.differentiable and wrt and floats(graph.outputs):
        graph = reverse(graph, wrt)
    rng = np.random.default_rng(0)
    for _ in range(8):
        hard = [np.where(rng.random(a.shape) < 0.4, rng.choice(HARD, a.shape), a) if k in wrt else a
                for k, a in enumerate(arrays)]  # fmt: skip
        tracer = Tracer()
        try:
            outs = tracer.run(graph, hard)
        except ModelError:  # refused as data: a matrix without an inverse
            continue
        for value, array in zip(graph.outputs, outs, strict=True):
            bad = array.dtype.kind == "f" and not np.isfinite(array).all()
            assert bad == (value.id in tracer.bad)
            assert not bad or tracer.bad[value.id].roots
        elementwise = [one for one in tracer.births if one.node is not None and one.node.prim.kind == "elementwise"]
        for birth in elementwise:
            if birth.node is not None and birth.node.prim.name != "where":
                assert np.isfinite(birth.operands).all(), birth.node
        for birth in tracer.births:
            assert not np.isfinite(birth.value)


@pytest.mark.parametrize(("model", "net"), nets())
def test_a_model_runs_clean(model: str, net: str, cli_inside: Cli) -> None:
    path = MODELS / model
    options = CLOSER.get((model, net), [])
    order = ["--order", "2"] if model in ORDER_TWO else []
    ran = cli_inside("trace", path.name, "--net", net, *order, *options, "--json", cwd=path.parent)
    if ran.code == 2:  # a net that is fed by others only
        assert "DAT101" in ran.err or "NUM001" in ran.err, ran.err
        return
    assert ran.code == 0, ran.out
    document = ran.json()
    assert document["found"] is None
    assert document["harmless"] == []

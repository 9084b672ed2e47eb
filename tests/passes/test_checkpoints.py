"""Loops that keep less give the same derivatives, to the last bit, for any number of turns and levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradcli import opening
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from gradcli.passes.checkpoints import checkpoint_loops
from gradcli.passes.pipeline import optimize
from gradcli.plan import make_flat, make_plan
from gradcli.request import ModelFile, Request
from tests.conftest import Cli

BODY = "h = h + 0.1 * tanh(w * h) * cos(0.3 * i)\n    v = v * cos(h) + x[i]"


def loop(turns: int, condition: str = "") -> str:
    return (
        f"net main(x: f64[{turns}], w: f64[2]) -> f64 {{\n  h = w\n  v = w * w\n"
        f"  for i in 0..{turns}{condition} {{\n    {BODY}\n  }}\n  return sum(h * v)\n}}\n"
    )


def data(turns: int) -> list[np.ndarray]:
    return [np.linspace(0.0, 1.0, turns), np.array([0.4, -0.7])]


def prepared(text: str, turns: int) -> Graph:
    x, w = data(turns)
    request = Request(arrays={"x": x, "w": w})
    return opening.prepare(ModelFile(text=text, name="loop.net"), request)[1].graph


def run(graph: Graph, arrays: list[np.ndarray]) -> list[np.ndarray]:
    return backend.run(make_plan(optimize(graph, verify=True)), arrays)


CONDITIONS = {"": "", "stops": " while sum(v) < 2.5", "stops on i": " while i < 20", "never begins": " while i < 0"}


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("turns", [16, 17, 36, 50])
def test_the_same_gradients(turns: int, condition: str) -> None:
    graph = reverse(prepared(loop(turns, condition), turns), [0, 1])
    wanted = run(graph, data(turns))
    for levels in (2, 3, 4):
        shorter = checkpoint_loops(optimize(graph), levels)
        verify(shorter)
        assert max(n.params["turns"] for n in shorter.nodes if n.prim.name == "scan") < turns
        for found, exact in zip(run(shorter, data(turns)), wanted, strict=True):
            np.testing.assert_array_equal(found, exact)


def test_the_same_products_with_a_hessian() -> None:
    graph = prepared(loop(400), 400)
    product = forward(reverse(graph, [1]), [1])
    way = np.array([0.3, 0.2])
    wanted = run(product, [*data(400), way])
    shorter = checkpoint_loops(optimize(product), 3)
    assert make_flat(optimize(shorter)).peak < make_flat(optimize(product)).peak
    for found, exact in zip(run(shorter, [*data(400), way]), wanted, strict=True):
        np.testing.assert_array_equal(found, exact)


def test_what_is_kept_is_bounded_by_what_is_allowed(cli: Cli, tmp_path: Path) -> None:
    """10,000 turns of 800 bytes are 8 MB; at three levels some 60 carries are kept."""
    (tmp_path / "ode.net").write_text(
        "net main(x: f64[100]) -> f64 {\n  for i in 0..10000 {\n    x = x + 0.0001 * tanh(x)\n  }\n  return sum(x)\n}\n"
        "input x = arange(100) * 0.01\n"
    )
    everything = cli("grad", "ode.net", "-o", "all.npz", cwd=tmp_path)
    assert everything.code == 0
    for memory in ("1000000", "100000"):
        ran = cli(
            "grad", "ode.net", "--memory", memory, "--check", "all.npz", "--rtol", "1e-12", "--atol", "0", cwd=tmp_path
        )
        assert (ran.code, ran.err) == (0, "")
    refused = cli("grad", "ode.net", "--memory", "10000", cwd=tmp_path)
    assert refused.code == 2
    assert "NUM001" in refused.err


def test_peak_memory_of_plans() -> None:
    graph = reverse(prepared(loop(10_000), 10_000), [1])
    peaks = [make_plan(optimize(checkpoint_loops(optimize(graph), levels))).peak for levels in (1, 2, 3)]
    assert peaks[0] > 10 * peaks[1] > 10 * peaks[2]


def test_a_history_that_is_read_elsewhere_is_left_alone() -> None:
    """Of a gradient differentiated once more backwards, the histories are read by several loops."""
    graph = reverse(reverse(prepared(loop(16), 16), [1]), [1], outputs=[1])
    wanted = run(graph, data(16))
    for found, exact in zip(run(checkpoint_loops(optimize(graph), 2), data(16)), wanted, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-14)

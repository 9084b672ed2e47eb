"""The cost of a gradient is at most 5 times that of its function, over every shipped model, without a clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcli import opening
from gradcli.differentiate import choose_targets, derive
from gradcli.ir.cost import cost
from gradcli.ir.graph import Graph
from gradcli.ir.verify import verify
from gradcli.passes.pipeline import optimize
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ModelError

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "models").rglob("*.net"))
BOUND = 5.0
SINGLE = "models/guide/higher_orders.net"  # its nets are single operators, whose costs have a test of their own


def graphs(file: ModelFile, net: str) -> tuple[Graph, Graph]:
    """A net, and its value with the gradients by all its inputs and params."""
    _, prepared = opening.prepare(file, Request(net=net))
    targets, _ = choose_targets(prepared, Request(net=net, get_all=True, get_by_list=bool(prepared.params)))
    return prepared.graph, derive(prepared.graph, targets, 1, prepared.outputs, None).graph


def ratios(name: str) -> dict[str, float]:
    """For each net that the file's inputs feed, what its gradient costs over what it costs itself."""
    file, found = ModelFile(ROOT / name), {}
    for net in opening.open_program(file, Request()).scope.nets:
        try:
            primal, gradient = graphs(file, net)
        except ModelError as error:
            if error.diagnostics[0].code not in ("DAT101", "NAM020", "DIF001"):  # the file has no data for it
                raise
            continue
        verify(primal)
        verify(gradient)
        found[net] = cost(optimize(gradient, verify=True)) / cost(optimize(primal, verify=True))
    return found


@pytest.mark.parametrize("name", [name for name in MODELS if name != SINGLE])
def test_the_gradient_of_a_model_costs_at_most_five_times_the_model(name: str) -> None:
    found = ratios(name)
    assert found
    assert max(found.values()) <= BOUND, found

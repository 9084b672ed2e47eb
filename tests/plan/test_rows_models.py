"""Shipped models by rows: the programs that train them are whole regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gradcli import opening, running
from gradcli.differentiate import choose_targets, derive
from gradcli.engine import Machine
from gradcli.ir.graph import Graph
from gradcli.passes.pipeline import optimize
from gradcli.plan.rows import Region, regions
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import ModelError

ROOT = Path(__file__).resolve().parents[2]


def programs(name: str) -> list[tuple[str, Graph, list[Any]]]:
    """For each net that the file's inputs feed: its value and its gradients, and the data."""
    file, found = ModelFile(ROOT / name), []
    for net in opening.open_program(file, Request()).scope.nets:
        request = Request(net=net)
        try:
            _, prepared = opening.prepare(file, request)
            arrays = running.feed_arrays(prepared, Machine())
            targets, _ = choose_targets(prepared, Request(net=net, get_all=True, get_by_list=bool(prepared.params)))
            made = derive(prepared.graph, targets, 1, prepared.outputs, None).graph
        except ModelError as error:
            if error.diagnostics[0].code not in ("DAT101", "NAM020", "DIF001"):  # the file has no data for it
                raise
            continue
        found.append((net, optimize(made), arrays))
    return found


@pytest.mark.parametrize(
    ("name", "net", "rows"),
    [("models/pinn/burgers.net", "Loss", {64, 21, 11}), ("models/deepmd/energy.net", "Loss", {4})],
)
def test_training_runs_by_points(name: str, net: str, rows: set[int]) -> None:
    """All of the forward and the backward program is in one region for each batch; views of the params, and what is
    made of sums, are left."""
    (graph,) = [graph for found, graph, _ in programs(name) if found == net]
    items = regions(graph, lambda nodes, rows: rows > 1 and len(nodes) > 30)
    assert {item.rows for item in items if isinstance(item, Region)} == rows
    assert sum(isinstance(item, Region) for item in items) == len(rows)
    left = {item.prim.name for item in items if not isinstance(item, Region)}
    assert left <= {"constant", "transpose", "add", "mul", "div"}

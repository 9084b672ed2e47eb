"""Derivatives of any order along one direction: of f(x + s·t) by the number s, at s = 0.

order 1   t ↦ J t              forward mode
order n   nested n times, or from SERIES_FROM on one series in s, which is cheaper
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.ad.forward import forward
from gradcli.ad.taylor import NoSeries, derivative_along
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, Value
from gradcli.ir.live import outputs_from

SERIES_FROM = 5


def directional(graph: Graph, wrt: Sequence[int], outputs: Sequence[int], order: int = 1) -> Graph:
    """`(*inputs, *tangents) → derivatives`: one tangent for each input at the positions `wrt`, of its aval, one
    derivative for each float output at the positions `outputs`, of its aval.

    Raises ModelError as `forward` does.
    """
    if order >= SERIES_FROM and (made := _by_series(graph, wrt, outputs, order)) is not None:
        return made
    made = outputs_from(forward(graph, wrt, outputs), len(graph.outputs))
    for _ in range(order - 1):
        further = outputs_from(forward(made, wrt), len(made.outputs))
        builder, inputs = _copied(made)
        made = builder.close(builder.inline(further, [*inputs, *inputs[-len(wrt) :]]))
    return made


def _by_series(graph: Graph, wrt: Sequence[int], outputs: Sequence[int], order: int) -> Graph | None:
    """None where an operator has no series, or the step s would not have the dtype of all that it meets."""
    moved = [graph.inputs[k] for k in wrt]
    dtypes = {value.dtype for value in (*moved, *(graph.outputs[k] for k in outputs))}
    if len(dtypes) > 1 or "f16" in dtypes:
        return None
    line = _on_a_line(graph, wrt, dtypes.pop())
    try:
        made = derivative_along(line, len(line.inputs) - 1, order, outputs)
    except NoSeries:
        return None
    only = outputs_from(made, len(graph.outputs))
    builder = Builder()
    inputs = [builder.input(value.aval, name) for value, name in zip(only.inputs[:-1], line.names, strict=False)]
    return builder.close(builder.inline(only, [*inputs, builder.scalar(0.0, only.inputs[-1].dtype)]))


def _on_a_line(graph: Graph, wrt: Sequence[int], dtype: str) -> Graph:
    """`(*inputs, *tangents, s) → outputs` at `x + s·t`."""
    builder, inputs = _copied(graph)
    tangents = [builder.input(graph.inputs[k].aval, f"t_{graph.names[k]}") for k in wrt]
    step = builder.input(Aval((), dtype), "s")
    at = list(inputs)
    for k, tangent in zip(wrt, tangents, strict=True):
        at[k] = inputs[k] + step * tangent
    return builder.close(builder.inline(graph, at))


def _copied(graph: Graph) -> tuple[Builder, list[Value]]:
    """A builder with the inputs of `graph`."""
    builder = Builder()
    return builder, [builder.input(value.aval, name) for value, name in zip(graph.inputs, graph.names, strict=True)]

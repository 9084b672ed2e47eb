"""Derivatives of one operator by itself, of any order, in reverse mode: many points at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph, Value, apply
from gradcli.ir.verify import verify
from tests.ir.graphs import Array, build, gradients, naive


def slope(name: str, x: Any, order: int = 1, **params: Any) -> Array:
    """The derivative of an elementwise operator of one operand."""
    x = np.atleast_1d(np.asarray(x, "f8"))
    graph = build(lambda x: apply(name, x, **params), f"f64[{len(x)}]")
    return derivative(graph, [x], order=order)


def slopes(name: str, x: Any, y: Any) -> list[Array]:
    """The derivatives of an elementwise operator of two operands, one element each."""
    x, y = (np.atleast_1d(np.asarray(array, "f8")) for array in (x, y))
    return gradients(build(lambda x, y: apply(name, x, y), f"f64[{len(x)}]", f"f64[{len(y)}]"), [x, y])


def derivative(graph: Graph, arrays: list[Any], wrt: int = 0, order: int = 1) -> Array:
    """Of the sum of the outputs, then of the sum of that, by one input."""
    for _ in range(order):
        count = len(graph.outputs)
        graph = reverse(graph, [wrt])
        graph = Graph(graph.inputs, graph.nodes, graph.outputs[count:], graph.n_values, graph.names)
        verify(graph)
    (found,) = naive(graph, arrays)
    return found


def pulled(make: Callable[..., Value], avals: list[str], arrays: list[Any], ct: Any, wrt: list[int]) -> list[Array]:
    """The gradients by the inputs at `wrt` under the cotangent `ct`."""
    graph = build(make, *avals)
    return naive(reverse(graph, wrt, sens="inputs"), [*arrays, ct])[1:]

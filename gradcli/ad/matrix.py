"""Derivatives as matrices, and their products with vectors, made of the passes for one direction.

    jacobian   J = batch(forward)(basis of the inputs)ᵀ  or  batch(reverse)(basis of the outputs)
    hvp        H v = forward of the gradient, along v
    hessian    H = batch(forward of the gradient)(basis of the inputs)

A block has the dims of what is differentiated, then those of what it is by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import float_outputs, reverse
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Poly, Size
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.live import outputs_from
from gradcli.ir.primitive import primitive

Mode = Literal["forward", "reverse"]
Sens = Literal["ones", "inputs"]


def jacobian(graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None = None, mode: Mode | None = None) -> Graph:
    """`inputs → (*outputs, *blocks)`: for each float output among the positions `outputs`, one block for each input at
    the positions `wrt`. `mode` is chosen by `cheaper_mode` where it is None. Raises ModelError as `reverse` does.
    """
    chosen = float_outputs(graph, outputs)
    builder, inputs = _copied(graph)
    found = list(builder.inline(graph, inputs))
    if (mode or cheaper_mode(graph, wrt, chosen)) == "forward":
        columns = [_along_basis(builder, graph, inputs, position, chosen) for position in wrt]
        found += [column[k] for k in range(len(chosen)) for column in columns]
    else:
        for k in chosen:
            found += _back_from_basis(builder, graph, inputs, wrt, k)
    return builder.close(found)


def cheaper_mode(graph: Graph, wrt: Sequence[int], outputs: Sequence[int]) -> Mode:
    """Forward where there are no more elements to move than elements to pull back."""
    columns, rows = ([value.aval.size for value in values] for values in _ends(graph, wrt, outputs))
    if any(isinstance(size, Poly) for size in (*columns, *rows)):
        return "reverse"
    return "forward" if sum(map(int, columns)) <= sum(map(int, rows)) else "reverse"  # type: ignore[arg-type]  # known


def hvp(
    graph: Graph,
    wrt: Sequence[int],
    outputs: Sequence[int] | None = None,
    sens: Sens = "ones",
    along: Sequence[int] | None = None,
) -> Graph:
    """`(*inputs, *sens, *v) → (*outputs, *products)`: one product for each input of `wrt`, one vector for each of
    `along` (default: the same inputs); for the others it is zero."""
    return _beside(graph, forward(_gradient(graph, wrt, outputs, sens), wrt if along is None else along), len(wrt))


def hessian(graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None = None, sens: Sens = "ones") -> Graph:
    """`(*inputs, *sens) → (*outputs, *blocks)`: row by row, the derivative of the gradient by `wrt[i]` by `wrt[j]`."""
    return _beside(graph, jacobian(_gradient(graph, wrt, outputs, sens), wrt, mode="forward"), len(wrt))


# ── the pieces ──────────────────────────────────────────────────────────────────────────────────────────────


def _gradient(graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None, sens: Sens) -> Graph:
    """`(*inputs, *sens) → gradients`."""
    return outputs_from(reverse(graph, wrt, sens=sens, outputs=outputs), len(graph.outputs))


def _beside(graph: Graph, derivative: Graph, n_gradients: int) -> Graph:
    """The outputs of `graph`, then those of `derivative` after its gradients."""
    builder, inputs = _copied(derivative)
    primal = builder.inline(graph, inputs[: len(graph.inputs)])
    return builder.close([*primal, *builder.inline(derivative, inputs)[n_gradients:]])


def _copied(graph: Graph) -> tuple[Builder, list[Value]]:
    """A builder with the inputs of `graph`."""
    builder = Builder()
    inputs = [builder.input(value.aval, value.hint) for value in graph.inputs]
    builder.names[:] = graph.names or builder.names
    return builder, inputs


def _ends(graph: Graph, wrt: Sequence[int], outputs: Sequence[int]) -> tuple[list[Value], list[Value]]:
    return [graph.inputs[k] for k in wrt], [graph.outputs[k] for k in outputs]


def _along_basis(
    builder: Builder, graph: Graph, inputs: list[Value], position: int, chosen: Sequence[int]
) -> list[Value]:
    """The blocks of every chosen output by one input: the tangents along its basis, that dim last."""
    along = forward(graph, [position], chosen)
    x = graph.inputs[position].aval
    flags = [*[False] * len(graph.inputs), True]
    made = batch(outputs_from(along, len(graph.outputs)), flags, x.size)
    blocks = []
    for tangent in builder.inline(made, [*inputs, basis(builder, x)]):
        order = (*range(1, tangent.rank), 0)
        blocks.append(_reshaped(apply("transpose", tangent, axes=order), (*tangent.shape[1:], *x.shape)))
    return blocks


def _back_from_basis(builder: Builder, graph: Graph, inputs: list[Value], wrt: Sequence[int], k: int) -> list[Value]:
    """The blocks of output `k` by every input: the cotangents from its basis, that dim first."""
    back = reverse(graph, wrt, sens="inputs", outputs=[k])
    out = graph.outputs[k].aval
    flags = [*[False] * len(graph.inputs), True]
    made = batch(outputs_from(back, len(graph.outputs)), flags, out.size)
    cotangents = builder.inline(made, [*inputs, basis(builder, out)])
    return [_reshaped(ct, (*out.shape, *ct.shape[1:])) for ct in cotangents]


def basis(builder: Builder, aval: Aval) -> Value:
    """The unit arrays of `aval`, `[size, *shape]`."""
    numbers = builder.emit(primitive("iota"), (), {"size": aval.size, "dtype": "i64"})[0]
    column = apply("reshape", numbers, shape=(aval.size, 1))
    unit = apply("cast", apply("equal", column, numbers), dtype=aval.dtype)
    return _reshaped(unit, (aval.size, *aval.shape))


def _reshaped(x: Value, shape: tuple[Size, ...]) -> Value:
    return x if x.shape == shape else apply("reshape", x, shape=shape)

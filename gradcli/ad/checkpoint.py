"""`checkpoint`: a part of a graph as one node, so that nothing of its inside is kept for the backward pass.

Its adjoint is again such a node: it holds its own copy of the forward part, computes it once more from what came in,
and goes back through it. So what a backward pass keeps of the part is its inputs.
"""

from __future__ import annotations

from typing import Any

from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.cost import cost
from gradcli.ir.dims import Size
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.live import outputs_from
from gradcli.ir.primitive import Sample, ShapeError, primitive
from gradcli.ir.region import runner
from gradcli.ops.define import general

Optional = tuple[Value | None, ...]


def _infer(*avals: Aval, body: Graph) -> tuple[Aval, ...]:
    if avals != tuple(value.aval for value in body.inputs):
        raise ShapeError("SHP105", f"a region of {', '.join(str(v.aval) for v in body.inputs)} is given other operands")
    return tuple(value.aval for value in body.outputs)


def _eval(xp: Any, *arrays: Any, body: Any) -> Any:
    made = tuple(runner(xp, body)(arrays))
    return made[0] if len(made) == 1 else made


def _flops(node: Node) -> int:
    return cost(node.params["body"])


def _vjp(cts: Optional, inputs: tuple[Value, ...], outs: tuple[Value, ...], *, body: Graph) -> Optional:
    wrt = [k for k, value in enumerate(body.inputs) if value.aval.is_float]
    given = [k for k, ct in enumerate(cts) if ct is not None]
    weights = [ct for ct in cts if ct is not None]
    made = weights[0].builder.derived(body, ("vjp", *given), lambda: outputs_from(
        reverse(body, wrt, sens="inputs", outputs=given), len(body.outputs)))  # fmt: skip
    found = iter(_emit([*inputs, *weights], made))
    return tuple(next(found) if value.aval.is_float else None for value in body.inputs)


def _jvp(tangents: Optional, inputs: tuple[Value, ...], outs: tuple[Value, ...], *, body: Graph) -> Optional:
    moving = [k for k, tangent in enumerate(tangents) if tangent is not None]
    ways = [tangent for tangent in tangents if tangent is not None]
    if not any(value.aval.is_float for value in body.outputs):
        return (None,) * len(outs)
    made = ways[0].builder.derived(
        body, ("jvp", *moving), lambda: outputs_from(forward(body, moving), len(body.outputs))
    )
    found = iter(_emit([*inputs, *ways], made))
    return tuple(next(found) if value.aval.is_float else None for value in body.outputs)


def _batch(args: tuple[Value, ...], batched: tuple[bool, ...], size: Size, *, body: Graph) -> tuple[Value, ...]:
    made = args[0].builder.derived(body, ("batch", *batched, size), lambda: batch(body, batched, size))
    return _emit(list(args), made)


def _emit(args: list[Value], body: Graph) -> tuple[Value, ...]:
    return args[0].builder.emit(primitive("checkpoint"), args, {"body": body})


def _sample(size: int) -> Graph:
    """sin(x) · y, and y · y"""
    builder = Builder()
    x, y = (builder.input(Aval((size,), "f64"), name) for name in "xy")
    return builder.finish([builder.emit(primitive("sin"), [x])[0] * y, y * y])


checkpoint = general(
    "checkpoint", _infer, _eval, _vjp, flops=_flops, jvp=_jvp, batch=_batch,
    doc="A part of the graph, computed again where it is needed again.", formula="that of the part",
    samples=[Sample(((n,), (n,)), {"body": _sample(n)}) for n in (3, 0)],
)  # fmt: skip

"""Constant folding.

Elementwise operators on arrays of one number become one number, broadcast; others are evaluated where operands and
result are small. Never does an array become larger by it: a number that is broadcast stays a view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradcli.ir.aval import ITEMSIZE, NUMPY_NAMES, Aval
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.primitive import DataError
from gradcli.ir.region import regions
from gradcli.passes.rebuild import broadcast, is_plain, number_of, rebuild

SMALL = 4096  # elements


def fold(graph: Graph) -> Graph:
    """Evaluate what depends on constants only."""
    return rebuild(graph, _fold)


def _fold(node: Node, builder: Builder) -> Value | None:
    for value in node.inputs:
        if not is_plain(value.node):
            return None
    out = node.outs[0]
    if node.prim.name == "constant" or node.prim.stops or regions(node):
        return None
    if node.prim.kind == "elementwise" and node.inputs:
        scalars = _each(node, _scalar)
        if scalars is not None:
            made = _evaluated(node, scalars, builder, Aval((), out.dtype))
            return None if made is None else broadcast(builder, made, out)
    sizes = [value.aval.size for value in (*node.inputs, out)]
    if not all(isinstance(size, int) and size <= SMALL for size in sizes) or (node.prim.view and _grows(node)):
        return None
    arrays = _each(node, _array)
    return None if arrays is None else _evaluated(node, arrays, builder, out.aval)


def _each(node: Node, read: Callable[[Value], Any]) -> list[Any] | None:
    """What `read` gives for each operand; None as soon as it gives None for one."""
    arrays = []
    for value in node.inputs:
        array = read(value)
        if array is None:
            return None
        arrays.append(array)
    return arrays


def _grows(node: Node) -> bool:
    """A view larger than what it looks at."""
    return bool(node.inputs) and node.outs[0].aval.size != node.inputs[0].aval.size


def _scalar(value: Value) -> Any:
    """The number that an array holds everywhere, as an array without dims."""
    import numpy as np

    number = number_of(value)
    return None if number is None else np.asarray(number, NUMPY_NAMES[value.dtype])


def _array(value: Value) -> Any:
    """The array of a constant, or of a number that is broadcast; None for all else."""
    import numpy as np

    node = value.node
    shape: Any = value.shape
    if node is not None and node.prim.name == "constant":
        return np.frombuffer(node.params["data"], NUMPY_NAMES[value.dtype]).reshape(shape)
    number = _scalar(value)
    return None if number is None else np.broadcast_to(number, shape)


def _evaluated(node: Node, arrays: list[Any], builder: Builder, aval: Aval) -> Value | None:
    """The result as a constant; None where the data is refused, which is left for the run to say, and where it
    overflows or underflows, which some plans watch for (`Plan.watched`)."""
    import numpy as np

    try:
        with np.errstate(all="ignore", over="raise", under="raise"):
            made = np.asarray(node.prim.eval(np, *arrays, **node.params), order="C")
    except (DataError, FloatingPointError):
        return None
    if made.shape != aval.shape or made.dtype != NUMPY_NAMES[aval.dtype] or made.itemsize != ITEMSIZE[aval.dtype]:
        return None
    return builder.constant(aval.dtype, made.shape, made.tobytes())

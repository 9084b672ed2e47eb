"""One operator's adjoint as a function of numbers: cotangents of its results in, contributions to its operands out.

It is the operator's own rule, made once for each kind of operand and interpreted. With operands of ones in place of
the real ones it tells which elements are connected at all, where no number of the operand stands in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.ad.reverse import unbroadcast
from gradcli.ir.aval import Aval
from gradcli.ir.dims import conditions
from gradcli.ir.graph import Builder, Graph, Node, Value
from gradcli.ir.region import interpret

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Pull = Callable[[Sequence[Array | None]], list[Array | None]]

# Operators whose adjoint, at operands of ones, has no factor that is zero.
CONNECTED = ("matmul", "reduce_max", "reduce_min", "reduce_prod", "cumprod", "recurrence")

# Operators of matrices, whose adjoint has no factor that is zero at a matrix like any other.
DENSE = ("solve", "inv", "det", "slogdet", "cholesky")

# Operators that let a cotangent through to some elements and to others not.
MASKS = ("where", "relu", "maximum", "minimum", "reduce_max", "reduce_min")


# How many operands of a linear operator are data, where the others are indices.
DATA = {"gather": 1, "scatter_zeros": 1, "scatter_add": 2, "scatter_set": 2}


def connects(node: Node) -> bool:
    """Whether `Adjoints.reach` tells which elements of an operand are connected with which of the result."""
    return node.prim.kind == "linear" or node.prim.name in (*CONNECTED, *DENSE)


class Adjoints:
    """The adjoints of operators, made when they are asked for. Constants stay constants, as rules look at them."""

    def __init__(self) -> None:
        self._made: dict[Any, tuple[Graph, list[int]]] = {}

    def pull(self, node: Node, ins: Sequence[Array], outs: Sequence[Array], constants: Sequence[Node | None]) -> Pull:
        """The adjoint at these operands and results; None for an operand that nothing flows to."""
        import numpy as np

        def run(cts: Sequence[Array | None]) -> list[Array | None]:
            dtypes = [value.dtype for value in (*node.inputs, *node.outs)]
            graph, positions = self._adjoint(node, [*ins, *outs], dtypes, constants, [ct is not None for ct in cts])
            found: list[Array | None] = [None] * len(ins)
            with np.errstate(all="ignore"):
                made = interpret(np, graph, [*ins, *outs, *(ct for ct in cts if ct is not None)])
            for position, array in zip(positions, made, strict=True):
                found[position] = array
            return found

        return run

    def reach(self, node: Node, ins: Sequence[Array], outs: Sequence[Array], constants: Sequence[Node | None]) -> Pull:
        """The adjoint at ones; of matrices, at others that are positive definite and have no zeros."""
        if node.prim.name in DENSE:
            import numpy as np

            others = [*map(_dense, ins)]
            made = node.prim.eval(np, *others, **node.params)
            return self.pull(node, others, made if isinstance(made, tuple) else (made,), [None] * len(ins))
        if node.prim.kind == "linear":
            return self.pull(node, ins, outs, constants)
        return self.pull(node, [*map(_ones, ins)], [*map(_ones, outs)], [None] * len(ins))

    def spread(self, node: Node, k: int, ins: Sequence[Array], masks: Sequence[Array]) -> Array:
        """The elements of operand k on which results depend that the masks hold: those at most, all if unknown."""
        import numpy as np

        shape = ins[k].shape
        (mask, *others), prim = masks, node.prim
        if others or not mask.any():
            return np.full(shape, any(each.any() for each in masks))
        if prim.kind == "elementwise" or prim.stops:
            return np.asarray(mask.any(axis=repeated(mask.shape, shape))).reshape(shape)
        if prim.kind == "linear" and k < DATA.get(prim.name, len(ins)):
            return self._as_floats(node, k, ins, mask)
        if prim.name == "gather":
            return _read_by(mask, len(shape), node.params["axes"])
        axes = node.params.get("axes", (node.params.get("axis"),))
        if len(ins) == 1 and mask.ndim + len(axes) == len(shape):
            return np.broadcast_to(np.expand_dims(mask, axes), shape)
        return np.full(shape, True)

    def _as_floats(self, node: Node, k: int, ins: Sequence[Array], mask: Array) -> Array:
        """Integers and bools move as floats do."""
        import numpy as np

        data = DATA.get(node.prim.name, len(ins))
        arrays = [np.zeros(x.shape) if j < data else x for j, x in enumerate(ins)] + [np.zeros(mask.shape)]
        dtypes = ["f64" if array.dtype.kind == "f" else "i64" for array in arrays]
        graph, positions = self._adjoint(node, arrays, dtypes, [None] * len(ins), [True])
        moved = interpret(np, graph, [*arrays, mask.astype("float64")])[positions.index(k)]
        return np.asarray(moved != 0)

    def _adjoint(
        self, node: Node, arrays: Sequence[Array], dtypes: Sequence[str], constants: Sequence[Node | None],
        given: Sequence[bool],
    ) -> tuple[Graph, list[int]]:  # fmt: skip
        avals = [Aval(array.shape, dtype) for array, dtype in zip(arrays, dtypes, strict=True)]
        fixed = tuple(None if c is None else c.params["data"] for c in constants)
        key = (node.prim.name, *sorted(node.params.items()), *avals, fixed, *given)
        if key not in self._made:
            with conditions():  # about sizes, recorded when the model was made
                self._made[key] = _made(node, avals, constants, given)
        return self._made[key]


def _read_by(mask: Array, rank: int, axes: Sequence[int]) -> Array:
    """The elements of an index of this rank that read something the mask holds."""
    import numpy as np

    place = axes[0] if axes[-1] - axes[0] == len(axes) - 1 else 0
    others = tuple(k for k in range(mask.ndim) if not place <= k < place + rank)
    return np.asarray(mask.any(axis=others))


def repeated(shape: tuple[int, ...], own: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a shape along which an operand of shape `own` was repeated."""
    extra = len(shape) - len(own)
    return tuple(k for k, n in enumerate(shape) if k < extra or (own[k - extra] == 1 and n != 1))


def _made(
    node: Node, avals: Sequence[Aval], constants: Sequence[Node | None], given: Sequence[bool]
) -> tuple[Graph, list[int]]:
    builder = Builder()
    values = [builder.input(aval) for aval in avals]
    ins, outs = values[: len(node.inputs)], values[len(node.inputs) :]
    cts: list[Value | None] = [builder.input(out.aval) if has else None for out, has in zip(outs, given, strict=True)]
    known = [
        x if constant is None else builder.emit(constant.prim, (), constant.params)[0]
        for x, constant in zip(ins, constants, strict=True)
    ]
    assert node.prim.vjp is not None
    found = node.prim.vjp(tuple(cts), tuple(known), tuple(outs), **node.params)
    flows = {k: unbroadcast(builder, ct, ins[k].aval) for k, ct in enumerate(found) if ct is not None}
    return builder.finish([*flows.values()]), [*flows]


def _ones(array: Array) -> Array:
    import numpy as np

    return np.ones_like(array) if array.dtype.kind == "f" else array


def _dense(array: Array) -> Array:
    import numpy as np

    random = np.asarray(np.random.default_rng(0).uniform(0.5, 1.5, array.shape))
    if array.ndim > 1 and array.shape[-1] == array.shape[-2]:
        random = random @ np.swapaxes(random, -1, -2) + np.eye(array.shape[-1])
    return np.asarray(random.astype(array.dtype))


# ── factors that are zero in floating point only ────────────────────────────────────────────────────────────


def _finite(k: int, xs: Sequence[Array]) -> Array:
    import numpy as np

    finite: Array = np.isfinite(np.stack(np.broadcast_arrays(*xs))).all(axis=0)
    return finite


def _ordinary(k: int, xs: Sequence[Array]) -> Array:
    """Finite, and not zero."""
    ordinary: Array = _finite(k, xs) & (xs[0] != 0) & (xs[-1] != 0)
    return ordinary


def _not_zero_above(k: int, xs: Sequence[Array]) -> Array:
    """Of x / y: by x always, by y where x is not 0."""
    return _finite(k, xs) if k == 0 else _finite(k, xs) & (xs[0] != 0)


def _power_not_zero(k: int, xs: Sequence[Array]) -> Array:
    """Of x ** y: by x where neither is 0; by y where x is neither 0 nor 1."""
    return _ordinary(k, xs) if k == 0 else _ordinary(k, xs) & (xs[0] != 1)


_EVERYWHERE = (
    *("exp", "exp2", "expm1", "sigmoid", "softplus", "tanh", "erf", "erfc", "atan", "asinh", "log", "log2", "log10"),
    *("log1p", "sqrt", "rsqrt", "cbrt", "reciprocal", "logaddexp"),
)

# Elementwise operators: where their partial derivative by operand k is not zero on paper, whatever it is in floats.
NOT_ZERO: dict[str, Callable[[int, Sequence[Array]], Array]] = {
    **dict.fromkeys(_EVERYWHERE, _finite),
    "div": _not_zero_above,
    "pow": _power_not_zero,
}

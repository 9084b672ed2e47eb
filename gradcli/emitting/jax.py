"""A graph as a function for JAX: `emit(graph)` takes and gives JAX arrays, and can be traced.

The `eval` of an operator is written for any array namespace, so most operators are emitted by calling it with
`jax.numpy`, as `NAMES`. `RULES` has those that are said in another way there: what writes into arrays, looks at data,
or loops, and functions of which JAX has its own. What is emitted refuses no data, as nothing can be looked at while it
is traced: an index is not checked, and a singular matrix gives nan.

Integers are as wide as JAX is told to have them (`jax_enable_x64`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

from gradcli.ir.aval import NUMPY_NAMES, is_float
from gradcli.ir.constants import unpack
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node
from gradcli.ops.shape import place_of_items
from gradcli.syntax.diagnostics import ENVIRONMENT, Span, fail

Array = Any
Rule = Callable[..., Any]


class _Names:
    """`jax.numpy`, whose functions may be given `out=None`, which says nothing: JAX 0.11 and later refuse the word."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(jnp, name)
        if not callable(function) or isinstance(function, type):
            return function

        def call(*operands: Any, out: None = None, **params: Any) -> Any:
            assert out is None, "arrays of JAX are never written into"
            return function(*operands, **params)

        return call


NAMES = _Names()
MOST_SLICES = 128  # elements of a window that are read as so many slices, rather than by their indices


def emit(graph: Graph) -> Callable[..., tuple[Array, ...]]:
    """The outputs of a graph as a function of its inputs, for `jax.jit`, `jax.grad` and the like.

    While it is traced it raises ModelError ENV007, which names an operator that cannot be emitted.
    """
    live = _read(graph)

    def function(*arrays: Array) -> tuple[Array, ...]:
        env = {value.id: array for value, array in zip(graph.inputs, arrays, strict=True)}
        for node in graph.nodes:
            made = _apply(node, [env[value.id] for value in node.inputs], live)
            env.update((out.id, array) for out, array in zip(node.outs, made, strict=True))
        return tuple(env[value.id] for value in graph.outputs)

    return function


def dtype_of(name: str) -> np.dtype[Any]:
    """A dtype of the language as JAX has it now."""
    wide = np.dtype(NUMPY_NAMES[name])
    return wide if jax.config.read("jax_enable_x64") else np.dtype(jax.dtypes.canonicalize_dtype(wide))


def _read(graph: Graph) -> set[int]:
    return {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}


def _apply(node: Node, operands: Sequence[Array], live: set[int]) -> Sequence[Array]:
    try:
        if node.prim.name == "scan":
            return _scan(operands, [out.id in live for out in node.outs], **node.params)
        rule = RULES.get(node.prim.name)
        if rule is None:
            made = node.prim.eval(NAMES, *operands, **node.params)
        elif node.prim.name in BY_NODE:
            made = rule(node, *operands, **node.params)
        else:
            made = rule(*operands, **node.params)
    except (TypeError, ValueError, AttributeError, NotImplementedError, IndexError) as error:
        said = str(error).strip().partition("\n")[0]
        raise fail(
            "ENV007",
            f"`{node.prim.name}` cannot be emitted for JAX",
            _span(node),
            notes=[f"JAX {jax.__version__} says: {type(error).__name__}: {said[:200]}"],
            exit_code=ENVIRONMENT,
        ) from error
    return made if isinstance(made, tuple) else (made,)


def _span(node: Node) -> Span | None:
    own = [span for span in node.spans if not span.source.prelude] or [*node.spans]
    return own[0] if own else None


# ── constants and types ─────────────────────────────────────────────────────────────────────────────────────


def _constant(*, dtype: str, shape: tuple[int, ...], data: bytes) -> Array:
    return jnp.asarray(np.frombuffer(data, NUMPY_NAMES[dtype]).reshape(shape), dtype_of(dtype))


def _iota(*, size: int, dtype: str) -> Array:
    return jnp.arange(size, dtype=dtype_of(dtype))


def _dim_size(*, size: int, dtype: str) -> Array:
    return jnp.asarray(size, dtype_of(dtype))


def _power(node: Node, x: Array, y: Array) -> Array:
    """A whole exponent that is known is a Python number, of which JAX makes products."""
    maker = node.inputs[1].node
    if maker is not None and maker.prim.name == "constant" and not node.inputs[1].rank:
        number = unpack(maker.params["data"], maker.params["dtype"])[0]
        if is_float(maker.params["dtype"]) and float(number).is_integer() and abs(number) < 100:
            return x ** int(number)
    return jnp.power(x, y)


def _share(x: Array, y: Array) -> Array:
    return ((x > y).astype(x.dtype) + (x >= y).astype(x.dtype)) / 2


def _place(name: str) -> Rule:
    def rule(x: Array, *, axis: int) -> Array:
        return getattr(jnp, name)(x, axis=axis).astype(dtype_of("i64"))

    return rule


# ── reading and writing ─────────────────────────────────────────────────────────────────────────────────────


def _unslice(v: Array, *, shape: tuple[int, ...], items: Any) -> Array:
    return jnp.zeros(shape, v.dtype).at[place_of_items(items)].set(v)


def _where(rank: int, idx: Sequence[Array], axes: Sequence[int]) -> tuple[Any, ...]:
    where: list[Any] = [slice(None)] * rank
    for axis, index in zip(axes, idx, strict=True):
        where[axis] = index
    return tuple(where)


def _gather(x: Array, *idx: Array, axes: tuple[int, ...]) -> Array:
    return x[_where(x.ndim, idx, axes)]


def _scatter_add(x: Array, v: Array, *idx: Array, axes: tuple[int, ...]) -> Array:
    return x.at[_where(x.ndim, idx, axes)].add(v)


def _scatter_set(x: Array, v: Array, *idx: Array, axes: tuple[int, ...]) -> Array:
    return x.at[_where(x.ndim, idx, axes)].set(v)


def _scatter_zeros(v: Array, *idx: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    return _scatter_add(jnp.zeros(shape, v.dtype), v, *idx, axes=axes)


# ── sliding windows ─────────────────────────────────────────────────────────────────────────────────────────


def _windows(node: Node, x: Array, *, sizes: Any, strides: Any, dilations: Any) -> Array:
    """One slice for each element of a window, stacked; of a large window its elements by their indices."""
    dims = len(sizes)
    shape = tuple(map(definite, node.outs[0].shape))
    counts = shape[len(shape) - 2 * dims : len(shape) - dims]
    if prod(sizes) <= MOST_SLICES:
        parts = [x[(..., *map(_every, element, dilations, counts, strides))] for element in product(*map(range, sizes))]
        return jnp.stack(parts, axis=-1).reshape(shape) if parts else jnp.zeros(shape, x.dtype)
    index = []
    for k, (count, size, stride, dilation) in enumerate(zip(counts, sizes, strides, dilations, strict=True)):
        places = np.arange(count)[:, None] * stride + np.arange(size)[None, :] * dilation
        own = [1] * (2 * dims)
        own[k], own[dims + k] = count, size
        index.append(places.reshape(own))
    return x[(..., *index)]


def _overlap_add(v: Array, *, over: tuple[int, ...], strides: Any, dilations: Any) -> Array:
    dims = len(over)
    counts, sizes = v.shape[-2 * dims : -dims], v.shape[-dims:]
    out = jnp.zeros((*v.shape[: -2 * dims], *over), v.dtype)
    for element in product(*map(range, sizes)):
        out = out.at[(..., *map(_every, element, dilations, counts, strides))].add(v[(..., *element)])
    return out


def _every(place: int, width: int, count: int, step: int) -> slice:
    """`count` elements, `step` apart, from `place * width` on."""
    start = place * width
    return slice(start, start + (count - 1) * step + 1, step)


# ── loops and regions ───────────────────────────────────────────────────────────────────────────────────────


def _recurrence(a: Array, b: Array, *, axis: int, reverse: bool) -> Array:
    a, rows = jnp.moveaxis(a, axis, 0), jnp.moveaxis(b, axis, 0)

    def turn(before: Array, ab: tuple[Array, Array]) -> tuple[Array, Array]:
        made = ab[1] + ab[0] * before
        return made, made

    _, out = lax.scan(turn, jnp.zeros(rows.shape[1:], rows.dtype), (a, rows), reverse=reverse)
    return jnp.moveaxis(out, 0, axis)


def _checkpoint(*arrays: Array, body: Graph) -> tuple[Array, ...]:
    made: tuple[Array, ...] = jax.checkpoint(emit(body))(*arrays)
    return made


def _scan(
    arrays: Sequence[Array], read: Sequence[bool], *, body: Graph, cond: Graph | None, turns: int, consts: int,
    carry: int, reverse: bool, counted: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """`lax.scan` over all turns that there may be; those that are not taken change nothing, and give zeros.

    A `while_loop` would stop there, and could not be differentiated.
    """
    bound, operands = (arrays[0], arrays[1:]) if counted else (None, arrays)
    given, state, slices = operands[:consts], tuple(operands[consts : consts + carry]), operands[consts + carry :]
    run, goes_on = emit(body), None if cond is None else emit(cond)
    histories = [k for k in range(carry) if read[carry + k]]

    def taken(i: Array, state: Sequence[Array]) -> tuple[Any, ...]:
        made = run(i, *given, *state[0], *state[1])
        return tuple(made[:carry]), (tuple(state[0][k] for k in histories), tuple(made[carry:]))

    def left(i: Array, state: Sequence[Array]) -> tuple[Any, ...]:
        kept = tuple(jnp.zeros_like(state[0][k]) for k in histories)
        given_out = tuple(jnp.zeros(value.shape, dtype_of(value.dtype)) for value in body.outputs[carry:])
        return tuple(state[0]), (kept, given_out)

    def turn(before: Any, x: Any) -> Any:
        (state, going, count), (i, *cut) = before, x
        if bound is None and goes_on is None:
            after, out = taken(i, (state, cut))
            return (after, going, count), out
        here = going if bound is None else going & (i < bound)
        if goes_on is not None:
            here = here & goes_on(i, *given, *state)[0].astype(bool)
        after, out = lax.cond(here, taken, left, i, (state, tuple(cut)))
        return (after, here if bound is None else going, count + here.astype(count.dtype)), out

    begin = (state, jnp.asarray(True), jnp.zeros((), dtype_of("i64")))
    indices = jnp.arange(turns, dtype=dtype_of("i64"))
    (after, _, count), (kept, stacked) = lax.scan(turn, begin, (indices, *slices), length=turns, reverse=reverse)
    told = dict(zip(histories, kept, strict=True))
    made = (*after, *(told.get(k) for k in range(carry)), *stacked)
    return made if cond is None else (*made, count)


def _reduced(name: str) -> Rule:
    def rule(x: Array, *, axes: tuple[int, ...]) -> Array:
        return getattr(jnp, name)(x, axis=axes) if axes else x

    return rule


def _alone(x: Array, **params: Any) -> Array:
    return x


BY_NODE = {"pow", "windows"}  # whose rules see the node, too
RULES: dict[str, Rule] = {
    "constant": _constant,
    "iota": _iota,
    "dim_size": _dim_size,
    "cast": lambda x, *, dtype: x.astype(dtype_of(dtype)),
    "copy": _alone,
    "stop_gradient": lambda x, **params: lax.stop_gradient(x),
    "rem": jnp.remainder,
    "pow": _power,
    "share": _share,
    **{f"reduce_{name}": _reduced(name) for name in ("max", "min", "any", "all")},
    "argmax": _place("argmax"),
    "argmin": _place("argmin"),
    "slice": lambda x, *, items: x[place_of_items(items)],
    "unslice": _unslice,
    "update_slice": lambda x, v, *, items: x.at[place_of_items(items)].set(v),
    "add_slice": lambda x, v, *, items: x.at[place_of_items(items)].add(v),
    "gather": _gather,
    "scatter_add": _scatter_add,
    "scatter_set": _scatter_set,
    "scatter_zeros": _scatter_zeros,
    "windows": _windows,
    "overlap_add": _overlap_add,
    "recurrence": _recurrence,
    "solve": jnp.linalg.solve,
    "inv": jnp.linalg.inv,
    "checkpoint": _checkpoint,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "erf": special.erf,
    "erfc": special.erfc,
    "lgamma": special.gammaln,
    "digamma": special.digamma,
    "polygamma": lambda x, *, n: special.polygamma(n, x),
}

__all__ = ["dtype_of", "emit"]

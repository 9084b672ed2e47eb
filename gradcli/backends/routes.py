"""Where NumPy is slow, and what is called instead: one table, each entry with its measurement and its accuracy.

`writers(nodes)` gives, for nodes that a route serves, a function of the operands that writes into `out`, as
`Primitive.into` does. Elementwise routes stay within 2 ulps of the exact result, or are what NumPy gives to the bit;
sums are exact to k · eps · Σ|terms|. Specials (±0, ±inf, nan, subnormal numbers) are NumPy's. A route is chosen by the
operator, the dtype, the sizes and NumPy's list of CPU features, never by a clock: one machine gives one result, every
time. Figures: NumPy 2.4.6, an AMD EPYC with AVX2 and without AVX-512, `python benchmarks/routes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np

from gradcli.backends import kernels
from gradcli.backends.diagonals import WRITE as DIAGONAL
from gradcli.backends.diagonals import on_diagonal
from gradcli.backends.kernels import BLOCK
from gradcli.backends.reductions import FEW, known_size, reduction
from gradcli.ir.constants import unpack
from gradcli.ir.graph import Node, Value
from gradcli.ir.primitive import Primitive
from gradcli.plan.plan import Blocks, Call, Plan, Turns
from gradcli.record import record

Array = np.ndarray[Any, Any]
Writer = Callable[..., Any]

LEAST = 4096  # elements below which the 30 calls of a kernel cost more than they save
TABLE = 32768  # elements from which a table of all f16 numbers pays


@record
class Route:
    """`ratio` is NumPy's time over the route's, on tiles of 16,384 normal numbers; of angles three times as wide: it is
    1.1 for angles below 1, 2 for wide ones, 2 to 3 for a sine and the cosine of the same angle. `ulps` is the worst
    error of 10⁷ numbers where it is largest, rounded up; 0 for the same bits. `vector`: NumPy has a loop of its own
    with AVX-512, where the route is not taken."""

    prim: str
    dtype: str
    kernel: Callable[..., bool]
    ratio: float
    ulps: float
    vector: bool = True
    wide: bool = False  # computed in f64 and rounded once


ROUTES = (
    Route("sin", "f64", kernels.sin, 1.7, 2.0, vector=False),
    Route("cos", "f64", kernels.cos, 1.7, 2.0, vector=False),
    Route("tanh", "f64", kernels.tanh, 1.7, 1.7),
    Route("softplus", "f64", kernels.softplus, 1.5, 2.0, vector=False),
    Route("softplus", "f32", kernels.softplus, 1.6, 0.6, vector=False, wide=True),
    Route("sigmoid", "f64", kernels.sigmoid, 3.0, 0, vector=False),
    Route("sigmoid", "f32", kernels.sigmoid, 2.5, 0, vector=False),
    Route("relu", "f32", kernels.relu, 1.8, 0),
    Route("erf", "f32", kernels.erf, 5.0, 0.6, vector=False, wide=True),
    Route("erfc", "f32", kernels.erfc, 5.7, 0.6, vector=False, wide=True),
)
SCALAR_POWERS = 2.0  # ulps: the worst of `kernels.POWERS`, which take 0.03 to 0.6 of NumPy's time

# Functions of one f16 number, which NumPy computes one at a time by way of f32: looked up, to the bit, in 0.1 to 0.4 of
# the time.
HALF = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sqrt", "rsqrt", "cbrt", "reciprocal", "square"),
    *("erf", "erfc", "lgamma", "digamma", "sigmoid", "softplus", "one_minus_square"),
)


def routed(plan: Plan) -> list[Node]:
    """Nodes of a plan that a route may serve. Kernels of elements may write over what they read, and what is added to
    a diagonal to the rest."""
    calls = [step for step in plan.steps if isinstance(step, Call)]
    return [call.node for call in calls if call.how == "write" or (call.how == "replace" and _over(call))]


def _over(call: Call) -> bool:
    by_elements = call.node.prim.kind == "elementwise" and call.node.outs[0].dtype != "f16"
    return by_elements or call.node.prim.name == "scatter_add"


def writers(nodes: Iterable[Node]) -> dict[Node, Writer]:
    """A function `write(*operands, out=…)` for each node that a route serves. What is made is for one thread at a time,
    and for nodes that run in their order: the cosine of an angle may come from the call for its sine."""
    nodes = list(nodes)
    found: dict[Node, Writer] = _pairs(nodes)
    for node in nodes:
        if node not in found and len(node.outs) == 1 and (made := _writer(node)) is not None:
            found[node] = made
    return found


def _writer(node: Node) -> Writer | None:
    if node.prim.kind == "elementwise":
        return _elementwise(node)
    if node.prim.name == "matmul" and node.outs[0].dtype == "f16":
        return _product_in_single
    return on_diagonal(node) if node.prim.name in DIAGONAL else reduction(node)


# ── the processor ───────────────────────────────────────────────────────────────────────────────────────────


@cache
def processor() -> str:
    """ "avx2" where the figures were measured, "avx512" where NumPy has more loops of its own, "other" elsewhere: there
    only those routes are taken that save NumPy's own overhead."""
    try:
        features = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return "other"
    if features.get("X86_V4") or features.get("AVX512_SKX"):
        return "avx512"
    return "avx2" if features.get("AVX2") else "other"


def _route(prim: str, dtype: str) -> Route | None:
    for route in ROUTES:
        if (route.prim, route.dtype) == (prim, dtype):
            taken = processor() == "avx2" or (processor() == "avx512" and not route.vector)
            return route if taken else None
    return None


# ── elementwise ─────────────────────────────────────────────────────────────────────────────────────────────


def _elementwise(node: Node) -> Writer | None:
    value = node.outs[0]
    name, dtype, size = node.prim.name, value.dtype, known_size(value)
    if size < FEW or node.params or node.inputs[0].shape != value.shape:
        return None
    if dtype == "f16" and size >= TABLE and name in HALF:
        return partial(_look_up, _half_table(node.prim))
    if name == "pow" and dtype in ("f64", "f32"):
        number = constant_number(node.inputs[1])
        kernel = None if number is None else kernels.POWERS.get(number)
        return None if kernel is None else _blocks(kernel, _plain(node.prim))
    route = _route(name, dtype)
    if route is None or size < LEAST:
        return None
    if route.wide:
        return _blocks(partial(_in_double, route.kernel), _plain(node.prim), "f8")
    return _blocks(route.kernel, _plain(node.prim))


def _plain(prim: Primitive) -> Writer:
    into = prim.into
    assert into is not None
    return partial(into, np)


def constant_number(value: Value) -> float | None:
    """The number of a float constant without dims."""
    node = value.node
    if node is None or node.prim.name != "constant" or value.rank or not value.aval.is_float:
        return None
    return float(unpack(node.params["data"], value.dtype)[0])


def _blocks(kernel: Callable[..., bool], plain: Writer, wide: str | None = None) -> Writer:
    """The kernel on block after block, with scratch of the dtype of `out`, or of a wider one; NumPy's function where
    `out` has gaps, and for blocks that it refuses. What has gaps itself is copied into `out` first."""

    def write(x: Array, *rest: Array, out: Array) -> None:
        if not out.flags.c_contiguous:
            plain(x, *rest, out=out)
            return
        if not x.flags.c_contiguous:
            np.copyto(out, x)
            x = out
        flat, into, scratch = x.reshape(-1), out.reshape(-1), _taken()
        for start in range(0, into.size, BLOCK):
            part, target = flat[start : start + BLOCK], into[start : start + BLOCK]
            if not kernel(part, target, scratch.room(target.size, wide or target.dtype)):
                plain(part, *rest, out=target)
        _free.append(scratch)

    return write


def _in_double(kernel: Callable[..., bool], x: Array, out: Array, room: list[Array]) -> bool:
    """Of a kernel that leaves the fifth vector alone."""
    np.copyto(room[4], x)
    if not kernel(room[4], room[4], room):
        return False
    np.copyto(out, room[4], casting="same_kind")
    return True


class _Scratch:
    """Vectors of a block's elements, for one route at a time."""

    BYTES = 6 * 8  # for each element of a block

    def __init__(self) -> None:
        self.memory = np.empty((6, 0))
        self.rooms: dict[tuple[str, int], list[Array]] = {}

    def room(self, size: int, dtype: np.dtype[Any] | str) -> list[Array]:
        """Five vectors of the dtype, and one of integers as wide."""
        own = np.dtype(dtype)
        found = self.rooms.get((own.char, size))
        if found is None:
            if size > self.memory.shape[1]:
                self.memory = np.empty((6, size))
                self.rooms.clear()
            found = [row.view(own)[:size] for row in self.memory[:5]]
            found.append(self.memory[5].view(f"i{own.itemsize}")[:size])
            self.rooms[own.char, size] = found
        return found


_free: list[_Scratch] = []  # what no route uses at the time; Python takes from a list, and puts back, in one step


def _taken() -> _Scratch:
    try:
        return _free.pop()
    except IndexError:
        return _Scratch()


def scratch_of(plan: Plan, workers: int) -> int:
    """Bytes that routes hold beside a plan, from its first run on: a scratch for each thread that runs kernels at a
    time, and what pairs keep for each other."""
    return sum(_scratch(plan, workers)) + _kept(plan, workers)


def _scratch(plan: Plan, workers: int) -> tuple[int, int]:
    """Of the thread that runs a plan, and of those that help it, all together."""
    most = max((known_size(node.outs[0]) for node in routed(plan) if _takes_kernel(node)), default=0)
    own, others = _Scratch.BYTES * min(most, BLOCK), 0
    for step in plan.steps:
        if isinstance(step, Blocks):
            block, _ = _scratch(step.full, 1)
            own, others = max(own, block), max(others, (min(len(step.lanes), workers) - 1) * block)
        elif isinstance(step, Turns):
            turn, helping = _scratch(step.body, workers)
            own, others = max(own, turn), max(others, helping)
    return own, others


def _kept(plan: Plan, workers: int) -> int:
    found = sum(known_size(first.outs[0]) * KEPT_ITEM for first, _ in _paired(routed(plan)))
    for step in plan.steps:
        if isinstance(step, Blocks):
            bodies = [step.full] if step.rest is None else [step.full, step.rest]
            found += min(len(step.lanes), workers) * sum(_kept(body, 1) for body in bodies)
        elif isinstance(step, Turns):
            found += _kept(step.body, workers)
    return found


def _takes_kernel(node: Node) -> bool:
    value = node.outs[0]
    elements = node.prim.kind == "elementwise" and value.dtype != "f16" and known_size(value) >= FEW
    return elements and _elementwise(node) is not None


def forget_scratch() -> None:
    """As before the first run, for measuring."""
    _free.clear()


# ── sine and cosine of one angle ────────────────────────────────────────────────────────────────────────────


class _Pair:
    """The first of the two that runs computes both, and keeps the other's for it."""

    def __init__(self, first: Node, second: Node) -> None:
        self.names = (first.prim.name, second.prim.name)
        self.plain = (_plain(first.prim), _plain(second.prim))
        self.kept = np.empty(known_size(first.outs[0]))  # f64, as the routes are

    def first(self, x: Array, *, out: Array) -> None:
        whole = x.flags.c_contiguous and out.flags.c_contiguous
        flat, into = (x.reshape(-1), out.reshape(-1)) if whole else (x.reshape(-1), np.empty(out.size))
        sine_first, scratch = self.names[0] == "sin", _taken()
        for start in range(0, flat.size, BLOCK):
            block = slice(start, start + BLOCK)
            part, own, other = flat[block], into[block], self.kept[block]
            sine, cosine = (own, other) if sine_first else (other, own)
            if not kernels.sin_and_cos(part, sine, cosine, scratch.room(own.size, own.dtype)):
                self.plain[1](part, out=other)
                self.plain[0](part, out=own)
        _free.append(scratch)
        if not whole:
            out[...] = into.reshape(out.shape)

    def second(self, x: Array, *, out: Array) -> None:
        np.copyto(out, self.kept.reshape(out.shape))


PAIRED = 131072  # elements of the kept result at most: a tile's, not a whole array's
KEPT_ITEM = 8  # bytes of one


def _pairs(nodes: Sequence[Node]) -> dict[Node, Writer]:
    """Writers of sines and cosines of the same angle."""
    found: dict[Node, Writer] = {}
    for first, second in _paired(nodes):
        pair = _Pair(first, second)
        found[first], found[second] = pair.first, pair.second
    return found


def _paired(nodes: Iterable[Node]) -> Iterator[tuple[Node, Node]]:
    waiting: dict[int, Node] = {}
    for node in nodes:
        if node.prim.name in ("sin", "cos") and _route(node.prim.name, node.outs[0].dtype) is not None:
            angle = node.inputs[0]
            other = waiting.get(angle.id)
            if other is None:
                waiting[angle.id] = node
            elif other.prim is not node.prim and LEAST <= known_size(angle) <= PAIRED:
                yield other, node


# ── f16 ─────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _half_table(prim: Primitive) -> Array:
    """The function at every f16 number, in the order of their bits."""
    every = np.arange(65536, dtype="u2").view("f2")
    with np.errstate(all="ignore"):
        return np.asarray(prim.eval(np, every))


def _look_up(table: Array, x: Array, *, out: Array) -> None:
    np.take(table, x.view("u2"), out=out, mode="clip")


def _product_in_single(x: Array, y: Array, *, out: Array) -> None:
    """BLAS has no f16, and NumPy's own loops take 100 times as long: computed in f32 and rounded once."""
    np.copyto(out, np.matmul(x.astype("f4"), y.astype("f4")), casting="same_kind")

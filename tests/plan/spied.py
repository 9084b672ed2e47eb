"""A plan watched at work: each operator is held against NumPy's own, on the very operands that the plan gave it.

`watched(plan)` runs a plan whose operators take down what they read and what they wrote, block by block. From that the
whole arrays are put together again, and then holds, for each node of the graph:

- what it reads are the bits that were made for it: nothing that is still read was written over;
- what it gives is what NumPy gives for these operands: a sum over an axis to k · eps · Σ|terms|, with k its terms, all
  else to 2 ulps, and what only moves numbers to the bit.

So no error is carried from one node to the next, and nothing needs to be said of how errors grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from gradcli.backends import arrays
from gradcli.backends import frame as frames
from gradcli.backends import numpy as backend
from gradcli.backends.lanes import Lanes
from gradcli.backends.loop import Loop
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Builder, Graph, Node
from gradcli.ir.live import without_dead
from gradcli.ir.primitive import Primitive
from gradcli.plan import Tiling, make_plan
from gradcli.plan.axes import FLAT
from gradcli.plan.plan import Blocks, Plan
from gradcli.record import replace

Array = np.ndarray[Any, Any]


def by_layout() -> bool:
    """Whether NumPy's functions give other numbers where memory is written backwards: with AVX-512 it takes others
    then."""
    x = np.linspace(0.5, 1.5, 1000)
    functions = (np.sinh, np.cbrt, np.log1p, np.arctan)
    return any((f(x, out=np.empty_like(x)[::-1]) != f(x)).any() for f in functions)


ULPS = 2
ALLOWED = ULPS + 2 * by_layout()  # which NumPy's own functions are apart by
SUMS = {"reduce_sum", "matmul", "scatter_zeros", "scatter_add"}


class Call(NamedTuple):
    """One call of an operator: copies of its operands and of its results."""

    operands: list[Array]
    results: list[Array]


class Spy:
    """The same graph, whose operators tell what they do; `own` is the operator that each stands for."""

    def __init__(self, graph: Graph) -> None:
        self.calls: dict[int, list[Call]] = {}  # by the id of the operator, of which each node has one of its own
        self.own: dict[int, Primitive] = {}
        self.made: dict[int, Array] = {}  # what regions gave, by the id of the value
        self.quiet = False
        builder = Builder()
        env = {value.id: builder.input(value.aval, value.hint) for value in graph.inputs}
        for node in graph.nodes:
            builder.spans = node.spans
            prim = node.prim if node.prim.name == "constant" else self.telling(node.prim)
            outs = builder.emit(prim, [env[value.id] for value in node.inputs], node.params)
            env.update({old.id: new for old, new in zip(node.outs, outs, strict=True)})
        self.graph = builder.finish([env[value.id] for value in graph.outputs])

    def telling(self, prim: Primitive) -> Primitive:
        def evaluate(xp: Any, *arrays: Any, **params: Any) -> Any:
            return self.take_down(made, arrays, lambda: prim.eval(xp, *arrays, **params))

        def into(xp: Any, *arrays: Any, out: Any, **params: Any) -> None:
            assert prim.into is not None
            write = prim.into
            self.take_down(made, arrays, lambda: write(xp, *arrays, out=out, **params), out)

        made = replace(prim, eval=evaluate, into=into if prim.into else None, ufunc=None)
        self.own[id(made)] = prim
        return made

    def take_down(self, prim: Primitive, arrays: Sequence[Any], act: Callable[[], Any], out: Any = None) -> Any:
        if self.quiet:
            return act()
        operands = [np.array(array) for array in arrays]
        self.quiet = True  # a route may call the operator for a part of its work
        try:
            made = act()
        finally:
            self.quiet = False
        results = (made if isinstance(made, tuple) else (made,)) if out is None else (out,)
        self.calls.setdefault(id(prim), []).append(Call(operands, [np.array(array) for array in results]))
        return made

    def writers(self, nodes: Any) -> dict[Node, Any]:
        """Routes tell what they do, too."""
        before, self.quiet = self.quiet, True
        found = ROUTES(nodes)
        self.quiet = before

        def telling(node: Node, write: Any) -> Any:
            return lambda *arrays, out: self.take_down(node.prim, arrays, lambda: write(*arrays, out=out), out)

        return {node: telling(node, write) for node, write in found.items()}

    def lanes(self, lanes: Lanes, ins: Sequence[Array], outs: Sequence[Array]) -> None:
        RUN_LANES(lanes, ins, outs)
        for output, array in zip(lanes.step.region.outputs, outs, strict=True):
            self.made[output.value.id] = np.array(array)

    def loop(self, loop: Loop, ins: Sequence[Array], outs: Sequence[Array | None]) -> None:
        before, self.quiet = self.quiet, True
        operands = [np.array(array) for array in ins]
        RUN_LOOP(loop, ins, outs)
        self.quiet = before
        if id(loop.node.prim) in self.own:  # one of the program, not within another
            self.calls.setdefault(id(loop.node.prim), []).append(Call(operands, [np.array(array) for array in outs]))


ROUTES, RUN_LANES, RUN_LOOP = frames.writers, Lanes.run, Loop.run


def watched(graph: Graph, arrays: Sequence[Any], tiling: Tiling) -> list[Array]:
    """The results of a plan of which every step was held against NumPy. Its inputs cannot be written to."""
    inputs = [frozen(array) for array in arrays]
    spy = Spy(graph)
    plan = make_plan(spy.graph, tiling)
    with ExitStack() as stack:
        stack.enter_context(patch.object(frames, "writers", spy.writers))
        stack.enter_context(patch.object(Lanes, "run", lambda lanes, ins, outs: spy.lanes(lanes, ins, outs)))
        stack.enter_context(patch.object(Loop, "run", lambda loop, ins, outs: spy.loop(loop, ins, outs)))
        results = backend.run(plan, inputs)
    _Held(spy, plan, inputs).check(results)
    with patch.object(frames, "OFTEN", 0):
        unwatched = backend.run(make_plan(graph, tiling), inputs)
    for found, told in zip(unwatched, results, strict=True):
        same_bits(found, told, "a result, unwatched, of functions instead of lines")
    return results


def frozen(array: Any) -> Array:
    """The array, which lies in memory as it did, and cannot be written to."""
    made = np.asarray(array)[...]
    made.flags.writeable = False
    return made


class _Held:
    """The arrays of a run, put together again node by node and held against NumPy."""

    def __init__(self, spy: Spy, plan: Plan, inputs: Sequence[Any]) -> None:
        self.spy, self.plan = spy, plan
        self.arrays = {v.id: np.asarray(array) for v, array in zip(plan.graph.inputs, inputs, strict=True)}
        self.blocks = {id(node): step for step in plan.steps if isinstance(step, Blocks) for node in step.nodes}
        self.read = {id(node) for node in without_dead(plan.graph).nodes}

    def check(self, results: Sequence[Array]) -> None:
        for node in self.plan.graph.nodes:
            if node.prim.name == "constant":
                self.arrays[node.outs[0].id] = arrays.load(node)
            else:
                self.node(node)
        for value, array in zip(self.plan.graph.outputs, results, strict=True):
            same_bits(array, self.arrays[value.id], "a result")
            assert array.dtype == NUMPY_NAMES[value.dtype]

    def node(self, node: Node) -> None:
        prim = self.spy.own[id(node.prim)]
        operands = [self.arrays[value.id] for value in node.inputs]
        step = self.blocks.get(id(node))
        calls = self.calls(node, of_sum=False)
        joined = step is not None and not step.region.flat and prim.name == "reduce_sum" and not calls
        if step is not None and joined and id(node) in self.read:
            self.arrays[node.outs[0].id] = self.summed_product(node, step)
            return
        with np.errstate(all="ignore"):
            expected = prim.eval(np, *operands, **node.params)
        wanted = [np.asarray(array) for array in (expected if isinstance(expected, tuple) else (expected,))]
        if step is None:
            (call,) = calls
            for given, array in zip(call.operands, operands, strict=True):
                same_bits(given, array, f"an operand of {prim.name}")
            made: list[Array | None] = [None if r.dtype == object else r for r in call.results]  # None: unread
        elif not calls:
            views = ("reshape", "broadcast_to", "stop_gradient")  # in a run of elements they are nothing
            summed = self.calls(node, of_sum=True) or self.only_turns(node)
            assert id(node) not in self.read or (prim.name in views if step.region.flat else summed), prim.name
            made = list(wanted)
        else:
            made = self.by_blocks(node, step, calls, operands)
        for value, array, want in zip(node.outs, made, wanted, strict=True):
            if array is not None:
                assert (array.shape, array.dtype) == (want.shape, NUMPY_NAMES[value.dtype]), prim.name
                agree(prim, node.params, operands, array, want)
                self.arrays[value.id] = array

    def calls(self, node: Node, of_sum: bool) -> list[Call]:
        """The calls of an operator; of a product those that made it, or those that made a sum of it over leading dims
        (`plan/products.py`)."""
        found = self.spy.calls.get(id(node.prim), [])
        if node.prim.name != "matmul" or node.inputs[1].rank == 2:
            return [] if of_sum else found
        return [call for call in found if (call.results[0].ndim == 2) is of_sum]

    def only_turns(self, node: Node) -> bool:
        """Whether it is a transpose that products read of which only the sum is made."""
        readers = [other for other in self.plan.graph.nodes if node.outs[0] in other.inputs]
        return node.prim.name == "transpose" and all(self.calls(other, of_sum=True) for other in readers)

    def summed_product(self, node: Node, step: Blocks) -> Array:
        """The sum of products over leading dims, which ran as one product."""
        product = node.inputs[0].node
        assert product is not None
        region, calls = step.region, self.calls(product, of_sum=True)
        starts = [start for lane in step.lanes for start in lane]
        whole = [self.arrays[value.id] for value in product.inputs]
        for start, call in zip(starts, calls, strict=True):
            block = slice(start, min(start + step.size, region.rows))
            parts = [
                cut(array, region.axis_of.get(value.id), block)
                for value, array in zip(product.inputs, whole, strict=True)
            ]
            for given, part in zip(call.operands, _tall(*parts), strict=True):
                same_bits(given, part, f"an operand of a summed product, rows {block}")
        out = node.outs[0]
        axis = region.axis_of.get(out.id)
        found = self.spy.made[out.id] if axis is None else np.concatenate([c.results[0] for c in calls], axis=axis)
        x, y = _tall(*whole)
        agree(self.spy.own[id(product.prim)], {}, [x, y], found, np.matmul(x, y))
        return found

    def by_blocks(self, node: Node, step: Blocks, calls: list[Call], operands: list[Array]) -> list[Array | None]:
        """The whole results of a node that ran block by block."""
        region = step.region
        starts = [start for lane in step.lanes for start in lane]
        assert starts == sorted(starts)
        assert len(starts) == len(calls) == len(set(starts))
        for start, call in zip(starts, calls, strict=True):
            block = slice(start, min(start + step.size, region.rows))
            for value, given, array in zip(node.inputs, call.operands, operands, strict=True):
                part = cut(array, region.axis_of.get(value.id), block)
                same_bits(given, part.reshape(given.shape), f"an operand of {node.prim.name}, rows {block}")
        made: list[Array | None] = []
        for k, value in enumerate(node.outs):
            axis = region.axis_of.get(value.id)
            if axis is None:
                made.append(self.spy.made.get(value.id))  # None: nobody reads it
                continue
            parts = [call.results[k] for call in calls]
            if axis != FLAT:  # rows of a tall product
                ends = [min(start + step.size, region.rows) for start in starts]
                parts = [
                    part.reshape((*value.shape[:axis], end - start, *value.shape[axis + 1 :]))  # type: ignore[arg-type]
                    for part, start, end in zip(parts, starts, ends, strict=True)
                ]
            whole = np.concatenate(parts, axis=max(axis, 0)).reshape(value.shape)  # type: ignore[arg-type]  # known
            if value.id in self.spy.made:
                same_bits(self.spy.made[value.id], whole, f"what a region gives of {node.prim.name}")
            made.append(whole)
        return made


def _tall(x: Array, y: Array) -> tuple[Array, Array]:
    """Of products with leading dims that are added up: the operands of the one product that gives the sum."""
    return x.swapaxes(-1, -2).reshape(-1, x.shape[-2]).T, y.reshape(-1, y.shape[-1])


def cut(array: Array, axis: int | None, block: slice) -> Array:
    if axis is None:
        return array
    return array.reshape(-1)[block] if axis == FLAT else array[(slice(None),) * axis + (block,)]


# ── what agrees with NumPy ──────────────────────────────────────────────────────────────────────────────────


def agree(prim: Primitive, params: dict[str, Any], operands: list[Array], found: Array, want: Array) -> None:
    """One result of an operator against that of NumPy for the same operands."""
    what = prim.name
    if found.dtype.kind != "f" or not found.size:
        np.testing.assert_array_equal(found, want, err_msg=what)
    elif prim.name in SUMS:
        _sums(prim, params, operands, found, want)
    elif prim.kind == "elementwise" or prim.name in ("reduce_prod", "cumprod") or regions_in(params):
        factors = ALLOWED if prim.name not in ("reduce_prod", "cumprod") else max(ALLOWED, operands[0].size)
        apart = ulps_between(found, want)
        worst = np.unravel_index(int(np.argmax(apart)), apart.shape)
        assert apart[worst] <= factors, (
            f"{what}: {found[worst]!r}, not {want[worst]!r}, of {[_at(x, worst, found.shape) for x in operands]}"
        )
    else:
        same_bits(found, want, what, signs=prim.name not in ("reduce_max", "reduce_min"))


def regions_in(params: dict[str, Any]) -> bool:
    return any(isinstance(value, Graph) for value in params.values())


def _at(operand: Array, place: Any, shape: tuple[int, ...]) -> Any:
    try:
        return np.broadcast_to(operand, shape)[place]
    except ValueError:
        return operand.shape


def ulps_between(found: Array, want: Array) -> Array:
    """How many steps it is from one number to the other; no number of steps leads from -0.0 to 0.0, to an infinity, or
    to a nan."""
    a, b = _order(found), _order(want)
    apart = (np.maximum(a, b) - np.minimum(a, b)).astype("f8")
    nans = np.isnan(found).astype(int) + np.isnan(want)
    apart = np.where(nans == 2, 0.0, np.where(nans == 1, np.inf, apart))
    zeros = (found == 0) & (want == 0) & (np.signbit(found) != np.signbit(want))
    return np.where(zeros | (np.isinf(found) != np.isinf(want)), np.inf, apart)


def _order(x: Array) -> Array:
    """Where each number stands among all numbers of its dtype: neighbours differ by 1."""
    unsigned = np.dtype(f"u{x.itemsize}")
    bits, top = x.copy().view(unsigned), unsigned.type(1 << (8 * x.itemsize - 1))
    return np.where(bits & top, ~bits, bits | top).astype("u8")


def same_bits(found: Array, want: Array, what: str, *, signs: bool = True) -> None:
    """The same numbers and, but for zeros without `signs`, signs; one nan is as good as another."""
    assert (found.shape, found.dtype) == (want.shape, want.dtype), what
    np.testing.assert_array_equal(found, want, err_msg=what)
    if signs and found.dtype.kind == "f":
        known = ~np.isnan(found)
        np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(want[known]), err_msg=what)


def _sums(prim: Primitive, params: dict[str, Any], operands: list[Array], found: Array, want: Array) -> None:
    """|found - want| ≤ k · eps · Σ|terms|. Where Σ|terms| overflows, what comes out depends on the order of terms."""
    wide = [np.abs(x.astype("f8")) if x.dtype.kind == "f" else x for x in operands]
    finite = [np.where(np.isfinite(x), x, 0) if x.dtype.kind == "f" else x for x in wide]
    number = np.finfo(found.dtype)
    k = max(1, _terms(prim, operands, found))
    with np.errstate(all="ignore"):
        terms = np.asarray(prim.eval(np, *finite, **params))
        bound = k * (float(number.eps) * terms + float(number.smallest_subnormal))
        apart = np.abs(found.astype("f8") - want.astype("f8"))
        ordered = terms < float(number.max)
        special = ~np.isfinite(want)
        equal = (found == want) | (np.isnan(found) & np.isnan(want))
    wrong = ordered & np.where(special, ~equal, ~(apart <= bound))
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise AssertionError(f"{prim.name}: {found[at]!r}, not {want[at]!r} ± {bound[at]!r} ({k} terms)")


def _terms(prim: Primitive, operands: list[Array], found: Array) -> int:
    match prim.name:
        case "matmul":
            return int(operands[0].shape[-1])
        case "scatter_add":
            return 1 + int(operands[2].size)
        case "scatter_zeros":
            return int(operands[1].size)
    return max(1, operands[0].size // max(1, found.size))

"""Programs drawn at random for plans: nearly every operator, on arrays whose axes run together and apart.

Beside `tests/ir/graphs.py`, whose graphs are small and smooth, these are about rows: products, reductions along any
axes, indices that are data, running sums, several dtypes, with enough rows for blocks of 7 and a rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.constants import pack
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.primitive import registry

Array = np.ndarray[Any, Any]

ROWS = (9, 16, 8, 2)
SIZES = (1, 3, 4, 9)
LARGEST = 700  # elements
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.0, 1.5, -0.5)
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e-45, 6e-8, 1e300, -1e300, 1e38, 65504.0, 1e22, -745.2)

UNARY = tuple(p.name for p in registry().values() if p.kind == "elementwise" and len(p.samples[0].operands) == 1
              and not p.samples[0].params and p.name not in ("logical_not", "isfinite", "isnan"))  # fmt: skip
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "pow", "atan2", "hypot", "logaddexp", "rem", "share")
TESTS = ("less", "less_equal", "greater", "equal", "not_equal")
KINDS = ("unary", "binary", "sum", "matmul", "move") * 2 + (
    "number",
    "choice",
    "extreme",
    "index",
    "run",
    "cast",
    "flag",
)
MOVES = ("reshape", "transpose", "broadcast_to", "flip", "concat", "slice", "unslice", "update_slice")


@st.composite
def programs(draw: Any, dtypes: Sequence[str] = ("f64", "f32", "f16"), most: int = 16) -> Graph:
    """A well-typed program of up to `most` operators and up to three results."""
    return Drawing(draw, draw(st.sampled_from(dtypes))).program(most)


class Drawing:
    """A program while it grows. What is drawn and does not fit is left out."""

    def __init__(self, draw: Any, dtype: str) -> None:
        self.draw, self.dtype = draw, dtype
        self.builder = Builder()
        self.rows = self.one_of(ROWS)
        m, k = self.one_of(SIZES), self.one_of(SIZES)
        shapes: list[tuple[int, ...]] = [
            (self.rows, m),
            (m, k),
            (self.rows,),
            (k,),
            (self.rows, 1),
            (2, self.rows, m),
            (),
        ]
        self.pool = [
            self.builder.input(Aval(shape, dtype), name)
            for shape, name in zip([shapes[0], *self.several([*shapes, ()])], "xyzuvw", strict=False)
        ]

    def one_of(self, choices: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(choices))

    def several(self, choices: Sequence[Any]) -> list[Any]:
        return self.draw(st.lists(st.sampled_from(choices), min_size=1, max_size=4))  # type: ignore[no-any-return]

    def program(self, most: int) -> Graph:
        grow: dict[str, Callable[[Value], Value | None]] = {kind: getattr(self, f"_{kind}") for kind in set(KINDS)}
        for _ in range(self.draw(st.integers(2, most))):
            made = grow[self.one_of(KINDS)](self.one_of(self.pool[-5:]))
            if made is not None and int(made.aval.size) <= LARGEST:  # type: ignore[arg-type]  # known
                self.pool.append(made)
        count = self.draw(st.integers(0, 2))
        return self.builder.finish([*(self.one_of(self.pool) for _ in range(count)), self.pool[-1]])

    # ── operators ───────────────────────────────────────────────────────────────────────────────────────────

    def _unary(self, x: Value) -> Value:
        return apply(self.one_of(UNARY), x)

    def _binary(self, x: Value) -> Value | None:
        return self._with(x, lambda y: apply(self.one_of(BINARY), x, y))

    def _number(self, x: Value) -> Value:
        number: Value | float = self.one_of(NUMBERS)
        return apply(self.one_of(BINARY), *((x, number) if self.one_of((True, True, False)) else (number, x)))

    def _choice(self, x: Value) -> Value | None:
        def choose(y: Value) -> Value:
            return apply("where", apply(self.one_of(TESTS), x, y), x, y)

        return self._with(x, choose)

    def _flag(self, x: Value) -> Value:
        held = apply("isfinite", x)
        if x.rank and self.one_of((True, False)):
            held = apply(self.one_of(("reduce_any", "reduce_all")), apply("greater", x, 0.0), axes=self.axes(x))
        return apply("cast", held, dtype=x.dtype)

    def _cast(self, x: Value) -> Value:
        return apply("cast", apply("cast", x, dtype=self.one_of(("f64", "f32", "f16"))), dtype=x.dtype)

    def _sum(self, x: Value) -> Value | None:
        return self.spread(apply("reduce_sum", x, axes=self.axes(x)), x)

    def _extreme(self, x: Value) -> Value | None:
        if not x.rank:
            return None
        name = self.one_of(("reduce_max", "reduce_min", "reduce_prod", "argmax")) if x.aval.size else "reduce_prod"
        if name == "argmax":
            return apply("cast", apply(name, x, axis=self.draw(st.integers(0, x.rank - 1))), dtype=x.dtype)
        return self.spread(apply(name, x, axes=self.axes(x)), x)

    def _matmul(self, x: Value) -> Value | None:
        if x.rank < 2:
            return None
        turned = apply("transpose", x, axes=(*range(x.rank - 2), x.rank - 1, x.rank - 2))
        fits = [y for y in self.pool if y.rank == 2 and y.shape[0] == x.shape[-1]]
        fits += [y for y in self.pool if y.rank == x.rank == 3 and y.shape[:2] == (x.shape[0], x.shape[2])]
        rows = [y for y in self.pool if y.rank == 2 and y.shape[0] == x.shape[-2]]
        if rows and self.one_of((True, False)):
            return apply("matmul", turned, self.one_of(rows))
        return apply("matmul", x, self.one_of(fits)) if fits else apply("matmul", x, turned)

    def _run(self, x: Value) -> Value | None:
        if not x.rank:
            return None
        options = {"axis": self.draw(st.integers(0, x.rank - 1)), "reverse": self.draw(st.booleans())}
        like = [y for y in self.pool if y.shape == x.shape]
        if self.one_of((True, False)):
            return apply("recurrence", self.one_of(like), x, **options)
        return apply(self.one_of(("cumsum", "cumprod")), x, **options)

    def _index(self, x: Value) -> Value | None:
        """Read at an index, added at one, or written at one: one that repeats, or has no elements."""
        if not x.rank or 0 in x.shape:
            return None
        axis = self.draw(st.integers(0, x.rank - 1))
        size = int(x.shape[axis])  # type: ignore[arg-type]  # known
        count = self.one_of((self.rows, 3, 1))
        places = [self.draw(st.integers(0, size - 1)) for _ in range(count)]
        index = self.builder.constant("i64", (count,), pack(places, "i64"))
        part = apply("gather", x, index, axes=(axis,))
        match self.one_of(("gather", "scatter_zeros", "scatter_add", "scatter_set")):
            case "gather":
                return part
            case "scatter_zeros":
                return apply("scatter_zeros", part, index, shape=x.shape, axes=(axis,))
            case name:
                return apply(name, self.one_of([y for y in self.pool if y.shape == x.shape]), part, index, axes=(axis,))

    def _move(self, x: Value) -> Value | None:
        shape = tuple(int(size) for size in x.shape)  # type: ignore[arg-type]  # known
        match self.one_of(
            ("reshape", "transpose", "broadcast_to", "flip", "concat", "slice", "unslice", "update_slice")
        ):
            case "reshape":
                flat = int(np.prod(shape))
                halves = [(2, flat // 2)] if flat % 2 == 0 else []
                return apply("reshape", x, shape=self.one_of([(flat,), (*shape, 1), (1, *shape), *halves]))
            case "transpose":
                return apply("transpose", x, axes=tuple(self.draw(st.permutations(range(x.rank)))))
            case "broadcast_to":
                return apply("broadcast_to", x, shape=self.one_of([(self.rows, *shape), (2, *shape), (1, *shape)]))
            case "flip":
                return apply("flip", x, axes=self.axes(x))
            case "concat":
                axis = self.draw(st.integers(0, x.rank - 1)) if x.rank else 0
                fits = [y for y in self.pool if y.shape == x.shape]
                return apply("concat", x, self.one_of(fits), axis=axis) if x.rank else None
            case name:
                return self.sliced(name, x, shape)

    def sliced(self, name: str, x: Value, shape: tuple[int, ...]) -> Value | None:
        if not shape or 0 in shape:
            return None
        items = tuple(self.one_of([(0, n, 1), (0, n, 1), (0, n // 2, 1), (n // 2, n - n // 2, 1), (n - 1, n, -1),
                                   (0, (n + 1) // 2, 2)]) for n in shape)  # fmt: skip
        part = apply("slice", x, items=items)
        match name:
            case "slice":
                return part
            case "unslice":
                return apply("unslice", part, shape=shape, items=items)
        target = self.one_of([y for y in self.pool if y.shape == x.shape])
        return apply(self.one_of(("update_slice", "add_slice")), target, part, items=items)

    # ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────

    def axes(self, x: Value) -> tuple[int, ...]:
        return tuple(sorted(self.draw(st.sets(st.integers(0, x.rank - 1), min_size=1)))) if x.rank else ()

    def spread(self, small: Value, x: Value) -> Value:
        """Now and then over the array that it came from, as in a softmax."""
        if small.rank == x.rank or self.one_of((True, False)):
            return small
        lead = next(k for k in range(x.rank + 1) if k == small.rank or small.shape[k] != x.shape[k])
        kept = (*small.shape[:lead], *(1,) * (x.rank - small.rank), *small.shape[lead:])
        return self._with(x, lambda y: x - y, [apply("reshape", small, shape=kept)]) or small

    def _with(self, x: Value, make: Callable[[Value], Value], among: Sequence[Value] | None = None) -> Value | None:
        y = self.one_of(self.pool if among is None else among)
        try:
            np.broadcast_shapes(x.shape, y.shape)  # type: ignore[arg-type]  # known
        except ValueError:
            return None
        return make(y)


def arrays_for(graph: Graph, seed: int, special: bool = False) -> list[Array]:
    """Normal numbers for every input; with `special`, a tenth of them are infinite, nan, huge, or as good as zero."""
    rng = np.random.default_rng(seed)
    made = []
    for value in graph.inputs:
        array = np.asarray(rng.standard_normal([int(size) for size in value.shape]))  # type: ignore[arg-type]  # known
        if special:
            array = np.where(rng.random(array.shape) < 0.1, rng.choice(SPECIAL, array.shape), array)
        with np.errstate(all="ignore"):
            made.append(np.asarray(array, NUMPY_NAMES[value.dtype]))
    return made

"""Every row of the tables of rewrites: it fires on its example, and keeps every bit if it says so."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from gradcli.ir.constants import pack
from gradcli.ir.graph import Graph, Value, apply
from gradcli.ir.verify import verify
from gradcli.passes.dce import dce
from gradcli.passes.rewrites import EXACT, FAST, Rewrite
from gradcli.passes.simplify import simplify, simplify_fast
from tests.ir.graphs import build, naive, same

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.5, -3.0, 1e300, -1e-300, 5e-324, np.inf, -np.inf, np.nan]


def neg(x: Value) -> Value:
    return -x


def full(x: Value, number: float) -> Value:
    return apply("broadcast_to", x.builder.scalar(number, x.dtype), shape=x.shape)


def whole(x: Value) -> tuple[tuple[int, int, int], ...]:
    return tuple((0, int(size), 1) for size in x.shape)


def summed(x: Value) -> Value:
    return apply("reduce_sum", x, axes=(0,))


def beside(first: tuple[int, Value], *rest: tuple[int, Value], rows: int = 0) -> Value:
    """Rows of zeros, of which one after the other is added to."""
    rows = rows or 1 + len(rest)

    def items(k: int) -> tuple[tuple[int, int, int], ...]:
        return ((k, 1, 1), (0, 144, 1))

    made = apply("unslice", apply("reshape", first[1], shape=(1, 144)), shape=(rows, 144), items=items(first[0]))
    for k, value in rest:
        made = apply("add_slice", made, apply("reshape", value, shape=(1, 144)), items=items(k))
    return made


# For each identity: the expression before, and which operator is gone (or how many nodes are left) after.
Make = Callable[..., Value]
EXAMPLES: dict[str, list[tuple[Make, str]]] = {
    "x * 1 → x": [(lambda x, y: x * 1.0, "mul"), (lambda x, y: x * full(x, 1.0), "mul")],
    "1 * x → x": [(lambda x, y: 1.0 * x, "mul")],
    "x * -1 → -x": [(lambda x, y: x * -1.0, "mul"), (lambda x, y: -1.0 * x, "mul")],
    "-x * -y → x * y": [(lambda x, y: -x * -y, "neg")],
    "-x * c → x * -c": [(lambda x, y: -x * 3.0, "neg"), (lambda x, y: 3.0 * -x, "neg")],
    "x * 2^k * c → x * (2^k * c)": [
        (lambda x, y: x * 2.0 * 100.0, "mul:1"),
        (lambda x, y: -3.0 * (x * -8.0), "mul:1"),
        (lambda x, y: (x * 2.0) * full(x, 2.5), "mul:1"),
    ],
    "x / 1 → x": [(lambda x, y: x / 1.0, "div")],
    "-x / -y → x / y": [(lambda x, y: -x / -y, "neg")],
    "x / 2^k → x * 2^-k": [(lambda x, y: x / 8.0, "div"), (lambda x, y: x / -0.25, "div")],
    "x + -0 → x": [(lambda x, y: x + -0.0, "add")],
    "-0 + x → x": [(lambda x, y: -0.0 + x, "add")],
    "x + -y → x - y": [(lambda x, y: x + -y, "neg"), (lambda x, y: -y + x, "neg")],
    "x - 0 → x": [(lambda x, y: x - 0.0, "sub")],
    "x - -y → x + y": [(lambda x, y: x - -y, "neg")],
    "--x → x": [(lambda x, y: neg(neg(x)), "neg")],
    "-(x * c) → x * -c": [(lambda x, y: -(x * 3.0), "neg")],
    "x**0, x**1, x**2, x**-1 → 1, x, x * x, 1 / x": [
        (lambda x, y, n=n: apply("pow", x, n), "pow") for n in (0.0, 1.0, 2.0, -1.0)
    ],
    "abs(-x) → abs(x)": [(lambda x, y: apply("abs", -x), "neg")],
    "abs(abs(x)) → abs(x)": [(lambda x, y: apply("abs", apply("abs", x)), "abs:1")],
    "square(-x) → square(x)": [(lambda x, y: apply("square", -x), "neg")],
    "not not x → x": [
        (lambda x, y: apply("logical_not", apply("logical_not", apply("greater", x, y))), "logical_not")
    ],
    "maximum(x, x) → x": [(lambda x, y: apply("maximum", x, x), "maximum")],
    "minimum(x, x) → x": [(lambda x, y: apply("minimum", x, x), "minimum")],
    "where(true, x, y) → x; where(c, x, x) → x": [
        (lambda x, y: apply("where", x.builder.scalar(True, "bool"), x, y), "where"),
        (lambda x, y: apply("where", x.builder.scalar(False, "bool"), x, y), "where"),
        (lambda x, y: apply("where", apply("greater", x, y), x, x), "where"),
    ],
    "cast to the own dtype → x": [(lambda x, y: apply("cast", x, dtype="f64"), "cast")],
    "cast(wider(x)) → cast(x)": [
        (lambda x, y: apply("cast", apply("cast", apply("greater", x, y), dtype="f32"), dtype="f64"), "cast:1")
    ],
    "reshape to the own shape → x": [(lambda x, y: apply("reshape", x, shape=x.shape), "reshape")],
    "reshape twice → once": [
        (lambda x, y: apply("reshape", apply("reshape", x, shape=(12, 12, 1)), shape=(1, 144)), "reshape:1"),
        (lambda x, y: apply("reshape", apply("reshape", x, shape=(12, 12, 1)), shape=x.shape), "reshape"),
    ],
    "broadcast_to the own shape → x": [(lambda x, y: apply("broadcast_to", x, shape=x.shape), "broadcast_to")],
    "broadcast_to twice → once": [
        (
            lambda x, y: apply("broadcast_to", apply("broadcast_to", x, shape=(1, 144)), shape=(2, 1, 144)),
            "broadcast_to:1",
        )
    ],
    "transpose by axes in order → x": [(lambda x, y: apply("transpose", x, axes=(0,)), "transpose")],
    "transpose twice → once": [
        (
            lambda x, y: apply(
                "transpose", apply("transpose", apply("reshape", x, shape=(2, 8, 9)), axes=(1, 2, 0)), axes=(1, 2, 0)
            ),
            "transpose:1",
        ),
        (
            lambda x, y: apply(
                "transpose", apply("transpose", apply("reshape", x, shape=(2, 8, 9)), axes=(1, 2, 0)), axes=(2, 0, 1)
            ),
            "transpose",
        ),
    ],
    "sum over no axes → x": [(lambda x, y: apply("reduce_sum", x, axes=()), "reduce_sum")],
    "sum(c everywhere) → n * c": [
        (lambda x, y, c=c: apply("reduce_sum", full(x, c), axes=(0,)), "reduce_sum") for c in (1.0, -0.75, 0.0, 3e10)
    ],
    "sum(sum(x)) → sum(x)": [
        (
            lambda x, y: summed(summed(apply("reshape", x, shape=(12, 12)))),
            "reduce_sum:1",
        )
    ],
    "x[:] → x": [(lambda x, y: apply("slice", x, items=whole(x)), "slice")],
    "the whole of it → v": [(lambda x, y: apply("unslice", x, shape=x.shape, items=whole(x)), "unslice")],
    "x with [:] = v → v": [(lambda x, y: apply("update_slice", x, y, items=whole(x)), "update_slice")],
    "0 with x, y … put side by side → concat(x, y + 0, …)": [
        (lambda x, y: beside((0, x), (1, y)), "add_slice"),
        (lambda x, y: beside((1, x), (2, y), (0, y)), "add_slice"),
    ],
    "x with [:] += v → x + v": [(lambda x, y: apply("add_slice", x, y, items=whole(x)), "add_slice")],
    "concat([x]) → x": [(lambda x, y: apply("concat", x, axis=0), "concat")],
    "x + 0 → x": [(lambda x, y: x + 0.0, "add")],
    "0 + x → x": [(lambda x, y: 0.0 + x, "add")],
    "x - x → 0": [(lambda x, y: x - x, "sub")],
    "x / x → 1": [(lambda x, y: x / x, "div")],
    "x * 0 → 0": [(lambda x, y: x * 0.0, "mul"), (lambda x, y: -0.0 * x, "mul")],
    "x / c → x * (1 / c)": [(lambda x, y: x / 3.0, "div")],
    "-(x - y) → y - x": [(lambda x, y: -(x - y), "neg")],
    "exp(log(x)) → x": [(lambda x, y: apply("exp", apply("log", x)), "exp")],
    "log(exp(x)) → x": [(lambda x, y: apply("log", apply("exp", x)), "log")],
    "sum(broadcast(x)) → n * x": [
        (
            lambda x, y: apply(
                "reduce_sum", apply("broadcast_to", apply("reduce_sum", x, axes=(0,)), shape=(3, 5)), axes=(0, 1)
            ),
            "broadcast_to",
        )
    ],
}  # fmt: skip

ROUNDED = {"x**0, x**1, x**2, x**-1 → 1, x, x * x, 1 / x", "sum(sum(x)) → sum(x)"}  # not to the bit


def cases(table: tuple[Rewrite, ...]) -> list[Any]:
    return [
        pytest.param(row, make, gone, id=row.identity)
        for row in table
        for make, gone in EXAMPLES.get(row.identity, [(None, "")])
    ]


@pytest.mark.parametrize("numbers", [(0.5, 100.0), (3.0, 2.0), (2.0, 0.1), (2.0, 1e308), (float("inf"), 2.0)])
def test_products_that_would_round_or_overflow_otherwise_stay(numbers: tuple[float, float]) -> None:
    graph = build(lambda x: x * numbers[0] * numbers[1], "f64[3]")
    assert count(simplify(graph), "mul") == 2


@pytest.mark.parametrize("places", [(0, 2), (1, 1, 2), (0, 1), (2, 1, 1)])
def test_parts_that_leave_a_zero_or_overlap_are_added(places: tuple[int, ...]) -> None:
    graph = build(lambda x, y: beside(*((k, y) for k in places), rows=3), "f64[144]", "f64[144]")
    assert count(simplify(graph), "add_slice") == len(places) - 1


def before(make: Make) -> Graph:
    return build(make, "f64[144]", "f64[144]")


def count(graph: Graph, op: str) -> int:
    return sum(node.prim.name == op for node in dce(graph).nodes)


def special() -> list[np.ndarray[Any, Any]]:
    pairs = list(product(SPECIAL, SPECIAL))
    return [np.array([pair[k] for pair in pairs]) for k in (0, 1)]


def fires(graph: Graph, gone: str) -> None:
    op, _, left = gone.partition(":")
    assert count(graph, op) == int(left or 0)


@pytest.mark.parametrize(("row", "make", "gone"), cases(EXACT))
def test_exact_rows_keep_every_bit(row: Rewrite, make: Make | None, gone: str) -> None:
    assert make is not None, f"{row.identity} has no example"
    graph = before(make)
    made = simplify(graph)
    verify(made)
    fires(made, gone)
    for old, new in zip(naive(graph, special()), naive(made, special()), strict=True):
        if row.identity in ROUNDED:
            np.testing.assert_allclose(new, old, rtol=5e-16)
        else:
            assert same(old, new), row.identity


@pytest.mark.parametrize(("row", "make", "gone"), cases(FAST))
def test_rows_on_paper_fire_only_with_fast_math_and_hold_for_tame_numbers(
    row: Rewrite, make: Make | None, gone: str
) -> None:
    assert make is not None, f"{row.identity} has no example"
    graph = before(make)
    assert count(simplify(graph), gone) > 0
    made = simplify_fast(graph)
    verify(made)
    fires(made, gone)
    tame = [np.linspace(0.5, 2.0, 144), np.linspace(3.0, 1.0, 144)]
    for old, new in zip(naive(graph, tame), naive(made, tame), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-14)


@pytest.mark.parametrize("row", [*EXACT, *FAST], ids=lambda row: f"{row.op}: {row.identity}")
def test_every_row_says_why_and_names_an_operator(row: Rewrite) -> None:
    from gradcli.ir.primitive import registry

    assert row.op in registry()
    assert row.why
    assert row.identity in EXAMPLES


def test_what_is_not_exact_stays() -> None:
    for make in (
        lambda x, y: x + 0.0,
        lambda x, y: x * 0.0,
        lambda x, y: x - x,
        lambda x, y: x / x,
        lambda x, y: -(x - y),
        lambda x, y: apply("exp", apply("log", x)),
        lambda x, y: x / 3.0,
        lambda x, y: x / 5e-324,
        lambda x, y: x - -0.0,
        lambda x, y: 0.0 - x,
    ):
        graph = before(make)
        after = dce(simplify(graph))
        assert [node.prim.name for node in after.nodes] == [node.prim.name for node in graph.nodes]


def test_a_sum_of_a_number_that_rounds_on_the_way_stays() -> None:
    graph = before(lambda x, y: apply("reduce_sum", full(x, 0.1), axes=(0,)))
    assert count(simplify(graph), "reduce_sum") == 1


def test_elementwise_on_broadcast_operands_is_done_small() -> None:
    def make(x: Value, y: Value) -> Value:
        grown = apply("broadcast_to", apply("reduce_sum", x, axes=(0,)), shape=(144,))
        return apply("sin", grown) * y

    made = dce(simplify(before(make)))
    (sine,) = [node for node in made.nodes if node.prim.name == "sin"]
    assert sine.outs[0].shape == ()
    assert count(made, "broadcast_to") == 0


def test_a_view_of_a_number_is_the_number() -> None:
    def make(x: Value, y: Value) -> Value:
        ones = apply("transpose", apply("reshape", full(x, 1.0), shape=(12, 12)), axes=(1, 0))
        return apply("reshape", x, shape=(12, 12)) * ones

    assert [node.prim.name for node in dce(simplify(before(make))).nodes] == ["reshape"]


@pytest.mark.parametrize("dtype", ["i32", "i64"])
def test_integers_have_one_zero(dtype: str) -> None:
    def make(x: Value) -> Value:
        return (x + 0) * 1 - 0

    graph = build(make, f"{dtype}[3]")
    assert dce(simplify(graph)).nodes == ()


def test_numbers_are_seen_in_constants_whose_elements_agree() -> None:
    def make(x: Value) -> Value:
        return x * x.builder.constant("f32", (3,), pack([1.0] * 3, "f32"))

    assert dce(simplify(build(make, "f32[3]"))).nodes == ()

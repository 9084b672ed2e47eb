"""The conventions of repeated indices, of loops that stop, and of arrays without elements.

`docs/derivative-conventions.md` tells why each is as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import gradcli
from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ir.graph import Graph, Value, apply
from gradcli.ir.primitive import DataError, primitive
from gradcli.ir.verify import verify
from tests.ir.graphs import Array, build, gradients, naive
from tests.ops.modes import hold
from tests.ops.samples import Case, evaluate, floats, graph_of, operands, walk
from tests.ops.slopes import pulled

INF, NAN = np.inf, np.nan


# ── indices from data ─────────────────────────────────────────────────────────────────────────────────────────

AXIS: dict[str, Any] = {"axes": (0,)}


def test_gather_with_repeated_indices_adds_up_their_cotangents() -> None:
    (found,) = pulled(lambda x, i: apply("gather", x, i, **AXIS), ["f64[3]", "i64[4]"], [[1.0, 2.0, 3.0], [2, 0, 2, 2]],
                      [1.0, 10.0, 100.0, 1000.0], [0])  # fmt: skip
    assert_array_equal(found, [10.0, 0.0, 1101.0])


def test_scatter_add_accumulates_repeated_indices() -> None:
    graph = build(lambda x, v, i: apply("scatter_add", x, v, i, **AXIS), "f64[3]", "f64[4]", "i64[4]")
    (found,) = naive(graph, [[1.0, 1.0, 1.0], [1.0, 10.0, 100.0, 1000.0], [2, 0, 2, 2]])
    assert_array_equal(found, [11.0, 1.0, 1102.0])


def test_scatter_add_gives_every_writer_the_cotangent_of_its_place() -> None:
    by_x, by_v = pulled(lambda x, v, i: apply("scatter_add", x, v, i, **AXIS), ["f64[3]", "f64[4]", "i64[4]"],
                        [np.zeros(3), np.zeros(4), [2, 0, 2, 2]], [1.0, 2.0, 3.0], [0, 1])  # fmt: skip
    assert_array_equal(by_x, [1.0, 2.0, 3.0])
    assert_array_equal(by_v, [3.0, 1.0, 3.0, 3.0])


def test_scatter_set_lets_the_last_of_repeated_indices_win() -> None:
    graph = build(lambda x, v, i: apply("scatter_set", x, v, i, **AXIS), "f64[3]", "f64[4]", "i64[4]")
    (found,) = naive(graph, [[7.0, 8.0, 9.0], [1.0, 2.0, 3.0, 4.0], [2, 0, 2, 0]])
    assert_array_equal(found, [4.0, 8.0, 3.0])


def test_scatter_set_gives_its_cotangent_to_the_last_writer() -> None:
    by_x, by_v = pulled(lambda x, v, i: apply("scatter_set", x, v, i, **AXIS), ["f64[3]", "f64[4]", "i64[4]"],
                        [np.zeros(3), np.zeros(4), [2, 0, 2, 0]], [1.0, 2.0, 3.0], [0, 1])  # fmt: skip
    assert_array_equal(by_x, [0.0, 2.0, 0.0])
    assert_array_equal(by_v, [0.0, 0.0, 3.0, 1.0])


def test_scatter_set_of_rows_lets_the_last_row_win() -> None:
    avals = ["f64[2, 2]", "f64[3, 2]", "i64[3]"]
    arrays = [np.zeros((2, 2)), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [1, 0, 1]]

    def make(x: Value, v: Value, i: Value) -> Value:
        return apply("scatter_set", x, v, i, **AXIS)

    assert_array_equal(naive(build(make, *avals), arrays)[0], [[3.0, 4.0], [5.0, 6.0]])
    _, by_v = pulled(make, avals, arrays, [[1.0, 2.0], [3.0, 4.0]], [0, 1])
    assert_array_equal(by_v, [[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])


def test_scatters_at_pairs_of_indices() -> None:
    """A place is repeated only where both indices are."""
    avals = ["f64[2, 3]", "f64[4]", "i64[4]", "i64[4]"]
    arrays = [np.zeros((2, 3)), [1.0, 2.0, 3.0, 4.0], [0, 1, 0, 0], [2, 1, 1, 2]]
    added = build(lambda x, v, i, j: apply("scatter_add", x, v, i, j, axes=(0, 1)), *avals)
    put = build(lambda x, v, i, j: apply("scatter_set", x, v, i, j, axes=(0, 1)), *avals)
    assert_array_equal(naive(added, arrays)[0], [[0.0, 3.0, 5.0], [0.0, 2.0, 0.0]])
    assert_array_equal(naive(put, arrays)[0], [[0.0, 3.0, 4.0], [0.0, 2.0, 0.0]])


@pytest.mark.parametrize("index", [3, -1, 2**40, -(2**40)])
@pytest.mark.parametrize("name", ["gather", "scatter_zeros", "scatter_add", "scatter_set"])
def test_an_index_out_of_range_is_refused(name: str, index: int) -> None:
    i = np.array([0, index])
    match name:
        case "gather":
            graph, arrays = build(lambda x, i: apply(name, x, i, **AXIS), "f64[3]", "i64[2]"), [np.zeros(3), i]
        case "scatter_zeros":
            graph = build(lambda v, i: apply(name, v, i, shape=(3,), **AXIS), "f64[2]", "i64[2]")
            arrays = [np.zeros(2), i]
        case _:
            graph = build(lambda x, v, i: apply(name, x, v, i, **AXIS), "f64[3]", "f64[2]", "i64[2]")
            arrays = [np.zeros(3), np.zeros(2), i]
    with pytest.raises(DataError, match=f"index {index} is out of range for a dim of size 3") as caught:
        naive(graph, arrays)
    assert caught.value.code == "SHP108"
    assert (caught.value.help is not None) == (index < 0)


def test_a_dim_of_size_0_has_no_index() -> None:
    graph = build(lambda x, i: apply("gather", x, i, **AXIS), "f64[0, 2]", "i64[1]")
    with pytest.raises(DataError):
        naive(graph, [np.zeros((0, 2)), [0]])


def test_nothing_is_written_where_an_index_is_refused() -> None:
    target = np.ones(3)
    with pytest.raises(DataError):
        primitive("scatter_set").eval(np, target, np.zeros(2), np.array([0, 5]), axes=(0,), out=target)
    assert_array_equal(target, np.ones(3))


# ── indices and writes, in every mode ─────────────────────────────────────────────────────────────────────────

WRITTEN = """
net twice(x: dtype[3]) {
  z = zeros([3])
  z[[2, 1, 2]] = x * x
  return z
}
net added(x: dtype[3]) {
  z = zeros([3])
  z[[2, 1, 2]] += x * x
  return prod(z + 1)
}
"""


@pytest.mark.parametrize("dtype", ["f64", "f32"])
def test_repeated_indices_in_every_mode(dtype: str) -> None:
    """Reads add up, of writes the last wins, and `+=` reaches all."""
    items, x = WRITTEN.replace("dtype", dtype), [1.0, 2.0, 3.0]
    hold("sum(x[[2, 0, 2, 2]])", x=x, value=10, slope=[1, 0, 3], second=0, dtypes=[dtype])
    hold("prod(x[[2, 0, 2]])", x=x, value=9, slope=[9, 0, 6], second=[[0, 0, 6], [0, 0, 0], [6, 0, 2]], dtypes=[dtype])
    hold("twice(x)", x=x, value=[0, 4, 9], slope=[0, 4, 6], second=np.diag([0, 2, 2]), dtypes=[dtype], items=items)
    hold("added(x)", x=x, value=55, slope=[10, 44, 30], second=[[10, 8, 0], [8, 22, 24], [0, 24, 10]], dtypes=[dtype],
         items=items)  # fmt: skip


def test_cotangents_of_repeated_indices_are_added_in_a_fixed_order() -> None:
    """Sums of floats depend on their order. It is that of the elements of one place, whatever lies between them."""
    cts = np.random.default_rng(0).normal(size=1000)
    index = np.arange(1000) % 7

    def gathered(index: Array, cts: Array) -> Array:
        avals = ["f64[7]", f"i64[{len(index)}]"]
        return pulled(lambda x, i: apply("gather", x, i, **AXIS), avals, [np.zeros(7), index], cts, [0])[0]

    order = np.argsort(index, kind="stable")
    assert_array_equal(gathered(index, cts), gathered(index[order], cts[order]))


def test_sorting_by_an_index_takes_derivatives_along() -> None:
    """`order` is data: nothing flows into it, and equal values keep their own derivatives."""
    hold("x[[1, 2, 0]] @ [1, 10, 100]", x=[3.0, 1.0, 1.0], value=311, slope=[100, 1, 10], second=0)


# ── loops that stop ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_derivative_of_a_loop_is_that_of_the_turns_taken() -> None:
    """Three turns: y = x⁸ at x = 3. Nothing flows through their number, on the edge of one more turn either."""
    loop = """
    net squared(x: dtype) {
      y = x
      for i in 0..10 while y < bound { y = y * y }
      return y
    }
    """
    for dtype in ("f64", "f32"):
        for bound in ("100", "81"):  # 81 < 81 is false: on the edge the loop has stopped
            turns = 3 if bound == "100" else 2
            items, n = loop.replace("dtype", dtype).replace("bound", bound), 2**turns
            hold("squared(x)", x=3.0, value=3.0**n, slope=n * 3.0 ** (n - 1), second=n * (n - 1) * 3.0 ** (n - 2),
                 items=items, dtypes=[dtype])  # fmt: skip


def test_a_loop_that_takes_no_turn_is_the_identity() -> None:
    items = "net same(x) {\n  y = x\n  for i in 0..10 while y < 0 { y = y * y }\n  return y\n}"
    hold("same(x)", x=3.0, value=3, slope=1, second=0, items=items)


def test_rows_of_a_batch_take_their_own_number_of_turns() -> None:
    text = """
    net squared(x) {
      y = x
      for i in 0..10 while y < 100 { y = y * y }
      return y
    }
    net main(x: f64[n]) = vmap(grad(squared))(x)
    """
    found = gradcli.compile(text, net="main").eval(x=np.array([3.0, 1.0, 100.0, 2.0]))[0]
    assert_array_equal(found, [8 * 3.0**7, 1024.0, 1.0, 8 * 2.0**7])


# ── integers ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("expression", ["i32(x) * 2", "argmax([x, 1])", "x > 0", "isfinite(x)"])
def test_nothing_is_differentiated_where_no_output_is_a_float(expression: str) -> None:
    for form in ("grad(f)(x)", "jvp(f, tangent=1.0)(x)", "hessian(f)(x)", "vmap(grad(f))(stack([x, x]))"):
        with pytest.raises(gradcli.ModelError, match="DIF002"):
            gradcli.compile(f"net f(x: f64) = {expression}\nnet main(x: f64) = {form}", net="main").eval(
                x=np.array(1.0)
            )


def test_a_cast_to_an_integer_is_flat() -> None:
    hold("x * i32(x)", x=2.5, value=5, slope=2, second=0)
    hold("x * (x > 0)", x=0.0, value=0, slope=0, second=0)


# ── arrays without elements ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "neutral"), [("reduce_sum", 0.0), ("reduce_prod", 1.0)])
def test_sums_and_products_of_nothing(name: str, neutral: float) -> None:
    graph = build(lambda x: apply(name, x, axes=(0,)), "f64[0, 2]")
    assert_array_equal(naive(graph, [np.zeros((0, 2))])[0], [neutral, neutral])
    assert gradients(graph, [np.zeros((0, 2))])[0].shape == (0, 2)


def test_a_matrix_product_over_nothing_is_0() -> None:
    graph = build(lambda x, y: apply("matmul", x, y), "f64[2, 0]", "f64[0, 3]")
    arrays = [np.zeros((2, 0)), np.zeros((0, 3))]
    assert_array_equal(naive(graph, arrays)[0], np.zeros((2, 3)))
    assert [array.shape for array in gradients(graph, arrays)] == [(2, 0), (0, 3)]


def test_what_is_stretched_over_nothing_has_gradient_0() -> None:
    by_x, by_y = gradients(build(lambda x, y: x * y, "f64[0, 3]", "f64[3]"), [np.zeros((0, 3)), np.ones(3)])
    assert by_x.shape == (0, 3)
    assert_array_equal(by_y, np.zeros(3))


EMPTY = walk(empty=True)
SMOOTH = [
    case
    for case in EMPTY
    if floats(operands(case.values[0])) and floats(graph_of(case.values[0], operands(case.values[0])).outputs)
]


@pytest.mark.parametrize("case", SMOOTH)
def test_every_operator_without_elements_in_every_mode(case: Case) -> None:
    """Forward, and one mode over the other: shapes and dtypes as foretold, and whatever elements there are finite."""
    arrays = operands(case, "f32")
    graph = graph_of(case, arrays)
    wrt, count = floats(arrays), len(graph.outputs)
    tangents = [np.ones_like(arrays[k]) for k in wrt]
    gradient, along = reverse(graph, wrt), forward(graph, wrt)
    gradients_, tangents_ = (range(count, len(made.outputs)) for made in (gradient, along))
    for made, given in (
        (along, tangents),
        (forward(gradient, wrt, outputs=gradients_), tangents),
        (reverse(gradient, wrt, outputs=gradients_), []),
        (reverse(along, wrt, outputs=tangents_), tangents),
        (forward(along, wrt, outputs=tangents_), [*tangents, *tangents]),
    ):
        verify(made)
        found = evaluate(made, [*arrays, *given])
        assert all(np.isfinite(array).all() for array in found)


@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize("case", EMPTY)
def test_batches_of_operators_without_elements(case: Case, size: int) -> None:
    arrays = operands(case)
    hold_rows(graph_of(case, arrays), arrays, size)


@pytest.mark.parametrize("case", [case for case in walk() if case.values[0].sample.operands])
def test_every_operator_has_a_batch_without_rows(case: Case) -> None:
    arrays = operands(case)
    hold_rows(graph_of(case, arrays), arrays, 0)


def hold_rows(graph: Graph, arrays: list[Array], size: int) -> None:
    """A batch of `size` equal points, and of their gradients: as many rows as points, each what one point gives."""
    graphs = [graph]
    if floats(arrays) and floats(graph.outputs):
        graphs.append(reverse(graph, floats(arrays)))
    for made in graphs:
        many = batch(made, [True] * len(arrays), size)
        verify(many)
        rows = [np.repeat(array[None], size, 0) for array in arrays]
        for together, alone in zip(evaluate(many, rows), evaluate(made, arrays), strict=True):
            assert_allclose(together, np.repeat(alone[None], size, 0), rtol=1e-13)


@pytest.mark.parametrize(("expression", "value"), [
    ("sum(x)", 0.0), ("prod(x)", 1.0), ("norm(x)", 0.0), ("cumsum(x)", []), ("cumprod(x)", []), ("x @ x", 0.0),
    ("sum(softmax(x[:, None], axis=1))", 0.0), ("concat([x, x])", []), ("mean(x)", NAN), ("var(x)", NAN),
    ("x[[]]", []), ("x[:0]", []), ("where(x > 0, x, 1)", []), ("det(outer(x, x))", 1.0),
])  # fmt: skip
def test_nets_of_arrays_without_elements(expression: str, value: Any) -> None:
    hold(expression, x=np.zeros(0), value=value, slope=[], second=np.zeros((0, 0)))


def test_an_empty_list_of_indices_reads_nothing() -> None:
    hold("sum(x[[]]) + x[1]", x=[1.0, 2.0], value=2, slope=[0, 1], second=0)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "logsumexp", "softmax"])
def test_there_is_no_extreme_of_nothing(name: str) -> None:
    with pytest.raises(gradcli.ModelError, match="SHP117"):
        gradcli.compile(f"net f(x: f64[0]) = {name}(x)").eval(x=np.zeros(0))

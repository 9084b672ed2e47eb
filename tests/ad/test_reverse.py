"""Reverse mode where it is known to go wrong: one named test for each hazard."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.ir.aval import Aval
from gradcli.ir.constants import pack
from gradcli.ir.dims import conditions, symbol
from gradcli.ir.graph import Builder, Graph, Value, apply
from gradcli.ir.primitive import Primitive, primitive
from gradcli.ir.verify import verify
from gradcli.syntax.diagnostics import ModelError, Source, Span
from tests.ir.graphs import build, gradients, naive

SOURCE = Source("model.net", "net f(x) {\n  h = x * x\n  return floor(h)\n}\n")


def total(x: Value) -> Value:
    return apply("reduce_sum", x, axes=tuple(range(x.rank))) if x.rank else x


def test_x_times_x() -> None:
    (dx,) = gradients(build(lambda x: x * x, "f64[3]"), [[1.0, 2.0, -3.0]])
    assert_array_equal(dx, [2.0, 4.0, -6.0])


def test_one_value_used_four_times() -> None:
    def make(x: Value) -> Value:
        h = apply("sin", x)
        return h * h + h * h * h

    (dx,) = gradients(build(make, "f64"), [0.5])
    assert_allclose(dx, (2 * np.sin(0.5) + 3 * np.sin(0.5) ** 2) * np.cos(0.5))


def test_unused_input_has_zeros_of_its_own_shape_and_dtype() -> None:
    dx, dy = gradients(build(lambda x, y: x * x, "f64[2]", "f32[3, 1]"), [[1.0, 2.0], [[1.0], [2.0], [3.0]]])
    assert_array_equal(dx, [2.0, 4.0])
    assert dy.shape == (3, 1)
    assert dy.dtype == "float32"
    assert not dy.any()


def test_input_returned_as_output() -> None:
    dx, dy = gradients(build(lambda x, y: (x, x * y), "f64[2]", "f64[2]"), [[1.0, 2.0], [3.0, 4.0]])
    assert_array_equal(dx, [4.0, 5.0])
    assert_array_equal(dy, [1.0, 2.0])


def test_the_same_output_twice_counts_twice() -> None:
    def make(x: Value) -> tuple[Value, ...]:
        h = apply("sin", x)
        return h, h, x

    (dx,) = gradients(build(make, "f64"), [1.0])
    assert_allclose(dx, 2 * np.cos(1.0) + 1)


def test_old_outputs_come_first_and_keep_their_values() -> None:
    graph = build(lambda x, y: (x * y, x + y), "f64", "f64")
    assert naive(reverse(graph, [1, 0]), [3.0, 4.0]) == [12.0, 7.0, 3.0 + 1, 4.0 + 1]


def test_chosen_outputs_only() -> None:
    graph = build(lambda x: (x * x, apply("sin", x)), "f64")
    assert_allclose(naive(reverse(graph, [0], outputs=[1]), [1.0])[-1], np.cos(1.0))


def test_sensitivities_are_inputs_one_for_each_float_output() -> None:
    def make(x: Value) -> tuple[Value, ...]:
        return x * x, apply("greater", x, 0.0), apply("sin", x)

    made = reverse(build(make, "f32[2]"), [0], sens="inputs")
    verify(made)
    assert made.names == ("x", "sens.0", "sens.2")
    assert [str(value.aval) for value in made.inputs] == ["f32[2]"] * 3
    x, s, t = np.float32([0.5, 2.0]), np.float32([1.0, 10.0]), np.float32([3.0, 0.0])
    assert_allclose(naive(made, [x, s, t])[-1], 2 * x * s + np.cos(x) * t, rtol=1e-6)


def test_a_float32_model_stays_float32() -> None:
    made = reverse(build(lambda x: apply("tanh", x * 3.0), "f32[2]"), [0])
    assert {value.dtype for node in made.nodes for value in node.outs} == {"f32"}


@pytest.mark.parametrize(
    "shapes", [("2, 3", "3"), ("3", "2, 3"), ("2, 1", "1, 3"), ("", "2, 3"), ("1, 1", ""), ("0, 3", "3")]
)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_broadcasting_is_undone_both_ways(op: str, shapes: tuple[str, str]) -> None:
    graph = build(lambda x, y: apply(op, x, y), *(f"f64[{s}]" for s in shapes))
    rng = np.random.default_rng(1)
    x, y = (rng.uniform(1, 2, tuple(int(n) for n in s.split(",") if n)) for s in shapes)
    dx, dy = gradients(graph, [x, y])
    big = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    by_x = {"add": 1.0, "sub": 1.0, "mul": y, "div": 1 / y}[op] + big
    by_y = {"add": 1.0, "sub": -1.0, "mul": x, "div": -x / y**2}[op] + big
    for have, want in ((dx, by_x), (dy, by_y)):
        lead = want.ndim - have.ndim
        want = want.sum(tuple(range(lead)))
        want = want.sum(tuple(k for k, n in enumerate(have.shape) if n == 1 and want.shape[k] != 1), keepdims=True)
        assert have.shape == want.shape
        assert_allclose(have, want)


def test_leading_dims_of_matmul_are_broadcasting_too() -> None:
    graph = build(lambda x, y: apply("matmul", x, y), "f64[5, 1, 2, 3]", "f64[4, 3, 2]")
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((5, 1, 2, 3)), rng.standard_normal((4, 3, 2))
    dx, dy = gradients(graph, [x, y])
    ones = np.ones((5, 4, 2, 2))
    assert_allclose(dx, (ones @ y.transpose(0, 2, 1)).sum(1, keepdims=True))
    assert_allclose(dy, (x.transpose(0, 1, 3, 2) @ ones).sum(0))


def test_size_zero() -> None:
    dx, dy = gradients(build(lambda x, y: total(x * y), "f64[0, 3]", "f64[3]"), [np.zeros((0, 3)), [1.0, 2.0, 3.0]])
    assert dx.shape == (0, 3)
    assert_array_equal(dy, [0.0, 0.0, 0.0])


def test_a_tie_splits_evenly() -> None:
    dx, dy = gradients(
        build(lambda x, y: apply("maximum", x, y), "f64[3]", "f64[3]"), [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]
    )
    assert_array_equal(dx, [0.0, 0.5, 1.0])
    assert_array_equal(dy, [1.0, 0.5, 0.0])


def test_tanh_at_300_is_flat_not_nan() -> None:
    (dx,) = gradients(build(lambda x: apply("tanh", x), "f64[2]"), [[300.0, -300.0]])
    assert_array_equal(dx, [0.0, 0.0])


def test_no_derivative_flows_through_stop_gradient() -> None:
    (dx,) = gradients(build(lambda x: x * apply("stop_gradient", x), "f64"), [3.0])
    assert dx == 3.0
    second = reverse(reverse(build(lambda x: x * apply("stop_gradient", x), "f64"), [0]), [0], outputs=[1])
    assert naive(second, [3.0])[-1] == 0.0


def test_higher_orders_are_the_pass_applied_again() -> None:
    graph, expected = (
        build(lambda x: apply("sin", x), "f64"),
        [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin],
    )
    for order, f in enumerate(expected, 1):
        graph = reverse(graph, [0], outputs=[0 if order == 1 else len(graph.outputs) - 1])
        verify(graph)
        assert_allclose(naive(graph, [0.7])[-1], f(0.7))


def test_indices_and_flags_have_no_cotangent() -> None:
    def make(x: Value) -> Value:
        return apply("where", apply("greater", x, 0.0), x * x, x)

    (dx,) = gradients(build(make, "f64[2]"), [[-1.0, 3.0]])
    assert_array_equal(dx, [1.0, 6.0])


# ── accumulation ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_thousand_slices_of_one_vector_accumulate_in_place() -> None:
    def make(x: Value) -> Value:
        parts = [apply("slice", x, items=((k, 1, 1),)) * float(k) for k in range(1000)]
        return total(apply("concat", *parts, axis=0))

    graph = build(make, "f64[1000]")
    made = reverse(graph, [0])
    verify(made)
    names = [node.prim.name for node in made.nodes]
    assert names.count("unslice") == 1
    assert names.count("add_slice") == 999
    assert_array_equal(naive(made, [np.ones(1000)])[-1], np.arange(1000.0))


def test_a_dense_term_takes_up_a_sparse_one() -> None:
    def make(x: Value) -> Value:
        return total(x * x) + total(apply("slice", x, items=((1, 2, 1),)))

    made = reverse(build(make, "f64[4]"), [0])
    assert "unslice" not in [node.prim.name for node in made.nodes]
    assert_array_equal(naive(made, [[1.0, 2.0, 3.0, 4.0]])[-1], [2.0, 5.0, 7.0, 8.0])


def test_repeated_indices_accumulate() -> None:
    def make(x: Value) -> Value:
        idx = x.builder.constant("i64", (3,), pack([1, 1, 0], "i64"))
        return apply("gather", x, idx, axes=(0,)) * x.builder.constant("f64", (3,), pack([1.0, 10.0, 100.0], "f64"))

    (dx,) = gradients(build(make, "f64[3]"), [[1.0, 2.0, 3.0]])
    assert_array_equal(dx, [100.0, 11.0, 0.0])


# ── size ────────────────────────────────────────────────────────────────────────────────────────────────────


def chain(length: int) -> Graph:
    def make(x: Value) -> Value:
        for _ in range(length):
            x = apply("sin", x)
        return x

    builder = Builder()
    x = builder.input(Aval((), "f64"), "x")
    return builder.finish([make(x)])


def test_a_chain_of_100_000_nodes_is_ordinary() -> None:
    limit = sys.getrecursionlimit()
    made = reverse(chain(100_000), [0])
    assert sys.getrecursionlimit() == limit
    assert len(made) <= 4 * 100_000
    assert np.isfinite(naive(made, [1.0])[-1])


def test_nodes_grow_linearly_with_depth() -> None:
    small, large = (len(reverse(chain(n), [0])) for n in (100, 1000))
    assert large <= 10 * small


def test_work_grows_linearly_with_depth() -> None:
    """A quadratic walk would make 64 times as many calls for 8 times as much."""

    def calls(length: int) -> int:
        graph, count = chain(length), 0

        def counted(frame: object, event: str, arg: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(counted)
        try:
            reverse(graph, [0])
        finally:
            sys.setprofile(None)
        return count

    assert calls(1600) <= 8.1 * calls(200)


# ── places, names, errors ───────────────────────────────────────────────────────────────────────────────────


def placed() -> Graph:
    builder = Builder()
    x = builder.input(Aval((), "f64"), "x")
    with builder.at(Span(SOURCE, 13, 22)):
        h = x * x
    h.hint = "h"
    with builder.at(Span(SOURCE, 25, 41)):
        out = apply("sin", h)
    return builder.finish([out])


def test_adjoint_nodes_carry_the_places_of_what_they_differentiate() -> None:
    graph = placed()
    made = reverse(graph, [0])
    adjoint = made.nodes[len(graph) :]
    assert {span.line for node in adjoint if node.prim.name == "cos" for span in node.spans} == {3}
    assert [span.line for span in adjoint[-1].spans] == [2]


def test_cotangents_are_named_after_what_they_belong_to() -> None:
    made = reverse(placed(), [0])
    assert {"d_h", "d_x"} <= {value.hint for node in made.nodes for value in node.outs}
    assert made.outputs[1].hint == "d_x"


def test_dead_cotangents_are_not_kept() -> None:
    made = reverse(build(lambda x, y: x * y, "f64[3]", "f64[3]"), [0])
    used = {value.id for node in made.nodes for value in node.inputs} | {value.id for value in made.outputs}
    assert all(out.id in used for node in made.nodes for out in node.outs)


def test_the_graph_given_is_left_as_it_was() -> None:
    graph = placed()
    before = [(node.prim.name, node.spans, [v.id for v in node.inputs]) for node in graph.nodes]
    reverse(graph, [0])
    assert before == [(node.prim.name, node.spans, [v.id for v in node.inputs]) for node in graph.nodes]


def test_by_an_integer() -> None:
    with pytest.raises(ModelError) as caught:
        reverse(build(lambda x, y: x, "f64", "i64"), [1])
    assert caught.value.diagnostics[0].code == "DIF001"
    assert caught.value.diagnostics[0].message == "y is i64 and has no derivative"


def test_of_no_float() -> None:
    with pytest.raises(ModelError) as caught:
        reverse(build(lambda x: apply("greater", x, 0.0), "f64"), [0])
    assert caught.value.diagnostics[0].code == "DIF002"


def test_a_missing_rule_is_an_error_with_its_place() -> None:
    neg = primitive("neg")
    ruleless = Primitive("ruleless", "general", neg.infer, neg.eval, None, neg.flops)
    builder = Builder()
    x = builder.input(Aval((), "f64"), "x")
    with builder.at(Span(SOURCE, 32, 40)):
        (out,) = builder.emit(ruleless, (x,))
    with pytest.raises(ModelError) as caught:
        reverse(builder.finish([out]), [0])
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "DIF008"
    assert diagnostic.span == Span(SOURCE, 32, 40)
    unused = builder.finish([out, x * x])
    assert naive(reverse(unused, [0], outputs=[1]), [3.0])[-1] == 6.0  # met only where it is needed


# ── sizes that are symbols ──────────────────────────────────────────────────────────────────────────────────


def test_symbolic_sizes() -> None:
    n, m = symbol("n"), symbol("m")
    builder = Builder()
    x, w = builder.input(Aval((n, 3), "f64"), "x"), builder.input(Aval((3, m), "f64"), "w")
    b = builder.input(Aval((m,), "f64"), "b")
    graph = builder.finish([total(apply("matmul", x, w) + b)])
    made = reverse(graph, [0, 1, 2])
    verify(made)
    assert [value.aval for value in made.outputs[1:]] == [x.aval, w.aval, b.aval]


def test_symbols_equal_under_a_condition_did_not_grow() -> None:
    n, m = symbol("n"), symbol("m")
    builder = Builder()
    x, y = builder.input(Aval((n,), "f64"), "x"), builder.input(Aval((m,), "f64"), "y")
    with conditions() as found:
        graph = builder.finish([x * y])
        made = reverse(graph, [0, 1])
    assert [condition.text for condition in found] == ["n = m"]
    assert [value.rank for value in made.outputs[1:]] == [1, 1]


@pytest.mark.parametrize("narrow", ["f32", "f16"])
def test_a_cast_passes_cotangents_and_tangents_on_in_their_own_dtypes(narrow: str) -> None:
    graph = build(lambda x: apply("cast", x, dtype=narrow), "f64[2]")
    x, way = np.array([1.0, -2.0]), np.array([0.5, -3.0])
    for made, dtype in ((reverse(graph, [0], sens="inputs"), "f64"), (forward(graph, [0]), narrow)):
        (found,) = naive(made, [x, way])[1:]
        assert_array_equal(found, way)
        assert made.outputs[1].dtype == dtype

"""Loops, written out turn by turn and rolled."""

from __future__ import annotations

import numpy as np
import pytest

import gradcli
from gradcli import differentiate, opening
from gradcli.interp import loops
from gradcli.ir.region import regions
from gradcli.passes.pipeline import optimize
from gradcli.plan import make_plan
from gradcli.request import ModelFile, Request
from gradcli.running import derive_request
from tests.interp.nets import grads, graph_text, other_lines, refused, same, value


@pytest.fixture(autouse=True, params=["written out", "rolled"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rolled loop means what its turns mean when they are written out."""
    monkeypatch.setattr(loops, "ROLLED_FROM", 1 if request.param == "rolled" else 1000)


def loop(
    *inside: str, before: str = "s = 0.0", bounds: str = "0..4", result: str = "s", signature: str = "x: f64[n]"
) -> str:
    lines = "\n".join(f"    {line}" for line in inside)
    return f"net main({signature}) {{\n  {before}\n  for i in {bounds} {{\n{lines}\n  }}\n  return {result}\n}}\n"


X = [1.0, 2.0, 3.0, 4.0]


def test_i_runs_from_the_first_bound_to_below_the_second() -> None:
    same(value(loop("s = 10 * s + i", signature="x: f64"), x=0.0), 123.0)
    same(value(loop("s = 10 * s + i", signature="x: f64", bounds="2..5"), x=0.0), 234.0)


def test_an_empty_loop_does_nothing() -> None:
    same(value(loop("s = s + x", bounds="3..3", before="s = x"), x=X), X)
    same(value(loop("s = s + x", bounds="3..1", before="s = x"), x=X), X)


def test_carried_names_and_derivatives() -> None:
    same(value(loop("s = s + x[i] * x[i]"), x=X), 30.0)
    same(grads(loop("s = s + x[i] * x[i]"), x=X)["x"], 2 * np.array(X))
    power = loop("s = s * x", before="s = x")
    same(grads(power, x=X)["x"], 5 * np.array(X) ** 4, rtol=1e-13)


def test_names_first_bound_in_the_body_stay_in_it() -> None:
    refused(loop("t = x[i]", "s = s + t", result="t"), "NAM001", "t", x=X)


def test_the_loop_variable_stays_in_the_loop() -> None:
    refused(loop("s = s + x[i]", result="s + i"), "NAM001", "i", x=X)


def test_a_name_of_the_first_turn_is_not_seen_in_the_second() -> None:
    refused(loop("s = s + t", "t = x[i]"), "NAM001", "t", x=X)


def test_bounds_may_be_dims_statics_and_consts() -> None:
    same(value(loop("s = s + x[i]", bounds="0..n"), x=X), 10.0)
    same(value("const k = 2\n" + loop("s = s + x[i]", bounds="k..2*k"), x=X), 7.0)
    same(value(loop("s = s + x[i]", bounds="1..size(n) - 1"), x=X), 5.0)


def test_bounds_that_are_data_are_refused() -> None:
    refused(loop("s = s + 1", bounds="0..k", signature="k: i64"), "SHP110", "k", k=np.int64(3))


def test_a_loop_inside_a_loop() -> None:
    text = (
        "net main(x: f64[n, m]) {\n  s = 0.0\n"
        "  for i in 0..n {\n    for j in i..m {\n      s = s + x[i, j]\n    }\n  }\n  return s\n}\n"
    )
    a = np.arange(12.0).reshape(3, 4)
    same(value(text, x=a), np.triu(a).sum())
    same(grads(text, x=a)["x"], np.triu(np.ones((3, 4))))


def test_the_inner_bound_may_be_the_outer_variable() -> None:
    text = "net main(x: f64) {\n  for i in 0..4 {\n    for j in 0..i {\n      x = x + 1\n    }\n  }\n  return x\n}\n"
    same(value(text, x=0.0), 6.0)


@pytest.mark.parametrize(
    ("index", "value_"), [("i - 1", -1), ("i - 2", -2), ("-i - 1", -1), ("-1 + i", -1), ("2 * i - 1", -1)]
)
def test_a_negative_index_with_a_loop_variable_is_an_error(index: str, value_: int) -> None:
    found = refused(loop(f"s = s + x[{index}]"), "SHP114", x=X)
    assert str(value_) in found.message
    assert found.span is not None
    assert found.span.line == 4


def test_a_negative_index_in_a_slice_with_a_loop_variable_is_an_error() -> None:
    refused(loop("s = s + sum(x[i - 1:i + 1])"), "SHP114", x=X)


def test_a_negative_index_through_a_name_is_an_error() -> None:
    refused(loop("j = i - 1", "s = s + x[j]"), "SHP114", x=X)


def test_a_negative_constant_index_in_a_loop_is_numpys() -> None:
    same(value(loop("s = s + x[-1]"), x=X), 16.0)


def test_an_index_with_a_loop_variable_out_of_range_is_an_error_before_anything_runs() -> None:
    found = refused(loop("s = s + x[i + 1]"), "SHP108", x=X)
    assert "4" in found.message


def test_slices_with_the_loop_variable() -> None:
    same(value(loop("s = s + sum(x[i:i + 1])"), x=X), 10.0)
    same(value(loop("s = s + sum(x[:i])"), x=X), 1.0 + 3.0 + 6.0)


def test_a_carried_name_may_change_its_shape_each_turn() -> None:
    same(value(loop("xs = concat([xs, [x[i]]])", before="xs = [0.0]", result="xs"), x=X), [0.0, *X])


def test_a_weak_start_takes_the_dtype_of_the_body() -> None:
    same(value(loop("s = s + x[i]", signature="x: f32[n]"), x=X), 10.0, "f32")


def test_a_shape_that_changes_in_the_first_turn() -> None:
    same(value(loop("s = s + x"), x=X), 4 * np.array(X))


def test_parallel_rebinding_of_several_names() -> None:
    text = "net main(x: f64) {\n  a, b = (x, x)\n  for i in 0..8 {\n    a, b = (b, a + b)\n  }\n  return a\n}\n"
    same(value(text, x=1.0), 34.0)
    same(grads(text, x=1.0)["x"], 34.0)


def test_indexed_assignment_in_a_loop() -> None:
    text = loop("y[i] = x[i] * i", "y[0] += 1", before="y = zeros([n])", result="y")
    same(value(text, x=X), [4.0, 2.0, 6.0, 12.0])


def test_layers_in_a_loop() -> None:
    text = """
net S(x) {
  param w: f64 = 2.0
  return w * x
}
net main(x: f64) {
  layer h[3] = S
  for i in 0..3 {
    x = h[i](x)
  }
  return x
}
"""
    same(value(text, x=1.0), 8.0)
    g = grads(text, x=1.0, wrt="params")
    assert list(g) == ["h.0.w", "h.1.w", "h.2.w"]
    same(g["h.1.w"], 4.0)


def test_a_layer_out_of_range_is_an_error() -> None:
    text = (
        "net S(x) {\n  param w: f64 = 2.0\n  return w * x\n}\n"
        "net main(x: f64) {\n  layer h[3] = S\n  return h[3](x)\n}\n"
    )
    found = refused(text, "SHP108", x=1.0)
    assert "3" in found.message


def test_a_layer_index_is_known() -> None:
    text = (
        "net S(x) {\n  param w: f64 = 2.0\n  return w * x\n}\n"
        "net main(x: f64, k: i64) {\n  layer h[3] = S\n  return h[k](x)\n}\n"
    )
    refused(text, "SHP110", x=1.0, k=np.int64(1))


def test_a_thousand_turns() -> None:
    same(
        grads(loop("s = s * 1.001 + x", before="s = x", bounds="0..1000"), x=[1.0])["x"],
        [(1.001**1001 - 1) / 0.001],
        rtol=1e-9,
    )


def test_too_many_turns_are_refused() -> None:
    refused(loop("s = s + 1", bounds="0..1_000_000_000_000", signature="x: f64"), "NUM003", x=0.0)


def test_a_loop_that_stops_early() -> None:
    text = "net main(x: f64) {\n  for i in 0..9 while x > 1 {\n    x = x / 2\n  }\n  return x\n}\n"
    same(value(text, x=10.0), 0.625)
    same(grads(text, x=10.0)["x"], 1 / 16)
    same(value(text, x=1000.0), 1000 / 512)
    same(value(text, x=0.5), 0.5)
    same(grads(text, x=0.5)["x"], 1.0)


LISTS = {"rebound as a list": "s = [s[1], x * s[0]]", "rebound as an array": "s = x * s"}


@pytest.mark.parametrize("body", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("bounds", ["0..12", "0..99 while i < 12"])
def test_a_list_is_carried_as_an_array(body: str, bounds: str) -> None:
    text = loop(body, before="s = [2.0, 3.0]", bounds=bounds, result="sum(s * [1.0, 10.0])", signature="x: f64")
    power = 6 if "[" in body else 12
    same(value(text, x=1.1), 32 * 1.1**power, rtol=1e-14)
    same(grads(text, x=1.1)["x"], 32 * power * 1.1 ** (power - 1), rtol=1e-14)


def test_a_loop_over_a_list_is_rolled() -> None:
    text = loop("s = [s[1], x * s[0]]", before="s = [2.0, 3.0]", bounds="0..1000", signature="x: f64")
    assert len(graph_text(text, x=np.array(1.1)).splitlines()) < 40


def test_what_no_loop_with_a_condition_can_carry() -> None:
    ends = {"bounds": "0..9 while i < 5", "signature": "x: f64"}
    refused(loop("s = x", before="s = [[1.0], [2.0, 3.0]]", **ends), "SHP104", x=1.0)
    refused(loop("s = x", before='s = "text"', **ends), "SHP113", says="`s`, carried by a loop", x=1.0)
    refused(loop('s = "text"', before="s = x", **ends), "SHP113", says="`s`, carried by a loop", x=1.0)


def test_rows_of_different_lengths_may_be_written_out() -> None:
    text = loop("s = [x, s[1]]", before="s = [[1.0], [2.0, 3.0]]", result="sum(s[1])", signature="x: f64")
    same(value(text, x=1.0), 5.0)


def test_while_alone_is_refused_with_a_bound() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net main(x: f64) {\n  while x > 1 {\n    x = x / 2\n  }\n  return x\n}\n")
    assert caught.value.diagnostics[0].code == "SYN013"


def test_a_return_in_a_loop_is_refused() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net main(x: f64) {\n  for i in 0..9 {\n    return x\n  }\n}\n")
    assert caught.value.diagnostics[0].code == "SYN018"


def test_an_error_in_a_later_turn_is_told_once() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value(loop("s = s + unknown"), x=X)
    assert len(caught.value.diagnostics) == 1


def test_a_loop_variable_is_weak() -> None:
    same(value(loop("s = s + i * x[i]", signature="x: f32[n]"), x=X), 20.0, "f32")


def test_an_index_out_of_range_names_where_the_array_came_from() -> None:
    found = refused(loop("s = s + x[i]", bounds="0..9"), "SHP108", x=X)
    assert 1 in other_lines(found)


# ── what a rolled loop is ───────────────────────────────────────────────────────────────────────────────────


def nodes(text: str, order: int = 1, **inputs: object) -> int:
    """All nodes of a gradient program, those inside loops, too."""
    request = Request(arrays=inputs, order=order)
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), request)
    work, count = [derive_request(prepared, request).graph], 0
    while work:
        graph = work.pop()
        count += len(graph)
        work.extend(region for node in graph.nodes for region in regions(node).values())
    return count


@pytest.mark.parametrize("order", [1, 2])
def test_the_size_of_a_program_does_not_depend_on_the_number_of_turns(order: int) -> None:
    text = (
        "dim steps = {}\nnet main(x: f64[4]) {{\n  for i in 0..steps {{\n"
        "    x = x + sin(0.1 * i * x) / steps\n  }}\n  return x\n}}\n"
    )
    few, many = (nodes(text.format(steps), order, x=np.ones(4)) for steps in (2_000, 1_000_000))
    assert few == many < 400


def test_writing_element_by_element_costs_no_copy_of_the_whole() -> None:
    """`y[i] = …` keeps no history of y: the gradient of n writes keeps arrays of n elements, not of n²."""
    text = (
        "net main(x: f64[n]) {\n  y = zeros([n])\n  s = 0.0\n  for i in 0..n {\n    s = s + x[i]\n"
        "    y[i] = s * s\n  }\n  return y\n}\n"
    )
    x = np.linspace(0.0, 1.0, 3_000)
    s = np.cumsum(x)
    same(grads(text, x=x)["x"], 2 * np.cumsum(s[::-1])[::-1], rtol=1e-12)
    request = Request(arrays={"x": x})
    _, prepared = opening.prepare(ModelFile(text=text, name="m.net"), request)
    plan = make_plan(optimize(differentiate.gradients_only(prepared.graph, derive_request(prepared, request))))
    assert plan.arena + plan.made < 20 * x.nbytes


WINDOW = (
    "net main(x: f64[n]) {\n  s = 0.0\n  for i in 0..size(n) - 2 {\n    s = s + prod(x[i:i + 3])\n  }\n  return s\n}\n"
)


def test_a_window_that_moves_with_the_loop() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    same(value(WINDOW, x=x), 6.0 + 24.0 + 60.0)
    same(grads(WINDOW, x=x)["x"], [6.0, 3 + 12, 2 + 8 + 20, 6 + 15, 12.0])


def test_windows_and_whole_numbers_in_one_index() -> None:
    text = (
        "net main(x: f64[4, 3, 4]) {\n  s = 0.0\n  for i in 0..3 {\n"
        "    s = s + sum(x[i:i + 2, 1, i:i + 2] ** 2)\n  }\n  return s\n}\n"
    )
    x = np.arange(48.0).reshape(4, 3, 4)
    same(value(text, x=x), sum((x[i : i + 2, 1, i : i + 2] ** 2).sum() for i in range(3)))


def test_a_tuple_is_carried() -> None:
    text = (
        "net main(x: f64) {\n  state = (x, 2 * x)\n  for i in 0..12 {\n    a, b = state\n"
        "    state = (b, a)\n  }\n  return state[0]\n}\n"
    )
    same(value(text, x=3.0), 3.0)
    same(grads(text, x=3.0)["x"], 1.0)


def test_what_a_condition_carries_takes_the_dtype_of_the_body() -> None:
    text = "net main(x: f32[n]) {\n  s = 0.0\n  for i in 0..n while s < 4 {\n    s = s + x[i]\n  }\n  return s\n}\n"
    same(value(text, x=np.array(X, np.float32)), 6.0, "f32")


def test_a_condition_is_one_bool() -> None:
    text = "net main(x: f64[2]) {\n  for i in 0..9 while x > 1 {\n    x = x / 2\n  }\n  return x\n}\n"
    found = refused(text, "SHP121", "x > 1", x=[1.0, 2.0])
    assert found.help is not None


def test_with_a_condition_the_shape_stays() -> None:
    text = "net main(x: f64[2]) {\n  h = 0.0\n  for i in 0..9 while sum(h) < 9 {\n    h = h + x\n  }\n  return h\n}\n"
    found = refused(text, "SHP122", "h", says="`h` is f64 before the loop and f64[2] after a turn", x=[1.0, 2.0])
    assert other_lines(found) == [2]


def test_with_a_condition_a_shape_that_grows_has_no_beginning() -> None:
    """No first shape is the one that every turn has, so none is suggested."""
    text = loop("h = concat([h, x])", before="h = x", bounds="0..9 while sum(h) < 9", result="h", signature="x: f64[2]")
    found = refused(text, "SHP122", "h", says="`h` is f64[2] before the loop and f64[4] after a turn", x=[1.0, 2.0])
    assert found.help is not None
    assert found.help.endswith("make room for the most there can be, and write into it by index")


@pytest.mark.parametrize(
    ("line", "under"),
    [("s = s + sum(x[:i])", "x[:i]"), ("s = s + sum(zeros([i]))", "zeros([i])"), ("s = h[i](s)", "h[i]"),
     ("s = s + sum(x[:2 * i + 1])", "x[:2 * i + 1]")],
)  # fmt: skip
def test_with_a_condition_the_turn_is_data(line: str, under: str) -> None:
    """That is said where a shape, a slice or a layer would need to know it; without the condition it is known."""
    text = "net D(x) {\n  param w: f64 = 2.0\n  return w * x\n}\n" + loop(
        line, before="layer h[4] = D\n  s = sum(x)", bounds="0..4 while s < 99"
    )
    found = refused(text, "SHP110", under, x=X)
    assert [label.span.text for label in found.others if label.span] == ["s < 99"]
    assert found.others[0].text == "with `while` the body is kept once, and `i` is data in it"
    assert found.help is not None
    value(text.replace(" while s < 99", ""), x=X)


def test_with_a_condition_what_is_wrong_of_itself_has_no_other_reason() -> None:
    found = refused(loop("s = s + sum(x[::0])", bounds="0..4 while s < 99"), "SHP110", x=X)
    assert not found.others


def test_many_weak_values_are_carried_by_a_loop_with_a_condition() -> None:
    names = [f"v{k}" for k in range(7)]
    lines = "".join(f"  {n} = 0.0\n" for n in names)
    body = "".join(f"    {n} = {n} + x\n" for n in names)
    text = (
        f"net main(x: f32) {{\n{lines}  for i in 0..50 while v0 < 10 {{\n{body}  }}\n  return {' + '.join(names)}\n}}\n"
    )
    same(value(text, x=np.float32(1.0)), 70.0, "f32")


def test_a_number_bound_in_the_body_keeps_its_own_dtype() -> None:
    text = "net main(x: f64) {\n  k = i64(3)\n  for i in 0..20 {\n    x = x + k\n    k = 2.5\n  }\n  return x + k\n}\n"
    same(value(text, x=0.0), 3 + 19 * 2.5 + 2.5)

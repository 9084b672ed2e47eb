"""Params: their first values, seeds, names, order, and their use as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import grads, other_lines, refused, same, value

DENSE = """
net Dense[i, o](x: f64[..., i]) -> f64[..., o] {
  param w: f64[i, o] = normal(seed=1)
  param b: f64[o] = zeros()
  return x @ w + b
}
"""


def first(declaration: str, items: str = "", **more: Any) -> Any:
    """The first value of a param."""
    return value(f"{items}net main() {{\n  param {declaration}\n  return w\n}}\n", **more)


# ── first values ──


@pytest.mark.parametrize(
    ("declaration", "wanted"),
    [
        ("w: f32[1] = [1.0]", [1.0]),
        ("w: f32 = 2", 2.0),
        ("w: f32[2, 2] = [[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("w: f32[2] = zeros()", [0, 0]),
        ("w: f32[2] = ones()", [1, 1]),
        ("w: f32[2] = full(7)", [7, 7]),
        ("w: f32[2] = full(0.5)", [0.5, 0.5]),
        ("w: f32[3] = linspace(0, 1, 3)", [0, 0.5, 1]),
        ("w: f32[2] = 2 * ones([2])", [2, 2]),
        ("w: f32[2, 2] = eye(2)", [[1, 0], [0, 1]]),
        ("w: f32 = sqrt(4.0)", 2.0),
        ("w: f32 = -pi", np.float32(-np.pi)),
    ],
)
def test_a_param_takes_its_declared_dtype(declaration: str, wanted: Any) -> None:
    same(first(declaration), wanted, "f32")


def test_an_initialiser_sees_consts_and_dims() -> None:
    same(first("w: f64[n] = k * ones([n])", "const k = 3.0\ndim n = 2\n"), [3.0, 3.0])
    same(first("w: f64[2] = full(k)", "const k = 3.0\n"), [3.0, 3.0])


def test_load(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([1.0, 2.0], "float32"))
    np.savez(tmp_path / "w.npz", a=np.array([3.0, 4.0]))
    text = "net main() {{\n  param w: {} = load({})\n  return w\n}}\n"
    for type_, source, wanted in [
        ("f32[2]", '"w.npy"', [1, 2]),
        ("f64[2]", '"w.npy"', [1, 2]),
        ("f64[2]", '"w.npz", "a"', [3, 4]),
    ]:
        path = tmp_path / "m.net"
        path.write_text(text.format(type_, source))
        same(gradcli.load(path).eval()[0], wanted, type_[:3])


def test_load_of_another_shape_or_a_wider_dtype_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([1.0, 2.0]))
    for type_, code in [("f64[3]", "SHP105"), ("f32[2]", "DAT105")]:
        path = tmp_path / "m.net"
        path.write_text(f'net main() {{\n  param w: {type_} = load("w.npy")\n  return w\n}}\n')
        with pytest.raises(gradcli.ModelError) as caught:
            gradcli.load(path).eval()
        found = caught.value.diagnostics[0]
        assert found.code == code
        assert found.span is not None
        assert found.span.line == 2


@pytest.mark.parametrize("kind", ["normal", "uniform", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal"])
def test_seeded_values_are_reproducible(kind: str) -> None:
    one = first(f"w: f64[3, 4] = {kind}(seed=1)")
    same(first(f"w: f64[3, 4] = {kind}(seed=1)"), one, "f64")
    assert not np.array_equal(first(f"w: f64[3, 4] = {kind}(seed=2)"), one)
    assert len(np.unique(one)) == 12
    same(first(f"w: f32[3, 4] = {kind}(seed=1)"), one.astype("float32"), "f32")


@pytest.mark.parametrize(
    ("declared", "deviation", "bound"),
    [
        ("normal(seed=3)", 1.0, None),
        ("normal(seed=3, scale=0.1)", 0.1, None),
        ("normal(3, 0.1)", 0.1, None),
        ("uniform(seed=3)", 1 / np.sqrt(3), 1.0),
        ("uniform(seed=3, low=-2, high=2)", 2 / np.sqrt(3), 2.0),
        ("glorot_uniform(seed=3)", np.sqrt(2 / 300), np.sqrt(6 / 300)),
        ("glorot_normal(seed=3)", np.sqrt(2 / 300), None),
        ("he_uniform(seed=3)", np.sqrt(2 / 100), np.sqrt(6 / 100)),
        ("he_normal(seed=3)", np.sqrt(2 / 100), None),
    ],
)
def test_seeded_values_have_their_distribution(declared: str, deviation: float, bound: float | None) -> None:
    w = first(f"w: f64[100, 200] = {declared}")
    assert abs(w.std() / deviation - 1) < 0.03
    assert abs(w.mean()) < 0.03 * deviation
    if bound is not None:
        assert np.abs(w).max() <= bound
        assert np.abs(w).max() > 0.99 * bound


def test_uniform_lies_between_its_bounds() -> None:
    w = first("w: f64[1000] = uniform(seed=1, low=2, high=3)")
    assert w.min() >= 2
    assert w.max() <= 3


def test_a_seed_may_be_a_const() -> None:
    same(first("w: f64[3] = normal(seed=s)", "const s = 5\n"), first("w: f64[3] = normal(seed=5)"))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("normal(sed=1)", "NAM022"),
        ("normal(seed=1.5)", "SHP110"),
        ("normal(seed=-1)", "SHP110"),
        ("glorot_uniform(seed=1, scale=2)", "NAM022"),
        ("he_normal(1, 2)", "NAM020"),
    ],
)
def test_wrong_arguments_of_an_initialiser_are_refused(call: str, code: str) -> None:
    refused(f"net main() {{\n  param w: f64[2] = {call}\n  return w\n}}\n", code)


def test_an_initialiser_outside_of_param_is_refused() -> None:
    found = refused("net main() {\n  w = normal(seed=1)\n  return w\n}\n", "NAM001", "normal")
    assert "param" in found.message + (found.help or "") + " ".join(found.notes)


def test_the_seed_is_mixed_with_the_path() -> None:
    text = (
        DENSE
        + """
net main(x: f64[2]) {
  layer a = Dense[2, 2]
  layer b = Dense[2, 2]
  layer h[2] = Dense[2, 2]
  return a.w, b.w, h[0].w, h[1].w
}
"""
    )
    arrays = list(gradcli.compile(text).eval(x=[0.0, 0.0]))
    for i, one in enumerate(arrays):
        assert all(not np.array_equal(one, other) for other in arrays[i + 1 :])


def test_two_params_of_one_seed_differ() -> None:
    a, b = gradcli.compile(
        "net main() {\n  param a: f64[3] = normal(seed=1)\n  param b: f64[3] = normal(seed=1)\n  return a, b\n}\n"
    ).eval()
    assert not np.array_equal(a, b)


def test_the_path_is_below_the_file_so_a_layer_keeps_its_values_where_others_are_added() -> None:
    short = DENSE + "net main() {\n  layer l1 = Dense[2, 2]\n  return l1.w\n}\n"
    longer = (
        DENSE
        + "net main() {\n  param z: f64 = 1.0\n  layer l0 = Dense[2, 2]\n  layer l1 = Dense[2, 2]\n  return l1.w\n}\n"
    )
    same(value(longer), value(short))


@pytest.mark.parametrize(
    ("declaration", "code"),
    [("w: f64[3] = [1.0, 2.0]", "SHP105"), ("w: f64[2] = 1.0", "SHP105"), ("w: f64[2] = [1.0, [2.0]]", "SHP104")],
)
def test_a_first_value_of_another_shape_is_refused(declaration: str, code: str) -> None:
    found = refused(f"net main() {{\n  param {declaration}\n  return w\n}}\n", code)
    assert found.span is not None
    assert found.span.line == 2


def test_a_scalar_for_an_array_is_refused_with_full() -> None:
    text = "net main() {\n  param w: f64[2] = 1.5\n  return w\n}\n"
    found = refused(text, "SHP105", "1.5")
    assert "full(1.5)" in (found.help or "")
    same(value(text.replace("= 1.5", "= full(1.5)")), [1.5, 1.5])


def test_an_initialiser_is_evaluated_before_data() -> None:
    found = refused("net main(x: f64) {\n  param w: f64 = x\n  return w * x\n}\n", "NAM001", "x", x=1.0)
    assert found.span is not None
    assert found.span.line == 2


def test_a_param_of_dims_bound_by_the_call() -> None:
    g = grads(
        "net main(x: f64[n]) {\n  param w: f64[n] = ones()\n  return sum(w * x)\n}\n", x=[1.0, 2.0, 3.0], wrt="params"
    )
    same(g["w"], [1.0, 2.0, 3.0])


# ── names and order ──


def test_own_params_are_bare() -> None:
    assert list(
        grads(
            "net main(x: f64) {\n  param b: f64 = 1.0\n  param a: f64 = 2.0\n  return a * b * x\n}\n",
            x=1.0,
            wrt="params",
        )
    ) == ["b", "a"]


NAMES = (
    DENSE
    + """
net U(x) {
  param w: f64 = 2.0
  return w * x
}
net V(x) = U(x) * 2
net Pair(x: f64[2]) {
  layer b = Dense[2, 2]
  param s: f64 = 1.0
  return s * b(x)
}
net main(x: f64[2]) {
  param z: f64 = 1.0
  layer l1 = Dense[2, 2]
  y = V(x)
  layer h[2] = Dense[2, 2]
  param last: f64 = 1.0
  layer a = Pair
  net critic(q) {
    param c: f64 = 1.0
    return sum(c * q)
  }
  return critic(a(h[1](h[0](l1(x))))) * z * last + sum(y) + sum(U(x))
}
"""
)


def test_the_names_and_the_order_of_params() -> None:
    wanted = [
        "z",
        "l1.w",
        "l1.b",
        "U.w",
        "h.0.w",
        "h.0.b",
        "h.1.w",
        "h.1.b",
        "last",
        "a.b.w",
        "a.b.b",
        "a.s",
        "critic.c",
    ]
    assert list(grads(NAMES, x=[1.0, 2.0], wrt="params")) == wanted


@pytest.mark.parametrize("name", ["z", "l1.w", "U.w", "h.0.w", "h.1.b", "a.b.w", "a.s", "critic.c"])
def test_each_name_is_taken_by_wrt(name: str) -> None:
    everything = grads(NAMES, x=[1.0, 2.0], wrt="params")
    same(grads(NAMES, x=[1.0, 2.0], wrt=name)[name], everything[name])


def test_a_layer_in_wrt_means_all_its_params() -> None:
    assert list(grads(NAMES, x=[1.0, 2.0], wrt="l1")) == ["l1.w", "l1.b"]
    assert list(grads(NAMES, x=[1.0, 2.0], wrt="h")) == ["h.0.w", "h.0.b", "h.1.w", "h.1.b"]
    assert list(grads(NAMES, x=[1.0, 2.0], wrt="h.1")) == ["h.1.w", "h.1.b"]
    assert list(grads(NAMES, x=[1.0, 2.0], wrt="a")) == ["a.b.w", "a.b.b", "a.s"]


def test_names_are_as_seen_from_the_net_that_is_run() -> None:
    assert list(grads(NAMES, net="Pair", x=[1.0, 2.0], wrt="params")) == ["b.w", "b.b", "s"]
    assert list(grads(NAMES, net="V", x=1.0, wrt="params")) == ["U.w"]
    assert list(grads(NAMES, net="U", x=1.0, wrt="params")) == ["w"]


def test_names_inside_are_as_seen_from_the_net_that_is_differentiated() -> None:
    text = (
        "net U(x) {\n  param w: f64 = 2.0\n  return w * x * x\n}\n"
        "net main(x: f64) {\n  layer l = U\n  return grad(U, wrt=w)(x) + grad(l, wrt=w)(2 * x)\n}\n"
    )
    same(value(text, x=3.0), 9.0 + 36.0)


def test_a_net_called_by_name_is_at_its_first_call() -> None:
    text = """
net A(x) {
  param w: f64 = 1.0
  return w * x
}
net B(x) {
  param w: f64 = 1.0
  return w * x
}
net main(x: f64) = B(x) + A(x) + B(x)
"""
    g = grads(text, x=3.0, wrt="params")
    assert list(g) == ["B.w", "A.w"]
    same(g["B.w"], 6.0)


def test_layers_are_listed_where_they_are_declared_though_they_are_called_later() -> None:
    text = DENSE + "net main(x: f64[2]) {\n  layer a = Dense[2, 2]\n  layer b = Dense[2, 2]\n  return a(b(x))\n}\n"
    assert list(grads(text, x=[1.0, 2.0], wrt="params")) == ["a.w", "a.b", "b.w", "b.b"]


def test_an_unused_layer_has_zero_gradients() -> None:
    text = DENSE + "net main(x: f64[2]) {\n  layer a = Dense[2, 2]\n  return sum(x)\n}\n"
    g = grads(text, x=[1.0, 2.0], wrt="params")
    same(g["a.w"], np.zeros((2, 2)))


def test_a_call_by_name_shares_weights_with_the_loss_that_differentiates_it() -> None:
    text = """
net U(x: f64) {
  param w: f64 = 2.0
  return w * x ** 2
}
net main(x: f64) = grad(U)(x) + U(x)
"""
    g = grads(text, x=3.0, wrt="params")
    assert list(g) == ["U.w"]
    same(g["U.w"], 6.0 + 9.0)


def test_a_net_called_by_name_has_one_shape_of_weights() -> None:
    text = (
        "net U(x: f64[n]) {\n  param w: f64[n] = ones()\n  return sum(w * x)\n}\n"
        "net main(x: f64[2], y: f64[3]) = U(x) + U(y)\n"
    )
    found = refused(text, "SHP106", "U(y)", x=np.ones(2), y=np.ones(3))
    assert 2 in other_lines(found)
    assert "layer" in (found.help or "")


# ── params as values ──


def test_params_of_layers_are_values() -> None:
    text = (
        DENSE
        + """
net main(x: f64[2]) {
  layer l1 = Dense[2, 2]
  layer h[2] = Dense[2, 2]
  decay = sum(l1.w ** 2) + sum(h[0].w ** 2)
  return sum(h[1](h[0](l1(x)))) * 0 + decay
}
"""
    )
    net = gradcli.compile(text)
    g = net.grad(x=[1.0, 2.0], wrt="params", params={"l1.w": np.ones((2, 2)), "h.0.w": 3 * np.ones((2, 2))})
    same(g["l1.w"], np.full((2, 2), 2.0))
    same(g["h.0.w"], np.full((2, 2), 6.0))
    same(g["h.1.w"], np.zeros((2, 2)))


def test_a_param_of_a_layer_of_a_layer_is_a_value() -> None:
    text = DENSE + (
        "net P(x: f64[2]) {\n  layer b = Dense[2, 2]\n  return b(x)\n}\n"
        "net main(x: f64[2]) {\n  layer a = P\n  return sum(a.b.w) + sum(a(x))\n}\n"
    )
    same(grads(text, x=[0.0, 0.0], wrt="a.b.w")["a.b.w"], np.ones((2, 2)))


def test_an_unknown_param_of_a_layer_suggests_one() -> None:
    text = DENSE + "net main(x: f64[2]) {\n  layer l1 = Dense[2, 2]\n  return sum(l1.weight) + sum(l1(x))\n}\n"
    found = refused(text, "NAM007", x=[1.0, 2.0])
    words = (found.help or "") + found.message + " ".join(found.notes)
    assert "w" in words
    assert "b" in words


def test_a_param_is_declared_at_the_top_of_a_body_never_in_a_loop() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value(
            "net main(x: f64) {\n  for i in 0..2 {\n    param w: f64 = 1.0\n    x = x * w\n  }\n  return x\n}\n", x=1.0
        )
    assert caught.value.diagnostics[0].code in ("NAM013", "SYN018")


def test_a_param_may_be_bound_again_and_is_still_differentiated_by_itself() -> None:
    g = grads("net main(x: f64) {\n  param w: f64 = 3.0\n  w = w * w\n  return w * x\n}\n", x=2.0, wrt="params")
    same(g["w"], 12.0)


def test_a_net_with_one_param_has_its_gradient_alone() -> None:
    text = "net f(x: f64) {\n  param w: f64 = 3.0\n  return w * x\n}\nnet main(x: f64) = grad(f, wrt=params)(x) * 10\n"
    same(value(text, x=2.0), 20.0)


def test_integer_params_are_refused_or_left_out_of_params() -> None:
    text = "net main(x: f64) {\n  param k: i64 = 3\n  param w: f64 = 2.0\n  return k * w * x\n}\n"
    assert list(grads(text, x=2.0, wrt="params")) == ["w"]


def test_two_params_of_one_name_are_refused() -> None:
    with pytest.raises(gradcli.ModelError):
        value("net main(x: f64) {\n  param w: f64 = 1.0\n  param w: f64 = 2.0\n  return w * x\n}\n", x=1.0)


def test_a_seeded_param_is_of_floats() -> None:
    found = refused("net main(x: f64) {\n  param w: i64[2] = normal(seed=1)\n  return w * x\n}\n", "SHP103", x=1.0)
    assert found.span is not None
    assert found.span.line == 2


def test_a_param_of_a_net_by_name_is_read() -> None:
    net = "net S(x) {\n  param w: f64 = 3.0\n  return w * x\n}\n"
    for expression in ("S(x) + S.w * x", "S.w * x + S(x)"):
        same(value(f"{net}net main(x: f64) = {expression}\n", x=2.0), 12.0)


def test_a_layer_of_one_net_called_with_two_shapes() -> None:
    text = """
net S(x: f64[n]) {
  param w: f64[n] = ones()
  return sum(w * x)
}
net main(x: f64[2], y: f64[3]) {
  layer a = S
  return a(x) + a(y)
}
"""
    found = refused(text, "SHP106", "a(y)", x=np.ones(2), y=np.ones(3))
    assert "a.w" in found.message
    assert "own name" not in (found.help or "")


@pytest.mark.parametrize("second", ["layer a = S", "param a: f64 = 1.0"])
def test_a_layer_declared_twice_names_both_places(second: str) -> None:
    text = f"net S(x) = 2 * x\nnet main(x: f64) {{\n  layer a = S\n  {second}\n  return x\n}}\n"
    assert other_lines(refused(text, "NAM004", "a", x=1.0)) == [3]


def test_a_net_that_declares_a_layer_of_itself() -> None:
    refused("net S(x) {\n  layer l = S\n  return l(x)\n}\nnet main(x: f64) = S(x)\n", "NAM002", x=1.0)


@pytest.mark.parametrize("what", ["sin", "3", "grad(S)", "S(x)"])
def test_a_layer_is_made_from_a_net(what: str) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        value(f"net S(x) = 2 * x\nnet main(x: f64) {{\n  layer l = {what}\n  return l(x)\n}}\n", x=1.0)
    assert caught.value.diagnostics[0].code == "NAM014"

"""Convolution, pooling, normalisation, attention and losses: shapes, dtypes, names of dims, hard points, refusals.

Their numbers are held against PyTorch's in tests/reference/test_neural.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcli
from gradcli import api
from gradcli.request import ModelFile, Request
from tests.interp.nets import NUMPY, calc, grads, refused_expression, same, value

RNG = np.random.default_rng(5)
IMAGE = RNG.normal(size=(2, 3, 5, 6))
KERNEL = RNG.normal(size=(4, 3, 3, 2))
ROWS = RNG.normal(size=(3, 4))


def by_loops(x: Any, w: Any, stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1)) -> Any:
    """The definition of a convolution, one element at a time."""
    (n, _, height, width), (o, _, k, m) = x.shape, w.shape
    rows = (height - dilation[0] * (k - 1) - 1) // stride[0] + 1
    columns = (width - dilation[1] * (m - 1) - 1) // stride[1] + 1
    out = np.zeros((n, o, rows, columns))
    for i, j, r, c in np.ndindex(k, m, rows, columns):
        at = x[:, :, r * stride[0] + i * dilation[0], c * stride[1] + j * dilation[1]]
        out[:, :, r, c] += at @ w[:, :, i, j].T
    return out


# ── convolution ─────────────────────────────────────────────────────────────────────────────────────────────

CONV: dict[str, Any] = {"x": IMAGE, "w": KERNEL}
TYPES = "x: f64[n, 3, 5, 6], w: f64[o, 3, 3, 2]"


def test_conv2d_is_its_definition() -> None:
    same(calc("conv2d(x, w)", TYPES, **CONV), by_loops(IMAGE, KERNEL), "f64", rtol=1e-12, atol=1e-13)
    same(calc("conv2d(x, w, stride=2)", TYPES, **CONV), by_loops(IMAGE, KERNEL, (2, 2)), rtol=1e-12, atol=1e-13)
    apart = by_loops(IMAGE, KERNEL, (1, 2), (2, 3))
    same(calc("conv2d(x, w, stride=[1, 2], dilation=[2, 3])", TYPES, **CONV), apart, rtol=1e-12, atol=1e-13)


def test_padding_is_zeros_around() -> None:
    wide = np.pad(IMAGE, ((0, 0), (0, 0), (2, 2), (1, 1)))
    same(calc("conv2d(x, w, padding=[2, 1])", TYPES, **CONV), by_loops(wide, KERNEL), rtol=1e-12, atol=1e-13)
    same(calc('conv2d(x, w, padding="valid")', TYPES, **CONV), by_loops(IMAGE, KERNEL), rtol=1e-12, atol=1e-13)
    odd = np.pad(IMAGE, ((0, 0), (0, 0), (1, 1), (0, 1)))  # the odd zero stands behind
    same(calc('conv2d(x, w, padding="same")', TYPES, **CONV), by_loops(odd, KERNEL), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_convolution_keeps_its_dtype(dtype: str) -> None:
    types = f"x: {dtype}[1, 2, 6], w: {dtype}[3, 2, 3]"
    x, w = RNG.normal(size=(1, 2, 6)), RNG.normal(size=(3, 2, 3))
    exact = by_loops(x[:, :, None], w[:, :, None])[:, :, 0]
    narrow = {"x": x.astype(NUMPY[dtype]), "w": w.astype(NUMPY[dtype])}
    same(calc("conv1d(x, w)", types, **narrow), exact, dtype, rtol=5e-3 if dtype == "f16" else 1e-5, atol=5e-3)
    slope = grads(f"net f({types}) = sum(conv1d(x, w, [1, 2, 3]))\n", get_all=True, **narrow)
    assert {str(array.dtype) for array in slope.values()} == {NUMPY[dtype]}


def test_integers_are_convolved_as_floats() -> None:
    same(calc("conv1d([[[1, 2, 3]]], [[[1, 1]]])"), [[[3.0, 5.0]]], "f64")


def test_a_batch_without_items_and_one_item_without_a_batch() -> None:
    assert calc("conv2d(x, w)", TYPES, x=IMAGE[:0], w=KERNEL).shape == (0, 4, 3, 5)
    assert grads(f"net f({TYPES}) = sum(conv2d(x, w))\n", x=IMAGE[:0], w=KERNEL, wrt="w")["w"].sum() == 0
    one = calc("conv2d(x, w)", "x: f64[3, 5, 6], w: f64[4, 3, 3, 2]", x=IMAGE[0], w=KERNEL)
    same(one, by_loops(IMAGE[:1], KERNEL)[0], rtol=1e-12, atol=1e-13)


def test_names_of_dims_pass_through_a_convolution() -> None:
    types = "x: f64[batch, 3, height, width], w: f64[out, 3, 3, 2]"
    full = by_loops(IMAGE, KERNEL)
    same(calc("mean(conv2d(x, w), axis=(batch, out))", types, **CONV), full.mean((0, 1)), rtol=1e-12, atol=1e-13)
    kept = calc('sum(conv2d(x, w, padding="same") + x[:, :1], axis=(height, width))', types, **CONV)
    assert kept.shape == (2, 4)


def test_depthwise_convolution_is_one_kernel_for_each_channel() -> None:
    w = RNG.normal(size=(3, 1, 2, 2))
    wanted = np.concatenate([by_loops(IMAGE[:, k : k + 1], w[k : k + 1]) for k in range(3)], axis=1)
    found = calc("conv2d(x, w, groups=3)", "x: f64[2, 3, 5, 6], w: f64[3, 1, 2, 2]", x=IMAGE, w=w)
    same(found, wanted, rtol=1e-12, atol=1e-13)


CONVOLUTIONS: list[tuple[str, str, str, str]] = [
    ("conv2d(x, w)", "x: f64[1, 1, 2, 5], w: f64[1, 1, 3, 3]", "SHP205", "a kernel that spans 3 is larger"),
    ("conv1d(x, w, padding=1, dilation=3)", "x: f64[1, 1, 4], w: f64[1, 1, 3]", "SHP205", "spans 7"),
    ("conv1d(x, w, padding=1, dilation=3)", "x: f64[1, 1, 4], w: f64[1, 1, 3]", "SHP205", "input: 4, padded to 6"),
    ("conv1d(x, w)", "x: f64[1, 4, 5], w: f64[2, 3, 3]", "SHP206", "the input has 4 channels, the weight is for 3"),
    ("conv1d(x, w, groups=2)", "x: f64[1, 4, 5], w: f64[2, 4, 3]", "SHP206", "in 2 groups of 4"),
    ("conv1d(x, w, groups=2)", "x: f64[1, 4, 5], w: f64[3, 2, 3]", "SHP206", "3 output channels"),
    ("conv1d(x, w, [1, 2, 3])", "x: f64[1, 4, 5], w: f64[2, 4, 3]", "SHP207", "2 output channels, the bias"),
    ("conv2d(x, w)", "x: f64[4, 5], w: f64[2, 4, 3, 3]", "SHP107", "[N, C, H, W] or [C, H, W]"),
    ("conv2d(x, w)", "x: f64[1, 4, 5, 5], w: f64[2, 4, 3]", "SHP107", "4 dims"),
    ("conv1d(x, w, stride=0)", "x: f64[1, 1, 5], w: f64[1, 1, 3]", "SHP110", "`stride` is 1 or more, not 0"),
    ("conv1d(x, w, stride=[1, 2])", "x: f64[1, 1, 5], w: f64[1, 1, 3]", "SHP110", "`stride` is one integer"),
    ("conv1d(x, w, padding=-1)", "x: f64[1, 1, 5], w: f64[1, 1, 3]", "SHP110", "`padding` is 0 or more"),
    ('conv1d(x, w, padding="full")', "x: f64[1, 1, 5], w: f64[1, 1, 3]", "SHP110", '"same" or "valid"'),
    ('conv1d(x, w, 0, 2, "same")', "x: f64[1, 1, 5], w: f64[1, 1, 3]", "SHP110", "a stride of 1 only"),
    ("conv1d(x, w, groups=0)", "x: f64[1, 1, 5], w: f64[1, 1, 3]", "SHP110", "`groups` is 1 or more"),
    ("conv1d(x, w)", "x: f64[1, 1, 5], w: f64[1, 1, 0]", "SHP205", "a kernel without elements"),
    ("conv1d(x, w, stride=x)", "x: f64[1, 1, 5], w: f64[1, 1, 3]", "SHP110", "`stride` is made of known integers"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "types", "code", "says"), CONVOLUTIONS)
def test_convolutions_that_are_refused(expression: str, types: str, code: str, says: str) -> None:
    refused_expression(expression, code, signature=types, says=says, verb="eval", **_zeros(types))


def _zeros(types: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for part in types.replace("], ", "]|").split("|"):
        name, _, type_ = part.partition(": ")
        shape = [int(size) for size in type_[type_.index("[") + 1 : -1].split(", ")]
        made[name] = np.zeros(shape, {"f": "f8", "i": "i8", "b": "?"}[type_[0]])
    return made


# ── pooling ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_pools_step_by_their_kernel_and_cut_off_what_is_left() -> None:
    part = IMAGE[:, :, :4].reshape(2, 3, 2, 2, 3, 2)
    same(calc("max_pool2d(x, 2)", "x: f64[n, 3, 5, 6]", x=IMAGE), part.max((3, 5)))
    same(calc("avg_pool2d(x, 2)", "x: f64[n, 3, 5, 6]", x=IMAGE), part.mean((3, 5)), rtol=1e-12)
    same(calc("max_pool2d(x, 2)", "x: f64[3, 5, 6]", x=IMAGE[0]), part[0].max((2, 4)))
    same(
        calc("max_pool2d(x, [2, 3], [3, 1])", "x: f64[3, 5, 6]", x=IMAGE[0])[:, 1, 2], IMAGE[0][:, 3:5, 2:5].max((1, 2))
    )


def test_the_padding_of_a_max_pool_is_never_the_largest() -> None:
    same(
        calc("max_pool2d(x, 2, padding=1)", "x: f64[1, 2, 2]", x=[[[-1.0, -2.0], [-3.0, -4.0]]]), [[[-1, -2], [-3, -4]]]
    )


def test_a_tie_in_a_max_pool_is_shared_evenly() -> None:
    """PyTorch gives all to the first of equals; here ties split, as in every maximum of the language."""
    slope = grads("net f(x: f64[1, 2, 2]) = sum(max_pool2d(x, 2))\n", x=np.array([[[3.0, 1.0], [3.0, 2.0]]]))
    same(slope["x"], [[[0.5, 0.0], [0.5, 0.0]]])


def test_what_hangs_over_is_not_counted_and_what_is_padded_may_be() -> None:
    ones = np.ones((1, 5, 5))
    mean = "avg_pool2d(x, 2, padding=1, ceil_mode=true"
    same(calc(mean + ")", "x: f64[1, 5, 5]", x=ones)[0], [[0.25, 0.5, 0.5], [0.5, 1, 1], [0.5, 1, 1]])
    same(calc(mean + ", count_include_pad=false)", "x: f64[1, 5, 5]", x=ones), np.ones((1, 3, 3)))
    same(calc("avg_pool2d(x, 2, ceil_mode=true)", "x: f64[1, 5, 5]", x=ones), np.ones((1, 3, 3)))


def test_a_last_window_that_would_begin_in_the_padding_is_none() -> None:
    assert calc("max_pool2d(x, 2, 3, ceil_mode=true)", "x: f64[1, 5, 6]", x=np.ones((1, 5, 6))).shape == (1, 2, 2)
    assert calc("max_pool2d(x, 1, 3, ceil_mode=true)", "x: f64[1, 5, 6]", x=np.ones((1, 5, 6))).shape == (1, 2, 2)


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_pools_keep_dtype_and_names(dtype: str) -> None:
    x = IMAGE.astype(NUMPY[dtype])
    found = calc("mean(max_pool2d(x, 2) - avg_pool2d(x, 2), axis=(n, c))", f"x: {dtype}[n, c, 5, 6]", x=x)
    assert (found.shape, str(found.dtype)) == ((2, 3), NUMPY[dtype])
    assert calc("max_pool2d(x, 2)", f"x: {dtype}[n, c, 5, 6]", x=x[:0]).shape == (0, 3, 2, 3)


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("max_pool2d(x, 7)", "SHP205", "a kernel that spans 7 is larger than the input: 5"),
        ("max_pool2d(x, 2, padding=2)", "SHP205", "at most half of a kernel that spans 2, not 2"),
        ("max_pool2d(x, [1, 2, 3])", "SHP110", "`kernel_size` is one integer, or 2 in a list"),
        ("avg_pool2d(x, 0)", "SHP110", "`kernel_size` is 1 or more"),
        ("avg_pool2d(x, 2, ceil_mode=1)", "SHP110", "`ceil_mode` is true or false"),
        ("avg_pool2d(x[0, 0], 2)", "SHP107", "[N, C, H, W] or [C, H, W]"),
    ],
)
def test_pools_that_are_refused(expression: str, code: str, says: str) -> None:
    refused_expression(expression, code, signature="x: f64[2, 3, 5, 6]", says=says, x=IMAGE)


# ── normalisation ───────────────────────────────────────────────────────────────────────────────────────────


def test_layer_norm_has_mean_zero_and_variance_one() -> None:
    found = calc("layer_norm(x, 4)", "x: f64[n, 4]", x=ROWS)
    exact = (ROWS - ROWS.mean(1, keepdims=True)) / np.sqrt(ROWS.var(1, keepdims=True) + 1e-5)
    same(found, exact, "f64", rtol=1e-12)
    same(
        calc("rms_norm(x, [4])", "x: f64[n, 4]", x=ROWS),
        ROWS / np.sqrt((ROWS**2).mean(1, keepdims=True) + 1e-5),
        rtol=1e-12,
    )


def test_a_constant_row_is_normalised_to_zero_and_its_derivative_is_finite() -> None:
    x = np.full((2, 5), 0.1)
    same(calc("layer_norm(x, 5)", "x: f64[2, 5]", x=x), np.zeros((2, 5)), atol=1e-12)
    slope = grads("net f(x: f64[2, 5], c: f64[5]) = sum(c * layer_norm(x, 5))\n", x=x, c=np.arange(5.0), wrt="x")["x"]
    same(slope, np.tile((np.arange(5.0) - 2) / np.sqrt(1e-5), (2, 1)), rtol=1e-6, atol=1e-9)
    same(calc("rms_norm(x, 5)", "x: f64[5]", x=np.zeros(5)), np.zeros(5))


def test_an_array_is_normalised_over_dims_that_have_any_names() -> None:
    """Prelude nets have arguments of such names, too."""
    x = RNG.normal(size=(2, 3, 4))
    exact = calc("layer_norm(x, [3, 4])", "x: f64[2, 3, 4]", x=x)
    for name in ("over", "axis", "x", "eps"):
        found = calc("sum(layer_norm(x, [m, k]), axis=m)", f"x: f64[{name}, m, k]", x=x)
        same(found, exact.sum(1), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_normalisation_keeps_its_dtype(dtype: str) -> None:
    x = ROWS.astype(NUMPY[dtype])
    for name in ("layer_norm", "rms_norm"):
        assert str(calc(f"{name}(x, 4, [1, 2, 3, 4])", f"x: {dtype}[3, 4]", x=x).dtype) == NUMPY[dtype]
        assert calc(f"{name}(x, 4)", f"x: {dtype}[n, 4]", x=x[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("layer_norm(x, 3)", "SHP207", "the last dims of f64[3, 4] are not the normalized shape [3]"),
        ("layer_norm(x, [2, 3, 4])", "SHP207", "not the normalized shape [2, 3, 4]"),
        ("layer_norm(x, [])", "SHP207", "not the normalized shape []"),
        ("layer_norm(x, 4, [1, 2])", "SHP207", "the weight is i64[2]"),
        ("layer_norm(x, 4, None, [[1, 2, 3, 4]])", "SHP207", "the bias is i64[1, 4]"),
        ("rms_norm(x, 4, 2)", "SHP207", "the weight is i64"),
        ("rms_norm(x, sum(x))", "SHP110", "`normalized_shape` is made of known integers"),
    ],
)
def test_normalisations_that_are_refused(expression: str, code: str, says: str) -> None:
    refused_expression(expression, code, signature="x: f64[3, 4]", says=says, x=ROWS)


# ── attention ───────────────────────────────────────────────────────────────────────────────────────────────

Q, K, V = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 6))
QKV: dict[str, Any] = {"q": Q, "k": K, "v": V}
HEADS = "q: f64[b, n, 4], k: f64[b, s, 4], v: f64[b, s, f]"


def softmax(scores: Any) -> Any:
    parts = np.exp(scores - scores.max(-1, keepdims=True))
    return parts / parts.sum(-1, keepdims=True)


def test_attention_is_its_definition() -> None:
    scores = Q @ K.swapaxes(-1, -2)
    same(calc("attention(q, k, v)", HEADS, **QKV), softmax(scores / 2) @ V, "f64", rtol=1e-12, atol=1e-13)
    same(calc("attention(q, k, v, scale=3)", HEADS, **QKV), softmax(scores * 3) @ V, rtol=1e-12, atol=1e-13)
    seen = np.where(np.tri(3, 5, dtype=bool), scores / 2, -np.inf)
    same(calc("attention(q, k, v, causal=true)", HEADS, **QKV), softmax(seen) @ V, rtol=1e-12, atol=1e-13)
    assert calc("mean(attention(q, k, v), axis=(b, n, f))", HEADS, **QKV).shape == ()


def test_a_query_without_any_key_gets_zero_and_so_does_what_flows_back() -> None:
    """As in PyTorch since 2.5; a softmax of -inf alone would be nan."""
    mask = np.array([[True, True, False, False, True], [False] * 5, [True] * 5])
    types = HEADS + ", m: bool[3, 5]"
    found = calc("attention(q, k, v, m)", types, m=mask, **QKV)
    same(found[:, 1], np.zeros((2, 6)))
    slopes = grads(f"net f({types}) = sum(attention(q, k, v, m) ** 2)\n", m=mask, get_all=True, **QKV)
    assert all(np.isfinite(array).all() for array in slopes.values())
    same(slopes["q"][:, 1], np.zeros((2, 4)))
    added = np.where(mask, 0.0, -np.inf)
    same(calc("attention(q, k, v, m)", HEADS + ", m: f64[3, 5]", m=added, **QKV), found)


def test_scores_of_a_thousand_do_not_overflow() -> None:
    large = calc("attention(1000 * q, k, v)", HEADS, **QKV)
    assert np.isfinite(large).all()


@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_attention_keeps_its_dtype(dtype: str) -> None:
    narrow = {name: array.astype(NUMPY[dtype]) for name, array in QKV.items()}
    assert str(calc("attention(q, k, v, causal=true)", HEADS.replace("f64", dtype), **narrow).dtype) == NUMPY[dtype]


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("attention(q, v, v)", "SHP207", "queries of 4 features meet keys of 6"),
        ("attention(q, k, v[:, :3])", "SHP207", "5 keys come with 3 values"),
        ("attention(q[0, 0], k, v)", "SHP107", "attention wants q of [..., n, features]"),
        ("attention(q, k, v, mask=[[1, 0, 1, 1, 1]])", "SHP103", "a mask is of bools"),
        ("attention(q, k, v, causal=1)", "SHP110", "`causal` is true or false"),
    ],
)
def test_attentions_that_are_refused(expression: str, code: str, says: str) -> None:
    refused_expression(
        expression, code, signature="q: f64[2, 3, 4], k: f64[2, 5, 4], v: f64[2, 5, 6]", says=says, **QKV
    )


# ── losses ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_squared_error_takes_what_broadcasts_and_refuses_the_classic_bug() -> None:
    same(calc("mse(x, 1)", "x: f64[3]", x=[1.0, 2.0, 3.0]), 5 / 3, "f64", rtol=1e-15)
    same(calc('mse(x, [0, 0, 3], reduction="none")', "x: f32[3]", x=[1.0, 2.0, 3.0]), [1.0, 4.0, 0.0], "f32")
    assert np.isnan(calc("mse(x, x)", "x: f64[0]", x=np.zeros(0)))
    refused_expression(
        "mse(p, t)", "SHP102", "mse(p, t)", signature="p: f64[3, 1], t: f64[3]", **_zeros("p: f64[3, 1], t: f64[3]")
    )
    refused_expression(
        'mse(p, p, reduction="avg")',
        "SHP110",
        signature="p: f64[3]",
        says='"none", "mean" or "sum", not "avg"',
        p=np.ones(3),
    )


def test_cross_entropy_of_a_thousand_is_exact() -> None:
    logits = [[1000.0, -1000.0], [-1000.0, 1000.0], [1000.0, 1000.0]]
    found = calc('cross_entropy(x, [0, 0, 1], reduction="none")', "x: f64[3, 2]", x=logits)
    same(found, [0.0, 2000.0, np.log(2)], rtol=1e-15)
    slope = grads('net f(x: f64[3, 2]) = cross_entropy(x, [0, 0, 1], reduction="sum")\n', x=np.array(logits))["x"]
    same(slope, [[0.0, 0.0], [-1.0, 1.0], [0.5, -0.5]])


def test_a_class_that_is_impossible_has_an_infinite_loss_only_as_the_target() -> None:
    found = calc('cross_entropy(x, [0, 1], reduction="none")', "x: f64[2, 2]", x=[[0.0, -np.inf], [0.0, -np.inf]])
    same(found, [0.0, np.inf])


def test_ignored_labels_have_no_part_and_a_batch_of_them_is_nan() -> None:
    x = np.array([[1.0, 2.0], [-np.inf, 0.0]])
    same(calc("cross_entropy(x, [0, -100])", "x: f64[2, 2]", x=x), np.log(1 + np.e), rtol=1e-15)
    weighted = "net f(x: f64[2, 2], w: f64[2]) = cross_entropy(x, [0, -100], w)\n"
    slopes = grads(weighted, x=x, w=np.ones(2), get_all=True)
    assert np.isfinite(slopes["w"]).all()
    same(slopes["x"][1], [0.0, 0.0])
    assert np.isnan(calc("cross_entropy(x, [-1, -1], ignore_index=-1)", "x: f64[2, 2]", x=np.ones((2, 2))))
    assert np.isnan(calc("cross_entropy(x, y)", "x: f64[n, 2], y: i64[n]", x=np.ones((0, 2)), y=np.zeros(0, "i8")))


@pytest.mark.parametrize("label", [2, -1, -100])
def test_a_label_out_of_range_is_an_error_where_it_is_met(label: int) -> None:
    index = ", ignore_index=7" if label == -100 else ""
    types = "x: f64[2, 2], y: i64[2]"
    found = refused_expression(
        f"cross_entropy(x, y{index})", "SHP108", signature=types, x=np.ones((2, 2)), y=np.array([0, label])
    )
    assert f"index {label} is out of range for a dim of size 2" in found.message
    assert found.span is not None
    assert not found.span.source.prelude


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
@pytest.mark.parametrize("labels", ["i32", "i64"])
def test_cross_entropy_keeps_the_dtype_of_its_logits(dtype: str, labels: str) -> None:
    x = ROWS.astype(NUMPY[dtype])
    y = np.array([0, 3, -100], NUMPY[labels])
    for options in ("", ", [1, 2, 3, 4]", ", label_smoothing=0.1"):
        found = calc(f"cross_entropy(x, y{options})", f"x: {dtype}[n, c], y: {labels}[n]", x=x, y=y)
        assert str(found.dtype) == NUMPY[dtype]


def test_losses_of_items_keep_the_name_of_the_batch() -> None:
    text = 'sum(cross_entropy(x, y, reduction="none"), axis=n)'
    y = np.array([[0, 1], [2, 0]])
    x = RNG.normal(size=(2, 3, 2))
    assert calc(text, "x: f64[n, c, t], y: i64[n, t]", x=x, y=y).shape == (2,)


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("cross_entropy(x, y[:, None])", "SHP207", "integer labels for f64[3, 4] have the shape [3], not [3, 1]"),
        ("cross_entropy(x, x[0])", "SHP207", "probabilities for f64[3, 4] have its shape, not [4]"),
        ("cross_entropy(x, f64(y))", "SHP103", "labels are integers, not f64[3]"),
        ("cross_entropy(x, x > 0)", "SHP103", "a target is of integer labels or of probabilities"),
        ("cross_entropy(x, y, [1, 2, 3])", "SHP207", "4 classes have as many weights"),
        ("cross_entropy(sum(x), y)", "SHP107", "logits of [N, classes, ...] or [classes]"),
        ("cross_entropy(x, y, label_smoothing=2)", "SHP110", "a known number from 0 to 1"),
        ("cross_entropy(x, y, ignore_index=0.5)", "SHP110", "`ignore_index` is a known integer"),
        ("cross_entropy(x, y, reduction=sum)", "SHP110", '"none", "mean" or "sum", not the operator sum'),
    ],
)
def test_losses_that_are_refused(expression: str, code: str, says: str) -> None:
    refused_expression(expression, code, signature="x: f64[3, 4], y: i64[3]", says=says, x=ROWS, y=np.array([0, 1, 2]))


def test_the_help_for_labels_in_a_column_is_a_repair() -> None:
    found = refused_expression(
        "cross_entropy(x, y)", "SHP207", signature="x: f64[3, 4], y: i64[3, 1]", x=ROWS, y=np.zeros((3, 1), int)
    )
    assert found.help == "drop the dim of size 1: `[:, 0]`"
    calc("cross_entropy(x, y[:, 0])", "x: f64[3, 4], y: i64[3, 1]", x=ROWS, y=np.zeros((3, 1), int))


def test_binary_cross_entropy_at_zero_and_one() -> None:
    """The logarithm is cut off at -100, and where it is, the loss is flat: its derivative is 0. (PyTorch's values; its
    derivative there is ∓1e12, of a formula that is not that of the value.)"""
    x, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    types = "x: f64[4], t: f64[4]"
    same(calc('binary_cross_entropy(x, t, reduction="none")', types, x=x, t=t), [0.0, 0.0, 100.0, 100.0])
    slopes = grads(f'net f({types}) = binary_cross_entropy(x, t, reduction="sum")\n', x=x, t=t, get_all=True)
    same(slopes["x"], [1.0, -1.0, 0.0, 0.0])
    same(slopes["t"], [100.0, -100.0, 100.0, -100.0])
    assert np.isnan(calc("binary_cross_entropy(x, 1)", "x: f64", x=-0.1))
    assert np.isnan(calc("binary_cross_entropy(x, 1)", "x: f64", x=np.nan))


def test_binary_cross_entropy_of_logits_keeps_its_digits() -> None:
    x, t = np.array([1000.0, 1000.0, -1000.0, -1000.0, 40.0, -40.0]), np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    tiny = 4.248354255291589e-18  # log(1 + exp(-40))
    found = calc('binary_cross_entropy(x, t, reduction="none", with_logits=true)', "x: f64[6], t: f64[6]", x=x, t=t)
    same(found, [0.0, 1000.0, 1000.0, 0.0, tiny, tiny], rtol=1e-15)


def test_gradients_of_single_items_are_those_of_batches_of_one() -> None:
    text = """
net loss(x: f64[1, 6, 6], y: i64, w: f64[2, 1, 3, 3], v: f64[2, 3]) -> f64 {
  h = max_pool2d(conv2d(x, w, padding=1), 2)
  return cross_entropy(mean(h, axis=(1, 2)) @ v, y)
}
net one(x, y, w, v) = grad(loss, wrt=w)(x, y, w, v)
net each(x, y, w, v) = vmap(grad(loss, wrt=w), axes=(0, 0, None, None))(x, y, w, v)
"""
    x, y = RNG.normal(size=(4, 1, 6, 6)), np.array([0, 2, 1, 1])
    w, v = RNG.normal(size=(2, 1, 3, 3)), RNG.normal(size=(2, 3))
    wanted = [value(text, net="one", x=a, y=b, w=w, v=v) for a, b in zip(x, y, strict=True)]
    same(value(text, net="each", x=x, y=y, w=w, v=v), np.stack(wanted), rtol=1e-12, atol=1e-14)


def test_shapes_hold_for_all_sizes() -> None:
    text = """
net c(x: f64[b, k, n], w: f64[o, k, 3]) = conv1d(x, w, padding="same")
net p(x: f64[b, k, n, m]) = avg_pool2d(pad(x, [(0, 0), (0, 0), (2, 2), (2, 2)]), 3, 1)
net s(x: f64[b, k, n], w: f64[o, k, 2]) = conv1d(concat([x, x], axis=2), w, stride=2)
net a(q: f64[b, n, d], k: f64[b, m, d], v: f64[b, m, f]) = attention(q, k, v, causal=true)
"""
    (found,) = api.check([ModelFile(None, text)], Request())
    results = {net.name: (net.outputs[0][1], net.conditions) for net in found.nets}
    assert results == {
        "c": ("f64[b, o, n]", ("n ≥ 1",)),
        "p": ("f64[b, k, n + 2, m + 2]", ()),
        "s": ("f64[b, o, n]", ("n ≥ 1",)),
        "a": ("f64[b, n, f]", ("m ≥ 1",)),
    }


def test_operators_compose_into_a_net_that_trains() -> None:
    text = """
net digits(x: f32[batch, 1, 8, 8], y: i64[batch]) {
  param w: f32[4, 1, 3, 3] = he_normal(seed=1)
  param b: f32[4] = zeros()
  param v: f32[10, 64] = he_normal(seed=2)
  h = max_pool2d(relu(conv2d(x, w, b, padding=1)), 2)
  return cross_entropy(reshape(h, [batch, 64]) @ v.T, y)
}
"""
    x, y = RNG.normal(size=(5, 1, 8, 8)).astype("f4"), np.arange(5)
    slopes = gradcli.compile(text).grad(x=x, y=y, wrt="params")
    assert {name: str(array.dtype) for name, array in slopes.items()} == dict.fromkeys(("w", "b", "v"), "float32")
    assert float(value(text, x=x, y=y)) > 0

"""Values, gradients and Hessian-vector products of the neural and shape operators, from PyTorch in float64.

Made with Python 3.11 and torch 2.13.0 (CPU). To make tests/reference/neural.json again:

    pip install torch==2.13.0 && python tools/reference/neural.py

A row is a call in the language with its operands. Its number is L = Σ c · result, with c_k = (7k mod 11 - 5)/4, so that
`gradients` are ∂L; `second` is ∂⟨v, ∂L⟩ with the directions v_k = (5k mod 13 - 6)/8, over all float operands
together. Operands have few digits, so that the file stays small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

TARGET = Path(__file__).parents[2] / "tests" / "reference" / "neural.json"
Shapes = Mapping[str, tuple[int, ...]]
Fixed = dict[str, Any]  # operands that are no floats, or that must have certain values

CONV1 = {"x": (2, 4, 7), "w": (3, 4, 3), "b": (3,)}
CONV2 = {"x": (2, 2, 5, 4), "w": (4, 2, 3, 2), "b": (4,)}
POOL = {"x": (1, 2, 5, 6)}
QKV = {"q": (2, 3, 4), "k": (2, 5, 4), "v": (2, 5, 3)}
MASK = [[True, False, True, True, False], [False, False, False, False, True], [True, True, True, True, True]]
GONE = [[True, False, True, True, False], [False] * 5, [True] * 5]
PAIR = {"x": (3, 4), "t": (3, 4)}
SHARES = {"t": [[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]}
PROBABILITIES = {"x": [[0.5, 0.25, 0.125], [0.9, 0.01, 0.75]]}
LABELS = {"y": [2, 0, 3]}
SPARSE = {"y": [2, -100, 3]}


def bce(x: Any, t: Any) -> Any:
    """Written out: the second derivative of PyTorch's own adds 1e-12 to x (1 - x)."""
    losses = -(t * torch.log(x) + (1 - t) * torch.log1p(-x))
    torch.testing.assert_close(losses, F.binary_cross_entropy(x, t, reduction="none"))
    return losses


Row = tuple[str, Callable[..., Any], Shapes, Fixed]
ROWS: list[Row] = [
    ("conv1d(x, w, b)", lambda x, w, b: F.conv1d(x, w, b), CONV1, {}),
    ("conv1d(x, w, b, stride=2, padding=1)", lambda x, w, b: F.conv1d(x, w, b, 2, 1), CONV1, {}),
    ('conv1d(x, w, padding="same", dilation=2)', lambda x, w: F.conv1d(x, w, padding="same", dilation=2),
     {"x": (1, 2, 6), "w": (2, 2, 3)}, {}),
    ("conv1d(x, w, groups=2)", lambda x, w: F.conv1d(x, w, groups=2), {"x": (2, 4, 5), "w": (6, 2, 2)}, {}),
    ("conv1d(x, w)", lambda x, w: F.conv1d(x, w), {"x": (2, 5), "w": (3, 2, 2)}, {}),
    ("conv2d(x, w, b)", lambda x, w, b: F.conv2d(x, w, b), CONV2, {}),
    ("conv2d(x, w, b, [2, 1], [1, 0])", lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0)), CONV2, {}),
    ("conv2d(x, w, dilation=[2, 1], padding=1)", lambda x, w: F.conv2d(x, w, dilation=(2, 1), padding=1),
     {"x": (1, 1, 5, 4), "w": (2, 1, 2, 3)}, {}),
    ('conv2d(x, w, padding="same")', lambda x, w: F.conv2d(x, w, padding="same"),
     {"x": (1, 2, 3, 4), "w": (1, 2, 2, 3)}, {}),
    ("conv2d(x, w, b, groups=2)", lambda x, w, b: F.conv2d(x, w, b, groups=2),
     {"x": (2, 2, 3, 4), "w": (4, 1, 2, 2), "b": (4,)}, {}),
    ("max_pool2d(x, 2)", lambda x: F.max_pool2d(x, 2), POOL, {}),
    ("max_pool2d(x, [3, 2], 1, [1, 0])", lambda x: F.max_pool2d(x, (3, 2), 1, (1, 0)), POOL, {}),
    ("max_pool2d(x, 2, dilation=2, stride=1)", lambda x: F.max_pool2d(x, 2, stride=1, dilation=2), POOL, {}),
    ("max_pool2d(x, 2, 3, ceil_mode=true)", lambda x: F.max_pool2d(x, 2, 3, ceil_mode=True), POOL, {}),
    ("avg_pool2d(x, 2)", lambda x: F.avg_pool2d(x, 2), POOL, {}),
    ("avg_pool2d(x, 3, 2, 1)", lambda x: F.avg_pool2d(x, 3, 2, 1), POOL, {}),
    ("avg_pool2d(x, 3, 2, 1, count_include_pad=false)",
     lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), POOL, {}),
    ("avg_pool2d(x, [2, 4], [2, 3], [0, 1], ceil_mode=true)",
     lambda x: F.avg_pool2d(x, (2, 4), (2, 3), (0, 1), ceil_mode=True), POOL, {}),
    ("layer_norm(x, 4)", lambda x: F.layer_norm(x, (4,)), {"x": (3, 4)}, {}),
    ("layer_norm(x, [2, 3], w, b, eps=0.1)", lambda x, w, b: F.layer_norm(x, (2, 3), w, b, 0.1),
     {"x": (2, 2, 3), "w": (2, 3), "b": (2, 3)}, {}),
    ("rms_norm(x, 4, w)", lambda x, w: F.rms_norm(x, (4,), w, 1e-5), {"x": (3, 4), "w": (4,)}, {}),
    ("rms_norm(x, [2, 3], eps=0.1)", lambda x: F.rms_norm(x, (2, 3), None, 0.1), {"x": (2, 2, 3)}, {}),
    ("attention(q, k, v)", F.scaled_dot_product_attention, QKV, {}),
    ("attention(q, k, v, causal=true, scale=0.7)",
     lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7), QKV, {}),
    ("attention(q, k, v, m)", F.scaled_dot_product_attention, QKV, {"m": MASK}),
    ("attention(q, k, v, m)", F.scaled_dot_product_attention, QKV, {"m": GONE}),
    ("attention(q, k, v, m)", F.scaled_dot_product_attention, {**QKV, "m": (3, 5)}, {}),
    ("mse(x, t)", F.mse_loss, PAIR, {}),
    ('mse(x, t, reduction="sum")', lambda x, t: F.mse_loss(x, t, reduction="sum"), PAIR, {}),
    ('mse(x, t, reduction="none")', lambda x, t: F.mse_loss(x, t, reduction="none"), PAIR, {}),
    ("cross_entropy(x, y)", F.cross_entropy, {"x": (3, 4)}, LABELS),
    ("cross_entropy(x, y)", F.cross_entropy, {"x": (4,)}, {"y": 1}),
    ("cross_entropy(x, y, w)",
     lambda x, w, y: F.cross_entropy(x, y, w), {"x": (3, 4)}, {"w": [0.5, 1.0, 2.0, 3.0], **SPARSE}),
    ('cross_entropy(x, y, reduction="none")',
     lambda x, y: F.cross_entropy(x, y, reduction="none"), {"x": (3, 4)}, SPARSE),
    ('cross_entropy(x, y, reduction="sum", ignore_index=2)',
     lambda x, y: F.cross_entropy(x, y, reduction="sum", ignore_index=2), {"x": (3, 4)}, LABELS),
    ("cross_entropy(x, y, label_smoothing=0.2)",
     lambda x, y: F.cross_entropy(x, y, label_smoothing=0.2), {"x": (3, 4)}, SPARSE),
    ("cross_entropy(x, y, w, label_smoothing=0.2)", lambda x, w, y: F.cross_entropy(x, y, w, label_smoothing=0.2),
     {"x": (3, 4)}, {"w": [0.5, 1.0, 2.0, 3.0], **SPARSE}),
    ("cross_entropy(x, y)", F.cross_entropy, {"x": (2, 3, 2)}, {"y": [[0, 2], [1, -100]]}),
    ("cross_entropy(x, t)", F.cross_entropy, {"x": (3, 4)}, SHARES),
    ("cross_entropy(x, t, w, label_smoothing=0.1)", lambda x, w, t: F.cross_entropy(x, t, w, label_smoothing=0.1),
     {"x": (3, 4)}, {"w": [0.5, 1.0, 2.0, 3.0], **SHARES}),
    ("binary_cross_entropy(x, t)",
     lambda x, t: bce(x, t).mean(), {}, {**PROBABILITIES, "t": [[0.5, 0.0, 1.0], [1.0, 0.1, 0.3]]}),
    ('binary_cross_entropy(x, t, w, reduction="none")',
     lambda x, w, t: w * bce(x, t), {},
     {**PROBABILITIES, "w": [[1.0, 2.0, 3.0], [0.5, 0.25, 4.0]], "t": [[0.5, 0.0, 1.0], [1.0, 0.1, 0.3]]}),
    ("binary_cross_entropy(x, t, with_logits=true)", F.binary_cross_entropy_with_logits, {},
     {"x": [[0.5, -3.0, 20.0], [-20.0, 2.0, 0.0]], "t": [[0.5, 0.0, 1.0], [0.0, 0.1, 0.3]]}),
    ('pad(x, [[1, 0], [2, 1]], mode="constant", constant_values=3)',
     lambda x: F.pad(x, (2, 1, 1, 0), value=3.0), {"x": (2, 3)}, {}),
    ('pad(x, [[0, 0], [2, 1]], mode="reflect")', lambda x: F.pad(x, (2, 1), mode="reflect"), {"x": (2, 4)}, {}),
    ('pad(x, [[0, 0], [2, 1]], mode="edge")', lambda x: F.pad(x, (2, 1), mode="replicate"), {"x": (2, 4)}, {}),
    ('pad(x, [[0, 0], [2, 1]], mode="wrap")', lambda x: F.pad(x, (2, 1), mode="circular"), {"x": (2, 4)}, {}),
    ("roll(x, [1, -2], axis=[0, 1])", lambda x: torch.roll(x, (1, -2), (0, 1)), {"x": (3, 4)}, {}),
    ("roll(x, 2)", lambda x: torch.roll(x, 2), {"x": (2, 3)}, {}),
    ("repeat(x, 2, axis=0)", lambda x: torch.repeat_interleave(x, 2, 0), {"x": (2, 3)}, {}),
    ("repeat(x, [2, 0, 3], axis=1)",
     lambda x: torch.repeat_interleave(x, torch.tensor([2, 0, 3]), 1), {"x": (2, 3)}, {}),
    ("tile(x, [2, 1, 2])", lambda x: torch.tile(x, (2, 1, 2)), {"x": (2, 3)}, {}),
    ("take_along(x, i, axis=1)",
     lambda x, i: torch.take_along_dim(x, i, 1), {"x": (2, 3)}, {"i": [[2, 2, 0, 2], [1, 0, 1, 1]]}),
]  # fmt: skip


def spread(count: int, seed: int) -> torch.Tensor:
    """Numbers of two digits between -1.5 and 1.5, all different for a row of up to 301."""
    k = torch.arange(count)
    return ((k * 89 + 31 * seed) % 301 - 150).double() / 100


def weights(like: torch.Tensor, factor: int, modulus: int, divisor: int) -> torch.Tensor:
    """(factor k mod modulus - middle) / divisor, exactly."""
    k = torch.arange(like.numel())
    return ((factor * k % modulus - modulus // 2).double() / divisor).reshape(like.shape)


def operands(shapes: Shapes, fixed: Fixed) -> dict[str, torch.Tensor]:
    made = {name: spread(prod(shape), k).reshape(shape) for k, (name, shape) in enumerate(shapes.items())}
    for name, value in fixed.items():
        tensor = torch.tensor(value)
        made[name] = tensor.double() if tensor.is_floating_point() else tensor
    return made


def row(call: str, function: Callable[..., Any], shapes: Shapes, fixed: Fixed) -> dict[str, Any]:
    """Constant weights (`w` that is fixed) have no derivative in PyTorch's losses, and none here."""
    given = operands(shapes, fixed)
    by = [name for name, tensor in given.items() if tensor.is_floating_point() and (name != "w" or name in shapes)]
    floats = {name: given[name].requires_grad_() for name in by}
    value = function(*given.values())
    first = derivatives((weights(value, 7, 11, 4) * value).sum(), floats)
    along = sum((weights(g, 5, 13, 8) * g).sum() for g in first.values())
    second = derivatives(along, floats)
    return {
        "call": call,
        "operands": {name: t.tolist() for name, t in given.items()},
        "value": value.tolist(),
        "gradients": {name: g.tolist() for name, g in first.items()},
        "second": {name: g.tolist() for name, g in second.items()},
    }


def derivatives(number: Any, by: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Zeros where the number does not depend on an operand."""
    if not isinstance(number, torch.Tensor) or not number.requires_grad:
        return {name: torch.zeros_like(t) for name, t in by.items()}
    found = torch.autograd.grad(number, list(by.values()), create_graph=True, materialize_grads=True)
    return dict(zip(by, found, strict=True))


def main() -> None:
    with sdpa_kernel(SDPBackend.MATH):
        lines = [json.dumps(row(*each), separators=(",", ":")) for each in ROWS]
    TARGET.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""A small net for images: convolutions, pooling, one dense layer.

1×28×28 by two 3×3 convolutions of 16 and 32 channels, each with relu and 2×2 max pooling, to 10 classes; the mean
cross-entropy and its gradient by all params.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import gradcli_step, jax_step, torch_step
from benchmarks.workload import Arrays, Case, Suite, normal

PARAMS = ("k1", "c1", "k2", "c2", "w", "b")

MODEL = """
net main(x: f32[batch, 1, 28, 28], labels: i64[batch]) -> f32 {
  param k1: f32[16, 1, 3, 3] = zeros()
  param c1: f32[16] = zeros()
  param k2: f32[32, 16, 3, 3] = zeros()
  param c2: f32[32] = zeros()
  param w: f32[1568, 10] = zeros()
  param b: f32[10] = zeros()
  h = max_pool2d(relu(conv2d(x, k1, c1, padding=1)), 2)
  h = max_pool2d(relu(conv2d(h, k2, c2, padding=1)), 2)
  return cross_entropy(reshape(h, [batch, 1568]) @ w + b, labels)
}
"""


def data(case: Case) -> Arrays:
    import numpy as np

    a = {"x": normal("x", [case.size, 1, 28, 28], "f32"), "labels": np.arange(case.size) * 7 % 10}
    shapes = {"k1": (16, 1, 3, 3), "k2": (32, 16, 3, 3), "w": (1568, 10), "c1": (16,), "c2": (32,), "b": (10,)}
    for name, shape in shapes.items():
        below = 0.01 if len(shape) == 1 else float(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
        a[name] = normal(name, shape, "f32", scale=0.1 if len(shape) == 1 else (2 / below) ** 0.5)
    return a


def jax_loss(xp: Any, a: Arrays) -> Any:
    import jax
    from jax import lax

    h = a["x"]
    for kernel, bias in (("k1", "c1"), ("k2", "c2")):
        h = lax.conv_general_dilated(h, a[kernel], (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        h = jax.nn.relu(h + a[bias][:, None, None])
        h = lax.reduce_window(h, -xp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    logs = jax.nn.log_softmax(h.reshape(len(h), -1) @ a["w"] + a["b"])
    return -xp.mean(xp.take_along_axis(logs, a["labels"][:, None], axis=1))


def torch_loss(a: Arrays) -> Any:
    import torch.nn.functional as F

    h = a["x"]
    for kernel, bias in (("k1", "c1"), ("k2", "c2")):
        h = F.max_pool2d(F.relu(F.conv2d(h, a[kernel], a[bias], padding=1)), 2)
    return F.cross_entropy(h.flatten(1) @ a["w"] + a["b"], a["labels"])


SUITE = Suite(
    "convolution",
    "two convolutions with pooling and a dense layer, value and gradient by all params",
    "images",
    (Case(8), Case(32), Case(128)),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(MODEL, a, PARAMS, PARAMS),
        "jax": lambda case, a: jax_step(jax_loss, a, PARAMS),
        "torch.compile": lambda case, a: torch_step(torch_loss, a, PARAMS, compiled=True),
        "torch": lambda case, a: torch_step(torch_loss, a, PARAMS),
    },
    tiny=(Case(2),),
)

"""A step of training: matrix products of some size, with little between them.

784-512-512-10 with relu and the mean cross-entropy; its value and its gradient by all params.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from benchmarks.engines import autograd_step, gradcli_step, jax_step, torch_step
from benchmarks.workload import NUMPY, Arrays, Case, Step, Suite, normal

SIZES = (784, 512, 512, 10)
PARAMS = ("w1", "b1", "w2", "b2", "w3", "b3")

MODEL = """
# A two-layer perceptron and its mean cross-entropy; t holds the labels, one-hot.
net Loss(x: f32[batch, 784], t: f32[batch, 10]) -> f32 {
  param w1: f32[784, 512] = zeros()
  param b1: f32[512] = zeros()
  param w2: f32[512, 512] = zeros()
  param b2: f32[512] = zeros()
  param w3: f32[512, 10] = zeros()
  param b3: f32[10] = zeros()
  h = relu(x @ w1 + b1)
  h = relu(h @ w2 + b2)
  return -mean(sum(t * log_softmax(h @ w3 + b3, axis=1), axis=1))
}
"""


def model(case: Case) -> str:
    return MODEL.replace("f32", case.dtype)


def data(case: Case) -> Arrays:
    import numpy as np

    a = {"x": normal("x", [case.size, SIZES[0]], case.dtype)}
    a["t"] = np.eye(SIZES[-1], dtype=NUMPY[case.dtype])[np.arange(case.size) * 7 % SIZES[-1]]
    for i, (below, above) in enumerate(pairwise(SIZES), start=1):
        a[f"w{i}"] = normal(f"w{i}", [below, above], case.dtype, scale=(2 / below) ** 0.5)
        a[f"b{i}"] = np.full(above, 0.01, dtype=NUMPY[case.dtype])
    return a


def loss(xp: Any, a: Arrays) -> Any:
    h = xp.maximum(a["x"] @ a["w1"] + a["b1"], 0)
    h = xp.maximum(h @ a["w2"] + a["b2"], 0)
    z = h @ a["w3"] + a["b3"]
    z = z - xp.max(z, axis=1, keepdims=True)
    return -xp.mean(xp.sum(a["t"] * (z - xp.log(xp.sum(xp.exp(z), axis=1, keepdims=True))), axis=1))


def torch_loss(a: Arrays) -> Any:
    import torch

    h = torch.relu(torch.addmm(a["b1"], a["x"], a["w1"]))
    h = torch.relu(torch.addmm(a["b2"], h, a["w2"]))
    return torch.nn.functional.cross_entropy(torch.addmm(a["b3"], h, a["w3"]), a["t"])


def by_hand(case: Case, a: Arrays) -> Step:
    """Forward and backward written out, as one does who knows the formulas and minds memory a little."""
    import numpy as np

    x, t = a["x"], a["t"]

    def step() -> Arrays:
        h1 = np.maximum(x @ a["w1"] + a["b1"], 0)
        h2 = np.maximum(h1 @ a["w2"] + a["b2"], 0)
        z = h2 @ a["w3"] + a["b3"]
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=1, keepdims=True)
        value = np.mean(np.log(total)[:, 0] - np.sum(t * z, axis=1))
        d3 = (e / total - t) / len(x)
        d2 = (d3 @ a["w3"].T) * (h2 > 0)
        d1 = (d2 @ a["w2"].T) * (h1 > 0)
        biases = {"b1": d1.sum(axis=0), "b2": d2.sum(axis=0), "b3": d3.sum(axis=0)}
        return {"value": value, "w1": x.T @ d1, "w2": h1.T @ d2, "w3": h2.T @ d3, **biases}

    return step


SUITE = Suite(
    "perceptron",
    "a 784-512-512-10 perceptron, value and gradient by all params",
    "rows of a batch",
    (Case(32), Case(128), Case(512), Case(1024), Case(1024, "f64")),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(model(case), a, PARAMS, PARAMS),
        "jax": lambda case, a: jax_step(loss, a, PARAMS),
        "torch.compile": lambda case, a: torch_step(torch_loss, a, PARAMS, compiled=True),
        "torch": lambda case, a: torch_step(torch_loss, a, PARAMS),
        "autograd": lambda case, a: autograd_step(loss, a, PARAMS),
        "numpy": by_hand,
    },
    tiny=(Case(3, "f32"),),
)

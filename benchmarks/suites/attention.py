"""A block of a transformer: attention, which grows with the square of the length, and a perceptron at every place.

Layer norm, causal attention with 4 heads of 64, a residual, layer norm, 256-1024-256 with gelu, a residual; 4 texts;
the mean square and its gradient by all params.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import gradcli_step, jax_step, torch_step
from benchmarks.workload import NUMPY, Arrays, Case, Suite, normal

TEXTS, HEADS, WIDTH = 4, 4, 256
SHAPES = {
    "n1": (WIDTH,), "m1": (WIDTH,), "qkv": (WIDTH, 3 * WIDTH), "out": (WIDTH, WIDTH),
    "n2": (WIDTH,), "m2": (WIDTH,), "up": (WIDTH, 4 * WIDTH), "a": (4 * WIDTH,), "down": (4 * WIDTH, WIDTH),
    "b": (WIDTH,),
}  # fmt: skip
PARAMS = tuple(SHAPES)

MODEL = """
net heads(x: f32[texts, places, 256]) = transpose(reshape(x, [texts, places, 4, 64]), axes=[0, 2, 1, 3])

net main(x: f32[texts, places, 256]) -> f32 {
  param n1: f32[256] = ones()
  param m1: f32[256] = zeros()
  param qkv: f32[256, 768] = zeros()
  param out: f32[256, 256] = zeros()
  param n2: f32[256] = ones()
  param m2: f32[256] = zeros()
  param up: f32[256, 1024] = zeros()
  param a: f32[1024] = zeros()
  param down: f32[1024, 256] = zeros()
  param b: f32[256] = zeros()
  q, k, v = split(layer_norm(x, 256, n1, m1) @ qkv, 3, axis=2)
  seen = attention(heads(q), heads(k), heads(v), causal=true)
  x = x + reshape(transpose(seen, axes=[0, 2, 1, 3]), [texts, places, 256]) @ out
  x = x + gelu(layer_norm(x, 256, n2, m2) @ up + a) @ down + b
  return mean(x * x)
}
"""


def data(case: Case) -> Arrays:
    import numpy as np

    made = {"x": normal("x", [TEXTS, case.size, WIDTH], case.dtype)}
    for name, shape in SHAPES.items():
        scale = 0.1 if len(shape) == 1 else shape[0] ** -0.5
        made[name] = normal(name, shape, case.dtype, scale) + np.ones((), NUMPY[case.dtype]) * (name in ("n1", "n2"))
    return made


def jax_loss(xp: Any, a: Arrays) -> Any:
    import jax

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        centred = x - xp.mean(x, axis=-1, keepdims=True)
        return centred / xp.sqrt(xp.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * weight + bias

    x = a["x"]
    q, k, v = xp.split(layer_norm(x, a["n1"], a["m1"]) @ a["qkv"], 3, axis=2)
    split = (*x.shape[:2], HEADS, -1)
    seen = jax.nn.dot_product_attention(q.reshape(split), k.reshape(split), v.reshape(split), is_causal=True)
    x = x + seen.reshape(x.shape) @ a["out"]
    x = x + jax.nn.gelu(layer_norm(x, a["n2"], a["m2"]) @ a["up"] + a["a"], approximate=False) @ a["down"] + a["b"]
    return xp.mean(x * x)


def torch_loss(a: Arrays) -> Any:
    import torch
    import torch.nn.functional as F

    x = a["x"]
    parts = (F.layer_norm(x, (WIDTH,), a["n1"], a["m1"]) @ a["qkv"]).chunk(3, dim=2)
    q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in parts)
    seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + seen.transpose(1, 2).flatten(2) @ a["out"]
    x = x + F.gelu(F.layer_norm(x, (WIDTH,), a["n2"], a["m2"]) @ a["up"] + a["a"]) @ a["down"] + a["b"]
    return torch.mean(x * x)


SUITE = Suite(
    "attention",
    "a block of a transformer, value and gradient by all params",
    "places of a text",
    (Case(64), Case(128), Case(256)),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(MODEL, a, PARAMS, PARAMS),
        "jax": lambda case, a: jax_step(jax_loss, a, PARAMS),
        "torch.compile": lambda case, a: torch_step(torch_loss, a, PARAMS, compiled=True),
        "torch": lambda case, a: torch_step(torch_loss, a, PARAMS),
    },
    tiny=(Case(3),),
)

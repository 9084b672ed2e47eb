"""Models that a derivation must tell well: each with the options it is explained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gradcli.request import ModelFile

ROOT = Path(__file__).resolve().parents[2]

PERCEPTRON = """dim batch = 4
net Perceptron(x: f64[batch, 3], y: f64[batch, 2]) -> f64 {
  param w: f64[3, 2] = glorot_uniform(seed=1)
  param b: f64[2] = zeros()
  h = tanh(x @ w + b)
  p = softmax(h)
  loss = mean(-sum(y * log(p), axis=-1))
  return loss
}
input x: f64[batch, 3] = reshape(linspace(-1, 1, 12), [4, 3])
input y: f64[batch, 2] = [[1, 0], [0, 1], [1, 0], [0, 1]]
"""
WHERE = """net Roots(x: f64[4], y: f64[4]) -> f64 {
  r = where(x > 0, sqrt(where(x > 0, x, 1.0)), 0.0)
  return sum(r * relu(y))
}
input x: f64[4] = [1, -2, 3, 4]
input y: f64[4] = [1, 2, -3, 4]
"""
LOOP = """net Walk(h: f64[3], w: f64[3]) -> f64 {
  for i in 0..50 {
    h = sin(w * h) + h / (1 + i)
  }
  return sum(h * h)
}
input h: f64[3] = [1, 2, 3]
input w: f64[3] = [0.1, 0.2, 0.3]
"""
WHILE = """net Root(x: f64) -> f64 {
  y = x
  for i in 0..100 while abs(y * y - x) > 1e-10 {
    y = y - (y * y - x) / (2 * y)
  }
  return y
}
input x: f64 = 2
"""
NESTED = """net Nest(x: f64[3]) -> f64 {
  h = x
  for i in 0..20 {
    for j in 0..12 {
      h = h + 0.01 * sin(h) * x
    }
  }
  return sum(h)
}
input x: f64[3] = [1, 2, 3]
"""
RECURRENT = """net Cell(x: f64[2, 3], w: f64[3, 3]) -> f64 {
  for i in 0..20 {
    x = x + tanh(x @ w) * 0.1
  }
  return sum(x)
}
input x: f64[2, 3] = [[1, 2, 3], [4, 5, 6]]
input w: f64[3, 3] = eye(3)
"""
VECTOR = """net Grow(x: f64[3], w: f64[3, 3]) -> f64 {
  for i in 0..30 while sum(x * x) < 100 {
    x = x + tanh(x @ w)
  }
  return sum(x)
}
input x: f64[3] = [1, 2, 3]
input w: f64[3, 3] = 0.1 * ones([3, 3])
"""
SWAP = """net Swap(x: f64, y: f64) -> f64 {
  for i in 0..20 {
    x, y = y, sin(x) * y
  }
  return y
}
input x: f64 = 1
input y: f64 = 2
"""
LAYERS = """net Dense[i, o](x) {
  param w: f64[i, o] = glorot_uniform(seed=1)
  param b: f64[o] = zeros()
  return x @ w + b
}
net main(x: f64[batch, 3]) -> f64[batch, 2] {
  layer l[2] = Dense[3, 3]
  layer out = Dense[3, 2]
  h = tanh(l[0](x))
  h = tanh(l[1](h))
  return out(h)
}
input x: f64[5, 3] = reshape(linspace(-1, 1, 15), [5, 3])
"""
BROADCAST = """net Affine(x: f64[batch, k], scale: f64[k], shift: f64) -> f64[batch, k] = x * scale + shift
input x: f64[4, 3] = reshape(linspace(-1, 1, 12), [4, 3])
input scale: f64[3] = [1, 2, 3]
input shift: f64 = 0.5
"""
WRITE = """net Write(x: f64[3], v: f64) {
  x[1] = v
  x[0:2] += v * v
  x[i64([2, 2])] += v
  return x * x
}
input x: f64[3] = [1, 2, 3]
input v: f64 = 4
"""
TWO = """net Two(x: f64[3], unused: f64) -> (f64[3], f64) {
  a = sin(x)
  b = sum(a * x)
  return a, b
}
input x: f64[3] = [1, 2, 3]
input unused: f64 = 1
"""
INNER = """net g(x) = sum(softmax(x * x) * x)
net main(x: f64[3]) {
  d = grad(g)(x)
  return sum(d * d)
}
input x: f64[3] = [1, 2, 3]
"""
AGAIN = """net g(x) {
  h = sin(x)
  return h * h * x
}
net main(x: f64[3]) -> f64 = sum(checkpoint(g)(x) * x)
input x: f64[3] = [1, 2, 3]
"""
NAMES = """net Names(v1: f64, t1: f64, d_v1: f64) {
  d_t1 = v1 * t1
  h = d_t1 * d_v1
  return h * sin(h)
}
input v1: f64 = 1
input t1: f64 = 2
input d_v1: f64 = 3
"""
NORMALS = """net main(x: f64[n, k], labels: i64[n]) -> f64 {
  y = layer_norm(attention(x, x, x), [3])
  return cross_entropy(y @ y.T, labels) + logsumexp(y)
}
input x: f64[4, 3] = reshape(linspace(-1, 1, 12), [4, 3])
input labels: i64[4] = [0, 1, 2, 3]
"""
DEEP = """net part(h: f64[3], w: f64[3]) {
  for k in 0..30 {
    h = 0.5 * h * h + w
  }
  return h
}
net Deep(x: f64[3], w: f64[3]) -> f64 {
  for i in 0..20 {
    for j in 0..12 {
      x = sin(w * x)
    }
    x = checkpoint(part)(0.1 * x, w)
  }
  return sum(x)
}
input x: f64[3] = [1, 2, 3]
input w: f64[3] = [0.1, 0.2, 0.3]
"""
DECAY = """net Decay(x: f64[3], w: f64[3]) -> f64 {
  for i in 0..20 {
    x = 0.9 * x - w
  }
  return sum(x * w)
}
input x: f64[3] = [1, 2, 3]
input w: f64[3] = [1, 2, 3]
"""
BIASED = """net Biased(x: f64[batch, k], w: f64[k, k], b: f64[k]) -> f64 {
  x = x + b
  for i in 0..20 {
    x = tanh(x @ w + b)
    for j in 0..12 {
      x = x * b + sin(x)
    }
  }
  return sum(x)
}
input x: f64[2, 3] = [[1, 2, 3], [4, 5, 6]]
input w: f64[3, 3] = eye(3)
input b: f64[3] = [0.1, 0.2, 0.3]
"""
TEXTS = {
    "perceptron": PERCEPTRON, "where": WHERE, "loop": LOOP, "while": WHILE, "nested": NESTED, "layers": LAYERS,
    "broadcast": BROADCAST, "write": WRITE, "two": TWO, "inner": INNER, "again": AGAIN, "names": NAMES,
    "normals": NORMALS, "recurrent": RECURRENT, "vector": VECTOR, "swap": SWAP, "decay": DECAY, "deep": DEEP,
    "biased": BIASED,
}  # fmt: skip


def model(name: str) -> ModelFile:
    """One of the texts above, a path below models/, or an expression."""
    if name in TEXTS:
        return ModelFile(text=TEXTS[name], name=f"{name}.net")
    if name.endswith(".net"):
        return ModelFile(path=ROOT / "models" / name, name=f"models/{name}")
    return ModelFile(text=name, name="<expression>", expression=True)


EVERY: list[tuple[str, dict[str, Any]]] = [
    *((name, {"get_all": True}) for name in TEXTS if name != "deep"),
    ("deep", {"get_all": True, "net": "Deep"}),
    ("perceptron", {"get_by_list": True}),
    ("layers", {"get_by_list": True}),
    ("layers", {"at": "h"}),
    ("recurrent", {}),
    ("deep", {"net": "Deep"}),
    ("broadcast", {"get_all": True, "sens": ("random:1",)}),
    ("guide/matmul.net", {"get_all": True, "get_by_list": True}),
    ("guide/stop_gradient.net", {"get_all": True}),
    ("guide/element.net", {"get_all": True}),
    ("survey/survey.net", {"get_all": True}),
    ("iris/iris.net", {"net": "Loss", "get_by_list": True}),
    ("pinn/burgers.net", {"net": "Loss", "get_by_list": True}),
]

ONE = "[0.5, 1.5, 2.5]"
EXPRESSIONS = (
    "relu(x)", "abs(x)", "max(x)", "clip(x, 0, 1)", "where(x > 1, x * x, sin(x))", "x[1:] * x[:-1]",
    "x[i64([0, 2, 0])]",
    "cumsum(x)", "prod(x)", "logsumexp(x)", "log_softmax(x)", "norm(x)", "std(x)", "outer(x, x)", "concat([x, 2 * x])",
    "stack([x, x * x])[1]", "flip(x)", "roll(x, 1)", "x ** 2.5", "x ** x", "gelu(x)", "hypot(x, 2)", "rsqrt(x)",
    "x[0] * x[2]", "x[None] * x[:, None]", "sum(x * x) * 3", "floor(x) * x", "f32(x) * 2", "x - mean(x)", "0 * x", "x",
    "outer(x, x) @ inv(outer(x, x) + eye(3))", "slogdet(outer(x, x) + eye(3))[1]", "stop_gradient(x) * x",
    "sigmoid(x) / x",
)  # fmt: skip

"""The models on which `gradcheck` is tried: right ones with what makes differences hard, and what is said of each."""

from __future__ import annotations

STOPS = """\
# in a loop, in a checkpoint, and across both
net main(x: f64[3], w: f64[3]) {
  h = x
  for i in 0..20 {
    h = sin(h * w) + 0.1 * stop_gradient(h * h)
  }
  net part(h, w) = tanh(h * w) * stop_gradient(h)
  return checkpoint(part)(h, w)
}
input x = [0.1, 0.2, 0.3]
input w = [1.0, 0.9, 1.1]
"""
WHILE = """\
net main(a: f64[n]) -> f64[n] {
  x = ones([3])
  for i in 0..50 while max(abs(x * x - a)) > 1e-10 {
    x = 0.5 * (x + a / x)
  }
  return x
}
input a: f64[3] = [2.0, 3.0, 5.0]
"""
# The second turn is just taken, or just not: |h| is 1 after the first.
EDGE = """\
net main(a: f64) {
  h = 4.0 * a
  for i in 0..9 while h >= 1.0 {
    h = h * 0.5
  }
  return h
}
input a = 0.5
"""
LAYERS = """\
net Dense[i, o](x: f32[b, i]) -> f32[b, o] {
  param w: f32[i, o] = glorot_uniform(seed=1)
  param b: f32[o] = zeros()
  return x @ w + b
}
net main(x: f32[b, 4], t: i64[b]) -> f32 {
  layer l1 = Dense[4, 8]
  layer l2 = Dense[8, 3]
  h = relu(l1(x))
  return cross_entropy(l2(h), t)
}
input x: f32[5, 4] = f32(sin(reshape(arange(20), [5, 4])))
input t: i64[5] = [0, 1, 2, 1, 0]
"""
EMPTY = """\
net main(x: f64[0, 3], y: f64[3], n: i64) = sum(x @ y) + sum(y * y) * n
input x = zeros([0, 3])
input y = [1, 2, 3]
input n = i64(3)
"""
LARGE = """\
net main(x: f32[n], w: f32[n]) = mean(relu(x * w) + x ** 2)
input x: f32[n] = f32(sin(arange(20_000) * 1.7))
input w: f32[n] = f32(cos(arange(20_000) * 0.3))
"""
INDICES = """\
net main(x: f64[5], idx: i64[4]) {
  y = zeros([5])
  y[idx] += sin(x[idx])
  y[0] = y[1] * y[2]
  return y * x
}
input x = [0.1, 0.2, 0.3, 0.4, 0.5]
input idx: i64[4] = [1, 2, 1, 4]
"""
NESTED = """\
net U(t, x) = sin(x) * exp(-t)
net main(t: f64[4], x: f64[4]) {
  ut = grad(U, wrt=t)
  uxx = grad(grad(U, wrt=x), wrt=x)
  return ut(t, x) - 0.1 * uxx(t, x) + U(t, x) ** 2
}
input t = [0.1, 0.5, 1.0, 0.3]
input x = [0.3, 1.1, -0.7, 2.0]
"""
SOLVES = """\
net main(a: f64[3, 3], b: f64[3]) {
  m = a @ a.T + eye(3)
  return sum(solve(m, b)) + slogdet(m)[1] + sum(cholesky(m))
}
input a = [[1, 0.5, 0.2], [0.3, 2, 0.1], [0.4, 0.2, 1.5]]
input b = [1, 2, 3]
"""

# Only +, -, *, / and abs: the same numbers on every machine, for pages.
EXACT = """\
net main(x: f64[3], y: f64) {
  h = x * y
  k = h / (x + y)
  return k, abs(h)
}
input x = [1, 0, 3]
input y = 0.5
"""

# All of these are right, by all that they have.
RIGHT = {
    "stop_gradient in a loop and in a checkpoint": STOPS,
    "the turns of a while": WHILE,
    "params, in f32": LAYERS,
    "indices that repeat": INDICES,
    "derivatives inside": NESTED,
    "matrices": SOLVES,
    "a softmax of ties": "net main(x: f64[3]) = sum(softmax(x) * x)\ninput x = [1, 1, 1]\n",
    "close to a kink": "net main(x: f64[4]) = relu(x) * abs(x - 1)\ninput x = [1e-5, -1e-5, 1.00001, 3]\n",
    "beside a pole": "net main(x: f64[2]) = 1 / x\ninput x = [1, 1e-6]\n",
    "small numbers": "net main(x: f64[2]) = sqrt(x) + 1\ninput x = [1e-12, 3e-12]\n",
    "large numbers": "net main(x: f64[2]) = log(x) * x\ninput x = [1e9, 3e12]\n",
    "a gradient of zero": "net main(x: f64[2]) = sum(softmax(x)) + floor(x[0])\ninput x = [0.3, 2.4]\n",
    "powers at zero": "net main(x: f64[3]) = x ** 2 + x ** 3 + x ** 1.0\ninput x = [0, -1, 2]\n",
    "two outputs": "net main(x: f64[2], y: f64[2]) {\n  h = x * y\n  k = x - y\n  return h, k, x > y\n}\n"
    "input x = [1, 2]\ninput y = [3, 5]\n",
}  # fmt: skip

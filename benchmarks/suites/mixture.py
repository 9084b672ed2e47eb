"""The log-likelihood of a mixture of Gaussians, a standard of those who compare tools for derivatives.

Srajer, Kukelova and Fitzgibbon (2018): 25 components in 10 dimensions; it is differentiated by their weights, means and
the triangles of their inverse covariances (models/gmm).
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import autograd_step, gradcli_step, jax_step, torch_step
from benchmarks.workload import Arrays, Case, Suite, normal

COMPONENTS, DIMENSIONS = 25, 10
BY = ("alpha", "mu", "q")

MODEL = """
net component(x: f64[points, d], weight: f64, centre: f64[d], t: f64[d, d]) -> f64[points] {
  logs = diag(t)
  Q = tril(t, -1) + diag(exp(logs))
  return weight + sum(logs) - 0.5 * sum(((x - centre) @ Q.T)**2, axis=1)
}

net main(x: f64[points, d], alpha: f64[k], mu: f64[k, d], q: f64[k, d, d]) -> f64 {
  of_each = vmap(component, axes=(None, 0, 0, 0))(x, alpha, mu, q)
  return sum(logsumexp(of_each, axis=0)) - points * logsumexp(alpha)
}
"""


def data(case: Case) -> Arrays:
    return {
        "x": normal("x", [case.size, DIMENSIONS], "f64"),
        "alpha": normal("alpha", [COMPONENTS], "f64"),
        "mu": normal("mu", [COMPONENTS, DIMENSIONS], "f64"),
        "q": normal("q", [COMPONENTS, DIMENSIONS, DIMENSIONS], "f64", 0.3),
    }


def likelihood(xp: Any, a: Arrays) -> Any:
    """With the names that JAX, autograd and PyTorch share: the diagonal by a mask, the sum of exponentials by hand."""
    import numpy as np

    below, diagonal = np.tri(DIMENSIONS, k=-1), np.eye(DIMENSIONS)
    if hasattr(xp, "from_numpy"):
        below, diagonal = xp.from_numpy(below), xp.from_numpy(diagonal)
    logs = (a["q"] * diagonal).sum(2)
    Q = a["q"] * below + xp.exp(logs)[:, :, None] * diagonal
    off = xp.matmul(a["x"] - a["mu"][:, None, :], xp.swapaxes(Q, 1, 2))
    of_each = a["alpha"][:, None] + logs.sum(1)[:, None] - 0.5 * (off**2).sum(2)
    return log_sum(xp, of_each).sum() - len(a["x"]) * log_sum(xp, a["alpha"])


def log_sum(xp: Any, x: Any) -> Any:
    """Of exponentials over axis 0."""
    if hasattr(xp, "logsumexp"):
        return xp.logsumexp(x, 0)
    top = xp.max(x, 0)
    return top + xp.log(xp.exp(x - top).sum(0))


def torch_likelihood(a: Arrays) -> Any:
    import torch

    return likelihood(torch, a)


SUITE = Suite(
    "mixture",
    "a mixture of 25 Gaussians in 10 dimensions, value and gradient",
    "points",
    (Case(100, "f64"), Case(1_000, "f64"), Case(10_000, "f64", quick=False)),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(MODEL, a, BY),
        "jax": lambda case, a: jax_step(likelihood, a, BY),
        "torch.compile": lambda case, a: torch_step(torch_likelihood, a, BY, compiled=True),
        "torch": lambda case, a: torch_step(torch_likelihood, a, BY),
        "autograd": lambda case, a: autograd_step(likelihood, a, BY),
    },
    tiny=(Case(4, "f64"),),
)

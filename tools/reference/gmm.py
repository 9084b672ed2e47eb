"""Parameters and expected values of models/gmm, from PyTorch's distributions in float64, and from NumPy.

Made with Python 3.11, torch 2.13.0 (CPU) and NumPy 2.4. To make them again:

    pip install torch==2.13.0 numpy && python tools/reference/gmm.py

The fitted parameters are where the EM algorithm comes to rest, from the three species.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

MODELS = Path(__file__).parents[2] / "models"

Arrays = dict[str, Any]
Floats = NDArray[np.float64]


def likelihood(x: torch.Tensor, alpha: torch.Tensor, mu: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    triangle = torch.tril(q, -1) + torch.diag_embed(torch.exp(torch.diagonal(q, dim1=1, dim2=2)))
    normal = torch.distributions.MultivariateNormal(mu, precision_matrix=triangle.mT @ triangle)
    weights = torch.distributions.Categorical(logits=alpha)
    return torch.distributions.MixtureSameFamily(weights, normal).log_prob(x).sum()


def densities(x: Floats, weight: Floats, mean: Floats, covariance: Floats) -> Floats:
    """Each component's part at each flower, f64[k, n]."""
    found = []
    for w, m, s in zip(weight, mean, covariance, strict=True):
        square = np.sum((x - m) * np.linalg.solve(s, (x - m).T).T, axis=1)
        found.append(w * np.exp(-square / 2) / np.sqrt(np.linalg.det(2 * np.pi * s)))
    return np.stack(found)


def fit(x: Floats, belongs: Floats, turns: int) -> tuple[Floats, Floats, Floats]:
    """Weights f64[k], means f64[k, d] and covariances f64[k, d, d], by Dempster, Laird and Rubin (1977)."""
    for _ in range(turns):
        weight = belongs.mean(axis=1)
        mean = belongs @ x / belongs.sum(axis=1, keepdims=True)
        off = x - mean[:, None]
        covariance = np.einsum("kn,kni,knj->kij", belongs, off, off) / belongs.sum(axis=1)[:, None, None]
        parts = densities(x, weight, mean, covariance)
        belongs = parts / parts.sum(axis=0)
    print(f"EM ends at a log-likelihood of {np.log(parts.sum(axis=0)).sum():.6f}")
    return weight, mean, covariance


def main() -> None:
    table = np.loadtxt(MODELS / "iris" / "iris.csv", delimiter=",", skiprows=1)
    x, species = table[:, :4], table[:, 4]
    weight, mean, covariance = fit(x, np.stack([species == kind for kind in range(3)]).astype(float), 2000)
    triangles = np.linalg.inv(np.linalg.cholesky(covariance))
    diagonal = np.eye(4, dtype=bool)
    fitted = np.where(diagonal, np.log(np.where(diagonal, triangles, 1)), triangles)
    np.savez(MODELS / "gmm" / "fitted.npz", alpha=np.log(weight), mu=mean, q=fitted)

    random = np.random.default_rng(1)
    params: Arrays = {
        "alpha": random.standard_normal(3),
        "mu": x[random.choice(len(x), 3, replace=False)],
        "q": 0.5 * random.standard_normal((3, 4, 4)),
    }
    np.savez(MODELS / "gmm" / "params.npz", **params)
    given = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    value = likelihood(torch.tensor(x), **given)
    gradients = torch.autograd.grad(value, list(given.values()))
    expected = {"likelihood": value, **dict(zip(given, gradients, strict=True))}
    np.savez(MODELS / "gmm" / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})


if __name__ == "__main__":
    main()

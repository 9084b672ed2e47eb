"""Points, weights and expected values of models/sobolev, from PyTorch in float64.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4 and safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy safetensors && python tools/reference/sobolev.py

Both sets of weights are where L-BFGS ends from the same random ones, with the slopes in the loss and without. The
slopes of the function are the textbook's, not those of PyTorch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).parents[2] / "models" / "sobolev"
SHAPES = {"U.w1": (2, 24), "U.b1": (24,), "U.w2": (24, 24), "U.b2": (24,), "U.w3": (24,)}

Weights = dict[str, torch.Tensor]


def target(x: torch.Tensor) -> torch.Tensor:
    z = 5 * x
    return (z**4 - 16 * z**2 + 5 * z).sum(1) / 100


def slopes(x: torch.Tensor) -> torch.Tensor:
    z = 5 * x
    return (4 * z**3 - 32 * z + 5) / 20


def surface(x: torch.Tensor, w: Weights) -> torch.Tensor:
    """f64[n, 2] → f64[n]."""
    return torch.tanh(torch.tanh(x @ w["U.w1"] + w["U.b1"]) @ w["U.w2"] + w["U.b2"]) @ w["U.w3"]


def loss_of(x: torch.Tensor, w: Weights, weight: float) -> torch.Tensor:
    u = surface(x, w)
    (own,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    return ((u - target(x)) ** 2).mean() + weight * ((own - slopes(x)) ** 2).sum(1).mean()


def fit(x: torch.Tensor, initial: Weights, weight: float) -> Weights:
    weights = {name: value.clone().requires_grad_() for name, value in initial.items()}
    optimiser = torch.optim.LBFGS(weights.values(), max_iter=400, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = loss_of(x, weights, weight)
        loss.backward(inputs=list(weights.values()))
        return loss

    optimiser.step(closure)
    return {name: value.detach() for name, value in weights.items()}


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    points, new = random.uniform(-1, 1, (30, 2)), random.uniform(-1, 1, (200, 2))
    np.savez(HERE / "points.npz", x=points, new=new)
    x = torch.tensor(points, requires_grad=True)
    initial = {n: torch.tensor(random.standard_normal(s) / np.sqrt(s[0])) for n, s in SHAPES.items()}
    for name, weight in (("values", 0.0), ("sobolev", 0.1)):
        weights = fit(x, initial, weight)
        save_file({key: value.numpy() for key, value in weights.items()}, HERE / f"{name}.safetensors")
        off = (surface(torch.tensor(new), weights) - target(torch.tensor(new))).square().mean().sqrt()
        print(f"{name}: loss {loss_of(x, weights, weight).item():.2e}, off at other points by {off.item():.4f}")

    weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
    by = {**weights, "x": x}
    loss = loss_of(x, weights, 0.1)
    expected = {"loss": loss}
    expected |= dict(zip([f"gradient.{n}" for n in by], torch.autograd.grad(loss, list(by.values())), strict=True))
    np.savez(HERE / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})


if __name__ == "__main__":
    main()

"""Weights and expected values of models/iris, from PyTorch in float64.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4 and safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy safetensors && python tools/reference/iris.py

The first weights are normal numbers of NumPy's default_rng(1). The fitted ones are where L-BFGS comes to a stop on the
loss with a weight decay of 0.001; another machine stops at weights that differ in the last digits, which is why they
are stored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).parents[2] / "models" / "iris"
SHAPES = {"Logits.w1": (4, 8), "Logits.b1": (8,), "Logits.w2": (8, 3), "Logits.b2": (3,)}

Weights = dict[str, torch.Tensor]


def logits(x: torch.Tensor, w: Weights) -> torch.Tensor:
    """f64[n, 4] → f64[n, 3]; the columns of `x` are standardised with the population's deviation."""
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    w1, b1, w2, b2 = (w[name] for name in SHAPES)
    return torch.tanh(standard @ w1 + b1) @ w2 + b2


def fit(x: torch.Tensor, species: torch.Tensor, w: Weights) -> Weights:
    """The weights that L-BFGS finds from `w`."""
    weights = {name: value.detach().clone().requires_grad_() for name, value in w.items()}
    optimiser = torch.optim.LBFGS(weights.values(), max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        decay = sum((v * v).sum() for v in weights.values())
        loss = torch.nn.functional.cross_entropy(logits(x, weights), species) + 1e-3 * decay
        loss.backward()
        return loss

    optimiser.step(closure)
    return {name: value.detach() for name, value in weights.items()}


def descend(x: torch.Tensor, species: torch.Tensor, w: Weights, steps: int, rate: float) -> torch.Tensor:
    """The loss after some steps of gradient descent, which can be differentiated by the weights it starts from."""
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(logits(x, w), species)
        gradients = torch.autograd.grad(loss, list(w.values()), create_graph=True)
        w = {name: value - rate * d for (name, value), d in zip(w.items(), gradients, strict=True)}
    return torch.nn.functional.cross_entropy(logits(x, w), species)


def save(name: str, weights: Weights) -> None:
    save_file({key: np.ascontiguousarray(value.detach().numpy()) for key, value in weights.items()}, HERE / name)


def main() -> None:
    table = np.loadtxt(HERE / "iris.csv", delimiter=",", skiprows=1)
    x = torch.tensor(table[:, :4], requires_grad=True)
    species = torch.tensor(table[:, 4].astype(np.int64))
    random = np.random.default_rng(1)
    initial = {name: torch.tensor(0.5 * random.standard_normal(shape)) for name, shape in SHAPES.items()}
    save("initial.safetensors", initial)

    weights = {name: value.clone().requires_grad_() for name, value in initial.items()}
    loss = torch.nn.functional.cross_entropy(logits(x, weights), species)
    gradients = torch.autograd.grad(loss, [*weights.values(), x])
    expected = {"loss": loss, **dict(zip([f"gradient.{n}" for n in [*weights, "x"]], gradients, strict=True))}

    expected["after"] = descend(x.detach(), species, weights, 10, 0.5)
    gradients = torch.autograd.grad(expected["after"], list(weights.values()))
    expected |= dict(zip([f"after.{name}" for name in weights], gradients, strict=True))

    trained = fit(x.detach(), species, initial)
    save("trained.safetensors", trained)
    z = logits(x, trained)
    expected["trained.loss"] = torch.nn.functional.cross_entropy(z, species)
    expected["trained.accuracy"] = (z.argmax(1) == species).double().mean()
    np.savez(HERE / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})
    print(f"loss {loss.item():.4f}, fitted {expected['trained.loss'].item():.4f}", end=", ")
    print(f"accuracy {expected['trained.accuracy'].item():.4f}")


if __name__ == "__main__":
    main()

"""Sines, weights and expected values of models/maml, from PyTorch in float64.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4 and safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy safetensors && python tools/reference/maml.py

The sines are those of the paper: amplitudes from 0.1 to 5, phases from 0 to pi, points from -5 to 5. The weights are
where 8000 steps of Adam end, each on 25 new sines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).parents[2] / "models" / "maml"
RATE, SHOTS, UNITS = 0.02, 10, 40

Arrays = dict[str, Any]
Weights = dict[str, torch.Tensor]


def sines(random: np.random.Generator, count: int) -> Arrays:
    """Two sets of points on each sine, f64[count, SHOTS] each."""
    amplitude, phase = random.uniform(0.1, 5, (count, 1)), random.uniform(0, np.pi, (count, 1))
    x, x_new = random.uniform(-5, 5, (2, count, SHOTS))
    return {"xs": x, "ys": amplitude * np.sin(x - phase), "xs_new": x_new, "ys_new": amplitude * np.sin(x_new - phase)}


def errors(x: torch.Tensor, y: torch.Tensor, w: Weights) -> torch.Tensor:
    """f64[n, SHOTS] twice → f64[n]. A weight may have the sines in front, one set of weights for each."""
    hidden = torch.tanh(x[..., None] * w["w1"][..., None, :] + w["b1"][..., None, :])
    found = (hidden * w["w2"][..., None, :]).sum(-1) + w["b2"][..., None]
    return ((found - y) ** 2).mean(-1)


def after(batch: dict[str, torch.Tensor], w: Weights) -> torch.Tensor:
    """f64[n]: each sine has a copy of the weights of its own, and takes its step on it."""
    own = {name: value.expand(len(batch["xs"]), *value.shape) for name, value in w.items()}
    total = errors(batch["xs"], batch["ys"], own).sum()
    slopes = torch.autograd.grad(total, list(own.values()), create_graph=True)
    moved = {name: value - RATE * slope for (name, value), slope in zip(own.items(), slopes, strict=True)}
    return errors(batch["xs_new"], batch["ys_new"], moved)


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in arrays.items()}


def train(random: np.random.Generator, steps: int) -> Weights:
    sizes = {"w1": (UNITS,), "b1": (UNITS,), "w2": (UNITS,), "b2": ()}
    scales = {"w1": 1.0, "b1": 2.0, "w2": 0.3, "b2": 0.0}
    weights = {n: torch.tensor(scales[n] * random.standard_normal(s), requires_grad=True) for n, s in sizes.items()}
    optimiser = torch.optim.Adam(weights.values(), lr=0.003)
    for step in range(steps):
        optimiser.zero_grad()
        loss = after(tensors(sines(random, 25)), weights).mean()
        loss.backward()
        optimiser.step()
        if step % 1000 == 0:
            print(f"step {step}: loss {loss.item():.4f}")
    return {name: value.detach() for name, value in weights.items()}


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    weights = train(random, 8000)
    arrays = {f"start.{name}": value.numpy() for name, value in weights.items()}
    save_file(arrays, HERE / "params.safetensors")
    held_out = sines(random, 8)
    np.savez(HERE / "sines.npz", **held_out)

    weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
    batch = tensors(held_out)
    expected = {"before": errors(batch["xs_new"], batch["ys_new"], weights), "after": after(batch, weights)}
    gradients = torch.autograd.grad(expected["after"].mean(), list(weights.values()))
    expected |= dict(zip([f"gradient.{name}" for name in weights], gradients, strict=True))
    np.savez(HERE / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})
    print(f"before {expected['before'].mean().item():.4f}, after {expected['after'].mean().item():.4f}")


if __name__ == "__main__":
    main()

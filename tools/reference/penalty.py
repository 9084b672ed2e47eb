"""Rows, weights and expected values of models/penalty, from PyTorch in float64.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4 and safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy safetensors && python tools/reference/penalty.py

What is real lies on a ring, what is made in its middle. The weights are where 500 steps of Adam end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).parents[2] / "models" / "penalty"
ROWS = 32
SHAPES = {"Critic.w1": (2, 32), "Critic.b1": (32,), "Critic.w2": (32, 32), "Critic.b2": (32,), "Critic.w3": (32,)}

Arrays = dict[str, Any]
Weights = dict[str, torch.Tensor]


def rows(random: np.random.Generator) -> Arrays:
    angle = random.uniform(0, 2 * np.pi, ROWS)
    ring = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return {
        "real": ring + 0.1 * random.standard_normal((ROWS, 2)),
        "made": 0.5 * random.standard_normal((ROWS, 2)),
        "part": random.uniform(0, 1, ROWS),
    }


def critic(x: torch.Tensor, w: Weights) -> torch.Tensor:
    """f64[n, 2] → f64[n]."""
    silu = torch.nn.functional.silu
    return silu(silu(x @ w["Critic.w1"] + w["Critic.b1"]) @ w["Critic.w2"] + w["Critic.b2"]) @ w["Critic.w3"]


def loss_of(batch: dict[str, torch.Tensor], w: Weights) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and the steepness at each row, f64[ROWS]."""
    part = batch["part"][:, None]
    between = part * batch["real"] + (1 - part) * batch["made"]
    if not between.requires_grad:
        between.requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, w).sum(), between, create_graph=True)
    steepness = slope.norm(dim=1)
    penalty = ((steepness - 1) ** 2).mean()
    return critic(batch["made"], w).mean() - critic(batch["real"], w).mean() + 10 * penalty, steepness


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    weights = {
        n: torch.tensor(random.standard_normal(s) / np.sqrt(s[0]), requires_grad=True) for n, s in SHAPES.items()
    }
    optimiser = torch.optim.Adam(weights.values(), lr=0.005, betas=(0.5, 0.9))
    for step in range(500):
        optimiser.zero_grad()
        loss, _ = loss_of({name: torch.tensor(value) for name, value in rows(random).items()}, weights)
        loss.backward(inputs=list(weights.values()))
        optimiser.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}")
    save_file({name: value.detach().numpy() for name, value in weights.items()}, HERE / "params.safetensors")

    arrays = rows(random)
    np.savez(HERE / "rows.npz", **arrays)
    batch = {name: torch.tensor(value) for name, value in arrays.items()}
    batch["made"].requires_grad_()
    loss, steepness = loss_of(batch, weights)
    by = {**weights, "made": batch["made"]}
    expected = {"loss": loss, "steepness": steepness}
    expected |= dict(zip([f"gradient.{n}" for n in by], torch.autograd.grad(loss, list(by.values())), strict=True))
    np.savez(HERE / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})
    print(f"loss {loss.item():.4f}, steepness {steepness.mean().item():.4f}")


if __name__ == "__main__":
    main()

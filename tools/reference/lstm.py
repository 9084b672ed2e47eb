"""Tracks, weights and expected values of models/lstm, from torch.nn.LSTM in float64.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4 and safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy safetensors && python tools/reference/lstm.py

Each mass swings in two directions with a frequency and a phase of its own in each. The weights are where 600 steps of
Adam end; `state.safetensors` is the state dict of `Model`, as PyTorch has it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

HERE = Path(__file__).parents[2] / "models" / "lstm"
STEPS, MASSES = 30, 4


class Model(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(2, 8)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0])


def swings(random: np.random.Generator) -> NDArray[np.float64]:
    """f64[STEPS, MASSES, 2]."""
    frequency = random.uniform(0.3, 0.7, (MASSES, 2))
    phase = random.uniform(0, 2 * np.pi, (MASSES, 2))
    return np.sin(frequency * np.arange(STEPS)[:, None, None] + phase)


def loss_of(model: Model, tracks: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.mse_loss(model(tracks[:-1]), tracks[1:])


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    tracks = torch.tensor(swings(np.random.default_rng(1)), requires_grad=True)
    np.save(HERE / "tracks.npy", tracks.detach().numpy())
    model = Model().double()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(600):
        optimiser.zero_grad()
        loss = loss_of(model, tracks.detach())
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.5f}")
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in model.state_dict().items()}, HERE / "state.safetensors")

    loss = loss_of(model, tracks)
    weights = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, [*weights.values(), tracks], create_graph=True)
    expected = {"next": model(tracks), "loss": loss}
    expected |= dict(zip([f"gradient.{name}" for name in [*weights, "tracks"]], gradients, strict=True))
    (expected["hvp"],) = torch.autograd.grad((gradients[-1] * tracks.detach()).sum(), tracks)
    np.savez(HERE / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})
    print(f"loss {loss.item():.6f}")


if __name__ == "__main__":
    main()

"""Frames, weights and expected values of models/deepmd, from PyTorch in float64.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4 and safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy safetensors && python tools/reference/deepmd.py

A frame is an octahedron of six atoms, shaken. Its energy and forces are those of Lennard-Jones with ε = σ = 1, the
forces from the formula, not from a derivative. The weights are where 600 steps of Adam end.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

HERE = Path(__file__).parents[2] / "models" / "deepmd"
FRAMES, ATOMS = 4, 6
ONSET, CUTOFF = 1.5, 3.0
SHAPES = {
    "embed.w1": (1, 8),
    "embed.b1": (8,),
    "embed.w2": (8, 8),
    "embed.b2": (8,),
    "fit.w1": (32, 16),
    "fit.b1": (16,),
    "fit.w2": (16, 16),
    "fit.b2": (16,),
    "fit.w3": (16, 1),
    "fit.b3": (1,),
}

Floats = NDArray[np.float64]
Weights = dict[str, torch.Tensor]


def shaken(random: np.random.Generator) -> Floats:
    """f64[FRAMES, ATOMS, 3]: neighbours are about 2^(1/6), the distance of least energy, apart."""
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]]) * 2 ** (1 / 6 - 1 / 2)
    return corners + 0.03 * random.standard_normal((FRAMES, ATOMS, 3))


def lennard_jones(r: Floats) -> tuple[Floats, Floats]:
    """Energies f64[n] and forces f64[n, atoms, 3]: 4 (d^-12 - d^-6) a pair."""
    v = r[:, :, None] - r[:, None, :]
    inverse6 = 1 / (np.sum(v * v, axis=-1) + np.eye(r.shape[1])) ** 3
    inverse6 *= 1 - np.eye(r.shape[1])
    energy = np.sum(4 * (inverse6**2 - inverse6), axis=(1, 2)) / 2
    size = 24 * (2 * inverse6**2 - inverse6) * np.cbrt(inverse6)
    return energy, np.sum(size[..., None] * v, axis=2)


def energy_of(r: torch.Tensor, w: Weights) -> torch.Tensor:
    """f64[atoms, 3] → f64[], one frame and one atom at a time, from the equations of the paper."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(r)):
        rows = []
        for j in range(len(r)):
            if i == j:
                continue
            v = r[j] - r[i]
            d = v.norm()
            x = (d - ONSET) / (CUTOFF - ONSET)
            smooth = 1 if d < ONSET else 0 if d >= CUTOFF else x**3 * (-6 * x**2 + 15 * x - 10) + 1
            rows.append(torch.cat([(smooth / d).reshape(1), smooth / d * v / d]))
        seen = torch.stack(rows)
        weights = torch.tanh(torch.tanh(seen[:, :1] @ w["embed.w1"] + w["embed.b1"]) @ w["embed.w2"] + w["embed.b2"])
        t = weights.T @ seen / len(r)
        descriptor = (t @ t[:4].T).reshape(-1)
        hidden = torch.tanh(torch.tanh(descriptor @ w["fit.w1"] + w["fit.b1"]) @ w["fit.w2"] + w["fit.b2"])
        total = total + (hidden @ w["fit.w3"] + w["fit.b3"])[0]
    return total


def loss_of(
    r: torch.Tensor, energy: torch.Tensor, force: torch.Tensor, w: Weights
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss, the net's energies f64[n] and its forces f64[n, atoms, 3], all of which can be differentiated."""
    own = torch.stack([energy_of(frame, w) for frame in r])
    (slope,) = torch.autograd.grad(own.sum(), r, create_graph=True)
    loss = (((own - energy) / r.shape[1]) ** 2).mean() + 0.5 * ((-slope - force) ** 2).mean()
    return loss, own, -slope


def train(r: torch.Tensor, energy: torch.Tensor, force: torch.Tensor, w: Weights, steps: int) -> Weights:
    weights = {name: value.clone().requires_grad_() for name, value in w.items()}
    optimiser = torch.optim.Adam(weights.values(), lr=0.01)
    for step in range(steps):
        optimiser.zero_grad()
        loss, _, _ = loss_of(r, energy, force, weights)
        loss.backward(inputs=list(weights.values()))
        optimiser.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}")
    return {name: value.detach() for name, value in weights.items()}


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    positions = shaken(random)
    energies, forces = lennard_jones(positions)
    np.savez(HERE / "frames.npz", r=positions, energy=energies, force=forces)

    r = torch.tensor(positions, requires_grad=True)
    energy, force = torch.tensor(energies), torch.tensor(forces)
    initial = {n: torch.tensor(random.standard_normal(s) / np.sqrt(s[0])) for n, s in SHAPES.items()}
    initial["fit.b3"] = torch.tensor([energies.mean() / ATOMS])
    weights = train(r, energy, force, initial, 600)
    arrays = {name: np.ascontiguousarray(value.numpy()) for name, value in weights.items()}
    save_file(arrays, HERE / "params.safetensors")

    weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
    loss, own, slopes = loss_of(r, energy, force, weights)
    gradients = torch.autograd.grad(loss, [*weights.values(), r])
    expected = {"energy": own, "force": slopes, "loss": loss}
    expected |= dict(zip([f"gradient.{name}" for name in [*weights, "r"]], gradients, strict=True))
    np.savez(HERE / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})
    error = (slopes - force).square().mean().sqrt() / force.square().mean().sqrt()
    print(f"loss {loss.item():.6f}, forces off by {error.item():.1%}")


if __name__ == "__main__":
    main()

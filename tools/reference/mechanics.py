"""Points, weights and expected values of models/mechanics, from PyTorch, SciPy and mpmath.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4, SciPy 1.17.1, mpmath 1.3.0, safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy scipy==1.17.1 mpmath==1.3.0 safetensors && python tools/reference/mechanics.py

The net's weights are where L-BFGS ends. The double pendulum is solved with the textbook's accelerations by DOP853, and
differentiated by starting it an imaginary 1e-30 aside: the imaginary part of the end is the derivative.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mpmath import ellipk, mp, mpf  # type: ignore[import-untyped]
from mpmath import sin as mp_sin
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.integrate import solve_ivp

HERE = Path(__file__).parents[2] / "models" / "mechanics"
SHAPES = {"H.w1": (2, 24), "H.b1": (24,), "H.w2": (24, 24), "H.b2": (24,), "H.w3": (24,)}

Arrays = dict[str, Any]
Weights = dict[str, torch.Tensor]


def motion(z: torch.Tensor, w: Weights) -> torch.Tensor:
    """f64[n, 2] → f64[n, 2], which can be differentiated."""
    energy = torch.tanh(torch.tanh(z @ w["H.w1"] + w["H.b1"]) @ w["H.w2"] + w["H.b2"]) @ w["H.w3"]
    (slope,) = torch.autograd.grad(energy.sum(), z, create_graph=True)
    return torch.stack([slope[:, 1], -slope[:, 0]], dim=1)


def fit(z: torch.Tensor, z_dot: torch.Tensor, initial: Weights) -> Weights:
    weights = {name: value.clone().requires_grad_() for name, value in initial.items()}
    optimiser = torch.optim.LBFGS(weights.values(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = ((motion(z, weights) - z_dot) ** 2).mean()
        loss.backward(inputs=list(weights.values()))
        return loss

    optimiser.step(closure)
    return {name: value.detach() for name, value in weights.items()}


def hamilton() -> Arrays:
    """The net's motion at its points, its loss and gradient; and the period of a pendulum that swings by 1.5."""
    random = np.random.default_rng(1)
    points = random.uniform(-2, 2, (64, 2))
    slopes = np.stack([points[:, 1], -np.sin(points[:, 0])], axis=1)
    np.savez(HERE / "points.npz", seen=points, speed=slopes)
    z, z_dot = torch.tensor(points, requires_grad=True), torch.tensor(slopes)
    initial = {n: torch.tensor(random.standard_normal(s) / np.sqrt(s[0])) for n, s in SHAPES.items()}
    weights = fit(z, z_dot, initial)
    save_file({name: value.numpy() for name, value in weights.items()}, HERE / "params.safetensors")

    weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
    found = motion(z, weights)
    loss = ((found - z_dot) ** 2).mean()
    expected = {"motion": found, "loss": loss}
    gradients = torch.autograd.grad(loss, list(weights.values()))
    expected |= dict(zip([f"gradient.{name}" for name in weights], gradients, strict=True))
    print(f"loss {loss.item():.2e}")
    mp.dps = 30
    period = np.array(float(4 * ellipk(mp_sin(mpf(1.5) / 2) ** 2)))
    return {"period": period, **{name: value.detach().numpy() for name, value in expected.items()}}


def slopes_of_two(_: float, state: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Of the angles and their velocities, c128[4]; masses 1.0 and 0.7, rods 1.0 and 0.8."""
    a, b, va, vb = state
    g, m, k, r, s = 9.81, 1.0, 0.7, 1.0, 0.8
    d = a - b
    below = 2 * m + k - k * np.cos(2 * d)
    pull = -g * (2 * m + k) * np.sin(a) - k * g * np.sin(a - 2 * b)
    first = (pull - 2 * np.sin(d) * k * (vb**2 * s + va**2 * r * np.cos(d))) / (r * below)
    both = va**2 * r * (m + k) + g * (m + k) * np.cos(a) + vb**2 * s * k * np.cos(d)
    return np.array([va, vb, first, 2 * np.sin(d) * both / (s * below)])


def lagrange() -> Arrays:
    """The double pendulum after a second, and its angles by the angles at the start, f64[2, 2]."""
    tiny, columns = 1e-30, []
    for k in range(2):
        start = np.array([2.0, 1.0, 0.5, -1.0], dtype=complex)
        start[k] += 1j * tiny
        end = solve_ivp(slopes_of_two, (0, 1), start, method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
        columns.append(end.imag[:2] / tiny)
    return {"q": end.real[:2], "v": end.real[2:], "q_by_q": np.stack(columns, axis=1)}


def main() -> None:
    torch.set_num_threads(1)
    np.savez(HERE / "expected.npz", **hamilton(), **lagrange())


if __name__ == "__main__":
    main()

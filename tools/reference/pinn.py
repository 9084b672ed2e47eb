"""Points, weights and expected values of models/pinn, from PyTorch in float64.

Made with Python 3.11, torch 2.13.0 (CPU), NumPy 2.4, mpmath 1.3.0 and safetensors 0.8. To make them again:

    pip install torch==2.13.0 numpy mpmath==1.3.0 safetensors && python tools/reference/pinn.py

The weights are where 300 steps of Adam end. At the first point the derivatives of U are checked against those that
mpmath finds by differences with 50 digits, before anything is written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mpmath import diff, mp, mpf  # type: ignore[import-untyped]
from mpmath import tanh as mp_tanh
from safetensors.numpy import save_file

HERE = Path(__file__).parents[2] / "models" / "pinn"
NU = 0.01 / np.pi
SHAPES = {"U.w1": (2, 20), "U.b1": (20,), "U.w2": (20, 20), "U.b2": (20,), "U.w3": (20, 1), "U.b3": (1,)}

Weights = dict[str, torch.Tensor]


def solution(t: torch.Tensor, x: torch.Tensor, w: Weights) -> torch.Tensor:
    """f64[n], f64[n] → f64[n]."""
    h = torch.tanh(torch.stack([t, x], dim=1) @ w["U.w1"] + w["U.b1"])
    h = torch.tanh(h @ w["U.w2"] + w["U.b2"])
    return (h @ w["U.w3"] + w["U.b3"]).squeeze(1)


def derivatives(t: torch.Tensor, x: torch.Tensor, w: Weights) -> dict[str, torch.Tensor]:
    """u, u_t, u_x, u_xx and the residual at every point, f64[n] each, all of which can be differentiated."""
    u = solution(t, x, w)
    u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
    return {"u": u, "u_t": u_t, "u_x": u_x, "u_xx": u_xx, "residual": u_t + u * u_x - NU * u_xx}


def loss_of(t: torch.Tensor, x: torch.Tensor, x0: torch.Tensor, tb: torch.Tensor, w: Weights) -> torch.Tensor:
    inside = derivatives(t, x, w)["residual"].square().mean()
    initial = (solution(torch.zeros_like(x0), x0, w) + torch.sin(torch.pi * x0)).square().mean()
    ends = [solution(tb, torch.full_like(tb, side), w).square().mean() for side in (-1.0, 1.0)]
    return inside + initial + ends[0] + ends[1]


def train(points: list[torch.Tensor], w: Weights, steps: int) -> Weights:
    weights = {name: value.clone().requires_grad_() for name, value in w.items()}
    optimiser = torch.optim.Adam(weights.values(), lr=0.01)
    for step in range(steps):
        optimiser.zero_grad()
        t, x, x0, tb = points
        loss = loss_of(t, x, x0, tb, weights)
        loss.backward(inputs=list(weights.values()))
        optimiser.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}")
    return {name: value.detach() for name, value in weights.items()}


def check(t: float, x: float, w: Weights, found: dict[str, torch.Tensor]) -> None:
    """Derivatives of U at (t, x) by differences with 50 digits. Raises AssertionError where they differ."""
    mp.dps = 50
    w1, b1, w2, b2, w3, b3 = (w[name].detach().numpy() for name in SHAPES)

    def u(t: mpf, x: mpf) -> mpf:
        h = [mp_tanh(t * mpf(float(w1[0, k])) + x * mpf(float(w1[1, k])) + mpf(float(b1[k]))) for k in range(20)]
        g = [mp_tanh(sum(h[i] * mpf(float(w2[i, k])) for i in range(20)) + mpf(float(b2[k]))) for k in range(20)]
        return sum(g[i] * mpf(float(w3[i, 0])) for i in range(20)) + mpf(float(b3[0]))

    orders = {"u": (0, 0), "u_t": (1, 0), "u_x": (0, 1), "u_xx": (0, 2)}
    for name, order in orders.items():
        exact = float(diff(u, (mpf(t), mpf(x)), order))
        assert abs(found[name][0].item() - exact) < 1e-12 * max(1.0, abs(exact)), name


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    t = torch.tensor(random.uniform(0, 1, 64), requires_grad=True)
    x = torch.tensor(random.uniform(-1, 1, 64), requires_grad=True)
    x0, tb = torch.tensor(np.linspace(-1, 1, 21)), torch.tensor(np.linspace(0, 1, 11))
    np.savez(HERE / "points.npz", t=t.detach().numpy(), x=x.detach().numpy(), x0=x0.numpy(), tb=tb.numpy())
    initial = {n: torch.tensor(random.standard_normal(s) / np.sqrt(s[0])) for n, s in SHAPES.items()}
    weights = train([t, x, x0, tb], initial, 300)
    arrays = {name: np.ascontiguousarray(value.numpy()) for name, value in weights.items()}
    save_file(arrays, HERE / "params.safetensors")

    weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
    expected = derivatives(t, x, weights)
    check(t[0].item(), x[0].item(), weights, expected)
    expected["loss"] = loss_of(t, x, x0, tb, weights)
    by = {**weights, "t": t, "x": x}
    gradients = torch.autograd.grad(expected["loss"], list(by.values()))
    expected |= dict(zip([f"gradient.{name}" for name in by], gradients, strict=True))
    np.savez(HERE / "expected.npz", **{name: value.detach().numpy() for name, value in expected.items()})
    print(f"loss {expected['loss'].item():.6f}")


if __name__ == "__main__":
    main()

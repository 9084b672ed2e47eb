"""A physics-informed net: third derivatives of a small net at many points, where memory decides.

Burgers' equation, u_t + u u_x = ν u_xx; the mean square of the residual of a 2-50-50-50-1 net, its value and its
gradient by all params. The points are independent of one another up to the mean.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import gradcli_step, jax_step, torch_step
from benchmarks.workload import Arrays, Case, Suite, normal, uniform

LAYERS = ((2, 50), (50, 50), (50, 50), (50, 1))
PARAMS = tuple(f"U.{kind}{i}" for i in range(1, 5) for kind in "wb")
NU = 0.01 / 3.141592653589793

MODEL = """
const nu = 0.01 / pi

net U(t: f32[points], x: f32[points]) -> f32[points] {
  param w1: f32[2, 50] = zeros()
  param b1: f32[50] = zeros()
  param w2: f32[50, 50] = zeros()
  param b2: f32[50] = zeros()
  param w3: f32[50, 50] = zeros()
  param b3: f32[50] = zeros()
  param w4: f32[50, 1] = zeros()
  param b4: f32[1] = zeros()
  h = tanh(stack([t, x], axis=1) @ w1 + b1)
  h = tanh(h @ w2 + b2)
  h = tanh(h @ w3 + b3)
  return (h @ w4 + b4)[:, 0]
}

net main(t: f32[points], x: f32[points]) -> f32 {
  u_t, u_x = grad(U, wrt=(t, x))(t, x)
  u_xx = grad(grad(U, wrt=x), wrt=x)(t, x)
  return mean((u_t + U(t, x) * u_x - nu * u_xx)**2)
}
"""


def data(case: Case) -> Arrays:
    a = {"t": uniform("t", [case.size], case.dtype), "x": uniform("x", [case.size], case.dtype, -1, 1)}
    for i, (below, above) in enumerate(LAYERS, start=1):
        a[f"U.w{i}"] = normal(f"w{i}", [below, above], case.dtype, scale=(1 / below) ** 0.5)
        a[f"U.b{i}"] = normal(f"b{i}", [above], case.dtype, scale=0.1)
    return a


def jax_loss(xp: Any, a: Arrays) -> Any:
    """The net for one point, its derivatives by nested `grad`, then `vmap`: the way of JAX's own examples."""
    import jax

    def u(t: Any, x: Any) -> Any:
        h = xp.stack([t, x])
        for i in (1, 2, 3):
            h = xp.tanh(h @ a[f"U.w{i}"] + a[f"U.b{i}"])
        return (h @ a["U.w4"] + a["U.b4"])[0]

    def residual(t: Any, x: Any) -> Any:
        u_t, u_x = jax.grad(u, (0, 1))(t, x)
        return u_t + u(t, x) * u_x - NU * jax.grad(jax.grad(u, 1), 1)(t, x)

    return xp.mean(jax.vmap(residual)(a["t"], a["x"]) ** 2)


def torch_net(a: Arrays, t: Any, x: Any) -> Any:
    import torch

    h = torch.stack([t, x], dim=1)
    for i in (1, 2, 3):
        h = torch.tanh(h @ a[f"U.w{i}"] + a[f"U.b{i}"])
    return (h @ a["U.w4"] + a["U.b4"])[:, 0]


def torch_loss(a: Arrays) -> Any:
    """All points at once, derivatives of the sum with `create_graph`: the way of PyTorch's examples."""
    import torch

    t, x = a["t"].detach().requires_grad_(), a["x"].detach().requires_grad_()
    u = torch_net(a, t, x)
    u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
    return torch.mean((u_t + u * u_x - NU * u_xx) ** 2)


def functional_loss(a: Arrays) -> Any:
    """The same with `torch.func`, which is what `torch.compile` can trace."""
    import torch
    from torch.func import grad

    def total(t: Any, x: Any) -> Any:
        return torch_net(a, t, x).sum()

    def slope(t: Any, x: Any) -> Any:
        return grad(total, 1)(t, x).sum()

    t, x = a["t"], a["x"]
    u_t, u_x = grad(total, (0, 1))(t, x)
    return torch.mean((u_t + torch_net(a, t, x) * u_x - NU * grad(slope, 1)(t, x)) ** 2)


def inductor(case: Case, a: Arrays) -> Any:
    return torch_step(functional_loss, a, PARAMS, compiled=True)


SUITE = Suite(
    "pinn",
    "the residual of Burgers' equation by a 2-50-50-50-1 net, value and gradient by all params",
    "points",
    tuple(Case(size, threads=threads) for threads in (1, 2) for size in (2_000, 20_000)),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(MODEL, a, PARAMS, PARAMS),
        "jax": lambda case, a: jax_step(jax_loss, a, PARAMS),
        "torch.compile": inductor,
        "torch": lambda case, a: torch_step(torch_loss, a, PARAMS),
    },
    tiny=(Case(5),),
)

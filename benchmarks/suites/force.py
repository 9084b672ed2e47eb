"""Training on forces, in the manner of DeepPot-SE: the gradient of a loss that has a gradient in it.

8 clusters of atoms, nets of 16-32 and 64-64, as in models/deepmd; the loss of energies and forces and its gradient by
all params. Pairs grow with the square of the atoms.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import gradcli_step, jax_step, torch_step
from benchmarks.workload import NUMPY, Arrays, Case, Suite, normal

FRAMES = 8
SHAPES = {
    "embed.w1": (1, 16), "embed.b1": (16,), "embed.w2": (16, 32), "embed.b2": (32,),
    "fit.w1": (128, 64), "fit.b1": (64,), "fit.w2": (64, 64), "fit.b2": (64,), "fit.w3": (64, 1), "fit.b3": (1,),
}  # fmt: skip
PARAMS = tuple(SHAPES)
ONSET, CUTOFF = 1.5, 3.0

MODEL = """
const onset = 1.5
const cutoff = 3.0

net envelope(d: f32[...]) -> f32[...] {
  x = clip((d - onset) / (cutoff - onset), 0, 1)
  return (1 + x**3 * (-6 * x**2 + 15 * x - 10)) / d
}

net embed(s: f32[..., 1]) -> f32[..., 32] {
  param w1: f32[1, 16] = zeros()
  param b1: f32[16] = zeros()
  param w2: f32[16, 32] = zeros()
  param b2: f32[32] = zeros()
  return tanh(tanh(s @ w1 + b1) @ w2 + b2)
}

net fit(descriptor: f32[..., 128]) -> f32[..., 1] {
  param w1: f32[128, 64] = zeros()
  param b1: f32[64] = zeros()
  param w2: f32[64, 64] = zeros()
  param b2: f32[64] = zeros()
  param w3: f32[64, 1] = zeros()
  param b3: f32[1] = zeros()
  return tanh(tanh(descriptor @ w1 + b1) @ w2 + b2) @ w3 + b3
}

net Energy(r: f32[frames, atoms, 3]) -> f32[frames] {
  itself = eye(size(atoms))
  v = r[:, None, :, :] - r[:, :, None, :]
  d = sqrt(sum(v * v, axis=3) + itself)
  s = (1 - itself) * envelope(d)
  seen = concat([s[..., None], (s / d)[..., None] * v], axis=3)
  t = transpose(embed(s[..., None]), axes=[0, 1, 3, 2]) @ seen / size(atoms)
  descriptor = t @ transpose(t[:, :, 0:4, :], axes=[0, 1, 3, 2])
  return sum(fit(reshape(descriptor, [size(frames), size(atoms), 128])), axis=[1, 2])
}

net main(r: f32[frames, atoms, 3], energy: f32[frames], force: f32[frames, atoms, 3]) -> f32 {
  by_energy = mean(((Energy(r) - energy) / size(atoms))**2)
  return by_energy + 0.5 * mean((grad(Energy)(r) + force)**2)
}
"""


def data(case: Case) -> Arrays:
    """Atoms on a lattice of unit 1.2, shaken."""
    import numpy as np

    edge = int(np.ceil(case.size ** (1 / 3)))
    lattice = np.stack(np.meshgrid(*[np.arange(edge)] * 3), axis=-1).reshape(-1, 3)[: case.size] * 1.2
    shaken = normal("r", [FRAMES, case.size, 3], case.dtype, scale=0.1)
    a = {"r": (lattice + shaken).astype(NUMPY[case.dtype])}
    a["energy"] = normal("energy", [FRAMES], case.dtype)
    a["force"] = normal("force", [FRAMES, case.size, 3], case.dtype)
    for name, shape in SHAPES.items():
        a[name] = normal(name, shape, case.dtype, scale=0.1 if len(shape) == 1 else shape[0] ** -0.5)
    return a


def energies(xp: Any, a: Arrays, r: Any) -> Any:
    """Of each frame; with the names that NumPy and PyTorch share."""
    atoms = r.shape[1]
    itself = xp.eye(atoms, dtype=r.dtype)
    v = r[:, None, :, :] - r[:, :, None, :]
    d = xp.sqrt((v * v).sum(3) + itself)
    x = xp.clip((d - ONSET) / (CUTOFF - ONSET), 0, 1)
    s = (1 - itself) * (1 + x**3 * (-6 * x**2 + 15 * x - 10)) / d
    seen = xp.concatenate([s[..., None], (s / d)[..., None] * v], -1)
    weights = xp.tanh(xp.tanh(s[..., None] @ a["embed.w1"] + a["embed.b1"]) @ a["embed.w2"] + a["embed.b2"])
    t = xp.swapaxes(weights, 2, 3) @ seen / atoms
    h = (t @ xp.swapaxes(t[:, :, 0:4, :], 2, 3)).reshape(r.shape[0], atoms, 128)
    h = xp.tanh(xp.tanh(h @ a["fit.w1"] + a["fit.b1"]) @ a["fit.w2"] + a["fit.b2"]) @ a["fit.w3"] + a["fit.b3"]
    return h.sum((1, 2))


def combined(a: Arrays, energy: Any, slope: Any) -> Any:
    by_energy = (((energy - a["energy"]) / a["r"].shape[1]) ** 2).mean()
    return by_energy + 0.5 * ((slope + a["force"]) ** 2).mean()


def jax_loss(xp: Any, a: Arrays) -> Any:
    import jax

    slope = jax.grad(lambda r: energies(xp, a, r).sum())(a["r"])
    return combined(a, energies(xp, a, a["r"]), slope)


def torch_loss(a: Arrays) -> Any:
    import torch

    r = a["r"].detach().requires_grad_()
    energy = energies(torch, a, r)
    (slope,) = torch.autograd.grad(energy.sum(), r, create_graph=True)
    return combined(a, energy, slope)


def functional_loss(a: Arrays) -> Any:
    """With `torch.func`, which `torch.compile` can trace."""
    import torch

    slope = torch.func.grad(lambda r: energies(torch, a, r).sum())(a["r"])
    return combined(a, energies(torch, a, a["r"]), slope)


SUITE = Suite(
    "force",
    "the loss of energies and forces of 8 clusters, value and gradient by all params",
    "atoms of a cluster",
    (Case(8), Case(16), Case(32)),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(MODEL, a, PARAMS, PARAMS),
        "jax": lambda case, a: jax_step(jax_loss, a, PARAMS),
        "torch.compile": lambda case, a: torch_step(functional_loss, a, PARAMS, compiled=True),
        "torch": lambda case, a: torch_step(torch_loss, a, PARAMS),
    },
    tiny=(Case(3),),
)

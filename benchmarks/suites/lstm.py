"""A long short-term memory: a loop whose turns are small matrix products.

Batch 32, 64 inputs, 128 cells, as torch.nn.LSTM has it; the mean square of what it lets out, and its gradient by all
params.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import gradcli_step, jax_step, torch_step
from benchmarks.workload import Arrays, Case, Suite, normal

BATCH, INPUTS, CELLS = 32, 64, 128
SHAPES = {"w_ih": (4 * CELLS, INPUTS), "w_hh": (4 * CELLS, CELLS), "b_ih": (4 * CELLS,), "b_hh": (4 * CELLS,)}
PARAMS = tuple(SHAPES)

MODEL = """
net main(x: f32[time, batch, 64]) -> f32 {
  param w_ih: f32[512, 64] = zeros()
  param w_hh: f32[512, 128] = zeros()
  param b_ih: f32[512] = zeros()
  param b_hh: f32[512] = zeros()
  gates = x @ w_ih.T + b_ih + b_hh
  outs = zeros([time, batch, 128])
  out, cell = zeros([batch, 128]), zeros([batch, 128])
  for t in 0..time {
    enter, keep, fresh, show = split(gates[t] + out @ w_hh.T, 4, axis=1)
    cell = sigmoid(keep) * cell + sigmoid(enter) * tanh(fresh)
    out = sigmoid(show) * tanh(cell)
    outs[t] = out
  }
  return mean(outs * outs)
}
"""


def data(case: Case) -> Arrays:
    a = {"x": normal("x", [case.size, BATCH, INPUTS], case.dtype)}
    return a | {name: normal(name, shape, case.dtype, CELLS**-0.5) for name, shape in SHAPES.items()}


def jax_loss(xp: Any, a: Arrays) -> Any:
    """`lax.scan` over the time."""
    import jax
    from jax import lax

    def turn(carried: Any, gates: Any) -> Any:
        out, cell = carried
        enter, keep, fresh, show = xp.split(gates + out @ a["w_hh"].T, 4, axis=1)
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(enter) * xp.tanh(fresh)
        out = jax.nn.sigmoid(show) * xp.tanh(cell)
        return (out, cell), out

    zero = xp.zeros((BATCH, CELLS), a["x"].dtype)
    _, outs = lax.scan(turn, (zero, zero), a["x"] @ a["w_ih"].T + a["b_ih"] + a["b_hh"])
    return xp.mean(outs * outs)


def torch_loss(a: Arrays) -> Any:
    """PyTorch's own kernel, which `torch.nn.LSTM` calls."""
    import torch

    zero = torch.zeros(1, BATCH, CELLS, dtype=a["x"].dtype)
    weights = [a[name] for name in PARAMS]
    outs, _, _ = torch._VF.lstm(a["x"], (zero, zero), weights, True, 1, 0.0, True, False, False)
    return torch.mean(outs * outs)


SUITE = Suite(
    "lstm",
    "an LSTM of 128 cells, value and gradient by all params",
    "steps of time",
    (Case(16), Case(64), Case(256)),
    data,
    {
        "gradcli": lambda case, a: gradcli_step(MODEL, a, PARAMS, PARAMS),
        "jax": lambda case, a: jax_step(jax_loss, a, PARAMS),
        "torch": lambda case, a: torch_step(torch_loss, a, PARAMS),
    },
    tiny=(Case(2),),
    absent=lambda case: {"torch.compile": "it calls the same kernel as torch"},
)

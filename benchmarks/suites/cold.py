"""The first gradient from a cold process: what a shell user, a cron job or a test waits for.

`gradcli grad` of a scaled matrix product, from start to printed gradient, against scripts that do the same with the
least they can: import, one gradient, print. Each engine in the way in which that is fastest.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import console_script
from benchmarks.workload import Case, Processes

MODEL = """
net main(x: f32[n, n], y: f32[n, n], z: f32[1]) -> f32[n, n] = (x * z) @ y

input x: f32[n, n] = full([SIZE, SIZE], 0.5)
input y: f32[n, n] = full([SIZE, SIZE], 0.25)
input z: f32[1] = [2.0]
"""

SCRIPTS = {
    "jax": """
import jax, jax.numpy as jnp, numpy as np
x, y, z = np.full((SIZE, SIZE), 0.5, "f4"), np.full((SIZE, SIZE), 0.25, "f4"), np.array([2.0], "f4")
print(jax.jit(jax.grad(lambda x: jnp.sum((x * z) @ y)))(x).tolist())
""",
    "torch": """
import torch
x, y, z = torch.full((SIZE, SIZE), 0.5, requires_grad=True), torch.full((SIZE, SIZE), 0.25), torch.tensor([2.0])
((x * z) @ y).sum().backward()
print(x.grad.tolist())
""",
    "autograd": """
import autograd, autograd.numpy as np
x, y, z = np.full((SIZE, SIZE), 0.5, "f4"), np.full((SIZE, SIZE), 0.25, "f4"), np.array([2.0], "f4")
print(autograd.grad(lambda x: np.sum(np.dot(x * z, y)))(x).tolist())
""",
}


def commands(case: Case, folder: str) -> dict[str, Sequence[str]]:
    """A model file for gradcli, and the same text in Python for the others."""
    model = Path(folder) / "model.net"
    model.write_text(MODEL.replace("SIZE", str(case.size)), encoding="utf-8")
    made: dict[str, Sequence[str]] = {"gradcli": [*console_script(), "grad", str(model), "--json"]}
    for engine, script in SCRIPTS.items():
        made[engine] = [sys.executable, "-c", script.replace("SIZE", str(case.size))]
    return made


SUITE = Processes(
    "cold",
    "the first gradient of a matrix product, the whole process",
    "rows of a matrix",
    (Case(3), Case(100)),
    ("gradcli", *SCRIPTS),
    commands,
)

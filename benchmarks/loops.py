"""Loops: the first gradient of a recurrence against JAX's trace and compile, and the memory of a long one.

    python benchmarks/loops.py [ROUNDS]

A recurrence of 500 steps on small arrays, unrolled: the time from its text (for JAX: its function) to the first
gradient, imports left out on both sides, each time in a process of its own. Before any time is taken the gradients are
compared. Then a differential equation of 10,000 steps, whose gradient would keep 80 MB: what the process takes beyond
one of ten steps, against the bound that was asked for.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

STEPS, SIZE = 500, 8
FIRST_LIMIT = 0.05
ODE_STEPS, ODE_SIZE, BOUND = 10_000, 1_000, 8_000_000

RECURRENCE = f"""
net main(h: f64[{SIZE}], w: f64[{SIZE}]) -> f64 {{
  for i in 0..{STEPS} {{
    h = h + 0.01 * w * sin(h)
  }}
  return sum(h * h)
}}
"""
ODE = f"""
net main(x: f64[n], k: f64) -> f64 {{
  for i in 0..STEPS {{
    x = x + 0.0001 * (tanh(k * x) - 0.1 * x * x)
  }}
  return sum(x)
}}
input x = arange({ODE_SIZE}) / {ODE_SIZE}
input k = 1.5
"""


def data() -> tuple[Any, Any]:
    import numpy as np

    random = np.random.default_rng(0)
    return random.normal(size=SIZE), random.normal(size=SIZE)


def gradcli_side(written_out: bool) -> tuple[float, Any]:
    """Seconds from the text to the first gradient, and that gradient."""
    import gradcli
    from gradcli.interp import loops

    if written_out:
        loops.ROLLED_FROM = STEPS + 1
    h, w = data()
    gradcli.compile("net f(x) = sum(x * x)").grad(x=w)  # what is loaded once a process
    start = time.perf_counter()
    found = gradcli.compile(RECURRENCE).grad(h=h, w=w, wrt="w")["w"]
    return time.perf_counter() - start, found


def jax_side() -> tuple[float, Any]:
    """Seconds from the function to the first gradient: traced, compiled, run."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def main(w: Any, h: Any) -> Any:
        for _ in range(STEPS):
            h = h + 0.01 * w * jnp.sin(h)
        return jnp.sum(h * h)

    h, w = data()
    jax.block_until_ready(jax.jit(jax.grad(lambda x: jnp.sum(x * x)))(w))
    start = time.perf_counter()
    found = jax.block_until_ready(jax.jit(jax.grad(main))(w, h))
    return time.perf_counter() - start, found


SIDES = {
    "rolled": lambda: gradcli_side(written_out=False),
    "written out": lambda: gradcli_side(written_out=True),
    "jax": jax_side,
}


def serve(side: str) -> None:
    seconds, found = SIDES[side]()
    print(json.dumps([seconds, [float(x) for x in found.reshape(-1)]]))


def asked(side: str) -> tuple[float, list[float]]:
    ran = subprocess.run(
        [sys.executable, __file__, "--side", side], capture_output=True, text=True, check=True, cwd=ROOT
    )
    seconds, found = json.loads(ran.stdout)
    return seconds, found


def peak_bytes(steps: int, memory: int | None, directory: Path) -> int:
    """The most a process of `gradcli grad` takes."""
    model = directory / f"ode{steps}.net"
    model.write_text(ODE.replace("STEPS", str(steps)))
    bound = [] if memory is None else ["--memory", str(memory)]
    command = [sys.executable, "-m", "gradcli", "grad", str(model), "--wrt", "k", "--json", *bound]
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    ran = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True, cwd=ROOT)
    return int(ran.stdout) * (1 if sys.platform == "darwin" else 1024)


def main(rounds: int = 1) -> int:
    """Print the ratios; 1 if a limit is passed or two sides disagree."""
    from benchmarks.measure import Ratio, report

    names = [name for name in SIDES if name != "jax" or importlib.util.find_spec("jax")]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gradients: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in names:
            taken, gradients[name] = asked(name)
            seconds[name].append(taken)
    worst = max(abs(a - b) for name in names for a, b in zip(gradients[name], gradients["rolled"], strict=True))
    print(f"largest difference of a gradient: {worst:.1e}")
    times = {name: statistics.median(found) * 1e3 for name, found in seconds.items()}
    ratios = []
    if "jax" in names:
        ratios = [
            Ratio("first gradient, rolled, against JAX unrolled", times["rolled"], times["jax"], FIRST_LIMIT),
            Ratio("the same, written out", times["written out"], times["jax"], FIRST_LIMIT),
        ]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        few = peak_bytes(10, None, place)
        for bound in (None, BOUND):
            more = max(peak_bytes(ODE_STEPS, bound, place) - few, 0) / 1e6
            limit = 1.0 if bound else None
            what = f"memory of {ODE_STEPS} steps, {f'--memory {bound}' if bound else 'no bound'}, against the bound"
            ratios.append(Ratio(what, more, BOUND / 1e6, limit, "MB"))
    status = report(f"a recurrence of {STEPS} steps on [{SIZE}], f64, median of {rounds}", ratios)
    if "jax" not in names:
        print("  JAX is not installed: pip install 'gradcli[bench]'")
    return int(status or worst > 1e-10)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        serve(sys.argv[2])
    else:
        sys.exit(main(*map(int, sys.argv[1:2])))

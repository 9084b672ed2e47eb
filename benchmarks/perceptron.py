"""The gradient of a two-layer perceptron by all its params: gradcli, jitted JAX, and NumPy by hand.

    python benchmarks/perceptron.py [ROUNDS]

784-512-512-10, batch 128, float32, mean cross-entropy. Each side is its own process, started once, warmed, then
asked in turn for a few steps; what counts is the median seconds of a step and the peak memory of the process. Before
any time is taken the three gradients are compared. Without JAX that side is left out, and the table says so.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]
    Step = Callable[[], Arrays]

SIZES = (784, 512, 512, 10)
BATCH = 128
STEPS, WARM = 20, 10
TIME_LIMIT, MEMORY_LIMIT = 2.0, 1.2
NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")

MODEL = """
edition 2026

# A two-layer perceptron and its mean cross-entropy; t holds the labels, one-hot.
net Loss(x: f32[batch, 784], t: f32[batch, 10]) -> f32 {
  param w1: f32[784, 512] = zeros()
  param b1: f32[512] = zeros()
  param w2: f32[512, 512] = zeros()
  param b2: f32[512] = zeros()
  param w3: f32[512, 10] = zeros()
  param b3: f32[10] = zeros()
  h = relu(x @ w1 + b1)
  h = relu(h @ w2 + b2)
  return -mean(sum(t * log_softmax(h @ w3 + b3, axis=1), axis=1))
}
"""


def data() -> tuple[Arrays, Arrays]:
    """Inputs `x: f32[128, 784]`, `t: f32[128, 10]`, and the params, the same on every side."""
    import numpy as np

    random = np.random.default_rng(1)
    params: Arrays = {}
    for i, (below, above) in enumerate(pairwise(SIZES), start=1):
        scale = np.float32((2 / below) ** 0.5)
        params[f"w{i}"] = random.standard_normal((below, above), dtype=np.float32) * scale
        params[f"b{i}"] = np.full(above, 0.01, dtype=np.float32)
    x = random.standard_normal((BATCH, SIZES[0]), dtype=np.float32)
    t = np.eye(SIZES[-1], dtype=np.float32)[random.integers(0, SIZES[-1], BATCH)]
    return {"x": x, "t": t}, params


# ── the sides: each gives a step, a function of no arguments that gives the gradients by name ───────────────────


def gradcli_side() -> Step:
    """The plan that `net.compile` makes once."""
    import gradcli

    inputs, params = data()
    step = gradcli.compile(MODEL).compile("grad", wrt="params")
    return lambda: dict(step(inputs=inputs, params=params).items())


def jax_side() -> Step:
    """`jax.jit(jax.grad(...))` on the CPU, waited for."""
    import jax
    import jax.numpy as jnp

    inputs, params = data()

    def loss(params: Any, x: Any, t: Any) -> Any:
        h = jax.nn.relu(x @ params["w1"] + params["b1"])
        h = jax.nn.relu(h @ params["w2"] + params["b2"])
        return -jnp.mean(jnp.sum(t * jax.nn.log_softmax(h @ params["w3"] + params["b3"], axis=1), axis=1))

    gradient = jax.jit(jax.grad(loss))
    on_device = jax.device_put((params, inputs["x"], inputs["t"]))
    wait: Any = jax.block_until_ready
    return lambda: dict(wait(gradient(*on_device)))


def numpy_side() -> Step:
    """Forward and backward written out, as one does who knows the formulas and minds memory a little."""
    import numpy as np

    inputs, p = data()
    x, t = inputs["x"], inputs["t"]

    def step() -> Arrays:
        h1 = np.maximum(x @ p["w1"] + p["b1"], 0)
        h2 = np.maximum(h1 @ p["w2"] + p["b2"], 0)
        z = h2 @ p["w3"] + p["b3"]
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        d3 = (e / e.sum(axis=1, keepdims=True) - t) / np.float32(BATCH)
        d2 = (d3 @ p["w3"].T) * (h2 > 0)
        d1 = (d2 @ p["w2"].T) * (h1 > 0)
        return {
            "w1": x.T @ d1,
            "b1": d1.sum(axis=0),
            "w2": h1.T @ d2,
            "b2": d2.sum(axis=0),
            "w3": h2.T @ d3,
            "b3": d3.sum(axis=0),
        }

    return step


SIDES = {"gradcli": gradcli_side, "jax": jax_side, "numpy": numpy_side}


# ── one side's process ──────────────────────────────────────────────────────────────────────────────────────


def peak_mebibytes() -> float:
    """The most memory this process has held so far. Linux counts in KiB, macOS in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def serve(side: str, gradients: str) -> None:
    """Warm up, store the gradients in the file named, then answer each line of standard input: `time` with the
    seconds of a step, `memory` with the peak of this process."""
    import numpy as np

    step = SIDES[side]()
    for _ in range(WARM):
        found = step()
    arrays: dict[str, Any] = {name: np.asarray(found[name]) for name in NAMES}
    np.savez(gradients, **arrays)
    del found
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(peak_mebibytes(), flush=True)
            continue
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        print((time.perf_counter() - start) / STEPS, flush=True)


class Side:
    """A process that serves one side."""

    def __init__(self, name: str, directory: Path) -> None:
        self.gradients = directory / f"{name}.npz"
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--side", name, str(self.gradients)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._answer()

    def ask(self, question: str) -> float:
        """`time` in seconds, `memory` in MiB."""
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the side {self.gradients.stem} ended early")
        return line.strip()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def disagreement(one: Path, other: Path) -> float:
    """The largest difference of two stored gradients, relative to the largest element of its array."""
    import numpy as np

    with np.load(one) as a, np.load(other) as b:
        return max(float(np.abs(a[name] - b[name]).max() / np.abs(b[name]).max()) for name in NAMES)


def main(rounds: int = 15) -> int:
    """Print the ratios; 1 if a limit is passed or two sides disagree."""
    from benchmarks.measure import Ratio, report

    names = [name for name in SIDES if name != "jax" or importlib.util.find_spec("jax")]
    with tempfile.TemporaryDirectory() as directory:
        sides: dict[str, Side] = {}
        try:
            for name in names:
                sides[name] = Side(name, Path(directory))
            worst = {name: disagreement(sides["gradcli"].gradients, sides[name].gradients) for name in names[1:]}
            seconds: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(rounds):
                for name, side in sides.items():
                    seconds[name].append(side.ask("time"))
            memory = {name: side.ask("memory") for name, side in sides.items()}
        finally:
            for side in sides.values():
                side.close()
    steps = {name: statistics.median(times) * 1e3 for name, times in seconds.items()}
    print("largest relative difference of a gradient:", json.dumps({k: float(f"{v:.1e}") for k, v in worst.items()}))
    ratios = []
    for name in names[1:]:
        limits = {"jax": (TIME_LIMIT, None), "numpy": (None, MEMORY_LIMIT)}[name]
        ratios.append(Ratio(f"time against {name}", steps["gradcli"], steps[name], limits[0]))
        ratios.append(Ratio(f"peak memory against {name}", memory["gradcli"], memory[name], limits[1], "MiB"))
    status = report(f"784-512-512-10, batch {BATCH}, f32: a step, median of {rounds} × {STEPS}", ratios)
    if "jax" not in names:
        print("  JAX is not installed: pip install 'gradcli[bench]'")
    return int(status or max(worst.values()) > 1e-4)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        serve(*sys.argv[2:4])
    else:
        sys.exit(main(*map(int, sys.argv[1:2])))

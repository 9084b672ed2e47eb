"""The Hessian of 100,000 variables by its colours, and one product with it: gradcli against jitted JAX.

    python benchmarks/hessian.py [ROUNDS]

Two losses with a tridiagonal Hessian, f64: Rosenbrock's function as a chain, and a sum of sines of neighbours. JAX
gets the colours for nothing and calls its `hvp`, the jvp of the gradient, once for each; gradcli runs its program once
and recovers the compressed rows. Each side is its own process, started once, warmed, then asked in turn. Before any
time is taken the sums over each colour are compared. What gradcli does once for a model, pattern, colours and plan,
is told apart: it is no part of the ratios. Rosenbrock's chain is fourteen cheap operators, which XLA fuses into one
pass over memory and gradcli does not yet: it is over both limits.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

N = 100_000
STEPS, WARM = 20, 10
HESSIAN_LIMIT, PRODUCT_LIMIT = 1.5, 2.0

MODELS = {
    "rosenbrock": """
net Loss(x: f64[n]) -> f64 {
  rise = x[1:] - x[:-1]**2
  way = 1 - x[:-1]
  return sum(100 * rise**2 + way**2)
}
""",
    "sines": """
net Loss(x: f64[n]) -> f64 {
  return sum(sin(x[1:] * x[:-1]))
}
""",
}


def point() -> tuple[Array, Array]:
    """Where the Hessian is taken, and a direction, the same on every side."""
    import numpy as np

    random = np.random.default_rng(1)
    return random.standard_normal(N), random.standard_normal(N)


def seeds() -> Array:
    """`f64[3, n]`: columns k, k + 3, k + 6 … of a tridiagonal matrix share no row."""
    import numpy as np

    return np.equal(np.arange(N) % 3, np.arange(3)[:, None]).astype(float)


# ── the sides: each gives `hessian` and `product`, the second of a direction ────────────────────────────────────

Side = tuple[Callable[[], Any], Callable[[Any], Any], dict[str, float]]


def gradcli_side(model: str) -> Side:
    """The program made once; `product` is `forward` of the gradient."""
    from gradcli import api, sparse
    from gradcli.ad.matrix import hvp
    from gradcli.ad.reverse import reverse
    from gradcli.engine import Machine, plan_of, run_plan
    from gradcli.ir.live import outputs_from
    from gradcli.request import ModelFile, Request

    x, _ = point()
    _, prepared = api.prepare(ModelFile(text=MODELS[model], name=model), Request(arrays={"x": x}))
    graph, machine = prepared.graph, Machine()
    start = time.perf_counter()
    program = sparse.hessian_program(reverse(graph, [0]), 1, 0, [x], machine)
    made = {"pattern, colours and plan": time.perf_counter() - start}
    plan = plan_of(outputs_from(hvp(graph, [0]), 1), machine)
    return lambda: program.run([x], machine), lambda v: run_plan(plan, [x, v], machine)[0], made


def jax_side(model: str) -> Side:
    """`jax.jit` of the jvp of the gradient, on the CPU, waited for; the directions are on the device already."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def rosenbrock(x: Any) -> Any:
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def sines(x: Any) -> Any:
        return jnp.sum(jnp.sin(x[1:] * x[:-1]))

    gradient = jax.grad({"rosenbrock": rosenbrock, "sines": sines}[model])
    x = jax.device_put(point()[0])
    product = jax.jit(lambda x, v: jax.jvp(gradient, (x,), (v,))[1])
    directions = [jax.device_put(seed) for seed in seeds()]
    wait: Any = jax.block_until_ready
    start = time.perf_counter()
    wait(product(x, directions[0]))
    made = {"first call, with compilation": time.perf_counter() - start}
    return lambda: wait([product(x, v) for v in directions]), lambda v: wait(product(x, v)), made


SIDES = {"gradcli": gradcli_side, "jax": jax_side}


# ── one side's process ──────────────────────────────────────────────────────────────────────────────────────


def compressed(found: Any) -> Array:
    """`[3, n]`: the sums over each colour, of what either side gives."""
    import numpy as np

    from gradcli.request import SparseMatrix

    if not isinstance(found, SparseMatrix):
        return np.stack([np.asarray(column) for column in found])
    rows = np.repeat(np.arange(N), np.diff(found.indptr))
    return np.bincount(found.indices % 3 * N + rows, found.data, 3 * N).reshape(3, N)


def serve(side: str, model: str, results: str) -> None:
    """Warm up, store the results in the file named, then answer each line of standard input, `hessian` or `product`,
    with the median seconds of one."""
    import numpy as np

    hessian, product, made = SIDES[side](model)
    v: Any = point()[1]
    if side == "jax":
        import jax

        v = jax.device_put(v)
    questions: dict[str, Callable[[], Any]] = {"hessian": hessian, "product": lambda: product(v)}
    for _ in range(WARM):
        found = [question() for question in questions.values()]
    np.savez(results, hessian=compressed(found[0]), product=np.asarray(found[1]))
    del found
    print(" ".join(f"{name}: {seconds * 1e3:.0f} ms" for name, seconds in made.items()), flush=True)
    for line in sys.stdin:
        question = questions[line.strip()]
        taken = []
        for _ in range(STEPS):
            start = time.perf_counter()
            question()
            taken.append(time.perf_counter() - start)
        print(statistics.median(taken), flush=True)


class Process:
    """A process that serves one side."""

    def __init__(self, side: str, model: str, directory: Path) -> None:
        self.results = directory / f"{side}-{model}.npz"
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--side", side, model, str(self.results)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.once = self._answer()

    def ask(self, question: str) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the side {self.results.stem} ended early")
        return line.strip()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def disagreement(one: Path, other: Path) -> float:
    """The largest difference of the stored results, relative to the largest element."""
    import numpy as np

    with np.load(one) as a, np.load(other) as b:
        return max(float(np.abs(a[name] - b[name]).max() / np.abs(b[name]).max()) for name in ("hessian", "product"))


def compare(model: str, rounds: int) -> tuple[int, float]:
    """Print the ratios of one model; gives the status and the disagreement of the sides."""
    from benchmarks.measure import Ratio, report

    with tempfile.TemporaryDirectory() as directory:
        sides: dict[str, Process] = {}
        try:
            for name in SIDES:
                sides[name] = Process(name, model, Path(directory))
            worst = disagreement(sides["gradcli"].results, sides["jax"].results)
            seconds: dict[tuple[str, str], list[float]] = {}
            for _ in range(rounds):
                for question in ("hessian", "product"):
                    for name, side in sides.items():
                        seconds.setdefault((question, name), []).append(side.ask(question))
        finally:
            for side in sides.values():
                side.close()
    times = {key: statistics.median(found) * 1e3 for key, found in seconds.items()}
    ratios = [
        Ratio("Hessian, 3 colours", times["hessian", "gradcli"], times["hessian", "jax"], HESSIAN_LIMIT),
        Ratio("product with a vector", times["product", "gradcli"], times["product", "jax"], PRODUCT_LIMIT),
    ]
    status = report(f"{model}, {N} variables, f64, against JAX: median of {rounds} medians of {STEPS}", ratios)
    print("  once for a model: " + ", ".join(f"{name} {side.once}" for name, side in sides.items()))
    return status, worst


def main(rounds: int = 9) -> int:
    """Print the ratios; 1 if a limit is passed or the sides disagree."""
    if not importlib.util.find_spec("jax"):
        print("JAX is not installed: pip install 'gradcli[bench]'")
        return 0
    found = [compare(model, rounds) for model in MODELS]
    worst = max(disagreement for _, disagreement in found)
    print(f"largest relative difference of a result: {worst:.1e}")
    return int(any(status for status, _ in found) or worst > 1e-12)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        serve(*sys.argv[2:5])
    else:
        sys.exit(main(*map(int, sys.argv[1:2])))

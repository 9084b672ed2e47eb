"""Jacobians, Hessians and minimisers of the problems of models/mgh, from mpmath with 30 digits, checked with JAX.

Made with Python 3.11, mpmath 1.3.0, NumPy 2.4, SciPy 1.17 and JAX 0.10. To make models/mgh/expected.npz again:

    pip install mpmath==1.3.0 numpy scipy jax && python tools/reference/mgh.py

A problem is written once, element by element, and is evaluated by mpmath, whose derivatives are differences at a
precision so high that 30 digits are left, and by JAX, whose derivatives are automatic (forward for the Jacobian,
forward over reverse for the Hessian of the sum of squares). The two must agree to 1e-12 of the largest element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import mpmath  # type: ignore[import-untyped]
import numpy as np
from mpmath import mp, mpf
from scipy.optimize import least_squares

TARGET = Path(__file__).parents[2] / "models" / "mgh" / "expected.npz"
STEP = mpf(10) ** -20  # of a central difference, whose error is its square
DIGITS = 80

Residuals = list[Any]
Problem = Callable[[Any, Any], Residuals]  # of the unknowns and of a namespace with exp, sin, …

PROBLEMS: dict[str, tuple[Problem, list[float], list[float] | None]] = {}


def problem(start: Sequence[float], near: Sequence[float] | None = None) -> Callable[[Problem], Problem]:
    """Enters a problem with its standard starting point. `near`: from where to look for the minimiser to store."""

    def enter(function: Problem) -> Problem:
        PROBLEMS[function.__name__] = function, list(map(float, start)), None if near is None else list(near)
        return function

    return enter


# ── equations ───────────────────────────────────────────────────────────────────────────────────────────────


@problem((-1.2, 1))
def rosenbrock(x: Any, m: Any) -> Residuals:
    return [10 * (x[1] - x[0] ** 2), 1 - x[0]]


@problem((0.5, -2), near=(11.41, -0.8968))
def freudenstein_roth(x: Any, m: Any) -> Residuals:
    return [-13 + x[0] - x[1] ** 3 + 5 * x[1] ** 2 - 2 * x[1], -29 + x[0] + x[1] ** 3 + x[1] ** 2 - 14 * x[1]]


@problem((0, 1), near=(1.098e-5, 9.106))
def powell_badly_scaled(x: Any, m: Any) -> Residuals:
    return [10000 * x[0] * x[1] - 1, m.exp(-x[0]) + m.exp(-x[1]) - m.of("1.0001")]


@problem((1, 1))
def brown_badly_scaled(x: Any, m: Any) -> Residuals:
    return [x[0] - 1000000, x[1] - m.of("2e-6"), x[0] * x[1] - 2]


@problem((1, 1))
def beale(x: Any, m: Any) -> Residuals:
    return [m.of(y) - x[0] * (1 - x[1] ** i) for i, y in enumerate(("1.5", "2.25", "2.625"), 1)]


@problem((-1, 0, 0))
def helical_valley(x: Any, m: Any) -> Residuals:
    """The angle from the other axis, so that atan2 jumps where the paper's angle does."""
    turns = m.of("0.25") - m.atan2(x[0], x[1]) / (2 * m.pi)
    return [10 * (x[2] - 10 * turns), 10 * (m.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]]


@problem((3, -1, 0, 1))
def powell_singular(x: Any, m: Any) -> Residuals:
    last = m.sqrt(m.of(10)) * (x[0] - x[3]) ** 2
    return [x[0] + 10 * x[1], m.sqrt(m.of(5)) * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, last]


@problem((-3, -1, -3, -1))
def wood(x: Any, m: Any) -> Residuals:
    first = [10 * (x[1] - x[0] ** 2), 1 - x[0], m.sqrt(m.of(90)) * (x[3] - x[2] ** 2), 1 - x[2]]
    return [*first, m.sqrt(m.of(10)) * (x[1] + x[3] - 2), (x[1] - x[3]) / m.sqrt(m.of(10))]


# ── fits ────────────────────────────────────────────────────────────────────────────────────────────────────


@problem((0.3, 0.4), near=(0.2578, 0.2578))
def jennrich_sampson(x: Any, m: Any) -> Residuals:
    return [2 + 2 * i - m.exp(i * x[0]) - m.exp(i * x[1]) for i in range(1, 11)]


BARD = "0.14 0.18 0.22 0.25 0.29 0.32 0.35 0.39 0.37 0.58 0.73 0.96 1.34 2.10 4.39"


@problem((1, 1, 1), near=(0.08, 1.1, 2.3))
def bard(x: Any, m: Any) -> Residuals:
    points = enumerate(BARD.split(), 1)
    return [m.of(y) - x[0] - u / ((16 - u) * x[1] + min(u, 16 - u) * x[2]) for u, y in points]


HALF = "0.0009 0.0044 0.0175 0.0540 0.1295 0.2420 0.3521"


@problem((0.4, 1, 0), near=(0.4, 1, 0))
def gaussian(x: Any, m: Any) -> Residuals:
    y = [*HALF.split(), "0.3989", *reversed(HALF.split())]
    return [x[0] * m.exp(-x[1] * (m.of(7 - i) / 2 - x[2]) ** 2 / 2) - m.of(y[i]) for i in range(15)]


MEYER = (34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872)


@problem((0.02, 4000, 250), near=(0.00561, 6181.35, 345.22))
def meyer(x: Any, m: Any) -> Residuals:
    return [x[0] * m.exp(x[1] / (45 + 5 * i + x[2])) - y for i, y in enumerate(MEYER, 1)]


@problem((5, 2.5, 0.15))
def gulf(x: Any, m: Any) -> Residuals:
    """The power by a logarithm: all distances from x₂ are positive here."""
    t = [m.of(i) / 100 for i in range(1, 100)]
    away = [25 + m.exp(2 * m.log(-50 * m.log(s)) / 3) - x[1] for s in t]
    return [m.exp(-m.exp(x[2] * m.log(m.abs(a))) / x[0]) - s for s, a in zip(t, away, strict=True)]


@problem((0, 10, 20))
def box(x: Any, m: Any) -> Residuals:
    t = [m.of(i) / 10 for i in range(1, 11)]
    return [m.exp(-s * x[0]) - m.exp(-s * x[1]) - x[2] * (m.exp(-s) - m.exp(-10 * s)) for s in t]


KOWALIK = "0.1957 0.1947 0.1735 0.1600 0.0844 0.0627 0.0456 0.0342 0.0323 0.0235 0.0246"
DOSES = "4 2 1 0.5 0.25 0.167 0.125 0.1 0.0833 0.0714 0.0625"


@problem((0.25, 0.39, 0.415, 0.39), near=(0.1928, 0.1913, 0.1231, 0.1361))
def kowalik_osborne(x: Any, m: Any) -> Residuals:
    points = [(m.of(y), m.of(u)) for y, u in zip(KOWALIK.split(), DOSES.split(), strict=True)]
    return [y - x[0] * u * (u + x[1]) / (u * (u + x[2]) + x[3]) for y, u in points]


@problem((25, 5, -5, -1), near=(-11.59, 13.2, -0.4034, 0.2368))
def brown_dennis(x: Any, m: Any) -> Residuals:
    t = [m.of(i) / 5 for i in range(1, 21)]
    return [(x[0] + s * x[1] - m.exp(s)) ** 2 + (x[2] + x[3] * m.sin(s) - m.cos(s)) ** 2 for s in t]


OSBORNE_1 = """0.844 0.908 0.932 0.936 0.925 0.908 0.881 0.850 0.818 0.784 0.751 0.718 0.685 0.658 0.628 0.603 0.580
    0.558 0.538 0.522 0.506 0.490 0.478 0.467 0.457 0.448 0.438 0.431 0.424 0.420 0.414 0.411 0.406"""


@problem((0.5, 1.5, -1, 0.01, 0.02), near=(0.3754, 1.9358, -1.4647, 0.01287, 0.02212))
def osborne_1(x: Any, m: Any) -> Residuals:
    points = enumerate(OSBORNE_1.split())
    return [m.of(y) - x[0] - x[1] * m.exp(-10 * i * x[3]) - x[2] * m.exp(-10 * i * x[4]) for i, y in points]


@problem((1, 2, 1, 1, 1, 1))
def biggs_exp6(x: Any, m: Any) -> Residuals:
    def y(t: Any) -> Any:
        return m.exp(-t) - 5 * m.exp(-10 * t) + 3 * m.exp(-4 * t)

    t = [m.of(i) / 10 for i in range(1, 14)]
    return [x[2] * m.exp(-s * x[0]) - x[3] * m.exp(-s * x[1]) + x[5] * m.exp(-s * x[4]) - y(s) for s in t]


OSBORNE_2 = """1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 0.616 0.606 0.602
    0.626 0.651 0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 0.533 0.495 0.500 0.423 0.395 0.375 0.372 0.391
    0.396 0.405 0.428 0.429 0.523 0.562 0.607 0.653 0.672 0.708 0.633 0.668 0.645 0.632 0.591 0.559 0.597 0.625 0.739
    0.710 0.729 0.720 0.636 0.581 0.428 0.292 0.162 0.098 0.054"""


@problem(
    (1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5),
    near=(1.31, 0.4315, 0.6336, 0.5993, 0.7539, 0.9056, 1.365, 4.824, 2.399, 4.569, 5.675),
)
def osborne_2(x: Any, m: Any) -> Residuals:
    def curve(t: Any) -> Any:
        bells = [x[1 + k] * m.exp(-((t - x[8 + k]) ** 2) * x[5 + k]) for k in range(3)]
        return x[0] * m.exp(-t * x[4]) + bells[0] + bells[1] + bells[2]

    return [m.of(y) - curve(m.of(i) / 10) for i, y in enumerate(OSBORNE_2.split())]


# ── of any size ─────────────────────────────────────────────────────────────────────────────────────────────

N, M, TERMS, NODES = 10, 20, 6, 8


@problem([0] * TERMS, near=(-0.0157, 1.0124, -0.2330, 1.2604, -1.5137, 0.9930))
def watson(x: Any, m: Any) -> Residuals:
    def equation(t: Any) -> Any:
        slope = sum(j * x[j] * t ** (j - 1) for j in range(1, TERMS))
        return slope - sum(x[j] * t**j for j in range(TERMS)) ** 2 - 1

    return [*(equation(m.of(i) / 29) for i in range(1, 30)), x[0], x[1] - x[0] ** 2 - 1]


@problem([-1.2, 1] * 5)
def extended_rosenbrock(x: Any, m: Any) -> Residuals:
    return [f for k in range(0, 10, 2) for f in rosenbrock(x[k : k + 2], m)]


@problem([3, -1, 0, 1] * 3)
def extended_powell(x: Any, m: Any) -> Residuals:
    return [f for k in range(0, 12, 4) for f in powell_singular(x[k : k + 4], m)]


@problem(range(1, N + 1), near=[0.158] * N)
def penalty_1(x: Any, m: Any) -> Residuals:
    return [*(m.sqrt(m.of("1e-5")) * (x[i] - 1) for i in range(N)), sum(x[i] ** 2 for i in range(N)) - m.of("0.25")]


@problem([0.5] * N, near=[0.2] * N)
def penalty_2(x: Any, m: Any) -> Residuals:
    root = m.sqrt(m.of("1e-5"))
    e = [m.exp(x[i] / 10) for i in range(N)]
    y = [m.exp(m.of(i + 1) / 10) + m.exp(m.of(i) / 10) for i in range(N)]
    rough = [root * (e[i] + e[i - 1] - y[i]) for i in range(1, N)]
    near = [root * (e[i] - m.exp(m.of(-1) / 10)) for i in range(1, N)]
    return [x[0] - m.of("0.2"), *rough, *near, sum((N - i) * x[i] ** 2 for i in range(N)) - 1]


@problem([1 - i / N for i in range(1, N + 1)])
def variably_dimensioned(x: Any, m: Any) -> Residuals:
    slope = sum((i + 1) * (x[i] - 1) for i in range(N))
    return [*(x[i] - 1 for i in range(N)), slope, slope**2]


@problem([1 / N] * N, near=(0.0552, 0.0568, 0.0588, 0.0611, 0.0636, 0.0666, 0.2081, 0.1643, 0.0850, 0.0914))
def trigonometric(x: Any, m: Any) -> Residuals:
    total = sum(m.cos(x[i]) for i in range(N))
    return [N - total + (i + 1) * (1 - m.cos(x[i])) - m.sin(x[i]) for i in range(N)]


@problem([0.5] * N)
def brown_almost_linear(x: Any, m: Any) -> Residuals:
    total = sum(x[i] for i in range(N))
    return [*(x[i] + total - (N + 1) for i in range(N - 1)), math.prod(x[i] for i in range(N)) - 1]


def grid(m: Any) -> list[Any]:
    return [m.of(i) / (N + 1) for i in range(1, N + 1)]


PARABOLA = [i / (N + 1) * (i / (N + 1) - 1) for i in range(1, N + 1)]


@problem(PARABOLA, near=PARABOLA)
def discrete_boundary_value(x: Any, m: Any) -> Residuals:
    u, t = [0, *(x[i] for i in range(N)), 0], grid(m)
    bent = [2 * u[i + 1] - u[i] - u[i + 2] for i in range(N)]
    return [bent[i] + (x[i] + t[i] + 1) ** 3 / (2 * (N + 1) ** 2) for i in range(N)]


@problem(PARABOLA, near=PARABOLA)
def discrete_integral(x: Any, m: Any) -> Residuals:
    t = grid(m)
    load = [(x[j] + t[j] + 1) ** 3 for j in range(N)]

    def integral(i: int) -> Any:
        left = sum(t[j] * load[j] for j in range(i + 1))
        return (1 - t[i]) * left + t[i] * sum((1 - t[j]) * load[j] for j in range(i + 1, N))

    return [x[i] + integral(i) / (2 * (N + 1)) for i in range(N)]


@problem([-1] * N, near=[-0.6] * N)
def broyden_tridiagonal(x: Any, m: Any) -> Residuals:
    u = [0, *(x[i] for i in range(N)), 0]
    return [(3 - 2 * u[i]) * u[i] - u[i - 1] - 2 * u[i + 1] + 1 for i in range(1, N + 1)]


@problem([-1] * N, near=[-0.45] * N)
def broyden_banded(x: Any, m: Any) -> Residuals:
    def others(i: int) -> Any:
        return sum(x[j] * (1 + x[j]) for j in range(max(0, i - 5), min(N, i + 2)) if j != i)

    return [x[i] * (2 + 5 * x[i] ** 2) + 1 - others(i) for i in range(N)]


@problem([1] * N)
def linear_full_rank(x: Any, m: Any) -> Residuals:
    shift = m.of(2) / M * sum(x[i] for i in range(N)) + 1
    return [*(x[i] - shift for i in range(N)), *[-shift] * (M - N)]


@problem([1] * N)
def linear_rank_1(x: Any, m: Any) -> Residuals:
    slope = sum((j + 1) * x[j] for j in range(N))
    return [i * slope - 1 for i in range(1, M + 1)]


@problem([1] * N)
def linear_rank_1_zeros(x: Any, m: Any) -> Residuals:
    slope = sum((j + 1) * x[j] for j in range(1, N - 1))
    return [0 * x[0] - 1, *(i * slope - 1 for i in range(1, M - 1)), 0 * x[0] - 1]


@problem([j / (NODES + 1) for j in range(1, NODES + 1)], near=(0.043, 0.193, 0.266, 0.5, 0.5, 0.734, 0.807, 0.957))
def chebyquad(x: Any, m: Any) -> Residuals:
    """The polynomials by angles: T_i(cos a) = cos(i a), and by x = (1 + cos a)/2 they are those on 0 ≤ x ≤ 1."""

    def equation(i: int) -> Any:
        integral = 0 if i % 2 else m.of(1) / (1 - i * i)
        return sum(m.cos(i * m.acos(2 * x[j] - 1)) for j in range(NODES)) / NODES - integral

    return [equation(i) for i in range(1, NODES + 1)]


# ── two engines ─────────────────────────────────────────────────────────────────────────────────────────────

FUNCTIONS = ("exp", "log", "sin", "cos", "acos", "atan2", "sqrt")
EXACT = SimpleNamespace(of=mpf, pi=mp.pi, abs=abs, **{name: getattr(mpmath, name) for name in FUNCTIONS})
TRACED = SimpleNamespace(of=float, pi=math.pi, abs=jnp.abs, **{name: getattr(jnp, name) for name in FUNCTIONS})


def exact_jacobian(function: Problem, x: list[mpf]) -> Any:
    """f64[m, n] of mpf, by central differences."""

    def moved(k: int, by: mpf) -> Residuals:
        return function([v + by if i == k else v for i, v in enumerate(x)], EXACT)

    columns = [
        [(a - b) / (2 * STEP) for a, b in zip(moved(k, STEP), moved(k, -STEP), strict=True)] for k in range(len(x))
    ]
    return np.array(columns, dtype=object).T


def exact_gradient(function: Problem, x: list[mpf]) -> Any:
    return 2 * np.array(function(x, EXACT), dtype=object) @ exact_jacobian(function, x)


def exact_hessian(function: Problem, x: list[mpf]) -> Any:
    """Of the sum of squares, by differences of its gradient: f64[n, n] of mpf."""

    def gradient(k: int, by: mpf) -> Any:
        return exact_gradient(function, [v + by if i == k else v for i, v in enumerate(x)])

    return np.array([(gradient(k, STEP) - gradient(k, -STEP)) / (2 * STEP) for k in range(len(x))])


def traced(function: Problem) -> Callable[[Any], Any]:
    return lambda x: jnp.stack([jnp.asarray(f, dtype=jnp.float64) for f in function(x, TRACED)])


def sum_of_squares(function: Problem) -> Callable[[Any], Any]:
    f = traced(function)
    return lambda x: jnp.sum(f(x) ** 2)


def minimiser(function: Problem, near: list[float]) -> np.ndarray[Any, Any]:
    """By least squares in float64, then by Newton's steps with the gradient of mpmath and the Hessian of JAX."""
    f, tight = traced(function), dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15)
    found = least_squares(jax.jit(f), near, jac=jax.jit(jax.jacfwd(f)), x_scale="jac", **tight)
    hessian = mp.matrix(jax.hessian(sum_of_squares(function))(jnp.array(found.x)).tolist())
    x = [mpf(v) for v in found.x]
    for _ in range(60):
        step = mp.lu_solve(hessian, mp.matrix(exact_gradient(function, x).tolist()))
        x = [v - s for v, s in zip(x, step, strict=True)]
        if max(abs(s) / max(abs(v), mpf("1e-3")) for v, s in zip(x, step, strict=True)) < mpf(10) ** -20:
            return np.array([0.0 if abs(v) < 1e-30 else float(v) for v in x])
    raise ArithmeticError(f"{function.__name__}: no minimum near {near}")


def compare(what: str, exact: np.ndarray[Any, Any], other: Any) -> None:
    allowed = 1e-12 * np.abs(exact).max()
    assert np.allclose(exact, np.asarray(other), rtol=0, atol=allowed), f"{what}: {other} by JAX, {exact} by mpmath"


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    mp.dps = DIGITS
    table: dict[str, Any] = {}
    for name, (function, start, near) in PROBLEMS.items():
        f, x, point = traced(function), jnp.array(start), [mpf(v) for v in start]
        jacobian = exact_jacobian(function, point).astype(float)
        hessian = exact_hessian(function, point).astype(float)
        compare(f"{name}, Jacobian", jacobian, jax.jacfwd(f)(x))
        compare(f"{name}, Hessian", hessian, jax.hessian(sum_of_squares(function))(x))
        table |= {f"{name}.jacobian": jacobian, f"{name}.hessian": hessian}
        if near is not None:
            table[f"{name}.minimiser"] = minimiser(function, near)
    np.savez_compressed(TARGET, **table)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()

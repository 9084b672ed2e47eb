"""Routes against mpmath over their whole range, and against NumPy at every special number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.backends import kernels, reductions, routes
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.graph import Builder, Graph, Node
from gradcli.ir.primitive import primitive

Array = np.ndarray[Any, Any]
Exact = Callable[[Any], Any]
INF, NAN = np.inf, np.nan
ROUTES = [pytest.param(route, id=f"{route.prim} {route.dtype}") for route in routes.ROUTES]
SPECIAL = [0.0, -0.0, INF, -INF, NAN, 5e-324, -5e-324, 1e-310, 1e-300, -1e-300, 1e300, -1e300, 1e22, 1700.0, 800.0,
           -745.2, -800.0, 1.0, -1.0, 19.5, -30.0, 1e-45, 88.8, -104.0]  # fmt: skip


def softplus(x: Any) -> Any:
    return x + mp.log1p(mp.exp(-x)) if x > 0 else mp.log1p(mp.exp(x))


EXACT: dict[str, Exact] = {
    "sin": mp.sin, "cos": mp.cos, "tanh": mp.tanh, "softplus": softplus, "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "erf": mp.erf, "erfc": mp.erfc, "relu": lambda x: max(x, 0),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every route is tried, whatever the processor."""
    monkeypatch.setattr(routes, "processor", lambda: "avx2")


def graph(name: str, dtype: str, shape: tuple[int, ...], number: float | None = None, **params: Any) -> Graph:
    builder = Builder()
    x = builder.input(Aval(shape, dtype), "x")
    operands = [x] if number is None else [x, builder.scalar(number, dtype)]
    return builder.finish(builder.emit(primitive(name), operands, params))


def node_of(graph: Graph) -> Node:
    return next(node for node in graph.nodes if node.prim.name != "constant")


def run(name: str, x: Array, *, number: float | None = None, out: Array | None = None, **params: Any) -> Array:
    """What the route for the operator writes; there must be one."""
    dtype = {long: short for short, long in NUMPY_NAMES.items()}[str(x.dtype)]
    made = graph(name, dtype, x.shape, number, **params)
    write = routes.writers(made.nodes)[node_of(made)]
    out = np.empty(made.outputs[0].shape, NUMPY_NAMES[made.outputs[0].dtype]) if out is None else out
    with np.errstate(all="ignore"):
        write(x, *([] if number is None else [np.array(number, x.dtype)]), out=out)
    return out


def plain(name: str, x: Array, *rest: Array, **params: Any) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(primitive(name).eval(np, x, *rest, **params))


def filled(points: Array, size: int = routes.LEAST) -> Array:
    """The points, again and again, so many that a route is taken."""
    return np.resize(points, max(size, len(points)))


def worst(found: Array, x: Array, exact: Exact) -> tuple[float, float]:
    """The largest error in ulps, and where."""
    errors = []
    with mp.workdps(50):
        for value, point in zip(found, x, strict=True):
            true = exact(mp.mpf(float(point)))
            ulp = float(np.spacing(abs(found.dtype.type(float(true)))))
            errors.append(float(abs(mp.mpf(float(value)) - true) / mp.mpf(ulp)))
    at = int(np.argmax(errors))
    return errors[at], float(x[at])


def points(dtype: str, seed: int = 0) -> Array:
    """Dense about 0, over all sizes, and at the edges of tables."""
    rng = np.random.default_rng(seed)
    small = 10.0 ** rng.uniform(-300 if dtype == "f64" else -37, 1, 300)
    steps = np.concatenate([np.arange(-300, 300) * (math.pi / 1024), np.arange(-300, 300) / 512])
    made = np.concatenate([rng.normal(size=1000) * 2, rng.uniform(-80, 80, 500), small, -small, steps])
    return np.asarray(made, NUMPY_NAMES[dtype])


# ── elementary functions ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_is_within_the_ulps_of_its_entry(route: routes.Route) -> None:
    x = points(route.dtype)
    found = run(route.prim, filled(x))[: len(x)]
    if not route.ulps:
        assert_array_equal(found, plain(route.prim, x))
        return
    error, at = worst(found, x, EXACT[route.prim])
    assert error <= route.ulps <= 2, f"{route.prim}({at!r}) is wrong by {error:.2f} ulps"


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_next_to_multiples_of_half_pi_and_large_ones(name: str) -> None:
    rng = np.random.default_rng(1)
    turns = np.arange(-1017, 1018) * (math.pi / 2)
    x = np.concatenate([turns, np.nextafter(turns, INF), np.nextafter(turns, -INF), rng.uniform(-1600, 1600, 1500)])
    error, at = worst(run(name, filled(x))[: len(x)], x, EXACT[name])
    assert error <= 1.5, f"{name}({at!r}) is wrong by {error:.2f} ulps"


@pytest.mark.parametrize("route", ROUTES)
def test_special_numbers_are_those_of_numpy(route: routes.Route) -> None:
    """Each among ordinary numbers, as one of them may send the whole block another way."""
    x = np.random.default_rng(0).normal(size=routes.LEAST).astype(NUMPY_NAMES[route.dtype])
    with np.errstate(over="ignore", under="ignore"):
        numbers = np.array(SPECIAL).astype(x.dtype)
    for number in [*numbers, None]:
        own = filled(numbers) if number is None else x.copy()
        if number is not None:
            own[7] = number
        found, expected = run(route.prim, own), plain(route.prim, own)
        np.testing.assert_array_max_ulp(found, expected, 2)
        real = ~np.isnan(expected)
        assert_array_equal(np.signbit(found[real]), np.signbit(expected[real]))


def every_size(dtype: str, largest: float) -> Array:
    """Numbers of both signs and every exponent, the subnormal ones included, up to `largest`; of f32, with those of
    every tenth of an ulp of the exponent."""
    rng = np.random.default_rng(0)
    number = np.finfo(NUMPY_NAMES[dtype])
    with np.errstate(all="ignore"):
        exponents = np.arange(number.minexp - number.nmant, math.log2(largest), 1 / 8)
        sizes = (2.0**exponents * rng.uniform(1, 2, exponents.size)).astype(number.dtype)
    return np.concatenate([sizes, -sizes, [number.smallest_subnormal, number.tiny, -number.tiny]]).astype(number.dtype)


@pytest.mark.parametrize("largest", [1500.0, 2.0**120])
@pytest.mark.parametrize("route", ROUTES)
def test_a_route_is_within_2_ulps_of_numpy_over_the_whole_range(route: routes.Route, largest: float) -> None:
    for x in (every_size(route.dtype, largest), points(route.dtype, 1), *worst_places(route)):
        found, expected = run(route.prim, filled(x)), plain(route.prim, filled(x))
        np.testing.assert_array_max_ulp(found, expected, 2)
        assert_array_equal(np.signbit(found), np.signbit(expected))


def worst_places(route: routes.Route) -> list[Array]:
    """Where sums of a table's number and a small one end below the power of two that the table's is above."""
    rng = np.random.default_rng(2)
    zeros = {"sin": 0.0, "cos": math.pi / 2}.get(route.prim)
    if zeros is not None and route.dtype == "f64":
        turns = rng.integers(-500, 500, 100_000) * math.pi + zeros
        return [turns + rng.choice([-1, 1], turns.size) * rng.uniform(0.0031, 0.0039, turns.size)]
    steps = rng.choice([-1, 1], 100_000) * rng.uniform(0.0019, 0.002, 100_000)
    return [steps.astype(NUMPY_NAMES[route.dtype])]


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_is_within_the_ulps_of_its_entry_at_its_worst_places(route: routes.Route) -> None:
    """Of many, those where it is farthest from NumPy."""
    (x,) = worst_places(route)
    found = run(route.prim, x)
    apart = abs(found.astype("f8") - plain(route.prim, x)) / np.spacing(abs(found))
    far = np.argsort(-apart)[:300]
    if route.ulps:
        error, at = worst(found[far], x[far], EXACT[route.prim])
        assert error <= route.ulps, f"{route.prim}({at!r}) is wrong by {error:.2f} ulps"


def test_tables_are_rounded_once() -> None:
    with mp.workdps(40):
        sines = [float(mp.sin(mp.pi * k / kernels.STEPS)) if k % 512 else 0.0 for k in range(1280)]
        assert_array_equal(kernels._sines()[:1280], sines)
        table = kernels._tanhs()
        for k in range(-4992, 4993):
            assert table[k] == float(mp.tanh(mp.mpf(k) / kernels.GRID)), k


def test_the_parts_of_a_step_are_exact() -> None:
    with mp.workdps(60):
        left = mp.pi / kernels.STEPS - kernels.STEP_1 - kernels.STEP_2 - kernels.STEP_3
        assert abs(left) < 1e-41
    for part in (kernels.STEP_1, kernels.STEP_2):
        assert math.frexp(part)[0] * 2**35 % 1 == 0
    assert kernels.FAR / kernels.STEP_1 < 2**18


# ── sine and cosine of one angle ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("names", [("sin", "cos"), ("cos", "sin")])
@pytest.mark.parametrize("layout", ["whole", "strided", "in place"])
def test_a_pair_gives_what_each_gives_alone(names: tuple[str, str], layout: str) -> None:
    size = 20000  # more than a block
    builder = Builder()
    angle = builder.input(Aval((size,), "f64"), "x")
    nodes = builder.finish([builder.emit(primitive(name), [angle], {})[0] for name in names]).nodes
    found = routes.writers(nodes)
    for scale in (1.0, 1e5, 1.0):  # the second run leaves the range
        x = np.random.default_rng(0).normal(size=size) * scale
        alone = [run(name, x) for name in names]
        outs = [np.empty(2 * size)[::2] if layout == "strided" else np.empty(size) for _ in names]
        if layout == "in place":
            outs[0] = x
        for node, out in zip(nodes, outs, strict=True):
            found[node](x, out=out)
        for out, expected in zip(outs, alone, strict=True):
            assert_array_equal(out, expected)


def test_sines_of_two_angles_are_no_pair() -> None:
    builder = Builder()
    x, y = (builder.input(Aval((10000,), "f64"), name) for name in "xy")
    nodes = builder.finish([builder.emit(primitive(n), [a], {})[0] for n, a in (("sin", x), ("cos", y))]).nodes
    assert not any(isinstance(getattr(w, "__self__", None), routes._Pair) for w in routes.writers(nodes).values())


# ── powers, f16, memory ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("number", kernels.POWERS)
def test_powers(number: float, dtype: str) -> None:
    x = points(dtype)
    x = x[(abs(x) > 1e-6) & (abs(x) < 1e6)]
    x = x if number == int(number) else abs(x)
    with mp.workdps(50):
        error, at = worst(run("pow", filled(x), number=number)[: len(x)], x, lambda p: p ** mp.mpf(number))
    assert error <= routes.SCALAR_POWERS, f"{at!r} ** {number} is wrong by {error:.2f} ulps"


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("number", kernels.POWERS)
def test_powers_of_special_numbers(number: float, dtype: str) -> None:
    with np.errstate(all="ignore"):
        special = np.array([*SPECIAL, 1e160, -1e-160, 1e20, 1e-20]).astype(NUMPY_NAMES[dtype])
    for own in [special, *[np.array([one]) for one in special]]:
        x = filled(own)
        found, expected = run("pow", x, number=number), plain("pow", x, np.array(number, x.dtype))
        np.testing.assert_array_max_ulp(found, expected, 2)
        real = ~np.isnan(expected)
        assert_array_equal(np.signbit(found[real]), np.signbit(expected[real]))


@pytest.mark.parametrize("name", routes.HALF)
def test_functions_of_f16_have_the_bits_of_numpy(name: str) -> None:
    x = np.resize(np.arange(65536, dtype="u2").view("f2"), routes.TABLE * 2)
    assert_array_equal(run(name, x), plain(name, x))


def test_a_product_of_f16_is_that_of_f32_rounded_once() -> None:
    rng = np.random.default_rng(0)
    builder = Builder()
    x, y = (builder.input(Aval(shape, "f16"), "x") for shape in ((40, 300), (300, 20)))
    made = builder.finish(builder.emit(primitive("matmul"), [x, y], {}))
    a, b = (rng.normal(size=v.shape).astype("f2") for v in (x, y))
    out = np.empty((40, 20), "f2")
    routes.writers(made.nodes)[node_of(made)](a, b, out=out)
    assert_array_equal(out, (a.astype("f4") @ b.astype("f4")).astype("f2"))


@pytest.mark.parametrize("route", ROUTES)
def test_memory_with_gaps_and_a_result_in_place(route: routes.Route) -> None:
    """Several blocks, of which the last is short; nothing is written beside the result."""
    x = np.random.default_rng(0).normal(size=(5, 9000)).astype(NUMPY_NAMES[route.dtype])
    x.flags.writeable = False
    expected = run(route.prim, x)
    np.testing.assert_array_max_ulp(expected, plain(route.prim, x), 4)
    room = np.full((5, 18002), 7, x.dtype)
    np.testing.assert_array_max_ulp(run(route.prim, x, out=room[:, 1:-1:2]), expected, 4)
    assert (room[:, ::2] == 7).all()
    own = x.copy()
    assert_array_equal(run(route.prim, own, out=own), expected)
    gaps = np.repeat(x, 2, axis=1)[:, ::2]
    assert_array_equal(run(route.prim, gaps), expected)
    assert_array_equal(gaps, x)


# ── reductions ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("count", [2, 3, 7, 16, 100, 128])
def test_sums_over_a_short_axis(count: int, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(301, count)).astype(NUMPY_NAMES[dtype])
    eps = float(np.finfo(x.dtype).eps)
    bound = count * eps * abs(x.astype("f8")).sum(axis=1)
    assert (abs(run("reduce_sum", x, axes=(1,)).astype("f8") - x.astype("f8").sum(axis=1)) <= bound).all()
    x[3, 1], x[5, 0], x[6, :2] = INF, NAN, [INF, -INF]
    found = run("reduce_sum", x, axes=(1,))
    assert found[3] == INF
    assert np.isnan(found[5:7]).all()
    gaps = np.repeat(x, 2, axis=1)[:, ::2]
    assert_array_equal(run("reduce_sum", gaps, axes=(1,)), plain("reduce_sum", gaps, axes=(1,)))


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize(("shape", "axes"), [((300, 2), (0,)), ((50, 11, 30), (0, 1)), ((3, 5, 40, 4, 7), (2, 3))])
def test_sums_over_other_axes(shape: tuple[int, ...], axes: tuple[int, ...], dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(NUMPY_NAMES[dtype])
    count = math.prod(shape[axis] for axis in axes)
    bound = count * float(np.finfo(x.dtype).eps) * abs(x.astype("f8")).sum(axis=axes)
    assert (abs(run("reduce_sum", x, axes=axes).astype("f8") - x.astype("f8").sum(axis=axes)) <= bound).all()
    x.flat[1] = NAN
    found, expected = run("reduce_sum", x, axes=axes), plain("reduce_sum", x, axes=axes)
    assert_array_equal(np.isnan(found), np.isnan(expected))
    gaps = np.repeat(x, 2, axis=-1)[..., ::2]
    assert_array_equal(run("reduce_sum", gaps, axes=axes), plain("reduce_sum", gaps, axes=axes))


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("name", ["reduce_max", "reduce_min"])
@pytest.mark.parametrize("shape", [(300, 2), (200, 5), (100, 16), (50, 4, 3)])
def test_extremes_over_a_short_axis(shape: tuple[int, ...], name: str, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(NUMPY_NAMES[dtype])
    x[3, 1], x[5, 0], x[7] = NAN, INF, -INF
    axes = tuple(range(1, x.ndim))
    assert_array_equal(run(name, x, axes=axes), plain(name, x, axes=axes))


# ── the choice ──────────────────────────────────────────────────────────────────────────────────────────────


def test_small_arrays_and_other_processors_take_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not routes.writers(graph("sin", "f64", (100,)).nodes)
    assert not routes.writers(graph("reduce_sum", "f64", (3, 8), axes=(1,)).nodes)
    assert not routes.writers(graph("reduce_sum", "f64", (50, 3, 8), axes=(0, 2)).nodes)
    assert not routes.writers(graph("reduce_sum", "f64", (reductions.LONG + 1, 8), axes=(0,)).nodes)
    monkeypatch.setattr(routes, "processor", lambda: "avx512")
    assert not routes.writers(graph("tanh", "f64", (20000,)).nodes)
    assert routes.writers(graph("sin", "f64", (20000,)).nodes)
    monkeypatch.setattr(routes, "processor", lambda: "other")
    assert not routes.writers(graph("sin", "f64", (20000,)).nodes)


def test_the_table_names_operators_once_and_says_what_it_gains() -> None:
    keys = [(route.prim, route.dtype) for route in routes.ROUTES]
    assert len(set(keys)) == len(keys)
    for route in routes.ROUTES:
        assert route.ratio >= 1.15
        assert route.ulps <= 2
        assert primitive(route.prim).kind == "elementwise"


def test_the_processor_is_one_of_those_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert routes.processor() in ("avx2", "avx512", "other")

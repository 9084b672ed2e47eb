"""Real CuPy on a real GPU against NumPy; skipped where there is none.

    python -m pytest tests/backends/test_gpu.py

Every primitive on all its samples, elementwise ones on special numbers, too; matrices, indices, the conventions, all
cases of all models, and what an error says. Numbers agree to `WIDE` units of rounding of the largest; what is known to
differ stands in `docs/derivative-conventions.md`, On a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import gradcli
from gradcli import api, backends
from gradcli.ad.reverse import reverse
from gradcli.backends import cupy as backend
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.primitive import DataError, primitive, registry
from gradcli.request import Request
from tests.conftest import GPUS, ROOT, Cli
from tests.ops.modes import hold
from tests.ops.samples import Case, evaluate, floats, graph_of, operands, params_for, results, walk
from tests.reference.test_conventions import EACH, ITEMS, Row, numbers, point

try:
    HERE = backends.choose("auto")[0] == "cupy"  # by the variables of the shell: no fixture hides anything yet
except gradcli.ModelError:
    HERE = False
if not HERE:
    pytest.skip("no GPU", allow_module_level=True)

WIDE = 32
FLOAT_TYPES = ("f64", "f32", "f16")


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if GPUS is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", GPUS)


def on_gpu(function: Any, arrays: list[Any]) -> list[Any]:
    """`function(xp, *arrays)` there, its results here."""
    cp = backend.namespace()
    with backend._checked():
        made = function(backend.functions(cp, 0), *[cp.asarray(array) for array in arrays])
    return [cp.asnumpy(array) for array in (made if isinstance(made, (tuple, list)) else (made,))]


def alike(found: Any, expected: Any, wide: float = WIDE) -> None:
    """Shape, dtype, nans and infinities agree, and numbers to `wide` units of rounding of the largest."""
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind != "f":
        assert_array_equal(found, expected)
        return
    finite = np.isfinite(expected)
    assert_array_equal(found[~finite], expected[~finite])
    wrong = np.abs(found[finite].astype("f8") - expected[finite].astype("f8"))
    largest = np.abs(expected[finite].astype("f8")).max(initial=0)
    assert wrong.max(initial=0) <= wide * np.finfo(expected.dtype).eps * largest


# ── every operator ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize("case", [*walk(), *walk(empty=True)])
def test_every_operator(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    params = params_for(case, arrays)
    found = on_gpu(lambda xp, *given: case.prim.eval(xp, *given, **params), arrays)
    for own, expected in zip(found, results(case.prim, arrays, params), strict=True):
        alike(own, expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize("case", [case for case in walk() if case.values[0].sample.differentiable])
def test_every_gradient(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    graph = graph_of(case, arrays)
    wrt, outs = floats(graph.inputs), floats(graph.outputs)
    if not wrt or not outs:
        return
    gradient = reverse(graph, wrt, sens="inputs", outputs=outs)
    rng = np.random.default_rng(1)
    cts = [rng.normal(size=v.shape).astype(NUMPY_NAMES[v.dtype]) for v in gradient.inputs[len(arrays) :]]

    def run(xp: Any, *given: Any) -> list[Any]:
        env = {value.id: array for value, array in zip(gradient.inputs, given, strict=True)}
        for node in gradient.nodes:
            made = node.prim.eval(xp, *[env[value.id] for value in node.inputs], **node.params)
            for out, array in zip(node.outs, made if isinstance(made, tuple) else (made,), strict=True):
                env[out.id] = array
        return [env[value.id] for value in gradient.outputs]

    for own, expected in zip(on_gpu(run, [*arrays, *cts]), evaluate(gradient, [*arrays, *cts]), strict=True):
        alike(own, expected)


# ── special numbers ─────────────────────────────────────────────────────────────────────────────────────────

CANCEL = {"lgamma": 1e-15, "digamma": 1e-15, "polygamma": 1e-15, "logaddexp": 1e-15}  # near their roots
ELEMENTWISE = [p for p in registry().values() if p.kind == "elementwise" and p.name not in ("cast", "where")]


def special(dtype: str) -> Any:
    """Without subnormal numbers, which are 0 on a GPU in f32, and the very largest, whose hypot overflows."""
    info = np.finfo(dtype)
    ends = [float(info.max) / 4, float(info.tiny), 1 + float(info.eps), 1 - float(info.eps)]
    mixed = [0, 1, 0.5, 2, 3, 1.5, 2.5, 0.1, 0.7, 10, np.pi, np.inf, 20, 30, 80, 300, 700, 1e4, 6, 7, 100.25, *ends]
    with np.errstate(all="ignore"):
        return np.array([*mixed, *(-x for x in mixed), np.nan]).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("prim", [pytest.param(p, id=p.name) for p in ELEMENTWISE])
def test_special_numbers(prim: Any, dtype: str) -> None:
    s = special(dtype)
    grid = [x.reshape(-1) for x in np.meshgrid(s, s, indexing="ij")] if len(prim.samples[0].operands) == 2 else [s]
    params = prim.samples[0].params
    expected = results(prim, grid, params)[0]
    (found,) = on_gpu(lambda xp, *given: prim.eval(xp, *given, **params), grid)
    assert found.dtype == expected.dtype
    if expected.dtype.kind != "f":
        assert_array_equal(found, expected)
        return
    tiny = float(np.finfo(dtype).tiny)
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps, atol=max(tiny, CANCEL.get(prim.name, 0)))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("count", [2, 33, 1000])
def test_the_first_of_several_nans(name: str, count: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, count))
    x[1, count // 3 :: 2] = x[2, 0] = x[2, -1] = np.nan
    for axis in (0, 1):
        alike(*on_gpu(lambda xp, a: primitive(name).eval(xp, a, axis=axis), [x]), getattr(np, name)(x, axis=axis))  # noqa: B023


# ── matrices ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["solve", "inv", "cholesky", "det", "slogdet", "cofactor"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 33])
@pytest.mark.parametrize("lead", [(), (3,)])
def test_matrices(name: str, n: int, lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(n)
    a = rng.normal(size=(*lead, n, n)) / np.sqrt(n) + 2 * np.eye(n)
    a = a @ a.swapaxes(-1, -2) if name == "cholesky" else a
    arrays = [a, rng.normal(size=(*lead, n, 2))] if name == "solve" else [a]
    prim = primitive(name)
    for own, expected in zip(on_gpu(prim.eval, arrays), results(prim, arrays, {}), strict=True):
        alike(own, expected, 300)


@pytest.mark.parametrize("name", ["inv", "cholesky", "solve"])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_matrices_that_are_refused(name: str, lead: tuple[int, ...]) -> None:
    a = np.broadcast_to([[1.0, 2.0], [2.0, 4.0]], (*lead, 2, 2)).copy()
    if name == "cholesky":
        a[..., 1, 1] = 1.0
    arrays = [a, np.ones((*lead, 2, 1))] if name == "solve" else [a]
    with pytest.raises(DataError, match="not positive definite" if name == "cholesky" else "singular"):
        on_gpu(primitive(name).eval, arrays)


# ── indices ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_repeated_indices(dtype: str) -> None:
    """The last one wins, and sums are the same every time."""
    rng = np.random.default_rng(0)
    index, x, v = rng.integers(0, 50, 4000), rng.normal(size=(50, 3)).astype(dtype), rng.normal(size=(4000, 3))
    for name in ("scatter_set", "scatter_add"):
        prim, arrays = primitive(name), [x, v.astype(dtype), index]
        runs = [on_gpu(lambda xp, *given: prim.eval(xp, *given, axes=(0,)), arrays)[0] for _ in range(3)]  # noqa: B023
        alike(runs[0], results(prim, arrays, {"axes": (0,)})[0])
        assert runs[0].tobytes() == runs[1].tobytes() == runs[2].tobytes()


@pytest.mark.parametrize("wrong", [[0, 3], [-1, 0], 3, -1, [2**40]])
def test_an_index_out_of_range(wrong: Any) -> None:
    with pytest.raises(DataError, match="is out of range for a dim of size 3"):
        on_gpu(lambda xp, x, i: primitive("gather").eval(xp, x, i, axes=(0,)), [np.ones((3, 2)), np.array(wrong)])


# ── the language and the command line ───────────────────────────────────────────────────────────────────────


@EACH
def test_conventions(row: Row) -> None:
    """`--backend auto` takes the GPU, for what goes through the language."""
    if row.here == "error":
        return
    here, _, pushed = row.here.partition(", forward ")
    given = point(row.at)
    large = any((abs(array[np.isfinite(array)]) > 1e30).any() for array in given.values())
    hold(row.expression, slope=numbers(here), pushed=numbers(pushed) if pushed else None, items=ITEMS,
         dtypes=["f64"] if large else ["f64", "f32"], **given)  # fmt: skip


def test_the_slope_at_minus_0() -> None:
    hold("sqrt(x)", x=-0.0, value=-0.0, slope=-np.inf)


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "models").iterdir() if p.is_dir()))
def test_the_cases_of_models(folder: str) -> None:
    found = api.test([ROOT / "models" / folder], request=Request(verb="test", backend="cupy"))
    assert [case for case in found if case.status != "passed"] == []


def test_commands(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.net"
    model.write_text("net f(x: f64[n], i: i64[m]) {\n  y = x * 2\n  return y[i]\n}\n")
    given = ["-i", "x=[1.0, 2.0, 3.0]", "--wrt", "x", "--backend", "cupy"]
    ran = cli("grad", model, *given, "-i", "i=[2, 2]", "-v").done()
    assert (ran.err, ran.out.splitlines()[0][-7:]) == ("backend: cupy (asked for, device 0)\n", " · cupy")
    ran = cli("grad", model, *given, "-i", "i=[0, 3]")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "error[SHP108]: index 3 is out of range for a dim of size 3")
    ran = cli("grad", model, *given, "-i", "i=[0]", "--device", "99")
    assert (ran.code, ran.err.partition(":")[0]) == (3, "error[ENV003]")
    huge = ["eval", "-e", "sin(arange(400000000000) * x)", "-i", "x=2.0", "--backend", "cupy"]
    ran = cli(*huge)
    assert (ran.code, ran.err.partition(":")[0]) == (3, "error[NUM001]")
    assert "are free on the GPU" in ran.err


def test_env(cli: Cli) -> None:
    assert ", CUDA " in cli("env").done().out


def test_arrays_of_the_device() -> None:
    cp = backend.namespace()
    step = gradcli.compile("net f(x: f64[n]) = x * x").compile("grad", backend="cupy")
    target = cp.zeros(3)
    assert step(x=cp.arange(3.0), sens=cp.ones(3), out={"x": target})["x"] is target
    assert_array_equal(cp.asnumpy(target), [0, 2, 4])

"""The backend CuPy as a whole, on a stand-in that behaves as CuPy was seen to behave on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import gradcli
from gradcli import api, backends
from gradcli.backends.functions import CHUNK, Functions, sent
from gradcli.request import Request
from tests.backends import standin
from tests.conftest import ROOT, Cli
from tests.ops import strict

INF, NAN = np.inf, np.nan
READ = "net f(x: f64[n], i: i64[m]) {\n  y = x * 2\n  return y[i]\n}\n"


@pytest.fixture
def cp(monkeypatch: pytest.MonkeyPatch) -> Any:
    return standin.install(monkeypatch)


def on_device(*numbers: Any, dtype: str = "f8") -> strict.Array:
    return strict.Array(np.array(numbers, dtype))


# ── what is CuPy's otherwise ────────────────────────────────────────────────────────────────────────────────

PAIRS = [
    (1.0, 0.1), (5.0, INF), (-5.0, INF), (5.0, -INF), (0.0, INF), (-0.0, 2.0), (6.0, -2.0), (-6.0, 2.0), (5.3, -2.0),
    (-5.3, 2.0), (1.0, 0.0), (INF, 2.0), (NAN, 2.0), (2.0, NAN), (87794089988.14746, 2.860048162174371e-06),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_a_remainder_is_that_of_numpy(dtype: str) -> None:
    with np.errstate(all="ignore"):
        x, y = np.array(PAIRS, dtype).T
        found = Functions(strict.Namespace()).remainder(strict.Array(x.copy()), strict.Array(y.copy())).get()
        expected = np.remainder(x, y)
    assert_array_equal(found, expected)
    assert_array_equal(np.signbit(found[~np.isnan(found)]), np.signbit(expected[~np.isnan(expected)]))


def test_the_remainder_of_integers_is_cupys() -> None:
    found = Functions(strict.Namespace()).remainder(on_device(5, -4, dtype="i8"), on_device(3, 3, dtype="i8"))
    assert found.get().tolist() == [2, 2]


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("row", [[1.0, NAN, 2.0, NAN], [NAN, NAN], [1.0, INF, NAN], [3.0, 1.0, 3.0], [INF, -INF]])
def test_the_first_of_several_nans_is_the_largest_and_the_smallest(name: str, row: list[float]) -> None:
    x = np.array([row, row[::-1]])
    found = getattr(Functions(strict.Namespace()), name)(strict.Array(x.copy()), axis=1)
    assert_array_equal(found.get(), getattr(np, name)(x, axis=1))


def test_a_minus_0_without_dims_keeps_its_sign_on_its_way() -> None:
    names = strict.Namespace()
    assert not np.signbit(names.asarray(np.array(-0.0)).get())  # what CuPy does
    for array in (np.array(-0.0), np.array([-0.0]), on_device(-0.0)):
        assert np.signbit(sent(names, array).get()).all()
        assert sent(names, array).shape == array.shape


def test_the_slope_at_minus_0(cp: Any) -> None:
    net = gradcli.compile("net f(x: f64) = sqrt(x)")
    assert net.grad(x=-0.0, backend="cupy")["x"] == -INF


def test_a_right_side_without_columns() -> None:
    a, b = strict.Array(np.stack([np.eye(2)] * 3)), strict.Array(np.zeros((3, 2, 0)))
    assert Functions(strict.Namespace()).linalg.solve(a, b).shape == (3, 2, 0)


def test_a_nan_in_a_matrix_is_a_nan_in_its_inverse(cp: Any) -> None:
    """cuSOLVER's pivots pass by a nan: the inverse of [[nan, 1], [1, 2]] has four numbers."""
    a = np.array([[[NAN, 1.0], [1.0, 2.0]], [[2.0, 0.0], [0.0, 4.0]]])
    for backend in ("cupy", "numpy"):
        found = gradcli.compile("net f(a: f64[k, n, n]) = inv(a)").eval(a=a, backend=backend)["out"]
        assert_array_equal(found, [[[NAN, NAN], [NAN, NAN]], [[0.5, 0], [0, 0.25]]])
        solved = gradcli.compile("net f(a: f64[n, n]) = solve(a, ones((2, 1)))").eval(a=a[0], backend=backend)["out"]
        assert_array_equal(solved, [[NAN], [NAN]])


def test_the_number_of_a_turn_is_read_where_the_device_counts() -> None:
    names = strict.Namespace()
    xp = Functions(names)
    for number in (0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 5, 2):
        assert int(xp.asarray(number)) == number
        assert xp.asarray(number).shape == ()
        assert xp.asarray(number).dtype == "int64"
    assert "asarray" not in names.used
    assert xp.asarray(2.5).get() == 2.5
    assert xp.asarray(3, dtype="float32").dtype == "float32"


# ── whole commands ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("folder", ["guide", "iris", "deepmd", "pinn", "gmm", "fixed_point"])
def test_the_cases_of_models_hold(cp: Any, folder: str) -> None:
    found = api.test([ROOT / "models" / folder], request=Request(verb="test", backend="cupy"))
    assert found
    assert [case for case in found if case.status != "passed"] == []


def test_a_command_says_where_it_ran(cp: Any, cli_inside: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.net"
    model.write_text("net f(x: f64[2]) = x * x\ninput x: f64[2] = [1.0, 2.0]\n")
    ran = cli_inside("grad", model, "-v").done()
    assert " · cupy\n" in ran.out
    assert "threads" not in ran.out + ran.err
    assert ran.err == "backend: cupy (a GPU was found, device 0)\n"
    document = cli_inside("grad", model, "--backend", "cupy", "--json").done().json()
    assert document["backend"] == "cupy"
    assert document["grads"][0]["data"] == [2.0, 4.0]


def test_env_names_the_gpu(cp: Any, cli_inside: Cli) -> None:
    out = cli_inside("env").done().out
    assert "gpu       NVIDIA H200, CUDA 13.2, a driver for 13.0\n" in out
    assert "backend   cupy (a GPU was found, device 0)\n" in out


@pytest.mark.parametrize("wrong", [3, -1])
def test_an_index_out_of_range_names_the_line(cp: Any, wrong: int) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile(READ).grad(x=np.ones(3), i=np.array([0, wrong]), backend="cupy")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "SHP108"
    assert diagnostic.span is not None
    assert diagnostic.span.source.text[diagnostic.span.start : diagnostic.span.end] == "y[i]"


def test_arrays_of_the_device_go_in_and_out(cp: Any) -> None:
    net = gradcli.compile("net f(x: f64[n], i: i64[m]) {\n  return sum(x[i] * x[i])\n}\n")
    x, i = np.array([1.0, 2.0, 3.0]), np.array([0, 2, 2])
    given = {"x": strict.Array(x.copy()), "i": strict.Array(i.copy())}
    for backend in ("cupy", "numpy"):
        step = net.compile("grad", wrt="x", backend=backend)
        assert_array_equal(net.grad(**given, backend=backend)["x"], [2, 0, 12])
        assert_array_equal(step(**given)["x"], [2, 0, 12])
        assert_array_equal(step(**given)["x"], [2, 0, 12])  # planned before
        narrow = {"x": strict.Array(x.astype("f4")), "i": strict.Array(i.astype("i4"))}
        assert_array_equal(step(**narrow)["x"], [2, 0, 12])
        target = strict.Array(np.zeros(3))
        assert step(**given, out={"x": target})["x"] is target
        assert_array_equal(target.get(), [2, 0, 12])
    assert_array_equal(given["x"].get(), x)


# ── what fails ──────────────────────────────────────────────────────────────────────────────────────────────


def diagnostic_of(run: Any) -> Any:
    with pytest.raises(gradcli.ModelError) as caught:
        run()
    assert caught.value.exit_code == 3
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def test_memory_of_the_gpu_that_runs_out_in_a_step_names_the_line(cp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*args: Any, **kwargs: Any) -> Any:
        raise standin.OutOfMemoryError("Out of memory allocating 320,000,000,000 bytes (allocated so far: 0 bytes).")

    monkeypatch.setattr(cp, "sin", exhausted, raising=False)
    found = diagnostic_of(lambda: gradcli.compile("net f(x: f64[n]) = sin(x)").eval(x=np.ones(2), backend="cupy"))
    assert (found.code, found.label) == ("ENV090", "f64[2]")
    assert found.message == "the memory of the GPU ran out while the model was running"


@pytest.mark.parametrize("name", ["asarray", "asnumpy"])
def test_memory_that_runs_out_on_the_way(cp: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def exhausted(*args: Any, **kwargs: Any) -> Any:
        raise standin.OutOfMemoryError("Out of memory allocating 8 bytes") if name == "asarray" else MemoryError()

    monkeypatch.setattr(cp, name, exhausted, raising=False)
    found = diagnostic_of(lambda: gradcli.compile("net f(x: f64[n]) = x * x").eval(x=np.ones(2), backend="cupy"))
    assert found.code == "ENV090"
    assert ("the GPU" in found.message) == (name == "asarray")


@pytest.mark.parametrize(
    "error",
    [
        standin.RuntimeFailure("cudaErrorLaunchFailure: unspecified launch failure"),
        RuntimeError("CuPy failed to load libnvrtc.so.12: OSError: libnvrtc.so.12: cannot open shared object file"),
    ],
)
def test_cuda_that_fails_is_no_internal_error(cp: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(cp, "sin", failing, raising=False)
    found = diagnostic_of(lambda: gradcli.compile("net f(x: f64[n]) = sin(x)").eval(x=np.ones(2), backend="cupy"))
    assert (found.code, found.notes) == ("ENV005", (str(error),))


def test_a_fault_of_this_program_stays_one(cp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("maximum.reduceat is not supported")

    monkeypatch.setattr(cp, "sin", failing, raising=False)
    with pytest.raises(NotImplementedError):
        gradcli.compile("net f(x: f64[n]) = sin(x)").eval(x=np.ones(2), backend="cupy")


def test_a_model_that_does_not_fit_the_gpu_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    standin.install(monkeypatch, free=1_000_000)
    net = gradcli.compile("net f(x: f64[n]) = sin(x) * cos(x)")
    assert net.eval(x=np.ones(1000), backend="cupy")["out"].shape == (1000,)
    with pytest.raises(gradcli.ModelError) as caught:
        net.eval(x=np.ones(100_000), backend="cupy")
    (found,) = caught.value.diagnostics
    assert (found.code, caught.value.exit_code) == ("NUM001", 3)
    assert found.message.endswith("1 MB are free on the GPU")
    with pytest.raises(gradcli.ModelError, match="allowed by --memory"):
        net.eval(x=np.ones(1000), backend="cupy", memory=10_000)


def test_a_long_loop_keeps_what_fits_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its histories would take 1000 × 80 kB."""
    standin.install(monkeypatch, free=20_000_000)
    text = "net f(x: f64[n]) {\n  for i in 0..1000 {\n    x = x + 0.001 * sin(x)\n  }\n  return sum(x)\n}\n"
    x = np.linspace(0, 1, 10_000)
    found = gradcli.compile(text).grad(x=x, backend="cupy")["x"]
    np.testing.assert_allclose(found, gradcli.compile(text).grad(x=x, backend="numpy")["x"], rtol=1e-12)


def test_auto_without_a_gpu_that_answers_runs_on_numpy(cp: Any) -> None:
    def refused() -> int:
        raise standin.RuntimeFailure("cudaErrorNoDevice: no CUDA-capable device is detected")

    cp.cuda.runtime.getDeviceCount = refused
    assert backends.choose("auto") == (
        "numpy",
        "the backend cupy needs a GPU, and none answers; cudaErrorNoDevice: no CUDA-capable device is detected",
    )


def test_auto_does_not_hide_that_a_device_is_not_there(cp: Any) -> None:
    assert diagnostic_of(lambda: backends.choose("auto", 7)).code == "ENV003"

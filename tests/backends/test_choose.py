"""Which backend runs, why, and what is said where CuPy or a GPU is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gradcli import backends
from gradcli.backends import choose, cupy
from gradcli.ir.graph import apply
from gradcli.plan import make_flat
from gradcli.syntax.diagnostics import ModelError
from tests.ir.graphs import build


def without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "cupy", None)


def with_cupy(monkeypatch: pytest.MonkeyPatch, *, driver: bool) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: object())
    monkeypatch.setattr(backends, "DRIVERS", ("/",) if driver else ("/no/such/driver",))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def refusal(run: Any) -> tuple[str, str, str | None]:
    with pytest.raises(ModelError) as caught:
        run()
    assert caught.value.exit_code == 3
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, diagnostic.message, diagnostic.help


def test_numpy_by_name() -> None:
    assert choose("numpy", 0) == ("numpy", "asked for")


def test_auto_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_cupy(monkeypatch)
    assert choose("auto", 0) == ("numpy", "CuPy is not installed")


def test_auto_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cupy(monkeypatch, driver=False)
    assert choose("auto", 0) == ("numpy", "no GPU driver was found")


def test_auto_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cupy(monkeypatch, driver=True)
    pretend(monkeypatch, 2)
    assert choose("auto", 1) == ("cupy", "a GPU was found, device 1")


def test_auto_with_a_cupy_for_another_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cupy(monkeypatch, driver=True)
    break_cupy(monkeypatch)
    assert choose("auto", 0) == (
        "numpy",
        "CuPy is installed, but cannot be imported; libcudart.so.12: cannot open shared object file",
    )


def test_auto_with_hidden_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cupy(monkeypatch, driver=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose("auto", 0) == ("numpy", "CUDA_VISIBLE_DEVICES hides every GPU")


def test_cupy_by_name_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    without_cupy(monkeypatch)
    code, message, help = refusal(lambda: choose("cupy", 0))
    assert code == "ENV001"
    assert "not installed" in message
    assert help == "`pip install 'gradcli[cupy]'`"


def test_cupy_by_name_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cupy(monkeypatch, driver=False)
    code, message, _ = refusal(lambda: choose("cupy", 0))
    assert code == "ENV002"
    assert message == "the backend cupy needs a GPU: no GPU driver was found"


def test_choosing_imports_neither() -> None:
    text = (
        "import sys; from gradcli.backends import choose; choose('auto', 0)\n"
        "assert not {'numpy', 'cupy'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


# ── cupy.run ────────────────────────────────────────────────────────────────────────────────────────────────


def run() -> Any:
    return cupy.run(make_flat(build(lambda x: apply("sin", x), "f64[2]")), [[1.0, 2.0]])


def pretend(monkeypatch: pytest.MonkeyPatch, count: Any) -> None:
    class CUDARuntimeError(Exception):
        pass

    def devices() -> int:
        if isinstance(count, str):
            raise CUDARuntimeError(count)
        return int(count)

    module: Any = ModuleType("cupy")
    module.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=devices, CUDARuntimeError=CUDARuntimeError))
    monkeypatch.setitem(sys.modules, "cupy", module)


def test_running_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, path: Any, target: Any = None) -> None:
            if name == "cupy":
                raise ModuleNotFoundError("No module named 'cupy'", name="cupy")

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    code, _, help = refusal(run)
    assert code == "ENV001"
    assert help == "`pip install 'gradcli[cupy]'`"


def break_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: Any, target: Any = None) -> None:
            if name == "cupy":
                raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])


def test_running_with_a_cupy_for_another_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    break_cupy(monkeypatch)
    code, message, _ = refusal(run)
    assert code == "ENV001"
    assert message == "CuPy is installed, but cannot be imported"


def test_running_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "cudaErrorNoDevice: no CUDA-capable device is detected")
    code, message, help = refusal(run)
    assert code == "ENV002"
    assert message == "the backend cupy needs a GPU, and none answers"
    assert help == "`--backend numpy` runs on the processor"


def test_running_on_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 2)
    plan = make_flat(build(lambda x: x, "f64[2]"))
    code, message, _ = refusal(lambda: cupy.run(plan, [[1.0, 2.0]], device=2))
    assert code == "ENV003"
    assert message == "there is no GPU 2; 2 can be used, counted from 0"


def test_a_run_uploads_inputs_and_brings_results_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a stand-in whose arrays are NumPy's: what goes there and back, and on which device."""
    import numpy as np

    pretend(monkeypatch, 2)
    module: Any = sys.modules["cupy"]
    moved: list[str] = []

    class Device:
        def __init__(self, number: int) -> None:
            moved.append(f"device {number}")

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    def up(array: Any) -> Any:
        moved.append("up")
        return np.asarray(array)

    def down(array: Any) -> Any:
        moved.append("down")
        return np.array(array)

    @contextmanager
    def errstate(**kinds: str) -> Iterator[None]:
        assert kinds == {"linalg": "raise"}
        yield

    extras: Any = ModuleType("cupyx")
    extras.errstate = errstate
    monkeypatch.setitem(sys.modules, "cupyx", extras)
    module.cuda.Device = Device
    module.asarray, module.asnumpy, module.array = up, down, np.array
    module.sin, module.multiply = np.sin, np.multiply
    plan = make_flat(build(lambda x: apply("sin", x) * 2.0, "f64[2]"))
    (out,) = cupy.run(plan, [np.array([1.0, 2.0])], device=1)
    np.testing.assert_array_equal(out, 2 * np.sin([1.0, 2.0]))
    assert moved == ["device 1", "up", "up", "down"]  # the constant, the input, the result
    moved.clear()
    cupy.run(plan, [np.array([1.0, 2.0])], device=1)
    assert moved == ["device 1", "up", "down"]
    assert set(plan.compiled) == {"cupy:1"}

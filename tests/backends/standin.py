"""The stand-in of `tests/ops/strict.py` as the module `cupy`, so that whole commands run on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradcli import backends
from tests.ops import strict


class Device:
    """`cupy.cuda.Device`"""

    def __init__(self, number: int) -> None:
        assert number == 0

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


class RuntimeFailure(RuntimeError):
    """`cupy.cuda.runtime.CUDARuntimeError`"""

    __module__ = "cupy_backends.cuda.api.runtime"


class OutOfMemoryError(MemoryError):
    """`cupy.cuda.memory.OutOfMemoryError`"""

    __module__ = "cupy.cuda.memory"


@contextmanager
def errstate(**kinds: str) -> Iterator[None]:
    """NumPy warns where CuPy does not."""
    assert kinds == {"linalg": "raise"}
    with np.errstate(all="ignore"):
        yield


def install(monkeypatch: pytest.MonkeyPatch, *, free: int = 1 << 40) -> Any:
    """A machine with one GPU, of which `free` bytes are left; gives its `cupy`."""
    names = strict.Namespace()
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (free, free),
        getDeviceProperties=lambda device: {"name": b"NVIDIA H200"},
        runtimeGetVersion=lambda: 13020,
        driverGetVersion=lambda: 13000,
        CUDARuntimeError=RuntimeFailure,
    )

    class Module(ModuleType):
        cuda = SimpleNamespace(Device=Device, runtime=runtime)

        def __getattr__(self, name: str) -> Any:
            return getattr(names, name)

        def asnumpy(self, array: strict.Array) -> np.ndarray[Any, Any]:
            return array.get()

        def get_default_memory_pool(self) -> Any:
            return SimpleNamespace(free_bytes=lambda: 0)

    made = Module("cupy")
    made.__spec__ = ModuleSpec("cupy", None)
    extras: Any = ModuleType("cupyx")
    extras.errstate = errstate
    monkeypatch.setitem(sys.modules, "cupy", made)
    monkeypatch.setitem(sys.modules, "cupyx", extras)
    monkeypatch.setattr(backends, "find_spec", lambda name: object())
    monkeypatch.setattr(backends, "DRIVERS", ("/",))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return made

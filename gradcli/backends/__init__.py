"""Where plans run. `choose` decides, and imports CuPy only where it is about to run; `cupy.py` alone imports it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from gradcli.backends.threads import cores, start_single, threads_in_use
from gradcli.syntax.diagnostics import ENVIRONMENT, ModelError, fail

__all__ = ["choose", "cores", "missing_cupy", "start_single", "threads_in_use"]

INSTALL = "pip install 'gradcli[cupy]'"
DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")


def choose(backend: str, device: int = 0) -> tuple[str, str]:
    """`("numpy" | "cupy", why)` for `backend` "auto", "numpy" or "cupy".

    Raises ModelError (exit 3) where CuPy is asked for by name: ENV001 if it is not installed, ENV002 without a GPU; and
    ENV003 for a device beyond those that there are.
    """
    if backend == "numpy":
        return "numpy", "asked for"
    missing = missing_cupy()
    if backend == "cupy":
        if missing == "CuPy is not installed":
            raise fail("ENV001", "the backend cupy needs CuPy, which is not installed",
                       help=f"`{INSTALL}`", exit_code=ENVIRONMENT)  # fmt: skip
        if missing is not None:
            raise fail("ENV002", f"the backend cupy needs a GPU: {missing}",
                       help="`--backend numpy` runs on the processor", exit_code=ENVIRONMENT)  # fmt: skip
        return "cupy", f"asked for, device {device}"
    return ("numpy", missing) if missing is not None else _found(device)


def _found(device: int) -> tuple[str, str]:
    """Whether the GPU, of which there are traces, answers. Importing CuPy is work that the run would do anyway."""
    from gradcli.backends.cupy import namespace

    try:
        namespace(device)
    except ModelError as error:
        (diagnostic,) = error.diagnostics
        if diagnostic.code == "ENV003":  # asked for by its number
            raise
        return "numpy", "; ".join((diagnostic.message, *diagnostic.notes))
    return "cupy", f"a GPU was found, device {device}"


def missing_cupy() -> str | None:
    """What CuPy lacks here, None for nothing; told from the file system, as importing CuPy takes seconds."""
    try:
        if find_spec("cupy") is None:
            return "CuPy is not installed"
    except (ImportError, ValueError):
        return "CuPy is not installed"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    if os.name == "nt":
        library = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll")
        return None if library.exists() else "no GPU driver was found"
    return None if any(os.path.exists(path) for path in DRIVERS) else "no GPU driver was found"

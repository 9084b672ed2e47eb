"""The machine and the versions that figures belong to, and the surroundings in which every process runs.

All sides get the same number of threads: told by the variables that BLAS, OpenMP and XLA read, and held to it by
binding the process to that many cores where the system can.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "jax", "jaxlib", "torch", "autograd", "casadi", "scipy")


def settings(threads: int) -> dict[str, str]:
    """The variables that differ from what a user has."""
    eigen = "true" if threads > 1 else "false"
    return {
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}",
        "JAX_PLATFORMS": "cpu",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


def environment(threads: int) -> dict[str, str]:
    """The environment of a process: byte code is kept, as installers leave it, for all sides alike."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return mine | settings(threads)


def cores() -> list[int]:
    """The cores that this process may use, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bound(threads: int) -> Callable[[], None] | None:
    """What binds a new process to that many cores; None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    mine = cores()[:threads]
    return lambda: os.sched_setaffinity(0, mine)


def described() -> dict[str, Any]:
    """Processor, memory, system, Python and packages."""
    return {
        "processor": processor(),
        "cores": len(cores()),
        "memory": memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "gradcli": revision(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
        "compiler": first_line("c++", "--version"),
    }


def processor() -> str:
    """The model, and the vector instructions that matter."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    known = {name.strip(): value.strip() for name, value in facts.items()}
    flags = known.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "")
    return " ".join(
        text for text in (known.get("model name", platform.machine()), f"({widest})" * bool(widest)) if text
    )


def memory() -> int:
    """Bytes of the whole machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def revision() -> str:
    """Version and commit of gradcli."""
    from gradcli import __version__

    commit = first_line("git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD")
    return f"{__version__} ({commit})" if commit else __version__


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def first_line(*command: str) -> str:
    """What a program says first; empty where there is none."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ran.stdout.splitlines()[0] if ran.stdout else ""


def python() -> list[str]:
    return [sys.executable]

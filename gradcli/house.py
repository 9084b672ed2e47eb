"""`env` and `new`: what this installation is, and a first model."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gradcli import __version__
from gradcli.syntax.diagnostics import fail

TEMPLATE = """edition 2026

# {name}: a line fitted to points. Run its gradient:  gradcli grad {file} --wrt params
net {name}(x: f32[n], y: f32[n]) -> f32 {{
  param slope: f32 = 0.5
  param offset: f32 = 0.0
  error = slope * x + offset - y
  return mean(error ** 2)
}}

input x: f32[4] = [0.0, 1.0, 2.0, 3.0]
input y: f32[4] = [1.0, 3.0, 5.0, 7.0]

case "the gradient by hand" {{
  slope, offset = grad({name}, wrt=params)(x, y)
  expect slope ~= -13.5
  expect offset ~= -6.5
}}
"""


def new_model(name: str, directory: Path) -> list[Path]:
    """Write `NAME.net`. Raises ModelError NAM017 for a name that no net can have, DAT040 where it cannot be written."""
    stem = name.removesuffix(".net")
    if not stem.isidentifier() or not stem.isascii() or _taken(stem):
        raise fail(
            "NAM017",
            f"`{name}` cannot be the name of a net",
            help="letters, digits and _, beginning with a letter, and no word of the language",
        )
    path = directory / f"{stem}.net"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.format(name=stem, file=path.name))
    except FileExistsError:
        raise fail("DAT040", f"{path} exists already", help="choose another name") from None
    except OSError as error:
        raise fail("DAT040", f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return [path]


def _taken(name: str) -> bool:
    from gradcli.interp.modules import taken
    from gradcli.syntax.tables import tables

    return name in tables().words or taken(name)


def environment() -> dict[str, str]:
    """Versions, backends and limits, for a bug report."""
    from gradcli.backends import choose, cupy
    from gradcli.plan import available_memory, human_bytes

    backend, why = choose("auto", 0)
    memory = available_memory()
    gpu = {"gpu": cupy.describe(0)} if backend == "cupy" else {}
    return {
        "gradcli": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "numpy": _version("numpy"),
        "cupy": _cupy(),
        **gpu,
        "lark": _version("lark"),
        "typer": _version("typer"),
        "rich": _version("rich"),
        "backend": f"{backend} ({why})",
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": human_bytes(memory) + " available" if memory is not None else "unknown",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cupy() -> str:
    if importlib.util.find_spec("cupy") is None:
        return "not installed (pip install 'gradcli[cupy]')"
    for name in ("cupy-cuda12x", "cupy-cuda13x", "cupy-cuda11x", "cupy"):
        if (found := _version(name)) != "not installed":
            return found
    return "installed"

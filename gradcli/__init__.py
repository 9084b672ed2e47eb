"""gradcli: exact derivatives of networks written as text, from the shell and from Python.

net = gradcli.load("model.net")
g = net.grad(x=[[1.0, 2.0]], get_all=True)
g["x"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "2026.1.0"

if TYPE_CHECKING:
    from gradcli.python import Net, compile, load
    from gradcli.syntax.diagnostics import Diagnostic, ModelError

__all__ = ["Diagnostic", "ModelError", "Net", "__version__", "compile", "load"]

_HOMES = {
    "Net": "gradcli.python", "compile": "gradcli.python", "load": "gradcli.python",
    "ModelError": "gradcli.syntax.diagnostics", "Diagnostic": "gradcli.syntax.diagnostics",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: `gradcli --version` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gradcli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)

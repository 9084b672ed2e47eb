"""`gradcli`, and `python -m gradcli`. The version is answered before anything else is imported."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> int:
    """Runs the command of `sys.argv` and gives its exit code."""
    if sys.argv[1:2] in (["--version"], ["-V"]):
        from gradcli import __version__

        sys.stdout.write(f"gradcli {__version__}\n")
        return 0
    from gradcli.cli.main import run

    return run(sys.argv[1:])


def entry() -> NoReturn:
    """The process of a command: ends it at once, as taking a large graph apart object by object takes seconds."""
    if sys.argv[1:2] in (["grad"], ["eval"], ["show"]):
        gc.disable()  # one model, then the end: looking for garbage among its nodes takes a fifth of the time
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # what could not be written was said already
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()

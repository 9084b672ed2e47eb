"""`gradcli`, and `python -m gradcli`. The version is answered before anything else is imported."""

from __future__ import annotations

import gc
import os
import signal
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


def _stop(number: int, frame: object) -> NoReturn:
    """Ending a process tidies up as Ctrl-C does: no half-written file is left beside its target."""
    raise KeyboardInterrupt(number)


def entry() -> NoReturn:
    """The process of a command: ends it at once, as taking a large graph apart object by object takes seconds."""
    if sys.argv[1:2] in (["grad"], ["eval"], ["show"]):
        gc.disable()  # one model, then the end: looking for garbage among its nodes takes a fifth of the time
    else:
        gc.set_threshold(200_000, 20, 20)  # perhaps many models: what the last one left is looked for now and then
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, _stop)
    try:
        code = main()
    except KeyboardInterrupt:  # before there was anything to interrupt
        code = 130
    except MemoryError:
        os.write(2, b"error[ENV090]: the memory of this machine ran out\n")
        code = 3
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # what could not be written was said already
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()

"""Finds the verb, runs it, and turns whatever happens into an exit code and words: never into a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TextIO

from gradcli.cli.verbs import HELP, VERBS, overview
from gradcli.syntax.diagnostics import (
    DONE,
    ENVIRONMENT,
    INTERNAL,
    INTERRUPTED,
    Diagnostic,
    ModelError,
    fail,
    nearest,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command: 0, 1, 2, 3, 70 or 130, as the manual has them."""
    sys.stdout, sys.stderr = _opened(sys.stdout), _opened(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    try:
        return _finish(_guarded(lambda: _dispatch([*arguments]), arguments))
    except BrokenPipeError:
        return _pipe_closed()
    except KeyboardInterrupt as stop:
        return _stopped(stop)


def _stopped(stop: KeyboardInterrupt) -> int:
    """130 for Ctrl-C; 128 and its number for another signal that ends a process (`__main__` raises it so)."""
    return 128 + stop.args[0] if stop.args else INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write(overview())
        raise fail("USE004", "no verb was given", help="gradcli grad MODEL")
    name, *rest = arguments
    if name in HELP:
        if rest and rest[0] in VERBS:
            return _run_verb(rest[0], ["--help"])
        sys.stdout.write(overview())
        return DONE
    if name not in VERBS:
        raise _unknown_verb(name)
    return _run_verb(name, rest)


def _run_verb(name: str, arguments: list[str]) -> int:
    from gradcli.cli.lines import read
    from gradcli.cli.parameters import call

    verb = VERBS[name]
    function = verb.load()  # only the module of the verb that runs is imported
    given = read(function, arguments)
    if given is not None:
        return call(function, given)
    from gradcli.cli.app import run_command

    return run_command(verb, arguments)


def _unknown_verb(name: str) -> ModelError:
    if name.startswith("-"):
        return fail("USE001", f"the verb comes first, before `{name}`", help="gradcli VERB MODEL [options]")
    if name.endswith(".net") or os.path.exists(name):
        return fail("USE001", f"`{name}` is no verb", help=f"gradcli grad {name}")
    meant = nearest(name, VERBS)
    help = f"did you mean `{meant}`?" if meant else f"the verbs are {', '.join(VERBS)}"
    return fail("USE001", f"there is no verb `{name}`", help=help)


def _guarded(work: Callable[[], int], arguments: Sequence[str]) -> int:
    """What `work` gives, or what its failure means."""
    try:
        return work()
    except ModelError as error:
        _explain(error.diagnostics, arguments)
        return error.exit_code
    except KeyboardInterrupt as stop:
        with suppress(BrokenPipeError):
            sys.stderr.write("interrupted\n")
        return _stopped(stop)
    except BrokenPipeError:
        raise
    except MemoryError:
        out = Diagnostic(
            "ENV090", "the memory of this machine ran out", help="a smaller model or batch, or `--dtype f32`"
        )
        _explain((out,), arguments)
        return ENVIRONMENT
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _internal(error)
        _explain((Diagnostic("ENV091", "no space is left where the output goes"),), arguments)
        return ENVIRONMENT
    except Exception as error:
        return _internal(error)


def _explain(diagnostics: Sequence[Diagnostic], arguments: Sequence[str]) -> None:
    from gradcli.report.diagnostics import render_all
    from gradcli.report.signs import colored

    with suppress(BrokenPipeError):
        sys.stdout.flush()
    with suppress(OSError):  # the messages go to a full disk: the exit code says it, too
        sys.stderr.write(render_all(diagnostics, color=colored(color_choice(arguments), sys.stderr)))


def color_choice(arguments: Sequence[str]) -> str:
    """`--color` as typed, also where the other options could not be read."""
    choice = "auto"
    for at, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--color":
            choice = value or "".join(arguments[at + 1 : at + 2])
    return choice if choice in ("always", "never") else "auto"


def _internal(error: Exception) -> int:
    if os.environ.get("GRADCLI_TRACEBACK") == "1":
        _raise(error)
    from gradcli import __version__

    what = " ".join(f"{type(error).__name__}: {error}".split())
    with suppress(BrokenPipeError):
        sys.stderr.write(
            f"internal error in gradcli {__version__}: {what[:500]}\n"
            "This is a mistake in gradcli, not in your model. Please report it with the model and the command;\n"
            "GRADCLI_TRACEBACK=1 shows where it happened.\n"
        )
    return INTERNAL


def _raise(error: Exception) -> NoReturn:
    raise error


def _finish(code: int) -> int:
    """Flushes here, so that a pipe that closed meanwhile is met while somebody looks."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError):  # the disk is full, or the stream is closed
        _drop(sys.stdout)
        return code or ENVIRONMENT
    return code


def _pipe_closed() -> int:
    """Whoever read has gone: nothing is wrong, and nothing more is written, also not at exit."""
    for stream in (sys.stdout, sys.stderr):
        _drop(stream)
    return DONE


def _drop(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _opened(stream: TextIO | None) -> TextIO:
    """A stream that was closed before we began (`>&-`) is None; what goes there goes nowhere."""
    return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")


def _never_fail(stream: TextIO) -> None:
    """Letters that the terminal's encoding lacks are written as escapes."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        with suppress(OSError, ValueError):
            reconfigure(errors="backslashreplace")

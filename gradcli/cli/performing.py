"""What the verbs that run a model share: run it, say what there is to say, print, write or compare the result."""

import math
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from gradcli.cli.options import FORMATS, Output, Voice, option
from gradcli.cli.speak import notes, say, settle
from gradcli.record import record
from gradcli.request import ModelFile, Request, Result
from gradcli.syntax.diagnostics import DONE, NO, Diagnostic, fail


@record
class Comparing:
    """Beside or instead of the printed derivatives."""

    value: Annotated[bool, option("--value", panel="Derivative", help="The net's value, too.")] = False
    check: Annotated[
        str | None,
        option("--check", metavar="FILE", panel="Derivative",
               help="Compare with stored results instead of printing; exit 1 where they differ."),
    ] = None  # fmt: skip
    rtol: Annotated[
        float | None,
        option("--rtol", metavar="R", min=0.0, panel="Derivative", help="For --check: relative tolerance."),
    ] = None
    atol: Annotated[
        float | None,
        option("--atol", metavar="A", min=0.0, panel="Derivative", help="For --check: absolute tolerance."),
    ] = None

    def settle(self, output: Output) -> None:
        """Raises ModelError USE003 or USE005 where options disagree."""
        for name in ("rtol", "atol"):
            given = getattr(self, name)
            if given is not None and self.check is None:
                raise fail("USE005", f"`--{name}` says something about `--check`, which was not given")
            if given is not None and not math.isfinite(given):
                raise fail("USE003", f"`--{name}` is a finite number, not `{given}`")
        if self.check is not None and (output.json or output.format is not None):
            raise fail("USE005", "`--check` compares instead of printing", help="leave out `--check` or the format")


def perform(
    file: ModelFile,
    request: Request,
    output: Output,
    voice: Voice,
    comparing: Comparing,
    formats: Sequence[str] = FORMATS,
) -> int:
    """The exit code of a run."""
    from gradcli.report import results

    settle(voice)
    comparing.settle(output)
    form = output.form(terminal=sys.stdout.isatty(), formats=formats)
    target = Path(output.output) if output.output is not None else None
    if target is not None:
        results.check_target(target)
    from gradcli import api

    api.start_single()
    result = api.run(file, request)
    if voice.verbose:
        _say_how(result)
    warned = notes(result.notes, voice)
    code = DONE
    if comparing.check is not None:
        code = _compare(api.compare(result, comparing.check, rtol=comparing.rtol, atol=comparing.atol))
    if target is not None:
        results.store(result, target)
        if voice.verbose:
            say(f"wrote {target}")
    elif comparing.check is None:
        from gradcli.report.signs import colored

        color = colored(voice.color, sys.stdout)
        results.write(result, sys.stdout, form, color=color, full=output.full, precision=output.precision)
    sys.stdout.flush()
    bad = _nonfinite(result, file, request)
    notes(bad, voice)
    return NO if voice.strict and (warned or bad) else code


def _compare(comparison: Any) -> int:
    sys.stdout.write("".join(f"{line}\n" for line in comparison.lines))
    return DONE if comparison.ok else NO


def _say_how(result: Result) -> None:
    threads = f"{result.threads} thread{'' if result.threads == 1 else 's'}"
    say(f"backend: {result.backend}, {threads}{f' ({result.why_backend})' if result.why_backend else ''}")
    if result.mode:
        say(f"mode: {result.mode}")


def _nonfinite(result: Result, file: ModelFile, request: Request) -> tuple[Diagnostic, ...]:
    """One note for all arrays that hold nan or inf, with the command that explains them; a line, since the model may
    mean it."""
    from gradcli.report.layout import noun
    from gradcli.report.results import nonfinite

    found = nonfinite(result)
    if not found:
        return ()
    names = ", ".join(f"{bad} of {size} in {name}" for name, bad, size in found[:4])
    more = f" and {len(found) - 4} more arrays" if len(found) > 4 else ""
    why = f"`{trace_command(file, request)}` tells where it went bad"
    return (Diagnostic("NUM090", f"the {noun(result)} is not finite: {names}{more}; {why}", severity="note"),)


def trace_command(file: ModelFile, request: Request) -> str:
    """`gradcli trace model.net --get-all`: with what decides which numbers there are, as it was given."""
    words = ["gradcli", "trace", *(["-e", file.text or ""] if file.expression else [str(file.path)])]
    order = 2 if request.verb == "hess" else request.order
    texts: list[tuple[str, Iterable[str | None]]] = [
        ("--net", [request.net]),
        ("-i", (f"{name}={value}" for name, value in request.inputs)),
        ("--inputs", [request.inputs_file]),
        ("--params", [request.params_file]),
        ("-c", (f"{name}={value}" for name, value in request.consts)),
        ("--dtype", [request.dtype]),
        ("--wrt", [request.wrt]),
        ("--at", [request.at if request.verb != "eval" else None]),
        ("--sens", request.sens if request.verb == "grad" else ()),
        ("--order", [str(order) if order > 1 else None]),
    ]
    for name, given in texts:
        words += [word for text in given if text is not None for word in (name, text)]
    flags = (("--partial", request.partial), ("--get-all", request.get_all), ("--get-by-list", request.get_by_list))
    return shlex.join([*words, *(name for name, given in flags if given)])

"""`grad` and `eval`."""

import math
import sys
from pathlib import Path
from typing import Annotated, Any

from gradcli.cli.options import Data, Engine, Model, Output, Selection, Voice, option, request_of
from gradcli.cli.speak import notes, say, settle
from gradcli.record import record
from gradcli.request import ModelFile, Request, Result
from gradcli.syntax.diagnostics import DONE, NO, Diagnostic, fail


@record
class Comparing:
    """Beside or instead of the printed gradients."""

    value: Annotated[bool, option("--value", panel="Derivative", help="The net's value, too.")] = False
    check: Annotated[
        str | None,
        option("--check", metavar="FILE", panel="Derivative",
               help="Compare with stored gradients instead of printing; exit 1 where they differ."),
    ] = None  # fmt: skip
    rtol: Annotated[
        float | None,
        option("--rtol", metavar="R", min=0.0, panel="Derivative", help="For --check: relative tolerance."),
    ] = None
    atol: Annotated[
        float | None,
        option("--atol", metavar="A", min=0.0, panel="Derivative", help="For --check: absolute tolerance."),
    ] = None


def grad_verb(
    model: Model, selection: Selection, comparing: Comparing, data: Data, engine: Engine, output: Output, voice: Voice
) -> int:
    """
    Differentiates a model, exactly, and prints its gradients.

    Without an option that says by what, it is the first input. Without --sens
    every element of the outputs counts once.

    Examples:
    gradcli grad model.net --get-all --sens s.npy
    gradcli grad model.net --wrt params -o gradients.npz
    gradcli grad -e 'x**2 * y' -i x=4 -i y=5 --get-all --order 2
    """
    for name in ("rtol", "atol"):
        given = getattr(comparing, name)
        if given is not None and comparing.check is None:
            raise fail("USE005", f"`--{name}` says something about `--check`, which was not given")
        if given is not None and not math.isfinite(given):
            raise fail("USE003", f"`--{name}` is a finite number, not `{given}`")
    if comparing.check is not None and (output.json or output.format is not None):
        raise fail("USE005", "`--check` compares instead of printing", help="leave out `--check` or the format")
    chosen = {"verb": "grad", "value": comparing.value, **selection.request()}
    request = request_of(model, data, engine, **chosen)
    return _run(model.file(), request, output, voice, comparing)


def eval_verb(
    model: Model,
    data: Data,
    engine: Engine,
    output: Output,
    voice: Voice,
    at: Annotated[
        str | None, option("--at", metavar="NAME", panel="Model", help="The value of a named line: h, l1/h.")
    ] = None,
) -> int:
    """
    Runs a model forwards and prints its outputs.

    Examples:
    gradcli eval model.net -i x=x.npy
    gradcli eval -e 'sin(x) * y' -i x=1 -i y=2
    """
    request = request_of(model, data, engine, verb="eval", at=at)
    return _run(model.file(), request, output, voice, Comparing())


def _run(file: ModelFile, request: Request, output: Output, voice: Voice, comparing: Comparing) -> int:
    from gradcli.report import results

    settle(voice)
    form = output.form(terminal=sys.stdout.isatty())
    target = Path(output.output) if output.output is not None else None
    if target is not None:
        results.check_target(target)
    from gradcli import api

    api.start_single()
    result = api.run(file, request)
    if voice.verbose:
        say(_backend(result))
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
    bad = _nonfinite(result)
    notes(bad, voice)
    return NO if voice.strict and (warned or bad) else code


def _compare(comparison: Any) -> int:
    sys.stdout.write("".join(f"{line}\n" for line in comparison.lines))
    return DONE if comparison.ok else NO


def _backend(result: Result) -> str:
    threads = f"{result.threads} thread{'' if result.threads == 1 else 's'}"
    return f"backend: {result.backend}, {threads}{f' ({result.why_backend})' if result.why_backend else ''}"


def _nonfinite(result: Result) -> tuple[Diagnostic, ...]:
    """One note for all arrays that hold nan or inf; a line, since the model may mean it."""
    from gradcli.report.results import nonfinite

    found = nonfinite(result)
    if not found:
        return ()
    names = ", ".join(f"{bad} of {size} in {name}" for name, bad, size in found[:4])
    more = f" and {len(found) - 4} more arrays" if len(found) > 4 else ""
    what = "gradient" if result.verb == "grad" else "value"
    return (Diagnostic("NUM090", f"the {what} is not finite: {names}{more}", severity="note"),)

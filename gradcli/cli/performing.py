"""What the verbs that run a model share: run it, say what there is to say, print, write or compare the result."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from gradcli.cli.options import FINDINGS, FORMATS, Atol, Output, Rtol, Ulps, Voice, chosen_format, finite, one_of
from gradcli.cli.parameters import option
from gradcli.cli.speak import notes, say, settle
from gradcli.facts.differences import Comparison, Tolerance
from gradcli.record import record
from gradcli.request import ModelFile, Request, Result
from gradcli.syntax.diagnostics import DONE, NO, Diagnostic, fail


@record
class Comparing:
    """Beside or instead of the printed derivatives."""

    value: Annotated[bool, option("--value", panel="Derivative", help="The net's value, too.")] = False
    check: Annotated[
        str | None,
        option("--check", metavar="FILE", panel="Comparison",
               help="Compare with stored results instead of printing; exit 1 where they differ."),
    ] = None  # fmt: skip
    rtol: Rtol = None
    atol: Atol = None
    ulps: Ulps = None

    def settle(self) -> None:
        """Raises ModelError USE003 or USE005 where options disagree."""
        for name in ("rtol", "atol", "ulps"):
            given = getattr(self, name)
            if given is not None and self.check is None:
                raise fail("USE005", f"`--{name}` says something about `--check`, which was not given")
        finite(rtol=self.rtol, atol=self.atol)

    def form(self, output: Output) -> str:
        """How differences are printed. Raises ModelError USE003 or USE005."""
        if output.format in FORMATS and output.format != "json":
            help = f"with `--check`: {', '.join(FINDINGS)}"
            raise fail("USE005", f"`--check` compares instead of printing a {output.format}", help=help)
        one_of("--format", FINDINGS)(output.format)
        return chosen_format(output.format, json=output.json) or "full"


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
    comparing.settle()
    if comparing.check is None:
        form = output.form(terminal=sys.stdout.isatty(), formats=formats)
    else:
        form = comparing.form(output)
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
        tolerance = Tolerance(comparing.rtol, comparing.atol, comparing.ulps)
        code = _compare(api.compare(result, comparing.check, tolerance), comparing.check, form, voice)
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


def _compare(comparison: Comparison, path: str, form: str, voice: Voice) -> int:
    from gradcli import __version__
    from gradcli.report import document, forms
    from gradcli.report.diagnostics import render_all
    from gradcli.report.signs import colored

    found = comparison.diagnostics
    if form == "full":
        text = render_all(found, color=colored(voice.color, sys.stdout))
    elif form == "json":
        text = document.comparison_json(comparison.model, path, found)
    else:
        text = forms.as_findings([(comparison.model, diagnostic) for diagnostic in found], form, __version__)
    sys.stdout.write(text)
    return DONE if comparison.ok else NO


def _say_how(result: Result) -> None:
    say(f"backend: {result.ran_on}{f' ({result.why_backend})' if result.why_backend else ''}")
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
    from shlex import join

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
    return join([*words, *(name for name, given in flags if given)])

"""`trace`."""

import sys
from typing import Annotated

from gradcli.cli.options import Json, Question, Voice, chosen_format, format_option
from gradcli.cli.parameters import option
from gradcli.cli.speak import notes, settle
from gradcli.report.signs import colored
from gradcli.syntax.diagnostics import DONE, NO, fail

FORMATS = ("plain", "json", "svg")


def trace_verb(
    question: Question,
    margins: Annotated[
        bool,
        option("--margins", panel="Output",
               help="Near misses, too: the largest and smallest magnitudes, cancellation, gradients layer by layer."),
    ] = False,
    form: Annotated[
        str | None,
        format_option(FORMATS, "plain, json, or with --margins svg: the gradients layer by layer, drawn."),
    ] = None,
    json: Json = False,
    full: Annotated[bool, option("--full", panel="Output", help="Every step of a long path.")] = False,
    *,
    voice: Voice,
) -> int:  # fmt: skip
    """
    Tells where a number went bad: the first nan or inf that spoils a result.

    Runs the value and the gradients that `grad` would give, step by step, and
    names the line, the element and its operands, and a repair that was tried.
    Exits 1 where something went bad.

    Examples:
    gradcli trace model.net --get-all
    gradcli trace -e 'sqrt(sum(x * x))' -i x='[0, 0]'
    gradcli trace model.net --wrt params --margins
    """
    settle(voice)
    chosen = chosen_format(form, json=json) or "plain"
    if chosen == "svg" and not margins:
        raise fail("USE005", "`--format svg` draws near misses", help="add `--margins`")
    request = question.request()
    from gradcli import api
    from gradcli.report import trace as report
    from gradcli.report.progress import Bar

    api.start_single()
    with Bar(
        sys.stderr, enabled=sys.stderr.isatty() and not voice.quiet, color=colored(voice.color, sys.stderr)
    ) as bar:
        found = api.trace(question.model.file(), request, margins=margins, on_start=bar.start, on_step=bar.advance)
    warned = notes(found.notes, voice)
    if chosen == "json":
        sys.stdout.write(report.document(found))
    elif chosen == "svg" and found.margins is not None:
        from gradcli.report.margins import flow_svg

        sys.stdout.write(flow_svg(found.margins.flow, found.model))
    else:
        sys.stdout.write(report.page(found, color=colored(voice.color, sys.stdout), full=full))
    return NO if found.finding is not None or (voice.strict and warned) else DONE

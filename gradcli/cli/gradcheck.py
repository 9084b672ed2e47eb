"""`gradcheck`."""

import sys
from collections.abc import Sequence
from typing import Annotated

from gradcli.cli.options import Json, Question, Voice, chosen_format, format_option
from gradcli.cli.parameters import option
from gradcli.cli.speak import notes, settle
from gradcli.report.signs import colored
from gradcli.request import GradientCheck, ModelFile, Request
from gradcli.syntax.diagnostics import DONE, NO

FORMATS = ("table", "plain", "json")


def gradcheck_verb(
    question: Question,
    voice: Voice,
    seed: Annotated[
        int, option("--seed", metavar="N", min=0, panel="Derivative", help="Of what is drawn at random; 0 by default.")
    ] = 0,
    elements: Annotated[
        int | None,
        option("--elements", metavar="N", min=0, panel="Derivative",
               help="Move at most N elements of each array alone; by default as many as take seconds."),
    ] = None,
    form: Annotated[
        str | None,
        format_option(FORMATS, "table (on a terminal), plain (elsewhere) or json."),
    ] = None,
    json: Json = False,
) -> int:  # fmt: skip
    """
    Holds the gradients of a model against central differences.

    By all float inputs and params, if nothing is selected, and in f64, unless
    --dtype says otherwise. Exits 1 where a gradient is wrong, and names the
    operator that is at fault.

    Examples:
    gradcli gradcheck model.net
    gradcli gradcheck model.net --wrt params --order 2 --seed 7
    gradcli gradcheck -e 'tanh(x) * y' -i x=1 -i y=2 --json
    """
    settle(voice)
    chosen = chosen_format(form, json=json) or ("table" if sys.stdout.isatty() else "plain")
    request = question.request()
    file = question.model.file()
    from gradcli import api
    from gradcli.report import gradchecks
    from gradcli.report.progress import Bar

    api.start_single()
    shown = sys.stderr.isatty() and not voice.quiet
    with Bar(sys.stderr, enabled=shown, color=colored(voice.color, sys.stderr)) as bar:
        found = api.gradcheck(file, request, seed=seed, elements=elements, on_start=bar.start, on_piece=bar.advance)
    warned = notes(found.notes, voice)
    bad = gradchecks.not_finite(found)
    why = _tracing(file, request, bad) if bad else ""
    gradchecks.write(found, sys.stdout, chosen, color=colored(voice.color, sys.stdout), why=why)
    sys.stdout.flush()
    unsure = any(row.verdict not in ("right", "empty") for row in found.rows)
    return NO if not found.ok or (voice.strict and (warned or unsure)) else DONE


def _tracing(file: ModelFile, request: Request, bad: Sequence[GradientCheck]) -> str:
    """The command that tells where these gradients stop being finite."""
    from gradcli.cli.performing import trace_command
    from gradcli.record import replace

    names = dict.fromkeys(name for row in bad for name in row.wrt)
    wrt = None if request.at else ",".join(names)
    asked = replace(request, wrt=wrt, get_all=False, get_by_list=False, order=len(bad[0].wrt))
    return trace_command(file, asked)

"""`explain`."""

import shutil
import sys
from typing import Annotated

from gradcli.cli.options import Json, Question, Voice, chosen_format, format_option, one_of
from gradcli.cli.parameters import option
from gradcli.cli.speak import notes, settle
from gradcli.report.signs import colored
from gradcli.syntax.diagnostics import DONE, fail

EXPLAIN_FORMATS = ("text", "md", "latex", "json")
MODES = ("reverse", "forward")


def explain_verb(
    question: Question,
    voice: Voice,
    mode: Annotated[
        str,
        option("--mode", metavar="MODE", callback=one_of("--mode", MODES), panel="Derivative",
               help="reverse (adjoints, the default) or forward (tangents)."),
    ] = "reverse",
    tangent: Annotated[
        list[str] | None,
        option("--tangent", metavar="NAME=VALUE", panel="Derivative",
               help="For forward mode: the direction, as in jvp. Without it, ones for what is selected."),
    ] = None,
    numbers: Annotated[
        bool, option("--numbers", panel="Output", help="Beside each equation its value at the point.")
    ] = False,
    form: Annotated[
        str | None,
        format_option(EXPLAIN_FORMATS, "text (the default), md (Markdown), latex (a document) or json."),
    ] = None,
    json: Json = False,
    precision: Annotated[
        int | None, option("--precision", metavar="N", min=1, max=17, panel="Output", help="Digits of numbers.")
    ] = None,
) -> int:  # fmt: skip
    """
    Writes how a gradient comes about: each value of the model, and its adjoint.

    The equations are those of the program that `grad` runs.

    Examples:
    gradcli explain model.net --get-all
    gradcli explain -e 'log(x) + x * y' -i x=2 -i y=5 --get-all --numbers
    gradcli explain model.net --wrt params --format latex > derivation.tex
    """
    settle(voice)
    if tangent and mode != "forward":
        raise fail("USE005", "`--tangent` is of forward mode", help="add `--mode forward`")
    if question.weighting.sens and mode == "forward":
        raise fail("USE005", "`--sens` is of reverse mode", help="leave out one of `--sens` and `--mode forward`")
    chosen = chosen_format(form, json=json) or "text"
    request = question.request(along=tuple(tangent or ()))
    file = question.model.file()
    from gradcli import api

    made = api.explain(file, request, mode="forward" if mode == "forward" else "reverse", numbers=numbers)
    color = colored(voice.color, sys.stdout)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    from gradcli.report.equations import render

    sys.stdout.write(render(made, chosen, width=width, precision=precision, color=color))
    notes(made.notes, voice)
    return DONE

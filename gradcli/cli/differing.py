"""`diff`."""

import sys
from shutil import get_terminal_size
from typing import Annotated

from gradcli.cli.options import (
    FINDINGS,
    Atol,
    Data,
    Engine,
    Json,
    Model,
    Rtol,
    Ulps,
    Voice,
    chosen_format,
    const_option,
    dtype_option,
    finite,
    format_option,
    request_of,
)
from gradcli.cli.parameters import argument, option
from gradcli.cli.speak import settle
from gradcli.facts.differences import Part, Tolerance
from gradcli.report.differences import difference_findings, difference_json, difference_text
from gradcli.report.signs import colored
from gradcli.syntax.diagnostics import DONE, NO, fail


def diff_verb(
    left: Annotated[
        str,
        argument(metavar="A", help="A model, a model at a git revision (HEAD~1:model.net), or a stored result."),
    ],
    right: Annotated[
        str, argument(metavar="B", help="What A is compared with: another of its kind.")
    ],
    net: Annotated[str | None, option("--net", metavar="NAME", panel="Model", help="The entry net of both.")] = None,
    const: Annotated[list[str] | None, const_option("Model")] = None,
    dtype: Annotated[str | None, dtype_option("Model")] = None,
    structure: Annotated[
        bool, option("--structure", panel="Comparison", help="Compare the text only, without data.")
    ] = False,
    numbers: Annotated[
        bool, option("--numbers", panel="Comparison", help="Compare values and gradients only, whatever the text.")
    ] = False,
    wrt: Annotated[
        str | None, option("--wrt", metavar="NAMES", panel="Comparison", help="Compare gradients by these only.")
    ] = None,
    rtol: Rtol = None,
    atol: Atol = None,
    ulps: Ulps = None,
    form: Annotated[
        str | None,
        format_option(FINDINGS, "full, oneline, json, github (annotations) or sarif."),
    ] = None,
    json: Json = False,
    *,
    data: Data,
    engine: Engine,
    voice: Voice,
) -> int:  # fmt: skip
    """
    Compares two models, or two stored results.

    Of models: what changed in their text, where formatting, comments and
    local names do not count, then values and gradients on the same data. Of
    stored results (npz, safetensors, npy, json, csv): names, shapes, dtypes
    and numbers. Exits 1 where they differ.

    Examples:
    gradcli diff old.net new.net
    gradcli diff HEAD~1:model.net model.net --structure
    gradcli diff main:model.net model.net --numbers --format github
    gradcli diff golden.npz gradients.npz --ulps 4
    """
    settle(voice)
    finite(rtol=rtol, atol=atol)
    request = request_of(Model(None, None, net, const, dtype), data, engine, wrt=wrt)
    chosen = chosen_format(form, json=json) or "full"
    if left == right == "-":
        raise fail("USE005", "standard input can be read once only", help="name one of the two")
    if structure and numbers:
        raise fail("USE005", "`--structure` and `--numbers` leave nothing to compare", help="leave out one of them")
    from gradcli import api

    api.start_single()
    part: Part = "structure" if structure else "numbers" if numbers else "all"
    found = api.diff(left, right, request, Tolerance(rtol, atol, ulps), part)
    if chosen == "full":
        width = get_terminal_size().columns if sys.stdout.isatty() else 0
        color = colored(voice.color, sys.stdout)
        sys.stdout.write(difference_text(found, color=color, quiet=voice.quiet, width=width))
    elif chosen == "json":
        sys.stdout.write(difference_json(found))
    else:
        from gradcli import __version__
        from gradcli.report.forms import as_findings

        said = [(found.right, diagnostic) for diagnostic in difference_findings(found)]
        sys.stdout.write(as_findings(said, chosen, __version__))
    return DONE if found.equal else NO

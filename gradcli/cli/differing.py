"""`diff`."""

import sys
from typing import Annotated

import typer

from gradcli.cli.options import (
    Atol,
    Data,
    Engine,
    Model,
    Rtol,
    Ulps,
    Voice,
    chosen_format,
    finite,
    one_of,
    option,
    request_of,
)
from gradcli.cli.speak import settle
from gradcli.differences import Tolerance
from gradcli.report.differences import difference_json, difference_text
from gradcli.report.signs import colored
from gradcli.syntax.diagnostics import DONE, NO, fail

FORMATS = ("full", "json")


def diff_verb(
    left: Annotated[
        str,
        typer.Argument(metavar="A", help="A model, a model at a git revision (HEAD~1:model.net), or a stored result.",
                       show_default=False),
    ],
    right: Annotated[
        str, typer.Argument(metavar="B", help="What A is compared with: another of its kind.", show_default=False)
    ],
    net: Annotated[str | None, option("--net", metavar="NAME", panel="Model", help="The entry net of both.")] = None,
    const: Annotated[
        list[str] | None,
        option("-c", "--const", metavar="NAME=VALUE", panel="Model", help="Override a const or dim (repeatable)."),
    ] = None,
    dtype: Annotated[
        str | None,
        option("--dtype", metavar="f16|f32|f64", callback=one_of("--dtype", ("f16", "f32", "f64")), panel="Model",
               help="Run the models' floats in that type."),
    ] = None,
    structure: Annotated[
        bool, option("--structure", panel="Comparison", help="Compare the text only, without data.")
    ] = False,
    wrt: Annotated[
        str | None, option("--wrt", metavar="NAMES", panel="Comparison", help="Compare gradients by these only.")
    ] = None,
    rtol: Rtol = None,
    atol: Atol = None,
    ulps: Ulps = None,
    form: Annotated[
        str | None,
        option("--format", metavar="FORMAT", callback=one_of("--format", FORMATS), panel="Output",
               help="full or json."),
    ] = None,
    json: Annotated[bool, option("--json", panel="Output", help="The same as --format json.")] = False,
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
    gradcli diff golden.npz gradients.npz --ulps 4
    """
    settle(voice)
    finite(rtol=rtol, atol=atol)
    request = request_of(Model(None, None, net, const, dtype), data, engine, wrt=wrt)
    chosen = chosen_format(form, json=json) or "full"
    if left == right == "-":
        raise fail("USE005", "standard input can be read once only", help="name one of the two")
    from gradcli import api

    api.start_single()
    found = api.diff(left, right, request, Tolerance(rtol, atol, ulps), structure_only=structure)
    if chosen == "json":
        sys.stdout.write(difference_json(found))
    else:
        sys.stdout.write(difference_text(found, color=colored(voice.color, sys.stdout), quiet=voice.quiet))
    return DONE if found.equal else NO

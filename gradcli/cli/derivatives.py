"""`grad` and `eval`."""

from typing import Annotated

from gradcli.cli.options import Data, Engine, Model, Order, Output, Selection, Voice, Weighting, request_of
from gradcli.cli.parameters import option
from gradcli.cli.performing import Comparing, perform
from gradcli.syntax.diagnostics import fail


def grad_verb(
    model: Model,
    selection: Selection,
    weighting: Weighting,
    order: Order,
    comparing: Comparing,
    data: Data,
    engine: Engine,
    output: Output,
    voice: Voice,
    why: Annotated[
        list[str] | None,
        option(
            "--why",
            metavar="NAME",
            panel="Derivative",
            help="Of each zero element of that gradient, say why it is zero (repeatable).",
        ),
    ] = None,
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
    chosen = {"verb": "grad", "value": comparing.value, **selection.request(), **weighting.request(), **order.request()}
    request = request_of(model, data, engine, **chosen, why=tuple(why or ()))
    if why and (output.output is not None or output.format == "csv" or comparing.check is not None):
        raise fail("USE005", "`--why` explains what is printed", help="leave out `-o`, `--check` or `--format csv`")
    return perform(model.file(), request, output, voice, comparing)


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
    return perform(model.file(), request, output, voice, Comparing())

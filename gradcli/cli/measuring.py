"""`bench` and `profile`."""

import sys
from collections.abc import Iterable
from typing import Annotated

from gradcli.cli.options import (
    Data,
    Engine,
    Model,
    Order,
    Selection,
    Voice,
    Weighting,
    chosen_format,
    finite,
    one_of,
    request_of,
)
from gradcli.cli.parameters import option
from gradcli.cli.speak import notes, settle
from gradcli.report.signs import colored
from gradcli.syntax.diagnostics import DONE, NO, Diagnostic, fail

PEERS = ("jax",)
FORMATS = ("table", "plain", "json")
PROFILES = (*FORMATS, "csv", "speedscope")
BY = ("line", "step")

Seconds = Annotated[
    float, option("--seconds", metavar="S", min=0.0, panel="Measurement", help="How long to measure; 2 by default.")
]
Json = Annotated[bool, option("--json", panel="Output", help="The same as --format json.")]


def not_finite(found: Iterable[Diagnostic]) -> bool:
    """Whether one of them tells of results that are not finite."""
    return any(note.code == "NUM090" for note in found)


def bench_verb(
    model: Model,
    selection: Selection,
    weighting: Weighting,
    order: Order,
    data: Data,
    engine: Engine,
    voice: Voice,
    value: Annotated[bool, option("--value", panel="Derivative", help="The net's value, too.")] = False,
    against: Annotated[
        str | None,
        option("--against", metavar="|".join(PEERS), callback=one_of("--against", PEERS), panel="Measurement",
               help="Also the same gradient by JAX, where it is installed."),
    ] = None,
    seconds: Seconds = 2.0,
    rounds: Annotated[
        int | None,
        option("--rounds", metavar="N", min=1, panel="Measurement",
               help="Measure in exactly N rounds; by default as many as the seconds allow, and five."),
    ] = None,
    form: Annotated[
        str | None,
        option("--format", metavar="FORMAT", callback=one_of("--format", FORMATS), panel="Output",
               help="table (on a terminal), plain (elsewhere) or json."),
    ] = None,
    json: Json = False,
) -> int:  # fmt: skip
    """
    Times the gradient of a model: its first call part by part, and later ones.

    Runs the same program eagerly, operator by operator, and with --against jax
    by JAX, side by side in rounds, and gives ratios with their spread. Exits 1
    where the numbers of two sides disagree.

    Examples:
    gradcli bench model.net --wrt params
    gradcli bench model.net --wrt params --against jax --seconds 10
    gradcli bench -e 'sum(sin(x) * x)' -i x='arange(1_000_000) / 7' --json
    """
    settle(voice)
    finite(seconds=seconds)
    chosen = chosen_format(form, json=json) or ("table" if sys.stdout.isatty() else "plain")
    chosen_by = {**selection.request(), **weighting.request(), **order.request(), "value": value}
    request = request_of(model, data, engine, **chosen_by)
    from gradcli import api
    from gradcli.report import benches
    from gradcli.report.progress import Bar

    api.start_single()
    shown = sys.stderr.isatty() and not voice.quiet
    with Bar(sys.stderr, enabled=shown, color=colored(voice.color, sys.stderr), still=True) as bar:
        found = api.bench(
            model.file(), request, against=() if against is None else (against,), seconds=seconds, rounds=rounds,
            on_start=bar.start, on_round=bar.advance,
        )  # fmt: skip
    warned = notes(found.notes, voice)
    benches.write(found, sys.stdout, chosen, color=colored(voice.color, sys.stdout))
    return NO if voice.strict and (warned or not_finite(found.notes)) else DONE


def profile_verb(
    model: Model,
    selection: Selection,
    weighting: Weighting,
    order: Order,
    data: Data,
    engine: Engine,
    voice: Voice,
    value: Annotated[bool, option("--value", panel="Derivative", help="The net's value, too.")] = False,
    by: Annotated[
        str,
        option("--by", metavar="|".join(BY), callback=one_of("--by", BY), panel="Output",
               help="A row for each line of the model, or for each step of the plan."),
    ] = "line",
    seconds: Seconds = 2.0,
    rounds: Annotated[
        int | None,
        option("--rounds", metavar="N", min=1, panel="Measurement",
               help="Measure N runs; by default as many as the seconds allow, and five."),
    ] = None,
    form: Annotated[
        str | None,
        option("--format", metavar="FORMAT", callback=one_of("--format", PROFILES), panel="Output",
               help="table (on a terminal), plain (elsewhere), json, csv, or speedscope: for www.speedscope.app."),
    ] = None,
    json: Json = False,
) -> int:  # fmt: skip
    """
    Tells where the time of a gradient goes: by line of the model, or by step.

    With the arithmetic and the memory traffic of each, and how near that comes
    to what this machine reaches, which is measured in less than a second.

    Examples:
    gradcli profile model.net --wrt params
    gradcli profile model.net --wrt params --by step
    gradcli profile model.net --format speedscope > model.speedscope.json
    """
    settle(voice)
    finite(seconds=seconds)
    chosen = chosen_format(form, json=json) or ("table" if sys.stdout.isatty() else "plain")
    if engine.backend == "cupy":
        raise fail("USE005", "`profile` runs on NumPy, and `--backend cupy` asks for CuPy", help="leave out --backend")
    chosen_by = {**selection.request(), **weighting.request(), **order.request(), "value": value}
    request = request_of(model, data, engine, **chosen_by)
    from gradcli import __version__, api
    from gradcli.report import profiles
    from gradcli.report.progress import Bar

    api.start_single()
    shown = sys.stderr.isatty() and not voice.quiet
    with Bar(sys.stderr, enabled=shown, color=colored(voice.color, sys.stderr), still=True) as bar:
        found = api.profile(
            model.file(), request, seconds=seconds, rounds=rounds, on_start=bar.start, on_round=bar.advance
        )
    warned = notes(found.notes, voice)
    profiles.write(found, sys.stdout, chosen, by=by, version=__version__)
    return NO if voice.strict and (warned or not_finite(found.notes)) else DONE

"""`show`, `ops` and `rule`."""

import sys
from typing import Annotated, Any, cast

from gradcli.cli.options import Data, Engine, Model, Order, Selection, Voice, Weighting, one_of, request_of
from gradcli.cli.parameters import argument, option
from gradcli.cli.speak import settle
from gradcli.report.pages import operator_page, operators_page, rule_page, rules_page
from gradcli.report.signs import colored
from gradcli.request import Stage
from gradcli.syntax.diagnostics import DONE, fail

STAGES = ("ast", "graph", "grad", "optimized", "plan")


def show_verb(
    model: Model,
    selection: Selection,
    weighting: Weighting,
    order: Order,
    data: Data,
    engine: Engine,
    voice: Voice,
    stage: Annotated[
        str,
        option("--stage", metavar="STAGE", callback=one_of("--stage", STAGES), panel="Output",
               help="ast, graph (the default), grad (of --order N), optimized or plan."),
    ] = "graph",
    json: Annotated[bool, option("--json", panel="Output", help="The plan as JSON.")] = False,
) -> int:  # fmt: skip
    """
    Prints a stage of the compiler, each of them a program that can be read.

    The last is the plan: steps, the blocks they run in, where results are written, memory.

    Examples:
    gradcli show model.net --stage grad
    gradcli show -e 'sin(x)' -i x=1 --stage optimized --order 2
    gradcli show model.net --stage plan --json
    """
    settle(voice)
    if json and stage != "plan":
        raise fail("USE005", f"`--json` is of the plan, and `--stage {stage}` is a text", help="`--stage plan --json`")
    request = request_of(model, data, engine, **selection.request(), **weighting.request(), **order.request())
    file = model.file()
    if stage == "plan":
        from gradcli import api
        from gradcli.report.layouts import document, page

        found = api.layout(file, request)
        sys.stdout.write(document(found) if json else page(found, _width()))
        return DONE
    from gradcli import api

    text = api.show(file, request, cast(Stage, stage))
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    return DONE


def ops_verb(
    name: Annotated[str | None, argument(metavar="[NAME]", help="One operator; without it, all.")] = None,
    json: Annotated[bool, option("--json", panel="Output", help="As JSON.")] = False,
    *,
    voice: Voice,
) -> int:
    """
    Lists the operators, or explains one.

    Examples:
    gradcli ops
    gradcli ops tanh
    """
    settle(voice)
    from gradcli import api

    docs: list[Any] = api.operators() if name is None else [api.operator(name)]
    if json:
        _write_json(docs)
    else:
        color = colored(voice.color, sys.stdout)
        sys.stdout.write(operators_page(docs, color=color) if name is None else operator_page(docs[0], color=color))
    return DONE


def rule_verb(
    code: Annotated[str | None, argument(metavar="[CODE]", help="A code such as SHP201; without it, all.")] = None,
    json: Annotated[bool, option("--json", panel="Output", help="As JSON.")] = False,
    *,
    voice: Voice,
) -> int:
    """
    Explains what an error code means, with a text that shows it and its repair.

    Examples:
    gradcli rule SHP201
    gradcli rule
    """
    settle(voice)
    from gradcli import api

    entries: list[Any] = [*api.rules().values()] if code is None else [api.rule(code.strip().upper())]
    if json:
        _write_json(entries)
    else:
        color = colored(voice.color, sys.stdout)
        sys.stdout.write(rules_page(entries, color=color) if code is None else rule_page(entries[0], color=color))
    return DONE


def _width() -> int | None:
    """The columns of a terminal; elsewhere nothing is cut."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _write_json(values: list[Any]) -> None:
    from json import dumps

    shown: Any = [{name: getattr(value, name) for name in value.__match_args__} for value in values]
    sys.stdout.write(dumps(shown if len(shown) != 1 else shown[0], ensure_ascii=False, indent=1) + "\n")

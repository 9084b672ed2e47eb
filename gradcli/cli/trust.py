"""`check` and `test`."""

import sys
from pathlib import Path
from typing import Annotated, Any

from gradcli.cli.options import (
    FINDINGS,
    Engine,
    Json,
    Model,
    Voice,
    chosen_format,
    const_option,
    dtype_option,
    format_option,
    model_file,
    request_of,
)
from gradcli.cli.parameters import argument, option
from gradcli.cli.speak import settle
from gradcli.report.checks import case_text, check_text, findings_text, tests_text
from gradcli.report.signs import colored
from gradcli.request import CaseResult, CheckResult, ModelFile
from gradcli.syntax.diagnostics import DONE, NO, fail

TEST_FORMATS = ("plain", "json", "jsonl")
SUFFIX = ".net"


def check_verb(
    paths: Annotated[
        list[str] | None,
        argument(metavar="[PATH]...", help="Models, folders of models, or -."),
    ] = None,
    expression: Annotated[
        str | None, option("-e", "--expr", metavar="EXPR", panel="Model", help="An expression instead of a file.")
    ] = None,
    net: Annotated[str | None, option("--net", metavar="NAME", panel="Model", help="Check this net only.")] = None,
    const: Annotated[list[str] | None, const_option("Model")] = None,
    dtype: Annotated[str | None, dtype_option("Model")] = None,
    shapes: Annotated[
        bool, option("--shapes", panel="Output", help="Print every line with the shapes that it was proved to have.")
    ] = False,
    form: Annotated[
        str | None,
        format_option(FINDINGS, "full, oneline, json, github (annotations) or sarif."),
    ] = None,
    json: Json = False,
    *,
    voice: Voice,
) -> int:  # fmt: skip
    """
    Proves the shapes and dtypes of models for all sizes, without data.

    Prints the sizes for which each net holds. Exits 1 where something is
    refused, with --strict also where something is doubtful.

    Examples:
    gradcli check model.net
    gradcli check model.net --shapes
    gradcli check models/ --format github
    """
    settle(voice)
    chosen = chosen_format(form, json=json) or "full"
    if shapes and chosen not in ("full", "json"):
        raise fail("USE005", f"`--format {chosen}` has no room for shapes", help="leave out `--shapes`, or use json")
    request = request_of(Model(None, None, net, const, dtype))
    if expression is not None:
        if paths:
            raise fail("USE005", f"`{paths[0]}` and `-e` are two models", help="give one of them")
        files = [ModelFile(text=expression, name="<expression>", expression=True)]
    else:
        files = _files(paths or [])
    from gradcli import api

    checks = api.check(files, request)
    sys.stdout.write(_checks(checks, chosen, voice, shapes=shapes))
    if chosen == "full" and not voice.quiet and (text := findings_text(checks)):
        sys.stderr.write(text)
    severities = {diagnostic.severity for check in checks for diagnostic in check.diagnostics}
    return NO if "error" in severities or (voice.strict and "warning" in severities) else DONE


def _files(paths: list[str]) -> list[ModelFile]:
    """The models named, and those in the folders named. Raises ModelError USE004 where there is none."""
    if not paths:
        raise fail("USE004", "no model was given", help="`gradcli check .` checks those of this folder")
    from gradcli import api

    found: list[ModelFile] = []
    for text in paths:
        if text != "-" and api.is_directory(Path(text)):
            found += [model_file(str(path)) for path in sorted(Path(text).rglob(f"*{SUFFIX}")) if path.is_file()]
        else:
            found.append(model_file(text))
    if not found:
        raise fail("USE004", f"there is no {SUFFIX} file in {', '.join(paths)}")
    return found


def _checks(checks: list[CheckResult], form: str, voice: Voice, *, shapes: bool) -> str:
    found = [(check.file, diagnostic) for check in checks for diagnostic in check.diagnostics]
    match form:
        case "full":
            color = colored(voice.color, sys.stdout)
            texts = (check_text(check, color=color, quiet=voice.quiet, shapes=shapes) for check in checks)
            return "\n".join(text for text in texts if text)
        case "json":
            from gradcli.report import document

            return document.checks_json(checks, shapes=shapes)
    from gradcli import __version__
    from gradcli.report import forms

    return forms.as_findings(found, form, __version__)


def test_verb(
    paths: Annotated[
        list[str], argument(metavar="PATH...", help="Models, or folders of models.")
    ],
    match: Annotated[
        str | None, option("-k", "--match", metavar="TEXT", panel="Cases", help="Only cases whose title holds TEXT.")
    ] = None,
    const: Annotated[list[str] | None, const_option("Cases")] = None,
    dtype: Annotated[str | None, dtype_option("Cases")] = None,
    form: Annotated[
        str | None,
        format_option(TEST_FORMATS, "plain, json or jsonl."),
    ] = None,
    json: Json = False,
    junit: Annotated[
        str | None, option("--junit", metavar="FILE", panel="Output", help="Write JUnit XML, too.")
    ] = None,
    *,
    engine: Engine,
    voice: Voice,
) -> int:  # fmt: skip
    """
    Runs every case of every model named, and of those in folders named.

    Exits 1 where a case fails, or a model is refused.

    Examples:
    gradcli test models/
    gradcli test models/ -k softmax --junit report.xml
    """
    settle(voice)
    chosen = chosen_format(form, json=json) or "plain"
    request = request_of(Model(None, None, None, const, dtype), None, engine)
    color = colored(voice.color, sys.stdout)

    def finished(case: CaseResult) -> None:
        bar.advance(f"{case.file} {case.case}")
        if chosen == "plain" and not (voice.quiet and case.status == "passed"):
            sys.stdout.write(case_text(case, color=color))
            sys.stdout.flush()

    from gradcli import api
    from gradcli.report.progress import Bar

    api.start_single()
    with Bar(
        sys.stderr, enabled=sys.stderr.isatty() and not voice.quiet, color=colored(voice.color, sys.stderr)
    ) as bar:
        cases = api.test([*map(Path, paths)], request=request, match=match, on_case=finished, on_start=bar.start)
    if junit is not None:
        _write_junit(junit, cases)
    if not cases:
        which = f" whose title holds `{match}`" if match else ""
        raise fail("USE006", f"there is no case{which} in {', '.join(paths)}", exit_code=NO)
    sys.stdout.write(_summary(cases, chosen, color))
    return DONE if all(case.status == "passed" for case in cases) else NO


def _summary(cases: list[CaseResult], form: str, color: bool) -> str:
    from gradcli.report import document

    if form == "plain":
        return tests_text(cases, color=color)
    return document.tests_json(cases) if form == "json" else document.tests_jsonl(cases)


def _write_junit(path: str, cases: list[CaseResult]) -> None:
    from gradcli.report.junit import document

    try:
        Path(path).write_text(document(cases), encoding="utf-8")
    except (OSError, ValueError) as problem:
        reason: Any = getattr(problem, "strerror", None) or problem
        raise fail("USE007", f"{path} cannot be written: {str(reason).lower()}") from None

"""Diagnostics for programs: JSON, one line each, GitHub annotations, and a SARIF 2.1.0 log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradcli.report.signs import whole_words
from gradcli.syntax.diagnostics import Diagnostic, Span

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
GITHUB = {"error": "error", "warning": "warning", "note": "notice"}


def place_of(span: Span | None) -> dict[str, Any]:
    """Where a span is, from 1, its end exclusive; nulls where there is none."""
    if span is None:
        return dict.fromkeys(("file", "line", "column", "end_line", "end_column"))
    line, column = span.source.locate(span.start)
    end_line, end_column = span.source.locate(max(span.end, span.start))
    return {"file": span.source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column}


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """One diagnostic as plain values."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        **place_of(diagnostic.span),
        "label": diagnostic.label or None,
        "others": [place_of(other.span) | {"label": other.text} for other in diagnostic.others],
        "notes": [*diagnostic.notes],
        "help": diagnostic.help,
    }


def as_line(diagnostic: Diagnostic) -> str:
    """`model.net:9:10: error[SHP201]: matmul inner sizes differ: 3 against 2`"""
    return whole_words(" ".join(str(diagnostic).split("\n")))


def as_findings(found: Sequence[tuple[str, Diagnostic]], form: str, version: str) -> str:
    """(file, diagnostic) pairs as `oneline`, `github` or `sarif`."""
    match form:
        case "oneline":
            return "".join(f"{as_line(diagnostic)}\n" for _, diagnostic in found)
        case "github":
            return "".join(f"{as_github(diagnostic, file)}\n" for file, diagnostic in found)
        case _:
            return as_sarif(found, version)


def as_github(diagnostic: Diagnostic, file: str = "") -> str:
    """A workflow command that GitHub shows beside the line of a pull request."""
    place = place_of(diagnostic.span)
    properties = {
        "file": place["file"] or file,
        "line": place["line"],
        "col": place["column"],
        "title": diagnostic.code,
    }
    if place["line"] == place["end_line"] and place["end_column"]:
        properties["endColumn"] = place["end_column"]
    given = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items() if value)
    return f"::{GITHUB[diagnostic.severity]} {given}::{_data(_whole_message(diagnostic))}"


def as_sarif(diagnostics: Sequence[tuple[str, Diagnostic]], version: str) -> str:
    """A SARIF log of (file, diagnostic) pairs; `file` stands in where a diagnostic has no place."""
    codes = sorted({diagnostic.code for _, diagnostic in diagnostics})
    from json import dumps

    driver = {"name": "gradcli", "version": version, "rules": [{"id": code} for code in codes]}
    results = [_sarif_result(file, diagnostic, codes) for file, diagnostic in diagnostics]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _sarif_result(file: str, diagnostic: Diagnostic, codes: list[str]) -> dict[str, Any]:
    related = [
        _location(other.span) | {"id": number, "message": {"text": other.text or "related"}}
        for number, other in enumerate(diagnostic.others)
    ]
    result = {
        "ruleId": diagnostic.code,
        "ruleIndex": codes.index(diagnostic.code),
        "level": diagnostic.severity,
        "message": {"text": _whole_message(diagnostic)},
        "locations": [_location(diagnostic.span) if diagnostic.span else {"physicalLocation": _artifact(file)}],
    }
    return result | ({"relatedLocations": related} if related else {})


def _location(span: Span) -> dict[str, Any]:
    place = place_of(span)
    region = {
        "startLine": place["line"],
        "startColumn": place["column"],
        "endLine": place["end_line"],
        "endColumn": place["end_column"],
    }
    return {"physicalLocation": _artifact(place["file"]) | {"region": region}}


def _artifact(file: str) -> dict[str, Any]:
    from urllib.parse import quote

    return {"artifactLocation": {"uri": quote(file.replace("\\", "/"), errors="surrogateescape")}}


def _whole_message(diagnostic: Diagnostic) -> str:
    help = [f"help: {diagnostic.help}"] if diagnostic.help else []
    label = [diagnostic.label] if diagnostic.label else []
    return "\n".join([diagnostic.message, *label, *diagnostic.notes, *help])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

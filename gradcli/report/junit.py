"""The cases of `test` as JUnit XML: one suite for each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from gradcli.request import CaseResult


def document(cases: Sequence[CaseResult]) -> str:
    """The whole XML document; cases of one file are taken to stand together."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f'<testsuites name="gradcli"{_counts(cases)}>']
    for file, group in groupby(cases, key=lambda case: case.file):
        suite = [*group]
        lines.append(f"  <testsuite name={_attribute(file)}{_counts(suite)}>")
        for case in suite:
            lines.extend(_case(case))
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _counts(cases: Sequence[CaseResult]) -> str:
    status = [case.status for case in cases]
    seconds = sum(case.seconds for case in cases)
    failed, errors = status.count("failed"), status.count("error")
    return f' tests="{len(cases)}" failures="{failed}" errors="{errors}" time="{seconds:.6f}"'


def _case(case: CaseResult) -> Iterator[str]:
    head = f"    <testcase classname={_attribute(case.file)} name={_attribute(case.case)} time={_time(case.seconds)}"
    if case.status == "passed":
        yield f"{head}/>"
        return
    kind = "failure" if case.status == "failed" else "error"
    first = case.message.strip().partition("\n")[0]
    yield f"{head}>"
    yield f"      <{kind} message={_attribute(first)}>{escape(_allowed(case.message))}</{kind}>"
    yield "    </testcase>"


def _time(seconds: float) -> str:
    return f'"{seconds:.6f}"'


def _attribute(text: str) -> str:
    return quoteattr(_allowed(text), {"\n": "&#10;", "\t": "&#9;"})


def _allowed(text: str) -> str:
    """`text` with `�` for each character that XML 1.0 cannot hold."""
    return "".join(letter if _in_xml(letter) else "�" for letter in text)


def _in_xml(letter: str) -> bool:
    return letter in "\t\n" or " " <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter > "\uffff"

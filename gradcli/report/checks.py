"""What `check` and `test` print for people: the shapes that were proved, and cases as they finish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from gradcli.report.diagnostics import render_all
from gradcli.report.signs import paint, printable
from gradcli.request import CaseResult, CheckedNet, CheckResult

WIDTH = 100  # of a list of params
STATUS = {"passed": "help", "failed": "error", "error": "error"}


def check_text(check: CheckResult, *, color: bool, quiet: bool = False) -> str:
    """Findings in full; then each net with its types and the sizes that it holds for."""
    text = render_all(check.diagnostics, color=color)
    if quiet or any(diagnostic.severity == "error" for diagnostic in check.diagnostics):
        return text
    lines = [paint(printable(check.file), "bold", color=color)]
    for net in check.nets:
        lines.extend(f"  {line}" for line in _net(net))
    return "\n".join([*([text] if text else []), *lines]) + "\n"


def _net(net: CheckedNet) -> Iterator[str]:
    outputs = [aval for _, aval in net.outputs]
    results = outputs[0] if len(outputs) == 1 else f"({', '.join(outputs)})"
    yield f"net {net.name}({_typed(net.inputs)}){f' -> {results}' if outputs else ''}"
    if net.params:
        yield from wrap(_typed(net.params), WIDTH, initial_indent="  params ", subsequent_indent=" " * 9)
    if net.skipped:
        yield f"  not checked alone: {net.skipped}"
    elif net.conditions:
        yield f"  holds where {', '.join(net.conditions)}"
    else:
        yield "  holds for all sizes"


def _typed(names: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name}: {aval}" if aval else name for name, aval in names)


def findings_text(checks: Sequence[CheckResult]) -> str:
    """`2 errors, 1 warning in 3 files`, or nothing where one error speaks for itself."""
    found = [diagnostic.severity for check in checks for diagnostic in check.diagnostics]
    if len(found) < 2:
        return ""
    counts = [_counted(found.count(kind), kind) for kind in ("error", "warning", "note") if kind in found]
    return f"{', '.join(counts)} in {_counted(len(checks), 'file')}\n"


def case_text(case: CaseResult, *, color: bool) -> str:
    """`model.net  the title  passed`; below it what went wrong."""
    title = printable(case.case).replace("\n", " ")
    head = f"{printable(case.file)}  {title}  {paint(case.status, STATUS[case.status], color=color)}\n"
    if case.status == "passed":
        return head
    details = render_all(case.diagnostics, color=color) if case.diagnostics else printable(case.message)
    return head + "".join(f"  {line}\n" if line else "\n" for line in details.splitlines())


def tests_text(cases: Sequence[CaseResult], *, color: bool) -> str:
    """`12 passed`, `1 failed, 11 passed`"""
    parts = []
    for status in ("failed", "error", "passed"):
        count = sum(case.status == status for case in cases)
        if count:
            name = _counted(count, status) if status == "error" else f"{count} {status}"
            parts.append(paint(name, STATUS[status], color=color))
    return ", ".join(parts) + "\n"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"

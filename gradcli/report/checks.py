"""What `check` and `test` print for people: the shapes that were proved, and cases as they finish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from gradcli.report.diagnostics import render_all
from gradcli.report.signs import CUT, columns, padded, paint, printable
from gradcli.request import CaseResult, CheckedNet, CheckResult, ShapedLine
from gradcli.syntax.diagnostics import Span

PARAMS = 100  # columns of a list of params
WIDTH = 78  # beside the indent of a net
SHORTEST = 24  # columns that a line gets beside its shapes, however long these are
STATUS = {"passed": "help", "failed": "error", "error": "error"}


def check_text(check: CheckResult, *, color: bool, quiet: bool = False, shapes: bool = False) -> str:
    """Findings in full; then each net with its types and the sizes that it holds for, with `shapes` line by line."""
    text = render_all(check.diagnostics, color=color)
    if quiet or any(diagnostic.severity == "error" for diagnostic in check.diagnostics):
        return text
    lines = [paint(printable(check.file), "bold", color=color)]
    for net in check.nets:
        lines.extend(f"  {line}" for line in _net(net, color=color, shapes=shapes))
    return "\n".join([*([text] if text else []), *lines]) + "\n"


def _net(net: CheckedNet, *, color: bool, shapes: bool) -> Iterator[str]:
    outputs = [aval for _, aval in net.outputs]
    results = outputs[0] if len(outputs) == 1 else f"({', '.join(outputs)})"
    head = f"net {net.name}({_typed(net.inputs)}){f' -> {results}' if outputs else ''}"
    yield from wrap(head, WIDTH, subsequent_indent=" " * 4)
    if shapes and net.lines:
        yield from _lines(net.lines, color)
    elif net.params:
        yield from wrap(_typed(net.params), PARAMS, initial_indent="  params ", subsequent_indent=" " * 9)
    if net.skipped:
        yield f"  not checked alone: {net.skipped}"
        if shapes and net.lines:
            yield "  the shapes are those on the data of the file"
    elif net.conditions:
        yield from wrap(f"  holds where {', '.join(net.conditions)}", WIDTH, subsequent_indent=" " * 14)
    else:
        yield "  holds for all sizes"


def _lines(lines: Sequence[ShapedLine], color: bool) -> Iterator[str]:
    """The text of every line that binds or returns something, and beside it the type of that."""
    rows: dict[int, list[ShapedLine]] = {}
    for line in lines:
        rows.setdefault(line.span.line, []).append(line)
    texts = {number: printable(_text_of(row[0].span, number).expandtabs(4)).rstrip() for number, row in rows.items()}
    indent = min(len(text) - len(text.lstrip()) for text in texts.values())
    types = {number: [f"{x.name}: {x.type}" if x.name else x.type for x in row] for number, row in rows.items()}
    digits, longest = len(str(max(rows))), max(columns(text) for row in types.values() for text in row)
    room = max(WIDTH - digits - 6 - longest, SHORTEST)
    shown = {number: _cut(text[indent:], room) for number, text in texts.items()}
    width = max(map(columns, shown.values()))
    for number, row_types in types.items():
        head = f"{paint(f'{number:>{digits}}', 'rail', color=color)}  {padded(shown[number], width)}"
        yield f"  {head}  {paint(row_types[0], 'help', color=color)}"
        for text in row_types[1:]:
            yield " " * (digits + width + 6) + paint(text, "help", color=color)


def _text_of(span: Span, number: int) -> str:
    """A line as it is written; of `net f(x) = …` the expression only."""
    text = span.source.line(number)
    return text[span.column - 1 :] if text.lstrip().startswith("net ") else text


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}{CUT}"


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

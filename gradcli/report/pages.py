"""The pages of `ops` and `rule`: what an operator does, and what an error code means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Protocol

from gradcli.report.signs import paint
from gradcli.syntax.codes import Entry

WIDTH = 80
LONGEST, EDGE = 30, 4  # lines of a text that is shown whole, and those kept at each end of a longer one


class OperatorDoc(Protocol):
    """What is known of one operator; texts may be empty."""

    @property
    def name(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def doc(self) -> str: ...
    @property
    def derivative(self) -> str: ...
    @property
    def conventions(self) -> str: ...
    @property
    def example(self) -> str: ...
    @property
    def synonyms(self) -> Sequence[str]: ...


def operators_page(docs: Sequence[OperatorDoc], *, color: bool) -> str:
    """Every operator in one line, by family."""
    width = max((len(doc.name) for doc in docs), default=0)
    lines: list[str] = []
    for family in dict.fromkeys(doc.family for doc in docs):
        lines += [*([""] if lines else []), paint(family, "bold", color=color)]
        for doc in docs:
            if doc.family == family:
                first = doc.doc.strip().partition("\n")[0]
                lines.append(f"  {paint(doc.name, 'rail', color=color)}{'':{width - len(doc.name)}}  {first}".rstrip())
    return "\n".join([*lines, "", "gradcli ops NAME explains one of them.", ""])


def operator_page(doc: OperatorDoc, *, color: bool) -> str:
    """Signature, meaning, derivative, conventions, and an example that runs."""
    lines = [paint(doc.signature, "bold", color=color), ""]
    lines += textwrap.wrap(" ".join(doc.doc.split()), WIDTH)
    facts = {
        "family": doc.family,
        "derivative": doc.derivative,
        "conventions": doc.conventions,
        "synonyms": ", ".join(doc.synonyms),
    }
    given = {name: text for name, text in facts.items() if text}
    lines += [""] if given else []
    for name, text in given.items():
        lines += _fact(name, text, color=color)
    if doc.example:
        lines += ["", *(f"  $ {line}" for line in doc.example.strip().splitlines())]
    return "\n".join([*lines, ""])


def rules_page(entries: Sequence[Entry], *, color: bool) -> str:
    """Every code in one line."""
    lines = [f"{paint(entry.code, 'rail', color=color)}  {entry.title}" for entry in entries]
    return "\n".join([*lines, "", "gradcli rule CODE explains one of them.", ""])


def rule_page(entry: Entry, *, color: bool) -> str:
    """What a code means, a text that shows it, and the same text mended."""
    lines = [f"{paint(entry.code, 'error', color=color)}: {paint(entry.title, 'bold', color=color)}", ""]
    for part in entry.explanation.strip().split("\n\n"):
        lines += [*textwrap.wrap(" ".join(part.split()), WIDTH), ""]
    for title, text in (("Refused:", entry.broken), ("Repaired:", entry.repaired)):
        if text:
            lines += [title, "", textwrap.indent(_cut(text.strip("\n")), "    "), ""]
    return "\n".join(lines).rstrip() + "\n"


def _cut(text: str) -> str:
    """`text`; of a long one its ends."""
    lines = text.splitlines()
    if len(lines) <= LONGEST:
        return text
    return "\n".join([*lines[:EDGE], f"… ({len(lines) - 2 * EDGE} lines)", *lines[-EDGE:]])


def _fact(name: str, text: str, *, color: bool) -> Iterator[str]:
    first, *rest = textwrap.wrap(" ".join(text.split()), WIDTH - 13) or [""]
    yield f"{paint(name, 'dim', color=color)}{'':{13 - len(name)}}{first}"
    yield from (f"{'':13}{line}" for line in rest)

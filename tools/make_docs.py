"""Write the generated pages of docs/; `--check` only says whether they are what they should be.

Operators come from what `gradcli ops` and the registry say, errors from what `gradcli rule` says, figures and their
picture from docs/performance.json, which `make bench` measures. So no page can disagree with what runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GENERATED = "<!-- Written by `make docs` from the code: change the code, then run it again. -->"

FAMILIES = {
    "SYN": "Syntax",
    "NAM": "Names and imports",
    "SHP": "Shapes, dtypes and broadcasting",
    "DIF": "Differentiability",
    "NUM": "Numerics",
    "DAT": "Data",
    "EDN": "Editions",
    "STY": "Style",
    "USE": "Use of the command line",
    "ENV": "Environment",
    "RUN": "Running",
}


# ── operators ───────────────────────────────────────────────────────────────────────────────────────────────

TITLES = {"composed": "Composed: nets of the language itself, in `gradcli/ops/prelude.net`"}


def operators_page() -> str:
    """What a model can call, by family, as `gradcli ops` has it; then the primitives that `gradcli show` prints."""
    from gradcli.manual.operators import operator_docs

    docs = operator_docs()
    families = list(dict.fromkeys(doc.family for doc in docs))
    lines = [
        GENERATED,
        "# Operators",
        "",
        "What a model can call; `gradcli ops NAME` prints one of them. `x` and `y` are the operands, `ct` is the",
        "cotangent that arrives. What holds at kinks, ties and poles stands behind the derivative; why, on",
        "[derivative conventions](derivative-conventions.md). Operators that are signs (`+ - * / % @ **`,",
        "comparisons, `and or not`, `a if c else b`) are on [the language](language.md#expressions).",
        "",
        *[f"- [{_title(family)}](#{family.replace(' ', '-')})" for family in families],
        "- [Primitives](#primitives)",
    ]
    for family in families:
        own = [doc for doc in docs if doc.family == family]
        lines += _heading(family, _title(family))
        if family == "composed":
            lines += ["Their derivatives follow from what they are made of.", ""]
            head = ["operator", "gives", "example"]
            rows = [[f"`{doc.signature}`", doc.doc, f"`{doc.example}`"] for doc in own]
        else:
            head = ["operator", "gives", "derivative", "example"]
            rows = [[_named(doc), doc.doc, _derivative(doc), f"`{doc.example}`"] for doc in own]
        lines += _table(head, rows)
    return "\n".join([*lines, *_primitives()]).rstrip() + "\n"


def _title(family: str) -> str:
    return TITLES.get(family, family.capitalize())


def _heading(anchor: str, title: str) -> list[str]:
    return ["", f'<a id="{anchor.replace(" ", "-")}"></a>', "", f"## {title}", ""]


def _named(doc: Any) -> str:
    return f"`{doc.signature}`" + "".join(f", `{synonym}`" for synonym in doc.synonyms)


def _derivative(doc: Any) -> str:
    return "; ".join(text for text in (doc.derivative, doc.conventions) if text)


def _primitives() -> list[str]:
    """Every primitive that is no operator of that name already."""
    import gradcli.ad.scan  # noqa: F401 - read with the first loop of a model otherwise
    from gradcli.interp.operators import SURFACES
    from gradcli.ir.primitive import registry

    rows = [
        (f"`{prim.name}`", prim.doc, "; ".join(text for text in (_formula(prim), prim.conventions) if text))
        for prim in sorted(registry().values(), key=lambda prim: prim.name)
        if prim.name not in SURFACES
    ]
    return [
        *_heading("primitives", "Primitives"),
        "What the operators above are made of, beside those of the same name. A model cannot call these;",
        "`gradcli show` prints them.",
        "",
        *_table(("primitive", "gives", "derivative"), rows),
    ]


def _formula(prim: Any) -> str:
    if prim.formula:
        return str(prim.formula)
    if prim.flat:
        return "zero where it exists"
    return {"linear": "linear: the adjoint of itself", "bilinear": "bilinear"}.get(prim.kind, "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    bars = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*bars, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]


def _cell(text: str) -> str:
    """A text as a cell of a table: on one line, with the signs of Markdown escaped where it is no code."""
    parts = " ".join(text.replace("|", "\\|").split()).split("`")
    return "`".join(part if k % 2 else part.replace("*", "\\*") for k, part in enumerate(parts))


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────


def errors_page() -> str:
    """The index of errors: what each code means, a text that shows it, and its repair."""
    from gradcli.manual.rules import entries

    table = entries()
    lines = [
        GENERATED,
        "# Errors",
        "",
        "Every error has a code that stays the same in every release; `gradcli rule CODE` prints its entry here.",
        "",
    ]
    for family, own in _by_family(table.values()):
        lines += [f"- [{FAMILIES.get(family, family)}](#{family.lower()})"]
        lines += [f"  - [`{entry.code}`](#{entry.code.lower()}) {entry.title}" for entry in own]
    for family, own in _by_family(table.values()):
        lines += ["", f'<a id="{family.lower()}"></a>', "", f"## {FAMILIES.get(family, family)}"]
        for entry in own:
            lines += ["", f"### {entry.code}", "", f"**{entry.title}**", "", entry.explanation.strip()]
            if entry.broken:
                lines += ["", *_fenced(entry.broken)]
            if entry.repaired:
                lines += ["", "Repaired:", "", *_fenced(entry.repaired)]
    return "\n".join(lines).rstrip() + "\n"


def _by_family(entries: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    grouped: dict[str, list[Any]] = {}
    for entry in entries:
        grouped.setdefault(entry.code[:3], []).append(entry)
    order = list(FAMILIES)
    return sorted(grouped.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _fenced(text: str) -> list[str]:
    language = "sh" if text.startswith(("gradcli ", "cp ", "python ")) else "net"
    return [f"```{language}", *text.strip("\n").splitlines(), "```"]


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────


def pages() -> dict[str, str]:
    """All generated pages, by path."""
    from benchmarks import publish

    return {"docs/operators.md": operators_page(), "docs/errors.md": errors_page(), **publish.pages()}


def main(arguments: list[str]) -> int:
    """Write the pages; with `--check` write nothing, and 1 if one is not up to date."""
    status = 0
    for name, text in pages().items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments == ["--check"]:
            print(f"{name} is not what the code says: run `make docs`", file=sys.stderr)
            status = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return status


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))

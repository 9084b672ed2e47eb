"""Write docs/operators.md and docs/errors.md from the code; `--check` only says whether they are what they should be.

Operators come from the registry (`gradcli.ops`) and from `ops/prelude.net`, errors from the tables `CODES` of each
room's `codes.py`. So neither page can disagree with what runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gradcli

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


def modules(package: str) -> Iterator[Any]:
    """The modules of a package, imported, in the order of their names."""
    found = importlib.import_module(package)
    for each in sorted(pkgutil.iter_modules(found.__path__), key=lambda info: info.name):
        yield importlib.import_module(f"{package}.{each.name}")


# ── operators ───────────────────────────────────────────────────────────────────────────────────────────────


def operators_page() -> str:
    """Every primitive with its derivative and conventions, by the module that states it, then the prelude."""
    from gradcli.ir.primitive import registry

    importlib.import_module("gradcli.ops")
    names_at: dict[str, list[str]] = {}
    for module in modules("gradcli.ops"):
        own = {value.name for value in vars(module).values() if type(value).__name__ == "Primitive"}
        for name in registry():
            if name in own and not any(name in names for names in names_at.values()):
                names_at.setdefault(module.__name__, []).append(name)
    placed = {name for names in names_at.values() for name in names}
    rest = [name for name in registry() if name not in placed]
    lines = [
        GENERATED,
        "# Operators",
        "",
        "`gradcli ops NAME` prints one of them with its signature and an example that runs. `x` and `y` are the",
        "operands, `out` is the result, `ct` the cotangent that arrives; what holds at kinks, ties and poles is in the",
        "last column, and the reasons are in [derivative conventions](derivative-conventions.md).",
        "",
    ]
    for module_name, names in [*names_at.items(), *([("", rest)] if rest else [])]:
        module_doc = (sys.modules[module_name].__doc__ or "").strip() if module_name else ""
        title = module_name.rpartition(".")[2].replace("_", " ").capitalize() if module_name else "Others"
        lines += [f"## {title}", "", *([module_doc.splitlines()[0], ""] if module_doc else [])]
        lines += ["| operator | what it gives | derivative | conventions |", "|---|---|---|---|"]
        for name in names:
            prim = registry()[name]
            cells = (
                f"`{name}`",
                prim.doc,
                f"`{prim.formula}`" if prim.formula else _no_formula(prim),
                prim.conventions,
            )
            lines.append("| " + " | ".join(map(_cell, cells)) + " |")
        lines.append("")
    return "\n".join([*lines, *_prelude()]).rstrip() + "\n"


def _no_formula(prim: Any) -> str:
    if prim.stops:
        return "none, by request"
    if prim.flat:
        return "zero"
    return {"linear": "its adjoint", "bilinear": "its two adjoints"}.get(prim.kind, "")


def _prelude() -> list[str]:
    """The nets of the prelude: signature, and the comment above each."""
    path = Path(gradcli.__path__[0]) / "ops" / "prelude.net"
    if not path.exists():
        return []
    lines = [
        "## Prelude",
        "",
        "Written in the language itself, in `gradcli/ops/prelude.net`; derivatives follow from what they are made of.",
        "",
        "| operator | what it gives |",
        "|---|---|",
    ]
    comment: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# ").strip())
        elif found := re.match(r"net (?P<signature>\w+(\[[^\]]*\])?\(.*?\))(?= *(->|=|\{))", line):
            lines.append(f"| {_cell('`' + found['signature'] + '`')} | {_cell(' '.join(comment))} |")
            comment = []
        else:
            comment = []
    return [*lines, ""]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────


def codes() -> dict[str, Any]:
    """Every code of every room, in order."""
    found: dict[str, Any] = {}
    for room in sorted(pkgutil.iter_modules(gradcli.__path__), key=lambda info: info.name):
        name = f"gradcli.{room.name}.codes"
        if room.ispkg and importlib.util.find_spec(name):
            for code, entry in getattr(importlib.import_module(name), "CODES", {}).items():
                if code in found and found[code] is not entry:
                    raise ValueError(f"{code} is described twice")
                found[code] = entry
    return dict(sorted(found.items()))


def errors_page() -> str:
    """The index of errors: what each code means, a text that shows it, and its repair."""
    table = codes()
    lines = [
        GENERATED,
        "# Errors",
        "",
        "Every error has a code that stays the same in every release; `gradcli rule CODE` prints its entry here.",
        "",
    ]
    for family, entries in _by_family(table.values()):
        lines += [f"- [{FAMILIES.get(family, family)}](#{family.lower()})"]
        lines += [f"  - [`{entry.code}`](#{entry.code.lower()}) {entry.title}" for entry in entries]
    for family, entries in _by_family(table.values()):
        lines += ["", f'<a id="{family.lower()}"></a>', "", f"## {FAMILIES.get(family, family)}"]
        for entry in entries:
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

PAGES = {"docs/operators.md": operators_page, "docs/errors.md": errors_page}


def main(arguments: list[str]) -> int:
    """Write the pages; with `--check` write nothing, and 1 if one is not up to date."""
    status = 0
    for name, page in PAGES.items():
        path = ROOT / name
        text = page()
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
    sys.exit(main(sys.argv[1:]))

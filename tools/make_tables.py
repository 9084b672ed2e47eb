"""Write gradcli/syntax/_tables.py from gradcli/grammar.lark. Run after every change of the grammar."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from gradcli.syntax.tables import Tables, build, read_grammar, stamp  # noqa: E402

TARGET = ROOT / "gradcli" / "syntax" / "_tables.py"


def text(grammar: str, tables: Tables) -> str:
    """The module that holds `tables`: plain literals, one state or rule a line."""

    def rows(name: str, type_: str, items: tuple[object, ...]) -> list[str]:
        return [f"{name}: tuple[{type_}, ...] = (", *(f"    {item!r}," for item in items), ")"]

    return "\n".join(
        [
            '"""Parser tables. Made by tools/make_tables.py from gradcli/grammar.lark; do not edit."""',
            "",
            "# fmt: off",
            "# ruff: noqa",
            f"SHA256 = {sha256(grammar.encode()).hexdigest()!r}",
            f"STAMP = {stamp(grammar)!r}",
            f"SCANNER = {tables.scanner!r}",
            f"WORDS = frozenset({tuple(sorted(tables.words))!r})",
            f"STARTS = {tables.starts!r}",
            f"ENDS = {tables.ends!r}",
            *rows("RULES", "tuple[str, int, str, tuple[int, ...]]", tables.rules),
            *rows("ACTIONS", "dict[str, int]", tables.actions),
            *rows("GOTOS", "dict[str, int]", tables.gotos),
            "",
        ]
    )


def main() -> None:
    """Write the file; say where."""
    grammar = read_grammar()
    tables = build(grammar)
    TARGET.write_text(text(grammar, tables), "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(tables.actions)} states, {len(tables.rules)} rules")


if __name__ == "__main__":
    main()

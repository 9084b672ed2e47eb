"""Write docs/combinations.md: which transformations were tried on which operators, and on each other.

The walks of the tests are run for it (`tests/ad/walking.py`, `tests/interp/spelling.py`), which takes a minute or two;
a test holds the page against what the walks find in the tests' own run.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "combinations.md"
GENERATED = "<!-- Written by `make docs` from what ran: change the code, then run it again. -->"

Pair = tuple[str, str]  # outer, inner


class Walked(NamedTuple):
    """An operator: what is wrong with each pair that was tried (nothing where it holds), why others were not, and the
    transformations that give zeros of it because it is flat."""

    name: str
    pairs: Mapping[Pair, str]
    reason: str
    zeros: Container[str] = ()


def primitives() -> list[Walked]:
    """All primitives that have operands, by name."""
    walk = import_module("tests.ad.walking")
    derivatives = {each.name for each in walk.TRANSFORMATIONS if each.differentiates}
    found = [Walked(prim.name, walk.walked(prim.name), walk.why_not(prim), derivatives if prim.flat else ())
             for prim in walk.transformed()]  # fmt: skip
    return sorted(found, key=lambda each: each.name)


def operators() -> list[Walked]:
    """All operators of the language, as `gradcli ops` orders them."""
    walk = import_module("tests.interp.spelling")
    found = []
    for doc in walk.operators():
        reason = walk.LEFT_OUT.get(doc.name, "")
        tried = {} if reason else walk.walked(doc.name)
        pairs = {pair: text for pair, text in ((pair_of(name), text) for name, text in tried.items()) if pair}
        found.append(Walked(doc.name, pairs, reason))
    return found


def pair_of(name: str) -> Pair | None:
    """The pair in `outer of inner of f`."""
    outer, *inner = name.removesuffix(" of f").split(" of ")
    return (outer, inner[0]) if inner else None


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────


def page(of_language: Sequence[Walked], of_graphs: Sequence[Walked], names: Sequence[str]) -> str:
    lines = [
        GENERATED,
        "# Combinations of transformations",
        "",
        "Transformations nest: `grad(vmap(f))`, `hessian` of a loop, a loop over Hessians. The tests try every pair of",
        "them on every operator, and compare what comes out with what the inner one gives by itself: derivatives with",
        "central differences of it along a random direction, `vmap` with a loop over its rows, `checkpoint` with what",
        "it was made of, `for` and `for … while` with a loop in Python. What is said here is what such a run found.",
        "",
        "## Operators of the language",
        "",
        "Each in the example that `gradcli ops` shows, with the transformations spelled in the language. A column is",
        "what was transformed, a row is what that was put into; a cell is for how many operators the pair was tried,",
        "and held.",
        "",
        *_matrix(of_language, names),
        "",
        "✓ stands where a transformation held in all of its pairs, as the outer one and as the inner one.",
        "",
        *_rows("operator", of_language, names),
        "",
        "## Primitives",
        "",
        "The same for what operators are made of, as graphs: on several shapes, among them arrays without elements,",
        "with all float operands at once, and differentiated by sensitivities and tangents, too. What has no float",
        "result or no float operand has no derivative, and is tried with the others. What is flat has one of 0, where",
        "it exists.",
        "",
        *_matrix(of_graphs, names),
        "",
        *_rows("primitive", of_graphs, names),
    ]
    return "\n".join(lines) + "\n"


def _matrix(walks: Sequence[Walked], names: Sequence[str]) -> list[str]:
    return _table(["", *(f"of `{name}`" for name in names)],
                  ([f"`{outer}`", *(_count(walks, (outer, inner)) for inner in names)] for outer in names))  # fmt: skip


def _count(walks: Sequence[Walked], pair: Pair) -> str:
    tried = [each.pairs[pair] for each in walks if pair in each.pairs]
    wrong = sum(bool(text) for text in tried)
    return f"{len(tried) - wrong} of {len(tried)}" if wrong else str(len(tried))


def _rows(kind: str, walks: Sequence[Walked], names: Sequence[str]) -> list[str]:
    return _table([kind, *(f"`{name}`" for name in names)],
                  ([f"`{each.name}`", *(_cell(each, name) for name in names)] for each in walks))  # fmt: skip


def _cell(each: Walked, name: str) -> str:
    tried = [text for pair, text in each.pairs.items() if name in pair]
    held = "✓ 0" if name in each.zeros else "✓"
    return each.reason if not tried else "wrong" if any(tried) else held


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    bars = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*bars, *(f"| {' | '.join(row)} |" for row in rows)]


def made() -> str:
    """The page, of what the walks find."""
    return page(operators(), primitives(), import_module("tests.ad.walking").NAMES)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(made(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")

"""A run as `docs/performance.json`, and from that the page and the picture next to it.

The page and the picture are functions of the JSON, of the goals and of the suites' own words, so `make docs` writes
them again without measuring anything, and `tools/make_docs.py --check` tells when they are out of date.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Outcome

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "docs" / "performance.json"


@dataclass(frozen=True, slots=True)
class Run:
    """All that one run found. `settings` are the variables that every process was given."""

    command: str
    date: str
    minutes: float
    quick: bool
    threads: int
    settings: dict[str, str]
    machine: dict[str, Any]
    outcomes: tuple[Outcome, ...]

    def of(self, suite: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.suite == suite]

    @property
    def suites(self) -> list[str]:
        return list(dict.fromkeys(outcome.suite for outcome in self.outcomes))


def write(run: Run, path: Path = STORED) -> None:
    """A line an outcome, so that a difference of two runs can be read."""
    head = {name: getattr(run, name) for name in Run.__slots__ if name != "outcomes"}
    lines = [json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}") + ',\n "outcomes": [']
    lines.append(",\n".join("  " + json.dumps(outcome.as_json()) for outcome in run.outcomes))
    path.write_text("\n".join([*lines, " ]", "}", ""]), encoding="utf-8")


def read(path: Path = STORED) -> Run:
    found = json.loads(path.read_text(encoding="utf-8"))
    outcomes = tuple(Outcome.of_json(outcome) for outcome in found.pop("outcomes"))
    return Run(**found, outcomes=outcomes)


def pages() -> dict[str, str]:
    """What `docs/` holds of the stored run, by path; nothing where there is none."""
    from benchmarks.page import page
    from benchmarks.picture import picture

    if not STORED.exists():
        return {}
    run = read()
    return {"docs/performance.md": page(run), "docs/performance.svg": picture(run)}


def publish(run: Run) -> Sequence[str]:
    """Store the run and write its page and picture; gives the paths."""
    write(run)
    made = pages()
    for name, text in made.items():
        (ROOT / name).write_text(text, encoding="utf-8")
    return ["docs/performance.json", *made]

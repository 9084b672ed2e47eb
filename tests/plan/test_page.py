"""docs/plan.md knows every module of `plan/` and every constant of the cost model, and names only what there is."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.suites import NAMES
from gradcli.plan import costs

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([A-Z_]+)` \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE)


def test_every_constant_has_its_row() -> None:
    assert [name for name, _ in ROWS] == [name for name in vars(costs) if name.isupper()]


def test_suites_exist() -> None:
    assert {suite for _, suites in ROWS for suite in re.findall(r"`(\w+)`", suites)} <= set(NAMES)


def test_every_module_is_told_of_and_is_there() -> None:
    told = set(re.findall(r"`((?:plan|backends|ad)/\w+\.py)`", PAGE))
    assert all((ROOT / "gradcli" / name).is_file() for name in told)
    there = {f"plan/{path.name}" for path in (ROOT / "gradcli" / "plan").glob("*.py")} - {"plan/__init__.py"}
    assert there <= told

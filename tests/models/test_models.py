"""Every case of every model under models/ holds, and none has got lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli import api
from gradcli.request import ModelFile, Request
from tools.transcripts import differences

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "models").rglob("*.net"))

# How many cases a folder has at least.
CASES = {
    "guide": 49,
    "survey": 7,
    "deepmd": 9,
    "pinn": 6,
    "iris": 7,
    "newton": 5,
    "ode": 6,
    "lstm": 5,
    "fixed_point": 12,
    "nested": 7,
    "maml": 4,
    "sobolev": 5,
    "penalty": 5,
    "mechanics": 11,
    "gmm": 5,
    "mgh": 35,
    "speelpenning": 6,
    "rosenbrock": 5,
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def ran() -> list[dict[str, Any]]:
    """All cases, run once as a user runs them."""
    process = subprocess.run(
        [sys.executable, "-m", "gradcli", "test", "models", "--json"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert process.returncode in (0, 1), process.stderr
    cases: list[dict[str, Any]] = json.loads(process.stdout)["cases"]
    return cases


@pytest.mark.parametrize("model", MODELS, ids=relative)
def test_every_case_passes(model: Path) -> None:
    cases = [case for case in ran() if (ROOT / case["file"]) == model]
    assert cases, "the model has no case"
    failed = [f"{case['case']}: {case['status']}\n{case['message']}" for case in cases if case["status"] != "passed"]
    assert not failed, "\n\n".join(failed)


@pytest.mark.parametrize("model", MODELS, ids=relative)
def test_check_finds_nothing(model: Path) -> None:
    (found,) = api.check([ModelFile(model)], Request())
    assert not found.diagnostics


def test_no_case_is_lost() -> None:
    counted = Counter(Path(case["file"]).parts[1] for case in ran())
    assert set(counted) == set(CASES)
    assert {folder: n for folder, n in counted.items() if n < CASES[folder]} == {}


def test_the_gradient_of_10_000_steps_fits_into_10_kilobytes() -> None:
    """Without a bound it takes 160; the numbers are those of the equations."""
    file, bounded = ModelFile(ROOT / "models" / "ode" / "predators.net"), Request(get_all=True, memory=10_000)
    by_z, by_rates = (entry.array for entry in api.run(file, bounded).grads)
    expected = np.load(ROOT / "models" / "ode" / "expected.npz")
    np.testing.assert_allclose(by_z, expected["by_z"].sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(by_rates, expected["by_rates"].sum(axis=0), rtol=1e-9)


def test_readme_shows_what_happens(tmp_path: Path) -> None:
    found = differences(ROOT / "models" / "README.md", tmp_path)
    assert not found, "\n\n".join(found)

"""What a run becomes: goals judged, a page, a picture; of made-up figures, without any engine."""

from __future__ import annotations

import xml.dom.minidom
from pathlib import Path

import pytest

from benchmarks import publish
from benchmarks.goals import EVERYTHING_ELSE, figure, missed, ratio, verdicts
from benchmarks.measure import Figures, Outcome
from benchmarks.page import page
from benchmarks.picture import picture
from benchmarks.publish import Run
from benchmarks.reasons import REASONS
from benchmarks.suites import NAMES, suite_of

ROOT = Path(__file__).resolve().parents[2]
MB = 1 << 20


def outcome(suite: str = "chain", size: int = 1_000_000, **seconds: float) -> Outcome:
    figures = {name: Figures(found, found, found, peak=200 * MB, growth=10 * MB) for name, found in seconds.items()}
    return Outcome(suite, f"{size} f32", size, "f32", "", 2, figures, {}, 1e-7, 9)


def run(*outcomes: Outcome) -> Run:
    machine = {"processor": "a processor", "cores": 2, "memory": 8 << 30, "system": "Linux", "python": "3.11.2",
               "gradcli": "2026.2.0", "versions": {"jax": "0.10.2"}, "compiler": None}  # fmt: skip
    settings = {"OMP_NUM_THREADS": "2"}
    return Run("python -m benchmarks --publish", "2026-11-26", 12.0, False, 2, settings, machine, outcomes)


# ── goals ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_ratio_is_to_the_best_peer_and_numpy_by_hand_is_none() -> None:
    found = outcome(gradcli=1.0, jax=4.0, torch=2.0, numpy=0.1)
    assert ratio(found) == ("torch", 0.5)
    assert ratio(found, against="jax") == ("jax", 0.25)
    assert ratio(found, against="casadi") == ("casadi", None)


def test_a_goal_is_met_missed_or_not_judged() -> None:
    (met,) = verdicts(outcome(gradcli=1.0, jax=2.0))
    assert (met.goal.most, met.met) == (0.6, True)
    assert missed([outcome(gradcli=3.0, jax=2.0)])
    assert not missed([outcome(gradcli=3.0)]), "a peer that is not there is not judged"
    assert missed([outcome(jax=3.0)]), "our own figures are always there"


def test_what_has_no_goal_of_its_own_has_that_of_everything_else() -> None:
    (found,) = verdicts(outcome("attention", 64, gradcli=1.0, jax=1.0))
    assert found.goal.most == EVERYTHING_ELSE
    assert not found.stated


def test_memory_below_a_megabyte_is_compared_as_one() -> None:
    assert figure(Figures(1, 1, 1, growth=5), "memory") == MB
    assert figure(Figures(1, 1, 1), "memory") is None


# ── the page and the picture ────────────────────────────────────────────────────────────────────────────────


RUN = run(outcome(gradcli=1e-3, jax=4e-3, torch=2e-3), outcome(size=1000, gradcli=2e-3, jax=1e-3))


def test_the_page_names_goals_misses_and_the_machine() -> None:
    text = page(RUN)
    assert "**0.50** (torch)" in text or "**0.50** (PyTorch)" in text
    assert text.count("**OVER**") == 2, "once among the goals, once in the suite's table"
    assert "a processor, 2 cores" in text
    assert "`python -m benchmarks --publish`" in text
    assert "quick" not in text


def test_the_picture_is_whole_and_tells_met_from_missed() -> None:
    drawn = picture(RUN)
    xml.dom.minidom.parseString(drawn)
    assert drawn.count('class="c0 dot"') == 1
    assert drawn.count('class="c0 dot hollow"') == 1
    assert "prefers-color-scheme: dark" in drawn


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    publish.write(RUN, tmp_path / "run.json")
    assert publish.read(tmp_path / "run.json") == RUN


# ── what is there ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_says_what_it_is(name: str) -> None:
    suite = suite_of(name)
    assert suite.name == name
    assert suite.cases
    assert suite.title
    assert not suite.title.endswith(".")


def test_the_stored_run_is_one_of_everything() -> None:
    stored = publish.read()
    assert not stored.quick
    assert set(stored.suites) == set(NAMES)


def test_every_goal_that_the_stored_run_misses_has_its_reason() -> None:
    stored = publish.read()
    assert {name for name in stored.suites if missed(stored.of(name))} <= set(REASONS) <= set(NAMES)

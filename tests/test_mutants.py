"""`make mutants` itself: it plants, what it plants is caught, and it says so where something gets away."""

from __future__ import annotations

import pytest

from gradcli.ir.primitive import registry
from tools import mutants


def count_of(*names: str) -> mutants.Count:
    count = mutants.Count(verbose=False)
    for name in names:
        mutants.try_operator(registry()[name], count)
    return count


def test_every_fault_of_some_operators_is_caught() -> None:
    before = registry()
    count = count_of("tanh", "mul", "div", "matmul", "where", "gather", "cumsum", "cast")
    assert count.away == []
    assert sum(count.planted.values()) > 60
    assert {"sign", "factor", "dropped", "swapped", "stale", "batch: row"} <= set(count.planted)
    assert registry() == before


def test_faults_of_the_drivers_are_caught() -> None:
    count = mutants.Count(verbose=False)
    mutants.try_drivers(count)
    assert count.away == []
    assert count.planted["driver"] == len(mutants.DRIVERS)


def test_what_gets_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "tests_notice", lambda *args: False)
    count = count_of("sin")
    assert len(count.away) == sum(count.planted.values())
    assert "caught: 50 %" in count.table()

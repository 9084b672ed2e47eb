"""The suites by name, in the order of the report. Each is a module with one `SUITE`."""

from __future__ import annotations

from importlib import import_module

from benchmarks.workload import Case, Processes, Suite

NAMES = (
    "chain", "perceptron", "convolution", "attention", "pinn", "force", "lstm", "ode", "recurrence", "mixture",
    "logistic", "banded", "product", "deep", "cold", "startup", "linear",
)  # fmt: skip


def suite_of(name: str) -> Suite | Processes:
    """Raises KeyError for a name that is none."""
    if name not in NAMES:
        raise KeyError(name)
    found: Suite | Processes = import_module(f"benchmarks.suites.{name}").SUITE
    return found


def case_of(suite: Suite | Processes, label: str) -> Case:
    """The case of that label; the small ones of the tests are found, too."""
    tiny = suite.tiny if isinstance(suite, Suite) else ()
    return next(case for case in (*suite.cases, *tiny) if case.label == label)

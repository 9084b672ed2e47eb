"""Graph → Plan: steps over numbered slots, what is freed when, what happens in place, and how much memory it takes."""

from gradcli.plan.memory import available_memory, check_array, check_memory, fits, human_bytes
from gradcli.plan.plan import Copy, Plan, Step, make_plan

__all__ = [
    "Copy",
    "Plan",
    "Step",
    "available_memory",
    "check_array",
    "check_memory",
    "fits",
    "human_bytes",
    "make_plan",
]

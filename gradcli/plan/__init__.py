"""Graph → Plan: steps, where their values live, what is freed when, what happens in place, how much memory it takes.

docs/plan.md tells how, in the order of the work: axes, classes, passes, stages, rows, bodies, blocks, planner, arena.
"""

from gradcli.plan.blocks import Tiling
from gradcli.plan.flat import FlatPlan, make_flat
from gradcli.plan.memory import available_memory, check_array, check_memory, fits, human_bytes, too_large
from gradcli.plan.plan import Plan
from gradcli.plan.planner import make_plan

AnyPlan = Plan | FlatPlan

__all__ = [
    "AnyPlan",
    "FlatPlan",
    "Plan",
    "Tiling",
    "available_memory",
    "check_array",
    "check_memory",
    "fits",
    "human_bytes",
    "make_flat",
    "make_plan",
    "too_large",
]

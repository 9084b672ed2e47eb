"""Plans on NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.backends.program import Program, compile_plan, execute
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Node

if TYPE_CHECKING:
    from gradcli.plan.plan import Plan

    Array = np.ndarray[Any, Any]


def run(plan: Plan, inputs: Sequence[Any]) -> list[Array]:
    """The results of a plan for arrays of the shapes and dtypes of its inputs; they are the caller's own.

    Raises ModelError where an operator refuses the data (exit 2) or memory runs out (exit 3).
    """
    return runner(plan)(inputs)


def runner(plan: Plan) -> Callable[[Sequence[Any]], list[Array]]:
    """`run` for one plan, ready. The plan keeps its program, so that a second run only runs."""
    program: Program | None = plan.compiled.get("numpy")
    if program is None:
        program = plan.compiled["numpy"] = compile_plan(plan, np, _load)
    return partial(_run, program)


def _run(program: Program, inputs: Sequence[Any]) -> list[Array]:
    with np.errstate(all="ignore"):
        return execute(program, [np.asarray(array) for array in inputs], np)


def _load(node: Node) -> Array:
    aval = node.outs[0].aval
    made: Array = np.frombuffer(node.params["data"], NUMPY_NAMES[aval.dtype]).reshape(node.params["shape"])
    return made  # read-only, as the bytes are

"""Plans on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.backends.arrays import empty, load
from gradcli.backends.frame import Frame
from gradcli.backends.program import compile_plan, execute, refused
from gradcli.backends.scalars import Scalars, scalars
from gradcli.backends.threads import ONE_THREAD
from gradcli.plan.flat import FlatPlan
from gradcli.plan.memory import human_bytes
from gradcli.record import replace
from gradcli.syntax.diagnostics import ENVIRONMENT, ModelError

if TYPE_CHECKING:
    from gradcli.backends.clocks import Clocks
    from gradcli.plan.plan import Plan

    Array = np.ndarray[Any, Any]

NOTHING = nullcontext()


def run(plan: Plan, inputs: Sequence[Any], workers: int = 1, clocks: Clocks | None = None) -> list[Array]:
    """The results of a plan for arrays of the shapes and dtypes of its inputs; they are the caller's own.

    The plan keeps its frames, so that a second run allocates nothing but its results; calls at the same time, from
    several threads, take frames of their own. Where a step that is watched overflows or underflows, `plan.otherwise`
    runs, in memory of its own. With `clocks` the same runs in frames of theirs. Raises ModelError where an operator
    refuses the data (exit 2) or memory runs out (exit 3).
    """
    frames: list[Frame | Scalars] = (
        plan.compiled.setdefault(f"numpy:{workers}", []) if clocks is None else clocks.frames
    )
    try:
        try:
            frame = frames.pop()
        except IndexError:
            frame = scalars(plan, clocks) or Frame(plan, workers, clocks=clocks)
        results = [empty(value) for value in plan.graph.outputs]
        with np.errstate(all="ignore"), ONE_THREAD if plan.blas else NOTHING:
            frame.run([array if type(array) is np.ndarray else _here(array) for array in inputs], results)
    except FloatingPointError as error:
        if plan.otherwise is None:
            raise
        error.__context__ = None  # which holds the error in turn, and so the frame
    except MemoryError as error:
        raise _with_need(refused(error, None), plan) from None
    except ModelError as error:
        raise _with_need(error, plan) from None
    else:
        frames.append(frame)  # not after a failure, which may have left it in the middle
        return results
    del frame, results  # memory that the other plan may need
    frames.clear()
    return run(plan.otherwise, inputs, workers, None if clocks is None else clocks.give_up())


def _with_need(error: Exception, plan: Plan) -> Exception:
    """Where memory ran out, with what the plan takes."""
    if not isinstance(error, ModelError) or error.exit_code != ENVIRONMENT:
        return error
    need = f"the plan takes {human_bytes(plan.peak)}, beside {human_bytes(plan.input_bytes)} of inputs"
    return ModelError([replace(told, notes=(*told.notes, need)) for told in error.diagnostics], error.exit_code)


def _here(array: Any) -> Array:
    """An array of this process, also of one that a GPU holds."""
    return np.asarray(array.get() if hasattr(array, "__cuda_array_interface__") else array)


def run_flat(plan: FlatPlan, inputs: Sequence[Any]) -> list[Array]:
    """The results of a flat plan, whose steps allocate."""
    program = plan.compiled.get("numpy")
    if program is None:
        program = plan.compiled["numpy"] = compile_plan(plan, np, load)
    with np.errstate(all="ignore"):
        return execute(program, [np.asarray(array) for array in inputs], np)

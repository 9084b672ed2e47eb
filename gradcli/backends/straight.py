"""The body of a loop as one straight Python function, so that a turn costs its operators and little else.

    def turn(i, w, h):
        s3 = f3(w, h)
        s4 = f4(s3, out=s3)
        return s4, h

A line for each step, in the order of the plan; a name for each slot. The line that raised tells the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradcli.backends.program import Program, refused

LONGEST = 5_000  # steps; compiling a function takes longer than running its steps once


def straight(program: Program, xp: Any) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
    """A function that does what `execute` does with `program`; None where it would be too long."""
    if len(program.instructions) > LONGEST:
        return None
    scope: dict[str, Any] = {f"s{slot}": array for slot, array in enumerate(program.slots) if array is not None}
    given = [f"s{slot}" for slot in program.inputs] + [f"{name}={name}" for name in scope]
    lines = [f"def turn({', '.join(given)}):"]
    for k, step in enumerate(program.instructions):
        scope[f"f{k}"] = step.call
        operands = [f"s{slot}" for slot in step.ins]
        if step.into is not None:
            operands.append(f"out={operands[step.into]}")
        outs = (step.out,) if isinstance(step.out, int) else step.out
        call = f"f{k}({', '.join(operands)})"
        targets = ", ".join(f"s{slot}" for slot in outs)
        drop = "".join(f"; s{slot} = None" for slot in step.dead)
        lines.append(f"    {targets}{',' if not isinstance(step.out, int) and len(outs) == 1 else ''} = {call}{drop}")
    scope["copy"] = xp.array
    results = [f"copy(s{slot})" if copied else f"s{slot}" for slot, copied in program.results]
    lines.append(f"    return ({', '.join(results)}{',' if results else ''})")
    exec(compile("\n".join(lines), "<loop>", "exec"), scope)
    turn = scope["turn"]

    def run(arrays: Sequence[Any]) -> Sequence[Any]:
        try:
            return turn(*arrays)  # type: ignore[no-any-return]  # a tuple, by its last line
        except Exception as error:
            trace = error.__traceback__
            at = trace.tb_next.tb_lineno - 2 if trace is not None and trace.tb_next is not None else -1
            node = program.instructions[at].node if 0 <= at < len(program.instructions) else None
            raise refused(error, node) from None

    return run

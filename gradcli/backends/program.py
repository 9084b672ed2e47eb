"""A plan made ready for one array namespace, and the loop that runs it.

Everything that can be settled once is: which function a step calls, how its operands are fetched, where the result
goes. What is left at each step is one fetch, one call, one store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from gradcli.backends.clocks import Clock, Clocks, inside
from gradcli.ir.graph import Node
from gradcli.ir.primitive import DataError
from gradcli.plan.flat import FlatPlan, Step, span_of
from gradcli.syntax.diagnostics import ENVIRONMENT, fail


class Instruction(NamedTuple):
    """`out` is a slot, or a tuple of slots for several results; `fetch` gives the operands of one step."""

    call: Callable[..., Any]
    fetch: Callable[[list[Any]], Sequence[Any]]
    ins: tuple[int, ...]
    out: int | tuple[int, ...]
    into: int | None  # the operand that the result replaces in place
    dead: tuple[int, ...]
    node: Node


class Program(NamedTuple):
    """`slots` holds the constants; each run works on a copy of it."""

    slots: tuple[Any, ...]
    inputs: tuple[int, ...]
    instructions: tuple[Instruction, ...]
    results: tuple[tuple[int, bool], ...]


class Body:
    """The graph that a node holds, ready to run: what its `eval` calls once, or turn by turn."""

    def __init__(self, plan: FlatPlan, xp: Any, load: Callable[[Node], Any], clocks: Clocks | None = None) -> None:
        from gradcli.backends.straight import straight

        self.inputs, self.outputs = plan.graph.inputs, plan.graph.outputs
        program = compile_plan(plan, xp, load, clocks)
        self.run = straight(program, xp) or (lambda arrays: execute(program, arrays, xp))

    def __call__(self, arrays: Sequence[Any]) -> Sequence[Any]:
        return self.run(arrays)


def compile_plan(plan: FlatPlan, xp: Any, load: Callable[[Node], Any], clocks: Clocks | None = None) -> Program:
    """The program of a plan on the namespace `xp`; `load` gives the array of a constant, which nobody writes to."""
    slots: list[Any] = [None] * plan.n_slots
    for slot, node in plan.constants:
        slots[slot] = load(node)
    return Program(
        tuple(slots),
        plan.inputs,
        tuple(
            _instruction(step, xp, load, None if clocks is None else clocks.of(number))
            for number, step in enumerate(plan.steps)
        ),
        tuple((result.slot, result.copied) for result in plan.results),
    )


def execute(program: Program, inputs: Sequence[Any], xp: Any) -> list[Any]:
    """Run it. Results are arrays of `xp` that share memory with nothing.

    Raises ModelError with the place of the step: for data that an operator refuses, and (ENV090, exit 3) where memory
    runs out.
    """
    slots = list(program.slots)
    for slot, array in zip(program.inputs, inputs, strict=True):
        slots[slot] = array
    node: Node | None = None
    try:
        for call, fetch, _, out, into, dead, node in program.instructions:  # noqa: B007 - read when a step raises
            if into is not None:
                operands = fetch(slots)
                slots[out] = call(*operands, out=operands[into])  # type: ignore[index]  # see `Instruction`
            elif type(out) is int:
                slots[out] = call(*fetch(slots))
            else:
                for slot, array in zip(out, call(*fetch(slots)), strict=True):  # type: ignore[arg-type]  # see `Instruction`
                    slots[slot] = array if array is None else xp.asarray(array)
            for slot in dead:
                slots[slot] = None
        return [xp.array(slots[slot]) if copied else slots[slot] for slot, copied in program.results]
    except (DataError, MemoryError) as error:
        raise refused(error, node) from None


def refused(error: Exception, node: Node | None) -> Exception:
    """What a step raised, with its place; as it is, where it is neither the data nor the memory."""
    if isinstance(error, DataError):
        return fail(error.code, error.message, span_of(node), help=error.help)
    if not isinstance(error, MemoryError):
        return error
    whose = "the GPU" if type(error).__module__.startswith("cupy") else "this machine"
    return fail(
        "ENV090",
        f"the memory of {whose} ran out while the model was running",
        span_of(node),
        label=", ".join(str(out.aval) for out in node.outs) if node is not None else "",
        help="a smaller model or batch, or `--dtype f32`; `--memory BYTES` has loops keep less",
        exit_code=ENVIRONMENT,
    )


def _instruction(step: Step, xp: Any, load: Callable[[Node], Any], clock: Clock | None) -> Instruction:
    node, prim = step.node, step.node.prim
    bodies = {name: Body(plan, xp, load, inside(clock, plan)) for name, plan in step.bodies}
    call: Callable[..., Any]
    if prim.kind == "elementwise" and prim.ufunc is not None and not node.params:
        call = getattr(xp, prim.ufunc)
    else:
        lazy = {"wanted": step.wanted} if prim.lazy else {}
        call = partial(prim.eval, xp, **{**node.params, **bodies, **lazy})
    if step.copied:
        call = _array_of(call, xp.array)
    elif len(node.outs) == 1 and not node.outs[0].rank:
        call = _array_of(call, xp.asarray)  # NumPy gives scalars, which are no arrays: not writable, without `out=`
    out = step.outs[0] if len(step.outs) == 1 else step.outs
    call = call if clock is None else clock.around(call)
    return Instruction(call, _fetch(step.ins), step.ins, out, step.into, step.dead, node)


def _array_of(call: Callable[..., Any], as_array: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *arrays: as_array(call(*arrays))


def _fetch(ins: tuple[int, ...]) -> Callable[[list[Any]], Sequence[Any]]:
    """Reads slots without running Python: one slot, or none, as a slice."""
    if len(ins) > 1:
        return itemgetter(*ins)
    first = ins[0] if ins else 0
    return itemgetter(slice(first, first + len(ins)))

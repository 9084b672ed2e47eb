"""The plan of a gradient → what is shown of it: names instead of numbers, lines of the model instead of nodes.

A buffer goes by the model's name where it is an input or a result; others are `b0`, `b1` … of the arena, `k0` … for
constants, `m0` … for what operators allocate, `c0` … for what a turn of a loop changes. Each body has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gradcli import differentiate, opening
from gradcli.engine import plan_of, threads_of
from gradcli.facts.plan import Buffer, Cut, Laid, LaidStep, Layout
from gradcli.ir.graph import Node
from gradcli.ir.text import expression_text, value_names
from gradcli.plan.flat import FlatPlan, span_of
from gradcli.plan.plan import Blocks, Plan, Step, Storage, Turns
from gradcli.request import ModelFile, Request
from gradcli.running import derive_request

if TYPE_CHECKING:
    from gradcli.plan import AnyPlan

LETTERS = {"arena": "b", "constant": "k", "made": "m", "carry": "c"}
HOW = {"replace": "in place"}


def layout(file: ModelFile, request: Request) -> Layout:
    """What `grad` would run with the same options. Raises ModelError as it does before it runs."""
    machine = opening.machine_of(request)
    program, prepared = opening.prepare(file, request)
    derived = derive_request(prepared, request)
    graph = derived.graph if request.value else differentiate.gradients_only(prepared.graph, derived)
    plan = plan_of(graph, machine)
    return Layout(
        program.scope.source.name, prepared.net, program.scope.edition, request.order, machine.backend,
        threads_of(plan, machine), plan.input_bytes, laid(plan),
    )  # fmt: skip


def laid(plan: AnyPlan) -> Laid:
    """Of a plan, or of that of a body."""
    if isinstance(plan, FlatPlan):
        return _laid_flat(plan)
    names = value_names(plan.graph)
    buffers = _named(plan, names)
    steps = tuple(_step(step, plan, names, buffers) for step in plan.steps)
    uses = dict(use for step in plan.steps for use in _uses(step))
    told = [_buffer(storage, name, names, uses.get(n, "")) for n, (storage, name) in
            enumerate(zip(plan.storages, buffers, strict=True))]  # fmt: skip
    return Laid(steps, tuple(told), plan.arena, plan.peak)


def _uses(step: Step) -> Iterator[tuple[int, str]]:
    """Storages that hold no value of the plan, and what a step does with them."""
    if isinstance(step, Blocks):
        yield from ((n, f"sums of lane {lane}") for lane, own in enumerate(step.partial, 1) for n in own)
        yield from ((n, f"work of thread {thread}") for thread, n in enumerate(step.kits))
    elif isinstance(step, Turns):
        yield from ((n, "carry between turns") for n in step.spare if n is not None)
        yield from ((n, "last value, unread") for n in step.ends if n is not None)
        yield from ((n, "work of a turn") for n in (step.room,) if n is not None)


def _named(plan: Plan, names: dict[int, str]) -> list[str]:
    counts = dict.fromkeys(LETTERS, 0)
    found = []
    for storage in plan.storages:
        if storage.kind == "input":
            found.append(names[plan.graph.inputs[storage.place].id])
        elif storage.kind == "result":
            found.append(names[plan.graph.outputs[storage.place].id])
        else:
            found.append(f"{LETTERS[storage.kind]}{counts[storage.kind]}")
            counts[storage.kind] += 1
    return found


def _buffer(storage: Storage, name: str, names: dict[int, str], use: str) -> Buffer:
    holds = tuple(names[value.id] for value in storage.values)
    offset = storage.place if storage.kind == "arena" else None
    return Buffer(name, storage.kind, storage.nbytes, storage.first, storage.last, offset, holds, use)


def _step(step: Step, plan: Plan, names: dict[int, str], buffers: Sequence[str]) -> LaidStep:
    outs = [out for node in step.nodes for out in node.outs if out.id in plan.homes]
    if isinstance(step, Blocks):
        outs = [output.value for output in step.region.outputs]
    into = tuple(dict.fromkeys(buffers[plan.homes[out.id].storage] for out in outs))
    file, line = _place(step.nodes)
    if isinstance(step, Blocks):
        text = ", ".join(names[out.id] for out in outs)
        return LaidStep("blocks", text, into, None, file, line, _cut(step, names), bodies=(("block", laid(step.full)),))
    text = expression_text(step.node, names)
    left = ", ".join(names.get(out.id, "_") for out in step.node.outs)
    if isinstance(step, Turns):
        turns = step.node.params["turns"]
        return LaidStep("turns", left, into, None, file, line, turns=turns, bodies=(("turn", laid(step.body)),))
    over = None if step.into is None else names[step.node.inputs[step.into].id]
    bodies = tuple((name, laid(body)) for name, body in step.bodies)
    return LaidStep(HOW.get(step.how, step.how), f"{left} = {text}", into, over, file, line, bodies=bodies)


def _cut(step: Blocks, names: dict[int, str]) -> Cut:
    region = step.region
    sums = tuple(names[output.value.id] for output in region.outputs if output.axis is None)
    return Cut(region.rows, step.size, step.last, step.blocks, len(step.lanes), region.flat, sums)


def _place(nodes: Sequence[Node]) -> tuple[str, int]:
    """The first line of the model that asked for one of the nodes."""
    spans = [span for node in nodes if (span := span_of(node)) is not None]
    own = next((span for span in spans if not span.source.prelude), spans[0] if spans else None)
    return ("", 0) if own is None else (own.source.name, own.line)


def _laid_flat(plan: FlatPlan) -> Laid:
    """Every operator makes its result, but views, and what is written in place."""
    names = value_names(plan.graph)
    steps = []
    for step in plan.steps:
        node = step.node
        how = "in place" if step.into is not None else "copy" if step.copied else "view" if _looks(node) else "make"
        over = None if step.into is None else names[node.inputs[step.into].id]
        left = ", ".join(names.get(out.id, "_") for out in node.outs)
        bodies = tuple((name, laid(body)) for name, body in step.bodies)
        into = tuple(f"s{slot}" for slot in step.outs)
        text = f"{left} = {expression_text(node, names)}"
        steps.append(LaidStep(how, text, into, over, *_place((node,)), bodies=bodies))
    return Laid(tuple(steps), (), 0, plan.peak, flat=True)


def _looks(node: Node) -> bool:
    return bool(node.prim.view and node.inputs)

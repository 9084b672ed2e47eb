"""A region at work: block after block of rows, in lanes that several threads take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.backends.arrays import aligned_bytes, array_in, bytes_in, packed
from gradcli.backends.clocks import Clock, Clocks, inside
from gradcli.backends.crew import share
from gradcli.plan.plan import Blocks, Plan

if TYPE_CHECKING:
    from gradcli.backends.frame import Frame

Array = np.ndarray[Any, Any]
ADDERS = {"sum": np.add, "max": np.maximum, "min": np.minimum}

MakeFrame = Callable[..., "Frame"]  # of a plan, workers, its arena, and its clocks


class Kit:
    """What one thread works with: frames of a whole block and of the rest, and room for a block's sums."""

    def __init__(self, step: Blocks, frame: MakeFrame, room: Array, clock: Clock | None) -> None:
        clocks = inside(clock, step.full)
        self.full = frame(step.full, 1, room[: step.work], clocks)
        self.adders = adders(step, clocks)
        self.rest = self.full
        if step.rest is not None:
            self.rest = frame(step.rest, 1, room[: step.work], inside(clock, step.rest))
        self.sums = packed(room[step.work :], [value.aval for value in step.sums])


class Lanes:
    """`run(ins, outs)`: arrays of the region's inputs and outputs, the latter written to. What else it needs is in the
    arena of the plan that it is a step of; a thread that this plan knows nothing of brings its own kit."""

    def __init__(
        self, step: Blocks, plan: Plan, arena: Array, workers: int, frame: MakeFrame, clock: Clock | None = None
    ) -> None:
        region = step.region
        self.step = step
        self.clock = clock
        self.rooms = [bytes_in(arena, plan, storage) for storage in step.kits]
        self.partials = [
            [array_in(arena, plan.storages[n].place, value.aval) for n, value in zip(lane, step.sums, strict=True)]
            for lane in step.partial
        ]
        self.workers = workers
        self.frame = frame
        self.kits: dict[int, Kit] = {}
        axes = [region.axis_of.get(value.id) for value in region.inputs]
        self.tiled = [(k, _lead(axis)) for k, axis in enumerate(axes) if axis is not None]
        outs = [(k, output.axis) for k, output in enumerate(region.outputs)]
        self.written = [(k, _lead(axis)) for k, axis in outs if axis is not None]
        self.summed = [k for k, axis in outs if axis is None]
        self.adders = adders(step, inside(clock, step))

    def run(self, ins: Sequence[Array], outs: Sequence[Array]) -> None:
        given: list[Any] = [*ins]
        if self.step.region.flat:
            outs = [*outs]
            for k, _ in self.tiled:
                given[k] = ins[k].reshape(-1) if ins[k].flags.c_contiguous else InOrder(ins[k])
            for k, _ in self.written:
                outs[k] = outs[k].reshape(-1)
        share(lambda lane, worker: self.lane(lane, worker, given, outs), len(self.step.lanes), self.workers)
        for partial in self.partials:
            for add, k, part in zip(self.adders, self.summed, partial, strict=True):
                add(outs[k], part, out=outs[k])

    def lane(self, number: int, worker: int, ins: Sequence[Any], outs: Sequence[Array]) -> Iterator[None]:
        """The blocks of one lane; it stops after each."""
        kit = self.kits.get(worker)
        if kit is None:
            room = self.rooms[worker] if worker < len(self.rooms) else aligned_bytes(self.step.kit)
            kit = self.kits[worker] = Kit(self.step, self.frame, room, self.clock)
        size, rows = self.step.size, self.step.region.rows
        totals = [outs[k] for k in self.summed] if number == 0 else self.partials[number - 1]
        given, targets = list(ins), list(outs)
        for k, total in zip(self.summed, totals, strict=True):
            targets[k] = total
        first = True
        for start in self.step.lanes[number]:
            stop = min(start + size, rows)
            block = slice(start, stop)
            for k, lead in self.tiled:
                given[k] = ins[k][(*lead, block)]
            for k, lead in self.written:
                targets[k] = outs[k][(*lead, block)]
            (kit.full if stop - start == size else kit.rest).run(given, targets)
            if first:
                first = False
                for k, part in zip(self.summed, kit.sums, strict=True):
                    targets[k] = part
            else:
                for add, total, part in zip(kit.adders, totals, kit.sums, strict=True):
                    add(total, part, out=total)
            yield


def adders(step: Blocks, clocks: Clocks | None) -> list[Callable[..., Any]]:
    """What adds up each output that is a sum."""
    plain = [ADDERS[output.how] for output in step.region.outputs if output.axis is None]
    return [*plain] if clocks is None else [clocks.of(-1 - k).around(add) for k, add in enumerate(plain)]


class InOrder:
    """An array with gaps, or turned, as the run of its elements: `run[start:stop,]` is a copy of these, and no more."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __getitem__(self, place: tuple[slice]) -> Array:
        return _in_order(self.array, place[0].start, place[0].stop)


def _in_order(x: Array, start: int, stop: int) -> Array:
    if x.ndim < 2:
        return x[start:stop] if x.ndim else x.reshape(1)[start:stop]
    inner = x.size // len(x)
    first, last = start // inner, (stop - 1) // inner
    if first == last:
        return _in_order(x[first], start - first * inner, stop - first * inner)
    if inner <= stop - start:
        return x[first : last + 1].reshape(-1)[start - first * inner : stop - first * inner]
    border = last * inner
    return np.concatenate((_in_order(x, start, border), _in_order(x, border, stop)))


def _lead(axis: int) -> tuple[slice, ...]:
    """The dims before the axis that is cut, taken whole; a run of elements has none."""
    return (slice(None),) * max(axis, 0)

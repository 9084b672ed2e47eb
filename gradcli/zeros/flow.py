"""Where cotangents die: a tape is walked back, and every element of a cotangent that is zero knows why.

An operator takes the cotangent of its result to a cotangent of each operand, g = L(ct), and L is linear. For an element
of g that is zero, X"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcli.record import record
from gradcli.zeros.causes import Cause, Causes, place_of
from gradcli.zeros.local import MASKS, NOT_ZERO, Adjoints, connects, repeated
from gradcli.zeros.probes import ROUNDING, Probes
from gradcli.zeros.tape import Slice, Stack, Step, Tape

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@record(eq=False)
class State:
    """The cotangent of one value as far as it is known: the sum, the causes of zero terms, and, where there were terms
    that are not zero, of their cancelling. `size` is the sum of magnitudes."""

    ct: Array
    why: Array
    cancels: Array
    some: Array
    size: Array


class Flow:
    """The cotangents of a tape by the inputs at the positions `wrt`, from `seeds`: one for each of its outputs.

    `rounding`: a sum of terms is taken for zero where it is no more than their rounding.
    """

    def __init__(
        self, tape: Tape, wrt: Sequence[int], seeds: Sequence[Array], unseeded: Cause, rounding: bool = False
    ) -> None:
        import numpy as np

        self.causes = Causes()
        self.shares: dict[tuple[int, int], list[int]] = {}  # of a mask: how many elements it cuts off, of how many
        self._tape = tape
        self._rounding = rounding
        self._adjoints = Adjoints()
        self._states: dict[int, State] = {}
        self._touched = _touched(tape, [tape.inputs[k] for k in wrt])
        self._reached: dict[int, Array] = {}  # of values without a cotangent, the elements on which outputs depend
        self._random = np.random.default_rng(0)
        for number, seed in zip(tape.outputs, seeds, strict=True):
            why = np.where(seed == 0, self.causes.number([unseeded]), 0)
            self._add(number, seed, why, 0)
        for number in tape.gates & self._touched:
            self._reach(number, np.True_)
        with np.errstate(all="ignore"):
            for step in reversed(tape.steps):
                self._back(step)

    def found(self, position: int) -> tuple[Array, Array]:
        """The gradient by an input, and for each element that is zero the number of its causes."""
        import numpy as np

        number = self._tape.inputs[position]
        array = self._tape.values[number]
        return self._settled(number) or (np.zeros_like(array), np.zeros(array.shape, dtype=np.int64))

    # ── states ──

    def _add(self, number: int, ct: Array, why: Array, cancels: int, part: Any = ()) -> None:
        """One contribution to (part of) a value's cotangent; `cancels` is the set for terms that are not zero."""
        import numpy as np

        state = self._states.get(number)
        if state is None:
            state = self._states[number] = _blank(self._tape.values[number])
        live = ct != 0
        state.why[part] = self.causes.union(state.why[part], np.where(live, 0, why))
        state.cancels[part] = self.causes.union(state.cancels[part], np.where(live, cancels, 0))
        state.some[part] |= live
        state.size[part] += np.abs(ct)
        state.ct[part] += ct

    def _settled(self, number: int) -> tuple[Array, Array] | None:
        """The whole cotangent of a value and the causes of its zeros; None where nothing depends on it."""
        import numpy as np

        state = self._states.get(number)
        if state is None:
            return None
        if self._rounding:
            least = ROUNDING * np.finfo(state.ct.dtype).eps * state.size
            state.ct[np.abs(state.ct) <= least] = 0
        return state.ct, np.where(state.ct != 0, 0, np.where(state.some, state.cancels, state.why))

    # ── steps ──

    def _back(self, step: Step | Slice | Stack) -> None:
        match step:
            case Slice(source=source, turn=turn, out=out):
                if source in self._touched:
                    self._pass_on(step, out, source, of=..., to=turn)
            case Stack(turns=turns, out=out):
                for turn, number in turns.items():
                    if number in self._touched:
                        self._pass_on(step, out, number, of=turn, to=...)
            case Step():
                if any(number in self._touched for number in step.ins):
                    self._through(step)

    def _pass_on(self, step: Slice | Stack, out: int, number: int, *, of: Any, to: Any) -> None:
        """The cotangent of a result, or of one turn of it, is that of an operand."""
        if out in self._reached:
            self._reach(number, self._reached[out][of], to)
        settled = self._settled(out)
        if settled is not None:
            cancels = self.causes.at("cancels", step.node)
            self._add(number, settled[0][of], settled[1][of], cancels, to)

    def _reach(self, number: int, mask: Any, part: Any = ()) -> None:
        """The outputs depend on (part of) a value where the mask holds."""
        import numpy as np

        if number not in self._reached:
            self._reached[number] = np.zeros(self._tape.values[number].shape, dtype=bool)
        self._reached[number][part] |= mask

    def _through(self, step: Step) -> None:
        import numpy as np

        settled = [self._settled(number) for number in step.outs]
        nowhere = [np.zeros(self._tape.values[number].shape, dtype=bool) for number in step.outs]
        masks = [
            self._reached.get(number, none) if found is None else (found[0] != 0) | (found[1] != 0)
            for number, found, none in zip(step.outs, settled, nowhere, strict=True)
        ]
        if not any(mask.any() for mask in masks):
            return
        if step.node.prim.flat or step.node.prim.stops or not any(settled):
            self._flat(step, masks)
        else:
            self._smooth(step, settled)
        values = self._tape.values
        ins = [values[number] for number in step.ins]
        for k, number in enumerate(step.ins):
            if number in self._touched and values[number].dtype.kind != "f":
                self._reach(number, self._adjoints.spread(step.node, k, ins, masks))
        for number in step.outs:
            self._states.pop(number, None)

    def _moving(self, step: Step) -> list[int]:
        """The operands that matter: floats that a target reaches."""
        values = self._tape.values
        return [k for k, n in enumerate(step.ins) if n in self._touched and values[n].dtype.kind == "f"]

    def _flat(self, step: Step, masks: Sequence[Array]) -> None:
        """Nothing flows to the elements on which the outputs depend."""
        import numpy as np

        number = self.causes.at("stopped" if step.node.prim.stops else "flat", step.node)
        ins = [self._tape.values[each] for each in step.ins]
        for k in self._moving(step):
            reached = self._adjoints.spread(step.node, k, ins, masks)
            self._add(step.ins[k], np.zeros_like(ins[k]), np.where(reached, number, 0), 0)

    def _smooth(self, step: Step, settled: Sequence[tuple[Array, Array] | None]) -> None:
        cancels = self.causes.at("cancels", step.node)
        elementwise = step.node.prim.kind == "elementwise"
        found = self._pointwise(step, settled[0]) if elementwise else self._by_probes(step, settled)
        for k, ct, why in found:
            self._add(step.ins[k], ct, why, cancels)

    # ── elementwise operators ──

    def _pointwise(self, step: Step, settled: tuple[Array, Array] | None) -> list[tuple[int, Array, Array]]:
        """Each element on its own, at the shape of the result; then broadcasting is undone."""
        import numpy as np

        assert settled is not None
        ct, above = settled
        values = self._tape.values
        ins = [np.broadcast_to(values[number], ct.shape) for number in step.ins]
        fixed = [self._tape.constants.get(number) for number in step.ins]
        pull = self._adjoints.pull(step.node, ins, [values[step.outs[0]]], fixed)
        dead = not ct.any()
        flows = [] if dead else pull([ct])
        made = []
        for k in self._moving(step):
            flow = np.zeros(ct.shape, dtype=values[step.ins[k]].dtype) if dead else flows[k]
            if flow is None:
                continue
            why = np.where(ct == 0, above, 0)
            killed, masks = (flow == 0) & (ct != 0), step.node.prim.name in MASKS and bool(step.node.spans)
            if (masks or killed.any()) and (partial := pull([np.ones_like(ct)])[k]) is not None:
                if masks:
                    why = np.where(partial == 0, self.causes.hardened(why, self.causes.at("masked", step.node, k)), why)
                why = np.where(killed, self._killed(step, k, ins, partial), why)
                if masks:
                    self._share(step, k, why, partial == 0)
            made.append((k, *self._folded(step, flow, why, values[step.ins[k]].shape)))
        return made

    def _killed(self, step: Step, k: int, ins: Sequence[Array], partial: Array) -> Array:
        """Why a cotangent that is not zero gives a term that is."""
        import numpy as np

        node = step.node
        lost = self.causes.at("underflow", node)
        if node.prim.name in MASKS:
            # A mask of no line is that of a batch: of the turns of a loop that a row does not take.
            return np.where(partial != 0, lost, self.causes.at("masked", node, k) if node.spans else 0)
        not_zero = NOT_ZERO.get(node.prim.name)
        by_zero = self.causes.at("multiplied by zero", node, soft=self._soft(step, k))
        on_paper = partial != 0 if not_zero is None else (partial != 0) | not_zero(k, ins)
        return np.where(on_paper, lost, by_zero)

    def _soft(self, step: Step, k: int) -> bool:
        """Whether the factor of operand k changes with a target: in a product that is the other operand."""
        others = [number for j, number in enumerate(step.ins) if j != k]
        return step.node.prim.name not in ("mul", "matmul") or not self._touched.isdisjoint(others)

    def _folded(self, step: Step, flow: Array, why: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """A contribution summed to the shape of the operand."""
        import numpy as np

        if flow.shape == shape:
            return flow, why
        axes = repeated(flow.shape, shape)
        ct = np.asarray(np.sum(flow, axis=axes, dtype=flow.dtype)).reshape(shape)
        some = (flow != 0).any(axis=axes).reshape(shape)
        if self._rounding:
            least = ROUNDING * np.finfo(flow.dtype).eps * np.sum(np.abs(flow), axis=axes).reshape(shape)
            ct = np.where(np.abs(ct) <= least, flow.dtype.type(0), ct)
        cancels = self.causes.at("cancels", step.node)
        return ct, np.where(ct != 0, 0, np.where(some, cancels, self.causes.over(why, axes).reshape(shape)))

    # ── all other operators ──

    def _by_probes(self, step: Step, settled: Sequence[tuple[Array, Array] | None]) -> list[tuple[int, Array, Array]]:
        values = self._tape.values
        ins, outs = [values[number] for number in step.ins], [values[number] for number in step.outs]
        fixed = [self._tape.constants.get(number) for number in step.ins]
        pull = self._adjoints.pull(step.node, ins, outs, fixed)
        reach = self._adjoints.reach(step.node, ins, outs, fixed) if connects(step.node) else None
        soft = [self._soft(step, k) for k in range(len(step.ins))]
        probes = Probes(self.causes, self._random, step, settled, pull, reach, soft, self._rounding)
        made = []
        for k in self._moving(step):
            if (found := probes.of(k)) is not None:
                if step.node.prim.name in MASKS:
                    self._share(step, k, found[1], probes.cut_off(k))
                made.append((k, *found))
        return made

    def _share(self, step: Step, k: int, why: Array, cut: Array) -> None:
        """Count what a mask cuts off, or what one of the same line has cut off already."""
        place = place_of(step.node)
        counts = self.shares.setdefault((id(step.node), k), [0, 0])
        counts[0] += int((cut | self.causes.masked_at(why, place)).sum())
        counts[1] += cut.size


def _blank(value: Array) -> State:
    import numpy as np

    none, nowhere = np.zeros_like(value, dtype="int64"), np.zeros_like(value, dtype=bool)
    return State(np.zeros_like(value), none, none.copy(), nowhere, np.zeros_like(value, dtype="float64"))


def _touched(tape: Tape, targets: Sequence[int]) -> set[int]:
    """The values that depend on a target, in any way."""
    touched = set(targets)
    for step in tape.steps:
        match step:
            case Slice(source=source, out=out):
                if source in touched:
                    touched.add(out)
            case Stack(turns=turns, out=out):
                if not touched.isdisjoint(turns.values()):
                    touched.add(out)
            case Step(ins=ins, outs=outs):
                if not touched.isdisjoint(ins):
                    touched.update(outs)
    return touched

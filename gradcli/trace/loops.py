"""A loop of a traced run: its turns run as a plan runs them, and only those that differ are looked into.

Where a number stops being finite, NumPy raises a floating-point flag (overflow, division by zero, invalid), which costs
nothing while none is raised. So a turn is *plain*, and its body one straight function, until a flag is raised or
something that is not finite is handed to it. From there on each turn is compared:

- no flag, and all that was handed in bad is of the same births: so is what it hands on;
- the same elements in and out, of births that are known, and as many flags: it does what the turn looked into did;
- otherwise it is run once more, node by node. So is every turn that hands on what is bad where nothing bad came in.

Turns that differ from each other without end are looked into now and then; between, what is bad is of the births that
were handed in. A birth without a flag (inside LAPACK) that reaches a result is found by a second run, which looks into
all turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcli.ir.dims import definite
from gradcli.ir.graph import Node
from gradcli.trace.places import Around

if TYPE_CHECKING:
    from gradcli.trace.recording import Recording
    from gradcli.trace.tracer import Roots, Tracer

    Array = np.ndarray[Any, Any]

NONE: frozenset[int] = frozenset()  # births
AT_ONCE = 32  # turns that are looked into however many there are
SHARE = 16  # and one of so many


class Turns:
    """The body of a loop, as its `eval` calls it turn by turn. `roots` are those of its results, once it has run."""

    def __init__(
        self,
        tracer: Tracer,
        around: Around,
        node: Node,
        operands: Sequence[Array],
        given: Sequence[Roots],
        *,
        every: bool,
    ) -> None:
        params = node.params
        body, skip = params["body"], int(params["counted"])
        self.inputs, self.outputs = body.inputs, body.outputs
        self.tracer, self.around, self.node = tracer, around, node
        self._every = every  # whether each turn is run node by node, or that one only
        self._record = None if every else tracer.recording(Around(body, node, 0, around))  # what a probe is told of
        self._followed = tracer.probe is not None and tracer.probe.follows(Around(body, node, 0, around))
        self._only = None if tracer.only is None else tracer.only.get(node, -1)
        self._body, self._run = body, tracer.body(body).run
        consts, first = params["consts"], params["consts"] + params["carry"]
        self._carry, self._first = range(1 + consts, 1 + first), 1 + first
        self._of_consts = list(given[skip : skip + consts])
        self._of_state = list(given[skip + consts : skip + first])
        self._of_slices = list(given[skip + first :])
        self._of_kept = [NONE] * len(body.outputs)
        self._turn = self._looked = 0
        turns = range(int(operands[0]) if params["counted"] else definite(params["turns"]))
        self._handed = 0 if any(given[skip : skip + first]) else _first_handed(
            operands[skip + first :], self._of_slices, turns[::-1] if params["reverse"] else turns
        )  # fmt: skip
        self._last: Any = None  # what the turn before was like
        self._steady = False  # whether it handed on the births that were handed to it
        self._key: Any = None  # of the turn that was looked into last
        self._found: list[Roots] = []
        self._known: Roots = NONE  # the births that it was handed and handed on

    def __call__(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """One turn."""
        self._turn += 1
        if self.tracer.on_step is not None and self.around.outer is None:
            self.tracer.on_step("a turn")
        if self._only is not None and int(arrays[0]) != self._only:
            return self._run(arrays)
        if self._every:
            return self._watched(arrays)
        if self._record is not None and self._record.full:
            self._tell(self._record)
        before = self.tracer.flags
        made = self._run(arrays) if self._record is None else self._record.turn(arrays)
        flags = self.tracer.flags - before
        if flags or self._turn > self._handed or any(self._of_state):
            self._follow(arrays, made, flags)
        return made

    @property
    def roots(self) -> list[Roots]:
        """Of each result of the loop: the carry, the histories, what was stacked, and the turns taken."""
        return [*self._of_state, *self._of_kept, *([NONE] if self.node.params["cond"] is not None else [])]

    # ── one turn ────────────────────────────────────────────────────────────────────────────────────────────

    def _watched(self, arrays: Sequence[Array]) -> Sequence[Array]:
        slices = [found if found and 0 in _finite(x) else NONE
                  for found, x in zip(self._of_slices, arrays[self._first :], strict=True)]  # fmt: skip
        inside, made, found = self._look(arrays, [*self._of_state, *slices])
        self._tell_carried(inside, [array[None] for array in made[: len(self._carry)]], [int(arrays[0])])
        self._hand_on(found)
        return made

    def finish(self) -> None:
        """After the last turn; what is kept of a loop inside of a loop waits for more of its turns."""
        if self._record is not None and (self.around.outer is None or self._followed):
            self._tell(self._record)

    def _tell(self, record: Recording) -> None:
        if record.turns:
            after = [record.stack(value) for value in self.outputs[: len(self._carry)]]
            self._tell_carried(Around(self._body, self.node, 0, self.around), after, record.turns)
        self.tracer.tell(record)

    def _tell_carried(self, inside: Around, after: Sequence[Array], turns: Sequence[int]) -> None:
        if self.tracer.probe is not None and self._followed:
            self.tracer.probe.carries(inside, self.inputs[self._carry.start : self._first], after, turns)

    def _follow(self, arrays: Sequence[Array], made: Sequence[Array], flags: int) -> None:
        """Which births what this turn hands on is of."""
        n = len(self._carry)
        before = self._last
        state = before[3][:n] if before is not None and before[0] == self._turn - 1 else [
            _finite(x) for x in arrays[self._carry.start : self._first]
        ]  # fmt: skip
        slices = [_finite(x) if found else b""
                  for found, x in zip(self._of_slices, arrays[self._first :], strict=True)]  # fmt: skip
        after = [_finite(x) for x in made]
        self._last = now = (self._turn, flags, slices, after)
        if self._steady and before[1:] == now[1:] and before[0] == self._turn - 1:
            return
        seen = [*state, *slices]
        given = [found if found and 0 in bad else NONE
                 for found, bad in zip([*self._of_state, *self._of_slices], seen, strict=True)]  # fmt: skip
        found = self._roots_of(arrays, given, (seen, after, flags), [0 in bad for bad in after], flags)
        self._steady = found[:n] == self._of_state and state == after[:n]
        self._hand_on(found)

    def _roots_of(
        self, arrays: Sequence[Array], given: Sequence[Roots], key: Any, bad: Sequence[bool], flags: int
    ) -> list[Roots]:
        """The births of what a turn hands on."""
        came = {found for found in (*self._of_consts, *given) if found}
        if not flags and len(came) == 1:
            (only,) = came
            return [only if wrong else NONE for wrong in bad]
        if not flags and not came and not any(bad):
            return [NONE] * len(bad)
        if key == self._key and all(found <= self._known for found in came):
            return self._found
        if (any(bad) and not came) or self._looked < AT_ONCE + self._turn // SHARE:
            self._looked += 1
            _, _, self._found = self._look(arrays, given)
            self._key, self._known = key, frozenset().union(*came, *self._found)
            return self._found
        known: Roots = frozenset().union(*came) or frozenset().union(*self._found)
        return [known if wrong else NONE for wrong in bad]

    def _look(self, arrays: Sequence[Array], given: Sequence[Roots]) -> tuple[Around, list[Array], list[Roots]]:
        """The turn, node by node."""
        inside = Around(self._body, self.node, int(arrays[0]), self.around)
        made, bad = self.tracer.nodes(inside, arrays, [NONE, *self._of_consts, *given])
        return inside, made, [bad[value.id].roots if value.id in bad else NONE for value in self.outputs]

    def _hand_on(self, found: Sequence[Roots]) -> None:
        n = len(self._carry)
        for k, roots in enumerate((*self._of_state, *found[n:])):
            if roots:
                self._of_kept[k] |= roots
        self._of_state = list(found[:n])


def _first_handed(slices: Sequence[Array], roots: Sequence[Roots], turns: range) -> int:
    """How many turns go by before one is handed a slice that is not finite."""
    bad = np.zeros(len(turns), bool)
    for array, found in zip(slices, roots, strict=True):
        if found:
            fine = np.isfinite(array).reshape(len(array), -1).all(axis=1)
            bad |= ~np.asarray(fine)[list(turns)]
    return int(np.argmax(bad)) if bad.any() else len(turns)


def _finite(array: Array) -> bytes:
    """Whether each element is finite; nothing of what always is."""
    return np.isfinite(array).tobytes() if array.dtype.kind == "f" else b""

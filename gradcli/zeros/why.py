"""Why derivatives are zero: from the structure of the graph where it tells, else from the numbers.

The numbers are looked at only when somebody asks about a derivative that is zero, and once for all that are: the graph
that was differentiated is run once more, operator by operator, and cotangents are followed back through it
(`flow`). What is not explained that way is `numeric`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from gradcli.differentiate import Question
from gradcli.engine import Machine, run_graph
from gradcli.ir.graph import Graph
from gradcli.record import replace
from gradcli.zeros.causes import NUMERIC, Cause

if TYPE_CHECKING:
    import numpy as np

    from gradcli.zeros.flow import Flow
    from gradcli.zeros.tape import Tape

    Array = np.ndarray[Any, Any]

Zero = dict[str, Any]

# As reports name them; of two that hold for as many elements the first is named first.
REASONS = ("masked", "multiplied by zero", "underflow", "cancels", "sens is zero", "direction is zero", "flat",
           "stopped", "no path", "numeric")  # fmt: skip
STRUCTURAL = ("flat", "stopped", "no path")


class Explainer:
    """Answers questions about the zero derivatives of one run, whose inputs and sensitivities it is given.

    `whole` is a graph of the inputs that gives one more, behind them. `vectors` are more weights than `sens`, which are
    inputs of no graph, and `directions` what derivatives are taken along, by the positions of inputs. Questions are
    registered when they come up, so that what is found serves all about the same graph.
    """

    def __init__(
        self,
        machine: Machine,
        inputs: Sequence[Array],
        sens: Mapping[str, Array],
        *,
        vectors: Mapping[str, Array] | None = None,
        whole: Graph | None = None,
        directions: Mapping[int, Array] | None = None,
    ) -> None:
        self._machine, self._inputs, self._sens, self._whole = machine, inputs, sens, whole
        self._vectors = frozenset(vectors or ())
        self._weights = {**sens, **(vectors or {})}
        self._directions = directions or {}
        self._asked: list[Question] = []
        self._flows: dict[Any, Flow | None] = {}

    def zero_of(self, question: Question, otherwise: str | None = None) -> Callable[[], Zero]:
        """Why a derivative that is all zero is so, when asked. `otherwise` is what is known without a run."""
        self._asked.append(question)
        given = {"reason": otherwise, "at": []} if otherwise else None
        return cache(lambda: question.structure() or given or self._merged(question))

    def zeros_of(self, question: Question, array: Array) -> Callable[[], list[Zero]]:
        """Of each reason, which elements are zero by it, when asked."""
        self._asked.append(question)
        return cache(lambda: self._by_element(question, array))

    def _merged(self, question: Question) -> Zero:
        """One reason for all elements: the one of most, with the others under `also`."""
        found = self._found(question)
        if found is None:
            return UNEXPLAINED
        flow, numbers = found
        counts: Counter[Cause] = Counter()
        for number, count in Counter(numbers.tolist()).items():
            counts.update(dict.fromkeys(_telling(flow.causes.sets[number]), count))
        return _joined(flow, counts)

    def _by_element(self, question: Question, array: Array) -> list[Zero]:
        import numpy as np

        zero = array == 0
        if not zero.any():
            return []
        found = self._found(question, zero)
        places = np.argwhere(zero)
        if found is None:
            return [(question.structure() or UNEXPLAINED) | {"indices": places.tolist()}]
        flow, numbers = found
        groups: dict[str, tuple[Zero, list[Any]]] = {}
        for number in dict.fromkeys(numbers.tolist()):
            reason = _joined(flow, Counter(_telling(flow.causes.sets[number])))
            groups.setdefault(str(reason), (reason, []))[1].extend(places[numbers == number].tolist())
        return [reason | {"indices": sorted(indices)} for reason, indices in groups.values()]

    def _found(self, question: Question, zero: Array | None = None) -> tuple[Flow, Array] | None:
        """For each element that is zero, the number of its causes; None where the numbers cannot tell.

        What the run of before rounded to zero need not be zero here, where sums are taken in another order: then
        rounding is allowed for.
        """
        import numpy as np

        flow = self._flow(question, False)
        if flow is None:
            return None
        ct, why = self._at(flow, question, zero)
        if (ct != 0).any() and (allowing := self._flow(question, True)) is not None:
            flow = allowing
            ct, why = self._at(flow, question, zero)
        otherwise = [NUMERIC]
        if self._directions and (ct != 0).any():  # terms of several inputs, which add up along the direction only
            otherwise = [Cause("cancels", place) for place in self._meeting(question)]
            if not otherwise:
                return None
        return flow, np.where(ct == 0, why, flow.causes.number(otherwise))

    def _meeting(self, question: Question) -> list[str]:
        """Where the terms of several inputs cancel along the direction."""
        from gradcli.zeros.meeting import meeting

        if not set(question.moved) <= set(self._directions):
            return []
        graph, arrays = self._asked_of(question)
        return meeting(graph, arrays, {position: self._directions[position] for position in question.moved})

    def _at(self, flow: Flow, question: Question, zero: Array | None) -> tuple[Array, Array]:
        """The cotangents of what moves and the causes of their zeros, one after the other: of the elements that are
        zero, or that a direction moves."""
        import numpy as np

        cts, whys = [], []
        for position in question.moved:
            ct, why = flow.found(position)
            chosen = zero if zero is not None else self._directions.get(position, np.True_) != 0
            chosen = np.broadcast_to(chosen, ct.shape)
            cts.append(ct[chosen])
            whys.append(why[chosen])
        return np.concatenate(cts), np.concatenate(whys)

    def _flow(self, question: Question, rounding: bool) -> Flow | None:
        """The cotangents of all questions about the same outputs of the same graph."""
        if not question.numbers():
            return None
        from gradcli.zeros.flow import Flow

        about = (id(question.graph()), question.which, question.weighted)
        same = [q for q in self._asked if q.numbers() and (id(q.graph()), q.which, q.weighted) == about]
        moved = tuple(dict.fromkeys(position for q in same for position in q.moved))
        key = (*about, moved, rounding)
        if key not in self._flows:
            tape = self._tape(question)
            self._flows[key] = None if tape is None else Flow(tape, moved, *self._seeds(tape, question), rounding)
        return self._flows[key]

    def _tape(self, question: Question) -> Tape | None:
        """The run of what was differentiated; None where it cannot be kept, or refuses its data."""
        from gradcli.ir.primitive import DataError
        from gradcli.plan import available_memory
        from gradcli.zeros.tape import Tape, TooLong

        graph, arrays = self._asked_of(question)
        limit = self._machine.memory if self._machine.memory is not None else available_memory()
        try:
            return Tape(graph, arrays, limit)
        except (TooLong, DataError):
            return None

    def _asked_of(self, question: Question) -> tuple[Graph, list[Array]]:
        """The graph that was differentiated, and what feeds it."""
        whole = question.graph()
        graph = replace(whole, outputs=tuple(whole.outputs[k] for k in question.which))
        point = [] if self._whole is None else run_graph(self._whole, self._inputs, self._machine)
        return graph, [*self._inputs, *point, *self._sens.values()][: len(graph.inputs)]

    def _seeds(self, tape: Tape, question: Question) -> tuple[list[Array], Cause]:
        """What the outputs are weighted by, and what a weight of zero is called."""
        import numpy as np

        outs, weighted = [tape.values[number] for number in tape.outputs], question.weighted
        if weighted is None:
            seeds = [np.ones_like(out) for out in outs]
        elif weighted == "any":
            random = np.random.default_rng(1)
            seeds = [np.asarray(random.random(out.shape) + 1).astype(out.dtype) for out in outs]
        else:
            seeds = [np.asarray(self._weights[name]) for name in weighted]
        along = weighted is not None and not self._vectors.isdisjoint(weighted)
        return seeds, Cause("direction is zero" if along else "sens is zero")


UNEXPLAINED: Zero = {"reason": "numeric", "at": []}


def _telling(causes: frozenset[Cause]) -> list[Cause]:
    """Of one element: what ends paths that are differentiable tells more than what ends others."""
    found = [cause for cause in causes if cause.reason not in STRUCTURAL]
    return found or list(causes) or [Cause("no path")]


def _joined(flow: Flow, counts: Counter[Cause]) -> Zero:
    """The reason of most elements, with the others under `also`."""
    by_reason: dict[str, list[Cause]] = {}
    for cause in counts:
        by_reason.setdefault(cause.reason, []).append(cause)
    if len(by_reason) > 1:
        by_reason.pop("no path", None)
    most = {reason: sum(counts[cause] for cause in causes) for reason, causes in by_reason.items()}
    order = sorted(by_reason, key=lambda reason: (-most[reason], REASONS.index(reason)))
    first, *rest = (_described(flow, reason, by_reason[reason]) for reason in order)
    return first | {"also": rest} if rest else first


def _described(flow: Flow, reason: str, causes: Sequence[Cause]) -> Zero:
    places = sorted({cause.place for cause in causes if cause.place}, key=_line)
    found: Zero = {"reason": reason, "at": places}
    if reason == "masked":
        found["inactive"] = [max(_share(flow, c) for c in causes if c.place == place) for place in places]
    return found


def _share(flow: Flow, cause: Cause) -> float:
    """The share of elements that a mask cuts off."""
    cut, count = flow.shares[cause.mask] if cause.mask is not None else (0, 0)
    return round(cut / count, 4) if count else 0.0


def _line(place: str) -> tuple[str, int]:
    name, _, line = place.rpartition(":")
    return name, int(line)

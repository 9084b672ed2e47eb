"""A run of a graph that keeps everything: each operator that ran, in order, with what it read and what it gave.

Loops and checkpoints are entered: what is on the tape are the operators of their bodies, once for each turn. So the
tape can be walked back operator by operator, each with its own line of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcli.ad.scan_rules import Loop
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node
from gradcli.ir.live import without_dead
from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LONGEST = 100_000  # operators


class TooLong(Exception):
    """The run has more operators, or takes more memory, than a tape may have."""


@record(eq=False)
class Step:
    """`outs = node(ins)`, as numbers of values."""

    node: Node
    ins: tuple[int, ...]
    outs: tuple[int, ...]


@record(eq=False)
class Slice:
    """`out` is what turn `turn` of a loop, `node`, reads of `source`."""

    node: Node
    source: int
    turn: int
    out: int


@record(eq=False)
class Stack:
    """`out[turn]` is value `turns[turn]`; zeros for turns that were not taken."""

    node: Node
    turns: dict[int, int]
    out: int


class Tape:
    """`values` by number, and the `steps` that made them.

    `gates` are the values that told a loop when to stop. Raises TooLong, and DataError as operators do.
    """

    def __init__(self, graph: Graph, arrays: Sequence[Array], limit: int | None) -> None:
        import numpy as np

        self.values: list[Array] = []
        self.steps: list[Step | Slice | Stack] = []
        self.constants: dict[int, Node] = {}
        self.gates: set[int] = set()
        self._room = limit
        self._read: dict[int, frozenset[int]] = {}
        pairs = zip(arrays, graph.inputs, strict=True)
        self.inputs = [self._value(np.asarray(array, dtype=NUMPY_NAMES[v.dtype])) for array, v in pairs]
        with np.errstate(all="ignore"):
            self.outputs = self._run(without_dead(graph), self.inputs)

    def _value(self, array: Array) -> int:
        self.values.append(array)
        if self._room is not None and array.base is None:
            self._room -= array.nbytes
            if self._room < 0:
                raise TooLong
        return len(self.values) - 1

    def _put(self, step: Step | Slice | Stack) -> None:
        self.steps.append(step)
        if len(self.steps) > LONGEST:
            raise TooLong

    def _run(self, graph: Graph, ins: Sequence[int]) -> list[int]:
        env = {value.id: number for value, number in zip(graph.inputs, ins, strict=True)}
        for node in graph.nodes:
            given = [env[value.id] for value in node.inputs]
            match node.prim.name:
                case "checkpoint":
                    made: Sequence[int | None] = self._run(node.params["body"], given)
                case "scan":
                    read = self._read_of(graph)
                    made = self._loop(node, given, [out.id in read for out in node.outs])
                case _:
                    made = self._step(node, given)
            env.update((out.id, number) for out, number in zip(node.outs, made, strict=True) if number is not None)
        return [env[value.id] for value in graph.outputs]

    def _step(self, node: Node, ins: Sequence[int]) -> tuple[int, ...]:
        import numpy as np

        made = node.prim.eval(np, *[self.values[number] for number in ins], **node.params)
        arrays = made if isinstance(made, tuple) else (made,)
        pairs = zip(arrays, node.outs, strict=True)
        outs = tuple([self._value(np.asarray(array, dtype=NUMPY_NAMES[out.dtype])) for array, out in pairs])
        if node.prim.name == "constant":
            self.constants[outs[0]] = node
        else:
            self._put(Step(node, tuple(ins), outs))
        return outs

    def _read_of(self, graph: Graph) -> frozenset[int]:
        """What anybody reads, so that histories nobody reads are not kept."""
        if id(graph) not in self._read:
            read = [value.id for node in graph.nodes for value in node.inputs]
            self._read[id(graph)] = frozenset([*read, *(value.id for value in graph.outputs)])
        return self._read[id(graph)]

    def _loop(self, node: Node, ins: Sequence[int], wanted: Sequence[bool]) -> list[int | None]:
        """The results of a `scan`; None for those that are not `wanted`."""
        import numpy as np

        loop = Loop(**node.params)
        count, consts, state, slices = loop.operands(ins)
        if count is not None:
            self.gates.add(count)
        turns = definite(loop.turns)
        bound = turns if count is None else int(self.values[count])
        before: dict[int, list[int]] = {}
        given: dict[int, list[int]] = {}
        for turn in range(bound - 1, -1, -1) if loop.reverse else range(bound):
            i = self._value(np.asarray(turn, dtype="int64"))
            if loop.cond is not None and not self._goes_on(loop.cond, [i, *consts, *state]):
                break
            made = self._run(loop.body, [i, *consts, *state, *(self._slice(node, array, turn) for array in slices)])
            before[turn], given[turn] = list(state), made[loop.carry :]
            state = made[: loop.carry]
        first = len(loop.body.inputs) - len(slices) - loop.carry
        carried = [value.aval for value in loop.body.inputs[first : first + loop.carry]]
        stacked = [value.aval for value in loop.body.outputs[loop.carry :]]
        parts = [(before, k, aval) for k, aval in enumerate(carried)]
        parts += [(given, k, aval) for k, aval in enumerate(stacked)]
        kept = [
            self._stack(node, {turn: row[k] for turn, row in by.items()}, aval, turns) if want else None
            for (by, k, aval), want in zip(parts, wanted[loop.carry :], strict=False)
        ]
        taken = [self._value(np.asarray(len(before), dtype="int64"))] if loop.cond is not None else []
        return [*state, *kept, *taken]

    def _goes_on(self, cond: Graph, ins: Sequence[int]) -> bool:
        (gate,) = self._run(cond, ins)
        self.gates.add(gate)
        return bool(self.values[gate])

    def _slice(self, node: Node, source: int, turn: int) -> int:
        out = self._value(self.values[source][turn, ...])
        self._put(Slice(node, source, turn, out))
        return out

    def _stack(self, node: Node, turns: dict[int, int], aval: Aval, size: int) -> int:
        import numpy as np

        whole = np.zeros((size, *map(definite, aval.shape)), dtype=NUMPY_NAMES[aval.dtype])
        for turn, number in turns.items():
            whole[turn] = self.values[number]
        out = self._value(whole)
        self._put(Stack(node, turns, out))
        return out

"""The plan of a program: its steps, and where each value lives. A plain value that can be printed, and run many times.

    arena   one stretch of memory, in which temporaries take turns; made once, kept between runs
    results arrays that each run makes anew, or is given: they are the caller's own
    views   look at the memory of another value; those of the arena are made once

A step writes into memory that the plan chose, so that a second run allocates nothing but its results. A *region* is a
step of many nodes, which runs for one block of rows after the other (`Blocks`); its blocks are the plan's, so that
results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gradcli.ir.dims import definite
from gradcli.ir.graph import Graph, Node, Value
from gradcli.plan.arena import aligned
from gradcli.record import field, record

if TYPE_CHECKING:
    from gradcli.plan.flat import FlatPlan
    from gradcli.plan.rows import Region

Kind = Literal["input", "carry", "constant", "arena", "result", "made"]


@record(eq=False)
class Storage:
    """Memory that values live in, one after the other or as views: `nbytes`, from step `first` to step `last`.

    `place` is the number of the input or result, or the offset in the arena. A `carry` is an input that may be
    written to. What is `made` is allocated by its own operator, and freed when it dies.
    """

    kind: Kind
    nbytes: int
    first: int
    last: int
    place: int
    values: tuple[Value, ...] = ()


@record
class Home:
    """Where a value lives. What is `fixed` is one array for all runs (of the arena, or a constant); the others are met
    anew in each run. `packed` is in C order without gaps, as far as the plan knows."""

    storage: int
    fixed: bool
    packed: bool


@record(eq=False)
class Call:
    """One node. `write` puts the result into the memory of `home`, `replace` into that of operand `into`, `view` looks
    at the first operand, `copy` writes out what a view would show, `make` takes what the operator allocates."""

    node: Node
    how: Literal["write", "replace", "view", "copy", "make"]
    into: int | None = None
    scratch: tuple[int, ...] = ()  # storages
    bodies: tuple[tuple[str, FlatPlan], ...] = ()  # of the graphs that the node holds, by the names of their params
    wanted: tuple[bool, ...] = ()  # of a lazy node: the results that somebody reads

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,)


@record(eq=False)
class Blocks:
    """A region, for `size` rows at a time: `full` is the plan of such a block, `rest` that of the rows that are left.

    Blocks are dealt out to `lanes`, each a run of neighbours in order; a lane adds up sums of its own (`partial`: for
    each lane but the first, and each output that is a sum), and the lanes are added up in order.
    """

    region: Region
    size: int
    lanes: tuple[tuple[int, ...], ...]  # of each lane the first rows of its blocks
    full: Plan
    rest: Plan | None
    partial: tuple[tuple[int, ...], ...]  # storages
    kits: tuple[int, ...] = ()  # storages: what each of the threads works in

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.region.nodes

    @property
    def sums(self) -> list[Value]:
        return [output.value for output in self.region.outputs if output.axis is None]

    @property
    def work(self) -> int:
        """Bytes in which one block at a time is computed: the first of a kit."""
        return max(self.full.arena, 0 if self.rest is None else self.rest.arena)

    @property
    def kit(self) -> int:
        """Bytes of a kit, where the sums of a block stand behind what it is computed in."""
        return self.work + sum(aligned(definite(value.aval.nbytes)) for value in self.sums)

    @property
    def blocks(self) -> int:
        return sum(map(len, self.lanes))

    @property
    def last(self) -> int:
        """Rows of the last block."""
        return self.region.rows - (self.blocks - 1) * self.size


@record(eq=False)
class Turns:
    """A loop of a known number of turns. Each turn writes its results where they stay: into rows of histories and
    stacked results, and for a carry without history into its last value and a `spare` array, which take turns; a carry
    without either `stays` in one array, where a turn changes it.

    `ends` are for last values that nobody reads, `room` is the arena of the body, if it has one.
    """

    node: Node
    body: Plan
    wanted: tuple[bool, ...]  # the results that somebody reads
    stays: tuple[bool, ...]  # for each carry
    spare: tuple[int | None, ...]  # storages
    ends: tuple[int | None, ...]
    room: int | None  # storage

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,)


Step = Call | Blocks | Turns


@record(eq=False)
class Plan:
    """What the NumPy engine runs. A result that is not in a storage of its own is copied at the end."""

    graph: Graph
    steps: tuple[Step, ...]
    storages: tuple[Storage, ...]
    homes: dict[int, Home]  # by the id of a value
    copied: tuple[int, ...]  # numbers of the outputs that are copied
    dead: tuple[tuple[Value, ...], ...]  # after each step, values outside of the arena that nobody reads any more
    arena: int  # bytes
    made: int  # bytes that operators allocate by themselves, at most at a time
    peak: int  # bytes of all that a run holds, beside the inputs
    input_bytes: int
    largest: Value | None  # the value that takes most
    largest_bytes: int
    at_peak: Node | None  # the node that runs when most is alive
    blas: bool  # whether BLAS is called
    otherwise: Plan | None = None  # what runs instead where one of the `watched` steps overflows or underflows
    watched: frozenset[int] = frozenset()  # loops among them may underflow, but must be given numbers that are finite
    compiled: dict[str, Any] = field(default_factory=dict)  # what each backend made of it

    def stays(self, k: int) -> bool:
        """Of a loop's body: whether an output is in the memory of the carry that it follows."""
        home = self.homes.get(self.graph.outputs[k].id)
        return home is not None and k not in self.copied and self.storages[home.storage].kind == "carry"

    @property
    def most_lanes(self) -> int:
        """How many threads can work at a time."""
        return max((len(step.lanes) for step in self.steps if isinstance(step, Blocks)), default=1)


__all__ = ["Blocks", "Call", "Home", "Kind", "Plan", "Step", "Storage", "Turns"]

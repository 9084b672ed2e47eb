"""The cost model: every number that decides what a plan looks like, each with what it means and what set it.

They are tuned on the suites of `benchmarks/`; changing one changes how fast a plan is and in which order sums are
added, never what it computes. docs/plan.md has a line for each: what grows with it, and the suites to measure it with.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.ir.dims import definite
from gradcli.ir.graph import Node

CACHE = 2 << 20  # bytes that a block's arrays may take: an L2 cache of 512 kB, and what the L3 cache gives as fast
OPERATOR = 1 << 18  # bytes that an operator makes of a block: of less it is over in 15 µs, and threads wait for Python
MOST_CACHE = 8 << 20  # bytes that a block's arrays may take for the sake of that
FEWEST_ELEMENTS = 16384  # of a flat block: below, starting an operator costs more than running it
MOST_ELEMENTS = 65536  # of a flat block; of fewer, an operator takes less than 15 µs, and threads wait for Python
FEWEST_ROWS = 16  # of matrices that are multiplied: BLAS takes half its time again with so few
MOST_ROWS = 1 << 16
SUMS = 2  # bytes that a block works on, for each byte of the sums over rows that it adds to those of its lane
LANES = 8  # the most that a region is dealt out to; results depend on it, so it is no number of threads
SHARED_SUM = 4096  # elements that BLAS adds up, from which its own threads are kept out: OpenBLAS uses them from 9,216
PARTIALS = 16 << 20  # bytes of sums of their own that the lanes of a region may take

FEWEST_BLOCKS = 2  # a region of fewer has no blocks
FEWEST_NODES = 2  # that compute: one alone gains nothing from blocks
FEWEST_BYTES = 1 << 18  # of results, over all nodes: less stays in the cache as it is
LARGE_ENOUGH = 1 << 16  # bytes of the largest result: many small ones gain nothing from blocks
LARGE_TURN = 4 << 20  # bytes that a turn of a loop makes: of fewer it is over before threads have begun
LARGEST_ROW = 1 << 18  # bytes of a value that is made for all turns of a loop at once: larger ones gain nothing
HOISTED = 64 << 20  # bytes that this may take for all values together
GROWTH = 32  # and may take beside, for each byte of the history of the loop's carry
KEPT = 64 << 20  # bytes that a loop may keep of what its turns compute, and beside, for each byte of its histories:
KEPT_BESIDE = 2
ROWS_KEPT = 1 << 16  # turns of a loop, up to which it keeps the views of its rows between runs
VIEW, VIEW_DIM = 104, 16  # bytes of such a view, an object of Python, and of each of its dims
RUNNING = 64  # elements of a row, up to which a running product takes less time than its turns one by one
LARGEST_SUM = 4  # times the elements that are added up: a larger result costs more to add, block by block, than to make


def too_small(sizes: Sequence[int]) -> bool:
    """Whether results of so many bytes gain nothing from blocks, whatever runs together."""
    return sum(sizes) < FEWEST_BYTES or max(sizes) < LARGE_ENOUGH


def worth(nodes: Sequence[Node], rows: int) -> bool:
    """Whether it pays to run these nodes block by block."""
    if rows < FEWEST_BLOCKS:
        return False
    computing = [node for node in nodes if not node.prim.view]
    if len(computing) < FEWEST_NODES:
        return False
    sizes = [definite(out.aval.nbytes) for node in computing for out in node.outs]
    return not too_small(sizes)


def adds_up(node: Node) -> bool:
    """Whether it pays to make a sum over rows in parts."""
    terms = sum(definite(value.aval.size) for value in node.inputs)
    return sum(definite(out.aval.size) for out in node.outs) <= LARGEST_SUM * terms


def worth_hoisting(turns: int, rows: Sequence[int], carried: int) -> bool:
    """Whether it pays to make values of such bytes for all turns of a loop at once: they are small, and all together
    take not much more than the history of what is carried, or not much at all."""
    return max(rows, default=0) <= LARGEST_ROW and turns * sum(rows) <= max(HOISTED, GROWTH * turns * carried)


def worth_keeping(turns: int, kept: int, carried: int) -> bool:
    """Whether a loop may keep so many bytes of each turn, whose adjoint reads so many that were carried, so that they
    are not computed again."""
    return turns * kept <= max(KEPT, KEPT_BESIDE * turns * carried)

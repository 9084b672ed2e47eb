"""The steps of a plan as lines, run one by one, or as one Python function.

    def run(inputs, results):
        x0, = inputs
        x9, = results
        f1(x0, x4)              # sin, into the arena
        x5 = f2(x4)             # a view
        f3(x5, x0, x9)

A line names its arrays by their slots. Making the function takes as long as running its lines ten to twenty times, and
then they run in about half the time where arrays are small, so it is made for what is run again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gradcli.ir.graph import Node

Array = np.ndarray[Any, Any]
How = Literal["write", "make", "unpack", "hand", "drop"]

OFTEN = 16  # runs one by one, before a function is made
LONGEST = 5_000  # lines of a function, which is made within one run


class Line(NamedTuple):
    """`call` with the arrays in the slots `ins`. `write`: it fills the array in the slot `outs`; `make`: it gives that
    array; `unpack`: it gives several; `hand`: it takes all arrays of `ins` at once, then all of `outs` (None: unread);
    `drop`: what is in `outs` is forgotten."""

    how: How
    call: Callable[..., Any] | None
    ins: tuple[int, ...]
    outs: tuple[int | None, ...]
    node: Node | None


class Failed(Exception):
    """What a line raised, which is the cause, and the node of the line."""

    def __init__(self, node: Node | None) -> None:
        self.node = node


def one_by_one(lines: Sequence[Line], slots: list[Any]) -> None:
    """Run lines on the arrays in `slots`. Raises Failed."""
    at = slots.__getitem__
    for how, call, ins, outs, node in lines:
        try:
            if how == "write":
                call(*map(at, ins), out=slots[outs[0]])  # type: ignore[misc, index]  # as `Line` says
            elif how == "make":
                slots[outs[0]] = np.asarray(call(*map(at, ins)))  # type: ignore[misc, index]  # as `Line` says
            elif how == "hand":
                call(tuple(map(at, ins)), tuple(_each(slots, outs)))  # type: ignore[misc]  # as `Line` says
            elif how == "unpack":
                for slot, array in zip(outs, as_arrays(call(*map(at, ins))), strict=True):  # type: ignore[misc]  # as `Line` says
                    slots[slot] = array  # type: ignore[index]  # as `Line` says
            else:
                for slot in outs:
                    slots[slot] = None  # type: ignore[index]  # as `Line` says
        except Exception as error:
            raise Failed(node) from error


def _each(slots: Sequence[Any], places: Sequence[int | None]) -> list[Any]:
    return [None if place is None else slots[place] for place in places]


class Function:
    """The lines as one function of the arrays of the slots `given`, and of those of `results`. What else is in `slots`
    is the same in every run. Raises Failed."""

    def __init__(
        self, lines: Sequence[Line], slots: Sequence[Any], given: Sequence[int], results: Sequence[int]
    ) -> None:
        self.lines = lines
        scope = {f"x{slot}": array for slot, array in enumerate(slots) if array is not None}
        scope |= {f"f{number}": line.call for number, line in enumerate(lines) if line.call is not None}
        scope |= {"asarray": np.asarray, "as_arrays": as_arrays}
        head = [f"def run(inputs, results, {', '.join(f'{name}={name}' for name in scope)}):"]
        head += [
            f"    {_names(slots)} = {source}" for source, slots in (("inputs", given), ("results", results)) if slots
        ]
        text = [*head, *("    " + _text(number, line) for number, line in enumerate(lines)), "    return"]
        exec(compile("\n".join(text), "<plan>", "exec"), scope)
        self.above = len(head) + 1
        self.run: Callable[[Sequence[Any], Sequence[Any]], None] = scope.pop("run")  # whose globals these are

    def __call__(self, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        try:
            self.run(inputs, results)
        except Exception as error:
            trace = error.__traceback__
            place = trace.tb_next.tb_lineno - self.above if trace is not None and trace.tb_next is not None else -1
            raise Failed(self.lines[place].node if 0 <= place < len(self.lines) else None) from error


def _text(number: int, line: Line) -> str:
    call, ins, outs = f"f{number}", _names(line.ins), _names(line.outs)
    match line.how:
        case "write":
            return f"{call}({ins}{'' if in_order(line.call) else 'out='}{outs[:-1]})"
        case "make":
            look = line.node is not None and line.node.prim.view and line.node.outs[0].rank
            return f"{outs[:-1]} = {call}({ins})" if look else f"{outs[:-1]} = asarray({call}({ins}))"
        case "unpack":
            return f"{outs} = as_arrays({call}({ins}))"
        case "hand":
            return f"{call}(({ins}), ({outs}))"
        case "drop":
            return f"{outs.replace(',', ' =')} None"


def in_order(call: object) -> bool:
    """Whether a function takes the array that it fills behind its operands, which is quicker than by name; two of
    NumPy's will not always."""
    return isinstance(call, np.ufunc) and call not in (np.maximum, np.minimum)


def _names(slots: Sequence[int | None]) -> str:
    """`x0, x3, `, a tuple."""
    return "".join("None, " if slot is None else f"x{slot}, " for slot in slots).rstrip(" ") if slots else ""


def as_arrays(made: Sequence[Any]) -> list[Any]:
    return [array if array is None else np.asarray(array) for array in made]

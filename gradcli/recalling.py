"""How a callable knows a call again: by the names, shapes and dtypes of its arrays.

What a call needs besides running (which plan, which array goes where, that none is to be converted) is settled when
arrays of such forms come for the first time, and found again under the *key* of the call. Only calls with plain NumPy
arrays of the very dtypes that the plan reads, and Python floats that it reads as f64, are remembered: lists, whole
numbers, other arrays and other byte orders are looked at, and converted, at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradcli.engine import dtype_of
from gradcli.planning import Planned
from gradcli.record import record

Group = Mapping[Any, Any] | None  # arrays by name, as a call gives them; see `by_place` for the last group
Key = tuple[Any, ...]


@record(eq=False)
class Route:
    """From the arrays of a call, in the order in which they are given, to its results."""

    planned: Planned
    run: Callable[[Sequence[Any]], list[Any]]
    positions: tuple[int, ...]
    numbers: tuple[int, ...]  # the positions of those that are Python floats
    asarray: Callable[[Any], Any]

    def __call__(self, groups: Sequence[Group]) -> dict[str, Any]:
        """What comes later in `groups` wins, as it does where a call is looked at as a whole."""
        planned = self.planned
        inputs = [*planned.inputs]
        arrays = [array for group in groups if group for array in group.values()]
        for position, array in zip(self.positions, arrays, strict=True):
            inputs[position] = array
        for position in self.numbers:
            inputs[position] = self.asarray(inputs[position])
        return dict(zip(planned.names, self.run(inputs), strict=True))


def by_place(weights: Mapping[str, Any]) -> Mapping[Any, Any]:
    """What is given as `sens` and `along`, an array for each key: these words, or with the name, `("along", "x")`."""
    flat: dict[Any, Any] = {}
    for option, given in weights.items():
        if type(given) is dict:
            flat |= {(option, name): array for name, array in given.items()}
        else:
            flat[option] = given
    return flat


def key_of(groups: Sequence[Group], plain: type) -> Key | None:
    """None where something is neither an array of the class `plain` itself, NumPy's, nor a float."""
    key: list[Any] = []
    for group in groups:
        if group:
            if type(group) is not dict:
                return None
            for name, array in group.items():
                kind = type(array)
                if kind is plain:
                    key += (name, array.shape, array.dtype)
                elif kind is float:
                    key += (name, kind)
                else:
                    return None
        key.append(None)  # the end of a group
    return tuple(key)


def route_of(planned: Planned, run: Callable[[Sequence[Any]], list[Any]], groups: Sequence[Group]) -> Route | None:
    """The route of a call that was just made; None where an array is converted, or does not go to one place.

    The last of `groups` holds what is given as `sens` and `along`, by place.
    """
    import numpy as np

    *own, weights = [group or {} for group in groups]
    given = [(planned.places.get(name), array) for group in own for name, array in group.items()]
    given += [(_slot(planned, place), array) for place, array in weights.items()]
    if not all(position is not None and _exact(planned, position, array) for position, array in given):
        return None
    positions = [position for position, _ in given if position is not None]
    numbers = {position for position, (_, array) in zip(positions, given, strict=True) if type(array) is float}
    return Route(planned, run, tuple(positions), tuple(numbers), np.asarray)


def _slot(planned: Planned, place: str | tuple[str, str]) -> int | None:
    """The position of what is named, or the only one."""
    if isinstance(place, tuple):
        return planned.slots[place[0]].get(place[1])
    slots = planned.slots[place]
    return next(iter(slots.values())) if len(slots) == 1 else None


def _exact(planned: Planned, position: int, array: Any) -> bool:
    aval = planned.plan.graph.inputs[position].aval
    if type(array) is float:
        return aval.dtype == "f64" and not aval.shape
    return bool(array.shape == tuple(aval.shape) and array.dtype == dtype_of(aval))

"""Arrays that belong to one output or one input exactly: sensitivities, tangents, and vectors of Hessian products.

They are given as typed (`VALUE`, `NAME=VALUE`) or as arrays (one alone, several in order, or by name), and become one
array for each name, of the shape and dtype of what bears that name; numbers without a dtype take its.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli.engine import Machine, materialise
from gradcli.interp.program import Feed, Program
from gradcli.ir.aval import FLOATS, NUMPY_NAMES, Aval
from gradcli.ir.dims import definite
from gradcli.record import field, record
from gradcli.syntax.diagnostics import Label, ModelError, Span, fail, listed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@record
class Given:
    """What was given for one name: of which kind, as typed, and the data behind it (a seed, an index, a Feed)."""

    kind: str  # "file", "expression", "ones", "random", "basis" or "array"
    source: str
    data: Any


@record
class Asked:
    """An option that gives arrays for names: how it is called, what may bear one, and what is said of wrong ones."""

    option: str  # "--sens"
    noun: str  # "sensitivity"
    plural: str
    owner: str  # "output"
    owners: str  # "outputs"
    avals: Mapping[str, Aval]
    places: Mapping[str, Span] = field(default_factory=dict)  # where a name is declared
    widens: bool = False  # whether narrower floats are taken, too

    def listed(self) -> str:
        """`outputs: h: f64[3], k: f64[3]`"""
        return f"{self.owners}: {listed(f'{name}: {aval}' for name, aval in self.avals.items()) or 'none'}"


Unknown = Callable[[str], ModelError]  # of a name that can bear none


def by_name(asked: Asked, texts: Sequence[str], arrays: Any, unknown: Unknown) -> dict[str, Any] | None:
    """What is given for each name, as text or array; None where nothing is. Raises ModelError DIF005 or `unknown`."""
    if arrays is not None:
        return arrays_by_name(asked, arrays, unknown)
    return texts_by_name(asked, texts, unknown) if texts else None


def arrays_by_name(asked: Asked, arrays: Any, unknown: Unknown) -> dict[str, Any]:
    """A mapping as it is; a tuple as one for each name in order; else one for the only name."""
    if isinstance(arrays, Mapping):
        for name in arrays:
            if name not in asked.avals:
                raise unknown(str(name))
        return dict(arrays)
    several = list(arrays) if isinstance(arrays, tuple) else [arrays]
    if len(several) != len(asked.avals):
        noun = asked.noun if len(several) == 1 else asked.plural
        raise fail(
            "DIF005",
            f"{len(several)} {noun} for {len(asked.avals)} {asked.owners}",
            notes=[asked.listed()],
        )
    return dict(zip(asked.avals, several, strict=True))


def texts_by_name(asked: Asked, texts: Sequence[str], unknown: Unknown) -> dict[str, Any]:
    """`NAME=VALUE` where NAME can stand there; else a value without a name, one for each name in order."""
    pairs: dict[str, Any] = {}
    unnamed: list[str] = []
    for text in texts:
        head, has, tail = text.partition("=")
        name = head.strip()
        if not has or tail.startswith("="):
            unnamed.append(text)
        elif name in pairs:
            raise fail("USE005", f"`{asked.option}` gives `{name}` twice")
        elif name in asked.avals:
            pairs[name] = tail
        elif all(part.isidentifier() or part.isdecimal() for part in name.split(".")):
            raise unknown(name)
        else:
            unnamed.append(text)
    if unnamed and (pairs or len(unnamed) != len(asked.avals)):
        raise _without_a_name(asked, unnamed)
    return pairs or dict(zip(asked.avals, unnamed, strict=True))


def _without_a_name(asked: Asked, unnamed: Sequence[str]) -> ModelError:
    names = asked.avals
    count = len(unnamed)
    return fail(
        "DIF005",
        f"{count} {asked.noun if count == 1 else asked.plural} without a name for {len(names)} {asked.owners}",
        notes=[asked.listed()],
        help=f"name each: `{asked.option} {next(iter(names))}=…`" if names else None,
    )


def read(program: Program, asked: Asked, name: str, value: Any) -> Given:
    """One of what is given. Raises ModelError DIF004 where it does not have the shape and dtype of `name`."""
    from gradcli.data.read import is_reference
    from gradcli.opening import array_feed, value_feed

    if not isinstance(value, str):
        return Given("array", "", _exact(asked, array_feed(value, f"the {asked.noun} of {name}"), name))
    text = value.strip()
    if text.startswith("random:"):
        seed = text.removeprefix("random:")
        if not seed.isdecimal():
            raise fail("DIF004", f"{asked.option} {text}: a seed is a whole number", help=f"`{asked.option} random:1`")
        return Given("random", text, int(seed))
    if text.startswith("basis:"):
        return Given("basis", text, _basis(asked, text, asked.avals[name]))
    feed = value_feed(program, f"{asked.option} {name}", text)
    return Given("file" if is_reference(text) else "expression", text, _exact(asked, feed, name))


def _basis(asked: Asked, text: str, aval: Aval) -> tuple[int, ...]:
    parts = text.removeprefix("basis:")
    words = [p.strip() for p in parts.split(",")] if parts.strip() else []
    shape = [definite(d) for d in aval.shape]
    if len(words) != len(shape) or not all(w.lstrip("-").isdecimal() for w in words):
        example = ",".join("0" for _ in shape)
        raise fail(
            "DIF004",
            f"{asked.option} {text} names no element of {aval}",
            help=f"one index for each dim: `basis:{example}`",
        )
    index = tuple(int(w) for w in words)
    for k, (i, d) in enumerate(zip(index, shape, strict=True)):
        if not -d <= i < d:
            raise fail("DIF004", f"{asked.option} {text}: index {i} is out of range for dim {k} of {aval}")
    return index


def _exact(asked: Asked, feed: Feed, name: str) -> Feed:
    """The feed, if it has the shape and dtype of `name`; weak numbers take the dtype."""
    aval, place = asked.avals[name], asked.places.get(name)
    same_shape = tuple(feed.shape) == aval.shape
    narrower = asked.widens and feed.dtype in FLOATS and FLOATS.index(feed.dtype) < FLOATS.index(aval.dtype)
    if same_shape and (feed.dtype is None or feed.dtype == aval.dtype or narrower):
        return feed
    others = [Label(place, f"{name} is {aval}")] if place is not None and feed.span is not None else []
    have, help = f"{feed.dtype}", _cast(asked, feed, aval, name)
    if not same_shape:
        have = f"{Aval(feed.shape, feed.dtype or aval.dtype)}"
        help = f"a {asked.noun} has the shape and dtype of the {asked.owner} exactly"
    raise fail("DIF004", f"the {asked.noun} is {have}, {name} is {aval}", feed.span or place, others=others, help=help)


def _cast(asked: Asked, feed: Feed, aval: Aval, name: str) -> str:
    if feed.span is not None:
        return f"cast it: `{aval.dtype}({feed.source})`"
    if hasattr(feed.array, "astype"):
        return f'cast it: `.astype("{NUMPY_NAMES[aval.dtype]}")`'
    loaded = f'load("{feed.source.removeprefix("@")}")'
    return f"cast it: `{asked.option} {name}='{aval.dtype}({loaded})'`"


def array(given: Given, aval: Aval, machine: Machine, name: str) -> Array:
    """The numbers of one of them. Raises ModelError NUM001 where they would not fit into memory."""
    import numpy as np

    if given.kind in ("ones", "random", "basis"):
        from gradcli.plan import check_array

        check_array(aval, name, machine.memory)
    shape = tuple(definite(d) for d in aval.shape)
    if given.kind == "ones":
        return np.ones(shape, NUMPY_NAMES[aval.dtype])
    if given.kind == "random":
        from gradcli.data.random import random_sens

        return random_sens(given.data, shape, aval.dtype)
    if given.kind == "basis":
        unit: Array = np.zeros(shape, NUMPY_NAMES[aval.dtype])
        unit[given.data] = 1
        return unit
    return materialise(given.data, aval, machine, name)

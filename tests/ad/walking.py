"""The walk over all primitives and all pairs of transformations, once for each primitive."""

from __future__ import annotations

from functools import cache

from gradcli.ir.primitive import Primitive, Sample, primitive, registry
from tests.ad.combining import TRANSFORMATIONS, Point, Transformation
from tests.ops.samples import Case, graph_of, operands

NAMES = tuple(each.name for each in TRANSFORMATIONS)
Pair = tuple[str, str]  # outer, inner

# Away from the steps of what is flat, where the slope is 0; and a cast that central differences can see through.
OWN = {
    "share": (Sample(((3,), (3,))),),
    "cast": (Sample(((3,),), {"dtype": "f64"}), Sample(([1, 2],), {"dtype": "f64"})),
    **{name: (Sample(((3,),)),) for name in ("sign", "floor", "ceil", "round", "trunc")},
}


def points(prim: Primitive, dtype: str = "f64") -> list[Point]:
    """An operator on the first of its samples, and on the last, which often has no elements."""
    samples = OWN.get(prim.name) or prim.samples[:: max(1, len(prim.samples) - 1)]
    found = []
    for case in [Case(prim, sample) for sample in samples]:
        arrays = operands(case, dtype)
        found.append(Point(graph_of(case, arrays), arrays))
    return found


def transformed() -> list[Primitive]:
    """The operators that have operands."""
    return [prim for prim in registry().values() if prim.samples[0].operands]


def why_not(prim: Primitive) -> str:
    """Why nothing of an operator can be differentiated; nothing where it can."""
    if prim.stops:
        return "stopped, by request"
    return "" if any(point.smooth for point in points(prim)) else "no floats by floats"


def fitting(prim: Primitive) -> list[Transformation]:
    return [each for each in TRANSFORMATIONS if not each.differentiates or not why_not(prim)]


def pairs(prim: Primitive) -> set[Pair]:
    return {(outer.name, inner.name) for outer in fitting(prim) for inner in fitting(prim)}


@cache
def walked(name: str) -> dict[Pair, str]:
    """For each pair of transformations that fit an operator, what is wrong with it: nothing where it holds."""
    prim = primitive(name)
    wrong: dict[Pair, str] = {}
    for point in points(prim):
        for first in fitting(prim):
            inner, text = tried(first, point)
            for second in fitting(prim):
                outer = tried(second, inner)[1] if inner is not None else text
                wrong[second.name, first.name] = wrong.get((second.name, first.name)) or outer
    return wrong


def tried(each: Transformation, inner: Point) -> tuple[Point | None, str]:
    """The transformed point, where it holds, and else what is wrong; a point without floats has no derivatives."""
    if each.differentiates and not inner.smooth:
        return None, ""
    try:
        outer = each.make(inner)
        each.hold(inner, outer)
    except Exception as error:  # whatever it is, the table says it
        return None, f"{type(error).__name__}: {error}"
    return outer, ""

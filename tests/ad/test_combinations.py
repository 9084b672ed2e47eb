"""Every primitive under every pair of transformations, some under three; and what holds between transformations."""

from __future__ import annotations

from itertools import product

import pytest

from gradcli.ir.graph import Builder
from gradcli.ir.primitive import Primitive, primitive
from gradcli.record import replace
from tests.ad.combining import TRANSFORMATIONS, Point, dual
from tests.ad.walking import NAMES, pairs, points, transformed, tried, walked, why_not
from tests.ops.samples import floats

EVERY = [pytest.param(prim, id=prim.name) for prim in transformed()]
SMOOTH = [prim for prim in transformed() if not why_not(prim)]
THREES = list(product(TRANSFORMATIONS, repeat=3))


@pytest.mark.parametrize("prim", EVERY)
def test_every_pair(prim: Primitive) -> None:
    wrong = {" of ".join(pair): text for pair, text in walked(prim.name).items() if text}
    assert not wrong
    assert set(walked(prim.name)) == pairs(prim)
    assert why_not(prim) or pairs(prim) == set(product(NAMES, NAMES))


@pytest.mark.parametrize("prim", SMOOTH, ids=lambda prim: prim.name)
def test_three_at_a_time(prim: Primitive) -> None:
    """Four of the 729 for each operator, others for each."""
    start = 4 * SMOOTH.index(prim)
    for k in range(start, start + 4):
        chosen = THREES[k * 271 % len(THREES)]
        inner = points(prim)[0]
        for each in chosen:
            made, text = tried(each, inner)
            assert made is not None, f"{[t.name for t in chosen]}: {text}"
            inner = made


@pytest.mark.parametrize("prim", SMOOTH, ids=lambda prim: prim.name)
def test_both_modes_are_dual_after_each_transformation(prim: Primitive) -> None:
    point = points(prim)[0]
    for each in TRANSFORMATIONS:
        inner = each.make(point)
        dual(inner.graph, inner.arrays, 1)


@pytest.mark.parametrize("prim", [p for p in SMOOTH if p.name != "cast"], ids=lambda prim: prim.name)
def test_narrow_floats_stay_narrow(prim: Primitive) -> None:
    """Each transformation, then one of the others, of the operator in f32; a cast says itself what it gives."""
    point = points(prim, "f32")[0]
    for k, each in enumerate(TRANSFORMATIONS):
        inner = each.make(point)
        outer = TRANSFORMATIONS[(k + SMOOTH.index(prim)) % len(TRANSFORMATIONS)].make(narrowed(inner))
        assert {outer.graph.outputs[k].dtype for k in floats(outer.graph.outputs)} == {"f32"}


def narrowed(point: Point) -> Point:
    arrays = [array.astype("f4") if array.dtype.kind == "f" else array for array in point.arrays]
    return Point(point.graph, arrays)


def test_the_walk_finds_what_is_wrong_by_a_little() -> None:
    (point, *_) = points(SMOOTH[0])
    for each in TRANSFORMATIONS:
        assert not tried(each, point)[1]
        assert (
            "AssertionError"
            in tried(each._replace(make=lambda inner, each=each: slightly_off(each.make(inner))), point)[1]
        )


def slightly_off(point: Point) -> Point:
    """Its results times 1.00001."""
    builder = Builder()
    inputs = [builder.input(value.aval) for value in point.graph.inputs]
    made = builder.inline(point.graph, inputs)
    return Point(builder.finish([out * 1.00001 if out.aval.is_float else out for out in made]), point.arrays)


def test_a_rule_that_is_missing_is_told() -> None:
    point = points(primitive("sin"))[0]
    (node,) = point.graph.nodes
    node.prim = replace(node.prim, vjp=None)
    assert "DIF008" in tried(TRANSFORMATIONS[0], point)[1]

"""Records are what dataclasses would be: their `__init__` by name and by place, defaults, equality, and no change."""

from __future__ import annotations

import inspect

import pytest

from gradcli.record import field, record, replace


@record
class Point:
    x: int
    y: int = 2
    names: list[str] = field(default_factory=list)


@record(frozen=False)
class Moving:
    at: Point
    seen: dict[str, int] = field(default_factory=dict)


@record(eq=False)
class Other:
    """Of as many fields as `Point`, and with the same code in its `__init__`."""

    left: int
    right: int = 5
    words: list[str] = field(default_factory=list)


def test_fields_are_given_by_place_and_by_name() -> None:
    assert str(inspect.signature(Point)).startswith("(x, y=2, names=")
    assert [Point(1).y, Point(1, 3).y, Point(y=4, x=1).y] == [2, 3, 4]
    assert (Other(left=1).left, Other(1).right) == (1, 5)


def test_a_factory_makes_each_default_anew() -> None:
    one, two = Point(1), Point(1)
    one.names.append("a")
    assert (one.names, two.names, Other(1).words) == (["a"], [], [])
    assert Point(1, names=["b"]).names == ["b"]


def test_records_are_equal_where_their_fields_are() -> None:
    assert Point(1) == Point(1, 2, [])
    assert Point(1) != Point(2)
    assert Other(1) != Other(1)
    assert repr(Point(1)) == "Point(x=1, y=2, names=[])"
    assert replace(Point(1), y=7) == Point(1, 7)


def test_what_is_frozen_stays() -> None:
    point, moving = Point(1), Moving(Point(1))
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2  # type: ignore[misc]
    moving.at = Point(2)
    assert moving.at.x == 2


@pytest.mark.parametrize("words", [{}, {"x": 1, "z": 2}])
def test_wrong_fields_are_refused(words: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="__init__"):
        Point(**words)  # type: ignore[arg-type]


def test_a_field_without_a_default_stands_before_those_with_one() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.b has no default"):

        @record
        class Wrong:
            a: int = 1
            b: int  # type: ignore[misc]

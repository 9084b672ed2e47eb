"""Sizes: polynomials in symbols agree with the integers they stand for, and what is assumed is recorded."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gradcli.ir import dims
from gradcli.ir.dims import Name, NamedInt, Poly, Size, conditions, symbol

SYMBOLS = ("m", "n")
values = st.fixed_dictionaries({name: st.integers(0, 7) for name in SYMBOLS})


def at(size: Size, point: dict[str, int]) -> Fraction:
    """The value of a size where its symbols are known."""
    total = Fraction(0)
    for monomial, coefficient in dims.poly(size).terms.items():
        for name, power in monomial:
            coefficient *= point[name] ** power
        total += coefficient
    return total


leaves = st.one_of(st.integers(-4, 4), st.sampled_from(SYMBOLS).map(symbol))
sizes = st.recursive(
    leaves,
    lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner).map(
        lambda t: t[1] + t[2] if t[0] == "+" else t[1] - t[2] if t[0] == "-" else t[1] * t[2]
    ),
    max_leaves=6,
)


@given(sizes, sizes, values)
def test_arithmetic_is_that_of_the_values(a: Size, b: Size, point: dict[str, int]) -> None:
    assert at(a + b, point) == at(a, point) + at(b, point)
    assert at(a - b, point) == at(a, point) - at(b, point)
    assert at(a * b, point) == at(a, point) * at(b, point)


@given(sizes, sizes, sizes)
def test_equal_polynomials_are_one_key(a: Size, b: Size, c: Size) -> None:
    left, right = (a + b) * c, c * b + a * c
    assert left == right
    assert hash(left) == hash(right)
    assert str(left) == str(right)


@given(sizes)
def test_without_symbols_a_size_is_an_integer(a: Size) -> None:
    assert isinstance(a - a, int)
    assert isinstance(a, int) == (not any(m for m in dims.poly(a).terms))


@given(sizes, sizes, values)
def test_equal_holds_wherever_its_condition_does(a: Size, b: Size, point: dict[str, int]) -> None:
    with conditions() as found:
        agreed = dims.equal(a, b)
    if not agreed:
        assert at(a, point) != at(b, point)
    elif not found:
        assert at(a, point) == at(b, point)


@given(sizes, sizes, values)
def test_at_least_is_refused_only_where_it_never_holds(a: Size, b: Size, point: dict[str, int]) -> None:
    with conditions() as found:
        agreed = dims.at_least(a, b)
    if not agreed:
        assert at(a, point) < at(b, point)
    elif not found:
        assert at(a, point) >= at(b, point)


@given(sizes, st.integers(1, 5), values)
def test_divide_gives_the_quotient_or_none(a: Size, by: int, point: dict[str, int]) -> None:
    with conditions() as found:
        quotient = dims.divide(a, by)
    if quotient is not None and not found:
        assert at(quotient, point) * by == at(a, point)
    if quotient is None:
        assert isinstance(a, int)
        assert a % by


@given(sizes, sizes, values)
def test_quotient_undoes_a_product(a: Size, b: Size, point: dict[str, int]) -> None:
    assume(b != 0)
    with conditions():
        found = dims.quotient(a * b, b)
    if found is not None and at(b, point):
        assert at(found, point) == at(a, point)


@given(st.integers(0, 4), st.integers(0, 4))
def test_known_sizes_broadcast_as_numpy_has_it(a: int, b: int) -> None:
    expected = a if a == b else b if a == 1 else a if b == 1 else None
    assert dims.broadcast(a, b) == expected


def test_one_broadcasts_to_a_symbol() -> None:
    n = symbol("n")
    assert dims.broadcast(1, n) is n
    assert dims.broadcast(n, 1) is n
    assert dims.broadcast(n, n) == n


def test_what_holds_for_some_sizes_is_refused_unless_somebody_records() -> None:
    n = symbol("n")
    assert not dims.equal(n, 3)
    with conditions() as found:
        assert dims.equal(n, 3, "broadcasting")
        assert dims.equal(n, 3)
    assert [(each.text, each.why) for each in found] == [("n must be 3", "broadcasting")]


@pytest.mark.parametrize(
    ("holds", "text"),
    [
        (lambda n: dims.at_least(n, 5), "n ≥ 5"),
        (lambda n: dims.at_least(5, n), "n ≤ 5"),
        (lambda n: dims.at_least(2 * n, 5), "n ≥ 3"),
        (lambda n: dims.divide(n, 2), "n even"),
        (lambda n: dims.divide(n + 1, 3), "n + 1 divisible by 3"),
        (lambda n: dims.equal(2 * n, symbol("m")), "2 * n = m"),
    ],
)
def test_conditions_read_as_one_writes_them(holds: object, text: str) -> None:
    with conditions() as found:
        assert holds(symbol("n"))  # type: ignore[operator]
    assert [condition.text for condition in found] == [text]


def test_what_never_holds_is_refused_even_where_conditions_are_recorded() -> None:
    n = symbol("n")
    with conditions() as found:
        assert not dims.equal(n + 1, n)
        assert not dims.equal(n + 1, 0)
        assert not dims.at_least(-1 - n, 0)
    assert not found


def test_recorders_nest() -> None:
    with conditions() as outer:
        with conditions() as inner:
            dims.equal(symbol("n"), 3)
        dims.equal(symbol("n"), 4)
    assert [c.text for c in inner] == ["n must be 3"]
    assert [c.text for c in outer] == ["n must be 4"]


def test_polynomials_print_as_one_writes_them() -> None:
    m, n = symbol("m"), symbol("n")
    assert str(2 * n * n - m + 1) == "2 * n**2 - m + 1"
    assert str(-n) == "-n"
    assert str(Poly({(("n", 1),): Fraction(1, 2)})) == "n / 2"


def test_names_travel_with_sizes_and_are_lost_by_arithmetic() -> None:
    batch = Name("batch")
    known, unknown = NamedInt(3, batch), symbol("n", batch)
    assert known == 3
    assert dims.name_of(known) is dims.name_of(unknown) is batch
    assert dims.name_of(known + 1) is None
    assert dims.name_of(unknown + 1) is None
    assert dims.name_of(dims.broadcast(3, known) or 0) is batch
    assert dims.name_of(dims.named(known, None)) is None
    assert dims.name_of(dims.named(unknown, None)) is None

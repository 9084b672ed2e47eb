"""Sizes of dims: integers when data is known, integer polynomials in symbols when it is not, with or without a name.

A size is an `int` or a `Poly`; equal polynomials agree for all sizes. What holds for some sizes only (`n ≥ 5`,
`n must be 3`, `n even`) is assumed and recorded as a `Condition` by whoever opened `conditions()`; without a recorder
it is refused. A size may carry a name (`NamedInt`, or `Poly.name`), which travels with it through shape rules that
pass it along and is lost by arithmetic: that is how `mean(x, axis=batch)` finds its axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    from fractions import Fraction

Monomial = tuple[tuple[str, int], ...]  # ((symbol, power), …), sorted; () is the constant term
Rational = Union[int, "Fraction"]  # a whole coefficient is an int: importing fractions takes 3 ms


class Name:
    """The identity of a named dim: two dims are the same when they hold the same `Name`, not the same spelling."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class NamedInt(int):
    """A known size with a name. Equal to the plain integer; arithmetic gives plain integers."""

    name: Name

    def __new__(cls, size: int, name: Name) -> NamedInt:
        made = super().__new__(cls, size)
        made.name = name
        return made


class Poly:
    """A polynomial in size symbols with rational coefficients, whose value is an integer under the conditions."""

    __slots__ = ("hash", "name", "terms", "text")

    def __init__(self, terms: Mapping[Monomial, Rational], name: Name | None = None) -> None:
        self.terms: dict[Monomial, Rational] = {m: terms[m] for m in sorted(terms) if terms[m]}
        self.name = name
        self.text = ""  # once it was asked for
        self.hash = hash(tuple(self.terms.items()))

    def called(self, name: Name | None) -> Poly:
        """The same under another name."""
        made = Poly.__new__(Poly)
        made.terms, made.name, made.text, made.hash = self.terms, name, self.text, self.hash
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __hash__(self) -> int:
        return self.hash

    def __add__(self, other: Size) -> Size:
        terms = dict(self.terms)
        for monomial, coefficient in poly(other).terms.items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return reduced(terms)

    def __mul__(self, other: Size) -> Size:
        terms: dict[Monomial, Rational] = {}
        for m1, c1 in self.terms.items():
            for m2, c2 in poly(other).terms.items():
                powers = dict(m1)
                for symbol_, power in m2:
                    powers[symbol_] = powers.get(symbol_, 0) + power
                monomial = tuple(sorted(powers.items()))
                terms[monomial] = terms.get(monomial, 0) + c1 * c2
        return reduced(terms)

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + -other

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        if not self.text:
            self.text = self._written()
        return self.text

    def _written(self) -> str:
        parts: list[str] = []
        for monomial, coefficient in sorted(self.terms.items(), key=lambda t: (-sum(p for _, p in t[0]), t[0])):
            factors = [s if p == 1 else f"{s}**{p}" for s, p in monomial]
            top, bottom = abs(coefficient.numerator), coefficient.denominator
            if top != 1 or not factors:
                factors.insert(0, str(top))
            text = " * ".join(factors) + (f" / {bottom}" if bottom != 1 else "")
            parts.append((" - " if parts else "-") + text if coefficient < 0 else (" + " if parts else "") + text)
        return "".join(parts)

    __repr__ = __str__


Size = int | Poly


def symbol(text: str, name: Name | None = None) -> Poly:
    """An unknown size, `n ≥ 0`."""
    return Poly({((text, 1),): 1}, name)


def poly(size: Size) -> Poly:
    return size if isinstance(size, Poly) else Poly({(): int(size)})


def ratio(a: Rational, b: Rational) -> Rational:
    """`a / b`, exactly."""
    whole, rest = divmod(a, b)
    if not rest:
        return whole
    from fractions import Fraction

    return Fraction(a) / b


def reduced(terms: Mapping[Monomial, Rational]) -> Size:
    """A plain integer when no symbol is left."""
    made = Poly(terms)
    if not made.terms:
        return 0
    if len(made.terms) == 1 and () in made.terms and made.terms[()].denominator == 1:
        return int(made.terms[()])
    return made


def name_of(size: Size) -> Name | None:
    return size.name if isinstance(size, NamedInt | Poly) else None


def named(size: Size, name: Name | None) -> Size:
    """The same size under another name, or under none."""
    if isinstance(size, Poly):
        return size if size.name is name else size.called(name)
    return NamedInt(size, name) if name is not None else int(size)


def product(sizes: Iterable[Size]) -> Size:
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def known(size: Size) -> int | None:
    """The integer, or None while it is symbolic."""
    return None if isinstance(size, Poly) else int(size)


def definite(size: Size) -> int:
    """The integer. Raises TypeError while it is symbolic."""
    if isinstance(size, Poly):
        raise TypeError(f"the size {size} is not known")
    return int(size)


# ── what holds for some sizes only ──────────────────────────────────────────────────────────────────────────


class Condition(NamedTuple):
    """`n ≥ 5`, `n must be 3`, `2 * n = m`, `n even`; `why` says which rule needs it."""

    text: str
    why: str = ""
    of: str = ""
    bound: Rational = 0


_recorder: ContextVar[list[Condition] | None] = ContextVar("conditions", default=None)


@contextmanager
def conditions() -> Iterator[list[Condition]]:
    """Record what is assumed about symbols while the block runs; each condition once, in order."""
    found: list[Condition] = []
    token = _recorder.set(found)
    try:
        yield found
    finally:
        _recorder.reset(token)


def assume(text: str, why: str = "", *, of: str = "", bound: Rational = 0) -> bool:
    """Record a condition; False when nobody records, so that the caller refuses.

    `of` and `bound` tell of `n ≥ 5` that it is about "n ≥" and 5: it takes the place of `n ≥ 2`.
    """
    recorder = _recorder.get()
    if recorder is None:
        return False
    for place, known in enumerate(recorder):
        if known.text == text:
            return True
        if of and known.of == of:
            stronger = bound > known.bound if of.endswith("≥") else bound < known.bound
            if stronger:
                recorder[place] = Condition(text, why, of, bound)
            return True
    recorder.append(Condition(text, why, of, bound))
    return True


def assumed(text: str) -> bool:
    """Whether a condition is recorded."""
    return any(known.text == text for known in _recorder.get() or ())


def equal(a: Size, b: Size, why: str = "") -> bool:
    """Whether two sizes agree: surely, or under a condition that is recorded."""
    if a == b:
        return True
    difference = a - b
    if not isinstance(difference, Poly):
        return False
    left, right = (a, b) if isinstance(a, Poly) else (b, a)
    if never_zero(difference):
        return False
    rest = dict(difference.terms)
    constant = rest.pop((), 0)
    if len(rest) == 1:  # c * n + constant = 0
        ((monomial, coefficient),) = rest.items()
        size = ratio(-constant, coefficient)
        if size < 0 or size.denominator != 1:
            return False
        return assume(f"{Poly({monomial: 1})} must be {size}", why)
    return assume(f"{left} = {right}", why)


def never_zero(difference: Poly) -> bool:
    """Sizes are ≥ 0, so a polynomial whose terms share one sign with a constant among them has no zero."""
    constant = difference.terms.get((), 0)
    return constant != 0 and all((c > 0) == (constant > 0) for c in difference.terms.values())


def never_below(a: Size, bound: int) -> bool:
    """Whether `a ≥ bound` for all sizes."""
    terms = dict(poly(a).terms)
    return terms.pop((), 0) >= bound and all(c > 0 for c in terms.values())


def at_least(a: Size, b: Size, why: str = "") -> bool:
    """Whether `a ≥ b`: surely, or under a condition that is recorded."""
    difference = a - b
    if not isinstance(difference, Poly):
        return difference >= 0
    if all(c > 0 for c in difference.terms.values()):
        return True
    if all(c < 0 for c in difference.terms.values()) and () in difference.terms:
        return False
    rest = dict(difference.terms)
    constant = rest.pop((), 0)
    if len(rest) == 1:  # c * n ≥ -constant
        ((monomial, coefficient),) = rest.items()
        bound = ratio(-constant, coefficient)
        limit = -(-bound // 1) if coefficient > 0 else bound // 1
        of = f"{Poly({monomial: 1})} {'≥' if coefficient > 0 else '≤'}"
        return assume(f"{of} {limit}", why, of=of, bound=limit)
    return assume(f"{a} ≥ {b}", why)


def divide(a: Size, by: Rational, why: str = "") -> Size | None:
    """`a / by` where it is whole: surely, or under a condition (`n even`); None where it is not."""
    if by == 0:
        return None
    if by.denominator != 1:
        a, by = a * by.denominator, by.numerator
    if not isinstance(a, Poly):
        return int(a // by) if a % by == 0 else None
    if by == 1:
        return a
    quotient = Poly({m: ratio(c, by) for m, c in a.terms.items()})
    if all(c.denominator == 1 for c in quotient.terms.values()):
        return reduced(quotient.terms)
    return quotient if assume(_divisible(a, by), why) else None


def _divisible(a: Size, by: Rational) -> str:
    return f"{a} even" if by == 2 else f"{a} divisible by {by}"


def divide_up(a: Size, by: int, why: str = "") -> Size | None:
    """`ceil(a / by)` for a positive `by`: surely, or where what is symbolic of `a` is whole: for even n, (n - 1) / 2 is
    n / 2 as n / 2 is, so that `x[::2]` and `x[1::2]` are of one size. None where nobody records that."""
    if not isinstance(a, Poly):
        return -(-int(a) // by)
    if assumed(_divisible(a, by)):
        return divide(a, by, why)
    rest = dict(a.terms)
    constant = rest.pop((), 0)
    if constant.denominator != 1:
        return divide(a, by, why)
    whole = divide(reduced(rest), by, why)
    return None if whole is None else whole + -(-int(constant) // by)


def floor_divide(a: Size, by: int) -> Size | None:
    """`floor(a / by)` for a positive `by`, where it is one polynomial for all sizes: (4n + 3) / 2 is 2n + 1."""
    if not isinstance(a, Poly):
        return a // by
    rest = dict(a.terms)
    constant = rest.pop((), 0)
    if any(ratio(coefficient, by).denominator != 1 for coefficient in rest.values()):
        return None
    return reduced({m: ratio(c, by) for m, c in rest.items()} | {(): constant // by})


def quotient(a: Size, b: Size, why: str = "") -> Size | None:
    """`a / b` for `reshape(x, [-1, b])`: whole, by a common factor of both, or under a condition; b is not 0."""
    if not isinstance(b, Poly):
        return divide(a, int(b), why)
    if not at_least(b, 1, why):
        return None
    if a == b:
        return 1
    if len(b.terms) == 1 and isinstance(a, Poly):
        ((divisor, scale),) = b.terms.items()
        terms: dict[Monomial, Rational] = {}
        for monomial, coefficient in a.terms.items():
            powers = dict(monomial)
            for symbol_, power in divisor:
                powers[symbol_] = powers.get(symbol_, 0) - power
            if any(power < 0 for power in powers.values()):
                return None
            terms[tuple(sorted((s, p) for s, p in powers.items() if p))] = coefficient
        return divide(reduced(terms), scale, why)
    return None


def broadcast(a: Size, b: Size) -> Size | None:
    """The size two aligned dims broadcast to, keeping a name where one has it; None where they disagree."""
    if not isinstance(a, Poly) and not isinstance(b, Poly):
        if a == b:
            return a if isinstance(a, NamedInt) else b
        return b if a == 1 else a if b == 1 else None
    if not isinstance(a, Poly) and a == 1:
        return b
    if not isinstance(b, Poly) and b == 1:
        return a
    if equal(a, b, "broadcasting"):
        return a if name_of(a) is not None or not isinstance(b, Poly) else b
    return None

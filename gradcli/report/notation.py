"""Formulas in mathematical notation, as text (`v̄1 ⊙ z`, `Σ_batch x`) and as LaTeX.

What both have in common is here: which operator has a sign of its own, and where brackets are needed. How signs are
written is up to a `Style`. Broadcasting is not written, as usual: an equation has the shape of what it defines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gradcli.ir.dims import known
from gradcli.ir.formula import Formula, Name, Number, Symbol, Term

# How tightly a formula holds together: `a + b` is loose, `f(x)` is not.
LOOSE, SUM, OVER, PRODUCT, POWER, ATOM = range(6)

Written = tuple[str, int]


class Style(Protocol):
    """How one kind of page writes what formulas are made of."""

    times: str  # between numbers
    each: str  # between arrays, element by element
    matrix: str  # between matrices
    minus: str
    becomes: str  # of what a loop carries
    indent: str
    words: Mapping[str, str]  # comparisons and logic

    def name(self, name: Name) -> str: ...
    def number(self, number: float, dtype: str) -> str: ...
    def bracket(self, text: str) -> str: ...
    def prose(self, text: str) -> str: ...
    def turns(self, count: int) -> str: ...
    def call(self, name: str, args: list[str]) -> str: ...
    def code(self, text: str) -> str: ...
    def quotient(self, top: Written, below: Written) -> Written: ...
    def power(self, base: str, exponent: str) -> str: ...
    def root(self, inner: Written) -> Written: ...
    def absolute(self, inner: str) -> str: ...
    def turned(self, inner: str) -> str: ...
    def over(self, sign: str, labels: tuple[str, ...]) -> str: ...
    def holds(self, condition: str) -> str: ...
    def index(self, inner: str, places: str) -> str: ...
    def placed(self, inner: str, places: str) -> str: ...
    def replaced(self, inner: str, places: str, part: str) -> str: ...


def write(formula: Formula, style: Style) -> str:
    """A formula as an equation's right side has it; a condition in the brackets that make a number of it."""
    text, level = _write(formula, style)
    return style.holds(text) if level == LOOSE and formula.aval.dtype == "bool" else text


def condition(formula: Formula, style: Style) -> str:
    """What must hold, without brackets."""
    return _write(formula, style)[0]


def spread(formula: Formula) -> tuple[Formula, str]:
    """A formula without the broadcast around it, and where its result then stands: `in every row`."""
    whole = formula.aval
    while isinstance(formula, Term) and formula.op == "broadcast_to":
        formula = formula.args[0]
    if whole.rank == 2 and isinstance(formula, Term) and formula.op == "reshape":
        (inner,) = formula.args
        if inner.aval.rank == 1 and formula.aval.shape[1] == 1:
            return inner, "in every column"
    shape = _own_shape(formula)
    if known(whole.size) == 1 or len(shape) == whole.rank:
        return formula, ""
    if all(size == 1 for size in shape):
        return formula, "in every element"
    return formula, "in every row" if whole.rank == 2 else ""


def _own_shape(formula: Formula) -> tuple[Any, ...]:
    """The shape of what is written, where broadcasts are not."""
    if isinstance(formula, Number):
        return ()
    if isinstance(formula, Term):
        if formula.op == "broadcast_to" or (formula.op == "reshape" and formula.aval.size == formula.args[0].aval.size):
            return _own_shape(formula.args[0]) if not _behind(formula.aval.shape) else formula.aval.shape
        if formula.op in ELEMENTWISE:
            return max((_own_shape(part) for part in formula.args), key=len)
    return formula.aval.shape


ELEMENTWISE = ("add", "sub", "mul", "div", "neg", "where", "exp", "log", "sin", "cos", "tanh", "square", "sqrt")


def _write(formula: Formula, style: Style) -> Written:
    match formula:
        case Symbol():
            return style.name(formula.name), ATOM
        case Number():
            return style.number(formula.number, formula.aval.dtype), ATOM if formula.number >= 0 else SUM
        case Term():
            rule = RULES.get(formula.op)
            made = None if rule is None else rule(formula, style)
            return made or _call(formula, style)


def _at_least(formula: Formula, level: int, style: Style) -> str:
    text, own = _write(formula, style)
    return text if own >= level else style.bracket(text)


# ── arithmetic ──────────────────────────────────────────────────────────────────────────────────────────────


def _add(term: Term, style: Style) -> Written:
    x, y = term.args
    left = _at_least(x, SUM, style)
    if isinstance(y, Term) and y.op == "neg":
        return f"{left} {style.minus} {_at_least(y.args[0], OVER, style)}", SUM
    if isinstance(y, Number) and y.number < 0:
        return f"{left} {style.minus} {style.number(-y.number, y.aval.dtype)}", SUM
    return f"{left} + {_at_least(y, SUM, style)}", SUM


def _sub(term: Term, style: Style) -> Written:
    x, y = term.args
    return f"{_at_least(x, SUM, style)} {style.minus} {_at_least(y, OVER, style)}", SUM


def _neg(term: Term, style: Style) -> Written:
    return f"{style.minus}{_at_least(term.args[0], OVER, style)}", SUM


def _mul(term: Term, style: Style) -> Written:
    x, y = term.args
    if isinstance(x, Symbol) and isinstance(y, Symbol) and x.name == y.name:
        return style.power(style.name(x.name), "2"), POWER
    if isinstance(y, Number) and not isinstance(x, Number):
        x, y = y, x
    left = _at_least(x, SUM if isinstance(x, Number) else PRODUCT, style)
    tight = PRODUCT + (_is_product(y) and not isinstance(x, Number))
    return f"{left} {_between(x, y, style)} {_at_least(y, tight, style)}", PRODUCT


def _between(x: Formula, y: Formula, style: Style) -> str:
    one = isinstance(x, Number) or isinstance(y, Number) or known(x.aval.size) == 1 or known(y.aval.size) == 1
    return style.times if one else style.each


def _is_product(formula: Formula) -> bool:
    inner = _shown(formula)
    return isinstance(inner, Term) and inner.op in ("mul", "matmul")


def _matmul(term: Term, style: Style) -> Written:
    x, y = term.args
    chained = isinstance(x, Term) and x.op == "matmul"
    left = _at_least(x, OVER if chained else PRODUCT + _is_each(x), style)
    right = _at_least(y, PRODUCT + _is_product(y), style)
    return f"{left}{style.matrix}{right}", OVER


def _is_each(formula: Formula) -> bool:
    """Whether it is a product element by element: beside a product of matrices either could be meant to come first."""
    inner = _shown(formula)
    return isinstance(inner, Term) and inner.op == "mul" and not any(known(x.aval.size) == 1 for x in inner.args)


def _shown(formula: Formula) -> Formula:
    """A formula without what is not written around it."""
    while isinstance(formula, Term) and formula.op in ("broadcast_to", "reshape"):
        formula = formula.args[0]
    return formula


def _div(term: Term, style: Style) -> Written:
    return style.quotient(_write(term.args[0], style), _write(term.args[1], style))


def _pow(term: Term, style: Style) -> Written:
    base = _at_least(term.args[0], ATOM, style)
    return style.power(base, _write(term.args[1], style)[0]), POWER


def _square(term: Term, style: Style) -> Written:
    return style.power(_at_least(term.args[0], ATOM, style), "2"), POWER


def _one_minus_square(term: Term, style: Style) -> Written:
    return f"1 {style.minus} {style.power(_at_least(term.args[0], ATOM, style), '2')}", SUM


def _reciprocal(term: Term, style: Style) -> Written:
    return style.quotient(("1", ATOM), _write(term.args[0], style))


def _sqrt(term: Term, style: Style) -> Written:
    return style.root(_write(term.args[0], style))


def _rsqrt(term: Term, style: Style) -> Written:
    return style.quotient(("1", ATOM), style.root(_write(term.args[0], style)))


def _abs(term: Term, style: Style) -> Written:
    return style.absolute(_write(term.args[0], style)[0]), ATOM


# ── conditions ──────────────────────────────────────────────────────────────────────────────────────────────


def _where(term: Term, style: Style) -> Written | None:
    """`[c] a` where the other choice is 0: Iverson's bracket, which makes even inf to 0; alone it is 1 or 0."""
    condition, x, y = term.args
    if not (isinstance(y, Number) and y.number == 0):
        return None
    if isinstance(x, Number) and x.number == 1:
        return style.holds(_write(condition, style)[0]), ATOM
    sign = style.times if known(term.aval.size) == 1 else style.each
    return f"{style.holds(_write(condition, style)[0])} {sign} {_at_least(x, PRODUCT, style)}", PRODUCT


def _compared(term: Term, style: Style) -> Written:
    x, y = (_at_least(part, SUM, style) for part in term.args)
    return f"{x} {style.words[term.op]} {y}", LOOSE


def _logic(term: Term, style: Style) -> Written:
    x, y = (_at_least(part, SUM, style) for part in term.args)
    return f"{x} {style.words[term.op]} {y}", LOOSE


def _not(term: Term, style: Style) -> Written:
    return f"{style.words['logical_not']} {_at_least(term.args[0], POWER, style)}", LOOSE


# ── shapes ──────────────────────────────────────────────────────────────────────────────────────────────────


def _over(sign: str) -> Callable[[Term, Style], Written]:
    def rule(term: Term, style: Style) -> Written:
        every = len(term.labels) == term.args[0].aval.rank
        named = not any(label.isdecimal() for label in term.labels)
        head = style.over(sign, term.labels if named or not every else ())
        if sign == "sum":
            return f"{head} {_at_least(term.args[0], OVER, style)}", OVER
        return f"{head}{style.bracket(_write(term.args[0], style)[0])}", ATOM

    return rule


def _transpose(term: Term, style: Style) -> Written | None:
    rank, axes = term.aval.rank, term.params["axes"]
    if tuple(axes) != (*range(rank - 2), rank - 1, rank - 2):
        return None
    return style.turned(_at_least(term.args[0], POWER, style)), POWER


def _broadcast(term: Term, style: Style) -> Written:
    return _write(term.args[0], style)


def _reshape(term: Term, style: Style) -> Written | None:
    """Nothing where dims of size 1 appear in front, go away, or stay after a reduction; else `x[:, None]`."""
    (inner,) = term.args
    old, new = inner.aval.shape, term.aval.shape
    if isinstance(inner, Term) and inner.op.startswith("reduce_"):
        kept = tuple(1 if k in inner.params["axes"] else n for k, n in enumerate(inner.args[0].aval.shape))
        if kept == new:
            return _write(inner, style)
    if [n for n in old if n != 1] != [n for n in new if n != 1]:
        return None
    if isinstance(inner, Term) and inner.op == "slice" and len(new) < len(old):
        return _slice(inner, style, drop=True)
    if known(term.aval.size) == 1 or _behind(new) <= _behind(old):
        return _write(inner, style)
    places = ", ".join("None" if n == 1 else ":" for n in new)
    return style.index(_at_least(inner, POWER, style), places), POWER


def _behind(shape: tuple[Any, ...]) -> int:
    """The dims of size 1 behind one that is larger, which keep what is broadcast from lining up."""
    large = [k for k, n in enumerate(shape) if n != 1]
    return sum(1 for k, n in enumerate(shape) if n == 1 and large and k > large[0])


def _slice(term: Term, style: Style, drop: bool = False) -> Written:
    places = items_text(term.params["items"], term.args[0].aval.shape, drop=drop)
    return style.index(_at_least(term.args[0], POWER, style), places), POWER


def _unslice(term: Term, style: Style) -> Written:
    places = items_text(term.params["items"], term.params["shape"], drop=True)
    return style.placed(_at_least(term.args[0], SUM, style), places), LOOSE


def _add_slice(term: Term, style: Style) -> Written:
    places = items_text(term.params["items"], term.args[0].aval.shape, drop=True)
    part = style.bracket(style.placed(_at_least(term.args[1], SUM, style), places))
    return f"{_at_least(term.args[0], SUM, style)} + {part}", SUM


def _update_slice(term: Term, style: Style) -> Written:
    x, part = (_at_least(inner, SUM, style) for inner in term.args)
    return style.replaced(x, items_text(term.params["items"], term.args[0].aval.shape, drop=True), part), LOOSE


def items_text(items: Any, shape: Any, *, drop: bool = False) -> str:
    """`0, 1:3` of starts, counts and steps."""
    texts = [_item(start, count, step, size, drop) for (start, count, step), size in zip(items, shape, strict=True)]
    while len(texts) > 1 and texts[-1] == ":":
        texts.pop()
    return ", ".join(texts)


def _item(start: Any, count: Any, step: int, size: Any, drop: bool) -> str:
    if (start, count, step) == (0, size, 1):
        return ":"
    if drop and count == 1:
        return str(start)
    stop = start + count * step
    shown = "" if stop == size or (isinstance(stop, int) and stop < 0) else str(stop)
    return f"{start or ''}:{shown}" if step == 1 else f"{start}:{shown}:{step}"


def _gather(term: Term, style: Style) -> Written:
    return style.index(_at_least(term.args[0], POWER, style), _gathered(term, term.args[1:], style)), POWER


def _scatter(term: Term, style: Style) -> Written:
    inner = _at_least(term.args[0], SUM, style)
    return style.placed(inner, _gathered(term, term.args[1:], style)), LOOSE


def _scatter_add(term: Term, style: Style) -> Written:
    x, part, *index = term.args
    placed = style.placed(_at_least(part, SUM, style), _gathered(term, tuple(index), style))
    return f"{_at_least(x, SUM, style)} + {style.bracket(placed)}", SUM


def _gathered(term: Term, index: tuple[Formula, ...], style: Style) -> str:
    by_axis = dict(zip(term.params["axes"], (_write(part, style)[0] for part in index), strict=True))
    return ", ".join(by_axis.get(axis, ":") for axis in range(max(by_axis) + 1))


# ── all else ────────────────────────────────────────────────────────────────────────────────────────────────


def _size(term: Term, style: Style) -> Written:
    return style.code(str(term.params["size"])), ATOM


def _cast(term: Term, style: Style) -> Written:
    if term.args[0].aval.dtype == "bool":
        return style.holds(_write(term.args[0], style)[0]), ATOM
    if not term.args[0].aval.is_float:  # a number is a number
        return _write(term.args[0], style)
    return style.call(str(term.params["dtype"]), [_write(term.args[0], style)[0]]), ATOM


def _constant(term: Term, style: Style) -> Written:
    from gradcli.ir.text import constant_text

    return style.code(constant_text(term.aval, term.params["data"])), ATOM


def _call(term: Term, style: Style) -> Written:
    from gradcli.ir.text import param_text

    shown = {name: value for name, value in term.params.items() if name != "out"}
    args = [_write(part, style)[0] for part in term.args]
    args += [style.code(param_text((name, value))) for name, value in shown.items()]
    made = style.call(term.op, args)
    return (style.index(made, str(term.params["out"])), POWER) if "out" in term.params else (made, ATOM)


RULES: dict[str, Callable[[Term, Style], Written | None]] = {
    "add": _add, "sub": _sub, "neg": _neg, "mul": _mul, "matmul": _matmul, "div": _div, "pow": _pow,
    "square": _square, "one_minus_square": _one_minus_square, "reciprocal": _reciprocal, "sqrt": _sqrt,
    "rsqrt": _rsqrt, "abs": _abs, "where": _where, "logical_and": _logic, "logical_or": _logic, "logical_not": _not,
    "reduce_sum": _over("sum"), "reduce_max": _over("max"), "reduce_min": _over("min"), "transpose": _transpose,
    "broadcast_to": _broadcast, "reshape": _reshape, "slice": _slice, "unslice": _unslice, "add_slice": _add_slice,
    "update_slice": _update_slice, "gather": _gather, "scatter_zeros": _scatter, "scatter_add": _scatter_add,
    "dim_size": _size, "cast": _cast, "constant": _constant,
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"), _compared),
}  # fmt: skip

"""`einsum("ij,jk->ik", a, b)`: a sum of products, said by a letter for each dim.

It is elaborated into operators that exist, two operands at a time, so all derivatives follow:

- a letter twice in one operand: its diagonal;
- a letter of one operand only that the result lacks: a sum;
- two operands: a matrix product over the letters that they share and nobody else needs, `[batch…, left, inner] @
  [batch…, inner, right]`, with letters that they share and are still needed in front; a plain product where nothing is
  summed.

The next two operands are those whose product is smallest, less what it replaces; so a chain of matrices is not
contracted by way of a large array. `...` are leading dims, which broadcast; a letter has one size wherever it stands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, indexing
from gradcli.interp.dtypes import WEAK_INT, rank_of, settle
from gradcli.interp.matrices import diagonal
from gradcli.interp.scope import Frame
from gradcli.interp.signature import OPERATORS, SURFACES, Site, Surface
from gradcli.interp.values import Arr, counted
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Size, name_of
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import fail

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

MOST = 64  # operands
TYPICAL = 64  # what a size without a number counts, when the order of products is chosen

Label = str | int  # a letter; -1, -2, … for the dims of `...`, from the last


@record
class Term:
    """An operand, a label for each of its dims."""

    arr: Arr
    labels: tuple[Label, ...]

    def sizes(self, labels: Iterable[Label]) -> tuple[Size, ...]:
        return tuple(self.arr.dims[self.labels.index(label)] for label in labels)


def _handler(ctx: Elaborator, frame: Frame, node: ast.Call, args: list[Any], kw: dict[str, Any]) -> Arr:
    if kw or len(args) < 2:
        raise fail("NAM020", "einsum takes a spec and one array or more", node.span, help=f"`{SIGNATURE}`")
    if not isinstance(args[0], str):
        raise ShapeError("SHP203", "the spec of einsum is a text", (0,), '`einsum("ij,jk->ik", a, b)`')
    site = Site(ctx, frame, node)
    return _einsum(site, args[0], [site.arr(arg) for arg in args[1:]])


SIGNATURE = "einsum(spec, x, y, …)"
OPERATORS["einsum"] = _handler
SURFACES["einsum"] = Surface(
    "einsum",
    SIGNATURE,
    "linear algebra",
    'The sum of products that the spec says: `"ij,jk->ik"` is a matrix product, `"ii"` a trace, `"i,j->ij"` an outer '
    "product. `...` stands for leading dims, which broadcast.",
)


def _einsum(site: Site, spec: str, operands: list[Arr]) -> Arr:
    texts, result = _read(spec, len(operands))
    dtype, weak = settle(max(WEAK_INT, *map(rank_of, operands)), site.ctx.weak_float)
    labels = [_labels(text, arr, k) for k, (text, arr) in enumerate(zip(texts, operands, strict=True), 1)]
    wanted = _result(result, labels)
    size_of = _sizes(operands, labels)
    terms = []
    for arr, own in zip(operands, labels, strict=True):
        term = Term(arrays.settle_arr(site.ctx, arr, dtype, weak=weak), own)
        terms.append(_with_diagonals(site, _without_stretched(site, term, size_of)))
    out = _contracted(site, terms, wanted, size_of)
    order = tuple(out.labels.index(label) for label in wanted)
    turned = indexing.transpose(site.ctx, out.arr, order)
    dims = [sizes.named(size, name_of(size_of[label])) for size, label in zip(turned.dims, wanted, strict=True)]
    return Arr(turned.value, tuple(dims), weak)


# ── the spec ────────────────────────────────────────────────────────────────────────────────────────────────


def _read(spec: str, count: int) -> tuple[list[str], str | None]:
    """The texts of the operands and of the result. Raises ShapeError SHP203."""
    text = "".join(spec.split())
    left, arrow, right = text.partition("->")
    texts = left.split(",")
    for part in (*texts, right):
        odd = re.search(r"[^A-Za-z]", part.replace("...", "", 1))
        if odd is not None:
            raise ShapeError(
                "SHP203", f'`{odd[0]}` in "{spec}" is neither a letter nor `...`, once for each operand', (0,)
            )
    if len(texts) != count:
        raise ShapeError("SHP203", f'"{spec}" is about {counted(len(texts), "operand")}, not {count}', (0,))
    if count > MOST:
        raise ShapeError("SHP203", f"einsum of {count} operands; at most {MOST} are possible", (0,))
    return texts, right if arrow else None


def _labels(text: str, arr: Arr, operand: int) -> tuple[Label, ...]:
    """A label for each dim of an operand. Raises ShapeError SHP107."""
    letters = text.replace("...", "")
    more = arr.rank - len(letters)
    if more < 0 or (more and "..." not in text):
        raise ShapeError("SHP107", f'"{text}" has {counted(len(letters), "letter")}, the operand is {arr}', (operand,))
    before = text.partition("...")[0]
    return (*before, *range(-more, 0), *letters[len(before) :])


def _result(text: str | None, operands: Sequence[tuple[Label, ...]]) -> tuple[Label, ...]:
    """The labels of the result; without `->` those that stand once, in the order of the alphabet.

    Raises ShapeError SHP203 for letters that no operand has, letters that stand twice, and leading dims left out.
    """
    given = [label for labels in operands for label in labels]
    leading = sorted({label for label in given if isinstance(label, int)})
    if text is None:
        return (*leading, *sorted(label for label in set(given) if isinstance(label, str) and given.count(label) == 1))
    letters = text.replace("...", "")
    for letter in letters:
        if letter not in given:
            raise ShapeError("SHP203", f"no operand has the letter `{letter}` of the result", (0,))
        if letters.count(letter) > 1:
            raise ShapeError("SHP203", f"the result has the letter `{letter}` twice", (0,))
    if leading and "..." not in text:
        raise ShapeError("SHP203", "the result has no `...` for the leading dims of the operands", (0,))
    before = text.partition("...")[0]
    return (*before, *leading, *letters[len(before) :])


def _sizes(operands: Sequence[Arr], labels: Sequence[tuple[Label, ...]]) -> dict[Label, Size]:
    """The size of each label, with a name where an operand has one. Raises ShapeError SHP204 or SHP101."""
    found: dict[Label, tuple[Size, int]] = {}
    for k, (arr, own) in enumerate(zip(operands, labels, strict=True), 1):
        for label, size in zip(own, arr.dims, strict=True):
            before, first = found.setdefault(label, (size, k))
            both = sizes.broadcast(before, size) if isinstance(label, int) else _equal(before, size)
            if both is None:
                raise _disagreement(label, before, size, tuple(dict.fromkeys((first, k))))
            found[label] = both, first
    return {label: size for label, (size, _) in found.items()}


def _disagreement(label: Label, before: Size, size: Size, operands: tuple[int, ...]) -> ShapeError:
    if isinstance(label, int):
        return ShapeError("SHP101", f"leading dims do not broadcast: {before} against {size}", operands)
    return ShapeError("SHP204", f"the letter `{label}` has the sizes {before} and {size}", operands)


def _equal(before: Size, size: Size) -> Size | None:
    if not sizes.equal(before, size, "einsum"):
        return None
    return size if name_of(before) is None else before


# ── one operand ─────────────────────────────────────────────────────────────────────────────────────────────


def _without_stretched(site: Site, term: Term, size_of: dict[Label, Size]) -> Term:
    """Without the leading dims of size 1 that another operand has at full size: a product restores them."""
    kept = [
        k
        for k, (label, size) in enumerate(zip(term.labels, term.arr.dims, strict=True))
        if not isinstance(label, int) or size != 1 or size_of[label] == 1
    ]
    arr = indexing.reshape(site.ctx, term.arr, tuple(term.arr.dims[k] for k in kept))
    return Term(arr, tuple(term.labels[k] for k in kept))


def _with_diagonals(site: Site, term: Term) -> Term:
    """Each label once."""
    while len(set(term.labels)) < len(term.labels):
        label = next(label for label in term.labels if term.labels.count(label) > 1)
        first = term.labels.index(label)
        second = term.labels.index(label, first + 1)
        rest = tuple(own for k, own in enumerate(term.labels) if k not in (first, second))
        term = Term(diagonal(site, term.arr, 0, first, second), (*rest, label))
    return term


def _summed(site: Site, term: Term, uses: Counter[Label]) -> Term:
    """Summed over what nobody else uses."""
    axes = tuple(k for k, label in enumerate(term.labels) if uses[label] == 1)
    if not axes:
        return term
    arr = arrays.emit(site.ctx, primitive("reduce_sum"), [term.arr], {"axes": axes})
    return Term(arr, tuple(label for label in term.labels if uses[label] > 1))


# ── two operands ────────────────────────────────────────────────────────────────────────────────────────────


def _contracted(site: Site, terms: list[Term], wanted: Sequence[Label], size_of: dict[Label, Size]) -> Term:
    """One operand with the labels `wanted`, in some order."""
    while True:
        uses = Counter([*wanted, *(label for term in terms for label in term.labels)])
        terms = [_summed(site, term, uses) for term in terms]
        if len(terms) == 1:
            return terms[0]
        one, two = min(combinations(terms, 2), key=lambda pair: _price(pair[0], pair[1], uses, size_of))
        made = _product(site, one, two, _needed(one, two, uses))
        terms = [*(term for term in terms if term is not one and term is not two), made]


def _needed(one: Term, two: Term, uses: Counter[Label]) -> set[Label]:
    """The labels of two operands that the result has, or a third operand."""
    return {
        label for label in (*one.labels, *two.labels) if uses[label] > (label in one.labels) + (label in two.labels)
    }


def _price(one: Term, two: Term, uses: Counter[Label], size_of: dict[Label, Size]) -> tuple[int, int]:
    """How large the product is, less what it replaces; then what it costs."""

    def volume(labels: Iterable[Label]) -> int:
        return prod(TYPICAL if (size := sizes.known(size_of[label])) is None else size for label in labels)

    larger = volume(_needed(one, two, uses)) - volume(one.labels) - volume(two.labels)
    return larger, volume({*one.labels, *two.labels})


def _product(site: Site, one: Term, two: Term, needed: set[Label]) -> Term:
    """The product of two operands, summed over the labels that both have and nobody needs.

    Where no rows and columns are left, a product of matrices would be one of numbers: then elements are multiplied.
    """
    shared = [label for label in one.labels if label in two.labels]
    batch = [label for label in shared if label in needed]
    inner = [label for label in shared if label not in needed]
    left = [label for label in one.labels if label not in shared]
    right = [label for label in two.labels if label not in shared]
    lead = [[label] for label in batch]
    if inner and (left or right or not batch):
        a = _arranged(site, one, [*lead, left, inner])
        b = _arranged(site, two, [*lead, inner, right])
        out = arrays.emit(site.ctx, primitive("matmul"), [a, b])
    else:
        last = [inner] if inner else []
        a = _arranged(site, one, [*lead, left, [], *last])
        b = _arranged(site, two, [*lead, [], right, *last])
        out = arrays.emit(site.ctx, primitive("mul"), [a, b])
        if inner:
            out = arrays.emit(site.ctx, primitive("reduce_sum"), [out], {"axes": (out.rank - 1,)})
    dims = (*out.dims[: len(batch)], *one.sizes(left), *two.sizes(right))
    return Term(indexing.reshape(site.ctx, out, dims), (*batch, *left, *right))


def _arranged(site: Site, term: Term, groups: Sequence[Sequence[Label]]) -> Arr:
    """An operand with one dim for each group of labels."""
    order = tuple(term.labels.index(label) for group in groups for label in group)
    turned = indexing.transpose(site.ctx, term.arr, order)
    merged = [own[0] if len(own := term.sizes(group)) == 1 else sizes.product(own) for group in groups]
    return indexing.reshape(site.ctx, turned, tuple(merged))

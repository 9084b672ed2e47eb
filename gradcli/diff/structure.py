"""What changed in the text of a model: nets, inputs, params, consts and dims by name, and lines by what they compute.

Lines of two versions of a net are paired: inputs, params and layers by name, all others where their skeletons are the
longest common sequence (`difflib`), and what stands between those in order. A pair is the same line where the skeletons
are equal and every local name in it means the result of a paired line; so a line that changed does not make changes
of those that read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from gradcli.diff.normal import Line, lines_of, references, tokens
from gradcli.facts.differences import Change
from gradcli.interp.scope import Scope
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Span

Pair = tuple[Line | None, Line | None]
SMALL = 5_000  # characters of an expression in which the part that changed is looked for
CONTEXT = {"statics": "other static parameters", "result": "another type", "net": "another name"}


def changes_of_net(name: str, left: ast.Net, right: ast.Net) -> list[Change]:
    """The lines that differ, in the order of the new version; empty where only formatting and local names do."""
    before, after = lines_of(left), lines_of(right)
    pairs = [*paired(before, after)]
    meaning = _meaning(pairs)
    found = [change for a, b in pairs if (change := _change(name, a, b, meaning)) is not None]
    if not found and [each.name.id for each in left.inputs] != [each.name.id for each in right.inputs]:
        found.append(Change("changed", "inputs", name, "", "another order", left.name.span, right.name.span))
    return found


def _meaning(pairs: Iterable[Pair]) -> dict[int, int]:
    """The number on the right of each local name on the left: dims by where inputs first name them, all else by what
    binds it. Two names on one side are never one on the other."""
    meaning = {-1: -1}
    for a, b in pairs:
        if a is None or b is None:
            continue
        if a.key is not None and a.skeleton == b.skeleton:
            for one, two in zip(references(a), references(b), strict=True):
                if one not in meaning and two not in meaning.values():
                    meaning[one] = two
        meaning |= dict(zip(a.binds, b.binds, strict=False))
    return meaning


# ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────────


def paired(before: Sequence[Line], after: Sequence[Line]) -> Iterator[Pair]:
    """Every line of both, each once; those without a counterpart alone."""
    mine, theirs = ({line.key: line for line in lines if line.key} for lines in (before, after))
    for key in dict.fromkeys((*mine, *theirs)):
        yield mine.get(key), theirs.get(key)
    left = [line for line in before if line.key is None]
    right = [line for line in after if line.key is None]
    matcher = SequenceMatcher(None, [x.skeleton for x in left], [x.skeleton for x in right], autojunk=False)
    for op, i, j, k, m in matcher.get_opcodes():
        if op == "equal":
            yield from zip(left[i:j], right[k:m], strict=True)
        else:
            yield from _between(left[i:j], right[k:m])


def _between(left: Sequence[Line], right: Sequence[Line]) -> Iterator[Pair]:
    """Lines that have no equal: each beside the one that is most alike among those that are left, in order."""
    rest = list(right)
    for line in left:
        alike = [_likeness(line, other) for other in rest]
        best = max(range(len(rest)), key=lambda k: alike[k], default=-1)
        if best < 0 or alike[best] < 0.3:
            yield line, None
            continue
        for other in rest[:best]:
            yield None, other
        yield line, rest[best]
        rest = rest[best + 1 :]
    for other in rest:
        yield None, other


def _likeness(left: Line, right: Line) -> float:
    """From 0 to 1; lines of another kind, a loop's head beside a statement, are not alike."""
    if left.kind.split()[0] != right.kind.split()[0] or _binds(left) != _binds(right):
        return 0.0
    return 0.31 + SequenceMatcher(None, left.skeleton[1:], right.skeleton[1:], autojunk=False).quick_ratio()


def _binds(line: Line) -> bool:
    return bool(line.binds)


# ── one line ────────────────────────────────────────────────────────────────────────────────────────────────


def _change(net: str, left: Line | None, right: Line | None, meaning: Mapping[int, int]) -> Change | None:
    if left is None or right is None:
        line = left or right
        assert line is not None
        if line.kind == "end":
            return None
        if right is None:
            return Change("removed", _what(line), net, line.name, "", line.span, None)
        return Change("added", _what(line), net, line.name, "", None, line.span)
    if left.kind == "end" or _same(left, right, meaning) or _follows(left, right, meaning):
        return None
    one, two, message = _narrow(left, right, meaning)
    return Change("changed", _what(left), net, left.name, message, one, two)


def _what(line: Line) -> str:
    return line.kind if line.key or line.kind in ("statics", "net") else "line"


def _same(left: Line, right: Line, meaning: Mapping[int, int]) -> bool:
    return left.skeleton == right.skeleton and [meaning.get(n) for n in references(left)] == list(references(right))


def _follows(left: Line, right: Line, meaning: Mapping[int, int]) -> bool:
    """Whether lines that are spelt alike differ only by what a line means that one side has: that is told of once."""
    if left.skeleton != right.skeleton or _spelt(left) != _spelt(right):
        return False
    paired_right = set(meaning.values())
    pairs = zip(references(left), references(right), strict=True)
    return all(meaning.get(a) == b or a not in meaning or b not in paired_right for a, b in pairs)


def _spelt(line: Line) -> list[Any]:
    return [token for part in line.parts for token in tokens(part, {})]


def _narrow(left: Line, right: Line, meaning: Mapping[int, int]) -> tuple[Span, Span, str]:
    """The smallest part that holds the whole change, on both sides, and what it is."""
    parts = [*zip(left.parts, right.parts, strict=False)]
    different = [pair for pair in parts if not _equal(*pair, left, right, meaning)]
    if len(left.parts) != len(right.parts) or len(different) != 1:
        carried = not different and left.skeleton == right.skeleton
        usual = "the loop carries another value" if carried else "another expression"
        return left.span, right.span, CONTEXT.get(left.kind, usual)
    one, two = different[0]
    message = _message(left, right, one)
    while len(one.span.text) < SMALL and len(two.span.text) < SMALL:
        below = _only_difference(one, two, left, right, meaning)
        if below is None:
            break
        one, two = below
    return one.span, two.span, message


def _message(line: Line, other: Line, part: Any) -> str:
    if isinstance(part, ast.Type):
        return "another type"
    if line.skeleton == other.skeleton:
        return "another value is read"
    return {"param": "another initial value", "input": "another default"}.get(line.kind, "another expression")


def _only_difference(one: Any, two: Any, left: Line, right: Line, meaning: Mapping[int, int]) -> tuple[Any, Any] | None:
    """The one pair of parts that differs; None where more than one does, or the operators do."""
    if id(one) in left.refs or id(two) in right.refs or type(one) is not type(two):
        return None
    above, beside = next(iter(tokens(one, left.refs))), next(iter(tokens(two, right.refs)))
    if above != beside:
        return None
    different = [
        pair
        for pair in zip(ast.children(one), ast.children(two), strict=True)
        if not _equal(*pair, left, right, meaning)
    ]
    return different[0] if len(different) == 1 else None


def _equal(one: Any, two: Any, left: Line, right: Line, meaning: Mapping[int, int]) -> bool:
    a = [meaning.get(token) if isinstance(token, int) else token for token in tokens(one, left.refs)]
    return a == [*tokens(two, right.refs)]


# ── a file ──────────────────────────────────────────────────────────────────────────────────────────────────


def scopes(main: Scope) -> dict[str, Scope]:
    """The file and those that it imports, each by what its names begin with: ``, `layers.`."""
    found: dict[str, Scope] = {"": main}
    work = [("", main)]
    seen = {id(main)}
    while work:
        prefix, scope = work.pop(0)
        for alias, (_, inner) in scope.imports.items():
            if id(inner) not in seen:
                seen.add(id(inner))
                found[f"{prefix}{alias}."] = inner
                work.append((f"{prefix}{alias}.", inner))
    return found


def nets_of(main: Scope) -> dict[str, tuple[Scope, ast.Net]]:
    """Every net of a file and of those that it imports, `layers.Dense`."""
    return {
        f"{prefix}{name}": (scope, net) for prefix, scope in scopes(main).items() for name, net in scope.nets.items()
    }


def changes_of_items(left: Scope, right: Scope) -> list[Change]:
    """Consts, dims and the data of inputs that differ."""
    found: list[Change] = []
    before, after = scopes(left), scopes(right)
    for what in ("const", "dim"):
        found += _items(what, _named(before, f"{what}s"), _named(after, f"{what}s"))
    return [*found, *_items("input", left.inputs, right.inputs)]


def _named(every: Mapping[str, Scope], what: str) -> dict[str, Any]:
    return {f"{prefix}{name}": item for prefix, scope in every.items() for name, item in getattr(scope, what).items()}


def _items(what: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterable[Change]:
    for name in dict.fromkeys((*left, *right)):
        a, b = left.get(name), right.get(name)
        if a is None or b is None:
            yield Change("added" if a is None else "removed", what, "", name, "", a and a.span, b and b.span)
            continue
        typed = [getattr(item, "type", None) for item in (a, b)]
        if _texts(typed[0]) != _texts(typed[1]):
            yield Change("changed", what, "", name, "another type", a.span, b.span)
        elif _texts(a.value) != _texts(b.value):
            message = "other data" if what == "input" else "another value"
            yield Change("changed", what, "", name, message, (a.value or a).span, (b.value or b).span)


def _texts(tree: Any) -> list[Any] | None:
    return None if tree is None else [*tokens(tree, {})]

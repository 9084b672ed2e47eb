"""What `diff` prints: a summary, then what changed in the text with excerpts of both sides, then a table of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from gradcli.facts.differences import Change, Difference, Unlike
from gradcli.report.diagnostics import render_places
from gradcli.report.forms import place_of
from gradcli.report.layout import Grid, without_columns
from gradcli.report.signs import paint, whole_words
from gradcli.syntax.diagnostics import Diagnostic, Label, Span

WIDTH = 76  # of a line of the summary
SHOWN = 50  # differences of each kind that are told of
KINDS = {"value": "value", "input": "gradient", "param": "gradient", "array": "array"}
MOST_DIGITS, FEWEST_DIGITS = 16, 3
GAP = 2
FIRST_TO_GO = ("of it", "ulps", "off by")  # columns that a narrow terminal does without
TITLES = ("", "left", "right", "at", "off by", "of it", "ulps", "differ")


def difference_text(found: Difference, *, color: bool, quiet: bool = False, width: int = 0) -> str:
    """The whole page; with `quiet` nothing where both sides agree. A table is no wider than `width`, if that is given
    and as far as numbers and columns can be spared."""
    if quiet and found.equal:
        return ""
    head = f"{found.left} and {found.right} {'agree' if found.equal else 'differ'}"
    lines = [line for text in _summary(found) for line in wrap(whole_words(text), WIDTH, subsequent_indent=" " * 4)]
    parts = ["\n".join([paint(whole_words(head), "bold", color=color), *(f"  {line}" for line in lines)]) + "\n"]
    parts += [_change(change, color) for change in (found.changes or ())[:SHOWN]]
    parts += _more(found.changes or ())
    if found.unlike:
        parts.append(_table(found.unlike[:SHOWN], width))
        parts += _more(found.unlike)
    return "\n".join(parts)


def _summary(found: Difference) -> list[str]:
    lines = []
    if found.changes is not None:
        lines.append(f"{_counted(found.nets, 'net')}: {_text_of_changes(found.changes)}")
    if found.unlike is not None:
        counts = [kind for kind in ("value", "gradient", "array") if any(KINDS[u.kind] == kind for u in found.unlike)]
        different = [_counted(sum(KINDS[u.kind] == kind for u in found.unlike), kind) for kind in counts]
        what = "array" if found.kind == "stored" else "value and gradient"
        verdict = (
            f"{' and '.join(different)} differ{'s' if len(found.unlike) == 1 else ''}" if different else "all agree"
        )
        lines.append(f"{_counted(found.arrays, what)}: {verdict}")
    else:
        lines.append("numbers were not compared")
    return [*lines, *found.notes]


def _text_of_changes(changes: Sequence[Change]) -> str:
    """`1 line changed, 2 params added`"""
    counts: dict[tuple[str, str], int] = {}
    for change in changes:
        counts[change.what, change.kind] = counts.get((change.what, change.kind), 0) + 1
    return ", ".join(f"{_counted(n, what)} {kind}" for (what, kind), n in counts.items()) or "nothing changed"


def _change(change: Change, color: bool) -> str:
    places = render_places((change.left, change.right), color=color)
    return f"{paint(whole_words(_title(change)), 'bold', color=color)}\n{places}"


def _title(change: Change) -> str:
    """`line changed in net Net: another expression`"""
    where = f" in net {change.net}" if change.net else ""
    name = f" {change.name}" if change.name else ""
    return f"{change.what}{name} {change.kind}{where}{f': {change.message}' if change.message else ''}"


def _more(found: Sequence[Any]) -> list[str]:
    return [f"… and {len(found) - SHOWN:_} more\n"] if len(found) > SHOWN else []


def _table(found: Sequence[Unlike], width: int) -> str:
    """One line for each array; what has no numbers to show says why in words below."""
    known = [each for each in found if each.worst is not None]
    lines = []
    if known:
        lines = [("  " + (" " * GAP).join(cells)).rstrip() for cells in _fitting(known, width).lines()]
    lines += [f"  {_name(each)}: {each.message}" for each in found if each.worst is None]
    return "".join(f"{line}\n" for line in lines)


def _fitting(found: Sequence[Unlike], width: int) -> Grid:
    """With fewer digits where the terminal is too narrow, as long as the two numbers differ; then without columns."""
    for digits in (0, *range(MOST_DIGITS, FEWEST_DIGITS - 1, -1)):
        made = Grid(TITLES, tuple(tuple((cell,) for cell in _cells(each, digits)) for each in found))
        if not width or made.width(GAP) <= width:
            return made
    return without_columns(made, width, FIRST_TO_GO, GAP)


def _name(each: Unlike) -> str:
    """`value out`, `gradient by w`, and of a stored result the name of the array."""
    kind = {"value": "value ", "input": "by ", "param": "by ", "array": ""}[each.kind]
    return whole_words(f"{kind}{each.name}") or "the array"


def _cells(each: Unlike, digits: int) -> tuple[str, ...]:
    worst = each.worst
    assert worst is not None
    return (
        _name(each),
        *_told_apart(worst.left, worst.right, digits),
        worst.at.removeprefix(" at ") or "·",
        f"{worst.absolute:.3g}",
        f"{worst.relative:.2g}",
        worst.steps,
        f"{worst.count}/{worst.size}",
    )


def _told_apart(left: str, right: str, digits: int) -> tuple[str, str]:
    """Two numbers with so many digits, 0 for all, or as many more as tell them apart; texts that are none stay."""
    for count in range(digits, MOST_DIGITS + 1) if digits else ():
        short, other = (_rounded(number, count) for number in (left, right))
        if short != other:
            return short, other
    return left, right


def _rounded(text: str, digits: int) -> str:
    """The shorter of the text and its number with so many digits."""
    try:
        return min(text, f"{float(text):.{digits}g}", key=len)
    except ValueError:
        return text


def _counted(count: int, name: str) -> str:
    """`1 line`, `2 values and gradients`, `2 statics`"""
    plural = " and ".join(part if part.endswith("s") else f"{part}s" for part in name.split(" and "))
    return f"{count} {name if count == 1 else plural}"


# ── findings ────────────────────────────────────────────────────────────────────────────────────────────────


def difference_findings(found: Difference) -> list[Diagnostic]:
    """One for each difference, at its place in B, and the place in A beside it."""
    return [*map(_finding_of_change, found.changes or ()), *map(_finding_of_array, found.unlike or ())]


def _finding_of_change(change: Change) -> Diagnostic:
    return _finding("NUM041", _title(change), change.left, change.right)


def _finding_of_array(each: Unlike) -> Diagnostic:
    worst = each.worst
    if worst is None:
        return _finding("NUM040", f"{_name(each)}: {each.message}", each.left, each.right)
    said = f"{_name(each)}: {worst.left} became {worst.right}{worst.at}; {worst.share}"
    return _finding("NUM040", said, each.left, each.right, f"{worst.distance}; allowed: {worst.allowed}")


def _finding(code: str, said: str, left: Span | None, right: Span | None, *notes: str) -> Diagnostic:
    label = "only here" if left is None or right is None else ""
    others = (Label(left, "before"),) if left is not None and right is not None else ()
    return Diagnostic(code, said, right or left, label if right or left else "", others, notes)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────


def difference_json(found: Difference) -> str:
    """The document of `diff`, schema `gradcli.diff/1`."""
    from gradcli.report.document import text

    document = {
        "schema": "gradcli.diff/1",
        "kind": found.kind,
        "left": found.left,
        "right": found.right,
        "equal": found.equal,
        "net": found.net or None,
        "nets": found.nets,
        "arrays": found.arrays,
        "changes": None if found.changes is None else [_change_json(change) for change in found.changes],
        "differences": None if found.unlike is None else [_unlike_json(each) for each in found.unlike],
        "notes": [*found.notes],
    }
    return "{" + ",\n ".join(f"{text(key)}: {_json(value)}" for key, value in document.items()) + "}\n"


def _json(value: Any) -> str:
    from gradcli.report.document import list_of, text

    return list_of(map(text, value)) if isinstance(value, list) else text(value)


def _change_json(change: Change) -> dict[str, Any]:
    named = {name: getattr(change, name) for name in ("kind", "what", "net", "name", "message")}
    return named | {"left": _side(change.left), "right": _side(change.right)}


def _side(span: Any) -> dict[str, Any] | None:
    return None if span is None else place_of(span) | {"text": span.text}


def _unlike_json(each: Unlike) -> dict[str, Any]:
    worst = each.worst
    numbers = None
    if worst is not None:
        numbers = {
            "index": [*worst.index],
            "left": worst.left,
            "right": worst.right,
            "absolute": _finite(worst.absolute),
            "relative": _finite(worst.relative),
            "ulps": worst.ulps,
            "count": worst.count,
            "size": worst.size,
            "rtol": worst.allowed.rtol,
            "atol": worst.allowed.atol,
        }
    places = {"left": _side(each.left), "right": _side(each.right)}
    return {"name": each.name, "kind": each.kind, "message": each.message, "worst": numbers, **places}


def _finite(number: float) -> float | str:
    """JSON has no nan and no inf."""
    return number if abs(number) < float("inf") else str(number)

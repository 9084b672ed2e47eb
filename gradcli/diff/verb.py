"""`diff`: two models, by their text and by what they compute, or two stored results, by name.

Two nets are the same where their lines are (`structure`), or where both compute the same graph for all sizes.
Their numbers are compared on the same data: what the command line gives, else what the first model gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradcli.data.files import printable
from gradcli.diff.closeness import compare_arrays
from gradcli.diff.revisions import at_revision
from gradcli.diff.structure import changes_of_items, changes_of_net, nets_of
from gradcli.engine import Machine
from gradcli.facts.differences import Change, Difference, Part, Tolerance, Unlike
from gradcli.interp.program import Feed, Prepared, Program
from gradcli.interp.symbolic import Proved, prove
from gradcli.ir.fingerprint import Table, fingerprint
from gradcli.opening import machine_of, open_program, read_feeds, read_params
from gradcli.record import replace
from gradcli.request import Entry, ModelFile, Request, Result
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Span, fail

SUFFIXES = (".npz", ".npy", ".safetensors", ".json", ".csv")


def diff(left: str, right: str, request: Request, tolerance: Tolerance, part: Part) -> Difference:
    """Two arguments of the command line. Raises ModelError USE005 for a model beside a stored result."""
    one, two = model_of(left), model_of(right)
    if (one is None) != (two is None):
        raise fail("USE005", f"`{left}` and `{right}` are not of one kind", help="two models, or two stored results")
    if one is None or two is None:
        return diff_stored(left, right, tolerance)
    return diff_models(one, two, request, tolerance, part)


def diff_models(left: ModelFile, right: ModelFile, request: Request, tolerance: Tolerance, part: Part) -> Difference:
    """Raises ModelError where a model is refused, and DAT101 where there is no data to compare numbers on."""
    before, after = open_program(left, request), open_program(right, request)
    changes, notes, count = (None, (), 0) if part == "numbers" else structure(before, after, request.net)
    names = before.scope.source.name, after.scope.source.name
    if part == "structure":
        return Difference(*names, "models", "", count, 0, changes, None, notes)
    one = _run(left, before, request, {})
    try:
        two = _run(right, after, request, _data_of(before))
    except ModelError:
        two = _run(right, after, request, {})
        notes = (*notes, f"{names[1]} was run on its own data, as those of {names[0]} do not fit")
    arrays = max(len(one.arrays), len(two.arrays))
    return Difference(*names, "models", one.net, count, arrays, changes, unlike_results(one, two, tolerance), notes)


# ── structure ───────────────────────────────────────────────────────────────────────────────────────────────


def structure(
    before: Program, after: Program, only: str | None = None
) -> tuple[tuple[Change, ...], tuple[str, ...], int]:
    """What changed in the text, what is only written differently, and how many nets were compared."""
    left, right = nets_of(before.scope), nets_of(after.scope)
    if only is not None:
        before.entry(only), after.entry(only)
        left, right = {only: left[only]}, {only: right[only]}
    changes = [] if only is not None else changes_of_items(before.scope, after.scope)
    notes = []
    for name in dict.fromkeys((*left, *right)):
        if name not in left or name not in right:
            _, net = left.get(name) or right[name]
            span = net.span._replace(end=net.name.span.end)
            one = Change("removed", "net", "", name, "", span, None)
            changes.append(one if name in left else replace(one, kind="added", left=None, right=span))
            continue
        found = changes_of_net(name, left[name][1], right[name][1])
        if found and _excused(found) and _same_graph(before, after, left[name], right[name]):
            notes.append(f"net {name} is written differently and computes the same")
            continue
        changes += found
    return tuple(changes), tuple(notes), len({*left, *right})


def _excused(found: list[Change]) -> bool:
    """Whether nets may differ so and compute the same: not in a signature, nor in a first value."""
    return all(change.what == "line" for change in found)


def _same_graph(before: Program, after: Program, left: Any, right: Any) -> bool:
    one, two = _proved(before, *left), _proved(after, *right)
    if one is None or two is None or (one.inputs, one.params) != (two.inputs, two.params):
        return False
    table: Table = {}
    return one.conditions == two.conditions and (
        fingerprint(one.graph, one.names, table) == fingerprint(two.graph, two.names, table)
    )


def _proved(program: Program, scope: Any, net: ast.Net) -> Proved | None:
    """The net for all sizes; None where that cannot be had, as it has inputs without types."""
    try:
        return prove(scope, program.options, net)
    except (LookupError, ModelError):
        return None


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _run(file: ModelFile, program: Program, request: Request, given: Mapping[str, Feed]) -> Result:
    """Values and all gradients of the entry net, on what is given and else on its own data."""
    from gradcli.running import evaluate, gradients

    machine: Machine = machine_of(request)
    names = [each.name.id for each in program.entry(request.net).inputs]
    feeds = {name: feed for name, feed in given.items() if name in names} | read_feeds(program, request)
    try:
        prepared = program.prepare(request.net, feeds)
    except ModelError as error:
        raise _without_data(error) from None
    prepared = read_params(prepared, request)
    asked = _asked(prepared, request)
    work = evaluate if asked.verb == "eval" else gradients
    return work(file, program, prepared, asked, machine)


def _without_data(error: ModelError) -> ModelError:
    """DAT101 with the way around it."""
    found = [
        replace(d, help=f"{d.help}; `--structure` compares without data") if d.code == "DAT101" else d
        for d in error.diagnostics
    ]
    return ModelError(found, error.exit_code)


def _asked(prepared: Prepared, request: Request) -> Request:
    """Everything that can be differentiated by, unless `--wrt` says what."""
    graph = prepared.graph
    inputs = any(graph.inputs[fed.position].aval.is_float for fed in prepared.inputs)
    params = any(graph.inputs[fed.position].aval.is_float for fed in prepared.params)
    if not any(value.aval.is_float for value in graph.outputs) or not (inputs or params):
        return replace(request, verb="eval", value=True)
    if request.wrt is not None:
        return replace(request, verb="grad", value=True)
    return replace(request, verb="grad", value=True, get_all=inputs, get_by_list=params)


def _data_of(program: Program) -> dict[str, Feed]:
    """The data that a model gives its inputs, for the other one."""
    feeds = {name: program.feed_of(name, {}) for name in program.scope.inputs}
    return {name: feed for name, feed in feeds.items() if feed is not None}


def unlike_results(left: Result, right: Result, tolerance: Tolerance) -> tuple[Unlike, ...]:
    """Values by their place, as a result may be renamed; gradients by name."""
    found = []
    pairs = [*_values(left, right), *_by_name({e.name: e for e in left.grads}, {e.name: e for e in right.grads})]
    for name, one, two in pairs:
        places = _place(one, left), _place(two, right)
        kind = (one or two).kind
        if one is None or two is None:
            found.append(Unlike(name, kind, f"only in {(right if one is None else left).model}", None, *places))
            continue
        row = _unlike(name, kind, (one.array, one.dtype), (two.array, two.dtype), tolerance)
        if row is not None:
            found.append(replace(row, left=places[0], right=places[1]))
    return tuple(found)


def _values(left: Result, right: Result) -> list[tuple[str, Entry | None, Entry | None]]:
    one, two = list(left.values or ()), list(right.values or ())
    found: list[tuple[str, Entry | None, Entry | None]] = []
    for place in range(max(len(one), len(two))):
        a, b = (entries[place] if place < len(entries) else None for entries in (one, two))
        names = dict.fromkeys(entry.name.removeprefix("value/") for entry in (a, b) if entry is not None)
        found.append((" / ".join(names), a, b))
    return found


def _by_name(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(name, left.get(name), right.get(name)) for name in dict.fromkeys((*left, *right))]


def _place(entry: Entry | None, result: Result) -> Span | None:
    if entry is None:
        return None
    if entry.kind == "value":
        return entry.makers[0] if entry.makers else None
    return result.origins.get(entry.wrt[-1]) if entry.wrt else None


def _unlike(name: str, kind: str, left: Any, right: Any, tolerance: Tolerance) -> Unlike | None:
    """Two arrays with their dtypes, which weak data lacks."""
    (one, dtype), (two, other) = left, right
    if tuple(one.shape) != tuple(two.shape):
        return Unlike(name, kind, f"shape {_shape(one.shape)} against {_shape(two.shape)}")
    if dtype is not None and other is not None and dtype != other:
        return Unlike(name, kind, f"dtype {dtype} against {other}")
    if dtype is None and other is not None:
        one = one.astype(two.dtype)
    elif other is None and dtype is not None:
        two = two.astype(one.dtype)
    worst = compare_arrays(one, two, dtype or other or "f64", tolerance)
    return None if worst is None else Unlike(name, kind, worst.share, worst)


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


# ── stored results ──────────────────────────────────────────────────────────────────────────────────────────


def diff_stored(left: str, right: str, tolerance: Tolerance) -> Difference:
    """Two files of arrays, by name. Raises ModelError for one that cannot be read."""
    one, two = _stored(left), _stored(right)
    if "" in one or "" in two:  # the one array of an npy is the one of the other file, whatever its name
        name = next(iter({**one, **two}.keys() - {""}), "")
        one, two = ({name if each == "" else each: array for each, array in arrays.items()} for arrays in (one, two))
    found = []
    for name, a, b in _by_name(one, two):
        shown = printable(name)
        if a is None or b is None:
            found.append(Unlike(shown, "array", f"only in {printable(right if a is None else left)}"))
            continue
        row = _stored_pair(shown, a, b, tolerance)
        if row is not None:
            found.append(row)
    count = len({*one, *two})
    return Difference(printable(left), printable(right), "stored", "", 0, count, None, tuple(found))


def _stored_pair(name: str, left: Any, right: Any, tolerance: Tolerance) -> Unlike | None:
    """Shapes and dtypes are compared before anything is loaded."""
    if tuple(left.shape) != tuple(right.shape):
        return Unlike(name, "array", f"shape {_shape(left.shape)} against {_shape(right.shape)}")
    if None not in (left.dtype, right.dtype) and left.dtype != right.dtype:
        return Unlike(name, "array", f"dtype {left.dtype} against {right.dtype}")
    return _unlike(name, "array", (left.load(), left.dtype), (right.load(), right.dtype), tolerance)


def _stored(path: str) -> dict[str, Any]:
    """The arrays of a file by name; the one of an npy goes by none."""
    from gradcli.data.read import open_archive, open_array

    if path.lower().endswith(".npy"):
        return {"": open_array(path, base=Path())}
    try:
        return open_archive(path, base=Path())
    except ModelError as error:
        if error.diagnostics[0].code != "DAT007" or not path.lower().endswith(".json"):
            raise
        return {"": open_array(path, base=Path())}


# ── which of both ───────────────────────────────────────────────────────────────────────────────────────────


def model_of(text: str) -> ModelFile | None:
    """The model that an argument names; None for a file of arrays."""
    if text == "-":
        return ModelFile(Path("-"), name="<stdin>")
    if text.lower().endswith(SUFFIXES):
        return None
    return at_revision(text) or ModelFile(Path(text), name=text)

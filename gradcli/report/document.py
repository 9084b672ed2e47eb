"""Results for programs: JSON, JSON lines and CSV, always complete, in the order of keys that the manual gives.

Schemas: `gradcli.VERB/1` for `grad`, `eval`, `jvp`, `jac`, `hess`, `test` and `check`. Arrays are put into the text by
`numbers.json_array`, so a million numbers never become a million Python objects of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gradcli.report.forms import as_json
from gradcli.request import CaseResult, CheckedNet, CheckResult, Entry, Result


def text(value: Any) -> str:
    """One JSON value on one line; non-ASCII letters stay as they are, half characters are escaped."""
    shown = json.dumps(value, ensure_ascii=False)
    return shown if shown.isprintable() else json.dumps(value)


# Of each verb, the keys of its document between the head and the notes.
PARTS = {
    "grad": ("sens", "values", "grads"),
    "eval": ("values",),
    "jvp": ("along", "values", "tangents"),
    "jac": ("values", "blocks"),
    "hess": ("sens", "along", "values", "blocks", "products"),
}


def result_json(result: Result) -> str:
    """The document of a verb that runs a model."""
    head = _head(result)
    lines = [", ".join(f"{text(key)}: {text(value)}" for key, value in head.items())]
    lines += [f'"{key}": {_part(result, key)}' for key in PARTS[result.verb]]
    lines.append(f'"notes": {text([as_json(note) for note in result.notes])}')
    return "{" + ",\n ".join(lines) + "}\n"


def result_jsonl(result: Result) -> str:
    """One line for each array: the head of the document, then `"value"`, `"grad"`, `"tangent"` …"""
    head = "".join(f"{text(key)}: {text(value)}, " for key, value in _head(result).items())
    lines = [
        f'{{{head}"{key[:-1]}": {_ENTRIES[key](entry)}}}\n'
        for key in PARTS[result.verb]
        if key in _ENTRIES
        for entry in getattr(result, key) or ()
    ]
    return "".join(lines)


def _part(result: Result, key: str) -> str:
    """A list; null for what was not asked for."""
    found = getattr(result, key)
    if found is None:
        return "null"
    return array_of(map(_ENTRIES[key], found)) if key in _ENTRIES else text([*found])


def result_csv(result: Result) -> str:
    """One row for each number: its array's name, its index (`1,2`; empty for a scalar), and itself."""
    from csv import writer
    from io import StringIO

    from gradcli.report.numbers import shortest

    page = StringIO()
    rows = writer(page, lineterminator="\n")
    rows.writerow(["name", "index", "value"])
    for entry in result.arrays:
        for place, number in zip(_places(entry), shortest(entry.array), strict=True):
            rows.writerow([entry.name, place, number])
    return page.getvalue()


def tests_json(cases: Sequence[CaseResult]) -> str:
    """The document of `test`."""
    lines = [_case(case) for case in cases]
    passed = sum(case.status == "passed" for case in cases)
    failed = len(cases) - passed
    return f'{{"schema": "gradcli.test/1",\n "cases": {array_of(lines)},\n "passed": {passed}, "failed": {failed}}}\n'


def tests_jsonl(cases: Sequence[CaseResult]) -> str:
    """One line for each case."""
    return "".join(f"{_case(case)}\n" for case in cases)


def checks_json(checks: Sequence[CheckResult]) -> str:
    """The document of `check`."""
    found = [diagnostic.severity for check in checks for diagnostic in check.diagnostics]
    counts = f'"errors": {found.count("error")}, "warnings": {found.count("warning")}'
    return f'{{"schema": "gradcli.check/1",\n "files": {array_of(map(_check, checks))},\n {counts}}}\n'


def _head(result: Result) -> dict[str, Any]:
    return {
        "schema": f"gradcli.{result.verb}/1",
        "model": result.model,
        "net": result.net,
        "edition": result.edition,
        "backend": result.backend,
    }


def array_of(items: Iterable[str]) -> str:
    return "[" + ",\n  ".join(items) + "]"


def _value(entry: Entry) -> str:
    from gradcli.report.numbers import json_array

    head = {"name": entry.name.removeprefix("value/"), "shape": [*entry.array.shape], "dtype": entry.dtype}
    return f'{text(head)[:-1]}, "data": {json_array(entry.array)}}}'


def _grad(entry: Entry) -> str:
    return _derivative({"wrt": [*entry.wrt], "kind": entry.kind}, entry)


def _tangent(entry: Entry) -> str:
    return _derivative({"output": entry.output}, entry)


def _block(entry: Entry) -> str:
    rows, columns = entry.sides
    sides = {"rows": [*rows], "columns": [*columns]}
    return _derivative({"output": entry.output, "wrt": [*entry.wrt], "kind": entry.kind, **sides}, entry)


def _derivative(head: dict[str, Any], entry: Entry) -> str:
    import numpy as np

    from gradcli.report.numbers import json_array, json_number, norm

    matrix = entry.matrix
    head = head | {"shape": [*(entry.array.shape if matrix is None else matrix.shape)], "dtype": entry.dtype}
    nonfinite = int(entry.array.size - np.count_nonzero(np.isfinite(entry.array)))
    length = json_number(norm(entry.array), entry.dtype)
    facts = f'"norm": {length}, "nonfinite": {nonfinite}, "zero": {text(entry.zero)}'
    if matrix is not None:
        found = {"format": "csr", "colors": matrix.colors, "mode": matrix.mode}
        places = f'"indptr": {json_array(matrix.indptr)}, "indices": {json_array(matrix.indices)}'
        facts += f", {text(found)[1:-1]}, {places}"
    return f'{text(head)[:-1]}, {facts}, "data": {json_array(entry.array)}}}'


_ENTRIES = {"values": _value, "grads": _grad, "tangents": _tangent, "blocks": _block, "products": _grad}


def _places(entry: Entry) -> Iterator[str]:
    """The index of each element, `1,2`; of a sparse block its row and column."""
    from itertools import product

    from gradcli.report.blocks import elements

    places = product(*map(range, entry.array.shape)) if entry.matrix is None else elements(entry.matrix)
    return (",".join(map(str, place)) for place in places)


def _case(case: CaseResult) -> str:
    fields = ("file", "case", "status", "message")
    head = {name: getattr(case, name) for name in fields}
    return text(head | {"seconds": round(case.seconds, 6)})


def _check(check: CheckResult) -> str:
    return text(
        {
            "file": check.file,
            "diagnostics": [as_json(diagnostic) for diagnostic in check.diagnostics],
            "nets": [_net(net) for net in check.nets],
        }
    )


def _net(net: CheckedNet) -> dict[str, Any]:
    return {
        "name": net.name,
        "inputs": dict(net.inputs),
        "params": dict(net.params),
        "outputs": [{"name": name, "type": aval} for name, aval in net.outputs],
        "conditions": [*net.conditions],
        "skipped": net.skipped or None,
    }

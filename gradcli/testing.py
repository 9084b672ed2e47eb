"""`test`: run the cases of model files.

A case passes when every `expect` holds; a failure tells the expression, both values and the worst element.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcli.engine import Machine, materialise, run_graph
from gradcli.interp.cases import Expectation, PreparedCase, prepare_case
from gradcli.interp.program import Program
from gradcli.ir.graph import Graph
from gradcli.request import CaseResult, ModelFile, Request
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, ModelError, fail

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

RTOL = {"f16": 1e-3, "f32": 1e-5, "f64": 1e-10}
"""The default relative tolerance of `~=`; the absolute one is it times the largest element of the right side."""


def find_models(paths: Sequence[Path]) -> list[Path]:
    """The `.net` files among `paths` and below its directories, each once, in order. Raises ModelError DAT110."""
    found: dict[Path, None] = {}
    for path in paths:
        if str(path) != "-" and is_directory(path):
            for directory, inside, files in os.walk(path):
                inside[:] = sorted(d for d in inside if not d.startswith("."))
                models = (Path(directory) / name for name in sorted(files) if name.endswith(".net"))
                found.update(dict.fromkeys(model for model in models if model.is_file()))
        else:
            found[path] = None
    return list(found)


def is_directory(path: Path) -> bool:
    """Raises ModelError DAT110 for what is neither a file nor a directory, or has no name that a file can have."""
    try:
        found = path.is_dir()
        if found or path.exists():
            return found
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise fail("DAT110", f"{str(path)[:80]} cannot be read: {reason}") from None
    raise fail("DAT110", f"there is no file or directory {path}")


def run_cases(
    paths: Sequence[Path],
    request: Request,
    match: str | None,
    on_case: Callable[[CaseResult], None] | None,
    on_start: Callable[[int], None] | None,
) -> list[CaseResult]:
    """Run every case whose title or file matches; `on_start` gets their number, `on_case` each result."""
    from gradcli.checking import unreadable
    from gradcli.opening import machine_of, open_program, read_consts

    machine = machine_of(request)
    read_consts(request.consts)  # what cannot be read is no finding in a model
    work: list[tuple[Path, Program | None, ast.Case | None, ModelError | None]] = []
    for path in find_models(paths):
        try:
            program = open_program(ModelFile(path), request)
            cases = [c for c in program.scope.cases if match is None or match in c.title.value or match in str(path)]
            work.extend((path, program, case, None) for case in cases)
        except ModelError as refused:
            if unreadable(refused):
                raise
            work.append((path, None, None, refused))
    if on_start is not None:
        on_start(len(work))
    results = []
    for path, opened, case, error in work:
        if error is not None:
            result = CaseResult(str(path), "", "error", str(error), 0.0, error.diagnostics)
        elif opened is not None and case is not None:
            result = run_case(str(path), opened, case, machine)
        results.append(result)
        if on_case is not None:
            on_case(result)
    return results


def run_case(name: str, program: Program, case: ast.Case, machine: Machine) -> CaseResult:
    """One case, in time and words."""
    start = time.perf_counter()
    title = case.title.value
    try:
        prepared = prepare_case(program.scope, case, program.options)
        failures = [_refusal(span, text) for span, text in prepared.failures]
        failures.extend(check_expectations(prepared, machine))
    except ModelError as error:
        return CaseResult(name, title, "error", str(error), time.perf_counter() - start, error.diagnostics)
    seconds = time.perf_counter() - start
    if failures:
        return CaseResult(name, title, "failed", "\n".join(d.message for d in failures), seconds, tuple(failures))
    return CaseResult(name, title, "passed", "", seconds)


def _refusal(span: Any, text: str) -> Diagnostic:
    return Diagnostic("NUM010", text, span)


def check_expectations(prepared: PreparedCase, machine: Machine) -> list[Diagnostic]:
    """Run a case's graph and compare; one diagnostic for each `expect` that fails."""
    graph: Graph = prepared.graph
    inputs: list[Any] = [None] * len(graph.inputs)
    for position, origin in (*prepared.params, *prepared.data):
        inputs[position] = materialise(origin, graph.inputs[position].aval, machine)
    outputs = run_graph(graph, inputs, machine) if graph.outputs else []
    found = []
    for expectation in prepared.expectations:
        message = judge(expectation, outputs, graph)
        if message:
            found.append(message)
    return found


def judge(expectation: Expectation, outputs: list[Array], graph: Graph) -> Diagnostic | None:
    """None where the expectation holds."""
    import numpy as np

    left = outputs[expectation.left]
    if expectation.right is None:
        if left.all():
            return None
        where = _index(np.argmin(left), left.shape)
        return Diagnostic("NUM010", f"expected true everywhere, false{where}", expectation.span)
    right = outputs[expectation.right]
    dtype = graph.outputs[expectation.left].aval.dtype
    if expectation.op == "~=":
        return judge_close(expectation, left, right, dtype)
    operators: dict[str, Any] = {
        "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    }  # fmt: skip
    holds = np.asarray(operators[expectation.op](left, right))
    if holds.all():
        return None
    worst = int(np.argmin(holds))
    a, b = (np.broadcast_to(x, holds.shape).reshape(-1)[worst] for x in (left, right))
    text = f"expected {expectation.op}, but {show(a)} against {show(b)}{_index(worst, holds.shape)}"
    return Diagnostic("NUM010", _member(expectation, text), expectation.span, notes=both(left, right))


def judge_close(expectation: Expectation, left: Array, right: Array, dtype: str) -> Diagnostic | None:
    """`|a - b| ≤ atol + rtol |b|`; nan agrees with nan, inf with the same inf."""
    import numpy as np

    with np.errstate(all="ignore"):
        kind = np.float64 if left.dtype.kind == "f" or right.dtype.kind == "f" else np.longdouble
        a, b = np.broadcast_arrays(left.astype(kind), right.astype(kind))
        rtol = expectation.rtol if expectation.rtol is not None else RTOL.get(dtype, 0.0)
        finite = np.abs(b[np.isfinite(b)])
        scale = float(finite.max()) if finite.size else 0.0
        atol = expectation.atol
        if atol is None:
            atol = 0.0 if expectation.rtol is not None else rtol * scale
        error = np.abs(a - b)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        holds = same | (np.isfinite(b) & (error <= atol + rtol * np.abs(b)))
        if holds.all():
            return None
        excess = np.where(holds, -np.inf, np.where(np.isfinite(error), error - atol - rtol * np.abs(b), np.inf))
        where = int(np.argmax(excess))
        one, two, gap = a.reshape(-1)[where], b.reshape(-1)[where], error.reshape(-1)[where]
        relative = gap / abs(two) if two else np.inf
    narrow = np.float32 if dtype == "f32" else np.float16 if dtype == "f16" else np.float64
    text = (
        f"expected {show(narrow(two))}, got {show(narrow(one))}{_index(where, a.shape)}: "
        f"off by {gap:.3g}, {relative:.2g} of it; allowed are rtol={rtol:g}, atol={atol:.3g}"
    )
    count = int((~holds).sum())
    notes = both(left, right) if a.size <= 64 else ()
    more = (f"{count} of {a.size} elements differ",) if count > 1 else ()
    return Diagnostic("NUM010", _member(expectation, text), expectation.span, notes=(*more, *notes))


def _member(expectation: Expectation, text: str) -> str:
    return f"{expectation.label}: {text}" if expectation.label else text


def _index(flat: Any, shape: tuple[int, ...]) -> str:
    import numpy as np

    if not shape:
        return ""
    return f" at [{', '.join(str(int(i)) for i in np.unravel_index(int(flat), shape))}]"


def show(number: Any) -> str:
    """Shortest digits in the number's own dtype."""
    text = str(number)
    return text.removesuffix(".0") if text.endswith(".0") else text


def both(left: Array, right: Array) -> tuple[str, ...]:
    """Small values in full."""
    import numpy as np

    if max(left.size, right.size) > 64:
        return ()
    text = [np.array2string(x, separator=", ", threshold=100).replace("\n", "\n         ") for x in (left, right)]
    return (f"left:  {text[0]}", f"right: {text[1]}")

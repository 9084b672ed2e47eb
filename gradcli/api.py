"""What the command line and Python call: open a model, run it, check it, test it, print it.

Every function takes plain values (`gradcli.request`) and gives plain values; what is refused is a `ModelError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradcli.opening import machine_of, open_model, prepare
from gradcli.record import replace
from gradcli.request import CaseResult, CheckedGradients, CheckResult, Entry, ModelFile, Request, Result, Stage
from gradcli.syntax.diagnostics import ModelError

if TYPE_CHECKING:
    from gradcli.facts.differences import Comparison, Difference, Part, Tolerance
    from gradcli.facts.measure import Bench, Profile
    from gradcli.facts.plan import Layout
    from gradcli.facts.trace import Trace
    from gradcli.ir.formula import Explanation


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────


def start_single() -> None:
    """Let BLAS begin with one thread; to be called by a process that runs one command, before NumPy is imported."""
    from gradcli.backends import start_single as begin

    begin()


def run(file: ModelFile, request: Request) -> Result:
    """The verbs that run a model: the whole way from text to arrays. Raises ModelError."""
    machine = machine_of(request)
    program, prepared = prepare(file, request)
    if request.verb in ("eval", "grad"):
        from gradcli.running import evaluate, gradients

        work = evaluate if request.verb == "eval" else gradients
    elif request.sparse:
        from gradcli.matrices.blocks import run as work
    else:
        from gradcli.matrices.verb import run as work
    return work(file, program, prepared, request, machine)


def show(file: ModelFile, request: Request, stage: Stage) -> str:
    """A stage of the compiler as text: `ast`, `graph`, `grad` (of any order) or `optimized`."""
    if stage == "ast":
        from gradcli.syntax.parse import parse, parse_expression
        from gradcli.syntax.show import expression, render

        source = open_model(file)
        return expression(parse_expression(source)) if file.expression else render(parse(source))
    from gradcli.ir.text import render as render_graph

    _, prepared = prepare(file, request)
    if stage == "graph":
        return render_graph(prepared.graph)
    from gradcli.differentiate import gradients_only
    from gradcli.running import derive_request

    derived = derive_request(prepared, request)
    if stage == "grad":
        return render_graph(derived.graph)
    from gradcli.passes.pipeline import optimize

    return render_graph(optimize(gradients_only(prepared.graph, derived), fast_math=request.fast_math))


def explain(file: ModelFile, request: Request, *, mode: Literal["reverse", "forward"], numbers: bool) -> Explanation:
    """How the gradient comes about, as equations. Raises ModelError."""
    from gradcli.explain.verb import explain as derive

    machine = machine_of(request)
    program, prepared = prepare(file, request)
    return derive(program, prepared, request, machine, mode, numbers=numbers)


def gradcheck(
    file: ModelFile,
    request: Request,
    *,
    seed: int = 0,
    elements: int | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_piece: Callable[[str], None] = lambda name: None,
) -> CheckedGradients:
    """Hold the gradients of a model against differences, in f64 unless the request names a dtype. Raises ModelError."""
    from gradcli.gradcheck.verb import Talk, check_gradients

    request = replace(request, dtype=request.dtype or "f64")
    machine = machine_of(request)
    program, prepared = prepare(file, request)
    talk = Talk(on_start, on_piece)
    return check_gradients(program, prepared, request, machine, seed=seed, elements=elements, talk=talk)


# ── check and test ──────────────────────────────────────────────────────────────────────────────────────────


def is_directory(path: Path) -> bool:
    """Whether models are to be found below it. Raises ModelError DAT110 where there is nothing of that name."""
    from gradcli.testing import is_directory as asked

    return asked(path)


def check(files: Sequence[ModelFile], request: Request) -> list[CheckResult]:
    """Prove the shapes of every net of every file for all sizes, and elaborate their cases; nothing is run."""
    from gradcli.checking import check_file

    return [check_file(file, request) for file in files]


def test(
    paths: Sequence[Path],
    *,
    request: Request,
    match: str | None = None,
    on_case: Callable[[CaseResult], None] | None = None,
    on_start: Callable[[int], None] | None = None,
) -> list[CaseResult]:
    """Run every case of every `.net` file in `paths` and below; a file that cannot be read is one result."""
    from gradcli.testing import run_cases

    return run_cases(paths, request, match, on_case, on_start)


def trace(
    file: ModelFile,
    request: Request,
    *,
    margins: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Trace:
    """Run the value and the gradients step by step, and find where a number stops being finite."""
    from gradcli.trace.verb import trace as work

    return work(file, request, margins=margins, on_start=on_start, on_step=on_step)


def compare(result: Result, reference_path: str, tolerance: Tolerance) -> Comparison:
    """Hold the results of a run against stored ones."""
    from gradcli.diff.comparing import compare_result

    return compare_result(result, reference_path, tolerance)


def diff(left: str, right: str, request: Request, tolerance: Tolerance, part: Part = "all") -> Difference:
    """Compare two models (`REV:model.net` for one of the past), or two stored results. Raises ModelError."""
    from gradcli.diff.verb import diff as work

    return work(left, right, request, tolerance, part)


def bench(
    file: ModelFile,
    request: Request,
    *,
    against: Sequence[str] = (),
    seconds: float = 2.0,
    rounds: int | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_round: Callable[[str], None] = lambda name: None,
) -> Bench:
    """Time a gradient beside what else could run it, in rounds. Raises ModelError."""
    from gradcli.measure.bench import bench as work

    return work(file, request, against=against, seconds=seconds, rounds=rounds, on_start=on_start, on_round=on_round)


def profile(
    file: ModelFile,
    request: Request,
    *,
    seconds: float = 2.0,
    rounds: int | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_round: Callable[[str], None] = lambda name: None,
) -> Profile:
    """Where the time of a gradient goes. Raises ModelError."""
    from gradcli.measure.profile import profile as work

    return work(file, request, seconds=seconds, rounds=rounds, on_start=on_start, on_round=on_round)


def layout(file: ModelFile, request: Request) -> Layout:
    """The plan that `grad` would run with the same options. Raises ModelError."""
    from gradcli.laying import layout as work

    return work(file, request)


# ── the house ───────────────────────────────────────────────────────────────────────────────────────────────


def rule(code: str) -> Any:
    """What a diagnostic code means. Raises ModelError for an unknown one."""
    from gradcli.manual.rules import entry

    return entry(code)


def rules() -> Mapping[str, Any]:
    from gradcli.manual.rules import entries

    return entries()


def operators() -> list[Any]:
    from gradcli.manual.operators import operator_docs

    return operator_docs()


def operator(name: str) -> Any:
    """One operator's page. Raises ModelError for an unknown one."""
    from gradcli.manual.operators import operator_doc

    return operator_doc(name)


def environment() -> dict[str, str]:
    from gradcli.house import environment as describe

    return describe()


def new_model(name: str, directory: Path) -> list[Path]:
    """Write a small model with a case that passes. Raises ModelError where it would overwrite something."""
    from gradcli.house import new_model as write

    return write(name, directory)


__all__ = [
    "Entry",
    "ModelError",
    "bench",
    "check",
    "compare",
    "environment",
    "explain",
    "gradcheck",
    "layout",
    "new_model",
    "operator",
    "operators",
    "profile",
    "rule",
    "run",
    "show",
    "test",
    "trace",
]

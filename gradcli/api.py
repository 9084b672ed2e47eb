"""What the command line and Python call: open a model, run it, check it, test it, print it.

Every function takes plain values (`gradcli.request`) and gives plain values; what is refused is a `ModelError`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradcli.collecting import uncollected
from gradcli.interp.elaborate import Options
from gradcli.interp.files import decode, read_source
from gradcli.interp.program import Fed, Feed, Prepared, Program
from gradcli.ir.aval import DTYPES, NUMPY_NAMES, Aval
from gradcli.record import replace
from gradcli.request import CaseResult, CheckedGradients, CheckResult, Entry, ModelFile, Request, Result, Stage
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Source, fail, listed, nearest

if TYPE_CHECKING:
    from gradcli.differences import Comparison, Difference, Part, Tolerance
    from gradcli.differentiate import Derived
    from gradcli.engine import Machine
    from gradcli.ir.formula import Explanation
    from gradcli.ir.graph import Graph
    from gradcli.traced import Trace


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────


def open_model(file: ModelFile) -> Source:
    """The text of a model: a file, `-` for standard input, or an expression. Raises ModelError DAT110 or DAT111."""
    if file.text is not None:
        return Source(file.name or ("<expression>" if file.expression else "<text>"), file.text)
    assert file.path is not None
    if str(file.path) == "-":
        try:
            data = b"" if sys.stdin is None else sys.stdin.buffer.read()
        except OSError as error:
            raise fail("DAT110", f"standard input cannot be read: {(error.strerror or '').lower()}") from None
        if sys.stdin is None:
            raise fail("DAT110", "standard input is closed")
        return decode(data, "<stdin>")
    return read_source(file.path, shown=file.name or str(file.path))


def open_program(file: ModelFile, request: Request) -> Program:
    """The model with the request's consts and dtype. Raises ModelError."""
    source = open_model(file)
    options = Options(request.dtype, read_consts(request.consts))
    if file.expression:
        return Program.of_expression(source, Path(), options)
    path = None if str(file.path) == "-" else file.path
    return Program(source, path.parent if path is not None else Path(), options, path, file.read)


def read_consts(given: Sequence[tuple[str, str]]) -> dict[str, ast.Expr]:
    from gradcli.syntax.parse import parse_expression

    return {name: parse_expression(Source(f"--const {name}", text)) for name, text in given}


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────────


def read_feeds(program: Program, request: Request) -> dict[str, Feed]:
    """What `-i`, `--inputs` and the Python API give, by name; the first of them to name an input wins."""
    feeds: dict[str, Feed] = {}
    if request.inputs_file is not None:
        from gradcli.data.read import open_archive

        names = {i.name.id for i in program.entry(request.net).inputs}
        for name, stored in open_archive(request.inputs_file, base=Path()).items():
            feeds[name] = stored_feed(stored, f"{request.inputs_file}:{name}")
        extra = [name for name in feeds if name not in names]
        if extra:
            raise fail(
                "DAT102",
                f"{request.inputs_file} holds {listed(extra)}, which the net does not take",
                notes=[f"its inputs: {listed(sorted(names)) or 'none'}"],
            )
    for name, text in request.inputs:
        feeds[name] = value_feed(program, f"-i {name}", text)
    for name, array in request.arrays.items():
        feeds[name] = array_feed(array, f"the argument {name}")
    return feeds


def stored_feed(stored: Any, source: str) -> Feed:
    return Feed(tuple(stored.shape), stored.dtype, stored, source, None, stored.integral)


def value_feed(program: Program, label: str, text: str) -> Feed:
    """A value of the command line: a file reference, or an expression of the language."""
    from gradcli.data.read import is_reference, open_array
    from gradcli.syntax.parse import parse_expression

    if is_reference(text.strip()):
        return stored_feed(open_array(text.strip(), base=Path()), text.strip())
    return program.feed_expression(parse_expression(Source(label, text)), text)


def array_feed(value: Any, source: str) -> Feed:
    """A NumPy or CuPy array, or Python numbers (weak) in nested lists. Raises ModelError DAT107."""
    import numpy as np

    weak = not hasattr(value, "dtype")
    if not isinstance(value, np.ndarray) and hasattr(value, "get"):  # CuPy
        value = value.get()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise fail("DAT107", f"{source} is no array: {error}") from None
    names = {v: k for k, v in NUMPY_NAMES.items()}
    dtype = names.get(array.dtype.newbyteorder("=").name)
    if weak and array.dtype.kind in "iuf":
        return Feed(array.shape, None, array, source, None, array.dtype.kind in "iu")
    if dtype is None:
        widened = {"int8": "i32", "uint8": "i32", "int16": "i32", "uint16": "i32", "uint32": "i64"}.get(
            array.dtype.name
        )
        if widened is None:
            raise fail("DAT107", f"{source} has dtype {array.dtype}; types are {', '.join(DTYPES)}")
        dtype, array = widened, array.astype(NUMPY_NAMES[widened])
    return Feed(array.shape, dtype, array, source)


def read_params(prepared: Prepared, request: Request) -> Prepared:
    """Replace first values of params by those of `--params`. Raises ModelError DAT103, DAT104 or DAT105."""
    given: dict[str, Feed] = {}
    where = request.params_file or "the params"
    if request.params_file is not None:
        from gradcli.data.read import open_archive

        for name, stored in open_archive(request.params_file, base=Path()).items():
            given[name] = stored_feed(stored, f"{request.params_file}:{name}")
    for name, value in request.param_arrays.items():
        given[name] = array_feed(value, f"the param {name}")
    if not given:
        return prepared
    known = {fed.name: fed for fed in prepared.params}
    extra = [name for name in given if name not in known]
    missing = [name for name in known if name not in given]
    if extra:
        guess = nearest(extra[0], known)
        raise fail(
            "DAT104",
            f"{where} holds {listed(extra)}, which {prepared.net} does not have",
            notes=[f"its params: {listed(known) or 'none'}"],
            help=f"did you mean `{guess}`?" if guess else None,
        )
    if missing and request.params_file is not None and not request.partial:
        raise fail("DAT103", f"{where} lacks {listed(missing)}", help="keep their first values: `--partial`")
    params = []
    for fed in prepared.params:
        feed = given.get(fed.name)
        if feed is not None:
            _fits(feed, fed, prepared)
        params.append(fed if feed is None else replace(fed, origin=feed))
    return replace(prepared, params=tuple(params))


def _fits(feed: Feed, fed: Fed, prepared: Prepared) -> None:
    if tuple(feed.shape) != fed.aval.shape:
        have = Aval(feed.shape, feed.dtype or "f64")
        raise fail("DAT105", f"param {fed.name} is {fed.aval}, {feed.source} is {have}", prepared.origins.get(fed.name))
    from gradcli.interp.dtypes import RANKS

    if feed.dtype is not None and RANKS[feed.dtype] > RANKS[fed.aval.dtype]:
        raise fail(
            "DAT105",
            f"param {fed.name} is {fed.aval.dtype}, {feed.source} is {feed.dtype}: that would narrow it",
            prepared.origins.get(fed.name),
            help=f"store it as {fed.aval.dtype}, or run with `--dtype {feed.dtype}`",
        )


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────


def start_single() -> None:
    """Let BLAS begin with one thread; to be called by a process that runs one command, before NumPy is imported."""
    from gradcli.backends import start_single as begin

    begin()


def machine_of(request: Request) -> Machine:
    from gradcli.engine import Machine

    return Machine.choose(request.backend, request.device, request.threads, request.memory, request.fast_math)


@uncollected()
def prepare(file: ModelFile, request: Request) -> tuple[Program, Prepared]:
    program = open_program(file, request)
    try:
        prepared = program.prepare(request.net, read_feeds(program, request))
    except ModelError as error:
        from gradcli.checking import with_others

        raise with_others(error, program, request.net) from None
    return program, read_params(prepared, request)


def run(file: ModelFile, request: Request) -> Result:
    """The verbs that run a model: the whole way from text to arrays. Raises ModelError."""
    machine = machine_of(request)
    program, prepared = prepare(file, request)
    if request.verb in ("eval", "grad"):
        from gradcli.running import evaluate, gradients

        work = evaluate if request.verb == "eval" else gradients
    elif request.sparse:
        from gradcli.sparse_blocks import run as work
    else:
        from gradcli.matrices import run as work
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
    from gradcli.running import derive_request

    derived = derive_request(prepared, request)
    if stage == "grad":
        return render_graph(derived.graph)
    from gradcli.passes.pipeline import optimize

    return render_graph(optimize(gradients_only(prepared.graph, derived), fast_math=request.fast_math))


def explain(file: ModelFile, request: Request, *, mode: Literal["reverse", "forward"], numbers: bool) -> Explanation:
    """How the gradient comes about, as equations. Raises ModelError."""
    from gradcli.explaining import explain as derive

    machine = machine_of(request)
    program, prepared = prepare(file, request)
    return derive(program, prepared, request, machine, mode, numbers=numbers)


def gradients_only(graph: Graph, derived: Derived) -> Graph:
    """Without the primal outputs, which nobody reads."""
    return replace(derived.graph, outputs=derived.graph.outputs[len(graph.outputs) :])


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
    from gradcli.gradchecking import Talk, check_gradients

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
    from gradcli.trace import trace as work

    return work(file, request, margins=margins, on_start=on_start, on_step=on_step)


def compare(result: Result, reference_path: str, tolerance: Tolerance) -> Comparison:
    """Hold the results of a run against stored ones."""
    from gradcli.comparing import compare_result

    return compare_result(result, reference_path, tolerance)


def diff(left: str, right: str, request: Request, tolerance: Tolerance, part: Part = "all") -> Difference:
    """Compare two models (`REV:model.net` for one of the past), or two stored results. Raises ModelError."""
    from gradcli.diffing import diff as work

    return work(left, right, request, tolerance, part)


# ── the house ───────────────────────────────────────────────────────────────────────────────────────────────


def rule(code: str) -> Any:
    """What a diagnostic code means. Raises ModelError for an unknown one."""
    from gradcli.rules import entry

    return entry(code)


def rules() -> Mapping[str, Any]:
    from gradcli.rules import entries

    return entries()


def operators() -> list[Any]:
    from gradcli.opsdoc import operator_docs

    return operator_docs()


def operator(name: str) -> Any:
    """One operator's page. Raises ModelError for an unknown one."""
    from gradcli.opsdoc import operator_doc

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
    "check",
    "compare",
    "environment",
    "explain",
    "gradcheck",
    "new_model",
    "open_model",
    "operator",
    "operators",
    "rule",
    "run",
    "show",
    "test",
    "trace",
]

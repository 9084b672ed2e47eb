"""A model opened and fed, ready for any verb: its text, its consts, its data, its params, and the machine it runs on.

Every function takes plain values (`gradcli.request`); what is refused is a `ModelError`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcli.collecting import uncollected
from gradcli.interp.elaborate import Options
from gradcli.interp.files import decode, read_source
from gradcli.interp.program import Fed, Feed, Prepared, Program
from gradcli.ir.aval import DTYPES, NUMPY_NAMES, Aval
from gradcli.record import replace
from gradcli.request import ModelFile, Request
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Source, fail, listed, nearest

if TYPE_CHECKING:
    from gradcli.engine import Machine


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

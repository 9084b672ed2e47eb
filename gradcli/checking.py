"""`check`: what can be said of a file without running it.

Every net is elaborated by itself with its named dims as symbols, which proves its shapes for all sizes under the
conditions printed; then the entry net on the data that the file gives, and every case. NumPy is never imported.
"""

from __future__ import annotations

from gradcli.interp.cases import prepare_case
from gradcli.interp.listing import Listing
from gradcli.interp.program import Program
from gradcli.interp.recursion import recursions
from gradcli.interp.symbolic import prove
from gradcli.record import replace
from gradcli.request import CheckedNet, CheckResult, ModelFile, Request, ShapedLine
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import USAGE, Diagnostic, ModelError, nearest

MOST = 100  # findings shown of one file


def check_file(file: ModelFile, request: Request) -> CheckResult:
    """Everything that is refused in a file, each finding once, and what its nets are proved for."""
    from gradcli.opening import open_model, open_program, read_feeds

    name = file.name or str(file.path or "<expression>")
    try:
        name = open_model(file).name if not (file.path and str(file.path) == "-") else "<stdin>"
        program = open_program(file, request)
    except ModelError as error:
        if unreadable(error):
            raise
        return CheckResult(name, error.diagnostics)
    found: list[Diagnostic] = []
    checked: list[CheckedNet] = []
    if not program.scope.nets and not program.scope.cases:
        found.append(Diagnostic("NAM008", f"{name} has no net: there is nothing to run", severity="warning"))
    found.extend(_unused_inputs(program))
    found.extend(recursions(program.scope))
    for decl in program.scope.nets.values() if request.net is None else [program.entry(request.net)]:
        checked.append(_check_net(program, decl, found))
    _check_consts(program, found)
    try:
        given = read_feeds(program, request)
        if given or _runs(program, request.net):
            listing = Listing(program.entry(request.net), request.dtype or "f64")
            found.extend(program.prepare(request.net, given, listing).notes)
            checked = [_on_data(net, listing) for net in checked]
    except ModelError as error:
        found.extend(d for d in error.diagnostics if d.code not in ("DAT101", "NAM008"))
    for case in program.scope.cases if request.net is None else ():
        try:
            prepare_case(program.scope, case, program.options)
        except ModelError as error:
            found.extend(error.diagnostics)
    return CheckResult(program.scope.source.name, _some(_once(found)), tuple(checked))


def _on_data(net: CheckedNet, listing: Listing) -> CheckedNet:
    """Of a net that is not checked alone, the lines as they are on the data of the file."""
    if net.lines or listing.net is None or net.name != listing.net.name.id:
        return net
    return replace(net, lines=_shaped(listing))


def _shaped(listing: Listing) -> tuple[ShapedLine, ...]:
    return tuple(ShapedLine(line.span, line.name, line.type) for line in listing.lines())


def _some(found: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Nobody reads more."""
    if len(found) <= MOST:
        return found
    return (*found[:MOST], Diagnostic(found[0].code, f"… and {len(found) - MOST:_} more findings", severity="note"))


def unreadable(error: ModelError) -> bool:
    """Whether there is no text to look at: wrong use, and no finding in a model."""
    return error.diagnostics[0].code == "DAT110"


def _unused_inputs(program: Program) -> list[Diagnostic]:
    """A warning for each `input` item that no net of the file takes."""
    taken = {each.name.id for net in program.scope.nets.values() for each in net.inputs}
    found = []
    for name, item in program.scope.inputs.items():
        if name not in taken and program.scope.nets:
            guess = nearest(name, taken)
            text = f"no net of this file has an input `{name}`"
            help = f"did you mean `{guess}`?" if guess else None
            found.append(Diagnostic("DAT102", text, item.name.span, severity="warning", help=help))
    return found


def _runs(program: Program, net: str | None) -> bool:
    """Whether the net that is named can be run by itself, or the file feeds its entry net."""
    try:
        decl = program.entry(net)
    except ModelError:
        return False
    if decl.statics or net is not None:
        return not decl.statics
    have = {n for n, item in program.scope.inputs.items() if item.value is not None}
    return all(i.name.id in have or i.default is not None for i in decl.inputs)


def _check_net(program: Program, decl: ast.Net, found: list[Diagnostic]) -> CheckedNet:
    name = decl.name.id
    signature = tuple((i.name.id, " ".join(i.type.span.text.split()) if i.type else "") for i in decl.inputs)
    try:
        proved = prove(program.scope, program.options, decl)
    except LookupError as reason:
        return CheckedNet(name, signature, (), (), (), skipped=str(reason.args[0]))
    except ModelError as error:
        if all(d.code == "SHP119" for d in error.diagnostics):  # a size must be known: checked where it is used
            return CheckedNet(name, signature, (), (), (), skipped=error.diagnostics[0].message)
        found.extend(error.diagnostics)
        return CheckedNet(name, (), (), (), (), skipped="it has errors")
    made = dict(proved.inputs)
    inputs = tuple((each, made.get(each, written)) for each, written in signature)
    conditions = tuple(condition.text for condition in proved.conditions)
    return CheckedNet(name, inputs, proved.params, proved.outputs, conditions, lines=_shaped(proved.listing))


def _check_consts(program: Program, found: list[Diagnostic]) -> None:
    """Consts and dims that nothing uses are checked, too."""
    from gradcli.interp.elaborate import Elaborator
    from gradcli.interp.values import Poisoned
    from gradcli.ir.primitive import ShapeError

    ctx = Elaborator(program.scope, program.options)
    for name, item in program.scope.consts.items():
        try:
            ctx.const(program.scope, name)
        except ModelError as error:
            found.extend(error.diagnostics)
        except ShapeError as error:
            found.append(Diagnostic(error.code, error.message, item.value.span, help=error.help))
        except Poisoned:
            pass
    for name in program.scope.dims:
        try:
            ctx.file_dim(program.scope, name)
        except ModelError as error:
            found.extend(error.diagnostics)


def _once(found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Each place is reported once per code."""
    seen: dict[tuple[str, object], Diagnostic] = {}
    for diagnostic in found:
        place = diagnostic.span.place if diagnostic.span else diagnostic.message
        seen.setdefault((diagnostic.code, place), diagnostic)
    return tuple(seen.values())


def with_others(error: ModelError, program: Program, net: str | None) -> ModelError:
    """What stopped a run, with the independent errors that a look at the net for all sizes finds beside it."""
    if error.exit_code != USAGE or any(d.severity == "error" and d.span is None for d in error.diagnostics):
        return error
    found: list[Diagnostic] = [*error.diagnostics]
    try:
        _check_net(program, program.entry(net), found)
    except ModelError:
        return error
    return ModelError(_once(found), error.exit_code)

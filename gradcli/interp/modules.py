"""Files: from syntax trees to scopes, with their imports. A file is one scope, whatever aliases it is imported by."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

from gradcli.interp.scope import Scope
from gradcli.ir.aval import DTYPES
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Label, ModelError, Source, fail, nearest

Read = Callable[[Path], Source]


def load_scope(source: Source, base: Path, path: Path | None = None, read: Read | None = None) -> Scope:
    """The scope of a file with all that it imports, read breadth first; by `read` where it is not what is on disk.

    Raises ModelError for syntax errors, unknown editions (EDN001), names defined twice (NAM004), imports that are
    missing (NAM006) or form a cycle (NAM005).
    """
    main = _read(source, base)
    files: dict[Path, Scope] = {path.resolve(): main} if path is not None else {}
    work = [main]
    while work:
        scope = work.pop(0)
        for item in scope.to_import:
            target = (scope.base / item.path.value).expanduser()
            key = _resolve(target, item)
            inner = files.get(key)
            if inner is None:
                inner = files[key] = _read(_open(target, item, read), target.parent, f"{scope.prefix}{item.alias.id}.")
                work.append(inner)
            scope.imports[item.alias.id] = (item, inner)
    _refuse_cycles(main)
    return main


PRELUDE = Path(__file__).parent.parent / "ops" / "prelude.net"


@cache
def prelude_names() -> frozenset[str]:
    """The nets of the prelude that models may use."""
    return frozenset(name for name in _prelude_texts() if not name.startswith("_"))


@cache
def _prelude_texts() -> dict[str, str]:
    """The text of each net of the prelude, told from its lines, below as many empty lines as stand above it."""
    lines = PRELUDE.read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("net ")]
    return {
        lines[a][4 : lines[a].index("(")]: "\n".join([*[""] * a, *lines[a:b], ""])
        for a, b in pairwise([*starts, len(lines)])
    }


@cache
def open_prelude() -> Scope:
    """The nets written in the language itself, `ops/prelude.net`: `net_of` reads each when it is first used."""
    return Scope(Source("prelude.net", "", prelude=True), PRELUDE.parent, prelude=True)


def has_net(scope: Scope, name: str) -> bool:
    """Whether a file has such a net of its own."""
    return name in scope.nets or (scope.prelude and name in _prelude_texts())


def net_of(scope: Scope, name: str) -> ast.Net:
    """A net that `scope` has."""
    if name not in scope.nets and scope.prelude:
        source = Source("prelude.net", _prelude_texts()[name], prelude=True)
        scope.nets.update(_read(source, scope.base).nets)
    return scope.nets[name]


@cache
def load_prelude() -> Scope:
    """The whole prelude, with what stands between its nets, for those who read it as a text."""
    scope = _read(Source("prelude.net", PRELUDE.read_text(encoding="utf-8"), prelude=True), PRELUDE.parent)
    scope.prelude = True
    return scope


def _open(target: Path, item: ast.Import, read: Read | None) -> Source:
    from gradcli.interp.files import read_source

    try:
        return read_source(target, shown=str(target), imported=True) if read is None else read(target)
    except ModelError as error:
        first = error.diagnostics[0]
        guess = None
        if target.parent.is_dir() and not os.path.lexists(target):
            guess = nearest(target.stem, [p.stem for p in target.parent.glob("*.net")])
        raise fail(
            "NAM006",
            f"cannot import: {first.message}",
            item.path.span,
            help=f'did you mean "{item.path.value[: -len(target.name)]}{guess}.net"?' if guess else None,
        ) from None


def _resolve(target: Path, item: ast.Import) -> Path:
    try:
        return target.resolve()
    except (OSError, RuntimeError, ValueError):
        raise fail(
            "NAM006", f'cannot import "{item.path.value}": the path has no end or no meaning', item.path.span
        ) from None


def _read(source: Source, base: Path, prefix: str = "") -> Scope:
    """Parse one file and sort its items by name."""
    from gradcli.syntax.parse import parse

    scope = Scope(source, base, prefix)
    errors: list[Diagnostic] = []
    seen: dict[tuple[str, str], ast.Name] = {}
    for position, item in enumerate(parse(source).items):
        match item:
            case ast.Edition():
                errors.extend(_edition(item, position))
                scope.edition = item.year
            case ast.Import():
                errors.extend(_twice(seen, "name", item.alias))
                errors.extend(hides(item.alias))
                scope.to_import.append(item)
            case ast.Net():
                errors.extend(_twice(seen, "name", item.name))
                errors.extend(hides(item.name))
                errors.extend(repeated(item))
                scope.nets[item.name.id] = item
            case ast.Const():
                errors.extend(_twice(seen, "name", item.name))
                errors.extend(hides(item.name))
                scope.consts[item.name.id] = item
            case ast.Dim():
                errors.extend(_twice(seen, "dim", item.name))
                scope.dims[item.name.id] = item
            case ast.Input():
                errors.extend(_twice(seen, "input", item.name))
                errors.extend(hides(item.name))
                scope.inputs[item.name.id] = item
            case ast.Case():
                scope.cases.append(item)
    if source.prelude:
        errors.clear()
    if errors:
        raise ModelError(errors)
    return scope


def _edition(item: ast.Edition, position: int) -> list[Diagnostic]:
    if position:
        return [Diagnostic("EDN001", "`edition` is the first line of a file", item.span)]
    return []


def _twice(seen: dict[tuple[str, str], ast.Name], space: str, name: ast.Name) -> list[Diagnostic]:
    known = seen.setdefault((space, name.id), name)
    if known is name:
        return []
    return [Diagnostic("NAM004", f"`{name.id}` is defined twice", name.span, others=(Label(known.span, "first here"),))]


def taken(name: str) -> bool:
    """Whether the language has an operator or a type of that name."""
    return name in _words()


@cache
def _words() -> frozenset[str]:
    from gradcli.interp.operators import OPERATORS

    return frozenset((*OPERATORS, *DTYPES, *prelude_names()))


def references(scope: Scope, name: str) -> list[str]:
    """The consts and dims of a file that one depends on, each after those that it depends on itself."""
    order: dict[str, None] = {}
    seen: set[str] = set()
    work = [(name, False)]
    while work:
        current, leave = work.pop()
        if leave:
            order[current] = None
        elif current not in seen:
            seen.add(current)
            work.append((current, True))
            nodes: list[ast.Node] = [(scope.consts.get(current) or scope.dims[current]).value]
            while nodes:
                node = nodes.pop()
                if isinstance(node, ast.Name) and (node.id in scope.consts or node.id in scope.dims):
                    work.append((node.id, False))
                nodes.extend(ast.children(node))
    order.pop(name, None)
    return list(order)


def repeated(net: ast.Net) -> list[Diagnostic]:
    """NAM004 for an input, or a static parameter, that a signature names twice."""
    seen: dict[tuple[str, str], ast.Name] = {}
    inputs = [found for each in net.inputs for found in _twice(seen, "input", each.name)]
    return inputs + [found for name in net.statics for found in _twice(seen, "static parameter", name)]


def hides(name: ast.Name) -> list[Diagnostic]:
    if name.span.source.prelude or not taken(name.id):
        return []
    return [
        Diagnostic(
            "NAM003",
            f"`{name.id}` is {'a type' if name.id in DTYPES else 'an operator'} and cannot be hidden",
            name.span,
            help=f"choose another name, like `{name.id}_`",
        )
    ]


def _refuse_cycles(main: Scope) -> None:
    """Raises ModelError NAM005 with the whole cycle."""
    trail: list[Scope] = []
    steps: list[ast.Import] = []
    done: set[int] = set()
    work: list[tuple[Scope, ast.Import | None, bool]] = [(main, None, False)]
    while work:
        scope, via, leaving = work.pop()
        if leaving:
            trail.pop()
            if via is not None:
                steps.pop()
            done.add(id(scope))
            continue
        if scope in trail:
            at = trail.index(scope)
            names = " → ".join([*(s.source.name for s in trail[at:]), scope.source.name])
            assert via is not None
            others = [Label(step.span, "imported here") for step in steps[at:]]
            raise fail("NAM005", f"imports form a cycle: {names}", via.span, others=others)
        if id(scope) in done:
            continue
        trail.append(scope)
        if via is not None:
            steps.append(via)
        work.append((scope, via, True))
        work.extend((inner, item, False) for item, inner in scope.imports.values())

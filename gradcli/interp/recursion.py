"""Nets that call themselves, found from the text alone: types are not needed to see it."""

from __future__ import annotations

from gradcli.interp.scope import Scope
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Label


def recursions(scope: Scope) -> list[Diagnostic]:
    """NAM002 for each cycle of nets of a file. A net's name cannot be hidden, so where it stands, that net is meant."""
    uses = {name: _uses(net, scope) for name, net in scope.nets.items()}
    found: list[Diagnostic] = []
    done: set[str] = set()
    for start in uses:
        path: list[str] = []
        work: list[tuple[str, bool]] = [(start, False)]
        while work:
            name, leave = work.pop()
            if leave:
                path.pop()
                done.add(name)
            elif name in path:
                found.append(_cycle(path[path.index(name) :], uses))
            elif name not in done:
                path.append(name)
                work.append((name, True))
                work.extend((other, False) for other in reversed(uses[name]))
    return found


def _uses(net: ast.Net, scope: Scope) -> dict[str, ast.Name]:
    """The nets of the file that a net names, each with its first place."""
    found: dict[str, ast.Name] = {}
    work: list[ast.Node] = [*net.body]
    while work:
        node = work.pop()
        if isinstance(node, ast.Name) and node.id in scope.nets:
            known = found.get(node.id)
            if known is None or node.span.start < known.span.start:
                found[node.id] = node
        work.extend(ast.children(node))
    return dict(sorted(found.items(), key=lambda item: item[1].span.start))


def _cycle(names: list[str], uses: dict[str, dict[str, ast.Name]]) -> Diagnostic:
    places = [uses[name][after] for name, after in zip(names, [*names[1:], names[0]], strict=True)]
    others = tuple(Label(place.span, f"{place.id} is called here") for place in places[:-1])
    return Diagnostic(
        "NAM002",
        f"recursion: {' → '.join([*names, names[0]])}",
        places[-1].span,
        f"{names[0]} is called again",
        others,
        help="a loop with a bound is written `for i in 0..n { … }`",
    )

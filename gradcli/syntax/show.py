"""A syntax tree as text, for `gradcli show --stage ast`: one line for each item and statement.

Expressions are in prefix form.

Size is linear in that of the tree, however deep it is; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from gradcli.syntax import ast


def render(module: ast.Module) -> str:
    """`module` as indented lines, each ending in the line and column where it was read.

    >>> print(render(parse(Source("a.net", "net f(x) = x + 1"))))
    module a.net
      net f  1:1
        input x  1:7
        return (+ x 1)  1:12
    """
    lines = [f"module {module.source.name}"]
    waiting: list[tuple[ast.Item | ast.Statement | ast.NetInput, int]] = [(item, 1) for item in reversed(module.items)]
    while waiting:
        node, depth = waiting.pop()
        line, column = module.source.locate(node.span.start)
        lines.append(f"{'  ' * depth}{_headline(node)}  {line}:{column}")
        below: tuple[ast.Statement | ast.NetInput, ...] = ()
        if isinstance(node, ast.Net):
            below = (*node.inputs, *node.body)
        elif isinstance(node, ast.For | ast.Case):
            below = node.body
        waiting.extend((each, depth + 1) for each in reversed(below))
    return "\n".join(lines) + "\n"


def expression(node: ast.Node) -> str:
    """An expression in prefix form: `x + 2 * y` is `(+ x (* 2 y))`."""
    out: list[str] = []
    waiting: list[ast.Node | str] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            out.append(each)
        else:
            waiting.extend(reversed(_parts(each)))
    return "".join(out)


def _headline(node: ast.Item | ast.Statement | ast.NetInput) -> str:
    """What a line says of an item or statement, without what stands below it."""
    match node:
        case ast.Edition():
            return f"edition {node.year}"
        case ast.Import():
            return f"import {_quoted(node.path.value)} as {node.alias.id}"
        case ast.Dim():
            return f"dim {node.name.id} = {expression(node.value)}"
        case ast.Const():
            return f"const {node.name.id}{_typed(node.type)} = {expression(node.value)}"
        case ast.Input():
            return f"input {node.name.id}{_typed(node.type)}{_default(node.value)}"
        case ast.NetInput():
            return f"input {node.name.id}{_typed(node.type)}{_default(node.default)}"
        case ast.Case():
            return f"case {_quoted(node.title.value)}"
        case ast.Net():
            statics = f"[{', '.join(each.id for each in node.statics)}]" if node.statics else ""
            results = "" if node.results is None else " -> " + ", ".join(map(expression, node.results))
            return f"net {node.name.id}{statics}{results}"
        case ast.Assign():
            return f"assign {expression(node.target)}{_typed(node.type)} {node.op} {expression(node.value)}"
        case ast.Param():
            return f"param {node.name.id}{_typed(node.type)} = {expression(node.init)}"
        case ast.Layer():
            count = "" if node.count is None else f"[{expression(node.count)}]"
            return f"layer {node.name.id}{count} = {expression(node.value)}"
        case ast.For():
            cond = "" if node.cond is None else f" while {expression(node.cond)}"
            return f"for {node.var.id} in {expression(node.start)} .. {expression(node.stop)}{cond}"
        case ast.Return():
            return "return " + ", ".join(map(expression, node.values))
        case ast.ExpectClose():
            within = "".join(f" {each.name}={expression(each.value)}" for each in node.within)
            return f"expect {expression(node.left)} ~= {expression(node.right)}" + (
                f" within{within}" if within else ""
            )
        case ast.ExpectTrue():
            return f"expect {expression(node.value)}"
        case ast.ExpectError():
            return f"expect error {_quoted(node.text.value)} in {expression(node.value)}"
        case _:
            assert_never(node)


def _parts(node: ast.Node) -> list[ast.Node | str]:
    """The text of one node, with the nodes below it where their texts belong."""
    match node:
        case ast.Number():
            return [repr(node.value)]
        case ast.Bool():
            return ["true" if node.value else "false"]
        case ast.Text():
            return [_quoted(node.value)]
        case ast.Nothing():
            return ["None"]
        case ast.Name():
            return [node.id]
        case ast.Ellipsis():
            return ["..."]
        case ast.List():
            return ["[", *_spaced(node.items), "]"]
        case ast.Tuple() | ast.TupleTarget():
            return ["(tuple ", *_spaced(node.items), ")"]
        case ast.Attribute():
            return ["(. ", node.value, " ", node.name, ")"]
        case ast.Slice():
            return ["(: ", *_spaced([each or "_" for each in (node.start, node.stop, node.step)]), ")"]
        case ast.Index():
            return ["(index ", *_spaced((node.value, *node.items)), ")"]
        case ast.Keyword():
            return [node.name, "=", node.value]
        case ast.Call():
            return ["(call ", *_spaced((node.func, *node.args, *node.keywords)), ")"]
        case ast.Unary():
            return [f"({node.op} ", node.operand, ")"]
        case ast.Binary():
            return [f"({node.op} ", node.left, " ", node.right, ")"]
        case ast.Select():
            return ["(if ", node.cond, " ", node.then, " ", node.other, ")"]
        case ast.Type():
            return [node.dtype, "[", *_spaced(node.dims), "]"] if node.dims else [node.dtype]
        case _:
            raise TypeError(f"{type(node).__name__} is no part of an expression")


def _spaced(nodes: Sequence[ast.Node | str]) -> list[ast.Node | str]:
    spaced: list[ast.Node | str] = []
    for node in nodes:
        spaced += (node,) if not spaced else (" ", node)
    return spaced


def _typed(type_: ast.Type | None) -> str:
    return "" if type_ is None else f": {expression(type_)}"


def _default(value: ast.Expr | None) -> str:
    return "" if value is None else f" = {expression(value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'

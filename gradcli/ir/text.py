"""Graphs as text: one aligned line for each node, with the place in the model that asked for it.

    graph(x: f32[2, 3], y: f32[3, 3])
      %0  : f32[2, 3] = mul(x, 2.0)     # model.net:4
      out : f32[2, 3] = matmul(%0, y)   # model.net:5
      return out

Values go by the model's name where only one value has it, else by a number. Single numbers stand where they are used.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.constants import CODES, unpack
from gradcli.ir.graph import Graph, Node
from gradcli.ir.region import regions
from gradcli.syntax.diagnostics import Span

SHOWN = 12  # elements of a constant that are written out
WIDEST = 88  # column beyond which a long line no longer pushes the places of all others to the right
PLACES = 2  # of a node that several lines asked for


def render(graph: Graph) -> str:
    """The whole graph, with a line feed at its end."""
    return "\n".join([*_lines(graph, "graph"), ""])


def _lines(graph: Graph, title: str) -> list[str]:
    """A graph, and below each node that holds graphs those, two steps further in."""
    names = value_names(graph)
    shown = [node for node in graph.nodes if not _is_number(node)]
    left = [", ".join(names[out.id] for out in node.outs) for node in shown]
    types = [", ".join(str(out.aval) for out in node.outs) for node in shown]
    name_width = max(map(len, left), default=0)
    type_width = max((len(text) for text in types if len(text) <= 40), default=0)
    lines = [
        f"  {name:<{name_width}} : {kind:<{type_width}} = {expression_text(node, names)}"
        for name, kind, node in zip(left, types, shown, strict=True)
    ]
    places = [_places(node.spans) for node in shown]
    column = max((len(line) for line in lines if len(line) <= WIDEST), default=0)
    head = ", ".join(f"{names[value.id]}: {value.aval}" for value in graph.inputs)
    found = [f"{title}({head})"]
    for node, line, at in zip(shown, lines, places, strict=True):
        found.append(f"{line:<{column}}  # {at}" if at else line)
        for name, region in regions(node).items():
            found.extend(f"    {inner}" for inner in _lines(region, _title(node, name)))
    results = ", ".join(names[value.id] for value in graph.outputs)
    return [*found, f"  return {results}"]


def _title(node: Node, name: str) -> str:
    """Of a graph that a node holds: how often it runs."""
    if node.prim.name != "scan":
        return name
    if name == "cond":
        return "while"
    turns = "the turns taken" if node.params["counted"] else f"0..{node.params['turns']}"
    return f"for i in {turns}{' backwards' if node.params['reverse'] else ''} "


def value_names(graph: Graph) -> dict[int, str]:
    """What each value is called, `_` where nobody reads one of several results. Inputs come first; numbers count only
    values that have no other name."""
    read = {value.id for node in graph.nodes for value in node.inputs} | {value.id for value in graph.outputs}
    values = [*graph.inputs, *(out for node in graph.nodes for out in node.outs)]
    hints = Counter(value.hint for value in values)
    inputs = {value.hint for value in graph.inputs}
    names: dict[int, str] = {}
    unnamed = 0
    for value in values:
        if value.node is not None and _is_number(value.node):
            names[value.id] = number_text(unpack(value.node.params["data"], value.dtype)[0], value.dtype)
        elif value.hint and (hints[value.hint] == 1 or (value.node is None and value.hint in inputs)):
            names[value.id] = value.hint
        elif value.id not in read and value.node is not None and len(value.node.outs) > 1:
            names[value.id] = "_"
        else:
            names[value.id] = f"%{unnamed}"
            unnamed += 1
    return names


def _is_number(node: Node) -> bool:
    return node.prim.name == "constant" and not node.params["shape"]


def expression_text(node: Node, names: dict[int, str]) -> str:
    if node.prim.name == "constant":
        return f"constant({constant_text(node.outs[0].aval, node.params['data'])})"
    operands = [names[value.id] for value in node.inputs]
    params = [] if regions(node) else map(param_text, node.params.items())  # what is inside stands below
    return f"{node.prim.name}({', '.join([*operands, *params])})"


def param_text(param: tuple[str, Any]) -> str:
    name, value = param
    if name == "items":
        return f"items=[{', '.join(_item(*item) for item in value)}]"
    return f"{name}={_value(value)}"


def _value(value: Any) -> str:
    match value:
        case tuple():
            return f"[{', '.join(map(_value, value))}]"
        case bool():
            return str(value).lower()
        case bytes():
            return f"{len(value)} bytes"
    return str(value)


def _item(start: Any, count: Any, step: Any) -> str:
    """`count` elements from `start` on, as an index: `0:4:2`, and `-` for a reversed axis's open end."""
    stop = start + count * step
    if isinstance(stop, int) and stop < 0:
        return f"{start}::{step}"
    return f"{start}:{stop}" if step == 1 else f"{start}:{stop}:{step}"


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


def constant_text(aval: Aval, data: bytes) -> str:
    """Small ones by value; of others what is the same everywhere, or the first and the last number."""
    numbers = unpack(data, aval.dtype) if len(data) <= 1 << 16 else ()
    if numbers and len(numbers) <= SHOWN:
        return _nested([number_text(number, aval.dtype) for number in numbers], aval.shape)
    item = struct.calcsize("=" + CODES[aval.dtype])
    first, last = (
        (number_text(unpack(part, aval.dtype)[0], aval.dtype) for part in (data[:item], data[-item:]))
        if data
        else ("", "")
    )
    if not data:
        return "[]"
    return f"{first} everywhere" if data == data[:item] * (len(data) // item) else f"{first} … {last}"


def _nested(texts: Sequence[str], shape: Sequence[Any]) -> str:
    """The numbers in brackets by their shape, innermost last."""
    rows = list(texts)
    for size in reversed(shape):
        rows = [f"[{', '.join(rows[k : k + size])}]" for k in range(0, len(rows), size)]
    return rows[0]


def number_text(number: float, dtype: str) -> str:
    """The shortest digits that give the number back in its dtype."""
    if dtype == "bool":
        return "true" if number else "false"
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number) or dtype == "f64":
        return repr(number)
    code = "=" + CODES[dtype]
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        try:
            if struct.unpack(code, struct.pack(code, short))[0] == number:
                return repr(short)
        except OverflowError:  # rounded up beyond the largest number of the dtype
            continue
    return repr(number)


def _places(spans: Iterable[Span]) -> str:
    """`model.net:9`, of the model before the prelude; `…` where more than two lines asked for a node."""
    found = {f"{span.source.name}:{span.line}": span.source.prelude for span in spans}
    own = [place for place, prelude in found.items() if not prelude] or list(found)
    return ", ".join([*own[:PLACES], *(["…"] if len(own) > PLACES else [])])

"""`explain` for programs: the schema `gradcli.explain/1`.

Each equation is there three times: as text, as LaTeX, and as a tree. In a tree a value is `{"name": "d_x"}`, a number
`{"number": 2.0, "shape": [], "dtype": "f64"}`, and an operator `{"op": "mul", "args": […], "params": {…}}`, with the
primitives' names and params. `d_x` is the adjoint of x, `t_x` its tangent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.constants import unpack
from gradcli.ir.formula import Block, Derivation, Equation, Explanation, Formula, Number, Step, Symbol
from gradcli.report.forms import as_json
from gradcli.report.notation import write
from gradcli.report.numbers import json_array
from gradcli.report.styles import LATEX, TEXT
from gradcli.syntax.diagnostics import Span


def explanation_json(explanation: Explanation) -> str:
    """One document, ending in a newline; a line for each step."""
    head = {
        "schema": "gradcli.explain/1",
        "model": explanation.model,
        "net": explanation.net,
        "edition": explanation.edition,
    }
    lines = [", ".join(f"{_text(key)}: {_text(value)}" for key, value in head.items())]
    lines.append('"parts": [' + ",\n  ".join(_Part(part).text() for part in explanation.parts) + "]")
    places = [step.place for part in explanation.parts for step in part.steps if step.place is not None]
    lines.append(f'"lines": {_text({_place(at): at.source.line(at.line).strip() for at in places})}')
    lines.append(f'"notes": {_text([as_json(note) for note in explanation.notes])}')
    return "{" + ",\n ".join(lines) + "}\n"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _place(span: Span) -> str:
    """`model.net:5`"""
    return f"{span.source.name}:{span.line}"


class _Part:
    """One derivation; loops are kept in a list of their own, to which equations point by number."""

    def __init__(self, part: Derivation) -> None:
        self.part = part
        self.blocks: list[str] = []
        self.numbers: dict[int, int] = {}

    def text(self) -> str:
        part = self.part
        steps = ",\n    ".join(self._step(step) for step in part.steps)
        seeds, closed = self._equations(part.seeds), self._equations(part.closed)
        fields = [
            f'"of": {_text(part.of)}, "mode": {_text(part.mode)}, "seeds": {seeds}',
            f'"steps": [{steps}]',
            f'"blocks": [{", ".join(self.blocks)}]',
            f'"results": {_text([str(name) for name in part.results])}, "closed": {closed}',
        ]
        return "{" + ",\n   ".join(fields) + "}"

    def _step(self, step: Step) -> str:
        place, why = _text(None if step.place is None else _place(step.place)), _text(step.why or None)
        value, derivative = self._equation(step.value), self._equations(step.derivative)
        return f'{{"place": {place}, "value": {value}, "derivative": {derivative}, "why": {why}}}'

    def _equations(self, equations: Iterable[Equation]) -> str:
        return f"[{', '.join(map(self._equation, equations))}]"

    def _equation(self, equation: Equation) -> str:
        called = "".join(p if isinstance(p, str) else write(p, TEXT) for p in equation.call)
        formula = equation.formula
        fields = {
            "name": str(equation.name),
            "of": equation.name.base,
            "symbol": TEXT.name(equation.name),
            "shape": [*equation.aval.shape],
            "dims": [*(equation.dims or (None,) * equation.aval.rank)],
            "dtype": equation.aval.dtype,
            "text": None if formula is None else write(formula, TEXT),
            "latex": None if formula is None else write(formula, LATEX),
            "formula": None if formula is None else tree(formula),
            "call": called or None,
            "summed": [*equation.summed],
            "block": None if equation.block is None else self._block(equation.block),
        }
        value = "null" if equation.value is None else json_array(equation.value)
        return f'{_text(fields)[:-1]}, "value": {value}}}'

    def _block(self, block: Block) -> int:
        """The number of a block in the list."""
        if id(block) not in self.numbers:
            given, lines, after = (self._equations(part) for part in (block.given, block.lines, block.after))
            fields = {
                "op": block.op,
                "turns": block.params.get("turns"),
                "reverse": bool(block.params.get("reverse")),
                "count": tree(block.params["count"]) if "count" in block.params else None,
                "condition": None if block.condition is None else tree(block.condition),
                "index": None if block.index is None else str(block.index),
                "carried": [str(name) for name in block.carried],
                "slices": [str(name) for name in block.slices],
                "results": [None if name is None else str(name) for name in block.results],
            }
            self.numbers[id(block)] = len(self.blocks)
            self.blocks.append(f'{_text(fields)[:-1]}, "given": {given}, "lines": {lines}, "after": {after}}}')
        return self.numbers[id(block)]


def tree(formula: Formula) -> dict[str, Any]:
    """A formula as JSON has it. Depth is bounded: what is long has a name."""
    match formula:
        case Symbol():
            return {"name": str(formula.name)}
        case Number():
            return {"number": _number(formula.number), "shape": [*formula.aval.shape], "dtype": formula.aval.dtype}
    params = {name: _param(value, formula.aval) for name, value in formula.params.items()}
    return {"op": formula.op, "args": [tree(part) for part in formula.args], "params": params}


def _param(value: Any, aval: Aval) -> Any:
    if isinstance(value, bytes):
        return [_number(number) for number in unpack(value, aval.dtype)]
    if isinstance(value, tuple):
        return [_param(part, aval) for part in value]
    return value


def _number(number: float) -> float | str:
    """JSON has neither nan nor inf."""
    return number if number - number == 0 else str(float(number))

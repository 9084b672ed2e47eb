"""Blocks of a derivation as lines, in any style: a loop with what it starts from, one turn, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradcli.ir.formula import Block, Equation, Name, symbols
from gradcli.report.notation import Style, condition, write


def block_lines(block: Block, style: Style) -> Iterator[str]:
    """One line each; those inside are indented."""
    yield _head(block, style)
    inner = style.indent
    for given in block.given:
        yield from (inner + line for line in _given(given, block, style))
    shown: list[Block] = []
    for line in block.lines:
        if line.block is None:
            yield inner + _set(line, "=", style)
        elif line.block not in shown:
            shown.append(line.block)
            yield from (inner + text for text in block_lines(line.block, style))
    yield from (inner + line for line in _after(block, style))
    left = block.carried or tuple(equation.name for equation in block.after)
    for result, inside in zip(block.results, left, strict=False):
        if result is not None and result != inside:
            yield f"{style.prose('then ')}{style.name(result)} = {style.name(inside)}"


def first_result(block: Block) -> Name:
    """The result beside which a block is written."""
    return next(name for name in block.results if name is not None)


def _after(block: Block, style: Style) -> Iterator[str]:
    """What a turn leaves, in an order in which nothing is read that was set before; at once where there is none."""
    left = list(block.after)
    while left:
        free = next((one for one in left if not _read_by_others(one, left)), None)
        if free is None:
            yield style.prose("at once")
            yield from (style.indent + _set(one, _sign(one, block, style), style) for one in left)
            return
        left.remove(free)
        yield _set(free, _sign(free, block, style), style)


def _read_by_others(one: Equation, equations: Sequence[Equation]) -> bool:
    return any(
        one.name in symbols(other.formula)
        for other in equations
        if other is not one and other.formula is not None
    )  # fmt: skip


def _sign(equation: Equation, block: Block, style: Style) -> str:
    return style.becomes if equation.name in block.carried else "="


def _head(block: Block, style: Style) -> str:
    if block.index is None:
        return style.prose(f"{block.op}:")
    turns = style.prose("the turns taken") if "count" in block.params else style.turns(block.params["turns"])
    stop = "" if block.condition is None else style.prose(" while ") + condition(block.condition, style)
    back = style.prose(" backwards") if block.params["reverse"] else ""
    return f"{style.prose('for ')}{style.name(block.index)}{style.prose(' in ')}{turns}{back}{stop}"


def _given(given: Equation, block: Block, style: Style) -> Iterator[str]:
    """What a loop starts from; of what it reads turn by turn, which part; and what has another name inside."""
    if given.formula is None:
        return
    name, made = style.name(given.name), write(given.formula, style)
    if given.name in block.slices and block.index is not None:
        if made == style.name(Name(f"{given.name}_i")):
            yield f"{style.prose('with ')}{name}{style.prose(' as it was before turn ')}{style.name(block.index)}"
        else:
            yield f"{style.prose('with ')}{name} = {style.index(made, style.name(block.index))}"
    elif made != name:
        yield f"{style.prose('from ' if given.name in block.carried else 'with ')}{name} = {made}"


def _set(equation: Equation, sign: str, style: Style) -> str:
    assert equation.formula is not None
    return f"{style.name(equation.name)} {sign} {write(equation.formula, style)}"

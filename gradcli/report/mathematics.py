"""A derivation as Markdown with formulas in dollars, and as a LaTeX document of its own (amsmath, longtable)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradcli.ir.formula import Derivation, Equation, Explanation, Formula, Name, Step
from gradcli.report.derivations import dim_text, number_text, place_text, reading, shape_text, source_text, weighted
from gradcli.report.notation import spread, write
from gradcli.report.signs import columns, printable
from gradcli.report.styles import LATEX, TEXT, escaped
from gradcli.report.turns import block_lines, first_result

DOTS = r" \dots "
SUM = r"\sum "
NARROW = 40  # columns of text beyond which an adjoint stands below its value

Cell = list[str]  # lines


def markdown(explanation: Explanation, *, precision: int | None) -> str:
    """A heading and one table for each part."""
    lines = [f"# {_plain(explanation.model)}: net {_plain(explanation.net)}"]
    for part in explanation.parts:
        lines += ["", f"{_plain(reading(part)[:1].upper() + reading(part)[1:])}.", ""]
        titles = ["line", "value", "shape", "adjoint" if part.mode == "reverse" else "tangent"]
        if explanation.numbers:
            titles[2:2] = ["at the point"]
            titles.append("at the point")
        lines += [_md_row(titles), _md_row(["---"] * len(titles))]
        for step in part.steps:
            lines.append(_md_row(_md_cells(step, explanation.model, explanation.numbers, precision)))
        if part.closed:
            lines += ["", "In closed form:", ""]
            lines += [f"- ${_closed(equation)}$" for equation in part.closed]
    return "\n".join(lines) + "\n"


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md_cells(step: Step, model: str, numbers: bool, precision: int | None) -> list[str]:
    left, right = _cells(step)
    shape = f"`{shape_text(step.value)}`"
    cells = [_plain(place_text(step, model)), _md_math(left), shape, _md_math(right)]
    if numbers:
        last = step.derivative[-1] if step.derivative else None
        cells[2:2] = [number_text(step.value, precision)]
        cells.append("" if last is None else number_text(last, precision))
    return cells


def _md_math(lines: Cell) -> str:
    """Formulas below each other; a bar would end the cell."""
    return "<br>".join(f"${line}$" if line else "" for line in lines).replace("|", r"\vert ")


def _plain(text: str) -> str:
    """Text that Markdown does not take for marks."""
    return "".join("\\" + letter if letter in "\\`*_[]<>|#$" else letter for letter in printable(text))


# ── LaTeX ───────────────────────────────────────────────────────────────────────────────────────────────────

HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{amsmath}
\usepackage{amssymb}
\usepackage{array}
\usepackage{longtable}
\setlength{\oddsidemargin}{-1cm}
\setlength{\textwidth}{18cm}
\setlength{\parindent}{0pt}
\renewcommand{\arraystretch}{1.4}
\begin{document}
"""
SIGNS = {"x̄": r"$\bar{x}$", "x̃": r"$\tilde{x}$", "ẋ": r"$\dot{x}$", "∂L/∂x": r"$\partial L/\partial x$"}


def document(explanation: Explanation, *, precision: int | None) -> str:
    """A document that pdflatex sets as it is."""
    title = f"\\section*{{{_words(explanation.model)}: net {_words(explanation.net)}}}\n"
    parts = [_tex_part(part, explanation, precision) for part in explanation.parts]
    return HEAD + title + "\n".join(parts) + "\\end{document}\n"


def _tex_part(part: Derivation, explanation: Explanation, precision: int | None) -> str:
    title = "Adjoint" if part.mode == "reverse" else "Tangent"
    lines = [
        f"{_tex_reading(part)}",
        "",
        r"\begin{longtable}{r@{\quad}>{$\displaystyle}l<{$}@{\quad}l@{\quad}>{$\displaystyle}l<{$}}",
    ]
    lines.append(rf"& \text{{Value}} & Shape & \text{{{title}}} \\ \hline")
    for step in part.steps:
        lines += _tex_rows(step, explanation.model, precision if explanation.numbers else -1)
    lines.append(r"\end{longtable}")
    if part.closed:
        lines += ["In closed form:", r"\begin{align*}"]
        lines.append(" \\\\\n".join(_closed(equation).replace(" = ", " &= ", 1) for equation in part.closed))
        lines.append(r"\end{align*}")
    return "\n".join(lines) + "\n"


def _tex_rows(step: Step, model: str, precision: int | None) -> Iterator[str]:
    left, right = _cells(step)
    shape = rf"\texttt{{{_words(shape_text(step.value))}}}"
    if precision != -1:
        left[-1] += _tex_number(step.value, precision)
        if step.derivative:
            right[-1] += _tex_number(step.derivative[-1], precision)
    count = max(len(left), len(right))
    place = _words(place_text(step, model))
    wide = count == 1 and (_columns(step.value) > NARROW or any(_columns(e) > NARROW for e in step.derivative))
    if wide:
        yield rf"{place} & {left[0]} & {shape} & \\*"
        yield rf"& \multicolumn{{3}}{{>{{$\displaystyle}}l<{{$}}}}{{\qquad {right[0]}}} \\"
        return
    for k in range(count):
        cells = [
            place if k == 0 else "",
            left[k] if k < len(left) else "",
            shape if k == count - 1 else "",
            right[k] if k < len(right) else "",
        ]
        yield " & ".join(cells) + r" \\"


def _columns(equation: Equation) -> int:
    return 0 if equation.formula is None else columns(write(equation.formula, TEXT))


def _tex_number(equation: Equation, precision: int | None) -> str:
    text = number_text(equation, precision)
    return rf" = {escaped(text).replace(' ', '~').replace('…', DOTS)}" if text else ""


def _tex_reading(part: Derivation) -> str:
    """The sentence before the table, with formulas for its signs."""
    mode, _, rest = reading(part).partition(":")
    how, *_ = rest.partition("L = ")
    for sign, tex in SIGNS.items():
        how = how.replace(sign, tex)
    what = _of(part.of) if part.of.startswith("∂") else mode.capitalize()
    if part.mode == "forward":
        return f"{what}:{how}."
    return f"{what}:{how}$L = {' + '.join(weighted(part, LATEX, SUM)) or '0'}$."


def _of(text: str) -> str:
    return f"${escaped(text).replace('∂', chr(92) + 'partial ')}$"


def _words(text: str) -> str:
    """Text outside of formulas."""
    made = escaped(text)
    return made.replace(r"\backslash{}", r"\textbackslash{}").replace(r"\sim{}", r"\textasciitilde{}").replace(
        r"\hat{}", r"\textasciicircum{}")  # fmt: skip


# ── cells of both ───────────────────────────────────────────────────────────────────────────────────────────


def _cells(step: Step) -> tuple[Cell, Cell]:
    """What a model computes, and its adjoint, as formulas below each other."""
    left: Cell = []
    right: Cell = []
    block = step.value.block
    if block is not None and (step.adjoint_block is not None or step.value.name == first_result(block)):
        left += block_lines(block, LATEX)
        right += block_lines(step.adjoint_block, LATEX) if step.adjoint_block is not None else []
        right += [""] * (len(left) - len(right))
        left += [""] * (len(right) - len(left))
    left.append(_equation(step.value))
    right += [_equation(e) for e in step.derivative[:-1] if e.block is None]
    right += [_equation(e) for e in step.derivative[-1:]]
    if step.why and not step.derivative:
        right.append(rf"\text{{{step.why}}}")
    return left, right or [""]


def _equation(equation: Equation) -> str:
    name = LATEX.name(equation.name)
    if equation.formula is None:
        given = "".join(p for p in equation.call if isinstance(p, str))
        if given:
            return rf"{name} = \text{{{_words(given)}}}"
        source = source_text(equation)
        return name + (LATEX.prose(source) if source else "")
    called = f"{_call(equation.call)} = " if equation.call else ""
    over = (
        rf"\quad\text{{(summed over {_words(', '.join(map(dim_text, equation.summed)))})}}" if equation.summed else ""
    )
    return f"{name} = {called}{write(equation.formula, LATEX)}{over}"


def _call(pieces: Sequence[str | Formula]) -> str:
    return "".join(rf"\mathrm{{{escaped(p)}}}" if isinstance(p, str) else write(p, LATEX) for p in pieces)


def _closed(equation: Equation) -> str:
    assert equation.formula is not None
    formula, where = spread(equation.formula)
    by = LATEX.name(Name(equation.name.base))
    return rf"\frac{{\partial L}}{{\partial {by}}} = {write(formula, LATEX)}" + (
        rf"\quad\text{{{where}}}" if where else ""
    )

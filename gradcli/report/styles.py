"""The two styles of `notation`: Unicode text for terminals, and LaTeX that needs amsmath and nothing else.

A bar (a dot) stands above the first letter of a name: `x̄1`, `l̄oss`. In LaTeX it spans a name of several letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from gradcli.ir.formula import Name
from gradcli.ir.text import number_text
from gradcli.report.notation import ATOM, OVER, POWER, PRODUCT, Written
from gradcli.report.signs import printable

ABOVE = {"bar": "\u0304", "dot": "\u0307", "tilde": "\u0303"}
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
WORDS = {
    "less": "<", "less_equal": "≤", "greater": ">", "greater_equal": "≥", "equal": "=", "not_equal": "≠",
    "logical_and": "∧", "logical_or": "∨", "logical_not": "¬",
}  # fmt: skip
SHORTER = {"log": "ln", "stop_gradient": "stop"}


class Text:
    """As a terminal shows it."""

    times, each, matrix, minus = "·", "⊙", " @ ", "−"
    becomes, indent = "←", "  "
    words: Mapping[str, str] = WORDS

    def name(self, name: Name) -> str:
        path, dot, last = name.base.rpartition(".")
        above = "".join(ABOVE[mark] for mark in name.marks)
        return printable(path + dot + unicodedata.normalize("NFC", last[:1] + above) + last[1:])

    def number(self, number: float, dtype: str) -> str:
        return number_text(number, dtype).removesuffix(".0").replace("-", "−")

    def bracket(self, text: str) -> str:
        return f"({text})"

    def prose(self, text: str) -> str:
        return text

    def turns(self, count: int) -> str:
        return f"0..{count}"

    def call(self, name: str, args: list[str]) -> str:
        return f"{SHORTER.get(name, name)}({', '.join(args)})"

    def code(self, text: str) -> str:
        return printable(text)

    def quotient(self, top: Written, below: Written) -> Written:
        left = top[0] if top[1] >= PRODUCT else self.bracket(top[0])
        return f"{left} / {below[0] if below[1] >= POWER else self.bracket(below[0])}", OVER

    def power(self, base: str, exponent: str) -> str:
        plain = exponent.replace("−", "-")
        if re.fullmatch(r"-?\d+", plain):
            return base + plain.translate(RAISED)
        return f"{base}^{exponent if exponent.isalnum() else self.bracket(exponent)}"

    def root(self, inner: Written) -> Written:
        return f"√{inner[0] if inner[1] >= ATOM else self.bracket(inner[0])}", POWER

    def absolute(self, inner: str) -> str:
        return f"|{inner}|"

    def turned(self, inner: str) -> str:
        return f"{inner}ᵀ"

    def over(self, sign: str, labels: tuple[str, ...]) -> str:
        below = f"_{','.join(labels)}" if labels else ""
        return ("Σ" if sign == "sum" else sign) + below

    def holds(self, condition: str) -> str:
        return f"[{condition}]"

    def index(self, inner: str, places: str) -> str:
        return f"{inner}[{places}]"

    def placed(self, inner: str, places: str) -> str:
        return f"{inner} at [{places}], else 0"

    def replaced(self, inner: str, places: str, part: str) -> str:
        return f"{inner} with {part} at [{places}]"


# ── LaTeX ───────────────────────────────────────────────────────────────────────────────────────────────────

ESCAPED = {
    "\\": r"\backslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\sim{}", "^": r"\hat{}", "′": "'", "″": "''", "‴": "'''",
}  # fmt: skip
KNOWN = {
    "log": r"\ln", "exp": r"\exp", "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "sinh": r"\sinh", "cosh": r"\cosh",
    "tanh": r"\tanh", "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan",
}  # fmt: skip
LATEX_WORDS = {
    "less": "<", "less_equal": r"\le", "greater": ">", "greater_equal": r"\ge", "equal": "=", "not_equal": r"\ne",
    "logical_and": r"\wedge", "logical_or": r"\vee", "logical_not": r"\neg",
}  # fmt: skip
ACCENTS = {"bar": (r"\bar", r"\overline"), "dot": (r"\dot", r"\dot"), "tilde": (r"\tilde", r"\widetilde")}
SINGLE = re.compile(r"([A-Za-z]|[α-ωΑ-Ω])(?:_?(\d+)|_(i))?([′″‴]*)")


def escaped(text: str) -> str:
    """Any text inside a formula's `\\mathrm` or `\\text`."""
    return "".join(ESCAPED.get(letter, letter) for letter in printable(text))


class Latex:
    """As a document sets it, in mathematics mode."""

    times, each, matrix, minus = r"\cdot", r"\odot", r"\,", "-"
    becomes, indent = r"\leftarrow", r"\quad "
    words: Mapping[str, str] = LATEX_WORDS

    def name(self, name: Name) -> str:
        found = SINGLE.fullmatch(name.base)
        if found is None:
            return self._marked(rf"\mathrm{{{escaped(name.base)}}}", name.marks, wide=True)
        letter, digits, history, primes = found.groups()
        below = digits or history
        made = self._marked(_greek(letter), name.marks, wide=False)
        return made + (f"_{{{below}}}" if below else "") + escaped(primes)

    def _marked(self, core: str, marks: tuple[str, ...], *, wide: bool) -> str:
        for mark in marks:
            accent = ACCENTS[mark][wide]
            core = f"{accent}{{{core}}}"
        return core

    def number(self, number: float, dtype: str) -> str:
        text = number_text(number, dtype).removesuffix(".0")
        if text.lstrip("-") in ("inf", "nan"):
            return text.replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")
        digits, e, exponent = text.partition("e")
        return rf"{digits} \cdot 10^{{{int(exponent)}}}" if e else digits

    def bracket(self, text: str) -> str:
        return rf"\left({text}\right)"

    def prose(self, text: str) -> str:
        return rf"\text{{{escaped(text)}}}"

    def turns(self, count: int) -> str:
        return rf"0, \dots, {count - 1}"

    def call(self, name: str, args: list[str]) -> str:
        head = KNOWN.get(name) or rf"\operatorname{{{escaped(SHORTER.get(name, name))}}}"
        return head + self.bracket(", ".join(args))

    def code(self, text: str) -> str:
        return rf"\mathrm{{{escaped(text)}}}"

    def quotient(self, top: Written, below: Written) -> Written:
        return rf"\frac{{{top[0]}}}{{{below[0]}}}", PRODUCT

    def power(self, base: str, exponent: str) -> str:
        return f"{{{base}}}^{{{exponent}}}"

    def root(self, inner: Written) -> Written:
        return rf"\sqrt{{{inner[0]}}}", ATOM

    def absolute(self, inner: str) -> str:
        return rf"\left\lvert {inner} \right\rvert"

    def turned(self, inner: str) -> str:
        return rf"{{{inner}}}^{{\top}}"

    def over(self, sign: str, labels: tuple[str, ...]) -> str:
        below = ", ".join(label if label.isdecimal() else rf"\mathrm{{{escaped(label)}}}" for label in labels)
        return rf"\{sign}" + (f"_{{{below}}}" if below else "")

    def holds(self, condition: str) -> str:
        return rf"\left[{condition}\right]"

    def index(self, inner: str, places: str) -> str:
        shown = places.replace("None", r"\mathrm{None}")
        return rf"{inner}\left[{shown}\right]"

    def placed(self, inner: str, places: str) -> str:
        return rf"{inner} \text{{ at }} \left[{places}\right] \text{{, else }} 0"

    def replaced(self, inner: str, places: str, part: str) -> str:
        return rf"{inner} \text{{ with }} {part} \text{{ at }} \left[{places}\right]"


def _greek(letter: str) -> str:
    if letter.isascii():
        return letter
    case, _, word = unicodedata.name(letter).removeprefix("GREEK ").partition(" LETTER ")
    return rf"\{word.lower().replace(' ', '')}" if case == "SMALL" else rf"\{word.capitalize()}"


TEXT, LATEX = Text(), Latex()

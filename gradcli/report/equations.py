"""An explanation in the form that was asked for: text, Markdown, LaTeX or JSON."""

from __future__ import annotations

from gradcli.ir.formula import Explanation


def render(explanation: Explanation, form: str, *, width: int, precision: int | None, color: bool) -> str:
    """The whole page, ending in a newline."""
    match form:
        case "text":
            from gradcli.report.derivations import explanation_text

            return explanation_text(explanation, width=width, precision=precision, color=color)
        case "json":
            from gradcli.report.equations_json import explanation_json

            return explanation_json(explanation)
        case "md":
            from gradcli.report.mathematics import markdown

            return markdown(explanation, precision=precision)
    from gradcli.report.mathematics import document

    return document(explanation, precision=precision)

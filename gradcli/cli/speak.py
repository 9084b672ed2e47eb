"""What a run says beside its result: notes, warnings and the backend, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from gradcli.cli.options import Voice
from gradcli.report.diagnostics import render, render_short
from gradcli.report.signs import colored
from gradcli.syntax.diagnostics import Diagnostic, fail


def settle(voice: Voice) -> None:
    """Raises ModelError USE005 where options disagree."""
    if voice.quiet and voice.verbose:
        raise fail("USE005", "`-q` and `-v` disagree", help="give one of them")


def say(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"{text}\n")


def notes(found: Iterable[Diagnostic], voice: Voice) -> bool:
    """Says them, unless `-q`: notes in one line, warnings in full. True if one is a warning."""
    color = colored(voice.color, sys.stderr)
    warned = False
    for diagnostic in found:
        warned |= diagnostic.severity != "note"
        if not voice.quiet:
            draw = render_short if diagnostic.severity == "note" else render
            sys.stderr.write(draw(diagnostic, color=color))
    return warned

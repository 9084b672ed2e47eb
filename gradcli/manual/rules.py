"""The index of diagnostic codes, gathered from the room that owns each family."""

from __future__ import annotations

from functools import cache

from gradcli.syntax.codes import Entry
from gradcli.syntax.diagnostics import fail, nearest


@cache
def entries() -> dict[str, Entry]:
    """Every code with its page, in order."""
    from gradcli.data.codes import CODES as DATA
    from gradcli.interp.codes import CODES as INTERP
    from gradcli.manual.codes import CODES as USAGE
    from gradcli.syntax.codes import CODES as SYNTAX

    merged = {**SYNTAX, **INTERP, **DATA, **USAGE}
    return dict(sorted(merged.items()))


def entry(code: str) -> Entry:
    """One code's page, whatever its case. Raises ModelError NAM016 for an unknown one."""
    known = entries()
    found = known.get(code.strip().upper())
    if found is None:
        guess = nearest(code.strip().upper(), known)
        raise fail(
            "NAM016",
            f"there is no rule {code}",
            help=f"did you mean {guess}?" if guess else "`gradcli rule` lists them",
        )
    return found

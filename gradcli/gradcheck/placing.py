"""Where in a model a node comes from: `model.net:12`."""

from __future__ import annotations

from collections.abc import Sequence

from gradcli.syntax.diagnostics import Span


def own_span(spans: Sequence[Span]) -> Span | None:
    """The first place in the model itself; in the prelude where there is none."""
    own = [span for span in spans if not span.source.prelude] or spans
    return own[0] if own else None


def place_of(spans: Sequence[Span]) -> str | None:
    span = own_span(spans)
    return None if span is None else f"{span.source.name}:{span.line}"

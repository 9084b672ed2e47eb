"""A progress bar on the terminal, for work that takes longer than a second. Elsewhere, and before, nothing."""

from __future__ import annotations

import sys
from threading import Lock, Timer
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 1.0  # seconds
BETWEEN = 0.1  # seconds between drawings of a bar that is still


class Bar:
    """Counts finished pieces of work on `stream`. Use as a context manager; `enabled` False makes it do nothing.

    One that is `still` is drawn between pieces only, so that nothing runs beside work that is timed.
    """

    def __init__(self, stream: TextIO, *, enabled: bool, color: bool, still: bool = False) -> None:
        self._stream, self._enabled, self._color, self._still = stream, enabled, color, still
        self._total, self._done, self._text = 0, 0, ""
        self._drawn: tuple[Progress, TaskID] | None = None
        self._timer: Timer | None = None
        self._lock = Lock()
        self._shown = 0.0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._enabled = False
            drawn, self._drawn = self._drawn, None
        if drawn is not None:
            drawn[0].stop()

    def start(self, total: int) -> None:
        """`total` pieces lie ahead; the bar appears when they take long."""
        self._total = total
        if self._enabled:
            self._timer = Timer(PATIENCE, self._draw)
            self._timer.daemon = True
            self._timer.start()

    def advance(self, text: str) -> None:
        """One piece is done; `text` names it."""
        self._done, self._text = self._done + 1, text
        self._total = max(self._total, self._done)
        if self._drawn is not None:
            bar, task = self._drawn
            bar.update(task, total=self._total, completed=self._done, description=text[:40])
            if self._still and perf_counter() - self._shown > BETWEEN:
                self._shown = perf_counter()
                bar.refresh()

    def _draw(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from gradcli.report.table import console

        with self._lock:
            if not self._enabled:
                return
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}", markup=False),
            )
            drawing = console(self._stream, color=self._color, width=None)
            # What is printed while the bar stands goes above it, where both are on the terminal.
            both = sys.stdout.isatty()
            bar = Progress(*columns, console=drawing, transient=True, redirect_stdout=both, redirect_stderr=both,
                           auto_refresh=not self._still)  # fmt: skip
            task = bar.add_task(self._text[:40], total=self._total, completed=self._done)
            bar.start()
            self._drawn = bar, task

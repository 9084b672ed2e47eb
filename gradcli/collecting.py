"""The search for garbage, which is left out where a large tree or graph grows: it would be walked again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the cycle collector, whose search of what grows is a third of the time; on again afterwards if it was.

    Where threads are in here at the same time, it is on again when the first of them that met it on is done.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()

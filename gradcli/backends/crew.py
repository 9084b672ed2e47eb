"""Threads that work on the lanes of a region, one pool for the whole process.

The thread that asks works, too, and takes lane after lane as the others do; so nothing waits for a pool that is busy
elsewhere. Threads are started when first needed, and forgotten in a child process, which has none of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue

Work = Callable[[int, int], None]  # (lane, worker)


def share(work: Work, lanes: int, workers: int) -> None:
    """Call `work(lane, worker)` once for each lane, on up to `workers` threads; worker 0 is the thread that asks.

    Raises what a call raises, after all threads have let go; so does an interrupt.
    """
    if workers < 2 or lanes < 2:
        for lane in range(lanes):
            work(lane, 0)
        return
    task = _Task(work, lanes)
    others = min(workers, lanes) - 1
    _start(others)
    for worker in range(1, others + 1):
        _waiting.put((task, worker))
    failure: BaseException | None = None
    try:
        task.take(0)
    except BaseException as error:
        failure = error
    while others:
        try:
            task.done.get()
            others -= 1
        except BaseException as error:  # an interrupt: the others are told, and waited for
            failure, task.stopped = error, True
    failure = failure or task.failure
    if failure is not None:
        raise failure


class _Task:
    def __init__(self, work: Work, lanes: int) -> None:
        self.work, self.lanes = work, lanes
        self.next = count()
        self.stopped = False
        self.failure: BaseException | None = None
        self.done: SimpleQueue[None] = SimpleQueue()

    def take(self, worker: int) -> None:
        """Work on lanes until none is left."""
        try:
            while not self.stopped and (lane := next(self.next)) < self.lanes:
                self.work(lane, worker)
        except BaseException:
            self.stopped = True
            raise

    def help(self, worker: int) -> None:
        """As another thread: what is raised is kept for the one that asked."""
        try:
            self.take(worker)
        except BaseException as error:
            self.failure = error
        finally:
            self.done.put(None)


_waiting: SimpleQueue[tuple[_Task, int]] = SimpleQueue()
_started: list[threading.Thread] = []
_lock = threading.Lock()


def _start(threads: int) -> None:
    """Have at least so many threads waiting for work."""
    if len(_started) >= threads:
        return
    with _lock:
        while len(_started) < threads:
            thread = threading.Thread(target=_serve, name=f"gradcli-{len(_started) + 1}", daemon=True)
            thread.start()
            _started.append(thread)


def _serve() -> None:
    import numpy as np

    np.seterr(all="ignore")  # of this thread, as `numpy.run` has it for its own
    while True:
        task, worker = _waiting.get()
        task.help(worker)
        del task


def _forget() -> None:
    global _waiting, _lock
    _waiting, _lock = SimpleQueue(), threading.Lock()
    _started.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

__all__ = ["share"]

"""Threads that work on the lanes of a region, one pool for the whole process.

The thread that asks works, too, and takes lane after lane as the others do; so nothing waits for a pool that is busy
elsewhere, or for threads that the system does not give. Threads are started when first needed, and forgotten in a child
process, which has none of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from itertools import count
from queue import SimpleQueue

Work = Callable[[int, int], Iterator[None]]  # (lane, worker): it stops after each block, where it may end early


def share(work: Work, lanes: int, workers: int) -> None:
    """Run `work(lane, worker)` to its end for each lane, on up to `workers` threads; worker 0 is the thread that asks.

    Raises what one raises, after all threads have let go, each at the end of its block; so does an interrupt.
    """
    if workers < 2 or lanes < 2:
        for lane in range(lanes):
            for _ in work(lane, 0):
                pass
        return
    task = _Task(work, lanes)
    failure: BaseException | None = None
    try:
        for worker in range(1, 1 + _start(min(workers, lanes) - 1)):
            _waiting.put((task, worker))
        task.take(0)
    except BaseException as error:
        failure = error
    while not task.free:  # whatever interrupts, the others are waited for
        try:
            task.close()
        except BaseException as error:
            failure, task.stopped = error, True
    failure, task.failure = failure or task.failure, None
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # which holds this frame in turn, and so all memory of the work


class _Task:
    """Lanes to be taken. It is closed when the thread that asked has no more to do: who comes then, comes too late."""

    def __init__(self, work: Work, lanes: int) -> None:
        self.work, self.lanes = work, lanes
        self.next = count()
        self.stopped = False
        self.failure: BaseException | None = None
        self.lock = threading.Lock()
        self.helping = 0
        self.closed = False
        self.left = threading.Event()

    @property
    def free(self) -> bool:
        return self.closed and not self.helping

    def take(self, worker: int) -> None:
        """Work on lanes until none is left."""
        try:
            while not self.stopped and (lane := next(self.next)) < self.lanes:
                for _ in self.work(lane, worker):
                    if self.stopped:
                        return
        except BaseException:
            self.stopped = True
            raise

    def help(self, worker: int) -> None:
        """As another thread: what is raised is kept for the one that asked."""
        with self.lock:
            if self.closed:
                return
            self.helping += 1
        try:
            self.take(worker)
        except BaseException as error:
            self.failure = error
        with self.lock:
            self.helping -= 1
            if self.closed and not self.helping:
                self.left.set()

    def close(self) -> None:
        """Return when nobody helps any more. May be called again, after an interrupt."""
        with self.lock:
            self.closed = True
            if not self.helping:
                return
        self.left.wait()


_waiting: SimpleQueue[tuple[_Task, int]] = SimpleQueue()
_started: list[threading.Thread] = []
_lock = threading.RLock()  # a signal handler may ask for threads, too


def _start(threads: int) -> int:
    """Have at least so many threads waiting for work; gives how many there are of them, where the system refuses."""
    if len(_started) < threads:
        with _lock:
            while len(_started) < threads:
                thread = threading.Thread(target=_serve, name=f"gradcli-{len(_started) + 1}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    break
                _started.append(thread)
    return min(threads, len(_started))


def _serve() -> None:
    import numpy as np

    np.seterr(all="ignore")  # of this thread, as `numpy.run` has it for its own
    while True:
        task, worker = _waiting.get()
        task.help(worker)
        del task


def _forget() -> None:
    global _waiting, _lock
    _waiting, _lock = SimpleQueue(), threading.RLock()
    _started.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

__all__ = ["share"]

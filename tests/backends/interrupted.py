"""Runs a plan on three threads while it is interrupted at random moments; prints how many runs were. A process of its
own, as a hang would be one of the tests, too."""

from __future__ import annotations

import random
import signal

import numpy as np

from gradcli.backends import numpy as backend
from gradcli.plan import make_plan
from tests.plan.drawn import arrays_for
from tests.plan.test_exact import large


def main() -> None:
    graph = large("chain f32")
    plan, arrays = make_plan(graph), arrays_for(graph, 0)
    expected = backend.run(plan, arrays, 3)
    draw = random.Random(0)
    interrupted = 0
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for _ in range(60):
        try:
            signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.0002, 0.004))
            for _ in range(50):
                backend.run(plan, arrays, 3)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert all(map(np.array_equal, backend.run(plan, arrays, 3), expected))
    print(interrupted)


if __name__ == "__main__":
    main()

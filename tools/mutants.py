"""`make mutants`: plants faults in the derivative rules of all operators, one at a time, and counts who notices.

    python -m tools.mutants [-v] [OPERATOR ...]

Each mutant (`tools/mutations.py`) is an operator's record with one fault in one rule, put into the registry in memory.
Then, on the operator's samples,

- the rule tests are run: the functions of `tests/ops` and `tests/ad` that walk over the registry,
- and `gradcheck`, on a graph of the operator alone. Differences know nothing of batches, so a faulty batch rule is left
  to the rule tests.

A mutant whose derivatives of order one and two (and batches) are the same numbers, at all samples and at random points,
changes nothing: it is left out, and counted. So is one that cannot even be built. Exits 1 if a mutant gets away.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from gradcli.ad.batch import batch
from gradcli.ad.forward import forward
from gradcli.ad.reverse import reverse
from gradcli.gradcheck.verb import graph_agrees
from gradcli.ir import primitive as records
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from
from gradcli.ir.primitive import Primitive, registry
from tools.drivers import DRIVERS, gradcheck_of_joined
from tools.mutations import Emitted, Mutant, mutants, recorded, rule_of, touched, with_rule

ROOT = Path(__file__).resolve().parent.parent
test_batch, test_forward, test_reverse, test_walk, samples = (
    cast(Any, import_module(f"tests.{name}"))
    for name in ("ad.test_batch", "ad.test_forward", "ad.test_reverse", "ops.test_walk", "ops.samples")
)
Case, evaluate, floats, graph_of, operands = (
    getattr(samples, name) for name in ("Case", "evaluate", "floats", "graph_of", "operands")
)

Array = np.ndarray[Any, Any]
SAME = 1e-13  # relative distance up to which numbers are the same
Refused = (Exception,)
JOINS = ("mul", "matmul", "scan")  # operators whose samples show faults of the drivers
BESIDES = {"cast": (partial(test_reverse.test_a_cast_passes_cotangents_and_tangents_on_in_their_own_dtypes, "f32"),)}
HARD = [str(path) for path in sorted((ROOT / "tests/ops").glob("test_hard_points*.py"))]
HAZARDS = (
    test_reverse.test_x_times_x,
    test_reverse.test_one_value_used_four_times,
    test_reverse.test_the_same_output_twice_counts_twice,
)


@contextmanager
def planted(prim: Primitive) -> Iterator[None]:
    """The record in the registry, for as long as the block lasts."""
    before = records._registry[prim.name]
    records._registry[prim.name] = prim
    try:
        yield
    finally:
        records._registry[prim.name] = before


def cases_of(prim: Primitive) -> list[Any]:
    """The samples on which it has a derivative, be it that they round too much for the walk (`cast`)."""
    found = []
    for sample in prim.samples if not prim.flat and not prim.stops else ():
        case = Case(prim, sample)
        arrays = operands(case)
        if floats(arrays) and floats(graph_of(case, arrays).outputs):
            found.append(case)
    return found


# ── the numbers that a record gives ─────────────────────────────────────────────────────────────────────────


def numbers(prim: Primitive, rule: str, cases: Sequence[Any], *, hard: bool = False) -> list[Array]:
    """At the samples; or at hard points, where there are zeros and ties."""
    found: list[Array] = []
    for case in cases:
        for seed in (0, 5):
            arrays = operands(case, seed=seed)
            if hard:
                arrays = [np.round(array) if array.dtype.kind == "f" else array for array in arrays]
            graph = graph_of(Case(prim, case.sample), arrays)
            found += _batches(graph, arrays) if rule == "batch" else _derivatives(graph, arrays)
    return found


def _derivatives(graph: Graph, arrays: list[Any]) -> Iterator[Array]:
    rng = np.random.default_rng(1)
    wrt, outs = floats(arrays), [graph.outputs[k] for k in floats(graph.outputs)]
    cts = [np.asarray(rng.normal(size=out.shape), NUMPY_NAMES[out.dtype]) for out in outs]
    ways = [rng.normal(size=arrays[k].shape) for k in wrt]
    back = reverse(graph, wrt, sens="inputs")
    yield from evaluate(back, [*arrays, *cts])
    yield from evaluate(forward(graph, wrt), [*arrays, *ways])
    first = outputs_from(back, len(graph.outputs))
    if all(value.aval.is_float for value in first.inputs[len(arrays) :]):
        every = [*wrt, *range(len(arrays), len(first.inputs))]
        yield from evaluate(reverse(first, every), [*arrays, *cts])
        yield from evaluate(forward(first, wrt), [*arrays, *cts, *ways])


def _batches(graph: Graph, arrays: list[Any]) -> Iterator[Array]:
    for k in range(len(arrays)):
        flags = tuple(n == k for n in range(len(arrays)))
        rows = [np.stack([_varied(a, n) for n in range(3)]) if has else a for a, has in zip(arrays, flags, strict=True)]
        yield from evaluate(batch(graph, flags, 3), rows)


def _varied(array: Any, n: int) -> Any:
    return array * (1 + n) if array.dtype.kind == "f" else np.roll(array, n)


def same(left: Sequence[Array], right: Sequence[Array]) -> bool:
    for a, b in zip(left, right, strict=True):
        scale = float(np.abs(a.astype("f8")).max(initial=0.0))
        if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=SAME * scale, equal_nan=True):
            return False
    return True


# ── who notices ─────────────────────────────────────────────────────────────────────────────────────────────


def notices(check: Callable[[], object]) -> bool:
    """Whether it fails, in whatever way."""
    try:
        with np.errstate(all="ignore"):
            return check() is False
    except Refused:
        return True


def tests_notice(prim: Primitive, rule: str, tried: Sequence[Any]) -> bool:
    """The tests that walk over the registry, on this operator; the fast ones first."""
    cases = [Case(prim, case.sample) for case in tried if case.sample.differentiable or rule == "batch"]
    if any(notices(test) for test in BESIDES.get(prim.name, ())):
        return True
    if rule == "batch":
        return any(notices(partial(test_batch.test_a_batch_against_a_loop, c)) for c in cases)
    walk = [
        test_walk.test_the_vjp_agrees_with_central_differences,
        test_forward.test_duality,
        test_walk.test_the_vjp_is_linear_in_the_cotangent,
        test_walk.test_the_second_order_agrees_with_central_differences,
        test_forward.test_duality_of_the_tangents,
        test_forward.test_duality_of_the_gradients,
    ]
    if prim.kind == "elementwise":
        walk.append(test_walk.test_the_third_order_agrees_with_central_differences)
    return any(notices(partial(test, c)) for test in walk for c in cases)


def gradcheck_notices(prim: Primitive, tried: Sequence[Any]) -> bool:
    """Of order one, then of order two."""
    for case in tried:
        arrays = operands(case)
        graph = graph_of(Case(prim, case.sample), arrays)
        if notices(partial(graph_agrees, graph, arrays)):
            return True
    for case in tried:
        arrays = operands(case)
        graph = graph_of(Case(prim, case.sample), arrays)
        first = outputs_from(reverse(graph, floats(arrays)), len(graph.outputs))
        if notices(partial(graph_agrees, first, arrays)):
            return True
    return False


# ── the count ───────────────────────────────────────────────────────────────────────────────────────────────


class Count:
    """What became of the mutants, by kind."""

    def __init__(self, verbose: bool) -> None:
        self.planted: Counter[str] = Counter()
        self.by_tests: Counter[str] = Counter()
        self.by_gradcheck: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()  # of gradcheck
        self.same = self.refused = 0
        self.away: list[str] = []
        self.verbose = verbose

    def leave_out(self, label: str) -> None:
        self.same += 1
        if self.verbose:
            print(f"  {label}: no other numbers")

    def enter(self, kind: str, label: str, tests: bool, gradcheck: bool | None) -> None:
        self.planted[kind] += 1
        self.by_tests[kind] += tests
        if gradcheck is not None:
            self.asked[kind] += 1
            self.by_gradcheck[kind] += gradcheck
        for who, noticed in (("the rule tests", tests), ("gradcheck", gradcheck)):
            if noticed is False:
                self.away.append(f"{label}: not noticed by {who}")
        if self.verbose:
            print(f"  {label}: {'yes' if tests else 'NO'}, {'' if gradcheck is None else 'yes' if gradcheck else 'NO'}")

    def table(self) -> str:
        lines = [f"{'kind':<14}{'planted':>8}{'rule tests':>12}{'gradcheck':>16}"]
        for kind in [*self.planted, "all"]:
            numbers = [sum(c.values()) if kind == "all" else c[kind] for c in
                       (self.planted, self.by_tests, self.by_gradcheck, self.asked)]  # fmt: skip
            lines.append(f"{kind:<14}{numbers[0]:>8}{numbers[1]:>12}{f'{numbers[2]} of {numbers[3]}':>16}")
        asked = sum(self.planted.values()) + sum(self.asked.values())
        share = 1 - len(self.away) / max(asked, 1)
        lines += ["", f"left out: {self.same} that change no number, {self.refused} that cannot be built"]
        lines += [f"caught: {100 * share:.4g} %", *self.away]
        return "\n".join(lines)


def emissions(prim: Primitive, cases: Sequence[Any]) -> dict[str, Emitted]:
    """What each rule emits on some sample."""
    found: dict[str, Emitted] = {}
    for rule in ("both", "vjp", "jvp", "batch"):
        if (stated := rule_of(prim, rule)) is not None:
            noting = with_rule(prim, rule, recorded(stated, found.setdefault(rule, {})))
            with planted(noting), np.errstate(all="ignore"):
                list(numbers(noting, rule, cases))
    return found


def try_operator(prim: Primitive, count: Count) -> None:
    cases = cases_of(prim) or [Case(prim, sample) for sample in prim.samples if sample.operands]
    smooth = bool(cases_of(prim))
    if not cases:
        return
    graph = graph_of(cases[0], operands(cases[0]))
    arity, results = max(len(case.sample.operands) for case in cases), len(graph.outputs)
    every = list(mutants(prim, arity, results, emissions(prim, cases)))
    for batches in (True, False):
        chosen = [mutant for mutant in every if (mutant.rule == "batch") == batches]
        if not batches and not smooth:
            break
        rule = "batch" if batches else "vjp"
        with np.errstate(all="ignore"):
            known, hard = numbers(prim, rule, cases), [] if batches else hard_numbers(prim, cases)
            for mutant in chosen:
                try_mutant(mutant, cases, known, hard, count)


def hard_numbers(prim: Primitive, cases: Sequence[Any]) -> list[Array]:
    """None where the operator refuses such points."""
    try:
        return numbers(prim, "vjp", cases, hard=True)
    except Refused:
        return []


def try_mutant(
    mutant: Mutant, cases: Sequence[Any], known: Sequence[Array], hard: Sequence[Array], count: Count
) -> None:
    changed, before = mutant.change(mutant.prim), touched[0]
    kind = f"batch: {mutant.kind}" if mutant.rule == "batch" else mutant.kind
    with planted(changed):
        try:
            found = numbers(changed, mutant.rule, cases)
        except Refused:
            count.refused += 1
            return
        if touched[0] == before:  # nothing of that kind there
            return
        if same(known, found):
            if not hard or same(hard, hard_numbers(changed, cases)):
                count.leave_out(mutant.label)
            else:
                count.enter(f"hard: {mutant.kind}", mutant.label, hard_points_notice(), None)
            return
        gradcheck = None if mutant.rule == "batch" else gradcheck_notices(changed, cases)
        count.enter(kind, mutant.label, tests_notice(changed, mutant.rule, cases), gradcheck)


def hard_points_notice() -> bool:
    """The tests at kinks, ties and poles, of which differences tell nothing."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # plugins are loaded already, and would complain
    with redirect_stdout(StringIO()):
        return pytest.main(["-x", "-q", "-p", "no:cacheprovider", *HARD]) != 0


def try_drivers(count: Count) -> None:
    """What is stated in no rule."""
    for label, plant in DRIVERS:
        with plant(), np.errstate(all="ignore"):
            tests = any(notices(test) for test in HAZARDS) or any(
                tests_notice(prim, "vjp", cases_of(prim)) for prim in map(registry().__getitem__, JOINS)
            )
            count.enter("driver", label, tests, notices(gradcheck_of_joined))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("operators", nargs="*", help="only these")
    parser.add_argument("-v", action="store_true", help="a line for each mutant")
    given = parser.parse_args()
    count, started = Count(given.v), time.perf_counter()
    names = given.operators or list(registry())
    for number, name in enumerate(names, 1):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{number} of {len(names)}: {name}", end="", file=sys.stderr, flush=True)
        try_operator(registry()[name], count)
    if not given.operators:
        try_drivers(count)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    print(f"{count.table()}\n({time.perf_counter() - started:.0f} s)")
    return 1 if count.away else 0


if __name__ == "__main__":
    sys.exit(main())

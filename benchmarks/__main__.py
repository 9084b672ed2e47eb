"""Compare gradcli with others, each engine in its own process, in turn.

python -m benchmarks                             all suites (a quarter of an hour on two cores)
python -m benchmarks chain pinn --quick          some of them, in less time, without the largest sizes
python -m benchmarks chain --against jax,torch   with some of the engines only
python -m benchmarks --publish                   all of them, and write docs/performance.json, .md and .svg

The exit status is 1 if a goal is missed or engines disagree.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import table
from benchmarks.engines import TITLES, YARDSTICKS
from benchmarks.goals import missed
from benchmarks.machine import cores, described, settings
from benchmarks.measure import Effort, Outcome, measured
from benchmarks.publish import Run, publish
from benchmarks.suites import NAMES, suite_of


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    suites: tuple[str, ...]
    engines: tuple[str, ...]
    only: str
    quick: bool
    effort: Effort


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    peers = options.against.split(",") if options.against else [name for name in TITLES if name != "gradcli"]
    engines = ("gradcli", *peers, *(name for name in YARDSTICKS if name not in peers))
    unknown = [name for name in options.suites if name not in NAMES] + [name for name in engines if name not in TITLES]
    if unknown:
        print(f"no suite or engine {', '.join(unknown)}: suites are {', '.join(NAMES)}; engines {', '.join(TITLES)}")
        return 2
    if options.publish and (options.suites or options.against or options.case):
        print("what is published is one run of everything: --publish goes with neither suites, --against nor --case")
        return 2
    seconds = options.seconds or (1.0 if options.quick else 4.0)
    effort = Effort(seconds, options.threads)
    asked = Asked(tuple(options.suites) or NAMES, engines, options.case, options.quick, effort)
    start = time.perf_counter()
    outcomes, wrong = run(asked)
    over, minutes = missed(outcomes), (time.perf_counter() - start) / 60
    if options.publish and not wrong:
        print("\nwrote " + ", ".join(publish(described_run(asked, outcomes, minutes, command(arguments)))))
    print(f"\n{len(outcomes)} cases in {minutes:.1f} min, {options.threads} threads; {verdict(over, wrong)}")
    return int(bool(over or wrong))


def described_run(asked: Asked, outcomes: Sequence[Outcome], minutes: float, line: str) -> Run:
    """The run with its surroundings."""
    threads = asked.effort.threads
    date = time.strftime("%Y-%m-%d")
    return Run(line, date, round(minutes, 1), asked.quick, threads, settings(threads), described(), tuple(outcomes))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(NAMES))
    made.add_argument("--quick", action="store_true", help="less time for each case, and not the largest")
    made.add_argument("--against", metavar="ENGINES", help=f"some of {', '.join(TITLES)}")
    made.add_argument("--case", default="", metavar="TEXT", help="only cases whose label has this text")
    made.add_argument("--threads", type=int, default=min(2, len(cores())), help="threads of every side (2)")
    made.add_argument("--publish", action="store_true", help="write docs/performance.json, .md and .svg")
    made.add_argument("--seconds", type=float, help="for each case, once its sides are warm (4; quick: 1)")
    return made


def run(asked: Asked) -> tuple[list[Outcome], list[str]]:
    """Every case measured, printed as it comes; and what engines disagree about."""
    outcomes: list[Outcome] = []
    wrong: list[str] = []
    for suite in map(suite_of, asked.suites):
        names = table.columns(suite, asked.engines)
        print("\n".join(table.heading(suite, names)), flush=True)
        cases = [case for case in suite.cases if asked.only in case.label and (case.quick or not asked.quick)]
        own: list[Outcome] = []
        for found in measured(suite, cases, asked.engines, asked.effort):
            if isinstance(found, Outcome):
                own.append(found)
                print(table.line(suite, found, names), flush=True)
            else:
                wrong.append(str(found))
                print(f"  {found}", flush=True)
        print("".join(f"  {text}\n" for text in table.absences(own)), end="", flush=True)
        outcomes += own
    return outcomes, wrong


def verdict(over: Sequence[object], wrong: Sequence[str]) -> str:
    parts = [f"{len(over)} goals missed" if over else "every goal met"]
    parts += [f"engines disagree {len(wrong)} times"] if wrong else []
    return "; ".join(parts)


def command(arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "benchmarks", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

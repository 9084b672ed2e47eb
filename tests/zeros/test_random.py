"""Random models against an oracle of scalars: why each element of a gradient is zero, element by element.

Numbers are small integers, so every sum is exact, and zeros, ties and cancelling terms are common.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

import gradcli
from gradcli.request import Entry

N = 3
MODEL = "<text>"
Why = set[tuple[str, int]]  # reason and line


@dataclass
class Edge:
    """One partial derivative of a scalar; a zero one with its reason."""

    result: int
    operand: int
    slot: int
    partial: float
    reason: str = "multiplied by zero"


@dataclass
class Op:
    """What one operator does to single numbers."""

    line: int
    edges: list[Edge]
    pointwise: bool = False
    ends: str = ""  # "flat" or "stopped"


@dataclass
class Oracle:
    """A model as text and as operators on single numbers."""

    draw: random.Random
    numbers: list[float] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    vectors: dict[str, list[int]] = field(default_factory=dict)

    def new(self, values: Sequence[float]) -> list[int]:
        self.numbers.extend(values)
        return list(range(len(self.numbers) - len(values), len(self.numbers)))

    def say(self, expression: str, ids: list[int]) -> None:
        name = f"v{len(self.lines)}"
        self.lines.append(f"  {name} = {expression}")
        self.vectors[name] = ids

    @property
    def line(self) -> int:
        return len(self.lines) + 2

    def pick(self) -> tuple[str, list[int]]:
        names = list(self.vectors)
        name = self.draw.choice(names[-4:])
        return name, self.vectors[name]

    def pointwise(
        self, text: str, operands: Sequence[list[int]], rule: Callable[..., tuple[float, list[tuple[float, str]]]]
    ) -> list[int]:
        edges, values = [], []
        first = len(self.numbers)
        for k in range(N):
            value, partials = rule(*(self.numbers[ids[k]] for ids in operands))
            values.append(value)
            edges += [
                Edge(first + k, ids[k], slot, *partials[slot])
                for slot, ids in enumerate(operands)
                if slot < len(partials)
            ]
        self.ops.append(Op(self.line, edges, pointwise=True))
        return self.new(values)


SOFT = "by a factor that changes with x"  # of which a mask behind it tells more


def relu(x: float) -> tuple[float, list[tuple[float, str]]]:
    return max(x, 0), [(float(x > 0), "masked")]


def product(x: float, y: float) -> tuple[float, list[tuple[float, str]]]:
    return x * y, [(y, SOFT), (x, SOFT)]


def total(x: float, y: float) -> tuple[float, list[tuple[float, str]]]:
    return x + y, [(1, SOFT), (1, SOFT)]


def difference(x: float, y: float) -> tuple[float, list[tuple[float, str]]]:
    return x - y, [(1, SOFT), (-1, SOFT)]


def larger(x: float, y: float) -> tuple[float, list[tuple[float, str]]]:
    share = 0.5 if x == y else float(x > y)
    return max(x, y), [(share, "masked"), (1 - share, "masked")]


def square(x: float) -> tuple[float, list[tuple[float, str]]]:
    return x * x, [(2 * x, SOFT)]


TWO = {"{} * {}": product, "{} + {}": total, "{} - {}": difference, "maximum({}, {})": larger}
ONE = {"relu({})": relu, "square({})": square}


def grow(oracle: Oracle) -> None:
    """One more line."""
    draw = oracle.draw
    (a, x), (b, y) = oracle.pick(), oracle.pick()
    match draw.randrange(9):
        case 0 | 1 | 2:
            text = draw.choice(list(TWO))
            oracle.say(text.format(a, b), oracle.pointwise(text, [x, y], TWO[text]))
        case 3 | 4:
            text = draw.choice(list(ONE))
            oracle.say(text.format(a), oracle.pointwise(text, [x], ONE[text]))
        case 5:
            matrix = [[draw.choice([-1, 0, 0, 1, 2]) for _ in range(N)] for _ in range(N)]
            values = [sum(oracle.numbers[x[i]] * matrix[i][j] for i in range(N)) for j in range(N)]
            first = len(oracle.numbers)
            edges = [Edge(first + j, x[i], 0, matrix[i][j]) for i in range(N) for j in range(N)]
            oracle.ops.append(Op(oracle.line, edges))
            oracle.say(f"{a} @ f64({matrix})", oracle.new(values))
        case 6:
            order = [1, 2, 0]
            first = len(oracle.numbers)
            kept = [oracle.numbers[x[k]] if k != 2 else 0.0 for k in order]
            edges = [Edge(first + k, x[order[k]], 0, 1) for k in range(N) if order[k] != 2]
            oracle.ops.append(Op(oracle.line, edges))
            oracle.say(f"concat([{a}[1:2], zeros([1]), {a}[0:1]])", oracle.new(kept))
        case 7:
            first = len(oracle.numbers)
            edges = [Edge(first + k, x[k], 0, 0) for k in range(N)]
            stop = draw.random() < 0.5
            oracle.ops.append(Op(oracle.line, edges, ends="stopped" if stop else "flat"))
            values = [oracle.numbers[i] for i in x]
            oracle.say(f"stop_gradient({a})" if stop else f"floor({a})", oracle.new(values))
        case _:
            first = len(oracle.numbers)
            oracle.ops.append(Op(oracle.line, [Edge(first, i, 0, 1) for i in x]))
            (s,) = oracle.new([sum(oracle.numbers[i] for i in x)])
            first = len(oracle.numbers)
            edges = [Edge(first + k, s, 0, 1) for k in range(N)]
            oracle.ops.append(Op(oracle.line, edges, pointwise=True))
            oracle.say(f"sum({a}) + zeros([{N}])", oracle.new([oracle.numbers[s]] * N))


def explain(oracle: Oracle, seeds: dict[int, float]) -> tuple[list[float], list[Why]]:
    """The cotangent of each number, and the reasons of those that are zero."""
    count = len(oracle.numbers)
    cts, whys = [0.0] * count, [set() for _ in range(count)]  # type: list[float], list[Why]
    cancels: list[Why] = [set() for _ in range(count)]

    def settled(i: int) -> Why:
        return set() if cts[i] else cancels[i] or whys[i]

    for i, seed in seeds.items():
        cts[i] = seed
        whys[i] = set() if seed else {("sens is zero", 0)}
    for op in reversed(oracle.ops):
        sent = []
        for key in dict.fromkeys((edge.slot, edge.operand) for edge in op.edges):
            edges = [edge for edge in op.edges if (edge.slot, edge.operand) == key]
            sent.append((key[1], *contribution(op, edges, cts, settled)))
        for operand, ct, why in sent:
            cts[operand] += ct
            whys[operand] |= why
            if ct:
                cancels[operand].add(("cancels", op.line))
    return cts, [settled(i) for i in range(count)]


def contribution(
    op: Op, edges: Sequence[Edge], cts: Sequence[float], settled: Callable[[int], Why]
) -> tuple[float, Why]:
    reached = [edge for edge in edges if cts[edge.result] or settled(edge.result)]
    if op.ends:
        return 0, {(op.ends, op.line)} if reached else set()
    terms = [cts[edge.result] * edge.partial for edge in edges]
    if any(terms):
        return sum(terms), set() if sum(terms) else {("cancels", op.line)}
    killed = {(edge.reason, op.line) for edge in reached if cts[edge.result]}
    dead = [edge for edge in reached if not cts[edge.result]]
    through = set().union(*(settled(edge.result) for edge in dead if edge.partial or op.pointwise))
    if any(edge.reason == "masked" and not edge.partial for edge in dead):
        through = {("masked", op.line) if reason == SOFT else (reason, line) for reason, line in through}
    return 0, (killed | through) or set().union(*(settled(edge.result) for edge in dead))


def telling(why: Why) -> Why:
    why = {("multiplied by zero" if reason == SOFT else reason, line) for reason, line in why}
    found = {one for one in why if one[0] not in ("flat", "stopped")}
    return found or {one for one in why if one[0] == "flat"} or why or {("no path", 0)}


def said(entry: Entry) -> Iterator[tuple[int, Why]]:
    for zero in entry.zeros or ():
        parts = [zero, *zero.get("also", ())]
        why = {(part["reason"], int(at.rpartition(":")[2])) for part in parts for at in part["at"]}
        why |= {(part["reason"], 0) for part in parts if not part["at"]}
        for (index,) in zero["indices"]:
            yield index, why


@pytest.mark.parametrize("seed", range(150))
def test_every_zero_element_has_its_reasons(seed: int) -> None:
    draw = random.Random(seed)
    oracle = Oracle(draw)
    x = [float(draw.choice([-2, -1, 0, 1, 2])) for _ in range(N)]
    oracle.vectors["x"] = start = oracle.new(x)
    for _ in range(draw.randrange(1, 9)):
        grow(oracle)
    if len({line.partition(" = ")[2] for line in oracle.lines}) < len(oracle.lines):
        return  # what is written twice is one operator, of two lines
    name, ids = list(oracle.vectors.items())[-1]
    weights = [float(draw.choice([0, 1, 1, 2])) for _ in range(N)]
    cts, whys = explain(oracle, dict(zip(ids, weights, strict=True)))
    text = "\n".join([f"net f(x: f64[{N}]) {{", *oracle.lines, f"  return {name}", "}", ""])
    (entry,) = gradcli.compile(text).run("grad", x=np.array(x), sens=np.array(weights), why="x").grads
    np.testing.assert_array_equal(entry.array, [cts[i] for i in start], text)
    want = {k: telling(whys[i]) for k, i in enumerate(start) if not cts[i]}
    assert dict(said(entry)) == want, text

"""Random nets over named dims, and what `check` says of them as a claim that sizes can be held against."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gradcli.engine import Machine
from gradcli.interp.listing import Listing
from gradcli.interp.program import Program
from gradcli.interp.symbolic import Proved, prove
from gradcli.opening import array_feed
from gradcli.request import ModelFile, Request
from gradcli.running import evaluate
from gradcli.syntax.diagnostics import ModelError, Source

DIMS = ("n", "m", "k", "n", "m", "2", "3", "1", "n + 1", "2 * n")
SMALL = st.integers(-4, 4)


class Net:
    """A net under construction: `names` are what is bound, by rank."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ranks: dict[str, int] = {}

    def bind(self, text: str, rank: int) -> None:
        name = f"v{len(self.ranks)}"
        self.ranks[name] = rank
        self.lines.append(f"  {name} = {text}")

    def some(self, draw: Any, *ranks: int) -> str | None:
        """A name of one of these ranks, of any without them."""
        names = [name for name, rank in self.ranks.items() if not ranks or rank in ranks]
        return draw(st.sampled_from(names)) if names else None


@st.composite
def nets(draw: Any, steps: int = 4) -> str:
    """The text of a net `f` whose inputs have named dims; it may be refused."""
    net = Net()
    ranks = draw(st.lists(st.sampled_from([1, 2, 2, 3]), min_size=1, max_size=3))
    signature = []
    for place, rank in enumerate(ranks):
        dims = [draw(st.sampled_from(DIMS)) for _ in range(rank)]
        signature.append(f"x{place}: f64[{', '.join(dims)}]")
        net.ranks[f"x{place}"] = rank
    words = set(re.findall(r"[nmk]", " ".join(signature)))
    known = sorted(word for word in words if re.search(rf"[\[ ]{word}[,\]]", " ".join(signature)))
    for _ in range(draw(st.integers(1, steps))):
        draw(st.sampled_from(STEPS))(draw, net, known or ["1"])
    return "\n".join([f"net f({', '.join(signature)}) {{", *net.lines, f"  return {[*net.ranks][-1]}", "}", ""])


def dim(draw: Any, known: list[str]) -> str:
    """A size that an expression may hold."""
    word = draw(st.sampled_from([*known, *known, "2", "3"]))
    if word.isdigit():
        return str(word)
    return str(draw(st.sampled_from([f"size({word})", f"size({word})", f"2 * size({word})", f"size({word}) + 1"])))


def a_slice(draw: Any, net: Net, known: list[str]) -> None:
    name = net.some(draw, 1, 2, 3)
    if name is None:
        return
    rank = net.ranks[name]
    items, left = [], rank
    for _ in range(draw(st.integers(1, rank))):
        kind = draw(st.sampled_from(["whole", "part", "part", "index", "step", "size", "new"]))
        start, stop = draw(SMALL), draw(SMALL)
        step = draw(st.sampled_from([1, 2, -1, -2, 3]))
        shown = {
            "whole": ":",
            "part": f"{draw(st.sampled_from(['', start]))}:{draw(st.sampled_from(['', stop]))}",
            "index": str(start),
            "step": f"{draw(st.sampled_from(['', start]))}:{draw(st.sampled_from(['', stop]))}:{step}",
            "size": f":{dim(draw, known)}",
            "new": "None, :",
        }[kind]
        items.append(shown)
        left += {"index": -1, "new": 1}.get(kind, 0)
    net.bind(f"{name}[{', '.join(items)}]", left)


def a_reshape(draw: Any, net: Net, known: list[str]) -> None:
    name = net.some(draw)
    dims = [
        draw(st.sampled_from(["-1", dim(draw, known)])),
        *(dim(draw, known) for _ in range(draw(st.integers(0, 2)))),
    ]
    net.bind(f"reshape({name}, [{', '.join(draw(st.permutations(dims)))}])", len(dims))


def an_elementwise(draw: Any, net: Net, known: list[str]) -> None:
    one, two = net.some(draw), net.some(draw)
    assert one is not None
    assert two is not None
    if draw(st.booleans()):
        net.bind(f"{one} {draw(st.sampled_from('+*-'))} {two}", max(net.ranks[one], net.ranks[two]))
    else:
        net.bind(f"tanh({one}) * 2", net.ranks[one])


def a_product(draw: Any, net: Net, known: list[str]) -> None:
    one, two = net.some(draw, 1, 2), net.some(draw, 1, 2)
    if one is None or two is None:
        return
    if draw(st.booleans()):
        two = f"{two}.T"
    net.bind(f"{one} @ {two}", net.ranks[one] + net.ranks[two.removesuffix(".T")] - 2)


def an_einsum(draw: Any, net: Net, known: list[str]) -> None:
    one, two = net.some(draw, 2), net.some(draw, 2)
    if one is None or two is None:
        return
    text, rank = draw(st.sampled_from([("ij,jk->ik", 2), ("ij,ij->j", 1), ("ij,kl->jl", 2), ("ij,ji->", 0)]))
    if draw(st.booleans()):
        net.bind(f'einsum("{text}", {one}, {two})', rank)
    else:
        text, rank = draw(st.sampled_from([("ii->i", 1), ("ij->j", 1), ("ii->", 0)]))
        net.bind(f'einsum("{text}", {one})', rank)


def a_join(draw: Any, net: Net, known: list[str]) -> None:
    one = net.some(draw, 1, 2, 3)
    if one is None:
        return
    two = net.some(draw, net.ranks[one])
    if draw(st.booleans()):
        net.bind(f"concat([{one}, {two}], axis={draw(st.integers(0, net.ranks[one] - 1))})", net.ranks[one])
    else:
        net.bind(f"stack([{one}, {two}])", net.ranks[one] + 1)


def a_split(draw: Any, net: Net, known: list[str]) -> None:
    one = net.some(draw, 1, 2, 3)
    if one is not None:
        axis = draw(st.integers(0, net.ranks[one] - 1))
        net.bind(f"split({one}, {draw(st.integers(2, 3))}, axis={axis})[1]", net.ranks[one])


def a_reduction(draw: Any, net: Net, known: list[str]) -> None:
    one = net.some(draw, 1, 2, 3)
    if one is not None:
        name = draw(st.sampled_from(["sum", "max", "mean", "argmax", "min", "prod", "logsumexp"]))
        net.bind(f"{name}({one}, axis={draw(st.integers(0, net.ranks[one] - 1))})", net.ranks[one] - 1)


def an_arrangement(draw: Any, net: Net, known: list[str]) -> None:
    one = net.some(draw, 1, 2)
    if one is None:
        return
    rank, amount = net.ranks[one], draw(st.integers(0, 3))
    text, grown = draw(
        st.sampled_from([
            (f"pad({one}, {amount})", 0), (f'pad({one}, {amount}, mode="edge")', 0),
            (f"roll({one}, {amount}, axis=0)", 0), (f"softmax({one}, axis=0)", 0),
            (f'pad({one}, {amount}, mode="reflect")', 0), (f'pad({one}, {amount}, mode="wrap")', 0),
            (f"flip({one}, axis=0)", 0), (f"repeat({one}, {amount}, axis=0)", 0), (f"tile({one}, {amount + 1})", 0),
            (f"flatten({one})", 1 - rank), (f"expand_dims({one}, 0)", 1), (f"squeeze({one}, axis=0)", -1),
            (f"cumsum({one}, axis=0)", 0), (f"take({one}, [0, {amount}], axis=0)", 0), (f"diag({one})", 3 - 2 * rank),
            (f"tril({one})", 0), (f"trace({one})", -rank), (f"outer({one}, {one})", 2 - rank),
        ])
    )  # fmt: skip
    net.bind(text, rank + grown)


def a_maker(draw: Any, net: Net, known: list[str]) -> None:
    size, other = dim(draw, known), dim(draw, known)
    one = net.some(draw, 0, 1)
    choices = [(f"zeros([{size}, {other}])", 2), (f"eye({size})", 2), (f"arange({size}) * 1.0", 1)]
    choices += [(f"broadcast_to({one}, [{size}, {other}])", 2)] if one else []
    net.bind(*draw(st.sampled_from(choices)))


def a_window(draw: Any, net: Net, known: list[str]) -> None:
    one = net.some(draw, 2, 3)
    if one is None:
        return
    stride, padding, kernel = draw(st.integers(1, 3)), draw(st.integers(0, 1)), draw(st.integers(1, 3))
    if draw(st.booleans()) and net.ranks[one] == 3:
        net.bind(f"max_pool2d({one}, {kernel}, stride={stride})", 3)
    else:
        weight = net.some(draw, 3)
        weight = f"ones([2, 1, {kernel}])" if weight is None or draw(st.booleans()) else weight
        net.bind(f"conv1d({one}, {weight}, stride={stride}, padding={padding})", net.ranks[one])


def a_loop(draw: Any, net: Net, known: list[str]) -> None:
    one, word = net.some(draw, 1, 2), draw(st.sampled_from(known))
    if one is None:
        return
    shift = draw(st.sampled_from(["", "", " + 1", " + 2"]))
    end = draw(st.sampled_from([word, word, f"{word} + 1" if word != "1" else "2", "3"]))
    start = draw(st.sampled_from(["0", "0", "1"]))
    name = f"v{len(net.ranks)}"
    net.bind(f"sum({one}) * 0", 0)
    body = draw(st.sampled_from([f"{name} + sum({one}[i{shift}])", f"{name} * 0.5 + i", f"tanh({name}) + sum({one})"]))
    net.lines += [f"  for i in {start}..{end} {{", f"    {name} = {body}", "  }"]


STEPS = (
    a_slice, a_slice, a_reshape, an_elementwise, an_elementwise, a_product, an_einsum, a_join, a_split, a_reduction,
    an_arrangement, an_arrangement, a_maker, a_window, a_loop,
)  # fmt: skip


# ── the claim ───────────────────────────────────────────────────────────────────────────────────────────────


def claim(text: str) -> Proved | None:
    """What is proved of the net; None where it is refused for all sizes. LookupError where it is not checked alone."""
    program = Program(Source("f.net", text), Path())
    try:
        return prove(program.scope, program.options, program.entry())
    except ModelError as error:
        if all(diagnostic.code == "SHP119" for diagnostic in error.diagnostics):
            raise LookupError from None
        return None


def holds(condition: str, sizes: dict[str, int]) -> bool:
    """Whether a condition, as it is printed, is true."""
    for pattern, judge in (
        (r"(.+) even", lambda a: a % 2 == 0),
        (r"(.+) divisible by (.+)", lambda a, b: a % b == 0),
        (r"(.+) must be (.+)", lambda a, b: a == b),
        (r"(.+) = (.+)", lambda a, b: a == b),
        (r"(.+) ≥ (.+)", lambda a, b: a >= b),
        (r"(.+) ≤ (.+)", lambda a, b: a <= b),
    ):
        if (found := re.fullmatch(pattern, condition)) is not None:
            return bool(judge(*(value(part, sizes) for part in found.groups())))
    raise AssertionError(f"a condition that nobody can read: {condition}")


def value(text: str, sizes: dict[str, int]) -> Fraction:
    """A polynomial as it is printed, `3 * n**2 / 2 - 1`, with sizes for its symbols."""
    exact = re.sub(r"(\*\*)?\b(\d+)", lambda found: found[0] if found[1] else f"Fraction({found[2]})", text)
    return Fraction(eval(exact, {"__builtins__": {}, "Fraction": Fraction}, sizes))


def shape(kind: str, sizes: dict[str, int]) -> tuple[str, tuple[Fraction, ...]]:
    """`f64[n, 2 * m]` as a dtype and integers."""
    dtype, _, dims = kind.removesuffix("]").partition("[")
    return dtype, tuple(value(part.rpartition("=")[2], sizes) for part in dims.split(", ") if part)


def run(text: str, sizes: dict[str, int]) -> dict[tuple[int, str], Any] | None:
    """The shape of every line, as it is where these are the sizes, of arrays that were computed; None if refused."""
    program = Program(Source("f.net", text), Path())
    decl = program.entry()
    feeds = {}
    for each in decl.inputs:
        assert each.type is not None
        dims = tuple(int(value(item.span.text, sizes)) for item in each.type.dims)
        feeds[each.name.id] = array_feed(np.full(dims, 0.5), each.name.id)
    listing = Listing(decl)
    try:
        prepared = program.prepare(None, feeds, listing)
        machine = Machine.choose("numpy", 0, 1, None, False)
        result = evaluate(ModelFile(), program, prepared, Request(verb="eval"), machine)
    except ModelError:
        return None
    for entry, out in zip(result.values or (), prepared.graph.outputs, strict=True):
        assert entry.array.shape == out.aval.shape
    return {(line.span.start, line.name): shape(line.types[-1], {}) for line in listing.lines()}


def expected(proved: Proved, sizes: dict[str, int]) -> dict[tuple[int, str], Any]:
    return {(line.span.start, line.name): shape(line.types[-1], sizes) for line in proved.listing.lines()}


def special(proved: Proved | None, words: list[str]) -> Iterator[dict[str, int]]:
    """Sizes to try: small ones, equal ones, and those at the bounds of the conditions."""
    numbers = {int(number) for c in (proved.conditions if proved else ()) for number in re.findall(r"\d+", c.text)}
    near = sorted({size for number in numbers for size in (number - 1, number, number + 1) if 0 <= size < 13})
    yield from (dict.fromkeys(words, size) for size in (0, 1, 2, 3, 4, 6))
    for word in words:
        for size in (0, 1, 2, 3, 4, 5, 6, *near):
            for other in (1, 3):
                yield dict.fromkeys(words, other) | {word: size}

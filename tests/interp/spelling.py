"""Pairs of transformations as the language spells them, of nets of one input, and what they must give.

For a net `f` one program holds every transformation of it, and another every transformation of these. What a program
gives is held against compositions of evaluations of the nets that it transforms: central differences, loops over rows,
loops in Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import gradcli
from gradcli.interp import loops
from gradcli.manual.operators import OperatorDoc, operator_docs
from tests.ad.combining import STEP, agree

Array = np.ndarray[Any, Any]

ROWS, TURNS = 3, 3
GROWTH = 1.03  # from row to row


class Spelled(NamedTuple):
    """A net in one expression: `expression(x)`; how many dims of rows stand before those that `f` takes; and the
    sensitivities that the expression holds."""

    name: str  # of the transformation, then those of what it transforms
    expression: str
    batches: int = 0
    items: tuple[str, ...] = ()  # the nets that it needs
    sens: Array = np.zeros(())


class Program:
    """Nets that are evaluated together, each on an array with as many dims of rows as it takes."""

    def __init__(self, first: str, nets: Sequence[Spelled], x: Array) -> None:
        self.first, self.nets = first, nets
        self.point = [x, rows_of(x), rows_of(rows_of(x))]
        inputs = ", ".join(f"x{k}: {type_of(a)}" for k, a in enumerate(self.point))
        results = ", ".join(f"{net.expression}(x{net.batches})" for net in nets)
        own = dict.fromkeys(item for net in nets for item in net.items)
        text = "".join([first, *own, f"net main({inputs}) {{\n  return {results}\n}}\n"])
        self.run = gradcli.compile(text, net="main").compile("eval")

    def __call__(self, point: Sequence[Array] | None = None) -> dict[str, Array]:
        given = {f"x{k}": a for k, a in enumerate(self.point if point is None else point)}
        return dict(zip([net.name for net in self.nets], self.run(**given), strict=True))  # type: ignore[arg-type]

    def transformed(self) -> Program:
        """Every transformation of each of its nets."""
        values = self()
        made = [form(net, self.point[net.batches], values[net.name]) for net in self.nets for form in FORMS.values()]
        return Program(self.first, made, self.point[0])


def type_of(array: Array) -> str:
    return f"f64{list(array.shape)}" if array.shape else "f64"


def rows_of(array: Array) -> Array:
    return np.stack([array * GROWTH**k for k in range(ROWS)])


def drawn(array: Array, seed: int) -> Array:
    """Numbers of few digits, for a text."""
    return np.asarray(np.random.default_rng(seed).uniform(-1, 1, array.shape)).round(3)


# ── how they are spelled ────────────────────────────────────────────────────────────────────────────────────


def _of(form: str) -> Callable[[Spelled, Array, Array], Spelled]:
    def make(inner: Spelled, x: Array, out: Array) -> Spelled:
        sens = drawn(out, 1)
        text = form.format(f=inner.expression, sens=sens.tolist(), way=way_of(x).tolist())
        return Spelled(f"{form.partition('(')[0]} of {inner.name}", text, inner.batches, inner.items, sens)

    return make


def way_of(x: Array) -> Array:
    return drawn(x, 2)


def _mapped(inner: Spelled, x: Array, out: Array) -> Spelled:
    return Spelled(f"vmap of {inner.name}", f"vmap({inner.expression})", inner.batches + 1, inner.items)


def _looped(inner: Spelled, x: Array, out: Array) -> Spelled:
    return _loop(inner, x, out, "for", f"0..{TURNS}")


def _stopped(inner: Spelled, x: Array, out: Array) -> Spelled:
    """One turn less for `x`; rows after the first take it."""
    limit = float(x.sum() * (1 + GROWTH) / 2)
    condition = f"i < {TURNS - 1} + i64(sum(start) > {limit})"
    return _loop(inner, x, out, "for … while", f"0..{TURNS + 1} while {condition}")


def _loop(inner: Spelled, x: Array, out: Array, name: str, turns: str) -> Spelled:
    net = re.sub(r"\W+", "_", f"{name} of {inner.name}") + "_"
    body = f"x = x * (1.02 + {share(out)} * mean({inner.expression}(x)))"
    text = f"net {net}(x: {type_of(x)}) {{\n  start = x\n  for i in {turns} {{\n    {body}\n  }}\n  return x\n}}\n"
    return Spelled(f"{name} of {inner.name}", net, inner.batches, (*inner.items, text))


def share(out: Array) -> float:
    return float(0.05 / max(1.0, abs(out).max(initial=0.0)))


FORMS: dict[str, Callable[[Spelled, Array, Array], Spelled]] = {
    "grad": _of("grad({f}, sens={sens})"),
    "jvp": _of("jvp({f}, tangent={way})"),
    "jacobian": _of("jacobian({f})"),
    "hessian": _of("hessian({f}, sens={sens})"),
    "hvp": _of("hvp({f}, v={way}, sens={sens})"),
    "vmap": _mapped,
    "checkpoint": _of("checkpoint({f})"),
    "for": _looped,
    "for … while": _stopped,
}


# ── what they must give ─────────────────────────────────────────────────────────────────────────────────────


def slopes(program: Program) -> dict[str, tuple[Array, float]]:
    """The derivative of each net along `way_of` its input, and the size of what was subtracted."""
    ways = [way_of(x) for x in program.point]
    far, near, ahead, beyond = (
        program([x + k * STEP * way for x, way in zip(program.point, ways, strict=True)]) for k in (-2, -1, 1, 2)
    )
    found = {}
    for name, c in ahead.items():
        slope = np.asarray((8 * (c - near[name]) - (beyond[name] - far[name])) / (12 * STEP))
        found[name] = slope, max(1.0, float(abs(c).max(initial=0.0)), float(abs(slope).max(initial=0.0)))
    return found


Check = tuple[Array, Array, float]  # what is found, what is wanted, the size of what was subtracted to get that


def problems(inner: Program, outer: Program) -> dict[str, str]:
    """For each net of `outer`, which transforms those of `inner`, what is wrong with it: nothing where it holds."""
    found, values, first, second = outer(), inner(), slopes(inner), slopes(outer)
    rows = [inner([inner.point[1][k], inner.point[2][k], inner.point[2]]) for k in range(ROWS)]
    wrong = {}
    for net in inner.nets:
        got = {name: found[f"{name} of {net.name}"] for name in FORMS}
        gradient = second[f"grad of {net.name}"]
        checks = {
            **derivatives(got, inner.point[net.batches], values[net.name], first[net.name], gradient),
            "vmap": (got["vmap"], np.stack([row[net.name] for row in rows]), 0.0),
            "checkpoint": (got["checkpoint"], values[net.name], 0.0),
            **turns(got, inner, net, values[net.name]),
        }
        assert set(checks) == set(FORMS)
        wrong.update({f"{name} of {net.name}": problem(*check) for name, check in checks.items()})
    return wrong


def problem(found: Array, wanted: Array, scale: float) -> str:
    try:
        agree([found], [wanted], scale)
    except AssertionError as error:
        return str(error)
    return ""


def derivatives(
    got: Mapping[str, Array], x: Array, out: Array, first: tuple[Array, float], second: tuple[Array, float]
) -> dict[str, Check]:
    """`first` is the slope of the net along `way_of(x)`, `second` that of its gradient."""
    way, (slope, scale) = way_of(x), first
    assert got["jacobian"].shape == (*out.shape, *x.shape)
    assert got["hessian"].shape == (*x.shape, *x.shape)
    return {
        "grad": (np.vdot(got["grad"], way), np.vdot(drawn(out, 1), slope), scale),
        "jvp": (got["jvp"], *first),
        "jacobian": (np.tensordot(got["jacobian"], way, way.ndim), *first),
        "hessian": (np.tensordot(got["hessian"], way, way.ndim), *second),
        "hvp": (got["hvp"], *second),
    }


def turns(got: Mapping[str, Array], program: Program, net: Spelled, out: Array) -> dict[str, Check]:
    """The loop with a condition stops before the last turn."""
    states, point = [program.point[net.batches]], list(program.point)
    for _ in range(TURNS):
        point[net.batches] = states[-1]
        states.append(states[-1] * (1.02 + share(out) * program(point)[net.name].mean()))
    return {"for": (got["for"], states[-1], 0.0), "for … while": (got["for … while"], states[-2], 0.0)}


# ── over all operators ──────────────────────────────────────────────────────────────────────────────────────

OWN_POINTS = {"round": 0.4, "floor": 0.4}  # away from the steps
LEFT_OUT = {  # with the reason
    "load": "reads a file",
    "stop_gradient": "stopped, by request",
}
COMMAND = re.compile(r"gradcli grad -e '(?P<text>.*)' -i x='?(?P<x>[^ ]*|\[.*\])'?(?: -i y=(?P<y>\S+) --get-all)?")


def operators() -> list[OperatorDoc]:
    """Those of the language that are no transformations."""
    return [doc for doc in operator_docs() if doc.family != "derivatives" or doc.name == "stop_gradient"]


def example(doc: OperatorDoc) -> tuple[str, Array]:
    """The expression of an operator's example, and its x; one of two numbers x and y takes them in one array."""
    found = COMMAND.fullmatch(doc.example)
    assert found is not None, doc.example
    x = np.array(OWN_POINTS.get(doc.name, json.loads(found["x"])), float)
    if found["y"] is None:
        return found["text"], x
    return re.sub(r"\by\b", "x[1]", re.sub(r"\bx\b", "x[0]", found["text"])), np.array([x, float(found["y"])])


@cache
def walked(name: str) -> dict[str, str]:
    """For each transformation of an operator, and each pair of them, what is wrong: nothing where it holds."""
    doc = next(doc for doc in operators() if doc.name == name)
    expression, x = example(doc)
    with patch.object(loops, "ROLLED_FROM", 1):
        alone = Program(f"net f(x: {type_of(x)}) = {expression}\n", [Spelled("f", "f")], x)
        once = alone.transformed()
        twice = once.transformed()
        return {**problems(alone, once), **problems(once, twice)}

"""Evaluates the equations that `gradcli explain --json` prints, one after the other, without their graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import gradcli.ad.checkpoint
import gradcli.ad.scan
import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.primitive import primitive

Arrays = dict[str, Any]


def evaluated(part: Mapping[str, Any]) -> Arrays:
    """Every name of a derivation, from the values of its inputs and seeds alone."""
    known: Arrays = {}
    steps = part["steps"]
    given = [step["value"] for step in steps if step["value"]["formula"] is None and step["value"]["block"] is None]
    for equation in (*given, *part["seeds"]):
        known[equation["name"]] = array(equation["value"], equation)
    for step in steps:
        if step["value"]["name"] not in known:
            solve(step["value"], part, known)
    for step in steps if part["mode"] == "forward" else steps[::-1]:
        for equation in step["derivative"]:
            if equation["name"] not in known:
                solve(equation, part, known)
    return known


def solve(equation: Mapping[str, Any], part: Mapping[str, Any], known: Arrays) -> None:
    """Set the name of an equation; of what a block gives, the names of all of its results."""
    if equation["block"] is not None:
        run(part["blocks"][equation["block"]], part, known)
        return
    made = value(equation["formula"], known)
    shape, dtype = tuple(equation["shape"]), NUMPY_NAMES[equation["dtype"]]
    assert made.dtype == dtype, equation["text"]
    assert made.shape == shape or made.ndim == 0, equation["text"]
    known[equation["name"]] = np.broadcast_to(made, shape)


def array(data: Any, aval: Mapping[str, Any]) -> Any:
    return np.array(data, NUMPY_NAMES[aval["dtype"]]).reshape(aval["shape"])


def value(tree: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """A formula's value."""
    if "name" in tree:
        return known[tree["name"]]
    if "number" in tree:
        return np.full(tree["shape"], float(tree["number"]), NUMPY_NAMES[tree["dtype"]])
    args = [value(part, known) for part in tree["args"]]
    params = {name: tuples(param) for name, param in tree["params"].items()}
    if tree["op"] == "constant":
        return np.array(params["data"], NUMPY_NAMES[params["dtype"]]).reshape(params["shape"])
    out = params.pop("out", None)
    made = primitive(tree["op"]).eval(np, *args, **params)
    return np.asarray(made if out is None else made[out])


def tuples(param: Any) -> Any:
    return tuple(map(tuples, param)) if isinstance(param, list) else param


def run(block: Mapping[str, Any], part: Mapping[str, Any], known: Arrays) -> None:
    """A loop turn by turn, or the lines of a part that is computed again."""
    inside = {e["name"]: value(e["formula"], known) for e in block["given"] if e["formula"] is not None}
    if block["op"] != "scan":
        lines(block["lines"], part, inside)
        results = [value(e["formula"], inside) for e in block["after"]]
    else:
        results = loop(block, part, known, inside)
    for name, result in zip(block["results"], results, strict=True):
        if name is not None:
            known[name] = result


def lines(equations: Iterable[Mapping[str, Any]], part: Mapping[str, Any], inside: Arrays) -> None:
    for equation in equations:
        if equation["block"] is None or equation["name"] not in inside:
            solve(equation, part, inside)


def loop(block: Mapping[str, Any], part: Mapping[str, Any], known: Arrays, given: Arrays) -> list[Any]:
    turns = block["turns"] if block["count"] is None else int(value(block["count"], known))
    slices = {name: given[name] for name in block["slices"]}
    state = {name: given[name] for name in block["carried"]}
    fixed = {name: array_ for name, array_ in given.items() if name not in slices and name not in state}
    stacked = block["after"][len(block["carried"]) :]
    rooms = [
        np.zeros((block["turns"], *e["shape"]), NUMPY_NAMES[e["dtype"]])
        for e in (*block["after"][: len(block["carried"])], *stacked)
    ]
    taken = 0
    for turn in range(turns)[::-1] if block["reverse"] else range(turns):
        inside = {**fixed, **state, **{name: array_[turn] for name, array_ in slices.items()}}
        inside[block["index"]] = np.asarray(turn, "int64")
        if block["condition"] is not None and not value(block["condition"], inside):
            break
        lines(block["lines"], part, inside)
        after = [value(e["formula"], inside) for e in block["after"]]
        kept = [*state.values(), *after[len(state) :]]
        for room, made in zip(rooms, kept, strict=True):
            room[turn] = made
        state = {
            name: np.broadcast_to(made, np.shape(state[name]))
            for name, made in zip(block["carried"], after, strict=False)
        }
        taken += 1
    return [*state.values(), *rooms, *([] if block["condition"] is None else [np.asarray(taken, "int64")])]

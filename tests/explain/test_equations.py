"""The equations that are printed are those that run: evaluated one by one, they give every value and the gradient."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gradcli import api, opening
from gradcli.ad import forward, reverse
from gradcli.ir.graph import Graph
from gradcli.ir.live import without_dead
from gradcli.ir.text import render
from gradcli.report.equations_json import explanation_json
from gradcli.request import ModelFile, Request
from tests.explain.cases import EVERY, EXPRESSIONS, ONE, model
from tests.explain.equations import array, evaluated, value

Part = dict[str, Any]


def parts(file: ModelFile, request: Request, mode: Any = "reverse") -> list[Part]:
    """The derivations of a JSON document, with numbers."""
    made = api.explain(file, request, mode=mode, numbers=True)
    return list(json.loads(explanation_json(made))["parts"])


def hold(part: Part) -> dict[str, Any]:
    """Every equation gives the number that the program has beside it; the values by name."""
    known = evaluated(part)
    told = [e for step in part["steps"] for e in (step["value"], *step["derivative"])]
    for equation in told:
        assert equation["value"] is not None
        close(known[equation["name"]], array(equation["value"], equation), equation["name"])
    for equation in part["closed"]:
        close(value(equation["formula"], known), known[equation["name"]], f"closed form of {equation['name']}")
    return known


def close(got: Any, want: Any, what: str) -> None:
    size = float(np.max(np.abs(want), initial=0.0, where=np.isfinite(want))) if want.dtype.kind == "f" else 0.0
    eps = 2e-5 if want.dtype == np.float32 else 1e-9
    assert_allclose(got, want, rtol=eps, atol=eps * 1e-2 * size, err_msg=what)


def ids(case: tuple[str, dict[str, Any]]) -> str:
    return f"{case[0]} {' '.join(f'{k}={v}' for k, v in case[1].items())}"


@pytest.mark.parametrize("case", EVERY, ids=ids)
def test_the_equations_give_the_gradient(case: tuple[str, dict[str, Any]]) -> None:
    file, request = model(case[0]), Request(**case[1])
    (part,) = parts(file, request)
    known = hold(part)
    for grad, name in zip(api.run(file, request).grads, part["results"], strict=True):
        close(known[name], grad.array, name)


@pytest.mark.parametrize("case", [case for case in EVERY if "sens" not in case[1]], ids=ids)
def test_the_equations_of_tangents_hold(case: tuple[str, dict[str, Any]]) -> None:
    for part in parts(model(case[0]), Request(**case[1]), "forward"):
        hold(part)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("name", ["survey/survey.net", "loop", "while", "nested", "where", "again", "two"])
def test_the_equations_of_higher_orders_hold(name: str, order: int) -> None:
    file, request = model(name), Request(get_all=True, order=order)
    rows = {grad.wrt: grad.array for grad in api.run(file, request).grads}
    found = {}
    for part in parts(file, request):
        known = hold(part)
        by = tuple(re.findall(r"/∂(\w+)", part["of"]))
        found |= {(*by, result.removeprefix("dd_").removeprefix("d_")): known[result] for result in part["results"]}
    assert set(found) == set(rows)
    for names, made in found.items():
        close(made, rows[names], ",".join(names))


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_the_equations_of_operators_hold(text: str, mode: str) -> None:
    for order in (1, 2) if mode == "reverse" else (1,):
        for part in parts(model(text), Request(inputs=(("x", ONE),), order=order), mode):
            hold(part)


@pytest.mark.parametrize("case", EVERY, ids=ids)
def test_with_stand_ins_replaced_the_graph_is_the_one_that_runs(case: tuple[str, dict[str, Any]]) -> None:
    _, prepared = opening.prepare(model(case[0]), Request(net=case[1].get("net")))
    graph = prepared.graph
    wrt = [fed.position for fed in (*prepared.inputs, *prepared.params) if fed.aval.is_float]
    back = reverse.traced(graph, wrt, sens="inputs")
    assert bare(back.whole(back.graph.outputs)) == bare(reverse.reverse(graph, wrt, sens="inputs"))


def bare(graph: Graph) -> str:
    """A graph as text, its values by numbers alone."""
    for node in graph.nodes:
        for out in node.outs:
            out.hint = ""
    return render(graph)


def test_tangents_with_stand_ins_replaced_are_those_that_run() -> None:
    _, prepared = opening.prepare(model("perceptron"), Request())
    wrt = [fed.position for fed in prepared.params]
    made = forward.traced(prepared.graph, wrt)
    assert bare(without_dead(made.whole(made.graph.outputs))) == bare(forward.forward(prepared.graph, wrt))


# ── the tables of the survey ────────────────────────────────────────────────────────────────────────────────


def numbers(part: Part) -> dict[str, float]:
    told = [e for step in part["steps"] for e in (step["value"], *step["derivative"])]
    return {equation["symbol"]: round(equation["value"], 3) for equation in told}


def texts(part: Part) -> dict[str, str]:
    told = [e for step in part["steps"] for e in (step["value"], *step["derivative"])]
    return {equation["symbol"]: equation["text"] for equation in told}


def test_table_3_of_the_survey() -> None:
    """Baydin et al., JMLR 18 (2018): reverse mode for ln x1 + x1 · x2 − sin x2 at (2, 5)."""
    (part,) = parts(model("survey/survey.net"), Request(get_all=True))
    assert numbers(part) == {
        "x1": 2, "x2": 5, "v1": 0.693, "v2": 10, "v3": 10.693, "v4": -0.959, "v5": 11.652,
        "v̄5": 1, "v̄4": -1, "v̄3": 1, "v̄2": 1, "v̄1": 1, "x̄2": 1.716, "x̄1": 5.5,
    }  # fmt: skip
    assert texts(part) == {
        "x1": None, "x2": None, "v1": "ln(x1)", "v2": "x1 · x2", "v3": "v1 + v2", "v4": "sin(x2)", "v5": "v3 − v4",
        "v̄5": "1", "v̄4": "−v̄5", "v̄3": "v̄5", "v̄2": "v̄3", "v̄1": "v̄3",
        "x̄2": "v̄4 · cos(x2) + v̄2 · x1", "x̄1": "v̄2 · x2 + v̄1 / x1",
    }  # fmt: skip
    assert {e["of"]: e["text"] for e in part["closed"]} == {"x1": "x2 + 1 / x1", "x2": "x1 − cos(x2)"}


def test_table_2_of_the_survey() -> None:
    """The same in forward mode, with ẋ1 = 1 and ẋ2 = 0."""
    (part,) = parts(model("survey/survey.net"), Request(along=("x1=1", "x2=0")), "forward")
    assert numbers(part) == {
        "x1": 2, "x2": 5, "v1": 0.693, "v2": 10, "v3": 10.693, "v4": -0.959, "v5": 11.652,
        "ẋ1": 1, "ẋ2": 0, "v̇1": 0.5, "v̇2": 5, "v̇3": 5.5, "v̇4": 0, "v̇5": 5.5,
    }  # fmt: skip
    assert texts(part)["v̇2"] == "ẋ1 · x2 + ẋ2 · x1"


# ── the text itself ─────────────────────────────────────────────────────────────────────────────────────────

SIGNS = {"⊙": "*", "·": "*", "−": "-", "²": "**2", "ᵀ": ".T", "√": "sqrt", "ln(": "log("}


@pytest.mark.parametrize("name", ["survey/survey.net", "guide/stop_gradient.net"])
def test_what_is_printed_can_be_read_and_computed(name: str) -> None:
    """The text of each equation, with the signs of Python for those of mathematics, gives the same numbers."""
    (part,) = parts(model(name), Request(get_all=True))
    told = [e for step in part["steps"] for e in (step["value"], *step["derivative"])]
    letters = {e["symbol"]: e["name"] for e in told}
    known = {e["name"]: array(e["value"], e) for e in told}
    for equation in told:
        if equation["text"] is None:
            continue
        text = equation["text"]
        for symbol in sorted(letters, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(symbol)}(?!\w)", letters[symbol], text)
        for sign, python in SIGNS.items():
            text = text.replace(sign, python)
        names = {"log": np.log, "sin": np.sin, "cos": np.cos, "stop": lambda x: x}
        made = eval(text, {"__builtins__": {}}, names | known)
        assert_allclose(np.broadcast_to(made, equation["shape"]), known[equation["name"]], rtol=1e-6)


def test_a_gradient_without_a_path_is_told_as_zero() -> None:
    (part,) = parts(model("two"), Request(wrt="unused"))
    (step,) = [step for step in part["steps"] if step["value"]["name"] == "unused"]
    assert (step["derivative"][0]["text"], step["why"]) == ("0", "no path")
    assert_array_equal(step["derivative"][0]["value"], 0)

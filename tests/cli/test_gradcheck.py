"""`gradcheck`: what is right passes, however hard; what is wrong is found, and the operator named that is at fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcli import api, opening
from gradcli.gradcheck.verb import graph_agrees
from gradcli.ir import primitive as records
from gradcli.ir.primitive import registry
from gradcli.request import CheckedGradients, ModelFile, Request
from gradcli.syntax.diagnostics import ModelError
from tests.cli.gradcheck_models import EDGE, EMPTY, EXACT, LARGE, LAYERS, RIGHT, STOPS, WHILE
from tests.conftest import Cli
from tests.ops.samples import Case, floats, graph_of, operands, walk
from tools.mutations import FACTOR, scaled, with_rule

ROOT = Path(__file__).resolve().parents[2]


def checked(text: str, **options: Any) -> CheckedGradients:
    how = {name: options.pop(name) for name in ("seed", "elements") if name in options}
    return api.gradcheck(ModelFile(text=text, name="model.net"), Request(**options), **how)


def verdicts(found: CheckedGradients) -> dict[str, str]:
    return {row.name: row.verdict for row in found.rows}


def worst_error(found: CheckedGradients) -> float:
    return max(row.worst.error for row in found.rows if row.worst is not None)


# ── what is right ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(name: str, seed: int) -> None:
    found = checked(RIGHT[name], seed=seed)
    assert found.ok
    assert set(verdicts(found).values()) == {"right"}
    assert all(row.checked == row.size and not row.at_kinks for row in found.rows)
    assert worst_error(found) < 1e-6
    assert not found.culprits


@pytest.mark.parametrize("name", ["params, in f32", "the turns of a while", "derivatives inside", "matrices"])
def test_in_f32_with_what_f32_allows(name: str) -> None:
    found = checked(RIGHT[name], dtype="f32")
    assert found.ok
    assert "right" in verdicts(found).values()


@pytest.mark.parametrize("name", ["stop_gradient in a loop and in a checkpoint", "the turns of a while", "matrices",
                                  "derivatives inside", "a softmax of ties"])  # fmt: skip
def test_order_two_is_right(name: str) -> None:
    found = checked(RIGHT[name], order=2)
    assert found.ok
    assert set(verdicts(found).values()) == {"right"}
    assert len(found.duality) == 2


def test_what_a_stop_holds_is_not_moved() -> None:
    """The function itself has another slope than its gradient: 2x, of which half is stopped."""
    found = checked("net main(x: f64) = x * stop_gradient(x)\ninput x = 3\n")
    (row,) = found.rows
    assert row.verdict == "right"
    assert row.worst is not None
    assert row.worst.gradient == pytest.approx(row.worst.differences)


def test_the_rows_of_a_batch_keep_the_turns_that_each_takes() -> None:
    """Of a `vmap` over a loop with a condition: no kink, though each row looks at another `max` and `abs`."""
    text = WHILE.replace("net main(a: f64[n]) -> f64[n]", "net root(a: f64[n])").partition("input")[0]
    found = checked(text + "net main(a: f64[2, 3]) = vmap(root)(a)\ninput a = [[2, 3, 5], [0.1, 70, 1]]\n")
    assert found.ok
    assert [(row.verdict, row.checked, row.at_kinks) for row in found.rows] == [("right", 6, 0)]


def test_loops_in_loops_that_turn_until_they_are_done() -> None:
    """Descent inside descent: each row of the moved points keeps the turns of both loops, and sees no kink in them."""
    text = """\
net inner(p: f64) {
  q = 1.0
  for i in 0..60 while abs(q * q - p) > 1e-9 {
    q = 0.5 * (q + p / q)
  }
  return q
}
net main(p: f64) {
  for k in 0..60 while p > 1.5 {
    p = p - 0.3 * grad(inner)(p) * p
  }
  return p * inner(p)
}
input p = 4.0
"""
    for order in (1, 2):
        found = checked(text, order=order)
        assert found.ok
        assert [(row.verdict, row.at_kinks) for row in found.rows] == [("right", 0)] * order


def test_points_at_which_the_data_is_refused_are_left_out() -> None:
    """Larger steps pick an element that is not there."""
    text = "net main(x: f64[2], t: f64) = x[i64(floor(t * 10))] * t\ninput x = [1, 2]\ninput t = 0.195\n"
    found = checked(text)
    assert verdicts(found) == {"x": "right", "t": "right"}
    assert found.rows[1].worst is not None
    assert found.rows[1].worst.step <= 0.005


def test_a_long_loop_that_holds_nothing_is_planned() -> None:
    text = "net main(h: f64) {\n  for i in 0..8000 {\n    h = h + 0.001 * sin(h)\n  }\n  return h\n}\ninput h = 0.3\n"
    (row,) = checked(text, elements=1).rows
    assert row.verdict == "right"
    with planted("sin", "both", lambda partial: scaled(partial, FACTOR)):
        assert not checked(text, elements=1).ok


def test_a_large_array_is_tried_in_directions_and_at_some_elements() -> None:
    found = checked(LARGE, elements=4)
    assert verdicts(found) == {"x": "right", "w": "right"}
    assert all((row.checked, row.directions, row.size) == (4, 2, 20_000) for row in found.rows)


def nets() -> list[Any]:
    """Every net of every model."""
    files = sorted((ROOT / "models").rglob("*.net"))
    return [
        pytest.param(path, net, id=f"{path.stem}-{net}")
        for path in files
        for net in opening.open_program(ModelFile(path), Request()).scope.nets
    ]


@pytest.mark.parametrize(("model", "net"), nets())
def test_every_net_of_every_model(model: Path, net: str) -> None:
    try:
        found = api.gradcheck(ModelFile(model), Request(net=net), elements=1)
    except ModelError as error:
        if error.diagnostics[0].code not in ("DAT101", "NAM020"):  # the file has no data for it
            raise
        return
    assert found.ok
    assert set(verdicts(found).values()) == {"right"}


@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_that_is_small_beside_what_it_is_the_difference_of(seed: int) -> None:
    """By `speed` it is motion - speed, a thousandth of either, and no closer than their rounding. A fault is."""
    model = ModelFile(ROOT / "models" / "mechanics" / "hamilton.net")
    request = Request(net="Loss")
    assert verdicts(api.gradcheck(model, request, seed=seed))["speed"] == "right"
    with planted("square", "both", lambda partial: scaled(partial, 1 + 1e-9)):
        assert verdicts(api.gradcheck(model, request, seed=seed))["speed"] == "wrong"


@pytest.mark.parametrize(
    "case", [case for case in walk() if not case.values[0].prim.flat and not case.values[0].prim.stops]
)
def test_every_operator_alone(case: Case) -> None:
    arrays = operands(case)
    graph = graph_of(case, arrays)
    if floats(arrays) and floats(graph.outputs):
        assert graph_agrees(graph, arrays, elements=3)


# ── what cannot be told ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "point", "operator"),
    [("abs(x)", 0, "abs"), ("relu(x) * 2", 0, "relu"), ("maximum(x, 1)", 1, "maximum"), ("floor(x) * x", 2, "floor"),
     ("max([x, 2.0])", 2, "reduce_max"), ("sin(x) if x > 1 else x", 1, "greater"), ("x % 1.5", 3, "rem")],
)  # fmt: skip
def test_a_kink_is_named_and_no_failure(expression: str, point: float, operator: str) -> None:
    found = checked(f"net main(x: f64) = {expression}\ninput x = {point}\n")
    (row,) = found.rows
    assert found.ok
    assert row.verdict == "at a kink"
    assert {"operator": operator, "at": "model.net:1"} in row.kinks


def test_elements_at_a_kink_among_others() -> None:
    (row,) = checked("net main(x: f64[4]) = relu(x)\ninput x = [0, 1, -1, 0]\n").rows
    assert (row.verdict, row.checked, row.at_kinks) == ("right", 4, 2)


def test_a_step_that_would_change_the_turns_is_said() -> None:
    (row,) = checked(EDGE).rows
    assert (row.verdict, row.turns) == ("right", ("model.net:3",))


@pytest.mark.parametrize("text", ["sqrt(x)", "norm(x * [1.0, 2.0])", "cbrt(x)"])
def test_what_is_not_finite_is_said(text: str) -> None:
    found = checked(f"net main(x: f64) = {text}\ninput x = 0\n")
    assert found.ok
    assert verdicts(found) == {"x": "not finite"}


def test_a_gradient_that_is_nan_where_there_is_a_slope_is_wrong() -> None:
    found = checked("net main(x: f64[2]) = where(x > 0, sqrt(x), x)\ninput x = [-1, 2]\n")
    (row,) = found.rows
    assert (row.verdict, row.nonfinite) == ("wrong", 1)
    assert row.worst is not None
    assert row.worst.index == (0,)
    assert np.isnan(row.worst.gradient)


def test_what_has_no_elements_and_what_is_no_float() -> None:
    found = checked(EMPTY)
    assert verdicts(found) == {"x": "empty", "y": "right"}
    assert [note.message for note in found.notes] == ["left out, as not float: n"]


# ── what is wrong ───────────────────────────────────────────────────────────────────────────────────────────

Change = Callable[[Any], Any]


@contextmanager
def planted(name: str, rule: str, change: Change) -> Iterator[None]:
    """What a rule gives, changed: its first part that is not None."""
    prim = registry()[name]
    stated: Any = {"both": prim.partials, "vjp": prim.vjp, "jvp": prim.jvp}[rule]

    def changed(*args: Any, **params: Any) -> tuple[Any, ...]:
        made = list(stated(*args, **params))
        first = next(k for k, part in enumerate(made) if part is not None)
        made[first] = change(made[first])
        return tuple(made)

    records._registry[name] = with_rule(prim, rule, changed)
    try:
        yield
    finally:
        records._registry[name] = prim


WRONG = [
    ("tanh", "both", "  h = tanh(x)\n  return h * x", 2),
    ("exp", "both", "  return (x + 1\n    - exp(x * x))", 3),
    ("matmul", "vjp", "  a = reshape(x, [2, 1])\n  h = a @ a.T\n  return sin(h)", 3),
    ("reduce_prod", "vjp", "  h = x\n  for i in 0..5 {\n    h = h * prod(h) + x\n  }\n  return h", 4),
    ("sigmoid", "both", "  net part(x) = sigmoid(x) * x\n  return checkpoint(part)(x)", 2),
    ("log", "both", "  for i in 0..9 while sum(x) > 1 {\n    x = log(x + 1)\n  }\n  return x", 3),
    ("gather", "vjp", "  i = arange(2)\n  return x[1 - i] * x", 3),
]


@pytest.mark.parametrize("change", [lambda x: scaled(x, FACTOR), lambda x: None], ids=["factor", "dropped"])
@pytest.mark.parametrize(("name", "rule", "body", "line"), WRONG, ids=[wrong[0] for wrong in WRONG])
def test_the_operator_at_fault_is_named_with_its_line(
    name: str, rule: str, body: str, line: int, change: Change
) -> None:
    text = f"net main(x: f64[2]) {{\n{body}\n}}\ninput x = [0.7, 1.9]\n"
    assert checked(text).ok
    with planted(name, rule, change):
        found = checked(text)
    assert not found.ok
    assert {one.operator for one in found.culprits} == {name}
    assert {one.at for one in found.culprits} == {f"model.net:{line}"}
    assert found.culprits[0].diagnostic.code == "NUM095"


def test_a_wrong_element_of_many_is_found_by_halving() -> None:
    """One cotangent of 4,000 is doubled; of these eight are moved alone."""

    def doubled(ct: Any) -> Any:
        if ct.shape != (4_000,):
            return ct
        mask = np.ones(4_000)
        mask[2_345] = 2.0
        return ct * ct.builder.constant("f64", (4_000,), mask.tobytes())

    text = "net main(x: f64[4_000]) = sum(cumsum(x) * x)\ninput x = sin(arange(4_000) * 1.3)\n"
    with planted("cumsum", "vjp", doubled):
        found = checked(text, elements=8)
    (row,) = found.rows
    assert row.verdict == "wrong"
    assert row.worst is not None
    assert row.worst.index == (2_345,)
    assert found.culprits[0].operator == "cumsum"


def test_forward_mode_alone_at_fault() -> None:
    """Of an operator whose tangent is stated by itself; differences only see reverse mode."""
    text = (
        "net main(x: f64[2]) {\n  h = x\n  for i in 0..20 {\n    h = sin(h) * x\n  }\n  return h\n}\ninput x = [1, 2]\n"
    )
    with planted("scan", "jvp", lambda tangent: scaled(tangent, FACTOR)):
        found = checked(text)
    assert verdicts(found) == {"x": "right"}
    assert not found.dual
    assert {(one.operator, one.mode, one.at) for one in found.culprits} == {("scan", "forward", "model.net:3")}


def test_what_joins_right_operators_can_be_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradcli.ad import reverse

    monkeypatch.setattr(reverse, "accumulate", lambda builder, total, term: term)
    found = checked("net main(x: f64) = sin(x) * cos(x)\ninput x = 1\n")
    assert not found.ok
    assert found.culprits == ()


def test_the_fault_of_order_two(cli_inside: Cli) -> None:
    """`sin` is right, its derivative's derivative is not."""
    with planted("cos", "both", lambda x: x * FACTOR):
        found = checked("net main(x: f64) = sin(x)\ninput x = 1\n", order=2)
    assert verdicts(found) == {"x": "right", "x,x": "wrong"}
    assert found.culprits[0].operator == "cos"


def test_the_fault_of_a_high_order_that_grad_takes_by_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """From order 5 on `grad` takes one series instead of nested passes; that is what is checked."""
    from math import factorial

    from gradcli.ad import taylor

    text = "net main(x: f64[2]) = sin(x) * exp(x)\ninput x = [0.3, 0.5]\n"
    assert checked(text, order=6).ok
    monkeypatch.setattr(taylor.math, "factorial", lambda n: factorial(n) * (FACTOR if n == 5 else 1))
    found = checked(text, order=6)
    assert [row.verdict for row in found.rows] == ["right"] * 4 + ["wrong"] * 2
    assert checked(text, order=5, sens=("random:3",)).ok


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def run(cli_inside: Cli, tmp_path: Path) -> Callable[..., Any]:
    def given(text: str, *more: str) -> Any:
        (tmp_path / "model.net").write_text(text)
        return cli_inside("gradcheck", "model.net", *more, cwd=tmp_path)

    return given


PAGE = """\
 model.net · net main · sens k=random:0, out1=random:1 · in f64
  by   shape    worst at   gradient     differences   error   noise   step
  x    3        [0]        0.21610346   0.21610346    1e-12   6e-11   2e-05
  y    scalar              1.8518595    1.8518595     2e-12   4e-12   5e-05
  x: 1 of 3 elements cannot be told: a kink within every step: abs at
    model.net:4
  forward mode agrees with reverse mode to …
 right: 2 gradients, 3 elements one by one
"""
SECOND = """\
 model.net · net main · sens random:0 · in f64
  by    shape    worst at   gradient     differences   error   noise   step
  y     scalar              1.8518595    1.8518595     2e-12   4e-12   5e-05
  y,y   scalar              -1.1868928   -1.1868928    5e-12   2e-11   5e-05
  forward mode agrees with reverse mode to … (order 1)
  forward mode agrees with reverse mode to … (order 2)
 right: 2 gradients, 2 elements one by one
"""
WRONG_PAGE = """\
 model.net · net main · sens k=random:0, out1=random:1 · in f64
  by   shape    worst at   gradient       differences    error   noise   step
  x    3        [2]        -0.090467385   -0.090507103   2e-04   1e-11   3e-04
  y    scalar              1.8521759      1.8518595      2e-04   4e-12   5e-05
  x[2] is wrong (declared at model.net:1)
  x: 1 of 3 elements cannot be told: a kink within every step: abs at
    model.net:4
  y is wrong (declared at model.net:1)
  forward mode agrees with reverse mode to …
 wrong: 2 of 2 gradients

error[NUM095]: the derivative of `div` by its first operand is wrong
  --> model.net:3:7
   |
 3 |   k = h / (x + y)
   |       ^^^^^^^^^^^ 1.97047 by its rule, 1.97027 by differences
   |
   = note: tried alone, at the operands that it has here, in a random direction
"""
NAN_PAGE = """\
 model.net · net main · sens random:0 · in f64
  by   shape   worst at   gradient   differences   error   noise   step
  x    2       [0]        nan        2.3446703     inf     2e-12   3e-04
  x[0] is wrong (declared at model.net:1)
  1 of 2 elements are not finite
  `gradcli trace model.net --wrt x` tells where that is born
 wrong: 1 of 1 gradient
"""


def test_the_pages_at_80_columns(run: Any) -> None:
    """But for how closely both modes agree, which is rounding."""
    table = ("--format", "table")

    def page(text: str, *more: str) -> str:
        return re.sub(r"mode to \S+", "mode to …", run(text, *table, *more).out)

    assert page(EXACT) == PAGE
    assert page(EXACT, "--order", "2", "--wrt", "y") == SECOND
    with planted("div", "both", lambda partial: scaled(partial, FACTOR)):
        assert page(EXACT) == WRONG_PAGE
    nan = "net main(x: f64[2], n: i64) = where(x > 0, sqrt(x), x) * n\ninput x = [-1, 4]\ninput n = i64(2)\n"
    assert page(nan) == NAN_PAGE
    assert max(map(len, (PAGE + SECOND + WRONG_PAGE + NAN_PAGE).splitlines())) <= 80


@pytest.mark.parametrize("order", [1, 2])
def test_progress_goes_from_the_start_to_the_end(order: int) -> None:
    total: list[int] = []
    pieces: list[str] = []
    file = ModelFile(text=STOPS, name="model.net")
    api.gradcheck(file, Request(order=order), on_start=total.append, on_piece=pieces.append)
    assert total == [len(pieces)]
    assert pieces[0] == "the gradient"


def test_a_long_heading_counts_what_it_is_weighted_with(run: Any) -> None:
    text = "net main(x: f64, y: f64) = sin(x) * exp(y)\ninput x = 0.3\ninput y = 1\n"
    head = run(text, "--order", "3").done().out.splitlines()[0]
    assert head == " model.net · net main · sens random:0 of 4 gradients · in f64"
    assert len(run(text, "--order", "3", "--json").json()["sens"]) == 4


def test_exit_codes(run: Any) -> None:
    assert run(STOPS).code == 0
    with planted("tanh", "both", lambda x: x * FACTOR):
        assert run(STOPS).code == 1
    kink = "net main(x: f64) = abs(x)\ninput x = 0\n"
    assert run(kink).code == 0
    assert run(kink, "--strict").code == 1
    assert run(kink, "--wrt", "q").code == 2


def test_the_options_that_select_and_weigh(run: Any) -> None:
    def names(*more: str) -> list[str]:
        return [",".join(row["wrt"]) for row in run(LAYERS, "--json", *more).done().json()["gradients"]]

    assert names() == ["x", "l1.w", "l1.b", "l2.w", "l2.b"]
    assert names("--wrt", "params") == ["l1.w", "l1.b", "l2.w", "l2.b"]
    assert names("--get-all") == ["x"]
    assert names("--at", "h") == ["h"]
    assert names("--wrt", "x", "--order", "2") == ["x", "x,x"]
    assert names("--wrt", "x", "--sens", "f32(2)") == ["x"]


def test_sens_is_what_grad_takes(run: Any, cli_inside: Cli, tmp_path: Path) -> None:
    document = run(WHILE, "--seed", "7", "--json").done().json()
    assert document["sens"] == [{"output": "x", "kind": "random", "source": "random:7"}]
    given = ("grad", "model.net", "--sens", "random:7", "--json")
    (grad,) = cli_inside(*given, cwd=tmp_path).done().json()["grads"]
    worst = document["gradients"][0]["worst"]
    assert grad["data"][worst["index"][0]] == pytest.approx(worst["gradient"], rel=1e-13)


def test_the_document(run: Any) -> None:
    document = run(STOPS, "--json").done().json()
    assert [*document] == [
        "schema", "model", "net", "edition", "dtype", "seed", "ok", "sens", "gradients", "duality", "culprits", "notes",
    ]  # fmt: skip
    assert document["schema"] == "gradcli.gradcheck/1"
    assert [*document["gradients"][0]] == [
        "wrt", "kind", "shape", "dtype", "verdict", "at", "checked", "at_kinks", "directions", "nonfinite", "worst",
        "kinks", "turns",
    ]  # fmt: skip
    assert [*document["gradients"][0]["worst"]] == ["index", "gradient", "differences", "error", "step", "noise"]
    assert [*document["duality"][0]] == ["order", "apart", "limit"]
    with planted("tanh", "both", lambda x: x * FACTOR):
        wrong = run(STOPS, "--json").json()
    assert wrong["ok"] is False
    assert [*wrong["culprits"][0]] == ["operator", "operand", "mode", "found", "expected", "at", "diagnostic"]
    assert json.dumps(wrong)


def test_the_table_is_no_wider_than_the_terminal(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in ("80", "60"):
        monkeypatch.setenv("COLUMNS", width)
        page = run(LAYERS, "--format", "table").done().out
        assert max(map(len, page.splitlines())) <= int(width)
    assert "noise" in run(LAYERS).out


def test_the_command_that_tells_why_is_whole(cli_inside: Cli, tmp_path: Path) -> None:
    """With the net and the data that were asked for, and by what is not finite; of order 2, where order 1 is finite."""
    (tmp_path / "m.net").write_text("net f(x: f64) = x\nnet g(x: f64, y: f64) = sqrt(f(x)) * y + abs(y) ** 1.5\n")
    given = ("--net", "g", "-i", "x=0", "-i", "y=0")
    why = "`gradcli trace m.net --net g -i x=0 -i y=0 --wrt {}` tells where that is born"
    out = cli_inside("gradcheck", "m.net", *given, cwd=tmp_path).done().out
    assert f"  {why.format('x')}\n" in out
    out = cli_inside("gradcheck", "m.net", *given, "--wrt", "y", "--order", "2", cwd=tmp_path).done().out
    assert f"  {why.format('y --order 2')}\n" in out


def test_a_checkpoint_is_not_at_fault_for_a_loop_in_it() -> None:
    text = "net part(h) {\n  for i in 0..20 {\n    h = sin(h)\n  }\n  return h\n}\nnet main(x) = checkpoint(part)(x)\n"
    with planted("scan", "vjp", lambda cotangent: scaled(cotangent, FACTOR)):
        found = checked(text + "input x = 0.3\n")
    assert [(one.operator, one.at) for one in found.culprits] == [("scan", "model.net:2")]

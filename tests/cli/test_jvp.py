"""`gradcli jvp`: tangents of the outputs along what is given by name, alone, from files, at random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.models import W, X, Y
from tests.conftest import Cli

# h = 2 x w, k = x + y: t(h) = 2 (t(x) w + x t(w)), t(k) = t(x) + t(y)
TWO = ("jvp", "two.net", "--net", "Two")
SQUARE = ("jvp", "square.net", "--inputs", "d.npz")
T = np.array([1.0, 0.0, -2.0])

PAGE = """\
 two.net · net Two · tangent x=[1, 0, -2] · numpy, 1 thread
  output   shape   dtype   value
  h        3       f64     [2  8  18]
  k        3       f64     [5  7  9]

  output   shape   dtype   tangent
  h        3       f64     [2  0  -12]
  k        3       f64     [1  0  -2]
"""


@pytest.fixture
def tangents(cli_inside: Cli, here: Path) -> Any:
    np.save(here / "t.npy", T)
    np.savez(here / "t.npz", t=T, other=T)

    def run(*arguments: str) -> dict[str, Any]:
        document = cli_inside(*arguments, "--json", cwd=here).done().json()
        return {tangent["output"]: np.array(tangent["data"]) for tangent in document["tangents"]}

    return run


def test_the_page(cli_inside: Cli, here: Path) -> None:
    given = [*TWO, "--tangent", "x=[1, 0, -2]", "--value", "--threads", "1"]
    ran = cli_inside(*given, cwd=here).done()
    assert (ran.out, ran.err) == (PAGE, "")
    assert cli_inside(*given, "--format", "table", cwd=here).done().out == PAGE


@pytest.mark.parametrize(
    ("given", "h", "k"),
    [
        (["x=[1, 0, -2]"], 2 * T * W, T),
        (["x=t.npy"], 2 * T * W, T),
        (["x=t.npz:t"], 2 * T * W, T),
        (["x=@t.npy"], 2 * T * W, T),
        (["y=[1, 0, -2]"], 0 * T, T),
        (["l.w=[1, 0, -2]"], 2 * X * T, 0 * T),
        (["x=[1, 0, -2]", "l.w=[1, 0, -2]"], 2 * T * W + 2 * X * T, T),
        (["y=t.npy", "x=t.npy"], 2 * T * W, 2 * T),
        (["x=basis:1"], 2 * W * [0, 1, 0], np.array([0, 1, 0])),
    ],
)
def test_along_what_is_named(given: list[str], h: Any, k: Any, tangents: Any) -> None:
    found = tangents(*TWO, *[word for text in given for word in ("--tangent", text)])
    assert [*found] == ["h", "k"]
    np.testing.assert_array_equal(found["h"], h)
    np.testing.assert_array_equal(found["k"], k)


@pytest.mark.parametrize("tangent", ["[1, 0, -2]", "t.npy", "x=[1, 0, -2]"])
def test_where_one_may_move_it_needs_no_name(tangent: str, tangents: Any) -> None:
    np.testing.assert_array_equal(tangents(*SQUARE, "--wrt", "x", "--tangent", tangent)["out"], 2 * X * Y * T)


def test_the_only_input_needs_no_name(tangents: Any) -> None:
    assert tangents("jvp", "-e", "x ** 3", "-i", "x=2", "--tangent", "1") == {"out": 12}


def test_by_a_line_in_the_middle(tangents: Any) -> None:
    found = tangents(*TWO, "--at", "l/s", "--tangent", "[1, 0, -2]")
    np.testing.assert_array_equal(found["h"], 2 * T)
    np.testing.assert_array_equal(found["k"], 0 * T)


def test_higher_orders_go_on_along_the_same_direction(tangents: Any) -> None:
    for order, wanted in ((1, 80), (2, 160), (3, 240), (4, 240), (5, 120), (6, 0), (10, 0)):
        given = ["jvp", "-e", "x ** 5", "-i", "x=2", "--tangent", "1", "--order", str(order)]
        assert tangents(*given) == {"out": wanted}
    both = ["--tangent", "x=1", "--tangent", "y=3", "--order", "2"]
    assert tangents("jvp", "-e", "x ** 2 * y", "-i", "x=4", "-i", "y=5", *both) == {"out": 2 * 5 + 2 * 2 * 4 * 3}


def test_at_random_it_is_the_same_every_time(tangents: Any) -> None:
    one, again, other = (tangents(*SQUARE, "--tangent", f"x=random:{seed}")["out"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_it_is_dual_to_the_gradient(cli_inside: Cli, here: Path, tangents: Any) -> None:
    sens = cli_inside("grad", *SQUARE[1:], "--sens", "random:5", "--json", cwd=here).done().json()["grads"][0]["data"]
    weights = cli_inside("grad", "-e", "x", "-i", "x=[0, 0, 0]", "--sens", "random:5", "--json").done().json()
    found = tangents(*SQUARE, "--tangent", "x=random:7")["out"]
    moved = cli_inside("jvp", "-e", "x", "-i", "x=[0, 0, 0]", "--tangent", "random:7", "--json").done().json()
    left = np.dot(moved["tangents"][0]["data"], sens)
    assert left == pytest.approx(np.dot(found, weights["grads"][0]["data"]), rel=1e-12)


# ── documents and files ─────────────────────────────────────────────────────────────────────────────────────

KEYS = ["schema", "model", "net", "edition", "backend", "along", "values", "tangents", "notes"]
TANGENT = ["output", "shape", "dtype", "norm", "nonfinite", "zero", "data"]


def test_the_document(cli_inside: Cli, here: Path) -> None:
    np.save(here / "t.npy", T)
    given = [*TWO, "--tangent", "x=t.npy", "--tangent", "l.w=random:3"]
    document = cli_inside(*given, "--json", cwd=here).done().json()
    assert [*document] == KEYS
    assert document["schema"] == "gradcli.jvp/1"
    assert document["along"] == [
        {"wrt": "x", "kind": "file", "source": "t.npy"},
        {"wrt": "l.w", "kind": "random", "source": "random:3"},
    ]
    assert document["values"] is None
    assert [[*tangent] for tangent in document["tangents"]] == [TANGENT, TANGENT]
    values = cli_inside(*given, "--value", "--json", cwd=here).done().json()["values"]
    assert [value["name"] for value in values] == ["h", "k"]


def test_lines_and_csv(cli_inside: Cli, here: Path) -> None:
    given = [*TWO, "--tangent", "x=[1, 0, -2]", "--value"]
    rows = [json.loads(row) for row in cli_inside(*given, "--format", "jsonl", cwd=here).done().out.splitlines()]
    assert [[*row][-1] for row in rows] == ["value", "value", "tangent", "tangent"]
    assert rows[3]["tangent"]["data"] == [*T]
    page = cli_inside(*given, "--format", "csv", cwd=here).done().out.splitlines()
    assert page[0] == "name,index,value"
    assert page[7:10] == ["h,0,2.0", "h,1,0.0", "h,2,-12.0"]


def test_written_and_compared(cli_inside: Cli, here: Path) -> None:
    given = [*TWO, "--tangent", "x=[1, 0, -2]", "--value"]
    assert cli_inside(*given, "-o", "t.npz", cwd=here).done().out == ""
    with np.load(here / "t.npz") as stored:
        assert {*stored} == {"value/h", "value/k", "h", "k"}
        np.testing.assert_array_equal(stored["h"], 2 * T * W)
    assert cli_inside(*given, "--check", "t.npz", cwd=here).done().out == ""
    other = cli_inside(*TWO, "--tangent", "x=[1, 0, 2]", "--value", "--check", "t.npz", cwd=here)
    assert other.code == 1
    assert other.out.startswith("error[NUM040]: h: 12, stored -12 at [2]; 1 of 3 elements differ")


@pytest.mark.parametrize(
    ("value", "tangent", "reason", "at"),
    [
        ("y", "x=1", "no path", []),
        ("stop_gradient(x) + y", "x=1", "stopped", ["zero.net:1"]),
        ("floor(x) + y", "x=1", "flat", ["zero.net:1"]),
        ("x * y", "x=0", "direction is zero", []),
        ("x * y * 0", "x=1", "multiplied by zero", ["zero.net:1"]),
    ],
)
def test_a_zero_tangent_says_why(
    value: str, tangent: str, reason: str, at: list[str], cli_inside: Cli, here: Path
) -> None:
    (here / "zero.net").write_text(f"net f(x, y) = {value}\ninput x = 1.5\ninput y = 2.0\n")
    (found,) = cli_inside("jvp", "zero.net", "--tangent", tangent, "--json", cwd=here).done().json()["tangents"]
    assert found["zero"] == {"reason": reason, "at": at}


def test_outputs_that_are_no_floats_are_left_out_with_a_note(cli_inside: Cli, here: Path) -> None:
    (here / "mixed.net").write_text("net f(x: f64) {\n  big = x > 1\n  y = x * x\n  return big, y\n}\n")
    ran = cli_inside("jvp", "mixed.net", "-i", "x=3", "--tangent", "1", cwd=here).done()
    assert ran.err == "note[DIF002]: left out, as not float: big (bool[])\n"
    assert ran.out.splitlines()[2].split() == ["y", "scalar", "f64", "6"]


def test_what_is_not_finite(cli_inside: Cli) -> None:
    ran = cli_inside("jvp", "-e", "sqrt(x)", "-i", "x=0.0", "--tangent", "1", "--strict")
    why = "`gradcli trace -e 'sqrt(x)' -i x=0.0` tells where it went bad"
    assert (ran.code, ran.err) == (1, f"note[NUM090]: the tangent is not finite: 1 of 1 in out; {why}\n")


# ── wrong use ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tangent_of_another_shape_shows_both_places(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside(*TWO, "--tangent", "x=[1, 2]", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error[DIF004]: the tangent is f64[2], x is f64[3]\n"
        "   --> --tangent x:1:1\n"
        "    |\n"
        "  1 | [1, 2]\n"
        "    | ^^^^^^\n"
        "    |\n"
        "   ::: two.net:11:9\n"
        "    |\n"
        " 11 | net Two(x: f64[n], y: f64[n]) -> (f64[n], f64[n]) {\n"
        "    |         --------- x is f64[3]\n"
        "    |\n"
        "    = help: a tangent has the shape and dtype of the input exactly\n"
    )


def test_a_tangent_from_a_file_of_another_dtype(cli_inside: Cli, here: Path) -> None:
    np.save(here / "t.npy", T.astype("f4"))
    ran = cli_inside(*TWO, "--tangent", "x=t.npy", cwd=here)
    assert ran.code == 2
    assert ran.err.startswith("error[DIF004]: the tangent is f32, x is f64[3]\n   --> two.net:11:9\n")
    assert """= help: cast it: `--tangent x='f64(load("t.npy"))'`\n""" in ran.err
    cli_inside(*TWO, "--tangent", 'x=f64(load("t.npy"))', cwd=here).done()


def test_an_integer_has_none(cli_inside: Cli) -> None:
    ran = cli_inside("jvp", "-e", "x * k", "-i", "x=1.0", "-i", "k=i64(2)", "--tangent", "k=1")
    assert ran.code == 2
    assert ran.err.startswith("error[DIF001]: k is i64 and has no derivative\n  --> <expression>:1:5\n")


def test_no_tangent_lists_what_may_have_one(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside(*TWO, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error[USE004]: `jvp` needs a tangent: the direction to differentiate along\n"
        "   = note: inputs and params: x: f64[3], y: f64[3], l.w: f64[3]\n"
        "   = help: `--tangent x='[1, 0, …]'`, or `--tangent x=random:1`\n"
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--tangent", "q=1"], "DIF003"),
        (["--tangent", "l.q=1"], "DIF003"),
        (["--tangent", "[1, 1, 1]"], "DIF005"),
        (["--tangent", "x=[1, 1, 1]", "--tangent", "[1, 1, 1]"], "DIF005"),
        (["--tangent", "x=[1, 1, 1]", "--tangent", "x=[1, 1, 1]"], "USE005"),
        (["--wrt", "x", "--tangent", "y=[1, 1, 1]"], "DIF009"),
        (["--tangent", "x=f32([1, 1, 1])"], "DIF004"),
        (["--tangent", "x=1.0"], "DIF004"),
        (["--tangent", "x=basis:3"], "DIF004"),
        (["--tangent", "x=random:"], "DIF004"),
        (["--tangent", "x=missing.npy"], "DAT001"),
        (["--tangent", "x=d.npz"], "DAT007"),
        (["--tangent", "x=[1, 2"], "SYN002"),
        (["--tangent", "x=q"], "NAM001"),
        (["--tangent", "x="], "SYN001"),
        (["--tangent", ""], "DIF005"),
        (["--wrt", "q", "--tangent", "1"], "DIF003"),
        (["--at", "q", "--tangent", "1"], "NAM011"),
        (["--tangent", "x=[1, 1, 1]", "--order", "11"], "DIF007"),
        (["--tangent", "x=[1, 1, 1]", "--order", "0"], "DIF007"),
        (["--sens", "[1, 1, 1]"], "USE002"),
        (["--tangent", "x=[1, 1, 1]", "--format", "svg"], "USE003"),
        (["--tangent", "x=[1, 1, 1]", "--rtol", "1"], "USE005"),
        (["--tangent", "x=[1, 1, 1]", "--memory", "64"], "NUM001"),
    ],
)
def test_what_cannot_be_asked(options: list[str], code: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside(*TWO, *options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")


def test_a_misspelt_name_is_guessed(cli_inside: Cli) -> None:
    given = ["-i", "velocity=1", "-i", "mass=2", "--tangent", "velocty=1"]
    ran = cli_inside("jvp", "-e", "velocity ** 2 * mass", *given)
    assert "= help: did you mean `--tangent velocity=…`?" in ran.err


def test_nothing_that_can_move(cli_inside: Cli) -> None:
    ran = cli_inside("jvp", "-e", "k * k", "-i", "k=i64(2)", "--tangent", "1")
    assert ran.err.startswith("error[DIF00")

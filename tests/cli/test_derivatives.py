"""By what is differentiated, weighted how, how often, where; and compared with what is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Grads
from tests.cli.models import BY_W, BY_X, BY_X_OF_SQUARE, BY_Y, W, X, Y
from tests.conftest import Cli

TWO = ("two.net", "--net", "Two")
SQUARE = ("square.net", "--inputs", "d.npz")
ALL = {"x": BY_X, "y": BY_Y, "l.w": BY_W}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["x"]),
        (["--get-all"], ["x", "y"]),
        (["--get-by-list"], ["l.w"]),
        (["--get-all", "--get-by-list"], ["x", "y", "l.w"]),
        (["--wrt", "y"], ["y"]),
        (["--wrt", "y,x"], ["y", "x"]),
        (["--wrt", "l.w"], ["l.w"]),
        (["--wrt", "l"], ["l.w"]),
        (["--wrt", "x, l.w"], ["x", "l.w"]),
        (["--wrt", "all"], ["x", "y"]),
        (["--wrt", "params"], ["l.w"]),
        (["--wrt", "all,params"], ["x", "y", "l.w"]),
    ],
)
def test_by_what(options: list[str], names: list[str], grads: Grads) -> None:
    found = grads(*TWO, *options)
    assert [*found] == names
    for name, grad in found.items():
        np.testing.assert_array_equal(grad, ALL[name])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--wrt", "q"], "DIF003"),
        (["--wrt", ""], "DIF003"),
        (["--wrt", "x,"], "DIF003"),
        (["--wrt", "x", "--get-all"], "USE005"),
        (["--wrt", "x", "--get-by-list"], "USE005"),
        (["--at", "q"], "NAM011"),
        (["--at", "h", "--get-all"], "DIF003"),
        (["--order", "11"], "DIF007"),
        (["--order", "0"], "DIF007"),
        (["--order", "two"], "USE003"),
    ],
)
def test_what_cannot_be_asked(options: list[str], code: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, *options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")


@pytest.mark.parametrize(
    ("option", "message", "help"),
    [("--wrt", "error[DIF003]: a name in `--wrt` is empty", "`--wrt all` is by all float inputs"),
     ("--net", "error[NAM009]: the name of the net is empty", "leave out `--net`")],
)  # fmt: skip
def test_an_empty_name_is_said_to_be_one(option: str, message: str, help: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, option, "", cwd=here)
    assert ran.err.startswith(message)
    assert ran.err.endswith(f"help: {help}\n")


# ── sensitivities ───────────────────────────────────────────────────────────────────────────────────────────

S = np.array([1.0, 0.0, -2.0])


@pytest.mark.parametrize(
    "sens",
    ["[1.0, 0.0, -2.0]", "[1, 0, -2]", "s.npy", "@s.npy", "s.npz:s", "s.csv", "s.json", "out=s.npy", "out=[1, 0, -2]"],
)
def test_sens_by_value(sens: str, grads: Grads, here: Path) -> None:
    np.save(here / "s.npy", S)
    np.savez(here / "s.npz", s=S, other=S)
    (here / "s.csv").write_text("1\n0\n-2\n")
    (here / "s.json").write_text("[1, 0, -2]")
    np.testing.assert_array_equal(grads(*SQUARE, "--sens", sens)["x"], S * BY_X_OF_SQUARE)


@pytest.mark.parametrize(("place", "at"), [("0", 0), ("2", 2), ("-1", 2)])
def test_sens_of_one_element(place: str, at: int, grads: Grads) -> None:
    wanted = np.zeros(3)
    wanted[at] = BY_X_OF_SQUARE[at]
    np.testing.assert_array_equal(grads(*SQUARE, "--sens", f"basis:{place}")["x"], wanted)


def test_sens_at_random_is_the_same_every_time(grads: Grads) -> None:
    one, again, other = (grads(*SQUARE, "--sens", f"random:{seed}")["x"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    assert np.all(one != 0)


def test_sens_of_several_outputs(grads: Grads) -> None:
    found = grads(*TWO, "--get-all", "--sens", "k=[1, 1, 1]", "--sens", "h=[0, 0, 1]")
    np.testing.assert_array_equal(found["x"], 2 * W * [0, 0, 1] + 1)
    np.testing.assert_array_equal(found["y"], np.ones(3))


def test_the_report_says_what_sens_was(cli_inside: Cli, here: Path) -> None:
    np.save(here / "s.npy", S)
    for given, said, entry in (
        ([], "sens: ones (implicit)", {"output": "out", "kind": "ones", "source": None}),
        (["--sens", "s.npy"], "sens s.npy", {"output": "out", "kind": "file", "source": "s.npy"}),
    ):
        assert said in cli_inside("grad", *SQUARE, *given, cwd=here).done().out.splitlines()[0]
        assert cli_inside("grad", *SQUARE, *given, "--json", cwd=here).done().json()["sens"] == [entry]
    kinds = {"basis:0": "basis", "random:3": "random", "[1, 2, 3]": "expression"}
    for text, kind in kinds.items():
        (entry,) = cli_inside("grad", *SQUARE, "--sens", text, "--json", cwd=here).done().json()["sens"]
        assert entry["kind"] == kind


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--sens", "1.0"], "DIF004"),
        (["--sens", "[1, 2]"], "DIF004"),
        (["--sens", "[[1, 2, 3]]"], "DIF004"),
        (["--sens", "f32([1, 2, 3])"], "DIF004"),
        (["--sens", "[true, true, true]"], "DIF004"),
        (["--sens", "basis:3"], "DIF004"),
        (["--sens", "basis:0,0"], "DIF004"),
        (["--sens", "basis:"], "DIF004"),
        (["--sens", "random:"], "DIF004"),
        (["--sens", "random:x"], "DIF004"),
        (["--sens", "missing.npy"], "DAT001"),
        (["--sens", "d.npz"], "DAT007"),
        (["--sens", "[1, 2"], "SYN002"),
        (["--sens", "x"], "NAM001"),
        (["--sens", "[1, 1, 1]", "--sens", "[1, 1, 1]"], "DIF005"),
        (["--sens", ""], "SYN001"),
    ],
)
def test_sens_that_is_refused(options: list[str], code: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *SQUARE, *options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert f"error[{code}]" in ran.err


def test_one_sens_for_two_outputs_lists_them(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, "--sens", "[1, 1, 1]", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert "error[DIF005]" in ran.err
    assert "h" in ran.err
    assert "k" in ran.err


# ── orders, values, lines in the middle ─────────────────────────────────────────────────────────────────────


def test_second_order_gives_every_mixed_derivative(grads: Grads) -> None:
    found = grads(*SQUARE, "--order", "2", "--get-all")
    wanted = {"x,x": 2 * Y, "x,y": 2 * X, "y,x": 2 * X, "y,y": np.zeros(3)}
    assert [*found] == [*wanted]
    for name, grad in found.items():
        np.testing.assert_array_equal(grad, wanted[name])


def test_third_order(grads: Grads) -> None:
    assert grads("-e", "x**5", "-i", "x=2", "--order", "3") == {"x,x,x": 240}


def test_sens_of_a_second_order_weights_the_first(grads: Grads) -> None:
    found = grads(*SQUARE, "--order", "2", "--get-all", "--sens", "x=[1, 0, 0]", "--sens", "y=[0, 0, 0]")
    np.testing.assert_array_equal(found["x,x"], [2 * Y[0], 0, 0])
    np.testing.assert_array_equal(found["x,y"], [2 * X[0], 0, 0])
    np.testing.assert_array_equal(found["y,x"], np.zeros(3))


def test_too_many_derivatives_are_counted_before_work(cli_inside: Cli) -> None:
    names = "abcdfghjkl"
    given = [word for name in names for word in ("-i", f"{name}=1")]
    ran = cli_inside("grad", "-e", "*".join(names), *given, "--get-all", "--order", "10")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[DIF007]: ")
    assert "10_000_000_000" in ran.err


def test_the_value_with_the_gradient(cli_inside: Cli, here: Path) -> None:
    document = cli_inside("grad", *TWO, "--value", "--json", cwd=here).done().json()
    assert [value["name"] for value in document["values"]] == ["h", "k"]
    np.testing.assert_array_equal(document["values"][0]["data"], 2 * X * W)
    np.testing.assert_array_equal(document["grads"][0]["data"], BY_X)
    assert cli_inside("grad", *TWO, "--json", cwd=here).done().json()["values"] is None


@pytest.mark.parametrize(("line", "wanted"), [("h", np.ones(3)), ("k", np.ones(3)), ("l/s", np.full(3, 2.0))])
def test_by_a_line_in_the_middle(line: str, wanted: np.ndarray, grads: Grads) -> None:
    found = grads(*TWO, "--at", line)
    assert [*found] == [line]
    np.testing.assert_array_equal(found[line], wanted)


@pytest.mark.parametrize(("line", "wanted"), [("h", 2 * X * W), ("l/s", X * W)])
def test_the_value_of_a_line_in_the_middle(line: str, wanted: np.ndarray, cli_inside: Cli, here: Path) -> None:
    (value,) = cli_inside("eval", *TWO, "--at", line, "--json", cwd=here).done().json()["values"]
    assert value["name"] == line
    np.testing.assert_array_equal(value["data"], wanted)


@pytest.mark.parametrize(
    ("value", "reason", "place"),
    [
        ("y", "no path", ""),
        ("stop_gradient(x) + y", "stopped", " at zero.net:1"),
        ("floor(x) + y", "flat", " at zero.net:1"),
    ],
)
def test_a_zero_gradient_says_why(value: str, reason: str, place: str, cli_inside: Cli, here: Path) -> None:
    (here / "zero.net").write_text(f"net f(x, y) = {value}\ninput x = 1.5\ninput y = 2.0\n")
    (grad,) = cli_inside("grad", "zero.net", "--json", cwd=here).done().json()["grads"]
    assert grad["data"] == 0
    assert grad["zero"] == {"reason": reason, "at": ["zero.net:1"] if place else []}
    assert f"0          {reason}{place}\n" in cli_inside("grad", "zero.net", cwd=here).done().out


# ── --check ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_that_agrees_prints_nothing(cli_inside: Cli, here: Path) -> None:
    np.savez(here / "g.npz", x=BY_X, y=BY_Y)
    ran = cli_inside("grad", *TWO, "--get-all", "--check", "g.npz", cwd=here).done()
    assert (ran.out, ran.err) == ("", "")


def test_check_names_the_worst_element(cli_inside: Cli, here: Path) -> None:
    stored = BY_X.copy()
    stored[1] += 0.5
    stored[2] += 1.0
    np.savez(here / "g.npz", x=stored)
    ran = cli_inside("grad", *TWO, "--check", "g.npz", cwd=here)
    assert ran.code == 1
    assert ran.out.startswith("error[NUM040]: x: 7, stored 8 at [2]; 2 of 3 elements differ\n")
    assert "off by 1, 0.12 of it, 1.1e+15 ulps; allowed: rtol=1e-10, atol=8e-10" in ran.out


@pytest.mark.parametrize(("option", "code"), [(["--rtol", "0.2"], 0), (["--atol", "1.0"], 0), (["--rtol", "0.01"], 1)])
def test_check_within_a_tolerance(option: list[str], code: int, cli_inside: Cli, here: Path) -> None:
    np.savez(here / "g.npz", x=BY_X + np.array([0, 0, 1]))
    assert cli_inside("grad", *TWO, "--check", "g.npz", *option, cwd=here).code == code


def test_check_names_what_is_missing_or_extra(cli_inside: Cli, here: Path) -> None:
    np.savez(here / "g.npz", x=BY_X, z=BY_X)
    ran = cli_inside("grad", *TWO, "--get-all", "--check", "g.npz", cwd=here)
    assert ran.code == 1
    assert "y: missing in g.npz" in ran.out
    assert "z: in g.npz, but not a result of this run" in ran.out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--check", "missing.npz"], "DAT001"),
        (["--check", "two.net"], "DAT0"),
        (["--check", "d.npz", "--rtol", "-1"], "USE003"),
        (["--check", "d.npz", "--rtol", "x"], "USE003"),
        (["--check", "d.npz", "--rtol", "nan"], "USE003"),
        (["--check", "d.npz", "--atol", "inf"], "USE003"),
        (["--rtol", "1"], "USE005"),
        (["--atol", "1"], "USE005"),
        (["--check", "d.npz", "--format", "csv"], "USE005"),
        (["--check", "d.npz", "--format", "sarfi"], "USE003"),
        (["--check", "d.npz", "--json", "--format", "full"], "USE005"),
        (["--check", "d.npz", "--ulps", "-1"], "USE003"),
        (["--ulps", "1"], "USE005"),
    ],
)
def test_check_that_cannot_be(options: list[str], code: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", *TWO, *options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert f"error[{code}" in ran.err
    assert not (here / "o.npz").exists()

"""Which model is run: a file, standard input, an expression; its entry net, consts and dtype."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Grads
from tests.cli.models import BY_X, SQUARE, TWO, X
from tests.conftest import Cli


def test_a_file(grads: Grads) -> None:
    (by_x,) = grads("two.net", "--net", "Two").values()
    np.testing.assert_array_equal(by_x, BY_X)


def test_standard_input(cli: Cli, here: Path) -> None:
    ran = cli("grad", "-", "-i", "x=[1.0]", "-i", "y=[3.0]", "--json", cwd=here, stdin=SQUARE).done()
    assert ran.json()["model"] == "<stdin>"
    assert ran.json()["grads"][0]["data"] == [6.0]


def test_errors_in_standard_input_have_lines(cli: Cli) -> None:
    ran = cli("grad", "-", stdin="net f(x) = (x\n")
    assert ran.code == 2
    assert "--> <stdin>:1:12" in ran.err


def test_paths_in_standard_input_are_relative_to_the_folder(cli: Cli, here: Path) -> None:
    text = 'net f(x) = x * x\ninput x = load("x.npy")\n'
    assert cli("grad", "-", "--json", cwd=here, stdin=text).done().json()["grads"][0]["data"] == [2.0, 4.0, 6.0]


def test_paths_in_a_model_are_relative_to_the_model(cli_inside: Cli, here: Path, tmp_path: Path) -> None:
    (here / "load.net").write_text('net f(x) = x * x\ninput x = load("x.npy")\n')
    (tmp_path / "elsewhere").mkdir()
    cli_inside("grad", "../load.net", cwd=tmp_path / "elsewhere").done()


def test_inputs_of_an_expression_are_in_the_order_of_appearance(cli_inside: Cli) -> None:
    given = ["-i", "a=1", "-i", "y=5", "-i", "x=4"]
    document = cli_inside("grad", "-e", "x**2 * y + a", *given, "--get-all", "--json").done().json()
    assert [grad["wrt"] for grad in document["grads"]] == [["x"], ["y"], ["a"]]
    assert [grad["data"] for grad in document["grads"]] == [40, 16, 1]
    assert document["model"] == "<expression>"


def test_one_net_of_several(grads: Grads) -> None:
    (by_x,) = grads("two.net", "--net", "Other").values()
    np.testing.assert_array_equal(by_x, 2 * X)


def test_without_a_name_several_nets_are_listed(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", "two.net", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert "error[NAM008]" in ran.err
    assert all(name in ran.err for name in ("Scale", "Two", "Other", "--net"))


def test_a_const(grads: Grads) -> None:
    (by_x,) = grads("two.net", "--net", "Two", "-c", "a=10").values()
    np.testing.assert_array_equal(by_x, 5 * (BY_X - 1) + 1)


def test_a_dim(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", "two.net", "--net", "Other", "--const", "n=2", "-i", "x=[1, 1]", "--json", cwd=here)
    assert ran.done().json()["grads"][0]["data"] == [2, 2]


def test_a_dim_that_the_data_do_not_have(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", "two.net", "--net", "Other", "-c", "n=2", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert "error[SHP10" in ran.err
    assert "two.net:20:19" in ran.err


@pytest.mark.parametrize(("dtype", "tolerance"), [("f16", 1e-3), ("f32", 1e-7), ("f64", 0)])
def test_dtype(cli_inside: Cli, here: Path, dtype: str, tolerance: float) -> None:
    (grad,) = (
        cli_inside("grad", "two.net", "--net", "Other", "--dtype", dtype, "--json", cwd=here).done().json()["grads"]
    )
    assert grad["dtype"] == dtype
    np.testing.assert_allclose(grad["data"], 2 * X, rtol=tolerance)


@pytest.mark.parametrize("stage", ["ast", "graph", "grad", "optimized", "plan"])
def test_every_stage_is_shown(cli_inside: Cli, here: Path, stage: str) -> None:
    ran = cli_inside("show", "two.net", "--net", "Other", "--stage", stage, cwd=here).done()
    assert ran.err == ""
    assert {
        "ast": "net Other -> f64",
        "graph": "# two.net:18",
        "grad": "d_x",
        "optimized": "return d_x",
        "plan": "peak ",
    }[stage] in ran.out


def test_show_of_a_higher_order_has_no_less(cli_inside: Cli) -> None:
    first, second = (
        cli_inside("show", "-e", "sin(x)", "-i", "x=1", "--stage", "optimized", "--order", order).done().out
        for order in "12"
    )
    assert "cos(x)" in first
    assert "neg(" in second


def test_a_text_without_a_net(cli: Cli) -> None:
    ran = cli("grad", "-", stdin="")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[NAM008]: ")


def test_the_model_of_these_tests_is_sound(cli: Cli) -> None:
    assert "holds for all sizes" in cli("check", "-", stdin=TWO).done().out

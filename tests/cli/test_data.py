"""Where the numbers come from: expressions, every kind of file, standard input; several at once; params."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.cli.conftest import Grads
from tests.cli.models import BY_X, X, Y
from tests.conftest import Cli


@pytest.fixture
def files(here: Path) -> Path:
    """`x` and `y` in every format."""
    save_file({"x": X, "y": Y}, here / "d.safetensors")
    (here / "x.csv").write_text("1\n2\n3\n")
    (here / "xy.csv").write_text("x,y\n1,4\n2,5\n3,6\n")
    (here / "x.json").write_text("[1, 2, 3]")
    (here / "d.json").write_text(json.dumps({"x": [1, 2, 3], "y": [4, 5, 6]}))
    (here / "numbers.txt").write_text("1\n2\n3\n")
    return here


VALUES = [
    "[1, 2, 3]",
    "[1.0, 2.0, 3.0]",
    "arange(3) + 1",
    "linspace(1, 3, 3)",
    'load("x.npy")',
    "f64(i64([1, 2, 3]))",
    "x.npy",
    "./x.npy",
    "d.npz:x",
    "d.safetensors:x",
    "x.csv",
    "x.json",
    "d.json:x",
    "xy.csv:x",
    "@x.npy",
    "@numbers.txt",
]


@pytest.mark.parametrize("value", VALUES)
def test_one_input(value: str, files: Path, cli_inside: Cli) -> None:
    document = (
        cli_inside("eval", "square.net", "-i", f"x={value}", "-i", "y=[1, 1, 1]", "--json", cwd=files).done().json()
    )
    (out,) = document["values"]
    assert out == {"name": "out", "shape": [3], "dtype": "f64", "data": [1, 4, 9]}


def test_standard_input(cli: Cli, here: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, X)
    ran = cli("eval", "square.net", "-i", "x=@-", "-i", "y=[1, 1, 1]", "--json", cwd=here, stdin=stream.getvalue())
    assert ran.done().json()["values"][0]["data"] == [1, 4, 9]


@pytest.mark.parametrize("name", ["d.npz", "d.safetensors", "d.json", "xy.csv"])
def test_several_inputs(name: str, files: Path, cli_inside: Cli) -> None:
    document = cli_inside("eval", "square.net", "--inputs", name, "--json", cwd=files).done().json()
    np.testing.assert_array_equal(document["values"][0]["data"], X * X * Y)


def test_one_input_goes_before_several(cli_inside: Cli, here: Path) -> None:
    given = ["--inputs", "d.npz", "-i", "y=[1, 1, 1]"]
    document = cli_inside("eval", "square.net", *given, "--json", cwd=here).done().json()
    assert document["values"][0]["data"] == [1, 4, 9]


def test_several_go_before_those_of_the_model(cli_inside: Cli, here: Path) -> None:
    np.savez(here / "ones.npz", x=np.ones(3))
    document = cli_inside("eval", "two.net", "--net", "Other", "--inputs", "ones.npz", "--json", cwd=here).done().json()
    assert document["values"][0]["data"] == 3


def test_params(grads: Grads, here: Path) -> None:
    (by_x,) = grads("two.net", "--net", "Two", "--params", "w.npz").values()
    np.testing.assert_array_equal(by_x, 2 * np.array([3, 2, 1]) + 1)


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
def test_params_of_other_kinds(suffix: str, grads: Grads, here: Path) -> None:
    if suffix == "json":
        (here / "w.json").write_text('{"l.w": [0, 0, 0]}')
    else:
        save_file({"l.w": np.zeros(3)}, here / "w.safetensors")
    (by_x,) = grads("two.net", "--net", "Two", "--params", f"w.{suffix}").values()
    np.testing.assert_array_equal(by_x, np.ones(3))


MORE = "net f(x) {\n  param v: f64 = 3.0\n  param w: f64 = 2.0\n  return v * w * x\n}\ninput x = 1.0\n"


def test_params_that_are_missing_are_listed(cli_inside: Cli, here: Path) -> None:
    (here / "more.net").write_text(MORE)
    np.savez(here / "v.npz", v=5.0)
    ran = cli_inside("grad", "more.net", "--params", "v.npz", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error[DAT103]: v.npz lacks w\n   = help: keep their first values: `--partial`\n"
    document = cli_inside("grad", "more.net", "--params", "v.npz", "--partial", "--json", cwd=here).done().json()
    assert document["grads"][0]["data"] == 10


def test_params_that_are_no_params_are_listed(cli_inside: Cli, here: Path) -> None:
    np.savez(here / "extra.npz", **{"l.w": X, "l.v": X})
    for also in ([], ["--partial"]):
        ran = cli_inside("grad", "two.net", "--net", "Two", "--params", "extra.npz", *also, cwd=here)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error[DAT104]: extra.npz holds l.v, which Two does not have\n")


def test_a_param_of_another_shape(cli_inside: Cli, here: Path) -> None:
    np.savez(here / "wrong.npz", **{"l.w": np.ones(4)})
    ran = cli_inside("grad", "two.net", "--net", "Two", "--params", "wrong.npz", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert "f64[3]" in ran.err
    assert "wrong.npz:l.w" in ran.err
    assert "f64[4]" in ran.err


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "DAT101"),
        (["-i", "x=[1]"], "DAT101"),
        (["-i", "x=[1]", "-i", "y=[1]", "-i", "z=[1]"], "DAT102"),
        (["-i", "x=[1]", "-i", "y=[1, 2]"], "SHP106"),
        (["-i", "x=1", "-i", "y=1"], "SHP105"),
        (["-i", "x=missing.npy", "-i", "y=[1]"], "DAT001"),
        (["-i", "x=d.npz", "-i", "y=[1]"], "DAT007"),
        (["-i", "x=d.npz:z", "-i", "y=[1]"], "DAT006"),
        (["-i", "x=x.npy:x", "-i", "y=[1]"], "DAT007"),
        (["-i", "x=@.", "-i", "y=[1]"], "DAT002"),
        (["-i", "x=[1, [2]]", "-i", "y=[1]"], "SHP104"),
        (["-i", "x=[1", "-i", "y=[1]"], "SYN002"),
        (["-i", "x=q", "-i", "y=[1]"], "NAM001"),
        (["-i", "x=true", "-i", "y=1"], "DAT105"),
    ],
)
def test_data_that_are_refused(given: list[str], code: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("grad", "square.net", *given, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert f"error[{code}" in ran.err


def test_a_wider_float_is_refused_with_the_ways_out(cli_inside: Cli, here: Path) -> None:
    (here / "single.net").write_text("net f(x: f32[n]) = x * x\n")
    ran = cli_inside("grad", "single.net", "-i", "x=x.npy", cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert "error[DAT105]" in ran.err
    assert "--dtype f64" in ran.err
    cli_inside("grad", "single.net", "-i", "x=x.npy", "--dtype", "f64", cwd=here).done()
    cli_inside("grad", "single.net", "-i", 'x=f32(load("x.npy"))', cwd=here).done()


def test_a_narrower_float_is_widened_with_a_note(cli_inside: Cli, here: Path) -> None:
    np.save(here / "half.npy", X.astype("f2"))
    given = ["square.net", "-i", "x=half.npy", "-i", "y=[1, 1, 1]"]
    ran = cli_inside("grad", *given, cwd=here).done()
    assert ran.err == "square.net:1:7: note[DAT106]: input x: f16 is widened to f64\n"
    assert cli_inside("grad", *given, "-q", cwd=here).done().err == ""
    (note,) = cli_inside("grad", *given, "--json", cwd=here).done().json()["notes"]
    assert note["code"] == "DAT106"


def test_data_do_not_change_between_formats(files: Path, cli_inside: Cli) -> None:
    found: list[Any] = []
    for value in ("x.npy", "d.npz:x", "d.safetensors:x", "x.csv", "x.json"):
        ran = cli_inside("grad", "two.net", "--net", "Two", "-i", f"x={value}", "--json", cwd=files).done()
        found.append(ran.json()["grads"][0]["data"])
    assert found == [[*BY_X]] * 5

"""`jac --sparse` and `hess --sparse`: what can be other than zero, as tables, documents, files and drawings."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Cli

CHAIN = ("-e", "(x[1:] - x[:-1] ** 2) * y", "-i", "x=f64(arange(5)) / 4", "-i", "y=[1, 2, 3, 4]")
PAGE = """\
 <expression> · net expression · numpy, 1 thread
  block   shape   dtype   Jacobian
  out/x   4 × 5   f64     pattern     4 × 5
                          non-zeros   8  (2 a row)
                          density     0.4
                          colours     2
                          passes      2
                          mode        forward
                          [0, 0]  0
                          [0, 1]  1
                          [1, 1]  -1
                          [1, 2]  2
                          [2, 2]  -3
                          [2, 3]  3
                          …
"""


def dense(block: dict[str, Any]) -> np.ndarray:
    made = np.zeros(block["shape"])
    for row, (start, end) in enumerate(zip(block["indptr"], block["indptr"][1:], strict=False)):
        made[row, block["indices"][start:end]] = block["data"][start:end]
    return made.reshape(*block["rows"], *block["columns"])


@pytest.mark.parametrize("verb", ["jac", "hess"])
def test_every_block_is_the_dense_one(verb: str, cli_inside: Cli) -> None:
    given = [verb, *CHAIN, "--get-all", "--json"]
    whole, sparse = (cli_inside(*given, *more).done().json()["blocks"] for more in ([], ["--sparse"]))
    assert [block["wrt"] for block in sparse] == [block["wrt"] for block in whole]
    for one, other in zip(sparse, whole, strict=True):
        np.testing.assert_allclose(dense(one), other["data"], rtol=1e-14)
        assert (one["rows"], one["columns"], one["zero"]) == (other["rows"], other["columns"], other["zero"])


def test_a_weighted_hessian(cli_inside: Cli) -> None:
    given = ["hess", *CHAIN, "--sens", "[1, 0, 0, 2]", "--json"]
    (whole,), (sparse,) = (cli_inside(*given, *more).done().json()["blocks"] for more in ([], ["--sparse"]))
    np.testing.assert_allclose(dense(sparse), whole["data"], rtol=1e-14)


def test_blocks_of_many_dims_keep_them_beside(cli_inside: Cli) -> None:
    given = ["jac", "-e", "x.T * x.T", "-i", "x=[[1, 2, 3], [4, 5, 6]]", "--json"]
    (whole,), (sparse,) = (cli_inside(*given, *more).done().json()["blocks"] for more in ([], ["--sparse"]))
    assert (sparse["rows"], sparse["columns"], sparse["shape"]) == ([3, 2], [2, 3], [6, 6])
    np.testing.assert_array_equal(dense(sparse), whole["data"])


def test_the_page(cli_inside: Cli) -> None:
    given = ["jac", *CHAIN, "--sparse", "--threads", "1"]
    assert cli_inside(*given).done().out == PAGE
    full = cli_inside(*given, "--full").done().out
    assert "…" not in full
    assert "[3, 4]  4" in full


def test_the_document(cli_inside: Cli) -> None:
    (block,) = cli_inside("hess", *CHAIN, "--sparse", "--json").done().json()["blocks"]
    keys = ["output", "wrt", "kind", "rows", "columns", "shape", "dtype", "norm", "nonfinite", "zero"]
    assert [*block] == [*keys, "format", "colors", "mode", "indptr", "indices", "data"]
    assert (block["format"], block["mode"], block["shape"]) == ("csr", "star", [5, 5])
    (row,) = cli_inside("hess", *CHAIN, "--sparse", "--format", "jsonl").done().out.splitlines()
    assert json.loads(row)["block"] == block


def test_csv_gives_row_and_column(cli_inside: Cli) -> None:
    rows = cli_inside("jac", *CHAIN, "--sparse", "--format", "csv").done().out.splitlines()
    assert rows[:3] == ["name,index,value", 'out/x,"0,0",0.0', 'out/x,"0,1",1.0']
    assert len(rows) == 9


def test_a_drawing(cli_inside: Cli) -> None:
    page = cli_inside("jac", *CHAIN, "--sparse", "--format", "svg").done().out
    assert xml.fromstring(page).tag == "{http://www.w3.org/2000/svg}svg"
    assert "Jacobian out/x of &lt;expression&gt;" in page


def test_a_file_that_scipy_reads(cli_inside: Cli, tmp_path: Path) -> None:
    cli_inside("jac", *CHAIN, "--sparse", "-o", "j.npz", cwd=tmp_path).done()
    with np.load(tmp_path / "j.npz") as stored:
        assert {*stored} == {"data", "indices", "indptr", "shape", "format"}
        assert stored["format"].item() == b"csr"
        assert [*stored["shape"]] == [4, 5]


def test_a_hundred_thousand_variables(cli_inside: Cli) -> None:
    ran = cli_inside(
        "hess", "-e", "sum(x ** 3)", "-i", "x=ones([100_000])", "--sparse", "--memory", "200M", "-v"
    ).done()
    assert "non-zeros   100_000  (1 a row)" in ran.out
    assert ran.err.splitlines()[1] == "mode: x/x: star, 1 colour"


def test_a_block_that_is_zero_says_why(cli_inside: Cli) -> None:
    document = cli_inside("hess", *CHAIN, "--wrt", "y", "--sparse", "--json").done().json()
    assert document["blocks"][0]["zero"] == {"reason": "no path", "at": []}
    assert document["blocks"][0]["data"] == []


@pytest.mark.parametrize("verb", ["jac", "hess"])
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--sparse", "--value"], "USE005"),
        (["--sparse", "--at", "x"], "USE005"),
        (["--sparse", "--check", "j.npz"], "USE005"),
        (["--format", "svg"], "USE005"),
        (["--sparse", "--get-all", "--format", "svg"], "USE005"),
        (["--sparse", "--get-all", "-o", "j.npz"], "USE005"),
        (["--sparse", "-o", "j.json"], "DAT041"),
        (["--sparse", "--json", "-o", "j.npz"], "USE005"),
        (["--sparse", "--wrt", "q"], "DIF003"),
    ],
)
def test_what_cannot_be_asked(verb: str, options: list[str], code: str, cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside(verb, *CHAIN, *options, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "options", [["jac", *CHAIN, "--sparse", "--order", "2"], ["hess", *CHAIN, "--sparse", "--vec", "random:1"]]
)
def test_what_does_not_go_together(options: list[str], cli_inside: Cli) -> None:
    assert cli_inside(*options).err.startswith("error[USE005]: `--sparse` and ")


@pytest.mark.parametrize("verb", ["jac", "hess"])
@pytest.mark.parametrize("format", ["plain", "json", "svg"])
def test_a_matrix_without_elements(verb: str, format: str, cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text("net f(x: f64[n]) = sum(x * x)\ninput x = zeros([0])\n")
    ran = cli_inside(verb, "m.net", "--sparse", "--format", format, cwd=tmp_path).done()
    assert "no path" not in ran.out


def test_several_outputs_are_not_mended_by_selecting_an_input(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text("net f(x: f64[2]) = (x * x, sin(x))\ninput x = [1.0, 2.0]\n")
    ran = cli_inside("jac", "m.net", "--sparse", "--format", "svg", cwd=tmp_path)
    assert (ran.code, "--net" in ran.err, "--wrt" in ran.err) == (2, True, False)

"""`gradcli jac` and `gradcli hess`: matrices as tables, documents and files, and products with vectors."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.models import W, X, Y
from tests.conftest import Cli

# of two.net h = 2 x w, k = x + y; of square.net x² y
TWO = ("two.net", "--net", "Two")
SQUARE = ("square.net", "--inputs", "d.npz")
V = np.array([1.0, 0.0, -2.0])
BLOCKS = {"h/x": 2 * np.diag(W), "h/y": np.zeros((3, 3)), "h/l.w": 2 * np.diag(X)}
BLOCKS |= {"k/x": np.eye(3), "k/y": np.eye(3), "k/l.w": np.zeros((3, 3))}
HESSIAN = {"x/x": 2 * np.diag(Y), "x/y": 2 * np.diag(X), "y/x": 2 * np.diag(X), "y/y": np.zeros((3, 3))}


def name(block: dict[str, Any]) -> str:
    first, *rest = block["wrt"]
    return f"{first}/{','.join(rest)}" if rest else f"{block['output']}/{first}"


@pytest.fixture
def blocks(cli_inside: Cli, here: Path) -> Any:
    def run(*arguments: str) -> dict[str, Any]:
        document = cli_inside(*arguments, "--json", cwd=here).done().json()
        return {name(block): np.array(block["data"]) for block in document["blocks"]}

    return run


@pytest.fixture
def products(cli_inside: Cli, here: Path) -> Any:
    np.save(here / "v.npy", V)

    def run(*arguments: str) -> dict[str, Any]:
        document = cli_inside("hess", *arguments, "--json", cwd=here).done().json()
        assert document["blocks"] is None
        return {product["wrt"][0]: np.array(product["data"]) for product in document["products"]}

    return run


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert [*found] == [*wanted]
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)


# ── what is differentiated by what ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["h/x", "k/x"]),
        (["--get-all"], ["h/x", "h/y", "k/x", "k/y"]),
        (["--get-by-list"], ["h/l.w", "k/l.w"]),
        (["--get-all", "--get-by-list"], [*BLOCKS]),
        (["--wrt", "y,l"], ["h/y", "h/l.w", "k/y", "k/l.w"]),
        (["--wrt", "params"], ["h/l.w", "k/l.w"]),
    ],
)
def test_the_jacobian_by_what_is_selected(options: list[str], names: list[str], blocks: Any) -> None:
    same(blocks("jac", *TWO, *options), {each: BLOCKS[each] for each in names})


def test_the_hessian_by_what_is_selected(blocks: Any) -> None:
    same(blocks("hess", *SQUARE), {"x/x": HESSIAN["x/x"]})
    same(blocks("hess", *SQUARE, "--get-all"), HESSIAN)
    same(blocks("hess", *SQUARE, "--wrt", "y"), {"y/y": HESSIAN["y/y"]})


def test_the_hessian_is_that_of_the_weighted_outputs(blocks: Any, here: Path) -> None:
    np.save(here / "s.npy", V)
    same(blocks("hess", *SQUARE, "--sens", "s.npy"), {"x/x": 2 * np.diag(Y * V)})
    same(blocks("hess", *SQUARE, "--sens", "basis:1"), {"x/x": 2 * np.diag(Y * [0, 1, 0])})


def test_by_a_line_in_the_middle(blocks: Any, products: Any, here: Path) -> None:
    same(blocks("jac", *TWO, "--at", "l/s"), {"h/l/s": 2 * np.eye(3), "k/l/s": np.zeros((3, 3))})
    (model := here / "cube.net").write_text("net f(x: f64[3]) {\n  h = 2 * x\n  return h ** 3\n}\n")
    given = [str(model), "-i", "x=[1, 2, 3]", "--at", "h"]
    same(blocks("jac", *given), {"out/h": 3 * np.diag((2 * X) ** 2)})
    same(blocks("hess", *given), {"h/h": 6 * np.diag(2 * X)})
    same(products(*given, "--vec", "[1, 0, -2]"), {"h": 6 * 2 * X * V})


def test_the_shape_of_a_block_is_that_of_the_output_then_that_of_the_input(cli_inside: Cli) -> None:
    given = ["-i", "x=[[1, 2, 3], [4, 5, 6]]", "-i", "y=2.0"]
    document = cli_inside("jac", "-e", "x.T * y", *given, "--get-all", "--json").done().json()
    by_x, by_y = document["blocks"]
    assert (by_x["rows"], by_x["columns"], by_x["shape"]) == ([3, 2], [2, 3], [3, 2, 2, 3])
    np.testing.assert_array_equal(by_x["data"], 2 * np.eye(6).reshape(2, 3, 2, 3).transpose(1, 0, 2, 3))
    assert (by_y["rows"], by_y["columns"], by_y["data"]) == ([3, 2], [], [[1, 4], [2, 5], [3, 6]])
    document = cli_inside("hess", "-e", "sum(x ** 2 * y)", *given, "--get-all", "--json").done().json()
    assert [block["shape"] for block in document["blocks"]] == [[2, 3, 2, 3], [2, 3], [2, 3], []]


def test_a_jacobian_of_a_jacobian(cli_inside: Cli, here: Path) -> None:
    given = ["jac", "-e", "[x ** 3 * y, x * y]", "-i", "x=2", "-i", "y=5", "--get-all", "--order", "2"]
    cli_inside(*given, "-o", "j.npz", cwd=here).done()
    with np.load(here / "j.npz") as stored:
        wanted = {"out/x,x": [60, 0], "out/x,y": [12, 1], "out/y,x": [12, 1], "out/y,y": [0, 0]}
        same(dict(stored), {each: np.array(value, float) for each, value in wanted.items()})
    (third,) = cli_inside("jac", "-e", "x ** 5", "-i", "x=2", "--order", "3", "--json").done().json()["blocks"]
    assert (third["wrt"], third["data"]) == (["x", "x", "x"], 240)


@pytest.mark.parametrize(
    ("given", "x", "y"),
    [
        (["x=[1, 0, -2]"], 2 * Y * V, 2 * X * V),
        (["y=[1, 0, -2]"], 2 * X * V, 0 * V),
        (["x=v.npy", "y=v.npy"], 2 * (X + Y) * V, 2 * X * V),
        (["y=basis:2"], 2 * X * [0, 0, 1], 0 * V),
    ],
)
def test_products_with_vectors(given: list[str], x: Any, y: Any, products: Any) -> None:
    found = products(*SQUARE, "--get-all", *[word for text in given for word in ("--vec", text)])
    same(found, {"x": x, "y": y})


def test_a_vector_alone_is_for_the_one_that_is_selected(products: Any) -> None:
    for vector in ("[1, 0, -2]", "v.npy", "x=v.npy"):
        same(products(*SQUARE, "--vec", vector), {"x": 2 * Y * V})
    same(products(*SQUARE, "--vec", "v.npy", "--sens", "basis:0"), {"x": 2 * Y * V * [1, 0, 0]})
    same(products(*SQUARE, "--wrt", "y", "--vec", "v.npy"), {"y": 0 * V})


def test_a_product_is_the_matrix_times_the_vector(cli_inside: Cli, here: Path) -> None:
    text = "net f(x: f64[n], w: f64[n, n]) = sum(exp(sin(w @ x)) * x ** 3)\ninput x: f64[4] = [0.1, -0.4, 0.7, 1.1]\n"
    (here / "f.net").write_text(f"{text}input w: f64[4, 4] = reshape(sin(arange(16)), [4, 4])\n")
    given = ["hess", "f.net", "--get-all"]
    cli_inside(*given, "-o", "h.npz", cwd=here).done()
    cli_inside(*given, "--vec", "x=random:1", "--vec", "w=random:2", "-o", "p.npz", cwd=here).done()
    # the vectors themselves, as tangents of the identity
    cli_inside("jvp", "-e", "x", "-i", "x=zeros([4])", "--tangent", "random:1", "-o", "x.npy", cwd=here).done()
    cli_inside("jvp", "-e", "w", "-i", "w=zeros([4, 4])", "--tangent", "random:2", "-o", "w.npy", cwd=here).done()
    x, w = np.load(here / "x.npy"), np.load(here / "w.npy")
    with np.load(here / "h.npz") as stored, np.load(here / "p.npz") as multiplied:
        h, p = dict(stored), dict(multiplied)
    np.testing.assert_allclose(p["x"], h["x/x"] @ x + np.tensordot(h["x/w"], w, 2), rtol=1e-12)
    np.testing.assert_allclose(p["w"], h["w/x"] @ x + np.tensordot(h["w/w"], w, 2), rtol=1e-12)
    np.testing.assert_allclose(h["x/w"], h["w/x"].transpose(2, 0, 1), rtol=1e-12)


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────

JACOBIAN_PAGE = """\
 two.net · net Two · numpy, 1 thread
  output   shape   dtype   value
  h        3       f64     [2  8  18]
  k        3       f64     [5  7  9]

  block   shape   dtype   Jacobian      why zero
  h/x     3 × 3   f64     [[2  0  0]
                           [0  4  0]
                           [0  0  6]]
  h/y     3 × 3   f64     [[0  0  0]    no path
                           [0  0  0]
                           [0  0  0]]
  k/x     3 × 3   f64     [[1  0  0]
                           [0  1  0]
                           [0  0  1]]
  k/y     3 × 3   f64     [[1  0  0]
                           [0  1  0]
                           [0  0  1]]
"""
MATRIX_PAGE = """\
 models/guide/matmul.net · net Net · numpy, 1 thread
  block   shape       dtype   Jacobian
  out/x   2×3 × 2×3   f32     [[0.11  1.1  1.1  0     0    0  ]
                               [3.3   0.2  2.2  0     0    0  ]
                               [1.1   1.4  0.3  0     0    0  ]
                               [0     0    0    0.11  1.1  1.1]
                               [0     0    0    3.3   0.2  2.2]
                               [0     0    0    1.1   1.4  0.3]]
  out/z   2×3 × 1     f32     [[0.968]
                               [3.2  ]
                               [1.78 ]
                               [2.838]
                               [8.62 ]
                               [4.13 ]]
"""
HESSIAN_PAGE = """\
 <expression> · net expression · sens: ones (implicit) · numpy, 1 thread
  block   shape             dtype   Hessian      why zero
  x/x     2 × 2             f64     [[10   0]
                                     [ 0  10]]
  x/y     2 × scalar        f64     [2  4]
  y/x     scalar × 2        f64     [2  4]
  y/y     scalar × scalar   f64     0            no path
"""
PRODUCT_PAGE = """\
 <expression> · net expression · sens: ones (implicit) · vec y=3 · numpy, 1 thread
  input   shape    dtype   product   why zero
  x       2        f64     [6  12]
  y       scalar   f64     0         no path
"""
SCALE = ("-e", "x ** 2 * y", "-i", "x=[1, 2]", "-i", "y=5", "--get-all")


def test_the_page_of_a_jacobian(cli_inside: Cli, here: Path) -> None:
    given = ["jac", *TWO, "--get-all", "--value", "--threads", "1"]
    ran = cli_inside(*given, cwd=here).done()
    assert (ran.out, ran.err) == (JACOBIAN_PAGE, "")
    assert cli_inside(*given, "--format", "table", cwd=here).done().out == JACOBIAN_PAGE


def test_a_block_of_many_dims_is_drawn_as_a_matrix(cli_inside: Cli) -> None:
    root = Path(__file__).parent.parent.parent
    ran = cli_inside(
        "jac", "models/guide/matmul.net", "--wrt", "x,z", "--precision", "4", "--threads", "1", cwd=root
    ).done()
    assert ran.out == MATRIX_PAGE


def test_the_page_of_a_hessian(cli_inside: Cli) -> None:
    assert cli_inside("hess", *SCALE, "--threads", "1").done().out == HESSIAN_PAGE


def test_the_page_of_a_product(cli_inside: Cli) -> None:
    assert cli_inside("hess", *SCALE, "--vec", "y=3", "--threads", "1").done().out == PRODUCT_PAGE


def test_a_large_block_shows_its_corners(cli_inside: Cli) -> None:
    ran = cli_inside("jac", "-e", "x ** 2", "-i", "x=f64(arange(40))", "--threads", "1").done()
    assert ran.out == (
        " <expression> · net expression · numpy, 1 thread\n"
        "  block   shape     dtype   Jacobian\n"
        "  out/x   40 × 40   f64     min 0 · max 78 · mean 0.975 · norm 286.636\n"
        "                            zeros 1561 · non-finite 0\n"
        "                            [[0  0  0  …   0   0   0]\n"
        "                             [0  2  0  …   0   0   0]\n"
        "                             [0  0  4  …   0   0   0]\n"
        "                             …\n"
        "                             [0  0  0  …  74   0   0]\n"
        "                             [0  0  0  …   0  76   0]\n"
        "                             [0  0  0  …   0   0  78]]\n"
    )


def test_the_width_of_a_terminal_is_kept(cli_inside: Cli) -> None:
    given = ["jac", "-e", "sin(x) * sum(x)", "-i", "x=f64(arange(12))", "--format", "table", "--full"]
    page = cli_inside(*given).done().out
    assert max(map(len, page.splitlines())) <= 80


@pytest.mark.parametrize(
    ("value", "reason", "at"),
    [
        ("y * y", "no path", []),
        ("stop_gradient(x) * y", "stopped", ["zero.net:1"]),
        ("floor(x) * y", "flat", ["zero.net:1"]),
    ],
)
def test_a_zero_block_says_why(value: str, reason: str, at: list[str], cli_inside: Cli, here: Path) -> None:
    (here / "zero.net").write_text(f"net f(x, y) = {value}\ninput x = 1.5\ninput y = 2.0\n")
    for verb in ("jac", "hess"):
        (block,) = cli_inside(verb, "zero.net", "--json", cwd=here).done().json()["blocks"]
        assert block["zero"]["reason"] == reason
        assert block["zero"]["at"] == at
    for more, why in (["--sens", "0"], "sens is zero"), (["--vec", "0"], "direction is zero"):
        document = cli_inside("hess", "-e", "x ** 2", "-i", "x=3", *more, "--json").done().json()
        (entry,) = document["blocks"] or document["products"]
        assert entry["zero"]["reason"] == why


def test_a_linear_function_has_a_hessian_without_a_path(cli_inside: Cli, here: Path) -> None:
    (block,) = cli_inside("hess", *TWO, "--json", cwd=here).done().json()["blocks"]
    assert block["zero"] == {"reason": "no path", "at": []}


def test_what_was_chosen(cli_inside: Cli, here: Path) -> None:
    def said(*arguments: str) -> str:
        return cli_inside(*arguments, "-v", "--backend", "numpy", cwd=here).done().err.splitlines()[1]

    assert said("jac", *TWO) == "mode: forward, 3 passes (3 input elements, 6 output elements)"
    assert said("jac", *TWO, "--get-all", "--get-by-list") == (
        "mode: reverse, 6 passes (9 input elements, 6 output elements)"
    )
    assert said("jac", "-e", "sum(x)", "-i", "x=[1, 2, 3]", "--order", "2") == (
        "mode: forward over reverse, 3 passes (3 input elements, 1 output element)"
    )
    assert said("hess", *SQUARE) == "mode: forward over reverse, 3 passes (3 input elements)"
    assert said("hess", *SQUARE, "--vec", "random:1") == "mode: forward over reverse, 1 pass"
    assert said("jvp", *SQUARE, "--wrt", "x", "--tangent", "random:1") == "mode: forward, 1 pass"


# ── documents and files ─────────────────────────────────────────────────────────────────────────────────────

HEAD = ["schema", "model", "net", "edition", "backend"]
BLOCK = ["output", "wrt", "kind", "rows", "columns", "shape", "dtype", "norm", "nonfinite", "zero", "data"]


def test_the_document_of_a_jacobian(cli_inside: Cli, here: Path) -> None:
    document = cli_inside("jac", *TWO, "--get-by-list", "--json", cwd=here).done().json()
    assert [*document] == [*HEAD, "values", "blocks", "notes"]
    assert (document["schema"], document["values"]) == ("gradcli.jac/1", None)
    assert [[*block] for block in document["blocks"]] == [BLOCK, BLOCK]
    first = document["blocks"][0]
    assert [first[key] for key in BLOCK[:7]] == ["h", ["l.w"], "param", [3], [3], [3, 3], "f64"]
    values = cli_inside("jac", *TWO, "--value", "--json", cwd=here).done().json()["values"]
    assert [value["name"] for value in values] == ["h", "k"]


def test_the_document_of_a_hessian(cli_inside: Cli, here: Path) -> None:
    document = cli_inside("hess", *SQUARE, "--get-all", "--json", cwd=here).done().json()
    assert [*document] == [*HEAD, "sens", "along", "values", "blocks", "products", "notes"]
    assert document["schema"] == "gradcli.hess/1"
    assert [document[key] for key in ("along", "values", "products")] == [None, None, None]
    assert document["sens"] == [{"output": "out", "kind": "ones", "source": None}]
    assert [[*block] for block in document["blocks"]] == [BLOCK] * 4
    assert [(block["output"], block["wrt"]) for block in document["blocks"][:2]] == [
        ("out", ["x", "x"]),
        ("out", ["x", "y"]),
    ]
    both = cli_inside("hess", *TWO, "--json", cwd=here).done().json()
    assert both["blocks"][0]["output"] is None  # of the sum of two, which `sens` lists
    assert [one["output"] for one in both["sens"]] == ["h", "k"]


def test_the_document_of_a_product(cli_inside: Cli, here: Path) -> None:
    document = cli_inside("hess", *SQUARE, "--vec", "basis:0", "--json", cwd=here).done().json()
    assert document["along"] == [{"wrt": "x", "kind": "basis", "source": "basis:0"}]
    assert document["blocks"] is None
    assert [*document["products"][0]] == ["wrt", "kind", "shape", "dtype", "norm", "nonfinite", "zero", "data"]


def test_lines_and_csv(cli_inside: Cli, here: Path) -> None:
    def last(*arguments: str) -> list[str]:
        ran = cli_inside(*arguments, "--format", "jsonl", cwd=here).done()
        return [[*json.loads(row)][-1] for row in ran.out.splitlines()]

    assert last("jac", *TWO, "--value") == ["value", "value", "block", "block"]
    assert last("hess", *SQUARE) == ["block"]
    assert last("hess", *SQUARE, "--vec", "random:1") == ["product"]
    rows = cli_inside("hess", *SQUARE, "--format", "csv", cwd=here).done().out.splitlines()
    assert rows[:3] == ["name,index,value", 'x/x,"0,0",8.0', 'x/x,"0,1",0.0']


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "json"])
def test_written_and_compared(suffix: str, cli_inside: Cli, here: Path) -> None:
    for verb, model in (("jac", TWO), ("hess", SQUARE)):
        given = [verb, *model, "--get-all", "--value"]
        cli_inside(*given, "-o", f"m.{suffix}", cwd=here).done()
        assert cli_inside(*given, "--check", f"m.{suffix}", cwd=here).done().out == ""


def test_names_in_files(cli_inside: Cli, here: Path) -> None:
    cli_inside("jac", *TWO, "--get-all", "--get-by-list", "--value", "-o", "j.npz", cwd=here).done()
    with np.load(here / "j.npz") as stored:
        assert [*stored] == ["value/h", "value/k", *BLOCKS]
    cli_inside("hess", *SQUARE, "--get-all", "--value", "-o", "h.npz", cwd=here).done()
    with np.load(here / "h.npz") as stored:
        assert [*stored] == ["value/out", *HESSIAN]
    cli_inside("hess", *SQUARE, "--get-all", "--vec", "x=random:1", "-o", "p.npz", cwd=here).done()
    with np.load(here / "p.npz") as stored:
        assert [*stored] == ["x", "y"]


def test_a_difference_is_named(cli_inside: Cli, here: Path) -> None:
    np.savez(here / "h.npz", **{"x/x": HESSIAN["x/x"] + np.diag([0, 1, 0])})
    ran = cli_inside("hess", *SQUARE, "--check", "h.npz", cwd=here)
    assert ran.code == 1
    assert ran.out.startswith("error[NUM040]: x/x: 10, stored 11 at [1, 1]; 1 of 9 elements differ\n")


def test_what_is_not_finite(cli_inside: Cli) -> None:
    for verb, noun, key, more in (("jac", "Jacobian", "out/x", ""), ("hess", "Hessian", "x/x", " --order 2")):
        ran = cli_inside(verb, "-e", "sqrt(x)", "-i", "x=0.0", "--strict")
        assert ran.code == 1
        why = f"`gradcli trace -e 'sqrt(x)' -i x=0.0{more}` tells where it went bad"
        assert ran.err == f"note[NUM090]: the {noun} is not finite: 1 of 1 in {key}; {why}\n"


# ── what does not fit ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("verb", "says", "help"),
    [
        ("jac", "the dense Jacobian, f64[1000000, 1000000], takes 8 TB; ", "`gradcli jvp` gives products"),
        ("hess", "the dense Hessian, f64[1000000, 1000000], takes 8 TB; ", "`--vec` gives products"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused_at_once(verb: str, says: str, help: str, cli_inside: Cli) -> None:
    began = time.monotonic()
    ran = cli_inside(verb, "-e", "x ** 2 * sum(x)", "-i", "x=ones([1000000])")
    assert time.monotonic() - began < 20  # a bound against hanging, not a measurement
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"error[NUM001]: {says}")
    assert "`--sparse` keeps only what can be other than zero" in ran.err
    assert help in ran.err


def test_the_blocks_count_together(cli_inside: Cli) -> None:
    given = ["hess", "-e", "sum(x) * sum(y)", "-i", "x=ones([40])", "-i", "y=ones([30])", "--get-all"]
    ran = cli_inside(*given, "--memory", "20K")
    assert ran.err.splitlines()[:2] == [
        "error[NUM001]: the dense Hessian takes 39.2 kB; 20.5 kB are allowed by --memory",
        "   = note: 4 blocks; the largest, x/x, is f64[40, 40]: 12.8 kB",
    ]
    cli_inside(*given, "--memory", "1M").done()


def test_what_is_needed_on_the_way_is_refused_with_the_same_help(cli_inside: Cli) -> None:
    ran = cli_inside("hess", "-e", "sum(sin(x) * exp(x))", "-i", "x=ones([40])", "--memory", "14K")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[NUM001]: ")
    assert "`--vec` gives products without the matrix" in ran.err


def test_a_product_needs_no_matrix(cli_inside: Cli) -> None:
    given = ["hess", "-e", "sum(x ** 3)", "-i", "x=ones([1000000])", "--vec", "2 * ones([1000000])", "--memory", "200M"]
    (product,) = cli_inside(*given, "--json").done().json()["products"]
    assert set(product["data"]) == {12.0}


# ── wrong use ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verb", ["jac", "hess"])
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--wrt", "q"], "DIF003"),
        (["--wrt", "x", "--get-all"], "USE005"),
        (["--at", "q"], "NAM011"),
        (["--at", "h", "--wrt", "x"], "DIF003"),
        (["--tangent", "x=[1, 1, 1]"], "USE002"),
        (["--format", "svg2"], "USE003"),
        (["--rtol", "1"], "USE005"),
        (["--check", "d.npz", "--format", "svg"], "USE005"),
        (["--json", "-o", "m.npz"], "USE005"),
        (["--get-all", "-o", "m.npy"], "DAT041"),
        (["-q", "-v"], "USE005"),
    ],
)
def test_what_cannot_be_asked(verb: str, options: list[str], code: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside(verb, *TWO, *options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["jac", *TWO, "--sens", "[1, 1, 1]"], "USE002"),
        (["jac", *TWO, "--vec", "[1, 1, 1]"], "USE002"),
        (["jac", *TWO, "--order", "11"], "DIF007"),
        (["jac", *TWO, "--order", "0"], "DIF007"),
        (["hess", *TWO, "--order", "2"], "USE002"),
        (["hess", *TWO, "--sens", "[1, 1, 1]"], "DIF005"),
        (["hess", *TWO, "--vec", "y=[1, 1, 1]"], "DIF009"),
        (["hess", *TWO, "--vec", "l.w=[1, 1, 1]"], "DIF009"),
        (["hess", *TWO, "--vec", "q=[1, 1, 1]"], "DIF003"),
        (["hess", *TWO, "--get-all", "--vec", "[1, 1, 1]"], "DIF005"),
        (["hess", *TWO, "--vec", "[1, 1]"], "DIF004"),
        (["hess", *TWO, "--vec", "f32([1, 1, 1])"], "DIF004"),
        (["hess", *TWO, "--vec", "basis:3"], "DIF004"),
        (["hess", *TWO, "--vec", "x=1", "--vec", "x=1"], "USE005"),
        (["hess", *TWO, "--vec", "missing.npy"], "DAT001"),
        (["jac", "-e", "i64(x)", "-i", "x=1.0"], "DIF002"),
        (["hess", "-e", "x > 1", "-i", "x=1.0"], "DIF002"),
        (["jac", "-e", "k * k", "-i", "k=i64(3)"], "DIF001"),
        (["hess", "-e", "k * x", "-i", "k=i64(3)", "-i", "x=1.0", "--vec", "k=1"], "DIF001"),
    ],
)
def test_what_cannot_be_asked_of_one(options: list[str], code: str, cli_inside: Cli, here: Path) -> None:
    ran = cli_inside(*options, cwd=here)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: ")


def test_a_block_that_is_called_as_a_value_is(cli_inside: Cli, here: Path) -> None:
    (here / "odd.net").write_text("net f(x: f64) {\n  value = x * x\n  x = 2 * x\n  return value, x\n}\n")
    cli_inside("jac", "odd.net", "-i", "x=3", cwd=here).done()
    ran = cli_inside("jac", "odd.net", "-i", "x=3", "--value", cwd=here)
    assert ran.err.startswith("error[USE005]: `--value` gives value/x, and so is a block called\n")


def test_too_many_blocks_are_counted_before_work(cli_inside: Cli) -> None:
    names = "abcdfghjkl"
    given = [word for each in names for word in ("-i", f"{each}=1")]
    ran = cli_inside("jac", "-e", "*".join(names), *given, "--get-all", "--order", "10")
    assert ran.code == 2
    assert ran.err.startswith("error[DIF007]: a Jacobian of order 10 is 10_000_000_000 derivatives\n")


def test_a_vector_of_what_is_not_selected_lists_what_is(cli_inside: Cli, here: Path) -> None:
    ran = cli_inside("hess", *TWO, "--wrt", "x,y", "--vec", "l.w=[1, 1, 1]", cwd=here)
    assert ran.err == (
        "error[DIF009]: `--vec` names l.w, and the derivative is by x, y\n"
        "  --> two.net:6:3\n"
        "   |\n"
        " 6 |   param w: f64[n] = [1.0, 2.0, 3.0]\n"
        "   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ l.w is f64[3]\n"
        "   |\n"
        "   = note: inputs: x: f64[3], y: f64[3]\n"
        "   = help: select it too: `--wrt x,y,l.w`\n"
    )

"""`einsum` against NumPy's, its derivatives, what it is elaborated into, and its refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import calc, graph_text, proved, refused, same, value

SPECS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    (" i j , j k -> k i ", [(2, 3), (3, 4)]),
    ("ii", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("iiii->i", [(2, 2, 2, 2)]),
    ("iiii", [(2, 2, 2, 2)]),
    ("ijij->ji", [(2, 3, 2, 3)]),
    ("ij->ji", [(2, 3)]),
    ("ba", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,i", [(3,), (3,)]),
    ("i,i->i", [(3,), (3,)]),
    ("i,i,i->i", [(3,), (3,), (3,)]),
    (",ij->ij", [(), (2, 3)]),
    ("bi,bi->b", [(4, 3), (4, 3)]),
    ("bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("iij,j->i", [(3, 3, 2), (2,)]),
    ("ij,kl->", [(2, 3), (4, 5)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("ij,jk,kl,lm->im", [(2, 9), (9, 4), (4, 8), (8, 2)]),
    ("ijk,ikl,jlm->im", [(2, 3, 4), (2, 4, 5), (3, 5, 6)]),
    ("ij,ij,ij->", [(2, 3), (2, 3), (2, 3)]),
    ("...ij,...jk->...ik", [(5, 1, 2, 3), (4, 3, 2)]),
    ("...ii->...i", [(4, 3, 3)]),
    ("a...,b...->ab...", [(2, 5), (3, 5)]),
    ("...,...", [(2, 1, 3), (4, 1)]),
    ("i...->...", [(2, 3)]),
    ("...->...", [(2, 3)]),
    ("i...,j->i...j", [(2,), (3,)]),
    ("Ab,bC->AC", [(2, 3), (3, 4)]),
    ("ij,jk->ik", [(2, 0), (0, 4)]),
    ("ij,jk->ki", [(0, 3), (3, 4)]),
]
IDS = [f"{spec} {shapes}" for spec, shapes in SPECS]


def text_of(spec: str, shapes: list[tuple[int, ...]], dtype: str = "f64") -> str:
    names = "xyzuvw"[: len(shapes)]
    inputs = ", ".join(
        f"{name}: {dtype}{list(shape) if shape else ''}" for name, shape in zip(names, shapes, strict=True)
    )
    return f'net main({inputs}) = einsum("{spec}", {", ".join(names)})\n'


def data(shapes: list[tuple[int, ...]], seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.normal(size=shape)) for name, shape in zip("xyzuvw", shapes, strict=False)}


@pytest.mark.parametrize(("spec", "shapes"), SPECS, ids=IDS)
def test_values_are_numpys(spec: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = data(shapes)
    same(value(text_of(spec, shapes), **arrays), np.einsum(spec, *arrays.values()), "f64", rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("spec", "shapes"), SPECS, ids=IDS)
def test_integers_are_exact(spec: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = {name: (4 * array).astype("i4") for name, array in data(shapes).items()}
    same(value(text_of(spec, shapes, "i32"), **arrays), np.einsum(spec, *arrays.values()), "i32")


@pytest.mark.parametrize(("spec", "shapes"), SPECS, ids=IDS)
def test_gradients_are_central_differences(spec: str, shapes: list[tuple[int, ...]]) -> None:
    arrays, ways = data(shapes), data(shapes, seed=1)
    net = gradcli.compile(text_of(spec, shapes))

    def along(step: float) -> float:
        return float(net.eval(**{name: array + step * ways[name] for name, array in arrays.items()})[0].sum())

    slope = (along(6e-6) - along(-6e-6)) / 1.2e-5
    found = net.grad(**arrays, get_all=True)
    np.testing.assert_allclose(sum(np.vdot(found[name], ways[name]) for name in arrays), slope, rtol=1e-7, atol=1e-8)


# ── dtypes and names ──


def test_operands_are_promoted() -> None:
    found = value('net main(x: f32[2], y: f64[2], k: i64[2]) = einsum("i,i,i->", x, y, k)\n',
                  x=np.ones(2, "f4"), y=np.ones(2), k=np.ones(2, "i8"))  # fmt: skip
    same(found, 2.0, "f64")
    same(calc('einsum("i,i", [1, 2], [true, true]) * f32(1)'), 3.0, "f32")
    same(calc('einsum(",", 2, 3)'), 6, "i64")


def test_names_of_dims_are_kept() -> None:
    text = 'net main(x: f64[batch, n, k], y: f64[k, m]) = sum(einsum("bij,jk->kbi", x, y), axis=(batch, m))\n'
    arrays = data([(2, 3, 4), (4, 5)])
    same(value(text, **arrays), np.einsum("bij,jk->i", *arrays.values()), rtol=1e-13)


def test_shapes_are_proved_for_all_sizes(tmp_path: Path) -> None:
    checked = proved('net main(x: f64[..., n, k], y: f64[k, m]) = einsum("...ij,jk->...ki", x, y)\n', tmp_path)
    assert [kind for _, kind in checked.outputs] == ["f64[..., m, n]"]
    checked = proved('net main(x: f64[n, k], y: f64[l, m]) = einsum("ij,jk", x, y)\n', tmp_path)
    assert list(checked.conditions) == ["k = l"]


# ── what it is made of ──


def parts(text: str) -> list[str]:
    return [name for name in ("matmul", "mul", "reduce_sum") for _ in range(text.count(f"= {name}"))]


MADE_OF = [
    ("ij,jk->ik", [(2, 3), (3, 4)], ["matmul"]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)], ["matmul"]),
    ("ab,bcd,dce->ae", [(2, 3), (3, 4, 5), (5, 4, 6)], ["matmul", "matmul"]),
    ("i,i", [(3,), (3,)], ["matmul"]),
    ("i,i->i", [(3,), (3,)], ["mul"]),
    ("i,j->ij", [(2,), (3,)], ["mul"]),
    ("bi,bi->b", [(4, 3), (4, 3)], ["mul", "reduce_sum"]),
    ("ij,kl->", [(2, 3), (4, 5)], ["mul", "reduce_sum", "reduce_sum"]),
    ("ij->ji", [(2, 3)], []),
]


@pytest.mark.parametrize(("spec", "shapes", "made_of"), MADE_OF, ids=[row[0] for row in MADE_OF])
def test_what_it_becomes(spec: str, shapes: list[tuple[int, ...]], made_of: list[str]) -> None:
    assert parts(graph_text(text_of(spec, shapes), **data(shapes))) == made_of


def test_a_chain_is_contracted_by_its_smallest_products() -> None:
    shapes = [(1000, 2), (2, 1000), (1000, 3)]
    assert "[1000, 1000]" not in graph_text(text_of("ij,jk,kl->il", shapes), **data(shapes))


# ── refusals ──

REFUSED = [
    ('einsum("ij,j->k", x, y)', "SHP203", "no operand has the letter `k`"),
    ('einsum("ij,j->ii", x, y)', "SHP203", "the result has the letter `i` twice"),
    ('einsum("ij,j,k", x, y)', "SHP203", "is about 3 operands, not 2"),
    ('einsum("i;j", x)', "SHP203", "`;` in"),
    ('einsum("i.j", x)', "SHP203", "`.` in"),
    ('einsum("......", x)', "SHP203", "`.` in"),
    ('einsum("ij->i->j", x)', "SHP203", "`-` in"),
    ('einsum("...i->i", x)', "SHP203", "the result has no `...`"),
    ("einsum(x, y)", "SHP203", "the spec of einsum is a text"),
    ('einsum("ijk", x)', "SHP107", '"ijk" has 3 letters, the operand is f64[2, 3]'),
    ('einsum("i", x)', "SHP107", '"i" has 1 letter, the operand is f64[2, 3]'),
    ('einsum("i...jk", x)', "SHP107", "has 3 letters"),
    ('einsum("ij,i", x, y)', "SHP204", "the letter `i` has the sizes 2 and 3"),
    ('einsum("ii", x)', "SHP204", "the letter `i` has the sizes 2 and 3"),
    ('einsum("...,...", x, x.T)', "SHP101", "leading dims do not broadcast: 2 against 3"),
    ('einsum("ij")', "NAM020", "a spec and one array or more"),
    ('einsum("ij", x, optimize=true)', "NAM020", "a spec and one array or more"),
]


@pytest.mark.parametrize(("expression", "code", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_refused(expression: str, code: str, says: str) -> None:
    text = f"net main(x: f64[2, 3], y: f64[3]) = {expression}\n"
    refused(text, code, expression, says=says, **data([(2, 3), (3,)]))


def test_the_operands_that_disagree_are_pointed_at() -> None:
    text = 'net main(x: f64[2, 3], y: f64[3], z: f64[2]) = einsum("ij,j,j->i", x, y, z)\n'
    found = refused(text, "SHP204", **data([(2, 3), (3,), (2,)]))
    assert [label.text for label in found.others] == [
        "x is f64[2, 3]", "input x is f64[2, 3]", "z is f64[2]", "input z is f64[2]"]  # fmt: skip


def test_a_size_of_one_is_not_stretched_under_a_letter() -> None:
    text = 'net main(x: f64[1], y: f64[3]) = einsum("i,i->i", x, y)\n'
    refused(text, "SHP204", says="sizes 1 and 3", **data([(1,), (3,)]))


def test_many_operands_take_little_time_and_too_many_are_refused() -> None:
    def text(count: int) -> str:
        spec = ",".join("ab" if k % 2 else "ba" for k in range(count))
        return f'net main(x: f64[2, 2]) = einsum("{spec}", {", ".join(["x"] * count)})\n'

    same(value(text(64), x=np.eye(2)), 2.0)
    refused(text(65), "SHP203", says="at most 64", x=np.eye(2))

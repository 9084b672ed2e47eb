"""Operators keep to what every array namespace has: the whole table on a stand-in for CuPy, bit for bit as on NumPy."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli.ops
from gradcli.ad.reverse import reverse
from gradcli.backends.functions import Functions
from gradcli.ir.primitive import DataError, primitive, registry
from tests.ops import strict
from tests.ops.samples import Case, evaluate, floats, graph_of, operands, params_for, results, walk

ROOM = Path(gradcli.ops.__file__).parent


def alike(found: Any, expected: Any) -> None:
    """The strict result has the bits of NumPy's."""
    assert isinstance(found, strict.Array)
    own, expected = found.get(), np.asarray(expected)
    assert (own.shape, own.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(own, expected)
    if own.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(own), np.signbit(expected))


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16"])
@pytest.mark.parametrize("case", [*walk(), *walk(empty=True)])
def test_every_operator_gives_the_same_on_the_stand_in(case: Case, dtype: str) -> None:
    inner = strict.Namespace()
    xp = Functions(inner)
    arrays = operands(case, dtype)
    found = results(case.prim, [strict.Array(array.copy()) for array in arrays], params_for(case, arrays), xp)
    for own, expected in zip(found, results(case.prim, arrays, params_for(case, arrays)), strict=True):
        alike(own, expected)
    assert inner.used <= strict.NAMES


@pytest.mark.parametrize("case", [case for case in walk() if case.values[0].sample.differentiable])
def test_every_gradient_gives_the_same_on_the_stand_in(case: Case) -> None:
    arrays = operands(case)
    graph = graph_of(case, arrays)
    wrt = floats(graph.inputs)
    gradient = reverse(graph, wrt) if wrt and floats(graph.outputs) else graph
    found = evaluate(gradient, [strict.Array(array.copy()) for array in arrays], Functions(strict.Namespace()))
    for own, expected in zip(found, evaluate(gradient, arrays), strict=True):
        alike(own, expected)


@pytest.mark.parametrize("case", [case for case in walk() if case.values[0].prim.overwrites is not None])
def test_what_overwrites_an_operand_does_so_on_the_stand_in(case: Case) -> None:
    arrays = operands(case)
    (expected,) = results(case.prim, arrays, params_for(case, arrays))
    own = [strict.Array(array.copy()) for array in arrays]
    target = own[case.prim.overwrites or 0]
    assert case.prim.eval(Functions(strict.Namespace()), *own, out=target, **params_for(case, arrays)) is target
    alike(target, expected)


@pytest.mark.parametrize("case", [case for case in walk() if case.values[0].prim.ufunc is not None])
def test_a_ufunc_takes_out_on_the_stand_in(case: Case) -> None:
    arrays = operands(case)
    (expected,) = results(case.prim, arrays, {})
    target = strict.Array(np.zeros_like(expected))
    function = getattr(Functions(strict.Namespace()), case.prim.ufunc or "")
    with np.errstate(all="ignore"):
        assert function(*[strict.Array(array) for array in arrays], out=target) is target
    alike(target, expected)


def test_an_index_is_checked_before_the_device_sees_it() -> None:
    x, index = strict.Array(np.zeros(3)), strict.Array(np.array([0, 3]))
    with pytest.raises(DataError, match="index 3 is out of range"):
        primitive("gather").eval(Functions(strict.Namespace()), x, index, axes=(0,))


# ── the list of names ───────────────────────────────────────────────────────────────────────────────────────


def names_in(source: str) -> set[str]:
    """Every `xp.name` and `xp.linalg.name` in a module, in branches that no sample takes too."""
    dotted = {ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    return {found[1] for name in dotted if (found := re.fullmatch(r"xp\.(\w+|linalg\.\w+)", name))} - {"linalg"}


@pytest.mark.parametrize("module", sorted(ROOM.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_names_only_what_cupy_has(module: Path) -> None:
    new = names_in(module.read_text(encoding="utf-8")) - strict.NAMES
    assert not new, f"{module.name} uses {sorted(new)}: add what CuPy 13 has to tests/ops/strict.py, with its signature"


def test_ufuncs_of_the_registry_are_ufuncs_of_cupy() -> None:
    assert {prim.ufunc for prim in registry().values()} - {None} <= strict.UFUNCS


def test_what_is_listed_exists_in_numpy_and_methods_are_those_of_the_stand_in() -> None:
    assert {name for name in strict.NAMES if "." not in name and not hasattr(np, name)} == set()
    assert {name for name in strict.LINALG if not hasattr(np.linalg, name)} == set()
    public = {name for name in vars(strict.Array) if not name.startswith("_")}
    assert public - {"get", "set", "flags"} == strict.METHODS


def test_a_name_that_cupy_lacks_is_refused_and_recorded() -> None:
    xp = strict.Namespace()
    with pytest.raises(AttributeError, match="not in the list"):
        _ = xp.frompyfunc
    with pytest.raises(AttributeError, match="not in the list"):
        _ = xp.linalg.cond
    assert xp.used == {"frompyfunc", "linalg.cond"}


# ── the manners of the stand-in itself ──────────────────────────────────────────────────────────────────────

X = strict.Array(np.array([1.0, 2.0, 3.0]))
EYE = strict.Array(np.eye(2))
XP = strict.Namespace()
REFUSED = {
    "conversion to NumPy": lambda: np.asarray(X),
    "a NumPy function": lambda: np.sum(X),  # type: ignore[call-overload]
    "a NumPy ufunc": lambda: np.exp(X),  # type: ignore[call-overload]
    "an operand of NumPy": lambda: X + np.ones(3),
    "NumPy on the left": lambda: np.ones(3) + X,
    "an operand of a ufunc": lambda: XP.add(X, np.ones(3)),
    "a scalar of another dtype": lambda: X * np.float32(2),
    "a list": lambda: XP.sin([1.0]),
    "a function of a list": lambda: XP.sum([1.0]),
    "a part of NumPy": lambda: XP.concatenate([X, np.ones(3)]),
    "a condition of Python": lambda: XP.where(True, X, X),
    "where= of ufuncs": lambda: XP.add(X, X, where=True),
    "initial= of reductions": lambda: XP.max(X, initial=0.0),
    "where= of reductions": lambda: XP.sum(X, where=X > 1),
    "a matrix of NumPy": lambda: XP.linalg.inv(np.eye(2)),
    "an inverse of halves": lambda: XP.linalg.inv(EYE.astype("float16")),
    "stacks that broadcast": lambda: XP.linalg.solve(EYE, strict.Array(np.ones((3, 2, 1)))),
    "descending sorts": lambda: XP.argsort(X, kind="quicksort"),
    "out= of NumPy": lambda: XP.exp(X, out=np.zeros(3)),
    "a reduceat that CuPy lacks": lambda: XP.maximum.reduceat(X, strict.Array(np.array([0]))),
    "floors of integers": lambda: XP.floor(strict.Array(np.array([1]))),
    "the truth of several": lambda: bool(X > 1),
    "an index of NumPy": lambda: X[np.array([0])],
    "a wrapped index": lambda: X[strict.Array(np.array([-1]))],
    "a view past the end": lambda: XP.lib.stride_tricks.as_strided(X, (3, 2), (8, 8)),
    "assigning NumPy": lambda: strict.Array(np.zeros(3)).__setitem__(slice(0, 3), np.ones(3)),
    "assigning another dtype": lambda: strict.Array(np.zeros(3, "f4")).__setitem__(slice(0, 3), X),
    "assigning to one place twice": lambda: strict.Array(np.zeros(3)).__setitem__(strict.Array(np.array([0, 0])), 1.0),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_stand_in_refuses(what: str) -> None:
    with pytest.raises((TypeError, ValueError, NotImplementedError, IndexError)):
        REFUSED[what]()


def test_the_stand_in_allows_what_cupy_allows() -> None:
    assert ((2.0 * X + 1) / np.float64(2) - X).get().tolist() == [0.5, 0.5, 0.5]
    assert (np.float64(2) * X).get().tolist() == [2.0, 4.0, 6.0]
    assert isinstance(XP.sum(X), strict.Array)
    assert XP.sum(X).shape == ()
    assert bool((X > 0).all())
    assert int(X.max()) == 3
    first = X.copy()[0]
    first += 1.0  # an element is a view without dims
    assert float(first) == 2.0
    own = X.copy()
    own[0] += 1.0
    own[strict.Array(np.array([2, 1]))] = 0.0
    assert own.get().tolist() == [2.0, 0.0, 0.0]

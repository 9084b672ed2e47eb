"""`into` gives what `eval` gives, to the bit: into memory of any layout, and over each operand that it may replace."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from gradcli.ir.primitive import DataError, Primitive, Sample, primitive, registry
from tests.ops.samples import Array, Case, aval_of, operands, params_for, results, walk
from tests.plan.spied import ALLOWED, by_layout, ulps_between

CASES = [case for case in [*walk(), *walk(empty=True)] if case.values[0].prim.into is not None]
LAYOUT_MATTERS = by_layout()
INF, NAN = np.inf, np.nan
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, INF, -INF, NAN, 1e-310, -1e-310, 6e-8, 1e-40, 1e4, -1e4, 700.0, -745.0, 1e300]
ROWS, COLUMNS = 50, 41  # so many elements that operators which take another way with short arrays do not

# Their result lies in memory as their operand does, unless it is given; NumPy adds in the order that suits both.
ORDERED = {"reduce_sum", "reduce_prod"}

# Operators whose result NumPy cannot write into an array of the caller's: LAPACK, and nodes that hold graphs.
WITHOUT = {
    *("solve", "inv", "cholesky", "det", "slogdet", "cofactor", "cofactor_along"),
    *("scan", "scan_reverse", "checkpoint"),
}


def layouts(like: Array, fill: float = 7) -> dict[str, Array]:
    """Memory for an array of the shape and dtype of `like`, laid out in several ways."""

    def made(shape: tuple[int, ...]) -> Array:
        return np.full(shape, fill).astype(like.dtype)

    found = {"whole": made(like.shape)}
    if like.ndim:
        every = tuple(slice(1, None, 2) for _ in like.shape)
        found["strided"] = made(tuple(2 * size + 1 for size in like.shape))[every]
        found["reversed"] = made(like.shape)[::-1]
        found["tile"] = made((*like.shape[:-1], like.shape[-1] + 3))[..., 1 : like.shape[-1] + 1]
        found["turned"] = made(like.shape[::-1]).T
    return found


def frozen(arrays: list[Array]) -> list[Array]:
    for array in arrays:
        array.flags.writeable = False
    return arrays


def into(case: Case, arrays: list[Array], out: Array, params: dict[str, Any]) -> None:
    assert case.prim.into is not None
    with np.errstate(all="ignore"):
        case.prim.into(np, *arrays, out=out, **params)


def same_bits(found: Array, expected: Array, what: str, terms: int = 0, prim: Primitive | None = None) -> None:
    """To the bit, but that one nan is as good as another; `terms` of one size may be added in any order, and functions
    of NumPy's may be off by as much as their layout makes of them (see `by_layout`)."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
    if LAYOUT_MATTERS and prim is not None and prim.kind == "elementwise" and found.dtype.kind == "f":
        assert ulps_between(found, expected).max(initial=0) <= ALLOWED, what
        return
    if terms and found.dtype.kind == "f":
        eps = terms * np.finfo(found.dtype).eps
        np.testing.assert_allclose(found.astype("f8"), expected.astype("f8"), rtol=eps, err_msg=what)
        return
    np.testing.assert_array_equal(found, expected, err_msg=what)
    if found.dtype.kind == "f":
        signs = (np.signbit(array) & ~np.isnan(array) for array in (found, expected))
        np.testing.assert_array_equal(*signs, err_msg=what)


def relaid(array: Array, name: str) -> Array:
    made = layouts(array).get(name)
    if made is None:
        return array.copy()
    made[...] = array
    return made


def check(case: Case, arrays: list[Array], params: dict[str, Any]) -> None:
    """Every layout of `out` with every layout of the operands, and every set of operands that `out` may be."""
    prim = case.prim
    for layout in layouts(arrays[0]) if arrays else ["whole"]:
        own = frozen([relaid(array, layout) for array in arrays])
        (expected,) = results(prim, own, params)
        for name, out in layouts(expected).items():
            into(case, own, out, params)
            terms = arrays[0].size // expected.size if layout == "turned" and prim.name in ORDERED else 0
            same_bits(out, expected, f"operands {layout}, out {name}", terms, prim)
            check_aliases(case, own, expected, name, params)


def check_aliases(case: Case, own: list[Array], expected: Array, layout: str, params: dict[str, Any]) -> None:
    prim = case.prim
    free = [k for k, x in enumerate(own) if prim.may_alias(k, aval_of(x), aval_of(expected))]
    for count in range(1, len(free) + 1):
        for places in combinations(free, count):
            for fresh in (False, True):  # the same array object, and another view of the same memory
                memory = relaid(own[places[0]], layout)
                given = [(memory[...] if fresh else memory) if k in places else x for k, x in enumerate(own)]
                (wanted,) = results(
                    prim, [relaid(x, layout) if k in places else x for k, x in enumerate(given)], params
                )
                into(case, given, memory, params)
                same_bits(memory, wanted, f"out is operands {places}, {layout}", prim=prim)


# ── the walk ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prim", registry().values(), ids=lambda prim: prim.name)
def test_every_operator_says_how_it_is_written_into_an_array(prim: Primitive) -> None:
    assert (prim.into is None) == (prim.name in WITHOUT)


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16"])
@pytest.mark.parametrize("case", CASES)
def test_into_is_eval_to_the_bit(case: Case, dtype: str) -> None:
    arrays = operands(case, dtype)
    check(case, arrays, params_for(case, arrays))


INTS = [*("add", "sub", "mul", "neg", "rem", "pow", "square", "abs", "maximum", "minimum", "sign", "floor"),
        *("less", "equal", "reduce_sum", "reduce_max", "reduce_prod", "cumsum", "reshape", "concat")]  # fmt: skip


@pytest.mark.parametrize("name", INTS)
def test_integers(name: str) -> None:
    prim = primitive(name)
    for sample in prim.samples:
        arrays = [np.asarray(np.abs(np.round(array)) + 1).astype("i8") for array in operands(Case(prim, sample))]
        check(Case(prim, sample), arrays, sample.params)


ELEMENTWISE = [prim for prim in registry().values() if prim.kind == "elementwise" and "logical" not in prim.name]
PARAMS = {"cast": {"dtype": "f32"}, "polygamma": {"n": 2}}


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("prim", ELEMENTWISE, ids=lambda prim: prim.name)
def test_elementwise_operators_at_special_numbers(prim: Primitive, dtype: str) -> None:
    """Enough of them that NumPy's loops take whole vectors, and all pairs of them."""
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        numbers = np.array(SPECIAL).astype(dtype)
    arrays = [rng.choice(numbers, (ROWS, COLUMNS)) for _ in prim.samples[0].operands]
    if prim.name == "where":
        arrays[0] = arrays[0] > 0
    check(Case(prim, prim.samples[0]), arrays, PARAMS.get(prim.name, {}))


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "?"])
def test_a_choice_between_arrays_and_numbers(dtype: str) -> None:
    rng = np.random.default_rng(0)
    case = Case(primitive("where"), Sample(()))
    condition = rng.random((ROWS, COLUMNS)) < 0.5
    x, y = (rng.normal(size=condition.shape).astype(dtype) for _ in range(2))
    for other in (y, y[:1], y[:, :1], *(np.array(number).astype(dtype) for number in (0.0, -0.0, 3.0))):
        check(case, [condition, x, other], {})
        check(case, [condition, other, y], {})
        check(case, [condition[:, :1], x, other], {})
    check(case, [np.array(True), x, y], {})


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("name", ["reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "cumsum", "cumprod"])
def test_reductions_of_large_arrays(name: str, dtype: str) -> None:
    """So many terms that the order in which they are added shows."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.9, 1.1, (7, 150, 33)).astype(dtype)
    runs = name.startswith("cum")
    for axes in [(0,), (1,), (2,)] if runs else [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)]:
        params: dict[str, Any] = {"axis": axes[0], "reverse": False} if runs else {"axes": axes}
        check(Case(primitive(name), Sample(())), [x], params)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_products_of_large_matrices(dtype: str) -> None:
    rng = np.random.default_rng(0)
    case = Case(primitive("matmul"), Sample(()))
    for left, right in [((70, 40), (40, 90)), ((5, 33, 21), (21, 17)), ((64, 300), (300, 1)), ((1, 300), (300, 64))]:
        check(case, [rng.normal(size=left).astype(dtype), rng.normal(size=right).astype(dtype)], {})


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "said"), [(3, "index 3"), (-1, "index -1"), (-(2**63), "index -9223372036854775808")]
)
def test_an_index_out_of_range_is_met_before_anything_is_written(wrong: int, said: str) -> None:
    out = np.zeros((2, 2))
    for index in (np.array([0, wrong]), np.array([wrong, 0])):
        with pytest.raises(DataError, match=f"{said} is out of range"):
            into(Case(primitive("gather"), Sample(())), [np.ones((3, 2)), index], out, {"axes": (0,)})
    assert not out.any()


def test_an_integer_by_zero_or_to_a_negative_power_is_refused() -> None:
    x, out = np.array([1, 2]), np.zeros(2, "i8")
    for name, other in (("rem", 0), ("pow", -1)):
        with pytest.raises(DataError):
            into(Case(primitive(name), Sample(())), [x, np.array([1, other])], out, {})
    assert not out.any()

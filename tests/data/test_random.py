"""Seeded values: the published vectors of the generator, values held bit for bit, and the statistics they must have."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import mpmath
import numpy as np
import pytest

from gradcli.data import random
from gradcli.data.random import (
    INITIALISERS,
    fans,
    initialise,
    log,
    philox,
    probit,
    random_sens,
    stream_key,
    unit_interval,
)

# Known answers of Philox-4x32-10 that its authors publish with Random123: counter, key, output.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]

# Elements 0, 1 and 5 of a [2, 3] param `l1.w` with seed 1. They may never change: models depend on them.
GOLDEN = {
    ("normal", "f64"): "-0x1.3cb81d805e9f6p+0 0x1.570aaf7f93f4dp-3 0x1.ac06b5948b763p-1",
    ("normal", "f32"): "-0x1.3cb81e0000000p+0 0x1.570ab00000000p-3 0x1.ac06b60000000p-1",
    ("uniform", "f64"): "-0x1.9166013575c72p-1 0x1.106ee5e096728p-3 0x1.3194d8aee44b2p-1",
    ("uniform", "f32"): "-0x1.9166020000000p-1 0x1.106ee60000000p-3 0x1.3194d80000000p-1",
    ("glorot_uniform", "f64"): "-0x1.b7b5c119dd43ep-1 0x1.2a6f8451ead58p-3 0x1.4ebf685c8c99cp-1",
    ("glorot_uniform", "f32"): "-0x1.b7b5c20000000p-1 0x1.2a6f840000000p-3 0x1.4ebf680000000p-1",
    ("glorot_normal", "f64"): "-0x1.909f2285114fdp-1 0x1.b1ead3b46eff0p-4 0x1.0eb5218d91905p-1",
    ("glorot_normal", "f32"): "-0x1.909f220000000p-1 0x1.b1ead40000000p-4 0x1.0eb5220000000p-1",
    ("he_uniform", "f64"): "-0x1.5b9f0ae3572cap+0 0x1.d7de3e2398e18p-3 0x1.08a42b162fc50p+0",
    ("he_uniform", "f32"): "-0x1.5b9f0a0000000p+0 0x1.d7de3e0000000p-3 0x1.08a42c0000000p+0",
    ("he_normal", "f64"): "-0x1.3cb81d805e9f6p+0 0x1.570aaf7f93f4dp-3 0x1.ac06b5948b763p-1",
    ("he_normal", "f32"): "-0x1.3cb81e0000000p+0 0x1.570ab00000000p-3 0x1.ac06b60000000p-1",
}
DIGEST = "5227bd6f5bb97d5494e971368d6cb4a3d387ae70f51802713409d864794c904a"


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_answers(counter: str, key: str, expected: str) -> None:
    first, second = words(key)
    out = philox([np.array([word, word], np.uint64) for word in words(counter)], (first, second))
    assert [list(map(int, word)) for word in out] == [[word, word] for word in words(expected)]


def test_the_key_is_fnv_1a_then_splitmix() -> None:
    assert stream_key(1, "l1.w") == 0x24DBC02F4C5F2BA3
    keys = {
        stream_key(seed, path) for seed in (0, 1, -1, 2**64, 10**50) for path in ("w", "l1.w", "h.0.w", "größe", "")
    }
    assert len(keys) == 25


@pytest.mark.parametrize(("kind", "dtype"), GOLDEN)
def test_values_never_change(kind: str, dtype: str) -> None:
    values = initialise(kind, (2, 3), dtype, seed=1, path="l1.w").reshape(-1)
    assert " ".join(float(value).hex() for value in values[[0, 1, 5]]) == GOLDEN[kind, dtype]


def test_eighteen_million_values_never_change() -> None:
    digest = hashlib.sha256()
    for kind in INITIALISERS:
        for dtype in ("f64", "f32", "f16"):
            digest.update(initialise(kind, (1000, 1000), dtype, seed=7, path="w").tobytes())
    assert digest.hexdigest() == DIGEST


def test_no_library_computes_the_values() -> None:
    """Only + − × ÷ √ and bit operations: what any other function gives depends on the machine."""
    text = Path(random.__file__).read_text(encoding="utf-8")
    used = set(re.findall(r"np\.(\w+)", text)) - {"uint64", "int64", "float64", "ndarray", "errstate"}
    assert used == {"abs", "arange", "clip", "empty", "full_like", "nonzero", "sqrt", "where", "zeros_like"}
    assert "**" not in text.replace("2.0**-52", "").replace("2**64", "")


def test_the_inverse_normal_distribution() -> None:
    edges = [2.0**-53, 1e-15, 1e-12, 1.3e-11, 1.4e-11, 1e-8, 1e-3, 0.0749, 0.075, 0.0751, 0.1, 0.4999, 0.5, 0.6, 0.9251]
    p = np.array([*edges, 1 - 2.0**-53, *unit_interval(5, 0, 300)])
    with mpmath.workdps(40):
        for given, found in zip(p, probit(p), strict=True):
            exact = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(float(given)) - 1)
            assert abs(found - exact) <= 2e-15 * abs(exact)


def test_values_are_symmetric() -> None:
    p = unit_interval(5, 0, 1000)
    np.testing.assert_array_equal(probit(1.0 - p), -probit(p))


def test_the_logarithm() -> None:
    x = np.array([2.0**-53, 1e-300, 0.5, 0.7071, 0.7072, 1.0, 1.4142, 1.4143, 3.0, 1e300, *unit_interval(6, 0, 300)])
    with mpmath.workdps(40):
        for given, found in zip(x, log(x), strict=True):
            exact = mpmath.log(mpmath.mpf(float(given)))
            assert abs(found - exact) <= 4e-16 * abs(exact)


@pytest.mark.parametrize("seed", [0, 1, 12345, -7])
def test_normal_values_are_normal(seed: int) -> None:
    """Kolmogorov and Smirnov: the distance of the distributions is below 1.95 / √n with probability 0.999."""
    n = 100_000
    values = np.sort(initialise("normal", (n,), "f64", seed=seed, path="w"))
    exact = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values])
    steps = np.arange(n + 1) / n
    assert max(np.max(exact - steps[:-1]), np.max(steps[1:] - exact)) < 1.95 / math.sqrt(n)
    for power, moment, spread in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(np.mean(values**power) - moment) < 4 * math.sqrt(spread / n)


def test_uniform_values_are_uniform() -> None:
    n = 100_000
    values = initialise("uniform", (n,), "f64", seed=3, path="w", low=2.0, high=5.0)
    assert values.min() >= 2.0
    assert values.max() <= 5.0
    counts, _ = np.histogram(values, bins=100, range=(2.0, 5.0))
    assert np.sum((counts - n / 100) ** 2) / (n / 100) < 149  # chi squared with 99 degrees of freedom, 0.999


def test_neighbours_and_paths_and_seeds_are_independent() -> None:
    n = 100_000
    first = initialise("normal", (n,), "f64", seed=1, path="h.0.w")
    others = [
        initialise("normal", (n,), "f64", seed=1, path="h.1.w"),
        initialise("normal", (n,), "f64", seed=2, path="h.0.w"),
    ]
    for other in [*others, np.roll(first, 1), np.roll(first, 2), np.roll(first, 65536)]:
        assert abs(np.mean(first * other)) < 4 / math.sqrt(n)


def test_a_value_depends_on_its_index_alone() -> None:
    whole = initialise("normal", (200_001,), "f64", seed=9, path="w")
    for count in (0, 1, 2, 3, 65_535, 65_536, 65_537):
        np.testing.assert_array_equal(initialise("normal", (count,), "f64", seed=9, path="w"), whole[:count])
    np.testing.assert_array_equal(initialise("normal", (3, 5), "f64", seed=9, path="w").reshape(-1), whole[:15])
    np.testing.assert_array_equal(unit_interval(5, 0, 9)[4:], unit_interval(5, 4, 5))


@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_narrow_floats_are_the_rounded_f64(dtype: str) -> None:
    wide = initialise("normal", (1000,), "f64", seed=9, path="w", mean=0.5, scale=3.0)
    narrow = initialise("normal", (1000,), dtype, seed=9, path="w", mean=0.5, scale=3.0)
    np.testing.assert_array_equal(narrow, wide.astype(narrow.dtype))
    standard = initialise("normal", (1000,), "f64", seed=9, path="w")
    np.testing.assert_array_equal(wide, 0.5 + 3.0 * standard)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((2, 3), (2, 3)), ((5, 5, 2, 3), (50, 75)), ((0, 3), (1, 3)), ((0,), (1, 1))],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert fans(shape) == expected


@pytest.mark.parametrize(
    ("kind", "variance", "bounded"),
    [("glorot_uniform", 2 / 700, True), ("glorot_normal", 2 / 700, False), ("he_uniform", 2 / 300, True),
     ("he_normal", 2 / 300, False)],
)  # fmt: skip
def test_variances(kind: str, variance: float, bounded: bool) -> None:
    values = initialise(kind, (300, 400), "f64", seed=1, path="w")
    assert abs(values.var() / variance - 1) < 0.02
    assert bool(np.abs(values).max() <= math.sqrt(3 * variance)) == bounded


def test_sensitivities() -> None:
    np.testing.assert_array_equal(
        random_sens(7, (2, 3), "f32"), initialise("normal", (2, 3), "f32", seed=7, path="sens")
    )


@pytest.mark.parametrize(("kind", "dtype"), [("cauchy", "f32"), ("normal", "i32")])
def test_unknown_kinds_and_dtypes(kind: str, dtype: str) -> None:
    with pytest.raises(ValueError, match=f"no initialiser {kind} of {dtype}"):
        initialise(kind, (2,), dtype, seed=1, path="w")


def test_a_scale_beyond_the_dtype_gives_infinity() -> None:
    assert np.isinf(initialise("normal", (2,), "f16", seed=1, path="w", scale=1e9)).all()

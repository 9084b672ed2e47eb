"""Seeded values that are the same on every machine, backend and release.

Value i of a param depends on its seed, its path and i, and on nothing else: (seed, path) is hashed to the key of the
counter-based generator Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), and i is
the counter. From there on only + − × ÷ √ of f64 are used, which IEEE 754 rounds exactly, in a fixed order: no
`numpy.random`, no mathematics library. The tests hold values of every kind bit for bit.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import TYPE_CHECKING, Any

from gradcli.ir.aval import FLOATS, NUMPY_NAMES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# The arguments of each kind, beside the shape, which comes from the declaration.
INITIALISERS = {
    "normal": ("seed", "scale", "mean"),
    "uniform": ("seed", "low", "high"),
    "glorot_uniform": ("seed",),
    "glorot_normal": ("seed",),
    "he_uniform": ("seed",),
    "he_normal": ("seed",),
}

BLOCKS = 1 << 15  # counters at a time, two values each: what is live stays in the cache
MASK64 = 2**64 - 1


def initialise(
    kind: str,
    shape: tuple[int, ...],
    dtype: str,
    *,
    seed: int,
    path: str,
    low: float = -1.0,
    high: float = 1.0,
    scale: float = 1.0,
    mean: float = 0.0,
) -> Array:
    """An array of `shape` and the float `dtype` for the param at `path` (`l1.w`, `h.2.w`).

    `normal` is mean + scale · z, `uniform` lies in [low, high]. The others have mean 0 and variance
    2 / (fan_in + fan_out) (Glorot and Bengio, 2010) or 2 / fan_in (He et al., 2015), see `fans`. Values are
    computed in f64 and rounded to `dtype` once. Raises ValueError for an unknown kind or a dtype that is no float.
    """
    import numpy as np

    if kind not in INITIALISERS or dtype not in FLOATS:
        raise ValueError(f"no initialiser {kind} of {dtype}")
    fan_in, fan_out = fans(shape)
    variance = 2.0 / (fan_in + fan_out) if kind.startswith("glorot") else 2.0 / fan_in
    if kind not in ("normal", "uniform"):
        scale = sqrt(variance)
        high = sqrt(3.0 * variance)
        low = -high
    out = np.empty(shape, NUMPY_NAMES[dtype])
    flat = out.reshape(-1)
    key = stream_key(seed, path)
    with np.errstate(over="ignore"):  # a scale beyond f16 gives inf, as any cast does
        for start in range(0, flat.size, 2 * BLOCKS):
            count = min(2 * BLOCKS, flat.size - start)
            unit = unit_interval(key, start, count)
            if kind.endswith("uniform"):  # rounding may pass the end by one digit
                values = np.clip(low + (high - low) * unit, min(low, high), max(low, high))
            else:
                values = mean + scale * probit(unit)
            flat[start : start + count] = values
    return out


def random_sens(seed: int, shape: tuple[int, ...], dtype: str) -> Array:
    """The sensitivity that `--sens random:SEED` means: standard normal values."""
    return initialise("normal", shape, dtype, seed=seed, path="sens")


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of one unit, as JAX counts them: axes -2 and -1, times all other axes (the receptive field).

    A bias `[n]` has n of both; never less than 1.
    """
    if len(shape) < 2:
        return (max(prod(shape), 1),) * 2
    field = prod(shape[:-2])
    return max(shape[-2] * field, 1), max(shape[-1] * field, 1)


def stream_key(seed: int, path: str) -> int:
    """64 bits for a seed (any integer) and a path: FNV-1a of `seed:path`, then the finisher of splitmix64."""
    key = 0xCBF29CE484222325
    for byte in f"{seed}:{path}".encode():
        key = (key ^ byte) * 0x100000001B3 & MASK64
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    key = (key ^ key >> 27) * 0x94D049BB133111EB & MASK64
    return key ^ key >> 31


def unit_interval(key: int, start: int, count: int) -> Array:
    """Values `start` to `start + count` (`start` even) of the stream, f64 strictly inside (0, 1).

    They are (k + ½) / 2⁵² for a 52-bit k: exact, never 0 or 1, and symmetric about ½.
    """
    import numpy as np

    block = np.arange(start // 2, (start + count + 1) // 2, dtype=np.uint64)
    low, none = np.uint64(0xFFFFFFFF), np.zeros_like(block)
    words = philox([block & low, block >> np.uint64(32), none, none], (key & 0xFFFFFFFF, key >> 32))
    bits = np.empty((block.size, 2), np.uint64)
    bits[:, 0] = words[0] << np.uint64(32) | words[1]
    bits[:, 1] = words[2] << np.uint64(32) | words[3]
    return ((bits.reshape(-1)[:count] >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def philox(counter: list[Array], key: tuple[int, int]) -> list[Array]:
    """Philox-4x32-10: four 32-bit words of counter (u64[n] each) to four of noise."""
    import numpy as np

    multipliers, weyl = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)), (0x9E3779B9, 0xBB67AE85)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = c0 * multipliers[0], c2 * multipliers[1]
        c0, c1 = second >> half ^ c1 ^ np.uint64(k0), second & low
        c2, c3 = first >> half ^ c3 ^ np.uint64(k1), first & low
        k0, k1 = k0 + weyl[0] & 0xFFFFFFFF, k1 + weyl[1] & 0xFFFFFFFF
    return [c0, c1, c2, c3]


# Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988), PPND16:
# numerator and denominator, lowest degree first, of three rational approximations with relative error below 1e-16.
CENTRAL = (
    (3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
MIDDLE = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
FAR = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def probit(p: Array) -> Array:
    """The inverse of the normal distribution function, f64[n] in (0, 1) to f64[n]; relative error about 1e-15."""
    import numpy as np

    q = p - 0.5
    z = q * _ratio(CENTRAL, 0.180625 - q * q)
    (tail,) = np.nonzero(np.abs(q) > 0.425)
    if tail.size:
        beyond = q[tail]
        r = np.sqrt(-log(np.where(beyond < 0.0, p[tail], 0.5 - beyond)))
        size = np.where(r <= 5.0, _ratio(MIDDLE, r - 1.6), _ratio(FAR, r - 5.0))
        z[tail] = np.where(beyond < 0.0, -size, size)
    return z


def log(x: Array) -> Array:
    """The natural logarithm of positive, normal f64[n], to 2 ulps, in + − × ÷ alone.

    x = m · 2ᵉ with m in [√½, √2), and log m = 2 artanh f with f = (m − 1) / (m + 1), |f| < 0.172, as a series.
    """
    import numpy as np

    bits = x.view(np.int64)
    exponent = (bits >> np.int64(52)) - np.int64(1023)
    m = (bits & np.int64(0x000FFFFFFFFFFFFF) | np.int64(0x3FF0000000000000)).view(np.float64)
    large = m > 1.4142135623730951
    m = np.where(large, 0.5 * m, m)
    e = (exponent + large).astype(np.float64)
    f = (m - 1.0) / (m + 1.0)
    series = _polynomial([2.0 / (2 * k + 1) for k in range(11)], f * f)
    # log 2 in two parts; the upper has 21 zero bits at its end, so that its product with e is exact.
    return e * 0.6931471803691238 + (f * series + e * 1.9082149292705877e-10)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    numerator, denominator = coefficients
    return _polynomial(numerator, x) / _polynomial(denominator, x)


def _polynomial(coefficients: tuple[float, ...] | list[float], x: Array) -> Array:
    """Horner's rule, lowest degree first."""
    import numpy as np

    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= x
        total += coefficient
    return total

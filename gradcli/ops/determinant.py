"""Determinants, of matrices `[…, n, n]` with leading dims, and their derivatives to any order.

The derivative of the determinant by its matrix is the matrix of cofactors. That is a polynomial, which exists where the
inverse does not: with A = U Σ Vᵀ,

    cof(A) = det(U) det(V) · U cof(Σ) Vᵀ,   cof(Σ)_ii = Π_{l≠i} σ_l

Its derivative along G is found in the same way: with H = Uᵀ G V and W_ik = Π_{l≠i,k} σ_l (0 for i = k),

    cof'(A)[G] = det(U) det(V) · U (diag(W diag(H)) - W ∘ Hᵀ) Vᵀ

No product is found by a division, so singular values of 0 are exact. It is symmetric, ⟨K, cof'(A)[G]⟩ = ⟨cof'(A)[K], G⟩,
as a second derivative is. Matrices up to 3 × 3 are written out in their 2 × 2 minors.
"""

from __future__ import annotations

from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite, known
from gradcli.ir.graph import Node, Value, apply
from gradcli.ir.primitive import Sample, ShapeError
from gradcli.ops.batching import leading, shifted
from gradcli.ops.define import general
from gradcli.ops.linalg import turned
from gradcli.ops.solving import LARGER, REGULAR, SQUARES, STACK, copied, in_single, matrices, square

Array = Any

SMALL = 3  # rows of matrices that are written out

# ── det and slogdet ─────────────────────────────────────────────────────────────────────────────────────────


def _number(x: Aval) -> tuple[Aval, ...]:
    square(x, "det")
    return (Aval(x.shape[:-2], x.dtype),)


def _sign_and_log(x: Aval) -> tuple[Aval, ...]:
    square(x, "slogdet")
    return (Aval(x.shape[:-2], x.dtype), Aval(x.shape[:-2], x.dtype))


def _over(number: Value) -> Value:
    """A number for each matrix, to be spread over its elements."""
    return apply("reshape", number, shape=(*number.shape, 1, 1))


def _inner(x: Value, y: Value) -> Value:
    """⟨x, y⟩, the sum of the products of elements, for each matrix of a stack; spread over its elements."""
    return _over(apply("reduce_sum", x * y, axes=(x.rank - 2, x.rank - 1)))


def _det_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value]:
    return (_over(cts[0]) * apply("cofactor", inputs[0]),)


def _slogdet_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value | None]:
    """The sign is flat."""
    ct = cts[1]
    return (None if ct is None else _over(ct) * turned(apply("inv", inputs[0])),)


def _factor_flops(node: Node) -> int:
    return matrices(node) * (2 * definite(node.inputs[0].shape[-1]) ** 3 // 3 + 1)


det = general(
    "det", _number, in_single(lambda xp, a: xp.linalg.det(a)), _det_vjp, flops=_factor_flops, batch=leading("det", 2),
    workspace=copied(1),
    doc="The determinant of a matrix.", formula="the matrix of cofactors",
    conventions="exact at singular matrices, to order 2; order 3 and more of matrices above 3 × 3 need an inverse",
    samples=[*SQUARES, Sample(([[1.0, 2.0], [2.0, 4.0]],))],
)  # fmt: skip
slogdet = general(
    "slogdet", _sign_and_log, in_single(lambda xp, a: tuple(xp.linalg.slogdet(a))), _slogdet_vjp, flops=_factor_flops,
    workspace=copied(1), batch=leading("slogdet", 2), doc="The sign of the determinant, and the logarithm of its absolute value.",
    formula="A⁻ᵀ for the logarithm, zero for the sign",
    conventions="0 and -inf for a singular matrix, where the derivative is an error", samples=SQUARES,
    branch=in_single(lambda xp, a: xp.linalg.slogdet(a)[0]),
)  # fmt: skip

# ── cofactors ───────────────────────────────────────────────────────────────────────────────────────────────


def _cofactors(x: Aval) -> tuple[Aval, ...]:
    square(x, "cofactor")
    return (x,)


def _turn(xp: Any, a: Array, rows: int, columns: int) -> Array:
    """The element at (i + rows, j + columns), counted in a circle. In this order minors of 3 × 3 need no sign."""
    return xp.roll(a, (-rows, -columns), (-2, -1))


def _chequered(xp: Any, a: Array) -> Array:
    """The cofactors of 2 × 2."""
    return _turn(xp, a, 1, 1) * xp.asarray([[1, -1], [-1, 1]], dtype=a.dtype)


def _others(xp: Any, values: Array) -> Array:
    """For each the product of all others along the last axis, by those before it and those after it."""
    one = xp.ones_like(values[..., :1])
    before = xp.cumprod(xp.concatenate([one, values[..., :-1]], axis=-1), axis=-1)
    behind = xp.cumprod(xp.concatenate([one, xp.flip(values[..., 1:], -1)], axis=-1), axis=-1)
    return before * xp.flip(behind, -1)


def _decomposed(xp: Any, a: Array) -> tuple[Array, Array, Array, Array]:
    """U, σ, Vᵀ and det(U) det(V). Large and small σ take turns, so that no product overflows on its way.

    A matrix that is not finite has nan for all of them.
    """
    finite = xp.isfinite(a).all(axis=(-2, -1))[..., None]
    u, s, vt = xp.linalg.svd(xp.where(finite[..., None], a, a.dtype.type(0)))
    n = a.shape[-1]
    order = xp.asarray([n - 1 - k // 2 if k % 2 else k // 2 for k in range(n)])
    sign = xp.sign(xp.linalg.det(u) * xp.linalg.det(vt))
    s = xp.where(finite, xp.take(s, order, axis=-1), a.dtype.type("nan"))
    return xp.take(u, order, axis=-1), s, xp.take(vt, order, axis=-2), sign[..., None]


def _cofactor(xp: Any, a: Array) -> Array:
    n = a.shape[-1]
    if n <= 1:
        return xp.ones_like(a)
    if n == 2:
        return _chequered(xp, a)
    if n == SMALL:
        return _turn(xp, a, 1, 1) * _turn(xp, a, 2, 2) - _turn(xp, a, 1, 2) * _turn(xp, a, 2, 1)
    u, s, vt, sign = _decomposed(xp, a)
    return xp.matmul(u * (_others(xp, s) * sign)[..., None, :], vt)


def _along(xp: Any, a: Array, g: Array) -> Array:
    n = a.shape[-1]
    if n <= 1:
        return xp.zeros_like(a * g)
    if n == 2:
        return _chequered(xp, g + xp.zeros_like(a))
    if n == SMALL:
        return _mixed(xp, a, g) + _mixed(xp, g, a)
    u, s, vt, sign = _decomposed(xp, a)
    h = xp.matmul(xp.matmul(xp.swapaxes(u, -1, -2), g), xp.swapaxes(vt, -1, -2))
    eye = xp.eye(n, dtype=a.dtype)
    w = _others(xp, s[..., None, :] * (1 - eye) + eye) * (1 - eye)
    diagonal = xp.sum(w * xp.sum(h * eye, axis=-2)[..., None, :], axis=-1)
    middle = diagonal[..., None, :] * eye - w * xp.swapaxes(h, -1, -2)
    return xp.matmul(u * sign[..., None, :], xp.matmul(middle, vt))


def _mixed(xp: Any, a: Array, g: Array) -> Array:
    """The minors of 3 × 3 with the first factor from one matrix and the second from the other."""
    return _turn(xp, a, 1, 1) * _turn(xp, g, 2, 2) - _turn(xp, a, 1, 2) * _turn(xp, g, 2, 1)


def _cofactor_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value]:
    return (apply("cofactor_along", inputs[0], cts[0]),)


def _two_alike(a: Aval, g: Aval) -> tuple[Aval, ...]:
    square(a, "cofactor_along")
    if a.shape != g.shape or a.dtype != g.dtype:
        raise ShapeError("SHP105", f"cofactor_along of {a} and {g}", (0, 1))
    return (a,)


def _along_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value | None, Value]:
    """The third derivative of the determinant is symmetric too. Above 3 × 3 it needs an inverse."""
    (a, g), (ct,) = inputs, cts
    n = known(a.shape[-1])
    by_g = apply("cofactor_along", a, ct)
    if n is not None and n <= SMALL:
        return (apply("cofactor_along", ct, g) if n == SMALL else None), by_g
    return _third(a, g, ct), by_g


def _third(a: Value, g: Value, k: Value) -> Value:
    """The gradient by A of d (p q - ⟨P, K⟩), which is ⟨K, cof'(A)[G]⟩ with d = det A, X = A⁻ᵀ, p = ⟨X, G⟩,
    q = ⟨X, K⟩, P = X Gᵀ X, Q = X Kᵀ X: by dX = -X dAᵀ X it is

        d ((p q - ⟨P, K⟩) X - q P - p Q + P Kᵀ X + Q Gᵀ X)
    """
    x = turned(apply("inv", a))
    gx, kx = apply("matmul", turned(g), x), apply("matmul", turned(k), x)
    p, q, big_p, big_q = _inner(x, g), _inner(x, k), apply("matmul", x, gx), apply("matmul", x, kx)
    cross = apply("matmul", big_p, kx) + apply("matmul", big_q, gx)
    return _over(apply("det", a)) * ((p * q - _inner(big_p, k)) * x - q * big_p - p * big_q + cross)


def _cofactor_flops(node: Node) -> int:
    """A few for each element of a small matrix; else the singular values (Golub & Van Loan, 5.4.5) and a product."""
    n = definite(node.inputs[0].shape[-1])
    return matrices(node) * (6 * n * n if n <= SMALL else 23 * n**3)


cofactor = general(
    "cofactor", _cofactors, in_single(_cofactor), _cofactor_vjp, flops=_cofactor_flops, batch=leading("cofactor", 2),
    workspace=copied(6, stacks=5),
    doc="The cofactors of a matrix: det(A) A⁻ᵀ, also where A has no inverse.", formula="cofactor_along(A, ct)",
    conventions="exact at singular matrices", samples=SQUARES,
)  # fmt: skip
cofactor_along = general(
    "cofactor_along", _two_alike, in_single(_along), _along_vjp, flops=_cofactor_flops, batch=shifted("cofactor_along"),
    workspace=copied(6, stacks=8),
    doc="The derivative of the cofactors of A along G.", formula="cofactor_along(A, ct) by G; by A, from the inverse of A",
    conventions="exact at singular matrices; its derivative by A above 3 × 3 needs an inverse",
    samples=[Sample((REGULAR, (3, 3))), Sample((STACK, (2, 2, 2))), Sample((LARGER, (4, 4))), Sample(([[1.5]], (1, 1))),
             Sample(((0, 0), (0, 0))), Sample(((0, 2, 2), (0, 2, 2)))],
)  # fmt: skip

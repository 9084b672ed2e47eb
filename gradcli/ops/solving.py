"""Linear systems: `solve`, `inv` and `cholesky`, on matrices `[…, n, n]` with leading dims.

With A X = B, and bars for cotangents (Giles 2008, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation", 2.2 and 2.3):

    B̄ = A⁻ᵀ X̄,   Ā = -B̄ Xᵀ          and for X = A⁻¹:   Ā = -Xᵀ X̄ Xᵀ

With A = L Lᵀ (Murray 2016, "Differentiation of the Cholesky decomposition", eq. 10; what is written below is twice his
Φ, made symmetric):

    Ā = ½ L⁻ᵀ S L⁻¹,   S symmetric, with the lower triangle of Lᵀ L̄

The namespaces raise LinAlgError for a matrix that they refuse; here that becomes a DataError with a code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import prod
from typing import Any

from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite, equal, product
from gradcli.ir.graph import Node, Value, apply
from gradcli.ir.primitive import DataError, Sample, ShapeError, primitive
from gradcli.ops.batching import leading
from gradcli.ops.define import broadcast_shapes, choose, general
from gradcli.ops.linalg import turned

Array = Any
Eval = Callable[..., Any]

# ── what operators on square matrices share ─────────────────────────────────────────────────────────────────


def square(x: Aval, what: str) -> None:
    """Refuse what is no square matrix, nor a stack of them."""
    if x.rank < 2:
        raise ShapeError("SHP107", f"{what} wants a matrix, or a stack of them, not {x}", (0,))
    if not equal(x.shape[-2], x.shape[-1], what):
        raise ShapeError("SHP202", f"{what} wants a square matrix, not {x}", (0,))


def in_single(function: Eval) -> Eval:
    """LAPACK has no f16: it is computed in f32 and rounded once."""

    def evaluate(xp: Any, *arrays: Array) -> Any:
        if arrays[0].dtype.itemsize > 2:
            return function(xp, *arrays)
        made = function(xp, *[array.astype("float32") for array in arrays])
        return tuple(part.astype("float16") for part in made) if isinstance(made, tuple) else made.astype("float16")

    return evaluate


def copied(each: int, *, sides: int = 0, stacks: int = 0) -> Callable[[Node], int]:
    """Bytes beside operands and results: of one matrix after the other `each` copies and so many of its right `sides`,
    as LAPACK overwrites what it is handed; and of all matrices those that `eval` makes on its way."""

    def workspace(node: Node) -> int:
        n = definite(node.inputs[0].shape[-1])
        wide = definite(node.outs[0].shape[-1]) if sides else 0
        numbers = (each + stacks * matrices(node)) * n * n + sides * n * wide
        return numbers * (8 if node.inputs[0].dtype == "f64" else 4)

    return workspace


def matrices(node: Node) -> int:
    """How many matrices the first operand holds."""
    return prod(definite(size) for size in node.inputs[0].shape[:-2])


def _or_refuse(function: Eval, a: Array, *rest: Array, check: Eval, code: str, text: str) -> Array:
    """`function(a, *rest)`; where it fails, the DataError tells the first matrix of `a` on which `check` fails."""
    from numpy.linalg import LinAlgError

    try:
        return function(a, *rest)
    except LinAlgError:
        for place in itertools.product(*map(range, a.shape[:-2])):
            try:
                check(a[place])
            except LinAlgError:
                which = f"matrix {list(place)} of the stack" if place else "the matrix"
                raise DataError(code, f"{which} {text}") from None
        raise


def _where_numbers(xp: Any, a: Array, function: Eval) -> Array:
    """`function(a)`, and nan for the matrices of `a` that hold one: libraries differ in what they do with them, and
    some give numbers."""
    nan = xp.isnan(a)
    if not bool(nan.any()):
        return function(a)
    bad = nan.any(axis=(-2, -1))[..., None, None]
    return xp.where(bad, a.dtype.type("nan"), function(xp.where(bad, xp.eye(a.shape[-1], dtype=a.dtype), a)))


# ── solve and inv ───────────────────────────────────────────────────────────────────────────────────────────

SINGULAR: dict[str, Any] = {"code": "NUM005", "text": "is singular: it has no inverse"}


def _solution(a: Aval, b: Aval) -> tuple[Aval, ...]:
    """`[…, n, n]` and `[…, n, k]`; both of rank 2 or more."""
    square(a, "solve")
    if b.rank < 2:
        raise ShapeError("SHP107", f"solve of {a} and {b}", (1,))
    if a.dtype != b.dtype:
        raise ShapeError("SHP103", f"solve of {a} and {b}", (0, 1))
    if not equal(a.shape[-1], b.shape[-2], "solve"):
        raise ShapeError("SHP201", f"solve: the matrix has {a.shape[-1]} rows, the right side {b.shape[-2]}", (0, 1))
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2]) if a.rank > 2 or b.rank > 2 else ()
    return (Aval((*lead, a.shape[-1], b.shape[-1]), a.dtype),)


def _solve(xp: Any, a: Array, b: Array) -> Array:
    """One matrix is factored once, whatever the stack of right sides; stacks are aligned, as CuPy wants them."""
    if a.ndim == 2 and b.ndim > 2:
        rows = xp.moveaxis(b, -2, 0)
        flat = _solve(xp, a, rows.reshape((len(a), prod(rows.shape[1:]))))
        return xp.moveaxis(flat.reshape(rows.shape), 0, -2)
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (xp.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    return _where_numbers(xp, a, lambda known: _or_refuse(xp.linalg.solve, known, b, check=xp.linalg.inv, **SINGULAR))


def _columns(x: Value) -> Value:
    """A stack `[…, n, k]` as one matrix with all its columns."""
    last = x.rank - 2
    rows = apply("transpose", x, axes=(last, *range(last), x.rank - 1))
    return apply("reshape", rows, shape=(x.shape[-2], product((*x.shape[:-2], x.shape[-1]))))


def _solve_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value, Value]:
    a, _ = inputs
    by_b = apply("solve", turned(a), cts[0])
    left, right = (by_b, outs[0]) if a.rank > 2 else (_columns(by_b), _columns(outs[0]))
    return -apply("matmul", left, turned(right)), by_b


def _solve_flops(node: Node) -> int:
    n, size = definite(node.inputs[0].shape[-1]), definite(node.outs[0].aval.size)
    return matrices(node) * 2 * n**3 // 3 + 2 * n * size


REGULAR = [[4.0, 1.0, 0.5], [0.8, 3.0, -0.3], [-0.2, 0.1, 2.0]]
STACK = [[[3.0, 1.0], [0.4, 2.0]], [[2.0, -0.6], [0.2, 1.5]]]
LARGER = [[2.0, 0.3, -0.2, 0.1], [0.1, 1.5, 0.4, -0.3], [0.2, -0.1, 1.2, 0.5], [-0.4, 0.2, 0.3, 1.8]]
SQUARES = [
    Sample((REGULAR,)),
    Sample((STACK,)),
    Sample((LARGER,)),
    Sample(([[1.5]],)),
    Sample(((0, 0),)),
    Sample(((0, 2, 2),)),
]

solve = general(
    "solve", _solution, in_single(_solve), _solve_vjp, flops=_solve_flops, batch=leading("solve", 2),
    workspace=copied(1, sides=1),
    doc="The solution X of A X = B.", formula="B̄ = solve(Aᵀ, ct), Ā = -B̄ Xᵀ",
    conventions="a matrix that is exactly singular is an error",
    samples=[Sample((REGULAR, (3, 2))), Sample((STACK, (2, 2, 1))), Sample((STACK, (2, 3))), Sample((REGULAR, (2, 3, 2))),
             Sample(([STACK], (2, 1, 2, 1))), Sample(((0, 0), (0, 2))), Sample((REGULAR, (3, 0))), Sample(((0, 2, 2), (2, 1)))],
)  # fmt: skip


def _alike(name: str) -> Callable[[Aval], tuple[Aval, ...]]:
    def infer(x: Aval) -> tuple[Aval, ...]:
        square(x, name)
        return (x,)

    return infer


def _inverse(x: Aval) -> tuple[Aval, ...]:
    """Rows of the inverse are what columns were."""
    square(x, "inv")
    return (Aval((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype),)


def _inv_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value]:
    back = turned(outs[0])
    return (-apply("matmul", apply("matmul", back, cts[0]), back),)


def _inv(xp: Any, a: Array) -> Array:
    return _where_numbers(xp, a, lambda known: _or_refuse(xp.linalg.inv, known, check=xp.linalg.inv, **SINGULAR))


inv = general(
    "inv", _inverse, in_single(_inv), _inv_vjp,
    flops=lambda node: 2 * matrices(node) * definite(node.inputs[0].shape[-1]) ** 3, batch=leading("inv", 2),
    workspace=copied(2),
    doc="The inverse of a matrix. `solve` is the more exact way to the product of an inverse.",
    formula="-A⁻ᵀ ct A⁻ᵀ", conventions="a matrix that is exactly singular is an error", samples=SQUARES,
)  # fmt: skip

# ── the Cholesky factor ─────────────────────────────────────────────────────────────────────────────────────


def _cholesky(xp: Any, a: Array) -> Array:
    """nan for matrices that are not finite: LAPACK libraries differ in what they do with them."""
    symmetric = a * 0.5 + xp.swapaxes(a, -1, -2) * 0.5
    finite = xp.isfinite(symmetric).all(axis=(-2, -1))[..., None, None]
    known = xp.where(finite, symmetric, xp.eye(a.shape[-1], dtype=a.dtype))
    function = xp.linalg.cholesky
    factor = _or_refuse(function, known, check=function, code="NUM006", text="is not positive definite")
    return xp.where(finite, factor, a.dtype.type("nan"))


def _cholesky_vjp(cts: Any, inputs: Any, outs: Any) -> tuple[Value]:
    """The systems with Lᵀ are triangular: their factorisation exchanges no rows and rounds nothing."""
    upper = turned(outs[0])
    inner = apply("matmul", upper, cts[0])
    both = choose(lower(inner), inner, turned(inner))
    half = apply("solve", upper, both)
    whole = apply("solve", upper, turned(half))
    return ((whole + turned(whole)) * 0.25,)


def lower(x: Value) -> Value:
    """Where the lower triangle of a matrix is, its diagonal included."""
    rows, columns = (x.builder.emit(primitive("iota"), (), {"size": size, "dtype": "i64"})[0] for size in x.shape[-2:])
    return apply("greater_equal", apply("reshape", rows, shape=(x.shape[-2], 1)), columns)


cholesky = general(
    "cholesky", _alike("cholesky"), in_single(_cholesky), _cholesky_vjp, batch=leading("cholesky", 2),
    workspace=copied(1, stacks=2),
    flops=lambda node: matrices(node) * definite(node.inputs[0].shape[-1]) ** 3 // 3,
    doc="The lower triangular L with L Lᵀ = A, for the symmetric part of A.", formula="½ L⁻ᵀ S L⁻¹, S the symmetric "
    "matrix with the lower triangle of Lᵀ ct",
    conventions="A stands for its symmetric part (A + Aᵀ)/2, so the derivative by A is symmetric; one that is not positive "
    "definite is an error",
    samples=SQUARES,
)  # fmt: skip

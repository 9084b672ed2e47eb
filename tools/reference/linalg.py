"""Values, gradients and products with the Hessian of the operators of linear algebra, from PyTorch in float64; and
systems that are nearly singular, from mpmath with 60 digits.

Made with Python 3.11, torch 2.13.0 (CPU), mpmath 1.3.0. To make tests/reference/linalg.json again:

    pip install mpmath==1.3.0 torch==2.13.0 && python tools/reference/linalg.py

Differentiated is `sum(w * out)` by the first operand, with `w` of the result's shape; the product is with `v`. PyTorch
reads the lower triangle of what `cholesky` factors: it is given the symmetric part, which is what gradcli reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath  # type: ignore[import-untyped]
import torch
from mpmath import mp

TARGET = Path(__file__).parents[2] / "tests" / "reference" / "linalg.json"
A = [[2.5, -0.5, 1.0], [0.25, 3.0, -0.75], [-1.5, 0.5, 4.0]]
STACK = [[[1.5, 0.5], [-0.25, 2.0]], [[-1.0, 0.75], [0.5, 3.0]]]
LARGER = [[1.5, 0.25, -0.5, 1.0], [0.75, -2.0, 0.5, 0.25], [-0.25, 1.0, 3.0, -0.5], [0.5, 0.0, 1.25, 2.0]]
B, C = [[1.0, -2.0], [0.5, 3.0], [2.0, 0.25]], [0.5, -1.0, 2.0]

# name: (expression of the language, operands, the same in PyTorch)
CASES: dict[str, tuple[str, list[Any], Callable[..., Any]]] = {
    "solve": ("solve(a, b)", [A, B], torch.linalg.solve),
    "solve a vector": ("solve(a, b)", [A, C], torch.linalg.solve),
    "solve a stack": ("solve(a, b)", [STACK, [[1.0], [2.0]]], torch.linalg.solve),
    "inv": ("inv(a)", [A], torch.linalg.inv),
    "det": ("det(a)", [A], torch.linalg.det),
    "det of a stack": ("det(a)", [STACK], torch.linalg.det),
    "det of 4 by 4": ("det(a)", [LARGER], torch.linalg.det),
    "slogdet": ("slogdet(a)[1]", [STACK], lambda a: torch.linalg.slogdet(a)[1]),
    "cholesky": ("cholesky(a)", [A], lambda a: torch.linalg.cholesky((a + a.T) / 2)),
    "cholesky of a product": ("cholesky(a @ a.T)", [LARGER], lambda a: torch.linalg.cholesky(a @ a.T)),
    "trace": ("trace(a @ a, offset=1)", [A], lambda a: torch.diagonal(a @ a, 1).sum()),
    "diag of a matrix": ("diag(a @ a, k=-1)", [A], lambda a: torch.diagonal(a @ a, -1)),
    "diag of a vector": ("diag(a * a, k=1)", [C], lambda a: torch.diag(a * a, 1)),
    "tril": ("tril(a ** 3, k=1)", [A], lambda a: torch.tril(a**3, 1)),
    "triu": ("triu(a ** 3)", [STACK], lambda a: torch.triu(a**3)),
    "einsum": (
        'einsum("ij,jk,il->kl", a, b, a)', [A, B], lambda a, b: torch.einsum("ij,jk,il->kl", a, b, a),
    ),
    "einsum of diagonals": ('einsum("bii,bjj->ij", a, a)', [STACK], lambda a: torch.einsum("bii,bjj->ij", a, a)),
    "einsum of leading dims": ('einsum("...i,...j->...ij", a, a)', [STACK],
                               lambda a: torch.einsum("...i,...j->...ij", a, a)),
}  # fmt: skip


def waves(shape: tuple[int, ...], step: float) -> Any:
    """Numbers between -1 and 1 that a test can make again."""
    count = 1
    for size in shape:
        count *= size
    return torch.cos(step * torch.arange(count, dtype=torch.float64)).reshape(shape)


def row(expression: str, operands: list[Any], function: Callable[..., Any]) -> dict[str, Any]:
    a, *rest = [torch.tensor(operand, dtype=torch.float64) for operand in operands]
    value = function(a, *rest)
    w, v = waves(tuple(value.shape), 1.0), waves(tuple(a.shape), 0.7)

    def scalar(a: Any) -> Any:
        return (w * function(a, *rest)).sum()

    _, product = torch.autograd.functional.hvp(scalar, a, v)
    gradient = torch.autograd.functional.jacobian(scalar, a)
    return {
        "expression": expression,
        "operands": operands,
        "w": w.tolist(),
        "v": v.tolist(),
        "value": value.tolist(),
        "gradient": gradient.tolist(),
        "hvp": product.tolist(),
    }


def hilbert(n: int) -> list[list[float]]:
    return [[1 / (i + j + 1) for j in range(n)] for i in range(n)]


def nearly_dependent(gap: float) -> list[list[float]]:
    """Rows that differ in one element only, by `gap`."""
    return [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0 + gap], [4.0, -1.0, 0.5]]


NEAR = {"Hilbert, 5": hilbert(5), "Hilbert, 8": hilbert(8), "rows 1e-4 apart": nearly_dependent(1e-4),
        "rows 1e-10 apart": nearly_dependent(1e-10)}  # fmt: skip


def near(a: list[list[float]]) -> dict[str, Any]:
    """The solution for ones, and the gradients of its sum; the condition is ‖A‖ ‖A⁻¹‖ in the Frobenius norm."""
    n = len(a)
    matrix, ones = mp.matrix(a), mp.ones(n, 1)
    inverse = matrix**-1
    x, by_b = inverse * ones, inverse.T * ones
    by_a = -by_b * x.T
    return {
        "a": a,
        "condition": float(mpmath.mnorm(matrix, "f") * mpmath.mnorm(inverse, "f")),
        "x": [float(number) for number in x],
        "by_a": [[float(by_a[i, j]) for j in range(n)] for i in range(n)],
        "by_b": [float(number) for number in by_b],
    }


def main() -> None:
    mp.dps = 60
    table = {
        "cases": {name: row(*case) for name, case in CASES.items()},
        "near singular": {name: near(a) for name, a in NEAR.items()},
    }
    lines = json.dumps(table).replace('}, "', '},\n"').replace('{"', '{\n"', 1)
    TARGET.write_text(lines + "\n", encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()

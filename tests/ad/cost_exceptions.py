"""Operators whose gradient costs more than 5 times the operator, each with its figure and reason.

The figure is the highest ratio over the operator's samples, rounded up; one that falls below it by half fails the
test, so that the table does not outlive its reasons.
"""

from __future__ import annotations

EXCEPTIONS: dict[str, tuple[float, str]] = {
    "mul": (5.2, "an outer product: two products as large as itself, and the two sums that undo broadcasting"),
    "div": (7.7, "an outer quotient: as for mul, with a second quotient and its sign"),
    "maximum": (7.6, "each operand's share is a comparison as large as the operator; then as for mul"),
    "minimum": (7.6, "as for maximum"),
    "scatter_set": (5.1, "which of the elements with one index is the last is found by writing their numbers"),
    "reduce_max": (6.8, "ties are found by comparing every element with the result, and counted"),
    "reduce_min": (6.8, "as for reduce_max"),
    "reduce_prod": (8.7, "the products of all others by two running products: exact where factors are 0"),
    "cholesky": (16.2, "two general systems, as no namespace solves triangular ones; each costs two factorisations"),
    "det": (27.0, "cofactors from singular values, which exist where the inverse does not"),
    "cumprod": (5.4, "a recurrence in place of a division: exact where factors are 0"),
}

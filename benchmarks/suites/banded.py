"""A banded Hessian by its colours: 100,000 variables, three diagonals, three products.

The losses of the suite `product`. gradcli finds the pattern and the colours itself, and gives the matrix in compressed
rows. JAX and PyTorch are given the colours for nothing, and what is timed is three products, without the matrix;
CasADi finds both itself, too. What is done once for a model is no part of the time.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engines import threads
from benchmarks.suites import product
from benchmarks.workload import Arrays, Case, Step, Suite, normal

COLOURS = 3


def data(case: Case) -> Arrays:
    return {"x": normal("x", [case.size], "f64")}


def gradcli(case: Case, a: Arrays) -> Step:
    """The program made once; `compile` gives dense matrices only, so it is made by hand."""
    from gradcli import opening
    from gradcli.ad.reverse import reverse
    from gradcli.engine import Machine
    from gradcli.matrices import sparse
    from gradcli.request import ModelFile, Request

    _, prepared = opening.prepare(ModelFile(text=product.MODELS[case.kind], name=case.kind), Request(arrays=a))
    machine = Machine(threads=threads())
    program = sparse.hessian_program(reverse(prepared.graph, [0]), 1, 0, [a["x"]], machine)
    return lambda: {"hessian": program.run([a["x"]], machine)}


def by_colours(side: Any) -> Any:
    """The products of a side of `product` with the three vectors that are 1 at every third variable."""

    def made(case: Case, a: Arrays) -> Step:
        import numpy as np

        seeds = np.equal(np.arange(case.size) % COLOURS, np.arange(COLOURS)[:, None]).astype(float)
        steps = [side(case, {**a, "v": seed}) for seed in seeds]
        return lambda: {str(colour): step()["x"] for colour, step in enumerate(steps)}

    return made


def casadi(case: Case, a: Arrays) -> Step:
    """`casadi.hessian` of one expression a variable."""
    import casadi as ca

    x = ca.SX.sym("x", case.size)
    function = ca.Function("hessian", [x], [ca.hessian(product.casadi_loss(ca, case.kind, x), x)[0]])
    return lambda: {"hessian": function.call([a["x"]])[0]}


def shown(found: Arrays) -> Arrays:
    """`[3, n]`: the sums of each row over the columns of each colour, of what any side gives."""
    import numpy as np

    made = list(dict(found.items()).values())
    if len(made) == COLOURS:
        return {"compressed": np.stack([np.asarray(column) for column in made])}
    (matrix,) = made
    rows, columns, elements = triplets(matrix)
    n = matrix.shape[0]
    return {"compressed": np.bincount(columns % COLOURS * n + rows, elements, COLOURS * n).reshape(COLOURS, n)}


def triplets(matrix: Any) -> Any:
    """Row, column and element of what a sparse matrix of gradcli or CasADi holds."""
    import numpy as np

    if hasattr(matrix, "sparsity"):
        rows, columns = matrix.sparsity().get_triplet()
        return np.array(rows), np.array(columns), np.array(matrix.nonzeros())
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices, matrix.data


SUITE = Suite(
    "banded",
    "gradcli hess --sparse: tridiagonal Hessians",
    "variables",
    tuple(Case(size, "f64", kind) for kind in product.MODELS for size in (10**3, 10**4, 10**5)),
    data,
    {
        "gradcli": gradcli,
        "jax": by_colours(product.jax),
        "torch.compile": by_colours(product.inductor),
        "torch": by_colours(product.torch),
        "casadi": casadi,
    },
    tiny=tuple(Case(7, "f64", kind) for kind in product.MODELS),
    shown=shown,
)

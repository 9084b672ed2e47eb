"""Every differentiable operator against JAX, in every mode: value and derivatives of order one to three at one point.

The numbers lie in modes.json beside this file; tools/reference/modes.py makes them, and says at its top what they are.
Here each is found in several ways, all of which must give it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradcli
from gradcli import opening
from gradcli.interp.modules import load_prelude
from gradcli.interp.operators import SURFACES
from gradcli.ir.graph import Graph
from gradcli.ir.primitive import registry
from gradcli.request import ModelFile, Request

Array = np.ndarray[Any, Any]

TABLE: list[dict[str, Any]] = json.loads(Path(__file__).with_name("modes.json").read_text(encoding="utf-8"))
ROWS = [pytest.param(row, id=f"{k}-{row['expression']}") for k, row in enumerate(TABLE)]
RTOL = 1e-12  # of the largest element

# What no derivative is asked of: it reads no array of floats.
WITHOUT = {"arange", "eye", "linspace", "load", "one_hot", "ones", "shape", "size", "zeros"}
# The modes themselves.
TRANSFORMATIONS = {"checkpoint", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "value_and_jvp", "vmap"}

# What has a derivative and is no operator.
UNNAMED = {"%", "f64", "for", "if", "while", "x[i]", "x[i] =", "x[idx]"}

# Quantity of the table → how the language spells it. POINT stands for the operands, ALONG for their directions.
SPELLINGS = {
    "value": ["out(POINT)", "checkpoint(out)(POINT)", "value_and_jvp(out, tangent=ALONG)(POINT)[0]"],
    "jvp": ["jvp(out, tangent=ALONG)(POINT)", "value_and_jvp(out, tangent=ALONG)(POINT)[1]",
            "jvp(checkpoint(out), tangent=ALONG)(POINT)"],
    "gradient": ["grad(f, wrt=all)(POINT)", "grad(out, wrt=all, sens=c)(POINT)", "value_and_grad(f, wrt=all)(POINT)[1]",
                 "grad(checkpoint(f), wrt=all)(POINT)", "jacobian(f, wrt=all)(POINT)"],
    "hvp": ["hvp(f, v=ALONG, wrt=all)(POINT)", "hvp(out, v=ALONG, wrt=all, sens=c)(POINT)",
            "grad(slope, wrt=all)(POINT)", "jvp(gradient, tangent=ALONG)(POINT)", "grad(dotted, wrt=all)(POINT)"],
    "third": ["grad(bend, wrt=all)(POINT)", "jvp(product, tangent=ALONG)(POINT)", "hvp(slope, v=ALONG, wrt=all)(POINT)",
              "jvp(turned, tangent=ALONG)(POINT)"],
    "hessian": ["hessian(f, wrt=all)(POINT)", "jacobian(gradient, wrt=all)(POINT)"],
}  # fmt: skip
NETS = """
net f(TYPES) = sum(c * out(POINT))
net gradient(TYPES) = grad(f, wrt=all)(POINT)
net dotted(TYPES) = DOTTED
net slope(TYPES) = jvp(f, tangent=ALONG)(POINT)
net bend(TYPES) = jvp(slope, tangent=ALONG)(POINT)
net turned(TYPES) = jvp(gradient, tangent=ALONG)(POINT)
net product(TYPES) = hvp(f, v=ALONG, wrt=all)(POINT)
net many(TYPES_OF_ROWS) = vmap(gradient)(POINT)
net curved(TYPES_OF_ROWS) = vmap(product)(POINT)
"""


# ── what the table holds ────────────────────────────────────────────────────────────────────────────────────


def test_no_operator_is_missing() -> None:
    composed = {name for name in load_prelude().nets if not name.startswith("_")}
    covered = {row["operator"] for row in TABLE} - UNNAMED
    assert set(SURFACES) | composed == covered | WITHOUT | TRANSFORMATIONS
    assert not covered & (WITHOUT | TRANSFORMATIONS)
    assert {row["operator"] for row in TABLE} >= UNNAMED


def test_each_operator_stands_in_one_of_its_rows() -> None:
    named = {row["operator"] for row in TABLE} - UNNAMED
    called = {row["operator"] for row in TABLE if re.search(rf"\b{row['operator']}\(", row["expression"])}
    assert named <= called


def test_no_primitive_is_missing() -> None:
    """Those that gradients are made of, too."""
    used: set[str] = set()
    for row in TABLE:
        model = Model(row)
        request = Request(net="product", arrays=model.operands)
        graphs = [opening.prepare(ModelFile(text=model.text), request)[1].graph]
        for graph in graphs:
            used |= {node.prim.name for node in graph.nodes}
            graphs += [held for node in graph.nodes for held in node.params.values() if isinstance(held, Graph)]
    differentiable = {name for name, prim in registry().items() if prim.vjp is not None}
    assert differentiable - used - {"checkpoint", "dim_size"} == set()  # a mode; the size of a dim that has none yet


# ── a row as a model ────────────────────────────────────────────────────────────────────────────────────────


def pattern(shape: tuple[int, ...], factor: int, modulus: int, divisor: int) -> Array:
    return np.asarray((factor * np.arange(np.prod(shape, dtype=int)) % modulus - modulus // 2) / divisor).reshape(shape)


class Model:
    """A row of the table as a text of the language, with its operands."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.operands = {name: np.asarray(operand, dtype=float) for name, operand in row["operands"].items()}
        self.c = pattern(np.shape(row["value"]), 7, 11, 4)
        v = pattern((sum(operand.size for operand in self.operands.values()),), 5, 13, 8)
        parts = np.split(v, np.cumsum([operand.size for operand in self.operands.values()])[:-1])
        shapes = [operand.shape for operand in self.operands.values()]
        self.along = {name: part.reshape(shape) for name, part, shape in zip(self.operands, parts, shapes, strict=True)}
        self.rows = {name: np.stack([x, x + self.along[name] / 64]) for name, x in self.operands.items()}
        expression = row["expression"]
        body = expression if expression.startswith("{") else f"= {expression}"
        consts = {"c": self.c, **{f"v_{name}": array for name, array in self.along.items()}}
        lines = [f"const {name} = {array.tolist()}" for name, array in consts.items()]
        self.text = "\n".join([*lines, self.fill(f"net out(TYPES) {body}"), self.fill(NETS)])

    def fill(self, text: str) -> str:
        """`text` with the words in capitals replaced."""
        point = ", ".join(self.operands)
        words = {
            "TYPES_OF_ROWS": types(self.rows),
            "TYPES": types(self.operands),
            "POINT": point,
            "ALONG": tuple_of([f"v_{name}" for name in self.operands]),
            "DOTTED": " + ".join(f"sum(v_{name} * grad(f, wrt={name})({point}))" for name in self.operands),
        }
        return re.sub("|".join(words), lambda found: words[found[0]], text)

    def net(self, name: str) -> gradcli.python.Net:
        return gradcli.compile(self.text, net=name)

    def values(self, expressions: list[str]) -> list[Array]:
        """What several expressions give, from one program."""
        main = self.fill(f"net main(TYPES) {{ return {', '.join(expressions)} }}\n")
        return list(gradcli.compile(self.text + main, net="main").eval(**self.operands))


def types(arrays: dict[str, Array]) -> str:
    return ", ".join(f"{name}: f64{list(array.shape) or ''}" for name, array in arrays.items())


def tuple_of(names: list[str]) -> str:
    return f"({', '.join(names)})" if len(names) > 1 else names[0]


def flat(arrays: Any) -> Array:
    return np.concatenate([np.ravel(array) for array in arrays])


def blocks(arrays: list[Array], sizes: list[int]) -> Array:
    """One matrix of the blocks that a Hessian or Jacobian has for each pair of operands, row by row."""
    given = iter(arrays)
    return np.block([[next(given).reshape(height, width) for width in sizes] for height in sizes])


def close(found: Any, wanted: Any, how: str) -> None:
    exact = np.asarray(wanted)
    largest = float(np.abs(exact).max(initial=1e-3))  # what is zero there may be a difference of numbers of size 1 here
    assert_allclose(found, exact, rtol=RTOL, atol=RTOL * largest, err_msg=how)


def spelled(row: dict[str, Any], model: Model) -> Iterator[tuple[str, str, Array]]:
    """(quantity, spelling, what it gives)"""
    listed = [(quantity, how) for quantity, hows in SPELLINGS.items() for how in hows]
    results = iter(model.values([how for _, how in listed]))
    count = len(model.operands)
    for quantity, how in listed:
        arrays = [next(results) for _ in range({"value": 1, "jvp": 1, "hessian": count**2}.get(quantity, count))]
        if quantity == "hessian":
            yield quantity, how, blocks(arrays, [operand.size for operand in model.operands.values()])
        else:
            yield quantity, how, arrays[0] if quantity in ("value", "jvp") else flat(arrays)


# ── the modes ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("row", ROWS)
def test_in_the_language(row: dict[str, Any]) -> None:
    model = Model(row)
    for quantity, how, found in spelled(row, model):
        close(found, row[quantity], how)


@pytest.mark.parametrize("row", ROWS)
def test_two_points_at_once(row: dict[str, Any]) -> None:
    model = Model(row)
    gradients = [a.reshape(2, -1) for a in model.net("many").eval(**model.rows)]
    close(np.concatenate(gradients, axis=1), [row["gradient"], row["beside"]], "vmap(grad)")
    products = [a.reshape(2, -1) for a in model.net("curved").eval(**model.rows)]
    close(np.concatenate(products, axis=1)[0], row["hvp"], "vmap(hvp)")


@pytest.mark.parametrize("row", ROWS)
def test_as_verbs(row: dict[str, Any]) -> None:
    """`jvp` of order 2 and 3 takes series where operators have them."""
    model = Model(row)
    out, f = model.net("out"), model.net("f")
    v, sizes = flat(model.along.values()), [operand.size for operand in model.operands.values()]
    for order, wanted in ((2, row["hvp"]), (3, row["third"])):
        (derivative,) = out.jvp(tangent=model.along, order=order, **model.operands)
        close((model.c * derivative).sum(), v @ np.array(wanted), f"jvp of order {order}")
    jacobian = np.hstack(
        [block.reshape(-1, n) for block, n in zip(out.jac(get_all=True, **model.operands), sizes, strict=True)]
    )
    close(jacobian @ v, np.ravel(row["jvp"]), "jac times v")
    close(model.c.reshape(-1) @ jacobian, row["gradient"], "c times jac")
    close(blocks(list(f.hess(get_all=True, **model.operands)), sizes), row["hessian"], "hess")
    close(flat(f.hess(get_all=True, vec=model.along, **model.operands)), row["hvp"], "hess times v")

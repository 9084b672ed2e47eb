"""Taylor mode: one direction, many orders. A value along x + t·v is a series c0 + c1·t + c2·t² + …, and each node makes
the series of its result from those of its operands:

    y = p(u)  with  y' = Σ p_m(u, y) · u_m'      gives      k · y_k = Σ_m Σ_{j=1..k} j · u_{m,j} · (p_m)_{k-j}

The partial derivatives p_m are the ones that the operator states; they are graphs themselves, with series of lower
order. A product is a convolution, a linear operator is applied to each coefficient. The cost grows with the square of
the order, where nested passes would grow exponentially (Griewank & Walther, *Evaluating Derivatives*, 2nd ed. 2008,
chapter 13).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.ad.reverse import splat
from gradcli.ir.graph import Builder, Graph, Node, Role, Value, apply
from gradcli.ir.live import without_dead
from gradcli.ir.primitive import primitive
from gradcli.ops.define import Only, Partial, Per

Coefficient = Value | None  # None is zero


class NoSeries(Exception):
    """An operator has no rule for series; derivatives are then taken one order after the other."""


def derivative_along(graph: Graph, position: int, order: int, outputs: Sequence[int]) -> Graph:
    """`inputs → (*outputs, *derivatives)`: of each output at `outputs`, the derivative of that order along ones in the
    input at `position`, of the output's aval. Raises NoSeries where an operator on the way has no rule."""
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names or builder.names
    series = _Series(builder, env[graph.inputs[position].id], order)
    for node in graph.nodes:
        builder.replay([node], env)
    for k in range(1, order + 1):  # the coefficients of one order need those below it only, and earlier nodes
        for node in graph.nodes:
            first = len(builder.nodes)
            for out in node.outs:
                series.of(env[out.id], k)
            builder.mark(first, Role("tangent", node.prim.name, node.role))
    found = []
    for k in outputs:
        value = env[graph.outputs[k].id]
        last = series.of(value, order)
        found.append(splat(builder, 0.0, value.aval) if last is None else last * float(math.factorial(order)))
    return without_dead(builder.close([*(env[old.id] for old in graph.outputs), *found]))


class _Series:
    """Coefficients by value and order, each made when it is first asked for."""

    def __init__(self, builder: Builder, x: Value, order: int) -> None:
        self.builder = builder
        self.known: dict[tuple[int, int], Coefficient] = {(x.id, 1): splat(builder, 1.0, x.aval)}
        self.known.update({(x.id, k): None for k in range(2, order + 1)})
        self.partials: dict[int, tuple[Partial, ...]] = {}  # by the id of a result
        self.slopes: dict[tuple[int, int, int], Coefficient] = {}  # of u_m' · p_m: id of the result, m, order

    def of(self, value: Value, k: int) -> Coefficient:
        if k == 0:
            return value
        key = value.id, k
        if key not in self.known:
            self.known[key] = None if value.node is None else self._made(value.node, value, k)
        return self.known[key]

    def _made(self, node: Node, out: Value, k: int) -> Coefficient:
        prim = node.prim
        if prim.flat or prim.stops or not out.aval.is_float or not self._moves(node, k):
            return None
        self.builder.spans = node.spans
        if prim.name == "mul" or prim.kind == "bilinear":
            return self._convolved(node, k)
        if prim.name == "cast":
            inner = self.of(node.inputs[0], k)
            return None if inner is None else self._emit(node, [inner])
        if prim.kind == "linear":
            return self._linear(node, k)
        if prim.partials is None or len(node.outs) > 1:
            raise NoSeries(prim.name)
        return self._shaped(self._by_partials(node, out, k), out)

    def _moves(self, node: Node, k: int) -> bool:
        """Whether any coefficient of an operand up to order k is not zero."""
        return any(self.of(value, j) is not None for value in node.inputs for j in range(1, k + 1))

    def _emit(self, node: Node, operands: Sequence[Value]) -> Value:
        return self.builder.emit(node.prim, operands, node.params)[0]

    def _convolved(self, node: Node, k: int) -> Coefficient:
        """z_k = Σ x_j y_{k-j}"""
        x, y = node.inputs
        terms: list[Value] = []
        for j in range(k + 1):
            a, b = self.of(x, j), self.of(y, k - j)
            if a is not None and b is not None:
                terms.append(self._emit(node, [a, b]))
        return self._shaped(_sum(terms), node.outs[0])

    def _linear(self, node: Node, k: int) -> Coefficient:
        found = [self.of(value, k) if value.aval.is_float else value for value in node.inputs]
        if all(a is None for a, value in zip(found, node.inputs, strict=True) if value.aval.is_float):
            return None
        return self._emit(node, [splat(self.builder, 0.0, value.aval) if a is None else a
                                 for a, value in zip(found, node.inputs, strict=True)])  # fmt: skip

    def _by_partials(self, node: Node, out: Value, k: int) -> Coefficient:
        """y_k = Σ_m (u_m' · p_m)_{k-1} / k"""
        if out.id not in self.partials:
            assert node.prim.partials is not None
            self.partials[out.id] = node.prim.partials(*node.inputs, out, **node.params)
        terms = [self._slope(node, out, m, k - 1) for m in range(len(node.inputs))]
        total = _sum([term for term in terms if term is not None])
        return None if total is None else total * (1.0 / k) if k in (1, 2, 4, 8) else total / float(k)

    def _slope(self, node: Node, out: Value, m: int, i: int) -> Coefficient:
        """The coefficient of order i of u_m' · p_m."""
        key = out.id, m, i
        if key not in self.slopes:
            self.slopes[key] = self._slope_of(node, out, m, i)
        return self.slopes[key]

    def _slope_of(self, node: Node, out: Value, m: int, i: int) -> Coefficient:
        match self.partials[out.id][m]:
            case None:
                return None
            case Value() as partial:
                products = [(self._rate(node, m, j), self.of(partial, i - j)) for j in range(i + 1)]
                return _sum([a * b for a, b in products if a is not None and b is not None])
            case Per(value=divisor):
                rate = self._rate(node, m, i)
                known = [(self.of(divisor, j), self._slope(node, out, m, i - j)) for j in range(1, i + 1)]
                minus = _sum([a * b for a, b in known if a is not None and b is not None])
                above = rate if minus is None else -minus if rate is None else rate - minus
                return None if above is None else above / divisor
            case Only(condition=condition):
                rate = self._rate(node, m, i)
                return None if rate is None else apply("where", condition, rate, self.builder.scalar(0.0, rate.dtype))
            case number:
                rate = self._rate(node, m, i)
                return None if rate is None else rate if number == 1 else -rate if number == -1 else rate * number

    def _rate(self, node: Node, m: int, i: int) -> Coefficient:
        """The coefficient of order i of u_m': (i + 1) · u_{m,i+1}."""
        found = self.of(node.inputs[m], i + 1)
        return found if found is None or i == 0 else found * float(i + 1)

    def _shaped(self, value: Coefficient, out: Value) -> Coefficient:
        if value is None or value.shape == out.shape:
            return value
        return self.builder.emit(primitive("broadcast_to"), (value,), {"shape": out.shape})[0]


def _sum(terms: Sequence[Value]) -> Coefficient:
    total: Coefficient = None
    for term in terms:
        total = term if total is None else total + term
    return total


# ── where one direction is all there is ─────────────────────────────────────────────────────────────────────


def along_ones(graph: Graph, position: int, outputs: Sequence[int]) -> list[Value] | None:
    """The values whose derivatives along ones, added up, are the nested gradients of the sum of `outputs` by the input
    at `position`; None where these need more than one direction.

    So it is for an input of one element; and where every element goes its own way: through elementwise operators on
    arrays of its shape, and sums at the end.
    """
    x = graph.inputs[position]
    results = [graph.outputs[k] for k in outputs]
    if x.aval.size == 1:
        return results
    own = {x.id}  # values whose elements depend on the element of x at the same place
    summed: dict[int, Value] = {}
    for node in graph.nodes:
        if not any(value.id in own or value.id in summed for value in node.inputs):
            continue
        (out, *more) = node.outs
        if node.prim.flat or node.prim.stops:
            continue
        if node.prim.name == "reduce_sum" and node.inputs[0].id in own:
            summed[out.id] = node.inputs[0]
        elif (
            node.prim.kind == "elementwise"
            and not more
            and out.shape == x.shape
            and not any(value.id in summed for value in node.inputs)
        ):
            own.add(out.id)
        else:
            return None
    return [summed.get(value.id, value) for value in results]
